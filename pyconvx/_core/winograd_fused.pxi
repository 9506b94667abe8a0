# Convolution by Winograd's algorithms where few channels are summed: a few tiles at a time are transformed, multiplied
# with one vector of filters after the other and transformed back, so that no sums go through memory.

cdef extern from "winograd_fused.h":
    enum:
        FUSED_TILES
        FUSED_VECTORS
        FUSED_POINT
        FUSED_TILE
    void winograd_fused(int form, const float *v, const fused_inputs_t *inputs, const float *u, Py_ssize_t width,
                        const float *bias, float **targets, Py_ssize_t first, Py_ssize_t count,
                        bint past, float *checks) noexcept nogil
    void lay_beside(const float **lines, Py_ssize_t fold, Py_ssize_t run, float *laid) noexcept nogil
    void winograd_beside(const float *laid, float *v, float *sizes) noexcept nogil
    bint fine(const float *checks) noexcept nogil

cdef enum:
    FUSED_BLOCK = 16                # tiles of a block where threads share them, or
    FUSED_SHARED = 8                # if each has fewer lots of FUSED_TILES, all of its own
    FUSED_LINE = 16                 # elements of a line of the cache
    MOST_PRODUCTS = 64              # of a point: the sums of more are worth the way through memory
    MOST_BESIDE = 8                 # elements of an input of which tiles share a vector

    ROWS_KNOWN = 2 * FUSED_TILES    # rows of tiles: two lots lie in as many at most, and no more are held at once

cdef struct tile_row_t:
    Py_ssize_t q                    # its number, or -1
    Py_ssize_t depth                # place of the first axis
    bint inner                      # all rows of inputs that its tiles read are in x, and they have all of their places
    const float *image              # the sample,
    Py_ssize_t at[MOST_SIDE * MOST_FOLD]    # where rows of inputs lie in it,
    float *places[MOST_OUT]         # and rows of places


cdef struct lot_t:
    Py_ssize_t count
    const tile_row_t *row[FUSED_TILES]      # of each tile, and its column, if it is an inner one of both,
    const tile_column_t *column[FUSED_TILES]
    tile_t tiles[FUSED_TILES]       # and else where it lies
    float *targets[FUSED_TILES * MOST_OUT * MOST_OUT]


cdef bint fuses(bint strided, Py_ssize_t products, Py_ssize_t groups, Py_ssize_t channels) noexcept nogil:
    return not strided and products <= MOST_PRODUCTS and (groups == 1 or LANES_F32 % channels == 0)


def fusible(bint strided, Py_ssize_t products, Py_ssize_t groups, Py_ssize_t channels):
    """Whether products and transforms are done together: where a point has few products, and the channels of a group
    lie within vectors of their own or of whole groups.
    """
    return fuses(strided, products, groups, channels)


cdef Py_ssize_t beside(Py_ssize_t run) noexcept nogil:
    cdef Py_ssize_t tiles = FUSED_TILES
    while tiles > 1 and (tiles * run > LANES_F32 or run > MOST_BESIDE):
        tiles //= 2
    return tiles


def tiles_beside(Py_ssize_t run):
    """How many tiles lie side by side in a vector of inputs, whose rows are `run` elements: more than one where these
    fill half of a vector at most.
    """
    return beside(run)


cdef void arrange_fused(winograd_t *job) noexcept nogil:
    """Where the inputs of some tiles lie in scratch, and how much of it they take."""
    cdef fused_inputs_t *inputs = &job.inputs
    cdef Py_ssize_t fold = job.tiling.fold, channels = job.task.source.channels, length = job.tiling.side * fold
    cdef Py_ssize_t shared, rows
    job.beside = beside(fold * channels)
    shared = FUSED_TILES // job.beside
    inputs.depth, inputs.channels = job.task.source.axis[0].taps, job.channels
    if job.beside > 1:
        rows = fold
        inputs.run, inputs.second, inputs.third = fold * channels, fold * channels, 2 * fold * channels
        if shared > 1:
            inputs.third = FUSED_TILE
    else:
        rows = job.padded // LANES_F32
        inputs.run, inputs.second, inputs.third = FUSED_POINT, FUSED_TILE, 2 * FUSED_TILE
    inputs.run_step = shared * FUSED_TILE
    inputs.depth_step = rows * inputs.run_step
    job.laid_at = rounded(inputs.depth * inputs.depth_step * sizeof(float))
    job.folded_at = job.laid_at
    if job.beside > 1:
        job.folded_at += rounded(inputs.depth_step * sizeof(float))
        job.mix_at = job.folded_at + rounded(FUSED_TILES * length * length * channels * sizeof(float))
    else:
        job.mix_at = job.folded_at + folded_size(job)


