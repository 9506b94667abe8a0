# What a kernel reads from: an image batch and, for each axis, the table that says where the taps of a place lie.

cdef struct source_t:
    axis_t axis[AXES]
    Py_ssize_t channels
    Py_ssize_t batch
    Py_ssize_t places               # places of one sample of the result
    Py_ssize_t taps                 # taps of one place
    Py_ssize_t stride_n             # strides count elements
    Py_ssize_t stride[AXES]
    Py_ssize_t stride_c             # other than 1 only for kernels that read channels apart
    Py_ssize_t length[AXES]         # of the axes that are read
    bint mixed
    border_t border                 # whose elements are NULL where mixes are sums


cdef Py_ssize_t strides_of(cnp.ndarray array, Py_ssize_t *stride):
    """Fill in the strides of the spatial axes of an array (N, D, H, W, C) and return that of N, all in elements."""
    for i in range(AXES):
        stride[i] = array.strides[i + 1] // array.itemsize
    return array.strides[0] // array.itemsize


cdef source_t source_of(cnp.ndarray x, tuple axes):
    """axes: three Axis tables and, unless kernels are given that when they run, perhaps a Border."""
    cdef source_t s
    cdef Axis axis
    s.batch, s.channels = x.shape[0], x.shape[AXES + 1]
    s.stride_n = strides_of(x, s.stride)
    s.stride_c = x.strides[AXES + 1] // x.itemsize if s.channels > 1 else 1
    s.places = s.taps = 1
    s.mixed = False
    for i in range(AXES):
        axis = axes[i]
        if axis.source != x.shape[i + 1]:
            raise ValueError("index table: made for an axis of another length")
        s.axis[i] = axis.table
        s.length[i] = axis.source
        s.places *= axis.table.length
        s.taps *= axis.table.taps
        s.mixed = s.mixed or axis.table.mixed
    memset(&s.border, 0, sizeof(s.border))
    if len(axes) > AXES:
        s.border = (<Border> axes[AXES]).around(x)
    return s


cdef inline void split(const source_t *s, Py_ssize_t place, Py_ssize_t *at) noexcept nogil:
    """The visited place on each axis from the flat one."""
    at[2] = place % s.axis[2].length
    place //= s.axis[2].length
    at[1] = place % s.axis[1].length
    at[0] = place // s.axis[1].length


cdef inline Py_ssize_t step_on(const source_t *s, Py_ssize_t *at) noexcept nogil:
    """Go on to the next visited place; returns 1 if that is the first of the next sample, else 0."""
    at[2] += 1
    if at[2] < s.axis[2].length:
        return 0
    at[2] = 0
    at[1] += 1
    if at[1] < s.axis[1].length:
        return 0
    at[1] = 0
    at[0] += 1
    if at[0] < s.axis[0].length:
        return 0
    at[0] = 0
    return 1


cdef inline Py_ssize_t target(const source_t *s, const Py_ssize_t *at, const Py_ssize_t *stride) noexcept nogil:
    """Offset of a visited place in the result."""
    return s.axis[0].place[at[0]] * stride[0] + s.axis[1].place[at[1]] * stride[1] + s.axis[2].place[at[2]] * stride[2]


cdef inline void codes_of(const source_t *s, const Py_ssize_t *at, Py_ssize_t tap, Py_ssize_t *codes) noexcept nogil:
    """The code on each axis of a tap, by its number, of a visited place."""
    cdef Py_ssize_t i
    for i in range(AXES - 1, -1, -1):
        codes[i] = s.axis[i].code[s.axis[i].row[at[i]] + tap % s.axis[i].taps * s.axis[i].step]
        tap //= s.axis[i].taps


cdef inline Py_ssize_t distance(const axis_t *axis) noexcept nogil:
    """Positions between neighbouring taps."""
    return axis.step if axis.step > 0 else -axis.step


cdef inline Py_ssize_t reach_of(const axis_t *axis) noexcept nogil:
    """Positions from the first that a place reads to the last."""
    return (axis.taps - 1) * distance(axis) + 1


cdef inline Py_ssize_t tap_at(const axis_t *axis, Py_ssize_t tap) noexcept nogil:
    """Position of a tap behind the first that its place reads."""
    return distance(axis) * (tap if axis.step > 0 else axis.taps - 1 - tap)


cdef inline const Py_ssize_t *codes_from(const axis_t *axis, Py_ssize_t visit) noexcept nogil:
    """The codes of a place from the first position on that it reads."""
    return axis.code + axis.row[visit] + min(axis.step * (axis.taps - 1), 0)


cdef inline Py_ssize_t terms(const axis_t *axis, Py_ssize_t code) noexcept nogil:
    if code >= 0:
        return 1
    return axis.mix_start[FIRST_MIX - code + 1] - axis.mix_start[FIRST_MIX - code]


cdef inline Py_ssize_t term(const axis_t *axis, Py_ssize_t code, Py_ssize_t i, double *weight) noexcept nogil:
    """Coordinate of the i-th term of a code; multiplies its weight into `weight`."""
    if code >= 0:
        return code
    i += axis.mix_start[FIRST_MIX - code]
    weight[0] *= axis.mix_weight[i]
    return axis.mix_source[i]


