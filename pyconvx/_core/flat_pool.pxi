# Extremum and sum along rows of places, for few channels: the channels of neighbouring places are one flat row, and
# lanes run along it.
#
# A window is reduced over its first two axes at all positions that a row of places reads, which gives a line, and over
# the last axis then. With a stride between places the line is split into phases, so that each tap is a flat row again.

cdef enum:
    LINE_BYTES = 1 << 15            # of the longest line
    LAID_BYTES = 1 << 19            # of the rows of a chunk, which may all have to be laid out
    MOST_PIXEL = 1 << 9            # bytes of the channels of a position
    MOST_FLAT = 1 << 24             # elements that are read for one row of places, unless one place needs more
    LONGEST_SUM = CHUNK * CHUNK     # rows or taps that are summed in chunks without a double
    NO_NUMBER = 1 << 30             # of a position that holds nothing: no tap has it

cdef struct flat_t:
    pool_t pool
    bint summing
    bint numbered                   # winners are asked for
    double identity                 # what a position that holds nothing counts as
    Py_ssize_t rise                 # positions from a place to the next
    Py_ssize_t height               # rows of places of one block
    Py_ssize_t segment, segments    # places of a row at once
    Py_ssize_t span                 # positions that they read
    Py_ssize_t periods              # phases of a line that taps read; 0: none are made
    Py_ssize_t line_size, phase_size                # bytes
    Py_ssize_t laid_at, phases_at, number_at, number_phases_at, winner_at, mix_at

cdef struct flat_rows_t:            # the next rows of a window over the first two axes
    Py_ssize_t count
    bint fresh                      # none has been reduced
    const void *base[CHUNK]         # its coordinate 0, or its first position if it is laid out
    bint is_laid[CHUNK]
    Py_ssize_t a[CHUNK]
    Py_ssize_t b[CHUNK]
    cnp.int32_t numbers[CHUNK]      # of its first tap


cdef void lay_flat(const flat_t *job, const real *image, Py_ssize_t a, Py_ssize_t b, Py_ssize_t start,
                   Py_ssize_t span, real *row) noexcept nogil:
    """Lay out `span` positions of a row of x, but for those that hold nothing."""
    cdef const source_t *s = &job.pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef const real *element_row = NULL
    cdef Py_ssize_t p = start, c, i, n, channel
    cdef bint plain, same
    while p < start + span:
        c = last.code[p]
        n = min(last.until[p], start + span) - p
        plain = (a | b | c) >= 0
        same = a == OUTSIDE or b == OUTSIDE or c == OUTSIDE
        if c == NOTHING:
            row += n * s.channels
        else:
            for i in range(n):
                if plain:
                    element_row = image + a * s.stride[0] + b * s.stride[1] + (c + i) * s.stride[2]
                elif i == 0 or not same:
                    element_row = special_row(s, image, <const real *> job.pool.constants, a, b,
                                              c + i if c >= 0 else c, row)
                for channel in range(s.channels):
                    row[channel] = element_row[channel]
                row += s.channels
        p += n


cdef inline void reduce_flat(const flat_t *job, const real **rows, const cnp.int32_t *numbers, Py_ssize_t count,
                             Py_ssize_t length, bint fresh, real *y, cnp.int32_t *number) noexcept nogil:
    if job.summing:
        if real is float:
            sum_f32(rows, count, length, fresh, 1, 0, False, 1, y, 0)
        else:
            sum_f64(rows, count, length, fresh, 1, 0, False, 1, y, 0)
    elif number == NULL:
        extremum(rows, count, length, job.pool.largest, fresh, 1, 0, y, 0)
    else:
        winners(rows, numbers, count, length, job.pool.largest, fresh, y, number)


cdef void reduce_rows(const flat_t *job, const real *image, flat_rows_t *some, Py_ssize_t start, Py_ssize_t span,
                      real *line, cnp.int32_t *number, real *mix) noexcept nogil:
    """Reduce the rows that wait, position by position, into a line, and its number of the winner unless NULL."""
    cdef const source_t *s = &job.pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef const real *rows[CHUNK]
    cdef Py_ssize_t p = start, at = 0, c, n, t, i
    while p < start + span:
        c = last.code[p]
        n = min(last.until[p], start + span) - p
        if c == NOTHING:
            if some.fresh:
                for i in range(at, at + n * s.channels):
                    line[i] = <real> job.identity
                if number != NULL:
                    for i in range(at, at + n * s.channels):
                        number[i] = NO_NUMBER
        else:
            if c < 0:
                n = 1
            for t in range(some.count):
                if some.is_laid[t]:
                    rows[t] = <const real *> some.base[t] + at
                elif c >= 0:
                    rows[t] = <const real *> some.base[t] + c * s.stride[2]
                else:
                    rows[t] = special_row(s, image, <const real *> job.pool.constants, some.a[t], some.b[t], c,
                                          mix + t * s.channels)
            reduce_flat(job, rows, some.numbers, some.count, n * s.channels, some.fresh, line + at,
                        NULL if number == NULL else number + at)
        p += n
        at += n * s.channels
    some.count, some.fresh = 0, False


