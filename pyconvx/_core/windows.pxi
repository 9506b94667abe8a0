# Windows laid out in memory, a bounded block at a time, for reductions that are not compiled; and the way back.

def gather_windows(cnp.ndarray x, tuple axes, cnp.ndarray constants, const Py_ssize_t[::1] places, Py_ssize_t sample,
                   Py_ssize_t channel0, cnp.ndarray windows):
    """Fill windows (m, places, channels), contiguous, from x (N, D, H, W, C) of any real dtype but float16: rising
    places of one sample, channels from channel0.

    Every window must hold exactly m elements.
    """
    cdef void *window = cnp.PyArray_DATA(windows)
    # sums of integers have the same bits whether they are signed or not
    if x.itemsize == 1:
        gather(<cnp.uint8_t *> window, x, axes, constants, places, sample, channel0, windows)
    elif x.itemsize == 2:
        gather(<cnp.uint16_t *> window, x, axes, constants, places, sample, channel0, windows)
    elif x.dtype.kind != "f" and x.itemsize == 4:
        gather(<cnp.uint32_t *> window, x, axes, constants, places, sample, channel0, windows)
    elif x.dtype.kind != "f":
        gather(<cnp.uint64_t *> window, x, axes, constants, places, sample, channel0, windows)
    elif x.itemsize == 4:
        gather(<float *> window, x, axes, constants, places, sample, channel0, windows)
    else:
        gather(<double *> window, x, axes, constants, places, sample, channel0, windows)


cdef int gather(element *window, cnp.ndarray x, tuple axes, cnp.ndarray constants, const Py_ssize_t[::1] places,
                Py_ssize_t sample, Py_ssize_t channel0, cnp.ndarray windows) except -1:
    cdef pool_t job = pool_job(x, x, None, axes, constants)
    cdef const source_t *s = &job.source
    cdef const element *image = <const element *> cnp.PyArray_DATA(x) + sample * s.stride_n
    cdef Py_ssize_t channels = windows.shape[2], m = windows.shape[0], step = windows.shape[1] * windows.shape[2]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t p = 0, until = 0, some, gap, tap, filled, count, t
    cdef const element *rows[CHUNK]
    cdef cnp.int32_t numbers[CHUNK]
    cdef _Scratch scratch = _Scratch(CHUNK * s.channels * sizeof(element) if s.mixed else 0, 1)
    with nogil:
        while p < places.shape[0]:
            if p == until:  # the end of the places in a row that begin here
                until += 1
                while until < places.shape[0] and places[until] == places[until - 1] + 1:
                    until += 1
            split(s, places[p], at)
            some = alike(s, at, until - p, &gap)
            tap, filled = 0, 0
            while tap < s.taps and filled < m:
                count = min(collect(&job, image, at, &tap, rows, numbers, <element *> scratch.first), m - filled)
                for t in range(count):
                    rows[t] += channel0
                lay_rows(rows, count, some, gap * s.stride[2], channels, window + filled * step + p * channels, step)
                filled += count
            p += some
    return 0


def scatter_windows(cnp.ndarray gx, tuple axes, const Py_ssize_t[::1] places, Py_ssize_t sample, Py_ssize_t channel0,
                    cnp.ndarray windows):
    """The adjoint of gather_windows: add windows (m, places, channels) to gx where they were read from."""
    if gx.itemsize == 4:
        scatter(<float *> cnp.PyArray_DATA(windows), gx, axes, places, sample, channel0, windows)
    else:
        scatter(<double *> cnp.PyArray_DATA(windows), gx, axes, places, sample, channel0, windows)


cdef int scatter(const real *window, cnp.ndarray gx, tuple axes, const Py_ssize_t[::1] places, Py_ssize_t sample,
                 Py_ssize_t channel0, cnp.ndarray windows) except -1:
    cdef source_t s = source_of(gx, axes)
    cdef real *image = <real *> cnp.PyArray_DATA(gx) + sample * s.stride_n + channel0
    cdef Py_ssize_t m = windows.shape[0], step = windows.shape[1] * windows.shape[2], channels = windows.shape[2]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t low[AXES]
    cdef Py_ssize_t p, tap, filled
    memset(low, 0, sizeof(low))
    with nogil:
        for p in range(places.shape[0]):
            split(&s, places[p], at)
            filled = 0
            for tap in range(s.taps):
                codes_of(&s, at, tap, codes)
                if codes[0] != NOTHING and codes[1] != NOTHING and codes[2] != NOTHING and filled < m:
                    add_to_tap(&s, image, codes, low, s.length, window + filled * step, 1, channels)
                    filled += 1
            window += channels
    return 0
