# The gradients of poolings. Windows overlap, so a block owns what it adds to: some channels of a band of one sample.
# It goes over all windows that reach into its band, in order, and leaves out the taps that lie elsewhere, so that an
# element receives the same sum however the bands are cut.

cdef inline Py_ssize_t next_tap(const axis_t *axis, Py_ssize_t at, Py_ssize_t tap, Py_ssize_t low,
                                Py_ssize_t high) noexcept nogil:
    """The first tap from `tap` on that is a mix or reads low ... high - 1; the number of taps or more if none does."""
    cdef Py_ssize_t j, c, run
    while tap < axis.taps:
        j = axis.row[at] + tap * axis.step
        c = axis.code[j]
        if low <= c < high or NOTHING < c < 0:
            break
        run = axis.until[j] - j
        if 0 <= c < low:
            run = min(run, low - c)
        tap += 1 if run <= axis.step else (run + axis.step - 1) // axis.step
    return tap


cdef inline void add_row(real *to, const real *gradient, const cnp.int32_t *winner, Py_ssize_t tap,
                         Py_ssize_t channels, bint fresh) noexcept nogil:
    """Add a gradient to an element, or only to channels that a tap won; fresh: nothing is there yet."""
    if fresh and winner == NULL:
        memcpy(to, gradient, channels * sizeof(real))
    elif winner == NULL:
        if real is float:
            add_f32(to, gradient, channels)
        else:
            add_f64(to, gradient, channels)
    else:
        if real is float:
            add_won_f32(to, gradient, winner, <cnp.int32_t> tap, channels, fresh)
        else:
            add_won_f64(to, gradient, winner, <cnp.int32_t> tap, channels, fresh)


cdef void spread(const source_t *s, real *gx, const Py_ssize_t *at, const Py_ssize_t *low, const Py_ssize_t *high,
                 const real *gradient, const cnp.int32_t *winner, Py_ssize_t channels, real *part,
                 const slope_t *slope, bint fresh) noexcept nogil:
    """Add a gradient to each tap of a window within low ... high, or to those channels of a tap that it won; or, given
    a slope, the gradient times the slope at each tap. fresh: no other window adds anything there.
    """
    cdef const axis_t *axis = s.axis
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t k0, k1, k2, tap
    cdef const real *share = gradient
    cdef real *line
    k0 = next_tap(&axis[0], at[0], 0, low[0], high[0])
    while k0 < axis[0].taps:
        codes[0] = axis[0].code[axis[0].row[at[0]] + k0 * axis[0].step]
        k1 = next_tap(&axis[1], at[1], 0, low[1], high[1])
        while k1 < axis[1].taps:
            codes[1] = axis[1].code[axis[1].row[at[1]] + k1 * axis[1].step]
            line = gx + codes[0] * s.stride[0] + codes[1] * s.stride[1] if (codes[0] | codes[1]) >= 0 else NULL
            k2 = next_tap(&axis[2], at[2], 0, low[2], high[2])
            while k2 < axis[2].taps:
                codes[2] = axis[2].code[axis[2].row[at[2]] + k2 * axis[2].step]
                tap = (k0 * axis[1].taps + k1) * axis[2].taps + k2
                if slope != NULL:
                    slope_part(slope, tap_row(s, <const real *> slope.image, <const real *> slope.job.constants,
                                              codes[0], codes[1], codes[2], <real *> slope.window.mix),
                               gradient, <const real *> slope.y, slope.window)
                    share = <const real *> slope.window.part
                if line != NULL and codes[2] >= 0:
                    add_row(line + codes[2] * s.stride[2], share, winner, tap, channels, fresh)
                elif winner == NULL:
                    add_to_tap(s, gx, codes, low, high, share, 1, channels)
                else:
                    memset(part, 0, channels * sizeof(real))
                    add_row(part, gradient, winner, tap, channels, False)
                    add_to_tap(s, gx, codes, low, high, part, 1, channels)
                k2 = next_tap(&axis[2], at[2], k2 + 1, low[2], high[2])
            k1 = next_tap(&axis[1], at[1], k1 + 1, low[1], high[1])
        k0 = next_tap(&axis[0], at[0], k0 + 1, low[0], high[0])


