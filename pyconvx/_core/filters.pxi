# The gradient of a convolution with respect to its filters:
# g[f, tap, c] = sum over places of gy[place, f] * x[tap of the place, c].
#
# One block of work is one tap and up to CHANNELS channels of one group; it visits all places in order, PLACES at a
# time, so that no sum is shared between threads. Each chunk of places is summed by itself first, which keeps the
# rounding error small.

cdef enum:
    PLACES = 128
    CHANNELS = 4 * TILE_FULL

cdef struct filters_t:
    source_t source
    const void *x
    const void *constants
    const void *gy
    void *gradient                  # (F, taps, C // groups), contiguous
    Py_ssize_t gy_n
    Py_ssize_t gy_stride[AXES]
    Py_ssize_t groups, outputs, channels, channel_blocks
    char *scratch
    Py_ssize_t scratch_size, rows_at, total_at, part_at, mix_at


cdef void filters_block(real *kind, const filters_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t wide = lanes * TILE_VECTORS
    cdef Py_ssize_t all_lanes = (job.outputs + lanes - 1) // lanes * lanes
    cdef Py_ssize_t channel0 = block % job.channel_blocks * CHANNELS
    cdef Py_ssize_t channels = min(CHANNELS, job.channels - channel0)
    cdef Py_ssize_t tap = block // job.channel_blocks % s.taps
    cdef Py_ssize_t group = block // job.channel_blocks // s.taps
    cdef Py_ssize_t offset = group * job.channels + channel0
    cdef Py_ssize_t codes[AXES]
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef real *panel = <real *> scratch
    cdef const real **rows = <const real **> (scratch + job.rows_at)
    cdef real *total = <real *> (scratch + job.total_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef real *mix
    cdef const real *constants = <const real *> job.constants
    cdef const real *image
    cdef const real *gy
    cdef const real *gys[PLACES]
    cdef real *sums
    cdef real *result
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t all_places = s.batch * s.places
    cdef Py_ssize_t place, place0, count, n, first, width, valid, channel, height, m, lane
    memset(total, 0, channels * all_lanes * sizeof(real))
    for place0 from 0 <= place0 < all_places by PLACES:
        count = min(PLACES, all_places - place0)
        mix = <real *> (scratch + job.mix_at)
        for place in range(count):
            n = (place0 + place) // s.places
            split(s, place0 + place - n * s.places, at)
            image = <const real *> job.x + n * s.stride_n
            gys[place] = (<const real *> job.gy) + n * job.gy_n + target(s, at, job.gy_stride) + group * job.outputs
            codes_of(s, at, tap, codes)
            rows[place] = tap_row(s, image, constants, codes[0], codes[1], codes[2], mix)
            if rows[place] == mix:
                mix += s.channels
            elif rows[place] == NULL:
                rows[place] = constants + AXES * s.channels
        first = 0
        sums = total
        while first < job.outputs:
            width = wide if job.outputs - first > lanes else lanes
            valid = min(width, job.outputs - first)
            for place in range(count):
                gy = gys[place] + first
                for lane in range(valid):
                    panel[place * width + lane] = gy[lane]
                for lane in range(valid, width):
                    panel[place * width + lane] = 0
            memset(part, 0, channels * width * sizeof(real))
            channel = 0
            while channel < channels:
                height = min(TILE_FULL, channels - channel)
                if real is float:
                    outer_f32(height, width // lanes, rows, count, offset + channel, panel, part + channel * width)
                else:
                    outer_f64(height, width // lanes, rows, count, offset + channel, panel, part + channel * width)
                channel += height
            for m in range(channels * width):
                sums[m] += part[m]
            sums += channels * width
            first += width
    first = 0
    sums = total
    while first < job.outputs:
        width = wide if job.outputs - first > lanes else lanes
        for lane in range(min(width, job.outputs - first)):
            result = (<real *> job.gradient) + channel0
            result += ((group * job.outputs + first + lane) * s.taps + tap) * job.channels
            for channel in range(channels):
                result[channel] = sums[channel * width + lane]
        sums += channels * width
        first += width


cdef void filters_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    filters_block(<float *> NULL, <const filters_t *> job, block, worker)


cdef void filters_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    filters_block(<double *> NULL, <const filters_t *> job, block, worker)


def filter_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gradient, Py_ssize_t groups, tuple axes,
                    cnp.ndarray constants, int threads):
    """Fill gradient (F, taps, C // groups), contiguous, from x (N, D, H, W, C) and gy (N, *places, F)."""
    cdef filters_t job
    cdef Py_ssize_t lanes = VECTOR_BYTES // x.itemsize
    job.source = source_of(x, axes)
    job.x, job.gy, job.gradient = cnp.PyArray_DATA(x), cnp.PyArray_DATA(gy), cnp.PyArray_DATA(gradient)
    job.constants = cnp.PyArray_DATA(constants)
    job.gy_n = gy.strides[0] // gy.itemsize
    for i in range(AXES):
        job.gy_stride[i] = gy.strides[i + 1] // gy.itemsize
    job.groups, job.outputs, job.channels = groups, gradient.shape[0] // groups, gradient.shape[2]
    job.channel_blocks = (job.channels + CHANNELS - 1) // CHANNELS
    cdef Py_ssize_t all_lanes = (job.outputs + lanes - 1) // lanes * lanes
    cdef Py_ssize_t channels = min(CHANNELS, job.channels)
    job.rows_at = rounded(PLACES * TILE_VECTORS * VECTOR_BYTES)
    job.total_at = job.rows_at + rounded(PLACES * sizeof(void *))
    job.part_at = job.total_at + rounded(channels * all_lanes * x.itemsize)
    job.mix_at = job.part_at + rounded(channels * TILE_VECTORS * VECTOR_BYTES)
    cdef Py_ssize_t size = job.mix_at + (PLACES * job.source.channels * x.itemsize if job.source.mixed else 0)
    if 2.0 * job.source.batch * job.source.places * gradient.size < 4e5:
        threads = 1
    cdef _Scratch scratch = _Scratch(size, threads)
    job.scratch, job.scratch_size = scratch.first, scratch.size
    cdef bint single = x.itemsize == 4
    with nogil:
        run(filters_block_f32 if single else filters_block_f64, &job, groups * job.source.taps * job.channel_blocks,
            threads)
