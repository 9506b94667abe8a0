# Pooling by the compiled reductions extremum and sum. The channels of a tap are one row; a reduction runs over the rows
# of a window, CHUNK rows at a time. Taps that hold nothing are left out. The next places of a short window, as far as
# they lie alike, have the same rows a few positions on.

cdef enum:
    CHUNK = 64                      # rows of one step of a reduction
    FORWARD_WORK = 1 << 16          # additions or comparisons that a forward block is cut for
    BACKWARD_WORK = 1 << 17         # and a backward block
    MOST_WORK = 1 << 20             # more would leave Ctrl-C waiting
    BACKWARD_CHANNELS = 256         # channels of one backward block
    STATISTIC_WORK = 2              # of an element of a window in statistics.pxi
    FOREIGN_WORK = 4                # and in foreign_pool.pxi

cdef enum divisor_t:
    DIVIDE_NOT
    DIVIDE_PRESENT                  # by the number of elements present
    DIVIDE_EXTENT                   # by the number of positions within the padded extent
    DIVIDE_VALUE                    # by a given number

DIVISORS = {"none": DIVIDE_NOT, "present": DIVIDE_PRESENT, "extent": DIVIDE_EXTENT, "value": DIVIDE_VALUE}

cdef struct pool_t:
    source_t source
    const void *x
    const void *constants           # (AXES, C)
    void *y                         # the result; in a gradient the incoming gradient
    cnp.int32_t *winner             # number of the tap that won, laid out as y, or NULL
    cnp.int32_t *upper              # of a percentile, where winner is the lower one
    Py_ssize_t *index               # its flat spatial index, laid out as y, or NULL
    void *gx
    const void *saved               # the result, in the gradient of a statistic
    Py_ssize_t y_n
    Py_ssize_t y_stride[AXES]
    char kind                       # of the elements, as numpy names them
    bint largest
    int divisor
    double value
    int statistic
    double parameter
    Py_ssize_t effort               # of an element of a window, in additions or comparisons
    call_t *call                    # the function of a plugin, or NULL
    Py_ssize_t together             # most places of a statistic at once
    bint fresh                      # nothing has been added to gx, and but one tap adds to each element
    bint quick                      # most windows need one look only
    Py_ssize_t places               # of one forward block
    Py_ssize_t width                # channels of one block
    Py_ssize_t channel_blocks
    int cut                         # the axis that backward blocks cut into bands
    Py_ssize_t bands
    const Py_ssize_t *edge          # [bands + 1] of the source
    const Py_ssize_t *begin         # [bands] the places whose windows may reach into each band
    const Py_ssize_t *end
    char *scratch
    Py_ssize_t scratch_size


cdef Py_ssize_t collect(const pool_t *job, const element *image, const Py_ssize_t *at, Py_ssize_t *tap,
                        const element **rows, cnp.int32_t *numbers, element *mix) noexcept nogil:
    """The next CHUNK rows present in a window from tap[0] on, and their taps' numbers; returns how many there are."""
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef const Py_ssize_t *code0 = s.axis[0].code + s.axis[0].row[at[0]]
    cdef const Py_ssize_t *code1 = s.axis[1].code + s.axis[1].row[at[1]]
    cdef const Py_ssize_t *code2 = last.code + last.row[at[2]]
    cdef const element *row
    cdef const element *line
    cdef Py_ssize_t number = tap[0], count = 0, k0 = 0, k1 = 0, k2 = 0, a, b, c, pixel = s.stride[2]
    if number:
        k2 = number % last.taps
        k1 = number // last.taps % s.axis[1].taps
        k0 = number // last.taps // s.axis[1].taps
    while number < s.taps and count < CHUNK:
        a, b = code0[k0 * s.axis[0].step], code1[k1 * s.axis[1].step]
        line = NULL
        if (a | b) >= 0:
            line, pixel = image + a * s.stride[0] + b * s.stride[1], s.stride[2]
        elif s.border.elements != NULL and a != NOTHING and b != NOTHING:
            line, pixel = border_line(s, image, a, b), s.channels
        while k2 < last.taps and count < CHUNK:
            c = code2[k2 * last.step]
            if line != NULL and c >= 0:
                row = line + c * pixel
            else:
                row = special_row(s, image, <const element *> job.constants, a, b, c, mix)
                if row == mix:
                    mix += s.channels
            if row != NULL:
                rows[count] = row
                numbers[count] = <cnp.int32_t> number
                count += 1
            number += 1
            k2 += 1
        if k2 == last.taps:
            k2 = 0
            k1 += 1
            if k1 == s.axis[1].taps:
                k1 = 0
                k0 += 1
    tap[0] = number
    return count


