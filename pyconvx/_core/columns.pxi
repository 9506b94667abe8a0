# Convolution with lanes of neighbouring places for any number of filters, where channels lie apart in memory, or
# filters are few: an implicit GEMM whose panels are made of x.
#
# A block is some filters of a group, and some tiles of neighbouring places of one sample: of one row, or where rows are
# short, of several. Rows of x that they read are laid out channel by channel, padding included, and for strides phase
# by phase, so that neighbouring places read neighbours; or they are read in place where nothing is missing. For few
# filters tiles read them there. For many, what the places of a tile read is first laid out product by product, and
# serves all of them: a few at a time go over all tiles and write rows of places. Long sums are then summed some
# products after the others, where their chains end anyway. The bits are those of the direct kernel, where that does not
# add up its sums in parts.

cdef enum:
    COLUMN_TILES = 32               # most tiles of a block
    COLUMN_BYTES = 1 << 17          # of what is laid out for them, unless one tile needs more
    COLUMN_PRODUCTS = 1 << 10       # most products that are summed at once: whole chains
    UNPACKED = 12                   # most tiles of filters that read rows where they are
    COLUMN_ROWS = 16                # most rows of a block then
    COLUMN_PAGES = 64               # and most rows of x that are read in place, each of another page
    COLUMN_BLOCK = 1 << 27          # most products of a block, unless one tile has more

COLUMNS_AT_ONCE = COLUMN_PRODUCTS

cdef struct columns_t:
    task_t task
    const void *weights             # (F, taps, C // groups)
    Py_ssize_t apart                # elements from a filter to the next
    Py_ssize_t groups, outputs, channels
    Py_ssize_t products             # of a place
    Py_ssize_t at_once              # of them that are summed at once
    bint packed                     # what tiles read is laid out product by product
    Py_ssize_t runs                 # of rows; the places of a run are cut into parts: all together if `packed`, else
    Py_ssize_t run_places, parts    # those of each row
    Py_ssize_t slices               # and of the filters of a group
    Py_ssize_t rise[AXES]           # positions from a place to the next
    Py_ssize_t span                 # most positions that a block reads on the second axis
    const unsigned char *phases     # which phases of a row taps read, if places are that far apart
    Py_ssize_t phase_size           # elements of a phase of a row of a channel that is laid out, and of such a row
    Py_ssize_t line_size
    const Py_ssize_t *tap_offsets   # where the taps of the last axis read in it, from the first place on
    bint together                   # the places of a run lie together in the result
    Py_ssize_t line_at, lines_at, pointers_at, panels_at, part_at, start_at, mix_at

cdef struct channel_line_t:         # a row of x, of the channels of a group
    const void *x                   # as far as a block reads it
    Py_ssize_t apart                # elements from a channel to the next

cdef struct patch_t:                # the places of a block
    Py_ssize_t depth
    Py_ssize_t row, rows            # the rows that they lie in
    Py_ssize_t place, places        # and what is laid out of these
    Py_ssize_t first, count         # if they lie one row behind the other: the place of the first one, and how many


cdef patch_t patch_of(real *kind, const columns_t *job, Py_ssize_t depth, Py_ssize_t run,
                      Py_ssize_t part) noexcept nogil:
    cdef Py_ssize_t width = TILE_VECTORS * VECTOR_BYTES // sizeof(real), length = job.task.source.axis[2].length
    cdef Py_ssize_t tiles = (job.run_places + width - 1) // width, start = cut_at(tiles, job.parts, part) * width
    cdef patch_t patch
    patch.depth = depth
    patch.row = cut_at(job.task.source.axis[1].length, job.runs, run)
    patch.count = min(cut_at(tiles, job.parts, part + 1) * width, job.run_places) - start
    if not job.packed:
        patch.rows = cut_at(job.task.source.axis[1].length, job.runs, run + 1) - patch.row
        patch.place = cut_at(length, job.parts, part)       # not whole tiles, for each part must fill one
        patch.places = cut_at(length, job.parts, part + 1) - patch.place
        return patch
    patch.row += start // length
    patch.first = start % length
    patch.rows = (patch.first + patch.count - 1) // length + 1
    patch.place, patch.places = 0, length
    if patch.rows == 1:
        patch.place, patch.places = patch.first, patch.count
    return patch


