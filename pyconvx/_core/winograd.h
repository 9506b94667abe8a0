/* The transforms of Winograd's algorithms with the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, for vectors of channels or
   filters. These points lose about a third of the digits that the usual 0, +-1, +-2 lose.

   y = A' [(G g) (B' d)]: a line d has 6 inputs, g 3, 4 or 5 taps, and y 4, 3 or 2 outputs. The polynomials follow from
   x (x^2 - 1/2) (x^2 - 2), as in Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016).

   A tile of F(4, 3) that has one or two places along an axis does with four points, 0, +-sqrt(1/2) and infinity, which is
   F(2, 3): it takes part in fewer of the same products, because what its filters would be divided by otherwise, its inputs
   are (a factor of 1/2 - 2 at +-sqrt(1/2)). So it is with F(3, 4) and F(3, 2) of the gradient, whose outputs are sums over
   tiles of both kinds. `narrow` is 1 for such tiles of the first axis, plus 2 for those of the second.

   With 3 taps and stride 2 there are 9 inputs. The even ones meet two taps, which is F(4, 2) with the same points without
   0; the four odd ones meet one tap, and are points themselves. So a tile has 9 x 9 points, and filters 6 x 6: the four
   odd points of a line share the last. */
#ifndef PYCONVX_WINOGRAD_H
#define PYCONVX_WINOGRAD_H
#include <string.h>
#include "vmaths.h"

/* A form is the number of taps along a side at stride 1, 3 to 5, or WINOGRAD_STRIDED. Those of winograd_line.h are
   WINOGRAD_LINE more than the taps of a line. */
#define WINOGRAD_STRIDED 2
#define WINOGRAD_LINE 8
#define WINOGRAD_IS_LINE(form) ((form) > WINOGRAD_LINE)
#define WINOGRAD_SIDE(form) ((form) == WINOGRAD_STRIDED ? 9 : WINOGRAD_IS_LINE(form) ? 8 : 6) /* inputs along a row of a tile, and points */
#define WINOGRAD_TAPS(form) ((form) == WINOGRAD_STRIDED ? 3 : (form) % WINOGRAD_LINE)
#define WINOGRAD_OUT(form) ((form) == WINOGRAD_STRIDED ? 4 : WINOGRAD_SIDE(form) + 1 - WINOGRAD_TAPS(form))
#define WINOGRAD_ROWS(form, side) (WINOGRAD_IS_LINE(form) ? 1 : (side)) /* along a column: as many as along a row, or 1 */
#define WINOGRAD_FILTER_POINTS(form) (WINOGRAD_IS_LINE(form) ? 8 : 36)
#define WINOGRAD_FORMS(DO) \
    switch (form) { \
    case WINOGRAD_STRIDED: DO(WINOGRAD_STRIDED); break; \
    case 3: DO(3); break; \
    case 4: DO(4); break; \
    default: DO(5); break; \
    }
#define WINOGRAD_NARROW(DO) \
    switch (narrow) { \
    case 0: DO(0, 0); break; \
    case 1: DO(1, 0); break; \
    case 2: DO(0, 1); break; \
    default: DO(1, 1); break; \
    }
#define LEFT_OUT(narrow, i) ((narrow) && ((i) == 3 || (i) == 4)) /* whether a narrow line has no point i: +-sqrt(2) */
#define ROOT_HALF 0.70710678118654752f
#define ROOT_TWO 1.41421356237309505f

typedef vector_f32 vf;

/* d and v: the inputs of a line, and their points. For vectors of more than one type. */
#define WINOGRAD_IN_BODY(vector) \
    { \
        const vector even1 = d[4] - 2.0f * d[2], odd1 = (d[3] - 2.0f * d[1]) * ROOT_HALF; \
        const vector even2 = d[4] - 0.5f * d[2], odd2 = (d[3] - 0.5f * d[1]) * ROOT_TWO; \
        v[0] = (d[0] - 2.5f * d[2]) + d[4]; \
        v[1] = even1 + odd1; \
        v[2] = even1 - odd1; \
        v[3] = even2 + odd2; \
        v[4] = even2 - odd2; \
        v[5] = (d[1] - 2.5f * d[3]) + d[5]; \
    }
