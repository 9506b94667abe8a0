/* Depthwise convolution: lanes are channels, and nothing is summed over them. Include after real.h.
   An output is the sum over what its kernel rows read, in order, and along each from the first column on, in every kernel
   here: the bits do not depend on which one computes it. Bodies compute a vector of channels from c on, whose filters are a
   panel of a vector for each tap. */

/* A tile of `width` places that lie `stride` columns apart, as taps lie one: each column is loaded once for all places and
   taps that it serves. What is read: `count` runs of `taps`; of their columns, where there are three taps or more, as
   many as are `there` from `since` on. */
ALWAYS_INLINE void NAME(line_body)(const int width, const int taps, const int stride, const struct taps_run *runs,
                                   ptrdiff_t count, ptrdiff_t tap_step, const REAL *panel, ptrdiff_t c,
                                   const REAL *start, REAL *to, ptrdiff_t to_step, ptrdiff_t since, size_t there)
{
    VECTOR acc[TILE_FULL];
    UNROLL for (int m = 0; m < width; m++) acc[m] = *(const VECTOR *)(start + c);
    for (; count > 0; count--, runs++) {
        const REAL *x = (const REAL *)runs->x + c, *filter = panel + runs->tap * LANES;
        const ptrdiff_t apart = runs->apart;
        VECTOR w[MOST_PIECE];
        UNROLL for (int k = 0; k < taps; k++, filter += tap_step * LANES) w[k] = *(const VECTOR *)filter;
        UNROLL_LINE for (int column = 0; column < (width - 1) * stride + taps; column++, x += apart) {
            if (taps >= LEAST_PASSING && (size_t)(column - since) >= there) continue;
            const VECTOR v = *(const VECTOR *)x;
            UNROLL for (int k = 0; k < taps; k++)
                if (column >= k && (column - k) % stride == 0 && (column - k) / stride < width)
                    acc[(column - k) / stride] += v * w[k];
        }
    }
    UNROLL for (int m = 0; m < width; m++, to += to_step) *(VECTOR *)(to + c) = acc[m];
}

/* Tiles of two rows of places with 3 x 3 taps, of which the second reads from the kernel row `stride` of the first on: each
   row of x is loaded once for both. What is read: 3 + stride runs for each of `count` planes, as above. */
ALWAYS_INLINE void NAME(pair_body)(const int width, const int stride, const struct taps_run *runs, ptrdiff_t count,
                                   ptrdiff_t tap_step, const REAL *panel, ptrdiff_t c, const REAL *start, REAL *to,
                                   ptrdiff_t to_step, ptrdiff_t second, ptrdiff_t since, size_t there)
{
    VECTOR acc[2][PAIR_FULL];
    UNROLL for (int m = 0; m < width; m++) acc[0][m] = acc[1][m] = *(const VECTOR *)(start + c);
    for (; count > 0; count--, runs += 3 + stride) {
        VECTOR w[3][3];
        UNROLL for (int i = 0; i < 3; i++)
            UNROLL for (int k = 0; k < 3; k++)
                w[i][k] = *(const VECTOR *)(panel + (runs[i].tap + k * tap_step) * LANES);
        UNROLL for (int line = 0; line < 3 + stride; line++) {
            const REAL *x = (const REAL *)runs[line].x + c;
            const ptrdiff_t apart = runs[line].apart;
            UNROLL for (int column = 0; column < (width - 1) * stride + 3; column++, x += apart) {
                if ((size_t)(column - since) >= there) continue;
                const VECTOR v = *(const VECTOR *)x;
                UNROLL for (int r = 0; r < 2; r++)
                    UNROLL for (int k = 0; k < 3; k++)
                        if (line >= r * stride && line < r * stride + 3 && column >= k && (column - k) % stride == 0
                            && (column - k) / stride < width)
                            acc[r][(column - k) / stride] += v * w[line - r * stride][k];
            }
        }
    }
    UNROLL for (int m = 0; m < width; m++, to += to_step) {
        *(VECTOR *)(to + c) = acc[0][m];
        *(VECTOR *)(to + second + c) = acc[1][m];
    }
}

/* Places that do not lie evenly, at to[0] ... to[height - 1]: what each of them reads with a tap stands in x, in groups of
   TILE_FULL pointers, by kernel row and column. */
