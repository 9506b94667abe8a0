/* The transforms of Winograd's algorithms along one axis, with the points 0, +-1, +-1/2, +-2 and infinity: F(7, 2) to F(3, 6),
   whose lines have 8 inputs. Along one axis alone eight points lose no more digits than six along two.

   The polynomials follow from x (x^2 - 1) (x^2 - 1/4) (x^2 - 4), as in winograd.h. */
#ifndef PYCONVX_WINOGRAD_LINE_H
#define PYCONVX_WINOGRAD_LINE_H
#include <math.h>
#include "winograd.h"

#define LINE_POINTS 8 /* and inputs of a line */
#define LINE_OUT(taps) (LINE_POINTS + 1 - (taps))
#define LINE_MOST 7 /* outputs, and taps in a gradient */

/* to[i] = the largest lane of x[i], no NaN; spoils x. */
#if defined(__GNUC__) && !defined(__clang__)
/* Neighbouring groups of g lanes each, of two vectors, become one: the larger lane by lane. */
#define GROUPED(g, i) ((i) / (g) * 2 * (g) + (i) % (g))
#if LANES_F32 == 16
#define GROUPED_LANES(g, at) \
    (mask_f32){GROUPED(g, 0) + at, GROUPED(g, 1) + at, GROUPED(g, 2) + at, GROUPED(g, 3) + at, GROUPED(g, 4) + at, \
               GROUPED(g, 5) + at, GROUPED(g, 6) + at, GROUPED(g, 7) + at, GROUPED(g, 8) + at, GROUPED(g, 9) + at, \
               GROUPED(g, 10) + at, GROUPED(g, 11) + at, GROUPED(g, 12) + at, GROUPED(g, 13) + at, GROUPED(g, 14) + at, \
               GROUPED(g, 15) + at}
#elif LANES_F32 == 8
#define GROUPED_LANES(g, at) \
    (mask_f32){GROUPED(g, 0) + at, GROUPED(g, 1) + at, GROUPED(g, 2) + at, GROUPED(g, 3) + at, GROUPED(g, 4) + at, \
               GROUPED(g, 5) + at, GROUPED(g, 6) + at, GROUPED(g, 7) + at}
#else
#define GROUPED_LANES(g, at) (mask_f32){GROUPED(g, 0) + at, GROUPED(g, 1) + at, GROUPED(g, 2) + at, GROUPED(g, 3) + at}
#endif
#define LARGER_GROUPS(g, a, b) \
    greater_f32((vf)__builtin_shuffle((mask_f32)(a), (mask_f32)(b), GROUPED_LANES(g, 0)), \
                (vf)__builtin_shuffle((mask_f32)(a), (mask_f32)(b), GROUPED_LANES(g, g)))
ALWAYS_INLINE void largest_lanes(vf *x, float *to)
{
    UNROLL for (int i = 0; i < 4; i++) x[i] = LARGER_GROUPS(LANES_F32 / 2, x[2 * i], x[2 * i + 1]);
    UNROLL for (int i = 0; i < 2; i++) x[i] = LARGER_GROUPS(LANES_F32 / 4, x[2 * i], x[2 * i + 1]);
#if LANES_F32 > 4
    x[0] = LARGER_GROUPS(LANES_F32 / 8, x[0], x[1]);
#endif
#if LANES_F32 > 8
    x[0] = LARGER_GROUPS(1, x[0], x[0]);
#endif
    memcpy(to, x, LINE_POINTS * sizeof(float));
}
#else
ALWAYS_INLINE void largest_lanes(vf *x, float *to)
{
    for (int i = 0; i < LINE_POINTS; i++) to[i] = largest_lane(x[i]);
}
#endif

ALWAYS_INLINE void line_input_vector(const float *const *rows, ptrdiff_t c, ptrdiff_t count, float *v, ptrdiff_t step,
                                     vf *sizes)
{
    vf d[LINE_POINTS];
    UNROLL for (int i = 0; i < LINE_POINTS; i++) {
        d[i] = load_f32(rows[i] + c, count, 0);
        sizes[i] = greater_f32(absolute_f32(d[i]), sizes[i]);
    }
    const vf even1 = (d[6] - 4.25f * d[4]) + d[2], odd1 = (d[5] - 4.25f * d[3]) + d[1];
    const vf even2 = (d[6] - 5.0f * d[4]) + 4.0f * d[2], odd2 = 0.5f * d[5] + (2.0f * d[1] - 2.5f * d[3]);
    const vf even3 = (d[6] - 1.25f * d[4]) + 0.25f * d[2], odd3 = 2.0f * d[5] + (0.5f * d[1] - 2.5f * d[3]);
    const vf v0 = (d[0] - d[6]) + 5.25f * (d[4] - d[2]), v7 = (d[7] - d[1]) + 5.25f * (d[3] - d[5]);
    const vf points[LINE_POINTS] = {v0, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, even3 + odd3, even3 - odd3, v7};
    UNROLL for (int i = 0; i < LINE_POINTS; i++) *(vf *)(v + i * step) = points[i];
}

