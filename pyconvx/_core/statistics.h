/* Reductions of a window that need more than one look at it, lanes being channels, one body for float and double: include
   after real.h. A lane's result depends on that lane alone, also
   where channels do not fill a vector. What a look finds stands in arrays padded to whole vectors. */

/* top[c] = largest of w, or of |w - center|, over the rows, and of top[c] unless fresh; a NaN wins. */
ALWAYS_INLINE void NAME(top_body)(const int deviation, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels,
                                  int fresh, const REAL *center, REAL *top)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const VECTOR middle = *(const VECTOR *)(center + c);
        VECTOR best = NAME(splat)((REAL)-INFINITY);
        if (!fresh) best = *(const VECTOR *)(top + c);
        for (ptrdiff_t t = 0; t < count; t++) {
            VECTOR w = NAME(load)(rows[t] + c, channels - c, 0);
            if (deviation) w = NAME(absolute)(w - middle);
            best = NAME(select)(NAME(less)(best, w) | ~NAME(equal)(w, w), w, best);
        }
        *(VECTOR *)(top + c) = best;
    }
}

static void NAME(top)(int deviation, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels, int fresh,
                      const REAL *center, REAL *top)
{
    if (deviation) NAME(top_body)(1, rows, count, channels, fresh, center, top);
    else NAME(top_body)(0, rows, count, channels, fresh, center, top);
}

/* factor[c]: a power of two that brings elements up to top[c] where their squares can be summed. */
static void NAME(factors)(const REAL *top, ptrdiff_t channels, REAL *factor)
{
    const REAL wide = sizeof(REAL) == 4 ? (REAL)0x1p40 : (REAL)0x1p400;
    const REAL scale = sizeof(REAL) == 4 ? (REAL)0x1p90 : (REAL)0x1p700;
    for (ptrdiff_t c = 0; c < channels; c++) factor[c] = top[c] > wide ? 1 / scale : top[c] < 1 / wide ? scale : 1;
}

/* scale[c] = top[c], or 1 where it is 0 or not finite: what elements are divided by before they are raised to a power. */
static void NAME(bases)(const REAL *top, ptrdiff_t channels, REAL *scale)
{
    for (ptrdiff_t c = 0; c < channels; c++) scale[c] = top[c] > 0 && top[c] < INFINITY ? top[c] : 1;
}

/* y[c] = sqrt(sum[c]) / factor[c] / divisor */
static void NAME(norm)(const REAL *factor, const REAL *sum, REAL divisor, ptrdiff_t channels, REAL *y)
{
    for (ptrdiff_t c = 0; c < channels; c++)
        y[c] = (sizeof(REAL) == 4 ? (REAL)sqrtf((float)sum[c]) : (REAL)sqrt(sum[c])) / factor[c] / divisor;
}

/* exp((w - top) / temperature) and w - top, equal infinities being as far apart as other equals. */
ALWAYS_INLINE VECTOR NAME(exp_below)(VECTOR w, VECTOR top, REAL inverse, VECTOR *distance)
{
    const MASK below = ~NAME(equal)(w, top);
    *distance = NAME(keep)(below, w - top);
    return NAME(vexp_falling)(NAME(keep)(below, *distance * inverse));
}

/* (|w| / top) ^ p for 0 <= |w| <= top. */
ALWAYS_INLINE VECTOR NAME(powered)(VECTOR w, VECTOR top, REAL p)
{
    VECTOR base = NAME(absolute)(w) / top, power = NAME(splat)(1);
    if (p < 0 || p > 16 || p != (REAL)(int)p) return NAME(vexp)(NAME(vlog)(base) * p);
    for (int rest = (int)p; rest; rest /= 2, base *= base)
        if (rest & 1) power *= base;
    return power;
}

