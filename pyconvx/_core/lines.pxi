# Rows of x laid out with their padding, for kernels whose places follow one another.

cdef inline void longest_run(const Py_ssize_t *code, Py_ssize_t length, Py_ssize_t *run0,
                             Py_ssize_t *run1) noexcept nogil:
    """The longest part of a row of codes, run0 <= t < run1, whose positions are neighbours in x: most of it."""
    cdef Py_ssize_t t = 0, first, i
    cdef size_t differ              # wraps around: codes may be the least numbers that there are
    run0[0] = run1[0] = 0
    while t < length:
        first = t
        t += 1
        if code[first] < 0:
            continue
        differ = 0
        while t + 8 <= length:      # eight at a time are compared by vectors
            for i in range(8):
                differ |= <size_t> code[t + i] - <size_t> code[first] - <size_t> (t + i - first)
            if differ:
                break
            t += 8
        while t < length and code[t] == code[first] + t - first:
            t += 1
        if t - first > run1[0] - run0[0]:
            run0[0], run1[0] = first, t


cdef inline bint is_zero(const task_t *task, Py_ssize_t code) noexcept nogil:
    """Whether what a code of any axis stands for is zero."""
    return task.zero and (code == OUTSIDE or code == NOTHING)


cdef void lay_places(const task_t *task, const real *image, Py_ssize_t a, Py_ssize_t b, const Py_ssize_t *code,
                     Py_ssize_t count, Py_ssize_t first, Py_ssize_t channels, real *row, Py_ssize_t place_step,
                     Py_ssize_t channel_step, real *mix) noexcept nogil:
    """Lay out some positions of a row of x one by one."""
    cdef const source_t *s = &task.source
    cdef const real *pointer
    cdef Py_ssize_t t, channel, apart
    for t in range(count):
        pointer = NULL
        apart = s.stride_c if (a | b | code[t]) >= 0 else 1
        if not is_zero(task, code[t]):
            pointer = tap_row(s, image, <const real *> task.constants, a, b, code[t], mix)
        for channel in range(channels):
            row[t * place_step + channel * channel_step] = 0 if pointer == NULL else \
                pointer[(first + channel) * apart]


cdef void lay_line(const task_t *task, const real *image, Py_ssize_t a, Py_ssize_t b, const Py_ssize_t *code,
                   Py_ssize_t length, Py_ssize_t run0, Py_ssize_t run1, Py_ssize_t first, Py_ssize_t channels,
                   real *row, Py_ssize_t place_step, Py_ssize_t channel_step, real *mix) noexcept nogil:
    """Lay out `length` positions of a row of x, some channels of it from the `first` on; between run0 and run1 they are
    neighbours in x. Either channels lie together (channel_step 1) or places do (place_step 1).
    """
    cdef const source_t *s = &task.source
    cdef Py_ssize_t t, channel, stride = s.stride[2], apart = s.stride_c
    cdef const real *run
    cdef real *to
    if is_zero(task, a) or is_zero(task, b):
        if place_step == 1:
            for channel in range(channels):
                memset(row + channel * channel_step, 0, length * sizeof(real))
        else:
            memset(row, 0, length * place_step * sizeof(real))
        return
    if (a | b) < 0 and (s.border.elements == NULL or a == NOTHING or b == NOTHING):
        run1 = run0
    lay_places(task, image, a, b, code, run0, first, channels, row, place_step, channel_step, mix)
    if run1 > run0:
        if (a | b) < 0:
            run, stride, apart = border_line(s, image, a, b), s.channels, 1
        else:
            run = image + a * s.stride[0] + b * s.stride[1]
        run += code[run0] * stride + first * apart
        if channel_step == 1 and apart != 1:
            turn(run, apart, stride, row + run0 * place_step, place_step, 1, channels, run1 - run0)
        elif stride == channels and place_step == channels:
            memcpy(row + run0 * place_step, run, (run1 - run0) * place_step * sizeof(real))
        elif channel_step == 1:
            for t in range(run0, run1):
                memcpy(row + t * place_step, run, channels * sizeof(real))
                run += stride
        elif real is float and apart == 1 and stride == channels == 3:
            part_three(<const cnp.uint32_t *> run, <cnp.uint32_t *> (row + run0), channel_step, run1 - run0)
        elif real is float and apart == 1 and stride == channels == 2:
            part_two(<const cnp.uint32_t *> run, <cnp.uint32_t *> (row + run0), channel_step, run1 - run0)
        else:
            for channel in range(channels):
                to = row + channel * channel_step + run0
                if stride == 1:
                    memcpy(to, run + channel * apart, (run1 - run0) * sizeof(real))
                    continue
                for t in range(run1 - run0):
                    to[t] = run[channel * apart + t * stride]
    lay_places(task, image, a, b, code + run1, length - run1, first, channels, row + run1 * place_step, place_step,
               channel_step, mix)
