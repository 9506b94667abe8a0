# Pooling by the reductions of statistics.h: they look at the rows of a window more than once. A window of up to CHUNK
# taps is collected once, a longer one for each look. Where the windows of neighbouring places lie in x as one, a row
# holds the channels of all these places.

cdef enum statistic_t:
    NO_STATISTIC
    LP
    STD
    LOGSUMEXP
    SOFTMAX
    MIXED
    PERCENTILE

STATISTICS = {
    "lp": LP, "std": STD, "logsumexp": LOGSUMEXP, "softmax": SOFTMAX, "mixed": MIXED, "percentile": PERCENTILE,
}
cdef enum:
    STATES = 5                      # arrays of one value for each channel, in scratch memory
    MOST_TOGETHER = 1024            # channels of places that are done at once
    MOST_COPIED = 64                # bytes of a place whose channels are brought together by copying

cdef struct window_t:               # one window, and what has been found out about it
    const void *rows[CHUNK]
    cnp.int32_t numbers[CHUNK]
    Py_ssize_t count                # of rows known: 0 before the first look
    Py_ssize_t channel0
    Py_ssize_t places               # at once
    Py_ssize_t channels             # of all of them
    unsigned char pairs[2 * MOST_PAIRS]
    Py_ssize_t sorted               # how many rows the pairs sort
    Py_ssize_t length               # how many pairs there are
    void *center
    void *scale
    void *sum
    void *weighted
    void *part
    double *total
    double *total_weighted
    void *mix


cdef inline Py_ssize_t state_size(const pool_t *job) noexcept nogil:
    return rounded((job.source.channels * job.together + VECTOR_BYTES) * sizeof(double))


cdef Py_ssize_t statistic_scratch(const pool_t *job) noexcept nogil:
    return (STATES + 2) * state_size(job)


cdef inline Py_ssize_t rows_apart(const pool_t *job, Py_ssize_t itemsize) noexcept nogil:
    """Bytes of a row in scratch memory."""
    return rounded(job.source.channels * job.together * itemsize) + VECTOR_BYTES if job.together > 1 else (
        job.source.channels * itemsize)


cdef void lay_out(const pool_t *job, int worker, Py_ssize_t channel0, Py_ssize_t channels, window_t *w) noexcept nogil:
    cdef Py_ssize_t size = state_size(job)
    cdef char *scratch = job.scratch + worker * job.scratch_size
    w.center, w.scale, w.sum, w.weighted = scratch, scratch + size, scratch + 2 * size, scratch + 3 * size
    w.part, w.total, w.total_weighted = scratch + 4 * size, <double *> (scratch + 5 * size), <double *> (
        scratch + 6 * size)
    w.mix = scratch + 7 * size
    w.channel0, w.places, w.channels, w.count, w.sorted = channel0, 1, channels, 0, 0


cdef Py_ssize_t places_together(const pool_t *job, const Py_ssize_t *at, Py_ssize_t left) noexcept nogil:
    """How many of the next places, of `left`, read the same taps as far apart along the last axis as their rows are."""
    cdef const axis_t *last = &job.source.axis[2]
    cdef Py_ssize_t gap, places
    if job.together == 1:
        return 1
    places = alike(&job.source, at, min(left, job.together), &gap)
    return places if gap == last.row[1] - last.row[0] else 1


cdef void bring_together(const pool_t *job, const real **rows, window_t *w) noexcept nogil:
    """Have each row, which is that of the first place, hold the channels of all places."""
    cdef const source_t *s = &job.source
    cdef Py_ssize_t apart = s.axis[2].row[1] - s.axis[2].row[0], t
    cdef char *to = <char *> w.mix      # which holds no mixes then
    apart *= s.stride[2]
    if apart == s.channels:
        return
    for t in range(w.count):
        put_together(rows[t], apart, s.channels, w.places, <real *> to)
        rows[t] = <real *> to
        to += rows_apart(job, sizeof(real))