cdef inline bint few_taps(const pool_t *job) noexcept nogil:
    """Whether comparing a vector of winners with each tap costs less than following every winner."""
    return job.source.taps <= min(<Py_ssize_t> CHUNK, 4 * job.width)


cdef struct band_t:                 # what a backward block owns, and the places whose windows may reach into it
    Py_ssize_t n
    Py_ssize_t channel0, channels
    Py_ssize_t low[AXES]            # of the source
    Py_ssize_t high[AXES]
    Py_ssize_t begin[AXES]          # of the places
    Py_ssize_t end[AXES]


cdef void start_backward(const pool_t *job, Py_ssize_t block, band_t *band) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef Py_ssize_t number = block % job.bands, i
    band.n = block // job.bands // job.channel_blocks
    band.channel0 = block // job.bands % job.channel_blocks * job.width
    band.channels = min(job.width, s.channels - band.channel0)
    for i in range(AXES):
        band.begin[i], band.end[i], band.low[i], band.high[i] = 0, s.axis[i].length, 0, s.length[i]
    band.begin[job.cut], band.end[job.cut] = job.begin[number], job.end[number]
    band.low[job.cut], band.high[job.cut] = job.edge[number], job.edge[number + 1]


cdef inline bint holds(const band_t *band, const Py_ssize_t *at) noexcept nogil:
    return at[0] < band.end[0] and at[1] < band.end[1] and at[2] < band.end[2]


cdef inline void step_in(const band_t *band, Py_ssize_t *at) noexcept nogil:
    """Go on to the next place of a band; behind the last one, `holds` is false."""
    at[2] += 1
    if at[2] == band.end[2]:
        at[1] += 1
        if at[1] == band.end[1]:
            at[0] += 1
            if at[0] == band.end[0]:
                return
            at[1] = band.begin[1]
        at[2] = band.begin[2]


