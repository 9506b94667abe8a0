"""How a kernel hands its blocks to the thread pool."""

ctypedef void (*block_t)(void *job, Py_ssize_t block, int worker) noexcept nogil

cdef int run(block_t block, void *job, Py_ssize_t blocks, int threads) except -1 nogil
