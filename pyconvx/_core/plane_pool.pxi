# Extremum and sum of windows where channels lie apart: each channel is a plane, whose rows are reduced where they are.
# The rows that a row of windows reads are reduced to one line, with what stands for nothing at its ends, and that along
# the taps of its axis.

cdef enum:
    LONGEST_LINE = 1 << 13          # elements of a row, with its padding
    MOST_ROWS = 32                  # of a window
    PLANE_WORK = 1 << 16            # elements that a block reads, unless a row of windows has more

cdef struct plane_pool_t:
    pool_t pool
    int task
    Py_ssize_t rise                 # elements between neighbouring places of a row
    Py_ssize_t before, length       # positions of a row before its first element, and its elements
    Py_ssize_t room                 # elements of a line, with what may be read behind it
    Py_ssize_t y_channel
    Py_ssize_t channels
    Py_ssize_t bands                # blocks of a plane
    Py_ssize_t same0, same1         # places of a row of one divisor
    double identity


cdef bint is_padded(const axis_t *axis, Py_ssize_t span, Py_ssize_t source, Py_ssize_t *before,
                    Py_ssize_t *length) noexcept nogil:
    """Whether the positions of a row are elements in their order, from the first one on, and nothing on either side;
    sets how much of that comes before them, and how many there are.
    """
    cdef const Py_ssize_t *code = axis.code + axis.row[0]
    cdef Py_ssize_t i
    before[0] = 0
    while before[0] < span and code[before[0]] == NOTHING:
        before[0] += 1
    length[0] = min(span - before[0], source)
    for i in range(before[0], span):
        if code[i] != (i - before[0] if i - before[0] < source else <Py_ssize_t> NOTHING):
            return False
    return True


cdef bint reads_elements(const axis_t *axis) noexcept nogil:
    """Whether windows read elements along an axis, or nothing, and each reads some."""
    cdef Py_ssize_t o, k, code
    for o in range(axis.length):
        if axis.present[o] == 0:
            return False
        for k in range(axis.taps):
            code = axis.code[axis.row[o] + k * axis.step]
            if code < 0 and code != NOTHING:
                return False
    return True


cdef void planes_of_block(real *kind, const plane_pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.pool.source
    cdef real *line = <real *> (job.pool.scratch + worker * job.pool.scratch_size)
    cdef const real *rows[MOST_ROWS]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t band = block % job.bands, plane = block // job.bands, i, k0, k1, a, b, count
    cdef Py_ssize_t first = cut_at(s.axis[0].length * s.axis[1].length, job.bands, band)
    cdef Py_ssize_t until = cut_at(s.axis[0].length * s.axis[1].length, job.bands, band + 1)
    cdef const real *x = <const real *> job.pool.x + plane // job.channels * s.stride_n \
        + plane % job.channels * s.stride_c
    cdef real *y = <real *> job.pool.y + plane // job.channels * job.pool.y_n + plane % job.channels * job.y_channel
    cdef real *row
    for i in range(job.room):
        line[i] = <real> job.identity
    for i in range(first, until):
        at[0], at[1], at[2], count = i // s.axis[1].length, i % s.axis[1].length, 0, 0
        for k0 in range(s.axis[0].taps):
            a = s.axis[0].code[s.axis[0].row[at[0]] + k0 * s.axis[0].step]
            for k1 in range(s.axis[1].taps):
                b = s.axis[1].code[s.axis[1].row[at[1]] + k1 * s.axis[1].step]
                if (a | b) >= 0:
                    rows[count] = x + a * s.stride[0] + b * s.stride[1]
                    count += 1
        row = y + target(s, at, job.pool.y_stride)
        if real is float:
            plane_row_f32(job.task, job.rise, rows, count, job.length, line, job.room, s.axis[2].taps,
                          s.axis[2].length, job.before, row)
        else:
            plane_row_f64(job.task, job.rise, rows, count, job.length, line, job.room, s.axis[2].taps,
                          s.axis[2].length, job.before, row)
        if job.pool.divisor != DIVIDE_NOT:
            divide_row(&job.pool, at, 0, s.axis[2].length, job.same0, job.same1, 1, row)


cdef void planes_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const plane_pool_t *> job).pool.kind == b'f':
        planes_of_block(<float *> NULL, <const plane_pool_t *> job, block, worker)
    else:
        planes_of_block(<double *> NULL, <const plane_pool_t *> job, block, worker)


