# The gradient of depthwise filters: g[c, tap] = sum over places of gy[place, c] * x[tap of the place, c].
#
# A block is some channels with all taps. It goes along rows of places by the spans of the forward kernel (spans.pxi),
# where the sums of a kernel row, or of three, stay in registers, and through the places in between by pointers. A chunk
# of places is summed by itself; the chunks are added up in double. Where that takes long, blocks go through some rows
# after the others, and signals are answered in between.

cdef enum:
    ALONE_TAPS = 64                 # whose pointers are held at once, of places that lie in no span
    PART_BYTES = 1 << 16            # of the sums of a block, unless one vector has more

cdef struct depthwise_gradient_t:
    source_t source
    const void *x
    const void *constants
    const void *gy
    Py_ssize_t gy_n
    Py_ssize_t gy_stride[AXES]
    cut_t row
    double *totals                  # in panels, as filters are packed
    Py_ssize_t group                # channels of a block
    Py_ssize_t row0, row1           # rows of places that are visited now
    char *scratch
    Py_ssize_t scratch_size, runs_at, pointers_at, mix_at, part_at


cdef Py_ssize_t panels_until(Py_ssize_t c, Py_ssize_t until, Py_ssize_t channels, Py_ssize_t lanes) noexcept nogil:
    """Lanes of the panels of some channels."""
    cdef Py_ssize_t width, sum = 0
    while c < until:
        width = lanes_at(c, channels, lanes)
        sum += width
        c += width
    return sum


