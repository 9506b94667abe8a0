# Convolution with few filters and many channels: lanes are channels, which lie together in x and in the filters.
#
# The tables, and the tiles of places that share them, are those of the implicit GEMM.

cdef enum:
    DOTS_PLACES = 96                # of a block
    DOTS_TAPS = 128                 # most whose pointers are held at once

MOST_DOTS, MOST_DOTS_TAPS = DOTS_FILTERS, DOTS_TAPS


cdef class DotFilters(Packed):
    """Filters as they are: [group][output][tap][channel]."""

    def __init__(self, cnp.ndarray filters, Py_ssize_t groups, bint transposed, bint packing=True):
        Packed.__init__(self, filters, groups, transposed)
        if not packing:
            return
        apart = (<object> filters).reshape(groups, -1, self.taps, filters.shape[2])
        cdef cnp.ndarray own = np.array(apart.transpose(0, 3, 2, 1) if transposed else apart, order="C")
        if filters.dtype == np.float32:
            self.finite = spoiled_f32(<const float *> cnp.PyArray_DATA(own), own.size) == 0
        else:
            self.finite = spoiled_f64(<const double *> cnp.PyArray_DATA(own), own.size) == 0
        self.memory = own


cdef void dots_block(real *kind, const conv_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef Py_ssize_t place = block * DOTS_PLACES
    cdef Py_ssize_t until = min(place + DOTS_PLACES, job.all_places)
    cdef Py_ssize_t most = DOTS_HEIGHT(job.outputs)
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef const real **rows = <const real **> (scratch + job.rows_at)
    cdef Py_ssize_t *taps = <Py_ssize_t *> (scratch + job.taps_at)
    cdef const real *zeros = <const real *> (scratch + job.zeros_at)
    cdef const real *filters
    cdef const real *bias = <const real *> job.task.bias
    cdef real *targets[TILE_FULL]
    cdef real sums[DOTS_ROWS * DOTS_FILTERS]
    cdef Py_ssize_t size = s.taps * job.channels, outputs = job.outputs, height, count, channels, group, m, f, at
    if job.merge:
        memset(scratch + job.zeros_at, 0, job.channels * s.axis[2].taps * sizeof(real))
    while place < until:
        height = min(most, until - place)
        count = build_tile(job, place, height, 0, s.taps, rows, taps, targets, zeros,
                           <real *> (scratch + job.mix_at), &channels)
        for group in range(job.groups):
            at = group * outputs
            filters = <const real *> job.panels + at * size
            if real is float:
                dots_f32(height, outputs, rows, taps, count, group * job.channels, channels, filters, size, sums)
            else:
                dots_f64(height, outputs, rows, taps, count, group * job.channels, channels, filters, size, sums)
            for m in range(height):
                for f in range(outputs):
                    targets[m][at + f] = sums[m * outputs + f] + (0 if bias == NULL else bias[at + f])
        if job.task.finishing:
            finish_targets(&job.task, targets, height, 0, job.groups * outputs)
        place += height


cdef void dots_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    dots_block(<float *> NULL, <const conv_t *> job, block, worker)


cdef void dots_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    dots_block(<double *> NULL, <const conv_t *> job, block, worker)


cdef class Dots(Convolution):
    """Dots(x, filters, y, axes, constants, threads): sums whose lanes are channels, for at most MOST_DOTS filters of a
    group.

    filters: DotFilters. The adjoint is this kernel with inverted tables and transposed filters; then they are finite.
    """
    cdef conv_t job
    cdef DotFilters filters

    def __init__(self, cnp.ndarray x, DotFilters filters, cnp.ndarray y, tuple axes, cnp.ndarray constants,
                 int threads):
        cdef conv_t *job = &self.job
        cdef source_t *source = &job.task.source
        self.begin(job, sizeof(conv_t), x, y, axes, constants, threads,
                   1.0 * filters.groups * filters.outputs * filters.channels * filters.taps)
        if source.taps > DOTS_TAPS or filters.outputs > DOTS_FILTERS:
            raise ValueError("Dots: too many taps or filters")
        self.filters = filters
        job.groups, job.outputs, job.channels = filters.groups, filters.outputs, filters.channels
        job.panels = NULL if filters.memory is None else cnp.PyArray_DATA(filters.memory)
        job.skip = filters.finite and not constants.any()
        job.all_places, job.places = source.batch * source.places, NULL
        cdef Py_ssize_t line = source.axis[2].taps
        # a kernel row is one run where the same channels of all its taps are in the same lanes
        job.merge = job.skip and job.groups == 1 and not source.mixed and source.stride[2] == source.channels \
            and 1 < line and job.channels * line <= LONGEST_RUN and job.channels % (VECTOR_BYTES // x.itemsize) == 0
        job.rows_at = 0
        job.taps_at = rounded(source.taps * TILE_FULL * sizeof(void *))
        job.zeros_at = job.taps_at + rounded(source.taps * sizeof(Py_ssize_t))
        job.mix_at = job.zeros_at + (rounded(job.channels * line * x.itemsize) if job.merge else 0)
        job.task.scratch_size = job.mix_at
        if source.mixed:
            job.task.scratch_size += rounded(source.taps * TILE_FULL * source.channels * x.itemsize)
        self.finishes = self.whole = True
        self.end(dots_block_f32 if x.itemsize == 4 else dots_block_f64,
                 (job.all_places + DOTS_PLACES - 1) // DOTS_PLACES)

    def pack(self, cnp.ndarray filters):
        return self.filters.like(filters)

    cdef int use(self, void *job, packed) except -1:
        (<conv_t *> job).panels = cnp.PyArray_DATA((<DotFilters?> packed).memory)
        return 0
