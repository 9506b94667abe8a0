/* Activations and their gradients, one body for float and double: include after real.h and vmaths.h;
   activations.h does so, and lists the names.

   value_<name>(x, p) and slope_<name>(x, p) are the activation and its derivative at the elements of a vector, for the
   parameters p. What is computed is said by the Python functions of pyconvx/activation.py, NaN, infinities and kinks
   included. Exponentials are those of -|x|, which do not overflow; where a product with one falls below the normal
   numbers, its power of two comes last, so that it is rounded once. */

#define ZERO (VECTOR){0}
#define SPLAT(value) NAME(splat)((REAL)(value))
#define LESS(x, y) NAME(less)(x, y)
#define UP_TO(x, y) NAME(up_to)(x, y)
#define POSITIVE(x) NAME(less)(ZERO, x)
#define NEGATIVE(x) NAME(less)(x, ZERO)
#define SELECT(which, yes, no) NAME(select)(which, yes, no)
#define KEEP_LANES(which, x) NAME(keep)(which, x)
#define ONE_WHERE(which) NAME(keep)(which, SPLAT(1))
#define ABSOLUTE(x) NAME(absolute)(x)
#define FALLING(x) NAME(falling)(x)
#define AT_LEAST(x, least) NAME(at_least)(x, least)
#define AT_MOST(x, most) NAME(at_most)(x, most)
#define WITHIN(x, limit) AT_MOST(AT_LEAST(x, -limit), limit)
#define FARTHEST NAME(farthest)
#define FAR_TAIL NAME(far_tail)
#define VALUE(name) ALWAYS_INLINE VECTOR NAME(value_##name)(VECTOR x, const REAL *p)
#define SLOPE(name) ALWAYS_INLINE VECTOR NAME(slope_##name)(VECTOR x, const REAL *p)

/* (x - tanh(x)) / x^3 in terms of x^2, up to 1 */
#if DIGITS == 24
static const REAL NAME(tanh_shrink_terms)[] = {
    0.33333334f, -0.13333331f, 0.0539676f, -0.021862583f, 0.008826278f, -0.003478445f, 0.0012422262f,
    -0.00033773182f, 4.847755e-05f};
#else
static const REAL NAME(tanh_shrink_terms)[] = {
    0.3333333333333333, -0.1333333333333331, 0.05396825396823156, -0.02186948853529803, 0.008863235512589444,
    -0.0035921278236704956, 0.0014558326533984118, -0.0005900175767987523, 0.00023908846508934669,
    -9.67910927048607e-05, 3.8991871173576284e-05, -1.5416452019486524e-05, 5.777654441628333e-06,
    -1.9218143651936037e-06, 5.123303671256177e-07, -9.365620009647933e-08, 8.540000704058055e-09};
#endif

VALUE(identity) { return x; }
SLOPE(identity) { return SPLAT(1); }

VALUE(relu) { return KEEP_LANES(~UP_TO(x, ZERO), x); }
SLOPE(relu) { return ONE_WHERE(~UP_TO(x, ZERO)); }

VALUE(relu6) { return AT_MOST(AT_LEAST(x, 0), 6); }
SLOPE(relu6) { return ONE_WHERE(POSITIVE(x) & LESS(x, SPLAT(6))); }

VALUE(leaky_relu) { return SELECT(POSITIVE(x), x, p[0] * x); }
SLOPE(leaky_relu) { return SELECT(POSITIVE(x), SPLAT(1), SPLAT(p[0])); }

VALUE(elu) { return SELECT(POSITIVE(x), x, p[0] * NAME(vexpm1_falling)(x)); }
SLOPE(elu) { return SELECT(POSITIVE(x), SPLAT(1), p[0] * NAME(vexp_falling)(x)); }

#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946
VALUE(selu)
{
    return SELECT(POSITIVE(x), (REAL)SELU_SCALE * x, (REAL)(SELU_SCALE * SELU_ALPHA) * NAME(vexpm1_falling)(x));
}
SLOPE(selu)
{
    return SELECT(POSITIVE(x), SPLAT(SELU_SCALE), (REAL)(SELU_SCALE * SELU_ALPHA) * NAME(vexp_falling)(x));
}