/* v[x * step + c] = transformed channels of the inputs of a line, filled up with zeros to whole vectors. sizes[i]: the largest
   magnitude of an input; NaNs may be passed over. */
NEVER_INLINE void winograd_line_input(const float *const *rows, ptrdiff_t channels, float *v, ptrdiff_t step, float *sizes)
{
    ON_LINES vf of_lanes[LINE_POINTS] = {{0}};
    ptrdiff_t c = 0;
    for (; c + LANES_F32 <= channels; c += LANES_F32) line_input_vector(rows, c, LANES_F32, v + c, step, of_lanes);
    if (c < channels) line_input_vector(rows, c, channels - c, v + c, step, of_lanes);
    largest_lanes(of_lanes, sizes);
}

/* u[x * step + lane] = the points of LINE_MOST taps t, of which those from `taps` on are zero. */
ALWAYS_INLINE void line_filter(int taps, const vf *t, float *u, ptrdiff_t step)
{
    const vf even1 = (t[0] + t[2]) + (t[4] + t[6]), odd1 = (t[1] + t[3]) + t[5];
    const vf even2 = t[0] + (0.25f * t[2] + (0.0625f * t[4] + 0.015625f * t[6]));
    const vf even3 = t[0] + (4.0f * t[2] + (16.0f * t[4] + 64.0f * t[6]));
    const vf odd2 = 0.5f * t[1] + (0.125f * t[3] + 0.03125f * t[5]), odd3 = 2.0f * t[1] + (8.0f * t[3] + 32.0f * t[5]);
    const vf points[LINE_POINTS] = {
        t[0],
        (even1 + odd1) * (-1.0f / 4.5f),
        (even1 - odd1) * (-1.0f / 4.5f),
        (even2 + odd2) * (1.0f / 1.40625f),
        (even2 - odd2) * (1.0f / 1.40625f),
        (even3 + odd3) * (1.0f / 90.0f),
        (even3 - odd3) * (1.0f / 90.0f),
        t[taps - 1],
    };
    UNROLL for (int x = 0; x < LINE_POINTS; x++) *(vf *)(u + x * step) = points[x];
}

/* The largest input of a line; negative if it is so large that the rounding of its products spoils one of the first `places`
   that does not read it: `most` times as large as those that it reads; infinite if it is `far` times as large as those that
   are not all zero. sizes[inputs[d]]: of the inputs of each sum; a place meets taps[d % pieces] of them. */
static float winograd_line_size(const unsigned char *taps, ptrdiff_t pieces, ptrdiff_t places, const float *sizes,
                                const ptrdiff_t *inputs, ptrdiff_t sums, float most, float far)
{
    float read[LINE_POINTS] = {0}, largest = 0, least = INFINITY, filled = INFINITY;
    for (ptrdiff_t d = 0; d < sums;) {
        float size[2 * LINE_POINTS] = {0};
        const int met = taps[d % pieces];
        for (; d < sums && taps[d % pieces] == met; d++) {
            const float *of_input = sizes + inputs[d] * LINE_POINTS;
            for (int i = 0; i < LINE_POINTS; i++) size[i] = of_input[i] > size[i] ? of_input[i] : size[i];
        }
        for (int i = 0; i < met; i++)
            for (int k = 0; k < LINE_POINTS; k++) read[k] = size[k + i] > read[k] ? size[k + i] : read[k];
        for (int i = 0; i < LINE_POINTS; i++) largest = size[i] > largest ? size[i] : largest;
    }
    for (ptrdiff_t k = 0; k < places; k++) {
        least = read[k] < least ? read[k] : least;
        filled = read[k] > 0 && read[k] < filled ? read[k] : filled;
    }
    if (largest > far * filled) return INFINITY;
    return largest > most * least ? -largest : largest;
}

/* Filters of one vector of outputs: g[k * tap + lane], u[x * step + lane]. */
NEVER_INLINE void winograd_line_filters(int taps, const float *g, ptrdiff_t tap, float *u, ptrdiff_t step)
{
    vf t[LINE_MOST] = {{0}};
    for (int k = 0; k < taps; k++) t[k] = *(const vf *)(g + k * tap);
    line_filter(taps, t, u, step);
}

/* The gradient of filters is F(taps, LINE_OUT(taps)): gradients of a line's outputs take the place of the filters.
   v[x * step + lane] = transformed outputs first .. first + count of the rows (NULL: zeros); returns the largest sum of
   magnitudes of one output. */
