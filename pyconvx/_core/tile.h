/* The register-tile kernels, one body for every real type: include with REAL, VECTOR, LANES and NAME(x) defined.
   A tile has `height` rows and is `width` (1 or TILE_VECTORS) vectors wide. Every output is one chain of multiply-adds in
   the order of the reduction, whatever the height: the bits do not depend on how outputs are cut into tiles. */

/* to[m][:] = from[m][:] + rows[t][m][offset + c] * panel[tap[t]][c][:], summed over t and c.
   rows: `count` groups of TILE_FULL pointers; tap[t]: how many rows of the panel lie before the filters of that tap.
   from and to: a row of the tile starts `from_step` elements after the one before it (0: all start alike), or at to[m]. */
ALWAYS_INLINE void NAME(multiply_body)(const int height, const int width, const REAL *const *rows, const ptrdiff_t *tap,
                                       ptrdiff_t count, ptrdiff_t offset, ptrdiff_t channels, const REAL *panel,
                                       const REAL *from, ptrdiff_t from_step, REAL *const *to, ptrdiff_t first)
{
    VECTOR acc[TILE_FULL][TILE_VECTORS];
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int v = 0; v < width; v++)
            acc[m][v] = *(const VECTOR *)(from + m * from_step + v * LANES);
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
            *(VECTOR *)(to[m] + first + v * LANES) = acc[m][v];
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

/* The instances: one per height, so that no tile computes rows it does not have. */
#if TILE_FULL == 14
#define TALL(DO, v) \
    case 14: DO(14, v); break; case 13: DO(13, v); break; case 12: DO(12, v); break; case 11: DO(11, v); break; \
    case 10: DO(10, v); break; case 9: DO(9, v); break; case 8: DO(8, v); break; case 7: DO(7, v); break;
#else
#define TALL(DO, v)
#endif
#define HEIGHTS(DO, v) \
    switch (height) { \
        TALL(DO, v) \
        case 6: DO(6, v); break; case 5: DO(5, v); break; case 4: DO(4, v); break; \
        case 3: DO(3, v); break; case 2: DO(2, v); break; default: DO(1, v); break; \
    }

static void NAME(multiply)(ptrdiff_t height, int vectors, const REAL *const *rows, const ptrdiff_t *tap, ptrdiff_t count,
                           ptrdiff_t offset, ptrdiff_t channels, const REAL *panel, const REAL *from,
                           ptrdiff_t from_step, REAL *const *to, ptrdiff_t first)
{
#define DO(h, v) NAME(multiply_body)(h, v, rows, tap, count, offset, channels, panel, from, from_step, to, first)
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
#undef TALL
