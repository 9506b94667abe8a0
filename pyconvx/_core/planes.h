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
#define WIDE_STRIP (TILE_FULL == 14 ? HIGHEST_STRIP : 6) /* two vectors of more sums would not stay in 16 registers */
#define HIGHEST_STRIP 11
#define HIGHEST_STRIDED 7
#define SKIPPING 5 /* rows of taps from which on asking whether a row is zero pays */
#define WIDEST_STRIP 16 /* taps of a row */
#endif

/* Every second element of two vectors, from the i-th of one and the j-th of the other on, as one instruction has them:
   16 bytes of both by themselves. */
#if defined(__GNUC__)
#if VECTOR_BYTES == 64
#define IN_ORDER 0, 2, 4, 6, 1, 3, 5, 7
#elif VECTOR_BYTES == 32
#define IN_ORDER 0, 2, 1, 3
#endif
#if LANES == 16
#define SECONDS(i, j) \
    i, 2 + i, 16 + j, 18 + j, 4 + i, 6 + i, 20 + j, 22 + j, \
    8 + i, 10 + i, 24 + j, 26 + j, 12 + i, 14 + i, 28 + j, 30 + j
#elif LANES == 8 && DIGITS == 24
#define SECONDS(i, j) i, 2 + i, 8 + j, 10 + j, 4 + i, 6 + i, 12 + j, 14 + j
#elif LANES == 8
#define SECONDS(i, j) i, 8 + j, 2 + i, 10 + j, 4 + i, 12 + j, 6 + i, 14 + j
#elif LANES == 4 && DIGITS == 24
#define SECONDS(i, j) i, 2 + i, 4 + j, 6 + j
#elif LANES == 4
#define SECONDS(i, j) i, 4 + j, 2 + i, 6 + j
#else
#define SECONDS(i, j) i, 2 + j
#endif
#if defined(__clang__)
#define PICK(mask, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(mask, a, b, ...) __builtin_shuffle(a, b, (mask){__VA_ARGS__})
#endif
#endif

/* What is there of a vector: all of it, or at the `edge` of a row `which` tells, and 0 is read elsewhere. */
ALWAYS_INLINE VECTOR NAME(planes_read)(const int edge, TRUTH which, const REAL *x)
{
#if MASKED_LOADS
    if (edge) return NAME(load_some)(x, which);
#endif
    return *(const VECTOR *)x;
}

/* x[o * rise], of LANES neighbouring places o; nothing is read beyond the last of them. Where rise is 2, they come in
   the order of SECONDS, which `planes_put` undoes. which: of the vectors from x and from x + LANES - 1 on. */
ALWAYS_INLINE VECTOR NAME(planes_get)(const int rise, const int edge, const TRUTH *which, const REAL *x)
{
    const VECTOR first = NAME(planes_read)(edge, which[0], x);
#if defined(__GNUC__)
    if (rise == 2)
        return PICK(MASK, first, NAME(planes_read)(edge, which[1], x + LANES - 1), SECONDS(0, 1));
#endif
    return first;
}

/* The same of three taps. */
ALWAYS_INLINE void NAME(planes_get_three)(const int rise, const int edge, const TRUTH (*which)[2], const REAL *x,
                                          ptrdiff_t apart, VECTOR *taps)
{
    taps[2] = NAME(planes_get)(rise, edge, which[2], x + 2 * apart);
#if defined(__GNUC__)
    if (rise == 2) { /* neighbours */
        const VECTOR first = NAME(planes_read)(edge, which[0][0], x);
        const VECTOR second = NAME(planes_read)(edge, which[1][1], x + LANES);
        taps[0] = PICK(MASK, first, second, SECONDS(0, 0)), taps[1] = PICK(MASK, first, second, SECONDS(1, 1));
        return;
    }
#endif
    UNROLL for (int k = 0; k < 2; k++) taps[k] = NAME(planes_get)(rise, edge, which[k], x + k * apart);
}