NEVER_INLINE float winograd_line_slope(int taps, const float *const *rows, ptrdiff_t first, ptrdiff_t count, float *v,
                                       ptrdiff_t step)
{
    vf g[LINE_MOST] = {{0}}, size = {0};
    for (int i = 0; i < LINE_OUT(taps); i++)
        if (rows[i] != NULL) {
            g[i] = load_f32(rows[i] + first, count, 0);
            size += absolute_f32(g[i]);
        }
    line_filter(LINE_OUT(taps), g, v, step);
    return largest_lane(size);
}

/* y = the LINE_OUT(taps) outputs of a line, of its sums m[x * step]. */
ALWAYS_INLINE void line_output(const int taps, const float *m, ptrdiff_t step, vf *y)
{
    vf p[LINE_POINTS];
    UNROLL for (int x = 0; x < LINE_POINTS; x++) p[x] = *(const vf *)(m + x * step);
    const vf sum1 = p[1] + p[2], sum2 = p[3] + p[4], sum3 = p[5] + p[6];
    const vf difference1 = p[1] - p[2], difference2 = p[3] - p[4], difference3 = p[5] - p[6];
    const vf all[LINE_MOST] = {
        (p[0] + sum1) + (sum2 + sum3),
        difference1 + (0.5f * difference2 + 2.0f * difference3),
        sum1 + (0.25f * sum2 + 4.0f * sum3),
        difference1 + (0.125f * difference2 + 8.0f * difference3),
        sum1 + (0.0625f * sum2 + 16.0f * sum3),
        difference1 + (0.03125f * difference2 + 32.0f * difference3),
        sum1 + (0.015625f * sum2 + 64.0f * sum3),
    };
    UNROLL for (int i = 0; i < LINE_OUT(taps); i++) y[i] = all[i];
    y[LINE_OUT(taps) - 1] += p[7];
}

/* g[k * tap + lane] = the taps of a vector of sums m[x * step + lane]: of F(taps, LINE_OUT(taps)). */
NEVER_INLINE void winograd_line_taps(int taps, const float *m, ptrdiff_t step, float *g, ptrdiff_t tap)
{
    vf y[LINE_MOST];
#define DO(n) \
    case n: \
        line_output(LINE_OUT(n), m, step, y); \
        UNROLL for (int k = 0; k < n; k++) *(vf *)(g + k * tap) = y[k]; \
        break;
    switch (taps) { DO(2) DO(3) DO(4) DO(5) DO(6) }
#undef DO
}

ALWAYS_INLINE int line_output_vector(const int taps, const float *m, ptrdiff_t step, const vf offset, float *const *targets,
                                     ptrdiff_t first, ptrdiff_t count, int past)
{
    vf y[LINE_MOST], check = {0};
    line_output(taps, m, step, y);
    UNROLL for (int i = 0; i < LINE_OUT(taps); i++) {
        const vf sum = y[i] + offset;
        check += sum;
        if (targets[i] == NULL) continue;
        if (WRITES_PAST && past) WRITE_PAST(targets[i] + first, sum);
        else store_f32(targets[i] + first, count, sum);
    }
    return all_finite(check);
}

ALWAYS_INLINE void line_outputs(const int taps, const float *m, ptrdiff_t lines, ptrdiff_t width, ptrdiff_t step,
                                const float *bias, float *const *targets, ptrdiff_t first, ptrdiff_t count, int past,
                                unsigned char *flagged)
{
    for (ptrdiff_t t = 0; t < lines; t++, m += width, targets += LINE_OUT(taps)) {
        ptrdiff_t lane = 0;
        int fine = 1;
        for (; lane + LANES_F32 <= count; lane += LANES_F32)
            fine &= line_output_vector(taps, m + lane, step, *(const vf *)(bias + lane), targets, first + lane, LANES_F32, past);
        if (lane < count)
            fine &= line_output_vector(taps, m + lane, step, *(const vf *)(bias + lane), targets, first + lane, count - lane, 0);
        if (!fine) flagged[t] = 1;
    }
}

/* The outputs of some lines, for `count` filters from `first` on: m[x * step + t * width + lane], plus bias[lane], stored to
   the targets of each (NULL: none), past the caches if `past`, and the filters are whole vectors then. Sets flagged[t] where
   one is infinite or NaN. */
NEVER_INLINE void winograd_line_outputs(int taps, const float *m, ptrdiff_t lines, ptrdiff_t width, ptrdiff_t step,
                                        const float *bias, float *const *targets, ptrdiff_t first, ptrdiff_t count, int past,
                                        unsigned char *flagged)
{
    switch (taps) {
    case 2: line_outputs(2, m, lines, width, step, bias, targets, first, count, past, flagged); break;
    case 3: line_outputs(3, m, lines, width, step, bias, targets, first, count, past, flagged); break;
    case 4: line_outputs(4, m, lines, width, step, bias, targets, first, count, past, flagged); break;
    case 5: line_outputs(5, m, lines, width, step, bias, targets, first, count, past, flagged); break;
    default: line_outputs(6, m, lines, width, step, bias, targets, first, count, past, flagged);
    }
}
#endif
