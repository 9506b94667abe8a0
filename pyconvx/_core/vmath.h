/* Elementary functions of vectors, one body for float and double: include after lanes.h; vmaths.h does so.
   No branch, no state: a lane's result depends on nothing but that lane. Errors are
   below 2 units in the last place, subnormal results are rounded once, NaN gives NaN. A table stands in a register, or there
   is none. Polynomials are minimax (Remez), of
   a relative error below 2^-27 (float) and 2^-57 (double), the functions' own.

   The order of additions matters here: these lines must never see -fassociative-math or -ffast-math. */

/* expm1_terms: (exp(r) - 1 - r) / r^2, |r| < 0.4; exp_terms: the same, where exp(r) is wanted, |r| < 0.352; exp2_terms:
   (2^r - 1) / r, |r| <= 0.5; log_terms: (2 atanh(s) - 2 s) / s^3 by s^2; log1p_terms: (log(1 + f) - f) / f^2,
   -1/4 <= f <= 1/2; near_terms: the same for what `nearest` leaves; tanh_terms: (x - tanh(x)) / x^3 by x^2, x < 0.625;
   tail_over / tail_under: P(X > a) exp(a^2 / 2) for X normal with mean 0 and variance 1, a <= far_tail. */
#if DIGITS == 24
#define MANTISSA 23
#define ONE_BITS 0x3f800000
#define THREE_QUARTERS_BITS 0x3f400000
#define HALVED_ROOT_BITS 0x3f3504f3  /* sqrt(1/2) */
#define UPPER_HALF -0x1000           /* twelve digits: their square is exact */
#define SHIFTER 0x1.8p23f            /* x + SHIFTER rounds x to an integer, which stands in the low bits */
#define INTEGERS 0x1p23f             /* with an integer in the low bits: INTEGERS + it */
#define LEAST_NORMAL 0x1p-126f
#define LN2_HIGH 0x1.62e4p-1f        /* few digits: times an exponent it is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define LIFT 48                      /* 2^(n + LIFT) is a normal number for the n of -farthest ... 0 */
#define LOWERED 0x1p-48f
#define HIGHEST 89                   /* where exp is infinite, and half of it not far from finite */
#define SATURATED 10                 /* where tanh is 1 */
enum {
    NAME(farthest) = 120,            /* where exp(-x), also times x, is 0 */
    NAME(far_tail) = 15              /* where a normal tail, also times x, is 0 */
};
static const REAL NAME(expm1_terms)[] = {
    0.5f, 0.16666667f, 0.041666113f, 0.008333226f, 0.0013958326f, 0.0001993853f};
static const REAL NAME(exp_terms)[] = {0.49999994f, 0.16666512f, 0.041668378f, 0.0083698193f, 0.0013812276f};
#define EXPM1_TERMS expm1_terms
static const REAL NAME(exp2_terms)[] = {
    0.69314724f, 0.24022652f, 0.055503104f, 0.009617693f, 0.0013406645f, 0.00015594682f};
static const REAL NAME(log_terms)[] = {0.6666666f, 0.40000337f, 0.2853724f, 0.23583555f};
static const REAL NAME(log1p_terms)[] = {
    -0.49999997f, 0.3333334f, -0.25000304f, 0.19999878f, -0.16652237f, 0.14266007f, -0.12740068f, 0.11794237f,
    -0.09253158f, 0.038307056f};
static const REAL NAME(tanh_terms)[] = {
    0.3333333f, -0.1333321f, 0.053947203f, -0.02170297f, 0.008182677f, -0.00214754f};
static const REAL NAME(tail_over)[] = {0.5f, 0.43924426f, 0.18393873f, 0.040870450f, 0.0041514951f};
static const REAL NAME(tail_under)[] = {1.0f, 1.6763735f, 1.2054250f, 0.47132796f, 0.10245315f, 0.010406143f};
#else
#define MANTISSA 52
#define ONE_BITS 0x3ff0000000000000
#define THREE_QUARTERS_BITS 0x3fe8000000000000
#define HALVED_ROOT_BITS 0x3fe6a09e667f3bcd
#define UPPER_HALF -0x8000000
#define SHIFTER 0x1.8p52
#define INTEGERS 0x1p52
#define LEAST_NORMAL 0x1p-1022
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LIFT 100
#define LOWERED 0x1p-100
#define HIGHEST 710
#define SATURATED 20
#define EXPM1_TERMS exp_terms
enum { NAME(farthest) = 760, NAME(far_tail) = 39 };
static const REAL NAME(exp_terms)[] = {
    0.5, 0.16666666666666677, 0.0416666666666667, 0.008333333333321615, 0.0013888888888866837, 0.000198412698861588,
    2.4801587360557085e-05, 2.75572441816478e-06, 2.7557242759582795e-07, 2.5109044986733434e-08,
    2.092444319280883e-09};