cdef inline Py_ssize_t held(const pool_t *job, const Py_ssize_t *at) noexcept nogil:
    """How many elements a window holds."""
    return job.source.axis[0].present[at[0]] * job.source.axis[1].present[at[1]] * job.source.axis[2].present[at[2]]


cdef inline double divisor_of(const pool_t *job, const Py_ssize_t *at) noexcept nogil:
    if job.divisor == DIVIDE_PRESENT:
        return <double> held(job, at)
    if job.divisor == DIVIDE_EXTENT:
        return <double> (job.source.axis[0].extent[at[0]] * job.source.axis[1].extent[at[1]]
                         * job.source.axis[2].extent[at[2]])
    return job.value if job.divisor == DIVIDE_VALUE else 1.0


cdef void extremum(const element **rows, Py_ssize_t count, Py_ssize_t channels, bint largest, bint fresh,
                   Py_ssize_t places, Py_ssize_t apart, element *y, Py_ssize_t step) noexcept nogil:
    """Largest or smallest of each channel over the rows (and y, unless fresh); a NaN wins. For some places, whose rows
    are `apart` elements from one to the next, and `step` in y.
    """
    cdef const element *row
    cdef Py_ssize_t p, t, c
    if element is float:
        extremum_f32(largest, rows, count, channels, fresh, places, apart, y, step)
        return
    elif element is double:
        extremum_f64(largest, rows, count, channels, fresh, places, apart, y, step)
        return
    for p in range(places):
        if fresh:
            memcpy(y, rows[0] + p * apart, channels * sizeof(element))
        for t in range(fresh, count):
            row = rows[t] + p * apart
            if largest:
                for c in range(channels):
                    y[c] = row[c] if row[c] > y[c] else y[c]
            else:
                for c in range(channels):
                    y[c] = row[c] if row[c] < y[c] else y[c]
        y += step


cdef void winners(const element **rows, const cnp.int32_t *numbers, Py_ssize_t count, Py_ssize_t channels,
                  bint largest, bint fresh, element *y, cnp.int32_t *number) noexcept nogil:
    """The same with the number of the winning tap: the first NaN, or the first of equals."""
    cdef const element *row
    cdef Py_ssize_t t, c
    cdef bint beats
    if element is float:
        winners_f32(largest, rows, numbers, count, channels, fresh, y, number)
        return
    elif element is double:
        winners_f64(largest, rows, numbers, count, channels, fresh, y, number)
        return
    if fresh:
        memcpy(y, rows[0], channels * sizeof(element))
        for c in range(channels):
            number[c] = numbers[0]
    for t in range(fresh, count):
        row = rows[t]
        for c in range(channels):
            beats = row[c] > y[c] if largest else row[c] < y[c]
            y[c] = row[c] if beats else y[c]
            number[c] = numbers[t] if beats else number[c]


cdef inline Py_ssize_t coordinate(const source_t *s, const Py_ssize_t *at, Py_ssize_t tap) noexcept nogil:
    """Flat spatial index of a tap that is an element of x; -1 for others."""
    cdef Py_ssize_t codes[AXES]
    codes_of(s, at, tap, codes)
    if (codes[0] | codes[1] | codes[2]) < 0:
        return -1
    return (codes[0] * s.length[1] + codes[1]) * s.length[2] + codes[2]


cdef inline Py_ssize_t followers(const pool_t *job, const Py_ssize_t *at, Py_ssize_t left,
                                 Py_ssize_t *gap) noexcept nogil:
    """How many places from one on, of `left`, have its rows, `gap` positions from one to the next."""
    gap[0] = 0
    return alike(&job.source, at, left, gap) if job.source.taps <= CHUNK else 1


cdef void locate(const source_t *s, const Py_ssize_t *at, const cnp.int32_t *winner, Py_ssize_t channels,
                 Py_ssize_t *index) noexcept nogil:
    """The flat spatial index of each winner."""
    cdef Py_ssize_t known[CHUNK]
    cdef Py_ssize_t tap, c
    if s.taps > min(<Py_ssize_t> CHUNK, channels):
        for c in range(channels):
            index[c] = coordinate(s, at, winner[c])
        return
    for tap in range(s.taps):
        known[tap] = coordinate(s, at, tap)
    for c in range(channels):
        index[c] = known[winner[c]]


