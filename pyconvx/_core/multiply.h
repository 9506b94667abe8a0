/* The product of a tile of rows with a panel of filters: include after real.h. */

/* to[m][:] = from[m][:] + rows[t][m][offset + c] * panel[tap[t]][c][:], summed over t and c.
   rows: `count` groups of TILE_FULL pointers, or if `even` one pointer per tap, the rows of the tile lying `apart` elements
   apart; tap[t]: how many rows of the panel lie before the filters of that tap.
   from and to: a row of the tile starts `from_step` elements after the one before it (0: all start alike), or at to[m];
   if `even`, `to_step` elements after the one before it, from to[0] on, and written past the caches if `past` and all
   products of a sum are one chain.
   A chain of products is at most FOLD long, so that rounding does not grow with their number; chains end where the number
   of a product, tap[t] + c, is a multiple of FOLD, so that neither missing taps nor taps read as one run change a bit. */
ALWAYS_INLINE void NAME(multiply_body)(const int height, const int width, const int even, const REAL *const *rows,
                                       ptrdiff_t apart, const ptrdiff_t *tap, ptrdiff_t count, ptrdiff_t offset,
                                       ptrdiff_t channels, const REAL *panel, const REAL *from, ptrdiff_t from_step,
                                       REAL *const *to, ptrdiff_t to_step, int past, ptrdiff_t first)
{
#define TARGET(m, v) ((VECTOR *)((even ? target + m * to_step : to[m]) + first + v * LANES))
    REAL *target = to[0];
    VECTOR acc[TILE_SINGLE][TILE_VECTORS];
    ptrdiff_t limit = count ? (tap[0] | (FOLD - 1)) + 1 : 0;
    const int folds = count && tap[count - 1] + channels > limit;
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++) {
            acc[m][v] = (VECTOR){0};
            if (folds) *TARGET(m, v) = *(const VECTOR *)(from + m * from_step + v * LANES);
        }
    for (ptrdiff_t t = 0; t < count; t++, rows += even ? 1 : TILE_FULL) {
        const REAL *filters = panel + tap[t] * width * LANES;
        const ptrdiff_t number = tap[t] - offset;
        ptrdiff_t c = offset;
        const REAL *third[5]; /* every third of even rows: the others are 1, 2, 4 or 8 rows from one, an address mode */
        if (even)
            UNROLL for (int i = 0; 3 * i < height; i++) third[i] = rows[0] + offset + 3 * i * apart;
        do {
            if (number + c >= limit) {
                limit = ((number + c) | (FOLD - 1)) + 1;
                UNROLL for (int m = 0; m < height; m++)
                    UNROLL for (int v = 0; v < width; v++) {
                        *TARGET(m, v) += acc[m][v];
                        acc[m][v] = (VECTOR){0};
                    }
            }
            const ptrdiff_t end = limit - number < offset + channels ? limit - number : offset + channels;
            for (; c < end; c++, filters += width * LANES) {
                VECTOR b[TILE_VECTORS];
                UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(filters + v * LANES);
                if (ASKS_AHEAD && !even) PREFETCH(filters + width * LANES * ASKS_AHEAD);
                UNROLL for (int m = 0; m < height; m++) {
                    const REAL a = even ? third[(m - EVEN_STEP(m)) / 3][EVEN_STEP(m) * apart] : rows[m][c];
                    UNROLL for (int v = 0; v < width; v++) acc[m][v] += b[v] * a;
                }
                if (even)
                    UNROLL for (int i = 0; 3 * i < height; i++) third[i]++;
            }
        } while (c < offset + channels);
    }
    KEEP(target); /* or compilers find all addresses before the products, and put them into memory */
    KEEP(to_step);
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++) {
            VECTOR *place = TARGET(m, v);
            const VECTOR sum = (folds ? *place : *(const VECTOR *)(from + m * from_step + v * LANES)) + acc[m][v];
            if (WRITES_PAST && WIDTHS > 1 && even && past && !folds) WRITE_PAST(place, sum);
            else *place = sum;
        }
#undef TARGET
}

