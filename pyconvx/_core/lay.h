/* Windows laid out in doubles, each as one run of its elements: what a function in SciPy's form is given. */
#ifndef PYCONVX_LAY_H
#define PYCONVX_LAY_H
#include "transpose.h"

#if defined(__GNUC__)
typedef float four_f32 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float two_f32 __attribute__((vector_size(8), aligned(4), may_alias));
typedef double two_f64 __attribute__((vector_size(16), aligned(8), may_alias));

/* Two elements of a window. */
ALWAYS_INLINE void put_two(four x, int high, double *to)
{
    const four_f32 f = (four_f32)x;
    *(two_f64 *)to = high ? (two_f64){f[2], f[3]} : (two_f64){f[0], f[1]};
}

/* Four taps of four windows. */
ALWAYS_INLINE void lay_four(const float *const *rows, ptrdiff_t w, double *to, ptrdiff_t step)
{
    const four a = *(const four *)(rows[0] + w), b = *(const four *)(rows[1] + w);
    const four d = *(const four *)(rows[2] + w), e = *(const four *)(rows[3] + w);
    const four ab = PICK4(a, b, 0, 4, 1, 5), de = PICK4(d, e, 0, 4, 1, 5);
    const four AB = PICK4(a, b, 2, 6, 3, 7), DE = PICK4(d, e, 2, 6, 3, 7);
    put_two(ab, 0, to), put_two(de, 0, to + 2), to += step;
    put_two(ab, 1, to), put_two(de, 1, to + 2), to += step;
    put_two(AB, 0, to), put_two(DE, 0, to + 2), to += step;
    put_two(AB, 1, to), put_two(DE, 1, to + 2);
}
#define PIECE_TAPS 4
#else
ALWAYS_INLINE void lay_four(const float *const *rows, ptrdiff_t w, double *to, ptrdiff_t step) { *to = rows[0][w]; }
#define PIECE_TAPS 1
#endif

/* to[w * taps + t] = rows[t][w], for some windows. */
static void lay_windows_f32(const float *const *rows, ptrdiff_t taps, ptrdiff_t windows, double *to)
{
    const ptrdiff_t whole = windows / PIECE_TAPS * PIECE_TAPS;
    ptrdiff_t t = 0;
    for (; t + PIECE_TAPS <= taps; t += PIECE_TAPS) {
        for (ptrdiff_t w = 0; w < whole; w += PIECE_TAPS) lay_four(rows + t, w, to + w * taps + t, taps);
        for (ptrdiff_t w = whole; w < windows; w++)
            for (int i = 0; i < PIECE_TAPS; i++) to[w * taps + t + i] = rows[t + i][w];
    }
    for (; t < taps; t++)
        for (ptrdiff_t w = 0; w < windows; w++) to[w * taps + t] = rows[t][w];
}

static void lay_windows_f64(const double *const *rows, ptrdiff_t taps, ptrdiff_t windows, double *to)
{
    for (ptrdiff_t t = 0; t < taps; t++)
        for (ptrdiff_t w = 0; w < windows; w++) to[w * taps + t] = rows[t][w];
}

#endif
