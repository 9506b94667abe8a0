/* The kernels of multiply.h, dots.h, tile.h, depthwise.h, depthwise_gradient.h, columns.h and planes.h for float and double. Products
   with a panel of filters also come for vectors of half the width: they serve the last filters of a group, and processors
   do two of them in the time of one. So do depthwise kernels, and for single channels where there are fewer than that. */
#ifndef PYCONVX_TILES_H
#define PYCONVX_TILES_H
#include "simd.h"
#include "vmaths.h"

/* Lanes of a panel of filters, when `left` of its group are not yet in one. */
static inline ptrdiff_t panel_width(ptrdiff_t left, ptrdiff_t lanes)
{
    if (left > lanes) return lanes * TILE_VECTORS;
    return HALVES && 2 * left <= lanes ? lanes / 2 : lanes;
}

/* Lanes of the next vector of a depthwise convolution, when those of the first c channels are done: the last vectors overlap
   others, as long as there are enough channels for one. */
static inline ptrdiff_t lanes_at(ptrdiff_t c, ptrdiff_t channels, ptrdiff_t lanes)
{
    const ptrdiff_t half = HALVES ? lanes / 2 : 0;
    if (half && channels - c <= half && channels >= half) return half;
    if (channels >= lanes) return lanes;
    return half && channels >= half ? half : 1;
}

/* Places of a row that lie evenly, of a depthwise convolution, and where they read. Of neighbouring taps, `piece` are read at
   once, and columns that they share with other places are loaded once. */
struct span {
    ptrdiff_t first, count; /* the first visit, and how many places */
    ptrdiff_t to_step;      /* elements of the result between places */
    ptrdiff_t column;       /* of x that the first place reads first */
    ptrdiff_t apart;        /* columns of x between taps */
    ptrdiff_t tap, taps, tap_step; /* which taps of a kernel row are read, in the order of columns */
    ptrdiff_t piece;
    ptrdiff_t between;      /* columns of x between those that are loaded */
    ptrdiff_t stride;       /* how many of these from a place to the next */
    ptrdiff_t since;        /* from which of these on, counted from `column`, how many are there: others are zero, and */
    size_t there;           /* passed over */
};

#define FAR ((ptrdiff_t)1 << (8 * sizeof(ptrdiff_t) - 3)) /* columns: all are nearer */

/* What is read by the taps of a kernel row: column 0 of a row of x, whose columns lie `pixel` elements apart, and the number
   of its first tap. a and b are its codes on the first two axes. */
struct kernel_row {
    const void *x;
    ptrdiff_t pixel, tap, a, b;
};

/* What a tile reads by neighbouring taps of a kernel row, from one on, in columns `apart` elements apart. */
struct taps_run {
    const void *x;
    ptrdiff_t apart, tap;
};

/* How many rows the row m of a tile lies behind one whose number is a multiple of 3: 0, 1, 2, 4 or 8. */
#define EVEN_STEP(m) (m % 3 == 0 ? 0 : m == 1 || m == 13 ? 1 : m == 2 || m == 5 ? 2 : m == 8 || m == 11 ? 8 : 4)

/* The instances: one per height, so that no tile computes rows it does not have. */
#define SEVEN_TO_TWELVE(DO, v) \
    case 12: DO(12, v); break; case 11: DO(11, v); break; case 10: DO(10, v); break; case 9: DO(9, v); break; \
    case 8: DO(8, v); break; case 7: DO(7, v); break;
#if TILE_FULL == 14
#define TALL(DO, v) case 14: DO(14, v); break; case 13: DO(13, v); break; SEVEN_TO_TWELVE(DO, v)
#define TALL_SINGLE(DO)
#else
#define TALL(DO, v)
#define TALL_SINGLE(DO) SEVEN_TO_TWELVE(DO, 1)
#endif
#define HEIGHTS(DO, v) \
    switch (height) { \
        TALL(DO, v) \
        case 6: DO(6, v); break; case 5: DO(5, v); break; case 4: DO(4, v); break; \
        case 3: DO(3, v); break; case 2: DO(2, v); break; default: DO(1, v); break; \
    }
/* The same for tiles of up to TILE_SINGLE rows. */
#define SINGLE_HEIGHTS(DO) \
    switch (height) { \
        TALL_SINGLE(DO) \
        default: HEIGHTS(DO, 1) \
    }

/* Places and filters of a tile whose lanes are channels: twelve sums, three filters and a row fill 16 registers. */
#define DOTS_ROWS 6
#define DOTS_FILTERS 3
#define DOTS_HEIGHT(f) ((f) < 3 ? 6 : 4)
#define LOW_DOTS(DO, f) \
    case 4: DO(4, f); break; case 3: DO(3, f); break; case 2: DO(2, f); break; default: DO(1, f); break;
#define HIGH_DOTS(DO, f) case 6: DO(6, f); break; case 5: DO(5, f); break; LOW_DOTS(DO, f)

#if HALVES
#define BITS 32
#define HALVED
#include "real.h"
#include "multiply.h"
#include "depthwise.h"
#include "depthwise_gradient.h"
#define BITS 64
#define HALVED
#include "real.h"
#include "multiply.h"
#include "depthwise.h"
#include "depthwise_gradient.h"
#endif

#define BITS 32
#define SINGLE
#include "real.h"
#include "depthwise.h"
#include "depthwise_gradient.h"
#define BITS 64
#define SINGLE
#include "real.h"
#include "depthwise.h"
#include "depthwise_gradient.h"

#define BITS 32
#include "real.h"
#include "multiply.h"
#include "dots.h"
#include "tile.h"
#include "depthwise.h"
#include "depthwise_gradient.h"
#include "columns.h"
#include "planes.h"
#define BITS 64
#include "real.h"
#include "multiply.h"
#include "dots.h"
#include "tile.h"
#include "depthwise.h"
#include "depthwise_gradient.h"
#include "columns.h"
#include "planes.h"
#include "real.h"

#endif
