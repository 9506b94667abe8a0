# Convolution by rows: an implicit GEMM whose tiles lie in one row of places, for few channels above all.
#
# A block is a band of rows of places of one sample, of visits that lie evenly in the index tables. A row of x that it
# reads is laid out once, padding included and channels together, or read in place where nothing is missing. All tiles
# of a row of places then share one table of pointers: what the next tile reads lies a constant further on. Sums are
# those of the direct kernel, bit for bit, where that does not add them up in parts.

cdef enum:
    BAND_ROWS = 8                   # most rows of places of a band
    BAND_PLACES = 512               # most places of a row at once
    STRIP_PLACES = 1024             # of a block, where several samples make them up
    BAND_BYTES = 1 << 18            # of rows that are laid out at once, unless one row of places needs more
    PANELS_NEAR = 20 << 10          # bytes of packed filters that stay in the nearest cache
    PANELS_AT_HAND = 128 << 10      # and in the second, with what else is there
    LINES_NEAR = 16 << 10           # and of filters with the rows of x of a whole band
    BAND_PRODUCTS = 1 << 27         # most products of a block, unless one tile has more
    TURNED = 64                     # places from which a row is turned, where channels of the result lie apart
    CACHE_LINE = 64                 # bytes
    AHEAD = 1 << 18                 # bytes of a result that leave the nearer caches from one call to the next


cdef inline Py_ssize_t highest(real *kind, Py_ssize_t width) noexcept nogil:
    """Most places of a tile."""
    return TILE_SINGLE if width <= VECTOR_BYTES // <Py_ssize_t> sizeof(real) else TILE_FULL


cdef inline void multiply_places(const bands_t *job, const strip_t *strip, Py_ssize_t height, const real **rows,
                                 const Py_ssize_t *taps, Py_ssize_t count, Py_ssize_t offset, Py_ssize_t width,
                                 const real *panel, const real *start, real *to, Py_ssize_t to_step) noexcept nogil:
    """A tile of neighbouring places of a row, which has listed its taps; `to_step` elements apart in the result."""
    cdef Py_ssize_t apart = strip.segment.rise * job.task.source.channels
    cdef Py_ssize_t channels = job.channels * (job.task.source.axis[2].taps if job.merge else 1)
    if real is float:
        multiply_even_f32(height, width, rows, apart, taps, count, offset, channels, panel, start, to, to_step,
                          job.task.past)
    else:
        multiply_even_f64(height, width, rows, apart, taps, count, offset, channels, panel, start, to, to_step,
                          job.task.past)


cdef inline void ask_for(real *to, Py_ssize_t first, Py_ssize_t until, Py_ssize_t step,
                         Py_ssize_t valid) noexcept nogil:
    """Have the lines of the cache on their way that places first .. until - 1 are written to."""
    cdef Py_ssize_t m, lane
    for m in range(first, until):
        for lane from 0 <= lane < valid by CACHE_LINE // <Py_ssize_t> sizeof(real):
            PREFETCH(to + m * step + lane)


cdef void fill_row(const bands_t *job, const strip_t *strip, const real **rows, const Py_ssize_t *taps,
                   Py_ssize_t count, Py_ssize_t offset, Py_ssize_t width, Py_ssize_t valid, const real *panel,
                   const real *start, real *y) noexcept nogil:
    """Fill `valid` outputs of a row of places: by tiles of one height, or nearly."""
    cdef Py_ssize_t most = highest(<real *> NULL, width), tiles = (strip.segment.count + most - 1) // most
    cdef Py_ssize_t tall = strip.segment.count // max(tiles, 1), more = strip.segment.count - tall * tiles
    cdef Py_ssize_t read = strip.segment.rise * job.task.source.channels, tile, height, m, lane
    cdef real *part = <real *> strip.part
    for tile in range(tiles):
        height = tall + (tile < more)
        if job.ahead and not job.task.past:
            ask_for(y, height, 2 * height, strip.y_step, valid)
        if valid == width or (job.overlap and tile < tiles - 1 and strip.segment.gap == 1):
            multiply_places(job, strip, height, rows, taps, count, offset, width, panel, start, y, strip.y_step)
        else:
            multiply_places(job, strip, height, rows, taps, count, offset, width, panel, start, part, width)
            for m in range(height):
                for lane in range(valid):
                    y[m * strip.y_step + lane] = part[m * width + lane]
        y += height * strip.y_step
        offset += height * read


