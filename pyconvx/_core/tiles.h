/* The kernels of tile.h and planes.h for float and double. */
#ifndef PYCONVX_TILES_H
#define PYCONVX_TILES_H
#include "simd.h"

#define REAL float
#define VECTOR vector_f32
#define LANES LANES_F32
#define FOLD FOLD_F32
#define NAME(x) x##_f32
#include "tile.h"
#include "planes.h"
#undef REAL
#undef VECTOR
#undef LANES
#undef FOLD
#undef NAME

#define REAL double
#define VECTOR vector_f64
#define LANES LANES_F64
#define FOLD FOLD_F64
#define NAME(x) x##_f64
#include "tile.h"
#include "planes.h"
#undef REAL
#undef VECTOR
#undef LANES
#undef FOLD
#undef NAME

#endif
