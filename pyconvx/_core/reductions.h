/* The reductions of reduce.h for float and double. Where there are no vector extensions, LANES is beyond any number of
   channels, so that only the scalar loops run. */
#ifndef PYCONVX_REDUCTIONS_H
#define PYCONVX_REDUCTIONS_H
#include <stdint.h>
#include "simd.h"

#if defined(__GNUC__)
#define REDUCE_VECTORS 1
typedef int32_t mask_f32 __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t mask_f64 __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
#else
#define REDUCE_VECTORS 0
#endif

#define REAL float
#define VECTOR vector_f32
#define MASK mask_f32
#define INTEGER int32_t
#define LANES LANES_F32
#define NAME(x) x##_f32
#include "reduce.h"
#undef REAL
#undef VECTOR
#undef MASK
#undef INTEGER
#undef LANES
#undef NAME

#define REAL double
#define VECTOR vector_f64
#define MASK mask_f64
#define INTEGER int64_t
#define LANES LANES_F64
#define NAME(x) x##_f64
#include "reduce.h"
#undef REAL
#undef VECTOR
#undef MASK
#undef INTEGER
#undef LANES
#undef NAME

#endif
