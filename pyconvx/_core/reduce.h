/* Reductions over the rows of a window, vector by vector, one body for float and double: include after real.h.
   A NaN wins an extremum; ties and NaNs go to the first row. */

#if REDUCE_VECTORS
ALWAYS_INLINE MASK NAME(beats)(const int largest, VECTOR challenger, VECTOR best)
{
    return (largest ? challenger > best : challenger < best) | (challenger != challenger);
}
#endif

/* y[c] = largest or smallest of rows[t][c], and of y[c] unless fresh. */
ALWAYS_INLINE void NAME(extremum_body)(const int largest, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels,
                                       int fresh, REAL *y)
{
    ptrdiff_t c = 0;
#if REDUCE_VECTORS
    for (; c + LANES <= channels; c += LANES) {
        VECTOR best = *(const VECTOR *)((fresh ? rows[0] : y) + c);
        for (ptrdiff_t t = fresh; t < count; t++) {
            const VECTOR value = *(const VECTOR *)(rows[t] + c);
            best = NAME(select)(NAME(beats)(largest, value, best), value, best);
        }
        *(VECTOR *)(y + c) = best;
    }
#endif
    for (; c < channels; c++) {
        REAL best = fresh ? rows[0][c] : y[c];
        for (ptrdiff_t t = fresh; t < count; t++) {
            const REAL value = rows[t][c];
            if ((largest ? value > best : value < best) || value != value) best = value;
        }
        y[c] = best;
    }
}

static void NAME(extremum)(int largest, const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels, int fresh, REAL *y)
{
    if (largest) NAME(extremum_body)(1, rows, count, channels, fresh, y);
    else NAME(extremum_body)(0, rows, count, channels, fresh, y);
}

/* The same, with the number of the winning row: number[c] = numbers[t]. */
ALWAYS_INLINE void NAME(winners_body)(const int largest, const REAL *const *rows, const int32_t *numbers,
                                      ptrdiff_t count, ptrdiff_t channels, int fresh, REAL *y, int32_t *number)
{
    ptrdiff_t c = 0;
#if REDUCE_VECTORS
    for (; c + LANES <= channels; c += LANES) {
        VECTOR best = *(const VECTOR *)((fresh ? rows[0] : y) + c);
        MASK winner = {0};
        if (fresh) winner = winner + (INTEGER)numbers[0];
        else winner = __builtin_convertvector(*(const NUMBERS *)(number + c), MASK);
        for (ptrdiff_t t = fresh; t < count; t++) {
            const VECTOR value = *(const VECTOR *)(rows[t] + c);
            const MASK which = NAME(beats)(largest, value, best) & (best == best);
            best = NAME(select)(which, value, best);
            winner = (which & (INTEGER)numbers[t]) | (~which & winner);
        }
        *(VECTOR *)(y + c) = best;
        *(NUMBERS *)(number + c) = __builtin_convertvector(winner, NUMBERS);
    }
#endif
    for (; c < channels; c++) {
        REAL best = fresh ? rows[0][c] : y[c];
        int32_t winner = fresh ? numbers[0] : number[c];
        for (ptrdiff_t t = fresh; t < count; t++) {
            const REAL value = rows[t][c];
            if (best == best && ((largest ? value > best : value < best) || value != value)) {
                best = value;
                winner = numbers[t];
            }
        }
        y[c] = best;
        number[c] = winner;
    }
}

static void NAME(winners)(int largest, const REAL *const *rows, const int32_t *numbers, ptrdiff_t count,
                          ptrdiff_t channels, int fresh, REAL *y, int32_t *number)
{
    if (largest) NAME(winners_body)(1, rows, numbers, count, channels, fresh, y, number);
    else NAME(winners_body)(0, rows, numbers, count, channels, fresh, y, number);
}

/* y[c] = (fresh ? 0 : y[c]) + sum of rows[t][c], the rows summed first. */
static void NAME(sum)(const REAL *const *rows, ptrdiff_t count, ptrdiff_t channels, int fresh, REAL *y)
{
    ptrdiff_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
        VECTOR part = *(const VECTOR *)(rows[0] + c);
        for (ptrdiff_t t = 1; t < count; t++) part += *(const VECTOR *)(rows[t] + c);
        if (!fresh) part += *(const VECTOR *)(y + c);
        *(VECTOR *)(y + c) = part;
    }
    for (; c < channels; c++) {
        REAL part = rows[0][c];
        for (ptrdiff_t t = 1; t < count; t++) part += rows[t][c];
        y[c] = fresh ? part : y[c] + part;
    }
}

/* to[c] += from[c]. */
ALWAYS_INLINE void NAME(add)(REAL *to, const REAL *from, ptrdiff_t channels)
{
    ptrdiff_t c = 0;
    for (; c + LANES <= channels; c += LANES) *(VECTOR *)(to + c) += *(const VECTOR *)(from + c);
    for (; c < channels; c++) to[c] += from[c];
}

/* to[c] += from[c] where winner[c] is tap. */
ALWAYS_INLINE void NAME(add_won)(REAL *to, const REAL *from, const int32_t *winner, int32_t tap, ptrdiff_t channels)
{
    ptrdiff_t c = 0;
#if REDUCE_VECTORS
    for (; c + LANES <= channels; c += LANES) {
        const MASK won = __builtin_convertvector(*(const NUMBERS *)(winner + c) == tap, MASK);
        *(VECTOR *)(to + c) += (VECTOR)(won & (MASK)(*(const VECTOR *)(from + c)));
    }
#endif
    for (; c < channels; c++) to[c] += winner[c] == tap ? from[c] : 0;
}
