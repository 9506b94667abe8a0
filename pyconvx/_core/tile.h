/* The register-tile kernels, one body for every real type: include after real.h.
   A tile has `height` rows and is `width` (1 or TILE_VECTORS) vectors wide. Every output is the same sum in the same
   order, whatever the height: the bits do not depend on how outputs are cut into tiles. */

/* acc[m][:] = rows[p][offset + m] * panel[p][:], summed over p: the outer products of the filter gradient. */
ALWAYS_INLINE void NAME(outer_body)(const int height, const int width, const REAL *const *rows, ptrdiff_t count,
                                    ptrdiff_t offset, const REAL *panel, VECTOR (*acc)[TILE_VECTORS])
{
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++) acc[m][v] = (VECTOR){0};
    for (ptrdiff_t p = 0; p < count; p++, panel += width * LANES) {
        const REAL *row = rows[p] + offset;
        VECTOR b[TILE_VECTORS];
        UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(panel + v * LANES);
        UNROLL for (int m = 0; m < height; m++) {
            const REAL a = row[m];
            UNROLL for (int v = 0; v < width; v++) acc[m][v] += b[v] * a;
        }
    }
}

/* total[lane] += sum[lane], in double */
ALWAYS_INLINE void NAME(add_wide)(VECTOR sum, double *total)
{
    REAL part[LANES];
    if (sizeof(REAL) == sizeof(double)) {
        *(VECTOR *)total += sum;
        return;
    }
    *(VECTOR *)part = sum;
    UNROLL for (int i = 0; i < LANES; i += WIDE) *(wide_f64 *)(total + i) += WIDENED((const float *)part + i);
}

/* sums[v][m][:] = rows[p][m] * others[p][at[v] ...], summed over p: as many of the vectors v as registers hold. */
ALWAYS_INLINE void NAME(spread_body)(const int height, const int width, const REAL *const *rows, ptrdiff_t count,
                                     const REAL *const *others, const ptrdiff_t *at, REAL *sums)
{
    VECTOR acc[8][8];
    UNROLL for (int v = 0; v < width; v++)
        UNROLL for (int m = 0; m < height; m++) acc[v][m] = (VECTOR){0};
    for (ptrdiff_t p = 0; p < count; p++) {
        VECTOR b[8];
        UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(others[p] + at[v]);
        UNROLL for (int m = 0; m < height; m++) {
            const REAL a = rows[p][m];
            UNROLL for (int v = 0; v < width; v++) acc[v][m] += b[v] * a;
        }
    }
    UNROLL for (int v = 0; v < width; v++)
        UNROLL for (int m = 0; m < height; m++) *(VECTOR *)(sums + (v * height + m) * LANES) = acc[v][m];
}

/* The sum of 0 * x: 0 if all n elements are finite, else NaN. */
static REAL NAME(spoiled)(const REAL *x, ptrdiff_t n)
{
    VECTOR sums[4] = {{0}};
    REAL sum = 0;
    for (; n >= 4 * LANES; n -= 4 * LANES, x += 4 * LANES)
        UNROLL for (int v = 0; v < 4; v++) sums[v] += *(const VECTOR *)(x + v * LANES) * 0;
    for (; n > 0; n--) sum += *x++ * 0;
    sums[0] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int lane = 0; lane < LANES; lane++) sum += ((const REAL *)&sums[0])[lane];
    return sum;
}

#if DIGITS == 24 /* for Winograd's algorithm */
/* sums[m][:] = the outer products of `outer_body`. */
NEVER_INLINE void NAME(outer)(ptrdiff_t height, int vectors, const REAL *const *rows, ptrdiff_t count, ptrdiff_t offset,
                              const REAL *panel, REAL *sums)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS];
#define DO(h, w) \
    NAME(outer_body)(h, w, rows, count, offset, panel, acc); \
    UNROLL for (int m = 0; m < h; m++) \
        UNROLL for (int v = 0; v < w; v++) *(VECTOR *)(sums + (m * w + v) * LANES) = acc[m][v]
    if (vectors == 1) { HEIGHTS(DO, 1) } else { HEIGHTS(DO, TILE_VECTORS) }
#undef DO
}
#endif

/* total[m][:] += the outer products of `outer_body`. */
NEVER_INLINE void NAME(add_outer)(ptrdiff_t height, int vectors, const REAL *const *rows, ptrdiff_t count, ptrdiff_t offset,
                                  const REAL *panel, double *total)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS];
#define DO(h, w) \
    NAME(outer_body)(h, w, rows, count, offset, panel, acc); \
    UNROLL for (int m = 0; m < h; m++) \
        UNROLL for (int v = 0; v < w; v++) NAME(add_wide)(acc[m][v], total + (m * w + v) * LANES)
    if (vectors == 1) { HEIGHTS(DO, 1) } else { HEIGHTS(DO, TILE_VECTORS) }
#undef DO
}

/* Up to 8 rows; returns how many vectors it took, the smallest number that is made for the rest or the largest that is:
   `at` has 8 entries more than there are vectors. */
NEVER_INLINE ptrdiff_t NAME(spread)(ptrdiff_t height, ptrdiff_t vectors, const REAL *const *rows, ptrdiff_t count,
                                    const REAL *const *others, const ptrdiff_t *at, REAL *sums)
{
#define DO(h, w) \
    if ((h) * (w) <= SPREAD_SUMS && (vectors > (w) / 2 || (w) == 1)) { \
        NAME(spread_body)(h, (h) * (w) <= SPREAD_SUMS ? (w) : 1, rows, count, others, at, sums); \
        return w; \
    }
#define ROWS(h) case h: DO(h, 8) DO(h, 4) DO(h, 2) DO(h, 1) break;
    switch (height) { ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) }
#undef ROWS
#undef DO
    return 0;
}

/* panel[p][:width] = rows[p][offset ... offset + valid], and zeros. */
static void NAME(gather)(const REAL *const *rows, ptrdiff_t count, ptrdiff_t offset, ptrdiff_t valid, ptrdiff_t width,
                         REAL *panel)
{
    for (ptrdiff_t p = 0; p < count; p++, panel += width) {
        const REAL *row = rows[p] + offset;
        ptrdiff_t lane = 0;
        for (; lane + LANES <= valid; lane += LANES) *(VECTOR *)(panel + lane) = *(const VECTOR *)(row + lane);
        for (; lane < valid; lane++) panel[lane] = row[lane];
        for (; lane < width; lane++) panel[lane] = 0;
    }
}
