# Filters packed for the register tile.

cdef enum:
    PACK_RUN = 1024                 # elements of a filter copied at a time: caches see what comes next


cdef class Packed:
    """Filters arranged for a kernel, in memory of their own.

    `filters` is (F, taps, C // groups) of any strides. With `transposed`, channels and filters change places, as the
    adjoint needs it: the result then has C channels and is summed over F. Without `packing` nothing is read or held:
    that serves to ask a kernel what it would need.
    """
    cdef readonly Py_ssize_t groups, outputs, channels, taps   # outputs and channels of one group
    cdef readonly bint finite, transposed
    cdef object memory

    def __init__(self, cnp.ndarray filters, Py_ssize_t groups, bint transposed, bint packing=True):
        self.groups, self.transposed, self.taps, self.finite = groups, transposed, filters.shape[1], True
        self.outputs, self.channels = filters.shape[0] // groups, filters.shape[2]
        if transposed:
            self.outputs, self.channels = self.channels, self.outputs

    cdef Packed like(self, cnp.ndarray filters):
        """Other filters, (F, *kernel, C // groups), packed as these; None if only one of them is finite."""
        cdef Packed packed = type(self)(filters.reshape((filters.shape[0], self.taps, -1)), self.groups,
                                        self.transposed)
        return packed if packed.finite == self.finite else None

    @property
    def nbytes(self):
        """Bytes held."""
        return 0 if self.memory is None else self.memory.nbytes


cdef class Panels(Packed):
    """Filters in panels of TILE_VECTORS vectors: [group][panel][tap][channel][lane], lanes beyond the last filter are
    0.
    """
    cdef Py_ssize_t group_size      # elements
    cdef char *data

    def __init__(self, cnp.ndarray filters, Py_ssize_t groups, bint transposed, bint packing=True):
        Packed.__init__(self, filters, groups, transposed)
        cdef Py_ssize_t per_group = filters.shape[0] // groups
        cdef Py_ssize_t lanes = VECTOR_BYTES // filters.itemsize
        cdef Py_ssize_t whole = self.outputs // (lanes * TILE_VECTORS) * lanes * TILE_VECTORS
        self.group_size = whole * self.taps * self.channels
        if whole < self.outputs:
            self.group_size += panel_width(self.outputs - whole, lanes) * self.taps * self.channels
        if not packing:
            return
        self.memory = np.empty(self.group_size * groups * filters.itemsize + 64, np.uint8)
        self.data = <char *> ((<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64)
        if filters.dtype == np.float32:
            pack(<float *> self.data, self, filters, per_group, transposed)
        else:
            pack(<double *> self.data, self, filters, per_group, transposed)


cdef real pack_rows(const real *row, Py_ssize_t step_output, Py_ssize_t step_channel, Py_ssize_t length,
                    Py_ssize_t count, real *to, Py_ssize_t width) noexcept nogil:
    """Pack a part of some filters, that begins at `row`, into `width` lanes; returns 0 if all its elements are finite.
    """
    cdef Py_ssize_t channel0 = 0, channel, lane, run
    cdef real total = 0
    while channel0 < length:
        run = min(PACK_RUN, length - channel0)      # what is written stays in the second cache
        turn(row + channel0 * step_channel, step_output, step_channel, to, width, 1, count, run)
        for channel in range(run if count < width else 0):
            for lane in range(count, width):
                to[channel * width + lane] = 0
        if real is float:
            total += spoiled_f32(to, run * width)
        else:
            total += spoiled_f64(to, run * width)
        to += run * width
        channel0 += run
    return total


cdef const real *pack_loose(real *kind, const task_t *task, Py_ssize_t first, Py_ssize_t length, Py_ssize_t count,
                            Py_ssize_t width, char *scratch) noexcept nogil:
    """A panel of filters from number `first` on, of so many elements each, packed for a block."""
    cdef real *panel = <real *> (scratch + task.panel_at)
    if pack_rows((<const real *> task.loose) + first * length, length, 1, length, count, panel, width) != 0:
        fail(task.spoiled, 1)
    return panel


cdef void pack(real *to, Panels panels, cnp.ndarray filters, Py_ssize_t per_group, bint transposed):
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t step_group = filters.strides[0] // filters.itemsize * per_group
    cdef Py_ssize_t step_tap = filters.strides[1] // filters.itemsize
    cdef Py_ssize_t step_output = filters.strides[0] // filters.itemsize
    cdef Py_ssize_t step_channel = filters.strides[2] // filters.itemsize
    if transposed:
        step_output, step_channel = step_channel, step_output
    cdef const real *origin = <const real *> cnp.PyArray_DATA(filters)
    cdef const real *row
    cdef Py_ssize_t group, first, tap, width, count
    cdef Py_ssize_t taps = panels.taps, channels = panels.channels
    cdef real total = 0
    if step_tap == channels * step_channel:     # one long run instead of a short one per tap
        taps, channels = 1, taps * channels
    with nogil:
        for group in range(panels.groups):
            first = 0
            while first < panels.outputs:
                width = panel_width(panels.outputs - first, lanes)
                count = min(width, panels.outputs - first)
                for tap in range(taps):
                    row = origin + group * step_group + first * step_output + tap * step_tap
                    total += pack_rows(row, step_output, step_channel, channels, count, to, width)
                    to += channels * width
                first += width
        panels.finite = total == 0
