# Convolution by rows: an implicit GEMM whose tiles lie in one row of places, for few channels above all.
#
# A block is a band of rows of places of one sample, of visits that lie evenly in the index tables. A row of x that it
# reads is laid out once, padding included and channels together, or read in place where nothing is missing. All tiles
# of a row of places then share one table of pointers: what the next tile reads lies a constant further on. Sums are
# those of the direct kernel, bit for bit, where that does not add them up in parts.

cdef enum:
    BAND_ROWS = 8                   # most rows of places of a band
    BAND_PLACES = 512               # most places of a row at once
    BAND_BYTES = 1 << 18            # of rows that are laid out at once, unless one row of places needs more
    PANELS_NEAR = 20 << 10          # bytes of packed filters that stay in the nearest cache
    BAND_PRODUCTS = 1 << 27         # most products of a block, unless one tile has more

cdef struct piece_t:                # of the visits of an axis, as Axis.pieces has them
    Py_ssize_t first, count, rise, gap


cdef struct bands_t:
    task_t task
    const void *panels
    Py_ssize_t groups, outputs, channels, group_size, panels_per_group
    const piece_t *band             # of each band of rows
    const piece_t *segment          # of the places of a row at once
    Py_ssize_t bands, segments
    Py_ssize_t span                 # most positions that a band reads on the second axis
    bint gaps                       # taps of the last axis may read nothing in a whole segment
    Py_ssize_t row_size             # elements of a row that is laid out
    Py_ssize_t chunk                # rows of places that a panel serves before the next
    bint skip                       # what is outside is zero, and need not be multiplied
    bint overlap                    # a place may be stored with lanes that belong to the next, which follows
    bint merge                      # the taps of a kernel row are read as one run of channels
    Py_ssize_t lines_at, rows_at, taps_at, part_at, used_at, mix_at


cdef const real *band_row(const bands_t *job, const real *image, Py_ssize_t a, Py_ssize_t b, const Py_ssize_t *code,
                          Py_ssize_t length, Py_ssize_t run0, Py_ssize_t run1, real *row, real *mix) noexcept nogil:
    """Pointer to `length` positions of a row of x, its channels together; NULL for a row of zeros that may be skipped.

    Between run0 and run1 positions are neighbours in x.
    """
    cdef const source_t *s = &job.task.source
    if job.skip and (a == OUTSIDE or a == NOTHING or b == OUTSIDE or b == NOTHING):
        return NULL
    if (a | b) >= 0 and run0 == 0 and run1 == length and s.stride[2] == s.channels:
        return image + a * s.stride[0] + b * s.stride[1] + code[0] * s.stride[2]
    lay_line(&job.task, image, a, b, code, length, run0, run1, 0, s.channels, row, s.channels, 1, mix)
    return row


