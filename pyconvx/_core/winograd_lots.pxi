# Some tiles at a time, one after the other along rows of them: where they lie, and rows of their inputs.

cdef enum:
    ROWS_KNOWN = 2 * FUSED_TILES    # rows of tiles: two lots lie in as many at most, and no more are held at once

cdef struct tile_column_t:
    bint inner                      # tiles have all of their places there, and rows of inputs lie together in x
    bint follows                    # their first inputs are the last ones of tiles of the column before
    Py_ssize_t since, until         # the inputs of each row of elements that lie together there,
    Py_ssize_t first                # and the element that the first of all would be;
    bint bare                       # the others are outside, or nothing
    Py_ssize_t place[MOST_OUT]      # of the last axis


cdef struct tile_row_t:
    Py_ssize_t q                    # its number, or -1
    Py_ssize_t depth                # place of the first axis
    bint inner                      # all rows of inputs that its tiles read are in x, and they have all of their places
    const float *image              # the sample,
    Py_ssize_t at[MOST_SIDE * MOST_FOLD]    # where rows of inputs lie in it,
    float *places[MOST_OUT]         # and rows of places


cdef struct lot_t:
    Py_ssize_t count
    bint neighbours                 # they lie in a row, one beside the other, and
    bint inner                      # all are inner ones
    const tile_row_t *row[FUSED_TILES]      # of each tile, if it is an inner one, and NULL else,
    const tile_column_t *column[FUSED_TILES]
    tile_t tiles[FUSED_TILES]       # and then where it lies
    float *targets[FUSED_TILES * MOST_OUT * MOST_OUT]


cdef void find_columns(const winograd_t *job, tile_column_t *columns) noexcept nogil:
    """Where tiles lie along a row of them."""
    cdef const source_t *s = &job.task.source
    cdef const tiling_t *tiling = &job.tiling
    cdef Py_ssize_t codes[MOST_SIDE * MOST_FOLD]
    cdef Py_ssize_t t, i, since, length = tiling.side * tiling.fold
    cdef const Py_ssize_t *row = s.axis[2].row
    for t in range(tiling.tiles[1]):
        tile_codes(s, tiling, 1, t, codes)
        columns[t].follows = t > 0 and tiling.regular[1][t - 1] and tiling.regular[1][t] and tiling.step[1] == 1 \
            and row[tiling.first[1][t]] - row[tiling.first[1][t - 1]] == tiling.outputs * tiling.fold
        if tiling.fold > 1:
            for i in range(1, length):      # where no tap reads anything may stand: it cancels, or a NaN is noticed
                if codes[i] == NOTHING and 0 <= codes[i - 1] < s.length[2] - 1:
                    codes[i] = codes[i - 1] + 1
        columns[t].since = columns[t].until = since = 0
        for i in range(length if s.stride[2] == s.channels else 0):
            if codes[since] < 0 or codes[i] != codes[since] + i - since:
                since = i
            if codes[i] >= 0 and i + 1 - since > columns[t].until - columns[t].since:
                columns[t].since, columns[t].until = since, i + 1
        columns[t].first = codes[columns[t].since] - columns[t].since
        columns[t].bare = True
        for i in range(length):
            if not columns[t].since <= i < columns[t].until and codes[i] != NOTHING and codes[i] != OUTSIDE:
                columns[t].bare = False
        columns[t].inner = columns[t].until - columns[t].since == length and tiling.count[1][t] == tiling.outputs
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
            row.at[i] = row.at[i - 1]       # what no tap reads, as in find_columns: inner tiles have no other NOTHING
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
    lot.neighbours = lot.inner = lot.count == FUSED_TILES and job.columns != NULL
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
            lot.inner = False
            find_tile(&job.task.source, &job.tiling, tile0 + t, &lot.tiles[t])
            tile_places(&job.task.source, &job.tiling, &lot.tiles[t], <float *> job.task.y, job.task.y_n,
                        job.task.y_stride, targets)
        targets += outputs * outputs
        if t > 0 and lot.neighbours:        # in another row, the first column does not follow
            lot.neighbours = job.columns[column].follows
        column += 1
        if column == job.tiling.tiles[1]:
            at, column = at + 1, 0
    if not lot.inner and job.unread:        # a tile would hold there what the next one lays
        lot.neighbours = False
    if lot.count < FUSED_TILES:
        memset(targets, 0, (FUSED_TILES - lot.count) * outputs * outputs * sizeof(float *))


cdef void lay_lot(const winograd_t *job, const lot_t *lot, Py_ssize_t tap, float *laid, Py_ssize_t length,
                  Py_ssize_t spread, float *mix) noexcept nogil:
    """Lay out the rows of inputs of some tiles: laid[row][element], `length` elements for the rows of all tiles, which
    begin `spread` apart.
    """
    cdef const source_t *s = &job.task.source
    cdef const float *x
    cdef Py_ssize_t t, i, a, code = tap * s.axis[0].step, side = job.tiling.side * job.tiling.fold
    for t in range(lot.count):
        if lot.row[t] == NULL:
            a = s.axis[0].code[s.axis[0].row[lot.tiles[t].depth] + code]
            lay_tile(job, &lot.tiles[t], a, laid, length, mix)
        else:
            a = s.axis[0].code[s.axis[0].row[lot.row[t].depth] + code]
            x = lot.row[t].image + a * s.stride[0] + lot.column[t].first * s.channels
            for i in range(side):
                copy_few(laid + i * length, x + lot.row[t].at[i], side * s.channels)
        laid += spread


cdef void lay_tile(const winograd_t *job, const tile_t *tile, Py_ssize_t a, float *laid, Py_ssize_t length,
                   float *mix) noexcept nogil:
    """The same for one that is no inner tile; a: the code of the first axis."""
    cdef const source_t *s = &job.task.source
    cdef const tile_column_t *column = &job.columns[tile.tile[1]]
    cdef const float *constants = <const float *> job.task.constants
    cdef const float *x = <const float *> job.task.x + tile.n * s.stride_n
    cdef const float *pointer
    cdef Py_ssize_t i, j, b, since, until, channels = s.channels, side = job.tiling.side * job.tiling.fold
    cdef bint zeros, zero = job.task.zero and s.border.elements == NULL     # what is outside is
    for i in range(side):
        b, since, until = tile.codes[0][i], 0, 0
        zeros = zero and (a == NOTHING or a == OUTSIDE or b == NOTHING or b == OUTSIDE)
        if (a | b) >= 0:
            since, until, zeros = column.since, column.until, zero and column.bare
        if zeros:
            memset(laid, 0, side * channels * sizeof(float))
        if since < until:
            copy_few(laid + since * channels, x + a * s.stride[0] + b * s.stride[1]
                     + (column.first + since) * channels, (until - since) * channels)
        for j in range(0 if zeros else side):
            if not since <= j < until:
                pointer = tap_row(s, x, constants, a, b, tile.codes[1][j], mix)
                copy_few(laid + j * channels, constants + AXES * channels if pointer == NULL else pointer, channels)
        laid += length
