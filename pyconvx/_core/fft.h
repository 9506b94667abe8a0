/* Complex Fourier transforms of columns, for panels of PANEL columns: a row of a panel is PANEL real and PANEL imaginary
   parts. One body for float and double: include ffts.h.

   Lengths are FFT_LAST times a number of stages of radix 3, 4, 5 and 8 (fft_radix). A transform leaves its results in the
   order of its stages, and the way back takes them so: no step puts them in order. */

#define ROOT(x) ((REAL)(x))

/* The transform of a few values, with exp(-2 pi i / radix) if sign is 1 and its conjugate if it is -1. */
ALWAYS_INLINE void NAME(fft_four)(const int sign, VECTOR *re, VECTOR *im, const int step)
{
    const int b = step, c = 2 * step, d = 3 * step;
    const VECTOR sum_re = re[0] + re[c], sum_im = im[0] + im[c], off_re = re[0] - re[c], off_im = im[0] - im[c];
    const VECTOR odd_re = re[b] + re[d], odd_im = im[b] + im[d];
    const VECTOR turn_re = sign > 0 ? im[b] - im[d] : im[d] - im[b], turn_im = sign > 0 ? re[d] - re[b] : re[b] - re[d];
    re[0] = sum_re + odd_re, im[0] = sum_im + odd_im;
    re[b] = off_re + turn_re, im[b] = off_im + turn_im;
    re[c] = sum_re - odd_re, im[c] = sum_im - odd_im;
    re[d] = off_re - turn_re, im[d] = off_im - turn_im;
}

ALWAYS_INLINE void NAME(fft_three)(const REAL sign, VECTOR *re, VECTOR *im)
{
    const REAL sine = sign * ROOT(0.86602540378443864676);
    const VECTOR sum_re = re[1] + re[2], sum_im = im[1] + im[2];
    const VECTOR turn_re = (im[1] - im[2]) * sine, turn_im = (re[2] - re[1]) * sine;
    const VECTOR half_re = re[0] - sum_re * ROOT(0.5), half_im = im[0] - sum_im * ROOT(0.5);
    re[0] += sum_re, im[0] += sum_im;
    re[1] = half_re + turn_re, im[1] = half_im + turn_im;
    re[2] = half_re - turn_re, im[2] = half_im - turn_im;
}

ALWAYS_INLINE void NAME(fft_five)(const REAL sign, VECTOR *re, VECTOR *im)
{
    const REAL cos1 = ROOT(0.30901699437494742410), cos2 = ROOT(-0.80901699437494742410);
    const REAL sin1 = sign * ROOT(0.95105651629515357212), sin2 = sign * ROOT(0.58778525229247312917);
    const VECTOR sum1_re = re[1] + re[4], sum1_im = im[1] + im[4], off1_re = re[1] - re[4], off1_im = im[1] - im[4];
    const VECTOR sum2_re = re[2] + re[3], sum2_im = im[2] + im[3], off2_re = re[2] - re[3], off2_im = im[2] - im[3];
    const VECTOR a_re = re[0] + sum1_re * cos1 + sum2_re * cos2, a_im = im[0] + sum1_im * cos1 + sum2_im * cos2;
    const VECTOR b_re = re[0] + sum1_re * cos2 + sum2_re * cos1, b_im = im[0] + sum1_im * cos2 + sum2_im * cos1;
    const VECTOR u_re = off1_im * sin1 + off2_im * sin2, u_im = off1_re * sin1 + off2_re * sin2;
    const VECTOR v_re = off1_im * sin2 - off2_im * sin1, v_im = off1_re * sin2 - off2_re * sin1;
    re[0] += sum1_re + sum2_re, im[0] += sum1_im + sum2_im;
    re[1] = a_re + u_re, im[1] = a_im - u_im;
    re[2] = b_re + v_re, im[2] = b_im - v_im;
    re[3] = b_re - v_re, im[3] = b_im + v_im;
    re[4] = a_re - u_re, im[4] = a_im + u_im;
}

