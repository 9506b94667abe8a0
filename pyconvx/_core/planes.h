/* Sums over rows of single channels, whose lanes are neighbouring places: for results of few channels, where lanes made of
   filters would stay empty. One body for float and double: include after real.h. */

/* to[r][o] = start + rows[e][o + k * apart] * w[e][k][r], summed over the entries e and the taps k; entry e counts for
   the rows from[e] <= r < until[e] of the band only, whose weights are all that there are, and where bit r of folds[e] is
   set, the chain of products of row r ends after it (folds is NULL where no chain does). o runs over `width` vectors of
   places. A row's chains end where its own number of products says so, so the bits do not depend on its place in the
   band. */
ALWAYS_INLINE void NAME(planes_fold)(const int width, VECTOR *acc, REAL *to)
{
    UNROLL for (int v = 0; v < width; v++) {
        *(VECTOR *)(to + v * LANES) += acc[v];
        acc[v] = (VECTOR){0};
    }
}

/* Adds the products of some taps of one entry with the rows from <= r < until of the band. */
ALWAYS_INLINE void NAME(planes_taps)(const int from, const int until, const int width, VECTOR (*acc)[8], const REAL *row,
                                     const REAL *weights, ptrdiff_t taps, ptrdiff_t apart)
{
    for (; taps > 0; taps--, row += apart, weights += until - from) {
        VECTOR x[8];
        UNROLL for (int v = 0; v < width; v++) x[v] = *(const VECTOR *)(row + v * LANES);
        UNROLL for (int r = from; r < until; r++) {
            const REAL w = weights[r - from];
            UNROLL for (int v = 0; v < width; v++) acc[r][v] += x[v] * w;
        }
    }
}