VALUE(celu) { return SELECT(POSITIVE(x), x, p[0] * NAME(vexpm1)(x / p[0])); }
SLOPE(celu) { return SELECT(POSITIVE(x), SPLAT(1), p[0] / p[0] * NAME(vexp)(x / p[0])); }

/* x P(X <= x) is max(x, 0) - a P(X > a), with a = |x|. */
VALUE(gelu)
{
    VECTOR power, n;
    const VECTOR a = AT_MOST(ABSOLUTE(x), FAR_TAIL), tail = NAME(normal_tail)(a, &power, &n);
    return AT_LEAST(x, 0) - NAME(scale)(a * tail * power, n);
}
SLOPE(gelu)
{
    VECTOR power, n;
    const VECTOR a = AT_MOST(ABSOLUTE(x), FAR_TAIL), tail = NAME(normal_tail)(a, &power, &n);
    const VECTOR low = NAME(scale)((tail - a * (REAL)0.39894228040143267794) * power, n); /* 1 / sqrt(2 pi) */
    return SELECT(NEGATIVE(x), low, 1 - low);
}

/* The sigmoid of z, times x, which has the sign of z; and its derivative with respect to x, where dz / dx = dz, a
   function of |x| alone. Neither z nor x is infinite. */
ALWAYS_INLINE VECTOR NAME(gated)(VECTOR x, VECTOR z)
{
    VECTOR n;
    const VECTOR e = NAME(expm1_near)(NAME(reduced)(AT_LEAST(FALLING(z), -FARTHEST), &n));
    const TRUTH negative = NEGATIVE(x);
    const VECTOR sum = 1 + NAME(scale)(1 + e, n), y = (x + KEEP_LANES(negative, x * e)) / sum;
    return SELECT(negative, NAME(scale)(y, n), y);
}
ALWAYS_INLINE VECTOR NAME(gated_slope)(VECTOR x, VECTOR z, VECTOR dz)
{
    VECTOR n;
    const VECTOR e = 1 + NAME(expm1_near)(NAME(reduced)(AT_LEAST(FALLING(z), -FARTHEST), &n));
    const VECTOR part = 1 / (1 + NAME(scale)(e, n));
    const VECTOR low = NAME(scale)(e * part * (1 - ABSOLUTE(x) * dz * part), n);
    return SELECT(NEGATIVE(x), low, 1 - low);
}

VALUE(silu) { return NAME(gated)(AT_LEAST(x, -FARTHEST), x); }
SLOPE(silu)
{
    x = WITHIN(x, FARTHEST);
    return NAME(gated_slope)(x, x, SPLAT(1));
}

#define GELU_TANH (REAL)1.59576912160573071176 /* 2 sqrt(2 / pi) */
#define CUBIC (REAL)0.044715
VALUE(gelu_tanh)
{
    const VECTOR near = WITHIN(x, FAR_TAIL);
    return NAME(gated)(AT_LEAST(x, -FAR_TAIL), near * (GELU_TANH + GELU_TANH * CUBIC * (near * near)));
}
SLOPE(gelu_tanh)
{
    x = WITHIN(x, FAR_TAIL);
    const VECTOR square = GELU_TANH * CUBIC * (x * x);
    return NAME(gated_slope)(x, x * (GELU_TANH + square), GELU_TANH + 3 * square);
}

