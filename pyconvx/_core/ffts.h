/* The transforms of fft.h for float and double. */
#ifndef PYCONVX_FFTS_H
#define PYCONVX_FFTS_H
#include "vmaths.h"
#include "transpose.h"

#define PANEL SQUARE   /* columns that are transformed together: whole vectors of any instruction set */
#define FFT_LAST 8     /* radix of the last stage */
#define FFT_STAGES 8

/* Powers of two between the root of the mean square and usual elements: of more, rounding blurs the latter. */
#define FFT_UNUSUAL (DIGITS == 24 ? 6 : 5)

/* What the elements of a tile are like, one sum per lane: their squares, the exponents of those that are not zero, and the
   number of these. */
typedef struct {
    double squares[VECTOR_BYTES / 8], exponents[VECTOR_BYTES / 8], present[VECTOR_BYTES / 8];
} fft_sizes;

/* Radix of the first stage of a transform, or part of one, that is longer than FFT_LAST. */
static inline int fft_radix(ptrdiff_t length)
{
    const ptrdiff_t left = length / FFT_LAST;
    return left % 3 == 0 ? 3 : left % 5 == 0 ? 5 : left == 8 || left == 64 ? 8 : 4;
}

static inline void transpose_square_f32(const float *x, float *y)
{
    transpose_u32((const uint32_t *)x, 2 * PANEL, (uint32_t *)y, 2 * PANEL, PANEL, PANEL);
}

static inline void transpose_square_f64(const double *x, double *y)
{
    transpose_u64((const uint64_t *)x, 2 * PANEL, (uint64_t *)y, 2 * PANEL, PANEL, PANEL);
}

#define BITS 32
#include "real.h"
#include "fft.h"
#define BITS 64
#include "real.h"
#include "fft.h"
#include "real.h"

#endif
