/* Windows laid out in doubles, each as one run of its elements: what a function in SciPy's form is given. */
#ifndef PYCONVX_LAY_H
#define PYCONVX_LAY_H
#include "transpose.h"

/* A piece is some taps of as many windows, exchanged in registers. */
#if defined(__GNUC__)
#if WIDE == 4
typedef four_u64 piece_u64;
#define exchange_piece exchange_four_u64
#else
typedef two piece_u64;
#define exchange_piece exchange_two
#endif
#define WHOLE(x) (*(const piece_u64 *)(x))
#define LAY_PIECE(type, name, load) \
    ALWAYS_INLINE void name(const type *const *rows, ptrdiff_t w, double *to, ptrdiff_t step) \
    { \
        piece_u64 x[WIDE]; \
        UNROLL for (int t = 0; t < WIDE; t++) x[t] = (piece_u64)load(rows[t] + w); \
        exchange_piece(x, (uint64_t *)to, step); \
    }
#else
#define LAY_PIECE(type, name, load) \
    ALWAYS_INLINE void name(const type *const *rows, ptrdiff_t w, double *to, ptrdiff_t step) { *to = rows[0][w]; }
#endif
LAY_PIECE(float, lay_piece_f32, WIDENED)
LAY_PIECE(double, lay_piece_f64, WHOLE)
#undef LAY_PIECE
#undef WHOLE

/* to[w * taps + t] = rows[t][w], for some windows. */
#define LAY_WINDOWS(type, name, lay_piece) \
    static void name(const type *const *rows, ptrdiff_t taps, ptrdiff_t windows, double *to) \
    { \
        const ptrdiff_t whole = windows / WIDE * WIDE; \
        ptrdiff_t t = 0; \
        for (; t + WIDE <= taps; t += WIDE) { \
            for (ptrdiff_t w = 0; w < whole; w += WIDE) lay_piece(rows + t, w, to + w * taps + t, taps); \
            for (ptrdiff_t w = whole; w < windows; w++) \
                for (int i = 0; i < WIDE; i++) to[w * taps + t + i] = rows[t + i][w]; \
        } \
        for (; t < taps; t++) \
            for (ptrdiff_t w = 0; w < windows; w++) to[w * taps + t] = rows[t][w]; \
    }
LAY_WINDOWS(float, lay_windows_f32, lay_piece_f32)
LAY_WINDOWS(double, lay_windows_f64, lay_piece_f64)
#undef LAY_WINDOWS

#endif