/* sum[c] = the sum over the rows of what `statistic` sums; weighted[c]: a second sum, of softmax. */
ALWAYS_INLINE void NAME(sums_body)(const int statistic, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels,
                                   const REAL *center, const REAL *scale, REAL parameter, REAL *sum, REAL *weighted)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const VECTOR middle = *(const VECTOR *)(center + c), factor = *(const VECTOR *)(scale + c);
        VECTOR total = {0}, second = {0};
        for (ptrdiff_t t = 0; t < count; t++) {
            const VECTOR w = NAME(load)(rows[t] + c, channels - c, 0);
            VECTOR term = w, distance;
            if (statistic == SUM_DEVIATIONS) term = w - middle;
            if (statistic == SUM_SIZES) term = NAME(absolute)(w);
            if (statistic == SUM_SQUARES) {
                const VECTOR d = (w - middle) * factor;
                term = d * d;
            }
            if (statistic == SUM_POWERS) term = NAME(powered)(w, factor, parameter);
            if (statistic == SUM_SHARES || statistic == SUM_WEIGHTED) {
                term = NAME(exp_below)(w, middle, parameter, &distance);
                if (statistic == SUM_WEIGHTED)
                    second += NAME(keep)(~NAME(equal)(term, (VECTOR){0}), term * distance);
            }
            total += term;
        }
        *(VECTOR *)(sum + c) = total;
        if (statistic == SUM_WEIGHTED) *(VECTOR *)(weighted + c) = second;
    }
}

static void NAME(sums)(int statistic, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels, const REAL *center,
                       const REAL *scale, REAL parameter, REAL *sum, REAL *weighted)
{
#define CASE(which) \
    case which: NAME(sums_body)(which, rows, count, channels, center, scale, parameter, sum, weighted); break;
    switch (statistic) {
        CASE(SUM_PLAIN)
        CASE(SUM_DEVIATIONS)
        CASE(SUM_SIZES)
        CASE(SUM_SQUARES)
        CASE(SUM_POWERS)
        CASE(SUM_SHARES)
        CASE(SUM_WEIGHTED)
    }
#undef CASE
}

/* y[c] = scale[c] * sum[c] ^ (1 / p) */
static void NAME(root)(const REAL *scale, const REAL *sum, REAL inverse, ptrdiff_t channels, REAL *y)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const VECTOR power = NAME(vexp)(NAME(vlog)(*(const VECTOR *)(sum + c)) * inverse);
        NAME(store)(y + c, channels - c, *(const VECTOR *)(scale + c) * power);
    }
}

/* y[c] = top[c] + temperature * log(sum[c]) */
static void NAME(raised)(const REAL *top, const REAL *sum, REAL temperature, ptrdiff_t channels, REAL *y)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES)
        NAME(store)(y + c, channels - c,
                    *(const VECTOR *)(top + c) + temperature * NAME(vlog)(*(const VECTOR *)(sum + c)));
}

/* Sort vectors lane by lane, by a network of pairs. */
ALWAYS_INLINE void NAME(sort)(VECTOR *values, const unsigned char *pairs, ptrdiff_t count)
{
    for (ptrdiff_t k = 0; k < count; k++) {
        VECTOR *low = values + pairs[2 * k], *high = values + pairs[2 * k + 1];
        const VECTOR a = *low, b = *high;
        const MASK swapped = NAME(less)(b, a);
        *low = NAME(select)(swapped, b, a);
        *high = NAME(select)(swapped, a, b);
    }
}

/* The number of the row that stands at `rank` in a stable order of the rows, whose element there is `value`. */
ALWAYS_INLINE void NAME(find_rank)(const VECTOR *window, const int32_t *numbers, ptrdiff_t count, VECTOR value,
                                   ptrdiff_t rank, int32_t *found, ptrdiff_t lanes)
{
    VECTOR before = NAME(splat)((REAL)rank); /* equals to pass over */
    VECTOR number = {0};
    for (ptrdiff_t t = 0; t < count; t++) before -= NAME(keep)(NAME(less)(window[t], value), NAME(splat)(1));
    for (ptrdiff_t t = 0; t < count; t++) {
        const MASK equal = NAME(equal)(window[t], value);
        number = NAME(select)(equal & NAME(equal)(before, (VECTOR){0}), NAME(splat)((REAL)numbers[t]), number);
        before -= NAME(keep)(equal, NAME(splat)(1));
    }
    for (ptrdiff_t l = 0; l < lanes && l < LANES; l++) found[l] = (int32_t)((const REAL *)&number)[l];
}

