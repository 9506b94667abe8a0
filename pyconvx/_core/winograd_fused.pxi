# Convolution by Winograd's algorithms where few channels are summed: a few tiles at a time are transformed, multiplied
# with one vector of filters after the other and transformed back, so that no sums go through memory.

cdef extern from "winograd_fused.h":
    enum:
        FUSED_TILES
        FUSED_VECTORS
        FUSED_POINT
        FUSED_TILE
        FUSED_RUN
    void winograd_fused(int form, const float *v, Py_ssize_t depth, Py_ssize_t depth_step, Py_ssize_t channels,
                        const float *u, Py_ssize_t width, const float *bias, float **targets, Py_ssize_t first,
                        Py_ssize_t count, float *checks) noexcept nogil
    bint all_fine(const float *checks) noexcept nogil

cdef enum:
    FUSED_BLOCK = 16                # tiles of a block where threads share them, or
    FUSED_SHARED = 8                # if each has fewer lots of FUSED_TILES, all of its own
    FUSED_LINE = 16                 # elements of a line of the cache
    MOST_PRODUCTS = 64              # of a point: the sums of more are worth the way through memory

FUSED_PRODUCTS = MOST_PRODUCTS


cdef bint fusible(const winograd_t *job) noexcept nogil:
    """Whether products are few, and the channels of a group within vectors of their own or of whole groups."""
    return job.tiling.form != WINOGRAD_STRIDED \
        and job.task.source.axis[0].taps * job.channels <= MOST_PRODUCTS \
        and (job.groups == 1 or LANES_F32 % job.channels == 0)


cdef Py_ssize_t find_fused(const winograd_t *job, Py_ssize_t tile0, Py_ssize_t until, tile_t *tiles,
                           float **targets) noexcept nogil:
    """The next few tiles and their places; returns how many there are."""
    cdef Py_ssize_t places = job.tiling.outputs * job.tiling.outputs, t
    cdef Py_ssize_t count = min(<Py_ssize_t> FUSED_TILES, until - tile0)
    for t in range(count):
        find_tile(&job.task.source, &job.tiling, tile0 + t, &tiles[t])
        tile_places(&job.task.source, &job.tiling, &tiles[t], <float *> job.task.y, job.task.y_n, job.task.y_stride,
                    targets + t * places)
    memset(targets + count * places, 0, (FUSED_TILES - count) * places * sizeof(float *))
    return count


cdef void winograd_fused_block(void *given, Py_ssize_t block, int worker) noexcept nogil:
    cdef const winograd_t *job = <const winograd_t *> given
    cdef const source_t *s = &job.task.source
    cdef Py_ssize_t until = min((block + 1) * job.at_once, job.tiling.all), depth = s.axis[0].taps
    cdef Py_ssize_t depth_step = job.padded // LANES_F32 * FUSED_RUN, places = job.tiling.outputs * job.tiling.outputs
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef float *inputs = <float *> scratch
    cdef float *targets[2][FUSED_TILES * MOST_OUT * MOST_OUT]       # of these tiles and the next ones
    cdef const float *rows[POINTS * MOST_FOLD]
    cdef float checks[FUSED_TILES * LANES_F32]
    cdef tile_t tiles[2][FUSED_TILES]
    cdef float size
    cdef Py_ssize_t tile0 = block * job.at_once, count, more, t, d, i, now = 0
    memset(scratch, 0, job.folded_at)   # of tiles that are not there, nothing else is multiplied
    count = find_fused(job, tile0, until, tiles[now], targets[now])
    while count > 0:
        more = find_fused(job, tile0 + count, until, tiles[1 - now], targets[1 - now])
        for t in range(count):
            if not tiles[now][t].regular:
                job.flagged[tile0 + t] = 1
            size = 0
            for d in range(depth):
                tile_inputs(s, &job.tiling, &tiles[now][t], d, <const float *> job.task.x,
                            <const float *> job.task.constants, rows, <float *> (scratch + job.folded_at),
                            <float *> (scratch + job.mix_at))
                size = max(size, transform_inputs(s, &job.tiling, 0, rows,
                                                  inputs + d * depth_step + t * FUSED_TILE, FUSED_POINT, FUSED_RUN))
            job.sizes[tile0 + t] = size
        memset(checks, 0, sizeof(checks))
        fill_fused(job, inputs, depth_step, targets[now], targets[1 - now], checks)
        for t in range(count):
            if not all_fine(checks + t * LANES_F32):
                job.flagged[tile0 + t] = 1
        for i in range(count * places if job.task.finishing else 0):
            if targets[now][i] != NULL:
                finish(&job.task, targets[now][i], 1, job.groups * job.outputs, job.groups * job.outputs)
        tile0 += count
        count, now = more, 1 - now


cdef void fill_fused(const winograd_t *job, const float *inputs, Py_ssize_t depth_step, float **targets,
                     float **soon, float *checks) noexcept nogil:
    """All outputs of a few tiles; those of the next ones are on their way then."""
    cdef Py_ssize_t depth = job.task.source.axis[0].taps, wide = LANES_F32 * TILE_VECTORS
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
            for i in range(places if (group * job.outputs + first) % FUSED_LINE == 0 else 0):
                PREFETCH(soon[i] + group * job.outputs + first)
            winograd_fused(job.tiling.form, inputs + channel // LANES_F32 * FUSED_RUN + channel % LANES_F32, depth,
                           depth_step, job.channels, panel, width, start, targets, group * job.outputs + first, valid,
                           checks)