cdef void reduce_line(const flat_t *job, const real *line, Py_ssize_t readable, const cnp.int32_t *number,
                      Py_ssize_t span, Py_ssize_t places, char *scratch, real *y, cnp.int32_t *winner) noexcept nogil:
    """Reduce a line of `span` positions over the taps of the last axis; at most `readable` elements of it are read."""
    cdef const axis_t *last = &job.pool.source.axis[2]
    cdef Py_ssize_t channels = job.pool.source.channels, periods = job.periods
    cdef const real *rows[CHUNK]
    cdef const cnp.int32_t *numbers[CHUNK]
    cdef char *phases = scratch + job.phases_at
    cdef char *number_phases = scratch + job.number_phases_at
    cdef Py_ssize_t together = places if job.rise == 1 or periods else 1
    cdef Py_ssize_t k, t, o, count, first, offset, elements
    for k in range(periods):
        first = k * last.step % job.rise
        count = (span - 1 - first) // job.rise + 1
        offset, elements = first * channels, job.rise * channels
        if real is float:
            phase_f32(line + offset, readable - offset, elements, channels, count, phases + k * job.phase_size)
        else:
            phase_f64(line + offset, readable - offset, elements, channels, count, phases + k * job.phase_size)
        if number != NULL:
            phase_f32(number + offset, span * channels - offset, elements, channels, count,
                      number_phases + k * job.phase_size)
    for o from 0 <= o < places by together:
        for first from 0 <= first < last.taps by CHUNK:
            count = min(<Py_ssize_t> CHUNK, last.taps - first)
            for t in range(count):
                k = first + t
                if periods:
                    offset = k * last.step // job.rise * channels
                    rows[t] = <const real *> (phases + k % periods * job.phase_size) + offset
                    numbers[t] = <const cnp.int32_t *> (number_phases + k % periods * job.phase_size) + offset
                else:
                    offset = (o * job.rise + k * last.step) * channels
                    rows[t] = line + offset
                    numbers[t] = number + offset
            if number == NULL:
                reduce_flat(job, rows, NULL, count, together * channels, first == 0, y + o * channels, NULL)
            elif real is float:
                merge_f32(job.pool.largest, rows, numbers, <cnp.int32_t> first, count, together * channels, first == 0,
                          y + o * channels, winner + o * channels)
            else:
                merge_f64(job.pool.largest, rows, numbers, <cnp.int32_t> first, count, together * channels, first == 0,
                          y + o * channels, winner + o * channels)


cdef void locate_row(const flat_t *job, Py_ssize_t *at, Py_ssize_t begin, Py_ssize_t places,
                     const cnp.int32_t *winner, Py_ssize_t *index) noexcept nogil:
    """The flat spatial index of each winner of a row of places."""
    cdef const source_t *s = &job.pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef const Py_ssize_t *code
    cdef Py_ssize_t line[CHUNK]     # of each tap: where its row of x begins
    cdef Py_ssize_t step[CHUNK]     # where its code stands
    cdef Py_ssize_t ahead[CHUNK]    # how far it is ahead of the first one where codes are neighbours
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t channels = s.channels, reach = (last.taps - 1) * last.step, t, o, c, first
    at[2] = begin
    if s.taps <= CHUNK:
        for t in range(s.taps):
            codes_of(s, at, t, codes)
            line[t] = (max(codes[0], 0) * s.length[1] + max(codes[1], 0)) * s.length[2]     # a missing one never wins
            step[t] = t % last.taps * last.step
            ahead[t] = line[t] + step[t]
    for o in range(places):
        code = last.code + last.row[at[2]]
        first = code[0]
        if s.taps > CHUNK:
            locate(s, at, winner, channels, index)
        elif first >= 0 and last.until[last.row[at[2]]] > last.row[at[2]] + reach:
            for c in range(channels):
                index[c] = first + ahead[winner[c]]
        else:
            for c in range(channels):
                index[c] = line[winner[c]] + code[step[winner[c]]]
        winner += channels
        index += channels
        at[2] += 1


