# _Scratch memory: one aligned piece per worker, alive for one call.

cdef class _Scratch:
    cdef void *memory
    cdef char *first
    cdef Py_ssize_t size            # of one worker's piece, a multiple of 64

    def __cinit__(self, Py_ssize_t size, int workers):
        self.size = (size + 63) // 64 * 64
        self.memory = malloc(self.size * workers + 64)
        if self.memory == NULL:
            raise MemoryError(f"no memory for {workers} scratch buffers of {self.size} bytes")
        self.first = <char *> ((<uintptr_t> self.memory + 63) // 64 * 64)

    def __dealloc__(self):
        free(self.memory)


cdef inline Py_ssize_t rounded(Py_ssize_t size) noexcept nogil:
    return (size + 63) // 64 * 64
