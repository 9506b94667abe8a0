/* Gradients of poolings along rows of single channels: include after plane_pool.h. Rows of the incoming gradient are laid
   out with zeros on either side: taps[t] is what the first element of a phase receives by a tap, and others receive what
   lies behind it. There is room for a vector behind what is read. */

/* to[m] = sum of taps[t][m], in order, where won[t][m] is numbers[t], or without `won` of all. Of less than a
   vector, a whole one is written. */
ALWAYS_INLINE void NAME(plane_shares_body)(const int only, const REAL *const *taps, const int32_t *const *won,
                                           const int32_t *numbers, const ptrdiff_t count, ptrdiff_t length, REAL *to)
{
    for (ptrdiff_t next = 0; next < length; next += LANES) {
        const ptrdiff_t m = next + LANES <= length || length < LANES ? next : length - LANES;
        VECTOR sum = {0};
        for (ptrdiff_t t = 0; t < count; t++) {
            VECTOR share = *(const VECTOR *)(taps[t] + m);
            if (only) share = NAME(where_won)(share, won[t] + m, numbers[t]);
            sum += share;
        }
        *(VECTOR *)(to + m) = sum;
    }
}

static void NAME(plane_shares)(const REAL *const *taps, const int32_t *const *won, const int32_t *numbers,
                               ptrdiff_t count, ptrdiff_t length, REAL *to)
{
#define DO(only, count) NAME(plane_shares_body)(only, taps, won, numbers, count, length, to)
#define COUNTS(only) \
    if (count == 1) DO(only, 1); \
    else if (count == 2) DO(only, 2); \
    else if (count == 4) DO(only, 4); \
    else DO(only, count);
    if (won != NULL) { COUNTS(1) } else { COUNTS(0) }
#undef COUNTS
#undef DO
}

#if defined(__GNUC__)
#if LANES == 16
#define LOW_PAIRS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_PAIRS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 4
#define LOW_PAIRS 0, 4, 1, 5
#define HIGH_PAIRS 2, 6, 3, 7
#else
#define LOW_PAIRS 0, 2
#define HIGH_PAIRS 1, 3
#endif
/* Elements of two vectors by turns. */
ALWAYS_INLINE void NAME(put_by_turns)(MASK a, MASK b, REAL *y)
{
#if defined(__clang__)
    *(MASK *)y = __builtin_shufflevector(a, b, LOW_PAIRS);
    *(MASK *)(y + LANES) = __builtin_shufflevector(a, b, HIGH_PAIRS);
#else
    *(MASK *)y = __builtin_shuffle(a, b, (MASK){LOW_PAIRS});
    *(MASK *)(y + LANES) = __builtin_shuffle(a, b, (MASK){HIGH_PAIRS});
#endif
}
#undef LOW_PAIRS
#undef HIGH_PAIRS
#endif

/* y[i] = phases[(i + before) % rise][(i + before) / rise], phases being `apart` elements from one to the next. */
static void NAME(join_phases)(const REAL *phases, ptrdiff_t apart, ptrdiff_t rise, ptrdiff_t before, ptrdiff_t length,
                              REAL *y)
{
    ptrdiff_t done = 0;
#if defined(__GNUC__)
    if (rise == 2) {
        const REAL *even = phases + (before + 1) / 2, *odd = phases + apart + (before + 1) / 2;
        if (before % 2 && length) y[done++] = odd[-1];
        for (; done + 2 * LANES <= length; done += 2 * LANES, even += LANES, odd += LANES)
            NAME(put_by_turns)(*(const MASK *)even, *(const MASK *)odd, y + done);
    }
#endif
    for (ptrdiff_t p = 0; p < rise; p++) {
        ptrdiff_t m = (before + done - p + rise - 1) / rise;
        const REAL *phase = phases + p * apart;
        for (ptrdiff_t i = m * rise + p - before; i < length; i += rise) y[i] = phase[m++];
    }
}