cdef int once_planes(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef plane_pool_t job
    memcpy(&job, ready.job, ready.job_size)
    job.pool.x, job.pool.y, job.pool.scratch = x, y, scratch
    return DONE if run_blocks(ready.block, &job, ready.blocks, ready.threads) else STOPPED


cdef class PlanePool(Kernel):
    """What `plane_pool` returns."""
    cdef plane_pool_t job
    cdef object keep

    cdef bint plan(self, cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants, reduction,
                   int threads) except -1:
        cdef plane_pool_t *job = &self.job
        cdef source_t *s = &job.pool.source
        cdef axis_t *last
        cdef Py_ssize_t rows, span, windows
        cdef double work
        if len(axes) != AXES:
            return False
        job.pool = pool_job(x, y, None, axes, constants)
        last = &s.axis[2]
        if isinstance(reduction, tuple):
            job.pool.divisor, job.pool.value = DIVISORS[reduction[0]], reduction[1]
            job.task, job.identity = PLANE_SUM, -0.0
        elif reduction == "max":
            job.task, job.identity = PLANE_MAX, -INFINITY
        else:
            job.task, job.identity = PLANE_MIN, INFINITY
        job.rise, job.channels = axes[2].rise, s.channels
        job.y_channel = y.strides[AXES + 1] // y.itemsize if s.channels > 1 else 1
        rows, windows = s.axis[0].taps * s.axis[1].taps, s.axis[0].length * s.axis[1].length
        if job.pool.kind not in (b'f', b'd') or job.rise < 1 or last.step != 1 or rows > MOST_ROWS \
                or last.taps > MOST_ROWS or s.batch * s.channels * s.places == 0:
            return False
        span = (last.length - 1) * job.rise + last.taps
        if span > LONGEST_LINE or (s.length[2] > 1 and s.stride[2] != 1) \
                or (last.length > 1 and job.pool.y_stride[2] != 1) \
                or not reads_elements(&s.axis[0]) or not reads_elements(&s.axis[1]) or not reads_elements(last) \
                or not is_padded(last, span, s.length[2], &job.before, &job.length):
            return False
        same_divisors(&job.pool, 0, last.length, &job.same0, &job.same1)
        work = 1.0 * rows * span + 1.0 * last.taps * last.length            # of a row of windows
        job.bands = max(1, min(windows, <Py_ssize_t> (windows * work / PLANE_WORK)))
        job.room = span + 3 * VECTOR_BYTES // x.itemsize
        job.pool.scratch_size = rounded(job.room * x.itemsize)
        if job.rise > 2:
            job.pool.scratch_size += rounded(2 * last.length * x.itemsize + 4 * VECTOR_BYTES)
        if work * windows * s.batch * s.channels < 2e5:
            threads = 1
        ready_pool(&self.ready, &job.pool, planes_any, s.batch * s.channels * job.bands, threads)
        self.ready.once, self.ready.job, self.ready.job_size = once_planes, job, sizeof(plane_pool_t)
        self.keep = axes, constants
        return True

    def fill(self, cnp.ndarray x, bias, cnp.ndarray y, filters=None):
        """Fill y from x: arrays as those that it was made ready for, of any shape. bias, filters: None."""
        cdef _Scratch scratch = _Scratch(self.job.pool.scratch_size, self.ready.threads)
        self.fill_once(x, None, y, scratch.first)


def plane_pool(cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants, reduction, int threads):
    """As `Pool`, for arrays whose channels lie apart, and the elements of a row together, with places that lie evenly,
    taps that are neighbours, and padding that is nothing; None for others.
    """
    cdef PlanePool kernel = PlanePool.__new__(PlanePool)
    return kernel if kernel.plan(x, y, axes, constants, reduction, threads) else None
