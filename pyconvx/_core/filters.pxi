# The gradient of a convolution with respect to its filters:
# g[f, tap, c] = sum over places of gy[place, f] * x[tap of the place, c].
#
# A block of work computes the sums of one cell: some taps of one position on the first axis, some channels and some
# outputs of a group. It visits places, a chunk of up to PLACES of them after the other, so that no sum is shared
# between threads: all places or, where there are few cells, a share of them, whatever the threads, and the shares are
# added up in order. Where that takes long, the blocks go through some of the chunks after the others, and signals are
# answered in between. Each chunk is summed by itself; the chunks are added up in double. The rows of x that a chunk
# reads are laid out once for all taps of the cell. Lanes are outputs, or where few of these are in a group, what lies
# next to one another there: channels, and those of neighbouring taps. Depthwise convolutions have a kernel of their
# own: lanes are groups.

cdef enum:
    PLACES = 128
    CELL_CHANNELS = 64              # most channels of a cell
    LINE_COLUMNS = 512              # about as many taps of the last axis times channels
    CELL_COLUMNS = 1024             # taps times channels
    CELL_SUMS = 1 << 14             # times outputs, unless one panel of them has more
    SHARED_BLOCKS = 32              # most blocks that there are because places are shared out
    SHARE_CHUNKS = 4                # least chunks of a share
    VISIT_PRODUCTS = 100000000      # of a block, after which signals are asked for
    SPREAD_VECTORS = 8              # most that `spread` takes at once

cdef struct filters_t:
    task_t task                     # what is read: the rest of it is not used
    const void *gy
    void *gradient                  # (F, taps, C // groups), contiguous
    Py_ssize_t gy_n
    Py_ssize_t gy_stride[AXES]
    Py_ssize_t outputs, channels    # of a group
    Py_ssize_t parts[4]             # in how many cells the taps of the second and third axis, C and F are cut
    Py_ssize_t wide                 # outputs of a panel; F is cut between panels
    Py_ssize_t sums                 # of a cell: taps times channels times outputs
    Py_ssize_t pieces, rows, strips        # chunks of a row of places, of the rows, of samples times the first axis
    bint in_place                   # x is read where it is: one tap, and no padding
    Py_ssize_t rise[AXES]           # positions from a place to the next, where places share what they read; else 0
    bint joined                     # neighbouring taps lie together
    bint turned                     # lanes are columns
    bint single                     # float, else double
    Py_ssize_t cells, shares        # a block is a cell and a share of the chunks
    Py_ssize_t chunk0, chunk1       # of a share, that are visited now
    char *totals                    # of each block, from one visit to the next; NULL: there is only one visit
    Py_ssize_t total_size
    Py_ssize_t row_codes            # most codes of rows that are laid out tap by tap
    Py_ssize_t panel_at, total_at, part_at, codes_at, offsets_at, mix_at

cdef struct cell_t:
    Py_ssize_t group, depth         # depth: tap of the first axis
    Py_ssize_t first[4]             # tap of the second and third axis, channel, output
    Py_ssize_t count[4]
    Py_ssize_t segments, taps, columns      # runs of columns that lie together in x, taps and columns of each

cdef struct layout_t:
    const Py_ssize_t *code          # of each position
    Py_ssize_t length               # positions
    Py_ssize_t origin, rise, step   # position of the first tap of the first place, and on to the next of each


cdef cell_t cell_of(const filters_t *job, Py_ssize_t block) noexcept nogil:
    cdef cell_t cell
    cdef Py_ssize_t lengths[4]
    cdef Py_ssize_t i, part
    lengths[0], lengths[1], lengths[2] = job.task.source.axis[1].taps, job.task.source.axis[2].taps, job.channels
    lengths[3] = (job.outputs + job.wide - 1) // job.wide
    for i in range(3, -1, -1):
        part = block % job.parts[i]
        block //= job.parts[i]
        cell.first[i] = cut_at(lengths[i], job.parts[i], part)
        cell.count[i] = cut_at(lengths[i], job.parts[i], part + 1) - cell.first[i]
    cell.first[3] *= job.wide
    cell.count[3] = min(cell.count[3] * job.wide, job.outputs - cell.first[3])
    cell.taps = cell.count[1] if job.joined else 1
    cell.segments, cell.columns = cell.count[0] * cell.count[1] // cell.taps, cell.taps * cell.count[2]
    cell.depth = block % job.task.source.axis[0].taps
    cell.group = block // job.task.source.axis[0].taps
    return cell


