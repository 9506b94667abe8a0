# Sums and shifts of channels, as normalization and the gradient of a bias need them. Arrays are (outer, channels,
# inner) and contiguous; inner is 1 where channels come last. Blocks are some samples, or rows of channels; what they
# sum is added up in order.

cdef enum:
    CHANNEL_ELEMENTS = 1 << 13      # elements of a block, so that a second look finds them in the nearest cache
    LEAST_ROWS = 64                 # rows of one
    LONG_ROW = 128                  # elements that are worth a loop: as many rows as that takes are one
    CHAIN = 16                      # elements that are added up in the precision of x

cdef enum channel_task_t:
    SUMS
    MOMENTS
    PRODUCTS
    AFFINE
    RECTIFIED
    GRADIENT

cdef struct channels_t:
    channel_task_t task
    const void *x
    const void *gy
    void *y
    Py_ssize_t outer, channels, inner
    Py_ssize_t step                 # of outer, in a block
    Py_ssize_t together             # rows of channels that are one
    const void *value[4]            # numbers for each channel, as often as rows are together
    double *sums                    # of each block: two for each channel
    char *scratch
    Py_ssize_t scratch_size


cdef inline void sum_rows(channel_task_t task, const real *x, const real *gy, const real *centre, Py_ssize_t rows,
                          Py_ssize_t width, Py_ssize_t apart, real *part, double *sums) noexcept nogil:
    """Add to the sums of columns, and to second ones `apart` behind them: of x; of x and its square, about centre; or
    of gy and its product with x about centre. part: room for the sums of a row.
    """
    cdef Py_ssize_t c, left
    cdef real off
    while rows > 0:
        left = min(rows, <Py_ssize_t> CHAIN)
        rows -= left
        for c in range(width):
            part[c] = 0
        if task != SUMS:
            for c in range(width):
                part[apart + c] = 0
        while left > 0:
            if task == SUMS:
                for c in range(width):
                    part[c] += x[c]
            elif task == MOMENTS:
                for c in range(width):
                    off = x[c] - centre[c]
                    part[c] += off
                    part[apart + c] += off * off
            else:
                for c in range(width):
                    part[c] += gy[c]
                    part[apart + c] += gy[c] * (x[c] - centre[c])
            x, gy, left = x + width, gy + width, left - 1
        for c in range(width):
            sums[c] += part[c]
        if task != SUMS:
            for c in range(width):
                sums[apart + c] += part[apart + c]


cdef void sum_length(channel_task_t task, const real *x, const real *gy, const real *centre, Py_ssize_t length,
                     Py_ssize_t width, Py_ssize_t apart, real *part, double *sums) noexcept nogil:
    """The same for so many elements, of which the last row may not be whole."""
    cdef Py_ssize_t rows = length // width, whole = length // width * width
    # a task that is known lets the compiler make a loop without choices
    if task == SUMS:
        sum_rows(SUMS, x, gy, centre, rows, width, apart, part, sums)
    elif task == MOMENTS:
        sum_rows(MOMENTS, x, gy, centre, rows, width, apart, part, sums)
    else:
        sum_rows(PRODUCTS, x, gy, centre, rows, width, apart, part, sums)
    if whole < length:
        sum_rows(task, x + whole, gy + whole, centre, 1, length - whole, apart, part, sums)


