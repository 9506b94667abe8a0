/* What neighbouring places read, a row of places for each product: include after real.h. */

/* to[p * width + i] = rows[p][offset + i] for i < count, at most two vectors, and p < products. The second vector of a row may
   take up some of the first one again. */
static void NAME(lay_columns)(const REAL *const *rows, ptrdiff_t offset, ptrdiff_t count, ptrdiff_t products, REAL *to,
                              ptrdiff_t width)
{
    const ptrdiff_t again = count - LANES;
    for (ptrdiff_t p = 0; p < products && again >= 0; p++, to += width) {
        const REAL *from = rows[p] + offset;
        *(VECTOR *)to = *(const VECTOR *)from;
        *(VECTOR *)(to + again) = *(const VECTOR *)(from + again);
    }
    for (ptrdiff_t p = 0; p < products && again < 0; p++, to += width) {
#if MASKED_LOADS == 2
        NAME(store)(to, count, NAME(load)(rows[p] + offset, count, 0));
#else
        for (ptrdiff_t i = 0; i < count; i++) to[i] = rows[p][offset + i];
#endif
    }
}

/* to[m][:] = start[m] + rows[p][offset + :] * weights[m * apart + p], summed over p < products, in chains that are at most FOLD
   long, as multiply_body has them. */
ALWAYS_INLINE void NAME(columns_body)(const int height, const int width, const REAL *const *rows, ptrdiff_t offset,
                                      ptrdiff_t products, const REAL *weights, ptrdiff_t apart, const REAL *start,
                                      REAL *const *to, int past)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS];
    const REAL *third[5]; /* every third row: the others are 1 or 2 rows from one, an address mode; up to 8 in tall tiles */
    ptrdiff_t p = 0;
    UNROLL for (int i = 0; 3 * i < height; i++) third[i] = weights + 3 * i * apart;
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++) acc[m][v] = (VECTOR){0};
    for (;;) {
        const ptrdiff_t end = p + FOLD < products ? p + FOLD : products;
        const int first = p == 0;
        for (; p < end; p++) {
            const REAL *row = rows[p] + offset;
            VECTOR b[TILE_VECTORS];
            UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(row + v * LANES);
            UNROLL for (int m = 0; m < height; m++) {
                const REAL a = third[(m - EVEN_STEP(m)) / 3][EVEN_STEP(m) * apart];
                UNROLL for (int v = 0; v < width; v++) acc[m][v] += b[v] * a;
            }
            UNROLL for (int i = 0; 3 * i < height; i++) third[i]++;
        }
        UNROLL for (int m = 0; m < height; m++)
            UNROLL for (int v = 0; v < width; v++) {
                VECTOR *const place = (VECTOR *)(to[m] + v * LANES);
                VECTOR sum = acc[m][v];
                if (first) sum += start[m];
                else sum += *place;
                if (WRITES_PAST && past) WRITE_PAST(place, sum);
                else *place = sum;
                acc[m][v] = (VECTOR){0};
            }
        if (p == products) return;
    }
}

/* vectors: how many wide the tile is. past: where there is one chain, and all vectors are lines, they are written past the
   caches. */
NEVER_INLINE void NAME(columns)(ptrdiff_t height, int vectors, const REAL *const *rows, ptrdiff_t offset,
                                ptrdiff_t products, const REAL *weights, ptrdiff_t apart, const REAL *start,
                                REAL *const *to, int past)
{
#define DO(h, v) NAME(columns_body)(h, v, rows, offset, products, weights, apart, start, to, past)
    if (vectors == 1) { HEIGHTS(DO, 1) } else { HEIGHTS(DO, TILE_VECTORS) }
#undef DO
}