static const REAL NAME(exp2_terms)[] = {
    0.6931471805599453, 0.24022650695910072, 0.055504108664821736, 0.009618129107628562, 0.0013333558146381738,
    0.00015403530393171818, 1.5252733864845006e-05, 1.3215487003424042e-06, 1.0178047531204895e-07,
    7.0548148293764284e-09, 4.457239311799267e-10, 2.5855250136351528e-11};
static const REAL NAME(log_terms)[] = {
    0.6666666666666735, 0.3999999999941109, 0.2857142874326264, 0.22222198475988186, 0.181835697398004,
    0.15313903244986232, 0.14797507739981575};
static const REAL NAME(log1p_terms)[] = {
    -0.49999999999999967, 0.3333333333333382, -0.2500000000002172, 0.19999999999858778, -0.16666666662498963,
    0.14285714296312593, -0.12500000359028168, 0.11111111084615544, -0.09999983914341945, 0.09090881239634387,
    -0.08333713104800718, 0.07693601016881906, -0.0713891549175637, 0.06641812091192122, -0.062439039851733685,
    0.06080851660666015, -0.059927975152123024, 0.051273719036278, -0.02993375134791403, 0.008287778565656325};
static const REAL NAME(tanh_terms)[] = {
    0.33333333333333315, -0.1333333333332989, 0.05396825396613448, -0.021869488470655382, 0.008863234341520556,
    -0.003592114271433502, 0.0014557276175512835, -0.0005894586254455033, 0.00023703013013081582,
    -9.158981858105974e-05, 3.0217984676330977e-05, -6.0556422509967755e-06};
static const REAL NAME(tail_over)[] = {
    0.5, 0.8275322072694317, 0.6789905974691272, 0.3568635508794865, 0.13180808669926256, 0.03558604981897258,
    0.007102734386936279, 0.0010361524276306091, 0.00010613438364157512, 6.941631939487663e-06,
    2.2285438332639788e-07};
static const REAL NAME(tail_under)[] = {
    1.0, 2.452948975341729, 2.8151513108006214, 1.9993799015675984, 0.9787049112585433, 0.34767129167281435,
    0.09176344774670128, 0.018068837053015745, 0.002614649063027024, 0.00026659806004163296, 1.7400090891632053e-05,
    5.586130983712723e-07};
#endif
#if defined(__AVX512F__)
#define SCALED(x, n) (VECTOR)OF_FLOATS(scalef)(FLOATS(x), FLOATS(n)) /* x * 2^n, rounded once */
#endif
#define LOG2E (REAL)1.44269504088896340736
#define LN2 (REAL)0.69314718055994530942

/* The terms of a long one are two chains, of even and of odd order, which run at the same time. */
ALWAYS_INLINE VECTOR NAME(polynomial)(VECTOR x, const REAL *terms, const int count)
{
    if (count <= 8) {
        VECTOR sum = x * terms[count - 1] + terms[count - 2];
        UNROLL for (int k = count - 3; k >= 0; k--) sum = sum * x + terms[k];
        return sum;
    }
    const VECTOR square = x * x;
    VECTOR some = NAME(splat)(terms[count - 1]), others = NAME(splat)(terms[count - 2]);
    UNROLL for (int k = count - 3; k >= 0; k -= 2) {
        some = some * square + terms[k];
        if (k) others = others * square + terms[k - 1];
    }
    return count % 2 ? others * x + some : some * x + others;
}

/* x = n ln 2 + r with |r| < 0.35: r, and SHIFTER + n. */
ALWAYS_INLINE VECTOR NAME(reduced)(VECTOR x, VECTOR *shifted)
{
    *shifted = x * LOG2E + SHIFTER;
    const VECTOR n = *shifted - SHIFTER;
    return (x - n * LN2_HIGH) - n * LN2_LOW;
}

