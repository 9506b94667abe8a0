# Convolution by Winograd's algorithms (float32): F(4x4, 3x3), F(3x3, 4x4) and F(2x2, 5x5) at stride 1, with 36 products
# for 144, 144 and 100, and a form of F(4x4, 3x3) for stride 2, with 81.
#
# The result is cut into tiles of a few places (`spacing` places apart: the dilation), whose inputs are transformed; for
# each point there is one matrix product over the channels, and the sums are transformed back. Inputs are found through
# the same tables as everywhere, so any padding mode and the adjoint work. At other strides, and for larger kernels, the
# inputs are folded: squares of stride x stride elements become one with as many channels, and taps likewise, which
# leaves a convolution at stride 1. Tiles that hold what the transform would spread over all of their places, an
# infinity, a NaN or the rounding of an element far larger than others, are reported, for another algorithm to do again.

cdef extern from "winograd.h":
    enum:
        WINOGRAD_STRIDED
    int WINOGRAD_SIDE(int form) noexcept nogil
    int WINOGRAD_TAPS(int form) noexcept nogil
    int WINOGRAD_OUT(int form) noexcept nogil
    void copy_few(float *to, const float *x, Py_ssize_t n) noexcept nogil
    float winograd_input(int form, int narrow, const float **rows, Py_ssize_t channels, float *v,
                         Py_ssize_t step) noexcept nogil
    float winograd_slope(int narrow, const float **rows, Py_ssize_t first, Py_ssize_t count, float *v,
                         Py_ssize_t step) noexcept nogil
    float largest_magnitude(const float *x, Py_ssize_t n) noexcept nogil
    void winograd_taps(const float *m, Py_ssize_t step, float *g, Py_ssize_t tap) noexcept nogil
    void winograd_filters(int form, const float *g, Py_ssize_t tap, float *u, Py_ssize_t step) noexcept nogil
    int winograd_output(int form, int narrow, const float *m, Py_ssize_t step, const float *bias, float **targets,
                        Py_ssize_t first, Py_ssize_t count) noexcept nogil
    bint LEFT_OUT(int narrow, Py_ssize_t i) noexcept nogil

cdef enum:
    FILTER_RUN = 8                  # channels of filters transformed at a time
    TAPS_STEP = (FILTER_RUN + 1) * LANES_F32    # a vector more: taps do not share lines of the nearest cache
    POINTS_STEP = (FILTER_RUN * TILE_VECTORS + 1) * LANES_F32   # nor do points
    POINTS = 36                     # elements of transformed filters, and of a tile but in the strided form
    MOST_SIDE = 9                   # inputs and points along a side of a tile: most, and
    MOST_POINTS = MOST_SIDE * MOST_SIDE     # in all
    MOST_OUT = 4                    # outputs there
    MOST_TAPS = 5                   # taps there
    MOST_FOLD = 4
    WINOGRAD_TILES = 28             # most tiles of a block
    WINOGRAD_SLOTS = WINOGRAD_TILES + TILE_FULL     # in the parts that they are multiplied in, of which some are free
    KINDS = 4                       # of points: all tiles have them, or narrow ones do not along one axis, or both
    LARGE = 4                       # tiles this many powers of two larger than usual ones are done again
    FEW = 32                        # usual ones are like half of all; but if one part in so many is smaller ...
    FILLED = 20                     # ... by more powers of two than this, then only tiles up to that count
    TRANSFORMS = 40                 # filters whose products cost what the transforms of a tile do, about
    FEWEST_TILES = 4                # of a block, for which filters are worth reading
    WINOGRAD_NEAR = 1 << 20         # bytes of filters that every thread may read
    WINOGRAD_BYTES = 1 << 20        # of transformed inputs that a block may take, where that leaves it enough tiles


