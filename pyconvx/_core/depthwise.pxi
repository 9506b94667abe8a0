# Depthwise convolution: every channel has one filter of its own, so lanes are channels and nothing is summed over them.
#
# A block is a part of a row of places along the last axis, cut into tiles. In most tiles place m and tap k read
# m * stride + k of the table: then each column is loaded once for all places that it serves, and where the columns are
# plain neighbours, one pointer per kernel row is enough. Other tiles take a pointer per tap and place.

cdef enum:
    TILES_OF_BLOCK = 64

cdef struct span_t:
    Py_ssize_t first                # place of the row
    Py_ssize_t height               # places
    Py_ssize_t stride               # columns from one place to the next; 0: no column serves several places
    bint even                       # the columns are neighbouring elements

cdef struct depthwise_t:
    task_t task
    const void *weights             # (taps, C), contiguous
    span_t *spans                   # the tiles of a row
    Py_ssize_t tiles, segments      # of a row: a block does TILES_OF_BLOCK tiles
    Py_ssize_t mix_at


cdef Py_ssize_t cut(const source_t *s, bint lines, span_t *spans) noexcept nogil:
    """Cut a row of places into tiles; `lines`: tiles by columns may be made. Returns how many there are."""
    cdef const axis_t *axis = &s.axis[2]
    cdef Py_ssize_t step = axis.step if axis.step > 0 else -axis.step
    cdef Py_ssize_t first = 0, count = 0, height, stride, m, column, start, code
    cdef bint even
    while first < axis.length:
        height = min(TILE_FULL, axis.length - first)
        stride = 0
        if lines and height >= TILE_HALF:
            height = TILE_FULL if height == TILE_FULL else TILE_HALF
            stride = axis.row[first + 1] - axis.row[first]
            stride = stride // step if stride % step == 0 else 0
            if stride != 1 and stride != 2:
                stride = 0
            for m in range(1, height):
                if axis.row[first + m] != axis.row[first] + m * stride * step:
                    stride = 0
        even = stride != 0
        if even:
            start = axis.row[first] + min(axis.step * (axis.taps - 1), 0)
            for column in range((height - 1) * stride + axis.taps):
                code = axis.code[start + column * step]
                if code < 0 or code != axis.code[start] + column:
                    even = False
        spans[count] = span_t(first=first, height=height, stride=stride, even=even)
        first += height
        count += 1
    return count


