# Gradients of extrema and sums where channels lie apart: each channel is a plane. A block is some rows of one. The rows
# of places that read them are laid out once for all of them with zeros on either side, so that each tap is an offset in
# a row; where places are further apart than elements, those of a phase receive theirs at once. An element receives its
# shares in the order in which `pool_gradient` adds them up, from +0.0 on.

cdef enum:
    MOST_PLANE_TAPS = 256           # of a window
    PLANE_BYTES = 1 << 14           # of the rows that a block lays out, unless a single one reads more

cdef struct even_axis_t:            # an axis whose windows lie evenly, over elements in order and nothing around them
    Py_ssize_t length               # elements
    Py_ssize_t before               # positions before the first of them
    Py_ssize_t places, rise         # windows, and positions from one to the next
    Py_ssize_t taps, step

cdef struct plane_gradient_t:
    pool_t pool                     # whose source is the gradient of x
    even_axis_t axis[AXES]
    Py_ssize_t channels
    Py_ssize_t y_channel
    Py_ssize_t height, bands        # rows of a block, and blocks of a plane
    Py_ssize_t rows1                # most rows of places that it lays out of one place of the first axis
    Py_ssize_t line_size            # elements of such a row
    Py_ssize_t pad                  # zeros before the first of them
    Py_ssize_t phase_size           # elements of a phase of a row of the result
    Py_ssize_t at[MOST_ROWS]        # where the taps of the last axis read, those of a phase after one another
    cnp.int32_t tap[MOST_ROWS]      # which they are
    Py_ssize_t begin[MOST_ROWS + 1]     # and where those of each phase begin
    Py_ssize_t same0, same1         # places of a row of one divisor
    bint straight                   # rows of the result are filled at once, not phase by phase
    Py_ssize_t numbers_at, phases_at


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


cdef bint lies_in_planes(plane_gradient_t *job, cnp.ndarray gy, tuple axes) except -1:
    """Whether a job is for float or double arrays of planes whose rows of elements, and of places, lie together, and
    windows of moderate size whose rows are neighbours; sets what `even_axes` does.
    """
    cdef const source_t *s = &job.pool.source
    cdef const even_axis_t *last = &job.axis[2]
    if job.pool.kind not in (b'f', b'd') or s.batch * s.channels * s.places == 0 or not even_axes(s, axes, job.axis):
        return False
    job.channels, job.y_channel = s.channels, gy.strides[AXES + 1] // gy.itemsize if s.channels > 1 else 1
    return s.taps <= MOST_PLANE_TAPS and last.taps <= MOST_ROWS and last.rise <= MOST_ROWS \
        and job.axis[0].step == job.axis[1].step == 1 and (last.taps - 1) * last.step <= MOST_PLANE_TAPS \
        and last.before + last.length <= LONGEST_LINE and (s.stride[2] == 1 or last.length == 1) \
        and (job.pool.y_stride[2] == 1 or last.places == 1)


cdef inline Py_ssize_t upwards(Py_ssize_t number, Py_ssize_t by) noexcept nogil:
    """The quotient that is rounded up; 0 for negative numbers."""
    return (number + by - 1) // by if number > 0 else 0


cdef inline void readers_of(const even_axis_t *axis, Py_ssize_t i, Py_ssize_t *begin,
                            Py_ssize_t *end) noexcept nogil:
    """The places, begin <= o < end, among which those are that read an element."""
    cdef Py_ssize_t position = i + axis.before
    begin[0] = upwards(position - (axis.taps - 1) * axis.step, axis.rise)
    end[0] = min(position // axis.rise + 1, axis.places)


cdef inline Py_ssize_t tap_of(const even_axis_t *axis, Py_ssize_t o, Py_ssize_t i) noexcept nogil:
    """The tap, of those that are neighbours, by which a place reads an element."""
    return i + axis.before - o * axis.rise


cdef inline void next_readers(const even_axis_t *axis, Py_ssize_t i, Py_ssize_t *begin,
                              Py_ssize_t *end) noexcept nogil:
    """From the `readers_of` the element before this one to those of this one."""
    cdef Py_ssize_t position = i + axis.before
    if begin[0] * axis.rise < position - (axis.taps - 1) * axis.step:
        begin[0] += 1
    if end[0] < axis.places and end[0] * axis.rise <= position:
        end[0] += 1


cdef void gradient_of_planes(real *kind, const plane_gradient_t *job, Py_ssize_t block, int worker) noexcept nogil:
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
            for o1 in range(begin, end):
                k1 = tap_of(middle, o1, i)
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
                                 row if job.straight else phases + phase * job.phase_size)
            else:
                plane_shares_f64(taps, NULL if all_won else won, numbers, count, job.phase_size,
                                 row if job.straight else phases + phase * job.phase_size)
        if job.straight:
            continue
        if real is float:
            join_phases_f32(phases, job.phase_size, last.rise, last.before, last.length, row)
        else:
            join_phases_f64(phases, job.phase_size, last.rise, last.before, last.length, row)