cdef void lay_phases(const columns_t *job, const real *row, Py_ssize_t apart, Py_ssize_t length,
                     real *to) noexcept nogil:
    """Lay out a row of x as far as taps read it, channel by channel, its phases one after the other."""
    cdef Py_ssize_t rise = job.rise[2], channel, phase, count
    for phase in range(min(rise, length)):
        if not job.phases[phase]:
            continue
        count = (length - phase + rise - 1) // rise
        for channel in range(job.channels):
            if real is float:
                phase_f32(row + channel * apart + phase, length - phase, rise, 1, count,
                          to + channel * job.line_size + phase * job.phase_size)
            else:
                phase_f64(row + channel * apart + phase, length - phase, rise, 1, count,
                          to + channel * job.line_size + phase * job.phase_size)


cdef inline bint is_read(const columns_t *job, const patch_t *patch, Py_ssize_t position) noexcept nogil:
    """Whether a place of a block reads a position of the second axis."""
    cdef const axis_t *middle = &job.task.source.axis[1]
    cdef Py_ssize_t k, row
    for k in range(middle.taps):
        row = position - k * distance(middle)
        if 0 <= row <= (patch.rows - 1) * job.rise[1] and row % job.rise[1] == 0:
            return True
    return False


cdef void list_lines(real *kind, const columns_t *job, const patch_t *patch, const real *image, Py_ssize_t channel,
                     char *scratch) noexcept nogil:
    """The rows of x that a block reads, from a channel on: in place, or laid out one after the other."""
    cdef const source_t *s = &job.task.source
    cdef const axis_t *first = &s.axis[0]
    cdef const Py_ssize_t *code1 = codes_from(&s.axis[1], patch.row)
    cdef const Py_ssize_t *code2 = codes_from(&s.axis[2], patch.place)
    cdef Py_ssize_t length = (patch.places - 1) * job.rise[2] + reach_of(&s.axis[2])
    cdef Py_ssize_t span = (patch.rows - 1) * job.rise[1] + reach_of(&s.axis[1])
    cdef Py_ssize_t run0, run1, k, position, a, b, apart
    cdef channel_line_t *line
    cdef real *laid = <real *> scratch
    cdef real *row
    cdef const real *x
    cdef bint in_place
    longest_run(code2, length, &run0, &run1)
    in_place = run0 == 0 and run1 == length and s.stride[2] == 1
    for k in range(first.taps):
        a = first.code[first.row[patch.depth] + k * first.step]
        for position in range(span):
            if not is_read(job, patch, position):
                continue
            b = code1[position]
            line = <channel_line_t *> (scratch + job.lines_at) + k * job.span + position
            if in_place and (a | b) >= 0:
                x, apart = image + a * s.stride[0] + b * s.stride[1] + code2[0] + channel * s.stride_c, s.stride_c
            else:
                row, apart = laid, job.line_size
                if job.rise[2] > 1:
                    row, apart = <real *> (scratch + job.line_at), length
                lay_line(&job.task, image, a, b, code2, length, run0, run1, channel, job.channels, row, 1, apart,
                         <real *> (scratch + job.mix_at))
                x = row
            if job.rise[2] > 1:
                lay_phases(job, x, apart, length, laid)
                x, apart = laid, job.line_size
            line.x, line.apart = x, apart
            if x == laid:
                laid += job.channels * job.line_size


cdef void list_products(const columns_t *job, const channel_line_t *lines, Py_ssize_t row, Py_ssize_t first,
                        Py_ssize_t until, const real **pointers) noexcept nogil:
    """Where the first place of a row that is laid out reads what is multiplied by the weights first .. until - 1."""
    cdef const axis_t *middle = &job.task.source.axis[1]
    cdef Py_ssize_t taps = job.task.source.axis[2].taps, tap = first // job.channels, channel = first % job.channels
    cdef Py_ssize_t k2 = tap % taps, k1 = tap // taps % middle.taps, k0 = tap // taps // middle.taps
    cdef const channel_line_t *line
    cdef const real *x
    while first < until:
        line = lines + k0 * job.span + row * job.rise[1] + tap_at(middle, k1)
        while k2 < taps and first < until:
            x = <const real *> line.x + job.tap_offsets[k2]
            while channel < job.channels and first < until:
                pointers[0] = x + channel * line.apart
                pointers += 1
                first += 1
                channel += 1
            channel = 0
            k2 += 1
        k2 = 0
        k1 += 1
        if k1 == middle.taps:
            k1 = 0
            k0 += 1


