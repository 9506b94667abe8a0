/* The transforms of Winograd's F(4x4, 3x3) with the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, for vectors of channels
   or filters. These points lose about a third of the digits that the usual 0, +-1, +-2 lose.

   y = A' [(G g) (B' d)]: d has 6 inputs, g 3 taps, y 4 outputs. The polynomials follow from
   x (x^2 - 1/2) (x^2 - 2), as in Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016). */
#ifndef PYCONVX_WINOGRAD_H
#define PYCONVX_WINOGRAD_H
#include "vmaths.h"

#define WINOGRAD_IN 6
#define WINOGRAD_OUT 4
#define ROOT_HALF 0.70710678118654752f
#define ROOT_TWO 1.41421356237309505f

typedef vector_f32 vf;

ALWAYS_INLINE void winograd_in(const vf d0, const vf d1, const vf d2, const vf d3, const vf d4, const vf d5, vf *v0,
                               vf *v1, vf *v2, vf *v3, vf *v4, vf *v5)
{
    const vf even1 = d4 - 2.0f * d2, odd1 = (d3 - 2.0f * d1) * ROOT_HALF;
    const vf even2 = d4 - 0.5f * d2, odd2 = (d3 - 0.5f * d1) * ROOT_TWO;
    *v0 = (d0 - 2.5f * d2) + d4;
    *v1 = even1 + odd1;
    *v2 = even1 - odd1;
    *v3 = even2 + odd2;
    *v4 = even2 - odd2;
    *v5 = (d1 - 2.5f * d3) + d5;
}

ALWAYS_INLINE void winograd_out(const vf m0, const vf m1, const vf m2, const vf m3, const vf m4, const vf m5, vf *y0,
                                vf *y1, vf *y2, vf *y3)
{
    const vf sum1 = m1 + m2, difference1 = (m1 - m2) * ROOT_HALF;
    const vf sum2 = m3 + m4, difference2 = (m3 - m4) * ROOT_TWO;
    *y0 = (m0 + sum1) + sum2;
    *y1 = difference1 + difference2;
    *y2 = 0.5f * sum1 + 2.0f * sum2;
    *y3 = (0.5f * difference1 + 2.0f * difference2) + m5;
}

ALWAYS_INLINE void winograd_filter(const vf g0, const vf g1, const vf g2, vf *u)
{
    const vf even1 = (g0 + 0.5f * g2) * (-1.0f / 1.5f), odd1 = g1 * (-ROOT_HALF / 1.5f);
    const vf even2 = (g0 + 2.0f * g2) * (1.0f / 6.0f), odd2 = g1 * (ROOT_TWO / 6.0f);
    u[0] = g0;
    u[1] = even1 + odd1;
    u[2] = even1 - odd1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g2;
}

ALWAYS_INLINE vf larger(vf a, vf b) { return select_f32(less_f32(b, a), a, b); }

static float largest_lane(const vf x)
{
    float largest = 0;
    for (int lane = 0; lane < LANES_F32; lane++)
        if (((const float *)&x)[lane] > largest) largest = ((const float *)&x)[lane];
    return largest;
}

ALWAYS_INLINE vf winograd_input_vector(const float *const *rows, ptrdiff_t c, ptrdiff_t count, float *v, ptrdiff_t step)
{
    vf t[6][6], size = {0};
    UNROLL for (int j = 0; j < 6; j++) {
        vf d[6];
        UNROLL for (int i = 0; i < 6; i++)
            d[i] = load_f32(rows[i * 6 + j] + c, count, 0);
        size += ((absolute_f32(d[0]) + absolute_f32(d[1])) + (absolute_f32(d[2]) + absolute_f32(d[3])))
                + (absolute_f32(d[4]) + absolute_f32(d[5]));
        winograd_in(d[0], d[1], d[2], d[3], d[4], d[5], &t[0][j], &t[1][j], &t[2][j], &t[3][j], &t[4][j], &t[5][j]);
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vf r[6];
        winograd_in(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], &r[0], &r[1], &r[2], &r[3], &r[4], &r[5]);
        UNROLL for (int j = 0; j < 6; j++) *(vf *)(v + (i * 6 + j) * step) = r[j];
    }
    return size;
}

/* v[x][c] = transformed channels c of the 6 x 6 rows of an input tile; `step` from one x to the next, and room for whole
   vectors. Returns the largest sum over a channel of their magnitudes. */
static float winograd_input(const float *const *rows, ptrdiff_t channels, float *v, ptrdiff_t step)
{
    vf sizes = {0};
    ptrdiff_t c = 0;
    for (; c + LANES_F32 <= channels; c += LANES_F32)
        sizes = larger(winograd_input_vector(rows, c, LANES_F32, v + c, step), sizes);
    if (c < channels) sizes = larger(winograd_input_vector(rows, c, channels - c, v + c, step), sizes);
    return largest_lane(sizes);
}