cdef void flat_row(real *kind, const flat_t *job, Py_ssize_t *at, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t places,
                   Py_ssize_t same0, Py_ssize_t same1, char *scratch) noexcept nogil:
    """The places begin ... of one row of places."""
    cdef const source_t *s = &job.pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef const real *image = <const real *> job.pool.x + n * s.stride_n
    cdef Py_ssize_t start = last.row[begin], span = (places - 1) * job.rise + (last.taps - 1) * last.step + 1
    cdef Py_ssize_t offset, k0, k1, a, b, readable
    cdef cnp.int32_t *winner = NULL
    cdef cnp.int32_t *number = NULL
    cdef real *mix = <real *> (scratch + job.mix_at)
    cdef real *line = <real *> scratch
    cdef const real *whole = NULL
    cdef real *y
    cdef flat_rows_t some
    at[2] = begin
    offset = n * job.pool.y_n + target(s, at, job.pool.y_stride)
    y = <real *> job.pool.y + offset
    if job.numbered:
        winner = job.pool.winner + offset if job.pool.winner != NULL else <cnp.int32_t *> (scratch + job.winner_at)
        number = <cnp.int32_t *> (scratch + job.number_at)
    if last.taps == 1 and job.rise == 1:
        line, number = y, winner
    some.count, some.fresh = 0, True
    for k0 in range(s.axis[0].taps):
        a = s.axis[0].code[s.axis[0].row[at[0]] + k0 * s.axis[0].step]
        for k1 in range(s.axis[1].taps):
            b = s.axis[1].code[s.axis[1].row[at[1]] + k1 * s.axis[1].step]
            if a == NOTHING or b == NOTHING:
                continue
            if some.count == CHUNK:
                reduce_rows(job, image, &some, start, span, line, number, mix)
            some.a[some.count], some.b[some.count] = a, b
            some.numbers[some.count] = <cnp.int32_t> ((k0 * s.axis[1].taps + k1) * last.taps)
            some.is_laid[some.count] = (a | b) < 0 or s.stride[2] != s.channels
            if some.is_laid[some.count]:
                some.base[some.count] = scratch + job.laid_at + some.count * job.line_size
                lay_flat(job, image, a, b, start, span, <real *> some.base[some.count])
            else:
                some.base[some.count] = image + a * s.stride[0] + b * s.stride[1]
            some.count += 1
    if some.fresh and some.count == 0:
        return  # windows without an element
    readable = job.line_size // <Py_ssize_t> sizeof(real)
    if some.fresh and some.count == 1 and number == NULL and line != y and not some.is_laid[0] \
            and last.code[start] >= 0 and last.until[start] >= start + span:
        whole = <const real *> some.base[0] + last.code[start] * s.channels     # a line as it is
        readable = span * s.channels
    else:
        if some.count:
            reduce_rows(job, image, &some, start, span, line, number, mix)
        whole = line
    if line != y:
        reduce_line(job, whole, readable, number, span, places, scratch, y, winner)
    if job.pool.divisor != DIVIDE_NOT:
        divide_row(&job.pool, at, begin, begin + places, same0, same1, s.channels, y)
    if job.pool.index != NULL:
        locate_row(job, at, begin, places, winner, job.pool.index + offset)


cdef void flat_block(real *kind, const flat_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t begin = block % job.segments * job.segment
    cdef Py_ssize_t end = min(begin + job.segment, last.length)
    cdef Py_ssize_t rows = s.axis[0].length * s.axis[1].length
    cdef Py_ssize_t row = block // job.segments * job.height
    cdef Py_ssize_t same0, same1, number, n
    cdef Py_ssize_t at[AXES]
    same_divisors(&job.pool, begin, end, &same0, &same1)
    n, at[0], at[1] = row // rows, row % rows // s.axis[1].length, row % s.axis[1].length
    for number in range(min(job.height, s.batch * rows - row)):
        flat_row(kind, job, at, n, begin, end - begin, same0, same1,
                 job.pool.scratch + worker * job.pool.scratch_size)
        at[1] += 1
        if at[1] == s.axis[1].length:
            at[0], at[1] = at[0] + 1, 0
            if at[0] == s.axis[0].length:
                n, at[0] = n + 1, 0


cdef void flat_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const flat_t *> job).pool.kind == b'f':
        flat_block(<float *> NULL, <const flat_t *> job, block, worker)
    else:
        flat_block(<double *> NULL, <const flat_t *> job, block, worker)


