/* Reductions over the rows of a window, vector by vector, one body for float and double: include after real.h.
   A NaN wins an extremum; ties and NaNs go to the first row. Where it may be done twice, the last vector overlaps the
   one before. */

/* What stands at x: a vector, or one element in a vector, which does without branches on elements in random order. */
ALWAYS_INLINE VECTOR NAME(take)(const REAL *x, const int one)
{
#if defined(__GNUC__)
    return one ? (VECTOR){*x} : *(const VECTOR *)x;
#else
    (void)one;
    return *x;
#endif
}

ALWAYS_INLINE void NAME(put)(VECTOR x, REAL *y, const int one)
{
#if defined(__GNUC__)
    if (one) *y = x[0];
    else *(VECTOR *)y = x;
#else
    (void)one;
    *y = x;
#endif
}

ALWAYS_INLINE MASK NAME(take_numbers)(const int32_t *number, const int one)
{
#if defined(__GNUC__)
    return one ? (MASK){*number} : __builtin_convertvector(*(const NUMBERS *)number, MASK);
#else
    (void)one;
    return *number;
#endif
}

ALWAYS_INLINE void NAME(put_numbers)(MASK x, int32_t *number, const int one)
{
#if defined(__GNUC__)
    if (one) *number = (int32_t)x[0];
    else *(NUMBERS *)number = __builtin_convertvector(x, NUMBERS);
#else
    (void)one;
    *number = (int32_t)x;
#endif
}

ALWAYS_INLINE TRUTH NAME(beats)(const int largest, VECTOR challenger, VECTOR best)
{
    return (largest ? NAME(less)(best, challenger) : NAME(less)(challenger, best)) | NAME(is_nan)(challenger);
}

/* Of so many vectors, up to TOGETHER: none waits for another one. */
ALWAYS_INLINE void NAME(extremum_at)(ptrdiff_t from, const int vectors, const int one, const int largest,
                                     const REAL *const *rows, ptrdiff_t count, int fresh, REAL *y)
{
    VECTOR best[TOGETHER];
    UNROLL for (int v = 0; v < vectors; v++)
        best[v] = NAME(take)((fresh ? rows[0] + from : y) + v * LANES, one);
    for (ptrdiff_t t = fresh; t < count; t++)
        UNROLL for (int v = 0; v < vectors; v++)
            best[v] = NAME(extreme)(largest, NAME(take)(rows[t] + from + v * LANES, one), best[v]);
    UNROLL for (int v = 0; v < vectors; v++) NAME(put)(best[v], y + v * LANES, one);
}

ALWAYS_INLINE void NAME(extremum_body)(const int largest, const REAL *const *rows, const ptrdiff_t count,
                                       ptrdiff_t channels, const int fresh, ptrdiff_t places, ptrdiff_t apart, REAL *y,
                                       ptrdiff_t step)
{
#define AT(c, vectors, one) NAME(extremum_at)(from + (c), vectors, one, largest, rows, count, fresh, y + (c))
    for (ptrdiff_t from = 0; places--; from += apart, y += step) {
        ptrdiff_t c = 0;
        for (; c + TOGETHER * LANES <= channels; c += TOGETHER * LANES) AT(c, TOGETHER, 0);
        for (; c + LANES <= channels; c += LANES) AT(c, 1, 0);
        if (c && c < channels) AT(channels - LANES, 1, 0);
        for (; c < channels && channels < LANES; c++) AT(c, 1, 1);
    }
#undef AT
}

/* y[p * step + c] = largest or smallest of rows[t][p * apart + c], and of itself unless fresh. */
static void NAME(extremum)(int largest, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels, int fresh,
                           ptrdiff_t places, ptrdiff_t apart, REAL *y, ptrdiff_t step)
{
#define DO(largest, count, fresh) NAME(extremum_body)(largest, rows, count, channels, fresh, places, apart, y, step)
    if (largest && fresh && count == 4) DO(1, 4, 1); /* windows of 2 x 2, whose rows then stay in registers */
    else if (largest && fresh && count == 3) DO(1, 3, 1); /* rows of 3 x 3 */
    else if (largest) DO(1, count, fresh);
    else DO(0, count, fresh);
#undef DO
}

/* Of rows from number `t` on, each against the best so far and its winner. */
ALWAYS_INLINE void NAME(challenge)(ptrdiff_t c, const int one, const int largest, const REAL *const *rows,
                                   const int32_t *numbers, ptrdiff_t t, ptrdiff_t count, VECTOR *best, MASK *winner)
{
    for (; t < count; t++) {
        const VECTOR value = NAME(take)(rows[t] + c, one);
        const TRUTH keeps = largest ? NAME(up_to)(value, *best) : NAME(up_to)(*best, value); /* not where one is NaN */
        const TRUTH which = ~keeps & NAME(equal)(*best, *best);
        *best = NAME(select)(which, value, *best);
        *winner = NAME(choose)(which, (MASK){0} + (INTEGER)numbers[t], *winner);
    }
}