cdef void find_columns(const winograd_t *job, tile_column_t *columns) noexcept nogil:
    """Where tiles lie along a row of them."""
    cdef const source_t *s = &job.task.source
    cdef const tiling_t *tiling = &job.tiling
    cdef Py_ssize_t codes[MOST_SIDE * MOST_FOLD]
    cdef Py_ssize_t t, i, differ
    for t in range(tiling.tiles[1]):
        differ = s.stride[2] ^ s.channels
        tile_codes(s, tiling, 1, t, codes)
        for i in range(tiling.side * tiling.fold):
            # what stands in a square where no tap reads is multiplied by taps that are zero
            if tiling.fold == 1 or codes[i] != NOTHING or codes[0] + i >= s.length[2]:
                differ |= codes[i] ^ (codes[0] + i)
        columns[t].inner = differ == 0 and codes[0] >= 0 and tiling.count[1][t] == tiling.outputs
        columns[t].first = codes[0]
        for i in range(tiling.outputs if columns[t].inner else 0):
            columns[t].place[i] = s.axis[2].place[tiling.first[1][t] + i * tiling.spacing[1]]


cdef void find_row(const winograd_t *job, Py_ssize_t q, tile_row_t *row) noexcept nogil:
    """Where the tiles of row q lie."""
    cdef const source_t *s = &job.task.source
    cdef const tiling_t *tiling = &job.tiling
    cdef Py_ssize_t t = q % tiling.tiles[0], n = q // tiling.tiles[0] // s.axis[0].length, i
    cdef Py_ssize_t signs = 0
    cdef float *y = <float *> job.task.y + n * job.task.y_n
    row.q, row.depth = q, q // tiling.tiles[0] % s.axis[0].length
    row.image = <const float *> job.task.x + n * s.stride_n
    for i in range(s.axis[0].taps):
        signs |= s.axis[0].code[s.axis[0].row[row.depth] + i * s.axis[0].step]
    tile_codes(s, tiling, 0, t, row.at)
    for i in range(tiling.side * tiling.fold):
        if tiling.fold > 1 and row.at[i] == NOTHING and i > 0:
            row.at[i] = row.at[i - 1]       # what no tap reads, as in find_columns: folded tiles have no other NOTHING
        else:
            signs |= row.at[i]
            row.at[i] *= s.stride[1]
    row.inner = signs >= 0 and tiling.count[0][t] == tiling.outputs
    y += s.axis[0].place[row.depth] * job.task.y_stride[0]
    for i in range(tiling.outputs if row.inner else 0):
        row.places[i] = y + s.axis[1].place[tiling.first[0][t] + i * tiling.spacing[0]] * job.task.y_stride[1]


cdef void find_lot(const winograd_t *job, Py_ssize_t tile0, Py_ssize_t until, tile_row_t *rows,
                   lot_t *lot) noexcept nogil:
    """The next few tiles and their places; rows: what is known of ROWS_KNOWN rows of tiles, the last ones."""
    cdef Py_ssize_t outputs = job.tiling.outputs, t, q, i, j
    cdef Py_ssize_t at = tile0 // job.tiling.tiles[1], column = tile0 % job.tiling.tiles[1]
    cdef Py_ssize_t across[MOST_OUT]
    cdef float **targets = lot.targets
    cdef tile_row_t *row
    lot.count = max(0, min(<Py_ssize_t> FUSED_TILES, until - tile0))
    for t in range(lot.count):
        lot.row[t] = NULL
        row = &rows[at % ROWS_KNOWN]
        if job.columns != NULL and row.q != at:
            find_row(job, at, row)
        if job.columns != NULL and row.inner and job.columns[column].inner:
            lot.row[t], lot.column[t] = row, job.columns + column
            for j in range(outputs):
                across[j] = job.columns[column].place[j] * job.task.y_stride[2]
            for i in range(outputs):
                for j in range(outputs):
                    targets[i * outputs + j] = row.places[i] + across[j]
        else:
            find_tile(&job.task.source, &job.tiling, tile0 + t, &lot.tiles[t])
            tile_places(&job.task.source, &job.tiling, &lot.tiles[t], <float *> job.task.y, job.task.y_n,
                        job.task.y_stride, targets)
        targets += outputs * outputs
        column += 1
        if column == job.tiling.tiles[1]:
            at, column = at + 1, 0
    if lot.count < FUSED_TILES:
        memset(targets, 0, (FUSED_TILES - lot.count) * outputs * outputs * sizeof(float *))


cdef void tile_lines(const winograd_t *job, const lot_t *lot, Py_ssize_t t, Py_ssize_t tap, const float **lines,
                     float *laid, float *mix) noexcept nogil:
    """Pointers to the rows of a tile, whose elements lie one after the other: in x, or `laid` out."""
    cdef const source_t *s = &job.task.source
    cdef const float *constants = <const float *> job.task.constants
    cdef const tile_row_t *row = lot.row[t]
    cdef const tile_t *tile = &lot.tiles[t]
    cdef const float *pointer
    cdef const float *x
    cdef Py_ssize_t i, j, a, length = job.tiling.side * job.tiling.fold
    a = s.axis[0].code[s.axis[0].row[tile.depth if row == NULL else row.depth] + tap * s.axis[0].step]
    if row != NULL:
        x = row.image + a * s.stride[0] + lot.column[t].first * s.stride[2]
        for i in range(length):
            lines[i] = x + row.at[i]
        return
    x = <const float *> job.task.x + tile.n * s.stride_n
    for i in range(length):
        lines[i] = laid
        for j in range(length):
            pointer = tap_row(s, x, constants, a, tile.codes[0][i], tile.codes[1][j], mix)
            copy_few(laid, constants + AXES * s.channels if pointer == NULL else pointer, s.channels)
            laid += s.channels