cdef inline Py_ssize_t layout_length(const axis_t *axis, Py_ssize_t rise, Py_ssize_t places,
                                     Py_ssize_t taps) noexcept nogil:
    """Positions that some places read with some taps: with a rise they share them, else there is one for each."""
    return (places - 1) * rise + (taps - 1) * distance(axis) + 1 if rise else places * taps


cdef layout_t layout_of(const axis_t *axis, Py_ssize_t rise, Py_ssize_t place, Py_ssize_t places, Py_ssize_t tap,
                        Py_ssize_t taps, Py_ssize_t *codes) noexcept nogil:
    """Lay out what some places read with some taps: positions that they share once, else tap by tap."""
    cdef layout_t layout
    cdef Py_ssize_t t, m
    layout.length = layout_length(axis, rise, places, taps)
    if rise:
        layout.origin, layout.rise, layout.step = -min((taps - 1) * axis.step, 0), rise, axis.step
        layout.code = axis.code + axis.row[place] + tap * axis.step - layout.origin
    else:
        for t in range(taps):
            for m in range(places):
                codes[t * places + m] = axis.code[axis.row[place + m] + (tap + t) * axis.step]
        layout.code, layout.origin, layout.rise, layout.step = codes, 0, 1, places
    return layout


cdef Py_ssize_t visit_chunk(real *kind, const filters_t *job, const cell_t *cell, Py_ssize_t chunk, char *scratch,
                            const real **xs, const real **gys, Py_ssize_t *offsets) noexcept nogil:
    """Find what a chunk of places reads, laid out, and its gradients; returns how many there are.

    offsets: of each tap of the cell from the first.
    """
    cdef const source_t *s = &job.task.source
    cdef const axis_t *first = &s.axis[0]
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t o0 = cut_at(last.length, job.pieces, chunk % job.pieces)
    cdef Py_ssize_t o1 = cut_at(last.length, job.pieces, chunk % job.pieces + 1)
    chunk //= job.pieces
    cdef Py_ssize_t r0 = cut_at(middle.length, job.rows, chunk % job.rows)
    cdef Py_ssize_t r1 = cut_at(middle.length, job.rows, chunk % job.rows + 1)
    chunk //= job.rows
    cdef Py_ssize_t strip, r, o, t, n, od, a, run0, run1, count = 0
    cdef Py_ssize_t channel = cell.group * job.channels + cell.first[2], channels = cell.count[2]
    cdef Py_ssize_t *codes = <Py_ssize_t *> (scratch + job.codes_at)
    cdef layout_t rows, line
    cdef real *laid = <real *> scratch
    cdef const real *image
    cdef const real *gy
    if not job.in_place:
        rows = layout_of(middle, job.rise[1], r0, r1 - r0, cell.first[0], cell.count[0], codes)
        line = layout_of(last, job.rise[2], o0, o1 - o0, cell.first[1], cell.count[1], codes + job.row_codes)
        longest_run(line.code, line.length, &run0, &run1)
        for r in range(cell.count[0]):
            for t in range(cell.count[1]):
                offsets[r * cell.count[1] + t] = (r * rows.step * line.length + t * line.step) * channels
    for strip in range(cut_at(s.batch * first.length, job.strips, chunk),
                       cut_at(s.batch * first.length, job.strips, chunk + 1)):
        n, od = strip // first.length, strip % first.length
        image = <const real *> job.task.x + n * s.stride_n
        a = first.code[first.row[od] + cell.depth * first.step]
        if not job.in_place:
            for r in range(rows.length):
                lay_line(&job.task, image, a, rows.code[r], line.code, line.length, run0, run1, channel, channels,
                         laid + r * line.length * channels, channels, 1, <real *> (scratch + job.mix_at))
        for r in range(r1 - r0):
            gy = <const real *> job.gy + n * job.gy_n + first.place[od] * job.gy_stride[0] \
                + middle.place[r0 + r] * job.gy_stride[1] + cell.group * job.outputs + cell.first[3]
            for o in range(o1 - o0):
                gys[count] = gy + last.place[o0 + o] * job.gy_stride[2]
                if job.in_place:
                    xs[count] = image + a * s.stride[0] + middle.code[middle.row[r0 + r]] * s.stride[1] \
                        + last.code[last.row[o0 + o]] * s.stride[2] + channel
                else:
                    xs[count] = laid + ((rows.origin + r * rows.rise) * line.length + line.origin
                                        + o * line.rise) * channels
                count += 1
        if not job.in_place:
            laid += rows.length * line.length * channels
    return count


