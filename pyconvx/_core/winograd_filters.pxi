# Filters of Winograd's algorithms, transformed and packed.

cdef extern from "winograd_line.h":
    void winograd_line_filters(int taps, const float *g, Py_ssize_t tap, float *u, Py_ssize_t step) noexcept nogil

cdef enum:
    FILTER_RUN = 8                  # channels of filters transformed at a time
    TAPS_STEP = (FILTER_RUN + 1) * LANES_F32    # a vector more: taps do not share lines of the nearest cache
    POINTS_STEP = (FILTER_RUN * TILE_VECTORS + 1) * LANES_F32   # nor do points
    MOST_TAPS = 5                   # taps along a side of a square, and
    MOST_TAPS_ALONG = 6             # of a line
    FILTERS_ALONE = 1 << 16         # numbers that are sooner made by one thread than shared out

cdef struct transform_t:            # of filters, a panel a block
    void *panels                    # WinogradPanels, which outlive it
    const float *origin             # the filters, and from one to the next
    Py_ssize_t step_group, step_output, step_tap, step_channel
    Py_ssize_t per_group            # panels


cdef cnp.ndarray folded_filters(cnp.ndarray filters, tuple kernel, Py_ssize_t fold, Py_ssize_t side):
    """(F, taps, C) with taps of a first axis and kernel = two others: squares of fold x fold taps become channels.

    What is missing of side x side squares is zero.
    """
    outputs, channels = filters.shape[0], filters.shape[2]
    taps = filters.reshape((outputs, -1, *kernel, channels))
    depth, missing = taps.shape[1], [(0, side * fold - k) for k in kernel]
    taps = np.pad(taps, [(0, 0), (0, 0), *missing, (0, 0)]).reshape((outputs, depth, side, fold, side, fold, channels))
    return taps.transpose((0, 1, 2, 4, 3, 5, 6)).reshape((outputs, depth * side * side, fold * fold * channels))