ALWAYS_INLINE void NAME(winners_at)(ptrdiff_t c, const int one, const int largest, const REAL *const *rows,
                                    const int32_t *numbers, ptrdiff_t count, int fresh, REAL *y, int32_t *number)
{
    VECTOR best = NAME(take)((fresh ? rows[0] : y) + c, one);
    MASK winner = {0};
    if (fresh) winner = winner + (INTEGER)numbers[0];
    else winner = NAME(take_numbers)(number + c, one);
    NAME(challenge)(c, one, largest, rows, numbers, fresh, count, &best, &winner);
    NAME(put)(best, y + c, one);
    NAME(put_numbers)(winner, number + c, one);
}

/* The winners of a few rows, if none is NaN: the largest of all, then the first one that is as large. Returns whether it
   has found them. */
ALWAYS_INLINE int NAME(largest_of_few)(ptrdiff_t c, const int count, const REAL *const *rows, const int32_t *numbers,
                                       VECTOR *best, MASK *winner)
{
    VECTOR values[FEW_ROWS], sum;
    UNROLL for (int t = 0; t < count; t++) values[t] = *(const VECTOR *)(rows[t] + c);
    *best = sum = values[0];
    UNROLL for (int t = 1; t < count; t++) {
        *best = NAME(greater)(values[t], *best);
        sum += values[t]; /* NaN if one is; infinities of both signs may also be done the other way */
    }
    if (NAME(any)(NAME(is_nan)(sum))) return 0;
    *winner = (MASK){0} + (INTEGER)numbers[count - 1];
    UNROLL for (int t = count - 2; t >= 0; t--)
        *winner = NAME(choose)(NAME(equal)(values[t], *best), (MASK){0} + (INTEGER)numbers[t], *winner);
    return 1;
}

/* The same, with the number of the winning row: number[c] = numbers[t]. */
ALWAYS_INLINE void NAME(winners_body)(const int largest, const REAL *const *rows, const int32_t *numbers,
                                      ptrdiff_t count, ptrdiff_t channels, int fresh, REAL *y, int32_t *number)
{
    const int few = largest && fresh && (count == 4 || count == FEW_ROWS);
    ptrdiff_t c = 0;
    for (; c < channels && channels >= LANES; c += LANES) {
        VECTOR best;
        MASK winner;
        if (c + LANES > channels) c = channels - LANES;
        if (few && NAME(largest_of_few)(c, count == 4 ? 4 : FEW_ROWS, rows, numbers, &best, &winner)) {
            NAME(put)(best, y + c, 0);
            NAME(put_numbers)(winner, number + c, 0);
        }
        else NAME(winners_at)(c, 0, largest, rows, numbers, count, fresh, y, number);
    }
    for (; c < channels && channels < LANES; c++)
        NAME(winners_at)(c, 1, largest, rows, numbers, count, fresh, y, number);
}

static void NAME(winners)(int largest, const REAL *const *rows, const int32_t *numbers, ptrdiff_t count,
                          ptrdiff_t channels, int fresh, REAL *y, int32_t *number)
{
    if (largest && fresh && count == 4) NAME(winners_body)(1, rows, numbers, 4, channels, 1, y, number);
    else if (largest && fresh && count == FEW_ROWS)
        NAME(winners_body)(1, rows, numbers, FEW_ROWS, channels, 1, y, number);
    else if (largest) NAME(winners_body)(1, rows, numbers, count, channels, fresh, y, number);
    else NAME(winners_body)(0, rows, numbers, count, channels, fresh, y, number);
}

#if REDUCE_VECTORS
ALWAYS_INLINE void NAME(indices_body)(const int count, const REAL *const *rows, const int32_t *numbers,
                                      ptrdiff_t channels, ptrdiff_t places, ptrdiff_t apart, ptrdiff_t gap, REAL *y,
                                      ptrdiff_t *index, ptrdiff_t step)
{
    for (ptrdiff_t p = 0; p < places; p++, y += step, index += step)
        for (ptrdiff_t c = 0; c < channels; c += LANES) {
            VECTOR best;
            MASK winner;
            if (c + LANES > channels) c = channels - LANES;
            if (!NAME(largest_of_few)(p * apart + c, count, rows, numbers, &best, &winner)) {
                best = *(const VECTOR *)(rows[0] + p * apart + c), winner = (MASK){0} + (INTEGER)numbers[0];
                NAME(challenge)(p * apart + c, 0, 1, rows, numbers, 1, count, &best, &winner);
            }
            *(VECTOR *)(y + c) = best;
            *(INDICES *)(index + c) = __builtin_convertvector(winner + (INTEGER)(p * gap), INDICES);
        }
}
#endif

