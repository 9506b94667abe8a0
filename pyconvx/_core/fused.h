/* The outputs of FUSED_TILES tiles and some vectors of filters: include after real.h, from winograd_fused.h. */

/* m and y: the points of a line of sums, and its outputs. */
ALWAYS_INLINE void NAME(fused_out)(const int form, const VECTOR *m, VECTOR *y) WINOGRAD_OUT_BODY(VECTOR, form, 0)

/* sums[vector][tile][row]: one column of points, `rows` of them at a time.
   u[point][tap][channel][width]: transformed filters; `line` elements from a point to the one below. */
ALWAYS_INLINE void NAME(fused_products)(const int vectors, const int rows, const float *v, const fused_inputs_t *inputs,
                                        const float *u, ptrdiff_t line, ptrdiff_t width,
                                        VECTOR (*sums)[FUSED_TILES][6])
{
    const ptrdiff_t tile[4] = {0, inputs->second, inputs->third, inputs->second + inputs->third};
    UNROLL for (int first = 0; first < 6; first += rows) {
        const float *filters = u + first * line;
        VECTOR acc[6][FUSED_TILES][FUSED_VECTORS] = {{{{0}}}};
        for (ptrdiff_t d = 0; d < inputs->depth; d++) {
            const float *in = v + d * inputs->depth_step + first * 6 * FUSED_POINT;
            for (ptrdiff_t left = inputs->channels; left > 0; left -= inputs->run, in += inputs->run_step) {
                const ptrdiff_t some = left < inputs->run ? left : inputs->run;
                for (ptrdiff_t c = 0; c < some; c++, filters += width)
                    UNROLL for (int i = 0; i < rows; i++) {
                        VECTOR b[FUSED_VECTORS];
                        UNROLL for (int k = 0; k < vectors; k++) {
                            b[k] = *(const VECTOR *)(filters + i * line + k * LANES);
                            KEEP_VECTOR(b[k]); /* or it is loaded for each tile */
                        }
                        UNROLL for (int t = 0; t < FUSED_TILES; t++) {
                            const float a = in[tile[t] + i * 6 * FUSED_POINT + c];
                            UNROLL for (int k = 0; k < vectors; k++) acc[i][t][k] += b[k] * a;
                        }
                    }
            }
        }
        UNROLL for (int k = 0; k < vectors; k++)
            UNROLL for (int t = 0; t < FUSED_TILES; t++)
                UNROLL for (int i = 0; i < rows; i++) sums[k][t][first + i] = acc[i][t][k];
    }
}

/* The outputs, plus bias, stored to targets[] (NULL: none) at `first`, `count` lanes of them, of which the vectors are full
   if `whole`, and then past the caches if `past`; checks[tile][lane] becomes infinite or NaN where one is. v and u as
   above. */
ALWAYS_INLINE void NAME(fused_body)(const int form, const int vectors, const int rows, const float *v,
                                    const fused_inputs_t *inputs, const float *u, ptrdiff_t width, const float *bias,
                                    float *const *targets, ptrdiff_t first, const int whole, ptrdiff_t count, int past,
                                    float *checks)
{
    const int outputs = WINOGRAD_OUT(form);
    const ptrdiff_t point = inputs->depth * inputs->channels * width;
    ON_LINES VECTOR columns[FUSED_VECTORS][FUSED_TILES][4][6];
    for (int j = 0; j < 6; j++) {
        VECTOR sums[FUSED_VECTORS][FUSED_TILES][6];
        NAME(fused_products)(vectors, rows, v + j * FUSED_POINT, inputs, u + j * point, 6 * point, width, sums);
        UNROLL for (int k = 0; k < vectors; k++)
            UNROLL for (int t = 0; t < FUSED_TILES; t++) {
                VECTOR column[4];
                NAME(fused_out)(form, sums[k][t], column);
                UNROLL for (int i = 0; i < outputs; i++) columns[k][t][i][j] = column[i];
            }
    }
    for (int t = 0; t < FUSED_TILES; t++, targets += outputs * outputs)
        for (int k = 0; k < vectors; k++) {
            const VECTOR offset = *(const VECTOR *)(bias + k * LANES);
            VECTOR check = {0};
            UNROLL for (int i = 0; i < outputs; i++) {
                VECTOR y[4];
                NAME(fused_out)(form, columns[k][t][i], y);
                UNROLL for (int j = 0; j < outputs; j++) {
                    float *target = targets[i * outputs + j] + first + k * LANES;
                    const VECTOR sum = y[j] + offset;
                    check += sum;
                    if (targets[i * outputs + j] == NULL) continue;
                    if (WRITES_PAST && WIDTHS > 1 && whole && past) WRITE_PAST(target, sum);
                    else if (whole || count - k * LANES >= LANES) *(VECTOR *)target = sum;
#if defined(PART) || MASKED_LOADS < 2 /* where masks take time, a store with one takes as long as ten others */
                    else copy_few(target, (const float *)&sum, count - k * LANES);
#else
                    else store_f32(target, count - k * LANES, sum);
#endif
                }
            }
            *(VECTOR *)(checks + t * LANES_F32) += check;
        }
}

NEVER_INLINE void NAME(fused)(int form, const float *v, const fused_inputs_t *inputs, const float *u, ptrdiff_t width,
                              const float *bias, float *const *targets, ptrdiff_t first, ptrdiff_t count, int past,
                              float *checks)
{
#define DO(form, vectors, rows, whole) \
    NAME(fused_body)(form, vectors, rows, v, inputs, u, width, bias, targets, first, whole, count, past, \
                     checks)
#define CASES(vectors, rows, whole) \
    switch (form) { \
    case 3: DO(3, vectors, rows, whole); break; \
    case 4: DO(4, vectors, rows, whole); break; \
    default: DO(5, vectors, rows, whole); break; \
    }
#if FUSED_VECTORS > 1 && !defined(PART)
    if (count == FUSED_VECTORS * LANES) {
        CASES(FUSED_VECTORS, FUSED_ROWS, 1)
        return;
    }
    if (count > LANES) {
        CASES(FUSED_VECTORS, FUSED_ROWS, 0)
        return;
    }
#endif
    if (count == LANES) CASES(1, 6, 1) else CASES(1, 6, 0)
#undef CASES
#undef DO
}