/* tanh(softplus(x)) is a ratio of polynomials in e = exp(-|x|). */
VALUE(mish)
{
    VECTOR n;
    const TRUTH negative = NEGATIVE(x);
    x = AT_LEAST(x, -FARTHEST);
    const VECTOR scaled = NAME(expm1_near)(NAME(reduced)(AT_LEAST(FALLING(x), -FARTHEST), &n));
    const VECTOR e = NAME(scale)(1 + scaled, n);
    const VECTOR over = (x + KEEP_LANES(negative, x * scaled)) * SELECT(negative, e + 2, 1 + 2 * e);
    const VECTOR under = SELECT(negative, e * (e + 2) + 2, 2 * e * (e + 1) + 1);
    const VECTOR y = over / under;
    return SELECT(negative, NAME(scale)(y, n), y);
}
SLOPE(mish)
{
    VECTOR n;
    const TRUTH negative = NEGATIVE(x);
    x = WITHIN(x, FARTHEST);
    const VECTOR scaled = 1 + NAME(expm1_near)(NAME(reduced)(FALLING(x), &n));
    const VECTOR e = NAME(scale)(scaled, n);
    const VECTOR under = SELECT(negative, e * (e + 2) + 2, 2 * e * (e + 1) + 1);
    const VECTOR first = SELECT(negative, e + 2, 1 + 2 * e), second = SELECT(negative, SPLAT(1), e * e);
    const VECTOR slope = (first * under + 4 * x * (1 + e) * second) / (under * under);
    return SELECT(negative, NAME(scale)(scaled * slope, n), slope);
}

ALWAYS_INLINE VECTOR NAME(sigmoid)(VECTOR x)
{
    const VECTOR e = NAME(vexp_falling)(FALLING(x));
    return SELECT(NEGATIVE(x), e, SPLAT(1)) / (1 + e);
}
ALWAYS_INLINE VECTOR NAME(sigmoid_slope)(VECTOR x)
{
    const VECTOR e = NAME(vexp_falling)(FALLING(x)), sum = 1 + e;
    return e / (sum * sum);
}

VALUE(sigmoid) { return NAME(sigmoid)(x); }
SLOPE(sigmoid) { return NAME(sigmoid_slope)(x); }

/* p: beta, threshold. With a beta of 1, which is usual, there is nothing to multiply and to divide by; and from
   SOFTPLUS_ALIKE on float does not tell the result from x anyway, whatever the threshold. */
#if DIGITS == 24
#define SOFTPLUS_ALIKE 17
#define BEYOND(y) (y)
#else
#define SOFTPLUS_ALIKE 0
#define BEYOND(y) SELECT(LESS(SPLAT(p[1]), x), x, y)
#endif
VALUE(softplus_unit) { return BEYOND(AT_LEAST(x, 0) + NAME(vlog1p_unit)(NAME(vexp_falling)(FALLING(x)))); }
SLOPE(softplus_unit) { return SELECT(LESS(SPLAT(p[1]), x), SPLAT(1), NAME(sigmoid)(x)); }
#undef BEYOND
VALUE(softplus_scaled)
{
    const VECTOR z = p[0] * x;
    const VECTOR y = (AT_LEAST(z, 0) + NAME(vlog1p_unit)(NAME(vexp_falling)(FALLING(z)))) / p[0];
    return SELECT(LESS(SPLAT(p[1]), z), x, y);
}
SLOPE(softplus_scaled)
{
    const VECTOR z = p[0] * x;
    return SELECT(LESS(SPLAT(p[1]), z), SPLAT(1), NAME(sigmoid)(z));
}

VALUE(log_sigmoid) { return AT_MOST(x, 0) - NAME(vlog1p_unit)(NAME(vexp_falling)(FALLING(x))); }
SLOPE(log_sigmoid) { return NAME(sigmoid)(-x); }

VALUE(softsign)
{
    const VECTOR a = ABSOLUTE(x);
    return SELECT(NAME(equal)(a, SPLAT(INFINITY)), NAME(with_sign)(SPLAT(1), x), x / (1 + a));
}
SLOPE(softsign)
{
    const VECTOR part = 1 / (1 + ABSOLUTE(x));
    return part * part;
}

VALUE(hard_sigmoid) { return AT_MOST(AT_LEAST(x + 3, 0), 6) / 6; }
SLOPE(hard_sigmoid) { return KEEP_LANES(LESS(SPLAT(-3), x) & LESS(x, SPLAT(3)), SPLAT(1.0 / 6)); }

VALUE(hard_swish) { return AT_LEAST(x, -3) * (AT_MOST(AT_LEAST(x + 3, 0), 6) / 6); }
SLOPE(hard_swish)
{
    return KEEP_LANES(~UP_TO(x, SPLAT(-3)), SELECT(LESS(x, SPLAT(3)), x / 3 + (REAL)0.5, SPLAT(1)));
}

