/* The lanes of vectors: bits, what is true of them, choices, and rows that end within a vector; one body for float and
   double: include after real.h, vmaths.h does so. */

#undef OF_FLOATS
#undef OF_INTEGERS
#undef FLOATS
#if defined(__AVX512F__) && DIGITS == 24
#define FLOATS(x) ((__m512)(x))
#define OF_FLOATS(name) _mm512_##name##_ps
#define OF_INTEGERS(name) _mm512_##name##_epi32
#define COMPARED(x, y, how) _mm512_cmp_ps_mask(FLOATS(x), FLOATS(y), _CMP_##how)
#define LOWER(x, y) _mm512_cmplt_epi32_mask((__m512i)(x), (__m512i)(y))
#elif defined(__AVX512F__)
#define FLOATS(x) ((__m512d)(x))
#define OF_FLOATS(name) _mm512_##name##_pd
#define OF_INTEGERS(name) _mm512_##name##_epi64
#define COMPARED(x, y, how) _mm512_cmp_pd_mask(FLOATS(x), FLOATS(y), _CMP_##how)
#define LOWER(x, y) _mm512_cmplt_epi64_mask((__m512i)(x), (__m512i)(y))
#elif defined(__GNUC__)
#define COMPARED(comparison) NAME(opaque)((MASK)(comparison))
#else
#define COMPARED(comparison) ((MASK)0 - (MASK)(comparison))
#endif
#if DIGITS == 24
#define LESSER X86(min_ps)
#define GREATER X86(max_ps)
#define BLEND X86(blendv_ps)
#else
#define LESSER X86(min_pd)
#define GREATER X86(max_pd)
#define BLEND X86(blendv_pd)
#endif

ALWAYS_INLINE MASK NAME(as_bits)(VECTOR x)
{
#if defined(__GNUC__)
    return (MASK)x;
#else
    union { VECTOR x; MASK bits; } both;
    both.x = x;
    return both.bits;
#endif
}

ALWAYS_INLINE VECTOR NAME(of_bits)(MASK bits)
{
#if defined(__GNUC__)
    return (VECTOR)bits;
#else
    union { VECTOR x; MASK bits; } both;
    both.bits = bits;
    return both.x;
#endif
}

ALWAYS_INLINE VECTOR NAME(splat)(REAL value) { return value - (VECTOR){0}; }

/* What is true of lanes: of comparisons nothing is where one is NaN, but `is_nan`. And choices by it, `keep` with 0. */
#if defined(__AVX512F__)
ALWAYS_INLINE TRUTH NAME(less)(VECTOR x, VECTOR y) { return COMPARED(x, y, LT_OQ); }
ALWAYS_INLINE TRUTH NAME(up_to)(VECTOR x, VECTOR y) { return COMPARED(x, y, LE_OQ); }
ALWAYS_INLINE TRUTH NAME(equal)(VECTOR x, VECTOR y) { return COMPARED(x, y, EQ_OQ); }
ALWAYS_INLINE TRUTH NAME(is_nan)(VECTOR x) { return COMPARED(x, x, UNORD_Q); }
ALWAYS_INLINE TRUTH NAME(lower)(MASK x, MASK y) { return LOWER(x, y); }

ALWAYS_INLINE VECTOR NAME(select)(TRUTH which, VECTOR yes, VECTOR no)
{
    return (VECTOR)OF_FLOATS(mask_blend)(which, FLOATS(no), FLOATS(yes));
}

ALWAYS_INLINE MASK NAME(choose)(TRUTH which, MASK yes, MASK no)
{
    return (MASK)OF_INTEGERS(mask_blend)(which, (__m512i)no, (__m512i)yes);
}

ALWAYS_INLINE VECTOR NAME(keep)(TRUTH which, VECTOR x) { return (VECTOR)OF_FLOATS(maskz_mov)(which, FLOATS(x)); }
#else
ALWAYS_INLINE TRUTH NAME(opaque)(MASK which)
{
#if VECTOR_BYTES == 16 && defined(__SSE2__)
    __asm__("" : "+x"(which)); /* what gcc knows to be a comparison it takes lane by lane where nothing blends */
#endif
    return which;
}

