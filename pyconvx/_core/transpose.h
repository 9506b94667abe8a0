/* Rows and columns exchanged, a few by a few in registers: as many as a vector of the instruction set holds. */
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

/* Two rows as columns, and two columns as rows. */
static void weave_two(const uint32_t *x, ptrdiff_t x_step, uint32_t *y, ptrdiff_t columns)
{
    ptrdiff_t c = 0;
    for (; c + 4 <= columns; c += 4, y += 8) {
        const four a = *(const four *)(x + c), b = *(const four *)(x + x_step + c);
        *(four *)y = PICK4(a, b, 0, 4, 1, 5);
        *(four *)(y + 4) = PICK4(a, b, 2, 6, 3, 7);
    }
    for (; c < columns; c++, y += 2) y[0] = x[c], y[1] = x[x_step + c];
}

static void part_two(const uint32_t *x, uint32_t *y, ptrdiff_t y_step, ptrdiff_t rows)
{
    ptrdiff_t r = 0;
    for (; r + 4 <= rows; r += 4, x += 8) {
        const four a = *(const four *)x, b = *(const four *)(x + 4);
        *(four *)(y + r) = PICK4(a, b, 0, 2, 4, 6);
        *(four *)(y + y_step + r) = PICK4(a, b, 1, 3, 5, 7);
    }
    for (; r < rows; r++, x += 2) y[r] = x[0], y[y_step + r] = x[1];
}

/* Three rows as columns, and three columns as rows: pictures of three colours. What is written beyond a column is written
   again, and what is read beyond a row is left out. */
static void weave_three(const uint32_t *x, ptrdiff_t x_step, uint32_t *y, ptrdiff_t columns)
{
    ptrdiff_t c = 0;
    for (; c + 4 < columns; c += 4, y += 12) {
        const four a = *(const four *)(x + c), b = *(const four *)(x + x_step + c), d = *(const four *)(x + 2 * x_step + c);
        const four ab = PICK4(a, b, 0, 4, 1, 5), AB = PICK4(a, b, 2, 6, 3, 7);
        *(four *)y = PICK4(ab, d, 0, 1, 4, 4);
        *(four *)(y + 3) = PICK4(ab, d, 2, 3, 5, 5);
        *(four *)(y + 6) = PICK4(AB, d, 0, 1, 6, 6);
        *(four *)(y + 9) = PICK4(AB, d, 2, 3, 7, 7);
    }
    for (; c < columns; c++, y += 3)
        for (int row = 0; row < 3; row++) y[row] = x[row * x_step + c];
}

static void part_three(const uint32_t *x, uint32_t *y, ptrdiff_t y_step, ptrdiff_t rows)
{
    ptrdiff_t r = 0;
    for (; r + 4 < rows; r += 4, x += 12) {
        const four a = *(const four *)x, b = *(const four *)(x + 3), d = *(const four *)(x + 6), e = *(const four *)(x + 9);
        const four ab = PICK4(a, b, 0, 4, 1, 5), de = PICK4(d, e, 0, 4, 1, 5);
        *(four *)(y + r) = PICK4(ab, de, 0, 1, 4, 5);
        *(four *)(y + y_step + r) = PICK4(ab, de, 2, 3, 6, 7);
        *(four *)(y + 2 * y_step + r) = PICK4(PICK4(a, b, 2, 6, 3, 7), PICK4(d, e, 2, 6, 3, 7), 0, 1, 4, 5);
    }
    for (; r < rows; r++, x += 3)
        for (int column = 0; column < 3; column++) y[column * y_step + r] = x[column];
}

ALWAYS_INLINE void exchange_two(const two *x, uint64_t *to, ptrdiff_t y_step)
{
    *(two *)to = PICK2(x[0], x[1], 0, 2);
    *(two *)(to + y_step) = PICK2(x[0], x[1], 1, 3);
}

ALWAYS_INLINE void transpose_two(const uint64_t *from, ptrdiff_t x_step, uint64_t *to, ptrdiff_t y_step)
{
    const two x[2] = {*(const two *)from, *(const two *)(from + x_step)};
    exchange_two(x, to, y_step);
}

#if defined(__AVX__)
typedef uint32_t eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint64_t four_u64 __attribute__((vector_size(32), aligned(8), may_alias));

