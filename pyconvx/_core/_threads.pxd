"""How a kernel hands its blocks to the thread pool."""

ctypedef void (*block_t)(void *job, Py_ssize_t block, int worker) noexcept nogil

cdef bint run_blocks(block_t block, void *job, Py_ssize_t blocks, int threads) noexcept nogil
cdef bint interrupted(long long *last) noexcept nogil
cdef int stop() except -1
cdef int run(block_t block, void *job, Py_ssize_t blocks, int threads) except -1 nogil
