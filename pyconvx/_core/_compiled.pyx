"""Functions that plugins bring along, compiled elsewhere: their addresses, for kernels.

Imports nothing from pyconvx.
"""

from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer

cdef extern from "foreign.h":
    enum:
        FOREIGN_NONE, FOREIGN_ROW, FOREIGN_CHECKED_ROW, FOREIGN_WINDOW, FOREIGN_ROWS, FOREIGN_SLOPES

ROW, CHECKED_ROW, WINDOW, ROWS, SLOPES = (
    FOREIGN_ROW, FOREIGN_CHECKED_ROW, FOREIGN_WINDOW, FOREIGN_ROWS, FOREIGN_SLOPES)
MOST_PARAMETERS = 8                 # that are handed to a function


def unpacked(capsule):
    """The name of a PyCapsule (None if it has none), its address and its context."""
    cdef const char *name = PyCapsule_GetName(capsule)
    address = <size_t> PyCapsule_GetPointer(capsule, name)
    return None if name == NULL else name.decode(errors="replace"), address, <size_t> PyCapsule_GetContext(capsule)


cdef class Compiled:
    """Functions for float32 and float64: `forward`, and `backward` with its gradient.

    Each maps the size of an element in bytes to (form, address, address of its own data or 0). label: what messages
    call the plugin. rowwise: rows must not be cut. keep: what must not be freed while the functions may be called.
    """

    def __cinit__(self, str label, dict forward, dict backward, bint rowwise, object keep):
        self.label, self.rowwise, self.keep = label, rowwise, keep
        for double in range(2):
            take(&self.forward[double], forward.get(8 if double else 4))
            take(&self.backward[double], backward.get(8 if double else 4))

    def has(self, Py_ssize_t itemsize, bint backward=False):
        """Whether there is a function for elements of so many bytes."""
        return self.find(itemsize, backward).form != FOREIGN_NONE

    cdef const foreign_t *find(self, Py_ssize_t itemsize, bint backward) noexcept:
        if backward:
            return &self.backward[itemsize == 8]
        return &self.forward[itemsize == 8]


cdef int take(foreign_t *foreign, object given) except -1:
    foreign.form, foreign.function, foreign.user = FOREIGN_NONE, NULL, NULL
    if given is not None:
        form, address, user = given
        foreign.form, foreign.function, foreign.user = form, <void *> <size_t> address, <void *> <size_t> user
    return 0