cdef void winners_of_places(const pool_t *job, const Py_ssize_t *at, const element **rows, cnp.int32_t *numbers,
                            Py_ssize_t count, Py_ssize_t channels, bint fresh, Py_ssize_t places, Py_ssize_t gap,
                            Py_ssize_t offset, cnp.int32_t *kept) noexcept nogil:
    """Winners of some places, whose rows are `gap` positions from one to the next; changes rows and numbers.

    Where only their indices are asked for, these are the numbers, and those of a window are kept for its next rows.
    """
    cdef const source_t *s = &job.source
    cdef Py_ssize_t apart = gap * s.stride[2]
    cdef cnp.int32_t *winner = kept
    cdef Py_ssize_t p, t, c
    if job.winner == NULL:
        for t in range(count):
            numbers[t] = <cnp.int32_t> coordinate(s, at, numbers[t])
        if job.largest and fresh and count == s.taps:
            if element is float:
                if indices_f32(rows, numbers, count, channels, places, apart, gap, <float *> job.y + offset,
                               job.index + offset, job.y_stride[2]):
                    return
            elif element is double:
                if indices_f64(rows, numbers, count, channels, places, apart, gap, <double *> job.y + offset,
                               job.index + offset, job.y_stride[2]):
                    return
    for p in range(places):
        if job.winner != NULL:
            winner = job.winner + offset
        winners(rows, numbers, count, channels, job.largest, fresh, <element *> job.y + offset, winner)
        if job.winner == NULL:
            for c in range(channels):
                job.index[offset + c] = winner[c]
        for t in range(count):
            rows[t] += apart
            if job.winner == NULL:
                numbers[t] += <cnp.int32_t> gap
        offset += job.y_stride[2]


cdef inline Py_ssize_t start_forward(const pool_t *job, Py_ssize_t block, Py_ssize_t *at, Py_ssize_t *n,
                                     Py_ssize_t *channel0, Py_ssize_t *channels) noexcept nogil:
    """Where a forward block begins; returns how many places it has."""
    cdef const source_t *s = &job.source
    cdef Py_ssize_t first = block // job.channel_blocks * job.places
    channel0[0] = block % job.channel_blocks * job.width
    channels[0] = min(job.width, s.channels - channel0[0])
    n[0] = first // s.places
    split(s, first % s.places, at)
    return min(job.places, s.batch * s.places - first)


