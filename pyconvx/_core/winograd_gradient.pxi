# The gradient of filters by Winograd's algorithms, for float32: F(3x3, 4x4) with 36 products for 144, or of the taps of
# a line, a piece of them at a time, F(2, 7) to F(6, 3) with 8 for 14 to 20.
#
# Some tiles at a time, their inputs and the gradients of their outputs are transformed; then for every block of
# channels and filters the products are summed over these tiles, point by point, and transformed to taps, which are
# added up in double from one lot of tiles to the next. No sum is shared between threads. In a lot, tiles lie such that
# those which have a point are neighbours, though narrow ones have fewer.

cdef extern from "winograd_line.h":
    float winograd_line_slope(int taps, const float **rows, Py_ssize_t first, Py_ssize_t count, float *v,
                              Py_ssize_t step) noexcept nogil
    void winograd_line_taps(int taps, const float *m, Py_ssize_t step, float *g, Py_ssize_t tap) noexcept nogil

cdef enum:
    SQUARE_TAPS = 9
    SLOPE_TILES = 112               # most tiles at a time, and
    SLOPE_FEWEST = 28               # how many there are even if their transforms take
    SLOPE_BYTES = 1 << 22           # more bytes than this
    MOST_FILTERS = 72               # that one block sums, or one part of them
    DOUBT = 1024                    # no sum is this much smaller than what a tile has added to it,
    LINE_DOUBT = 128                # or a line

cdef struct slopes_t:
    source_t source
    tiling_t tiling
    const float *x
    const float *constants
    const float *gy
    float *gradient                 # (F, taps, C // groups), contiguous
    Py_ssize_t gy_n
    Py_ssize_t gy_stride[AXES]
    bint line
    Py_ssize_t points               # of a tile
    Py_ssize_t taps                 # of a square, or of a piece of a line,
    Py_ssize_t length               # of that or of the whole line,
    Py_ssize_t deep_step, step      # and taps of filters from one of the axis without tiles to the next, and of those
    Py_ssize_t depth                # taps of that axis, times pieces
    Py_ssize_t groups, outputs, channels
    Py_ssize_t panels, parts        # of a group: panels of channels, parts of filters
    Py_ssize_t chunks               # blocks that share the parts
    Py_ssize_t padded               # channels of all panels of a group, with their empty lanes
    Py_ssize_t filled               # filters, rounded up to whole vectors
    Py_ssize_t input_point          # elements from what tiles have for a point to what they have for the next,
    Py_ssize_t slope_point          # of inputs and of slopes
    Py_ssize_t tile0, tiles         # now
    Py_ssize_t place[SLOPE_TILES]   # of each tile: its place among them
    Py_ssize_t begin[4]             # of each kind of points: the places of the tiles that have it
    Py_ssize_t end[4]
    bint last                       # no more follow
    float *inputs                   # [point][group][tap of the first axis][panel][tile][lane]
    float *slopes                   # [point][tile][filled]
    float *sizes                    # of each tile: what a sum over its products may be at most, about
    double *totals                  # [panel][filter][tap][lane]; NULL if all tiles are summed at once
    float *largest                  # of each block, and NaN if it holds an infinity or a NaN
    char *scratch
    Py_ssize_t scratch_size


