/* Rows and columns exchanged, a few by a few in registers. */
#ifndef PYCONVX_TRANSPOSE_H
#define PYCONVX_TRANSPOSE_H
#include <stdint.h>
#include "simd.h"

#define SQUARE 16 /* rows and columns that are near: a line of the cache */

#if defined(__GNUC__)
typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint64_t two __attribute__((vector_size(16), aligned(8), may_alias));

#if defined(__clang__)
#define PICK4(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#define PICK2(a, b, i, j) __builtin_shufflevector(a, b, i, j)
#else
#define PICK4(a, b, i, j, k, l) __builtin_shuffle(a, b, (four){i, j, k, l})
#define PICK2(a, b, i, j) __builtin_shuffle(a, b, (two){i, j})
#endif

ALWAYS_INLINE void transpose_four(const uint32_t *from, ptrdiff_t x_step, uint32_t *to, ptrdiff_t y_step)
{
    const four a = *(const four *)from, b = *(const four *)(from + x_step);
    const four d = *(const four *)(from + 2 * x_step), e = *(const four *)(from + 3 * x_step);
    const four ab = PICK4(a, b, 0, 4, 1, 5), de = PICK4(d, e, 0, 4, 1, 5);
    const four AB = PICK4(a, b, 2, 6, 3, 7), DE = PICK4(d, e, 2, 6, 3, 7);
    *(four *)to = PICK4(ab, de, 0, 1, 4, 5);
    *(four *)(to + y_step) = PICK4(ab, de, 2, 3, 6, 7);
    *(four *)(to + 2 * y_step) = PICK4(AB, DE, 0, 1, 4, 5);
    *(four *)(to + 3 * y_step) = PICK4(AB, DE, 2, 3, 6, 7);
}

ALWAYS_INLINE void transpose_two(const uint64_t *from, ptrdiff_t x_step, uint64_t *to, ptrdiff_t y_step)
{
    const two a = *(const two *)from, b = *(const two *)(from + x_step);
    *(two *)to = PICK2(a, b, 0, 2);
    *(two *)(to + y_step) = PICK2(a, b, 1, 3);
}

#define PIECE_U32 4
#define PIECE_U64 2
#else
ALWAYS_INLINE void transpose_four(const uint32_t *from, ptrdiff_t x_step, uint32_t *to, ptrdiff_t y_step) { *to = *from; }
ALWAYS_INLINE void transpose_two(const uint64_t *from, ptrdiff_t x_step, uint64_t *to, ptrdiff_t y_step) { *to = *from; }
#define PIECE_U32 1
#define PIECE_U64 1
#endif

/* y[c * y_step + r] = x[r * x_step + c]; runs of y are written one after the other. */
#define ANY_SIZE(type, name, piece, turn) \
    static void name(const type *x, ptrdiff_t x_step, type *y, ptrdiff_t y_step, ptrdiff_t rows, ptrdiff_t columns) \
    { \
        ptrdiff_t c = 0; \
        for (; c + piece <= columns; c += piece) { \
            ptrdiff_t r = 0; \
            for (; r + piece <= rows; r += piece) turn(x + r * x_step + c, x_step, y + c * y_step + r, y_step); \
            for (; r < rows; r++) \
                for (int i = 0; i < piece; i++) y[(c + i) * y_step + r] = x[r * x_step + c + i]; \
        } \
        for (; c < columns; c++) \
            for (ptrdiff_t r = 0; r < rows; r++) y[c * y_step + r] = x[r * x_step + c]; \
    }
ANY_SIZE(uint32_t, transpose_u32, PIECE_U32, transpose_four)
ANY_SIZE(uint64_t, transpose_u64, PIECE_U64, transpose_two)
#undef ANY_SIZE

#endif
