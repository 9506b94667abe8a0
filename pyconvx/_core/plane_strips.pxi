# Strips of planes.pxi: vectors of places of one channel that go down a picture from its first row to the last.

cdef void planes_strips(const planes_t *job, char *scratch, Py_ssize_t oh, Py_ssize_t height, Py_ssize_t o0,
                        Py_ssize_t places, Py_ssize_t left, Py_ssize_t right, const row_piece_t *pieces,
                        const part_t *part, const real *kind) noexcept nogil:
    """Set the places from (oh, o0) on, height x places, to their sums. pieces: of rows that are not laid out yet, what
    the first `left` places read, what those in between, and what the last `right` ones.
    """
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef const line_t *line = <const line_t *> (scratch + job.lines_at)
    cdef const real **rows = <const real **> (scratch + job.entries_at)
    cdef real **to = <real **> (scratch + job.targets_at)
    cdef real *weights = <real *> (scratch + job.weights_at)
    cdef const real *weight
    cdef real *y
    cdef Py_ssize_t y_step = job.task.y_stride[2], f, group, i, k, o
    cdef Py_ssize_t lines = (height - 1) * job.rise + middle.taps
    cdef bint direct = y_step == 1 and places >= VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef bint in_place = left + right + pieces[1].length == 0
    cdef Py_ssize_t *group_step = <Py_ssize_t *> (scratch + job.steps_at)
    cdef Py_ssize_t[4] ends = [0, left, places - right, places]
    cdef real start, bias
    cdef bint skips = middle.taps >= SKIPPING       # zero times what is not finite is NaN
    weight = <const real *> part.weights
    for i in range(part.groups * job.outputs * s.taps if skips else 0):
        skips &= weight[i] - weight[i] == 0
    for i in range(lines):
        group_step[i] = 0 if skips and line[i].zero else line[i].apart
    for f in range(part.groups * job.outputs):
        group = f // job.outputs
        weight = <const real *> part.weights + f * s.taps
        for i in range(middle.taps):
            for k in range(last.taps):
                weights[k * middle.taps + i] = weight[
                    (i if middle.step > 0 else middle.taps - 1 - i) * last.taps
                    + (k if last.step > 0 else last.taps - 1 - k)]
        y = <real *> part.y + f * job.task.y_channel + o0 * y_step
        if f == 0 or not direct:
            for i in range(height):
                to[i] = y + middle.place[oh + i] * job.task.y_stride[1] if direct else \
                    <real *> (scratch + job.to_at + i * job.row_size)
        else:
            for i in range(height):
                to[i] += job.task.y_channel
        bias = 0 if part.bias == NULL else (<const real *> part.bias)[f]
        start = bias if job.outputs == 1 else 0     # for several filters all kernels add it behind the products
        for i in range(3):
            if ends[i] < ends[i + 1]:
                if f == 0 or not in_place and (f % job.outputs == 0 or left + right > 0):       # else they are near
                    near_rows(job, line, lines, skips, group, &pieces[i], rows,
                              <real *> (scratch + job.near_at))
                elif in_place and f % job.outputs == 0:
                    for k in range(lines):
                        rows[k] += group_step[k]
                go_down(job, rows, weights, height, &pieces[i], ends[i], ends[i + 1], start, to)
        for i in range(height if bias != start else 0):
            for o in range(places):
                to[i][o] += bias
        for i in range(0 if direct else height):
            for o in range(places):
                y[middle.place[oh + i] * job.task.y_stride[1] + o * y_step] = to[i][o]


cdef inline void near_rows(const planes_t *job, const line_t *line, Py_ssize_t lines, bint skips, Py_ssize_t group,
                           const row_piece_t *piece, const real **rows, real *near) noexcept nogil:
    """Where the first place of each row lies for a group, after a piece of those in place is laid out. skips: rows of
    zeros are NULL.
    """
    cdef Py_ssize_t size = job.row_size // sizeof(real), i
    if 0 < piece.length <= job.end_size:
        size = job.end_size
    for i in range(lines):
        rows[i] = <const real *> line[i].row + group * line[i].apart
        if skips and line[i].zero:
            rows[i] = NULL
        if line[i].laid:
            continue
        if piece.length == 0:
            rows[i] += piece.at
            continue
        if real is float:
            lay_row_f32(rows[i], piece.code, piece.length, piece.run0, piece.run1, near)
        else:
            lay_row_f64(rows[i], piece.code, piece.length, piece.run0, piece.run1, near)
        rows[i] = near - piece.at
        near += size


cdef inline void go_down(const planes_t *job, const real **rows, const real *weights, Py_ssize_t height,
                         const row_piece_t *piece, Py_ssize_t o, Py_ssize_t until, real start,
                         real **to) noexcept nogil:
    """Set the places o <= p < until of some rows."""
    cdef const axis_t *last = &job.task.source.axis[2]
    cdef int high = <int> job.task.source.axis[1].taps, down = <int> job.rise, along = <int> job.along
    cdef Py_ssize_t run0 = 0, run1 = PY_SSIZE_T_MAX, next = 0
    if piece.length == 0:           # not laid out
        run0, run1, next = piece.run0, piece.run1, job.task.source.stride_c
    if real is float:
        planes_down_f32(high, down, along, rows, weights, last.taps, height, distance(last), run0, run1, next, o,
                        until, start, to)
    else:
        planes_down_f64(high, down, along, rows, weights, last.taps, height, distance(last), run0, run1, next, o,
                        until, start, to)


cdef inline bint plain_places(const task_t *task, const Py_ssize_t *code, Py_ssize_t length) noexcept nogil:
    """Whether each is that of an element or of what is zero."""
    cdef Py_ssize_t t
    for t in range(length):
        if code[t] < 0 and not is_zero(task, code[t]):
            return False
    return True


cdef inline bint zero_places(const task_t *task, const Py_ssize_t *code, Py_ssize_t length) noexcept nogil:
    """Whether each is that of what is zero."""
    cdef Py_ssize_t t
    for t in range(length):
        if not is_zero(task, code[t]):
            return False
    return True


cdef inline row_piece_t row_piece(const Py_ssize_t *code, Py_ssize_t at, Py_ssize_t until, Py_ssize_t run0,
                                  Py_ssize_t run1) noexcept nogil:
    """The positions at <= p < until of a row."""
    cdef row_piece_t piece
    piece.code, piece.at, piece.length = code + at, at, until - at
    piece.run0 = min(max(run0 - at, 0), piece.length)
    piece.run1 = max(min(run1 - at, piece.length), piece.run0)
    return piece