ALWAYS_INLINE void NAME(planes_body)(const int band, const int width, const REAL *const *rows, const REAL *weights,
                                     const int *from, const int *until, const int *folds, ptrdiff_t entries,
                                     ptrdiff_t taps, ptrdiff_t apart, ptrdiff_t o, REAL start, REAL *const *to)
{
    VECTOR acc[4][8];
    UNROLL for (int r = 0; r < band; r++)
        UNROLL for (int v = 0; v < width; v++) {
            acc[r][v] = (VECTOR){0} + start;
            if (folds) *(VECTOR *)(to[r] + o + v * LANES) = (VECTOR){0};
        }
    for (ptrdiff_t e = 0; e < entries; e++) {
        for (ptrdiff_t k = 0; k < taps; k += FOLD) {
            const ptrdiff_t some = taps - k < FOLD ? taps - k : FOLD;
#define ADD(f, u) \
    NAME(planes_taps)(f, u, width, acc, rows[e] + o + k * apart, weights, some, apart); \
    weights += (u - f) * some
#define DO(f, u) case f * 8 + u: ADD(f, u); break;
            if (band == 1) {
                ADD(0, 1);
            } else switch (from[e] * 8 + until[e]) {
                DO(0, 1) DO(0, 2) DO(0, 3) DO(0, 4) DO(1, 2) DO(1, 3) DO(1, 4) DO(2, 3) DO(2, 4) DO(3, 4)
            }
#undef DO
#undef ADD
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

/* A band of 1 or 4 rows, `places` long. Of less than a vector of places, the rows and what `to` points at have room for
   whole vectors; else nothing but the places is written: the last ones may be summed twice. */
static void NAME(planes)(int band, const REAL *const *rows, const REAL *weights, const int *from, const int *until,
                         const int *folds, ptrdiff_t entries, ptrdiff_t taps, ptrdiff_t apart, ptrdiff_t places, REAL start,
                         REAL *const *to)
{
#define DO(b, w) NAME(planes_body)(b, w, rows, weights, from, until, folds, entries, taps, apart, at, start, to)
#define SWEEP(b, w, least) \
    for (; places - o >= (least) * LANES && places >= (w) * LANES; o += (w) * LANES) { \
        const ptrdiff_t at = o + (w) * LANES <= places ? o : places - (w) * LANES; \
        DO(b, w); \
    }
    ptrdiff_t o = 0;
    if (band == 1) {
        SWEEP(1, 8, 5)
        SWEEP(1, 2, 2)
    } else {
        SWEEP(4, PLANES_WIDTH, PLANES_WIDTH / 2 + 1)
    }
    for (; o < places; o += LANES) {
        const ptrdiff_t at = o + LANES <= places || places < LANES ? o : places - LANES;
        if (band == 1) DO(1, 1);
        else DO(4, 1);
    }
#undef SWEEP
#undef DO
}

#ifndef LOWEST_STRIP
#define LOWEST_STRIP 2
#define WIDE_STRIP 6 /* two vectors of more sums would not stay in 16 registers */
#define HIGHEST_STRIP 11
#endif

/* to[i][o] = start + rows[i + r][o + k * apart] * weights[r * taps + k], summed over the taps k of the `high` rows r of a
   kernel. Goes down a strip of `width` vectors: what a row adds to each of the places that read it is added at once, so
   that it is loaded once. A place's products are added in the same order as by `planes`. */
ALWAYS_INLINE void NAME(planes_tap)(const int high, const int width, const REAL *row, const VECTOR *weights,
                                    VECTOR (*acc)[2])
{
    UNROLL for (int v = 0; v < width; v++) {
        const VECTOR x = *(const VECTOR *)(row + v * LANES);
        UNROLL for (int r = 0; r < high; r++) acc[r][v] += x * weights[r];
    }
}

ALWAYS_INLINE void NAME(planes_strip)(const int high, const int width, const int held, const REAL *const *rows,
                                      const REAL *weights, ptrdiff_t taps, ptrdiff_t height, ptrdiff_t apart, ptrdiff_t o,
                                      REAL start, REAL *const *to)
{
    const ptrdiff_t beyond = 2 * width * LANES + (taps - 1) * apart - 1;
    VECTOR acc[HIGHEST_STRIP][2], w[3], all[3][3]; /* acc[r] of the place whose r-th row this is */
    if (held) /* the weights of 3 x 3 taps stay in registers */
        UNROLL for (int k = 0; k < 3; k++) UNROLL for (int r = 0; r < 3; r++) all[k][r] = (VECTOR){0} + weights[3 * r + k];
    UNROLL for (int r = 0; r < high; r++) UNROLL for (int v = 0; v < width; v++) acc[r][v] = (VECTOR){0} + start;
    for (ptrdiff_t i = 0; i < height + high - 1; i++) {
        PREFETCH(rows[i] + o + beyond); /* for the next strip: no processor would see that one coming */
        if (held) {
            UNROLL for (int k = 0; k < 3; k++) NAME(planes_tap)(high, width, rows[i] + o + k * apart, all[k], acc);
        } else {
            for (ptrdiff_t k = 0; k < taps; k++) {
                if (high < 4) {
                    UNROLL for (int r = 0; r < high; r++) w[r] = (VECTOR){0} + weights[r * taps + k];
                    NAME(planes_tap)(high, width, rows[i] + o + k * apart, w, acc);
                    continue;
                }
                VECTOR x[2]; /* and one weight at a time: all of them would not stay in registers beside the sums */
                UNROLL for (int v = 0; v < width; v++) x[v] = *(const VECTOR *)(rows[i] + o + k * apart + v * LANES);
                UNROLL for (int r = 0; r < high; r++) {
                    const REAL w = weights[r * taps + k];
                    UNROLL for (int v = 0; v < width; v++) acc[r][v] += x[v] * w;
                }
            }
        }
        if (i >= high - 1)
            UNROLL for (int v = 0; v < width; v++) *(VECTOR *)(to[i - high + 1] + o + v * LANES) = acc[high - 1][v];
        UNROLL for (int v = 0; v < width; v++) {
            UNROLL for (int r = high - 1; r > 0; r--) acc[r][v] = acc[r - 1][v];
            acc[0][v] = (VECTOR){0} + start;
        }
    }
}

/* The same for the places o <= p < until of a row, of LOWEST_STRIP to HIGHEST_STRIP rows of taps; as for `planes`, rows of
   less than a vector of places have room for one. */
static void NAME(planes_down)(int high, const REAL *const *rows, const REAL *weights, ptrdiff_t taps, ptrdiff_t height,
                              ptrdiff_t apart, ptrdiff_t o, ptrdiff_t until, REAL start, REAL *const *to)
{
    const ptrdiff_t places = until - o;
#define DO(h, t, w) NAME(planes_strip)(h, w, t, rows, weights, taps, height, apart, at, start, to)
#define CASE(h, t) case 8 * h + t: if (wide) DO(h, t, 2); else DO(h, t, 1); break;
#define HIGH(h) case 8 * h: DO(h, 0, 1); break;
    while (o < until) {
        const int wide = high <= WIDE_STRIP && until - o > LANES && places >= 2 * LANES, lanes = wide ? 2 * LANES : LANES;
        const ptrdiff_t at = o + lanes <= until || places < LANES ? o : until - lanes;
        switch (8 * high + (high == 3 && taps == 3)) {
            CASE(2, 0) CASE(3, 1) CASE(3, 0) CASE(4, 0) CASE(5, 0) CASE(6, 0)
            HIGH(7) HIGH(8) HIGH(9) HIGH(10) HIGH(11)
        }
        o += lanes;
    }
#undef HIGH
#undef CASE
#undef DO
}
