# Pooling by the functions of plugins. A function is given rows: all elements that a tap holds in some windows, next to
# one another. They lie so in x where there are many channels or windows are one position apart, or are laid so.

cdef extern from "lay.h":
    void lay_windows_f32(const float **rows, Py_ssize_t taps, Py_ssize_t windows, double *to) noexcept nogil
    void lay_windows_f64(const double **rows, Py_ssize_t taps, Py_ssize_t windows, double *to) noexcept nogil

cdef enum:
    WIDE_ROW = 128                  # bytes of a row that is worth a call
    LAID_ROWS = 1 << 14             # bytes of rows that are laid at once, unless one place needs more
    WINDOWS = 32                    # windows that are laid at once
    LONGEST_ROW = 1 << 9            # elements: more would leave the cache between two looks at a row
    FEW_ROWS = 8                    # before a row, among which one is looked for that it is part of

cdef struct foreign_pool_t:
    pool_t pool
    call_t call
    Py_ssize_t most                 # places of which rows are laid
    # where the parts of scratch memory begin, in bytes
    Py_ssize_t numbers_at, laid_at, slopes_at, mixes_at


cdef struct rows_t:                 # the rows of some windows
    const void **row
    cnp.int32_t *number             # of their taps
    void *mixes


cdef inline rows_t rows_of(const foreign_pool_t *job, int worker) noexcept nogil:
    cdef rows_t r
    cdef char *scratch = job.pool.scratch + worker * job.pool.scratch_size
    r.row, r.number = <const void **> scratch, <cnp.int32_t *> (scratch + job.numbers_at)
    r.mixes = scratch + job.mixes_at
    return r


cdef Py_ssize_t collect_all(real *kind, const pool_t *job, const real *image, const Py_ssize_t *at,
                            Py_ssize_t channel0, const rows_t *r) noexcept nogil:
    """The rows of one window from channel0 on, and the numbers of their taps; returns how many there are."""
    cdef const real **row = <const real **> r.row
    cdef Py_ssize_t tap = 0, count = 0, t
    while tap < job.source.taps:
        count += collect(job, image, at, &tap, row + count, r.number + count,
                         <real *> r.mixes + (count * job.source.channels if job.source.mixed else 0))
    for t in range(count):
        row[t] += channel0
    return count


cdef int call_rows(const foreign_pool_t *job, const rows_t *r, Py_ssize_t count, real *y, Py_ssize_t n,
                   double *window) noexcept nogil:
    """y = the pooling of n windows of `count` taps; the rows are used up."""
    cdef const real **row = <const real **> r.row
    cdef double result = 0
    cdef Py_ssize_t i, t, w, some
    if job.call.foreign.form == FOREIGN_ROWS:
        return (<foreign_rows_t> job.call.foreign.function)(r.row, count, y, n, user_of(&job.call))
    for i from 0 <= i < n by WINDOWS:
        some = min(<Py_ssize_t> WINDOWS, n - i)
        if real is float:
            lay_windows_f32(row, count, some, window)
        else:
            lay_windows_f64(row, count, some, window)
        for t in range(count):
            row[t] += some
        for w in range(some):
            if not (<foreign_window_t> job.call.foreign.function)(window + w * count, count, &result,
                                                                  user_of(&job.call)):
                return FOREIGN_REFUSED
            y[i + w] = <real> result
    return 0


