/* The points of FUSED_TILES tiles whose rows lie one after the other: include after real.h, from winograd_fused.h. */

ALWAYS_INLINE void NAME(strip_in)(const VECTOR *d, VECTOR *v) WINOGRAD_IN_BODY(VECTOR)

#if defined(PART)
typedef int32_t NAME(strip_bits) __attribute__((vector_size(sizeof(VECTOR))));
ALWAYS_INLINE VECTOR NAME(absolute)(VECTOR x) { return (VECTOR)((NAME(strip_bits))x & INT32_MAX); }
#endif

/* Tiles begin `spread` elements apart in rows of n elements, a vector at least, and an input is `run` of them.
   lines[i * fold]: the rows of inputs. `shared` tiles lie within a vector of elements, and so do their points:
   v[point][element] of a vector, with anything between the tiles and behind them; the next follows within FUSED_POINT
   elements, if it has room there, and else FUSED_TILE further on, as `tile_at` tells. sizes[vector][element]: sums of
   magnitudes. */
NEVER_INLINE void NAME(strip)(const float *const *lines, ptrdiff_t fold, ptrdiff_t n, ptrdiff_t run, ptrdiff_t spread,
                              ptrdiff_t shared, float *v, float *sizes)
{
    const float *first = v;
    ON_LINES float rows[7][STRIP_ROW]; /* points of columns, and sums of magnitudes */
    const ptrdiff_t until = (FUSED_TILES - shared) * spread + 5 * run + LANES;
    for (ptrdiff_t at = 0;;) {
        VECTOR d[6], column[6], sum = {0};
        UNROLL for (int i = 0; i < 6; i++) {
            d[i] = *(const VECTOR *)(lines[i * fold] + at);
            sum += NAME(absolute)(d[i]);
        }
        NAME(strip_in)(d, column);
        UNROLL for (int i = 0; i < 6; i++) *(VECTOR *)(rows[i] + at) = column[i];
        *(VECTOR *)(rows[6] + at) = sum;
        if (at + LANES >= n) break;
        at = at + 2 * LANES <= n ? at + LANES : n - LANES;
    }
    if (n < until) UNROLL for (int i = 0; i < 7; i++) *(VECTOR *)(rows[i] + n) = (VECTOR){0};
    for (int t = 0; t < FUSED_TILES; t += shared, sizes += LANES) {
        VECTOR size = {0};
        float *to = v;
        for (int i = 0; i < 6; i++) {
            VECTOR d[6], row[6];
            UNROLL for (int j = 0; j < 6; j++) d[j] = *(const VECTOR *)(rows[i] + t * spread + j * run);
            NAME(strip_in)(d, row);
            UNROLL for (int j = 0; j < 6; j++, to += FUSED_POINT) *(VECTOR *)to = row[j];
        }
        UNROLL for (int j = 0; j < 6; j++) size += *(const VECTOR *)(rows[6] + t * spread + j * run);
        *(VECTOR *)sizes = size;
        v += (v - first) % FUSED_TILE + LANES < FUSED_POINT ? LANES : FUSED_TILE - (FUSED_POINT - LANES);
    }
}