cdef inline double total(const axis_t *axis, Py_ssize_t code) noexcept nogil:
    return 1.0 if code >= 0 else axis.mix_total[FIRST_MIX - code]


cdef inline element as_element(element *kind, double weight) noexcept nogil:
    if element is float or element is double:
        return <element> weight
    else:
        return <element> <long long> weight


cdef const element *border_row(const source_t *s, const element *image, Py_ssize_t a, Py_ssize_t b,
                               Py_ssize_t c) noexcept nogil:
    """The channels of a place in the border: mixes are numbers of positions there."""
    cdef const border_t *border = &s.border
    cdef Py_ssize_t d = a + border.before[0] if a >= 0 else FIRST_MIX - a
    cdef Py_ssize_t h = b + border.before[1] if b >= 0 else FIRST_MIX - b
    cdef Py_ssize_t w = c + border.before[2] if c >= 0 else FIRST_MIX - c
    # where samples lie in one place, they are one, with one border
    cdef Py_ssize_t n = 0 if s.batch == 1 or s.stride_n == 0 else (image - <const element *> border.x) // s.stride_n
    cdef Py_ssize_t place = border.start[d * border.rows + h] + w
    if (a | b) >= 0 and w >= border.before[2]:
        place -= border.length
    return <const element *> border.elements + (n * border.places + place) * s.channels


cdef inline const element *border_line(const source_t *s, const element *image, Py_ssize_t a,
                                       Py_ssize_t b) noexcept nogil:
    """The channels of coordinate 0 of a row that lies in the border as a whole: those of the others follow."""
    return border_row(s, image, a, b, 0)


cdef const element *special_row(const source_t *s, const element *image, const element *constants, Py_ssize_t a,
                                Py_ssize_t b, Py_ssize_t c, element *mix) noexcept nogil:
    """The row of a tap that is not a plain coordinate: NULL for nothing, a constant, or a weighted sum put into `mix`.

    Padding goes axis by axis, as in numpy.pad: the last axis that is outside gives the constant, which the mixes of
    later axes then weigh.
    """
    cdef Py_ssize_t i, j, k, channel
    cdef double weight
    cdef element w
    cdef const element *row
    if a == NOTHING or b == NOTHING or c == NOTHING:
        return NULL
    if s.border.elements != NULL:
        return border_row(s, image, a, b, c)
    if c == OUTSIDE:
        return constants + 2 * s.channels
    if a == OUTSIDE or b == OUTSIDE:
        weight = total(&s.axis[2], c)
        row = constants + s.channels
        if b != OUTSIDE:
            weight *= total(&s.axis[1], b)
            row = constants
        if weight == 1:
            return row
        w = as_element(mix, weight)
        for channel in range(s.channels):
            mix[channel] = w * row[channel]
        return mix
    memset(mix, 0, s.channels * sizeof(element))
    for i in range(terms(&s.axis[0], a)):
        for j in range(terms(&s.axis[1], b)):
            for k in range(terms(&s.axis[2], c)):
                weight = 1
                row = image + term(&s.axis[0], a, i, &weight) * s.stride[0]
                row += term(&s.axis[1], b, j, &weight) * s.stride[1]
                row += term(&s.axis[2], c, k, &weight) * s.stride[2]
                w = as_element(mix, weight)
                for channel in range(s.channels):
                    mix[channel] += w * row[channel * s.stride_c]
    return mix


cdef inline const element *tap_row(const source_t *s, const element *image, const element *constants, Py_ssize_t a,
                                   Py_ssize_t b, Py_ssize_t c, element *mix) noexcept nogil:
    """The channels that a tap reads, for its code on each axis; NULL for nothing."""
    if (a | b | c) >= 0:
        return image + a * s.stride[0] + b * s.stride[1] + c * s.stride[2]
    return special_row(s, image, constants, a, b, c, mix)


cdef inline void add_to_tap(const source_t *s, real *image, const Py_ssize_t *codes, const Py_ssize_t *low,
                            const Py_ssize_t *high, const real *gradient, Py_ssize_t step,
                            Py_ssize_t count) noexcept nogil:
    """The adjoint of tap_row: adds `count` channels of a gradient where the tap was read from, within low ... high."""
    cdef Py_ssize_t i, j, k, channel, d, h, w
    cdef double weight
    cdef real share
    cdef real *row
    cdef Py_ssize_t a = codes[0], b = codes[1], c = codes[2]
    if a == NOTHING or b == NOTHING or c == NOTHING or a == OUTSIDE or b == OUTSIDE or c == OUTSIDE:
        return
    for i in range(terms(&s.axis[0], a)):
        for j in range(terms(&s.axis[1], b)):
            for k in range(terms(&s.axis[2], c)):
                weight = 1
                d = term(&s.axis[0], a, i, &weight)
                h = term(&s.axis[1], b, j, &weight)
                w = term(&s.axis[2], c, k, &weight)
                if low[0] <= d < high[0] and low[1] <= h < high[1] and low[2] <= w < high[2]:
                    row = image + d * s.stride[0] + h * s.stride[1] + w * s.stride[2]
                    share = <real> weight
                    for channel in range(count):
                        row[channel] += share * gradient[channel * step]
