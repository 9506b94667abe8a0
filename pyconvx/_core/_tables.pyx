"""Axis: where the taps of each output place lie along one axis. Imports nothing from pyconvx.

The code of tap k of the i-th visited place stands at `code[row[i] + k * step]`. A code is

    >= 0            that coordinate of the source
    OUTSIDE         the constant of a padding mode
    NOTHING         no element at all (a pooling's padding, a gap of a strided adjoint)
    FIRST_MIX - m   the m-th mix: a weighted sum of coordinates (odd reflection, several gradients meeting in one place)

Everything is checked here, once, so that the kernels need not check anything.
"""

import numpy as np

cimport numpy as cnp

cnp.import_array()

OUTSIDE, NOTHING, FIRST_MIX = OUTSIDE_CODE, NOTHING_CODE, FIRST_MIX_CODE


cdef const Py_ssize_t *sizes(cnp.ndarray array):
    return <const Py_ssize_t *> cnp.PyArray_DATA(array)


cdef cnp.ndarray counted(cnp.ndarray row, cnp.ndarray code, Py_ssize_t taps, Py_ssize_t step):
    """Number of codes other than NOTHING of each place, in one pass over the codes whatever the number of taps."""
    cdef Py_ssize_t i, j, apart = abs(step), nothing = NOTHING
    counts = np.full(row.size, taps)
    if not (row.size and (code == nothing).any()):
        return counts
    so_far = np.empty(code.size, np.intp)
    cdef Py_ssize_t[::1] below = so_far, count = counts
    cdef const Py_ssize_t[::1] codes = code, rows = row
    with nogil:
        for j in range(codes.shape[0]):
            below[j] = (codes[j] != nothing) + (below[j - apart] if j >= apart else 0)
        for i in range(rows.shape[0]):
            j = rows[i] + (taps - 1) * step if step < 0 else rows[i]  # the lowest of its codes
            count[i] = below[j + (taps - 1) * apart] - (below[j - apart] if j >= apart else 0)
    return counts


cdef cnp.ndarray pieces_of(cnp.ndarray row, cnp.ndarray place):
    """Runs of visits whose rows, and places, lie evenly and forwards: (first, number, rise, gap between places)."""
    cdef Py_ssize_t[:, ::1] pieces = np.empty((row.size, 4), np.intp)
    cdef const Py_ssize_t[::1] rows = row, places = place
    cdef Py_ssize_t i = 0, j, count = 0, rise, gap
    with nogil:
        while i < rows.shape[0]:
            j, rise, gap = i + 1, 1, 1
            if j < rows.shape[0] and rows[j] > rows[i] and places[j] > places[i]:
                rise, gap = rows[j] - rows[i], places[j] - places[i]
                while j < rows.shape[0] and rows[j] - rows[j - 1] == rise and places[j] - places[j - 1] == gap:
                    j += 1
            pieces[count, 0], pieces[count, 1], pieces[count, 2], pieces[count, 3] = i, j - i, rise, gap
            count += 1
            i = j
    return np.asarray(pieces)[:count].copy()


