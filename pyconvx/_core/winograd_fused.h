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
#define FUSED_POINT LANES_F32                /* elements from a point of a tile to the next: a vector of channels each */
#define FUSED_TILE (36 * FUSED_POINT)        /* from a tile to the next */
#define FUSED_RUN (FUSED_TILES * FUSED_TILE) /* and from a vector of channels to the next */

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

/* width: lanes of the panel; of them the first `count` are outputs, at most FUSED_VECTORS vectors. */
static void winograd_fused(int form, const float *v, ptrdiff_t depth, ptrdiff_t depth_step, ptrdiff_t channels,
                           const float *u, ptrdiff_t width, const float *bias, float *const *targets, ptrdiff_t first,
                           ptrdiff_t count, float *checks)
{
#if HALVES
    if (count <= LANES_F32 / 2) {
        fused_half_f32(form, v, depth, depth_step, channels, u, width, bias, targets, first, count, checks);
        return;
    }
#endif
    fused_f32(form, v, depth, depth_step, channels, u, width, bias, targets, first, count, checks);
}

/* Whether none of a vector of checks is infinite or NaN. */
static int all_fine(const float *checks)
{
    int fine = 1;
    for (int lane = 0; lane < LANES_F32; lane++) fine &= checks[lane] * 0 == 0;
    return fine;
}
#endif
