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
        TRUTH missing = {0};
        if (!fresh) best = *(const VECTOR *)(top + c), missing = NAME(is_nan)(best);
        for (ptrdiff_t t = 0; t < count; t++) {
            VECTOR w = NAME(load)(rows[t] + c, channels - c, 0);
            if (deviation) w = NAME(absolute)(w - middle);
            best = NAME(greater)(w, best);
            missing |= NAME(is_nan)(w);
        }
        *(VECTOR *)(top + c) = NAME(without)(missing, best);
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
    const TRUTH below = ~NAME(equal)(w, top);
    *distance = NAME(keep)(below, w - top);
    return NAME(vexp_falling)(NAME(keep)(below, *distance * inverse));
}

ALWAYS_INLINE VECTOR NAME(whole_power)(VECTOR base, int p)
{
    VECTOR power = NAME(splat)(1);
    if (p & 1) power = base;
    while (p /= 2) {
        base *= base;
        if (p & 1) power *= base;
    }
    return power;
}

/* (|w| / top) ^ p for 0 <= |w| <= top. */
ALWAYS_INLINE VECTOR NAME(powered)(VECTOR w, VECTOR top, REAL p)
{
    const VECTOR base = NAME(absolute)(w) / top;
    if (p < 0 || p > MOST_WHOLE || p != (REAL)(int)p) return NAME(vexp)(NAME(vlog)(base) * p);
    return NAME(whole_power)(base, (int)p);
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

/* Most windows need no scaling by the largest element, which is found out afterwards: `quick` sums powers as they are,
   and exponentials that are not relative to the largest, so that those of an element serve all windows that hold it. */

/* exp(w / temperature); NaN where a sum of some could be infinite or vanish. */
ALWAYS_INLINE VECTOR NAME(exponential)(VECTOR w, REAL temperature, REAL inverse)
{
    const TRUTH near = NAME(less)(NAME(absolute)(w), NAME(splat)((sizeof(REAL) == 4 ? 60 : 600) * temperature));
    return NAME(without)((TRUTH)~near, NAME(exp_scaled)(w, inverse));
}

static void NAME(exponentials)(const REAL *x, ptrdiff_t count, REAL temperature, REAL inverse, REAL *y)
{
    for (ptrdiff_t c = 0; c < count; c += LANES)
        NAME(store)(y + c, count - c, NAME(exponential)(NAME(load)(x + c, count - c, 0), temperature, inverse));
}

ALWAYS_INLINE VECTOR NAME(square_root)(VECTOR x)
{
    REAL root[LANES];
    *(VECTOR *)root = x;
    for (int l = 0; l < LANES; l++) root[l] = sizeof(REAL) == 4 ? (REAL)sqrtf((float)root[l]) : (REAL)sqrt(root[l]);
    return *(const VECTOR *)root;
}

/* x ^ (1 / p) for a normal x > 0. The logarithm's error, relative to what may be a large one, goes by a step of Newton. */
ALWAYS_INLINE VECTOR NAME(any_root)(VECTOR x, REAL p, REAL inverse)
{
    const VECTOR near = NAME(exp_scaled)(NAME(vlog_normal)(x), inverse);
    return near + near * inverse * (x - NAME(whole_power)(near, (int)p)) / x;
}

ALWAYS_INLINE int NAME(quick_body)(const int statistic, const int power, const int ready, const REAL *const *rows,
                                   const REAL *const *powers, ptrdiff_t count, ptrdiff_t channels, int again,
                                   REAL parameter, REAL inverse, REAL *y)
{
    const REAL small = sizeof(REAL) == 4 ? (REAL)0x1p-84 : (REAL)0x1p-900;
    TRUTH unsound = {0};
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const ptrdiff_t lanes = channels - c;
        const VECTOR first = NAME(load)(rows[0] + c, lanes, 0);
        VECTOR total = {0}, second = {0}, middle = {0}, top = first, value = {0};
        MASK bits = {0};
        TRUTH sound;
        if (statistic == SUM_DEVIATIONS) {
            for (ptrdiff_t t = 0; t < count; t++) second += NAME(load)(rows[t] + c, lanes, 0) - first;
            middle = first + second / (REAL)count;
        }
        if (statistic == SUM_WEIGHTED)
            for (ptrdiff_t t = 1; t < count; t++) top = NAME(greater)(NAME(load)(rows[t] + c, lanes, 0), top);
        for (ptrdiff_t t = 0; t < count; t++) {
            VECTOR w = {0}, term;
            if (statistic != SUM_SHARES || !ready) w = NAME(load)(rows[t] + c, lanes, 0);
            if (statistic == SUM_POWERS || statistic == SUM_DEVIATIONS) {
                w -= middle;
                bits |= NAME(as_bits)(w);
                term = NAME(absolute)(w);
                if (power == 2) term *= term;
                if (power == 3) term *= term * term;
                if (power == 0) term = NAME(whole_power)(term, (int)parameter);
            }
            else {
                if (ready) term = NAME(load)(powers[t] + c, lanes, 0);
                else term = NAME(exponential)(w, parameter, inverse);
                if (statistic == SUM_WEIGHTED) second += term * (w - top);
            }
            total += term;
        }
        if (statistic == SUM_POWERS || statistic == SUM_DEVIATIONS) {
            sound = NAME(less)(NAME(splat)(small), total) & NAME(less)(total, NAME(splat)(1 / small));
            sound |= NAME(equal)(NAME(absolute)(NAME(of_bits)(bits)), (VECTOR){0});
        }
        else sound = NAME(equal)(total, total);
        if (statistic == SUM_SHARES) value = parameter * NAME(vlog_normal)(total);
        if (statistic == SUM_WEIGHTED) value = top + second / total;
        if (statistic == SUM_POWERS && power == 1) value = total;
        if (statistic == SUM_POWERS && power == 2) value = NAME(square_root)(total);
        if (statistic == SUM_POWERS && (power == 0 || power == 3))
            value = NAME(keep)(NAME(less)((VECTOR){0}, total), NAME(any_root)(total, parameter, inverse));
        if (statistic == SUM_DEVIATIONS) value = NAME(square_root)(total) / parameter;
        if (again) value = NAME(select)(sound, value, NAME(load)(y + c, lanes, 0));
        NAME(store)(y + c, lanes, value);
        unsound |= ~sound; /* lanes without a channel hold zeros */
    }
    return !NAME(any)(unsound);
}