cdef void sum_channels(const channels_t *job, channel_task_t task, const real *x, const real *gy, const real *centre,
                       Py_ssize_t outer, real *part, double *wide, double *sums) noexcept nogil:
    """Set the sum of each channel over some of the first axis, or both for a task that has two. centre: repeated as
    rows are, or of each channel; nothing reads it for SUMS.
    """
    cdef Py_ssize_t n, c, t, channels = job.channels, width = job.together * channels
    cdef Py_ssize_t both = 1 if task == SUMS else 2
    cdef real *same = part + 2 * LONG_ROW
    memset(sums, 0, both * channels * sizeof(double))
    if job.inner == 1:
        memset(wide, 0, both * width * sizeof(double))
        sum_length(task, x, gy, centre, outer * channels, width, width, part, wide)
        for t in range(both * job.together):
            for c in range(channels):
                sums[t // job.together * channels + c] += wide[t * channels + c]
        return
    for n in range(outer):
        for c in range(channels):
            memset(wide, 0, both * LONG_ROW * sizeof(double))
            for t in range(LONG_ROW if both == 2 else 0):
                same[t] = centre[c]
            sum_length(task, x, gy, same, job.inner, LONG_ROW, LONG_ROW, part, wide)
            for t in range(LONG_ROW):
                sums[c] += wide[t]
                if both == 2:
                    sums[channels + c] += wide[LONG_ROW + t]
            x, gy = x + job.inner, gy + job.inner


cdef inline void shift_row(channel_task_t task, const real *x, const real *gy, real *y, const real *centre,
                           const real *factor, const real *shift, const real *slope, Py_ssize_t step,
                           Py_ssize_t length) noexcept nogil:
    """One row; `step` is 0 for one number for all of it."""
    cdef Py_ssize_t i
    cdef real value
    if task == AFFINE:
        for i in range(length):
            y[i] = (x[i] - centre[i * step]) * factor[i * step] + shift[i * step]
    elif task == RECTIFIED:
        for i in range(length):
            value = (x[i] - centre[i * step]) * factor[i * step] + shift[i * step]
            y[i] = <real> 0 if value <= 0 else value        # a NaN stays one
    else:
        for i in range(length):
            y[i] = (gy[i] - shift[i * step] - (x[i] - centre[i * step]) * slope[i * step]) * factor[i * step]


cdef void shift_length(const channels_t *job, const real *x, const real *gy, real *y, Py_ssize_t channel,
                       Py_ssize_t step, Py_ssize_t length) noexcept nogil:
    """The same with the numbers from a channel on."""
    cdef const real *centre = <const real *> job.value[0] + channel
    cdef const real *factor = <const real *> job.value[1] + channel
    cdef const real *shift = <const real *> job.value[2] + channel
    cdef const real *slope = <const real *> job.value[3] + channel
    if job.task == AFFINE:
        shift_row(AFFINE, x, gy, y, centre, factor, shift, slope, step, length)
    elif job.task == RECTIFIED:
        shift_row(RECTIFIED, x, gy, y, centre, factor, shift, slope, step, length)
    else:
        shift_row(GRADIENT, x, gy, y, centre, factor, shift, slope, step, length)


cdef void shift_channels(const channels_t *job, const real *x, const real *gy, real *y,
                         Py_ssize_t outer) noexcept nogil:
    cdef Py_ssize_t n, c, row, left
    if job.inner == 1:
        row, left = job.together * job.channels, outer * job.channels
        while left > 0:
            row = min(row, left)
            shift_length(job, x, gy, y, 0, 1, row)
            x, gy, y, left = x + row, gy + row, y + row, left - row
        return
    for n in range(outer):
        for c in range(job.channels):
            shift_length(job, x, gy, y, c, 0, job.inner)
            x, gy, y = x + job.inner, gy + job.inner, y + job.inner


cdef inline Py_ssize_t width_of(const channels_t *job) noexcept nogil:
    """Elements of the longest row that is summed, and of the numbers that it is compared with."""
    return max(job.together * job.channels, 2 * <Py_ssize_t> LONG_ROW)


cdef void channels_block(real *kind, const channels_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef Py_ssize_t first = block * job.step, outer = min(job.step, job.outer - first), c, t, width
    cdef Py_ssize_t offset = first * job.channels * job.inner
    cdef const real *x = <const real *> job.x + offset
    cdef const real *gy = <const real *> job.gy + offset
    cdef real *part
    cdef real *centre
    cdef double *wide
    cdef double *sums
    cdef double off, count
    cdef Py_ssize_t begun
    if job.task >= AFFINE:
        shift_channels(job, x, gy, <real *> job.y + offset, outer)
        return
    width = width_of(job)
    wide = <double *> (job.scratch + worker * job.scratch_size)
    part = <real *> (wide + 2 * width)
    centre = part + 2 * width
    sums = job.sums + 2 * block * job.channels
    if job.task != MOMENTS:
        sum_channels(job, job.task, x, gy, <const real *> job.value[0], outer, part, wide, sums)
        return
    # About a mean, as far as the precision of x tells it: from there nothing cancels. That of the block, or of one part
    # in 16 of it or more at its beginning: if that is off by d, the variance of the block is at least d * d / 16, whose
    # digits are not lost then either.
    begun = max(min(outer, <Py_ssize_t> (CHAIN * job.together)), outer // 16) if job.inner == 1 else outer
    sum_channels(job, SUMS, x, x, x, begun, part, wide, sums)
    for c in range(job.channels):
        for t in range(job.together):
            centre[t * job.channels + c] = <real> (sums[c] / <double> (begun * job.inner))
    count = <double> (outer * job.inner)
    sum_channels(job, MOMENTS, x, x, centre, outer, part, wide, sums)
    for c in range(job.channels):
        off = sums[c]
        sums[c] = centre[c] + off / count
        off = sums[job.channels + c] - off * off / count
        sums[job.channels + c] = 0 if off < 0 else off          # a NaN stays one


cdef void channels_any_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    channels_block(<float *> NULL, <const channels_t *> job, block, worker)


cdef void channels_any_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    channels_block(<double *> NULL, <const channels_t *> job, block, worker)


cdef tuple over_channels(channel_task_t task, cnp.ndarray x, cnp.ndarray gy, cnp.ndarray y, tuple values, int threads):
    """Run a task over arrays (outer, channels, inner), with numbers of each channel; returns the sums of each block,
    (blocks, 2, channels), if it has any, and how many of the first axis are in one.
    """
    cdef channels_t job
    cdef Py_ssize_t elements = x.shape[1] * x.shape[2], blocks, width
    cdef int i
    job.task, job.outer, job.channels, job.inner = task, x.shape[0], x.shape[1], x.shape[2]
    job.x, job.gy = cnp.PyArray_DATA(x), cnp.PyArray_DATA(x if gy is None else gy)
    job.y = NULL if y is None else cnp.PyArray_DATA(y)
    job.together = (LONG_ROW + job.channels - 1) // job.channels if job.inner == 1 else 1
    job.step = max(1, CHANNEL_ELEMENTS // max(1, elements))
    if job.inner == 1:
        job.step = max(<Py_ssize_t> LEAST_ROWS, job.step // job.together * job.together)
    blocks, width = (job.outer + job.step - 1) // job.step, width_of(&job)
    for value in values:
        if np.shape(value) != (x.shape[1],):
            raise ValueError(f"there must be a number for each of {x.shape[1]} channels, got shape {np.shape(value)}")
    repeated = [np.tile(np.asarray(value).astype(x.dtype), job.together) for value in values]
    for i in range(4):
        job.value[i] = cnp.PyArray_DATA(<cnp.ndarray> repeated[min(i, len(repeated) - 1)]) if repeated else job.x
    sums = None
    if task < AFFINE:
        sums = np.zeros((blocks, 2, job.channels))
        job.sums = <double *> cnp.PyArray_DATA(<cnp.ndarray> sums)
    if 1.0 * job.outer * elements < 1e5:
        threads = 1
    cdef _Scratch scratch = _Scratch(5 * width * sizeof(double), threads)
    job.scratch, job.scratch_size = scratch.first, scratch.size
    cdef bint single = x.itemsize == 4
    with nogil:
        run(channels_any_f32 if single else channels_any_f64, &job, blocks, threads)
    return sums, job.step


def channel_sums(cnp.ndarray x, int threads):
    """The sum of each channel of x (outer, channels, inner), float32 or float64 and contiguous, in float64."""
    return over_channels(SUMS, x, None, None, (), threads)[0][:, 0].sum(0)


def channel_moments(cnp.ndarray x, int threads):
    """The mean and the mean squared deviation from it of each channel of x, which has elements."""
    sums, step = over_channels(MOMENTS, x, None, None, (), threads)
    counts = np.minimum(step, x.shape[0] - step * np.arange(len(sums)))[:, None] * x.shape[2]
    means, total = sums[:, 0], x.shape[0] * x.shape[2]
    mean = (counts * means).sum(0) / total
    return mean, (sums[:, 1] + counts * (means - mean) ** 2).sum(0) / total


def channel_products(cnp.ndarray x, cnp.ndarray gy, centre, int threads):
    """(2, channels): the sums of gy, and of gy * (x - centre)."""
    return over_channels(PRODUCTS, x, gy, None, (centre,), threads)[0].sum(0)


def channel_affine(cnp.ndarray x, cnp.ndarray y, centre, factor, shift, bint rectified, int threads):
    """y = (x - centre) * factor + shift, each a number for each channel; rectified: 0 where that is negative."""
    over_channels(RECTIFIED if rectified else AFFINE, x, None, y, (centre, factor, shift), threads)


def channel_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gx, centre, factor, shift, slope, int threads):
    """gx = (gy - shift - (x - centre) * slope) * factor, each a number for each channel."""
    over_channels(GRADIENT, x, gy, gx, (centre, factor, shift, slope), threads)
