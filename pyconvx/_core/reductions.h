/* The reductions of reduce.h, flat_pool.h, plane_pool.h, plane_gradient.h and statistics.h for float and double. Without
   vector extensions a vector is one scalar. */
#ifndef PYCONVX_REDUCTIONS_H
#define PYCONVX_REDUCTIONS_H
#include <stddef.h>
#include <string.h>
#include "simd.h"
#include "vmaths.h"

#define TOGETHER 4 /* vectors of sums or extremes */
#define FEW_ROWS 9 /* of a window of 3 x 3 */
#if defined(__GNUC__)
#define REDUCE_VECTORS 1
typedef int32_t numbers_f64 __attribute__((vector_size(VECTOR_BYTES / 2), aligned(4), may_alias));
typedef ptrdiff_t positions_f32 __attribute__((vector_size(LANES_F32 * sizeof(ptrdiff_t)), aligned(sizeof(ptrdiff_t)), may_alias));
typedef ptrdiff_t positions_f64 __attribute__((vector_size(LANES_F64 * sizeof(ptrdiff_t)), aligned(sizeof(ptrdiff_t)), may_alias));
#else
#define REDUCE_VECTORS 0
#endif
/* Lanes of two vectors in any order, in few instructions. */
#if defined(__AVX2__) && defined(__GNUC__) && !defined(__clang__)
#define SHUFFLES 1
#else
#define SHUFFLES 0
#endif

/* What statistics.h sums, and by which rule a gradient goes back. */
enum { SUM_PLAIN, SUM_DEVIATIONS, SUM_SIZES, SUM_SQUARES, SUM_POWERS, SUM_SHARES, SUM_WEIGHTED };
enum { SLOPE_SIGN, SLOPE_RATIO, SLOPE_POWER, SLOPE_DEVIATION, SLOPE_SHARE, SLOPE_WEIGHTED };

/* What plane_pool.h does with elements. */
enum { PLANE_MAX, PLANE_MIN, PLANE_SUM };

#define MOST_WHOLE 16 /* of the powers that are products */

/* A network that puts the elements of two ranks, of up to MOST_SORTED, where sorting would, as pairs to be put in order:
   Batcher's odd-even merge sort (1968), without the pairs that neither rank depends on. Returns how many there are. */
#define MOST_SORTED 64
#define MOST_PAIRS 543

static ptrdiff_t sorting_network(ptrdiff_t count, ptrdiff_t low, ptrdiff_t high, unsigned char *pairs)
{
    ptrdiff_t length = 0, kept = 0;
    for (ptrdiff_t p = 1; p < count; p *= 2)
        for (ptrdiff_t k = p; k > 0; k /= 2)
            for (ptrdiff_t j = k % p; j + k < count; j += 2 * k)
                for (ptrdiff_t i = j; i < j + k && i + k < count; i++)
                    if (i / (2 * p) == (i + k) / (2 * p)) {
                        pairs[2 * length] = (unsigned char)i;
                        pairs[2 * length++ + 1] = (unsigned char)(i + k);
                    }
    uint64_t wanted = (uint64_t)1 << low | (uint64_t)1 << high;
    for (ptrdiff_t k = length - 1; k >= 0; k--) {
        const uint64_t both = (uint64_t)1 << pairs[2 * k] | (uint64_t)1 << pairs[2 * k + 1];
        if (!(wanted & both)) continue;
        wanted |= both;
        kept++;
        memmove(pairs + 2 * (length - kept), pairs + 2 * k, 2);
    }
    memmove(pairs, pairs + 2 * (length - kept), 2 * kept);
    return kept;
}

/* Networks for the medians of four and of nine elements; that of nine is Devillard's (1998), of the fewest pairs. */
static const unsigned char median_4[] = {0, 1, 2, 3, 0, 2, 1, 3, 1, 2};
static const unsigned char median_9[] = {1, 2, 4, 5, 7, 8, 0, 1, 3, 4, 6, 7, 1, 2, 4, 5, 7, 8, 0,
                                         3, 5, 8, 4, 7, 3, 6, 1, 4, 2, 5, 4, 7, 4, 2, 6, 4, 4, 2};

#define BITS 32
#include "real.h"
#include "reduce.h"
#include "flat_pool.h"
#include "plane_pool.h"
#include "plane_gradient.h"
#include "statistics.h"
#define BITS 64
#include "real.h"
#include "reduce.h"
#include "flat_pool.h"
#include "plane_pool.h"
#include "plane_gradient.h"
#include "statistics.h"
#include "real.h"

#endif