cdef void shared_rows(const real **row, Py_ssize_t count, Py_ssize_t apart, cnp.int32_t *shared) noexcept nogil:
    """Which rows begin some places later in another, places being `apart` elements from one to the next: shared[t] is
    how many rows before t that other one is, or for a row by itself, negative, how many places later the last of them
    begins.
    """
    cdef Py_ssize_t t, u, root
    for t in range(count):
        shared[t] = 0
        for u in range(max(0, t - FEW_ROWS), t):
            if row[t] - row[u] == apart:
                root = u if shared[u] <= 0 else u - shared[u]
                shared[t] = <cnp.int32_t> (t - root)
                shared[root] = <cnp.int32_t> min(shared[root], -((row[t] - row[root]) // apart))
                break


cdef inline void lay_alike(const real **row, Py_ssize_t count, Py_ssize_t apart, Py_ssize_t channels,
                           Py_ssize_t places, const cnp.int32_t *shared, real *laid, const real **to) noexcept nogil:
    """Lay rows of `places` places, each place's channels after those of the one before it."""
    cdef Py_ssize_t t, all_places
    for t in range(count):
        if shared[t] > 0:
            to[t] = to[t - shared[t]] + (row[t] - row[t - shared[t]]) // apart * channels
            continue
        all_places = places - shared[t]
        put_together(row[t], apart, channels, all_places, laid)
        to[t] = laid
        laid += all_places * channels


cdef void foreign_pool_block(real *kind, const foreign_pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const pool_t *pool = &job.pool
    cdef const source_t *s = &pool.source
    cdef rows_t all_rows = rows_of(job, worker), some_rows = all_rows
    cdef const real **row = <const real **> all_rows.row        # of the first of places whose windows lie alike
    cdef const real **now
    cdef char *scratch = pool.scratch + worker * pool.scratch_size
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t n, channel0, channels, count, places, apart, gap, most, some, place, t
    cdef Py_ssize_t left = start_forward(pool, block, at, &n, &channel0, &channels)
    cdef real *y
    cdef int status
    some_rows.row = all_rows.row + s.taps
    now = <const real **> some_rows.row
    while left > 0 and not failed(job.call.failure):
        places = alike(s, at, left, &gap)
        apart = gap * s.stride[2]
        most = 1
        if channels == s.channels and pool.y_stride[2] == channels:
            most = max(job.most, LONGEST_ROW // channels) if apart == channels else job.most
        count = collect_all(kind, pool, <const real *> pool.x + n * s.stride_n, at, channel0, &all_rows)
        if places > 1 and most > 1 and apart != channels:
            shared_rows(row, count, apart, all_rows.number)
        y = <real *> pool.y + n * pool.y_n + target(s, at, pool.y_stride) + channel0
        for place from 0 <= place < (places if count else 0) by most:
            some = min(most, places - place)
            if some > 1 and apart != channels:
                lay_alike(row, count, apart, channels, some, all_rows.number, <real *> (scratch + job.laid_at), now)
            else:
                memcpy(now, row, count * sizeof(void *))
            status = call_rows(job, &some_rows, count, y + place * pool.y_stride[2], some * channels,
                               <double *> (scratch + job.slopes_at))
            if status:
                fail(job.call.failure, status)
                break
            for t in range(count):
                row[t] += some * apart
        at[2] += places - 1
        n += step_on(s, at)
        left -= places


cdef void foreign_pool_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        foreign_pool_block(<float *> NULL, <const foreign_pool_t *> job, block, worker)
    else:
        foreign_pool_block(<double *> NULL, <const foreign_pool_t *> job, block, worker)


cdef int lay_scratch(foreign_pool_t *job, Compiled compiled, const foreign_t *foreign, tuple params,
                     Py_ssize_t itemsize, Py_ssize_t width) except -1:
    """Where everything goes: rows and slopes of `width` elements at once, or of `most` places."""
    cdef const source_t *s = &job.pool.source
    cdef Py_ssize_t pixel = s.channels * itemsize, taps = s.taps
    if foreign.form == FOREIGN_NONE:
        raise ValueError(f"{compiled.label} has no compiled function for elements of {itemsize} bytes")
    prepare_call(&job.call, foreign, params)
    job.pool.call, job.pool.effort = &job.call, FOREIGN_WORK
    job.most = max(1, LAID_ROWS // (taps * pixel)) if pixel < WIDE_ROW else 1
    job.numbers_at = rounded(2 * taps * sizeof(void *))         # after the rows, and as many again, or slopes
    job.laid_at = job.numbers_at + rounded(taps * sizeof(cnp.int32_t))
    # whole vectors are written beyond the end of what is laid
    job.slopes_at = job.laid_at + (rounded(taps * job.most * pixel) + VECTOR_BYTES if job.most > 1 else 0)
    job.mixes_at = job.slopes_at + rounded(taps * max(<Py_ssize_t> sizeof(double) * WINDOWS, width * itemsize))
    job.pool.scratch_size = job.mixes_at + (taps * pixel if s.mixed else 0)
    return 0


def pool_foreign(cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants, Compiled compiled, tuple params,
                 int threads):
    """y (N, *places, C) = the pooling of a plugin of each window of x, float32 or float64."""
    cdef foreign_pool_t job
    job.pool = pool_job(x, y, None, axes, constants)
    lay_scratch(&job, compiled, compiled.find(x.itemsize, False), params, x.itemsize, 0)
    run_forward(foreign_pool_any, &job.pool, x.itemsize, threads, compiled.label)


cdef void foreign_gradient_block(real *kind, const foreign_pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const pool_t *pool = &job.pool
    cdef const source_t *s = &pool.source
    cdef rows_t r = rows_of(job, worker)
    cdef void **slopes = <void **> (r.row + s.taps)
    cdef real *slope
    cdef const real *gy
    cdef band_t band
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t t, c, offset, count
    cdef int status
    start_backward(pool, block, &band)
    for t in range(s.taps):
        slopes[t] = pool.scratch + worker * pool.scratch_size + job.slopes_at + t * pool.width * sizeof(real)
    at[0], at[1], at[2] = band.begin[0], band.begin[1], band.begin[2]
    while holds(&band, at) and not failed(job.call.failure):
        offset = band.n * pool.y_n + target(s, at, pool.y_stride) + band.channel0
        gy = <const real *> pool.y + offset
        count = collect_all(kind, pool, <const real *> pool.x + band.n * s.stride_n, at, band.channel0, &r)
        status = (<foreign_slopes_t> job.call.foreign.function)(
            r.row, count, <const real *> pool.saved + offset, slopes, band.channels, user_of(&job.call))
        if status:
            fail(job.call.failure, status)
        for t in range(count):
            slope = <real *> slopes[t]
            for c in range(band.channels):
                slope[c] *= gy[c]
            codes_of(s, at, r.number[t], codes)
            add_to_tap(s, <real *> pool.gx + band.n * s.stride_n + band.channel0, codes, band.low, band.high, slope, 1,
                       band.channels)
        step_in(&band, at)


cdef void foreign_gradient_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        foreign_gradient_block(<float *> NULL, <const foreign_pool_t *> job, block, worker)
    else:
        foreign_gradient_block(<double *> NULL, <const foreign_pool_t *> job, block, worker)


def pool_foreign_gradient(cnp.ndarray x, cnp.ndarray y, cnp.ndarray gy, cnp.ndarray gx, tuple axes,
                          cnp.ndarray constants, Compiled compiled, tuple params, int threads):
    """Add to gx, which has the strides of x, the gradient of pool_foreign, whose result y is."""
    cdef foreign_pool_t job
    job.pool = gradient_job(gy, gx, None, axes)
    job.pool.x, job.pool.constants, job.pool.saved = (
        cnp.PyArray_DATA(x), cnp.PyArray_DATA(constants), cnp.PyArray_DATA(y))
    lay_scratch(&job, compiled, compiled.find(x.itemsize, True), params, x.itemsize,
                min(job.pool.source.channels, <Py_ssize_t> BACKWARD_CHANNELS))
    run_backward(foreign_gradient_any, &job.pool, gx.itemsize, axes, threads, compiled.label)