/* Filters of one vector of outputs: g[k * tap + lane] for the nine taps, u[x * step + lane]. */
static void winograd_filters(const float *g, ptrdiff_t tap, float *u, ptrdiff_t step)
{
    vf t[6][3];
    UNROLL for (int j = 0; j < 3; j++) {
        vf column[6];
        winograd_filter(*(const vf *)(g + j * tap), *(const vf *)(g + (3 + j) * tap), *(const vf *)(g + (6 + j) * tap),
                        column);
        UNROLL for (int i = 0; i < 6; i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vf row[6];
        winograd_filter(t[i][0], t[i][1], t[i][2], row);
        UNROLL for (int j = 0; j < 6; j++) *(vf *)(u + (i * 6 + j) * step) = row[j];
    }
}

/* The gradient of the filters is F(3x3, 4x4) with the same points: the 4 x 4 gradients of a tile of outputs take the place of
   the filters, and the 3 x 3 taps that of the outputs. */
ALWAYS_INLINE void winograd_slope_line(const vf g0, const vf g1, const vf g2, const vf g3, vf *u)
{
    const vf even1 = (g0 + 0.5f * g2) * (-1.0f / 1.5f), odd1 = (g1 + 0.5f * g3) * (-ROOT_HALF / 1.5f);
    const vf even2 = (g0 + 2.0f * g2) * (1.0f / 6.0f), odd2 = (g1 + 2.0f * g3) * (ROOT_TWO / 6.0f);
    u[0] = g0;
    u[1] = even1 + odd1;
    u[2] = even1 - odd1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g3;
}

/* v[x * step + lane] = transformed outputs first .. first + count of the 4 x 4 rows (NULL: zeros); returns the largest sum
   of magnitudes of one output. */
static float winograd_slope(const float *const *rows, ptrdiff_t first, ptrdiff_t count, float *v, ptrdiff_t step)
{
    vf t[6][4], size = {0};
    UNROLL for (int j = 0; j < 4; j++) {
        vf g[4], column[6];
        UNROLL for (int i = 0; i < 4; i++) {
            g[i] = (vf){0};
            if (rows[i * 4 + j] != NULL) g[i] = load_f32(rows[i * 4 + j] + first, count, 0);
            size += absolute_f32(g[i]);
        }
        winograd_slope_line(g[0], g[1], g[2], g[3], column);
        UNROLL for (int i = 0; i < 6; i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vf row[6];
        winograd_slope_line(t[i][0], t[i][1], t[i][2], t[i][3], row);
        UNROLL for (int j = 0; j < 6; j++) *(vf *)(v + (i * 6 + j) * step) = row[j];
    }
    return largest_lane(size);
}

/* The largest magnitude of n elements, some whole vectors. */
static float largest_magnitude(const float *x, ptrdiff_t n)
{
    vf largest = {0};
    for (ptrdiff_t i = 0; i < n; i += LANES_F32) largest = larger(absolute_f32(*(const vf *)(x + i)), largest);
    return largest_lane(largest);
}

ALWAYS_INLINE void winograd_tap_line(const vf m0, const vf m1, const vf m2, const vf m3, const vf m4, const vf m5, vf *g)
{
    const vf sum1 = m1 + m2, sum2 = m3 + m4;
    g[0] = (m0 + sum1) + sum2;
    g[1] = (m1 - m2) * ROOT_HALF + (m3 - m4) * ROOT_TWO;
    g[2] = (0.5f * sum1 + 2.0f * sum2) + m5;
}

/* g[k * tap + lane] = the nine taps of a vector of sums m[x * step + lane]. */
static void winograd_taps(const float *m, ptrdiff_t step, float *g, ptrdiff_t tap)
{
    vf t[3][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf column[3];
        winograd_tap_line(*(const vf *)(m + j * step), *(const vf *)(m + (6 + j) * step), *(const vf *)(m + (12 + j) * step),
                          *(const vf *)(m + (18 + j) * step), *(const vf *)(m + (24 + j) * step),
                          *(const vf *)(m + (30 + j) * step), column);
        UNROLL for (int i = 0; i < 3; i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vf row[3];
        winograd_tap_line(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], row);
        UNROLL for (int j = 0; j < 3; j++) *(vf *)(g + (i * 3 + j) * tap) = row[j];
    }
}

/* The 4 x 4 outputs of one tile and one vector of filters: m[x * step], plus bias, stored to targets[] (NULL: none) at
   `first`, `count` lanes of it. Returns whether all are finite. */
ALWAYS_INLINE int winograd_output_body(const float *m, ptrdiff_t step, const float *bias, float *const *targets,
                                       ptrdiff_t first, ptrdiff_t count)
{
    vf t[4][6], check = {0};
    const vf offset = *(const vf *)bias;
    UNROLL for (int j = 0; j < 6; j++)
        winograd_out(*(const vf *)(m + j * step), *(const vf *)(m + (6 + j) * step), *(const vf *)(m + (12 + j) * step),
                     *(const vf *)(m + (18 + j) * step), *(const vf *)(m + (24 + j) * step),
                     *(const vf *)(m + (30 + j) * step), &t[0][j], &t[1][j], &t[2][j], &t[3][j]);
    UNROLL for (int i = 0; i < 4; i++) {
        vf y[4];
        winograd_out(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], &y[0], &y[1], &y[2], &y[3]);
        UNROLL for (int j = 0; j < 4; j++) {
            const vf sum = y[j] + offset;
            float *target = targets[i * 4 + j];
            check += sum * 0.0f;
            if (target == NULL) continue;
            store_f32(target + first, count, sum);
        }
    }
    int finite = 1;
    for (int lane = 0; lane < LANES_F32; lane++) finite &= ((const float *)&check)[lane] == 0;
    return finite;
}

static int winograd_output(const float *m, ptrdiff_t step, const float *bias, float *const *targets, ptrdiff_t first,
                           ptrdiff_t count)
{
    if (count == LANES_F32) return winograd_output_body(m, step, bias, targets, first, LANES_F32);
    return winograd_output_body(m, step, bias, targets, first, count);
}
#endif