/* The same for even rows and runs of a few products, all in one chain and written out: nothing is counted within a run. */
ALWAYS_INLINE void NAME(multiply_short)(const int height, const int width, const int channels, const REAL *const *rows,
                                        ptrdiff_t apart, const ptrdiff_t *tap, ptrdiff_t count, ptrdiff_t offset,
                                        const REAL *panel, const REAL *from, REAL *to, ptrdiff_t to_step)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS] = {{{0}}};
    for (ptrdiff_t t = 0; t < count; t++) {
        const REAL *filters = panel + tap[t] * width * LANES, *row[TILE_FULL];
        KEEP(filters); /* or sums of all offsets are kept instead, more than there are registers */
        UNROLL for (int m = 0; m < height; m++) {
            row[m] = rows[t] + offset + m * apart;
            KEEP(row[m]);
        }
        UNROLL for (int c = 0; c < channels; c++) {
            VECTOR b[TILE_VECTORS];
            UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(filters + (c * width + v) * LANES);
            UNROLL for (int m = 0; m < height; m++)
                UNROLL for (int v = 0; v < width; v++) acc[m][v] += b[v] * row[m][c];
        }
    }
    KEEP(to);
    KEEP(to_step);
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++)
            *(VECTOR *)(to + m * to_step + v * LANES) = *(const VECTOR *)(from + v * LANES) + acc[m][v];
}

/* width: lanes of the panel, as panel_width says. */
NEVER_INLINE void NAME(multiply)(ptrdiff_t height, ptrdiff_t width, const REAL *const *rows, const ptrdiff_t *tap,
                           ptrdiff_t count, ptrdiff_t offset, ptrdiff_t channels, const REAL *panel, const REAL *from,
                           ptrdiff_t from_step, REAL *const *to, ptrdiff_t first)
{
#define DO(h, v) \
    NAME(multiply_body)(h, v, 0, rows, 0, tap, count, offset, channels, panel, from, from_step, to, 0, 0, first)
#if WIDTHS > 1 && HALVES
    if (width < LANES) {
        HALF(multiply)(height, width, rows, tap, count, offset, channels, panel, from, from_step, to, first);
        return;
    }
#endif
    if (WIDTHS == 1 || width == LANES) { HEIGHTS(DO, 1) } else { HEIGHTS(DO, WIDTHS) }
#undef DO
}

/* The same for rows that lie evenly, `to_step` elements apart in the result, and all start from the same sums: up to
   TILE_SINGLE if a vector is as wide as the panel. */
NEVER_INLINE void NAME(multiply_even)(ptrdiff_t height, ptrdiff_t width, const REAL *const *rows, ptrdiff_t apart,
                                const ptrdiff_t *tap, ptrdiff_t count, ptrdiff_t offset, ptrdiff_t channels,
                                const REAL *panel, const REAL *from, REAL *to, ptrdiff_t to_step, int past)
{
#define DO(h, v) \
    NAME(multiply_body)(h, v, 1, rows, apart, tap, count, offset, channels, panel, from, 0, &to, to_step, past, 0)
#if WIDTHS > 1 && HALVES
    if (width < LANES) {
        HALF(multiply_even)(height, width, rows, apart, tap, count, offset, channels, panel, from, to, to_step, past);
        return;
    }
#endif
#define SHORT(h, v, c) \
    if (height == h && channels == c) { \
        NAME(multiply_short)(h, v, c, rows, apart, tap, count, offset, panel, from, to, to_step); \
        return; \
    }
    /* kernel rows of small filters on one or three channels */
    if (WIDTHS > 1 && channels <= 9 && count && tap[count - 1] + channels <= (tap[0] | (FOLD - 1)) + 1) {
#if TILE_FULL == 6
#define RUN(c) SHORT(6, WIDTHS, c) SHORT(5, WIDTHS, c) SHORT(4, WIDTHS, c)
        if (width > LANES) { RUN(3) RUN(5) RUN(7) RUN(9) }
#else
#define RUN(c) SHORT(8, 1, c) SHORT(7, 1, c)
        if (width == LANES) { RUN(3) RUN(5) }
#endif
    }
#undef RUN
#undef SHORT
    if (WIDTHS == 1 || width == LANES) { SINGLE_HEIGHTS(DO) } else { HEIGHTS(DO, WIDTHS) }
#undef DO
}
