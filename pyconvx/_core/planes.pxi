# Convolution with lanes of neighbouring places, for results of few channels (pictures): stride 1 on the last axis, or 2
# for strips.
#
# A block is some rows of places of one sample. The rows of x that it reads are laid out channel by channel, padding
# included, or read in place where nothing is missing, and summed by planes.h: a strip of vectors at a time from the
# first row to the last, where a group has one channel and few rows of taps, or a band of four rows of the result, where
# the kernel is tall enough for them to share their input. Strips read rows in place if nothing but zeros is missing,
# which masked loads leave out. Else they lay out a group when it comes, and of long rows what the first and the last
# places read by itself. Never more than PLANES_BYTES are laid out before the first sum: of a large kernel some rows, or
# some taps of a row, are summed after the others.

cdef enum:
    BAND = 4
    PLANES_ROWS = 16                # most rows of places of a block
    PLANES_PRODUCTS = 1 << 25       # of a block, unless one band has more
    SEGMENT = 1024                  # most places of a row that are laid out at once
    PLANES_BYTES = 1 << 20          # of rows that are laid out at once, unless one row needs more
    PLANES_NEAR = 1 << 18           # of them where bands of a block share them
    STRIP_NEAR = 24 << 10           # and where strips do
    STRIP_GROUPS = 8                # most groups of strips of a block that lay rows out one by one
    STRIP_ROWS = 64                 # most rows of places of strips
    LEAST_ROWS_OF_STRIPS = 8        # and least, unless there are fewer
    STRIP_BYTES = 1 << 10           # of the places of a row at once, if rows are laid out
    LONG_LINE = 8                   # vectors of places from which on rows are read in place but for their ends
    MOST_ENDS = 2                   # vectors of places at an end of a row that are laid out without the rest

cdef struct line_t:
    Py_ssize_t depth, position      # a row of x: tap of the first axis, position on the second
    const void *row                 # its places, channel by channel
    Py_ssize_t apart                # elements from a channel to the next
    bint laid                       # else it is read in place, or strips lay it out
    bint zero                       # all of it is zero

cdef struct row_piece_t:            # of rows of x that strips lay out
    const Py_ssize_t *code
    Py_ssize_t at, length           # the first position, and how many; 0: rows are read in place, `at` elements further
    Py_ssize_t run0, run1           # between which they are neighbours in x; what is read in place is zero elsewhere

cdef struct planes_t:
    task_t task
    const void *weights             # (F, taps, C // groups), contiguous
    Py_ssize_t groups, outputs, channels
    Py_ssize_t chunk, chunks        # groups of a block
    bint down                       # in strips from the first row to the last
    Py_ssize_t band                 # rows of the result that are summed together: 1 or BAND
    Py_ssize_t height, blocks       # rows of the result at once
    Py_ssize_t segment, segments    # places of a row at once
    Py_ssize_t rise                 # positions from a row of places to the next, on the second axis
    Py_ssize_t along                # and from a place of a row to the next; other than 1 for strips only
    Py_ssize_t span                 # positions that a block reads there
    Py_ssize_t row_size             # bytes of a row that is laid out
    Py_ssize_t lines, taps          # rows, and taps of them, at once
    bint folds                      # a chain of products would get too long
    Py_ssize_t end_size             # most elements of an end of a row that is laid out by itself; 0: none is
    Py_ssize_t lines_at, entries_at, weights_at, from_at, until_at, folds_at, first_at, steps_at, taps_at, to_at, mix_at
    Py_ssize_t near_at, targets_at


