/* The elementary functions of vmath.h for float and double. */
#ifndef PYCONVX_VMATHS_H
#define PYCONVX_VMATHS_H
#include <math.h>
#include "simd.h"

#define POLYNOMIAL(x, terms) NAME(polynomial)(x, NAME(terms), sizeof NAME(terms) / sizeof *NAME(terms))

#define REAL float
#define VECTOR vector_f32
#define MASK mask_f32
#define LANES LANES_F32
#define DIGITS 24
#define NAME(x) x##_f32
#include "vmath.h"
#undef REAL
#undef VECTOR
#undef MASK
#undef LANES
#undef DIGITS
#undef NAME

#define REAL double
#define VECTOR vector_f64
#define MASK mask_f64
#define LANES LANES_F64
#define DIGITS 53
#define NAME(x) x##_f64
#include "vmath.h"
#undef REAL
#undef VECTOR
#undef MASK
#undef LANES
#undef DIGITS
#undef NAME

#endif