cdef void fill_across(const bands_t *job, const strip_t *strip, const real **rows, const Py_ssize_t *taps,
                      Py_ssize_t count, Py_ssize_t offset, real *y) noexcept nogil:
    """Fill all outputs of a row of places, a tile by all panels before the next: places are written from end to end,
    and a line of the cache that two panels share is still there.
    """
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real), wide = lanes * TILE_VECTORS
    cdef Py_ssize_t tiles = (strip.segment.count + TILE_FULL - 1) // TILE_FULL
    cdef Py_ssize_t tall = strip.segment.count // max(tiles, 1), more = strip.segment.count - tall * tiles
    cdef Py_ssize_t read = strip.segment.rise * job.task.source.channels
    cdef Py_ssize_t tile, height, group, first, width, valid, m
    cdef const real *panel
    cdef const real *start
    cdef real *part = <real *> strip.part
    cdef real *to
    for tile in range(tiles):
        height = tall + (tile < more)
        start = <const real *> (strip.scratch + job.start_at)
        for group in range(job.groups):
            for first from 0 <= first < job.outputs by wide:
                width = panel_width(job.outputs - first, lanes)
                valid = min(width, job.outputs - first)
                panel = (<const real *> job.panels) + group * job.group_size \
                    + first * job.task.source.taps * job.channels
                to = y + group * job.outputs + first
                if job.ahead and not job.task.past:
                    ask_for(to, height, 2 * height, strip.y_step, valid)
                if valid == width:
                    multiply_places(job, strip, height, rows, taps, count, offset + group * job.channels, width, panel,
                                    start, to, strip.y_step)
                else:
                    multiply_places(job, strip, height, rows, taps, count, offset + group * job.channels, width, panel,
                                    start, part, width)
                    for m in range(height):
                        memcpy(to + m * strip.y_step, part + m * width, valid * sizeof(real))
                start += wide
        y += height * strip.y_step
        offset += height * read


cdef void lay_starts(real *start, const bands_t *job) noexcept nogil:
    """What the sums of each panel start from: the bias, or zeros."""
    cdef Py_ssize_t wide = VECTOR_BYTES // sizeof(real) * TILE_VECTORS, group, first
    memset(start, 0, job.groups * job.panels_per_group * wide * sizeof(real))
    if job.task.bias == NULL:
        return
    for group in range(job.groups):
        for first from 0 <= first < job.outputs by wide:
            memcpy(start, (<const real *> job.task.bias) + group * job.outputs + first,
                   min(wide, job.outputs - first) * sizeof(real))
            start += wide


cdef Py_ssize_t fill_row_apart(const bands_t *job, const strip_t *strip, const real **rows, const Py_ssize_t *taps,
                               Py_ssize_t count, Py_ssize_t offset, Py_ssize_t width, Py_ssize_t valid,
                               const real *panel, const real *start, real *y, Py_ssize_t kept,
                               bint ends) noexcept nogil:
    """The same where outputs lie apart and places together: some tiles at a time are turned, activation included.
    kept: places before y that are still to be turned; returns how many there are then, none if it `ends` what is turned
    together.
    """
    cdef Py_ssize_t most = highest(<real *> NULL, width), tiles = (strip.segment.count + most - 1) // most
    cdef Py_ssize_t tall = strip.segment.count // max(tiles, 1), more = strip.segment.count - tall * tiles
    cdef Py_ssize_t read = strip.segment.rise * job.task.source.channels, tile, height, m
    cdef real *part = <real *> strip.part
    y -= kept * strip.y_step
    for tile in range(tiles):
        height = tall + (tile < more)
        multiply_places(job, strip, height, rows, taps, count, offset, width, panel, start, part + kept * width, width)
        offset += height * read
        kept += height
        if kept < TURNED and (tile < tiles - 1 or not ends):
            continue
        for m in range(kept if job.task.finishing and valid < width else 0):   # lanes beyond the last output are none
            activate_row(&job.task.activation, part + m * width, part + m * width, valid)
        if job.task.finishing and valid == width:
            activate_row(&job.task.activation, part, part, kept * width)
        turn(part, width, 1, y, job.task.y_channel, strip.y_step, kept, valid)
        y += kept * strip.y_step
        kept = 0
    return kept