cdef void add_alone(real *kind, const depthwise_gradient_t *job, const real *image, const real *gy,
                    const kernel_row_t *rows, Py_ssize_t count, const segment_t *segment, bint even, Py_ssize_t c,
                    Py_ssize_t until, real *part, char *scratch) noexcept nogil:
    """Add what the places of a row that are done one by one add to the sums."""
    cdef const source_t *s = &job.source
    cdef const real **pointers = <const real **> (scratch + job.pointers_at)
    cdef span_t whole = all_taps_of(&s.axis[2])
    cdef span_t taps = whole
    cdef Py_ssize_t visits[TILE_FULL]
    cdef const real *gys[TILE_FULL]
    cdef Py_ssize_t some = max(1, ALONE_TAPS // whole.taps), done = 0, m, i, k
    cdef Py_ssize_t height = some_visits(&job.row, segment, even, 0, visits)
    while height > 0:
        for m in range(height):
            gys[m] = gy + s.axis[2].place[visits[m]] * job.gy_stride[2]
        for i from 0 <= i < count by some:
            for k from 0 <= k < whole.taps by ALONE_TAPS:
                taps.tap, taps.taps = whole.tap + k * whole.tap_step, min(ALONE_TAPS, whole.taps - k)
                point(s, image, <const real *> job.constants, rows + i, min(some, count - i), k, k + taps.taps, visits,
                      height, pointers, <real *> (scratch + job.mix_at))
                if real is float:
                    single_products_f32(height, &taps, pointers, rows + i, min(some, count - i), gys, s.taps, c, until,
                                        s.channels, part)
                else:
                    single_products_f64(height, &taps, pointers, rows + i, min(some, count - i), gys, s.taps, c, until,
                                        s.channels, part)
        done += height
        height = some_visits(&job.row, segment, even, done, visits)


cdef void depthwise_gradient_block(real *kind, const depthwise_gradient_t *job, Py_ssize_t block,
                                   int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef kernel_row_t *rows = <kernel_row_t *> scratch
    cdef taps_run_t *runs = <taps_run_t *> (scratch + job.runs_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef Py_ssize_t c = block * job.group, until = min(c + job.group, s.channels)
    cdef Py_ssize_t size = s.taps * panels_until(c, until, s.channels, VECTOR_BYTES // sizeof(real))
    cdef double *total = job.totals + c * s.taps
    cdef const real *image
    cdef const real *gy
    cdef const segment_t *segment
    cdef const span_t *span
    cdef Py_ssize_t row, od, oh, n, count, i, j, m, summed = 0
    cdef bint even
    memset(part, 0, size * sizeof(real))
    for row in range(job.row0, job.row1):
        oh = row % s.axis[1].length
        od = row // s.axis[1].length % s.axis[0].length
        n = row // s.axis[1].length // s.axis[0].length
        image = <const real *> job.x + n * s.stride_n
        gy = <const real *> job.gy + n * job.gy_n + s.axis[0].place[od] * job.gy_stride[0] \
            + s.axis[1].place[oh] * job.gy_stride[1]
        count = list_kernel_rows(s, image, <const real *> job.constants, od, oh, False, rows, &even)
        for i in range(job.row.count):
            segment = job.row.segments + i
            if summed + segment.until - segment.first > PLACES:
                for m in range(size):
                    total[m] += part[m]
                memset(part, 0, size * sizeof(real))
                summed = 0
            summed += segment.until - segment.first
            for j in range(segment.span0, segment.span1 if even else segment.span0):
                span = job.row.spans + j
                if real is float:
                    products_f32(span, rows, count, runs, gy + s.axis[2].place[span.first] * job.gy_stride[2], s.taps,
                                 c, until, s.channels, part)
                else:
                    products_f64(span, rows, count, runs, gy + s.axis[2].place[span.first] * job.gy_stride[2], s.taps,
                                 c, until, s.channels, part)
            add_alone(<real *> NULL, job, image, gy, rows, count, segment, even, c, until, part, scratch)
    for m in range(size):
        total[m] += part[m]


cdef void depthwise_gradient_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    depthwise_gradient_block(<float *> NULL, <const depthwise_gradient_t *> job, block, worker)


cdef void depthwise_gradient_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    depthwise_gradient_block(<double *> NULL, <const depthwise_gradient_t *> job, block, worker)


cdef void unpack_channels(const double *totals, Py_ssize_t channels, Py_ssize_t taps, real *gradient) noexcept nogil:
    """The inverse of pack_channels."""
    cdef Py_ssize_t c = 0, width, first, tap, lane
    while c < channels:
        width = lanes_at(c, channels, VECTOR_BYTES // sizeof(real))
        first = min(c, channels - width)
        for tap in range(taps):
            for lane in range(width):
                gradient[(first + lane) * taps + tap] = <real> totals[lane]
            totals += width
        c += width


def depthwise_filter_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gradient, tuple axes, cnp.ndarray constants,
                              int threads):
    """Fill gradient (C, taps, 1), contiguous, from x (N, D, H, W, C) and gy (N, *places, C)."""
    cdef depthwise_gradient_t job
    cdef source_t *s = &job.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // x.itemsize, channels = x.shape[AXES + 1]
    job.source = source_of(x, axes)
    job.x, job.gy, job.constants = cnp.PyArray_DATA(x), cnp.PyArray_DATA(gy), cnp.PyArray_DATA(constants)
    job.gy_n = strides_of(gy, job.gy_stride)
    threads = threads_for(threads, 1.0 * s.batch * s.places * gradient.size)
    memory = cut_row(&s.axis[2], PLACES, job.gy_stride[2], &job.row)
    # as many channels of a place as possible, which lie together, but for some blocks per thread
    job.group = max(1, min(PART_BYTES // (lanes * s.taps * x.itemsize), channels // lanes)) * lanes
    # how many rows at once shows in the bits, and so must not depend on the threads
    cdef Py_ssize_t visit = max(1, VISIT_PRODUCTS // max(1, s.axis[2].length * s.taps * min(job.group, channels)))
    if threads > 1:
        job.group = max(1, min(job.group // lanes, channels // lanes // (2 * threads))) * lanes
    cdef Py_ssize_t blocks = (channels + job.group - 1) // job.group
    job.runs_at = rounded(s.axis[0].taps * s.axis[1].taps * sizeof(kernel_row_t))
    job.pointers_at = job.runs_at + rounded(s.taps * sizeof(taps_run_t))
    job.part_at = job.pointers_at + rounded(ALONE_TAPS * TILE_FULL * sizeof(void *))
    job.mix_at = job.part_at + rounded(2 * job.group * s.taps * x.itemsize)      # vectors may overlap
    job.scratch_size = job.mix_at
    if s.mixed:
        job.scratch_size += ALONE_TAPS * TILE_FULL * channels * x.itemsize
    threads = <int> max(1, min(threads, blocks))
    cdef _Scratch scratch = _Scratch(job.scratch_size, threads)
    job.scratch, job.scratch_size = scratch.first, scratch.size
    cdef _Scratch totals = _Scratch(2 * channels * s.taps * sizeof(double), 1)
    job.totals = <double *> totals.first
    memset(job.totals, 0, totals.size)
    cdef Py_ssize_t rows = s.batch * s.axis[0].length * s.axis[1].length
    cdef block_t block = depthwise_gradient_block_f32 if x.itemsize == 4 else depthwise_gradient_block_f64
    job.row0 = 0
    while job.row0 < rows:
        job.row1 = min(job.row0 + visit, rows)
        with nogil:
            run(block, &job, blocks, threads)
        PyErr_CheckSignals()
        job.row0 = job.row1
    if x.itemsize == 4:
        unpack_channels(job.totals, channels, s.taps, <float *> cnp.PyArray_DATA(gradient))
    else:
        unpack_channels(job.totals, channels, s.taps, <double *> cnp.PyArray_DATA(gradient))