#if defined(__clang__)
#define PICK8(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define PICK4_U64(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK8(a, b, ...) __builtin_shuffle(a, b, (eight){__VA_ARGS__})
#define PICK4_U64(a, b, ...) __builtin_shuffle(a, b, (four_u64){__VA_ARGS__})
#endif

ALWAYS_INLINE void transpose_eight(const uint32_t *from, ptrdiff_t x_step, uint32_t *to, ptrdiff_t y_step)
{
    eight x[8], pairs[8], fours[8]; /* of rows; each half of a vector by itself, until halves are exchanged */
    UNROLL for (int i = 0; i < 8; i++) x[i] = *(const eight *)(from + i * x_step);
    UNROLL for (int i = 0; i < 8; i += 2) {
        pairs[i] = PICK8(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[i + 1] = PICK8(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        UNROLL for (int j = 0; j < 2; j++) {
            fours[i + 2 * j] = PICK8(pairs[i + j], pairs[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            fours[i + 2 * j + 1] = PICK8(pairs[i + j], pairs[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    UNROLL for (int i = 0; i < 4; i++) {
        *(eight *)(to + i * y_step) = PICK8(fours[i], fours[4 + i], 0, 1, 2, 3, 8, 9, 10, 11);
        *(eight *)(to + (4 + i) * y_step) = PICK8(fours[i], fours[4 + i], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

ALWAYS_INLINE void exchange_four_u64(const four_u64 *x, uint64_t *to, ptrdiff_t y_step)
{
    four_u64 pairs[4];
    UNROLL for (int i = 0; i < 4; i += 2) {
        pairs[i] = PICK4_U64(x[i], x[i + 1], 0, 4, 2, 6);
        pairs[i + 1] = PICK4_U64(x[i], x[i + 1], 1, 5, 3, 7);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        *(four_u64 *)(to + i * y_step) = PICK4_U64(pairs[i], pairs[2 + i], 0, 1, 4, 5);
        *(four_u64 *)(to + (2 + i) * y_step) = PICK4_U64(pairs[i], pairs[2 + i], 2, 3, 6, 7);
    }
}

ALWAYS_INLINE void transpose_four_u64(const uint64_t *from, ptrdiff_t x_step, uint64_t *to, ptrdiff_t y_step)
{
    four_u64 x[4];
    UNROLL for (int i = 0; i < 4; i++) x[i] = *(const four_u64 *)(from + i * x_step);
    exchange_four_u64(x, to, y_step);
}
#endif
#endif

#if defined(__AVX512F__)
/* Quarters of vectors, of one row each, as they are loaded, so that nothing goes from a quarter to another later. */
ALWAYS_INLINE __m512 quarters(const float *const *from, ptrdiff_t at)
{
    __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(from[0] + at));
    all = _mm512_insertf32x4(all, _mm_loadu_ps(from[1] + at), 1);
    all = _mm512_insertf32x4(all, _mm_loadu_ps(from[2] + at), 2);
    return _mm512_insertf32x4(all, _mm_loadu_ps(from[3] + at), 3);
}

/* Where they come from; a compiler would keep a pointer for each of their rows, most of them in memory. */
#define QUARTERS(from, apart) \
    const float *rows[4] = {(const float *)(from), (const float *)((from) + (apart)), \
                            (const float *)((from) + 2 * (apart)), (const float *)((from) + 3 * (apart))}; \
    UNROLL for (int k = 0; k < 4; k++) KEEP(rows[k])

ALWAYS_INLINE void transpose_sixteen(const uint32_t *from, ptrdiff_t x_step, uint32_t *to, ptrdiff_t y_step)
{
    QUARTERS(from, 4 * x_step);
    UNROLL for (int c = 0; c < 16; c += 4, to += 4 * y_step) {
        __m512d pairs[4]; /* two columns of rows i and i + 1 of each quarter */
        KEEP(to);
        UNROLL for (int i = 0; i < 4; i += 2) {
            const __m512 a = quarters(rows, i * x_step + c), b = quarters(rows, (i + 1) * x_step + c);
            pairs[i] = (__m512d)_mm512_unpacklo_ps(a, b), pairs[i + 1] = (__m512d)_mm512_unpackhi_ps(a, b);
        }
        UNROLL for (int j = 0; j < 2; j++) {
            _mm512_storeu_pd(to + 2 * j * y_step, _mm512_unpacklo_pd(pairs[j], pairs[2 + j]));
            _mm512_storeu_pd(to + (2 * j + 1) * y_step, _mm512_unpackhi_pd(pairs[j], pairs[2 + j]));
        }
    }
}

ALWAYS_INLINE void transpose_eight_u64(const uint64_t *from, ptrdiff_t x_step, uint64_t *to, ptrdiff_t y_step)
{
    QUARTERS(from, 2 * x_step);
    UNROLL for (int c = 0; c < 8; c += 2, to += 2 * y_step) {
        KEEP(to);
        const __m512d a = (__m512d)quarters(rows, 2 * c), b = (__m512d)quarters(rows, 2 * x_step + 2 * c);
        _mm512_storeu_pd(to, _mm512_unpacklo_pd(a, b));
        _mm512_storeu_pd(to + y_step, _mm512_unpackhi_pd(a, b));
    }
}
#undef QUARTERS
#endif

/* y[c * y_step + r] = x[r * x_step + c]; runs of y are written one after the other. `turn` exchanges squares of `piece`,
   and `rest` does what is left beside and below them, with some of theirs again if that is less than squares of `least`. */
#define EACH(type, name) \
    NEVER_INLINE void name(const type *x, ptrdiff_t x_step, type *y, ptrdiff_t y_step, ptrdiff_t rows, ptrdiff_t columns) \
    { \
        for (ptrdiff_t c = 0; c < columns; c++) \
            for (ptrdiff_t r = 0; r < rows; r++) y[c * y_step + r] = x[r * x_step + c]; \
    }
#define PIECES(type, name, piece, turn, least, rest) \
    NEVER_INLINE void name(const type *x, ptrdiff_t x_step, type *y, ptrdiff_t y_step, ptrdiff_t rows, ptrdiff_t columns) \
    { \
        const ptrdiff_t high = rows - rows % piece, wide = columns - columns % piece; \
        if (high == 0 || wide == 0) { \
            rest(x, x_step, y, y_step, rows, columns); \
            return; \
        } \
        const ptrdiff_t low = rows - high < least ? rows - least : high, far = columns - wide < least ? columns - least : wide; \
        for (ptrdiff_t c = 0; c < wide; c += piece) { \
            for (ptrdiff_t r = 0; r < high; r += piece) turn(x + r * x_step + c, x_step, y + c * y_step + r, y_step); \
            if (high < rows) rest(x + low * x_step + c, x_step, y + c * y_step + low, y_step, rows - low, piece); \
        } \
        if (wide < columns) rest(x + far, x_step, y + far * y_step, y_step, rows, columns - far); \
    }
/* The smallest squares, which are their own rest. */
#define LEAST(type, name, piece, turn, each) \
    NEVER_INLINE void name(const type *x, ptrdiff_t x_step, type *y, ptrdiff_t y_step, ptrdiff_t rows, ptrdiff_t columns) \
    { \
        if (rows < piece || columns < piece) { \
            each(x, x_step, y, y_step, rows, columns); \
            return; \
        } \
        for (ptrdiff_t c = 0; c < columns; c += piece) { \
            const ptrdiff_t column = c + piece <= columns ? c : columns - piece; \
            for (ptrdiff_t r = 0; r < rows; r += piece) { \
                const ptrdiff_t row = r + piece <= rows ? r : rows - piece; \
                turn(x + row * x_step + column, x_step, y + column * y_step + row, y_step); \
            } \
        } \
    }

#if !defined(__GNUC__)
static void weave_two(const uint32_t *x, ptrdiff_t x_step, uint32_t *y, ptrdiff_t columns)
{
    for (ptrdiff_t c = 0; c < columns; c++) y[2 * c] = x[c], y[2 * c + 1] = x[x_step + c];
}
static void part_two(const uint32_t *x, uint32_t *y, ptrdiff_t y_step, ptrdiff_t rows)
{
    for (ptrdiff_t r = 0; r < rows; r++) y[r] = x[2 * r], y[y_step + r] = x[2 * r + 1];
}
static void weave_three(const uint32_t *x, ptrdiff_t x_step, uint32_t *y, ptrdiff_t columns)
{
    for (ptrdiff_t c = 0; c < columns; c++)
        for (int row = 0; row < 3; row++) y[3 * c + row] = x[row * x_step + c];
}
static void part_three(const uint32_t *x, uint32_t *y, ptrdiff_t y_step, ptrdiff_t rows)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (int column = 0; column < 3; column++) y[column * y_step + r] = x[3 * r + column];
}
EACH(uint32_t, transpose_u32)
EACH(uint64_t, transpose_u64)
#elif !defined(__AVX__)
EACH(uint32_t, transpose_each_u32)
EACH(uint64_t, transpose_each_u64)
LEAST(uint32_t, transpose_u32, 4, transpose_four, transpose_each_u32)
LEAST(uint64_t, transpose_u64, 2, transpose_two, transpose_each_u64)
#else
EACH(uint32_t, transpose_each_u32)
EACH(uint64_t, transpose_each_u64)
LEAST(uint32_t, transpose_fours_u32, 4, transpose_four, transpose_each_u32)
LEAST(uint64_t, transpose_twos_u64, 2, transpose_two, transpose_each_u64)
#if defined(__AVX512F__)
PIECES(uint32_t, transpose_eights_u32, 8, transpose_eight, 4, transpose_fours_u32)
PIECES(uint64_t, transpose_fours_u64, 4, transpose_four_u64, 2, transpose_twos_u64)
PIECES(uint32_t, transpose_u32, 16, transpose_sixteen, 4, transpose_eights_u32)
PIECES(uint64_t, transpose_u64, 8, transpose_eight_u64, 2, transpose_fours_u64)
#else
PIECES(uint32_t, transpose_u32, 8, transpose_eight, 4, transpose_fours_u32)
PIECES(uint64_t, transpose_u64, 4, transpose_four_u64, 2, transpose_twos_u64)
#endif
#endif

/* The same a square at a time: row by row of squares of x, or of y. */
#define SQUARES(type, name, piece, turn, rest) \
    ALWAYS_INLINE void square_of_##name(const type *x, ptrdiff_t x_step, type *y, ptrdiff_t y_step, ptrdiff_t rows, \
                                        ptrdiff_t columns) \
    { \
        if (rows < SQUARE || columns < SQUARE) { \
            rest(x, x_step, y, y_step, rows < SQUARE ? rows : SQUARE, columns < SQUARE ? columns : SQUARE); \
            return; \
        } \
        for (int c = 0; c < SQUARE; c += piece) \
            for (int r = 0; r < SQUARE; r += piece) turn(x + r * x_step + c, x_step, y + c * y_step + r, y_step); \
    } \
    static void name(const type *x, ptrdiff_t x_step, type *y, ptrdiff_t y_step, ptrdiff_t rows, ptrdiff_t columns, \
                     int by_rows) \
    { \
        for (ptrdiff_t r = 0; r < rows && by_rows; r += SQUARE) \
            for (ptrdiff_t c = 0; c < columns; c += SQUARE) \
                square_of_##name(x + r * x_step + c, x_step, y + c * y_step + r, y_step, rows - r, columns - c); \
        for (ptrdiff_t c = 0; c < columns && !by_rows; c += SQUARE) \
            for (ptrdiff_t r = 0; r < rows; r += SQUARE) \
                square_of_##name(x + r * x_step + c, x_step, y + c * y_step + r, y_step, rows - r, columns - c); \
    }
#if defined(__AVX512F__)
SQUARES(uint32_t, transpose_squares_u32, 16, transpose_sixteen, transpose_u32)
SQUARES(uint64_t, transpose_squares_u64, 8, transpose_eight_u64, transpose_u64)
#elif defined(__AVX__)
SQUARES(uint32_t, transpose_squares_u32, 8, transpose_eight, transpose_u32)
SQUARES(uint64_t, transpose_squares_u64, 4, transpose_four_u64, transpose_u64)
#elif defined(__GNUC__)
SQUARES(uint32_t, transpose_squares_u32, 4, transpose_four, transpose_u32)
SQUARES(uint64_t, transpose_squares_u64, 2, transpose_two, transpose_u64)
#else
#define ONE(x, x_step, y, y_step) ((void)(x_step), (void)(y_step), *(y) = *(x))
SQUARES(uint32_t, transpose_squares_u32, 1, ONE, transpose_u32)
SQUARES(uint64_t, transpose_squares_u64, 1, ONE, transpose_u64)
#undef ONE
#endif
#undef SQUARES
#undef EACH
#undef PIECES
#undef LEAST

#endif