cdef void gradient_of_planes_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const plane_gradient_t *> job).pool.kind == b'f':
        gradient_of_planes(<float *> NULL, <const plane_gradient_t *> job, block, worker)
    else:
        gradient_of_planes(<double *> NULL, <const plane_gradient_t *> job, block, worker)


cdef class PlaneGradient:
    """What `plane_gradient` returns."""
    cdef plane_gradient_t job
    cdef ready_t ready
    cdef object keep

    cdef bint plan(self, cnp.ndarray gy, cnp.ndarray gx, tuple axes, bint numbered, divisor, double value,
                   int threads) except -1:
        cdef plane_gradient_t *job = &self.job
        cdef even_axis_t *first = &job.axis[0]
        cdef even_axis_t *middle = &job.axis[1]
        cdef even_axis_t *last = &job.axis[2]
        cdef Py_ssize_t lanes = VECTOR_BYTES // gx.itemsize, k, phase, count = 0, rows0, lines
        cdef double work
        job.pool = pool_job(gx, gy, None, axes, gx)
        job.pool.divisor, job.pool.value = DIVISORS[divisor], value
        if not lies_in_planes(job, gy, axes):
            return False
        same_divisors(&job.pool, 0, last.places, &job.same0, &job.same1)
        job.pad = (last.taps - 1) * last.step // last.rise
        job.straight = last.rise == 1 and last.length >= lanes
        job.phase_size = last.length if job.straight else (last.before + last.length) // last.rise + 1
        for phase in range(last.rise):
            job.begin[phase] = count
            for k in range(last.taps - 1, -1, -1):
                if k * last.step % last.rise == phase:
                    job.at[count] = job.pad - k * last.step // last.rise + (last.before if job.straight else 0)
                    job.tap[count] = <cnp.int32_t> k
                    count += 1
        job.begin[last.rise] = count
        job.line_size = job.pad + max(last.places, (last.before + last.length) // last.rise + 1) + lanes
        rows0 = min(first.places, (first.taps - 1) // first.rise + 1)
        lines = PLANE_BYTES // (rows0 * job.line_size * (gx.itemsize + (sizeof(cnp.int32_t) if numbered else 0)))
        # of n rows of elements, (n - 1 + reach) / rise + 1 rows of places are read
        job.height = max(1, min(middle.length, (lines - 1) * middle.rise - (middle.taps - 1)))
        job.bands = (middle.length + job.height - 1) // job.height
        job.rows1 = min(middle.places, (job.height - 1 + (middle.taps - 1)) // middle.rise + 1)
        lines = rows0 * job.rows1 * job.line_size
        job.numbers_at = rounded(lines * gx.itemsize)
        job.phases_at = job.numbers_at + (rounded(lines * sizeof(cnp.int32_t)) if numbered else 0)
        job.pool.scratch_size = job.phases_at
        if not job.straight:
            job.pool.scratch_size += rounded((last.rise * job.phase_size + lanes) * gx.itemsize)
        work = 1.0 * job.pool.source.batch * job.channels * job.pool.source.places * job.pool.source.taps
        ready_pool(&self.ready, &job.pool, gradient_of_planes_any,
                   job.pool.source.batch * job.channels * first.length * job.bands, 1 if work < 2e5 else threads)
        self.keep = axes
        return True

    def fill(self, cnp.ndarray gy, cnp.ndarray winner, cnp.ndarray gx):
        """Set gx: arrays as those that it was made ready for, winner (int32) laid out as gy if there is one."""
        cdef plane_gradient_t job = self.job
        job.pool.y, job.pool.gx = cnp.PyArray_DATA(gy), cnp.PyArray_DATA(gx)
        if winner is not None:
            job.pool.winner = <cnp.int32_t *> cnp.PyArray_DATA(winner)
        launch(&self.ready, &job.pool, None)


def plane_gradient(cnp.ndarray gy, cnp.ndarray gx, tuple axes, bint numbered, divisor, double value, int threads):
    """As `pool_gradient`, of an extremum if `numbered`, for arrays whose channels lie apart, and the elements of a row
    together, with windows that lie evenly, of rows that are neighbours, and padding that is nothing; None for others.
    """
    cdef PlaneGradient kernel = PlaneGradient.__new__(PlaneGradient)
    return kernel if kernel.plan(gy, gx, axes, numbered, divisor, value, threads) else None