/* p: min, max */
VALUE(hard_tanh) { return AT_MOST(AT_LEAST(x, p[0]), p[1]); }
SLOPE(hard_tanh) { return ONE_WHERE(LESS(SPLAT(p[0]), x) & LESS(x, SPLAT(p[1]))); }

VALUE(tanh) { return NAME(vtanh)(x); }
SLOPE(tanh) { return 4 * NAME(sigmoid_slope)(2 * x); }

/* x - tanh(x): near 0 it would cancel, elsewhere it is (|x| - 1) + (1 - tanh(|x|)). */
VALUE(tanh_shrink)
{
    const VECTOR a = ABSOLUTE(x), square = a * a, e = NAME(vexp_falling)(-2 * a);
    const VECTOR small = a * (square * POLYNOMIAL(square, tanh_shrink_terms));
    return NAME(with_sign)(SELECT(LESS(a, SPLAT(1)), small, (a - 1) + 2 * e / (1 + e)), x);
}
SLOPE(tanh_shrink)
{
    const VECTOR t = NAME(vtanh)(x);
    return t * t;
}

VALUE(soft_shrink)
{
    const TRUTH within = UP_TO(ABSOLUTE(x), SPLAT(p[0]));
    return KEEP_LANES(~within, x - NAME(with_sign)(ABSOLUTE(SPLAT(p[0])), x));
}
SLOPE(soft_shrink) { return ONE_WHERE(LESS(SPLAT(p[0]), ABSOLUTE(x))); }

VALUE(hard_shrink) { return KEEP_LANES(~UP_TO(ABSOLUTE(x), SPLAT(p[0])), x); }
SLOPE(hard_shrink) { return ONE_WHERE(LESS(SPLAT(p[0]), ABSOLUTE(x))); }

/* p: threshold, value */
VALUE(threshold) { return SELECT(UP_TO(x, SPLAT(p[0])), SPLAT(p[1]), x); }
SLOPE(threshold) { return ONE_WHERE(~UP_TO(x, SPLAT(p[0]))); }

/* Rows. A last vector that is not whole goes through the same instructions as the others, so that a result depends
   neither on the length of its row nor on its place in it. */