/* exp(r) - 1 and exp(r) for |r| < 0.4 */
ALWAYS_INLINE VECTOR NAME(expm1_near)(VECTOR r) { return r + r * (r * POLYNOMIAL(r, EXPM1_TERMS)); }
ALWAYS_INLINE VECTOR NAME(exp_near)(VECTOR r) { return (r * POLYNOMIAL(r, exp_terms) + 1) * r + 1; }

/* 2^n from SHIFTER + n, where that is a normal number. */
ALWAYS_INLINE VECTOR NAME(power)(VECTOR shifted)
{
    return NAME(of_bits)((NAME(as_bits)(shifted) + (ONE_BITS >> MANTISSA)) << MANTISSA); /* nothing overflows */
}

/* x * 2^n from SHIFTER + n, rounded once, for the n <= 0 of -farthest ... 0 and an x below 2^LIFT. */
ALWAYS_INLINE VECTOR NAME(scale)(VECTOR x, VECTOR shifted)
{
#if defined(SCALED)
    return SCALED(x, shifted - SHIFTER);
#else
    const MASK lifted = (NAME(as_bits)(shifted) + ((ONE_BITS >> MANTISSA) + LIFT)) << MANTISSA;
    return x * NAME(of_bits)(lifted) * LOWERED;
#endif
}

ALWAYS_INLINE VECTOR NAME(vexp)(VECTOR x)
{
    VECTOR n;
    const VECTOR p = NAME(exp_near)(NAME(reduced)(NAME(at_least)(NAME(at_most)(x, HIGHEST), -NAME(farthest)), &n));
#if defined(SCALED)
    return SCALED(p, n - SHIFTER);
#else
    const VECTOR half = (n - SHIFTER) * (REAL)0.5 + SHIFTER; /* no one power of two holds such an n */
    return p * NAME(power)(half) * NAME(power)(n - (half - SHIFTER));
#endif
}

/* exp(x) for x <= 0, anything for others. */
ALWAYS_INLINE VECTOR NAME(vexp_falling)(VECTOR x)
{
    VECTOR n;
    const VECTOR p = NAME(exp_near)(NAME(reduced)(NAME(at_least)(x, -NAME(farthest)), &n));
    return NAME(scale)(p, n);
}

/* exp(x * factor) where that is a normal number, anything elsewhere. */
ALWAYS_INLINE VECTOR NAME(exp_scaled)(VECTOR x, REAL factor)
{
    const REAL steps = factor * LOG2E;
    const VECTOR n = x * steps + SHIFTER, r = x * steps - (n - SHIFTER);
    const VECTOR p = r * POLYNOMIAL(r, exp2_terms) + 1;
    return NAME(of_bits)(NAME(as_bits)(p) + (NAME(as_bits)(n) << MANTISSA)); /* p has the bits of 2^n p but for n */
}

/* exp(x) - 1 */
ALWAYS_INLINE VECTOR NAME(vexpm1)(VECTOR x)
{
    VECTOR n;
    const VECTOR near = NAME(at_least)(NAME(at_most)(x, HIGHEST), -4 * SATURATED);
    const VECTOR e = NAME(expm1_near)(NAME(reduced)(near, &n));
    const VECTOR half = NAME(power)(n - 1); /* of 2^n, which may be beyond the largest number */
    const VECTOR y = 2 * (half * e + (half - (REAL)0.5));
    const TRUTH nearest = NAME(equal)(n, NAME(splat)(SHIFTER)); /* there y has rounded the halves of subnormals */
    return NAME(with_sign)(NAME(select)(nearest, e, y), x);
}

/* exp(x) - 1 for x <= 0, anything for others. */
ALWAYS_INLINE VECTOR NAME(vexpm1_falling)(VECTOR x)
{
    VECTOR n;
    const VECTOR e = NAME(expm1_near)(NAME(reduced)(NAME(at_least)(x, -4 * SATURATED), &n));
    const VECTOR power = NAME(power)(n);
    return NAME(with_sign)(power * e + (power - 1), x);
}

