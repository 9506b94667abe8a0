# The rows of places that a block of bands.pxi fills: what they read, laid out where it does not lie so in x.

cdef enum:
    SHORT = 32                      # products of a run that are not worth skipping

cdef struct piece_t:                # of the visits of an axis, as Axis.pieces has them
    Py_ssize_t first, count, rise, gap


cdef struct bands_t:
    task_t task
    const void *panels
    Py_ssize_t groups, outputs, channels, group_size, panels_per_group
    Py_ssize_t samples              # that a block fills
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
    bint across                     # a tile is multiplied with all panels before the next
    bint ahead                      # what the next tile writes is asked for: the result does not stay near
    Py_ssize_t lines_at, rows_at, taps_at, part_at, used_at, start_at, mix_at


cdef struct strip_t:                # the rows of places that a block fills, and where they read
    const piece_t *band
    const piece_t *segment
    const Py_ssize_t *code1         # of the first position that they read on the last two axes
    const Py_ssize_t *code2
    Py_ssize_t depth                # place of the first axis
    Py_ssize_t length               # positions of a row of x; between run0 and run1 they are neighbours in x
    Py_ssize_t run0, run1
    bint in_place                   # rows of x inside are read where they are
    Py_ssize_t rise                 # elements between what neighbouring rows of places read; 0: not even
    bint framed                     # what is laid out beside and between elements of x is the same for all samples
    Py_ssize_t y_at                 # where they start in a sample of the result
    Py_ssize_t y_step               # elements between their places
    char *scratch                   # rows that are laid out, then what follows
    const void **lines              # of each position on the first two axes: where its row of x is
    char *used                      # of each tap of the last axis: whether it reads anything
    void *mix
    void *part                      # tiles that are not stored as a whole


cdef tuple cut_pieces(cnp.ndarray pieces, Py_ssize_t most):
    """Pieces of at most `most` visits each, and how many there are."""
    parts = [(first + at, min(most, count - at), rise, gap) for first, count, rise, gap in pieces.tolist()
             for at in range(0, count, most)]
    return np.array(parts, np.intp).reshape(-1, 4), len(parts)


cdef Py_ssize_t even_rise(const bands_t *job, const strip_t *strip) noexcept nogil:
    """How many elements what a row of places reads lies after what the one before it reads; 0 if not evenly."""
    cdef const axis_t *first = &job.task.source.axis[0]
    cdef const axis_t *middle = &job.task.source.axis[1]
    cdef const Py_ssize_t *code = strip.code1
    cdef Py_ssize_t span = (strip.band.count - 1) * strip.band.rise + reach_of(middle)
    cdef Py_ssize_t i, step = code[1] - code[0] if span > 1 and (code[0] | code[1]) >= 0 else 1
    if not strip.in_place and not job.skip:
        return strip.band.rise * job.row_size
    for i in range(first.taps):
        if first.code[first.row[strip.depth] + i * first.step] < 0:
            return 0
    for i in range(span):
        if code[i] < 0 or (strip.in_place and code[i] != code[0] + i * step):
            return 0
    return strip.band.rise * (step * job.task.source.stride[1] if strip.in_place else job.row_size)


cdef bint is_framed(const bands_t *job, const strip_t *strip) noexcept nogil:
    """Whether rows are laid out that read alike in all samples, and whose padding is constant."""
    cdef const source_t *s = &job.task.source
    cdef Py_ssize_t t
    if strip.in_place or not strip.rise or strip.run0 == strip.run1 or s.mixed or s.border.elements != NULL:
        return False
    for t in range(strip.run0):
        if strip.code2[t] >= 0:
            return False
    for t in range(strip.run1, strip.length):
        if strip.code2[t] >= 0:
            return False
    return s.stride[2] == s.channels and s.stride_c == 1


