# What surrounds x under a joint padding mode: its places in their order, each with all channels of an element.

cdef enum:
    MOST_AXES = 64                  # of an array

cdef struct border_t:               # what surrounds an image batch under a joint padding mode
    const void *x                   # the batch
    const void *elements            # (N, places, C)
    Py_ssize_t places               # of one sample
    const Py_ssize_t *start         # [rows of the first two axes with their border] number of the row's first place
    Py_ssize_t before[AXES]         # places before the first element of each axis
    Py_ssize_t rows                 # length of the middle axis with its border
    Py_ssize_t length               # of the last axis without


cdef class Border:
    """Border(elements, starts, before, whole, length): what surrounds x (N, D, H, W, C) under a joint padding mode.

    elements: (N, places, C), contiguous: the places of the border in the order of x with its border, whose sizes are
    `whole`. starts: of each row of that, the number of its first place. before: how many places come before the first
    element of each axis. length: of the last axis of x.
    """
    cdef border_t table
    cdef tuple keep                 # what it was made from

    def __init__(self, cnp.ndarray elements, cnp.ndarray starts, tuple before, tuple whole, Py_ssize_t length):
        if starts.size != whole[0] * whole[1]:
            raise ValueError("border: rows do not fit")
        self.keep = (elements, starts, before, whole, length)
        self.table.x = NULL
        self.table.elements, self.table.places = cnp.PyArray_DATA(elements), elements.shape[1]
        self.table.start = <const Py_ssize_t *> cnp.PyArray_DATA(starts)
        for i in range(AXES):
            self.table.before[i] = before[i]
        self.table.rows, self.table.length = whole[1], length

    def sample(self, Py_ssize_t n):
        """The border of one sample."""
        elements, *rest = self.keep
        return Border(elements[n:n + 1], *rest)

    cdef border_t around(self, cnp.ndarray x):
        """The table for kernels that read x. Several threads may ask for it, each with its own copy of x."""
        cdef border_t table = self.table
        table.x = cnp.PyArray_DATA(x)
        return table


def fill_border(cnp.ndarray x, tuple index, const Py_ssize_t[::1] numbers, cnp.ndarray elements):
    """elements (N, places, C)[:, numbers] = the elements of x (N, D, H, W, C) at `index`, one array of coordinates for
    each of the last spatial axes. elements has the dtype of x and is contiguous.
    """
    cdef const Py_ssize_t *at[AXES]
    cdef Py_ssize_t stride[AXES]
    cdef Py_ssize_t i, n, m, c, rank = len(index), item = x.itemsize
    cdef Py_ssize_t channels = x.shape[AXES + 1], step = x.strides[AXES + 1], pixel = item * channels
    cdef cnp.ndarray coordinates
    cdef const char *origin
    cdef const char *source
    cdef char *to
    for i in range(rank):
        coordinates = index[i]
        if coordinates.shape[0] != numbers.shape[0] or not coordinates.flags.c_contiguous:
            raise ValueError("border: coordinates do not fit")
        at[i], stride[i] = <const Py_ssize_t *> cnp.PyArray_DATA(coordinates), x.strides[AXES + 1 - rank + i]
    with nogil:
        for n in range(x.shape[0]):
            origin = <const char *> cnp.PyArray_DATA(x) + n * x.strides[0]
            for m in range(numbers.shape[0]):
                source = origin
                for i in range(rank):
                    source += at[i][m] * stride[i]
                to = <char *> cnp.PyArray_DATA(elements) + (n * elements.shape[1] + numbers[m]) * pixel
                if step == item:
                    memcpy(to, source, pixel)
                else:
                    for c in range(channels):
                        memcpy(to + c * item, source + c * step, item)


cdef void add_places(real *x, const Py_ssize_t *x_stride, const Py_ssize_t **index, const real *gy,
                     const Py_ssize_t *gy_stride, const Py_ssize_t **places, Py_ssize_t rank, Py_ssize_t count,
                     Py_ssize_t channels, const double *weight) noexcept nogil:
    cdef Py_ssize_t m, i, c, x_step = x_stride[rank], gy_step = gy_stride[rank]
    cdef real *to
    cdef const real *source
    cdef real w = 1
    for m in range(count):
        to, source = x, gy
        for i in range(rank):
            to += index[i][m] * x_stride[i]
            source += places[i][m] * gy_stride[i]
        if weight != NULL:
            w = <real> weight[m]
        if x_step == 1 and gy_step == 1:
            for c in range(channels):
                to[c] += w * source[c]
        else:
            for c in range(channels):
                to[c * x_step] += w * source[c * gy_step]


def add_border(cnp.ndarray x, tuple index, cnp.ndarray gy, tuple places, cnp.ndarray weight):
    """x[index] += weight * gy[places], one place after the other: an element may receive several.

    x and gy: (*axes, channels), of float32 or float64 both. index, places: an array of coordinates for each of these
    axes, as many as weights (float64), or None for ones.
    """
    cdef const Py_ssize_t *at[MOST_AXES]
    cdef const Py_ssize_t *come[MOST_AXES]
    cdef Py_ssize_t x_stride[MOST_AXES]
    cdef Py_ssize_t gy_stride[MOST_AXES]
    cdef Py_ssize_t i, rank = len(index), count = len(index[0]), channels = x.shape[rank], item = x.itemsize
    cdef const double *weights = NULL
    for i in range(rank):
        if len(index[i]) != count or len(places[i]) != count:
            raise ValueError("border: coordinates do not fit")
        at[i], come[i] = <const Py_ssize_t *> cnp.PyArray_DATA(index[i]), <const Py_ssize_t *> cnp.PyArray_DATA(
            places[i])
    for i in range(rank + 1):
        x_stride[i], gy_stride[i] = x.strides[i] // item, gy.strides[i] // item
    if weight is not None:
        weights = <const double *> cnp.PyArray_DATA(weight)
    cdef bint single = item == 4
    with nogil:
        if single:
            add_places(<float *> cnp.PyArray_DATA(x), x_stride, at, <const float *> cnp.PyArray_DATA(gy), gy_stride,
                       come, rank, count, channels, weights)
        else:
            add_places(<double *> cnp.PyArray_DATA(x), x_stride, at, <const double *> cnp.PyArray_DATA(gy), gy_stride,
                       come, rank, count, channels, weights)
