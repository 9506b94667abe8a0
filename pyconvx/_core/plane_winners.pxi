# Extrema with the taps that won, and the gradients of poolings, where channels lie apart: each channel is a plane. A
# block is some rows of a plane. What they read is laid out with what stands for nothing on either side, once for all of
# them, and phase by phase where neighbouring places are not neighbours there; so each tap is an offset in a row. An
# element receives its shares in the order in which `pool_gradient` adds them up.

cdef enum:
    MOST_PLANE_TAPS = 256           # of a window
    PLANE_BYTES = 1 << 14           # of the rows that a block lays out, unless a single one reads more

cdef struct even_axis_t:            # an axis whose windows lie evenly, over elements in order and nothing around them
    Py_ssize_t length               # elements
    Py_ssize_t before               # positions before the first of them
    Py_ssize_t places, rise         # windows, and positions from one to the next
    Py_ssize_t taps, step

cdef struct laid_phase_t:           # a phase of a row of x as it is laid out, for windows from the first on
    Py_ssize_t before               # places of it that stand for nothing
    Py_ssize_t element, count       # the first element behind them, and how many there are

cdef struct plane_rows_t:
    pool_t pool
    even_axis_t axis[AXES]
    Py_ssize_t channels
    Py_ssize_t y_channel
    Py_ssize_t height, bands        # rows of a block, and blocks of a plane
    Py_ssize_t rows0, rows1         # most rows that it lays out: on the first axis, and of each of these on the second
    Py_ssize_t line_size            # elements of such a row
    Py_ssize_t phase_size           # and of a phase of it, or of the result
    laid_phase_t phase[MOST_ROWS]   # those that taps read
    Py_ssize_t phases, reach        # how many there are, and how far they are read
    Py_ssize_t pad                  # what stands before the first element in a phase
    Py_ssize_t at[MOST_ROWS]        # of the taps of the last axis: where they read, from the first place on
    cnp.int32_t tap[MOST_ROWS]      # which they are, if ordered by phase
    Py_ssize_t begin[MOST_ROWS + 1]     # and where those of each phase begin
    const cnp.int32_t *first        # [places] first tap of the last axis that is an element
    Py_ssize_t same0, same1         # places of a row of one divisor
    Py_ssize_t numbers_at, phases_at, flags_at


cdef bint even_axes(const source_t *s, tuple axes, even_axis_t *even) except -1:
    """Fill in the axes of windows that lie evenly, of padding that is nothing; returns whether they are such."""
    cdef Py_ssize_t i, span, reached
    if len(axes) != AXES:
        return False
    for i in range(AXES):
        even[i].length, even[i].places, even[i].rise = s.length[i], s.axis[i].length, axes[i].rise
        even[i].taps, even[i].step = s.axis[i].taps, s.axis[i].step
        if even[i].rise < 1 or even[i].step < 1 or even[i].places < 1:
            return False
        span = (even[i].places - 1) * even[i].rise + (even[i].taps - 1) * even[i].step + 1
        if not reads_elements(&s.axis[i]) or not is_padded(&s.axis[i], span, s.length[i], &even[i].before, &reached):
            return False
    return True


cdef bint lies_in_planes(plane_rows_t *job, cnp.ndarray y, tuple axes) except -1:
    """Whether a job of pooling is for float or double arrays of planes whose rows of elements, and of places, lie
    together, and windows of moderate size; sets what `even_axes` does.
    """
    cdef const source_t *s = &job.pool.source
    cdef const even_axis_t *last = &job.axis[2]
    if job.pool.kind not in (b'f', b'd') or s.batch * s.channels * s.places == 0 or not even_axes(s, axes, job.axis):
        return False
    job.channels, job.y_channel = s.channels, y.strides[AXES + 1] // y.itemsize if s.channels > 1 else 1
    return s.taps <= MOST_PLANE_TAPS and last.taps <= MOST_ROWS and last.rise <= MOST_ROWS \
        and last.before + last.length <= LONGEST_LINE and (last.taps - 1) * last.step <= LONGEST_LINE \
        and (s.stride[2] == 1 or last.length == 1) and (job.pool.y_stride[2] == 1 or last.places == 1)


cdef inline Py_ssize_t upwards(Py_ssize_t number, Py_ssize_t by) noexcept nogil:
    """The quotient that is rounded up; 0 for negative numbers."""
    return (number + by - 1) // by if number > 0 else 0


