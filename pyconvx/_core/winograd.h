/* The transforms of Winograd's F(4x4, 3x3) with the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, for vectors of channels
   or filters. These points lose about a third of the digits that the usual 0, +-1, +-2 lose.

   y = A' [(G g) (B' d)]: d has 6 inputs, g 3 taps, y 4 outputs. The polynomials follow from
   x (x^2 - 1/2) (x^2 - 2), as in Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016).

   With stride 2 there are 9 inputs. The even ones meet two taps, which is F(4, 2) with the same points without 0; the
   four odd ones meet one tap, and are points themselves. So a tile has 9 x 9 points, and filters 6 x 6: the four odd
   points of a line share the last. */
#ifndef PYCONVX_WINOGRAD_H
#define PYCONVX_WINOGRAD_H
#include "vmaths.h"

#define WINOGRAD_IN(stride) ((stride) == 2 ? 9 : 6) /* inputs along a side of a tile, and points */
#define WINOGRAD_OUT 4
#define ROOT_HALF 0.70710678118654752f
#define ROOT_TWO 1.41421356237309505f

typedef vector_f32 vf;

/* d and v: WINOGRAD_IN(stride) inputs of a line, and their points. */
ALWAYS_INLINE void winograd_in(const int stride, const vf *d, vf *v)
{
    if (stride == 2) {
        const vf even1 = d[6] - 2.0f * d[2], odd1 = (d[4] - 2.0f * d[0]) * ROOT_HALF;
        const vf even2 = d[6] - 0.5f * d[2], odd2 = (d[4] - 0.5f * d[0]) * ROOT_TWO;
        v[0] = even1 + odd1;
        v[1] = even1 - odd1;
        v[2] = even2 + odd2;
        v[3] = even2 - odd2;
        v[4] = (d[0] - 2.5f * d[4]) + d[8];
        UNROLL for (int i = 0; i < 4; i++) v[5 + i] = d[1 + 2 * i];
        return;
    }
    const vf even1 = d[4] - 2.0f * d[2], odd1 = (d[3] - 2.0f * d[1]) * ROOT_HALF;
    const vf even2 = d[4] - 0.5f * d[2], odd2 = (d[3] - 0.5f * d[1]) * ROOT_TWO;
    v[0] = (d[0] - 2.5f * d[2]) + d[4];
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = (d[1] - 2.5f * d[3]) + d[5];
}

/* m and y: the points of a line of sums, and its four outputs. */
ALWAYS_INLINE void winograd_out(const int stride, const vf *m, vf *y)
{
    const vf *pairs = stride == 2 ? m : m + 1;
    const vf sum1 = pairs[0] + pairs[1], difference1 = (pairs[0] - pairs[1]) * ROOT_HALF;
    const vf sum2 = pairs[2] + pairs[3], difference2 = (pairs[2] - pairs[3]) * ROOT_TWO;
    y[0] = ((stride == 2 ? m[5] : m[0]) + sum1) + sum2;
    y[1] = difference1 + difference2;
    y[2] = 0.5f * sum1 + 2.0f * sum2;
    y[3] = (0.5f * difference1 + 2.0f * difference2) + pairs[4];
    if (stride == 2)
        UNROLL for (int i = 1; i < 4; i++) y[i] += m[5 + i];
}

/* g and u: the three taps of a line, and its six points. */
ALWAYS_INLINE void winograd_filter(const int stride, const vf *g, vf *u)
{
    if (stride == 2) {
        const vf even1 = g[2] * (1.0f / 3.0f), odd1 = g[0] * (-ROOT_TWO / 3.0f);
        const vf even2 = g[2] * (1.0f / 3.0f), odd2 = g[0] * (ROOT_HALF / 3.0f);
        u[0] = odd1 - even1;
        u[1] = -odd1 - even1;
        u[2] = odd2 + even2;
        u[3] = even2 - odd2;
        u[4] = g[2];
        u[5] = g[1];
        return;
    }
    const vf even1 = (g[0] + 0.5f * g[2]) * (-1.0f / 1.5f), odd1 = g[1] * (-ROOT_HALF / 1.5f);
    const vf even2 = (g[0] + 2.0f * g[2]) * (1.0f / 6.0f), odd2 = g[1] * (ROOT_TWO / 6.0f);
    u[0] = g[0];
    u[1] = even1 + odd1;
    u[2] = even1 - odd1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[2];
}

ALWAYS_INLINE vf larger(vf a, vf b) { return select_f32(less_f32(b, a), a, b); }