ALWAYS_INLINE TRUTH NAME(less)(VECTOR x, VECTOR y) { return COMPARED(x < y); }
ALWAYS_INLINE TRUTH NAME(up_to)(VECTOR x, VECTOR y) { return COMPARED(x <= y); }
ALWAYS_INLINE TRUTH NAME(equal)(VECTOR x, VECTOR y) { return COMPARED(x == y); }
ALWAYS_INLINE TRUTH NAME(is_nan)(VECTOR x) { return COMPARED(x != x); }
/* of numbers below 2^31 */
ALWAYS_INLINE TRUTH NAME(lower)(MASK x, MASK y) { return (x - y) >> (8 * sizeof(INTEGER) - 1); }

#if defined(X86) && VECTOR_BYTES == 32
ALWAYS_INLINE VECTOR NAME(select)(TRUTH which, VECTOR yes, VECTOR no) { return BLEND(no, yes, NAME(of_bits)(which)); }

ALWAYS_INLINE MASK NAME(choose)(TRUTH which, MASK yes, MASK no)
{
    return NAME(as_bits)(NAME(select)(which, NAME(of_bits)(yes), NAME(of_bits)(no)));
}
#else
ALWAYS_INLINE MASK NAME(choose)(TRUTH which, MASK yes, MASK no) { return (which & yes) | (~which & no); }

ALWAYS_INLINE VECTOR NAME(select)(TRUTH which, VECTOR yes, VECTOR no)
{
    return NAME(of_bits)(NAME(choose)(which, NAME(as_bits)(yes), NAME(as_bits)(no)));
}
#endif

ALWAYS_INLINE VECTOR NAME(keep)(TRUTH which, VECTOR x) { return NAME(of_bits)(which & NAME(as_bits)(x)); }
#endif

/* NaN where `missing`, x elsewhere. */
ALWAYS_INLINE VECTOR NAME(without)(TRUTH missing, VECTOR x)
{
#if defined(__AVX512F__)
    return NAME(select)(missing, NAME(splat)((REAL)NAN), x);
#else
    return NAME(of_bits)(NAME(as_bits)(x) | missing);
#endif
}

/* Whether something is true of any lane. */
ALWAYS_INLINE int NAME(any)(TRUTH which)
{
#if defined(__AVX512F__)
    return which != 0;
#elif defined(X86) && DIGITS == 24
    return X86(movemask_ps)(NAME(of_bits)(which)) != 0;
#elif defined(X86)
    return X86(movemask_pd)(NAME(of_bits)(which)) != 0;
#elif defined(__GNUC__)
    INTEGER some = 0;
    for (int l = 0; l < LANES; l++) some |= ((const INTEGER *)&which)[l];
    return some != 0;
#else
    return which != 0;
#endif
}

#define SIGN_BIT NAME(as_bits)(NAME(splat)(-(REAL)0))
ALWAYS_INLINE VECTOR NAME(absolute)(VECTOR x) { return NAME(of_bits)(NAME(as_bits)(x) & ~SIGN_BIT); }

/* -|x| */
ALWAYS_INLINE VECTOR NAME(falling)(VECTOR x) { return NAME(of_bits)(NAME(as_bits)(x) | SIGN_BIT); }

/* A positive x with the sign of y. */
ALWAYS_INLINE VECTOR NAME(with_sign)(VECTOR x, VECTOR y)
{
    return NAME(of_bits)(NAME(as_bits)(x) | (NAME(as_bits)(y) & SIGN_BIT));
}

/* The lesser and the greater of each lane; y of equals, and where one is NaN. */
#if defined(X86)
ALWAYS_INLINE VECTOR NAME(lesser)(VECTOR x, VECTOR y) { return LESSER(x, y); }
ALWAYS_INLINE VECTOR NAME(greater)(VECTOR x, VECTOR y) { return GREATER(x, y); }
#else
ALWAYS_INLINE VECTOR NAME(lesser)(VECTOR x, VECTOR y) { return NAME(select)(NAME(less)(x, y), x, y); }
ALWAYS_INLINE VECTOR NAME(greater)(VECTOR x, VECTOR y) { return NAME(select)(NAME(less)(y, x), x, y); }
#endif

/* The larger or the smaller; a NaN wins, and `best` if they are equal. */
ALWAYS_INLINE VECTOR NAME(extreme)(const int largest, VECTOR value, VECTOR best)
{
#if defined(__AVX512F__)
    const TRUTH there = COMPARED(value, value, ORD_Q);
    return (VECTOR)(largest ? OF_FLOATS(mask_max)(FLOATS(value), there, FLOATS(value), FLOATS(best))
                            : OF_FLOATS(mask_min)(FLOATS(value), there, FLOATS(value), FLOATS(best)));
#else
    return NAME(select)(NAME(is_nan)(value), value,
                        largest ? NAME(greater)(value, best) : NAME(lesser)(value, best));
#endif
}