ALWAYS_INLINE VECTOR NAME(vtanh)(VECTOR x)
{
    VECTOR n;
    const VECTOR a = NAME(at_most)(NAME(absolute)(x), SATURATED), square = a * a;
    const VECTOR small = a - a * (square * POLYNOMIAL(square, tanh_terms));
    const VECTOR p = NAME(exp_near)(NAME(reduced)(-2 * a, &n));
    const VECTOR s = p * NAME(power)(n); /* exp(-2 |x|) */
    const VECTOR y = NAME(select)(NAME(less)(a, NAME(splat)((REAL)0.625)), small, 1 - 2 * s / (1 + s));
    return NAME(with_sign)(y, x);
}

/* A normal x > 0 is 2^n (1 + f) with 1 + f from that of bits `least` to twice that: f, and n. */
ALWAYS_INLINE VECTOR NAME(fraction)(VECTOR x, const INTEGER least, VECTOR *n)
{
    const MASK moved = NAME(as_bits)(x) + (ONE_BITS - least);
    const VECTOR exponent = NAME(of_bits)((moved >> MANTISSA) + NAME(as_bits)(NAME(splat)(INTEGERS)));
    *n = exponent - (INTEGERS + (REAL)(ONE_BITS >> MANTISSA));
    return NAME(of_bits)((moved & ((((MASK){0} + 1) << MANTISSA) - 1)) + least) - 1;
}

/* log(x) + low for a normal x > 0. */
ALWAYS_INLINE VECTOR NAME(logarithm)(VECTOR x, VECTOR low)
{
    VECTOR n;
    const VECTOR f = NAME(fraction)(x, HALVED_ROOT_BITS, &n);
    const VECTOR s = f / (2 + f), square = s * s, half = (REAL)0.5 * f * f;
    const VECTOR tail = square * POLYNOMIAL(square, log_terms);
    return n * LN2_HIGH - ((half - (s * (half + tail) + (n * LN2_LOW + low))) - f);
}

/* What log(x) is where x is not a finite positive number, y elsewhere. */
ALWAYS_INLINE VECTOR NAME(log_limits)(VECTOR x, VECTOR y)
{
    const VECTOR zero = {0}, infinity = NAME(splat)((REAL)INFINITY);
    const VECTOR undefined = NAME(select)(NAME(equal)(x, zero), -infinity, NAME(splat)((REAL)NAN));
    const TRUTH positive = NAME(less)(zero, x);
    return NAME(select)(positive, NAME(select)(NAME(less)(x, infinity), y, infinity), undefined);
}

ALWAYS_INLINE VECTOR NAME(vlog)(VECTOR x)
{
    const TRUTH subnormal = NAME(less)(x, NAME(splat)(LEAST_NORMAL));
    const REAL lift = 2 * INTEGERS; /* 2^DIGITS */
    const VECTOR y = NAME(logarithm)(NAME(select)(subnormal, x * lift, x), (VECTOR){0});
    const VECTOR lifted = (y - DIGITS * LN2_HIGH) - DIGITS * LN2_LOW;
    return NAME(log_limits)(x, NAME(select)(subnormal, lifted, y));
}

/* log(1 + x) */
ALWAYS_INLINE VECTOR NAME(vlog1p)(VECTOR x)
{
    const VECTOR u = 1 + x, back = u - 1;
    const VECTOR lost = (1 - (u - back)) + (x - back);
    const VECTOR y = NAME(log_limits)(u, NAME(logarithm)(u, lost / u));
    return NAME(select)(NAME(less)(NAME(absolute)(x), NAME(splat)(1 / (4 * INTEGERS))), x, y);
}

/* Where one instruction looks numbers up in a vector of them: `nearest` is about 1 / (1 + k / STEPS), by k = 0 ...
   STEPS, such that its logarithm is close to a float, that of nearest_log with the other sign. */
#if defined(__AVX512F__) && DIGITS == 24
#define STEPS 15
#define LOOK_UP(table, at) (VECTOR)_mm512_permutexvar_ps((__m512i)(at), *(const __m512 *)(table))
ON_LINES static const REAL NAME(nearest)[] = {
    1.0f, 0.937355638f, 0.882430851f, 0.83336246f, 0.789557159f, 0.749836683f, 0.71426338f, 0.681747198f,
    0.652004123f, 0.624905586f, 0.600147247f, 0.576873362f, 0.555670798f, 0.53559643f, 0.517325222f, 0.500030875f};