ALWAYS_INLINE void NAME(single_body)(const int height, const struct span *span, const REAL *const *x,
                                     const struct kernel_row *rows, ptrdiff_t count, const REAL *panel, ptrdiff_t c,
                                     const REAL *start, REAL *const *to)
{
    VECTOR acc[TILE_FULL];
    UNROLL for (int m = 0; m < height; m++) acc[m] = *(const VECTOR *)(start + c);
    for (; count > 0; count--, rows++) {
        const REAL *filter = panel + (rows->tap + span->tap) * LANES;
        for (ptrdiff_t k = 0; k < span->taps; k++, x += TILE_FULL, filter += span->tap_step * LANES) {
            const VECTOR w = *(const VECTOR *)filter;
            UNROLL for (int m = 0; m < height; m++) acc[m] += *(const VECTOR *)(x[m] + c) * w;
        }
    }
    UNROLL for (int m = 0; m < height; m++) *(VECTOR *)(to[m] + c) = acc[m];
}

/* Lists what the first place of a span reads of a kernel row, in pieces of the taps that are read at once. */
static struct taps_run *NAME(add_runs)(const struct span *span, const struct kernel_row *row, struct taps_run *runs)
{
    const REAL *x = (const REAL *)row->x + span->column * row->pixel;
    for (ptrdiff_t k = 0; k < span->taps; k += span->piece, runs++, x += span->piece * span->apart * row->pixel)
        *runs = (struct taps_run){x, span->between * row->pixel, row->tap + span->tap + k * span->tap_step};
    return runs;
}

/* Cuts a span into tiles of the full width, of a half or a quarter of it, or of one place; DO(width) is done for every vector
   of channels of each. A tile may overlap the one before it: the same sums are written twice. */
#define EACH_VECTOR(DO, width) \
    for (ptrdiff_t v = 0; v < vectors; v++) DO(width, weights + v * all_taps * LANES, first + v * LANES);
#define TILES(DO, full, stride, all_runs) \
    const ptrdiff_t count = span->count, tap_step = span->tap_step, to_step = span->to_step; \
    for (ptrdiff_t next = 0, place = 0, left; (left = count - next) > 0;) { \
        const int width = left > (full) / 2 && count >= (full) ? (full) \
            : left > (full) / 4 && count >= (full) / 2 ? (full) / 2 \
            : left > 1 && count >= (full) / 4 ? (full) / 4 : 1; \
        const ptrdiff_t on = (width < left ? next : count - width) - place; \
        for (ptrdiff_t i = 0; i < all_runs; i++) runs[i].x = (const REAL *)runs[i].x + on * stride * runs[i].apart; \
        to += on * to_step; \
        place += on; \
        if (width == (full)) EACH_VECTOR(DO, full) \
        else if (width == (full) / 2) EACH_VECTOR(DO, (full) / 2) \
        else if ((full) / 4 > 1 && width == (full) / 4) EACH_VECTOR(DO, (full) / 4) \
        else EACH_VECTOR(DO, 1) \
        next += width; \
    }

#define DO(width, panel, c) \
    NAME(line_body)(width, TAPS, STRIDE, runs, run_count, tap_step, panel, c, start, to, to_step, \
                    span->since - place * STRIDE, span->there)
#define LINE(taps, stride) \
    NEVER_INLINE void NAME(line_##taps##_##stride)(const struct span *span, struct taps_run *runs, ptrdiff_t run_count, \
                                                   const REAL *weights, ptrdiff_t all_taps, ptrdiff_t first, \
                                                   ptrdiff_t vectors, const REAL *start, REAL *to) \
    { \
        enum { TAPS = taps, STRIDE = stride, FULL = LANES > 1 ? TILE_FULL : 4 }; /* single channels are rare */ \
        TILES(DO, FULL, STRIDE, run_count) \
    }
LINE(1, 1) LINE(2, 1) LINE(3, 1) LINE(5, 1) LINE(7, 1)
#if MOST_PIECE > 7
LINE(9, 1)
#endif
LINE(2, 2) LINE(3, 2) LINE(5, 2) LINE(7, 2)
#undef LINE
#undef DO

