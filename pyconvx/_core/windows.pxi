# Windows laid out in memory, a bounded block at a time, for reductions that are not compiled; and the way back.

def gather_windows(cnp.ndarray x, tuple axes, cnp.ndarray constants, const Py_ssize_t[::1] places, Py_ssize_t sample,
                   Py_ssize_t channel0, cnp.ndarray windows):
    """Fill windows (places, channels, m), contiguous, from x (N, D, H, W, C) of any real dtype but float16: places of
    one sample, channels from channel0.

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
    cdef source_t s = source_of(x, axes)
    cdef const element *image = <const element *> cnp.PyArray_DATA(x) + sample * s.stride_n
    cdef const element *constant = <const element *> cnp.PyArray_DATA(constants)
    cdef const element *row
    cdef Py_ssize_t channels = windows.shape[1], m = windows.shape[2]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t p, tap, filled, c
    cdef _Scratch scratch = _Scratch(s.channels * sizeof(element), 1)
    with nogil:
        for p in range(places.shape[0]):
            split(&s, places[p], at)
            filled = 0
            for tap in range(s.taps):
                codes_of(&s, at, tap, codes)
                row = tap_row(&s, image, constant, codes[0], codes[1], codes[2], <element *> scratch.first)
                if row != NULL and filled < m:
                    for c in range(channels):
                        window[c * m + filled] = row[channel0 + c]
                    filled += 1
            window += channels * m
    return 0


def scatter_windows(cnp.ndarray gx, tuple axes, const Py_ssize_t[::1] places, Py_ssize_t sample, Py_ssize_t channel0,
                    cnp.ndarray windows):
    """The adjoint of gather_windows: add windows (places, channels, m) to gx where they were read from."""
    if gx.itemsize == 4:
        scatter(<float *> cnp.PyArray_DATA(windows), gx, axes, places, sample, channel0, windows)
    else:
        scatter(<double *> cnp.PyArray_DATA(windows), gx, axes, places, sample, channel0, windows)


cdef int scatter(const real *window, cnp.ndarray gx, tuple axes, const Py_ssize_t[::1] places, Py_ssize_t sample,
                 Py_ssize_t channel0, cnp.ndarray windows) except -1:
    cdef source_t s = source_of(gx, axes)
    cdef real *image = <real *> cnp.PyArray_DATA(gx) + sample * s.stride_n + channel0
    cdef Py_ssize_t channels = windows.shape[1], m = windows.shape[2]
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
                    add_to_tap(&s, image, codes, low, s.length, window + filled, m, channels)
                    filled += 1
            window += channels * m
    return 0