cdef void slopes_transform(void *given, Py_ssize_t t, int worker) noexcept nogil:
    """Transform what belongs to one tile of a lot."""
    cdef const slopes_t *job = <const slopes_t *> given
    cdef const source_t *s = &job.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
    cdef Py_ssize_t wide = lanes * TILE_VECTORS
    cdef Py_ssize_t pieces = job.tiling.pieces, d, group, first, width, count, i
    cdef const float *rows[POINTS]
    cdef float *to
    cdef const float *shifted[POINTS]
    cdef float *places[MOST_OUT * MOST_OUT]
    cdef float sizes[LINE_POINTS]
    cdef float size = 0, slope = 0, total
    cdef tile_t tile
    cdef Py_ssize_t place = job.place[t]
    find_tile(s, &job.tiling, job.tile0 + t, &tile)
    for d in range(job.depth):
        tile_inputs(s, &job.tiling, &tile, deep_code(s, &job.tiling, &tile, d // pieces), d % pieces, job.x,
                    job.constants, rows, NULL, <float *> (job.scratch + worker * job.scratch_size))
        for group in range(job.groups):
            for first from 0 <= first < job.channels by wide:
                width = wide if job.channels - first > lanes else lanes
                for i in range(job.points):
                    shifted[i] = rows[i] + group * job.channels + first
                count = min(width, job.channels - first)
                to = job.inputs + job.tiles * ((group * job.depth + d) * job.padded + first) + place * width
                if job.line:
                    winograd_line_input(shifted, count, to, job.input_point, sizes)
                    total = 0
                    for i in range(LINE_POINTS):
                        total += sizes[i]
                    size = max(size, total)
                else:
                    size = max(size, winograd_input(3, tile.narrow, shifted, 0, count, to, job.input_point, lanes,
                                                    False))
    tile_places(s, &job.tiling, &tile, <float *> job.gy, job.gy_n, job.gy_stride, places)
    for first from 0 <= first < job.groups * job.outputs by lanes:
        count = min(lanes, job.groups * job.outputs - first)
        to = job.slopes + place * job.filled + first
        if job.line:
            slope = max(slope, winograd_line_slope(<int> job.taps, <const float **> places, first, count, to,
                                                   job.slope_point))
        else:
            slope = max(slope, winograd_slope(tile.narrow, <const float **> places, first, count, to, job.slope_point))
    job.sizes[t] = size * slope


cdef void slopes_block(void *given, Py_ssize_t block, int worker) noexcept nogil:
    """Sum over the tiles for one panel of channels and some parts of the filters.

    Point by point, so that what tiles have there is in the nearest cache for all parts.
    """
    cdef const slopes_t *job = <const slopes_t *> given
    cdef const source_t *s = &job.source
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float)
    cdef Py_ssize_t wide = lanes * TILE_VECTORS
    cdef Py_ssize_t depth = job.depth
    cdef Py_ssize_t panel = block // job.chunks                 # of all groups and taps of the first axis
    cdef Py_ssize_t d = panel // job.panels % depth
    cdef Py_ssize_t group = panel // job.panels // depth
    cdef Py_ssize_t part0 = cut_at(job.parts, job.chunks, block % job.chunks)
    cdef Py_ssize_t part1 = cut_at(job.parts, job.chunks, block % job.chunks + 1)
    cdef Py_ssize_t first = cut_at(job.outputs, job.parts, part0)
    cdef Py_ssize_t filters = cut_at(job.outputs, job.parts, part1) - first
    cdef Py_ssize_t start = panel % job.panels * wide
    cdef Py_ssize_t width = wide if job.channels - start > lanes else lanes
    cdef Py_ssize_t valid = min(width, job.channels - start), point = spaced(filters * width)
    cdef float *sums = <float *> (job.scratch + worker * job.scratch_size)
    cdef double *total
    cdef const float *rows[SLOPE_TILES]
    cdef float taps[SQUARE_TAPS * TILE_VECTORS * LANES_F32]
    cdef Py_ssize_t phases = job.tiling.phases, since = piece_at(d % job.tiling.pieces, job.taps, phases)
    cdef Py_ssize_t there = min(job.taps, taps_from(since, job.length, phases))
    cdef float *to
    cdef Py_ssize_t t, x, m, k, lane, part, f, kind, begin, count
    cdef float largest = 0, spoiled = 0
    for x in range(job.points):
        kind = 0 if job.line else LEFT_OUT(True, x // 6) + 2 * LEFT_OUT(True, x % 6)
        begin, count = job.begin[kind], job.end[kind] - job.begin[kind]
        for t in range(count):
            rows[t] = job.slopes + x * job.slope_point + (begin + t) * job.filled + group * job.outputs
        for part in range(part0, part1):
            f = cut_at(job.outputs, job.parts, part)
            outer_f32(cut_at(job.outputs, job.parts, part + 1) - f, <int> (width // lanes), rows, count, f,
                      job.inputs + x * job.input_point + job.tiles * ((group * depth + d) * job.padded + start)
                      + begin * width, sums + x * point + (f - first) * width)
    for m in range(filters):
        for lane from 0 <= lane < width by lanes:
            if job.line:
                winograd_line_taps(<int> job.taps, sums + m * width + lane, point, taps + lane, width)
            else:
                winograd_taps(sums + m * width + lane, point, taps + lane, width)
        if job.totals != NULL:
            total = job.totals + (panel * job.outputs + first + m) * job.taps * wide
            for k in range(there * width):
                total[k] += taps[k]
            if not job.last:
                continue
            for k in range(there * width):
                taps[k] = <float> total[k]
        to = job.gradient + (group * job.outputs + first + m) * s.taps * job.channels + start
        to += (d // job.tiling.pieces * job.deep_step + since * job.step) * job.channels
        for k in range(there):
            memcpy(to + k * phases * job.step * job.channels, taps + k * width, valid * sizeof(float))
        spoiled += spoiled_f32(taps, there * width)
        largest = max(largest, largest_magnitude(taps, there * width))
    job.largest[block] = largest + spoiled


cdef void order_tiles(slopes_t *job) noexcept nogil:
    """Give tiles their places: first those that are narrow along the second axis alone, then those that are not, those
    along the first axis alone, and those along both. So the tiles that are not narrow along either axis are neighbours.
    """
    cdef Py_ssize_t numbers[4]      # of tiles of each kind, in this order
    cdef Py_ssize_t next_place[4]
    cdef Py_ssize_t tile[2]
    cdef Py_ssize_t t, q, turn
    memset(numbers, 0, sizeof(numbers))
    for t in range(job.tiles):
        q = job.tile0 + t
        tile[0], tile[1] = q // job.tiling.tiles[1] % job.tiling.tiles[0], q % job.tiling.tiles[1]
        turn = turn_of(narrow_of(&job.tiling, tile))
        job.place[t] = turn
        numbers[turn] += 1
    next_place[0] = 0
    for turn in range(1, 4):
        next_place[turn] = next_place[turn - 1] + numbers[turn - 1]
    job.begin[0], job.end[0] = 0, job.tiles                             # points that all have,
    job.begin[1], job.end[1] = 0, next_place[2]                         # that narrow ones along the first axis lack,
    job.begin[2], job.end[2] = next_place[1], next_place[3]             # along the second,
    job.begin[3], job.end[3] = next_place[1], next_place[2]             # and along either
    for t in range(job.tiles):
        turn = job.place[t]
        job.place[t] = next_place[turn]
        next_place[turn] += 1


cdef inline Py_ssize_t turn_of(int narrow) noexcept nogil:
    return 0 if narrow == 2 else 1 if narrow == 0 else 2 if narrow == 1 else 3


def winograd_filter_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gradient, Py_ssize_t groups, tuple axes,
                             cnp.ndarray constants, tuple tiles, int form, tuple order, Py_ssize_t phases,
                             int threads):
    """As filter_gradient, for float32 and 3 x 3 taps on the last two axes, or lines; form, order, phases and tiles as
    Winograd takes them, the tiles all regular.

    Returns whether the gradient is good: not if it holds an infinity or a NaN, or if one tile had so large elements
    that what it has to add should not have vanished in the sum.
    """
    cdef slopes_t job
    cdef Py_ssize_t lanes = VECTOR_BYTES // sizeof(float), wide = lanes * TILE_VECTORS, depth, t
    job.source = source_of(x, axes)
    job.tiling = tiling_of(&job.source, tiles, form, 1, order, phases)
    cdef Py_ssize_t deep = job.source.axis[job.tiling.axis[0]].taps
    job.line, job.points = WINOGRAD_IS_LINE(form), WINOGRAD_FILTER_POINTS(form)
    job.taps = job.tiling.piece if job.line else SQUARE_TAPS
    job.length = job.source.axis[job.tiling.axis[2]].taps if job.line else SQUARE_TAPS
    steps_of(job.tiling.axis[0] > job.tiling.axis[2], deep, job.length, &job.deep_step, &job.step)
    job.depth = deep * job.tiling.pieces
    job.x, job.gy, job.gradient = <const float *> cnp.PyArray_DATA(x), <const float *> cnp.PyArray_DATA(gy), \
        <float *> cnp.PyArray_DATA(gradient)
    job.constants = <const float *> cnp.PyArray_DATA(constants)
    job.gy_n = strides_of(gy, job.gy_stride)
    job.groups, job.outputs, job.channels = groups, gradient.shape[0] // groups, gradient.shape[2]
    depth = job.depth
    job.panels = (job.channels + wide - 1) // wide
    job.parts = (job.outputs + TILE_FULL - 1) // TILE_FULL
    job.padded = (job.channels + lanes - 1) // lanes * lanes
    job.filled = spaced(gradient.shape[0])
    cdef Py_ssize_t one = job.points * (groups * depth * job.padded + job.filled) * sizeof(float)
    cdef Py_ssize_t at_once = min(job.tiling.all, max(SLOPE_FEWEST, min(SLOPE_TILES, SLOPE_BYTES // one)))
    cdef Py_ssize_t lots = (job.tiling.all + at_once - 1) // at_once
    at_once = (job.tiling.all + lots - 1) // lots
    cdef Py_ssize_t all_panels = groups * depth * job.panels
    job.chunks = min(job.parts, max((job.parts * TILE_FULL + MOST_FILTERS - 1) // MOST_FILTERS,
                                    (threads + all_panels - 1) // all_panels))
    cdef Py_ssize_t blocks = all_panels * job.chunks
    job.input_point = spaced(at_once * groups * depth * job.padded)
    job.slope_point = spaced(at_once * job.filled)
    cdef Py_ssize_t slopes_at = rounded(job.points * job.input_point * sizeof(float))
    cdef Py_ssize_t sizes_at = slopes_at + rounded(job.points * job.slope_point * sizeof(float))
    cdef Py_ssize_t largest_at = sizes_at + rounded(at_once * sizeof(float))
    cdef Py_ssize_t totals_at = largest_at + rounded(blocks * sizeof(float))
    cdef Py_ssize_t totals_size = all_panels * job.outputs * job.taps * wide * sizeof(double) if lots > 1 else 0
    cdef _Scratch shared = _Scratch(totals_at + totals_size, 1)
    cdef Py_ssize_t mix = job.points * job.source.channels * sizeof(float) if job.source.mixed else 0
    cdef Py_ssize_t filters = (job.parts + job.chunks - 1) // job.chunks * TILE_FULL
    cdef _Scratch own = _Scratch(max(mix, job.points * spaced(filters * wide) * sizeof(float)), threads)
    job.inputs = <float *> shared.first
    job.slopes = <float *> (shared.first + slopes_at)
    job.sizes = <float *> (shared.first + sizes_at)
    job.largest = <float *> (shared.first + largest_at)
    job.totals = <double *> (shared.first + totals_at) if lots > 1 else NULL
    job.scratch, job.scratch_size = own.first, own.size
    memset(shared.first + totals_at, 0, totals_size)
    cdef float size = 0, largest = 0, spoiled = 0
    job.tile0 = 0
    while job.tile0 < job.tiling.all:
        job.tiles = min(at_once, job.tiling.all - job.tile0)
        job.last = job.tile0 + job.tiles == job.tiling.all
        with nogil:
            order_tiles(&job)
            run(slopes_transform, &job, job.tiles, threads)
            run(slopes_block, &job, blocks, threads)
            for t in range(job.tiles):
                size = max(size, job.sizes[t])
        PyErr_CheckSignals()
        job.tile0 += job.tiles
    for t in range(blocks):
        largest = max(largest, job.largest[t])
        spoiled += 0 * job.largest[t]
    return spoiled == 0 and size <= (LINE_DOUBT if job.line else DOUBT) * largest
