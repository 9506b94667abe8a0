# The gradient of a convolution with respect to its filters:
# g[f, tap, c] = sum over places of gy[place, f] * x[tap of the place, c].
#
# The channels of a group for all taps of a kernel row are the columns that a block of work computes, up to COLUMNS of
# them, with all outputs of the group. It visits all places in order, PLACES at a time, so that no sum is shared between
# threads; where that takes long, the blocks go through some of the places after the others, and signals are answered
# in between. Each chunk of places is summed by itself; the chunks are added up in double. Lanes are outputs, or where
# few of these are in a group, columns. Depthwise convolutions have a kernel of their own: lanes are groups.

cdef enum:
    PLACES = 128
    COLUMNS = 4 * TILE_FULL
    VISIT_PRODUCTS = 100000000      # of a block, after which signals are asked for

cdef struct filters_t:
    source_t source
    const void *x
    const void *constants
    const void *gy
    void *gradient                  # (F, taps, C // groups), contiguous
    Py_ssize_t gy_n
    Py_ssize_t gy_stride[AXES]
    Py_ssize_t groups, outputs, channels
    Py_ssize_t line                 # columns of a kernel row
    Py_ssize_t column_blocks
    bint runs                       # they may lie one after the other in x
    bint turned                     # lanes are columns
    bint single                     # float, else double
    Py_ssize_t place0, place1       # places that are visited now
    char *totals                    # of each block, from one visit to the next; NULL: there is only one visit
    Py_ssize_t total_size
    char *scratch
    Py_ssize_t scratch_size, copies_at, total_at, part_at, mix_at


cdef inline const real *columns_of(const filters_t *job, const real *image, const Py_ssize_t *at, Py_ssize_t a,
                                   Py_ssize_t b, Py_ssize_t group, Py_ssize_t column0, Py_ssize_t columns, real *copy,
                                   real *mix) noexcept nogil:
    """What a place reads in some columns of a kernel row: in x, or copied."""
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef const Py_ssize_t *code = last.code + last.row[at[2]]
    cdef const real *row
    cdef Py_ssize_t tap, first, until, column
    if (a | b) >= 0 and code[0] >= 0 and job.runs and (last.taps == 1 or last.run[at[2]]):
        return image + a * s.stride[0] + b * s.stride[1] + code[0] * s.stride[2] + group * job.channels + column0
    column = column0
    while column < column0 + columns:
        tap = column // job.channels
        first = column - tap * job.channels
        until = min(job.channels, first + column0 + columns - column)
        row = tap_row(s, image, <const real *> job.constants, a, b, code[tap * last.step], mix)
        if row == NULL:
            memset(copy, 0, (until - first) * sizeof(real))
        else:
            memcpy(copy, row + group * job.channels + first, (until - first) * sizeof(real))
        copy += until - first
        column += until - first
    return copy - columns


