# Convolution by Winograd's algorithms where few channels are summed: a few tiles at a time are transformed, multiplied
# with one vector of filters after the other and transformed back, so that no sums go through memory.

cdef extern from "winograd_fused.h":
    enum:
        FUSED_VECTORS
        FUSED_POINT
        FUSED_TILE
    void winograd_fused(int form, const float *v, const fused_inputs_t *inputs, const float *u, Py_ssize_t width,
                        const float *bias, float **targets, Py_ssize_t first, Py_ssize_t count,
                        bint past, float *checks) noexcept nogil
    Py_ssize_t strip_lanes(Py_ssize_t run) noexcept nogil
    void winograd_strip(const float **lines, Py_ssize_t fold, Py_ssize_t n, Py_ssize_t run, Py_ssize_t spread,
                        Py_ssize_t shared, float *v, float *sizes) noexcept nogil
    bint fine(const float *checks) noexcept nogil

cdef enum:
    FUSED_BLOCK = 16                # tiles of a block where threads share them, or
    FUSED_SHARED = 8                # if each has fewer lots of FUSED_TILES, all of its own
    MOST_PRODUCTS = 64              # of a point: the sums of more are worth the way through memory

cdef bint fuses(int form, Py_ssize_t products, Py_ssize_t groups, Py_ssize_t channels) noexcept nogil:
    return form != WINOGRAD_STRIDED and not WINOGRAD_IS_LINE(form) and products <= MOST_PRODUCTS \
        and (groups == 1 or LANES_F32 % channels == 0)


def fusible(int form, Py_ssize_t products, Py_ssize_t groups, Py_ssize_t channels):
    """Whether products and transforms are done together: for squares, where a point has few products, and the channels
    of a group lie within vectors of their own or of whole groups.
    """
    return fuses(form, products, groups, channels)


cdef inline bint strips(Py_ssize_t run) noexcept nogil:
    return run <= LANES_F32


def in_strips(Py_ssize_t run):
    """Whether tiles whose inputs are rows of `run` elements are transformed a strip of them at a time."""
    return strips(run)


cdef Py_ssize_t tile_at(Py_ssize_t t, Py_ssize_t shared, Py_ssize_t spread, Py_ssize_t lanes) noexcept nogil:
    """Where the inputs of a tile begin for a point: in a vector of `lanes` after those of the tiles before."""
    cdef Py_ssize_t vector = t // shared, beside = FUSED_POINT // lanes
    return vector // beside * FUSED_TILE + vector % beside * lanes + t % shared * spread


cdef void arrange_inputs(const winograd_t *job, Py_ssize_t rows, Py_ssize_t run, Py_ssize_t shared, Py_ssize_t spread,
                         Py_ssize_t lanes, fused_inputs_t *inputs) noexcept nogil:
    """Where the inputs of some tiles lie: `rows` times `run` elements for each point, in vectors of `lanes`; `shared`
    tiles in each, `spread` elements from one to the next.
    """
    cdef Py_ssize_t beside = FUSED_POINT // lanes, vectors = FUSED_TILES // shared
    inputs.depth, inputs.channels, inputs.run = job.task.source.axis[0].taps, job.channels, run
    inputs.second, inputs.third = tile_at(1, shared, spread, lanes), tile_at(2, shared, spread, lanes)
    inputs.run_step = (vectors + beside - 1) // beside * FUSED_TILE
    inputs.depth_step = rows * inputs.run_step


cdef void arrange_strip(winograd_t *job, Py_ssize_t spread, tile_strip_t *strip) noexcept nogil:
    """The same for tiles that begin `spread` elements apart in rows of a strip."""
    cdef Py_ssize_t run = job.tiling.fold * job.task.source.channels
    strip.spread, strip.shared, strip.lanes = spread, FUSED_TILES, strip_lanes(run)
    while (strip.shared - 1) * spread + run > strip.lanes:
        strip.shared //= 2
    strip.length = (FUSED_TILES - 1) * spread + job.tiling.side * run
    arrange_inputs(job, job.tiling.fold, run, strip.shared, spread, strip.lanes, &strip.inputs)