cdef void next_rows(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, Py_ssize_t *tap,
                    window_t *w) noexcept nogil:
    cdef const real **rows = <const real **> w.rows
    cdef Py_ssize_t t
    w.count = collect(job, image, at, tap, rows, w.numbers, <real *> w.mix)
    for t in range(w.count):
        rows[t] += w.channel0


cdef Py_ssize_t more_rows(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, Py_ssize_t *tap,
                          window_t *w) noexcept nogil:
    """The next rows of a window, which are all that it has if it is short."""
    if w.count and job.source.taps <= CHUNK:
        tap[0] = job.source.taps
        return w.count
    next_rows(kind, job, image, at, tap, w)
    if w.places > 1:
        bring_together(job, <const real **> w.rows, w)
    return w.count


cdef void look_for_top(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, bint deviation,
                       real *top, cnp.int32_t *winner, window_t *w) noexcept nogil:
    """The largest element, with the number of its tap if that is asked for, or deviation from the center."""
    cdef const real **rows = <const real **> w.rows
    cdef Py_ssize_t tap = 0, count
    cdef bint fresh = True
    while tap < job.source.taps:
        count = more_rows(kind, job, image, at, &tap, w)
        if count == 0:
            break
        if winner != NULL:
            winners(rows, w.numbers, count, w.channels, True, fresh, top, winner)
        elif real is float:
            top_f32(deviation, rows, count, w.channels, fresh, <float *> w.center, top)
        else:
            top_f64(deviation, rows, count, w.channels, fresh, <double *> w.center, top)
        fresh = False


cdef void look_for_sum(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, int summed,
                       double parameter, window_t *w) noexcept nogil:
    cdef const real **rows = <const real **> w.rows
    cdef real *sum = <real *> w.sum
    cdef real *weighted = <real *> w.weighted
    cdef Py_ssize_t tap = 0, count, c
    cdef bint fresh = True
    while tap < job.source.taps:
        count = more_rows(kind, job, image, at, &tap, w)
        if count == 0:
            break
        if real is float:
            sums_f32(summed, rows, count, w.channels, <float *> w.center, <float *> w.scale, <float> parameter, sum,
                     weighted)
        else:
            sums_f64(summed, rows, count, w.channels, <double *> w.center, <double *> w.scale, parameter, sum, weighted)
        if job.source.taps <= CHUNK:
            return
        for c in range(w.channels):  # in double, so that the error does not grow with the number of chunks
            w.total[c] = sum[c] + (0.0 if fresh else w.total[c])
            w.total_weighted[c] = weighted[c] + (0.0 if fresh else w.total_weighted[c])
        fresh = False
    for c in range(w.channels):
        sum[c] = <real> w.total[c]
        weighted[c] = <real> w.total_weighted[c]


cdef void look_for_squares(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at,
                           window_t *w) noexcept nogil:
    """The sum of squared deviations from the center, scaled so that it neither overflows nor vanishes."""
    look_for_top(kind, job, image, at, True, <real *> w.sum, NULL, w)
    if real is float:
        factors_f32(<float *> w.sum, w.channels, <float *> w.scale)
    else:
        factors_f64(<double *> w.sum, w.channels, <double *> w.scale)
    look_for_sum(kind, job, image, at, SUM_SQUARES, 0, w)


