/* The activations of activation.h for float and double, and their table. */
#ifndef PYCONVX_ACTIVATIONS_H
#define PYCONVX_ACTIVATIONS_H
#include "vmaths.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize ("schedule-insns") /* interleaves what two vectors need: a tenth of the time */
#endif

/* y = activation(x) for a row of n elements of x; y may be x where it has as many. */
typedef void (*row_t)(const void *x, void *y, ptrdiff_t n, const double *params);
/* gx = the gradient with respect to x, given y and gy, that with respect to y; gx may be gy where it has as many. */
typedef void (*row_gradient_t)(const void *x, const void *y, const void *gy, void *gx, ptrdiff_t n,
                               const double *params);

typedef struct {
    const char *name;
    int rowwise; /* sees whole rows: they may not be cut, and the gradient reads y */
    int share;   /* so many elements of x give one of y */
    row_t row[2]; /* for float and double */
    row_gradient_t gradient[2];
} activation_t;

#define ACTIVATION_PARAMETERS 2 /* of a built-in one */
#define ELEMENTWISE_ACTIVATIONS(DO) \
    DO(identity) DO(relu) DO(relu6) DO(leaky_relu) DO(elu) DO(selu) DO(celu) DO(gelu) DO(gelu_tanh) DO(silu) DO(mish) \
    DO(softsign) DO(sigmoid) DO(log_sigmoid) DO(hard_sigmoid) DO(hard_swish) DO(hard_tanh) DO(tanh) \
    DO(tanh_shrink) DO(soft_shrink) DO(hard_shrink) DO(threshold)

#define BITS 32
#include "real.h"
#include "activation.h"
#define BITS 64
#include "real.h"
#include "activation.h"
#include "real.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

#define ENTRY(name, rowwise, share) \
    {#name, rowwise, share, {name##_row_f32, name##_row_f64}, {name##_gradient_f32, name##_gradient_f64}},
#define ELEMENTWISE(name) ENTRY(name, 0, 1)
static const activation_t ACTIVATION_TABLE[] = {
    ELEMENTWISE_ACTIVATIONS(ELEMENTWISE)
    ELEMENTWISE(softplus)
    ENTRY(softmax, 1, 1)
    ENTRY(log_softmax, 1, 1)
    ENTRY(glu, 1, 2)
};
#undef ENTRY
#undef ELEMENTWISE
#define ACTIVATION_COUNT ((ptrdiff_t)(sizeof ACTIVATION_TABLE / sizeof *ACTIVATION_TABLE))

#endif