cdef void bands_block(real *kind, const bands_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef const axis_t *first_axis = &s.axis[0]
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef const real **lines = <const real **> (scratch + job.lines_at)
    cdef const real **rows = <const real **> (scratch + job.rows_at)
    cdef Py_ssize_t *taps = <Py_ssize_t *> (scratch + job.taps_at)
    cdef real *part = <real *> (scratch + job.part_at)
    cdef char *used = scratch + job.used_at
    cdef real *mix = <real *> (scratch + job.mix_at)
    cdef real *to[TILE_FULL]
    cdef Py_ssize_t count[BAND_ROWS]
    cdef real start[TILE_VECTORS * VECTOR_BYTES]
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t wide = lanes * TILE_VECTORS
    cdef const piece_t *segment = job.segment + block % job.segments
    cdef const piece_t *band = job.band + block // job.segments % job.bands
    cdef Py_ssize_t od = block // job.segments // job.bands % first_axis.length
    cdef Py_ssize_t n = block // job.segments // job.bands // first_axis.length
    cdef Py_ssize_t places = segment.count, height = band.count
    cdef Py_ssize_t y_step = job.task.y_stride[2] * segment.gap
    cdef Py_ssize_t step1 = middle.step if middle.step > 0 else -middle.step
    cdef Py_ssize_t step2 = last.step if last.step > 0 else -last.step
    cdef const Py_ssize_t *code1 = middle.code + middle.row[band.first] + min(middle.step * (middle.taps - 1), 0)
    cdef const Py_ssize_t *code2 = last.code + last.row[segment.first] + min(last.step * (last.taps - 1), 0)
    cdef const real *image = <const real *> job.task.x + n * s.stride_n
    cdef real *y
    cdef const real *panel
    cdef const real *nowhere = <const real *> job
    cdef Py_ssize_t entries = s.taps // last.taps if job.merge else s.taps
    cdef Py_ssize_t tiles = (places + TILE_FULL - 1) // TILE_FULL
    cdef Py_ssize_t length = (places - 1) * segment.rise + (last.taps - 1) * step2 + 1
    cdef Py_ssize_t apart = segment.rise * s.channels
    cdef Py_ssize_t channels = job.channels * (last.taps if job.merge else 1)
    cdef Py_ssize_t run0, run1, r, depth, k1, k2, a, at, position, kept, o, m, p, group, first, width, valid, lane
    cdef Py_ssize_t left, tall, offset, r0, rows1, started = -1
    cdef bint whole
    longest_run(code2, length, &run0, &run1)
    memset(used, 1, last.taps)
    if job.gaps and job.skip:
        for k2 in range(last.taps):
            used[k2] = 0
            position = step2 * (k2 if last.step > 0 else last.taps - 1 - k2)
            for o in range(places):
                used[k2] |= code2[position + o * segment.rise] > max(OUTSIDE, NOTHING)
    memset(lines, 0, first_axis.taps * job.span * sizeof(void *))
    for r0 from 0 <= r0 < height by job.chunk:
        rows1 = min(job.chunk, height - r0)
        for r in range(rows1):
            kept = r * entries
            for depth in range(first_axis.taps):
                a = first_axis.code[first_axis.row[od] + depth * first_axis.step]
                for k1 in range(middle.taps):
                    position = (r0 + r) * band.rise + step1 * (k1 if middle.step > 0 else middle.taps - 1 - k1)
                    at = depth * job.span + position
                    if lines[at] == NULL:
                        lines[at] = band_row(job, image, a, code1[position], code2, length, run0, run1,
                                             <real *> scratch + at * job.row_size, mix)
                        if lines[at] == NULL:
                            lines[at] = nowhere
                    if lines[at] == nowhere:
                        continue
                    for k2 in range(1 if job.merge else last.taps):
                        if not used[k2]:
                            continue
                        rows[kept] = lines[at] + s.channels * step2 * (k2 if last.step > 0 else last.taps - 1 - k2)
                        taps[kept] = ((depth * middle.taps + k1) * last.taps + k2) * job.channels
                        kept += 1
            count[r] = kept - r * entries
        for p in range(job.groups * job.panels_per_group):
            group = p // job.panels_per_group
            first = p % job.panels_per_group * wide
            width = panel_width(job.outputs - first, lanes)
            valid = min(width, job.outputs - first)
            panel = (<const real *> job.panels) + group * job.group_size + first * s.taps * job.channels
            at = group * job.outputs + first
            if p != started:
                started = p
                memset(start, 0, width * sizeof(real))
                if job.task.bias != NULL:
                    memcpy(start, (<const real *> job.task.bias) + at, valid * sizeof(real))
            for r in range(rows1):
                y = <real *> job.task.y + n * job.task.y_n + first_axis.place[od] * job.task.y_stride[0]
                y += middle.place[band.first + r0 + r] * job.task.y_stride[1]
                y += last.place[segment.first] * job.task.y_stride[2] + at
                o = 0
                left = tiles
                while left:
                    tall = (places - o + left - 1) // left      # tiles of a row are of one height, or nearly
                    whole = valid == width or (job.overlap and left > 1 and segment.gap == 1)
                    for m in range(tall):
                        to[m] = y + m * y_step if whole else part + m * width
                    offset = o * apart + group * job.channels
                    if real is float:
                        multiply_even_f32(tall, width, rows + r * entries, apart, taps + r * entries, count[r], offset,
                                          channels, panel, start, to)
                    else:
                        multiply_even_f64(tall, width, rows + r * entries, apart, taps + r * entries, count[r], offset,
                                          channels, panel, start, to)
                    if not whole:
                        for m in range(tall):
                            for lane in range(valid):
                                y[m * y_step + lane] = part[m * width + lane]
                    y += tall * y_step
                    o += tall
                    left -= 1
        for r in range(rows1 if job.task.finishing else 0):
            y = <real *> job.task.y + n * job.task.y_n + first_axis.place[od] * job.task.y_stride[0]
            y += middle.place[band.first + r0 + r] * job.task.y_stride[1]
            y += last.place[segment.first] * job.task.y_stride[2]
            finish(&job.task, y, places, y_step, job.groups * job.outputs)


cdef void bands_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    bands_block(<float *> NULL, <const bands_t *> job, block, worker)


cdef void bands_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    bands_block(<double *> NULL, <const bands_t *> job, block, worker)


cdef tuple cut_pieces(cnp.ndarray pieces, Py_ssize_t most):
    """Pieces of at most `most` visits each, and how many there are."""
    parts = [(first + at, min(most, count - at), rise, gap) for first, count, rise, gap in pieces.tolist()
             for at in range(0, count, most)]
    return np.array(parts, np.intp).reshape(-1, 4), len(parts)


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
        job.skip = panels.finite and job.task.zero
        job.merge = job.groups == 1 and last.step == 1
        cdef Py_ssize_t rise = max(axes[1].pieces[:, 2].max(initial=1), 1)
        cdef Py_ssize_t across = max(axes[2].pieces[:, 2].max(initial=1), 1)
        cdef Py_ssize_t reach1 = (middle.taps - 1) * abs(middle.step) + 1
        cdef Py_ssize_t reach2 = (last.taps - 1) * abs(last.step) + 1
        # blocks are short, so that signals are answered between them, and there are enough for the threads
        cdef Py_ssize_t most = max(<Py_ssize_t> TILE_FULL, <Py_ssize_t> min(BAND_PRODUCTS / products, 1e9))
        cdef Py_ssize_t row = max(1, source.channels) * x.itemsize
        cdef Py_ssize_t places = max(1, min(BAND_PLACES, last.length, most, (BAND_BYTES // row - reach2) // across))
        segments, job.segments = cut_pieces(axes[2].pieces, places)
        job.row_size = rounded(((places - 1) * across + reach2) * row) // x.itemsize
        cdef Py_ssize_t height = 1, samples = source.batch * source.axis[0].length
        while height < min(BAND_ROWS, middle.length) and (height + 1) * places <= most \
                and (height * rise + reach1) * source.axis[0].taps * job.row_size * x.itemsize <= BAND_BYTES \
                and (self.threads == 1
                     or samples * job.segments * middle.length >= 4 * self.threads * (height + 1)):
            height += 1
        bands, job.bands = cut_pieces(axes[1].pieces, height)
        job.band, job.segment = <const piece_t *> cnp.PyArray_DATA(bands), <const piece_t *> cnp.PyArray_DATA(segments)
        self.keep += (bands, segments)
        job.gaps = len(axes[2].pieces) > 1
        job.merge = job.merge and not job.gaps
        job.span = (height - 1) * rise + reach1
        # a panel of filters that leaves the nearest cache between two rows of places serves the whole band
        job.chunk = 1 if panels.group_size * panels.groups * x.itemsize <= PANELS_NEAR else height
        job.overlap = job.groups == 1 and panels.outputs < lanes * TILE_VECTORS \
            and source.taps * panels.channels <= (FOLD_F32 if x.itemsize == 4 else FOLD_F64) \
            and job.task.y_stride[2] == panels.outputs
        cdef Py_ssize_t entries = source.taps // last.taps if job.merge else source.taps
        cdef Py_ssize_t lines = source.axis[0].taps * job.span
        job.lines_at = rounded(lines * job.row_size * x.itemsize)
        job.rows_at = job.lines_at + rounded(lines * sizeof(void *))
        job.taps_at = job.rows_at + rounded(job.chunk * entries * sizeof(void *))
        job.part_at = job.taps_at + rounded(job.chunk * entries * sizeof(Py_ssize_t))
        job.used_at = job.part_at + TILE_FULL * TILE_VECTORS * VECTOR_BYTES
        job.mix_at = job.used_at + rounded(last.taps)
        job.task.scratch_size = job.mix_at + rounded(row)
        self.finishes = self.whole = True
        self.end(bands_block_f32 if x.itemsize == 4 else bands_block_f64, samples * job.bands * job.segments)

    cdef object pack(self, void *job, cnp.ndarray filters):
        cdef Panels panels = self.panels.like(filters)
        if panels is not None:
            (<bands_t *> job).panels = panels.data
        return panels
