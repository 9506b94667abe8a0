/* Winograd's algorithms for few channels: what outputs are made of is multiplied and transformed some tiles at a time, with
   sums that stay in registers. */
#ifndef PYCONVX_WINOGRAD_FUSED_H
#define PYCONVX_WINOGRAD_FUSED_H
#include "winograd.h"

/* Sums that registers hold: of some tiles, points of a column and vectors of filters. */
#if TILE_FULL == 14
#define FUSED_TILES 4
#define FUSED_ROWS 6
#define FUSED_VECTORS 1
#else
#define FUSED_TILES 2
#define FUSED_ROWS 3
#define FUSED_VECTORS 2
#endif
#define FUSED_POINT LANES_F32         /* elements from a point of a tile to the next: a vector of channels each */
#define FUSED_TILE (36 * FUSED_POINT) /* from a vector of channels of a tile to the next, or of that of the next tile */

/* Transformed inputs of FUSED_TILES tiles: [tap of the first axis][run of channels][point][channel of the run]. Runs are
   `run` channels long, but for the last one. */
typedef struct {
    ptrdiff_t depth, depth_step; /* taps of the first axis, and elements from one to the next */
    ptrdiff_t channels;          /* that an output sums over */
    ptrdiff_t run, run_step;
    ptrdiff_t second, third; /* from the first tile of a run to these two; the fourth is as far from the third as the second from the first */
} fused_inputs_t;

#define BITS 32
#include "real.h"
#include "fused.h"
#if HALVES
#define BITS 32
#define HALVED
#include "real.h"
#include "fused.h"
#endif
#include "real.h"

/* width: lanes of the panel; of them the first `count` are outputs, at most FUSED_VECTORS vectors. past: these are whole, and
   written past the caches. */
static void winograd_fused(int form, const float *v, const fused_inputs_t *inputs, const float *u, ptrdiff_t width,
                           const float *bias, float *const *targets, ptrdiff_t first, ptrdiff_t count, int past,
                           float *checks)
{
#if HALVES
    if (count <= LANES_F32 / 2) {
        fused_half_f32(form, v, inputs, u, width, bias, targets, first, count, past, checks);
        return;
    }
#endif
    fused_f32(form, v, inputs, u, width, bias, targets, first, count, past, checks);
}

/* The inputs of a tile, beside those of other tiles: the elements of `fold` rows become one input, `run` of each.
   lines: the rows of the tile. laid[row of an input][input][lane], from the lane on where those of the tile begin; behind
   them, but within the vector, there may be anything until the next tile is laid there. */
NEVER_INLINE void lay_beside(const float *const *lines, ptrdiff_t fold, ptrdiff_t run, float *laid)
{
#if HALVES
#define COPY(bits, lanes) \
    for (ptrdiff_t row = 0; row < fold; row++) \
        for (int i = 0; i < 6; i++) { \
            const float *line = lines[i * fold + row]; \
            UNROLL for (int j = 0; j < 6; j++, laid += FUSED_POINT, line += run) \
                _mm##bits##_storeu_ps(laid, _mm##bits##_maskload_ps(line, lanes)); \
        }
    const __m256i order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), few = _mm256_set1_epi32((int)run);
    const __m256i wide = _mm256_castps_si256(_mm256_cmp_ps(_mm256_cvtepi32_ps(order), _mm256_cvtepi32_ps(few), 1));
    if (run <= 4) {
        const __m128i narrow = _mm256_castsi256_si128(wide);
        COPY(, narrow)
    } else
        COPY(256, wide)
#undef COPY
#else
    for (ptrdiff_t row = 0; row < fold; row++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++, laid += FUSED_POINT) copy_few(laid, lines[i * fold + row] + j * run, run);
#endif
}

/* The points v[x * FUSED_POINT] of a vector of inputs that lie side by side; sizes[lane] become the sums of magnitudes that
   are larger. */
NEVER_INLINE void winograd_beside(const float *laid, float *v, float *sizes)
{
    const float *rows[36];
    UNROLL_LINE for (int i = 0; i < 36; i++) rows[i] = laid + i * FUSED_POINT;
    const vf size = winograd_input_vector(3, 0, 0, rows, 0, LANES_F32, LANES_F32, v, FUSED_POINT);
    *(vf *)sizes = larger(size, *(const vf *)sizes);
}

/* Whether none of a vector of checks is infinite or NaN. */
static int fine(const float *checks) { return all_finite(*(const vf *)checks); }
#endif
