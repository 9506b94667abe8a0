# Convolution by Winograd's algorithms (float32): F(4x4, 3x3), F(3x3, 4x4) and F(2x2, 5x5) at stride 1, with 36 products
# for 144, 144 and 100, and a form of F(4x4, 3x3) for stride 2, with 81. Where filters have taps along one axis, and are
# summed over those of another, F(7, 2) to F(3, 6) with 8 products for 14 to 20; more taps are cut into pieces, and so
# are those that meet different phases of a stride.
#
# The result is cut into tiles of a few places (`spacing` places apart: the dilation), whose inputs are transformed; for
# each point there is one matrix product over the channels, and the sums are transformed back. Inputs are found through
# the same tables as everywhere, so any padding mode and the adjoint work. At other strides, and for larger kernels, the
# inputs are folded: squares of stride x stride elements become one with as many channels, and taps likewise, which
# leaves a convolution at stride 1. Tiles that hold what the transform would spread over all of their places, an
# infinity, a NaN or the rounding of an element far larger than others, are reported, for another algorithm to do again.

cdef extern from "winograd_line.h":
    void winograd_line_input(const float **rows, Py_ssize_t channels, float *v, Py_ssize_t step,
                             float *sizes) noexcept nogil
    float winograd_line_size(const unsigned char *taps, Py_ssize_t pieces, Py_ssize_t places, const float *sizes,
                             const Py_ssize_t *inputs, Py_ssize_t sums, float most, float far) noexcept nogil
    void winograd_line_outputs(int taps, const float *m, Py_ssize_t lines, Py_ssize_t width, Py_ssize_t step,
                               const float *bias, float **targets, Py_ssize_t first, Py_ssize_t count, bint past,
                               unsigned char *flagged) noexcept nogil

cdef extern from "winograd_fused.h":
    enum:
        FUSED_TILES
    ctypedef struct fused_inputs_t:
        Py_ssize_t depth, depth_step, channels, run, run_step, second, third

cdef enum:
    WINOGRAD_TILES = 28             # most tiles of a block
    WINOGRAD_SLOTS = WINOGRAD_TILES + TILE_FULL     # in the parts that they are multiplied in, of which some are free
    KINDS = 4                       # of points: all tiles have them, or narrow ones do not along one axis, or both
    LARGE = 4                       # tiles this many powers of two larger than usual ones are done again
    FEW = 32                        # usual ones are like half of all; but if one part in so many is smaller ...
    FILLED = 20                     # ... by more powers of two than this, then only tiles up to that count
    UNEVEN = 12                     # times the inputs that a place reads, large others would spoil it, and
    UNLIKE = 64                     # any others do so in a line
    SURE, SUSPECT                   # what flags tiles
    TRANSFORMS = 40                 # filters whose products cost what the transforms of a tile do, about
    FEWEST_TILES = 4                # of a block, for which filters are worth reading
    WINOGRAD_NEAR = 1 << 20         # bytes of filters that every thread may read
    WINOGRAD_BYTES = 1 << 20        # of transformed inputs that a block may take, where that leaves it enough tiles


cdef struct tile_strip_t:
    Py_ssize_t spread               # elements from a tile to the next
    Py_ssize_t lanes                # of the vectors they are transformed in, and
    Py_ssize_t shared               # tiles that have all inputs of a column in one of these
    Py_ssize_t length               # elements of a row
    fused_inputs_t inputs


cdef struct winograd_t:
    task_t task
    tiling_t tiling
    const float *panels
    Py_ssize_t groups, outputs, channels, group_size, panels_per_group
    Py_ssize_t of_filters           # points that they have
    Py_ssize_t depth                # sums of a point: taps of the axis that no tile lies along, times pieces of lines
    unsigned char piece_taps[MOST_SUMS]     # of each piece of lines
    Py_ssize_t at_once, slices
    Py_ssize_t padded               # elements from a tile's inputs for a point to those of the next
    Py_ssize_t point                # elements from the inputs of tiles for a point to those for the next
    unsigned char *flagged
    # of each tile: the largest sum, over a channel, of magnitudes of its inputs, or what winograd_line_size tells
    float *sizes
    bint fused                      # products and transforms of a few tiles at a time: no sums in memory
    bint unread                     # some inputs of whole tiles are read by no tap
    const tile_column_t *columns    # where they lie in strips, NULL if they do not, and
    tile_strip_t close, apart       # strips of neighbours, and of other tiles, as whose inputs any others lie, too
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


