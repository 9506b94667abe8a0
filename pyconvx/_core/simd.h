/* Vector types and register-tile sizes of the instruction set that this translation unit is compiled for.
   Standard C with GCC/Clang vector extensions; elsewhere a vector is one scalar and the loops stay right. */
#ifndef PYCONVX_SIMD_H
#define PYCONVX_SIMD_H

#include <stddef.h>
#include <stdint.h>

/* The name of an instruction: for what vector extensions have no word for, and gcc sees in scalars by chance only. */
#if defined(__GNUC__) && defined(__SSE2__)
#include <immintrin.h>
#if defined(__AVX512F__)
#define X86(name) _mm512_##name
#elif defined(__AVX2__)
#define X86(name) _mm256_##name
#else
#define X86(name) _mm_##name
#endif
#endif

/* Vectors written past the caches, to where one begins a line: memory is written, and what lies there is not read first.
   What is written so is seen by others after PASSED(). Only vectors that are a line are worth it. */
#if defined(__GNUC__) && defined(__AVX512F__)
#define WRITES_PAST 1
#define WRITE_PAST(y, value) _mm512_stream_si512((void *)(y), *(const __m512i *)&(value))
#define PASSED() _mm_sfence()
#else
#define WRITES_PAST 0
#define WRITE_PAST(y, value)
#define PASSED()
#endif

/* Loads that leave out lanes: 2 where they take as long as others, 1 where they do not, and 0 where there are none. */
#if defined(__AVX512F__)
#define MASKED_LOADS 2
#elif defined(__GNUC__) && defined(__AVX2__)
#define MASKED_LOADS 1
#else
#define MASKED_LOADS 0
#endif

/* TILE_FULL is the most rows of the register tile (output pixels or channels held in registers at once), TILE_VECTORS
   its width. 14 x 2 accumulators + 2 filters + 1 broadcast fill the 32 registers of AVX-512,
   6 x 2 + 2 + 1 the 16 of AVX2 and SSE2. 14 and 7 divide the 56, 28, 14 and 7 pixel rows of usual networks. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_FULL 14
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define TILE_FULL 6
#else
#define VECTOR_BYTES 16
#define TILE_FULL 6
#endif
#define TILE_HALF (TILE_FULL / 2)
/* The most rows of a tile that is one vector wide: with fewer than eight sums a core waits for what it has begun. */
#if defined(__GNUC__)
#define TILE_SINGLE (TILE_FULL == 14 ? 14 : 12)
#else
#define TILE_SINGLE TILE_FULL
#endif
#define TILE_VECTORS 2
#if TILE_SINGLE > TILE_FULL * TILE_VECTORS
#error "a tile of one vector must fit the memory of one of TILE_VECTORS"
#endif
/* Vectors of a band of four rows of places: 4 x 4 sums, 4 inputs and a weight fill 32 registers, 4 x 2 fit 16. */
#define PLANES_WIDTH (TILE_FULL == 14 ? 4 : 2)
/* Vectors of sums that the gradient of few filters holds in registers, beside what they are multiplied from. */
#define SPREAD_SUMS (TILE_FULL == 14 ? 24 : 8)
/* Rows of a panel that tiles ask for filters ahead: where 16 registers make a line of filters few products, what comes from
   far is not foreseen (7 x 7 x 512, filters of 38 MB: 1.8 > 1.2 ms); of 32 registers that took longer. */
#define ASKS_AHEAD (TILE_FULL == 6 ? 64 : 0)
/* Products of one chain: enough to cost nothing, few enough that rounding stays below 1e-5 (1e-14 in double) of the sum.
   N equal terms, rounded the same way each time, are off by up to N / 3 units of half a last place. */
#define FOLD_F32 256
#define FOLD_F64 128
/* Width of a tile of two rows of places: 14 sums, nine filters and a column fill most of 32 registers; of 16, eight sums. */
#define PAIR_FULL (TILE_FULL == 14 ? 7 : 4)
/* Most taps of a row whose filters stay in registers beside TILE_FULL sums and a column. */
#if TILE_FULL == 14
#define MOST_PIECE 9
#else
#define MOST_PIECE 7
#endif

/* Least taps that are read at once for which kernels ask whether a column is there. */
#define LEAST_PASSING 3

#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NEVER_INLINE static __attribute__((noinline)) /* large kernels, which keep their registers to themselves */
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_LINE _Pragma("GCC unroll 40")
#define KEEP(pointer) __asm__("" : "+r"(pointer)) /* as it is in a register: no compiler knows how it came about */
#if defined(__SSE2__)
#define KEEP_VECTOR(vector) __asm__("" : "+x"(vector))
#else
#define KEEP_VECTOR(vector)
#endif
#define PREFETCH(address) __builtin_prefetch(address) /* any address, also of what is not there */
#define ON_LINES __attribute__((aligned(VECTOR_BYTES))) /* vectors in an array of its own, which may lie anywhere else */
typedef float vector_f32 __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef double vector_f64 __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
typedef int32_t mask_f32 __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t mask_f64 __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
/* Which lanes something is true of: a register of its own, or a vector whose lanes have all their bits or none. */
#if defined(__AVX512F__)
typedef __mmask16 truth_f32;
typedef __mmask8 truth_f64;
#else
typedef mask_f32 truth_f32;
typedef mask_f64 truth_f64;
#endif
#define LANES_F32 (VECTOR_BYTES / 4)
#define LANES_F64 (VECTOR_BYTES / 8)
/* Some floats as doubles: gcc 12 takes four of them through memory, unless it is told. */
#if defined(__AVX__)
#define WIDE 4
#define WIDENED(x) ((wide_f64)_mm256_cvtps_pd(_mm_loadu_ps(x)))
#else
#define WIDE 2
typedef float few_f32 __attribute__((vector_size(8), aligned(4), may_alias));
#define WIDENED(x) __builtin_convertvector(*(const few_f32 *)(x), wide_f64)
#endif
typedef double wide_f64 __attribute__((vector_size(WIDE * 8), aligned(8), may_alias));
#if VECTOR_BYTES > 16
#define HALVES 1
typedef float half_f32 __attribute__((vector_size(VECTOR_BYTES / 2), aligned(4), may_alias));
typedef double half_f64 __attribute__((vector_size(VECTOR_BYTES / 2), aligned(8), may_alias));
#else
#define HALVES 0
#endif
#else
#define ALWAYS_INLINE static inline
#define NEVER_INLINE static
#define UNROLL
#define UNROLL_LINE
#define KEEP(pointer)
#define KEEP_VECTOR(vector)
#define PREFETCH(address)
#define ON_LINES
typedef float vector_f32;
typedef double vector_f64;
typedef int32_t mask_f32;
typedef int64_t mask_f64;
typedef mask_f32 truth_f32;
typedef mask_f64 truth_f64;
#define LANES_F32 1
#define LANES_F64 1
#define HALVES 0
#define WIDE 1
typedef double wide_f64;
#define WIDENED(x) ((double)*(x))
#endif

#endif
