# The largest of windows that share no element, of channels that are shifted and scaled on the way, and perhaps
# rectified: what a normalization does with a pooling behind it, without an array in between. And its gradient.

MOST_SCALED_TAPS = CHUNK

cdef struct scaled_t:
    pool_t pool                     # first, so that this may be taken for it
    bint rectified
    void *won                       # what each winner is in x, laid out as y
    const void *scale[4]            # numbers of each channel: centre, factor, shift and, in a gradient, slope


cdef void scaled_block(real *kind, const scaled_t *job, bint backward, Py_ssize_t block) noexcept nogil:
    cdef const pool_t *pool = &job.pool
    cdef const source_t *s = &pool.source
    cdef const real *rows[CHUNK]
    cdef const real *scale[4]
    cdef cnp.int32_t numbers[CHUNK]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t n, channel0, channels, offset, count, places, gap, tap, t
    cdef Py_ssize_t left = start_forward(pool, block, at, &n, &channel0, &channels)
    cdef const real *x
    for t in range(4):
        scale[t] = <const real *> job.scale[t] + channel0
    while left > 0:
        places = followers(pool, at, left, &gap)
        offset = n * pool.y_n + target(s, at, pool.y_stride) + channel0
        x = <const real *> pool.x + n * s.stride_n
        tap = 0
        count = collect(pool, x, at, &tap, rows, numbers, <real *> NULL)
        for t in range(count):
            rows[t] += channel0
        for _ in range(places):
            if backward:
                for t in range(count):
                    slope_row(rows[t], <const real *> pool.y + offset, pool.winner + offset, numbers[t], channels,
                              scale, <real *> pool.gx + (rows[t] - <const real *> pool.x))
            elif real is float:
                scaled_winners_f32(job.rectified, rows, numbers, count, channels, scale, <float *> pool.y + offset,
                                   pool.winner + offset, <float *> job.won + offset)
            else:
                scaled_winners_f64(job.rectified, rows, numbers, count, channels, scale, <double *> pool.y + offset,
                                   pool.winner + offset, <double *> job.won + offset)
            for t in range(count):
                rows[t] += gap * s.stride[2]
            offset += pool.y_stride[2]
        at[2] += places - 1
        n += step_on(s, at)
        left -= places


cdef inline void slope_row(const real *x, const real *gy, const cnp.int32_t *winner, cnp.int32_t tap,
                           Py_ssize_t channels, const real **scale, real *gx) noexcept nogil:
    if real is float:
        scaled_slope_f32(x, gy, winner, tap, channels, scale, gx)
    else:
        scaled_slope_f64(x, gy, winner, tap, channels, scale, gx)


cdef void scaled_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        scaled_block(<float *> NULL, <const scaled_t *> job, False, block)
    else:
        scaled_block(<double *> NULL, <const scaled_t *> job, False, block)


cdef void scaled_gradient_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        scaled_block(<float *> NULL, <const scaled_t *> job, True, block)
    else:
        scaled_block(<double *> NULL, <const scaled_t *> job, True, block)


cdef int run_scaled(block_t block, scaled_t *job, cnp.ndarray x, tuple axes, tuple scale, int threads) except -1:
    """scale: numbers of each channel, each given as a sequence."""
    if job.pool.source.taps > CHUNK or not all([axis.reads_once() for axis in axes]):
        raise ValueError(f"windows must have up to {<int> CHUNK} elements, and hold each element of x once")
    held = [np.ascontiguousarray(numbers, x.dtype) for numbers in scale]
    for i, numbers in enumerate(held):
        if numbers.shape != (job.pool.source.channels,):
            raise ValueError(f"there must be a number for each channel, got shape {numbers.shape}")
        job.scale[i] = cnp.PyArray_DATA(<cnp.ndarray> numbers)
    for i in range(len(held), 4):
        job.scale[i] = job.scale[0]
    return run_forward(block, &job.pool, x.itemsize, threads)


def pool_scaled(cnp.ndarray x, cnp.ndarray y, cnp.ndarray winner, cnp.ndarray won, tuple axes, tuple scale,
                bint rectified, int threads):
    """y (N, *places, C) = the largest of each window of (x - centre) * factor + shift, or 0 if it is negative.

    x: (N, D, H, W, C), float32 or float64, each element in one window. winner (int32) and won, laid out as y: the
    number of the tap where it is, and what x is there. scale: centre, factor, shift, a number of each for each channel.
    """
    cdef scaled_t job
    job.pool = pool_job(x, y, winner, axes, x)  # x for the constants, which nothing reads
    job.won, job.rectified = cnp.PyArray_DATA(won), rectified
    run_scaled(scaled_any, &job, x, axes, scale, threads)


def pool_scaled_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray winner, cnp.ndarray gx, tuple axes, tuple scale,
                         int threads):
    """gx = (g - shift - (x - centre) * slope) * factor, where g is gy at the winners, and else 0.

    gx: with the strides of x. scale: centre, factor, shift and slope.
    """
    cdef scaled_t job
    job.pool = pool_job(x, gy, winner, axes, x)  # as above
    job.pool.gx = cnp.PyArray_DATA(gx)
    run_scaled(scaled_gradient_any, &job, x, axes, scale, threads)