cdef void finish_tiles(const winograd_t *job, float **targets, Py_ssize_t tiles, Py_ssize_t first,
                       Py_ssize_t outputs) noexcept nogil:
    """Apply the activation to outputs, from the first on, of some tiles: along rows of their places, which go on from
    one tile to the next.
    """
    cdef float *row[WINOGRAD_TILES * MOST_ALONG]
    cdef Py_ssize_t i, t, lines = job.tiling.lines, side = job.tiling.outputs
    for i in range(lines):
        for t in range(tiles):
            memcpy(row + t * side, targets + (t * lines + i) * side, side * sizeof(float *))
        finish_targets(&job.task, row, tiles * side, first, outputs)


cdef bint transform_tiles(const winograd_t *job, Py_ssize_t tile0, Py_ssize_t tiles, char *scratch, float *sizes,
                          int *narrow, const float **points, float **targets) noexcept nogil:
    """Find some tiles and their targets, and transform their inputs, which a tile may share with the one before.

    For each tile, and sum of a point: points[tile * depth + sum], where those inputs' points begin. sizes: of squares
    as transform_inputs returns them, of lines as winograd_line_size. Returns whether some are narrow.
    """
    cdef const source_t *s = &job.task.source
    cdef const float *rows[POINTS * MOST_FOLD]
    cdef const float *constants = <const float *> job.task.constants
    cdef float of_inputs[WINOGRAD_TILES * MOST_SUMS * LINE_POINTS]
    cdef Py_ssize_t codes[2][MOST_SUMS]
    cdef Py_ssize_t inputs[2][MOST_SUMS]        # their numbers, of a tile and the one before
    cdef tile_t found[2]
    cdef tile_t *tile
    cdef const tile_t *before
    cdef Py_ssize_t pieces = job.tiling.pieces, places = job.tiling.lines * job.tiling.outputs
    cdef Py_ssize_t t, d, e, a, at, count = 0
    cdef float *to = <float *> scratch
    cdef bint any_narrow = False, line = WINOGRAD_IS_LINE(job.tiling.form)
    for t in range(tiles):
        tile, before = &found[t % 2], &found[1 - t % 2]
        find_tile(s, &job.tiling, tile0 + t, tile)
        if not tile.regular:
            job.flagged[tile0 + t] = 1
        narrow[t] = tile.narrow
        any_narrow = any_narrow or tile.narrow
        tile_places(s, &job.tiling, tile, <float *> job.task.y, job.task.y_n, job.task.y_stride, targets + t * places)
        sizes[t] = 0
        for d in range(job.depth):
            codes[t % 2][d] = a = deep_code(s, &job.tiling, tile, d // pieces)
            at = -1
            if t > 0 and tile.n == before.n and tile.tile[0] == before.tile[0] and tile.tile[1] == before.tile[1]:
                for e from d % pieces <= e < job.depth by pieces:
                    if codes[1 - t % 2][e] == a:
                        at = inputs[1 - t % 2][e]
            if at < 0:
                at = count
                count += 1
                tile_inputs(s, &job.tiling, tile, a, d % pieces, <const float *> job.task.x, constants, rows,
                            <float *> (scratch + job.folded_at), <float *> (scratch + job.mix_at))
                if line:
                    winograd_line_input(rows, s.channels, to + at * job.padded, job.point, of_inputs + at * LINE_POINTS)
                else:
                    of_inputs[at] = transform_inputs(s, &job.tiling, tile.narrow, rows, to + at * job.padded, job.point,
                                                     LANES_F32)
            inputs[t % 2][d] = at
            points[t * job.depth + d] = to + at * job.padded
            if not line:
                sizes[t] = max(sizes[t], of_inputs[at])
        if line:
            sizes[t] = winograd_line_size(job.piece_taps, pieces, job.tiling.count[1][tile.tile[1]], of_inputs,
                                          inputs[t % 2], job.depth, UNEVEN, UNLIKE)
    return any_narrow


cdef void transform_sums(const winograd_t *job, const float *sums, Py_ssize_t tiles, const int *narrow,
                         Py_ssize_t width, Py_ssize_t point_step, const float *bias, float **targets, Py_ssize_t first,
                         Py_ssize_t count, unsigned char *flagged) noexcept nogil:
    """Fill outputs of some tiles, for `count` filters from the first on; flags the tiles where one is not finite."""
    cdef Py_ssize_t t, lane
    if WINOGRAD_IS_LINE(job.tiling.form):
        winograd_line_outputs(<int> job.tiling.piece, sums, tiles, width, point_step, bias, targets, first, count,
                              job.task.past, flagged)
        return
    for t in range(tiles):
        for lane from 0 <= lane < count by LANES_F32:
            if not winograd_output(job.tiling.form, narrow[t], sums + t * width + lane, point_step, bias + lane,
                                   targets, first + lane, min(<Py_ssize_t> LANES_F32, count - lane), job.task.past):
                flagged[t] = 1
        targets += job.tiling.outputs * job.tiling.outputs


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
    cdef Py_ssize_t depth = job.depth
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef float *sums = <float *> (scratch + job.sums_at)
    cdef float *targets[WINOGRAD_TILES * MOST_OUT * MOST_OUT]
    cdef const float *points_of[WINOGRAD_TILES * MOST_SUMS]
    cdef float sizes[WINOGRAD_TILES]
    cdef float start[TILE_VECTORS * VECTOR_BYTES]
    # for each kind of points: the parts that tiles are multiplied in, and for each slot of theirs the tile
    cdef Py_ssize_t parts[KINDS]
    cdef Py_ssize_t heights[KINDS][WINOGRAD_TILES]
    cdef Py_ssize_t tile_at[KINDS][WINOGRAD_SLOTS]
    cdef const float *tile_rows[KINDS][WINOGRAD_SLOTS * MOST_SUMS]
    cdef float *to[KINDS][WINOGRAD_SLOTS]
    cdef int narrow[WINOGRAD_TILES]
    cdef Py_ssize_t kind_of[MOST_POINTS]
    cdef Py_ssize_t taps[MOST_SUMS]
    cdef Py_ssize_t filters_of[MOST_POINTS]     # which point of the filters each point of a tile meets
    cdef Py_ssize_t side = job.tiling.side, places = job.tiling.lines * job.tiling.outputs
    cdef Py_ssize_t points = job.tiling.rows * side
    cdef bint line = WINOGRAD_IS_LINE(job.tiling.form)
    cdef Py_ssize_t t, d, i, p, group, first, width, valid, lane, x, of, sub, kind, point_step
    cdef Py_ssize_t kinds
    cdef const float *panel
    kinds = KINDS if transform_tiles(job, tile0, tiles, scratch, sizes, narrow, points_of, targets) else 1
    if block % job.slices == 0:
        memcpy(job.sizes + tile0, sizes, tiles * sizeof(float))
    for d in range(depth):
        taps[d] = d * job.channels
    for x in range(points):
        filters_of[x] = x if line else min(x // side, <Py_ssize_t> 5) * 6 + min(x % side, <Py_ssize_t> 5)
        kind_of[x] = LEFT_OUT(kinds > 1, x // side) + 2 * LEFT_OUT(kinds > 1, x % side)
    for kind in range(kinds):
        parts[kind] = cut_tiles(narrow, tiles, kind, heights[kind], tile_at[kind])
        for sub in range(parts[kind]):
            for i in range(heights[kind][sub]):
                t = tile_at[kind][sub * TILE_FULL + i]
                for d in range(depth):
                    tile_rows[kind][(sub * depth + d) * TILE_FULL + i] = points_of[t * depth + d]
    for p in range(panel0, panel1):
        group = p // job.panels_per_group
        first = p % job.panels_per_group * wide
        width = wide if job.outputs - first > lanes else lanes
        valid = min(width, job.outputs - first)
        memset(start, 0, sizeof(start))
        panel = job.panels + group * job.group_size + first * job.of_filters * depth * job.channels
        point_step = spaced(job.at_once * width)
        for kind in range(kinds):
            for sub in range(parts[kind]):
                for i in range(heights[kind][sub]):
                    to[kind][sub * TILE_FULL + i] = sums + tile_at[kind][sub * TILE_FULL + i] * width
        for x in range(points):
            of, kind = filters_of[x], kind_of[x]
            for sub in range(parts[kind]):
                multiply_f32(heights[kind][sub], width, tile_rows[kind] + sub * depth * TILE_FULL, taps, depth,
                             x * job.point + group * job.channels, job.channels,
                             panel + of * depth * job.channels * width, start, 0, to[kind] + sub * TILE_FULL,
                             x * point_step)
        if job.task.bias != NULL:
            for lane in range(valid):
                start[lane] = (<const float *> job.task.bias)[group * job.outputs + first + lane]
        transform_sums(job, sums, tiles, narrow, width, point_step, start, targets, group * job.outputs + first, valid,
                       job.flagged + tile0)
    if job.task.past:
        PASSED()
    if job.task.finishing:
        first = output_of(panel0, job.panels_per_group, job.outputs, wide)
        valid = output_of(panel1, job.panels_per_group, job.outputs, wide) - first
        finish_tiles(job, targets, tiles, first, valid)


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


WINOGRAD_BLOCK = WINOGRAD_TILES
WINOGRAD_SUMS = MOST_SUMS


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


cdef Py_ssize_t folded_size(const winograd_t *job) noexcept nogil:
    """Bytes for the squares of a tile that fold_inputs may have to gather."""
    cdef Py_ssize_t points = job.tiling.rows * job.tiling.side, fold = job.tiling.fold
    return rounded((points * fold + 1) * fold * job.task.source.channels * sizeof(float)) if fold > 1 else 0


cdef Py_ssize_t looked_at(const winograd_t *job) noexcept nogil:
    """Bytes for the inputs of a tile that is looked at again."""
    cdef Py_ssize_t mixed = job.tiling.rows * job.tiling.side * job.task.source.channels * sizeof(float)
    return folded_size(job) + (mixed if job.task.source.mixed else 0)


cdef Py_ssize_t flag_large(const winograd_t *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Flag the tiles of a sample that are not finite, and as SUSPECT those that are far larger than its usual ones; of
    lines only those whose inputs are uneven, and usual are others. Returns how many are flagged in all.
    """
    cdef Py_ssize_t t, count = 0
    cdef Py_ssize_t numbers[256]
    cdef unsigned int bits
    cdef int usual, low
    cdef bint line = WINOGRAD_IS_LINE(job.tiling.form), uneven, any_usual = False
    memset(numbers, 0, sizeof(numbers))
    for t in range(start, stop):         # in bins of their powers of two, without tiles that are all zero
        memcpy(&bits, job.sizes + t, sizeof(bits))
        if 0 < bits < 255 << 23:        # not negative either
            numbers[bits >> 23] += 1
            any_usual = True
    usual, low = share_at(numbers, 255, 2), share_at(numbers, 255, FEW)
    if usual > low + FILLED:             # most hold what stands for missing elements
        usual = share_at(numbers, low + FILLED, 2)
    if line and not any_usual:
        usual = -LARGE
    for t in range(start, stop):
        memcpy(&bits, job.sizes + t, sizeof(bits))
        uneven = bits >> 31 != 0
        bits &= 0x7fffffff
        if bits >> 23 == 255:
            job.flagged[t] = SURE
        elif not job.flagged[t] and (uneven or not line) and <int> (bits >> 23) > usual + LARGE:
            job.flagged[t] = SURE if line else SUSPECT
        count += job.flagged[t] != 0
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


cdef bint uneven_tile(const winograd_t *job, Py_ssize_t q, char *scratch) noexcept nogil:
    """Whether a square tile has inputs that would spoil a place which does not read them."""
    cdef const source_t *s = &job.task.source
    cdef const tiling_t *tiling = &job.tiling
    cdef const float *rows[POINTS * MOST_FOLD]
    cdef float sizes[MOST_POINTS]
    cdef tile_t tile
    cdef Py_ssize_t d, i, x, points = tiling.side * tiling.side
    find_tile(s, tiling, q, &tile)
    memset(sizes, 0, sizeof(sizes))
    for d in range(s.axis[0].taps):
        tile_inputs(s, tiling, &tile, deep_code(s, tiling, &tile, d), 0, <const float *> job.task.x,
                    <const float *> job.task.constants, rows, <float *> scratch,
                    <float *> (scratch + folded_size(job)))
        for i in range(tiling.fold):
            for x in range(points):
                sizes[x] = max(sizes[x], largest_of(rows[i * POINTS + x], tiling.fold * s.channels))
    return winograd_uneven(tiling.form, <int> (tiling.rise[0] // tiling.fold), tiling.count[0][tile.tile[0]],
                           tiling.count[1][tile.tile[1]], sizes, UNEVEN)


cdef Py_ssize_t acquit(const winograd_t *job, char *scratch) noexcept nogil:
    """Take the flags of suspects whose inputs are even; returns how many tiles are flagged.

    None is taken where a place would count as reading what a tap that is not there multiplies by zero, or what is
    large in another group only.
    """
    cdef Py_ssize_t t, count = 0
    cdef bint told = job.groups == 1 and not job.unread
    for t in range(job.tiling.all):
        if told and job.flagged[t] == SUSPECT and not uneven_tile(job, t, scratch):
            job.flagged[t] = 0
        count += job.flagged[t] != 0
    return count


def any_large(const float[::1] sizes, unsigned char[::1] flagged, int form):
    """Whether a tile of a sample is flagged, or far larger than usual ones; form: of the tiles."""
    cdef winograd_t job
    if sizes.shape[0] == 0:
        return False
    job.sizes, job.flagged, job.tiling.form = <float *> &sizes[0], &flagged[0], form
    return flag_large(&job, 0, min(sizes.shape[0], flagged.shape[0])) > 0


cdef int once_winograd(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef winograd_t job
    cdef int status
    memcpy(&job, ready.job, ready.job_size)
    if job.tiling.all == 0:
        return DONE
    note_tiles(&job, scratch + rounded(job.task.scratch_size) * ready.threads)
    status = run_task(ready, &job.task, x, bias, y, scratch)
    return FLAGGED if status == DONE and flag_samples(&job) and acquit(&job, scratch) else status


cdef void arrange_sums(winograd_t *job) noexcept nogil:
    """Where the points of a block's tiles, and their sums, lie in scratch, and how much of it they take."""
    cdef Py_ssize_t points = job.tiling.rows * job.tiling.side
    job.point = spaced(job.at_once * job.depth * job.padded)
    job.sums_at = rounded(points * job.point * sizeof(float))
    job.folded_at = job.sums_at + rounded(points * spaced(job.at_once * TILE_VECTORS * LANES_F32) * sizeof(float))
    job.mix_at = job.folded_at + folded_size(job)


cdef class Winograd(Convolution):
    """Winograd(x, panels, y, axes, constants, tiles, threads, spare=0): for float32.

    spare: taps at the end of lines that are zero for some channels. tiles: for each of the last two axes in the order
    of the panels (first, count, regular, spacing): three intp arrays, one element per tile, and the places between the
    outputs of a tile. `fill` returns None, or uint8 (N, places of the first axis in that order, tiles, tiles) not 0 for
    the tiles that must be done again by another algorithm.
    """
    cdef winograd_t job
    cdef WinogradPanels panels

    def __init__(self, cnp.ndarray x, WinogradPanels panels, cnp.ndarray y, tuple axes, cnp.ndarray constants,
                 tuple tiles, int threads, int spare=0):
        cdef winograd_t *job = &self.job
        cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
        self.begin(job, sizeof(winograd_t), x, y, axes, constants, threads,
                   1.0 * panels.points * panels.groups * panels.depth * panels.outputs * panels.channels)
        self.panels = panels
        self.keep += (tiles,)
        job.panels = panels.data
        job.groups, job.outputs, job.channels = panels.groups, panels.outputs, panels.channels
        job.group_size = panels.group_size
        job.task.past = job.task.past and job.outputs % lanes == 0
        job.panels_per_group = (panels.outputs + lanes * TILE_VECTORS - 1) // (lanes * TILE_VECTORS)
        job.of_filters, job.depth = panels.points, panels.depth
        job.tiling = tiling_of(&job.task.source, tiles, panels.form, panels.fold, panels.order, panels.phases)
        if panels.depth != job.task.source.axis[job.tiling.axis[0]].taps * job.tiling.pieces \
                or panels.depth > MOST_SUMS:
            raise ValueError("Winograd's algorithm: the filters do not fit")
        job.fused = fuses(panels.form, panels.depth * job.channels, job.groups, job.channels)
        job.padded = (job.groups * job.channels + lanes - 1) // lanes * lanes
        if not job.fused:
            job.padded = spaced(job.padded)
        job.tiling.alike = job.fused
        cdef Py_ssize_t points = job.tiling.rows * job.tiling.side
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
        cdef Py_ssize_t lots = (job.tiling.all + FUSED_TILES - 1) // FUSED_TILES
        if job.fused:                           # whole lots of tiles, which threads share evenly: blocks share nothing
            if self.ready.threads > 1:
                job.at_once = FUSED_BLOCK
                if lots < FUSED_SHARED * self.ready.threads:
                    job.at_once = (lots + self.ready.threads - 1) // self.ready.threads * FUSED_TILES
            job.at_once = (job.at_once + FUSED_TILES - 1) // FUSED_TILES * FUSED_TILES
            tile_blocks = (job.tiling.all + job.at_once - 1) // max(1, job.at_once)
        job.unread = job.task.source.axis[1].taps % panels.fold != 0 or job.task.source.axis[2].taps % panels.fold != 0
        if job.fused:
            job.slices = 1
            self.keep += (arrange_fused(job),)
        else:
            job.tiling.sharing = job.depth > job.tiling.pieces
            for i in range(job.tiling.pieces):
                job.piece_taps[i] = piece_taps(&job.tiling, job.task.source.axis[job.tiling.axis[2]].taps - spare, i)
            job.slices = slices_of(tile_blocks, all_panels, self.ready.threads, job.groups * job.outputs)
            arrange_sums(job)
        job.task.scratch_size = job.mix_at
        if job.task.source.mixed:
            job.task.scratch_size += points * job.task.source.channels * sizeof(float)
        self.finishes, self.whole = True, job.slices == 1
        self.end(winograd_fused_block if job.fused else winograd_block, tile_blocks * job.slices)
        self.ready.once = once_winograd
        self.ready.scratch += job.tiling.all * (sizeof(float) + 1)

    def pack(self, cnp.ndarray filters):
        cdef WinogradPanels mine = self.panels
        return WinogradPanels(
            filters.reshape((filters.shape[0], -1, filters.shape[filters.ndim - 1])), mine.groups, mine.transposed,
            mine.flipped, mine.form, mine.fold, mine.kernel, mine.order, mine.phases, True, self.ready.threads)

    cdef int use(self, void *job, packed) except -1:
        (<winograd_t *> job).panels = (<WinogradPanels?> packed).data
        return 0

    @property
    def form(self):
        """The number of the form of the tiles."""
        return self.job.tiling.form

    @property
    def all_tiles(self):
        """How many tiles there are."""
        return self.job.tiling.all

    def fill_part(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, filters, cnp.ndarray sizes,
                  cnp.ndarray flagged):
        """`fill` for some rows of tiles of a sample, of which `any_large` tells when all are filled whether they must
        be done again. sizes, flagged: float32 and zeros of uint8, an element for each tile, which are set.
        """
        cdef winograd_t job
        if sizes.size != self.job.tiling.all or flagged.size != sizes.size:
            raise ValueError(f"there are {self.job.tiling.all} tiles, got room for {sizes.size} and {flagged.size}")
        memcpy(&job, self.ready.job, self.ready.job_size)
        packed = self.packed(&job, filters)
        job.sizes, job.flagged = <float *> cnp.PyArray_DATA(sizes), <unsigned char *> cnp.PyArray_DATA(flagged)
        if job.tiling.all:
            self.run(&job, x, bias, y, None)

    def fill(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, filters=None,
             Border border=None):
        cdef winograd_t job
        cdef Py_ssize_t count
        cdef _Scratch of_inputs
        cdef _Scratch of_tiles = _Scratch(self.job.tiling.all * (sizeof(float) + 1), 1)
        memcpy(&job, self.ready.job, self.ready.job_size)
        packed = self.packed(&job, filters)
        if job.tiling.all == 0:
            return None
        note_tiles(&job, of_tiles.first)
        self.run(&job, x, bias, y, border)
        if flag_samples(&job) == 0:
            return None
        of_inputs = _Scratch(looked_at(&job), 1)
        with nogil:
            count = acquit(&job, of_inputs.first)
        if count == 0:
            return None
        deep = job.task.source.axis[job.tiling.axis[0]].length
        last = fast_axis(&job.tiling)
        shape = job.tiling.tiles[1 - last], job.tiling.tiles[last]
        shape = (job.task.source.batch, *((*shape, deep) if job.tiling.sharing else (deep, *shape)))
        flagged = np.empty(shape, np.uint8)
        memcpy(cnp.PyArray_DATA(<cnp.ndarray> flagged), job.flagged, job.tiling.all)
        if job.tiling.sharing:
            flagged = np.moveaxis(flagged, 3, 1)
        return flagged if last == 1 else flagged.swapaxes(2, 3)