ON_LINES static const REAL NAME(nearest_log)[] = {
    0.0f, 0.0646925196f, 0.125074849f, 0.182286605f, 0.236283049f, 0.287899852f, 0.336503506f, 0.383096367f,
    0.427704394f, 0.470154703f, 0.510580242f, 0.550132513f, 0.58757925f, 0.62437433f, 0.659083545f, 0.693085432f};
static const REAL NAME(near_terms)[] = {-0.49999994f, 0.3333342f, -0.25020546f, 0.19901700f};
#elif defined(__AVX2__) && DIGITS == 24
#define STEPS 7
#define LOOK_UP(table, at) (VECTOR)_mm256_permutevar8x32_ps(*(const __m256 *)(table), (__m256i)(at))
ON_LINES static const REAL NAME(nearest)[] = {
    1.0f, 0.87513423f, 0.777839482f, 0.699889362f, 0.636331379f, 0.583408952f, 0.538416207f, 0.500030875f};
ON_LINES static const REAL NAME(nearest_log)[] = {
    0.0f, 0.133377999f, 0.251235098f, 0.356833011f, 0.452035815f, 0.538866878f, 0.619123399f, 0.693085432f};
static const REAL NAME(near_terms)[] = {-0.49999997f, 0.333332f, -0.25002694f, 0.20089647f, -0.16216955f};
#endif

/* log(1 + x) for x in 0 ... 1, without a division: that of (1 + x) times a number of the table, or of (1 + x) / 2 if
   x > 1/2. */
ALWAYS_INLINE VECTOR NAME(vlog1p_unit)(VECTOR x)
{
#if defined(LOOK_UP)
    const VECTOR at = x * STEPS + SHIFTER, factor = LOOK_UP(NAME(nearest), at);
    const VECTOR f = x * factor + (factor - 1); /* rounded once */
    return LOOK_UP(NAME(nearest_log), at) + (f + f * (f * POLYNOMIAL(f, near_terms)));
#else
    const TRUTH large = NAME(less)(NAME(splat)((REAL)0.5), x);
    const VECTOR f = NAME(select)(large, (REAL)0.5 * (x - 1), x);
    return NAME(keep)(large, NAME(splat)(LN2)) + (f + f * (f * POLYNOMIAL(f, log1p_terms)));
#endif
}

/* log(x) for a normal x > 0, without a division. */
ALWAYS_INLINE VECTOR NAME(vlog_normal)(VECTOR x)
{
    VECTOR n;
    const VECTOR f = NAME(fraction)(x, THREE_QUARTERS_BITS, &n);
    return n * LN2_HIGH + (f + (f * (f * POLYNOMIAL(f, log1p_terms)) + n * LN2_LOW));
}

/* For X normal with mean 0 and variance 1, and 0 <= a <= far_tail: exp(-a^2 / 2) = *power 2^n, and P(X > a) is the
   result times that. Over and under have positive terms only: nothing cancels. */
ALWAYS_INLINE VECTOR NAME(normal_tail)(VECTOR a, VECTOR *power, VECTOR *shifted)
{
    const VECTOR upper = NAME(of_bits)(NAME(as_bits)(a) & UPPER_HALF);
    const VECTOR low = (REAL)0.5 * (upper - a) * (upper + a); /* rounding a^2 would be magnified by the exponential */
    *power = NAME(exp_near)(NAME(reduced)((REAL)-0.5 * upper * upper, shifted) + low);
    return POLYNOMIAL(a, tail_over) / POLYNOMIAL(a, tail_under);
}

#undef SCALED
#undef EXPM1_TERMS
#undef STEPS
#undef LOOK_UP

#undef MANTISSA
#undef ONE_BITS
#undef THREE_QUARTERS_BITS
#undef HALVED_ROOT_BITS
#undef UPPER_HALF
#undef SHIFTER
#undef INTEGERS
#undef LEAST_NORMAL
#undef LN2_HIGH
#undef LN2_LOW
#undef HIGHEST
#undef LIFT
#undef LOWERED
#undef SATURATED
#undef LOG2E
#undef LN2