/* Some vectors at a time, whose long chains of operations then overlap. */
#define AT_ONCE (TILE_FULL == 14 ? 4 : 2)
#define ROW(name) \
    static void NAME(name##_row)(const void *from, void *to, ptrdiff_t n, const double *params) \
    { \
        const REAL *x = from, p[] = {(REAL)params[0], (REAL)params[1]}; \
        REAL *y = to; \
        ptrdiff_t i = 0; \
        for (; i + AT_ONCE * LANES <= n; i += AT_ONCE * LANES) { \
            VECTOR some[AT_ONCE]; \
            UNROLL for (int k = 0; k < AT_ONCE; k++) some[k] = *(const VECTOR *)(x + i + k * LANES); \
            UNROLL for (int k = 0; k < AT_ONCE; k++) some[k] = NAME(value_##name)(some[k], p); \
            UNROLL for (int k = 0; k < AT_ONCE; k++) *(VECTOR *)(y + i + k * LANES) = some[k]; \
        } \
        for (; i < n; i += LANES) \
            NAME(store)(y + i, n - i, NAME(value_##name)(NAME(load)(x + i, n - i, 0), p)); \
    } \
    static void NAME(name##_gradient)(const void *from, const void *result, const void *incoming, void *to, \
                                      ptrdiff_t n, const double *params) \
    { \
        const REAL *x = from, *gy = incoming, p[] = {(REAL)params[0], (REAL)params[1]}; \
        REAL *gx = to; \
        ptrdiff_t i = 0; \
        for (; i + AT_ONCE * LANES <= n; i += AT_ONCE * LANES) { \
            VECTOR some[AT_ONCE]; \
            UNROLL for (int k = 0; k < AT_ONCE; k++) some[k] = *(const VECTOR *)(x + i + k * LANES); \
            UNROLL for (int k = 0; k < AT_ONCE; k++) some[k] = NAME(slope_##name)(some[k], p); \
            UNROLL for (int k = 0; k < AT_ONCE; k++) some[k] *= *(const VECTOR *)(gy + i + k * LANES); \
            UNROLL for (int k = 0; k < AT_ONCE; k++) *(VECTOR *)(gx + i + k * LANES) = some[k]; \
        } \
        for (; i < n; i += LANES) \
            NAME(store)(gx + i, n - i, \
                        NAME(load)(gy + i, n - i, 0) * NAME(slope_##name)(NAME(load)(x + i, n - i, 0), p)); \
    }
ELEMENTWISE_ACTIVATIONS(ROW)
ROW(softplus_unit)
ROW(softplus_scaled)
#undef ROW

static void NAME(softplus_row)(const void *from, void *to, ptrdiff_t n, const double *params)
{
    const int unit = params[0] == 1 && params[1] >= SOFTPLUS_ALIKE;
    (unit ? NAME(softplus_unit_row) : NAME(softplus_scaled_row))(from, to, n, params);
}
static void NAME(softplus_gradient)(const void *from, const void *result, const void *incoming, void *to, ptrdiff_t n,
                                    const double *params)
{
    (params[0] == 1 ? NAME(softplus_unit_gradient) : NAME(softplus_scaled_gradient))(from, result, incoming, to, n,
                                                                                     params);
}
#undef SOFTPLUS_ALIKE

/* Those that mix the elements of a row. A sum is one of lanes over a stretch, and of stretches in double. */

#define STRETCH (64 * LANES)

ALWAYS_INLINE double NAME(sum_of_lanes)(VECTOR x)
{
    double sum = 0;
    for (ptrdiff_t k = 0; k < LANES; k++) sum += ((const REAL *)&x)[k];
    return sum;
}

/* NaN if there is one. */
static REAL NAME(largest)(const REAL *x, ptrdiff_t n)
{
    VECTOR best[4] = {SPLAT(-INFINITY), SPLAT(-INFINITY), SPLAT(-INFINITY), SPLAT(-INFINITY)};
    for (ptrdiff_t i = 0; i < n;)
        UNROLL for (int v = 0; v < 4; v++, i += LANES) {
            if (i >= n) break;
            const VECTOR some = NAME(load)(x + i, n - i, -(REAL)INFINITY);
            best[v] = SELECT(LESS(best[v], some) | ~NAME(equal)(some, some), some, best[v]);
        }
    REAL y = -(REAL)INFINITY;
    for (int v = 0; v < 4; v++)
        for (ptrdiff_t k = 0; k < LANES; k++) {
            const REAL lane = ((const REAL *)&best[v])[k];
            if (lane > y || lane != lane) y = lane;
        }
    return y;
}

static void NAME(softmax_row)(const void *from, void *to, ptrdiff_t n, const double *params)
{
    const REAL *x = from, top = NAME(largest)(x, n);
    REAL *y = to;
    double total = 0;
    for (ptrdiff_t start = 0; start < n; start += STRETCH) {
        VECTOR sum = ZERO;
        for (ptrdiff_t i = start; i < n && i < start + STRETCH; i += LANES) {
            const VECTOR e = NAME(vexp_falling)(NAME(load)(x + i, n - i, -(REAL)INFINITY) - top);
            NAME(store)(y + i, n - i, e);
            sum += e;
        }
        total += NAME(sum_of_lanes)(sum);
    }
    const REAL sum = (REAL)total, part = 1 / sum;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const VECTOR e = NAME(load)(y + i, n - i, 0), share = e * part;
        NAME(store)(y + i, n - i, share + (e - share * sum) * part); /* a division but for the last digit, and faster */
    }
}

/* y * (gy - sum of gy * y) */
static void NAME(softmax_gradient)(const void *from, const void *result, const void *incoming, void *to, ptrdiff_t n,
                                   const double *params)
{
    const REAL *y = result, *gy = incoming;
    REAL *gx = to;
    double total = 0;
    for (ptrdiff_t start = 0; start < n; start += STRETCH) {
        VECTOR sum = ZERO;
        for (ptrdiff_t i = start; i < n && i < start + STRETCH; i += LANES)
            sum += NAME(load)(gy + i, n - i, 0) * NAME(load)(y + i, n - i, 0);
        total += NAME(sum_of_lanes)(sum);
    }
    for (ptrdiff_t i = 0; i < n; i += LANES)
        NAME(store)(gx + i, n - i, NAME(load)(y + i, n - i, 0) * (NAME(load)(gy + i, n - i, 0) - (REAL)total));
}

/* The largest adds 1 to the sum of exponentials, which is left to log1p: a confident row keeps the digits of its small
   loss. All that are as large are counted apart; in a row with infinity their exponentials are NaN, which stays. */
static void NAME(log_softmax_row)(const void *from, void *to, ptrdiff_t n, const double *params)
{
    const REAL *x = from, top = NAME(largest)(x, n);
    REAL *y = to;
    double others = 0, largest = 0;
    for (ptrdiff_t start = 0; start < n; start += STRETCH) {
        VECTOR sum = ZERO, count = ZERO;
        for (ptrdiff_t i = start; i < n && i < start + STRETCH; i += LANES) {
            const VECTOR some = NAME(load)(x + i, n - i, -(REAL)INFINITY);
            const VECTOR one = ONE_WHERE(NAME(equal)(some, SPLAT(top)));
            sum += NAME(vexp_falling)(some - top) - one;
            count += one;
        }
        others += NAME(sum_of_lanes)(sum);
        largest += NAME(sum_of_lanes)(count);
    }
    const REAL excess = (REAL)log1p((largest - 1) + others);
    for (ptrdiff_t i = 0; i < n; i += LANES) NAME(store)(y + i, n - i, (NAME(load)(x + i, n - i, 0) - top) - excess);
}

/* gy - exp(y) * sum of gy */
static void NAME(log_softmax_gradient)(const void *from, const void *result, const void *incoming, void *to,
                                       ptrdiff_t n, const double *params)
{
    const REAL *y = result, *gy = incoming;
    REAL *gx = to;
    double total = 0;
    for (ptrdiff_t start = 0; start < n; start += STRETCH) {
        VECTOR sum = ZERO;
        for (ptrdiff_t i = start; i < n && i < start + STRETCH; i += LANES) sum += NAME(load)(gy + i, n - i, 0);
        total += NAME(sum_of_lanes)(sum);
    }
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const VECTOR share = NAME(vexp_falling)(NAME(load)(y + i, n - i, 0));
        NAME(store)(gx + i, n - i, NAME(load)(gy + i, n - i, 0) - share * (REAL)total);
    }
}

/* n elements of x give n / 2 of y. */
static void NAME(glu_row)(const void *from, void *to, ptrdiff_t n, const double *params)
{
    const REAL *value = from, *gate = value + n / 2;
    REAL *y = to;
    n /= 2;
    for (ptrdiff_t i = 0; i < n; i += LANES)
        NAME(store)(y + i, n - i, NAME(load)(value + i, n - i, 0) * NAME(sigmoid)(NAME(load)(gate + i, n - i, 0)));
}

static void NAME(glu_gradient)(const void *from, const void *result, const void *incoming, void *to, ptrdiff_t n,
                               const double *params)
{
    const REAL *value = from, *gate = value + n / 2, *gy = incoming;
    REAL *gx = to;
    n /= 2;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const VECTOR g = NAME(load)(gy + i, n - i, 0), z = NAME(load)(gate + i, n - i, 0);
        NAME(store)(gx + i, n - i, g * NAME(sigmoid)(z));
        NAME(store)(gx + n + i, n - i, g * NAME(load)(value + i, n - i, 0) * NAME(sigmoid_slope)(z));
    }
}

#undef ZERO
#undef SPLAT
#undef LESS
#undef UP_TO
#undef POSITIVE
#undef NEGATIVE
#undef SELECT
#undef KEEP_LANES
#undef ONE_WHERE
#undef ABSOLUTE
#undef FALLING
#undef AT_LEAST
#undef AT_MOST
#undef WITHIN
#undef FARTHEST
#undef FAR_TAIL
#undef VALUE
#undef SLOPE
#undef SELU_ALPHA
#undef SELU_SCALE
#undef GELU_TANH
#undef CUBIC
#undef STRETCH
#undef AT_ONCE