cdef void lay_elements(const plane_rows_t *job, const real *row, real nothing, real *to) noexcept nogil:
    """Lay out a row of x, phase by phase, as far as windows read it."""
    cdef const laid_phase_t *phase
    cdef Py_ssize_t rise = job.axis[2].rise, p, i, readable
    for p in range(job.phases):
        phase = &job.phase[p]
        readable = job.axis[2].length - phase.element
        for i in range(phase.before):
            to[i] = nothing
        if rise == 1:
            memcpy(to + phase.before, row + phase.element, phase.count * sizeof(real))
        elif real is float:
            phase_f32(row + phase.element, readable, rise, 1, phase.count, to + phase.before)
        else:
            phase_f64(row + phase.element, readable, rise, 1, phase.count, to + phase.before)
        for i in range(phase.before + phase.count, job.reach):
            to[i] = nothing
        to += job.phase_size


cdef void locate_places(const plane_rows_t *job, const Py_ssize_t *line, const cnp.int32_t *winner,
                        Py_ssize_t *index) noexcept nogil:
    """The flat spatial index of each winner of a row of places; line: of each tap, that of the first place."""
    cdef Py_ssize_t o
    for o in range(job.axis[2].places):
        index[o] = line[winner[o]] + o * job.axis[2].rise


cdef void winners_of_planes(real *kind, const plane_rows_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.pool.source
    cdef const even_axis_t *first = &job.axis[0]
    cdef const even_axis_t *middle = &job.axis[1]
    cdef const even_axis_t *last = &job.axis[2]
    cdef char *scratch = job.pool.scratch + worker * job.pool.scratch_size
    cdef real *lines = <real *> scratch
    cdef cnp.int32_t *winner = <cnp.int32_t *> (scratch + job.numbers_at)
    cdef char *is_laid = scratch + job.flags_at
    cdef const real *taps[MOST_PLANE_TAPS]
    cdef cnp.int32_t numbers[MOST_PLANE_TAPS]
    cdef Py_ssize_t located[MOST_PLANE_TAPS]
    cdef Py_ssize_t band = block % job.bands, o0 = block // job.bands % first.places
    cdef Py_ssize_t plane = block // job.bands // first.places, offset, a, b, k0, k1, k2, o1, line, number, count
    cdef Py_ssize_t start = band * job.height, until = min(start + job.height, middle.places)
    cdef const real *x = <const real *> job.pool.x + plane // job.channels * s.stride_n \
        + plane % job.channels * s.stride_c
    cdef Py_ssize_t y_plane = plane // job.channels * job.pool.y_n + plane % job.channels * job.y_channel \
        + o0 * job.pool.y_stride[0]
    cdef real nothing = <real> (-INFINITY if job.pool.largest else INFINITY)
    memset(is_laid, 0, job.rows0 * job.rows1)
    for o1 in range(start, until):
        count = 0
        for k0 in range(first.taps):
            a = o0 * first.rise + k0 * first.step - first.before
            for k1 in range(middle.taps if 0 <= a < first.length else 0):
                b = o1 * middle.rise + k1 * middle.step - middle.before
                if not 0 <= b < middle.length:
                    continue
                line = k0 * job.rows1 + (o1 - start) * middle.rise + k1 * middle.step
                if not is_laid[line]:
                    lay_elements(job, x + a * s.stride[0] + b * s.stride[1], nothing, lines + line * job.line_size)
                    is_laid[line] = True
                number = (k0 * middle.taps + k1) * last.taps
                for k2 in range(last.taps):
                    taps[count] = lines + line * job.line_size + job.at[k2]
                    numbers[count] = <cnp.int32_t> (number + k2)
                    located[number + k2] = (a * middle.length + b) * last.length + k2 * last.step - last.before
                    count += 1
        offset = y_plane + o1 * job.pool.y_stride[1]
        if job.pool.winner != NULL:
            winner = job.pool.winner + offset
        if real is float:
            plane_winners_f32(job.pool.largest, taps, numbers, count, job.first, numbers[0], last.places,
                              <float *> job.pool.y + offset, winner)
        else:
            plane_winners_f64(job.pool.largest, taps, numbers, count, job.first, numbers[0], last.places,
                              <double *> job.pool.y + offset, winner)
        if job.pool.index != NULL:
            locate_places(job, located, winner, job.pool.index + offset)


cdef void winners_of_planes_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const plane_rows_t *> job).pool.kind == b'f':
        winners_of_planes(<float *> NULL, <const plane_rows_t *> job, block, worker)
    else:
        winners_of_planes(<double *> NULL, <const plane_rows_t *> job, block, worker)


