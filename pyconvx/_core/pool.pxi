# Pooling by the compiled reductions (extremum and sum), forward and backward. The channels of a tap are one row; a
# reduction runs over the rows of a window, CHUNK rows at a time. Taps that hold nothing are left out.

cdef enum:
    POOL_PLACES = 64                # places of one forward block
    POOL_CHANNELS = 64              # channels of one backward block
    CHUNK = 64                      # rows of one step of a reduction

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
    Py_ssize_t *index               # flat spatial index of each winner, laid out as y, or NULL
    void *gx
    Py_ssize_t y_n
    Py_ssize_t y_stride[AXES]
    char kind                       # of the elements, as numpy names them
    bint largest
    int divisor
    double value
    Py_ssize_t channel_blocks
    char *scratch
    Py_ssize_t scratch_size


cdef Py_ssize_t collect(const pool_t *job, const element *image, const Py_ssize_t *at, Py_ssize_t *tap,
                        const element **rows, Py_ssize_t *numbers, element *mix) noexcept nogil:
    """The next CHUNK rows present in a window from tap[0] on, and their taps' numbers; returns how many there are."""
    cdef const source_t *s = &job.source
    cdef const axis_t *last = &s.axis[2]
    cdef const Py_ssize_t *code0 = s.axis[0].code + s.axis[0].row[at[0]]
    cdef const Py_ssize_t *code1 = s.axis[1].code + s.axis[1].row[at[1]]
    cdef const Py_ssize_t *code2 = last.code + last.row[at[2]]
    cdef const element *row
    cdef const element *line
    cdef Py_ssize_t number = tap[0], count = 0, k0 = 0, k1 = 0, k2 = 0, a, b, c
    if number:
        k2 = number % last.taps
        k1 = number // last.taps % s.axis[1].taps
        k0 = number // last.taps // s.axis[1].taps
    while number < s.taps and count < CHUNK:
        a, b = code0[k0 * s.axis[0].step], code1[k1 * s.axis[1].step]
        line = image + a * s.stride[0] + b * s.stride[1] if (a | b) >= 0 else NULL
        while k2 < last.taps and count < CHUNK:
            c = code2[k2 * last.step]
            if line != NULL and c >= 0:
                row = line + c * s.stride[2]
            else:
                row = special_row(s, image, <const element *> job.constants, a, b, c, mix)
                if row == mix:
                    mix += s.channels
            if row != NULL:
                rows[count] = row
                numbers[count] = number
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


cdef inline Py_ssize_t present(const source_t *s, const Py_ssize_t *at) noexcept nogil:
    """How many elements a window holds."""
    cdef Py_ssize_t i, k, count, product = 1
    cdef const Py_ssize_t *code
    for i in range(AXES):
        code = s.axis[i].code + s.axis[i].row[at[i]]
        count = 0
        for k in range(s.axis[i].taps):
            count += code[k * s.axis[i].step] != NOTHING
        product *= count
    return product


cdef inline double divisor_of(const pool_t *job, const Py_ssize_t *at) noexcept nogil:
    if job.divisor == DIVIDE_PRESENT:
        return <double> present(&job.source, at)
    if job.divisor == DIVIDE_EXTENT:
        return <double> (job.source.axis[0].extent[at[0]] * job.source.axis[1].extent[at[1]]
                         * job.source.axis[2].extent[at[2]])
    return job.value if job.divisor == DIVIDE_VALUE else 1.0


cdef void extremum(const element **rows, Py_ssize_t count, Py_ssize_t channels, bint largest, bint fresh,
                   element *y) noexcept nogil:
    """Largest or smallest of each channel over the rows (and y, unless fresh); a NaN wins."""
    cdef const element *row
    cdef Py_ssize_t t, c
    if element is float:
        extremum_f32(largest, rows, count, channels, fresh, y)
        return
    elif element is double:
        extremum_f64(largest, rows, count, channels, fresh, y)
        return
    if fresh:
        memcpy(y, rows[0], channels * sizeof(element))
    for t in range(fresh, count):
        row = rows[t]
        if largest:
            for c in range(channels):
                y[c] = row[c] if row[c] > y[c] else y[c]
        else:
            for c in range(channels):
                y[c] = row[c] if row[c] < y[c] else y[c]


cdef void winners(const element **rows, const Py_ssize_t *numbers, Py_ssize_t count, Py_ssize_t channels, bint largest,
                  bint fresh, element *y, Py_ssize_t *number) noexcept nogil:
    """The same with the number of the winning tap: the first NaN, or the first of equals."""
    cdef const element *row
    cdef Py_ssize_t t, c
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
            if (row[c] > y[c] if largest else row[c] < y[c]):
                y[c] = row[c]
                number[c] = numbers[t]