ALWAYS_INLINE void NAME(fft_eight)(const REAL sign, VECTOR *re, VECTOR *im)
{
    const REAL root = ROOT(0.70710678118654752440);
    NAME(fft_four)(sign > 0 ? 1 : -1, re, im, 2);
    NAME(fft_four)(sign > 0 ? 1 : -1, re + 1, im + 1, 2);
    const VECTOR a_re = re[3] + im[3] * sign, a_im = im[3] - re[3] * sign;
    const VECTOR b_re = im[7] * sign - re[7], b_im = re[7] * sign + im[7];
    const VECTOR c_re = im[5] * sign, c_im = re[5] * sign;
    const VECTOR e_re[4] = {re[0], re[2], re[4], re[6]}, e_im[4] = {im[0], im[2], im[4], im[6]};
    const VECTOR o_re = re[1], o_im = im[1];
    re[0] = e_re[0] + o_re, im[0] = e_im[0] + o_im;
    re[4] = e_re[0] - o_re, im[4] = e_im[0] - o_im;
    re[1] = e_re[1] + a_re * root, im[1] = e_im[1] + a_im * root;
    re[5] = e_re[1] - a_re * root, im[5] = e_im[1] - a_im * root;
    re[2] = e_re[2] + c_re, im[2] = e_im[2] - c_im;
    re[6] = e_re[2] - c_re, im[6] = e_im[2] + c_im;
    re[3] = e_re[3] + b_re * root, im[3] = e_im[3] - b_im * root;
    re[7] = e_re[3] - b_re * root, im[7] = e_im[3] + b_im * root;
}

ALWAYS_INLINE void NAME(fft_few)(const int radix, const int sign, VECTOR *re, VECTOR *im)
{
    if (radix == 3) NAME(fft_three)(sign, re, im);
    else if (radix == 4) NAME(fft_four)(sign, re, im, 1);
    else if (radix == 5) NAME(fft_five)(sign, re, im);
    else NAME(fft_eight)(sign, re, im);
}

/* One stage of `radix`: values `m` rows apart are transformed together, and turned by the twiddles w[row][1 ... radix - 1]
   afterwards, or with sign -1, on the way back, before. */
ALWAYS_INLINE void NAME(fft_stage)(const int radix, const int sign, REAL *z, ptrdiff_t length, ptrdiff_t m, const REAL *w)
{
    for (ptrdiff_t base = 0; base < length; base += radix * m) {
        const REAL *turns = w;
        for (ptrdiff_t row = base; row < base + m; row++, turns += 2 * (radix - 1))
            for (int v = 0; v < PANEL; v += LANES) {
                VECTOR re[8], im[8];
                REAL *at = z + row * 2 * PANEL + v;
                UNROLL for (int q = 0; q < radix; q++) {
                    const VECTOR a = *(const VECTOR *)(at + q * m * 2 * PANEL);
                    const VECTOR b = *(const VECTOR *)(at + q * m * 2 * PANEL + PANEL);
                    re[q] = a, im[q] = b;
                    if (sign < 0 && q) {
                        const REAL c = turns[2 * q - 2], s = turns[2 * q - 1];
                        re[q] = a * c + b * s, im[q] = b * c - a * s;
                    }
                }
                NAME(fft_few)(radix, sign, re, im);
                UNROLL for (int q = 0; q < radix; q++) {
                    VECTOR a = re[q], b = im[q];
                    if (sign > 0 && q) {
                        const REAL c = turns[2 * q - 2], s = turns[2 * q - 1];
                        a = re[q] * c - im[q] * s, b = im[q] * c + re[q] * s;
                    }
                    *(VECTOR *)(at + q * m * 2 * PANEL) = a;
                    *(VECTOR *)(at + q * m * 2 * PANEL + PANEL) = b;
                }
            }
    }
}

#define STAGE(sign) \
    switch (radix) { \
        case 3: NAME(fft_stage)(3, sign, z, length, m, w); break; \
        case 4: NAME(fft_stage)(4, sign, z, length, m, w); break; \
        case 5: NAME(fft_stage)(5, sign, z, length, m, w); break; \
        default: NAME(fft_stage)(8, sign, z, length, m, w); break; \
    }