ALWAYS_INLINE void NAME(planes_put)(const int rise, VECTOR sum, REAL *to)
{
#if defined(IN_ORDER)
    if (rise == 2) sum = (VECTOR)PICK(mask_f64, (mask_f64)sum, (mask_f64)sum, IN_ORDER);
#endif
    *(VECTOR *)to = sum;
}
#undef PICK
#undef IN_ORDER
#undef SECONDS

/* to[i][o] = start + rows[i * down + r][o * rise + k * apart] * weights[k * high + r], summed over the taps k of the
   `high` rows r of a kernel. Goes down a strip of `width` vectors: what a row adds to each of the places that read it
   is added at once, so that it is loaded once. A place's products are added in the same order as by `planes`. At the
   `edge` of rows, `which` tells what is there of each vector and tap, and the rest is zero. */
ALWAYS_INLINE void NAME(planes_strip)(const int high, const int width, const int held, const int down, const int rise,
                                      const int edge, const REAL *const *rows, const REAL *weights, ptrdiff_t taps,
                                      ptrdiff_t height, ptrdiff_t apart, TRUTH (*which)[WIDEST_STRIP][2],
                                      ptrdiff_t ahead, ptrdiff_t o, REAL start, REAL *const *to)
{
    const int sums = (high + down - 1) / down;
    const ptrdiff_t lines = (height - 1) * down + high;
    VECTOR acc[HIGHEST_STRIP][2], value[3], all[3][3]; /* acc[r]: of the row of places that is the r-th last to begin */
    if (held) /* the weights of 3 x 3 taps stay in registers */
        UNROLL for (int k = 0; k < 3; k++) UNROLL for (int r = 0; r < 3; r++) all[k][r] = (VECTOR){0} + weights[3 * k + r];
    UNROLL for (int r = 0; r < sums; r++) UNROLL for (int v = 0; v < width; v++) acc[r][v] = (VECTOR){0} + start;
    for (ptrdiff_t i = 0; i < height + sums - 1; i++) {
        UNROLL for (int p = 0; p < down; p++) {
            const int count = (high - p + down - 1) / down;
            if (p && i * down + p == lines) break;
            if (high >= SKIPPING && rows[i * down + p] == NULL) continue;
            /* for the next strip: no processor would see that one coming */
            UNROLL for (int v = 0; v < width * rise; v++) PREFETCH(rows[i * down + p] + ahead - v * LANES);
            if (held) {
                UNROLL for (int v = 0; v < width; v++) {
                    NAME(planes_get_three)(rise, edge, which[v], rows[i * down + p] + (o + v * LANES) * rise, apart, value);
                    UNROLL for (int k = 0; k < 3; k++)
                        UNROLL for (int r = 0; r < count; r++) acc[r][v] += value[k] * all[k][r * down + p];
                }
                continue;
            }
            for (ptrdiff_t k = 0; k < taps; k++) {
                UNROLL for (int v = 0; v < width; v++)
                    value[v] = NAME(planes_get)(rise, edge, which[v][k],
                                                rows[i * down + p] + o * rise + k * apart + v * rise * LANES);
                UNROLL for (int r = 0; r < count; r++) { /* one weight at a time: registers hold the sums */
                    const REAL w = weights[k * high + r * down + p];
                    UNROLL for (int v = 0; v < width; v++) acc[r][v] += value[v] * w;
                }
            }
        }
        if (i >= sums - 1)
            UNROLL for (int v = 0; v < width; v++)
                NAME(planes_put)(rise, acc[sums - 1][v], to[i - sums + 1] + o + v * LANES);
        UNROLL for (int v = 0; v < width; v++) {
            UNROLL for (int r = sums - 1; r > 0; r--) acc[r][v] = acc[r - 1][v];
            acc[0][v] = (VECTOR){0} + start;
        }
    }
}

/* The same for the places o <= p < until of a row: of LOWEST_STRIP to HIGHEST_STRIP rows of taps where down and rise
   are 1, to HIGHEST_STRIDED where rise is 2 and down 1 or 2; as for `planes`, rows of less than a vector of places have
   room for one. From SKIPPING rows of taps on, a row that is NULL is zero, and adds nothing. With MASKED_LOADS, what does
   not lie between run0 and run1 is zero, and not read; without, all lies there. next: how far from these rows
   those are that are read after them. */