cdef struct part_t:                 # the groups of a block
    Py_ssize_t groups
    Py_ssize_t channel, channels    # the first one, and how many
    const void *weights             # of the first of them, and so on
    const void *bias
    void *y


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
                     Py_ssize_t oh, Py_ssize_t height, Py_ssize_t o0, Py_ssize_t places, const part_t *part,
                     const real *kind) noexcept nogil:
    """Add the products of the lines that are laid out with taps tap0 .. tap0 + taps - 1 to the places from (oh, o0) on
    of the result, height x places, or set them to their sum if `fresh`.
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
    cdef Py_ssize_t first_tap = tap0 if last.step > 0 else last.taps - 1 - tap0
    cdef Py_ssize_t y_step = job.task.y_stride[2]
    cdef Py_ssize_t chain[BAND]
    cdef Py_ssize_t fold = FOLD_F32 if real is float else FOLD_F64
    cdef bint direct = fresh and y_step == 1 and places >= VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef real *y = <real *> part.y
    cdef real *to[BAND]
    cdef real *row
    cdef const real **first_row = <const real **> (scratch + job.first_at)      # that of the first group
    cdef Py_ssize_t *group_step = <Py_ssize_t *> (scratch + job.steps_at)
    cdef Py_ssize_t *weight_at = <Py_ssize_t *> (scratch + job.taps_at)         # of each row of each entry
    cdef const real *weight
    cdef real start
    cdef Py_ssize_t f, channel, entries, entry, pair, i, r, k, t, o, band0, band
    cdef int low, high
    for band0 from 0 <= band0 < height by job.band:
        band = min(job.band, height - band0)
        entries = pair = 0
        memset(chain, 0, sizeof(chain))
        for i in range(lines):
            if not readers(job, band, line[i].position - band0 * job.rise, &low, &high):
                continue
            for channel in range(job.channels):
                first_row[entries] = <const real *> line[i].row + channel * line[i].apart
                group_step[entries] = job.channels * line[i].apart
                first[entries], until[entries], folds[entries] = low, high, 0
                for r in range(low, high):
                    k = (line[i].position - (band0 + r) * job.rise) // step1
                    if middle.step < 0:
                        k = middle.taps - 1 - k
                    weight_at[pair] = ((line[i].depth * middle.taps + k) * last.taps + first_tap) * job.channels \
                        + channel
                    pair += 1
                    chain[r] += taps
                    if chain[r] + taps > fold:
                        folds[entries] |= 1 << r
                        chain[r] = 0
                entries += 1
        for f in range(part.groups * job.outputs):
            weights = <real *> (scratch + job.weights_at)
            pair = 0
            for entry in range(entries):
                rows[entry] = first_row[entry] + f // job.outputs * group_step[entry]
                low, high = first[entry], until[entry]
                for r in range(high - low):
                    weight = <const real *> part.weights + f * s.taps * job.channels + weight_at[pair]
                    pair += 1
                    for t in range(taps):
                        weights[t * (high - low) + r] = weight[t * tap_step]
                weights += taps * (high - low)
            weights = <real *> (scratch + job.weights_at)
            start = 0 if part.bias == NULL or not fresh else (<const real *> part.bias)[f]
            for r in range(job.band):
                to[r] = <real *> (scratch + job.to_at + r * job.row_size)
                if direct and r < band:
                    to[r] = y + f * job.task.y_channel + middle.place[oh + band0 + r] * job.task.y_stride[1] + o0
            if real is float:
                planes_f32(<int> job.band, rows, weights, first, until, folds if job.folds else NULL, entries,
                           taps, step2, places, start, to)
            else:
                planes_f64(<int> job.band, rows, weights, first, until, folds if job.folds else NULL, entries,
                           taps, step2, places, start, to)
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
    cdef Py_ssize_t rest = block // job.segments // job.blocks
    cdef Py_ssize_t group0 = rest % job.chunks * job.chunk
    cdef Py_ssize_t od = rest // job.chunks % s.axis[0].length
    cdef Py_ssize_t n = rest // job.chunks // s.axis[0].length
    cdef Py_ssize_t height = min(job.height, middle.length - oh)
    cdef Py_ssize_t step2 = last.step if last.step > 0 else -last.step
    cdef const Py_ssize_t *code1 = middle.code + middle.row[oh] + min(middle.step * (middle.taps - 1), 0)
    cdef const Py_ssize_t *code2 = last.code + last.row[o0] + min(last.step * (last.taps - 1), 0)
    cdef const real *image = <const real *> job.task.x + n * s.stride_n
    cdef real *y = <real *> job.task.y + n * job.task.y_n + s.axis[0].place[od] * job.task.y_stride[0] \
        + group0 * job.outputs * job.task.y_channel
    cdef part_t part
    cdef Py_ssize_t apart = job.row_size // sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real), wide = lanes * job.along
    cdef Py_ssize_t depth, position, a, b, tap, taps, length, run0, run1, lines, channel
    cdef int low, high
    cdef bint in_place, fresh = True
    cdef Py_ssize_t left, right     # places for which rows are laid out by themselves, at the ends of rows in place
    cdef Py_ssize_t shift           # of places from elements of a row in place
    cdef row_piece_t[3] pieces
    part.groups, part.y = min(job.chunk, job.groups - group0), y
    part.channel, part.channels = group0 * job.channels, part.groups * job.channels
    part.weights = <const real *> job.weights + group0 * job.outputs * s.taps * job.channels
    part.bias = NULL if job.task.bias == NULL else <const real *> job.task.bias + group0 * job.outputs
    for tap from 0 <= tap < last.taps by job.taps:
        taps = min(job.taps, last.taps - tap)
        length = (places - 1) * job.along + (taps - 1) * step2 + 1
        longest_run(code2, length, &run0, &run1)
        in_place = run0 == 0 and run1 == length and s.stride[2] == 1 and places >= lanes
        left = right = 0
        shift = code2[run0] - run0 if run0 < run1 else 0
        if job.down:
            pieces[1].at, pieces[1].length = shift, 0
            pieces[1].run0, pieces[1].run1 = 0, PY_SSIZE_T_MAX
            if MASKED_LOADS and not in_place and s.stride[2] == 1 and places >= lanes \
                    and zero_places(&job.task, code2, run0) \
                    and zero_places(&job.task, code2 + run1, length - run1):
                in_place, pieces[1].run0, pieces[1].run1 = True, run0, run1
            elif not in_place and s.stride[2] == 1 and places >= lanes and plain_places(&job.task, code2, run0) \
                    and plain_places(&job.task, code2 + run1, length - run1):
                in_place = True
                left = (run0 + wide - 1) // wide * lanes
                right = (length - run1 + wide - 1) // wide * lanes
                if job.end_size == 0 or max(left, right) > MOST_ENDS * lanes or left + right + lanes > places:
                    left = right = 0
                    pieces[1] = row_piece(code2, 0, length, run0, run1)
                else:
                    pieces[0] = row_piece(code2, 0, (left - 1) * job.along + reach_of(last), run0, run1)
                    pieces[2] = row_piece(code2, (places - right) * job.along, length, run0, run1)
            shift = 0
        lines = 0
        for depth in range(s.axis[0].taps):
            a = s.axis[0].code[s.axis[0].row[od] + depth * s.axis[0].step]
            for position in range((height - 1) * job.rise + reach_of(middle) if job.down else job.span):
                if not job.down and not readers(job, height, position, &low, &high):
                    continue
                line[lines].depth, line[lines].position = depth, position
                b = code1[position]
                line[lines].zero = is_zero(&job.task, a) or is_zero(&job.task, b)
                if (a | b) >= 0 and in_place:
                    line[lines].row = image + a * s.stride[0] + b * s.stride[1] + part.channel * s.stride_c + shift
                    line[lines].apart, line[lines].laid = s.stride_c, False
                else:
                    row = <real *> (scratch + lines * job.chunk * job.channels * job.row_size)
                    line[lines].row, line[lines].apart, line[lines].laid = row, apart, True
                    lay_line(&job.task, image, a, b, code2, length, run0, run1, part.channel, part.channels, row, 1,
                             apart, mix)
                    if places < lanes:                  # whole vectors read on
                        for channel in range(part.channels):
                            memset(row + channel * apart + length, 0, (lanes - places) * job.along * sizeof(real))
                lines += 1
                if lines == job.lines and not job.down:
                    planes_sum(job, scratch, lines, tap, taps, fresh, oh, height, o0, places, &part, kind)
                    lines, fresh = 0, False
        if job.down:
            planes_strips(job, scratch, oh, height, o0, places, left, right, pieces, &part, kind)
        elif lines:
            planes_sum(job, scratch, lines, tap, taps, fresh, oh, height, o0, places, &part, kind)
            fresh = False
        code2 += taps * step2
    for position in range(height if job.task.finishing else 0):
        finish(&job.task, y + middle.place[oh + position] * job.task.y_stride[1] + o0 * job.task.y_stride[2], places,
               job.task.y_stride[2], part.groups * job.outputs)


cdef void planes_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    planes_block(<float *> NULL, <const planes_t *> job, block, worker)


cdef void planes_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    planes_block(<double *> NULL, <const planes_t *> job, block, worker)


cdef class Planes(Convolution):
    """Planes(x, weights, groups, y, axes, constants, rise, threads): lanes of neighbouring places.

    weights: (F, taps, C // groups), contiguous, that give the F channels of y. The rows of the last axis must follow
    one another in its table, or where strips go down lie two apart. rise: how far apart those of the second axis lie in
    theirs, or 0 if they do not lie evenly; then each row of places is computed by itself.
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
        job.rise, job.along = rise, (<Axis?> axes[2]).rise
        cdef Py_ssize_t reach = (middle.taps - 1) * step1 + 1, depth = job.task.source.axis[0].taps
        # a row of every channel of some groups, and as many rows as fit
        cdef Py_ssize_t apart = abs(last.step)
        cdef Py_ssize_t longest = longest_sum(x.itemsize)
        cdef Py_ssize_t most = SEGMENT
        cdef Py_ssize_t height = min(STRIP_ROWS, middle.length), blocks_down
        cdef Py_ssize_t highest = HIGHEST_STRIP if job.along == 1 else HIGHEST_STRIDED
        job.down = 1 <= rise <= job.along and step1 == 1 and job.channels == 1 and depth == 1 \
            and last.taps <= WIDEST_STRIP and LOWEST_STRIP <= middle.taps <= highest
        if job.along > 1 and not job.down:
            raise ValueError("places of a row must read neighbours")
        job.end_size = 0
        if job.down and job.task.source.stride[2] == 1 and last.length * x.itemsize >= LONG_LINE * VECTOR_BYTES:
            job.end_size = MOST_ENDS * VECTOR_BYTES // x.itemsize * job.along + (last.taps - 1) * apart
        elif job.down:
            most = max(STRIP_BYTES // x.itemsize, last.taps * apart)
        cdef Py_ssize_t row = ((min(most, last.length) * job.along + (last.taps - 1) * apart) * x.itemsize
                               + VECTOR_BYTES * job.along)
        cdef Py_ssize_t held = job.end_size * x.itemsize if job.end_size else row       # bytes of a row that are near
        job.chunk = groups
        cdef Py_ssize_t share = 1 if self.ready.threads == 1 else 4 * self.ready.threads
        cdef Py_ssize_t near            # groups whose rows are laid out before the first is summed
        cdef Py_ssize_t fitting = PLANES_BYTES // ((LEAST_ROWS_OF_STRIPS * max(rise, 1) + reach) * row)
        if job.down and job.task.source.stride[2] == 1:     # rows are laid out group by group
            job.chunk = min(groups // share, fitting, PLANES_BYTES // ((height * rise + reach) * row), STRIP_GROUPS)
        elif job.down and job.task.source.stride_c != 1:    # or each row would be read for every group anew
            job.chunk = min(groups, STRIP_NEAR // ((height * rise + reach) * held))
        elif job.along > 1:
            job.chunk = min(groups, fitting)
        job.chunk = max(1, job.chunk)
        if job.along == 1 and job.chunk > fitting:
            job.down, job.chunk, most, job.end_size = False, groups, SEGMENT, 0
        job.chunks = (groups + job.chunk - 1) // job.chunk
        cdef Py_ssize_t room = PLANES_BYTES // (job.chunk * job.channels * x.itemsize)
        job.segment = max(1, min(most, last.length, max(room // 2, VECTOR_BYTES)))
        job.segments = max(1, (last.length + job.segment - 1) // job.segment)
        if job.down:
            job.segment = (last.length + job.segments - 1) // job.segments
        job.taps = min(last.taps, max(1, min((room - job.segment) // apart, longest // job.channels)))
        job.row_size = rounded((job.segment * job.along + (job.taps - 1) * apart) * x.itemsize
                               + VECTOR_BYTES * job.along)
        cdef Py_ssize_t lines = depth * min((job.band - 1) * rise + reach, job.band * middle.taps)
        cdef Py_ssize_t bytes = job.chunk * job.channels * job.row_size
        job.lines = max(1, min(lines, PLANES_BYTES // bytes, longest // (job.channels * job.taps)))
        # the bands of a block share what they read, if nothing has to be summed after something else
        job.height = job.band
        cdef Py_ssize_t blocks = job.task.source.batch * job.task.source.axis[0].length * job.segments * job.chunks
        cdef double products = 1.0 * job.band * job.segment * weights.size
        if job.down:
            near = 1 if job.task.source.stride[2] == 1 else job.chunk
            products = 1.0 * job.segment * weights.size / job.chunks
            while height > LEAST_ROWS_OF_STRIPS and (
                    (height * rise + reach) * near * min(held, job.row_size) > STRIP_NEAR
                    or height * products > PLANES_PRODUCTS
                    or (self.ready.threads > 1
                        and blocks * ((middle.length + height - 1) // height) < 4 * self.ready.threads)):
                height = (height + 1) // 2
            blocks_down = (middle.length + height - 1) // height
            job.height = (middle.length + blocks_down - 1) // blocks_down       # all about equal
        while not job.down and job.band == BAND and job.lines == lines and job.taps == last.taps \
                and job.height < PLANES_ROWS \
                and depth * ((job.height + BAND - 1) * rise + reach) * bytes <= PLANES_NEAR \
                and (job.height + BAND) // BAND * products <= PLANES_PRODUCTS \
                and (self.ready.threads == 1 or blocks * middle.length >= 4 * self.ready.threads * (job.height + BAND)):
            job.height += BAND
        job.span = (job.height - 1) * rise + reach
        if job.down or job.height > job.band:
            job.lines = lines = depth * job.span
        job.blocks = (middle.length + job.height - 1) // job.height
        job.folds = min(job.lines, depth * middle.taps) * job.channels * job.taps > (
            FOLD_F32 if x.itemsize == 4 else FOLD_F64)
        cdef Py_ssize_t entries = job.lines * job.channels
        job.lines_at = job.lines * bytes
        job.entries_at = job.lines_at + rounded((job.lines + 1) * sizeof(line_t))
        job.weights_at = job.entries_at + rounded(entries * sizeof(void *))
        job.from_at = job.weights_at + rounded(entries * job.band * job.taps * x.itemsize)
        job.until_at = job.from_at + rounded(entries * sizeof(int))
        job.folds_at = job.until_at + rounded(entries * sizeof(int))
        job.first_at = job.folds_at + rounded(entries * sizeof(int))
        job.steps_at = job.first_at + rounded(entries * sizeof(void *))
        job.taps_at = job.steps_at + rounded(entries * sizeof(Py_ssize_t))
        job.to_at = job.taps_at + rounded(entries * job.band * sizeof(Py_ssize_t))
        job.near_at = job.to_at + (job.height if job.down else job.band) * job.row_size
        job.targets_at = job.near_at + (job.lines * job.row_size if job.down else 0)
        job.mix_at = job.targets_at + rounded(job.height * sizeof(void *))
        job.task.scratch_size = job.mix_at + rounded(job.task.source.channels * x.itemsize)
        self.finishes, self.whole = True, job.chunks == 1
        self.end(planes_block_f32 if x.itemsize == 4 else planes_block_f64,
                 blocks * job.blocks if job.task.source.places else 0)

    def pack(self, cnp.ndarray filters):
        return filters

    cdef int use(self, void *job, packed) except -1:
        (<planes_t *> job).weights = cnp.PyArray_DATA(<cnp.ndarray?> packed)
        return 0