/* The stages of a transform but the last one, and of the way back but the first. */
static void NAME(fft_forth)(REAL *z, ptrdiff_t length, const REAL *w)
{
    for (ptrdiff_t part = length; part > FFT_LAST;) {
        const int radix = fft_radix(part);
        const ptrdiff_t m = part / radix;
        STAGE(1)
        w += m * 2 * (radix - 1);
        part = m;
    }
}

static void NAME(fft_back)(REAL *z, ptrdiff_t length, const REAL *w)
{
    ptrdiff_t parts[FFT_STAGES], at[FFT_STAGES], part = length, so_far = 0;
    int stage = 0;
    for (; part > FFT_LAST; stage++) {
        parts[stage] = part, at[stage] = so_far;
        part /= fft_radix(part);
        so_far += part * 2 * (fft_radix(parts[stage]) - 1);
    }
    const REAL *turns = w;
    while (stage--) {
        const int radix = fft_radix(parts[stage]);
        const ptrdiff_t m = parts[stage] / radix;
        w = turns + at[stage];
        STAGE(-1)
    }
}
#undef STAGE

/* The last stage (sign 1), or the first of the way back (-1). */
ALWAYS_INLINE void NAME(fft_end)(const int sign, REAL *z, ptrdiff_t length)
{
    for (; length > 0; length -= FFT_LAST, z += FFT_LAST * 2 * PANEL)
        for (int v = 0; v < PANEL; v += LANES) {
            VECTOR re[8], im[8];
            UNROLL for (int q = 0; q < FFT_LAST; q++) {
                re[q] = *(const VECTOR *)(z + q * 2 * PANEL + v);
                im[q] = *(const VECTOR *)(z + q * 2 * PANEL + PANEL + v);
            }
            NAME(fft_few)(FFT_LAST, sign, re, im);
            UNROLL for (int q = 0; q < FFT_LAST; q++) {
                *(VECTOR *)(z + q * 2 * PANEL + v) = re[q];
                *(VECTOR *)(z + q * 2 * PANEL + PANEL + v) = im[q];
            }
        }
}

static void NAME(fft_columns)(REAL *z, ptrdiff_t length, const REAL *w)
{
    NAME(fft_forth)(z, length, w);
    NAME(fft_end)(1, z, length);
}

static void NAME(fft_columns_back)(REAL *z, ptrdiff_t length, const REAL *w)
{
    NAME(fft_end)(-1, z, length);
    NAME(fft_back)(z, length, w);
}

/* to = z times the spectrum h, by way of the last stage of one transform and the first of the other. */
static void NAME(fft_product)(const REAL *z, const REAL *h, REAL *to, ptrdiff_t length)
{
    for (; length > 0; length -= FFT_LAST)
        for (int v = 0; v < PANEL; v += LANES) {
            VECTOR re[8], im[8];
            UNROLL for (int q = 0; q < FFT_LAST; q++) {
                re[q] = *(const VECTOR *)(z + q * 2 * PANEL + v);
                im[q] = *(const VECTOR *)(z + q * 2 * PANEL + PANEL + v);
            }
            NAME(fft_few)(FFT_LAST, 1, re, im);
            UNROLL for (int q = 0; q < FFT_LAST; q++) {
                const VECTOR c = *(const VECTOR *)(h + q * 2 * PANEL + v);
                const VECTOR s = *(const VECTOR *)(h + q * 2 * PANEL + PANEL + v);
                const VECTOR a = re[q], b = im[q];
                re[q] = a * c - b * s, im[q] = b * c + a * s;
            }
            NAME(fft_few)(FFT_LAST, -1, re, im);
            UNROLL for (int q = 0; q < FFT_LAST; q++) {
                *(VECTOR *)(to + q * 2 * PANEL + v) = re[q];
                *(VECTOR *)(to + q * 2 * PANEL + PANEL + v) = im[q];
            }
            if (v + LANES == PANEL)
                z += FFT_LAST * 2 * PANEL, h += FFT_LAST * 2 * PANEL, to += FFT_LAST * 2 * PANEL;
        }
}