cdef void lay_patch(real *kind, const columns_t *job, const patch_t *patch, Py_ssize_t first, Py_ssize_t until,
                    char *scratch) noexcept nogil:
    """Lay out what the places of a block read for the weights first .. until - 1: [tile][product][lane]."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real), full = lanes * TILE_VECTORS, size = (until - first) * full
    cdef Py_ssize_t length = job.task.source.axis[2].length, row, place, end, at = 0, count, width
    cdef const real **pointers = <const real **> (scratch + job.pointers_at)
    cdef real *panels = <real *> (scratch + job.panels_at)
    cdef real *to
    if patch.count % full:          # lanes beyond the last place are multiplied, too
        memset(panels + patch.count // full * size, 0, size * sizeof(real))
    for row in range(patch.rows):
        list_products(job, <const channel_line_t *> (scratch + job.lines_at), row, first, until, pointers)
        place = patch.first if row == 0 else 0
        end = min(length, place + patch.count - at)
        while place < end:
            width = panel_width(patch.count - at // full * full, lanes)
            count = min(width - at % full, end - place)
            to = panels + at // full * size + at % full
            if real is float:
                lay_columns_f32(pointers, place - patch.place, count, until - first, to, width)
            else:
                lay_columns_f64(pointers, place - patch.place, count, until - first, to, width)
            place += count
            at += count


cdef inline Py_ssize_t target_of(const columns_t *job, const patch_t *patch, Py_ssize_t at) noexcept nogil:
    """Offset of a place of a block in a channel of the result."""
    cdef Py_ssize_t length = job.task.source.axis[2].length, place = patch.first + at
    return (patch.row + place // length) * job.task.y_stride[1] + place % length * job.task.y_stride[2]


cdef void fill_filters(const columns_t *job, const patch_t *patch, Py_ssize_t output, Py_ssize_t height,
                       Py_ssize_t first, Py_ssize_t until, const real *panel, real *start, real *part,
                       real *y) noexcept nogil:
    """Add the products first .. until - 1 of a few filters to their places, or set these to the bias and the first
    ones; y: the result of the first of these filters.
    """
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real), full = lanes * TILE_VECTORS
    cdef Py_ssize_t y_channel = job.task.y_channel, at, m, lane, count, width, none = 0
    cdef const real *rows[TILE_FULL]
    cdef const real *origin
    cdef real *to[TILE_FULL]
    cdef bint whole, last = until == job.products
    cdef real bias
    if job.together:
        y += target_of(job, patch, 0)
    for m in range(height):
        rows[m] = <const real *> job.weights + (output + m) * job.apart + first
        bias = 0 if job.task.bias == NULL else (<const real *> job.task.bias)[output + m]
        for lane in range(full):
            start[m * full + lane] = bias
    for at from 0 <= at < patch.count by full:
        width = panel_width(patch.count - at, lanes)
        count = min(width, patch.count - at)
        whole = job.together and count == width
        for m in range(height):
            to[m] = y + m * y_channel + at if whole else part + m * full
            for lane in range(0 if whole or first == 0 else count):
                part[m * full + lane] = y[m * y_channel + (
                    at + lane if job.together else target_of(job, patch, at + lane))]
        origin = to[0] if first else start
        if real is float:
            multiply_f32(height, width, rows, &none, 1, 0, until - first, panel, origin,
                         y_channel if whole and first else full, to, 0)
        else:
            multiply_f64(height, width, rows, &none, 1, 0, until - first, panel, origin,
                         y_channel if whole and first else full, to, 0)
        panel += (until - first) * full
        for m in range(height if last and job.task.finishing and not job.together else 0):
            activate_row(&job.task.activation, part + m * full, part + m * full, count)
        for m in range(0 if whole else height):
            for lane in range(count):
                y[m * y_channel + (at + lane if job.together else target_of(job, patch, at + lane))] \
                    = part[m * full + lane]
    for m in range(height if last and job.task.finishing and job.together else 0):
        activate_row(&job.task.activation, y + m * y_channel, y + m * y_channel, patch.count)


cdef void fill_place_row(real *kind, const columns_t *job, const patch_t *patch, Py_ssize_t row, Py_ssize_t output,
                         Py_ssize_t outputs, char *scratch, real *y) noexcept nogil:
    """Set the places of a row to their sums, of some filters; y: the result of the first of these."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(real), full = lanes * TILE_VECTORS
    cdef Py_ssize_t y_channel = job.task.y_channel, y_step = job.task.y_stride[2]
    cdef Py_ssize_t y_row = y_channel if job.together else patch.places
    cdef Py_ssize_t heights = (outputs + TILE_FULL - 1) // TILE_FULL, i, height, done = 0, m, place, width
    cdef const real **pointers = <const real **> (scratch + job.pointers_at)
    cdef real *start = <real *> (scratch + job.start_at)
    cdef const real *weights = <const real *> job.weights + output * job.apart
    cdef real *to[TILE_FULL]
    cdef real *sums
    list_products(job, <const channel_line_t *> (scratch + job.lines_at), row, 0, job.products, pointers)
    y += (patch.row + row) * job.task.y_stride[1] + patch.place * y_step
    for i in range(heights):
        height = cut_at(outputs, heights, i + 1) - done
        for m in range(height):
            start[m] = 0 if job.task.bias == NULL else (<const real *> job.task.bias)[output + done + m]
        sums = y if job.together else <real *> (scratch + job.part_at)
        place = 0
        while place < patch.places:
            width = full if patch.places - place > lanes and patch.places >= full else lanes
            place = min(place, patch.places - width)        # the last tile may do again some of the one before
            for m in range(height):
                to[m] = sums + m * y_row + place
            if real is float:
                columns_f32(height, <int> (width // lanes), pointers, place, job.products, weights, job.apart, start,
                            to, job.task.past and <uintptr_t> to[0] % VECTOR_BYTES == 0)
            else:
                columns_f64(height, <int> (width // lanes), pointers, place, job.products, weights, job.apart, start,
                            to, job.task.past and <uintptr_t> to[0] % VECTOR_BYTES == 0)
            place += width
        for m in range(height if job.task.finishing else 0):
            activate_row(&job.task.activation, sums + m * y_row, sums + m * y_row, patch.places)
        if not job.together:
            turn(sums, y_row, 1, y, y_step, y_channel, height, patch.places)
        done += height
        weights += height * job.apart
        y += height * y_channel


cdef void columns_block(real *kind, const columns_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef Py_ssize_t slice = block % job.slices, rest = block // job.slices, group = rest % job.groups, part, run, n
    rest //= job.groups
    part = rest % job.parts
    rest //= job.parts
    run = rest % job.runs
    rest //= job.runs
    n = rest // s.axis[0].length
    cdef patch_t patch = patch_of(kind, job, rest % s.axis[0].length, run, part)
    cdef Py_ssize_t output0 = cut_at(job.outputs, job.slices, slice)
    cdef Py_ssize_t outputs = cut_at(job.outputs, job.slices, slice + 1) - output0
    cdef Py_ssize_t heights = (outputs + TILE_FULL - 1) // TILE_FULL, i, output, height, first, until
    cdef real *y = <real *> job.task.y + n * job.task.y_n + patch.depth * job.task.y_stride[0]
    list_lines(kind, job, &patch, <const real *> job.task.x + n * s.stride_n, group * job.channels, scratch)
    if not job.packed:
        output = group * job.outputs + output0
        for i in range(patch.rows):
            fill_place_row(kind, job, &patch, i, output, outputs, scratch, y + output * job.task.y_channel)
        if job.task.past:
            PASSED()
        return
    for first from 0 <= first < job.products by job.at_once:
        until = min(first + job.at_once, job.products)
        lay_patch(kind, job, &patch, first, until, scratch)
        for i in range(heights):
            output = cut_at(outputs, heights, i)
            height = cut_at(outputs, heights, i + 1) - output
            output += group * job.outputs + output0
            fill_filters(job, &patch, output, height, first, until, <const real *> (scratch + job.panels_at),
                         <real *> (scratch + job.start_at), <real *> (scratch + job.part_at),
                         y + output * job.task.y_channel)


cdef void columns_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    columns_block(<float *> NULL, <const columns_t *> job, block, worker)


cdef void columns_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    columns_block(<double *> NULL, <const columns_t *> job, block, worker)


cdef Py_ssize_t apart_of(Py_ssize_t products, Py_ssize_t itemsize) noexcept:
    """Elements from a filter to the next: those a page apart would fall into the same lines of the nearest cache."""
    return products + (0 if products * itemsize % PAGE else VECTOR_BYTES // itemsize)


def filters_apart(cnp.ndarray filters):
    """Filters (F, *kernel, C), each contiguous, as Columns reads them: the array itself or a copy."""
    cdef Py_ssize_t count = filters.shape[0], products = filters.size // count, item = filters.itemsize
    cdef Py_ssize_t apart = apart_of(products, item)
    if count == 1 or filters.strides[0] == apart * item:
        return filters
    rows = np.empty((count, apart), filters.dtype)[:, :products]
    rows[...] = filters.reshape((count, products))
    return rows.reshape((<object> filters).shape)


cdef class Columns(Convolution):
    """Columns(x, weights, groups, y, axes, constants, threads): lanes of neighbouring places.

    weights: (F, taps, C // groups) that give the F channels of y, each filter contiguous. Places of the axes must be
    visited in order, and those of the second and third read evenly.
    """
    cdef columns_t job

    def __init__(self, cnp.ndarray x, cnp.ndarray weights, Py_ssize_t groups, cnp.ndarray y, tuple axes,
                 cnp.ndarray constants, int threads):
        cdef columns_t *job = &self.job
        cdef source_t *s = &job.task.source
        cdef axis_t *middle = &s.axis[1]
        cdef axis_t *last = &s.axis[2]
        cdef Py_ssize_t width = TILE_VECTORS * VECTOR_BYTES // x.itemsize, i, most, tiles, heights, blocks, rows, near
        cdef Py_ssize_t first, until
        self.begin(job, sizeof(columns_t), x, y, axes, constants, threads, weights.size)
        job.groups, job.outputs, job.channels = groups, weights.shape[0] // groups, weights.shape[2]
        job.products = weights.shape[1] * job.channels
        job.apart = apart_of(job.products, x.itemsize)
        if weights.strides[0]:                  # they are no stand-in
            weights = filters_apart(weights)
        self.keep += (weights,)
        job.weights = cnp.PyArray_DATA(weights)
        job.at_once = max(1, min(job.products, COLUMN_PRODUCTS))
        for i in range(AXES):
            job.rise[i] = axes[i].rise
        # forwards or backwards, as `tap_at` has it
        at = np.arange(last.taps) * distance(last) if last.step > 0 else np.arange(last.taps)[::-1] * distance(last)
        read = np.zeros(job.rise[2], np.uint8)
        read[at % job.rise[2]] = 1
        heights = (job.outputs + TILE_FULL - 1) // TILE_FULL
        tiles = (last.length + width // 2 - 1) // (width // 2) * (width // 2)       # places of those of a row
        # the last tile of a row does again what others have done; laying out takes the time of 5 / 6 tiles
        job.packed = heights > UNPACKED or last.length < width or job.products > job.at_once \
            or (tiles - last.length) * 6 * heights > 5 * last.length
        if s.stride[2] == 1 and job.rise[2] == 1 and s.axis[0].taps * middle.taps * job.channels > COLUMN_PAGES:
            longest_run(last.code, (<Axis> axes[2]).arrays[2].size, &first, &until)
            job.packed = job.packed or until - first == (<Axis> axes[2]).arrays[2].size     # all is read in place
        most = <Py_ssize_t> max(1, min(COLUMN_TILES, COLUMN_BYTES // (job.at_once * width * x.itemsize),
                                       COLUMN_BLOCK / (1.0 * width * max(weights.size // groups, 1))))
        job.runs, job.run_places, rows = 1, middle.length * last.length, middle.length
        if not job.packed:
            near = COLUMN_BYTES // (s.axis[0].taps * job.channels * width * job.rise[2] * x.itemsize)   # tiles of rows
            most = max(1, min(COLUMN_TILES, (last.length + width - 1) // width, near // reach_of(middle)))
            rows = 1
            while rows < min(COLUMN_ROWS, middle.length) and (rows + 1) * most <= COLUMN_TILES \
                    and (rows * job.rise[1] + reach_of(middle)) * most <= near:
                rows += 1
            job.run_places, job.runs = last.length, (middle.length + rows - 1) // rows
        elif last.length > most * width:        # or rows would be laid out of which little is read
            job.runs, job.run_places, rows = middle.length, last.length, 1
        tiles = (job.run_places + width - 1) // width
        job.parts = (tiles + most - 1) // most
        most = (tiles + job.parts - 1) // max(job.parts, 1)
        job.together = job.task.y_stride[2] == 1 and (
            not job.packed or rows == 1 or job.task.y_stride[1] == last.length)
        job.task.past = WRITES_PAST and y.nbytes >= LARGE_RESULT and job.together and not job.packed \
            and job.products <= (FOLD_F32 if x.itemsize == 4 else FOLD_F64) \
            and all([stride % VECTOR_BYTES == 0 for stride in (*(<object> y).strides[:3], y.strides[AXES + 1])])
        job.slices = 1
        blocks = s.batch * s.axis[0].length * job.runs * job.parts * groups
        if 0 < blocks < 4 * self.ready.threads and self.ready.threads > 1:
            job.slices = max(1, min(heights, (4 * self.ready.threads + blocks - 1) // blocks))
        if job.packed and rows > 1:             # a block may begin and end within rows
            rows = min(rows, (most * width - 2) // max(last.length, 1) + 2)
        cdef Py_ssize_t places = min(most * width, last.length)
        cdef Py_ssize_t length = (places - 1) * job.rise[2] + reach_of(last)
        job.span = (rows - 1) * job.rise[1] + reach_of(middle)
        job.phase_size = (length + job.rise[2] - 1) // job.rise[2]
        job.line_size = job.phase_size * job.rise[2] + VECTOR_BYTES // x.itemsize     # `phase` writes whole vectors
        tap_offsets = at % job.rise[2] * job.phase_size + at // job.rise[2]
        job.phases, job.tap_offsets = <const unsigned char *> cnp.PyArray_DATA(read), \
            <const Py_ssize_t *> cnp.PyArray_DATA(tap_offsets)
        self.keep += (read, tap_offsets)
        cdef Py_ssize_t lines = s.axis[0].taps * job.span
        job.line_at = rounded(lines * job.channels * job.line_size * x.itemsize)
        job.lines_at = job.line_at
        if job.rise[2] > 1:
            job.lines_at += rounded(job.channels * length * x.itemsize)
        job.pointers_at = job.lines_at + rounded(lines * sizeof(channel_line_t))
        job.panels_at = job.pointers_at + rounded(job.at_once * sizeof(void *))
        job.part_at = job.panels_at
        if job.packed:
            job.part_at += rounded(most * width * job.at_once * x.itemsize)
        job.start_at = job.part_at + rounded(TILE_FULL * width * (1 if job.packed else most + 1) * x.itemsize)
        job.mix_at = job.start_at + rounded(TILE_FULL * width * x.itemsize)
        job.task.scratch_size = job.mix_at + rounded(s.channels * x.itemsize)
        self.finishes = True
        self.end(columns_block_f32 if x.itemsize == 4 else columns_block_f64, blocks * job.slices)

    def pack(self, cnp.ndarray filters):
        return filters_apart(filters)

    cdef int use(self, void *job, packed) except -1:
        (<columns_t *> job).weights = cnp.PyArray_DATA(<cnp.ndarray?> packed)
        return 0