cdef void filters_block(real *kind, const filters_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t column0 = block % job.column_blocks * COLUMNS
    cdef Py_ssize_t columns = min(COLUMNS, job.line - column0)
    cdef Py_ssize_t kernel_row = block // job.column_blocks % (s.axis[0].taps * s.axis[1].taps)
    cdef Py_ssize_t k0 = kernel_row // s.axis[1].taps, k1 = kernel_row % s.axis[1].taps
    cdef Py_ssize_t group = block // job.column_blocks // (s.axis[0].taps * s.axis[1].taps)
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef real *panel = <real *> scratch
    cdef real *copies = <real *> (scratch + job.copies_at)
    cdef double *total = <double *> (scratch + job.total_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef real *mix = <real *> (scratch + job.mix_at)
    cdef const real *xs[PLACES]
    cdef const real *gys[PLACES]
    # broadcast elements of `rows`, lanes of `others`: tall x wide results
    cdef const real **rows = &gys[0] if job.turned else &xs[0]
    cdef const real **others = &xs[0] if job.turned else &gys[0]
    cdef Py_ssize_t tall = job.outputs if job.turned else columns
    cdef Py_ssize_t wide = columns if job.turned else job.outputs
    cdef double *sums
    cdef const real *other
    cdef real *result
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t all_places = s.batch * s.places
    cdef Py_ssize_t place, place0, count, n = 0, first, width, valid, row, height, m, lane, a, b
    if job.totals != NULL:
        total = <double *> (job.totals + block * job.total_size)
    n = job.place0 // s.places
    split(s, job.place0 - n * s.places, at)
    for place0 from job.place0 <= place0 < job.place1 by PLACES:
        count = min(PLACES, job.place1 - place0)
        for place in range(count):
            gys[place] = (<const real *> job.gy) + n * job.gy_n + target(s, at, job.gy_stride) + group * job.outputs
            a = s.axis[0].code[s.axis[0].row[at[0]] + k0 * s.axis[0].step]
            b = s.axis[1].code[s.axis[1].row[at[1]] + k1 * s.axis[1].step]
            xs[place] = columns_of(job, <const real *> job.x + n * s.stride_n, at, a, b, group, column0, columns,
                                   copies + place * columns, mix)
            n += step_on(s, at)
        first = 0
        sums = total
        while first < wide:
            width = lanes * TILE_VECTORS if wide - first > lanes else lanes
            valid = min(width, wide - first)
            for place in range(count):
                other = others[place] + first
                for lane in range(valid):
                    panel[place * width + lane] = other[lane]
                for lane in range(valid, width):
                    panel[place * width + lane] = 0
            memset(part, 0, tall * width * sizeof(real))
            row = 0
            while row < tall:
                height = min(TILE_FULL, tall - row)
                if real is float:
                    outer_f32(height, width // lanes, rows, count, row, panel, part + row * width)
                else:
                    outer_f64(height, width // lanes, rows, count, row, panel, part + row * width)
                row += height
            if place0:
                for m in range(tall * width):
                    sums[m] += part[m]
            else:
                for m in range(tall * width):
                    sums[m] = part[m]
            sums += tall * width
            first += width
    if job.place1 < all_places:
        return
    if all_places == 0:
        memset(total, 0, tall * (wide + 2 * lanes) * sizeof(double))
    first = 0
    sums = total
    result = (<real *> job.gradient) + group * job.outputs * s.taps * job.channels + kernel_row * job.line + column0
    while first < wide:
        width = lanes * TILE_VECTORS if wide - first > lanes else lanes
        if job.turned:
            for row in range(tall):
                for lane in range(min(width, wide - first)):
                    result[row * s.taps * job.channels + first + lane] = <real> sums[row * width + lane]
        else:
            for lane in range(min(width, wide - first)):
                for row in range(tall):
                    result[(first + lane) * s.taps * job.channels + row] = <real> sums[row * width + lane]
        sums += tall * width
        first += width


cdef void lanes_block(real *kind, const filters_t *job, Py_ssize_t block, int worker) noexcept nogil:
    """One filter per channel: some taps of a kernel row, all channels."""
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t tap0 = block % job.column_blocks * TILE_FULL
    cdef Py_ssize_t taps = min(TILE_FULL, last.taps - tap0)
    cdef Py_ssize_t kernel_row = block // job.column_blocks
    cdef Py_ssize_t k0 = kernel_row // s.axis[1].taps, k1 = kernel_row % s.axis[1].taps
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef const real **xs = <const real **> scratch      # PLACES groups of TILE_FULL
    cdef double *total = <double *> (scratch + job.total_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef real *mix
    cdef const real *gys[PLACES]
    cdef const real *constants = <const real *> job.constants
    cdef const real *image
    cdef const real *pointer
    cdef real *result = <real *> job.gradient
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t all_places = s.batch * s.places
    cdef Py_ssize_t place, place0, count, n = 0, a, b, tap, m
    cdef const Py_ssize_t *code
    if job.totals != NULL:
        total = <double *> (job.totals + block * job.total_size)
    if job.place0 == 0:
        memset(total, 0, taps * s.channels * sizeof(double))
    n = job.place0 // s.places
    split(s, job.place0 - n * s.places, at)
    for place0 from job.place0 <= place0 < job.place1 by PLACES:
        count = min(PLACES, job.place1 - place0)
        mix = <real *> (scratch + job.mix_at)
        for place in range(count):
            image = <const real *> job.x + n * s.stride_n
            gys[place] = (<const real *> job.gy) + n * job.gy_n + target(s, at, job.gy_stride)
            a = s.axis[0].code[s.axis[0].row[at[0]] + k0 * s.axis[0].step]
            b = s.axis[1].code[s.axis[1].row[at[1]] + k1 * s.axis[1].step]
            code = last.code + last.row[at[2]] + tap0 * last.step
            if (a | b) >= 0 and last.run[at[2]]:
                pointer = image + a * s.stride[0] + b * s.stride[1] + code[0] * s.stride[2]
                for tap in range(taps):
                    xs[place * TILE_FULL + tap] = pointer + tap * s.stride[2]
            else:
                for tap in range(taps):
                    pointer = tap_row(s, image, constants, a, b, code[tap * last.step], mix)
                    if pointer == mix:
                        mix += s.channels
                    elif pointer == NULL:
                        pointer = constants + AXES * s.channels
                    xs[place * TILE_FULL + tap] = pointer
            n += step_on(s, at)
        if real is float:
            products_f32(taps, xs, gys, count, s.channels, part)
        else:
            products_f64(taps, xs, gys, count, s.channels, part)
        for m in range(taps * s.channels):
            total[m] += part[m]
    if job.place1 < all_places:
        return
    for tap in range(taps):
        for m in range(s.channels):
            result[m * s.taps + kernel_row * last.taps + tap0 + tap] = <real> total[tap * s.channels + m]


cdef void filters_block_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const filters_t *> job).single:
        filters_block(<float *> NULL, <const filters_t *> job, block, worker)
    else:
        filters_block(<double *> NULL, <const filters_t *> job, block, worker)


cdef void lanes_block_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const filters_t *> job).single:
        lanes_block(<float *> NULL, <const filters_t *> job, block, worker)
    else:
        lanes_block(<double *> NULL, <const filters_t *> job, block, worker)


def filter_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gradient, Py_ssize_t groups, tuple axes,
                    cnp.ndarray constants, int threads):
    """Fill gradient (F, taps, C // groups), contiguous, from x (N, D, H, W, C) and gy (N, *places, F)."""
    cdef filters_t job
    cdef Py_ssize_t lanes = VECTOR_BYTES // x.itemsize
    job.source = source_of(x, axes)
    job.x, job.gy, job.gradient = cnp.PyArray_DATA(x), cnp.PyArray_DATA(gy), cnp.PyArray_DATA(gradient)
    job.constants = cnp.PyArray_DATA(constants)
    job.single = x.itemsize == 4
    job.gy_n = strides_of(gy, job.gy_stride)
    job.groups, job.outputs, job.channels = groups, gradient.shape[0] // groups, gradient.shape[2]
    cdef Py_ssize_t taps = job.source.axis[2].taps, blocks = job.source.axis[0].taps * job.source.axis[1].taps
    cdef bint depthwise = job.outputs == 1 and job.channels == 1 and groups > 1
    if 2.0 * job.source.batch * job.source.places * gradient.size < 4e5:
        threads = 1
    job.line = taps * job.channels
    job.runs = taps == 1 or (groups == 1 and job.source.stride[2] == job.channels)
    if depthwise:
        job.column_blocks = (taps + TILE_FULL - 1) // TILE_FULL
        job.total_at = rounded(PLACES * TILE_FULL * sizeof(void *))
        job.part_at = job.total_at + rounded(TILE_FULL * job.source.channels * sizeof(double))
        job.mix_at = job.part_at + rounded(TILE_FULL * job.source.channels * x.itemsize)
        job.scratch_size = job.mix_at
        if job.source.mixed:
            job.scratch_size += PLACES * TILE_FULL * job.source.channels * x.itemsize
    else:
        job.column_blocks = (job.line + COLUMNS - 1) // COLUMNS
        blocks *= groups
        job.turned = 2 * job.outputs <= lanes and job.outputs < job.line
        job.copies_at = rounded(PLACES * TILE_VECTORS * VECTOR_BYTES)
        job.total_at = job.copies_at + rounded(PLACES * COLUMNS * x.itemsize)
        job.part_at = job.total_at + rounded(COLUMNS * (job.outputs + 2 * lanes) * sizeof(double))
        job.mix_at = job.part_at + rounded(max(COLUMNS, job.outputs) * TILE_VECTORS * VECTOR_BYTES)
        job.scratch_size = job.mix_at + job.source.channels * x.itemsize
    cdef _Scratch scratch = _Scratch(job.scratch_size, threads)
    job.scratch, job.scratch_size = scratch.first, scratch.size
    blocks *= job.column_blocks
    cdef Py_ssize_t all_places = job.source.batch * job.source.places
    cdef Py_ssize_t products = (min(TILE_FULL, taps) if depthwise else min(COLUMNS, job.line)) * (
        job.source.channels if depthwise else job.outputs)
    cdef Py_ssize_t visit = max(1, VISIT_PRODUCTS // products // PLACES) * PLACES
    cdef _Scratch totals
    job.totals, job.total_size = NULL, job.part_at - job.total_at
    if visit < all_places:
        totals = _Scratch(job.total_size * blocks, 1)
        job.totals = totals.first
    job.place0 = 0
    while True:
        job.place1 = min(job.place0 + visit, all_places)
        with nogil:
            run(lanes_block_any if depthwise else filters_block_any, &job, blocks, threads)
        PyErr_CheckSignals()
        if job.place1 == all_places:
            break
        job.place0 = job.place1