cdef object arrange_fused(winograd_t *job):
    """Where the inputs of some tiles lie in scratch, and how much of it they take; returns what holds the columns of a
    strip, or None.
    """
    cdef Py_ssize_t fold = job.tiling.fold, run = fold * job.task.source.channels
    cdef Py_ssize_t laid
    cdef cnp.ndarray columns = None
    if strips(run):
        columns = np.empty(job.tiling.tiles[1] * sizeof(tile_column_t), np.uint8)
        job.columns = <const tile_column_t *> cnp.PyArray_DATA(columns)
        find_columns(job, <tile_column_t *> job.columns)
        arrange_strip(job, job.tiling.outputs * run, &job.close)
        arrange_strip(job, job.tiling.side * run, &job.apart)
        laid = rounded(job.tiling.side * fold * job.apart.length * sizeof(float))
    else:
        arrange_inputs(job, job.padded // LANES_F32, FUSED_POINT, 1, 0, LANES_F32, &job.apart.inputs)
        laid = folded_size(job)
    # of neighbours, as many tiles share a vector or more, and their rows are shorter
    job.folded_at = rounded(job.apart.inputs.depth * job.apart.inputs.depth_step * sizeof(float))
    job.mix_at = job.folded_at + laid
    return columns


cdef void transform_fused(const winograd_t *job, const lot_t *lot, char *scratch, float *sizes) noexcept nogil:
    """Transform the inputs of some tiles; sizes: of each tile, as transform_inputs returns it."""
    cdef const float *rows[POINTS * MOST_FOLD]
    cdef const fused_inputs_t *inputs = &job.apart.inputs
    cdef Py_ssize_t t, d, a
    for t in range(lot.count):
        sizes[t] = 0
        for d in range(inputs.depth):
            a = deep_code(&job.task.source, &job.tiling, &lot.tiles[t], d)
            tile_inputs(&job.task.source, &job.tiling, &lot.tiles[t], a, 0, <const float *> job.task.x,
                        <const float *> job.task.constants, rows, <float *> (scratch + job.folded_at),
                        <float *> (scratch + job.mix_at))
            sizes[t] = max(sizes[t], transform_inputs(
                &job.task.source, &job.tiling, 0, rows,
                (<float *> scratch) + d * inputs.depth_step + t * FUSED_TILE, FUSED_POINT, inputs.run_step))


cdef void transform_strip(const winograd_t *job, const lot_t *lot, char *scratch, float *sizes) noexcept nogil:
    """The same for tiles in a strip: where their rows lie in x, or laid out."""
    cdef const tile_strip_t *strip = &job.close if lot.neighbours else &job.apart
    cdef const source_t *s = &job.task.source
    cdef const float *lines[MOST_SIDE * MOST_FOLD]
    cdef float of_lanes[FUSED_TILES * LANES_F32]
    cdef float *laid = <float *> (scratch + job.folded_at)
    cdef const float *x
    cdef Py_ssize_t fold = job.tiling.fold, run = strip.inputs.run, length = job.tiling.side * fold
    cdef Py_ssize_t t, d, q, i, at
    for t in range(lot.count):
        sizes[t] = 0
    for i in range(length):
        lines[i] = laid + i * strip.length
    for d in range(strip.inputs.depth):
        if lot.neighbours and lot.inner:
            x = lot.row[0].image + lot.column[0].first * s.channels
            x += s.axis[0].code[s.axis[0].row[lot.row[0].depth] + d * s.axis[0].step] * s.stride[0]
            for i in range(length):
                lines[i] = x + lot.row[0].at[i]
        else:
            lay_lot(job, lot, d, laid, strip.length, strip.spread, <float *> (scratch + job.mix_at))
        for q in range(fold):
            winograd_strip(lines + q, fold, strip.length, run, strip.spread, strip.shared,
                           (<float *> scratch) + d * strip.inputs.depth_step + q * strip.inputs.run_step, of_lanes)
            for t in range(lot.count):
                at = t // strip.shared * strip.lanes + t % strip.shared * strip.spread
                for i in range(at, at + run):
                    sizes[t] = max(sizes[t], of_lanes[i])


cdef void winograd_fused_block(void *given, Py_ssize_t block, int worker) noexcept nogil:
    cdef const winograd_t *job = <const winograd_t *> given
    cdef Py_ssize_t until = min((block + 1) * job.at_once, job.tiling.all)
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef float checks[FUSED_TILES * LANES_F32]
    cdef tile_row_t rows[ROWS_KNOWN]
    cdef lot_t lots[2]              # these tiles, and the next ones
    cdef lot_t *lot = &lots[0]
    cdef lot_t *following = &lots[1]
    cdef Py_ssize_t tile0 = block * job.at_once, t, i
    for i in range(ROWS_KNOWN):
        rows[i].q = -1
    find_lot(job, tile0, until, rows, lot)
    while lot.count > 0:
        find_lot(job, tile0 + lot.count, until, rows, following)
        if lot.count < FUSED_TILES:     # of tiles that are not there, nothing else is multiplied
            memset(scratch, 0, job.mix_at)
        if job.columns != NULL:
            transform_strip(job, lot, scratch, job.sizes + tile0)
        else:
            transform_fused(job, lot, scratch, job.sizes + tile0)
        memset(checks, 0, sizeof(checks))
        fill_fused(job, &job.close.inputs if lot.neighbours else &job.apart.inputs, <const float *> scratch,
                   lot.targets, following.targets, checks)
        for t in range(lot.count):
            if not (fine(checks + t * LANES_F32) and (lot.row[t] != NULL or lot.tiles[t].regular)):
                job.flagged[tile0 + t] = 1
        if job.task.finishing:
            finish_tiles(job, lot.targets, lot.count, 0, job.groups * job.outputs)
        tile0 += lot.count
        lot, following = following, lot
    if job.task.past:
        PASSED()


cdef void fill_fused(const winograd_t *job, const fused_inputs_t *inputs, const float *v, float **targets,
                     float **soon, float *checks) noexcept nogil:
    """All outputs of a few tiles; those of the next ones are on their way then."""
    cdef Py_ssize_t depth = inputs.depth, wide = LANES_F32 * TILE_VECTORS
    cdef Py_ssize_t places = FUSED_TILES * job.tiling.outputs * job.tiling.outputs
    cdef Py_ssize_t group, first, width, valid, channel, i
    cdef const float *panel
    cdef float start[FUSED_VECTORS * LANES_F32]
    memset(start, 0, sizeof(start))
    for group in range(job.groups):
        channel = group * job.channels
        for first from 0 <= first < job.outputs by FUSED_VECTORS * LANES_F32:
            width = wide if job.outputs - first // wide * wide > LANES_F32 else LANES_F32
            valid = min(<Py_ssize_t> FUSED_VECTORS * LANES_F32, job.outputs - first)
            panel = job.panels + group * job.group_size \
                + first // wide * wide * POINTS * depth * job.channels + first % wide
            if job.task.bias != NULL:
                memset(start, 0, sizeof(start))     # beyond the last output
                memcpy(start, (<const float *> job.task.bias) + group * job.outputs + first, valid * sizeof(float))
            for i in range(places if (group * job.outputs + first) % LINE == 0 and not job.task.past else 0):
                PREFETCH(soon[i] + group * job.outputs + first)
            winograd_fused(job.tiling.form, v + channel // inputs.run * inputs.run_step + channel % inputs.run, inputs,
                           panel, width, start, targets,
                           group * job.outputs + first, valid, job.task.past, checks)
