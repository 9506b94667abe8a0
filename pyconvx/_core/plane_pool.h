/* Pooling of rows of single channels, whose lanes are neighbouring places: include after flat_pool.h. */

ALWAYS_INLINE VECTOR NAME(joined)(const int task, VECTOR best, VECTOR value)
{
    if (task == PLANE_SUM) return best + value;
    return NAME(extreme)(task == PLANE_MAX, value, best);
}

ALWAYS_INLINE VECTOR NAME(joined_rows)(const int task, const REAL *const *rows, ptrdiff_t count, ptrdiff_t at,
                                       const int one)
{
    VECTOR best = NAME(take)(rows[0] + at, one);
    for (ptrdiff_t t = 1; t < count; t++) best = NAME(joined)(task, best, NAME(take)(rows[t] + at, one));
    return best;
}

/* Of the line from o on, LANES places that lie `rise` (1 or 2) elements apart. */
ALWAYS_INLINE VECTOR NAME(joined_taps)(const int task, const int rise, const REAL *line, ptrdiff_t taps)
{
    VECTOR best = {0};
    for (ptrdiff_t t = 0; t < taps; t++) {
        VECTOR value = *(const VECTOR *)(line + t);
#if defined(__GNUC__)
        if (rise == 2)
            value = (VECTOR)NAME(every_other)(*(const MASK *)(line + t), *(const MASK *)(line + t + LANES));
#endif
        best = t ? NAME(joined)(task, best, value) : value;
    }
    return best;
}

/* y[o] = that of rows[t][o * rise + k - before], over t < count and k < taps, of `length` elements that rows have; what is read
   outside of these stands in `line` already. line: room for all that is read, and for two vectors. */
ALWAYS_INLINE void NAME(plane_body)(const int task, const int rise, const REAL *const *rows, const ptrdiff_t count,
                                    ptrdiff_t length, REAL *line, const ptrdiff_t taps, ptrdiff_t places,
                                    ptrdiff_t before, REAL *y)
{
    REAL *const inside = line + before;
    ptrdiff_t i = 0, o = 0;
    for (; i + LANES <= length; i += LANES) *(VECTOR *)(inside + i) = NAME(joined_rows)(task, rows, count, i, 0);
    if (i && i < length) *(VECTOR *)(inside + length - LANES) = NAME(joined_rows)(task, rows, count, length - LANES, 0);
    for (; i < length && length < LANES; i++) NAME(put)(NAME(joined_rows)(task, rows, count, i, 1), inside + i, 1);
    for (; o + LANES <= places; o += LANES) *(VECTOR *)(y + o) = NAME(joined_taps)(task, rise, line + o * rise, taps);
    if (o < places) { /* reads on for less than two vectors */
        const VECTOR last = NAME(joined_taps)(task, rise, line + o * rise, taps);
        for (i = 0; o < places; o++, i++) y[o] = ((const REAL *)&last)[i];
    }
}

/* What is left to do where places lie further apart: tap by tap. line: `room` elements, and behind them as many as two rows of
   places and four vectors. */
static void NAME(join_apart)(int task, ptrdiff_t rise, REAL *line, ptrdiff_t room, ptrdiff_t taps, ptrdiff_t places, REAL *y)
{
    REAL *const best = line + room, *const value = best + places + 2 * LANES;
    NAME(phase)(line, room, rise, 1, places, best);
    for (ptrdiff_t t = 1; t < taps; t++) {
        NAME(phase)(line + t, room - t, rise, 1, places, value);
        for (ptrdiff_t o = 0; o < places; o += LANES)
            *(VECTOR *)(best + o) = NAME(joined)(task, *(const VECTOR *)(best + o), *(const VECTOR *)(value + o));
    }
    memcpy(y, best, places * sizeof(REAL));
}

static void NAME(plane_row)(int task, ptrdiff_t rise, const REAL *const *rows, ptrdiff_t count, ptrdiff_t length,
                            REAL *line, ptrdiff_t room, ptrdiff_t taps, ptrdiff_t places, ptrdiff_t before, REAL *y)
{
    const ptrdiff_t all_places = places;
    if (rise > 2) places = 0;
#define DO(task, rise, count, taps) \
    NAME(plane_body)(task, rise, rows, count, length, line, taps, places, before, y)
#define SIZES(task, rise) \
    if (count == 2 && taps == 2) DO(task, rise, 2, 2); \
    else if (count == 3 && taps == 3) DO(task, rise, 3, 3); \
    else DO(task, rise, count, taps);
#define TASKS(rise) \
    if (task == PLANE_MAX) { SIZES(PLANE_MAX, rise) } \
    else if (task == PLANE_MIN) { SIZES(PLANE_MIN, rise) } \
    else { SIZES(PLANE_SUM, rise) }
    if (rise == 2) { TASKS(2) } else { TASKS(1) }
    if (rise > 2) NAME(join_apart)(task, rise, line, room, taps, all_places, y);
#undef TASKS
#undef SIZES
#undef DO
}
