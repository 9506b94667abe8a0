# Places of a row cut into spans that read evenly, for kernels that load a column once for all places that it serves.

cdef enum:
    LEAST_SPAN = 3                  # places of a span; fewer are done one by one
    PAIR_NEAR = 4                   # visits between two rows that may share kernel rows

cdef struct run_t:                  # visits whose places read evenly
    Py_ssize_t count
    bint even                       # they read elements of x alone, by taps that lie evenly
    Py_ssize_t tap, taps, tap_step  # which taps read anything, by position
    Py_ssize_t apart                # coordinates between these; 1 where there are less than two
    Py_ssize_t rise                 # coordinates, and places of the result, from a visit to the next
    Py_ssize_t place_step

cdef struct segment_t:              # visits of a row that a block computes
    Py_ssize_t first, until
    Py_ssize_t span0, span1         # its spans
    Py_ssize_t odd0, odd1           # and visits that lie in none

cdef struct pair_t:                 # rows of places that are computed together
    Py_ssize_t first, second        # visits; no second: -1
    Py_ssize_t shift                # kernel rows from what the first reads to what the second does


cdef inline bint follows(const axis_t *axis, const Py_ssize_t *code, const Py_ssize_t *after, Py_ssize_t rise,
                         Py_ssize_t tap) noexcept nogil:
    """Whether what is read from position `tap` on lies `rise` further on in one place than in another."""
    cdef Py_ssize_t k, c, other, apart = distance(axis)
    for k in range(tap, axis.taps):
        c, other = code[k * apart], after[k * apart]
        if c == NOTHING and other != NOTHING:
            return False
        if c != NOTHING and (other < 0 or other - c != rise):
            return False
    return True