cdef void extremum_block(element *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef element *mix = <element *> (job.scratch + worker * job.scratch_size)
    cdef const element *rows[CHUNK]
    cdef Py_ssize_t numbers[CHUNK]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t q, n, offset, count, tap, c
    cdef bint fresh
    cdef element *y
    cdef Py_ssize_t *index
    n = block * POOL_PLACES // s.places
    split(s, block * POOL_PLACES - n * s.places, at)
    for q in range(block * POOL_PLACES, min((block + 1) * POOL_PLACES, s.batch * s.places)):
        offset = n * job.y_n + target(s, at, job.y_stride)
        y, index = <element *> job.y + offset, job.index + offset
        tap, fresh = 0, True
        while tap < s.taps:
            count = collect(job, <const element *> job.x + n * s.stride_n, at, &tap, rows, numbers, mix)
            if count == 0:
                break
            if job.index == NULL:
                extremum(rows, count, s.channels, job.largest, fresh, y)
            else:
                winners(rows, numbers, count, s.channels, job.largest, fresh, y, index)
            fresh = False
        if job.index != NULL:
            for c in range(s.channels):
                codes_of(s, at, index[c], codes)
                index[c] = (codes[0] * s.length[1] + codes[1]) * s.length[2] + codes[2]
        n += step_on(s, at)


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


cdef void extremum_gradient_block(real *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    """Some channels of one sample, all places: windows overlap, so one block owns what it adds to."""
    cdef const source_t *s = &job.source
    cdef real *mix = <real *> (job.scratch + worker * job.scratch_size)
    cdef Py_ssize_t channel0 = block % job.channel_blocks * POOL_CHANNELS
    cdef Py_ssize_t channels = min(POOL_CHANNELS, s.channels - channel0)
    cdef Py_ssize_t n = block // job.channel_blocks
    cdef const real *gy
    cdef const real *rows[CHUNK]
    cdef real best[POOL_CHANNELS]
    cdef Py_ssize_t winner[POOL_CHANNELS]
    cdef Py_ssize_t numbers[CHUNK]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t place, count, tap, c
    cdef bint fresh
    split(s, 0, at)
    for place in range(s.places):
        tap, fresh = 0, True
        while tap < s.taps:
            count = collect(job, <const real *> job.x + n * s.stride_n, at, &tap, rows, numbers, mix)
            if count == 0:
                break
            for c in range(count):
                rows[c] += channel0
            winners(rows, numbers, count, channels, job.largest, fresh, best, winner)
            fresh = False
        gy = <const real *> job.y + n * job.y_n + target(s, at, job.y_stride) + channel0
        for c in range(channels):
            codes_of(s, at, winner[c], codes)
            add_to_tap(s, <real *> job.gx + n * s.stride_n + channel0 + c, codes, gy + c, 1, 1)
        step_on(s, at)


cdef void extremum_gradient_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        extremum_gradient_block(<float *> NULL, <const pool_t *> job, block, worker)
    else:
        extremum_gradient_block(<double *> NULL, <const pool_t *> job, block, worker)


cdef void sum_block(real *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef double *total = <double *> (job.scratch + worker * job.scratch_size)
    cdef real *mix = <real *> (job.scratch + worker * job.scratch_size + rounded(s.channels * sizeof(double)))
    cdef const real *rows[CHUNK]
    cdef Py_ssize_t numbers[CHUNK]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t q, n, count, tap, c
    cdef real divisor
    cdef int exponent
    cdef bint fresh
    cdef real *y
    n = block * POOL_PLACES // s.places
    split(s, block * POOL_PLACES - n * s.places, at)
    for q in range(block * POOL_PLACES, min((block + 1) * POOL_PLACES, s.batch * s.places)):
        y = <real *> job.y + n * job.y_n + target(s, at, job.y_stride)
        tap, fresh = 0, True
        while tap < s.taps:
            count = collect(job, <const real *> job.x + n * s.stride_n, at, &tap, rows, numbers, mix)
            if count == 0:
                break
            if real is float:
                sum_f32(rows, count, s.channels, True, y)
            else:
                sum_f64(rows, count, s.channels, True, y)
            if tap == s.taps and fresh:
                break
            # a long window: its chunks are summed in double, so that the error does not grow with their number
            for c in range(s.channels):
                total[c] = y[c] + (0.0 if fresh else total[c])
            fresh = False
        if not fresh:
            for c in range(s.channels):
                y[c] = <real> total[c]
        if job.divisor != DIVIDE_NOT:
            divisor = <real> divisor_of(job, at)
            # a power of two: multiplying by its inverse is as exact, and faster
            if frexp(divisor, &exponent) == 0.5 and -100 < exponent < 100:
                divisor = 1 / divisor
                for c in range(s.channels):
                    y[c] *= divisor
            else:
                for c in range(s.channels):
                    y[c] /= divisor
        n += step_on(s, at)


cdef void sum_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        sum_block(<float *> NULL, <const pool_t *> job, block, worker)
    else:
        sum_block(<double *> NULL, <const pool_t *> job, block, worker)


cdef void sum_gradient_block(real *kind, const pool_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.source
    cdef Py_ssize_t channel0 = block % job.channel_blocks * POOL_CHANNELS
    cdef Py_ssize_t channels = min(POOL_CHANNELS, s.channels - channel0)
    cdef Py_ssize_t n = block // job.channel_blocks
    cdef real *gx = <real *> job.gx + n * s.stride_n + channel0
    cdef const real *gy
    cdef real share[POOL_CHANNELS]
    cdef Py_ssize_t at[AXES]
    cdef Py_ssize_t codes[AXES]
    cdef Py_ssize_t place, tap, c
    cdef real divisor
    split(s, 0, at)
    for place in range(s.places):
        gy = <const real *> job.y + n * job.y_n + target(s, at, job.y_stride) + channel0
        divisor = <real> divisor_of(job, at)
        for c in range(channels):
            share[c] = gy[c] / divisor
        for tap in range(s.taps):
            codes_of(s, at, tap, codes)
            add_to_tap(s, gx, codes, share, 1, channels)
        step_on(s, at)


cdef void sum_gradient_any(void *job, Py_ssize_t block, int worker) noexcept nogil:
    if (<const pool_t *> job).kind == b'f':
        sum_gradient_block(<float *> NULL, <const pool_t *> job, block, worker)
    else:
        sum_gradient_block(<double *> NULL, <const pool_t *> job, block, worker)


cdef pool_t pool_job(cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants):
    cdef pool_t job
    job.source = source_of(x, axes)
    job.x, job.y = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y)
    job.constants = cnp.PyArray_DATA(constants)
    job.y_n = y.strides[0] // y.itemsize
    for i in range(AXES):
        job.y_stride[i] = y.strides[i + 1] // y.itemsize
    # C's names of equal integers differ between systems: go by size
    job.kind = ord(x.dtype.char) if x.dtype.kind == "f" else ord(
        {1: "b", 2: "h", 4: "i", 8: "l"}[x.itemsize] if x.dtype.kind == "i" else
        {1: "B", 2: "H", 4: "I", 8: "L"}[x.itemsize])
    job.channel_blocks = (job.source.channels + POOL_CHANNELS - 1) // POOL_CHANNELS
    job.index = NULL
    job.gx = NULL
    job.largest = True
    job.divisor, job.value = DIVIDE_NOT, 1.0
    return job


cdef int run_pool(block_t block, pool_t *job, Py_ssize_t itemsize, Py_ssize_t blocks, int threads) except -1:
    cdef Py_ssize_t size = rounded(job.source.channels * sizeof(double))
    if job.source.mixed:
        size += CHUNK * job.source.channels * itemsize
    if 1.0 * job.source.batch * job.source.places * job.source.taps * job.source.channels < 1e5:
        threads = 1
    cdef _Scratch scratch = _Scratch(size, threads)
    job.scratch, job.scratch_size = scratch.first, scratch.size
    with nogil:
        run(block, job, blocks, threads)
    return 0


def pool_extremum(cnp.ndarray x, cnp.ndarray y, cnp.ndarray index, tuple axes, cnp.ndarray constants, bint largest,
                  int threads):
    """y (N, *places, C) = the largest or smallest of each window of x (N, D, H, W, C), of any real dtype but float16.

    index (intp, laid out as y) or None: the flat spatial index of each winner.
    """
    cdef pool_t job = pool_job(x, y, axes, constants)
    job.largest = largest
    if index is not None:
        job.index = <Py_ssize_t *> cnp.PyArray_DATA(index)
    run_pool(extremum_any, &job, x.itemsize, (job.source.batch * job.source.places + POOL_PLACES - 1) // POOL_PLACES,
             threads)


def pool_extremum_gradient(cnp.ndarray x, cnp.ndarray gy, cnp.ndarray gx, tuple axes, cnp.ndarray constants,
                           bint largest, int threads):
    """Add each gy to gx (strides of x) where the winner of its window was read."""
    cdef pool_t job = pool_job(x, gy, axes, constants)
    job.largest = largest
    job.gx = cnp.PyArray_DATA(gx)
    run_pool(extremum_gradient_any, &job, x.itemsize, job.source.batch * job.channel_blocks, threads)


def pool_sum(cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants, divisor, double value, int threads):
    """y (N, *places, C) = the sum of each window of x, divided as `divisor`, a name in DIVISORS, says."""
    cdef pool_t job = pool_job(x, y, axes, constants)
    job.divisor, job.value = DIVISORS[divisor], value
    run_pool(sum_any, &job, x.itemsize, (job.source.batch * job.source.places + POOL_PLACES - 1) // POOL_PLACES,
             threads)


def pool_sum_gradient(cnp.ndarray gy, cnp.ndarray gx, tuple axes, divisor, double value, int threads):
    """Add to gx the gradient of pool_sum."""
    cdef pool_t job = pool_job(gx, gy, axes, gx)
    job.gx = cnp.PyArray_DATA(gx)
    job.divisor, job.value = DIVISORS[divisor], value
    run_pool(sum_gradient_any, &job, gx.itemsize, job.source.batch * job.channel_blocks, threads)
