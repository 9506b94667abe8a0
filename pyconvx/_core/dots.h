/* The products of a tile of rows with a few filters, lanes being channels: include after real.h. */

#define DOTS_SPAN (FOLD * LANES) /* products that one vector of sums takes before it is added up */

/* sums[m][f] = rows[t][m][offset + c] * filters[f][tap[t] + c], summed over t and c.
   rows: `count` groups of TILE_FULL pointers; filters lie `step` elements apart, and tap[t] says where those of a tap
   begin; there are at most DOTS_HEIGHT rows. The order of a sum is that of the numbers tap[t] + c, so that missing taps do
   not change a bit. */
ALWAYS_INLINE void NAME(dots_body)(const int height, const int outputs, const REAL *const *rows, const ptrdiff_t *tap,
                                   ptrdiff_t count, ptrdiff_t offset, ptrdiff_t channels, const REAL *filters,
                                   ptrdiff_t step, REAL *sums)
{
    VECTOR acc[DOTS_ROWS][DOTS_FILTERS];
    REAL lane[LANES];
    ptrdiff_t limit = count ? (tap[0] | (DOTS_SPAN - 1)) + 1 : 0;
    UNROLL for (int m = 0; m < height; m++)
        UNROLL for (int f = 0; f < outputs; f++) {
            acc[m][f] = (VECTOR){0};
            sums[m * outputs + f] = 0;
        }
#define ADD_UP \
    UNROLL for (int m = 0; m < height; m++) \
        UNROLL for (int f = 0; f < outputs; f++) { \
            *(VECTOR *)lane = acc[m][f]; \
            for (int n = LANES / 2; n > 0; n /= 2) \
                for (int i = 0; i < n; i++) lane[i] += lane[i + n]; \
            sums[m * outputs + f] += lane[0]; \
            acc[m][f] = (VECTOR){0}; \
        }
    for (ptrdiff_t t = 0; t < count; t++, rows += TILE_FULL) {
        const REAL *weights = filters + tap[t];
        ptrdiff_t c = 0;
        while (c + LANES <= channels) {
            if (tap[t] + c >= limit) {
                limit = ((tap[t] + c) | (DOTS_SPAN - 1)) + 1;
                ADD_UP
            }
            const ptrdiff_t end = limit - tap[t] < channels - LANES + 1 ? limit - tap[t] : channels - LANES + 1;
            for (; c < end; c += LANES) {
                VECTOR b[DOTS_FILTERS];
                UNROLL for (int f = 0; f < outputs; f++) b[f] = *(const VECTOR *)(weights + f * step + c);
                UNROLL for (int m = 0; m < height; m++) {
                    const VECTOR a = *(const VECTOR *)(rows[m] + offset + c);
                    UNROLL for (int f = 0; f < outputs; f++) acc[m][f] += a * b[f];
                }
            }
        }
        if (c < channels) {
            /* laid out before anything is multiplied: what products and sums lie between is rounded as it is above */
            VECTOR b[DOTS_FILTERS], a[DOTS_ROWS];
            for (int f = 0; f < outputs; f++) {
                b[f] = (VECTOR){0};
                for (ptrdiff_t i = c; i < channels; i++) ((REAL *)&b[f])[i - c] = weights[f * step + i];
            }
            for (int m = 0; m < height; m++) {
                a[m] = (VECTOR){0};
                for (ptrdiff_t i = c; i < channels; i++) ((REAL *)&a[m])[i - c] = rows[m][offset + i];
            }
            UNROLL for (int m = 0; m < height; m++)
                UNROLL for (int f = 0; f < outputs; f++) acc[m][f] += a[m] * b[f];
        }
    }
    ADD_UP
#undef ADD_UP
}

NEVER_INLINE void NAME(dots)(ptrdiff_t height, ptrdiff_t outputs, const REAL *const *rows, const ptrdiff_t *tap,
                             ptrdiff_t count, ptrdiff_t offset, ptrdiff_t channels, const REAL *filters, ptrdiff_t step,
                             REAL *sums)
{
#define DO(h, f) NAME(dots_body)(h, f, rows, tap, count, offset, channels, filters, step, sums)
    switch (outputs) {
        case 1: switch (height) { HIGH_DOTS(DO, 1) } break;
        case 2: switch (height) { HIGH_DOTS(DO, 2) } break;
        default: switch (height) { LOW_DOTS(DO, 3) } break;
    }
#undef DO
}
#undef DOTS_SPAN