cdef void study(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, cnp.int32_t *winner,
                window_t *w) noexcept nogil:
    """All that a statistic and its slopes need to know of a window."""
    cdef real *center = <real *> w.center
    cdef real *sum = <real *> w.sum
    cdef Py_ssize_t c, tap = 0
    cdef real count
    w.count = 0
    if job.statistic == LP:
        memset(center, 0, w.channels * sizeof(real))
        if job.parameter == 1:
            look_for_sum(kind, job, image, at, SUM_SIZES, 0, w)
        elif job.parameter == 2:
            look_for_squares(kind, job, image, at, w)
        else:
            look_for_top(kind, job, image, at, True, sum, NULL, w)
            if real is float:
                bases_f32(sum, w.channels, <float *> w.scale)
            else:
                bases_f64(sum, w.channels, <double *> w.scale)
            look_for_sum(kind, job, image, at, SUM_POWERS, job.parameter, w)
    elif job.statistic == STD:
        # the mean, by its distance to the first element: in a flat window it is that, and the deviations are 0
        more_rows(kind, job, image, at, &tap, w)
        memcpy(center, w.rows[0], w.channels * sizeof(real))
        if job.source.taps > CHUNK:
            w.count = 0
        look_for_sum(kind, job, image, at, SUM_DEVIATIONS, 0, w)
        count = <real> held(job, at)
        for c in range(w.channels):
            center[c] += sum[c] / count
        look_for_squares(kind, job, image, at, w)
    else:
        look_for_top(kind, job, image, at, False, center, winner, w)
        look_for_sum(kind, job, image, at, SUM_PLAIN if job.statistic == MIXED else SUM_SHARES if
                     job.statistic == LOGSUMEXP else SUM_WEIGHTED, 1 / job.parameter, w)


cdef void conclude(real *kind, const pool_t *job, const Py_ssize_t *at, window_t *w, real *y) noexcept nogil:
    """The statistic itself."""
    cdef real *center = <real *> w.center
    cdef real *scale = <real *> w.scale
    cdef real *sum = <real *> w.sum
    cdef real *weighted = <real *> w.weighted
    cdef real divisor = 1, alpha, rest
    cdef Py_ssize_t c
    if job.statistic == LP and job.parameter == 1:
        memcpy(y, sum, w.channels * sizeof(real))
    elif job.statistic == STD or job.statistic == LP and job.parameter == 2:
        if job.statistic == STD:
            divisor = <real> sqrt(<double> held(job, at))
        if real is float:
            norm_f32(scale, sum, divisor, w.channels, y)
        else:
            norm_f64(scale, sum, divisor, w.channels, y)
    elif job.statistic == LP:
        if real is float:
            root_f32(scale, sum, <float> (1 / job.parameter), w.channels, y)
        else:
            root_f64(scale, sum, 1 / job.parameter, w.channels, y)
    elif job.statistic == LOGSUMEXP:
        if real is float:
            raised_f32(center, sum, <float> job.parameter, w.channels, y)
        else:
            raised_f64(center, sum, job.parameter, w.channels, y)
    elif job.statistic == SOFTMAX:
        for c in range(w.channels):
            y[c] = center[c] + weighted[c] / sum[c]
    else:
        alpha, rest, divisor = <real> job.parameter, <real> (1 - job.parameter), <real> held(job, at)
        for c in range(w.channels):
            y[c] = alpha * center[c] + rest * (sum[c] / divisor)


cdef void sort_out(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, Py_ssize_t offset,
                   window_t *w) noexcept nogil:
    """A percentile."""
    cdef const real **rows = <const real **> w.rows
    cdef cnp.int32_t *lower = NULL if job.winner == NULL else job.winner + offset
    cdef cnp.int32_t *upper = NULL if job.winner == NULL else job.upper + offset
    cdef real *y = <real *> job.y + offset
    cdef Py_ssize_t tap = 0, low, high
    cdef double position
    w.count = 0
    more_rows(kind, job, image, at, &tap, w)
    position = job.parameter / 100 * (w.count - 1)
    low = <Py_ssize_t> position
    high = min(low + 1, w.count - 1)
    if lower == NULL and job.parameter == 50 and (w.count == 4 or w.count == 9):
        if w.count == 4:
            if real is float:
                median_of_4_f32(rows, w.channels, y)
            else:
                median_of_4_f64(rows, w.channels, y)
        elif real is float:
            median_of_9_f32(rows, w.channels, y)
        else:
            median_of_9_f64(rows, w.channels, y)
        return
    if lower == NULL and position == low:
        high = low
    if w.sorted != w.count:
        w.sorted, w.length = w.count, sorting_network(w.count, low, high, w.pairs)
    if real is float:
        rank_f32(rows, w.numbers, w.count, w.pairs, w.length, w.channels, low, high, <float> (position - low), y, lower,
                 upper)
    else:
        rank_f64(rows, w.numbers, w.count, w.pairs, w.length, w.channels, low, high, position - low, y, lower, upper)