static void NAME(line_vectors)(const struct span *span, const struct kernel_row *rows, ptrdiff_t count,
                               struct taps_run *runs, const REAL *weights, ptrdiff_t all_taps, ptrdiff_t first,
                               ptrdiff_t vectors, const REAL *start, REAL *to)
{
    struct taps_run *end = runs;
    for (; count > 0; count--) end = NAME(add_runs)(span, rows++, end);
#define CASE(taps, stride) case taps * 4 + stride: \
    NAME(line_##taps##_##stride)(span, runs, end - runs, weights, all_taps, first, vectors, start, to); break;
    switch (span->piece * 4 + span->stride) {
        CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(5, 1) CASE(7, 1) CASE(2, 2) CASE(3, 2) CASE(5, 2) CASE(7, 2)
#if MOST_PIECE > 7
        CASE(9, 1)
#endif
    }
#undef CASE
}

#define DO(width, panel, c) \
    NAME(pair_body)(width, STRIDE, runs, planes, tap_step, panel, c, start, to, to_step, second, \
                    span->since - place * STRIDE, span->there)
#define PAIR(stride) \
    NEVER_INLINE void NAME(pair_##stride)(const struct span *span, struct taps_run *runs, ptrdiff_t planes, \
                                          const REAL *weights, ptrdiff_t all_taps, ptrdiff_t first, ptrdiff_t vectors, \
                                          const REAL *start, REAL *to, ptrdiff_t second) \
    { \
        enum { STRIDE = stride, FULL = LANES > 1 ? PAIR_FULL : 2 }; \
        TILES(DO, FULL, STRIDE, planes * (3 + STRIDE)) \
    }
PAIR(1) PAIR(2)
#undef PAIR
#undef DO

static void NAME(pair_vectors)(const struct span *span, const struct kernel_row *rows, const struct kernel_row *rows2,
                               ptrdiff_t planes, struct taps_run *runs, const REAL *weights, ptrdiff_t all_taps,
                               ptrdiff_t first, ptrdiff_t vectors, const REAL *start, REAL *to, ptrdiff_t second)
{
    struct taps_run *end = runs;
    for (ptrdiff_t i = 0; i < planes; i++, rows += 3, rows2 += 3) {
        for (int line = 0; line < 3; line++) end = NAME(add_runs)(span, rows + line, end);
        for (ptrdiff_t line = 3 - span->stride; line < 3; line++) end = NAME(add_runs)(span, rows2 + line, end);
    }
    if (span->stride == 1) NAME(pair_1)(span, runs, planes, weights, all_taps, first, vectors, start, to, second);
    else NAME(pair_2)(span, runs, planes, weights, all_taps, first, vectors, start, to, second);
}

NEVER_INLINE void NAME(single_vectors)(ptrdiff_t height, const struct span *span, const REAL *const *x,
                                       const struct kernel_row *rows, ptrdiff_t count, const REAL *weights,
                                       ptrdiff_t all_taps, ptrdiff_t first, ptrdiff_t vectors, const REAL *start,
                                       REAL *const *to)
{
    const struct span all = *span;
    for (ptrdiff_t v = 0; v < vectors; v++) {
#define DO(h, u) NAME(single_body)(h, &all, x, rows, count, weights + v * all_taps * LANES, first + v * LANES, start, to)
        HEIGHTS(DO, 1)
#undef DO
    }
}
#undef EACH_VECTOR
#undef TILES

#ifndef PART
/* The channels from c on, below `until`, by vectors as lanes_at says; `panel` goes on to what belongs to them. */
#define CHANNELS(kernel, panel, ...) \
    for (ptrdiff_t width, vectors; c < until; c += width * vectors, panel += width * vectors * all_taps) { \
        width = lanes_at(c, channels, LANES); \
        vectors = until - c < width ? 1 : (until - c) / width; \
        const ptrdiff_t first = c + width <= channels ? c : channels - width; \
        BY_WIDTH(kernel, __VA_ARGS__) \
    }
#if HALVES
#define BY_WIDTH(kernel, ...) \
    if (width == LANES) NAME(kernel)(__VA_ARGS__); else if (width > 1) HALF(kernel)(__VA_ARGS__); else ONE(kernel)(__VA_ARGS__);
#else
#define BY_WIDTH(kernel, ...) if (width == LANES) NAME(kernel)(__VA_ARGS__); else ONE(kernel)(__VA_ARGS__);
#endif

static void NAME(line)(const struct span *span, const struct kernel_row *rows, ptrdiff_t count, struct taps_run *runs,
                       const REAL *weights, ptrdiff_t all_taps, ptrdiff_t channels, const REAL *start, REAL *to)
{
    ptrdiff_t c = 0, until = channels;
    CHANNELS(line_vectors, weights, span, rows, count, runs, weights, all_taps, first, vectors, start, to)
}

static void NAME(pair)(const struct span *span, const struct kernel_row *rows, const struct kernel_row *rows2,
                       ptrdiff_t planes, struct taps_run *runs, const REAL *weights, ptrdiff_t all_taps,
                       ptrdiff_t channels, const REAL *start, REAL *to, ptrdiff_t second)
{
    ptrdiff_t c = 0, until = channels;
    CHANNELS(pair_vectors, weights, span, rows, rows2, planes, runs, weights, all_taps, first, vectors, start, to, second)
}

static void NAME(single)(ptrdiff_t height, const struct span *span, const REAL *const *x, const struct kernel_row *rows,
                         ptrdiff_t count, const REAL *weights, ptrdiff_t all_taps, ptrdiff_t channels, const REAL *start,
                         REAL *const *to)
{
    ptrdiff_t c = 0, until = channels;
    CHANNELS(single_vectors, weights, height, span, x, rows, count, weights, all_taps, first, vectors, start, to)
}
#endif
