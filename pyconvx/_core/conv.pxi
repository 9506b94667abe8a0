# Convolution and its adjoint: implicit GEMM over a table of pointers, and the plain loop.
#
# Both directions are the same sum, y[place] = sum over taps and channels of x[tap of the place] * filters; only the
# index tables and the packing of the filters differ. A tile of TILE_FULL places is multiplied with one panel of
# filters at a time; the pointers of a block of tiles are made once and serve all panels.

cdef enum:
    TILES = 8                       # tiles of one block
    TAPS = 128                      # most taps whose pointers are held at once for a block of TILES tiles
    TAPS_ALONE = 512                # the same for a block of one tile
    MIX_BYTES = 1 << 20             # most scratch for weighted rows
    PAGE = 4096
    BLOCK_PRODUCTS = 1 << 30        # most products of a block, if it has several tiles
    COPY_BYTES = 1 << 19            # of rows that are copied at once
    LONGEST_RUN = 4096              # elements of a kernel row that are read as one run


cdef inline Py_ssize_t longest_sum(Py_ssize_t itemsize) noexcept nogil:
    """Products that are added up, FOLD at a time, before they join a sum of such sums."""
    return 128 * FOLD_F32 if itemsize == 4 else 64 * FOLD_F64


cdef struct conv_t:
    task_t task
    const void *panels
    Py_ssize_t groups, outputs, channels, group_size
    Py_ssize_t panels_per_group
    const Py_ssize_t *places        # which places to compute, counted over the batch; NULL for all
    Py_ssize_t all_places
    Py_ssize_t tiles, taps_at_once, slices
    bint skip                       # rows of zeros need not be multiplied
    bint parted                     # sums are added up in parts, of `longest` products at most
    Py_ssize_t longest
    bint merge                      # the taps of a kernel row may be read as one run of channels
    Py_ssize_t copied               # elements from one copied row of x to the next; 0: rows are read in place
    Py_ssize_t rows_at, taps_at, zeros_at, copies_at, mix_at


cdef Py_ssize_t build_tile(const conv_t *job, Py_ssize_t place0, Py_ssize_t count, Py_ssize_t tap0, Py_ssize_t tap1,
                           const real **rows, Py_ssize_t *taps, real **targets, const real *long_zeros, real *mix,
                           Py_ssize_t *channels) noexcept nogil:
    """Pointers to the rows that a tile of places reads for taps tap0 .. tap1 - 1; returns how many there are.

    Where all taps of a kernel row are neighbours they are one row, `channels` elements long.
    """
    cdef const source_t *s = &job.task.source
    cdef const axis_t *last = &s.axis[2]
    cdef const real *images[TILE_FULL]
    cdef const real *partial[TILE_FULL]
    cdef Py_ssize_t row[TILE_FULL][AXES]
    cdef Py_ssize_t a[TILE_FULL]
    cdef Py_ssize_t b[TILE_FULL]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t m, n, tap, advance, past, k0, k1, k2, c, kept = 0
    cdef const real *constants = <const real *> job.task.constants
    cdef const real *zeros = constants + AXES * s.channels
    cdef const real *pointer
    cdef bint fresh = True, absent = False, used, merged = job.merge
    cdef bint zero = job.skip and not s.mixed       # what is missing needs no looking up
    n = place0 // s.places
    split(s, place0 - n * s.places, at)
    for m in range(count):
        if job.places != NULL:
            n = job.places[place0 + m] // s.places
            split(s, job.places[place0 + m] - n * s.places, at)
        images[m] = <const real *> job.task.x + n * s.stride_n
        targets[m] = <real *> job.task.y + n * job.task.y_n + target(s, at, job.task.y_stride)
        for k0 in range(AXES):
            row[m][k0] = s.axis[k0].row[at[k0]]
        merged = merged and last.run[at[2]]
        n += step_on(s, at)
    k2 = tap0 % last.taps
    k1 = tap0 // last.taps % s.axis[1].taps
    k0 = tap0 // last.taps // s.axis[1].taps
    advance = last.taps if merged else 1
    channels[0] = job.channels * advance
    tap = tap0
    while tap < tap1:
        if fresh:
            used = False
            for m in range(count):
                a[m] = s.axis[0].code[row[m][0] + k0 * s.axis[0].step]
                b[m] = s.axis[1].code[row[m][1] + k1 * s.axis[1].step]
                partial[m] = NULL
                if (a[m] | b[m]) >= 0:
                    partial[m] = images[m] + a[m] * s.stride[0] + b[m] * s.stride[1]
                    used = True
            fresh = False
            absent = zero and not used      # no place has this kernel row
        past = last.taps - k2 if absent else advance
        used = not job.skip
        for m in range(0 if absent else count):
            c = last.code[row[m][2] + k2 * last.step]
            if c >= 0 and partial[m] != NULL:
                rows[m] = partial[m] + c * s.stride[2]
                used = True
            elif merged:
                rows[m] = long_zeros
            elif zero:
                rows[m] = zeros
            else:
                pointer = special_row(s, images[m], constants, a[m], b[m], c, mix)
                if pointer == NULL:
                    pointer = zeros
                elif s.border.elements != NULL:
                    used = True
                elif pointer == mix:
                    mix += s.channels
                    used = True
                rows[m] = pointer
        if used:
            taps[kept] = tap * job.channels
            rows += TILE_FULL
            kept += 1
        tap += past
        k2 += past
        if k2 == last.taps:
            k2, fresh = 0, True
            k1 += 1
            if k1 == s.axis[1].taps:
                k1 = 0
                k0 += 1
    return kept


