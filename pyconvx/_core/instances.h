/* Every kernel for one real type: include with BITS defined, 32 or 64. Not guarded, since it serves twice. */
#if BITS == 32
#define REAL float
#define FOLD FOLD_F32
#else
#define REAL double
#define FOLD FOLD_F64
#endif

#if HALVES
#if BITS == 32
#define VECTOR half_f32
#define LANES (LANES_F32 / 2)
#define NAME(x) x##_half_f32
#else
#define VECTOR half_f64
#define LANES (LANES_F64 / 2)
#define NAME(x) x##_half_f64
#endif
#define WIDTHS 1
#include "multiply.h"
#undef VECTOR
#undef LANES
#undef NAME
#undef WIDTHS
#endif

#if BITS == 32
#define VECTOR vector_f32
#define LANES LANES_F32
#define NAME(x) x##_f32
#define HALF(x) x##_half_f32
#else
#define VECTOR vector_f64
#define LANES LANES_F64
#define NAME(x) x##_f64
#define HALF(x) x##_half_f64
#endif
#define WIDTHS TILE_VECTORS
#include "multiply.h"
#include "tile.h"
#include "planes.h"
#undef VECTOR
#undef LANES
#undef NAME
#undef HALF
#undef WIDTHS
#undef REAL
#undef FOLD