cdef void add_panels(const filters_t *job, const cell_t *cell, const real **xs, const real **gys, Py_ssize_t count,
                     const Py_ssize_t *offsets, real *panel, double *total) noexcept nogil:
    """Add a chunk to the sums, whose lanes are outputs: total[panel][column][lane]."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t tiles = (cell.columns + TILE_FULL - 1) // TILE_FULL
    cdef Py_ssize_t f, width, segment, tile, column, height, offset
    f = 0
    while f < cell.count[3]:
        width = job.wide if cell.count[3] - f > lanes else lanes
        if real is float:
            gather_f32(gys, count, f, min(width, cell.count[3] - f), width, panel)
        else:
            gather_f64(gys, count, f, min(width, cell.count[3] - f), width, panel)
        for segment in range(cell.segments):
            offset = offsets[segment * cell.taps]
            for tile in range(tiles):
                column = cut_at(cell.columns, tiles, tile)
                height = cut_at(cell.columns, tiles, tile + 1) - column
                if real is float:
                    add_outer_f32(height, <int> (width // lanes), xs, count, offset + column, panel, total)
                else:
                    add_outer_f64(height, <int> (width // lanes), xs, count, offset + column, panel, total)
                total += height * width
        f += width


cdef void add_columns(const cell_t *cell, const real **xs, const real **gys, Py_ssize_t count, Py_ssize_t *offsets,
                      real *part, double *total) noexcept nogil:
    """Add a chunk to the sums, whose lanes are columns: total[vector][output][lane]."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real), vectors = 0, segment, column, some, v, m
    cdef Py_ssize_t *at = offsets + cell.count[0] * cell.count[1]       # where each vector lies
    for segment in range(cell.segments):
        for column from 0 <= column < cell.columns by lanes:
            at[vectors] = offsets[segment * cell.taps] + column
            vectors += 1
    for m in range(SPREAD_VECTORS):             # the last ones are taken several times
        at[vectors + m] = at[vectors - 1]
    v = 0
    while v < vectors:
        if real is float:
            some = spread_f32(cell.count[3], vectors - v, gys, count, xs, at + v, part)
        else:
            some = spread_f64(cell.count[3], vectors - v, gys, count, xs, at + v, part)
        some = min(some, vectors - v)
        for m in range(some * cell.count[3] * lanes):
            total[m] += part[m]
        total += some * cell.count[3] * lanes
        v += some


