/* The two register-tile kernels, one body for every real type: include with REAL, VECTOR, LANES and NAME(x) defined.
   `sums` holds height rows of TILE_VECTORS * LANES (or, in the narrow form, LANES) values, read at the start and
   written at the end, so that a sum can go on over several calls. Every output is one chain of multiply-adds in the
   order of the reduction, whatever the height: the bits do not depend on how outputs are cut into tiles. */

/* sums[m][:] += rows[t][m][offset + c] * panel[tap[t]][c][:], summed over t and c.
   rows: `count` groups of TILE_FULL pointers; tap[t]: how many rows of the panel lie before the filters of that tap. */
ALWAYS_INLINE void NAME(multiply_body)(const int height, const int width, const REAL *const *rows, const ptrdiff_t *tap,
                                       ptrdiff_t count, ptrdiff_t offset, ptrdiff_t channels, const REAL *panel,
                                       REAL *sums)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS];
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++)
            acc[m][v] = *(const VECTOR *)(sums + (m * width + v) * LANES);
    for (ptrdiff_t t = 0; t < count; t++, rows += TILE_FULL) {
        const REAL *filters = panel + tap[t] * width * LANES;
        for (ptrdiff_t c = offset; c < offset + channels; c++, filters += width * LANES) {
            VECTOR b[TILE_VECTORS];
            UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(filters + v * LANES);
            UNROLL for (int m = 0; m < height; m++) {
                const REAL a = rows[m][c];
                UNROLL for (int v = 0; v < width; v++) acc[m][v] += b[v] * a;
            }
        }
    }
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++)
            *(VECTOR *)(sums + (m * width + v) * LANES) = acc[m][v];
}

/* sums[m][:] += rows[p][offset + m] * panel[p][:], summed over p: the outer products of the filter gradient. */
ALWAYS_INLINE void NAME(outer_body)(const int height, const int width, const REAL *const *rows, ptrdiff_t count,
                                    ptrdiff_t offset, const REAL *panel, REAL *sums)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS];
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++)
            acc[m][v] = *(const VECTOR *)(sums + (m * width + v) * LANES);
    for (ptrdiff_t p = 0; p < count; p++, panel += width * LANES) {
        const REAL *row = rows[p] + offset;
        VECTOR b[TILE_VECTORS];
        UNROLL for (int v = 0; v < width; v++) b[v] = *(const VECTOR *)(panel + v * LANES);
        UNROLL for (int m = 0; m < height; m++) {
            const REAL a = row[m];
            UNROLL for (int v = 0; v < width; v++) acc[m][v] += b[v] * a;
        }
    }
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++)
            *(VECTOR *)(sums + (m * width + v) * LANES) = acc[m][v];
}

/* The instances: a tile is `vectors` wide (1 or TILE_VECTORS) and as tall as the smallest height that holds it. */
#define HEIGHTS(DO, vectors) \
    if (height > TILE_HALF) DO(TILE_FULL, vectors); \
    else if (height > TILE_SMALL) DO(TILE_HALF, vectors); \
    else if (height > 1) DO(TILE_SMALL, vectors); \
    else DO(1, vectors);

static void NAME(multiply)(ptrdiff_t height, int vectors, const REAL *const *rows, const ptrdiff_t *tap, ptrdiff_t count,
                           ptrdiff_t offset, ptrdiff_t channels, const REAL *panel, REAL *sums)
{
#define DO(h, v) NAME(multiply_body)(h, v, rows, tap, count, offset, channels, panel, sums)
    if (vectors == 1) { HEIGHTS(DO, 1) } else { HEIGHTS(DO, TILE_VECTORS) }
#undef DO
}

static void NAME(outer)(ptrdiff_t height, int vectors, const REAL *const *rows, ptrdiff_t count, ptrdiff_t offset,
                        const REAL *panel, REAL *sums)
{
#define DO(h, v) NAME(outer_body)(h, v, rows, count, offset, panel, sums)
    if (vectors == 1) { HEIGHTS(DO, 1) } else { HEIGHTS(DO, TILE_VECTORS) }
#undef DO
}
#undef HEIGHTS
