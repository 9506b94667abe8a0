/* The gradient of depthwise filters: sums over places of what a tap reads times the gradient of the result. Include after
   depthwise.h, whose spans and runs these are; sums are panels, as the filters are there. */

/* Adds to the sums of `height` times `taps` taps what `width` places with the gradients gy add to them; x goes on to the
   next ones. */
ALWAYS_INLINE void NAME(products_tile)(const int height, const int width, const int taps, const int stride, const REAL **x,
                                       const ptrdiff_t *apart, const REAL *gy, ptrdiff_t gy_step, VECTOR (*acc)[MOST_PIECE])
{
    VECTOR g[TILE_FULL];
    UNROLL for (int m = 0; m < width; m++, gy += gy_step) g[m] = *(const VECTOR *)gy;
    UNROLL for (int i = 0; i < height; i++) {
        const REAL *column_x = x[i];
        UNROLL_LINE for (int column = 0; column < (width - 1) * stride + taps; column++, column_x += apart[i]) {
            const VECTOR v = *(const VECTOR *)column_x;
            UNROLL for (int k = 0; k < taps; k++)
                if (column >= k && (column - k) % stride == 0 && (column - k) / stride < width)
                    acc[i][k] += v * g[(column - k) / stride];
        }
        x[i] += width * stride * apart[i];
    }
}

/* Adds what all places of a span add to the sums of `height` runs of taps, which are read at once. */
ALWAYS_INLINE void NAME(products_body)(const int height, const int full, const int taps, const int stride,
                                       const struct taps_run *runs, ptrdiff_t count, ptrdiff_t tap_step, const REAL *gy,
                                       ptrdiff_t gy_step, ptrdiff_t c, REAL *sums)
{
    VECTOR acc[3][MOST_PIECE];
    const REAL *x[3];
    ptrdiff_t apart[3];
    UNROLL for (int i = 0; i < height; i++) {
        x[i] = (const REAL *)runs[i].x + c;
        apart[i] = runs[i].apart;
        UNROLL for (int k = 0; k < taps; k++)
            acc[i][k] = *(const VECTOR *)(sums + (runs[i].tap + k * tap_step) * LANES);
    }
    gy += c;
#define TILE(width) \
        NAME(products_tile)(height, width, taps, stride, x, apart, gy, gy_step, acc); \
        count -= width; \
        gy += (width) * gy_step;
    while (count >= full) { TILE(full) }
    if (count >= full / 2) { TILE(full / 2) }
    while (full / 4 > 1 && count >= full / 4) { TILE(full / 4) }
    while (count > 0) { TILE(1) }
#undef TILE
    UNROLL for (int i = 0; i < height; i++)
        UNROLL for (int k = 0; k < taps; k++)
            *(VECTOR *)(sums + (runs[i].tap + k * tap_step) * LANES) = acc[i][k];
}

/* Runs of few taps are read three at once: their sums are more than the steps that an addition takes. */
#define PRODUCTS(taps, stride, most, full) \
    NEVER_INLINE void NAME(products_##taps##_##stride)(const struct span *span, const struct taps_run *runs, \
                                                       ptrdiff_t run_count, const REAL *gy, ptrdiff_t all_taps, \
                                                       ptrdiff_t first, ptrdiff_t vectors, REAL *sums) \
    { \
        const ptrdiff_t count = span->count, tap_step = span->tap_step, gy_step = span->to_step; \
        for (ptrdiff_t v = 0; v < vectors; v++, first += LANES, sums += all_taps * LANES) { \
            ptrdiff_t i = 0; \
            for (; i + (most) <= run_count; i += (most)) \
                NAME(products_body)(most, full, taps, stride, runs + i, count, tap_step, gy, gy_step, first, sums); \
            for (; i < run_count; i++) \
                NAME(products_body)(1, full, taps, stride, runs + i, count, tap_step, gy, gy_step, first, sums); \
        } \
    }
PRODUCTS(1, 1, 3, PAIR_FULL) PRODUCTS(2, 1, 3, PAIR_FULL) PRODUCTS(3, 1, 3, PAIR_FULL)
PRODUCTS(5, 1, 1, TILE_FULL) PRODUCTS(7, 1, 1, TILE_FULL)
PRODUCTS(2, 2, 3, PAIR_FULL) PRODUCTS(3, 2, 3, PAIR_FULL) PRODUCTS(5, 2, 1, TILE_FULL) PRODUCTS(7, 2, 1, TILE_FULL)
#if MOST_PIECE > 7
PRODUCTS(9, 1, 1, TILE_FULL)
#endif
#undef PRODUCTS

static void NAME(products_vectors)(const struct span *span, const struct kernel_row *rows, ptrdiff_t count,
                                   struct taps_run *runs, const REAL *gy, ptrdiff_t all_taps, ptrdiff_t first,
                                   ptrdiff_t vectors, REAL *sums)
{
    struct taps_run *end = runs;
    for (; count > 0; count--) end = NAME(add_runs)(span, rows++, end);
#define CASE(taps, stride) case taps * 4 + stride: \
    NAME(products_##taps##_##stride)(span, runs, end - runs, gy, all_taps, first, vectors, sums); break;
    switch (span->piece * 4 + span->stride) {
        CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(5, 1) CASE(7, 1) CASE(2, 2) CASE(3, 2) CASE(5, 2) CASE(7, 2)
#if MOST_PIECE > 7
        CASE(9, 1)
#endif
    }
#undef CASE
}

/* The same for `height` places that do not lie evenly, as single_body has them. */
NEVER_INLINE void NAME(single_products_vectors)(ptrdiff_t height, const struct span *span, const REAL *const *x,
                                                const struct kernel_row *rows, ptrdiff_t count, const REAL *const *gy,
                                                ptrdiff_t all_taps, ptrdiff_t first, ptrdiff_t vectors, REAL *sums)
{
    const ptrdiff_t tap = span->tap, taps = span->taps, tap_step = span->tap_step;
    for (ptrdiff_t v = 0; v < vectors; v++, first += LANES, sums += all_taps * LANES) {
        const REAL *const *pointers = x;
        for (ptrdiff_t i = 0; i < count; i++)
            for (ptrdiff_t k = 0; k < taps; k++, pointers += TILE_FULL) {
                VECTOR *sum = (VECTOR *)(sums + (rows[i].tap + tap + k * tap_step) * LANES), acc = *sum;
                for (ptrdiff_t m = 0; m < height; m++)
                    acc += *(const VECTOR *)(pointers[m] + first) * *(const VECTOR *)(gy[m] + first);
                *sum = acc;
            }
    }
}

#ifndef PART
static void NAME(products)(const struct span *span, const struct kernel_row *rows, ptrdiff_t count, struct taps_run *runs,
                           const REAL *gy, ptrdiff_t all_taps, ptrdiff_t c, ptrdiff_t until, ptrdiff_t channels, REAL *sums)
{
    CHANNELS(products_vectors, sums, span, rows, count, runs, gy, all_taps, first, vectors, sums)
}

static void NAME(single_products)(ptrdiff_t height, const struct span *span, const REAL *const *x,
                                  const struct kernel_row *rows, ptrdiff_t count, const REAL *const *gy, ptrdiff_t all_taps,
                                  ptrdiff_t c, ptrdiff_t until, ptrdiff_t channels, REAL *sums)
{
    CHANNELS(single_products_vectors, sums, height, span, x, rows, count, gy, all_taps, first, vectors, sums)
}
#endif