cdef inline bint goes_on(const bands_t *job, const strip_t *strip, Py_ssize_t r) noexcept nogil:
    """Whether the next row of places lies behind a row in the result, as its places do."""
    cdef const Py_ssize_t *place = job.task.source.axis[1].place + strip.band.first + r
    return job.task.y_stride[1] == strip.segment.count * strip.y_step and place[1] == place[0] + 1


cdef void bands_block(real *kind, const bands_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef const real **rows = <const real **> (scratch + job.rows_at)
    cdef Py_ssize_t *taps = <Py_ssize_t *> (scratch + job.taps_at)
    cdef Py_ssize_t count[BAND_ROWS]
    cdef real start[TILE_VECTORS * VECTOR_BYTES]
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t bands = job.bands * job.segments, n0 = block // bands // s.axis[0].length * job.samples
    cdef strip_t strip = strip_of(job, block // job.segments % job.bands, block % job.segments,
                                  block // bands % s.axis[0].length, scratch)
    cdef Py_ssize_t entries = s.taps // s.axis[2].taps if job.merge else s.taps
    cdef Py_ssize_t panels = 0 if job.across else job.groups * job.panels_per_group
    cdef bint again
    cdef Py_ssize_t n, r, r0, r1, listed, p, group, first, width, valid, at, offset, kept = 0, started = -1
    cdef const real *image
    cdef const real *panel
    cdef real *y
    if job.across:
        lay_starts(<real *> (scratch + job.start_at), job)
    for n in range(n0, min(n0 + job.samples, s.batch)):
        image = <const real *> job.task.x + n * s.stride_n
        y = <real *> job.task.y + n * job.task.y_n + strip.y_at
        again = n > n0 and strip.framed
        if again:
            lay_again(job, &strip, image)
        elif n == n0 or not strip.in_place or not strip.rise:
            memset(strip.lines, 0, s.axis[0].taps * job.span * sizeof(void *))
        for r0 from 0 <= r0 < strip.band.count by job.chunk:
            r1 = min(r0 + job.chunk, strip.band.count)
            for r in range(r0, r0 if again else r1):
                listed = r - r0
                if not strip.rise:
                    count[listed] = list_row(job, &strip, image, r, rows + listed * entries, taps + listed * entries)
                elif n == n0 and r == 0:        # all rows of all samples read alike
                    count[0] = list_row(job, &strip, image, 0, rows, taps)
                elif not strip.in_place:
                    list_row(job, &strip, image, r, <const real **> NULL, NULL)
            for r in range(r0, r1 if job.across else r0):
                listed = 0 if strip.rise else r - r0
                offset = r * strip.rise + ((n - n0) * s.stride_n if strip.rise and strip.in_place else 0)
                fill_across(job, &strip, rows + listed * entries, taps + listed * entries, count[listed], offset,
                            y + middle.place[strip.band.first + r] * job.task.y_stride[1])
            group = first = 0
            for p in range(panels):
                if first >= job.outputs:        # of the group before
                    group += 1
                    first = 0
                width = panel_width(job.outputs - first, lanes)
                valid = min(width, job.outputs - first)
                panel = (<const real *> job.panels) + group * job.group_size + first * s.taps * job.channels
                if job.task.loose != NULL:
                    panel = pack_loose(<real *> NULL, &job.task, group * job.outputs + first, s.taps * job.channels,
                                       valid, width, scratch)
                if p != started:
                    started = p
                    memset(start, 0, width * sizeof(real))
                    if job.task.bias != NULL:
                        memcpy(start, (<const real *> job.task.bias) + group * job.outputs + first,
                               valid * sizeof(real))
                for r in range(r0, r1):
                    listed, offset = r - r0, group * job.channels
                    if strip.rise:
                        listed = 0
                        offset += r * strip.rise + ((n - n0) * s.stride_n if strip.in_place else 0)
                    at = middle.place[strip.band.first + r] * job.task.y_stride[1] \
                        + (group * job.outputs + first) * job.task.y_channel
                    if job.task.y_channel == 1:
                        fill_row(job, &strip, rows + listed * entries, taps + listed * entries, count[listed], offset,
                                 width, valid, panel, start, y + at)
                    else:
                        kept = fill_row_apart(job, &strip, rows + listed * entries, taps + listed * entries,
                                              count[listed], offset, width, valid, panel, start, y + at, kept,
                                              r == r1 - 1 or not goes_on(job, &strip, r))
                first += lanes * TILE_VECTORS
            for r in range(r0, r1 if job.task.finishing and job.task.y_channel == 1 else r0):
                finish(&job.task, y + middle.place[strip.band.first + r] * job.task.y_stride[1], strip.segment.count,
                       strip.y_step, job.groups * job.outputs)
    if job.task.past:
        PASSED()


cdef void bands_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    bands_block(<float *> NULL, <const bands_t *> job, block, worker)


cdef void bands_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    bands_block(<double *> NULL, <const bands_t *> job, block, worker)


cdef class Bands(Convolution):
    """Bands(x, panels, y, axes, constants, threads): tiles within rows of places.

    panels: packed filters, as the direct kernel takes them; a place sums at most longest_sum products.
    """
    cdef bands_t job
    cdef Panels panels

    def __init__(self, cnp.ndarray x, Panels panels, cnp.ndarray y, tuple axes, cnp.ndarray constants, int threads):
        cdef bands_t *job = &self.job
        cdef source_t *source = &job.task.source
        cdef axis_t *middle = &source.axis[1]
        cdef axis_t *last = &source.axis[2]
        cdef Py_ssize_t lanes = VECTOR_BYTES // x.itemsize
        cdef double products = 1.0 * panels.groups * panels.outputs * panels.channels * panels.taps
        self.begin(job, sizeof(bands_t), x, y, axes, constants, threads, products)
        self.panels = panels
        job.panels = panels.data
        job.groups, job.outputs, job.channels = panels.groups, panels.outputs, panels.channels
        job.group_size = panels.group_size
        job.panels_per_group = (panels.outputs + lanes * TILE_VECTORS - 1) // (lanes * TILE_VECTORS)
        job.gaps = len(axes[2].pieces) > 1
        job.merge = job.groups == 1 and last.step == 1 and not job.gaps
        # a table of pointers per row of places costs more than short runs of products with zeros
        job.skip = panels.finite and job.task.zero and (
            job.gaps or len(axes[1].pieces) > 1 or job.channels * (last.taps if job.merge else 1) >= SHORT)
        cdef Py_ssize_t rise = max(axes[1].pieces[:, 2].max(initial=1), 1)
        cdef Py_ssize_t across = max(axes[2].pieces[:, 2].max(initial=1), 1)
        cdef Py_ssize_t reach1 = reach_of(middle), reach2 = reach_of(last)
        # blocks are short, so that signals are answered between them, and there are enough for the threads
        cdef Py_ssize_t most = max(<Py_ssize_t> TILE_FULL, <Py_ssize_t> min(BAND_PRODUCTS / products, 1e9))
        cdef Py_ssize_t row = max(1, source.channels) * x.itemsize
        cdef Py_ssize_t places = max(1, min(BAND_PLACES, last.length, most, (BAND_BYTES // row - reach2) // across))
        cdef Py_ssize_t all_rows = source.batch * source.axis[0].length * middle.length
        if all_rows < self.ready.threads:     # or there would be fewer blocks than threads
            places = min(places, max(<Py_ssize_t> TILE_FULL,
                                     (last.length * all_rows + self.ready.threads - 1) // self.ready.threads))
        segments, job.segments = cut_pieces(axes[2].pieces, places)
        job.row_size = rounded(((places - 1) * across + reach2) * row) // x.itemsize
        cdef Py_ssize_t height = 1, samples = source.batch * source.axis[0].length
        while height < min(BAND_ROWS, middle.length) and (height + 1) * places <= most \
                and (height * rise + reach1) * source.axis[0].taps * job.row_size * x.itemsize <= BAND_BYTES \
                and (self.ready.threads == 1
                     or samples * job.segments * middle.length >= 4 * self.ready.threads * (height + 1)):
            height += 1
        bands, job.bands = cut_pieces(axes[1].pieces, height)
        job.band, job.segment = <const piece_t *> cnp.PyArray_DATA(bands), <const piece_t *> cnp.PyArray_DATA(segments)
        self.keep += (bands, segments)
        cdef Py_ssize_t strips = source.axis[0].length * job.bands * job.segments
        job.samples = max(1, min(source.batch, min(most, STRIP_PLACES) // (height * places)))
        if self.ready.threads > 1:            # samples of a thread are those that it has in its cache
            job.samples = max(1, min(job.samples, source.batch * strips // (4 * self.ready.threads),
                                     source.batch // self.ready.threads))
        cdef Py_ssize_t groups = (source.batch + job.samples - 1) // job.samples
        job.span = (height - 1) * rise + reach1
        # a panel of filters that leaves the nearest cache between two rows of places serves the whole band, and where
        # it does not, nor do the rows of x
        cdef Py_ssize_t filters_size = panels.group_size * panels.groups * x.itemsize
        cdef Py_ssize_t lines_size = source.axis[0].taps * job.span * job.row_size * x.itemsize
        job.chunk = 1 if LINES_NEAR < filters_size + lines_size and filters_size <= PANELS_NEAR else height
        # sums of one chain of products are written once
        cdef bint once = source.taps * panels.channels <= (FOLD_F32 if x.itemsize == 4 else FOLD_F64)
        job.overlap = job.groups == 1 and job.task.y_channel == 1 and panels.outputs < lanes * TILE_VECTORS \
            and once and job.task.y_stride[2] == panels.outputs
        cdef Py_ssize_t entries = source.taps // last.taps if job.merge else source.taps
        cdef Py_ssize_t lines = source.axis[0].taps * job.span
        job.lines_at = rounded(lines * job.row_size * x.itemsize)
        job.rows_at = job.lines_at + rounded(lines * sizeof(void *))
        job.taps_at = job.rows_at + rounded(job.chunk * entries * sizeof(void *))
        job.part_at = job.taps_at + rounded(job.chunk * entries * sizeof(Py_ssize_t))
        job.used_at = job.part_at + TILE_FULL * TILE_VECTORS * VECTOR_BYTES
        if job.task.y_channel != 1:
            job.used_at += TURNED * TILE_VECTORS * VECTOR_BYTES
        # panels of one vector have taller tiles, which are filled row by row
        job.across = panels.outputs > lanes and job.groups * job.panels_per_group > 1 \
            and filters_size <= PANELS_AT_HAND and job.task.y_channel == 1
        job.ahead = job.task.y_channel == 1 and y.nbytes > AHEAD
        job.task.past = job.task.past and once and panels.outputs % lanes == 0
        job.start_at = job.used_at + rounded(last.taps)
        job.mix_at = job.start_at
        if job.across:
            job.mix_at += job.groups * job.panels_per_group * TILE_VECTORS * VECTOR_BYTES
        job.task.scratch_size = job.mix_at + rounded(row)
        self.finishes = self.whole = True
        if strips * groups == source.batch == 1 and job.chunk >= middle.length and not job.across:
            self.take_loose(panels)
        self.end(bands_block_f32 if x.itemsize == 4 else bands_block_f64, strips * groups)

    def pack(self, cnp.ndarray filters):
        return self.panels.like(filters)

    cdef int use(self, void *job, packed) except -1:
        (<bands_t *> job).panels = (<Panels?> packed).data
        return 0
