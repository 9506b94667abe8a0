# The gradient of depthwise filters: g[tap, c] = sum over places of gy[place, c] * x[tap of the place, c]. Lanes are
# channels; a block of work computes some taps of a kernel row. Chunks of places are summed and added up as in
# filters.pxi.

cdef struct lanes_t:
    source_t source
    const void *x
    const void *constants
    const void *gy
    void *gradient                  # (C, taps), contiguous
    Py_ssize_t gy_n
    Py_ssize_t gy_stride[AXES]
    Py_ssize_t tap_blocks           # of a kernel row
    bint single                     # float, else double
    Py_ssize_t place0, place1       # places that are visited now
    char *totals                    # of each block, from one visit to the next; NULL: there is only one visit
    Py_ssize_t total_size
    char *scratch
    Py_ssize_t scratch_size, total_at, part_at, mix_at


cdef void lanes_block(real *kind, const lanes_t *job, Py_ssize_t block, int worker) noexcept nogil:
    """One filter per channel: some taps of a kernel row, all channels."""
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t tap0 = block % job.tap_blocks * TILE_FULL
    cdef Py_ssize_t taps = min(TILE_FULL, last.taps - tap0)
    cdef Py_ssize_t kernel_row = block // job.tap_blocks
    cdef Py_ssize_t k0 = kernel_row // s.axis[1].taps, k1 = kernel_row % s.axis[1].taps
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef const real **xs = <const real **> scratch      # PLACES groups of TILE_FULL
    cdef double *total = <double *> (scratch + job.total_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef real *mix
    cdef const real *gys[PLACES]
    cdef const real *constants = <const real *> job.constants
    cdef const real *image
    cdef const real *pointer
    cdef real *result = <real *> job.gradient
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t all_places = s.batch * s.places
    cdef Py_ssize_t place, place0, count, n = 0, a, b, tap, m
    cdef const Py_ssize_t *code
    if job.totals != NULL:
        total = <double *> (job.totals + block * job.total_size)
    if job.place0 == 0:
        memset(total, 0, taps * s.channels * sizeof(double))
    n = job.place0 // s.places
    split(s, job.place0 - n * s.places, at)
    for place0 from job.place0 <= place0 < job.place1 by PLACES:
        count = min(PLACES, job.place1 - place0)
        mix = <real *> (scratch + job.mix_at)
        for place in range(count):
            image = <const real *> job.x + n * s.stride_n
            gys[place] = (<const real *> job.gy) + n * job.gy_n + target(s, at, job.gy_stride)
            a = s.axis[0].code[s.axis[0].row[at[0]] + k0 * s.axis[0].step]
            b = s.axis[1].code[s.axis[1].row[at[1]] + k1 * s.axis[1].step]
            code = last.code + last.row[at[2]] + tap0 * last.step
            if (a | b) >= 0 and last.run[at[2]]:
                pointer = image + a * s.stride[0] + b * s.stride[1] + code[0] * s.stride[2]
                for tap in range(taps):
                    xs[place * TILE_FULL + tap] = pointer + tap * s.stride[2]
            else:
                for tap in range(taps):
                    pointer = tap_row(s, image, constants, a, b, code[tap * last.step], mix)
                    if pointer == mix:
                        mix += s.channels
                    elif pointer == NULL:
                        pointer = constants + AXES * s.channels
                    xs[place * TILE_FULL + tap] = pointer
            n += step_on(s, at)
        if real is float:
            products_f32(taps, xs, gys, count, s.channels, part)
        else:
            products_f64(taps, xs, gys, count, s.channels, part)
        for m in range(taps * s.channels):
            total[m] += part[m]
    if job.place1 < all_places:
        return
    for tap in range(taps):
        for m in range(s.channels):
            result[m * s.taps + kernel_row * last.taps + tap0 + tap] = <real> total[tap * s.channels + m]


cdef void lanes_block_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const lanes_t *> job).single:
        lanes_block(<float *> NULL, <const lanes_t *> job, block, worker)
    else:
        lanes_block(<double *> NULL, <const lanes_t *> job, block, worker)


def depthwise_filter_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gradient, tuple axes, cnp.ndarray constants,
                              int threads):
    """Fill gradient (C, taps, 1), contiguous, from x (N, D, H, W, C) and gy (N, *places, C)."""
    cdef lanes_t job
    job.source = source_of(x, axes)
    job.x, job.gy, job.gradient = cnp.PyArray_DATA(x), cnp.PyArray_DATA(gy), cnp.PyArray_DATA(gradient)
    job.constants = cnp.PyArray_DATA(constants)
    job.single = x.itemsize == 4
    job.gy_n = strides_of(gy, job.gy_stride)
    cdef Py_ssize_t taps = job.source.axis[2].taps, channels = job.source.channels
    if 2.0 * job.source.batch * job.source.places * gradient.size < 4e5:
        threads = 1
    job.tap_blocks = (taps + TILE_FULL - 1) // TILE_FULL
    job.total_at = rounded(PLACES * TILE_FULL * sizeof(void *))
    job.part_at = job.total_at + rounded(TILE_FULL * channels * sizeof(double))
    job.mix_at = job.part_at + rounded(TILE_FULL * channels * x.itemsize)
    job.scratch_size = job.mix_at
    if job.source.mixed:
        job.scratch_size += PLACES * TILE_FULL * channels * x.itemsize
    cdef _Scratch scratch = _Scratch(job.scratch_size, threads)
    job.scratch, job.scratch_size = scratch.first, scratch.size
    cdef Py_ssize_t blocks = job.source.axis[0].taps * job.source.axis[1].taps * job.tap_blocks
    cdef Py_ssize_t all_places = job.source.batch * job.source.places
    cdef Py_ssize_t visit = max(1, VISIT_PRODUCTS // (min(TILE_FULL, taps) * channels) // PLACES) * PLACES
    cdef _Scratch totals
    job.totals, job.total_size = NULL, job.part_at - job.total_at
    if visit < all_places:
        totals = _Scratch(job.total_size * blocks, 1)
        job.totals = totals.first
    job.place0 = 0
    while True:
        job.place1 = min(job.place0 + visit, all_places)
        with nogil:
            run(lanes_block_any, &job, blocks, threads)
        PyErr_CheckSignals()
        if job.place1 == all_places:
            break
        job.place0 = job.place1