cdef cnp.ndarray folded_filters(cnp.ndarray filters, tuple kernel, Py_ssize_t fold, Py_ssize_t side):
    """(F, taps, C) with taps of a first axis and kernel = two others: squares of fold x fold taps become channels.

    What is missing of side x side squares is zero.
    """
    outputs, channels = filters.shape[0], filters.shape[2]
    taps = filters.reshape((outputs, -1, *kernel, channels))
    depth, missing = taps.shape[1], [(0, side * fold - k) for k in kernel]
    taps = np.pad(taps, [(0, 0), (0, 0), *missing, (0, 0)]).reshape((outputs, depth, side, fold, side, fold, channels))
    return taps.transpose((0, 1, 2, 4, 3, 5, 6)).reshape((outputs, depth * side * side, fold * fold * channels))


cdef class WinogradPanels:
    """Transformed filters: [group][panel][point][depth tap][channel][lane].

    filters: (F, taps, C // groups), float32, with taps of a first axis and kernel = taps of two others. form: taps
    along a side (3, 4 or 5), or WINOGRAD_STRIDED, after squares of fold x fold taps have become channels (groups 1).
    With `transposed` channels and filters change places; with `flipped` the taps of the last two axes are taken in
    reverse. `packing` as for Panels.
    """
    cdef readonly Py_ssize_t groups, outputs, channels, depth, fold
    cdef readonly bint transposed, flipped
    cdef readonly int form
    cdef tuple kernel
    cdef Py_ssize_t group_size
    cdef object memory
    cdef float *data

    def __init__(self, cnp.ndarray filters, Py_ssize_t groups, bint transposed, bint flipped, int form,
                 Py_ssize_t fold, tuple kernel, bint packing=True):
        cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float), squares = WINOGRAD_TAPS(form) * WINOGRAD_TAPS(form)
        if not (2 <= form <= MOST_TAPS and 1 <= fold <= MOST_FOLD and (fold == 1 or groups == 1)) \
                or max(kernel) > WINOGRAD_TAPS(form) * fold or (fold == 1 and kernel[0] * kernel[1] != squares):
            raise ValueError("Winograd's algorithm: the filters do not fit")
        self.groups, self.depth = groups, filters.shape[1] // (kernel[0] * kernel[1])
        self.transposed, self.flipped, self.form, self.fold, self.kernel = transposed, flipped, form, fold, kernel
        self.outputs, self.channels = filters.shape[0] // groups, filters.shape[2] * fold * fold
        if transposed:
            self.outputs, self.channels = self.channels, self.outputs
        self.group_size = (self.outputs + lanes - 1) // lanes * lanes * POINTS * self.depth * self.channels
        if not packing:
            return
        if fold > 1:
            filters = folded_filters(filters, kernel, fold, WINOGRAD_TAPS(form))
        cdef Py_ssize_t step_output = filters.strides[0] // filters.itemsize
        cdef Py_ssize_t step_tap = filters.strides[1] // filters.itemsize
        cdef Py_ssize_t step_channel = filters.strides[2] // filters.itemsize
        cdef Py_ssize_t step_group = step_output * (filters.shape[0] // groups)
        if transposed:
            step_output, step_channel = step_channel, step_output
        self.memory = np.empty(self.group_size * groups * sizeof(float) + 64, np.uint8)
        self.data = <float *> ((<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64)
        cdef const float *origin = <const float *> cnp.PyArray_DATA(filters)
        cdef Py_ssize_t group, first, width = lanes * TILE_VECTORS, inner = self.depth * self.channels
        with nogil:
            for group in range(groups):
                for first from 0 <= first < self.outputs by width:
                    self.transform(origin + group * step_group + first * step_output, step_output, step_tap,
                                   step_channel, self.data + group * self.group_size + first * POINTS * inner,
                                   self.outputs - first)

    cdef void transform(self, const float *origin, Py_ssize_t step_output, Py_ssize_t step_tap,
                        Py_ssize_t step_channel, float *panel, Py_ssize_t outputs) noexcept nogil:
        """Transform the filters of one panel, as many as it holds of the outputs that are left.

        A few channels at a time: what belongs to one point lies together, and points lie far apart. Lanes beyond the
        last output are zeros, or those of the vector before, whose sums are good if its are.
        """
        cdef float taps[MOST_TAPS * MOST_TAPS * TAPS_STEP]
        cdef float points[POINTS * POINTS_STEP]
        cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
        cdef Py_ssize_t width = lanes * TILE_VECTORS if outputs > lanes else lanes
        cdef Py_ssize_t all_taps = WINOGRAD_TAPS(self.form) * WINOGRAD_TAPS(self.form)
        cdef Py_ssize_t inner = self.depth * self.channels, d, c, k, x, i, run, tap, lane
        cdef float *to
        memset(taps, 0, sizeof(taps))
        for d in range(self.depth):
            for c from 0 <= c < self.channels by FILTER_RUN:
                run = min(<Py_ssize_t> FILTER_RUN, self.channels - c)
                for lane from 0 <= lane < min(width, outputs) by lanes:
                    for k in range(all_taps):
                        tap = d * all_taps + (all_taps - 1 - k if self.flipped else k)
                        turn(origin + lane * step_output + tap * step_tap + c * step_channel, step_output, step_channel,
                             taps + k * TAPS_STEP, lanes, 1, min(lanes, outputs - lane), run)
                    for i in range(run):
                        winograd_filters(self.form, taps + i * lanes, TAPS_STEP, points + i * width + lane, POINTS_STEP)
                for x in range(POINTS):
                    to = panel + (x * inner + d * self.channels + c) * width
                    memcpy(to, points + x * POINTS_STEP, run * width * sizeof(float))
                    for i in range(run):
                        PREFETCH(to + (run + i) * width)        # what is written next

    @property
    def nbytes(self):
        """Bytes held."""
        return 0 if self.memory is None else self.memory.nbytes


cdef struct tiling_t:
    int form
    Py_ssize_t side, outputs        # inputs, and outputs, along a side of a tile
    Py_ssize_t fold                 # elements along a side of an input
    Py_ssize_t rise[2]              # inputs' elements from one output of a tile to the next
    const Py_ssize_t *first[2]      # of the tiles along the last two axes: the first place, how many places, and
    const Py_ssize_t *count[2]      # whether their inputs lie one after the other in the table
    const Py_ssize_t *regular[2]
    Py_ssize_t tiles[2]
    Py_ssize_t spacing[2]           # places between the outputs of a tile
    Py_ssize_t step[2]              # codes between its inputs
    Py_ssize_t base[2]              # from the code where a place's taps start to the tile's first input
    Py_ssize_t all                  # tiles of the batch


cdef struct tile_t:
    Py_ssize_t n, depth             # sample, and place of the first axis
    Py_ssize_t tile[2]
    Py_ssize_t codes[2][MOST_SIDE * MOST_FOLD]
    bint regular
    int narrow                      # as in winograd.h


cdef tiling_t tiling_of(const source_t *s, tuple tiles, int form, Py_ssize_t fold):
    """tiles: for each of the last two axes three intp arrays, one element per tile, and the spacing."""
    cdef tiling_t tiling
    tiling.form, tiling.side, tiling.outputs, tiling.fold = form, WINOGRAD_SIDE(form), WINOGRAD_OUT(form), fold
    tiling.all = s.batch * s.axis[0].length
    for i in range(2):
        tiling.first[i] = <const Py_ssize_t *> cnp.PyArray_DATA(tiles[i][0])
        tiling.count[i] = <const Py_ssize_t *> cnp.PyArray_DATA(tiles[i][1])
        tiling.regular[i] = <const Py_ssize_t *> cnp.PyArray_DATA(tiles[i][2])
        tiling.tiles[i], tiling.spacing[i] = tiles[i][0].size, tiles[i][3]
        tiling.step[i] = distance(&s.axis[i + 1])
        tiling.base[i] = min(s.axis[i + 1].step * (s.axis[i + 1].taps - 1), 0)
        tiling.rise[i] = 2 if form == WINOGRAD_STRIDED else fold
        tiling.all *= tiling.tiles[i]
    return tiling


cdef inline int narrow_of(const tiling_t *tiling, const Py_ssize_t *tile) noexcept nogil:
    """Along which axes a tile, given by its numbers on both, has so few places that it does without some points."""
    if tiling.form != 3:
        return 0
    return (tiling.count[0][tile[0]] <= 2) + 2 * (tiling.count[1][tile[1]] <= 2)


cdef tile_t tile_of(const source_t *s, const tiling_t *tiling, Py_ssize_t q) noexcept nogil:
    """Where a tile lies, and the codes of its inputs: NOTHING beyond the last place."""
    cdef tile_t tile
    cdef Py_ssize_t i, k, code, read
    tile.tile[1] = q % tiling.tiles[1]
    q //= tiling.tiles[1]
    tile.tile[0] = q % tiling.tiles[0]
    q //= tiling.tiles[0]
    tile.depth = q % s.axis[0].length
    tile.n = q // s.axis[0].length
    tile.regular = tiling.regular[0][tile.tile[0]] and tiling.regular[1][tile.tile[1]]
    tile.narrow = narrow_of(tiling, tile.tile)
    for k in range(2):
        code = s.axis[k + 1].row[tiling.first[k][tile.tile[k]]] + tiling.base[k]
        read = tiling.rise[k] * (tiling.count[k][tile.tile[k]] - 1) + s.axis[k + 1].taps
        for i in range(tiling.side * tiling.fold):
            tile.codes[k][i] = NOTHING
            if i < read and tiling.regular[k][tile.tile[k]]:
                tile.codes[k][i] = s.axis[k + 1].code[code + i * tiling.step[k]]
    return tile


cdef void tile_inputs(const source_t *s, const tiling_t *tiling, const tile_t *tile, Py_ssize_t tap, const float *x,
                      const float *constants, const float **rows, float *folded, Py_ssize_t padded,
                      float *mix) noexcept nogil:
    """Pointers to the inputs of a tile for a tap of the first axis; if they are folded, they are gathered in `folded`,
    each in a row of `padded` elements.
    """
    cdef const float *pointer
    cdef Py_ssize_t i, j, side = tiling.side
    cdef Py_ssize_t a = s.axis[0].code[s.axis[0].row[tile.depth] + tap * s.axis[0].step]
    x += tile.n * s.stride_n
    if tiling.fold > 1:
        fold_inputs(s, tiling, tile, a, x, constants, folded, padded, mix)
        for i in range(side * side):
            rows[i] = folded + i * padded
        return
    for i in range(side):
        for j in range(side):
            pointer = tap_row(s, x, constants, a, tile.codes[0][i], tile.codes[1][j], mix)
            if pointer == mix:
                mix += s.channels
            rows[i * side + j] = constants + AXES * s.channels if pointer == NULL else pointer


cdef void fold_inputs(const source_t *s, const tiling_t *tiling, const tile_t *tile, Py_ssize_t a, const float *x,
                      const float *constants, float *folded, Py_ssize_t padded, float *mix) noexcept nogil:
    """Gather the inputs of a tile: squares of fold x fold elements, each in a row of `padded` of them."""
    cdef const float *pointer
    cdef const Py_ssize_t *code
    cdef float *to
    cdef Py_ssize_t i, j, q, b, channels = s.channels, fold = tiling.fold, run = fold * channels
    cdef bint whole[MOST_SIDE]      # whether the elements of a row of a square lie together in x
    for j in range(tiling.side):
        code = tile.codes[1] + j * fold
        whole[j] = code[0] >= 0 and s.stride[2] == channels
        for q in range(1, fold):
            whole[j] = whole[j] and code[q] == code[0] + q
    for i in range(tiling.side * fold):
        b = tile.codes[0][i]
        to = folded + i // fold * tiling.side * padded + i % fold * run
        code = tile.codes[1]
        for j in range(tiling.side):
            if whole[j] and (a | b) >= 0:
                copy_few(to, x + a * s.stride[0] + b * s.stride[1] + code[0] * channels, run)
            else:
                for q in range(fold):
                    pointer = tap_row(s, x, constants, a, b, code[q], mix)
                    copy_few(to + q * channels, constants + AXES * channels if pointer == NULL else pointer, channels)
            to += padded
            code += fold


cdef void tile_places(const source_t *s, const tiling_t *tiling, const tile_t *tile, float *y, Py_ssize_t y_n,
                      const Py_ssize_t *y_stride, float **places) noexcept nogil:
    """Pointers to the places of a tile in y, NULL beyond the last."""
    cdef Py_ssize_t i, j
    y += tile.n * y_n + s.axis[0].place[tile.depth] * y_stride[0]
    for i in range(tiling.outputs):
        for j in range(tiling.outputs):
            places[i * tiling.outputs + j] = NULL
            if i < tiling.count[0][tile.tile[0]] and j < tiling.count[1][tile.tile[1]]:
                places[i * tiling.outputs + j] = y \
                    + s.axis[1].place[tiling.first[0][tile.tile[0]] + i * tiling.spacing[0]] * y_stride[1] \
                    + s.axis[2].place[tiling.first[1][tile.tile[1]] + j * tiling.spacing[1]] * y_stride[2]


cdef struct winograd_t:
    task_t task
    tiling_t tiling
    const float *panels
    Py_ssize_t groups, outputs, channels, group_size, panels_per_group
    Py_ssize_t at_once, slices
    Py_ssize_t padded               # channels of all groups, rounded up to whole vectors
    unsigned char *flagged
    float *sizes                    # of each tile: the largest sum, over a channel, of magnitudes of its inputs
    Py_ssize_t sums_at, folded_at, mix_at


cdef Py_ssize_t cut_tiles(const int *narrow, Py_ssize_t tiles, Py_ssize_t kind, Py_ssize_t *heights,
                          Py_ssize_t *tile_at) noexcept nogil:
    """Cut the tiles that have points of some kind into parts of up to TILE_FULL; returns how many there are."""
    cdef Py_ssize_t with_it[WINOGRAD_TILES]
    cdef Py_ssize_t count = 0, t, sub, i, parts
    for t in range(tiles):
        if not narrow[t] & kind:
            with_it[count] = t
            count += 1
    parts = (count + TILE_FULL - 1) // TILE_FULL
    for sub in range(parts):
        t = cut_at(count, parts, sub)
        heights[sub] = cut_at(count, parts, sub + 1) - t
        for i in range(heights[sub]):
            tile_at[sub * TILE_FULL + i] = with_it[t + i]
    return parts


cdef void winograd_block(void *given, Py_ssize_t block, int worker) noexcept nogil:
    cdef const winograd_t *job = <const winograd_t *> given
    cdef const source_t *s = &job.task.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
    cdef Py_ssize_t wide = lanes * TILE_VECTORS
    cdef Py_ssize_t tile0 = block // job.slices * job.at_once
    cdef Py_ssize_t tiles = min(job.at_once, job.tiling.all - tile0)
    cdef Py_ssize_t all_panels = job.groups * job.panels_per_group
    cdef Py_ssize_t panel0 = block % job.slices * all_panels // job.slices
    cdef Py_ssize_t panel1 = (block % job.slices + 1) * all_panels // job.slices
    cdef Py_ssize_t depth = s.axis[0].taps
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef float *inputs = <float *> scratch
    cdef float *sums = <float *> (scratch + job.sums_at)
    cdef float *targets[WINOGRAD_TILES * MOST_OUT * MOST_OUT]
    cdef const float *rows[MOST_POINTS]
    cdef const float *constants = <const float *> job.task.constants
    cdef float start[TILE_VECTORS * VECTOR_BYTES]
    # for each kind of points: the parts that tiles are multiplied in, and for each slot of theirs the tile
    cdef Py_ssize_t parts[KINDS]
    cdef Py_ssize_t heights[KINDS][WINOGRAD_TILES]
    cdef Py_ssize_t tile_at[KINDS][WINOGRAD_SLOTS]
    cdef const float *tile_rows[KINDS][WINOGRAD_SLOTS * 8]
    cdef float *to[KINDS][WINOGRAD_SLOTS]
    cdef int narrow[WINOGRAD_TILES]
    cdef Py_ssize_t kind_of[MOST_POINTS]
    cdef Py_ssize_t taps[8]
    cdef Py_ssize_t filters_of[MOST_POINTS]     # which point of the filters each point of a tile meets
    cdef tile_t tile
    cdef Py_ssize_t side = job.tiling.side, places = job.tiling.outputs * job.tiling.outputs
    cdef Py_ssize_t channels = s.channels if job.tiling.fold == 1 else job.padded
    cdef Py_ssize_t t, d, i, p, group, first, width, valid, lane, x, of, sub, kind, point_step
    cdef Py_ssize_t kinds = 1
    cdef const float *panel
    cdef float size
    memset(scratch + job.folded_at, 0, job.mix_at - job.folded_at)
    for t in range(tiles):
        tile = tile_of(s, &job.tiling, tile0 + t)
        if not tile.regular:
            job.flagged[tile0 + t] = 1
        narrow[t] = tile.narrow
        if tile.narrow:
            kinds = KINDS
        tile_places(s, &job.tiling, &tile, <float *> job.task.y, job.task.y_n, job.task.y_stride, targets + t * places)
        size = 0
        for d in range(depth):
            tile_inputs(s, &job.tiling, &tile, d, <const float *> job.task.x, constants, rows,
                        <float *> (scratch + job.folded_at), job.padded, <float *> (scratch + job.mix_at))
            size = max(size, winograd_input(job.tiling.form, tile.narrow, rows, channels,
                                            inputs + (t * depth + d) * job.padded, job.at_once * depth * job.padded))
        if block % job.slices == 0:
            job.sizes[tile0 + t] = size
    for d in range(depth):
        taps[d] = d * job.channels
    for x in range(side * side):
        filters_of[x] = min(x // side, <Py_ssize_t> 5) * 6 + min(x % side, <Py_ssize_t> 5)
        kind_of[x] = LEFT_OUT(kinds > 1, x // side) + 2 * LEFT_OUT(kinds > 1, x % side)
    for kind in range(kinds):
        parts[kind] = cut_tiles(narrow, tiles, kind, heights[kind], tile_at[kind])
        for sub in range(parts[kind]):
            for i in range(heights[kind][sub]):
                t = tile_at[kind][sub * TILE_FULL + i]
                for d in range(depth):
                    tile_rows[kind][(sub * depth + d) * TILE_FULL + i] = inputs + (t * depth + d) * job.padded
    for p in range(panel0, panel1):
        group = p // job.panels_per_group
        first = p % job.panels_per_group * wide
        width = wide if job.outputs - first > lanes else lanes
        valid = min(width, job.outputs - first)
        memset(start, 0, sizeof(start))
        panel = job.panels + group * job.group_size + first * POINTS * depth * job.channels
        point_step = job.at_once * width
        for kind in range(kinds):
            for sub in range(parts[kind]):
                for i in range(heights[kind][sub]):
                    to[kind][sub * TILE_FULL + i] = sums + tile_at[kind][sub * TILE_FULL + i] * width
        for x in range(side * side):
            of, kind = filters_of[x], kind_of[x]
            for sub in range(parts[kind]):
                multiply_f32(heights[kind][sub], width, tile_rows[kind] + sub * depth * TILE_FULL, taps, depth,
                             x * job.at_once * depth * job.padded + group * job.channels, job.channels,
                             panel + of * depth * job.channels * width, start, 0, to[kind] + sub * TILE_FULL,
                             x * point_step)
        if job.task.bias != NULL:
            for lane in range(valid):
                start[lane] = (<const float *> job.task.bias)[group * job.outputs + first + lane]
        for t in range(tiles):
            lane = 0
            while lane < valid:
                if not winograd_output(job.tiling.form, narrow[t], sums + t * width + lane, point_step, start + lane,
                                       targets + t * places, group * job.outputs + first + lane,
                                       min(lanes, valid - lane)):
                    job.flagged[tile0 + t] = 1
                lane += lanes
    if job.task.finishing:
        first = output_of(panel0, job.panels_per_group, job.outputs, wide)
        valid = output_of(panel1, job.panels_per_group, job.outputs, wide) - first
        for i in range(tiles * places):
            if targets[i] != NULL:
                finish(&job.task, targets[i] + first, 1, valid, valid)


cdef Py_ssize_t slices_of(Py_ssize_t tile_blocks, Py_ssize_t panels, int threads, Py_ssize_t outputs) noexcept:
    """In how many slices the filters of a block of tiles are cut, so that threads have the least to do: each slice
    transforms the tiles anew, which takes as long as TRANSFORMS outputs.
    """
    cdef Py_ssize_t slices, best = 1
    cdef double cost, least = 0
    for slices in range(1, min(panels, <Py_ssize_t> threads) + 1):
        cost = (tile_blocks * slices + threads - 1) // threads * (1.0 * outputs / slices + TRANSFORMS)
        if slices == 1 or cost < least:
            best, least = slices, cost
    return best


cdef int share_at(const Py_ssize_t *numbers, int until, int share) noexcept nogil:
    """The bin up to which one part in `share` of all are, among bins up to `until`."""
    cdef Py_ssize_t count = 0, below = 0
    cdef int t = 0
    for t in range(until + 1):
        count += numbers[t]
    t = 0
    while below + numbers[t] <= (count - 1) // share and t < until:
        below += numbers[t]
        t += 1
    return t


cdef Py_ssize_t flag_large(const winograd_t *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Flag the tiles of a sample that are far larger than usual ones of it, or not finite; returns how many are
    flagged in all.
    """
    cdef Py_ssize_t t, count = 0
    cdef Py_ssize_t numbers[256]
    cdef unsigned int bits
    cdef int usual, low
    memset(numbers, 0, sizeof(numbers))
    for t in range(start, stop):         # in bins of their powers of two, without tiles that are all zero
        memcpy(&bits, job.sizes + t, sizeof(bits))
        numbers[bits >> 23] += bits != 0 and bits >> 23 < 255
    usual, low = share_at(numbers, 255, 2), share_at(numbers, 255, FEW)
    if usual > low + FILLED:             # most hold what stands for missing elements
        usual = share_at(numbers, low + FILLED, 2)
    for t in range(start, stop):
        memcpy(&bits, job.sizes + t, sizeof(bits))
        if bits >> 23 == 255 or <int> (bits >> 23) > usual + LARGE:
            job.flagged[t] = 1
        count += job.flagged[t]
    return count


cdef void note_tiles(winograd_t *job, char *memory) noexcept nogil:
    """Have the size of each tile noted there, and whether it is flagged: a float and a byte for each."""
    job.sizes = <float *> memory
    job.flagged = <unsigned char *> (memory + job.tiling.all * sizeof(float))
    memset(job.flagged, 0, job.tiling.all)


cdef Py_ssize_t flag_samples(const winograd_t *job) noexcept nogil:
    """Flag large tiles, sample by sample, so that the bits of one do not depend on the others; returns how many are."""
    cdef Py_ssize_t each = job.tiling.all // job.task.source.batch, count = 0, start
    for start from 0 <= start < job.tiling.all by each:
        count += flag_large(job, start, start + each)
    return count


cdef int once_winograd(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef winograd_t job
    cdef int status
    memcpy(&job, ready.job, ready.job_size)
    if job.tiling.all == 0:
        return DONE
    note_tiles(&job, scratch + rounded(job.task.scratch_size) * ready.threads)
    status = run_task(ready, &job.task, x, bias, y, scratch)
    return FLAGGED if status == DONE and flag_samples(&job) else status


cdef class Winograd(Convolution):
    """Winograd(x, panels, y, axes, constants, tiles, threads): for float32.

    tiles: for each of the last two axes (first, count, regular, spacing): three intp arrays, one element per tile, and
    the places between the outputs of a tile. `fill` returns None, or uint8 (N, places of the first axis, tiles, tiles)
    not 0 for the tiles that must be done again by another algorithm.
    """
    cdef winograd_t job
    cdef WinogradPanels panels

    def __init__(self, cnp.ndarray x, WinogradPanels panels, cnp.ndarray y, tuple axes, cnp.ndarray constants,
                 tuple tiles, int threads):
        cdef winograd_t *job = &self.job
        cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
        self.begin(job, sizeof(winograd_t), x, y, axes, constants, threads,
                   1.0 * POINTS * panels.groups * panels.depth * panels.outputs * panels.channels)
        self.panels = panels
        self.keep += (tiles,)
        job.panels = panels.data
        job.groups, job.outputs, job.channels = panels.groups, panels.outputs, panels.channels
        job.group_size = panels.group_size
        job.panels_per_group = (panels.outputs + lanes * TILE_VECTORS - 1) // (lanes * TILE_VECTORS)
        job.tiling = tiling_of(&job.task.source, tiles, panels.form, panels.fold)
        if panels.depth != job.task.source.axis[0].taps or panels.depth > 8:
            raise ValueError("Winograd's algorithm: the filters do not fit")
        job.padded = (job.groups * job.channels + lanes - 1) // lanes * lanes
        cdef Py_ssize_t points = job.tiling.side * job.tiling.side
        cdef Py_ssize_t one = points * panels.depth * job.padded * sizeof(float)
        job.at_once = min(WINOGRAD_TILES, max(TILE_FULL, WINOGRAD_BYTES // one), job.tiling.all)
        cdef Py_ssize_t tile_blocks = (job.tiling.all + job.at_once - 1) // max(1, job.at_once)
        cdef Py_ssize_t all_panels = job.groups * job.panels_per_group
        # as many blocks for each thread: of tiles, where threads may well read all filters, or there are enough tiles
        if tile_blocks >= self.ready.threads or job.groups * job.group_size * sizeof(float) <= WINOGRAD_NEAR:
            tile_blocks = (tile_blocks + self.ready.threads - 1) // self.ready.threads * self.ready.threads
            tile_blocks = max(1, min(tile_blocks, job.tiling.all // FEWEST_TILES))
        job.at_once = (job.tiling.all + tile_blocks - 1) // max(1, tile_blocks)
        tile_blocks = (job.tiling.all + job.at_once - 1) // max(1, job.at_once)
        job.slices = slices_of(tile_blocks, all_panels, self.ready.threads, job.groups * job.outputs)
        job.sums_at = rounded(one * job.at_once)
        job.folded_at = job.sums_at + rounded(points * job.at_once * TILE_VECTORS * VECTOR_BYTES)
        job.mix_at = job.folded_at
        if panels.fold > 1:
            job.mix_at += rounded(points * job.padded * sizeof(float))
        job.task.scratch_size = job.mix_at
        if job.task.source.mixed:
            job.task.scratch_size += points * job.task.source.channels * sizeof(float)
        self.finishes, self.whole = True, job.slices == 1
        self.end(winograd_block, tile_blocks * job.slices)
        self.ready.once = once_winograd
        self.ready.scratch += job.tiling.all * (sizeof(float) + 1)

    def pack(self, cnp.ndarray filters):
        cdef WinogradPanels mine = self.panels
        return WinogradPanels(
            filters.reshape((filters.shape[0], -1, filters.shape[filters.ndim - 1])), mine.groups, mine.transposed,
            mine.flipped, mine.form, mine.fold, mine.kernel)

    cdef int use(self, void *job, packed) except -1:
        (<winograd_t *> job).panels = (<WinogradPanels?> packed).data
        return 0

    def fill(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, filters=None,
             Border border=None):
        cdef winograd_t job
        cdef _Scratch of_tiles = _Scratch(self.job.tiling.all * (sizeof(float) + 1), 1)
        memcpy(&job, self.ready.job, self.ready.job_size)
        packed = self.packed(&job, filters)
        if job.tiling.all == 0:
            return None
        note_tiles(&job, of_tiles.first)
        self.run(&job, x, bias, y, border)
        if flag_samples(&job) == 0:
            return None
        shape = job.task.source.batch, job.task.source.axis[0].length, job.tiling.tiles[0], job.tiling.tiles[1]
        flagged = np.empty(shape, np.uint8)
        memcpy(cnp.PyArray_DATA(<cnp.ndarray> flagged), job.flagged, job.tiling.all)
        return flagged