cdef void depthwise_block(real *kind, const depthwise_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef const real **rows = <const real **> scratch
    cdef real *mix
    cdef const real *constants = <const real *> job.task.constants
    cdef const real *zeros = constants + AXES * s.channels
    cdef const real *begin = <const real *> job.task.bias if job.task.bias != NULL else zeros
    cdef Py_ssize_t line = block // job.segments
    cdef Py_ssize_t oh = line % s.axis[1].length
    cdef Py_ssize_t od = line // s.axis[1].length % s.axis[0].length
    cdef Py_ssize_t n = line // s.axis[1].length // s.axis[0].length
    cdef const real *image = <const real *> job.task.x + n * s.stride_n
    cdef const real *pointer
    cdef real *y = <real *> job.task.y + n * job.task.y_n + s.axis[0].place[od] * job.task.y_stride[0] \
        + s.axis[1].place[oh] * job.task.y_stride[1]
    cdef real *target
    cdef const span_t *span
    cdef Py_ssize_t tile0 = block % job.segments * TILES_OF_BLOCK
    cdef Py_ssize_t tile, k0, k1, k2, a, b, c, m, used, columns, start
    cdef Py_ssize_t step = s.axis[2].step if s.axis[2].step > 0 else -s.axis[2].step
    cdef bint even
    for tile in range(tile0, min(tile0 + TILES_OF_BLOCK, job.tiles)):
        span = &job.spans[tile]
        used, even = 0, span.even
        mix = <real *> (scratch + job.mix_at)
        # places follow one another in the result as they do in the table
        target = y + s.axis[2].place[span.first] * job.task.y_stride[2]
        for k0 in range(s.axis[0].taps if even else 0):
            for k1 in range(s.axis[1].taps):
                even = even and s.axis[0].code[s.axis[0].row[od] + k0 * s.axis[0].step] >= 0 \
                    and s.axis[1].code[s.axis[1].row[oh] + k1 * s.axis[1].step] >= 0
        columns = 1 if even else (span.height - 1) * span.stride + s.axis[2].taps
        start = s.axis[2].row[span.first] + min(s.axis[2].step * (s.axis[2].taps - 1), 0)
        for k0 in range(s.axis[0].taps):
            a = s.axis[0].code[s.axis[0].row[od] + k0 * s.axis[0].step]
            for k1 in range(s.axis[1].taps):
                b = s.axis[1].code[s.axis[1].row[oh] + k1 * s.axis[1].step]
                if span.stride:
                    for c in range(columns):
                        pointer = tap_row(s, image, constants, a, b, s.axis[2].code[start + c * step], mix)
                        if pointer == mix:
                            mix += s.channels
                        rows[used + c] = zeros if pointer == NULL else pointer
                    used += LINE
                    continue
                for k2 in range(s.axis[2].taps):
                    for m in range(span.height):
                        c = s.axis[2].code[s.axis[2].row[span.first + m] + k2 * s.axis[2].step]
                        pointer = tap_row(s, image, constants, a, b, c, mix)
                        if pointer == mix:
                            mix += s.channels
                        rows[used + m] = zeros if pointer == NULL else pointer
                    used += TILE_FULL
        if real is float:
            if span.stride:
                line_f32(span.height, s.axis[2].taps, span.stride, even, rows, s.axis[0].taps * s.axis[1].taps,
                         s.stride[2], s.axis[2].step < 0, <const float *> job.weights, s.channels,
                         <const float *> begin, target, job.task.y_stride[2])
            else:
                depthwise_f32(span.height, rows, s.taps, <const float *> job.weights, s.channels,
                              <const float *> begin, target, job.task.y_stride[2])
        elif span.stride:
            line_f64(span.height, s.axis[2].taps, span.stride, even, rows, s.axis[0].taps * s.axis[1].taps,
                     s.stride[2], s.axis[2].step < 0, <const double *> job.weights, s.channels,
                     <const double *> begin, target, job.task.y_stride[2])
        else:
            depthwise_f64(span.height, rows, s.taps, <const double *> job.weights, s.channels,
                          <const double *> begin, target, job.task.y_stride[2])


cdef void depthwise_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    depthwise_block(<float *> NULL, <const depthwise_t *> job, block, worker)


cdef void depthwise_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    depthwise_block(<double *> NULL, <const depthwise_t *> job, block, worker)


cdef class Depthwise(Convolution):
    """Depthwise(x, weights, y, axes, constants, threads): one filter per channel.

    weights: (taps, C), contiguous. The places of the last axis must be visited in order.
    """
    cdef depthwise_t job
    cdef _Scratch spans

    def __init__(self, cnp.ndarray x, cnp.ndarray weights, cnp.ndarray y, tuple axes, cnp.ndarray constants,
                 int threads):
        cdef depthwise_t *job = &self.job
        self.begin(job, sizeof(depthwise_t), x, y, axes, constants, threads, weights.size)
        self.keep += (weights,)
        job.weights = cnp.PyArray_DATA(weights)
        cdef Py_ssize_t taps = job.task.source.axis[2].taps
        self.spans = _Scratch((job.task.source.axis[2].length // TILE_HALF + 2) * sizeof(span_t), 1)
        job.spans = <span_t *> self.spans.first
        job.tiles = cut(&job.task.source, taps in (3, 5, 7) and job.task.source.channels * x.itemsize >= VECTOR_BYTES,
                        job.spans)
        job.segments = (job.tiles + TILES_OF_BLOCK - 1) // TILES_OF_BLOCK
        cdef Py_ssize_t kernel_rows = job.task.source.axis[0].taps * job.task.source.axis[1].taps
        job.mix_at = rounded(kernel_rows * max(taps * TILE_FULL, LINE) * sizeof(void *))
        job.task.scratch_size = job.mix_at
        if job.task.source.mixed:
            job.task.scratch_size += job.task.source.taps * TILE_FULL * job.task.source.channels * x.itemsize
        self.end(depthwise_block_f32 if x.itemsize == 4 else depthwise_block_f64,
                 job.task.source.batch * job.task.source.axis[0].length * job.task.source.axis[1].length * job.segments)

    cdef object pack(self, void *job, cnp.ndarray filters):
        cdef cnp.ndarray weights = np.ascontiguousarray(filters.reshape((filters.shape[0], -1)).T)
        (<depthwise_t *> job).weights = cnp.PyArray_DATA(weights)
        return weights
