/* Pooling along a line of positions whose channels lie one after the other, one body for float and double: include
   after reduce.h. */

#if defined(__GNUC__)
#if LANES == 16
#define EVERY_OTHER 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#elif LANES == 8
#define EVERY_OTHER 0, 2, 4, 6, 8, 10, 12, 14
#elif LANES == 4
#define EVERY_OTHER 0, 2, 4, 6
#else
#define EVERY_OTHER 0, 2
#endif
/* Every other element of two vectors, as integers. */
ALWAYS_INLINE MASK NAME(every_other)(MASK a, MASK b)
{
#if defined(__clang__)
    return __builtin_shufflevector(a, b, EVERY_OTHER);
#else
    return __builtin_shuffle(a, b, (MASK){EVERY_OTHER});
#endif
}
#undef EVERY_OTHER
#endif

/* to[i * group + c] = from[i * apart + c] for i < count and c < group, of words as wide as REAL. Reads no more than
   `readable` words of from; may write up to a vector beyond the end of to. */
static void NAME(phase)(const void *from, ptrdiff_t readable, ptrdiff_t apart, ptrdiff_t group, ptrdiff_t count,
                        void *to)
{
    const char *x = (const char *)from;
    char *y = (char *)to;
    ptrdiff_t i = 0;
#if defined(__GNUC__)
    if (group == 1 && apart == 2)
        for (; i + LANES <= count && 2 * (i + LANES) <= readable; i += LANES) {
            const MASK *pair = (const MASK *)(x + 2 * i * sizeof(INTEGER));
            *(MASK *)(y + i * sizeof(INTEGER)) = NAME(every_other)(pair[0], pair[1]);
        }
#endif
#if SHUFFLES
    if (group < LANES && (i + 1) * apart + 2 * LANES <= readable && i + LANES <= count) {
        const ptrdiff_t held = LANES / group, reached = (2 * LANES - group) / apart + 1;
        const ptrdiff_t groups = held < reached ? held : reached; /* that one shuffle of two vectors gives */
        INTEGER indices[LANES] = {0};
        for (ptrdiff_t lane = 0, g = 0; g < groups; g++)
            for (ptrdiff_t c = 0; c < group; c++) indices[lane++] = (INTEGER)(g * apart + c);
        const MASK index = *(const MASK *)indices;
        for (; i < count && i * apart + 2 * LANES <= readable; i += groups) {
            const MASK *pair = (const MASK *)(x + i * apart * sizeof(INTEGER));
            *(MASK *)(y + i * group * sizeof(INTEGER)) = __builtin_shuffle(pair[0], pair[1], index);
        }
    }
#endif
    (void)readable;
    for (; i < count && group >= LANES; i++) {
        const char *place = x + i * apart * sizeof(INTEGER);
        char *there = y + i * group * sizeof(INTEGER);
        const ptrdiff_t last = (group - LANES) * (ptrdiff_t)sizeof(INTEGER); /* which may take up the one before again */
        for (ptrdiff_t at = 0; at < last; at += VECTOR_BYTES) *(MASK *)(there + at) = *(const MASK *)(place + at);
        *(MASK *)(there + last) = *(const MASK *)(place + last);
    }
    for (; i < count; i++)
        for (ptrdiff_t c = 0; c < group; c++)
            memcpy(y + (i * group + c) * sizeof(INTEGER), x + (i * apart + c) * sizeof(INTEGER), sizeof(INTEGER));
}

ALWAYS_INLINE void NAME(merge_at)(ptrdiff_t c, const int one, const int largest, const REAL *const *rows,
                                  const int32_t *const *numbers, int32_t first, ptrdiff_t count, int fresh, REAL *y,
                                  int32_t *number)
{
    VECTOR best = NAME(take)((fresh ? rows[0] : y) + c, one);
    MASK winner = NAME(take_numbers)((fresh ? numbers[0] : number) + c, one) + (INTEGER)(fresh ? first : 0);
    for (ptrdiff_t t = fresh; t < count; t++) {
        const VECTOR value = NAME(take)(rows[t] + c, one);
        const MASK challenger = NAME(take_numbers)(numbers[t] + c, one) + (INTEGER)(first + t);
        const TRUTH is_nan = NAME(is_nan)(value), was_nan = NAME(is_nan)(best);
        const TRUTH equal = NAME(equal)(value, best) | (is_nan & was_nan), earlier = NAME(lower)(challenger, winner);
        const TRUTH which = (NAME(beats)(largest, value, best) & ~was_nan) | (equal & earlier);
        best = NAME(select)(which, value, best);
        winner = NAME(choose)(which, challenger, winner);
    }
    NAME(put)(best, y + c, one);
    NAME(put_numbers)(winner, number + c, one);
}

/* As winners, where every element has a number of its own: that of rows[t][c] is numbers[t][c] + first + t. Among
   equals, and among NaNs, the lowest number wins. */
ALWAYS_INLINE void NAME(merge_body)(const int largest, const REAL *const *rows, const int32_t *const *numbers,
                                    int32_t first, ptrdiff_t count, ptrdiff_t length, int fresh, REAL *y,
                                    int32_t *number)
{
    ptrdiff_t c = 0;
    for (; c + LANES <= length; c += LANES)
        NAME(merge_at)(c, 0, largest, rows, numbers, first, count, fresh, y, number);
    if (c && c < length) NAME(merge_at)(length - LANES, 0, largest, rows, numbers, first, count, fresh, y, number);
    for (; c < length && length < LANES; c++)
        NAME(merge_at)(c, 1, largest, rows, numbers, first, count, fresh, y, number);
}

static void NAME(merge)(int largest, const REAL *const *rows, const int32_t *const *numbers, int32_t first,
                        ptrdiff_t count, ptrdiff_t length, int fresh, REAL *y, int32_t *number)
{
    if (largest) NAME(merge_body)(1, rows, numbers, first, count, length, fresh, y, number);
    else NAME(merge_body)(0, rows, numbers, first, count, length, fresh, y, number);
}