/* y[c] = the element at rank `low` of the rows, or between it and the next; the numbers of both rows unless NULL. */
static void NAME(rank)(const REAL *const *rows, const int32_t *numbers, ptrdiff_t count, const unsigned char *pairs,
                       ptrdiff_t length, ptrdiff_t channels, ptrdiff_t low, ptrdiff_t high, REAL weight, REAL *y,
                       int32_t *lower, int32_t *upper)
{
    VECTOR window[MOST_SORTED], sorted[MOST_SORTED];
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        VECTOR missing = {0};
        for (ptrdiff_t t = 0; t < count; t++) {
            const VECTOR w = NAME(load)(rows[t] + c, channels - c, 0);
            const MASK number = NAME(equal)(w, w);
            missing = NAME(select)(number, missing, w);
            window[t] = sorted[t] = NAME(select)(number, w, NAME(splat)((REAL)INFINITY)); /* NaN is sorted last */
        }
        NAME(sort)(sorted, pairs, length);
        const VECTOR below = sorted[low], above = sorted[high];
        VECTOR between = below;
        if (weight != 0)
            between = NAME(select)(NAME(equal)(below, above), below, (1 - weight) * below + weight * above);
        NAME(store)(y + c, channels - c, NAME(select)(NAME(equal)(missing, missing), between, missing));
        if (lower) {
            NAME(find_rank)(window, numbers, count, below, low, lower + c, channels - c);
            NAME(find_rank)(window, numbers, count, above, high, upper + c, channels - c);
        }
    }
}

/* part[c] = gy[c] times the slope of a statistic y by the element w[c]. */
ALWAYS_INLINE void NAME(slope_body)(const int slope, const REAL *w, const REAL *gy, const REAL *y, const REAL *center,
                                    const REAL *scale, REAL parameter, REAL inverse, ptrdiff_t channels, REAL *part)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const ptrdiff_t lanes = channels - c;
        const VECTOR x = NAME(load)(w + c, lanes, 0), value = NAME(load)(y + c, lanes, 0), zero = {0};
        const VECTOR middle = *(const VECTOR *)(center + c), factor = *(const VECTOR *)(scale + c);
        VECTOR share, distance;
        if (slope == SLOPE_SIGN) share = NAME(select)(NAME(equal)(x, x), NAME(with_sign)(NAME(splat)(1), x), x);
        if (slope == SLOPE_RATIO) share = x / value;
        if (slope == SLOPE_POWER) share = NAME(with_sign)(NAME(powered)(x, value, parameter), x);
        if (slope <= SLOPE_POWER) share = NAME(keep)(~NAME(equal)(x, zero), share);
        if (slope == SLOPE_DEVIATION) share = NAME(keep)(~NAME(equal)(value, zero), (x - middle) * factor / value);
        if (slope == SLOPE_SHARE || slope == SLOPE_WEIGHTED) {
            share = NAME(exp_below)(x, middle, inverse, &distance) * factor;
            if (slope == SLOPE_WEIGHTED)
                share = NAME(keep)(~NAME(equal)(share, zero), share * (1 + (x - value) * inverse));
        }
        NAME(store)(part + c, lanes, share * NAME(load)(gy + c, lanes, 0));
    }
}

static void NAME(slope)(int slope, const REAL *w, const REAL *gy, const REAL *y, const REAL *center, const REAL *scale,
                        REAL parameter, REAL inverse, ptrdiff_t channels, REAL *part)
{
#define CASE(which) \
    case which: NAME(slope_body)(which, w, gy, y, center, scale, parameter, inverse, channels, part); break;
    switch (slope) {
        CASE(SLOPE_SIGN)
        CASE(SLOPE_RATIO)
        CASE(SLOPE_POWER)
        CASE(SLOPE_DEVIATION)
        CASE(SLOPE_SHARE)
        CASE(SLOPE_WEIGHTED)
    }
#undef CASE
}