/* The largest elements of windows of few rows, where these begin `apart` elements further on from one to the next, and
   have numbers that are `gap` higher: y[p * step + c], and index[p * step + c] the number of the row where it is. Returns
   whether it has done so, which is for some counts of rows, and as many channels as a vector has lanes. */
static int NAME(indices)(const REAL *const *rows, const int32_t *numbers, ptrdiff_t count, ptrdiff_t channels,
                         ptrdiff_t places, ptrdiff_t apart, ptrdiff_t gap, REAL *y, ptrdiff_t *index, ptrdiff_t step)
{
#if REDUCE_VECTORS
    if (channels < LANES || (count != 4 && count != FEW_ROWS)) return 0;
    if (count == 4) NAME(indices_body)(4, rows, numbers, channels, places, apart, gap, y, index, step);
    else NAME(indices_body)(FEW_ROWS, rows, numbers, channels, places, apart, gap, y, index, step);
    return 1;
#else
    return 0;
#endif
}

/* The largest of (x - scale[0]) * scale[1] + scale[2] over the rows x, for each channel, and 0 where that is negative if
   `rectified`; the number of the row where it is (the largest without rectifying), and value[c], what x is there. */
ALWAYS_INLINE void NAME(scaled_winners_at)(ptrdiff_t c, const int one, const int rectified, const REAL *const *rows,
                                           const int32_t *numbers, ptrdiff_t count, const REAL *const *scale, REAL *y,
                                           int32_t *number, REAL *value)
{
    const VECTOR centre = NAME(take)(scale[0] + c, one), factor = NAME(take)(scale[1] + c, one);
    const VECTOR shift = NAME(take)(scale[2] + c, one), zero = {0};
    VECTOR won = NAME(take)(rows[0] + c, one), best = (won - centre) * factor + shift;
    MASK winner = (MASK){0} + (INTEGER)numbers[0];
    for (ptrdiff_t t = 1; t < count; t++) {
        const VECTOR x = NAME(take)(rows[t] + c, one), scaled = (x - centre) * factor + shift;
        const TRUTH which = ~NAME(up_to)(scaled, best) & NAME(equal)(best, best);
        best = NAME(select)(which, scaled, best);
        won = NAME(select)(which, x, won);
        winner = NAME(choose)(which, (MASK){0} + (INTEGER)numbers[t], winner);
    }
    if (rectified) best = NAME(select)(NAME(up_to)(best, zero), zero, best);
    NAME(put)(best, y + c, one);
    NAME(put)(won, value + c, one);
    NAME(put_numbers)(winner, number + c, one);
}

ALWAYS_INLINE void NAME(scaled_winners_body)(const int rectified, const REAL *const *rows, const int32_t *numbers,
                                             ptrdiff_t count, ptrdiff_t channels, const REAL *const *scale, REAL *y,
                                             int32_t *number, REAL *value)
{
#define DO(at, one) NAME(scaled_winners_at)(at, one, rectified, rows, numbers, count, scale, y, number, value)
    ptrdiff_t c = 0;
    for (; c + LANES <= channels; c += LANES) DO(c, 0);
    if (c && c < channels) DO(channels - LANES, 0);
    for (; c < channels && channels < LANES; c++) DO(c, 1);
#undef DO
}

static void NAME(scaled_winners)(int rectified, const REAL *const *rows, const int32_t *numbers, ptrdiff_t count,
                                 ptrdiff_t channels, const REAL *const *scale, REAL *y, int32_t *number, REAL *value)
{
    if (rectified) NAME(scaled_winners_body)(1, rows, numbers, count, channels, scale, y, number, value);
    else NAME(scaled_winners_body)(0, rows, numbers, count, channels, scale, y, number, value);
}

ALWAYS_INLINE void NAME(sum_at)(ptrdiff_t from, const int vectors, const REAL *const *rows, ptrdiff_t count, int fresh,
                                const int divided, REAL by, REAL *y)
{
    VECTOR part[TOGETHER];
    UNROLL for (int v = 0; v < vectors; v++) part[v] = *(const VECTOR *)(rows[0] + from + v * LANES);
    for (ptrdiff_t t = 1; t < count; t++)
        UNROLL for (int v = 0; v < vectors; v++) part[v] += *(const VECTOR *)(rows[t] + from + v * LANES);
    UNROLL for (int v = 0; v < vectors; v++) {
        VECTOR *to = (VECTOR *)(y + v * LANES);
        if (!fresh) part[v] += *to;
        *to = divided ? part[v] / by : part[v] * by;
    }
}