/* y[c] = the statistic of rows[t][c]: lp, std, logsumexp or softmax, by what it sums. powers: the exponentials of the rows,
   or NULL. Returns whether y is right in all channels; if not, it is to be found another way, and then `again` fills in
   the channels that were right. parameter: that of the statistic, of std the square root of the count. */
static int NAME(quick)(int statistic, const REAL *const *rows, const REAL *const *powers, ptrdiff_t count,
                       ptrdiff_t channels, int again, REAL parameter, REAL inverse, REAL *y)
{
#define CASE(condition, which, power, ready) \
    if (statistic == which && (condition)) \
        return NAME(quick_body)(which, power, ready, rows, powers, count, channels, again, parameter, inverse, y);
    CASE(parameter == 1, SUM_POWERS, 1, 0)
    CASE(parameter == 2, SUM_POWERS, 2, 0)
    CASE(parameter == 3, SUM_POWERS, 3, 0)
    CASE(1, SUM_POWERS, 0, 0)
    CASE(1, SUM_DEVIATIONS, 2, 0)
    CASE(powers, SUM_SHARES, 0, 1)
    CASE(1, SUM_SHARES, 0, 0)
    CASE(powers, SUM_WEIGHTED, 0, 1)
    CASE(1, SUM_WEIGHTED, 0, 0)
#undef CASE
    return 0;
}

/* Lane by lane, the lesser goes to `low`. */
ALWAYS_INLINE void NAME(exchange)(VECTOR *low, VECTOR *high)
{
    const VECTOR a = *low, b = *high;
    *low = NAME(lesser)(b, a);
    *high = NAME(greater)(a, b);
}

