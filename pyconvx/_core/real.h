/* Defines what a body for both real types is written in, taking back what was defined before; not guarded, since it serves
   many times. With BITS 32 or 64, and HALVED for vectors of half the width or SINGLE for one element; without BITS it only
   takes back. */
#undef REAL
#undef VECTOR
#undef MASK
#undef TRUTH
#undef INTEGER
#undef NUMBERS
#undef INDICES
#undef LANES
#undef DIGITS
#undef FOLD
#undef WIDTHS
#undef NAME
#undef HALF
#undef ONE
#undef PART
#undef CHANNELS
#undef BY_WIDTH

#ifdef BITS
#if BITS == 32
#define REAL float
#define MASK mask_f32
#define TRUTH truth_f32
#define INTEGER int32_t
#define NUMBERS mask_f32  /* LANES 32-bit integers */
#define INDICES positions_f32 /* LANES of the widest */
#define DIGITS 24
#define FOLD FOLD_F32
#else
#define REAL double
#define MASK mask_f64
#define TRUTH truth_f64
#define INTEGER int64_t
#define NUMBERS numbers_f64
#define INDICES positions_f64
#define DIGITS 53
#define FOLD FOLD_F64
#endif
#if defined(SINGLE)
#define PART
#define WIDTHS 1
#define VECTOR REAL
#define LANES 1
#if BITS == 32
#define NAME(x) x##_one_f32
#else
#define NAME(x) x##_one_f64
#endif
#elif defined(HALVED)
#define PART
#define WIDTHS 1
#if BITS == 32
#define VECTOR half_f32
#define LANES (LANES_F32 / 2)
#define NAME(x) x##_half_f32
#else
#define VECTOR half_f64
#define LANES (LANES_F64 / 2)
#define NAME(x) x##_half_f64
#endif
#else
#define WIDTHS TILE_VECTORS
#if BITS == 32
#define VECTOR vector_f32
#define LANES LANES_F32
#define NAME(x) x##_f32
#define HALF(x) x##_half_f32
#define ONE(x) x##_one_f32
#else
#define VECTOR vector_f64
#define LANES LANES_F64
#define NAME(x) x##_f64
#define HALF(x) x##_half_f64
#define ONE(x) x##_one_f64
#endif
#endif
#endif
#undef BITS
#undef HALVED
#undef SINGLE
