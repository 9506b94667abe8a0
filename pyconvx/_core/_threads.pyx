"""The thread pool of pool.c behind one function that kernels cimport. Imports nothing from pyconvx."""

from cpython.exc cimport PyErr_CheckSignals, PyErr_Occurred

cdef extern from "pool.h":
    enum:
        POOL_DONE
        POOL_MAX_THREADS
    int pool_run(block_t block, void *job, Py_ssize_t blocks, int threads, int (*poll)() noexcept nogil) nogil

MAX_THREADS = POOL_MAX_THREADS


cdef int poll() noexcept nogil:
    # What a signal handler raises, KeyboardInterrupt by default, waits in `pending` until `run` raises it.
    with gil:
        if PyErr_Occurred() != NULL:  # set by a function of a plugin that a block called
            return 1
        try:
            PyErr_CheckSignals()
            return 0
        except BaseException as error:
            pending.append(error)
            return 1


pending = []


cdef bint run_blocks(block_t block, void *job, Py_ssize_t blocks, int threads) noexcept nogil:
    """Run all blocks on up to `threads` threads; returns whether that was done: if not, something is to be raised, and
    `stop` does.
    """
    return pool_run(block, job, blocks, threads, poll) == POOL_DONE


cdef int stop() except -1:
    """Raise what a signal handler, or the function of a plugin, raised while blocks ran."""
    if PyErr_Occurred() != NULL:
        return -1
    raise pending.pop() if pending else RuntimeError("the process was forked by a signal handler during a kernel")


cdef int run(block_t block, void *job, Py_ssize_t blocks, int threads) except -1 nogil:
    """Run all blocks on up to `threads` threads; raises what a signal handler raised meanwhile."""
    if not run_blocks(block, job, blocks, threads):
        with gil:
            return stop()
    return 0