static void NAME(planes_down)(int high, int down, int rise, const REAL *const *rows, const REAL *weights,
                              ptrdiff_t taps, ptrdiff_t height, ptrdiff_t apart, ptrdiff_t run0, ptrdiff_t run1,
                              ptrdiff_t next, ptrdiff_t o, ptrdiff_t until, REAL start, REAL *const *to)
{
    const ptrdiff_t places = until - o;
    TRUTH which[2][WIDEST_STRIP][2];
#define DOES(h, t, w, d, s, edge) \
    NAME(planes_strip)(h, w, t, d, s, edge, rows, weights, taps, height, apart, which, ahead, at, start, to)
#define DO(h, t, w, d, s) if (whole) DOES(h, t, w, d, s, 0); else DOES(h, t, w, d, s, 1)
#define KIND(h, t, d, s) (8 * (h) + (t) + 128 * (d) + 512 * (s))
#define CASE(h, t, d, s) \
    case KIND(h, t, d, s): \
        if ((h) <= WIDE_STRIP * (d) && wide) { DO(h, t, 2, d, s); } else { DO(h, t, 1, d, s); } \
        break;
#define LOW(d, s) \
    CASE(2, 0, d, s) CASE(3, 1, d, s) CASE(3, 0, d, s) CASE(4, 0, d, s) CASE(5, 0, d, s) CASE(6, 0, d, s) CASE(7, 0, d, s)
    while (o < until) {
        const int wide = high <= WIDE_STRIP * down && until - o > LANES && places >= 2 * LANES;
        const int lanes = wide ? 2 * LANES : LANES;
        const ptrdiff_t at = o + lanes <= until || places < LANES ? o : until - lanes;
        const ptrdiff_t reach = lanes * rise + (taps - 1) * apart - 1;
        const ptrdiff_t ahead = (o + lanes < until ? (o + lanes) * rise : next) + reach;
        const int inside = run0 <= at * rise && (at + lanes - 1) * rise + (taps - 1) * apart < run1;
        const int whole = MASKED_LOADS == 0 || (MASKED_LOADS == 1 && inside);
        for (int v = 0; v < (whole ? 0 : lanes / LANES); v++)
            for (ptrdiff_t k = 0; k < taps; k++)
                for (int more = 0; more < rise; more++) {
                    const ptrdiff_t from = (at + v * LANES) * rise + k * apart + more * (LANES - 1);
                    which[v][k][more] = NAME(lanes_between)(run0 - from, run1 - from);
                }
        switch (KIND(high, high == 3 && taps == 3 && (rise == 1 || apart == 1), down, rise)) {
            LOW(1, 1) CASE(8, 0, 1, 1) CASE(9, 0, 1, 1) CASE(10, 0, 1, 1) CASE(11, 0, 1, 1)
            LOW(1, 2)
            LOW(2, 2)
        }
        o += lanes;
    }
#undef LOW
#undef CASE
#undef KIND
#undef DO
#undef DOES
}

/* Some positions of a row of x, by their codes: elements, or else zero. Between run0 and run1 they are neighbours. */
ALWAYS_INLINE void NAME(lay_row)(const REAL *row, const ptrdiff_t *code, ptrdiff_t length, ptrdiff_t run0,
                                 ptrdiff_t run1, REAL *to)
{
    const ptrdiff_t count = run1 - run0;
    for (ptrdiff_t t = 0; t < run0; t++) to[t] = code[t] < 0 ? 0 : row[code[t]];
    for (ptrdiff_t t = run1; t < length; t++) to[t] = code[t] < 0 ? 0 : row[code[t]];
    if (count == 0) return;
    row += code[run0], to += run0;
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) *(VECTOR *)(to + i) = *(const VECTOR *)(row + i);
    if (i && i < count) *(VECTOR *)(to + count - LANES) = *(const VECTOR *)(row + count - LANES);
    else for (; i < count; i++) to[i] = row[i];
}