cdef bint flat_pays(const flat_t *job, Py_ssize_t itemsize) noexcept nogil:
    """Whether a row of places costs less at once than place by place, in vector operations, as measured."""
    cdef const source_t *s = &job.pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef double vectors = 1.0 * s.channels * itemsize / VECTOR_BYTES        # of a position
    cdef double taps = s.taps, last_taps = last.taps
    cdef double flat = taps / last_taps * job.span * vectors
    if job.periods or job.rise == 1:
        flat += (last_taps + (3 if job.periods else 0)) * job.segment * vectors
    else:
        flat += last_taps * job.segment * 3 * s.channels
    cdef double even = 1.0 * longest_alike(last) * job.segment / last.length    # places that follow another one
    cdef double alone = job.segment - even
    cdef double steps = taps * (ceil(vectors) if vectors >= 1 else s.channels) * job.segment
    if not job.numbered:
        return flat + 100 < (0.9 if taps == 4 else 1.1) * steps + 3 * even + (4 * taps + 12) * alone
    flat, steps = 2 * flat + 240, 2.4 * steps + 6 * even + (4 * taps + 19) * alone
    if job.pool.index != NULL:
        flat += 0.8 * s.channels * job.segment
        steps += 0.5 * s.channels * job.segment
    return flat < steps


cdef bint plan_flat(flat_t *given, const pool_t *pool, tuple axes, bint summing, int threads,
                    ready_t *ready) except -1:
    """Make a job ready that reduces along rows of places, unless that does not fit or would not pay; returns whether it
    is.
    """
    cdef flat_t job
    cdef const source_t *s = &pool.source
    cdef const axis_t *last = &s.axis[2]
    cdef Py_ssize_t itemsize = 4 if pool.kind == b'f' else 8
    cdef Py_ssize_t pixel = s.channels * itemsize       # bytes of a position
    cdef Py_ssize_t rows = s.taps // last.taps
    cdef Py_ssize_t reach = (last.taps - 1) * last.step + 1
    cdef Py_ssize_t chunk = min(rows, <Py_ssize_t> CHUNK)
    cdef Py_ssize_t longest = min(<Py_ssize_t> LINE_BYTES, LAID_BYTES // chunk) // pixel    # positions of a line
    job.rise = axes[2].rise
    if pool.kind not in (b'f', b'd') or job.rise == 0 or last.step < 1 or s.taps >= NO_NUMBER or s.places == 0 \
            or (last.length > 1 and pool.y_stride[2] != s.channels) or pixel > MOST_PIXEL or reach > longest \
            or (summing and (rows > LONGEST_SUM or last.taps > LONGEST_SUM)):
        return False
    longest = min((longest - reach) // job.rise + 1, last.length,
                  max(1, <Py_ssize_t> (MOST_FLAT / (1.0 * rows * job.rise * s.channels))))
    job.segments = (last.length + longest - 1) // longest
    job.segment = (last.length + job.segments - 1) // job.segments
    job.span = (job.segment - 1) * job.rise + reach
    job.summing = summing
    job.numbered = pool.winner != NULL or pool.index != NULL
    job.pool = pool[0]
    job.periods = 0
    if job.rise > 1 and job.segment * pixel >= VECTOR_BYTES:
        job.periods = 1
        while job.periods < last.taps and job.periods * last.step % job.rise:
            job.periods += 1
    if not flat_pays(&job, itemsize):
        return False
    job.identity = -0.0 if summing else -INFINITY if pool.largest else INFINITY
    # whole vectors are read and written beyond the end of a line
    job.line_size = rounded(job.span * pixel) + 2 * VECTOR_BYTES
    job.phase_size = rounded((job.span // job.rise + 1) * pixel) + 2 * VECTOR_BYTES
    job.laid_at = job.line_size
    job.phases_at = job.laid_at + chunk * job.line_size
    job.mix_at = job.phases_at + job.periods * job.phase_size
    job.number_at = job.mix_at + (rounded(CHUNK * pixel) if s.mixed else 0)
    job.number_phases_at = job.number_at + job.line_size
    job.winner_at = job.number_phases_at + job.periods * job.phase_size
    cdef Py_ssize_t size = job.winner_at + job.line_size if job.numbered else job.number_at
    cdef Py_ssize_t lines = s.batch * s.axis[0].length * s.axis[1].length
    cdef double work = (1.0 * rows * job.span + 1.0 * last.taps * job.segment) * s.channels     # of a row of places
    job.height = max(1, <Py_ssize_t> (FORWARD_WORK / work))
    if work * job.segments * lines < 2e5:
        threads = 1
    job.pool.scratch_size = size
    ready_pool(ready, &job.pool, flat_any, (lines + job.height - 1) // job.height * job.segments, threads)
    given[0] = job
    return True
