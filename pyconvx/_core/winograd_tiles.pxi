# Tiles of Winograd's algorithms: where their inputs lie, by the tables of the axes, and their outputs.

cdef extern from "winograd.h":
    enum:
        WINOGRAD_STRIDED
        WINOGRAD_LINE
    bint WINOGRAD_IS_LINE(int form) noexcept nogil
    int WINOGRAD_ROWS(int form, int side) noexcept nogil
    int WINOGRAD_FILTER_POINTS(int form) noexcept nogil
    int WINOGRAD_SIDE(int form) noexcept nogil
    int WINOGRAD_TAPS(int form) noexcept nogil
    int WINOGRAD_OUT(int form) noexcept nogil
    void copy_few(float *to, const float *x, Py_ssize_t n) noexcept nogil
    float winograd_input(int form, int narrow, const float **rows, Py_ssize_t c, Py_ssize_t until, float *v,
                         Py_ssize_t step, Py_ssize_t apart, bint exact) noexcept nogil
    float winograd_slope(int narrow, const float **rows, Py_ssize_t first, Py_ssize_t count, float *v,
                         Py_ssize_t step) noexcept nogil
    float largest_magnitude(const float *x, Py_ssize_t n) noexcept nogil
    float largest_of(const float *x, Py_ssize_t n) noexcept nogil
    bint winograd_uneven(int form, int rise, Py_ssize_t height, Py_ssize_t width, const float *sizes,
                         float most) noexcept nogil
    void winograd_taps(const float *m, Py_ssize_t step, float *g, Py_ssize_t tap) noexcept nogil
    void winograd_filters(int form, const float *g, Py_ssize_t tap, float *u, Py_ssize_t step) noexcept nogil
    int winograd_output(int form, int narrow, const float *m, Py_ssize_t step, const float *bias, float **targets,
                        Py_ssize_t first, Py_ssize_t count, bint past) noexcept nogil
    bint LEFT_OUT(int narrow, Py_ssize_t i) noexcept nogil

cdef enum:
    POINTS = 36                     # elements of filters of squares, and of tiles but in the strided form
    MOST_SIDE = 9                   # inputs and points along a side of a tile: most, and
    MOST_POINTS = MOST_SIDE * MOST_SIDE     # in all
    MOST_OUT = 4                    # outputs there, but
    MOST_ALONG = 7                  # of a line
    MOST_FOLD = 4
    LINE_POINTS = 8                 # and inputs
    MOST_SUMS = 32                  # taps of the axis that tiles do not lie along, times pieces of those of a line
    MOST_CODES = 256                # inputs of a tile along an axis: as many as MOST_SUMS pieces of a line have
    LINE = 16                       # floats of a line of the cache