cdef void gradient_block(real *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef band_t band
    start_backward(job, block, &band)
    cdef Py_ssize_t n = band.n, channel0 = band.channel0, channels = band.channels
    cdef real *gx = <real *> job.gx + n * s.stride_n + channel0
    cdef const real *gy
    cdef const cnp.int32_t *winner
    cdef real part[BACKWARD_CHANNELS]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t offset, c
    cdef real divisor
    cdef window_t window
    cdef slope_t slope
    slope.job, slope.window, slope.image = job, &window, <const real *> job.x + n * s.stride_n
    if job.statistic:
        lay_out(job, worker, channel0, channels, &window)
    at[0], at[1], at[2] = band.begin[0], band.begin[1], band.begin[2]
    while holds(&band, at):
        offset = n * job.y_n + target(s, at, job.y_stride) + channel0
        gy = <const real *> job.y + offset
        if job.statistic:
            study(kind, job, <const real *> slope.image, at, NULL, &window)
            slope.y, slope.rule = <const real *> job.saved + offset, prepare_slopes(kind, job, at, &window)
            spread(s, gx, at, band.low, band.high, gy, NULL, channels, part, &slope, False)
        elif job.winner != NULL:
            winner = job.winner + offset
            if few_taps(job):
                spread(s, gx, at, band.low, band.high, gy, winner, channels, part, NULL, job.fresh)
            else:
                for c in range(channels):
                    codes_of(s, at, winner[c], codes)
                    add_to_tap(s, gx + c, codes, band.low, band.high, gy + c, 1, 1)
        elif job.divisor == DIVIDE_NOT:
            spread(s, gx, at, band.low, band.high, gy, NULL, channels, part, NULL, job.fresh)
        else:
            divisor = <real> divisor_of(job, at)
            for c in range(channels):
                part[c] = gy[c] / divisor
            spread(s, gx, at, band.low, band.high, part, NULL, channels, part, NULL, job.fresh)
        step_in(&band, at)


cdef void gradient_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        gradient_block(<float *> NULL, <const pool_t *> job, block, worker)
    else:
        gradient_block(<double *> NULL, <const pool_t *> job, block, worker)


def pool_gradient(cnp.ndarray gy, cnp.ndarray gx, cnp.ndarray winner, tuple axes, divisor, double value, int threads,
                  bint fresh=False):
    """Add to gx the gradient of pool_extremum, given its winners, or of pool_sum, with winner None.

    fresh: gx, contiguous, is not set yet, and each of its elements is read once.
    """
    cdef pool_t job = gradient_job(gy, gx, winner, axes)
    job.divisor, job.value = DIVISORS[divisor], value
    job.width = min(job.source.channels, <Py_ssize_t> BACKWARD_CHANNELS)
    job.fresh = fresh and (winner is None or few_taps(&job))
    if fresh and not job.fresh:
        memset(job.gx, 0, gx.nbytes)
    run_backward(gradient_any, &job, gx.itemsize, axes, threads)


def pool_statistic_gradient(cnp.ndarray x, cnp.ndarray y, cnp.ndarray gy, cnp.ndarray gx, tuple axes,
                            cnp.ndarray constants, statistic, double parameter, int threads):
    """Add to gx the gradient of pool_statistic for lp, std, logsumexp and softmax; gx has the strides of x."""
    cdef pool_t job = gradient_job(gy, gx, None, axes)
    job.x, job.constants, job.saved = cnp.PyArray_DATA(x), cnp.PyArray_DATA(constants), cnp.PyArray_DATA(y)
    job.statistic, job.parameter, job.effort = STATISTICS[statistic], parameter, 8 * STATISTIC_WORK
    run_backward(gradient_any, &job, gx.itemsize, axes, threads)


cdef pool_t gradient_job(cnp.ndarray gy, cnp.ndarray gx, cnp.ndarray winner, tuple axes):
    for axis in axes:
        axis.reach()  # makes what next_tap reads
    cdef pool_t job = pool_job(gx, gy, winner, axes, gx)
    job.gx = cnp.PyArray_DATA(gx)
    return job


cdef int run_backward(block_t block, pool_t *job, Py_ssize_t itemsize, tuple axes, int threads,
                      str label=None) except -1:
    """Blocks are some channels of a band of a sample."""
    cut = next((i for i in range(AXES) if axes[i].source > 1), AXES - 1)
    highest, lowest = axes[cut].reach()
    cdef const source_t *s = &job.source
    job.cut = cut
    job.width = min(s.channels, <Py_ssize_t> BACKWARD_CHANNELS)
    job.channel_blocks = (s.channels + job.width - 1) // job.width
    cdef double taps = s.taps if job.winner == NULL or few_taps(job) else 16
    cdef double work = 1.0 * s.places * job.width * taps * job.effort
    # bands narrower than a window are read by many of them: only where a block would be too long without
    cdef double wide = axes[cut].source / (2.0 * axes[cut].taps * axes[cut].step)
    cdef double least = 0 if job.call != NULL else work / MOST_WORK     # a plugin is called anew for each band
    job.bands = max(1, min(s.length[cut], <Py_ssize_t> max(least, min(work / BACKWARD_WORK, wide))))
    edges = np.arange(job.bands + 1) * s.length[cut] // job.bands
    begin, end = np.searchsorted(highest, edges[:job.bands]), np.searchsorted(lowest, edges[1:])
    cdef Py_ssize_t[::1] edge = edges, first = begin, last = end
    job.edge, job.begin, job.end = &edge[0], &first[0], &last[0]
    return run_pool(block, job, itemsize, s.batch * job.channel_blocks * job.bands, threads, label)