/* A NaN x stays. */
ALWAYS_INLINE VECTOR NAME(at_least)(VECTOR x, REAL least) { return NAME(greater)(NAME(splat)(least), x); }
ALWAYS_INLINE VECTOR NAME(at_most)(VECTOR x, REAL most) { return NAME(lesser)(NAME(splat)(most), x); }

/* The first lanes of a vector, as instructions with masks load and store them. */
#if defined(__AVX512F__)
#define FIRST(count) (TRUTH)((1u << (count)) - 1)
#define LOAD_FIRST(x, count, fill) (VECTOR)OF_FLOATS(mask_loadu)(OF_FLOATS(set1)(fill), FIRST(count), x)
#define STORE_FIRST(y, count, value) OF_FLOATS(mask_storeu)(y, FIRST(count), FLOATS(value))
#elif defined(__AVX2__) && DIGITS == 24
#define FIRST(count) _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define LOAD_FIRST(x, count, fill) \
    (VECTOR)_mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(x, FIRST(count)), (__m256)FIRST(count))
#define STORE_FIRST(y, count, value) _mm256_maskstore_ps(y, FIRST(count), (__m256)(value))
#elif defined(__AVX2__)
#define FIRST(count) _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3))
#define LOAD_FIRST(x, count, fill) \
    (VECTOR)_mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(x, FIRST(count)), (__m256d)FIRST(count))
#define STORE_FIRST(y, count, value) _mm256_maskstore_pd(y, FIRST(count), (__m256d)(value))
#endif

/* The next vector of a row of which `count` elements are left; lanes beyond them hold `fill`, and are not stored. */
ALWAYS_INLINE VECTOR NAME(load)(const REAL *x, ptrdiff_t count, REAL fill)
{
    if (count >= LANES) return *(const VECTOR *)x;
#if defined(LOAD_FIRST)
    return LOAD_FIRST(x, count, fill);
#else
    REAL some[LANES];
    for (ptrdiff_t k = 0; k < LANES; k++) some[k] = k < count ? x[k] : fill;
    return *(const VECTOR *)some;
#endif
}

ALWAYS_INLINE void NAME(store)(REAL *y, ptrdiff_t count, VECTOR value)
{
    if (count >= LANES) {
        *(VECTOR *)y = value;
        return;
    }
#if defined(STORE_FIRST)
    STORE_FIRST(y, count, value);
#else
    REAL some[LANES];
    *(VECTOR *)some = value;
    for (ptrdiff_t k = 0; k < count; k++) y[k] = some[k];
#endif
}

/* The lanes from <= l < until of a vector; both may lie beyond it. */
ALWAYS_INLINE TRUTH NAME(lanes_between)(ptrdiff_t from, ptrdiff_t until)
{
#if defined(__AVX512F__)
    const ptrdiff_t low = from < 0 ? 0 : from < LANES ? from : LANES, high = until < 0 ? 0 : until < LANES ? until : LANES;
    return FIRST(high) & ~FIRST(low);
#else
    TRUTH which;
    for (ptrdiff_t l = 0; l < LANES; l++) ((INTEGER *)&which)[l] = from <= l && l < until ? -1 : 0;
    return which;
#endif
}

/* Some lanes of a vector, and 0 in place of the others, which are not read: where there are MASKED_LOADS. */
#if defined(__AVX512F__)
ALWAYS_INLINE VECTOR NAME(load_some)(const REAL *x, TRUTH which) { return (VECTOR)OF_FLOATS(maskz_loadu)(which, x); }
#elif defined(__AVX2__) && DIGITS == 24
ALWAYS_INLINE VECTOR NAME(load_some)(const REAL *x, TRUTH which) { return (VECTOR)_mm256_maskload_ps(x, (__m256i)which); }
#elif defined(__AVX2__)
ALWAYS_INLINE VECTOR NAME(load_some)(const REAL *x, TRUTH which) { return (VECTOR)_mm256_maskload_pd(x, (__m256i)which); }
#endif
#undef COMPARED
#undef LOWER
#undef FIRST
#undef LOAD_FIRST
#undef STORE_FIRST
#undef LESSER
#undef GREATER
#undef BLEND
#undef SIGN_BIT