cdef bint share_powers(real *kind, const pool_t *job, const real **powers, window_t *w) noexcept nogil:
    """Exponentials of what neighbouring windows have in common, once; returns whether they have enough of that."""
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef const real **rows = <const real **> w.rows
    cdef Py_ssize_t size = rows_apart(job, sizeof(real)), rise, span, t
    cdef char *line = <char *> w.mix    # which holds no mixes then
    cdef char *to = line + s.taps * size
    if w.places == 1 or s.stride[2] != s.channels:
        return False
    rise = last.row[1] - last.row[0]
    span = (w.places - 1) * rise + reach_of(last)
    if 4 * span > 3 * w.places * last.taps or rise > 1 and job.statistic == SOFTMAX:
        return False
    for t in range(w.count):
        if t % last.taps == 0:
            if t:
                line += last.taps * size
            if real is float:
                exponentials_f32(rows[t], span * s.channels, <float> job.parameter, <float> (1 / job.parameter),
                                 <float *> line)
            else:
                exponentials_f64(rows[t], span * s.channels, job.parameter, 1 / job.parameter, <double *> line)
        powers[t] = <real *> line + t % last.taps * last.step * s.channels
        if rise > 1:
            put_together(powers[t], rise * s.channels, s.channels, w.places, <real *> to)
            powers[t] = <real *> to
            to += size
    return True


cdef bint look_once(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at, bint again, window_t *w,
                    real *y) noexcept nogil:
    """The statistic of those channels that one look is enough for; returns whether these are all."""
    cdef const real *powers[CHUNK]
    cdef const real **shared = NULL
    cdef Py_ssize_t tap = 0
    cdef double parameter = job.parameter
    cdef int summed = SUM_POWERS
    next_rows(kind, job, image, at, &tap, w)
    if w.count == 1 and job.statistic != LP:
        return False                    # the element itself, not rounded
    if job.statistic == STD:
        summed, parameter = SUM_DEVIATIONS, sqrt(<double> w.count)
    elif job.statistic != LP:
        summed = SUM_SHARES if job.statistic == LOGSUMEXP else SUM_WEIGHTED
        if share_powers(kind, job, powers, w):
            shared = powers
    if w.places > 1 and (shared == NULL or job.statistic == SOFTMAX):
        bring_together(job, <const real **> w.rows, w)
    if real is float:
        return quick_f32(summed, <const float **> w.rows, shared, w.count, w.channels, again, <float> parameter,
                         <float> (1 / parameter), y)
    else:
        return quick_f64(summed, <const double **> w.rows, shared, w.count, w.channels, again, parameter, 1 / parameter,
                         y)