ALWAYS_INLINE VECTOR NAME(between)(VECTOR below, VECTOR above, REAL weight)
{
    if (weight == 0) return below;
    return NAME(select)(NAME(equal)(below, above), below, (1 - weight) * below + weight * above);
}

/* The number of the row that stands at `rank` in a stable order of the rows, whose element there is `value`. */
ALWAYS_INLINE void NAME(find_rank)(const VECTOR *window, const int32_t *numbers, ptrdiff_t count, VECTOR value,
                                   ptrdiff_t rank, int32_t *found, ptrdiff_t lanes)
{
    VECTOR before = NAME(splat)((REAL)rank); /* equals to pass over */
    VECTOR number = {0};
    for (ptrdiff_t t = 0; t < count; t++) before -= NAME(keep)(NAME(less)(window[t], value), NAME(splat)(1));
    for (ptrdiff_t t = 0; t < count; t++) {
        const TRUTH equal = NAME(equal)(window[t], value);
        number = NAME(select)(equal & NAME(equal)(before, (VECTOR){0}), NAME(splat)((REAL)numbers[t]), number);
        before -= NAME(keep)(equal, NAME(splat)(1));
    }
    for (ptrdiff_t l = 0; l < lanes && l < LANES; l++) found[l] = (int32_t)((const REAL *)&number)[l];
}

ALWAYS_INLINE void NAME(median_body)(const ptrdiff_t count, const unsigned char *pairs, const ptrdiff_t length,
                                     const REAL *const *rows, ptrdiff_t channels, REAL *y)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        VECTOR sorted[9];
        TRUTH missing = {0};
        UNROLL for (ptrdiff_t t = 0; t < count; t++) {
            sorted[t] = NAME(load)(rows[t] + c, channels - c, 0);
            missing |= NAME(is_nan)(sorted[t]);
        }
        UNROLL_LINE for (ptrdiff_t k = 0; k < length; k++)
            NAME(exchange)(sorted + pairs[2 * k], sorted + pairs[2 * k + 1]);
        const VECTOR middle = NAME(between)(sorted[(count - 1) / 2], sorted[count / 2], (REAL)(count % 2 ? 0 : 0.5));
        NAME(store)(y + c, channels - c, NAME(without)(missing, middle));
    }
}

/* y[c] = the median of rows[t][c]; the vectors of a window stay in registers. */
static void NAME(median_of_4)(const REAL *const *rows, ptrdiff_t channels, REAL *y)
{
    NAME(median_body)(4, median_4, sizeof median_4 / 2, rows, channels, y);
}

static void NAME(median_of_9)(const REAL *const *rows, ptrdiff_t channels, REAL *y)
{
    NAME(median_body)(9, median_9, sizeof median_9 / 2, rows, channels, y);
}

/* y[c] = the element at rank `low` of the rows, or between it and that at `high`; the numbers of both rows unless NULL. */
static void NAME(rank)(const REAL *const *rows, const int32_t *numbers, ptrdiff_t count, const unsigned char *pairs,
                       ptrdiff_t length, ptrdiff_t channels, ptrdiff_t low, ptrdiff_t high, REAL weight, REAL *y,
                       int32_t *lower, int32_t *upper)
{
    VECTOR window[MOST_SORTED], sorted[MOST_SORTED];
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        TRUTH missing = {0};
        for (ptrdiff_t t = 0; t < count; t++) {
            const VECTOR w = NAME(load)(rows[t] + c, channels - c, 0);
            const TRUTH is_nan = NAME(is_nan)(w);
            missing |= is_nan;
            window[t] = sorted[t] = NAME(select)(is_nan, NAME(splat)((REAL)INFINITY), w); /* NaN is sorted last */
        }
        for (ptrdiff_t k = 0; k < length; k++) NAME(exchange)(sorted + pairs[2 * k], sorted + pairs[2 * k + 1]);
        const VECTOR below = sorted[low], above = sorted[high], value = NAME(between)(below, above, weight);
        NAME(store)(y + c, channels - c, NAME(without)(missing, value));
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