ALWAYS_INLINE void NAME(sum_body)(const REAL *const *rows, const ptrdiff_t count, ptrdiff_t channels, const int fresh,
                                  ptrdiff_t places, ptrdiff_t apart, const int divided, REAL by, REAL *y,
                                  ptrdiff_t step)
{
#define AT(c, vectors) NAME(sum_at)(from + (c), vectors, rows, count, fresh, divided, by, y + (c))
    for (ptrdiff_t from = 0; places--; from += apart, y += step) {
        ptrdiff_t c = 0;
        for (; c + TOGETHER * LANES <= channels; c += TOGETHER * LANES) AT(c, TOGETHER);
        for (; c + LANES <= channels; c += LANES) AT(c, 1);
        if (c && c < channels && fresh) {
            AT(channels - LANES, 1);
            continue;
        }
        for (; c < channels; c++) {
            REAL part = rows[0][from + c];
            for (ptrdiff_t t = 1; t < count; t++) part += rows[t][from + c];
            if (!fresh) part += y[c];
            y[c] = divided ? part / by : part * by;
        }
    }
#undef AT
}

/* y[p * step + c] = (fresh ? 0 : itself) + sum of rows[t][p * apart + c], the rows summed first, divided or multiplied by
   a number. */
static void NAME(sum)(const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels, int fresh, ptrdiff_t places,
                      ptrdiff_t apart, int divided, REAL by, REAL *y, ptrdiff_t step)
{
#define DO(count, fresh, divided) \
    NAME(sum_body)(rows, count, channels, fresh, places, apart, divided, by, y, step)
    if (divided) DO(count, fresh, 1);
    else if (fresh && count == 4) DO(4, 1, 0); /* as extremum does */
    else DO(count, fresh, 0);
#undef DO
}

/* to[c] += from[c]. */
ALWAYS_INLINE void NAME(add)(REAL *to, const REAL *from, ptrdiff_t channels)
{
    ptrdiff_t c = 0;
    for (; c + LANES <= channels; c += LANES) *(VECTOR *)(to + c) += *(const VECTOR *)(from + c);
    for (; c < channels; c++) to[c] += from[c];
}

/* x where winner is tap, elsewhere 0. */
ALWAYS_INLINE VECTOR NAME(where_won)(VECTOR x, const int32_t *winner, int32_t tap)
{
#if REDUCE_VECTORS
    const NUMBERS won = *(const NUMBERS *)winner == tap;
#if DIGITS == 53 && defined(X86) && VECTOR_BYTES == 32
    return (VECTOR)((MASK)_mm256_cvtepi32_epi64((__m128i)won) & (MASK)x);
#else
    return (VECTOR)(__builtin_convertvector(won, MASK) & (MASK)x);
#endif
#else
    return *winner == tap ? x : 0;
#endif
}

/* to[c] += from[c] where winner[c] is tap; fresh: nothing is there yet. */
ALWAYS_INLINE void NAME(add_won)(REAL *to, const REAL *from, const int32_t *winner, int32_t tap, ptrdiff_t channels,
                                 int fresh)
{
    ptrdiff_t c = 0;
#if REDUCE_VECTORS
    for (; c + LANES <= channels; c += LANES) {
        const VECTOR share = NAME(where_won)(*(const VECTOR *)(from + c), winner + c, tap);
        if (fresh)
            *(VECTOR *)(to + c) = share;
        else
            *(VECTOR *)(to + c) += share;
    }
#endif
    for (; c < channels; c++) {
        const REAL share = winner[c] == tap ? from[c] : 0;
        to[c] = fresh ? share : to[c] + share;
    }
}

/* gx[c] = (g - scale[2][c] - (x[c] - scale[0][c]) * scale[3][c]) * scale[1][c], g: gy[c] where winner[c] is tap, else 0. */
static void NAME(scaled_slope)(const REAL *x, const REAL *gy, const int32_t *winner, int32_t tap, ptrdiff_t channels,
                               const REAL *const *scale, REAL *gx)
{
    const REAL *centre = scale[0], *factor = scale[1], *shift = scale[2], *slope = scale[3];
    ptrdiff_t c = 0;
#if REDUCE_VECTORS
    for (; c + LANES <= channels; c += LANES) {
        const VECTOR share = NAME(where_won)(*(const VECTOR *)(gy + c), winner + c, tap);
        const VECTOR off = *(const VECTOR *)(x + c) - *(const VECTOR *)(centre + c);
        *(VECTOR *)(gx + c) = (share - *(const VECTOR *)(shift + c) - off * *(const VECTOR *)(slope + c))
            * *(const VECTOR *)(factor + c);
    }
#endif
    for (; c < channels; c++) {
        const REAL share = winner[c] == tap ? gy[c] : 0;
        gx[c] = (share - shift[c] - (x[c] - centre[c]) * slope[c]) * factor[c];
    }
}