cdef void store_sums(real *kind, const filters_t *job, const cell_t *cell, const double *total) noexcept nogil:
    """Write the gradient of a cell's filters."""
    cdef const source_t *s = &job.task.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t padded = (cell.columns + lanes - 1) // lanes * lanes
    cdef Py_ssize_t f, f0, width, k, segment, column, lane, tap, c
    cdef const double *sums
    cdef real *result
    cdef real *filters = <real *> job.gradient + (cell.group * job.outputs + cell.first[3]) * s.taps * job.channels
    for f in range(cell.count[3]):
        f0 = f // job.wide * job.wide
        width = job.wide if cell.count[3] - f0 > lanes else lanes
        for k in range(cell.count[0] * cell.count[1]):
            tap = (cell.depth * s.axis[1].taps + cell.first[0] + k // cell.count[1]) * s.axis[2].taps \
                + cell.first[1] + k % cell.count[1]
            result = filters + (f * s.taps + tap) * job.channels + cell.first[2]
            segment, column = k // cell.taps, k % cell.taps * cell.count[2]
            if job.turned:
                for c in range(cell.count[2]):
                    lane = segment * padded + column + c
                    result[c] = <real> total[(lane // lanes * cell.count[3] + f) * lanes + lane % lanes]
            else:
                sums = total + f0 * cell.segments * cell.columns + (segment * cell.columns + column) * width + f - f0
                for c in range(cell.count[2]):
                    result[c] = <real> sums[c * width]


cdef void filters_block(real *kind, const filters_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef cell_t cell = cell_of(job, block % job.cells)
    cdef Py_ssize_t chunks = job.pieces * job.rows * job.strips
    cdef Py_ssize_t start = cut_at(chunks, job.shares, block // job.cells)
    cdef Py_ssize_t until = cut_at(chunks, job.shares, block // job.cells + 1)
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef real *panel = <real *> (scratch + job.panel_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef double *total = <double *> (scratch + job.total_at)
    cdef Py_ssize_t *offsets = <Py_ssize_t *> (scratch + job.offsets_at)
    cdef const real *xs[PLACES]
    cdef const real *gys[PLACES]
    cdef Py_ssize_t chunk, count
    if job.totals != NULL:
        total = <double *> (job.totals + block * job.total_size)
    if job.chunk0 == 0:
        memset(total, 0, job.total_size)
    offsets[0] = 0
    for chunk in range(start + job.chunk0, min(start + job.chunk1, until)):
        count = visit_chunk(kind, job, &cell, chunk, scratch, xs, gys, offsets)
        if job.turned:
            add_columns(&cell, xs, gys, count, offsets, part, total)
        else:
            add_panels(job, &cell, xs, gys, count, offsets, panel, total)
    if job.shares == 1 and job.chunk1 >= chunks:
        store_sums(kind, job, &cell, total)


cdef void add_shares(real *kind, const filters_t *job, Py_ssize_t block) noexcept nogil:
    """Write the gradient of a cell whose places were shared out."""
    cdef cell_t cell = cell_of(job, block)
    cdef double *total = <double *> (job.totals + block * job.total_size)
    cdef const double *other
    cdef Py_ssize_t share, m
    for share in range(1, job.shares):
        other = <const double *> (job.totals + (share * job.cells + block) * job.total_size)
        for m in range(job.total_size // <Py_ssize_t> sizeof(double)):
            total[m] += other[m]
    store_sums(kind, job, &cell, total)


cdef void add_shares_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const filters_t *> job).single:
        add_shares(<float *> NULL, <const filters_t *> job, block)
    else:
        add_shares(<double *> NULL, <const filters_t *> job, block)


cdef void filters_block_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const filters_t *> job).single:
        filters_block(<float *> NULL, <const filters_t *> job, block, worker)
    else:
        filters_block(<double *> NULL, <const filters_t *> job, block, worker)


cdef inline Py_ssize_t parts_of(Py_ssize_t length, Py_ssize_t most) noexcept nogil:
    """In how many parts a length is cut that are `most` long, or one."""
    return max(1, (length + max(1, most) - 1) // max(1, most))


cdef inline Py_ssize_t longest_part(Py_ssize_t length, Py_ssize_t parts) noexcept nogil:
    return (length + parts - 1) // parts


cdef Py_ssize_t shared_rise(const axis_t *axis, Py_ssize_t rise, Py_ssize_t places, Py_ssize_t taps) noexcept nogil:
    """The rise of a layout whose places share positions, or 0 if it would be larger than one without."""
    return rise if rise and layout_length(axis, rise, places, taps) <= places * taps else 0


cdef bint plain_codes(const axis_t *axis) noexcept nogil:
    """Whether an axis with one tap has neither padding nor sums."""
    cdef Py_ssize_t place
    for place in range(axis.length):
        if axis.code[axis.row[place]] < 0:
            return False
    return axis.taps == 1


cdef Py_ssize_t plan_cells(filters_t *job, tuple axes, Py_ssize_t itemsize, Py_ssize_t groups):
    """Choose cells and chunks and lay out scratch memory; returns the number of blocks."""
    cdef source_t *s = &job.task.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // itemsize, blocks, columns, places, rows, strips, panels, i
    cdef Py_ssize_t most[4]
    job.turned = 2 * job.outputs <= lanes and job.outputs < s.axis[2].taps * job.channels
    job.wide = job.outputs if job.turned else lanes * TILE_VECTORS
    panels = (job.outputs + job.wide - 1) // job.wide
    # the channels that lie together first, then as many taps, then as many outputs as stay small enough
    job.parts[2] = parts_of(job.channels, CELL_CHANNELS)
    most[2] = longest_part(job.channels, job.parts[2])
    job.parts[1] = parts_of(s.axis[2].taps, LINE_COLUMNS // most[2])
    most[1] = longest_part(s.axis[2].taps, job.parts[1])
    job.parts[0] = parts_of(s.axis[1].taps, CELL_COLUMNS // (most[1] * most[2]))
    most[0] = longest_part(s.axis[1].taps, job.parts[0])
    job.parts[3] = parts_of(panels, CELL_SUMS // (most[0] * most[1] * most[2] * job.wide))
    blocks = groups * s.axis[0].taps * job.parts[0] * job.parts[1] * job.parts[2] * job.parts[3]
    most[0] = longest_part(s.axis[1].taps, job.parts[0])
    most[3] = min(job.outputs, longest_part(panels, job.parts[3]) * job.wide)
    columns = most[0] * most[1] * most[2]
    job.sums = columns * most[3]

    job.pieces = parts_of(s.axis[2].length, PLACES)
    places = longest_part(s.axis[2].length, job.pieces)
    job.rows = parts_of(s.axis[1].length, PLACES // max(1, places) if job.pieces == 1 else 1)
    rows = longest_part(s.axis[1].length, job.rows)
    job.strips = s.batch * s.axis[0].length
    strips = PLACES // max(1, rows * places) if job.pieces * job.rows == 1 else 1
    job.strips = parts_of(job.strips, strips) if s.batch * s.places else 0

    # rows a multiple of a page apart fall into the same few lines of the nearest cache
    job.in_place = not job.turned and s.taps == 1 and not s.mixed and s.stride[2] * itemsize % PAGE != 0
    for i in range(AXES):
        job.in_place = job.in_place and plain_codes(&s.axis[i])
    job.rise[1] = shared_rise(&s.axis[1], (<Axis> axes[1]).rise, rows, most[0])
    job.rise[2] = shared_rise(&s.axis[2], (<Axis> axes[2]).rise, places, most[1])
    job.joined = most[1] == 1 or (job.rise[2] > 0 and s.axis[2].step == 1)
    cdef Py_ssize_t lines = layout_length(&s.axis[1], job.rise[1], rows, most[0])
    cdef Py_ssize_t length = layout_length(&s.axis[2], job.rise[2], places, most[1])
    cdef Py_ssize_t laid = 0 if job.in_place else strips * lines * length * most[2]
    cdef Py_ssize_t vectors = most[0] * most[1] * parts_of(most[2], lanes)
    job.row_codes = 0 if job.rise[1] else rows * most[0]
    job.panel_at = rounded(laid * itemsize + VECTOR_BYTES)      # the last vector of columns may reach beyond
    job.total_at = job.panel_at + (0 if job.turned else PLACES * TILE_VECTORS * VECTOR_BYTES)
    if job.turned:
        job.total_size = rounded(vectors * lanes * most[3] * sizeof(double))
        job.part_at = job.total_at + job.total_size
        job.codes_at = job.part_at + SPREAD_VECTORS * most[3] * VECTOR_BYTES
    else:
        job.total_size = rounded(columns * (most[3] + 2 * lanes) * sizeof(double))
        job.part_at = job.codes_at = job.total_at + job.total_size
    job.offsets_at = job.codes_at + rounded(
        (job.row_codes + (0 if job.rise[2] else places * most[1])) * sizeof(Py_ssize_t))
    job.mix_at = job.offsets_at + rounded(
        (most[0] * most[1] + (vectors + SPREAD_VECTORS if job.turned else 0)) * sizeof(Py_ssize_t))
    job.task.scratch_size = job.mix_at + rounded(s.channels * itemsize)
    return blocks


def filter_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gradient, Py_ssize_t groups, tuple axes,
                    cnp.ndarray constants, int threads):
    """Fill gradient (F, taps, C // groups), contiguous, from x (N, D, H, W, C) and gy (N, *places, F)."""
    cdef filters_t job
    cdef source_t *s = &job.task.source
    job.task.source = source_of(x, axes)
    job.task.x, job.gy, job.gradient = cnp.PyArray_DATA(x), cnp.PyArray_DATA(gy), cnp.PyArray_DATA(gradient)
    job.task.constants = cnp.PyArray_DATA(constants)
    job.task.zero = all_zero(<const unsigned char *> job.task.constants, constants.nbytes)
    job.single = x.itemsize == 4
    job.gy_n = strides_of(gy, job.gy_stride)
    job.outputs, job.channels = gradient.shape[0] // groups, gradient.shape[2]
    threads = threads_for(threads, 1.0 * s.batch * s.places * gradient.size)
    cdef Py_ssize_t blocks = plan_cells(&job, axes, x.itemsize, groups)
    cdef _Scratch scratch = _Scratch(job.task.scratch_size, threads)
    job.task.scratch, job.task.scratch_size = scratch.first, scratch.size
    cdef Py_ssize_t chunks = job.pieces * job.rows * job.strips
    cdef Py_ssize_t visit = max(1, VISIT_PRODUCTS // max(1, job.sums) // PLACES)
    cdef _Scratch totals
    job.cells, job.totals = blocks, NULL
    job.shares = max(1, min(SHARED_BLOCKS // blocks, chunks // SHARE_CHUNKS))
    blocks, chunks = blocks * job.shares, longest_part(chunks, job.shares)
    if visit < chunks or job.shares > 1:
        totals = _Scratch(job.total_size * blocks, 1)
        job.totals = totals.first
    job.chunk0 = 0
    while True:
        job.chunk1 = min(job.chunk0 + visit, chunks)
        with nogil:
            run(filters_block_any, &job, blocks, threads)
        PyErr_CheckSignals()
        if job.chunk1 == chunks:
            break
        job.chunk0 = job.chunk1
    if job.shares > 1:
        with nogil:
            run(add_shares_any, &job, job.cells, threads)