cdef run_t run_at(const axis_t *axis, Py_ssize_t visit) noexcept nogil:
    """The longest run of visits from one on that read evenly: that one alone if it does not."""
    cdef run_t run = run_t(count=1, even=False, tap=0, taps=0, tap_step=1, apart=1, rise=1, place_step=1)
    cdef const Py_ssize_t *code = codes_from(axis, visit)
    cdef const Py_ssize_t *after
    cdef Py_ssize_t k, c, last = 0, apart = distance(axis), shift, fresh
    for k in range(axis.taps):
        c = code[k * apart]
        if c == NOTHING:
            continue
        if c < 0:
            return run
        if run.taps == 0:
            run.tap = k
        elif run.taps == 1:
            run.tap_step, run.apart = k - last, c - code[last * apart]
        if run.taps and (k - last != run.tap_step or c - code[last * apart] != run.apart or run.apart < 1):
            return run
        run.taps += 1
        last = k
    run.even = True
    while visit + run.count < axis.length:
        after = codes_from(axis, visit + run.count)
        if run.count == 1:
            run.place_step = axis.place[visit + 1] - axis.place[visit]
            if run.taps and after[run.tap * apart] < 0:
                break
            if run.taps:
                run.rise = after[run.tap * apart] - code[run.tap * apart]
        shift = after - code
        fresh = 0
        # most of what is read where every tap_step-th position reads anything was read one place before
        if run.taps > 1 and run.tap < run.tap_step and last + run.tap_step >= axis.taps and shift > 0 \
                and shift % (apart * run.tap_step) == 0 and shift // (apart * run.tap_step) * run.apart == run.rise:
            fresh = max(axis.taps - shift // apart, 0)
        if run.rise < 1 or run.place_step < 1 or not follows(axis, code, after, run.rise, fresh) \
                or axis.place[visit + run.count] != axis.place[visit + run.count - 1] + run.place_step:
            break
        run.count += 1
        code = after
    return run


cdef Py_ssize_t piece_of(Py_ssize_t taps, Py_ssize_t stride) noexcept nogil:
    """How many taps the kernels take at once."""
    cdef Py_ssize_t piece
    for piece in range(MOST_PIECE if stride == 1 else 7 if stride == 2 else 1, 1, -1):
        if taps % piece == 0 and piece != 4 and piece != 6 and piece != 8:
            return piece
    return 1


cdef Py_ssize_t add_spans(const axis_t *axis, const run_t *run, Py_ssize_t visit, Py_ssize_t count, Py_ssize_t to_step,
                          span_t *spans) noexcept nogil:
    """Cut some visits of a run into spans whose places lie whole taps apart; returns how many there are."""
    cdef Py_ssize_t common = run.rise, rest = run.apart, gap, phase
    cdef span_t *span
    while rest:                     # the greatest common divisor
        common, rest = rest, common % rest
    gap = run.apart // common
    for phase in range(min(gap, count) if spans != NULL else 0):
        span = spans + phase
        span.first, span.count = visit + phase, (count - phase + gap - 1) // gap
        span.to_step = gap * run.place_step * to_step
        span.column = codes_from(axis, span.first)[run.tap * distance(axis)] if run.taps else 0
        # the k-th position is that of tap k, or where they stand in reverse, of the k-th from the end
        span.tap, span.tap_step, span.taps = run.tap, run.tap_step, run.taps
        if axis.step < 0:
            span.tap, span.tap_step = axis.taps - 1 - run.tap, -run.tap_step
        span.piece = piece_of(run.taps, run.rise // common)
        span.apart = span.between = run.apart
        span.stride = run.rise // common
        if span.piece == 1:
            span.between, span.stride = gap * run.rise, 1
        span.since, span.there = -FAR, 2 * FAR
    return min(gap, count)


cdef struct cut_t:                  # a row of places, cut
    span_t *spans
    Py_ssize_t *odd                 # visits that lie in no span
    segment_t *segments
    Py_ssize_t span_count, odd_count, count


cdef void cut(const axis_t *axis, Py_ssize_t most, Py_ssize_t to_step, cut_t *row) noexcept nogil:
    """Cut a row of places into segments of at most `most` visits in spans and as many that lie in none.

    to_step: elements of the result between places. Where `row` has no memory, things are only counted.
    """
    cdef Py_ssize_t visit = 0, spanned = most, alone = most, some, i
    cdef run_t run
    cdef segment_t *segment
    run.count = 0
    row.span_count = row.odd_count = row.count = 0
    while visit < axis.length:
        if run.count == 0:
            run = run_at(axis, visit)
            run.even = run.even and run.count >= LEAST_SPAN
        if (spanned if run.even else alone) == most:
            spanned = alone = 0
            row.count += 1
            if row.segments != NULL:
                row.segments[row.count - 1] = segment_t(visit, visit, row.span_count, row.span_count, row.odd_count,
                                                        row.odd_count)
        some = min(run.count, most - (spanned if run.even else alone))
        if run.even:
            row.span_count += add_spans(axis, &run, visit, some, to_step,
                                        NULL if row.spans == NULL else row.spans + row.span_count)
            spanned += some
        else:
            for i in range(some if row.odd != NULL else 0):
                row.odd[row.odd_count + i] = visit + i
            row.odd_count += some
            alone += some
        visit += some
        run.count -= some
        if row.segments != NULL:
            segment = row.segments + row.count - 1
            segment.until, segment.span1, segment.odd1 = visit, row.span_count, row.odd_count


cdef Py_ssize_t shift_of(const axis_t *axis, Py_ssize_t visit, Py_ssize_t other) noexcept nogil:
    """From which position on what a place reads is what the other one reads first; 0: from none."""
    cdef const Py_ssize_t *code = codes_from(axis, visit)
    cdef const Py_ssize_t *after = codes_from(axis, other)
    cdef Py_ssize_t shift, k, apart = distance(axis)
    for shift in range(1, axis.taps):
        for k in range(axis.taps - shift):
            if after[k * apart] != code[(k + shift) * apart]:
                break
        else:
            return shift
    return 0


cdef Py_ssize_t pair_up(const axis_t *axis, bint pairs, pair_t *rows) noexcept nogil:
    """Pair rows of places that share kernel rows, if there are to be `pairs`; returns how many are left to do."""
    cdef Py_ssize_t visit, other, shift, count = 0
    for visit in range(axis.length):
        rows[visit].shift = 0           # of a row by its visit, for now: whether it is in a pair
    for visit in range(axis.length):
        if rows[visit].shift < 0:
            continue
        rows[count] = pair_t(first=visit, second=-1, shift=0)
        for other in range(visit + 1, min(visit + PAIR_NEAR + 1, axis.length) if pairs else 0):
            shift = shift_of(axis, visit, other)
            if shift and rows[other].shift == 0:
                rows[count].second, rows[count].shift = other, shift
                rows[other].shift = -1
                break
        count += 1
    return count


cdef Py_ssize_t list_kernel_rows(const source_t *s, const real *image, const real *constants, Py_ssize_t od,
                                 Py_ssize_t oh, bint skip, kernel_row_t *rows, bint *even) noexcept nogil:
    """List the kernel rows that read anything for a row of places, in order; returns how many. even: whether each reads
    a row of x or of its border, or a constant. skip: those outside read nothing that counts.
    """
    cdef const axis_t *first = &s.axis[0]
    cdef const axis_t *middle = &s.axis[1]
    cdef kernel_row_t *row = rows
    cdef Py_ssize_t i, j, a, b
    even[0] = True
    for i in range(first.taps):
        a = codes_from(first, od)[i * distance(first)]
        for j in range(middle.taps):
            b = codes_from(middle, oh)[j * distance(middle)]
            if a == NOTHING or b == NOTHING or (skip and (a == OUTSIDE or b == OUTSIDE)):
                continue
            row.a, row.b, row.pixel, row.x = a, b, 0, NULL
            row.tap = (i if first.step > 0 else first.taps - 1 - i) * middle.taps
            row.tap = (row.tap + (j if middle.step > 0 else middle.taps - 1 - j)) * s.axis[2].taps
            if (a | b) >= 0:
                row.x, row.pixel = image + a * s.stride[0] + b * s.stride[1], s.stride[2]
            elif b == OUTSIDE or (a == OUTSIDE and b >= 0):
                row.x = constants + s.channels if b == OUTSIDE else constants
            elif s.border.elements != NULL:
                row.x, row.pixel = border_line(s, image, a, b), s.channels
            else:
                even[0] = False
            row += 1
    return row - rows


cdef void point(const source_t *s, const real *image, const real *constants, const kernel_row_t *rows,
                Py_ssize_t count, Py_ssize_t k0, Py_ssize_t k1, const Py_ssize_t *visits, Py_ssize_t height,
                const real **pointers, real *mix) noexcept nogil:
    """Where places of a row read by the taps at positions k0 <= k < k1 of kernel rows: groups of TILE_FULL pointers.

    mix: room for so many weighted rows.
    """
    cdef const axis_t *last = &s.axis[2]
    cdef const Py_ssize_t *code
    cdef const real *pointer
    cdef const real **to
    cdef Py_ssize_t m, i, k, c
    for m in range(height):
        code = codes_from(last, visits[m])
        to = pointers + m
        for i in range(count):
            for k in range(k0, k1):
                c = code[k * distance(last)]
                if c >= 0 and rows[i].x != NULL:
                    pointer = (<const real *> rows[i].x) + c * rows[i].pixel
                else:
                    pointer = tap_row(s, image, constants, rows[i].a, rows[i].b, c, mix)
                    if pointer == mix:
                        mix += s.channels
                    elif pointer == NULL:
                        pointer = constants + AXES * s.channels
                to[0] = pointer
                to += TILE_FULL


cdef inline Py_ssize_t some_visits(const cut_t *row, const segment_t *segment, bint even, Py_ssize_t first,
                                   Py_ssize_t *visits) noexcept nogil:
    """The visits of a segment, from number `first` on, that are done one by one: those in no span, or if what the row
    reads is not even, all. At most TILE_FULL of them; returns how many.
    """
    cdef Py_ssize_t m, count = segment.odd1 - segment.odd0 if even else segment.until - segment.first
    count = min(count - first, TILE_FULL)
    for m in range(count):
        visits[m] = row.odd[segment.odd0 + first + m] if even else segment.first + first + m
    return count


cdef span_t all_taps_of(const axis_t *axis) noexcept nogil:
    """A span for places that lie in none: the taps of a kernel row in the order of positions."""
    cdef span_t span
    memset(&span, 0, sizeof(span))
    span.taps, span.tap, span.tap_step = axis.taps, 0, 1
    if axis.step < 0:
        span.tap, span.tap_step = axis.taps - 1, -1
    return span


cdef tuple cut_row(const axis_t *axis, Py_ssize_t most, Py_ssize_t to_step, cut_t *row):
    """Have a row of places cut; returns the memory that it then takes."""
    row.spans, row.odd, row.segments = NULL, NULL, NULL
    cut(axis, most, to_step, row)
    cdef _Scratch spans = _Scratch(row.span_count * sizeof(span_t), 1)
    cdef _Scratch odd = _Scratch(row.odd_count * sizeof(Py_ssize_t), 1)
    cdef _Scratch segments = _Scratch(row.count * sizeof(segment_t), 1)
    row.spans, row.odd = <span_t *> spans.first, <Py_ssize_t *> odd.first
    row.segments = <segment_t *> segments.first
    cut(axis, most, to_step, row)
    return spans, odd, segments


cdef tuple cut_framed(const axis_t *axis, Py_ssize_t rise, Py_ssize_t to_step, cut_t *row):
    """The same of places that all read evenly, from a row of x that is laid out with its padding: columns are positions
    in that, and all places lie in one segment.
    """
    cdef run_t run = run_t(count=axis.length, even=True, tap=0, taps=axis.taps, tap_step=1, apart=distance(axis),
                           rise=rise, place_step=1)
    cdef Py_ssize_t i
    if axis.length > 1:
        run.place_step = axis.place[1] - axis.place[0]
    row.span_count, row.odd_count, row.count = add_spans(axis, &run, 0, axis.length, to_step, NULL), 0, 1
    cdef _Scratch spans = _Scratch(row.span_count * sizeof(span_t), 1)
    cdef _Scratch segments = _Scratch(sizeof(segment_t), 1)
    row.spans, row.odd, row.segments = <span_t *> spans.first, NULL, <segment_t *> segments.first
    add_spans(axis, &run, 0, axis.length, to_step, row.spans)
    for i in range(row.span_count):
        row.spans[i].column = i * rise
    row.segments[0] = segment_t(0, axis.length, 0, row.span_count, 0, 0)
    return spans, segments


cdef bint pass_edges(const axis_t *axis, Py_ssize_t rise, Py_ssize_t run0, Py_ssize_t run1, cut_t *row) noexcept nogil:
    """Let such spans read rows of x where they are: positions run0 <= t < run1 are neighbours there, and what is beside
    them is passed over. Returns whether kernels can do that.
    """
    cdef Py_ssize_t i, first, end
    cdef span_t *span
    for i in range(row.span_count):
        if row.spans[i].piece != row.spans[i].taps or row.spans[i].piece < LEAST_PASSING:
            return False
    for i in range(row.span_count):
        span = row.spans + i
        first, end = run0 - i * rise, run1 - i * rise       # of 0 or more columns, rounded up, and of fewer as well
        span.column = codes_from(axis, 0)[run0] - first
        span.since = (first + (span.between - 1 if first > 0 else 0)) // span.between
        span.there = max((end + (span.between - 1 if end > 0 else 0)) // span.between - span.since, 0)
    return True
