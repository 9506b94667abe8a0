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

/* Elements of a row of a strip of tiles, and what is read beyond them. */
#define STRIP_ROW (6 * FUSED_TILES * LANES_F32 + LANES_F32)

#define BITS 32
#include "real.h"
#include "strip.h"
#include "fused.h"
#if HALVES
#define BITS 32
#define HALVED
#include "real.h"
#include "strip.h"
#include "fused.h"
#endif
#include "real.h"

/* Lanes of the vectors that strips are transformed in: of twice as many, a tile of few channels would leave most empty. */
static ptrdiff_t strip_lanes(ptrdiff_t run) { return TILE_FULL == 14 && 2 * run <= LANES_F32 ? LANES_F32 / 2 : LANES_F32; }

static void winograd_strip(const float *const *lines, ptrdiff_t fold, ptrdiff_t n, ptrdiff_t run, ptrdiff_t spread,
                           ptrdiff_t shared, float *v, float *sizes)
{
#if HALVES
    if (strip_lanes(run) < LANES_F32) {
        strip_half_f32(lines, fold, n, run, spread, shared, v, sizes);
        return;
    }
#endif
    strip_f32(lines, fold, n, run, spread, shared, v, sizes);
}

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

/* Whether none of a vector of checks is infinite or NaN. */
static int fine(const float *checks) { return all_finite(*(const vf *)checks); }
#endif