cdef void lay_again(const bands_t *job, const strip_t *strip, const real *image) noexcept nogil:
    """Lay out the rows of another sample within the padding of the one before."""
    cdef const source_t *s = &job.task.source
    cdef const axis_t *first = &s.axis[0]
    cdef Py_ssize_t span = (strip.band.count - 1) * strip.band.rise + reach_of(&s.axis[1]), depth, position, a, b, i
    cdef Py_ssize_t count = (strip.run1 - strip.run0) * s.channels
    cdef const real *run
    cdef real *to
    for depth in range(first.taps):
        a = first.code[first.row[strip.depth] + depth * first.step]
        for position in range(span):
            b = strip.code1[position]
            if (a | b) < 0:
                continue
            run = image + a * s.stride[0] + b * s.stride[1] + strip.code2[strip.run0] * s.stride[2]
            to = <real *> strip.scratch + (depth * job.span + position) * job.row_size + strip.run0 * s.channels
            if count > SHORT:
                memcpy(to, run, count * sizeof(real))
                continue
            for i in range(count):
                to[i] = run[i]


cdef strip_t strip_of(const bands_t *job, Py_ssize_t band, Py_ssize_t segment, Py_ssize_t depth,
                      char *scratch) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef strip_t strip
    cdef Py_ssize_t k, o, position
    strip.band, strip.segment, strip.depth = job.band + band, job.segment + segment, depth
    strip.code1 = codes_from(middle, strip.band.first)
    strip.code2 = codes_from(last, strip.segment.first)
    strip.length = (strip.segment.count - 1) * strip.segment.rise + reach_of(last)
    longest_run(strip.code2, strip.length, &strip.run0, &strip.run1)
    strip.in_place = strip.run0 == 0 and strip.run1 == strip.length and s.stride[2] == s.channels and s.stride_c == 1
    strip.rise = even_rise(job, &strip)
    strip.framed = job.samples > 1 and is_framed(job, &strip)
    strip.y_at = s.axis[0].place[depth] * job.task.y_stride[0] + last.place[strip.segment.first] * job.task.y_stride[2]
    strip.y_step = job.task.y_stride[2] * strip.segment.gap
    strip.scratch, strip.lines = scratch, <const void **> (scratch + job.lines_at)
    strip.used, strip.mix, strip.part = scratch + job.used_at, scratch + job.mix_at, scratch + job.part_at
    memset(strip.used, 1, last.taps)
    if job.gaps and job.skip:
        for k in range(last.taps):
            strip.used[k] = 0
            position = tap_at(last, k)
            for o in range(strip.segment.count):
                strip.used[k] |= strip.code2[position + o * strip.segment.rise] > max(OUTSIDE, NOTHING)
    return strip


cdef const void *line_of(const bands_t *job, const strip_t *strip, const real *image, Py_ssize_t a,
                         Py_ssize_t b, real *row) noexcept nogil:
    """A row of x as far as a strip reads it, its channels together: in place or laid out in `row`; if it is zeros that
    may be skipped, the job itself stands for it.
    """
    cdef const source_t *s = &job.task.source
    if job.skip and (is_zero(&job.task, a) or is_zero(&job.task, b)):
        return job
    if (a | b) >= 0 and strip.in_place:
        return image + a * s.stride[0] + b * s.stride[1] + strip.code2[0] * s.stride[2]
    lay_line(&job.task, image, a, b, strip.code2, strip.length, strip.run0, strip.run1, 0, s.channels, row, s.channels,
             1, <real *> strip.mix)
    return row


cdef Py_ssize_t list_row(const bands_t *job, const strip_t *strip, const real *image, Py_ssize_t r,
                         const real **rows, Py_ssize_t *taps) noexcept nogil:
    """What a row of places reads, laid out as far as it was not yet: the row of x of each tap that reads anything, and
    where its filters start. Returns the number of taps. Without `rows` nothing is listed.
    """
    cdef const source_t *s = &job.task.source
    cdef const axis_t *first = &s.axis[0]
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t depth, k1, k2, a, position, at, count = 0
    for depth in range(first.taps):
        a = first.code[first.row[strip.depth] + depth * first.step]
        for k1 in range(middle.taps):
            position = r * strip.band.rise + tap_at(middle, k1)
            at = depth * job.span + position
            if strip.lines[at] == NULL:
                strip.lines[at] = line_of(job, strip, image, a, strip.code1[position],
                                          <real *> strip.scratch + at * job.row_size)
            if strip.lines[at] == <const void *> job or rows == NULL:
                continue
            for k2 in range(1 if job.merge else last.taps):
                if strip.used[k2]:
                    rows[count] = <const real *> strip.lines[at] + s.channels * tap_at(last, k2)
                    taps[count] = ((depth * middle.taps + k1) * last.taps + k2) * job.channels
                    count += 1
    return count