cdef void transform_fused(const winograd_t *job, const lot_t *lot, char *scratch, float *sizes) noexcept nogil:
    """Transform the inputs of some tiles; sizes: of each tile, as transform_inputs returns it."""
    cdef const float *rows[POINTS * MOST_FOLD]
    cdef Py_ssize_t t, d
    for t in range(lot.count):
        sizes[t] = 0
        for d in range(job.inputs.depth):
            tile_inputs(&job.task.source, &job.tiling, &lot.tiles[t], d, <const float *> job.task.x,
                        <const float *> job.task.constants, rows, <float *> (scratch + job.folded_at),
                        <float *> (scratch + job.mix_at))
            sizes[t] = max(sizes[t], transform_inputs(
                &job.task.source, &job.tiling, 0, rows,
                (<float *> scratch) + d * job.inputs.depth_step + t * FUSED_TILE, FUSED_POINT, job.inputs.run_step))


cdef void transform_beside(const winograd_t *job, const lot_t *lot, char *scratch, float *sizes) noexcept nogil:
    """The same for tiles whose inputs lie side by side in vectors."""
    cdef const float *lines[MOST_SIDE * MOST_FOLD]
    cdef float of_lanes[FUSED_TILES][LANES_F32]
    cdef float *laid = <float *> (scratch + job.laid_at)
    cdef float *elements = <float *> (scratch + job.folded_at)
    cdef Py_ssize_t fold = job.tiling.fold, run = job.inputs.run, length = job.tiling.side * fold
    cdef Py_ssize_t shared = FUSED_TILES // job.beside, t, d, q, i
    memset(of_lanes, 0, sizeof(of_lanes))
    for d in range(job.inputs.depth):
        for t in range(lot.count):
            tile_lines(job, lot, t, d, lines, elements + t * length * length * job.task.source.channels,
                       <float *> (scratch + job.mix_at))
            lay_beside(lines, fold, run, laid + t // job.beside * fold * FUSED_TILE + t % job.beside * run)
        for i in range(shared):
            for q in range(fold):
                winograd_beside(laid + (i * fold + q) * FUSED_TILE,
                                (<float *> scratch) + d * job.inputs.depth_step + q * job.inputs.run_step
                                + i * FUSED_TILE, of_lanes[i])
    for t in range(lot.count):
        sizes[t] = 0
        for i in range(run):
            sizes[t] = max(sizes[t], of_lanes[t // job.beside][t % job.beside * run + i])


cdef void winograd_fused_block(void *given, Py_ssize_t block, int worker) noexcept nogil:
    cdef const winograd_t *job = <const winograd_t *> given
    cdef Py_ssize_t until = min((block + 1) * job.at_once, job.tiling.all)
    cdef Py_ssize_t places = job.tiling.outputs * job.tiling.outputs
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef float checks[FUSED_TILES * LANES_F32]
    cdef tile_row_t rows[ROWS_KNOWN]
    cdef lot_t lots[2]              # these tiles, and the next ones
    cdef lot_t *lot = &lots[0]
    cdef lot_t *following = &lots[1]
    cdef Py_ssize_t tile0 = block * job.at_once, t, i
    memset(scratch, 0, job.folded_at)   # of tiles that are not there, nothing else is multiplied
    for i in range(ROWS_KNOWN):
        rows[i].q = -1
    find_lot(job, tile0, until, rows, lot)
    while lot.count > 0:
        find_lot(job, tile0 + lot.count, until, rows, following)
        if job.beside > 1:
            transform_beside(job, lot, scratch, job.sizes + tile0)
        else:
            transform_fused(job, lot, scratch, job.sizes + tile0)
        memset(checks, 0, sizeof(checks))
        fill_fused(job, <const float *> scratch, lot.targets, following.targets, checks)
        for t in range(lot.count):
            if not (fine(checks + t * LANES_F32) and (lot.row[t] != NULL or lot.tiles[t].regular)):
                job.flagged[tile0 + t] = 1
        if job.task.finishing:
            finish_tiles(&job.task, lot.targets, lot.count, job.tiling.outputs, 0, job.groups * job.outputs)
        tile0 += lot.count
        lot, following = following, lot
    if job.task.past:
        PASSED()


cdef void fill_fused(const winograd_t *job, const float *inputs, float **targets, float **soon,
                     float *checks) noexcept nogil:
    """All outputs of a few tiles; those of the next ones are on their way then."""
    cdef Py_ssize_t depth = job.inputs.depth, wide = LANES_F32 * TILE_VECTORS
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
            for i in range(places if (group * job.outputs + first) % FUSED_LINE == 0 and not job.task.past else 0):
                PREFETCH(soon[i] + group * job.outputs + first)
            winograd_fused(job.tiling.form, inputs + channel // job.inputs.run * job.inputs.run_step
                           + channel % job.inputs.run, &job.inputs, panel, width, start, targets,
                           group * job.outputs + first, valid, job.task.past, checks)