cdef void copy_rows(const real **rows, Py_ssize_t taps, Py_ssize_t height, Py_ssize_t channels, real *to,
                    Py_ssize_t step) noexcept nogil:
    """Copy what a tile reads, and point to the copies, which lie `step` elements apart."""
    cdef Py_ssize_t t, m
    for t in range(taps):
        for m in range(height):
            memcpy(to, rows[t * TILE_FULL + m], channels * sizeof(real))
            rows[t * TILE_FULL + m] = to
            to += step


cdef inline void add_exactly(real *sums, real *lost, const real *parts, Py_ssize_t count) noexcept nogil:
    """Add parts to sums, and what that rounds away to `lost` (Knuth, TAOCP 2, section 4.2.2)."""
    cdef Py_ssize_t i
    cdef real sum, added
    for i in range(count):
        sum = sums[i] + parts[i]
        added = sum - sums[i]
        lost[i] += (sums[i] - (sum - added)) + (parts[i] - added)
        sums[i] = sum


cdef void conv_block(real *kind, const conv_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t wide = lanes * TILE_VECTORS
    cdef Py_ssize_t all_places = job.all_places
    cdef Py_ssize_t place0 = block // job.slices * job.tiles * TILE_FULL
    cdef Py_ssize_t tiles = min(job.tiles, (all_places - place0 + TILE_FULL - 1) // TILE_FULL)
    cdef Py_ssize_t all_panels = job.groups * job.panels_per_group
    cdef Py_ssize_t panel0 = block % job.slices * all_panels // job.slices
    cdef Py_ssize_t panel1 = (block % job.slices + 1) * all_panels // job.slices
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef const real **rows = <const real **> (scratch + job.rows_at)
    cdef Py_ssize_t *taps = <Py_ssize_t *> (scratch + job.taps_at)
    cdef real *mix = <real *> (scratch + job.mix_at)
    cdef real *targets[TILES * TILE_FULL]
    cdef Py_ssize_t counts[TILES]
    cdef Py_ssize_t channels[TILES]
    cdef Py_ssize_t heights[TILES]
    cdef real *parts[TILE_FULL]
    cdef real start[TILE_VECTORS * VECTOR_BYTES]
    cdef real *part = <real *> scratch
    cdef real *sums
    cdef real lost
    cdef const real *panel
    cdef real **to
    cdef Py_ssize_t tile, tap0 = 0, tap1, p, group, first, width, valid, m, lane, at, channel, count
    if job.merge:
        memset(scratch + job.zeros_at, 0, job.channels * job.task.source.axis[2].taps * sizeof(real))
    while tap0 < job.task.source.taps:
        tap1 = min(tap0 + job.taps_at_once, job.task.source.taps)
        for tile in range(tiles):
            heights[tile] = min(TILE_FULL, all_places - place0 - tile * TILE_FULL)
            counts[tile] = build_tile(
                job, place0 + tile * TILE_FULL, heights[tile], tap0, tap1, rows + tile * job.taps_at_once * TILE_FULL,
                taps + tile * job.taps_at_once, targets + tile * TILE_FULL, <const real *> (scratch + job.zeros_at),
                mix, &channels[tile])
            if job.copied:
                copy_rows(rows + tile * job.taps_at_once * TILE_FULL, counts[tile], heights[tile],
                          channels[tile] if job.groups == 1 else job.task.source.channels,
                          <real *> (scratch + job.copies_at) + tile * job.taps_at_once * TILE_FULL * job.copied,
                          job.copied)
        for p in range(panel0, panel1):
            group = p // job.panels_per_group
            first = p % job.panels_per_group * wide
            width = panel_width(job.outputs - first, lanes)
            valid = min(width, job.outputs - first)
            count = job.task.source.taps * job.channels
            panel = (<const real *> job.panels) + group * job.group_size + first * count
            if job.task.loose != NULL:
                panel = pack_loose(<real *> NULL, &job.task, group * job.outputs + first, count, valid, width, scratch)
            for lane in range(width):
                start[lane] = 0
                if job.task.bias != NULL and lane < valid and tap0 == 0:
                    start[lane] = (<const real *> job.task.bias)[group * job.outputs + first + lane]
            for tile in range(tiles):
                # where the panel is wider than what is left of the outputs, sums go through a buffer; so do the parts
                # of long sums (then there is one tile), which are added up behind it
                to, at = targets + tile * TILE_FULL, group * job.outputs + first
                if valid < width or job.parted:
                    to, at = parts, 0
                    for m in range(heights[tile]):
                        parts[m] = part + m * width
                sums = part
                if job.parted:
                    sums = part + (1 + 2 * (p - panel0)) * TILE_FULL * wide
                channel = 0
                while channel < channels[tile]:
                    count = min(job.longest, channels[tile] - channel)
                    if real is float:
                        multiply_f32(heights[tile], width, rows + tile * job.taps_at_once * TILE_FULL,
                                     taps + tile * job.taps_at_once, counts[tile], group * job.channels + channel,
                                     count, panel + channel * width, start, 0, to, at)
                    else:
                        multiply_f64(heights[tile], width, rows + tile * job.taps_at_once * TILE_FULL,
                                     taps + tile * job.taps_at_once, counts[tile], group * job.channels + channel,
                                     count, panel + channel * width, start, 0, to, at)
                    if job.parted:
                        if tap0 == 0 and channel == 0:
                            memset(sums, 0, 2 * TILE_FULL * wide * sizeof(real))
                            memset(start, 0, sizeof(start))
                        add_exactly(sums, sums + TILE_FULL * wide, part, heights[tile] * width)
                    channel += count
                if job.parted and tap1 == job.task.source.taps:
                    for m in range(heights[tile] * width):
                        lost = sums[TILE_FULL * wide + m]
                        sums[m] += lost if lost == lost else 0      # infinities leave NaNs
                if to == parts and tap1 == job.task.source.taps:
                    for m in range(heights[tile]):
                        memcpy(targets[tile * TILE_FULL + m] + group * job.outputs + first, sums + m * width,
                               valid * sizeof(real))
        tap0 = tap1
    if job.task.finishing:
        at = output_of(panel0, job.panels_per_group, job.outputs, wide)
        count = output_of(panel1, job.panels_per_group, job.outputs, wide) - at
        for tile in range(tiles):
            finish_targets(&job.task, targets + tile * TILE_FULL, heights[tile], at, count)


cdef void conv_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    conv_block(<float *> NULL, <const conv_t *> job, block, worker)


cdef void conv_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    conv_block(<double *> NULL, <const conv_t *> job, block, worker)


cdef class Direct(Convolution):
    """Direct(x, panels, y, axes, constants, threads, places=None): the implicit GEMM.

    panels: packed filters. The adjoint of a convolution is this kernel with inverted tables and transposed panels;
    panels that hold an infinity or a NaN are not for it, since a missing tap is multiplied as zero. places: intp, the
    places to compute, counted over the whole batch; by default all.
    """
    cdef conv_t job
    cdef Panels panels

    def __init__(self, cnp.ndarray x, Panels panels, cnp.ndarray y, tuple axes, cnp.ndarray constants, int threads,
                 cnp.ndarray places=None):
        cdef conv_t *job = &self.job
        cdef source_t *source = &job.task.source
        cdef Py_ssize_t lanes = VECTOR_BYTES // x.itemsize
        cdef double products = 1.0 * panels.groups * panels.outputs * panels.channels * panels.taps
        self.begin(job, sizeof(conv_t), x, y, axes, constants, threads, products)
        self.panels = panels
        self.keep += (places,)
        job.panels = panels.data
        job.groups, job.outputs, job.channels = panels.groups, panels.outputs, panels.channels
        job.group_size = panels.group_size
        job.panels_per_group = (panels.outputs + lanes * TILE_VECTORS - 1) // (lanes * TILE_VECTORS)
        job.skip = panels.finite and not constants.any()
        job.all_places = source.batch * source.places
        job.places = NULL
        if places is not None:
            job.all_places, job.places = places.size, <const Py_ssize_t *> cnp.PyArray_DATA(places)

        cdef Py_ssize_t all_panels = job.groups * job.panels_per_group
        job.tiles, job.taps_at_once, job.longest = TILES, source.taps, longest_sum(x.itemsize)
        if source.mixed or source.taps > TAPS or source.taps * job.channels > job.longest:
            job.tiles = 1
            job.taps_at_once = min(source.taps, TAPS_ALONE, max(1, job.longest // job.channels))
        # a block is to be short, so that signals are answered between blocks
        job.tiles = max(1, min(job.tiles, <Py_ssize_t> (BLOCK_PRODUCTS / (TILE_FULL * products))))
        cdef Py_ssize_t line = source.axis[2].taps
        if source.taps > job.taps_at_once > line:
            job.taps_at_once -= job.taps_at_once % line
        # a kernel row is one run where channels fill the places of x, and what is outside is zero
        job.merge = job.skip and job.groups == 1 and not source.mixed and source.stride[2] == source.channels \
            and 1 < line <= job.taps_at_once and job.taps_at_once % line == 0 and job.channels * line <= LONGEST_RUN
        if source.mixed:
            job.taps_at_once = max(1, min(job.taps_at_once, MIX_BYTES // (x.itemsize * TILE_FULL * source.channels)))
        # rows a multiple of a page apart fall into the same few lines of the nearest cache
        cdef Py_ssize_t longest_row = source.channels * (line if job.merge else 1)
        cdef axis_t *last = &source.axis[2]
        cdef Py_ssize_t fit
        job.copied = 0
        if all_panels >= 4 and last.length > 1 \
                and (last.row[1] - last.row[0]) * source.stride[2] * x.itemsize % PAGE == 0:
            job.copied = longest_row + 64 // x.itemsize
            fit = COPY_BYTES // (job.taps_at_once * TILE_FULL * job.copied * x.itemsize)
            job.tiles = max(1, min(job.tiles, fit))
            if fit == 0:
                job.copied = 0
        cdef Py_ssize_t all_tiles = (job.all_places + TILE_FULL - 1) // TILE_FULL
        cdef Py_ssize_t place_blocks = (all_tiles + job.tiles - 1) // job.tiles
        job.slices = 1
        if self.ready.threads > 1 and 0 < place_blocks < 4 * self.ready.threads and places is None:
            place_blocks = (place_blocks + self.ready.threads - 1) // self.ready.threads * self.ready.threads
            job.tiles = (all_tiles + place_blocks - 1) // place_blocks      # as many for each thread
            place_blocks = (all_tiles + job.tiles - 1) // job.tiles
            job.slices = min(all_panels, (4 * self.ready.threads + place_blocks - 1) // place_blocks)

        job.parted = job.taps_at_once < source.taps or job.channels > job.longest
        cdef Py_ssize_t sums = TILE_FULL * TILE_VECTORS * VECTOR_BYTES
        if job.parted:
            sums *= 1 + 2 * ((all_panels + job.slices - 1) // job.slices)
        job.rows_at = rounded(sums)
        job.taps_at = job.rows_at + rounded(job.tiles * job.taps_at_once * TILE_FULL * sizeof(void *))
        job.zeros_at = job.taps_at + rounded(job.tiles * job.taps_at_once * sizeof(Py_ssize_t))
        job.copies_at = job.zeros_at + (rounded(job.channels * line * x.itemsize) if job.merge else 0)
        job.mix_at = job.copies_at + rounded(job.tiles * job.taps_at_once * TILE_FULL * job.copied * x.itemsize)
        job.task.scratch_size = job.mix_at
        if source.mixed:
            job.task.scratch_size += job.taps_at_once * TILE_FULL * source.channels * x.itemsize
        self.finishes, self.whole = True, job.slices == 1
        if place_blocks == 1 and not job.parted:    # all places are done with one panel before the next
            self.take_loose(panels)
        self.end(conv_block_f32 if x.itemsize == 4 else conv_block_f64, place_blocks * job.slices)

    def pack(self, cnp.ndarray filters):
        return self.panels.like(filters)

    cdef int use(self, void *job, packed) except -1:
        (<conv_t *> job).panels = (<Panels?> packed).data
        return 0


cdef struct plain_t:
    task_t task
    const void *filters
    Py_ssize_t groups, outputs, channels
    Py_ssize_t step_group, step_output, step_tap, step_channel
    Py_ssize_t mix_at


cdef void plain_block(real *kind, const plain_t *job, Py_ssize_t block, int worker) noexcept nogil:
    """One place of one sample, all outputs, summed in double."""
    cdef const source_t *s = &job.task.source
    cdef double *total = <double *> (job.task.scratch + worker * job.task.scratch_size)
    cdef real *mix = <real *> (job.task.scratch + worker * job.task.scratch_size + job.mix_at)
    cdef const real *image = <const real *> job.task.x + block // s.places * s.stride_n
    cdef const real *bias = <const real *> job.task.bias
    cdef const real *filters
    cdef const real *row
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t tap, group, output, channel
    cdef double sum
    split(s, block % s.places, at)
    cdef real *y = <real *> job.task.y + block // s.places * job.task.y_n + target(s, at, job.task.y_stride)
    for output in range(job.groups * job.outputs):
        total[output] = 0 if bias == NULL else bias[output]
    for tap in range(s.taps):
        codes_of(s, at, tap, codes)
        row = tap_row(s, image, <const real *> job.task.constants, codes[0], codes[1], codes[2], mix)
        if row == NULL:
            continue
        for group in range(job.groups):
            for output in range(job.outputs):
                filters = (<const real *> job.filters) + group * job.step_group + tap * job.step_tap \
                    + output * job.step_output
                sum = 0
                for channel in range(job.channels):
                    sum += <double> row[group * job.channels + channel] * filters[channel * job.step_channel]
                total[group * job.outputs + output] += sum
    for output in range(job.groups * job.outputs):
        y[output] = <real> total[output]


cdef void plain_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    plain_block(<float *> NULL, <const plain_t *> job, block, worker)


cdef void plain_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    plain_block(<double *> NULL, <const plain_t *> job, block, worker)


cdef class Plain(Convolution):
    """Plain(x, filters, groups, transposed, y, axes, constants, threads): the sum as it is defined.

    filters: (F, taps, C // groups), contiguous. One place and one tap after the other; a missing tap adds nothing, even
    to filters that hold infinities or NaNs.
    """
    cdef plain_t job

    def __init__(self, cnp.ndarray x, cnp.ndarray filters, Py_ssize_t groups, bint transposed, cnp.ndarray y,
                 tuple axes, cnp.ndarray constants, int threads):
        cdef plain_t *job = &self.job
        self.begin(job, sizeof(plain_t), x, y, axes, constants, threads, filters.size)
        self.keep += (filters,)
        job.filters = cnp.PyArray_DATA(filters)
        job.groups, job.outputs, job.channels = groups, filters.shape[0] // groups, filters.shape[2]
        job.step_output = filters.strides[0] // filters.itemsize
        job.step_group = job.step_output * job.outputs
        job.step_tap = filters.strides[1] // filters.itemsize
        job.step_channel = filters.strides[2] // filters.itemsize
        if transposed:
            job.outputs, job.channels = job.channels, job.outputs
            job.step_output, job.step_channel = job.step_channel, job.step_output
        job.mix_at = rounded(job.groups * job.outputs * sizeof(double))
        job.task.scratch_size = job.mix_at + job.task.source.channels * x.itemsize
        self.end(plain_block_f32 if x.itemsize == 4 else plain_block_f64,
                 job.task.source.batch * job.task.source.places)