cdef void statistic_block(real *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef const real *image
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t n, channel0, channels, offset
    cdef Py_ssize_t left = start_forward(job, block, at, &n, &channel0, &channels)
    cdef real *y
    cdef window_t w
    lay_out(job, worker, channel0, channels, &w)
    while left:
        w.places = places_together(job, at, left)
        w.channels = w.places * channels
        offset = n * job.y_n + target(s, at, job.y_stride) + channel0
        image, y = <const real *> job.x + n * s.stride_n, <real *> job.y + offset
        if job.statistic == PERCENTILE:
            sort_out(kind, job, image, at, offset, &w)
        elif not (job.quick and look_once(kind, job, image, at, False, &w, y)):
            study(kind, job, image, at, NULL if job.winner == NULL else job.winner + offset, &w)
            conclude(kind, job, at, &w, y)
            if job.quick:               # what a channel holds must not depend on others
                look_once(kind, job, image, at, True, &w, y)
        left -= w.places
        at[2] += w.places - 1
        n += step_on(s, at)


cdef void statistic_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        statistic_block(<float *> NULL, <const pool_t *> job, block, worker)
    else:
        statistic_block(<double *> NULL, <const pool_t *> job, block, worker)


cdef int prepare_slopes(real *kind, const pool_t *job, const Py_ssize_t *at, window_t *w) noexcept nogil:
    """The rule by which slopes follow from what is known of a window; puts into scale what that rule reads there."""
    cdef real *scale = <real *> w.scale
    cdef real *sum = <real *> w.sum
    cdef real count
    cdef Py_ssize_t c
    if job.statistic == LP:
        return SLOPE_SIGN if job.parameter == 1 else SLOPE_RATIO if job.parameter == 2 else SLOPE_POWER
    if job.statistic == STD:
        count = <real> held(job, at)
        for c in range(w.channels):
            scale[c] = 1 / count
        return SLOPE_DEVIATION
    for c in range(w.channels):
        scale[c] = 1 / sum[c]
    return SLOPE_SHARE if job.statistic == LOGSUMEXP else SLOPE_WEIGHTED


cdef struct slope_t:                # the slopes of one window
    const pool_t *job
    const void *image
    const void *y
    int rule
    window_t *window


cdef void slope_part(const slope_t *slope, const real *row, const real *gy, const real *y, window_t *w) noexcept nogil:
    """part = gy times the slope of y by the elements of a row."""
    cdef const pool_t *job = slope.job
    cdef int rule = slope.rule
    cdef double parameter = job.parameter - 1 if job.statistic == LP else job.parameter
    if real is float:
        slope_f32(rule, row + w.channel0, gy, y, <float *> w.center, <float *> w.scale, <float> parameter,
                  <float> (1 / job.parameter), w.channels, <float *> w.part)
    else:
        slope_f64(rule, row + w.channel0, gy, y, <double *> w.center, <double *> w.scale, parameter,
                  1 / job.parameter, w.channels, <double *> w.part)


def pool_statistic(cnp.ndarray x, cnp.ndarray y, cnp.ndarray winner, cnp.ndarray upper, tuple axes,
                   cnp.ndarray constants, statistic, double parameter, int threads):
    """y (N, *places, C) = a statistic, a name in STATISTICS, of each window of x, float32 or float64.

    winner (int32, laid out as y) or None: for mixed the tap of the largest element, for percentile that of the lower
    element, and `upper` that of the upper one. A percentile is for windows of up to MOST_SORTED taps.
    """
    cdef pool_t job = pool_job(x, y, winner, axes, constants)
    job.statistic, job.parameter, job.effort = STATISTICS[statistic], parameter, STATISTIC_WORK
    if job.statistic == PERCENTILE and job.source.taps > MOST_SORTED:
        raise ValueError(f"a percentile is for windows of up to {MOST_SORTED} taps, got {job.source.taps}")
    if upper is not None:
        job.upper = <cnp.int32_t *> cnp.PyArray_DATA(upper)
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t rise = axes[2].rise
    cdef bint close = rise * s.stride[2] == s.channels or s.channels * x.itemsize <= MOST_COPIED
    if s.taps <= CHUNK:
        # temperatures whose multiples and quotients are far from the largest number and from the smallest
        job.quick = job.statistic == STD or job.statistic == LP and parameter in range(1, MOST_WHOLE + 1) or \
            job.statistic in (LOGSUMEXP, SOFTMAX) and 1e-30 < parameter < 1e30
        close = close or job.quick and job.statistic == LOGSUMEXP and 4 * rise < 3 * last.taps
        if last.length > 1 and rise and close and last.step > 0 and s.stride[2] > 0 and job.y_stride[2] == s.channels:
            job.together = max(1, MOST_TOGETHER // s.channels)
    run_forward(statistic_any, &job, x.itemsize, threads)
