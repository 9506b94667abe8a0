# Windows as rows: for each tap, what it holds in one window or in several whose taps lie alike, one after the other.

cdef enum:
    SHORT_RUN = 8                   # elements that are copied one by one


cdef inline bint plain_lines(const source_t *s, const Py_ssize_t *at) noexcept nogil:
    """Whether the taps of a place over the first two axes are lines of x, or nothing."""
    cdef Py_ssize_t k, code, axis
    for axis in range(AXES - 1):
        for k in range(s.axis[axis].taps):
            code = s.axis[axis].code[s.axis[axis].row[at[axis]] + k * s.axis[axis].step]
            if code < 0 and code != NOTHING:
                return False
    return True


cdef Py_ssize_t alike(const source_t *s, const Py_ssize_t *at, Py_ssize_t most, Py_ssize_t *gap) noexcept nogil:
    """How many places from one on, along the last axis, hold elements of x by all taps of that axis, `gap` positions
    from one to the next, and have one extent; they are neighbours in the result. At most `most`.
    """
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t places = min(most, last.alike[at[2]])
    gap[0] = last.gap[at[2]]
    return places if places > 1 and plain_lines(s, at) else 1


cdef Py_ssize_t longest_alike(const axis_t *last) noexcept nogil:
    """The most places that `alike` may find."""
    cdef Py_ssize_t most = 0, i
    for i in range(last.length):
        most = max(most, last.alike[i])
    return most


cdef inline void put_together(const real *row, Py_ssize_t apart, Py_ssize_t channels, Py_ssize_t places,
                              real *to) noexcept nogil:
    """The channels of some places, `apart` elements from one to the next; may write a vector beyond their end."""
    if real is float:
        phase_f32(row, (places - 1) * apart + channels, apart, channels, places, to)
    else:
        phase_f64(row, (places - 1) * apart + channels, apart, channels, places, to)


cdef void lay_rows(const element **rows, Py_ssize_t count, Py_ssize_t places, Py_ssize_t apart, Py_ssize_t channels,
                   element *to, Py_ssize_t step) noexcept nogil:
    """Copy rows to places `step` elements from one to the next; of each, `channels` elements for every place, `apart`
    from one to the next.
    """
    cdef const element *row
    cdef Py_ssize_t t, p, c
    for t in range(count):
        row = rows[t]
        if apart == channels:
            memcpy(to, row, places * channels * sizeof(element))
        elif channels == 1:
            for p in range(places):
                to[p] = row[p * apart]
        elif channels < SHORT_RUN:
            for p in range(places):
                for c in range(channels):
                    to[p * channels + c] = row[p * apart + c]
        else:
            for p in range(places):
                memcpy(to + p * channels, row + p * apart, channels * sizeof(element))
        to += step
