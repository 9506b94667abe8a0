# Depthwise convolution: every channel has one filter of its own: lanes are channels and nothing is summed over them.
#
# Rows of places are cut once into spans that read evenly (spans.pxi). A block is a segment of some rows, mostly a whole
# row of each. A span takes one pointer per kernel row, two rows at once where they share kernel rows of 3 taps; places
# in between, at borders, take a pointer for each tap. A kernel row that reads nothing is left out: so the adjoint of a
# strided convolution is made of small ones, one for each phase. Where what is beside x is zero, all places of a row
# read evenly, too, and columns that are not there are passed over; where else many taps would be pointed to at borders,
# rows of x are laid out with their padding as they are needed.

cdef enum:
    SEGMENT_BYTES = 1 << 18         # of what a segment reads for two rows of places, unless one tile reads more
    SEGMENT_PRODUCTS = 1 << 20      # of a block, unless a pair of rows has more
    FRAMED_PRODUCTS = 1 << 22       # of one that lays rows of x out
    FRAMED_TAPS = 15                # from so many on that is worth it, where places lie at borders: rows are not paired
    FRAMED_BYTES = 1 << 19          # of the rows that a row of places reads then
    CROWDED = 2048                  # columns a multiple of so many bytes apart share few lines of the nearest cache
    SEVERAL = 8                     # columns that then have no room there

cdef struct depthwise_t:
    task_t task
    const void *weights             # as ChannelPanels has them
    cut_t row
    pair_t *pairs
    Py_ssize_t pair_count, pairs_per_block, blocks      # blocks of a column of pairs
    span_t whole                    # all taps of a kernel row, of places that lie in no span
    bint edges                      # what is beside the rows of x is passed over, and
    Py_ssize_t slots                # rows of x that are laid out with their padding; 0: they are read where they are
    Py_ssize_t line, length         # elements of one, and positions, which lie
    Py_ssize_t pitch                # elements apart there
    Py_ssize_t rise                 # positions of the second axis from a row of places to the next
    Py_ssize_t run0, run1           # between which they are neighbours in x
    Py_ssize_t aside                # elements of a line that is filled elsewhere at first; 0: where it belongs
    Py_ssize_t runs_at, pointers_at, lines_at, laid_at, mix_at, aside_at