/* A row of `count` elements as the real parts (z) or the imaginary ones (z + PANEL) of the same row of `panels`, which are
   `apart`, and zeros beyond. The sums of the lanes go into `sizes`. */
static void NAME(fft_put)(const REAL *row, ptrdiff_t count, ptrdiff_t panels, REAL *z, ptrdiff_t apart, fft_sizes *sizes)
{
    VECTOR squares = *(VECTOR *)sizes->squares;
    MASK exponents = *(MASK *)sizes->exponents, present = *(MASK *)sizes->present;
    for (; panels > 0; panels--, row += PANEL, count -= PANEL, z += apart) {
        REAL some[PANEL];
        const REAL *from = row;
        if (count < PANEL) {
            for (ptrdiff_t c = 0; c < PANEL; c++) some[c] = c < count ? row[c] : 0;
            from = some;
        }
        UNROLL for (int v = 0; v < PANEL; v += LANES) {
            const VECTOR x = *(const VECTOR *)(from + v), magnitude = NAME(absolute)(x);
            squares += x * x;
            exponents += NAME(as_bits)(magnitude) >> (DIGITS - 1);
            present += NAME(choose)(NAME(less)(NAME(splat)(0), magnitude), (MASK){0} + 1, (MASK){0});
            *(VECTOR *)(z + v) = x;
        }
    }
    *(VECTOR *)sizes->squares = squares;
    *(MASK *)sizes->exponents = exponents;
    *(MASK *)sizes->present = present;
}

/* Whether the elements of a tile are far smaller than the root of the mean square of a transform's `elements` real and
   imaginary parts, which its rounding errors are like. How large they are tells the mean of the exponents of those that are
   not zero: a few that are huge do not count for much. */
static int NAME(fft_small)(const fft_sizes *tile, double mean_square)
{
    double present = 0, exponents = 0;
    for (int lane = 0; lane < LANES; lane++) {
        present += ((const INTEGER *)tile->present)[lane];
        exponents += ((const INTEGER *)tile->exponents)[lane];
    }
    if (present == 0) return 0;
    return !(mean_square <= ldexp(1, 2 * (FFT_UNUSUAL + (int)floor(exponents / present) - (DIGITS == 24 ? 127 : 1023))));
}

/* The sum of the squares of a tile's elements. */
static double NAME(fft_squares)(const fft_sizes *tile)
{
    double squares = 0;
    for (int lane = 0; lane < LANES; lane++) squares += ((const REAL *)tile->squares)[lane];
    return squares;
}

/* Squares of PANEL rows of panels, `z_step` apart, transposed: some rows of all panels as a panel, or back. */
static void NAME(fft_turn)(const REAL *z, ptrdiff_t z_step, REAL *to, ptrdiff_t to_step, ptrdiff_t squares)
{
    for (; squares > 0; squares--, z += z_step, to += to_step)
        for (int part = 0; part < 2 * PANEL; part += PANEL)
            NAME(transpose_square)(z + part, to + part);
}

/* y[r][c] = z[r][c] * scale + start: `rows` x `columns` places of a panel. Returns whether all are finite. */
static int NAME(fft_take)(const REAL *z, ptrdiff_t rows, ptrdiff_t columns, REAL scale, REAL start, REAL *y,
                          ptrdiff_t row_step, ptrdiff_t step)
{
    VECTOR check = {0};
    for (; rows > 0; rows--, z += 2 * PANEL, y += row_step) {
        REAL some[PANEL];
        const int whole = step == 1 && columns == PANEL;
        REAL *to = whole ? y : some;
        UNROLL for (int v = 0; v < PANEL; v += LANES) {
            const VECTOR sum = *(const VECTOR *)(z + v) * scale + start;
            check += sum * 0;
            *(VECTOR *)(to + v) = sum;
        }
        if (!whole)
            for (ptrdiff_t c = 0; c < columns; c++) y[c * step] = some[c];
    }
    int finite = 1;
    for (int lane = 0; lane < LANES; lane++) finite &= ((const REAL *)&check)[lane] == 0;
    return finite;
}
#undef ROOT