cdef void extremum_block(element *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef element *mix = <element *> (scratch + rounded(s.channels * sizeof(double)))
    cdef cnp.int32_t *winner = <cnp.int32_t *> scratch
    cdef const element *rows[CHUNK]
    cdef cnp.int32_t numbers[CHUNK]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t n, channel0, channels, offset, count, places, gap, tap, t
    cdef Py_ssize_t left = start_forward(job, block, at, &n, &channel0, &channels)
    cdef bint fresh
    while left > 0:
        offset = n * job.y_n + target(s, at, job.y_stride) + channel0
        places = followers(job, at, left, &gap)
        tap, fresh = 0, True
        while tap < s.taps:
            count = collect(job, <const element *> job.x + n * s.stride_n, at, &tap, rows, numbers, mix)
            if count == 0:
                break
            for t in range(count):
                rows[t] += channel0
            if job.winner == NULL and job.index == NULL:
                extremum(rows, count, channels, job.largest, fresh, places, gap * s.stride[2],
                         <element *> job.y + offset, job.y_stride[2])
            else:
                winners_of_places(job, at, rows, numbers, count, channels, fresh, places, gap, offset, winner)
            fresh = False
        if job.index != NULL and job.winner != NULL:
            for t in range(places):
                locate(s, at, job.winner + offset, channels, job.index + offset)
                offset += job.y_stride[2]
                at[2] += 1
            at[2] -= places
        at[2] += places - 1
        n += step_on(s, at)
        left -= places


cdef void extremum_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const pool_t *p = <const pool_t *> job
    if p.kind == b'f':
        extremum_block(<float *> NULL, p, block, worker)
    elif p.kind == b'd':
        extremum_block(<double *> NULL, p, block, worker)
    elif p.kind == b'b':
        extremum_block(<cnp.int8_t *> NULL, p, block, worker)
    elif p.kind == b'B':
        extremum_block(<cnp.uint8_t *> NULL, p, block, worker)
    elif p.kind == b'h':
        extremum_block(<cnp.int16_t *> NULL, p, block, worker)
    elif p.kind == b'H':
        extremum_block(<cnp.uint16_t *> NULL, p, block, worker)
    elif p.kind == b'i':
        extremum_block(<cnp.int32_t *> NULL, p, block, worker)
    elif p.kind == b'I':
        extremum_block(<cnp.uint32_t *> NULL, p, block, worker)
    elif p.kind == b'l':
        extremum_block(<cnp.int64_t *> NULL, p, block, worker)
    else:
        extremum_block(<cnp.uint64_t *> NULL, p, block, worker)


cdef inline bint divides(real *by) noexcept nogil:
    """Whether to divide by a number: a power of two becomes its inverse, to multiply by: as exact, and faster."""
    cdef int exponent
    if frexp(by[0], &exponent) != 0.5 or not -100 < exponent < 100:
        return True
    by[0] = 1 / by[0]
    return False


cdef inline void divide(real *y, Py_ssize_t count, double divisor) noexcept nogil:
    cdef real by = <real> divisor
    cdef Py_ssize_t i
    if divides(&by):
        for i in range(count):
            y[i] /= by
    else:
        for i in range(count):
            y[i] *= by


cdef void same_divisors(const pool_t *job, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t *same0,
                        Py_ssize_t *same1) noexcept nogil:
    """The places around the middle of begin ... end - 1 of a row that have one divisor, same0 <= o < same1."""
    cdef const axis_t *last = &job.source.axis[2]
    cdef const Py_ssize_t *divisors = last.present if job.divisor == DIVIDE_PRESENT else last.extent
    same0[0] = same1[0] = begin + (end - begin) // 2
    while same0[0] > begin and divisors[same0[0] - 1] == divisors[same1[0]]:
        same0[0] -= 1
    while same1[0] < end and divisors[same1[0]] == divisors[same0[0]]:
        same1[0] += 1


cdef void divide_row(const pool_t *job, Py_ssize_t *at, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t same0,
                     Py_ssize_t same1, Py_ssize_t channels, real *y) noexcept nogil:
    """Divide the sums of places begin ... end - 1 of a row, of which same0 ... same1 - 1 have one divisor."""
    cdef Py_ssize_t count
    at[2] = begin
    while at[2] < end:
        count = same1 - same0 if at[2] == same0 else 1
        divide(y, count * channels, divisor_of(job, at))
        y += count * channels
        at[2] += count


cdef void sum_block(real *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef double *total = <double *> scratch
    cdef real *mix = <real *> (scratch + rounded(s.channels * sizeof(double)))
    cdef const real *rows[CHUNK]
    cdef cnp.int32_t numbers[CHUNK]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t n, channel0, channels, count, places, gap, step = job.y_stride[2], tap, t, c
    cdef Py_ssize_t left = start_forward(job, block, at, &n, &channel0, &channels)
    cdef bint fresh, short, divided
    cdef real by
    cdef real *y
    while left > 0:
        y = <real *> job.y + n * job.y_n + target(s, at, job.y_stride) + channel0
        places = followers(job, at, left, &gap)
        tap, fresh = 0, True
        while tap < s.taps:
            count = collect(job, <const real *> job.x + n * s.stride_n, at, &tap, rows, numbers, mix)
            if count == 0:
                break
            for t in range(count):
                rows[t] += channel0
            short = fresh and tap == s.taps
            by = <real> (divisor_of(job, at) if short else 1.0)
            divided = divides(&by)
            if real is float:
                sum_f32(rows, count, channels, True, places, gap * s.stride[2], divided, by, y, step)
            else:
                sum_f64(rows, count, channels, True, places, gap * s.stride[2], divided, by, y, step)
            if short:
                break
            # a long window: its chunks are summed in double, so that the error does not grow with their number
            for c in range(channels):
                total[c] = y[c] + (0.0 if fresh else total[c])
            fresh = False
        if not fresh:
            for c in range(channels):
                y[c] = <real> total[c]
            divide(y, channels, divisor_of(job, at))
        at[2] += places - 1
        n += step_on(s, at)
        left -= places


cdef void sum_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        sum_block(<float *> NULL, <const pool_t *> job, block, worker)
    else:
        sum_block(<double *> NULL, <const pool_t *> job, block, worker)


cdef pool_t pool_job(cnp.ndarray x, cnp.ndarray y, cnp.ndarray winner, tuple axes, cnp.ndarray constants):
    cdef pool_t job
    axes[2].runs()                  # makes `until` and `alike`
    job.source = source_of(x, axes)
    job.x, job.y = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y)
    job.constants = cnp.PyArray_DATA(constants)
    job.y_n = strides_of(y, job.y_stride)
    # C's names of equal integers differ between systems: go by size
    job.kind = ord(x.dtype.char) if x.dtype.kind == "f" else ord(
        {1: "b", 2: "h", 4: "i", 8: "l"}[x.itemsize] if x.dtype.kind == "i" else
        {1: "B", 2: "H", 4: "I", 8: "L"}[x.itemsize])
    job.winner = NULL if winner is None else <cnp.int32_t *> cnp.PyArray_DATA(winner)
    job.index, job.upper = NULL, NULL
    job.gx, job.saved = NULL, NULL
    job.statistic, job.parameter = NO_STATISTIC, 0
    job.effort, job.call, job.scratch_size = 1, NULL, 0
    job.together, job.quick, job.fresh = 1, False, False
    job.largest = True
    job.divisor, job.value = DIVIDE_NOT, 1.0
    return job


cdef void ready_pool(ready_t *ready, pool_t *job, block_t block, Py_ssize_t blocks, int threads) noexcept:
    """How a job is run whose scratch_size is set."""
    job.scratch_size = rounded(job.scratch_size)
    ready.block, ready.blocks = block, blocks
    ready.threads = <int> max(1, min(threads, blocks))
    ready.scratch = job.scratch_size * ready.threads


cdef int launch(const ready_t *ready, pool_t *job, str label) except -1:
    """Run a job that is ready. label: of the plugin whose function it calls."""
    cdef int failure
    cdef _Scratch scratch = _Scratch(job.scratch_size, ready.threads)
    job.scratch = scratch.first
    if job.call != NULL:
        job.call.failure = &failure
        return run_foreign(ready.block, job, ready.blocks, ready.threads, &failure, label)
    with nogil:
        run(ready.block, job, ready.blocks, ready.threads)
    return 0


cdef int plan_pool(block_t block, pool_t *job, Py_ssize_t itemsize, Py_ssize_t blocks, int threads,
                   ready_t *ready) except -1:
    """Make a job ready whose scratch_size is what its blocks need beyond a row of sums and, perhaps, mixes."""
    job.scratch_size += statistic_scratch(job) if job.statistic else rounded(
        job.source.channels * sizeof(double))
    if job.source.mixed or job.statistic:
        job.scratch_size += (min(<Py_ssize_t> CHUNK, job.source.taps) * rows_apart(job, itemsize)
                             * (1 + (job.together > 1)))
    if 1.0 * job.source.batch * job.source.places * job.source.taps * job.source.channels < 1e5:
        threads = 1
    ready_pool(ready, job, block, blocks, threads)
    return 0


cdef int plan_forward(block_t block, pool_t *job, Py_ssize_t itemsize, int threads, ready_t *ready) except -1:
    """Blocks are some places with all channels, or one place of a long window with some channels."""
    cdef double taps = 1.0 * job.source.taps * job.effort
    job.width = job.source.channels
    if taps * job.width > MOST_WORK:
        job.width = min(job.width, max(64, <Py_ssize_t> (MOST_WORK / taps) // 64 * 64))
    job.channel_blocks = (job.source.channels + job.width - 1) // job.width
    job.places = max(1, <Py_ssize_t> (FORWARD_WORK / (taps * (job.width + 8))))  # a tap costs as much as 8 channels
    cdef Py_ssize_t pieces = (job.source.batch * job.source.places + job.places - 1) // job.places
    return plan_pool(block, job, itemsize, pieces * job.channel_blocks, threads, ready)


cdef int run_pool(block_t block, pool_t *job, Py_ssize_t itemsize, Py_ssize_t blocks, int threads,
                  str label=None) except -1:
    cdef ready_t ready
    plan_pool(block, job, itemsize, blocks, threads, &ready)
    return launch(&ready, job, label)


cdef int run_forward(block_t block, pool_t *job, Py_ssize_t itemsize, int threads, str label=None) except -1:
    cdef ready_t ready
    plan_forward(block, job, itemsize, threads, &ready)
    return launch(&ready, job, label)