ALWAYS_INLINE void winograd_in(const int form, const int narrow, const vf *d, vf *v)
{
    if (narrow) {
        const vf even = -1.5f * d[2], odd = (-1.5f * ROOT_HALF) * d[1];
        v[0] = d[0] - 2.0f * d[2];
        v[1] = even + odd;
        v[2] = even - odd;
        v[5] = d[3] - 0.5f * d[1];
        return;
    }
    if (form == WINOGRAD_STRIDED) {
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
    WINOGRAD_IN_BODY(vf)
}

/* m and y: the points of a line of sums, and its outputs. For vectors of more than one type. */
#define WINOGRAD_OUT_BODY(vector, form, narrow) \
    { \
        const int outputs = WINOGRAD_OUT(form), strided = (form) == WINOGRAD_STRIDED; \
        const vector *pairs = strided ? m : m + 1; \
        const vector sum1 = pairs[0] + pairs[1], difference1 = pairs[0] - pairs[1]; \
        if (narrow) { \
            y[0] = m[0] + sum1; \
            y[1] = ROOT_HALF * difference1 + m[5]; \
            return; \
        } \
        const vector sum2 = pairs[2] + pairs[3], difference2 = pairs[2] - pairs[3]; \
        vector last = pairs[4], more[3] = {ROOT_TWO * difference2, 2.0f * sum2, (2.0f * ROOT_TWO) * difference2}; \
        if (strided) last += m[8]; \
        more[outputs - 2] += last; \
        y[0] = (m[strided ? 5 : 0] + sum1) + sum2; \
        y[1] = ROOT_HALF * difference1 + more[0]; \
        if (outputs > 2) y[2] = 0.5f * sum1 + more[1]; \
        if (outputs > 3) y[3] = (0.5f * ROOT_HALF) * difference1 + more[2]; \
        if (strided) y[1] += m[6], y[2] += m[7]; \
    }
ALWAYS_INLINE void winograd_out(const int form, const int narrow, const vf *m, vf *y) WINOGRAD_OUT_BODY(vf, form, narrow)

/* g and u: the taps of a line, and its six points. */
ALWAYS_INLINE void winograd_filter(const int form, const vf *g, vf *u)
{
    const int taps = WINOGRAD_TAPS(form);
    if (form == WINOGRAD_STRIDED) {
        const vf even = g[2] * (1.0f / 3.0f), odd1 = g[0] * (-ROOT_TWO / 3.0f), odd2 = g[0] * (ROOT_HALF / 3.0f);
        u[0] = odd1 - even;
        u[1] = -odd1 - even;
        u[2] = odd2 + even;
        u[3] = even - odd2;
        u[4] = g[2];
        u[5] = g[1];
        return;
    }
    vf even1 = g[0] + 0.5f * g[2], even2 = g[0] + 2.0f * g[2], odd1 = g[1], odd2 = g[1];
    if (taps > 3) odd1 += 0.5f * g[3], odd2 += 2.0f * g[3];
    if (taps > 4) even1 += 0.25f * g[4], even2 += 4.0f * g[4];
    even1 *= -1.0f / 1.5f, odd1 *= -ROOT_HALF / 1.5f;
    even2 *= 1.0f / 6.0f, odd2 *= ROOT_TWO / 6.0f;
    u[0] = g[0];
    u[1] = even1 + odd1;
    u[2] = even1 - odd1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[taps - 1];
}

/* Two taps of a line, and its four points. */
ALWAYS_INLINE void winograd_two(const vf *g, vf *u)
{
    const vf even = g[0] * (-1.0f / 1.5f), odd = g[1] * (-ROOT_HALF / 1.5f);
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[5] = g[1];
}

/* A few elements, for which a call of memcpy would take longest. */
static inline void copy_few(float *to, const float *from, ptrdiff_t n)
{
    for (; n >= 4; n -= 4, to += 4, from += 4) memcpy(to, from, 16);
    switch (n) {
    case 3: to[2] = from[2]; /* fall through */
    case 2: to[1] = from[1]; /* fall through */
    case 1: to[0] = from[0];
    }
}

ALWAYS_INLINE vf larger(vf a, vf b) { return select_f32(less_f32(b, a), a, b); }

static float largest_lane(const vf x)
{
    float largest = 0;
    for (int lane = 0; lane < LANES_F32; lane++)
        if (((const float *)&x)[lane] > largest) largest = ((const float *)&x)[lane];
    return largest;
}

/* Whether no lane is infinite or NaN. */
ALWAYS_INLINE int all_finite(const vf x) { return !any_f32(is_nan_f32(x * 0.0f)); }

ALWAYS_INLINE vf winograd_input_vector(const int form, const int narrow0, const int narrow1, const float *const *rows,
                                       ptrdiff_t c, ptrdiff_t count, ptrdiff_t kept, float *v, ptrdiff_t step)
{
    const int side = WINOGRAD_SIDE(form);
    ON_LINES vf t[9][9];
    vf size = {0};
    UNROLL for (int j = 0; j < (narrow1 ? 4 : side); j++) {
        vf d[9], column[9], sum = {0};
        UNROLL for (int i = 0; i < (narrow0 ? 4 : side); i++) {
            d[i] = load_f32(rows[i * side + j] + c, count, 0);
            sum += absolute_f32(d[i]);
        }
        size += sum;
        winograd_in(form, narrow0, d, column);
        UNROLL for (int i = 0; i < side; i++)
            if (!LEFT_OUT(narrow0, i)) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < side; i++) {
        vf row[9];
        if (LEFT_OUT(narrow0, i)) continue;
        winograd_in(form, narrow1, t[i], row);
        UNROLL for (int j = 0; j < side; j++)
            if (!LEFT_OUT(narrow1, j)) store_f32(v + (i * side + j) * step, kept, row[j]);
    }
    return size;
}

ALWAYS_INLINE float winograd_input_body(const int form, const int narrow0, const int narrow1, const float *const *rows,
                                        ptrdiff_t c, ptrdiff_t until, float *v, ptrdiff_t step, ptrdiff_t apart,
                                        int exact)
{
    vf sizes = {0};
    for (; c + LANES_F32 <= until; c += LANES_F32, v += apart)
        sizes = larger(winograd_input_vector(form, narrow0, narrow1, rows, c, LANES_F32, LANES_F32, v, step), sizes);
    if (c < until)
        sizes = larger(winograd_input_vector(form, narrow0, narrow1, rows, c, until - c, exact ? until - c : LANES_F32, v,
                                             step), sizes);
    return largest_lane(sizes);
}

/* v[x][i] = transformed channels c + i < until of the rows of an input tile, WINOGRAD_SIDE(form) a side; `step` from one x
   to the next, `apart` from a vector of channels to the next. The last vector is filled up with zeros, unless `exact`.
   Returns the largest sum over a channel of their magnitudes. */
NEVER_INLINE float winograd_input(int form, int narrow, const float *const *rows, ptrdiff_t c, ptrdiff_t until, float *v,
                                  ptrdiff_t step, ptrdiff_t apart, int exact)
{
#define DO(narrow0, narrow1) return winograd_input_body(3, narrow0, narrow1, rows, c, until, v, step, apart, exact)
    if (form == WINOGRAD_STRIDED)
        return winograd_input_body(WINOGRAD_STRIDED, 0, 0, rows, c, until, v, step, apart, exact);
    WINOGRAD_NARROW(DO) /* the inputs of all other forms are alike */
#undef DO
}

ALWAYS_INLINE void winograd_filters_body(const int form, const float *g, ptrdiff_t tap, float *u, ptrdiff_t step)
{
    const int taps = WINOGRAD_TAPS(form);
    ON_LINES vf t[6][5];
    UNROLL for (int j = 0; j < taps; j++) {
        vf lines[5], column[6];
        UNROLL for (int i = 0; i < taps; i++) lines[i] = *(const vf *)(g + (taps * i + j) * tap);
        winograd_filter(form, lines, column);
        UNROLL for (int i = 0; i < 6; i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vf row[6];
        winograd_filter(form, t[i], row);
        UNROLL for (int j = 0; j < 6; j++) *(vf *)(u + (i * 6 + j) * step) = row[j];
    }
}

/* Filters of one vector of outputs: g[k * tap + lane] for all taps, u[x * step + lane]. */
NEVER_INLINE void winograd_filters(int form, const float *g, ptrdiff_t tap, float *u, ptrdiff_t step)
{
#define DO(form) winograd_filters_body(form, g, tap, u, step)
    WINOGRAD_FORMS(DO)
#undef DO
}

/* The gradient of 3 x 3 filters is F(3x3, 4x4): the 4 x 4 gradients of a tile of outputs take the place of the filters,
   and the 3 x 3 taps that of the outputs. */

/* v[x * step + lane] = transformed outputs first .. first + count of the 4 x 4 rows (NULL: zeros); returns the largest sum
   of magnitudes of one output. */
ALWAYS_INLINE float winograd_slope_body(const int narrow0, const int narrow1, const float *const *rows, ptrdiff_t first,
                                        ptrdiff_t count, float *v, ptrdiff_t step)
{
    ON_LINES vf t[6][4];
    vf size = {0};
    UNROLL for (int j = 0; j < (narrow1 ? 2 : 4); j++) {
        vf g[4], column[6];
        UNROLL for (int i = 0; i < (narrow0 ? 2 : 4); i++) {
            g[i] = (vf){0};
            if (rows[i * 4 + j] != NULL) g[i] = load_f32(rows[i * 4 + j] + first, count, 0);
            size += absolute_f32(g[i]);
        }
        if (narrow0) winograd_two(g, column);
        else winograd_filter(4, g, column);
        UNROLL for (int i = 0; i < 6; i++)
            if (!LEFT_OUT(narrow0, i)) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vf row[6];
        if (LEFT_OUT(narrow0, i)) continue;
        if (narrow1) winograd_two(t[i], row);
        else winograd_filter(4, t[i], row);
        UNROLL for (int j = 0; j < 6; j++)
            if (!LEFT_OUT(narrow1, j)) *(vf *)(v + (i * 6 + j) * step) = row[j];
    }
    return largest_lane(size);
}

NEVER_INLINE float winograd_slope(int narrow, const float *const *rows, ptrdiff_t first, ptrdiff_t count, float *v,
                                  ptrdiff_t step)
{
#define DO(narrow0, narrow1) return winograd_slope_body(narrow0, narrow1, rows, first, count, v, step)
    WINOGRAD_NARROW(DO)
#undef DO
}

/* The largest magnitude of n elements, some whole vectors. */
static float largest_magnitude(const float *x, ptrdiff_t n)
{
    vf largest = {0};
    for (ptrdiff_t i = 0; i < n; i += LANES_F32) largest = larger(absolute_f32(*(const vf *)(x + i)), largest);
    return largest_lane(largest);
}

/* The largest magnitude of n elements, which may lie anywhere; NaNs are passed over. */
static float largest_of(const float *x, ptrdiff_t n)
{
    vf largest = {0};
    ptrdiff_t i = 0;
    for (; i + LANES_F32 <= n; i += LANES_F32) largest = larger(absolute_f32(load_f32(x + i, LANES_F32, 0)), largest);
    if (i < n) largest = larger(absolute_f32(load_f32(x + i, n - i, 0)), largest);
    return largest_lane(largest);
}

/* Whether the largest input of a square tile is more than `most` times as large as those that one of its places reads, of
   which there are height x width, `rise` inputs apart; sizes: of its inputs. */
static int winograd_uneven(int form, int rise, ptrdiff_t height, ptrdiff_t width, const float *sizes, float most)
{
    const int side = WINOGRAD_SIDE(form), taps = WINOGRAD_TAPS(form);
    const float largest = largest_of(sizes, side * side);
    for (ptrdiff_t row = 0; row < height * rise; row += rise)
        for (ptrdiff_t column = 0; column < width * rise; column += rise) {
            float read = 0;
            for (int i = 0; i < taps; i++) read = fmaxf(read, largest_of(sizes + (row + i) * side + column, taps));
            if (largest > most * read) return 1;
        }
    return 0;
}

/* g[k * tap + lane] = the nine taps of a vector of sums m[x * step + lane]. */
NEVER_INLINE void winograd_taps(const float *m, ptrdiff_t step, float *g, ptrdiff_t tap)
{
    ON_LINES vf t[3][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf sums[6], column[3];
        UNROLL for (int i = 0; i < 6; i++) sums[i] = *(const vf *)(m + (6 * i + j) * step);
        winograd_out(4, 0, sums, column);
        UNROLL for (int i = 0; i < 3; i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vf row[3];
        winograd_out(4, 0, t[i], row);
        UNROLL for (int j = 0; j < 3; j++) *(vf *)(g + (i * 3 + j) * tap) = row[j];
    }
}

/* The outputs of one tile and one vector of filters: m[x * step], plus bias, stored to targets[] (NULL: none) at
   `first`, `count` lanes of it, past the caches if `past`. Returns whether all are finite. */
ALWAYS_INLINE int winograd_output_body(const int form, const int narrow0, const int narrow1, const float *m, ptrdiff_t step,
                                       const float *bias, float *const *targets, ptrdiff_t first, ptrdiff_t count,
                                       int past)
{
    const int side = WINOGRAD_SIDE(form), outputs = WINOGRAD_OUT(form);
    ON_LINES vf t[4][9];
    vf check = {0};
    const vf offset = *(const vf *)bias;
    UNROLL for (int j = 0; j < side; j++) {
        vf sums[9], column[4];
        if (LEFT_OUT(narrow1, j)) continue;
        UNROLL for (int i = 0; i < side; i++)
            if (!LEFT_OUT(narrow0, i)) sums[i] = *(const vf *)(m + (i * side + j) * step);
        winograd_out(form, narrow0, sums, column);
        UNROLL for (int i = 0; i < (narrow0 ? 2 : outputs); i++) t[i][j] = column[i];
    }
    UNROLL for (int i = 0; i < (narrow0 ? 2 : outputs); i++) {
        vf y[4];
        winograd_out(form, narrow1, t[i], y);
        UNROLL for (int j = 0; j < (narrow1 ? 2 : outputs); j++) {
            const vf sum = y[j] + offset;
            float *target = targets[i * outputs + j];
            check += sum;
            if (target == NULL) continue;
            if (WRITES_PAST && past) WRITE_PAST(target + first, sum);
            else store_f32(target + first, count, sum);
        }
    }
    return all_finite(check);
}

NEVER_INLINE int winograd_output(int form, int narrow, const float *m, ptrdiff_t step, const float *bias,
                                 float *const *targets, ptrdiff_t first, ptrdiff_t count, int past)
{
#define OUTPUT(form, narrow0, narrow1, count, past) \
    return winograd_output_body(form, narrow0, narrow1, m, step, bias, targets, first, count, past)
#define WHOLE(form) OUTPUT(form, 0, 0, LANES_F32, past)
#define PART(form) OUTPUT(form, 0, 0, count, 0)
#define WHOLE_NARROW(narrow0, narrow1) OUTPUT(3, narrow0, narrow1, LANES_F32, past)
#define PART_NARROW(narrow0, narrow1) OUTPUT(3, narrow0, narrow1, count, 0)
    if (narrow && count == LANES_F32) WINOGRAD_NARROW(WHOLE_NARROW)
    if (narrow) WINOGRAD_NARROW(PART_NARROW)
    if (count == LANES_F32) WINOGRAD_FORMS(WHOLE)
    WINOGRAD_FORMS(PART)
#undef OUTPUT
#undef WHOLE_NARROW
#undef PART_NARROW
#undef WHOLE
#undef PART
}
#endif