cdef class PlaneWinners:
    """What `plane_winners` returns."""
    cdef plane_rows_t job
    cdef ready_t ready
    cdef object keep

    cdef bint plan(self, cnp.ndarray x, cnp.ndarray y, tuple axes, bint largest, int threads) except -1:
        cdef plane_rows_t *job = &self.job
        cdef even_axis_t *middle = &job.axis[1]
        cdef even_axis_t *last = &job.axis[2]
        cdef Py_ssize_t lanes = VECTOR_BYTES // x.itemsize, k, number
        cdef laid_phase_t phase
        cdef bint is_read
        cdef double work
        job.pool = pool_job(x, y, None, axes, x)
        job.pool.largest = largest
        if not lies_in_planes(job, y, axes):
            return False
        job.reach = last.places + (last.taps - 1) * last.step // last.rise
        job.phase_size = job.reach + 2 * lanes      # whole vectors are read, and laid, beyond that
        job.phases = 0
        for number in range(last.rise):
            is_read = False
            for k in range(last.taps):
                if k * last.step % last.rise == number:
                    job.at[k] = job.phases * job.phase_size + k * last.step // last.rise
                    is_read = True
            if is_read:
                phase.before = min(upwards(last.before - number, last.rise), job.reach)
                phase.element = phase.before * last.rise + number - last.before
                phase.count = min(upwards(last.length - phase.element, last.rise), job.reach - phase.before)
                job.phase[job.phases] = phase
                job.phases += 1
        job.line_size = job.phases * job.phase_size
        firsts = np.zeros(last.places + lanes, np.int32)
        firsts[:last.places] = np.maximum(-(-(last.before - np.arange(last.places) * last.rise) // last.step), 0)
        job.first = <const cnp.int32_t *> cnp.PyArray_DATA(firsts)
        self.keep = axes, firsts
        job.rows0 = job.axis[0].taps
        job.height = max(1, min(middle.places, (PLANE_BYTES // (job.rows0 * job.line_size * x.itemsize)
                                                - (middle.taps - 1) * middle.step - 1) // middle.rise + 1))
        job.bands = (middle.places + job.height - 1) // job.height
        job.rows1 = (job.height - 1) * middle.rise + (middle.taps - 1) * middle.step + 1
        job.numbers_at = rounded(job.rows0 * job.rows1 * job.line_size * x.itemsize)
        job.flags_at = job.numbers_at + rounded((last.places + lanes) * sizeof(cnp.int32_t))
        job.pool.scratch_size = job.flags_at + rounded(job.rows0 * job.rows1)
        work = 1.0 * job.pool.source.batch * job.channels * job.pool.source.places * job.pool.source.taps
        ready_pool(&self.ready, &job.pool, winners_of_planes_any,
                   job.pool.source.batch * job.channels * job.axis[0].places * job.bands, 1 if work < 2e5 else threads)
        return True

    def fill(self, cnp.ndarray x, cnp.ndarray index, cnp.ndarray y, cnp.ndarray winner=None):
        """Fill y from x, and index (intp) and winner (int32) if given: arrays as those that it was made ready for."""
        cdef plane_rows_t job = self.job
        job.pool.x, job.pool.y = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y)
        if index is not None:
            job.pool.index = <Py_ssize_t *> cnp.PyArray_DATA(index)
        if winner is not None:
            job.pool.winner = <cnp.int32_t *> cnp.PyArray_DATA(winner)
        launch(&self.ready, &job.pool, None)


def plane_winners(cnp.ndarray x, cnp.ndarray y, tuple axes, bint largest, int threads):
    """As `pool_extremum`, for arrays whose channels lie apart, and the elements of a row together, with windows that
    lie evenly and padding that is nothing; None for others.
    """
    cdef PlaneWinners kernel = PlaneWinners.__new__(PlaneWinners)
    return kernel if kernel.plan(x, y, axes, largest, threads) else None


cdef inline void readers_of(const even_axis_t *axis, Py_ssize_t i, Py_ssize_t *begin,
                            Py_ssize_t *end) noexcept nogil:
    """The places, begin <= o < end, among which those are that read an element."""
    cdef Py_ssize_t position = i + axis.before
    begin[0] = upwards(position - (axis.taps - 1) * axis.step, axis.rise)
    end[0] = min(position // axis.rise + 1, axis.places)


cdef inline Py_ssize_t tap_of(const even_axis_t *axis, Py_ssize_t o, Py_ssize_t i) noexcept nogil:
    """The tap by which a place reads an element; negative if by none."""
    cdef Py_ssize_t position = i + axis.before - o * axis.rise
    if axis.step == 1:              # divisions take longer than all the rest
        return position
    return position // axis.step if position % axis.step == 0 else -1


cdef inline void next_readers(const even_axis_t *axis, Py_ssize_t i, Py_ssize_t *begin,
                              Py_ssize_t *end) noexcept nogil:
    """From the `readers_of` the element before this one to those of this one."""
    cdef Py_ssize_t position = i + axis.before
    if begin[0] * axis.rise < position - (axis.taps - 1) * axis.step:
        begin[0] += 1
    if end[0] < axis.places and end[0] * axis.rise <= position:
        end[0] += 1


cdef void gradient_of_planes(real *kind, const plane_rows_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.pool.source
    cdef const even_axis_t *first = &job.axis[0]
    cdef const even_axis_t *middle = &job.axis[1]
    cdef const even_axis_t *last = &job.axis[2]
    cdef char *scratch = job.pool.scratch + worker * job.pool.scratch_size
    cdef real *lines = <real *> scratch
    cdef cnp.int32_t *numbers_of_lines = <cnp.int32_t *> (scratch + job.numbers_at)
    cdef real *phases = <real *> (scratch + job.phases_at)
    cdef Py_ssize_t read[MOST_PLANE_TAPS]       # the lines that an element is read in
    cdef cnp.int32_t base[MOST_PLANE_TAPS]      # and the numbers of the first taps there
    cdef const real *taps[MOST_PLANE_TAPS]
    cdef const cnp.int32_t *won[MOST_PLANE_TAPS]
    cdef cnp.int32_t numbers[MOST_PLANE_TAPS]
    cdef bint all_won = job.pool.winner == NULL
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t band = block % job.bands, d = block // job.bands % first.length
    cdef Py_ssize_t plane = block // job.bands // first.length, begin0, end0, begin1, end1, begin, end, o0, o1, k0, k1
    cdef Py_ssize_t start = band * job.height, until = min(start + job.height, middle.length), line, offset, phase
    cdef Py_ssize_t i, k, t, count, lines_read
    cdef Py_ssize_t y_plane = plane // job.channels * job.pool.y_n + plane % job.channels * job.y_channel
    cdef real *gx = <real *> job.pool.gx + plane // job.channels * s.stride_n + plane % job.channels * s.stride_c \
        + d * s.stride[0]
    cdef real *row
    readers_of(first, d, &begin0, &end0)
    readers_of(middle, until - 1, &begin, &end1)
    readers_of(middle, start, &begin, &end)
    begin1 = begin
    for o0 in range(begin0, end0):
        for o1 in range(begin1, end1):
            line = (o0 - begin0) * job.rows1 + o1 - begin1
            offset = y_plane + o0 * job.pool.y_stride[0] + o1 * job.pool.y_stride[1]
            row = lines + line * job.line_size
            memset(row, 0, job.pad * sizeof(real))
            memcpy(row + job.pad, <const real *> job.pool.y + offset, last.places * sizeof(real))
            memset(row + job.pad + last.places, 0, (job.line_size - job.pad - last.places) * sizeof(real))
            if job.pool.divisor != DIVIDE_NOT:
                at[0], at[1] = o0, o1
                divide_row(&job.pool, at, 0, last.places, job.same0, job.same1, 1, row + job.pad)
            if not all_won:
                memcpy(numbers_of_lines + line * job.line_size + job.pad, job.pool.winner + offset,
                       last.places * sizeof(cnp.int32_t))
    for i in range(start, until):
        lines_read = 0
        if i > start:
            next_readers(middle, i, &begin, &end)
        for o0 in range(begin0, end0):
            k0 = tap_of(first, o0, d)
            for o1 in range(begin, end if k0 >= 0 else begin):
                k1 = tap_of(middle, o1, i)
                if k1 >= 0:
                    read[lines_read] = ((o0 - begin0) * job.rows1 + o1 - begin1) * job.line_size
                    base[lines_read] = <cnp.int32_t> ((k0 * middle.taps + k1) * last.taps)
                    lines_read += 1
        row = gx + i * s.stride[1]
        for phase in range(last.rise):
            count = 0
            for t in range(lines_read):
                for k in range(job.begin[phase], job.begin[phase + 1]):
                    taps[count] = lines + read[t] + job.at[k]
                    won[count] = numbers_of_lines + read[t] + job.at[k]
                    numbers[count] = base[t] + job.tap[k]
                    count += 1
            if real is float:
                plane_shares_f32(taps, NULL if all_won else won, numbers, count, job.phase_size,
                                 row if job.phases_at < 0 else phases + phase * job.phase_size)
            else:
                plane_shares_f64(taps, NULL if all_won else won, numbers, count, job.phase_size,
                                 row if job.phases_at < 0 else phases + phase * job.phase_size)
        if job.phases_at < 0:
            continue
        if real is float:
            join_phases_f32(phases, job.phase_size, last.rise, last.before, last.length, row)
        else:
            join_phases_f64(phases, job.phase_size, last.rise, last.before, last.length, row)


cdef void gradient_of_planes_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const plane_rows_t *> job).pool.kind == b'f':
        gradient_of_planes(<float *> NULL, <const plane_rows_t *> job, block, worker)
    else:
        gradient_of_planes(<double *> NULL, <const plane_rows_t *> job, block, worker)


cdef class PlaneGradient:
    """What `plane_gradient` returns."""
    cdef plane_rows_t job
    cdef ready_t ready
    cdef object keep

    cdef bint plan(self, cnp.ndarray gy, cnp.ndarray gx, tuple axes, bint numbered, divisor, double value,
                   int threads) except -1:
        cdef plane_rows_t *job = &self.job
        cdef even_axis_t *first = &job.axis[0]
        cdef even_axis_t *middle = &job.axis[1]
        cdef even_axis_t *last = &job.axis[2]
        cdef Py_ssize_t lanes = VECTOR_BYTES // gx.itemsize, k, phase, count = 0, lines
        cdef double work
        job.pool = pool_job(gx, gy, None, axes, gx)
        job.pool.divisor, job.pool.value = DIVISORS[divisor], value
        if not lies_in_planes(job, gy, axes):
            return False
        same_divisors(&job.pool, 0, last.places, &job.same0, &job.same1)
        job.pad = (last.taps - 1) * last.step // last.rise
        cdef bint straight = last.rise == 1 and last.length >= lanes    # rows of the result are filled at once
        job.phase_size = last.length if straight else (last.before + last.length) // last.rise + 1
        for phase in range(last.rise):
            job.begin[phase] = count
            for k in range(last.taps - 1, -1, -1):
                if k * last.step % last.rise == phase:
                    job.at[count] = job.pad - k * last.step // last.rise + (last.before if straight else 0)
                    job.tap[count] = <cnp.int32_t> k
                    count += 1
        job.begin[last.rise] = count
        job.line_size = job.pad + max(last.places, (last.before + last.length) // last.rise + 1) + lanes
        job.rows0 = min(first.places, (first.taps - 1) * first.step // first.rise + 1)
        lines = PLANE_BYTES // (job.rows0 * job.line_size * (gx.itemsize + (sizeof(cnp.int32_t) if numbered else 0)))
        # of n rows of elements, (n - 1 + reach) / rise + 1 rows of places are read
        job.height = max(1, min(middle.length, (lines - 1) * middle.rise - (middle.taps - 1) * middle.step))
        job.bands = (middle.length + job.height - 1) // job.height
        job.rows1 = min(middle.places, (job.height - 1 + (middle.taps - 1) * middle.step) // middle.rise + 1)
        lines = job.rows0 * job.rows1 * job.line_size
        job.numbers_at = rounded(lines * gx.itemsize)
        job.phases_at = job.numbers_at + (rounded(lines * sizeof(cnp.int32_t)) if numbered else 0)
        job.pool.scratch_size = job.phases_at
        if straight:
            job.phases_at = -1
        else:
            job.pool.scratch_size += rounded((last.rise * job.phase_size + lanes) * gx.itemsize)
        work = 1.0 * job.pool.source.batch * job.channels * job.pool.source.places * job.pool.source.taps
        ready_pool(&self.ready, &job.pool, gradient_of_planes_any,
                   job.pool.source.batch * job.channels * first.length * job.bands, 1 if work < 2e5 else threads)
        self.keep = axes
        return True

    def fill(self, cnp.ndarray gy, cnp.ndarray winner, cnp.ndarray gx):
        """Set gx: arrays as those that it was made ready for, winner (int32) laid out as gy if there is one."""
        cdef plane_rows_t job = self.job
        job.pool.y, job.pool.gx = cnp.PyArray_DATA(gy), cnp.PyArray_DATA(gx)
        if winner is not None:
            job.pool.winner = <cnp.int32_t *> cnp.PyArray_DATA(winner)
        launch(&self.ready, &job.pool, None)


def plane_gradient(cnp.ndarray gy, cnp.ndarray gx, tuple axes, bint numbered, divisor, double value, int threads):
    """How gx becomes the gradient of `plane_winners` if `numbered`, else that of `plane_pool` for a sum; None where
    arrays or windows are not such as `plane_winners` takes.
    """
    cdef PlaneGradient kernel = PlaneGradient.__new__(PlaneGradient)
    return kernel if kernel.plan(gy, gx, axes, numbered, divisor, value, threads) else None
