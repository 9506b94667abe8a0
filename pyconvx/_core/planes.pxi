# Convolution with lanes of neighbouring places, for results of few channels (pictures): stride 1 on the last axis.
#
# A block is some rows of places of one sample. The rows of x that it reads are laid out channel by channel, padding
# included, or read in place where nothing is missing, and summed by planes.h, a band of four rows of the result at a
# time where the kernel is tall enough for them to share their input. Never more than PLANES_BYTES are laid out at once:
# of a large kernel some rows, or some taps of a row, are summed after the others.

cdef enum:
    BAND = 4
    PLANES_ROWS = 16                # most rows of places of a block
    PLANES_PRODUCTS = 1 << 25       # of a block, unless one band has more
    SEGMENT = 1024                  # most places of a row that are laid out at once
    PLANES_BYTES = 1 << 20          # of rows that are laid out at once, unless one row needs more
    PLANES_NEAR = 1 << 18           # of them where bands of a block share them

cdef struct line_t:
    Py_ssize_t depth, position      # a row of x: tap of the first axis, position on the second
    const void *row                 # its places, channel by channel
    Py_ssize_t apart                # elements from a channel to the next

cdef struct planes_t:
    task_t task
    const void *weights             # (F, taps, C // groups), contiguous
    Py_ssize_t groups, outputs, channels
    Py_ssize_t band                 # rows of the result that are summed together: 1 or BAND
    Py_ssize_t height, blocks       # rows of the result at once
    Py_ssize_t segment, segments    # places of a row at once
    Py_ssize_t rise                 # positions from a row of places to the next, on the second axis
    Py_ssize_t span                 # positions that a block reads there
    Py_ssize_t row_size             # bytes of a row that is laid out
    Py_ssize_t lines, taps          # rows, and taps of them, at once
    bint folds                      # a chain of products would get too long
    Py_ssize_t lines_at, entries_at, weights_at, from_at, until_at, folds_at, to_at, mix_at


