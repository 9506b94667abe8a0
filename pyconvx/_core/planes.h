/* Sums over rows of single channels, whose lanes are neighbouring places: for results of few channels, where lanes made of
   filters would stay empty. One body for float and double: include after real.h. */

/* to[r][o] = start[r] + rows[e][o + k * apart] * weights[e * band + r][k], summed over the entries e and the taps k; entry e
   counts for the rows from[e] <= r < until[e] of the band only, and where bit r of folds[e] is set, the chain of products
   of row r ends after it (folds is NULL where no chain does). o runs over `width` vectors of places. A row's chains end
   where its own number of products says so, so the bits do not depend on its place in the band. */
ALWAYS_INLINE void NAME(planes_fold)(const int width, VECTOR *acc, REAL *to)
{
    UNROLL for (int v = 0; v < width; v++) {
        *(VECTOR *)(to + v * LANES) += acc[v];
        acc[v] = (VECTOR){0};
    }
}

ALWAYS_INLINE void NAME(planes_body)(const int band, const int width, const REAL *const *rows, const REAL *const *weights,
                                     const int *from, const int *until, const int *folds, ptrdiff_t entries,
                                     ptrdiff_t taps, ptrdiff_t tap_step, ptrdiff_t apart, ptrdiff_t o, REAL start,
                                     REAL *const *to)
{
    VECTOR acc[4][8];
    UNROLL for (int r = 0; r < band; r++)
        UNROLL for (int v = 0; v < width; v++) {
            acc[r][v] = (VECTOR){0} + start;
            if (folds) *(VECTOR *)(to[r] + o + v * LANES) = (VECTOR){0};
        }
    for (ptrdiff_t e = 0; e < entries; e++, weights += band) {
        const REAL *row = rows[e] + o;
        for (ptrdiff_t k = 0; k < taps;) {
            const ptrdiff_t end = taps - k < FOLD ? taps : k + FOLD;
            if (from[e] == 0 && until[e] == band)
                for (; k < end; k++, row += apart) {
                    VECTOR x[8];
                    UNROLL for (int v = 0; v < width; v++) x[v] = *(const VECTOR *)(row + v * LANES);
                    UNROLL for (int r = 0; r < band; r++) {
                        const REAL w = weights[r][k * tap_step];
                        UNROLL for (int v = 0; v < width; v++) acc[r][v] += x[v] * w;
                    }
                }
            for (; k < end; k++, row += apart)
                UNROLL for (int r = 0; r < band; r++) {
                    if (r < from[e] || r >= until[e]) continue;
                    const REAL w = weights[r][k * tap_step];
                    UNROLL for (int v = 0; v < width; v++) acc[r][v] += *(const VECTOR *)(row + v * LANES) * w;
                }
            if (folds == NULL) continue;
            UNROLL for (int r = 0; r < band; r++)
                if (folds[e] >> r & 1) NAME(planes_fold)(width, acc[r], to[r] + o);
        }
    }
    UNROLL for (int r = 0; r < band; r++)
        UNROLL for (int v = 0; v < width; v++) {
            VECTOR *place = (VECTOR *)(to[r] + o + v * LANES);
            if (folds) acc[r][v] += *place;
            *place = acc[r][v];
        }
}

/* A band of 1 or 4 rows, `places` long; the rows and what `to` points at have room for whole vectors. */
static void NAME(planes)(int band, const REAL *const *rows, const REAL *const *weights, const int *from, const int *until,
                         const int *folds, ptrdiff_t entries, ptrdiff_t taps, ptrdiff_t tap_step, ptrdiff_t apart, ptrdiff_t places,
                         REAL start, REAL *const *to)
{
#define DO(b, w) NAME(planes_body)(b, w, rows, weights, from, until, folds, entries, taps, tap_step, apart, o, start, to)
    ptrdiff_t o = 0;
    if (band == 1) {
        for (; o + 4 * LANES < places; o += 8 * LANES) DO(1, 8);
        for (; o < places; o += 2 * LANES) DO(1, 2);
    } else {
        for (; o + 2 * LANES < places; o += PLANES_WIDTH * LANES) DO(4, PLANES_WIDTH);
        for (; o < places; o += LANES) DO(4, 1);
    }
#undef DO
}
