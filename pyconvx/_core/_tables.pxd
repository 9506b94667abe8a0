"""The index table of one axis, as the kernels read it."""

cdef enum:
    AXES = 3          # every kernel works on three spatial axes; shorter ranks have axes of length 1

cdef extern from *:
    const Py_ssize_t OUTSIDE_CODE "PY_SSIZE_T_MIN"
    const Py_ssize_t NOTHING_CODE "(PY_SSIZE_T_MIN + 1)"
    const Py_ssize_t FIRST_MIX_CODE "((Py_ssize_t) -1)"

cdef struct axis_t:
    Py_ssize_t length               # places along the axis of the result
    Py_ssize_t taps                 # kernel elements along the axis
    Py_ssize_t step                 # distance between the codes of neighbouring taps
    const Py_ssize_t *row           # [length] where the codes of each place start
    const Py_ssize_t *place         # [length] which place of the result that is
    const Py_ssize_t *code          # source coordinate, OUTSIDE, NOTHING, or FIRST_MIX - m
    const Py_ssize_t *mix_start     # mix m is the weighted sum of mix_start[m] .. mix_start[m + 1] - 1
    const Py_ssize_t *mix_source
    const double *mix_weight
    const double *mix_total         # [m] sum of the weights of mix m
    const Py_ssize_t *extent        # [length] positions of each window within the padded extent
    const Py_ssize_t *present       # [length] elements of each window: codes other than NOTHING
    const Py_ssize_t *until         # [codes] where its run of rising or of empty codes ends; NULL before Axis.runs
    const Py_ssize_t *alike         # [length] places from each on, in order, that read alike and evenly; likewise
    const Py_ssize_t *gap           # [length] coordinates from the first of these to the next
    const unsigned char *run        # [length] whether the taps of each place are neighbouring coordinates, in order
    bint mixed                      # there are mixes

cdef class Axis:
    cdef axis_t table
    cdef readonly Py_ssize_t source     # length of the axis that is read
    cdef readonly Py_ssize_t rise       # between rows of neighbouring places; 0: not evenly, forwards and in order
    cdef bint is_ordered
    cdef tuple arrays
    cdef tuple reaches
    cdef object ends
    cdef tuple others
    cdef object once