cdef class ChannelPanels:
    """Filters of single channels in panels of a vector: [vector][tap][lane]. `filters` is (F, taps, 1) of any strides.

    Vectors are full, half or single channels, as the kernels take them. Without `packing` nothing is read or held.
    """
    cdef readonly bint finite
    cdef object memory
    cdef char *data

    def __init__(self, cnp.ndarray filters, bint packing=True):
        self.finite = True
        if not packing:
            return
        self.memory = np.empty(2 * filters.size * filters.itemsize + 64, np.uint8)     # vectors may overlap
        self.data = <char *> ((<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64)
        if filters.itemsize == 4:
            self.finite = pack_channels(<float *> self.data, filters) == 0
        else:
            self.finite = pack_channels(<double *> self.data, filters) == 0

    @property
    def nbytes(self):
        """Bytes held."""
        return 0 if self.memory is None else self.memory.nbytes


cdef real pack_channels(real *to, cnp.ndarray filters):
    """Returns 0 if all elements are finite."""
    cdef Py_ssize_t channels = filters.shape[0], taps = filters.shape[1], c = 0, width
    cdef Py_ssize_t step_channel = filters.strides[0] // filters.itemsize
    cdef Py_ssize_t step_tap = filters.strides[1] // filters.itemsize
    cdef real total = 0
    while c < channels:
        width = lanes_at(c, channels, VECTOR_BYTES // sizeof(real))
        turn((<const real *> cnp.PyArray_DATA(filters)) + min(c, channels - width) * step_channel, step_channel,
             step_tap, to, width, 1, width, taps)
        if real is float:
            total += spoiled_f32(to, width * taps)
        else:
            total += spoiled_f64(to, width * taps)
        to += width * taps
        c += width
    return total


cdef void fill_alone(const depthwise_t *job, const real *image, const kernel_row_t *rows, Py_ssize_t count,
                     const segment_t *segment, bint even, const real *start, real *y, char *scratch) noexcept nogil:
    """Fill the places of a row that are done one by one."""
    cdef const source_t *s = &job.task.source
    cdef const real *constants = <const real *> job.task.constants
    cdef const real **pointers = <const real **> (scratch + job.pointers_at)
    cdef Py_ssize_t visits[TILE_FULL]
    cdef real *to[TILE_FULL]
    cdef Py_ssize_t m, done = 0, height = some_visits(&job.row, segment, even, 0, visits)
    while height > 0:
        point(s, image, constants, rows, count, 0, s.axis[2].taps, visits, height, pointers,
              <real *> (scratch + job.mix_at))
        for m in range(height):
            to[m] = y + s.axis[2].place[visits[m]] * job.task.y_stride[2]
        if real is float:
            single_f32(height, &job.whole, pointers, rows, count, <const float *> job.weights, s.taps, s.channels,
                       start, to)
        else:
            single_f64(height, &job.whole, pointers, rows, count, <const double *> job.weights, s.taps, s.channels,
                       start, to)
        if job.task.finishing and not job.aside:
            finish_targets(&job.task, to, height, 0, s.channels)
        done += height
        height = some_visits(&job.row, segment, even, done, visits)


cdef void frame_rows(const depthwise_t *job, const real *image, Py_ssize_t visit, kernel_row_t *rows,
                     Py_ssize_t count, char *scratch) noexcept nogil:
    """Have the rows of x that kernel rows of a row of places read laid out, and read there."""
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef Py_ssize_t *laid = <Py_ssize_t *> (scratch + job.laid_at)     # which position of the second axis a slot holds
    cdef real *line
    cdef Py_ssize_t i, k, position, slot
    for i in range(count):
        if (rows[i].a | rows[i].b) < 0 and job.task.zero:       # others depend on the place, too: the last axis counts
            continue
        k = rows[i].tap // s.axis[2].taps
        position = visit * job.rise + (k if middle.step > 0 else middle.taps - 1 - k) * distance(middle)
        slot = position % job.slots
        line = <real *> (scratch + job.lines_at) + slot * job.line
        if laid[slot] != position:
            laid[slot] = position
            lay_line(&job.task, image, rows[i].a, rows[i].b, codes_from(&s.axis[2], 0), job.length, job.run0, job.run1,
                     0, s.channels, line, job.pitch, 1, <real *> (scratch + job.mix_at))
        rows[i].x, rows[i].pixel = line, job.pitch


cdef void depthwise_block(real *kind, const depthwise_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef const real *constants = <const real *> job.task.constants
    cdef const real *start = constants + AXES * s.channels
    cdef const segment_t *segment = job.row.segments + block % job.row.count
    cdef Py_ssize_t first = block // job.row.count % job.blocks * job.pairs_per_block
    cdef Py_ssize_t od = block // job.row.count // job.blocks % s.axis[0].length
    cdef Py_ssize_t n = block // job.row.count // job.blocks // s.axis[0].length
    cdef const real *image = <const real *> job.task.x + n * s.stride_n
    cdef real *plane = <real *> job.task.y + n * job.task.y_n + s.axis[0].place[od] * job.task.y_stride[0]
    cdef real *lines[2]
    cdef real *y[2]                 # these lines of the result, or what stands for them until they are finished
    cdef kernel_row_t *rows[2]
    cdef Py_ssize_t count[2]
    cdef bint even[2]
    cdef taps_run_t *runs
    cdef const pair_t *pair
    cdef const span_t *span
    cdef Py_ssize_t p, i, r, at, visit, height
    if job.task.bias != NULL:
        start = <const real *> job.task.bias
    rows[0] = <kernel_row_t *> scratch
    rows[1] = rows[0] + s.axis[0].taps * s.axis[1].taps
    runs = <taps_run_t *> (scratch + job.runs_at)
    memset(scratch + job.laid_at, -1, job.slots * sizeof(Py_ssize_t))
    for p in range(first, min(first + job.pairs_per_block, job.pair_count)):
        pair = job.pairs + p
        height = 2 if pair.shift else 1
        for r in range(height):
            visit = pair.second if r else pair.first
            lines[r] = plane + s.axis[1].place[visit] * job.task.y_stride[1]
            y[r] = <real *> (scratch + job.aside_at) + r * job.aside if job.aside else lines[r]
            count[r] = list_kernel_rows(s, image, constants, od, visit, job.edges, rows[r], even + r)
            if job.slots and even[r]:
                frame_rows(job, image, visit, rows[r], count[r], scratch)
        for i in range(segment.span0, segment.span1):
            span = job.row.spans + i
            at = s.axis[2].place[span.first] * job.task.y_stride[2]
            # the kernel of pairs takes places that read three taps at once, and all kernel rows
            if pair.shift == span.stride and span.taps == 3 and span.piece == 3 and even[0] and even[1] \
                    and count[0] == count[1] and count[0] == 3 * s.axis[0].taps:
                if real is float:
                    pair_f32(span, rows[0], rows[1], s.axis[0].taps, runs, <const float *> job.weights, s.taps,
                             s.channels, start, y[0] + at, y[1] - y[0])
                else:
                    pair_f64(span, rows[0], rows[1], s.axis[0].taps, runs, <const double *> job.weights, s.taps,
                             s.channels, start, y[0] + at, y[1] - y[0])
            else:
                for r in range(height):
                    if not even[r]:
                        continue
                    if real is float:
                        line_f32(span, rows[r], count[r], runs, <const float *> job.weights, s.taps, s.channels,
                                 start, y[r] + at)
                    else:
                        line_f64(span, rows[r], count[r], runs, <const double *> job.weights, s.taps, s.channels,
                                 start, y[r] + at)
            for r in range(height if job.task.finishing and not job.aside else 0):
                if even[r]:
                    finish(&job.task, y[r] + at, span.count, span.to_step, s.channels)
        for r in range(height):
            fill_alone(job, image, rows[r], count[r], segment, even[r], start, y[r], scratch)
            if job.aside:
                activate_row(&job.task.activation, y[r], lines[r], job.aside)


cdef void depthwise_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    depthwise_block(<float *> NULL, <const depthwise_t *> job, block, worker)


cdef void depthwise_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    depthwise_block(<double *> NULL, <const depthwise_t *> job, block, worker)


cdef bint worth_framing(const depthwise_t *job, tuple axes, Py_ssize_t pixel, bint crowded):
    """Whether laying all rows of x out takes less than doing places at borders one by one, or reading columns that are
    crowded in the caches.
    """
    cdef const source_t *s = &job.task.source
    cdef Py_ssize_t near = reach_of(&s.axis[1]) * job.length * pixel
    return (crowded or s.taps >= FRAMED_TAPS and job.row.odd_count > 0) and s.axis[0].taps == 1 and not s.mixed \
        and near <= FRAMED_BYTES and (<Axis> axes[1]).rise > 0 and (<Axis> axes[2]).rise > 0 and axes[0].ordered


cdef object cut_passing(depthwise_t *job, bint finite, Py_ssize_t rise):
    """Have a row of places that is one segment cut anew if that lets all of them read evenly: if what is beside the row
    of x is zero, and filters are finite. Returns the memory that it then takes, or None.
    """
    cdef const axis_t *last = &job.task.source.axis[2]
    cdef const Py_ssize_t *code = codes_from(last, 0)
    cdef cut_t row
    cdef Py_ssize_t t
    if not finite or rise < 1 or job.row.count != 1 or job.row.odd_count == 0 or job.run0 == job.run1:
        return None
    for t in range(job.length):
        if (t < job.run0 or t >= job.run1) and not is_zero(&job.task, code[t]):
            return None
    memory = cut_framed(last, rise, job.task.y_stride[2], &row)
    job.edges = pass_edges(last, rise, job.run0, job.run1, &row)
    if not job.edges:
        return None
    job.row = row
    return memory


cdef class Depthwise(Convolution):
    """Depthwise(x, panels, y, axes, constants, threads): one filter per channel, packed."""
    cdef depthwise_t job

    def __init__(self, cnp.ndarray x, ChannelPanels panels, cnp.ndarray y, tuple axes, cnp.ndarray constants,
                 int threads):
        cdef depthwise_t *job = &self.job
        cdef source_t *source = &job.task.source
        cdef axis_t *middle = &source.axis[1]
        cdef axis_t *last = &source.axis[2]
        cdef Py_ssize_t pixel = x.shape[AXES + 1] * x.itemsize
        self.begin(job, sizeof(depthwise_t), x, y, axes, constants, threads,
                   x.shape[AXES + 1] * axes[0].taps * axes[1].taps * axes[2].taps)
        job.weights = panels.data
        cdef Py_ssize_t kernel_rows = source.axis[0].taps * middle.taps
        # rows of x stay near until all rows of places that share them are done
        cdef Py_ssize_t read = max(1, source.length[2] // max(1, last.length))
        cdef Py_ssize_t near = SEGMENT_BYTES // (source.axis[0].taps * (middle.taps + 1) * read * max(1, pixel))
        cdef Py_ssize_t most = max(1, near // TILE_FULL) * TILE_FULL
        cdef Py_ssize_t pairs
        cdef _Scratch rows = _Scratch(middle.length * sizeof(pair_t), 1)
        self.keep += (panels, rows, cut_row(last, most, job.task.y_stride[2], &job.row))
        job.length = (last.length - 1) * (<Axis> axes[2]).rise + reach_of(last)
        cdef bint crowded = abs(source.stride[2]) * x.itemsize % CROWDED == 0 and job.length >= SEVERAL \
            and middle.taps > 1     # or no row is read again
        job.pitch = source.channels + (VECTOR_BYTES // x.itemsize if crowded else 0)
        job.line, job.slots, job.edges = job.length * job.pitch, 0, False
        longest_run(codes_from(last, 0), job.length, &job.run0, &job.run1)
        cdef bint pairs_up = middle.taps == 3 and last.taps == 3
        if not (crowded and worth_framing(job, axes, pixel, crowded)):
            self.keep += (cut_passing(job, panels.finite, (<Axis> axes[2]).rise),)
        if not job.edges and worth_framing(job, axes, pixel, crowded):
            # all that a row of places reads, or a pair, each in a slot of its own
            job.rise = (<Axis> axes[1]).rise
            job.slots = reach_of(middle) + (PAIR_NEAR * job.rise if pairs_up else 0)
            self.keep += (cut_framed(last, (<Axis> axes[2]).rise, job.task.y_stride[2], &job.row),)
        job.pairs = <pair_t *> rows.first
        job.pair_count = pair_up(middle, pairs_up, job.pairs)
        job.whole = all_taps_of(last)
        cdef Py_ssize_t columns = source.batch * source.axis[0].length * job.row.count
        pairs = FRAMED_PRODUCTS if job.slots else SEGMENT_PRODUCTS
        pairs = max(1, pairs // max(1, min(most, last.length) * source.channels * source.taps) // 2)
        if self.ready.threads > 1:
            pairs = max(1, min(pairs, columns * job.pair_count // (4 * self.ready.threads)))
        job.pairs_per_block = pairs
        job.blocks = (job.pair_count + pairs - 1) // pairs
        job.runs_at = rounded(2 * kernel_rows * sizeof(kernel_row_t))
        job.pointers_at = job.runs_at + rounded(2 * source.taps * sizeof(taps_run_t))
        job.lines_at = job.pointers_at + rounded(source.taps * TILE_FULL * sizeof(void *))
        job.laid_at = job.lines_at + rounded(job.slots * job.line * x.itemsize)
        job.mix_at = job.laid_at + rounded(job.slots * sizeof(Py_ssize_t))
        job.task.scratch_size = job.mix_at
        if source.mixed:
            job.task.scratch_size += source.taps * TILE_FULL * pixel
        self.finishes = self.whole = True
        self.end(depthwise_block_f32 if x.itemsize == 4 else depthwise_block_f64, columns * job.blocks)

    def finish(self, kernel, tuple params):
        cdef Py_ssize_t line = self.task.source.axis[2].length * self.task.source.channels
        if not Convolution.finish(self, kernel, params):
            return False
        # a plugin never reads what it writes: instead of copying that, lines are filled elsewhere at first
        if self.plugin is not None and self.job.row.count == 1 and self.task.y_stride[2] == self.task.source.channels:
            self.job.aside, self.job.aside_at = line, rounded(self.task.scratch_size)
            self.task.scratch_size = self.job.aside_at + 2 * line * self.itemsize
            self.ready.scratch = rounded(self.task.scratch_size) * self.ready.threads
        return True

    def pack(self, cnp.ndarray filters):
        cdef ChannelPanels panels = ChannelPanels(filters.reshape((filters.shape[0], -1, 1)))
        return panels if panels.finite or not self.job.edges else None

    cdef int use(self, void *job, packed) except -1:
        (<depthwise_t *> job).weights = (<ChannelPanels?> packed).data
        return 0