static float largest_lane(const vf x)
{
    float largest = 0;
    for (int lane = 0; lane < LANES_F32; lane++)
        if (((const float *)&x)[lane] > largest) largest = ((const float *)&x)[lane];
    return largest;
}

ALWAYS_INLINE vf winograd_input_vector(const int stride, const float *const *rows, ptrdiff_t c, ptrdiff_t count, float *v,
                                       ptrdiff_t step)
{
    const int side = WINOGRAD_IN(stride);
    vf t[81], size = {0};
    UNROLL for (int j = 0; j < side; j++) {
        vf d[9], column[9], sum = {0};
        UNROLL for (int i = 0; i < side; i++) {
            d[i] = load_f32(rows[i * side + j] + c, count, 0);
            sum += absolute_f32(d[i]);
        }
        size += sum;
        winograd_in(stride, d, column);
        UNROLL for (int i = 0; i < side; i++) t[i * side + j] = column[i];
    }
    UNROLL for (int i = 0; i < side; i++) {
        vf row[9];
        winograd_in(stride, t + i * side, row);
        UNROLL for (int j = 0; j < side; j++) *(vf *)(v + (i * side + j) * step) = row[j];
    }
    return size;
}

ALWAYS_INLINE float winograd_input_body(const int stride, const float *const *rows, ptrdiff_t channels, float *v,
                                        ptrdiff_t step)
{
    vf sizes = {0};
    ptrdiff_t c = 0;
    for (; c + LANES_F32 <= channels; c += LANES_F32)
        sizes = larger(winograd_input_vector(stride, rows, c, LANES_F32, v + c, step), sizes);
    if (c < channels) sizes = larger(winograd_input_vector(stride, rows, c, channels - c, v + c, step), sizes);
    return largest_lane(sizes);
}

/* v[x][c] = transformed channels c of the rows of an input tile, WINOGRAD_IN(stride) a side; `step` from one x to the
   next, and room for whole vectors. Returns the largest sum over a channel of their magnitudes. */
static float winograd_input(int stride, const float *const *rows, ptrdiff_t channels, float *v, ptrdiff_t step)
{
    if (stride == 2) return winograd_input_body(2, rows, channels, v, step);
    return winograd_input_body(1, rows, channels, v, step);
}

ALWAYS_INLINE void winograd_filters_body(const int stride, const float *g, ptrdiff_t tap, float *u, ptrdiff_t step)
{
    vf t[6][3];
    UNROLL for (int j = 0; j < 3; j++) {
        vf taps[3], column[6];
        UNROLL for (int i = 0; i < 3; i++) taps[i] = *(const vf *)(g + (3 * i + j) * tap);
        winograd_filter(stride, taps, column);
        UNROLL for (int i = 0; i < 6; i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vf row[6];
        winograd_filter(stride, t[i], row);
        UNROLL for (int j = 0; j < 6; j++) *(vf *)(u + (i * 6 + j) * step) = row[j];
    }
}

/* Filters of one vector of outputs: g[k * tap + lane] for the nine taps, u[x * step + lane]. */
static void winograd_filters(int stride, const float *g, ptrdiff_t tap, float *u, ptrdiff_t step)
{
    if (stride == 2)
        winograd_filters_body(2, g, tap, u, step);
    else
        winograd_filters_body(1, g, tap, u, step);
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
ALWAYS_INLINE int winograd_output_body(const int stride, const float *m, ptrdiff_t step, const float *bias,
                                       float *const *targets, ptrdiff_t first, ptrdiff_t count)
{
    const int side = WINOGRAD_IN(stride);
    vf t[4 * 9], check = {0};
    const vf offset = *(const vf *)bias;
    UNROLL for (int j = 0; j < side; j++) {
        vf sums[9], column[4];
        UNROLL for (int i = 0; i < side; i++) sums[i] = *(const vf *)(m + (i * side + j) * step);
        winograd_out(stride, sums, column);
        UNROLL for (int i = 0; i < 4; i++) t[i * side + j] = column[i];
    }
    UNROLL for (int i = 0; i < 4; i++) {
        vf y[4];
        winograd_out(stride, t + i * side, y);
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

static int winograd_output(int stride, const float *m, ptrdiff_t step, const float *bias, float *const *targets,
                           ptrdiff_t first, ptrdiff_t count)
{
#define OUTPUT(stride, count) winograd_output_body(stride, m, step, bias, targets, first, count)
    if (stride == 2) return count == LANES_F32 ? OUTPUT(2, LANES_F32) : OUTPUT(2, count);
    return count == LANES_F32 ? OUTPUT(1, LANES_F32) : OUTPUT(1, count);
#undef OUTPUT
}
#endif