cdef class WinogradPanels:
    """Transformed filters: [group][panel][point][depth tap][channel][lane].

    filters: (F, taps, C // groups), float32; kernel: their taps along three axes. form: taps along a side (3, 4 or 5)
    of the last two, or WINOGRAD_STRIDED, after squares of fold x fold taps have become channels (groups 1); of lines,
    WINOGRAD_LINE more than the taps of a piece. order: of the axes, lines lie along the last, and sums go over taps of
    the first; the other has one then. phases: of the stride of lines, 1 of squares. With `transposed` channels and
    filters change places; with `flipped` the taps of squares and lines are taken in reverse. `packing` as for Panels;
    threads: that share the work.
    """
    cdef readonly Py_ssize_t groups, outputs, channels, depth, fold, points, phases
    cdef readonly bint transposed, flipped
    cdef readonly int form
    cdef tuple kernel, order
    cdef Py_ssize_t length, pieces      # taps of the filters that `flipped` turns, and the parts they are cut into
    cdef Py_ssize_t deep_step, step     # taps from one of the first axis to the next, and from one of these
    cdef Py_ssize_t group_size
    cdef object memory
    cdef float *data

    def __init__(self, cnp.ndarray filters, Py_ssize_t groups, bint transposed, bint flipped, int form,
                 Py_ssize_t fold, tuple kernel, tuple order, Py_ssize_t phases, bint packing=True, int threads=1):
        cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float), piece = WINOGRAD_TAPS(form)
        deep, across, along = [kernel[i] for i in order]
        if WINOGRAD_IS_LINE(form):
            fits = WINOGRAD_LINE + 2 <= form <= WINOGRAD_LINE + MOST_TAPS_ALONG and fold == 1 and across == 1
        else:
            fits = 2 <= form <= MOST_TAPS and 1 <= fold <= MOST_FOLD and order == (0, 1, 2) and (
                across == along == piece if fold == 1 else groups == 1 and max(across, along) <= piece * fold)
        if not fits:
            raise ValueError("Winograd's algorithm: the filters do not fit")
        self.groups, self.transposed, self.flipped, self.form, self.fold = groups, transposed, flipped, form, fold
        self.kernel, self.order, self.phases = kernel, order, phases
        self.points, self.pieces = WINOGRAD_FILTER_POINTS(form), pieces_of(form, along, phases)
        self.length = along if WINOGRAD_IS_LINE(form) else piece * piece
        steps_of(order[0] > order[2], deep, self.length, &self.deep_step, &self.step)
        self.depth = deep * self.pieces
        self.outputs, self.channels = filters.shape[0] // groups, filters.shape[2] * fold * fold
        if transposed:
            self.outputs, self.channels = self.channels, self.outputs
        self.group_size = (self.outputs + lanes - 1) // lanes * lanes * self.points * self.depth * self.channels
        if not packing:
            return
        if fold > 1:
            filters = folded_filters(filters, (across, along), fold, piece)
        cdef transform_t job
        job.step_output = filters.strides[0] // filters.itemsize
        job.step_tap = filters.strides[1] // filters.itemsize
        job.step_channel = filters.strides[2] // filters.itemsize
        job.step_group = job.step_output * (filters.shape[0] // groups)
        if transposed:
            job.step_output, job.step_channel = job.step_channel, job.step_output
        self.memory = np.empty(self.group_size * groups * sizeof(float) + 64, np.uint8)
        self.data = <float *> ((<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64)
        job.panels, job.origin = <void *> self, <const float *> cnp.PyArray_DATA(filters)
        job.per_group = (self.outputs + lanes * TILE_VECTORS - 1) // (lanes * TILE_VECTORS)
        if self.group_size * groups < FILTERS_ALONE:
            threads = 1
        with nogil:
            run(transform_block, &job, groups * job.per_group, threads)

    cdef void transform(self, const transform_t *job, Py_ssize_t group, Py_ssize_t first) noexcept nogil:
        """Transform the filters of one panel, from output `first` of a group on.

        A few channels at a time: what belongs to one point lies together, and points lie far apart. Lanes beyond the
        last output are zeros, or those of the vector before, whose sums are good if its are.
        """
        cdef float taps[MOST_TAPS * MOST_TAPS * TAPS_STEP]
        cdef float points[POINTS * POINTS_STEP]
        cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
        cdef Py_ssize_t outputs = self.outputs - first, step_output = job.step_output, step_channel = job.step_channel
        cdef Py_ssize_t width = lanes * TILE_VECTORS if outputs > lanes else lanes
        cdef Py_ssize_t all_taps = WINOGRAD_TAPS(self.form) * WINOGRAD_ROWS(self.form, WINOGRAD_TAPS(self.form))
        cdef Py_ssize_t inner = self.depth * self.channels, d, c, k, x, i, run, tap, lane, since, there
        cdef const float *origin = job.origin + group * job.step_group + first * step_output
        cdef float *panel = self.data + group * self.group_size + first * self.points * inner
        cdef float *to
        memset(taps, 0, sizeof(taps))
        for d in range(self.depth):
            since = piece_at(d % self.pieces, all_taps, self.phases)
            there = min(all_taps, taps_from(since, self.length, self.phases))
            memset(taps + there * TAPS_STEP, 0, (all_taps - there) * TAPS_STEP * sizeof(float))
            for c from 0 <= c < self.channels by FILTER_RUN:
                run = min(<Py_ssize_t> FILTER_RUN, self.channels - c)
                for lane from 0 <= lane < min(width, outputs) by lanes:
                    for k in range(there):
                        tap = since + k * self.phases
                        if self.flipped:
                            tap = self.length - 1 - tap
                        tap = d // self.pieces * self.deep_step + tap * self.step
                        turn(origin + lane * step_output + tap * job.step_tap + c * step_channel, step_output,
                             step_channel, taps + k * TAPS_STEP, lanes, 1, min(lanes, outputs - lane), run)
                    for i in range(run):
                        self.points_of(taps + i * lanes, points + i * width + lane)
                for x in range(self.points):
                    to = panel + (x * inner + d * self.channels + c) * width
                    memcpy(to, points + x * POINTS_STEP, run * width * sizeof(float))
                    for i in range(run):
                        PREFETCH(to + (run + i) * width)        # what is written next

    cdef inline void points_of(self, const float *taps, float *points) noexcept nogil:
        if WINOGRAD_IS_LINE(self.form):
            winograd_line_filters(WINOGRAD_TAPS(self.form), taps, TAPS_STEP, points, POINTS_STEP)
        else:
            winograd_filters(self.form, taps, TAPS_STEP, points, POINTS_STEP)

    @property
    def nbytes(self):
        """Bytes held."""
        return 0 if self.memory is None else self.memory.nbytes


cdef void transform_block(void *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const transform_t *work = <const transform_t *> job
    cdef Py_ssize_t width = VECTOR_BYTES // <Py_ssize_t> sizeof(float) * TILE_VECTORS
    (<WinogradPanels> work.panels).transform(work, block // work.per_group, block % work.per_group * width)