cdef class Axis:
    """Axis(source, taps, step, row, code, *, place=None, extent=None, mixes=None): one checked index table.

    source: length of the axis read. taps, step, row, code: as in the module's description. place: for each visited
    place the index in the result (default: in order). extent: number of positions that count in each window.
    mixes: (sizes, coordinates, weights): how many terms each mix has, and the terms of all of them.
    """

    def __init__(self, Py_ssize_t source, Py_ssize_t taps, Py_ssize_t step, row, code, *, place=None, extent=None,
                 mixes=None):
        row = np.ascontiguousarray(row, np.intp)
        code = np.ascontiguousarray(code, np.intp)
        cdef Py_ssize_t length = row.size
        order = np.arange(length)
        if np.array_equal(row, order):
            order = row                 # one array for both
        place = order if place is None else np.ascontiguousarray(place, np.intp)
        extent = np.full(length, taps) if extent is None else np.ascontiguousarray(extent, np.intp)
        mix_size, mix_source, mix_weight = ([], [], []) if mixes is None else mixes
        mix_size = np.ascontiguousarray(mix_size, np.intp)
        mix_source = np.ascontiguousarray(mix_source, np.intp)
        mix_weight = np.ascontiguousarray(mix_weight, np.float64)
        mix_start = np.concatenate([[0], np.cumsum(mix_size)]).astype(np.intp)

        fits = place.size == extent.size == length and mix_size.sum() == mix_weight.size == mix_source.size
        if taps < 1 or step == 0 or source < 0 or not fits or (mix_size.size and mix_size.min() < 0):
            raise ValueError("index table: sizes do not fit")
        mix_total = np.bincount(np.repeat(np.arange(mix_size.size), mix_size), mix_weight, mix_size.size)
        if length:
            reach = (<object> taps - 1) * step      # an int of Python, which does not overflow
            if int(row.min()) + min(reach, 0) < 0 or int(row.max()) + max(reach, 0) >= code.size:
                raise ValueError("index table: a tap lies beyond the codes")
            if not np.array_equal(np.sort(place), order):
                raise ValueError("index table: places are no permutation")
        lowest = FIRST_MIX - mix_size.size + 1
        special = (code == OUTSIDE) | (code == NOTHING)
        if not np.all(special | ((code >= lowest) & (code < source))):
            raise ValueError("index table: a code is out of range")
        if mix_source.size and not (0 <= mix_source.min() and mix_source.max() < source):
            raise ValueError("index table: a mix is out of range")

        run = np.zeros(length, np.uint8)
        if step == 1 and length:
            breaks = np.concatenate([[0], np.cumsum((code[:-1] < 0) | (code[1:] != code[:-1] + 1))])
            run[:] = (breaks[row + taps - 1] == breaks[row]) & (code[row] >= 0)
        present = counted(row, code, taps, step)
        if np.array_equal(present, extent):
            present = extent            # one array for both
        pieces = pieces_of(row, place)
        self.arrays = (row, place, code, mix_start, mix_source, mix_weight, mix_total, extent, run, present, pieces)
        for array in self.arrays:
            array.setflags(write=False)
        self.source = source
        self.is_ordered = bool(np.array_equal(place, order))
        gaps = np.diff(row)
        self.rise = 1
        if gaps.size:
            self.rise = gaps[0] if self.is_ordered and gaps[0] > 0 and (gaps == gaps[0]).all() else 0
        self.table = axis_t(
            length=length, taps=taps, step=step, row=sizes(row), place=sizes(place), code=sizes(code),
            mix_start=sizes(mix_start), mix_source=sizes(mix_source),
            mix_weight=<const double *> cnp.PyArray_DATA(mix_weight),
            mix_total=<const double *> cnp.PyArray_DATA(mix_total), extent=sizes(extent),
            run=<const unsigned char *> cnp.PyArray_DATA(run), present=sizes(present), until=NULL, alike=NULL, gap=NULL,
            mixed=mix_size.size > 0,
        )

    @property
    def length(self):
        """Number of places along the axis of the result."""
        return self.table.length

    @property
    def taps(self):
        """Number of kernel elements along the axis."""
        return self.table.taps

    @property
    def step(self):
        """Distance between the codes of neighbouring taps."""
        return self.table.step

    @property
    def rows(self):
        """Where the codes of each visited place start."""
        return self.arrays[0]

    @property
    def ordered(self):
        """Places are visited in order."""
        return self.is_ordered

    @property
    def mixed(self):
        """Some codes are mixes."""
        return self.table.mixed

    @property
    def fractional(self):
        """Some weights of mixes are not whole."""
        weight = self.arrays[5]
        return bool(np.any(weight != np.rint(weight)))

    @property
    def nbytes(self):
        """Bytes held."""
        return sum({id(array): array.nbytes for array in self.arrays}.values())

    def part(self, first, until):
        """The table of the visited places first ... until - 1 alone, which are the places of their result in order."""
        row, _, code, mix_start, mix_source, mix_weight = self.arrays[:6]
        mixes = np.diff(mix_start), mix_source, mix_weight
        return Axis(self.source, self.table.taps, self.table.step, row[first:until], code, mixes=mixes)

    def window(self, first, until):
        """(low, high, table): the visited places first ... until - 1 alone, of a source that holds just the coordinates
        low ... high - 1, which are all that they read. None if there are none, or mixes, or places are out of order.
        """
        row, _, code = self.arrays[:3]
        if self.table.mixed or not self.is_ordered:
            return None
        row = row[first:until]
        read = row[:, None] + np.arange(self.table.taps) * self.table.step
        there = code[read]
        there = there[there >= 0]
        if not there.size:
            return None
        start, low, high = read.min(), int(there.min()), int(there.max()) + 1
        code = code[start:read.max() + 1]
        moved = np.where((low <= code) & (code < high), code - low, np.where(code < 0, code, NOTHING))
        return low, high, Axis(high - low, self.table.taps, self.table.step, row - start, moved)

    def codes(self):
        """The table written out: codes (length, taps), in the order of the places of the result."""
        row, place, code = self.arrays[:3]
        table = np.empty((self.table.length, self.table.taps), np.intp)
        table[place] = code[row[:, None] + np.arange(self.table.taps) * self.table.step]
        return table

    def line(self):
        """The codes that places read, of an axis whose taps are neighbours and whose places read on and on."""
        row, _, code = self.arrays[:3]
        return code[row[0]:row[row.size - 1] + self.table.taps] if row.size else code[:0]

    def present(self):
        """Number of elements that each window holds (codes other than NOTHING), in the order of visits."""
        return self.arrays[9]

    @property
    def pieces(self):
        """intp (pieces, 4): the first visit, how many, how far apart their rows lie, and their places in the result."""
        return self.arrays[10]

    def reads_once(self):
        """Whether each coordinate is read by one tap of one place, and nothing else is read."""
        cdef axis_t table = self.table
        once = self.once
        if once is None:
            once = not table.mixed and table.length * table.taps == self.source
            if once:
                read = self.arrays[2][self.arrays[0][:, None] + np.arange(table.taps) * table.step]
                once = bool(np.array_equal(np.sort(read, axis=None), np.arange(self.source)))
            self.once = once
        return once

    def reach(self):
        """(highest, lowest): for each visited place, the highest coordinate that it or one before it reads, and the
        lowest that it or one after it reads. Both rise, so that the places that read a band are found by bisection.
        """
        cdef axis_t table = self.table
        cdef Py_ssize_t i, j, k, m, last, c, nothing = NOTHING
        if self.reaches is not None:
            return self.reaches
        if table.step < 0:
            raise ValueError("index table: only taps in rising order have a reach")
        low, high = np.empty(table.length, np.intp), np.empty(table.length, np.intp)
        cdef Py_ssize_t[::1] lowest = low, highest = high
        cdef const Py_ssize_t[::1] until = self.runs()
        with nogil:
            for i in range(table.length):
                lowest[i], highest[i] = self.source, -1
                j, last = table.row[i], table.row[i] + (table.taps - 1) * table.step
                while j <= last:
                    c = table.code[j]
                    k = (min(until[j] - 1, last) - j) // table.step * table.step
                    if c >= 0:
                        lowest[i], highest[i] = min(lowest[i], c), max(highest[i], c + k)
                    elif c > nothing:
                        for m in range(table.mix_start[-1 - c], table.mix_start[-c]):
                            lowest[i] = min(lowest[i], table.mix_source[m])
                            highest[i] = max(highest[i], table.mix_source[m])
                    j += k + table.step
        np.maximum.accumulate(high, out=high)
        np.minimum.accumulate(low[::-1], out=low[::-1])
        self.reaches = (high, low)
        return self.reaches

    def runs(self):
        """For each code, where its run of rising or of empty codes ends. Kernels find it as `until` then, and `alike`
        and `gap`, too: places are alike that are neighbours in the result, read rising coordinates by all taps, and
        have one extent.
        """
        cdef axis_t table = self.table
        cdef Py_ssize_t i, j, c, nothing = NOTHING, reach = (table.taps - 1) * table.step, rise
        cdef bint follows = False, whole, neighbours
        if self.ends is not None:
            return self.ends
        ends = np.empty(self.arrays[2].size, np.intp)
        cdef Py_ssize_t[::1] until = ends
        with nogil:
            for j in range(until.shape[0] - 1, -1, -1):
                c = table.code[j]
                until[j] = j + 1
                if j + 1 < until.shape[0] and (c >= 0 or c <= nothing) and table.code[j + 1] == c + (c >= 0):
                    until[j] = until[j + 1]
        together, gaps = np.ones((2, table.length), np.intp)
        cdef Py_ssize_t[::1] alike = together, gap = gaps
        with nogil:
            for i in range(table.length - 1, -1, -1):
                j = table.row[i]
                whole = table.step > 0 and table.code[j] >= 0 and until[j] > j + reach
                if whole and follows:
                    rise = table.code[table.row[i + 1]] - table.code[j]
                    neighbours = table.place[i + 1] == table.place[i] + 1 and table.extent[i + 1] == table.extent[i]
                    if rise > 0 and neighbours:
                        alike[i] = alike[i + 1] + 1 if alike[i + 1] > 1 and gap[i + 1] == rise else 2
                        gap[i] = rise
                follows = whole
        if self.ends is None:  # else another thread was faster, and kernels may be reading its table
            self.ends, self.others = ends, (together, gaps)
            self.table.until, self.table.alike, self.table.gap = sizes(ends), sizes(together), sizes(gaps)
        return self.ends

    @property
    def sourced(self):
        """Every code is a coordinate or nothing: no constants and no mixes."""
        code = self.arrays[2]
        return bool(np.all((code >= 0) | (code == NOTHING)))