cdef inline bint readers(const planes_t *job, Py_ssize_t height, Py_ssize_t position, int *low,
                         int *high) noexcept nogil:
    """The rows, low <= r < high, of `height` that read a position of the second axis; returns whether any does."""
    cdef const axis_t *axis = &job.task.source.axis[1]
    cdef Py_ssize_t step = axis.step if axis.step > 0 else -axis.step
    cdef Py_ssize_t rise = max(job.rise, 1), beyond = position - (axis.taps - 1) * step
    low[0] = high[0] = 0
    if position < 0 or (step > 1 and position % step != 0):     # rows are a multiple of the step apart, or only one
        return False
    if beyond > 0:
        low[0] = <int> min((beyond + rise - 1) // rise, height)
    high[0] = <int> min(position // rise + 1, height)
    return high[0] > low[0]


cdef void planes_sum(const planes_t *job, char *scratch, Py_ssize_t lines, Py_ssize_t tap0, Py_ssize_t taps, bint fresh,
                     Py_ssize_t oh, Py_ssize_t height, Py_ssize_t o0, Py_ssize_t places, real *y) noexcept nogil:
    """Add the products of the lines that are laid out with taps tap0 .. tap0 + taps - 1 to the places from (oh, o0) on
    of y, height x places, or set them to their sum if `fresh`.
    """
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef const line_t *line = <const line_t *> (scratch + job.lines_at)
    cdef const real **rows = <const real **> (scratch + job.entries_at)
    cdef real *weights
    cdef int *first = <int *> (scratch + job.from_at)
    cdef int *until = <int *> (scratch + job.until_at)
    cdef int *folds = <int *> (scratch + job.folds_at)
    cdef Py_ssize_t step1 = middle.step if middle.step > 0 else -middle.step
    cdef Py_ssize_t step2 = last.step if last.step > 0 else -last.step
    cdef Py_ssize_t tap_step = -job.channels if last.step < 0 else job.channels
    cdef Py_ssize_t y_step = job.task.y_stride[2]
    cdef Py_ssize_t chain[BAND]
    cdef Py_ssize_t fold = FOLD_F32 if real is float else FOLD_F64
    cdef bint direct = fresh and y_step == 1 and places >= VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef real *to[BAND]
    cdef real *row
    cdef const real *weight
    cdef real start
    cdef Py_ssize_t f, group, channel, entry, i, r, k, t, o, band0, band
    cdef int low, high
    for band0 from 0 <= band0 < height by job.band:
        band = min(job.band, height - band0)
        for f in range(job.groups * job.outputs):
            group = f // job.outputs
            entry = 0
            weights = <real *> (scratch + job.weights_at)
            memset(chain, 0, sizeof(chain))
            for i in range(lines):
                if not readers(job, band, line[i].position - band0 * job.rise, &low, &high):
                    continue
                for channel in range(job.channels):
                    rows[entry] = <const real *> line[i].row + (group * job.channels + channel) * line[i].apart
                    first[entry], until[entry], folds[entry] = low, high, 0
                    for r in range(low, high):
                        k = (line[i].position - (band0 + r) * job.rise) // step1
                        if middle.step < 0:
                            k = middle.taps - 1 - k
                        weight = <const real *> job.weights + channel + tap0 * tap_step
                        weight += job.channels * (f * s.taps + (line[i].depth * middle.taps + k) * last.taps)
                        if last.step < 0:
                            weight += (last.taps - 1) * job.channels
                        for t in range(taps):
                            weights[t * (high - low) + r - low] = weight[t * tap_step]
                        chain[r] += taps
                        if chain[r] + taps > fold:
                            folds[entry] |= 1 << r
                            chain[r] = 0
                    weights += taps * (high - low)
                    entry += 1
            weights = <real *> (scratch + job.weights_at)
            start = 0 if job.task.bias == NULL or not fresh else (<const real *> job.task.bias)[f]
            for r in range(job.band):
                to[r] = <real *> (scratch + job.to_at + r * job.row_size)
                if direct and r < band:
                    to[r] = y + f * job.task.y_channel + middle.place[oh + band0 + r] * job.task.y_stride[1] + o0
            if real is float:
                planes_f32(<int> job.band, rows, weights, first, until, folds if job.folds else NULL, entry, taps,
                           step2, places, start, to)
            else:
                planes_f64(<int> job.band, rows, weights, first, until, folds if job.folds else NULL, entry, taps,
                           step2, places, start, to)
            for r in range(0 if direct else band):
                row = y + f * job.task.y_channel + middle.place[oh + band0 + r] * job.task.y_stride[1] + o0 * y_step
                if fresh:
                    for o in range(places):
                        row[o * y_step] = to[r][o]
                else:
                    for o in range(places):
                        row[o * y_step] += to[r][o]


cdef void planes_block(real *kind, const planes_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef line_t *line = <line_t *> (scratch + job.lines_at)
    cdef real *mix = <real *> (scratch + job.mix_at)
    cdef real *row
    cdef Py_ssize_t o0 = block % job.segments * job.segment
    cdef Py_ssize_t places = min(job.segment, last.length - o0)
    cdef Py_ssize_t oh = block // job.segments % job.blocks * job.height
    cdef Py_ssize_t od = block // job.segments // job.blocks % s.axis[0].length
    cdef Py_ssize_t n = block // job.segments // job.blocks // s.axis[0].length
    cdef Py_ssize_t height = min(job.height, middle.length - oh)
    cdef Py_ssize_t step2 = last.step if last.step > 0 else -last.step
    cdef const Py_ssize_t *code1 = middle.code + middle.row[oh] + min(middle.step * (middle.taps - 1), 0)
    cdef const Py_ssize_t *code2 = last.code + last.row[o0] + min(last.step * (last.taps - 1), 0)
    cdef const real *image = <const real *> job.task.x + n * s.stride_n
    cdef real *y = <real *> job.task.y + n * job.task.y_n + s.axis[0].place[od] * job.task.y_stride[0]
    cdef Py_ssize_t apart = job.row_size // sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t depth, position, a, b, tap, taps, length, run0, run1, lines, channel
    cdef int low, high
    cdef bint in_place, fresh = True
    for tap from 0 <= tap < last.taps by job.taps:
        taps = min(job.taps, last.taps - tap)
        length = places + (taps - 1) * step2
        longest_run(code2, length, &run0, &run1)
        in_place = run0 == 0 and run1 == length and s.stride[2] == 1 and places >= lanes
        lines = 0
        for depth in range(s.axis[0].taps):
            a = s.axis[0].code[s.axis[0].row[od] + depth * s.axis[0].step]
            for position in range(job.span):
                if not readers(job, height, position, &low, &high):
                    continue
                line[lines].depth, line[lines].position, line[lines].apart = depth, position, apart
                b = code1[position]
                if (a | b) >= 0 and in_place:
                    line[lines].row = image + a * s.stride[0] + b * s.stride[1] + code2[0]
                    line[lines].apart = s.stride_c
                else:
                    row = <real *> (scratch + lines * s.channels * job.row_size)
                    line[lines].row = row
                    lay_line(&job.task, image, a, b, code2, length, run0, run1, 0, s.channels, row, 1, apart, mix)
                    if places < lanes:                  # whole vectors read on
                        for channel in range(s.channels):
                            memset(row + channel * apart + length, 0, (lanes - places) * sizeof(real))
                lines += 1
                if lines == job.lines:
                    planes_sum(job, scratch, lines, tap, taps, fresh, oh, height, o0, places, y)
                    lines, fresh = 0, False
        if lines:
            planes_sum(job, scratch, lines, tap, taps, fresh, oh, height, o0, places, y)
            fresh = False
        code2 += taps * step2
    for position in range(height if job.task.finishing else 0):
        finish(&job.task, y + middle.place[oh + position] * job.task.y_stride[1] + o0 * job.task.y_stride[2], places,
               job.task.y_stride[2], job.groups * job.outputs)


cdef void planes_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    planes_block(<float *> NULL, <const planes_t *> job, block, worker)


cdef void planes_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    planes_block(<double *> NULL, <const planes_t *> job, block, worker)


cdef class Planes(Convolution):
    """Planes(x, weights, groups, y, axes, constants, rise, threads): lanes of neighbouring places.

    weights: (F, taps, C // groups), contiguous, that give the F channels of y. The rows of the last axis must follow
    one another in its table. rise: how far apart those of the second axis lie in theirs, or 0 if they do not lie
    evenly; then each row of places is computed by itself.
    """
    cdef planes_t job

    def __init__(self, cnp.ndarray x, cnp.ndarray weights, Py_ssize_t groups, cnp.ndarray y, tuple axes,
                 cnp.ndarray constants, Py_ssize_t rise, int threads):
        cdef planes_t *job = &self.job
        self.begin(job, sizeof(planes_t), x, y, axes, constants, threads, weights.size)
        self.keep += (weights,)
        job.weights = cnp.PyArray_DATA(weights)
        job.groups, job.outputs, job.channels = groups, weights.shape[0] // groups, weights.shape[2]
        cdef axis_t *middle = &job.task.source.axis[1]
        cdef axis_t *last = &job.task.source.axis[2]
        # four rows share the laying out, and the loads, of what more than one of them reads; rows that read a position
        # must be neighbours, so no dilation may come between them
        cdef Py_ssize_t step1 = abs(middle.step)
        job.band = 1
        if rise > 0 and rise % step1 == 0 and middle.length >= BAND and middle.taps * step1 >= 2 * rise:
            job.band = BAND
        job.rise = rise
        cdef Py_ssize_t reach = (middle.taps - 1) * step1 + 1, depth = job.task.source.axis[0].taps
        # a row of every channel, and as many rows as fit
        cdef Py_ssize_t apart = abs(last.step)
        cdef Py_ssize_t longest = longest_sum(x.itemsize)
        cdef Py_ssize_t room = PLANES_BYTES // (job.task.source.channels * x.itemsize)
        job.segment = min(SEGMENT, last.length, max(room // 2, VECTOR_BYTES))
        job.segments = (last.length + job.segment - 1) // job.segment
        job.taps = min(last.taps, max(1, min((room - job.segment) // apart, longest // job.channels)))
        job.row_size = rounded((job.segment + (job.taps - 1) * apart) * x.itemsize + VECTOR_BYTES)
        cdef Py_ssize_t lines = depth * min((job.band - 1) * rise + reach, job.band * middle.taps)
        cdef Py_ssize_t bytes = job.task.source.channels * job.row_size
        job.lines = max(1, min(lines, PLANES_BYTES // bytes, longest // (job.channels * job.taps)))
        # the bands of a block share what they read, if nothing has to be summed after something else
        job.height = job.band
        cdef Py_ssize_t blocks = job.task.source.batch * job.task.source.axis[0].length * job.segments
        cdef double products = 1.0 * job.band * job.segment * weights.size
        while job.band == BAND and job.lines == lines and job.taps == last.taps and job.height < PLANES_ROWS \
                and depth * ((job.height + BAND - 1) * rise + reach) * bytes <= PLANES_NEAR \
                and (job.height + BAND) // BAND * products <= PLANES_PRODUCTS \
                and (self.ready.threads == 1 or blocks * middle.length >= 4 * self.ready.threads * (job.height + BAND)):
            job.height += BAND
        job.span = (job.height - 1) * rise + reach
        if job.height > job.band:
            job.lines = lines = depth * job.span
        job.blocks = (middle.length + job.height - 1) // job.height
        job.folds = min(job.lines, depth * middle.taps) * job.channels * job.taps > (
            FOLD_F32 if x.itemsize == 4 else FOLD_F64)
        cdef Py_ssize_t entries = job.lines * job.channels
        job.lines_at = job.lines * job.task.source.channels * job.row_size
        job.entries_at = job.lines_at + rounded((job.lines + 1) * sizeof(line_t))
        job.weights_at = job.entries_at + rounded(entries * sizeof(void *))
        job.from_at = job.weights_at + rounded(entries * job.band * job.taps * x.itemsize)
        job.until_at = job.from_at + rounded(entries * sizeof(int))
        job.folds_at = job.until_at + rounded(entries * sizeof(int))
        job.to_at = job.folds_at + rounded(entries * sizeof(int))
        job.mix_at = job.to_at + job.band * job.row_size
        job.task.scratch_size = job.mix_at + rounded(job.task.source.channels * x.itemsize)
        self.finishes = self.whole = True
        self.end(planes_block_f32 if x.itemsize == 4 else planes_block_f64,
                 blocks * job.blocks)

    def pack(self, cnp.ndarray filters):
        return filters

    cdef int use(self, void *job, packed) except -1:
        (<planes_t *> job).weights = cnp.PyArray_DATA(<cnp.ndarray?> packed)
        return 0