cdef inline Py_ssize_t spaced(Py_ssize_t count) noexcept nogil:
    """Elements from one of many parts of `count` to the next, which are written or read together: an odd number of
    lines, for otherwise many would share a few sets of the nearest cache, of which there is a power of two.
    """
    return ((count + LINE - 1) // LINE | 1) * LINE


cdef struct tiling_t:
    int form
    Py_ssize_t axis[AXES]           # whose taps are summed, and that tiles lie along: lines along the last of these
    Py_ssize_t side, outputs        # inputs, and outputs, along a row of a tile
    Py_ssize_t rows, lines          # of inputs, and of outputs: as many, or 1
    Py_ssize_t phases               # of a line's stride: every so many taps belong to one
    Py_ssize_t pieces, piece        # parts that the taps of a line are cut into, phase by phase, of so many at most
    Py_ssize_t fold                 # elements along a side of an input
    Py_ssize_t rise[2]              # inputs' elements from one output of a tile to the next
    const Py_ssize_t *first[2]      # of the tiles along their axes: the first place, how many places, and
    const Py_ssize_t *count[2]      # whether their inputs lie one after the other in the table
    const Py_ssize_t *regular[2]
    Py_ssize_t tiles[2]
    Py_ssize_t spacing[2]           # places between the outputs of a tile
    Py_ssize_t step[2]              # codes between its inputs
    Py_ssize_t base[2]              # from the code where a place's taps start to the tile's first input
    Py_ssize_t all                  # tiles of the batch: they follow one another along the later one of their axes, or
    bint sharing                    # along the other axis, where they share inputs
    bint alike                      # all tiles have all points, narrow ones too


cdef struct tile_t:
    Py_ssize_t n, depth             # sample, and place of the axis that no tile lies along
    Py_ssize_t tile[2]
    Py_ssize_t codes[2][MOST_CODES]
    bint regular
    bint plain                      # all inputs that are read are elements of x
    int narrow                      # as in winograd.h


cdef tiling_t tiling_of(const source_t *s, tuple tiles, int form, Py_ssize_t fold, tuple order, Py_ssize_t phases):
    """order: of the axes, tiles lie along the last two, lines along the last. tiles: for each of these two three intp
    arrays, one element per tile, and the spacing.
    """
    cdef tiling_t tiling
    cdef const axis_t *axis
    tiling.form, tiling.side, tiling.outputs, tiling.fold = form, WINOGRAD_SIDE(form), WINOGRAD_OUT(form), fold
    tiling.rows, tiling.lines = WINOGRAD_ROWS(form, tiling.side), WINOGRAD_ROWS(form, tiling.outputs)
    for i in range(AXES):
        tiling.axis[i] = order[i]
    tiling.piece, tiling.phases = WINOGRAD_TAPS(form), phases
    tiling.pieces = pieces_of(form, s.axis[tiling.axis[2]].taps, phases)
    tiling.all, tiling.alike, tiling.sharing = s.batch * s.axis[tiling.axis[0]].length, False, False
    for i in range(2):
        axis = &s.axis[tiling.axis[i + 1]]
        tiling.first[i] = <const Py_ssize_t *> cnp.PyArray_DATA(tiles[i][0])
        tiling.count[i] = <const Py_ssize_t *> cnp.PyArray_DATA(tiles[i][1])
        tiling.regular[i] = <const Py_ssize_t *> cnp.PyArray_DATA(tiles[i][2])
        tiling.tiles[i], tiling.spacing[i] = tiles[i][0].size, tiles[i][3]
        tiling.step[i] = distance(axis)
        tiling.base[i] = min(axis.step * (axis.taps - 1), 0)
        tiling.rise[i] = phases if WINOGRAD_IS_LINE(form) else 2 if form == WINOGRAD_STRIDED else fold
        tiling.all *= tiling.tiles[i]
    return tiling


cdef inline Py_ssize_t pieces_of(int form, Py_ssize_t taps, Py_ssize_t phases) noexcept nogil:
    cdef Py_ssize_t piece = WINOGRAD_TAPS(form) * phases
    return phases * ((taps + piece - 1) // piece) if WINOGRAD_IS_LINE(form) else 1


cdef inline Py_ssize_t piece_at(Py_ssize_t number, Py_ssize_t piece, Py_ssize_t phases) noexcept nogil:
    """The first tap of a piece by its number: the others are `phases` taps apart."""
    return number % phases + number // phases * piece * phases


cdef inline Py_ssize_t taps_from(Py_ssize_t first, Py_ssize_t length, Py_ssize_t phases) noexcept nogil:
    """How many taps of a phase there are from one on, of `length` in all."""
    return (length - first + phases - 1) // phases if first < length else 0


cdef inline void steps_of(bint turned, Py_ssize_t deep, Py_ssize_t length, Py_ssize_t *deep_step,
                          Py_ssize_t *step) noexcept nogil:
    """Taps of filters from one of the axis that no tile lies along to the next, of which there are `deep`, and from one
    of a square or a line of `length` taps; turned: that axis comes after the line's.
    """
    deep_step[0], step[0] = 1 if turned else length, deep if turned else 1


cdef inline int fast_axis(const tiling_t *tiling) noexcept nogil:
    """Along which axis, 0 or 1, tiles follow one another."""
    return 1 if tiling.axis[1] < tiling.axis[2] else 0


cdef inline unsigned char piece_taps(const tiling_t *tiling, Py_ssize_t length, Py_ssize_t number) noexcept nogil:
    """Taps of a piece of a line of `length`, by its number."""
    cdef Py_ssize_t since = piece_at(number, tiling.piece, tiling.phases)
    return <unsigned char> min(tiling.piece, taps_from(since, length, tiling.phases))


cdef inline Py_ssize_t inputs_along(const tiling_t *tiling, int k) noexcept nogil:
    """Elements that a tile reads along an axis, 0 or 1."""
    if k == 0:
        return tiling.rows * tiling.fold
    return (tiling.side * tiling.phases + (tiling.pieces - tiling.phases) * tiling.piece) * tiling.fold


cdef inline int narrow_of(const tiling_t *tiling, const Py_ssize_t *tile) noexcept nogil:
    """Along which axes a tile, given by its numbers on both, has so few places that it does without some points."""
    if tiling.form != 3 or tiling.alike:
        return 0
    return (tiling.count[0][tile[0]] <= 2) + 2 * (tiling.count[1][tile[1]] <= 2)


cdef void find_tile(const source_t *s, const tiling_t *tiling, Py_ssize_t q, tile_t *tile) noexcept nogil:
    """Where a tile lies, and the codes of its inputs: NOTHING beyond the last place."""
    cdef int last = fast_axis(tiling)
    cdef Py_ssize_t deep = s.axis[tiling.axis[0]].length
    if tiling.sharing:
        tile.depth = q % deep
        q //= deep
    tile.tile[last] = q % tiling.tiles[last]
    q //= tiling.tiles[last]
    tile.tile[1 - last] = q % tiling.tiles[1 - last]
    q //= tiling.tiles[1 - last]
    if not tiling.sharing:
        tile.depth = q % deep
        q //= deep
    tile.n = q
    tile.plain = (tile_codes(s, tiling, 0, tile.tile[0], tile.codes[0])
                  | tile_codes(s, tiling, 1, tile.tile[1], tile.codes[1])) >= 0
    tile.regular = tiling.regular[0][tile.tile[0]] and tiling.regular[1][tile.tile[1]]
    tile.narrow = narrow_of(tiling, tile.tile)


cdef inline Py_ssize_t tile_codes(const source_t *s, const tiling_t *tiling, int k, Py_ssize_t t,
                                  Py_ssize_t *to) noexcept nogil:
    """The codes of inputs that tiles read whose number on an axis, 0 or 1, is t, NOTHING for those that they do not;
    returns all bits of the first.
    """
    cdef const axis_t *axis = &s.axis[tiling.axis[k + 1]]
    cdef Py_ssize_t i, read, length = inputs_along(tiling, k), signs = 0
    cdef const Py_ssize_t *code = axis.code + axis.row[tiling.first[k][t]] + tiling.base[k]
    read = min(tiling.rise[k] * (tiling.count[k][t] - 1) + axis.taps, length) if tiling.regular[k][t] else 0
    for i in range(read):
        to[i] = code[i * tiling.step[k]]
        signs |= to[i]
    for i in range(read, length):
        to[i] = NOTHING
    return signs


cdef inline Py_ssize_t deep_code(const source_t *s, const tiling_t *tiling, const tile_t *tile,
                                 Py_ssize_t tap) noexcept nogil:
    """The code that a tile reads on the axis that no tile lies along, for a tap of it."""
    cdef const axis_t *axis = &s.axis[tiling.axis[0]]
    return axis.code[axis.row[tile.depth] + tap * axis.step]


cdef void tile_inputs(const source_t *s, const tiling_t *tiling, const tile_t *tile, Py_ssize_t a, Py_ssize_t piece,
                      const float *x, const float *constants, const float **rows, float *folded,
                      float *mix) noexcept nogil:
    """Pointers to the inputs of a tile for a code of the axis that no tile lies along, and a piece of a line's taps. If
    they are folded, each consists of `fold` rows of elements: the first rows of all inputs, then the second ones; what
    does not lie together is gathered in `folded`.
    """
    cdef const float *pointer
    cdef const Py_ssize_t *along = tile.codes[1] + piece_at(piece, tiling.piece, tiling.phases)
    cdef Py_ssize_t i, j, side = tiling.side
    cdef Py_ssize_t of_row = s.stride[tiling.axis[1]], of_column = s.stride[tiling.axis[2]]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t code
    cdef const float *zeros = constants + AXES * s.channels
    x += tile.n * s.stride_n
    if tiling.fold > 1:
        fold_inputs(s, tiling, tile, a, x, constants, rows, folded, mix)
        return
    if tile.plain and a >= 0:
        for i in range(tiling.rows):
            pointer = x + a * s.stride[tiling.axis[0]] + tile.codes[0][i] * of_row
            for j in range(side):
                code = along[j * tiling.phases]
                rows[i * side + j] = zeros if code == NOTHING or tile.codes[0][i] == NOTHING \
                    else pointer + code * of_column
        return
    codes[tiling.axis[0]] = a
    for i in range(tiling.rows):
        codes[tiling.axis[1]] = tile.codes[0][i]
        for j in range(side):
            codes[tiling.axis[2]] = along[j * tiling.phases]
            pointer = tap_row(s, x, constants, codes[0], codes[1], codes[2], mix)
            if pointer == mix:
                mix += s.channels
            rows[i * side + j] = zeros if pointer == NULL else pointer


cdef void fold_inputs(const source_t *s, const tiling_t *tiling, const tile_t *tile, Py_ssize_t a, const float *x,
                      const float *constants, const float **rows, float *folded, float *mix) noexcept nogil:
    """The same for squares of fold x fold elements."""
    cdef const float *pointer
    cdef const float *line
    cdef const float *zeros = folded
    cdef const Py_ssize_t *code
    cdef const float **to
    cdef Py_ssize_t i, j, q, b, channels = s.channels, fold = tiling.fold
    cdef Py_ssize_t lies[MOST_SIDE]     # where the elements of a row of a square lie together in x, or -1
    memset(folded, 0, fold * channels * sizeof(float))
    folded += fold * channels
    for j in range(tiling.side):
        code = tile.codes[1] + j * fold
        lies[j] = code[0] if s.stride[2] == channels else -1
        for q in range(1, fold):
            # what stands where no tap reads is multiplied by taps that are zero
            if code[q] != code[0] + q and (code[q] != NOTHING or code[0] + q >= s.length[2]):
                lies[j] = -1
    for i in range(tiling.side * fold):
        b = tile.codes[0][i]
        to = rows + (i % fold * tiling.side + i // fold) * tiling.side
        line = x + a * s.stride[0] + b * s.stride[1] if (a | b) >= 0 else NULL
        for j in range(tiling.side):
            if b == NOTHING:
                to[j] = zeros
            elif line != NULL and lies[j] >= 0:
                to[j] = line + lies[j] * channels
            else:
                to[j] = folded
                for q in range(fold):
                    pointer = tap_row(s, x, constants, a, b, tile.codes[1][j * fold + q], mix)
                    copy_few(folded, constants + AXES * channels if pointer == NULL else pointer, channels)
                    folded += channels


cdef float transform_inputs(const source_t *s, const tiling_t *tiling, int narrow, const float **rows, float *v,
                            Py_ssize_t step, Py_ssize_t apart) noexcept nogil:
    """Transform the inputs of a tile; `step` elements from a point to the next, `apart` from a vector of channels to
    the next. Returns the largest sum over a channel of their magnitudes.
    """
    cdef Py_ssize_t run = tiling.fold * s.channels, row, done, some, at
    cdef float size = 0
    for row in range(tiling.fold):
        done = 0
        while done < run:
            at = row * run + done
            some = run - done if at % LANES_F32 == 0 else min(run - done, LANES_F32 - at % LANES_F32)
            size = max(size, winograd_input(tiling.form, narrow, rows + row * POINTS, done, done + some,
                                            v + at // LANES_F32 * apart + at % LANES_F32, step, apart,
                                            tiling.fold > 1))
            done += some
    return size


cdef void tile_places(const source_t *s, const tiling_t *tiling, const tile_t *tile, float *y, Py_ssize_t y_n,
                      const Py_ssize_t *y_stride, float **places) noexcept nogil:
    """Pointers to the places of a tile in y, NULL beyond the last."""
    cdef Py_ssize_t i, j, outputs = tiling.outputs
    cdef Py_ssize_t height = tiling.count[0][tile.tile[0]], width = tiling.count[1][tile.tile[1]]
    cdef const Py_ssize_t *row = s.axis[tiling.axis[1]].place + tiling.first[0][tile.tile[0]]
    cdef const Py_ssize_t *column = s.axis[tiling.axis[2]].place + tiling.first[1][tile.tile[1]]
    cdef Py_ssize_t across[MOST_ALONG]
    cdef float *line
    if height < tiling.lines or width < outputs:
        memset(places, 0, tiling.lines * outputs * sizeof(float *))
    y += tile.n * y_n + s.axis[tiling.axis[0]].place[tile.depth] * y_stride[tiling.axis[0]]
    for j in range(width):
        across[j] = column[j * tiling.spacing[1]] * y_stride[tiling.axis[2]]
    for i in range(height):
        line = y + row[i * tiling.spacing[0]] * y_stride[tiling.axis[1]]
        for j in range(width):
            places[i * outputs + j] = line + across[j]
