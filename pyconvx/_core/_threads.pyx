"""The thread pool of pool.c behind one function that kernels cimport. Imports nothing from pyconvx."""

from cpython.exc cimport PyErr_CheckSignals, PyErr_Occurred
from cpython.pythread cimport PyThread_get_thread_ident

cdef extern from "pool.h":
    enum:
        POOL_DONE
        POOL_MAX_THREADS
    int pool_run(block_t block, void *job, Py_ssize_t blocks, int threads, int (*poll)() noexcept nogil) nogil
    int pool_due(long long *last) nogil

MAX_THREADS = POOL_MAX_THREADS


cdef int poll() noexcept nogil:
    # What a signal handler raises, KeyboardInterrupt by default, waits in `pending` until `stop` raises it: no other
    # handler runs before, as blocks that run blocks may ask twice.
    with gil:
        if PyErr_Occurred() != NULL:  # set by a function of a plugin that a block called
            return 1
        thread = PyThread_get_thread_ident()
        if thread in pending:
            return 1
        try:
            PyErr_CheckSignals()
            return 0
        except BaseException as error:
            pending[thread] = error
            return 1


pending = {}    # of each thread, one error


cdef bint run_blocks(block_t block, void *job, Py_ssize_t blocks, int threads) noexcept nogil:
    """Run all blocks on up to `threads` threads; returns whether that was done: if not, something is to be raised, and
    `stop` does.
    """
    return pool_run(block, job, blocks, threads, poll) == POOL_DONE


cdef bint interrupted(long long *last) noexcept nogil:
    """For the thread that called, between blocks of its own: whether to stop. Asks now and then; last: when it did, or
    else when this was first called, and 0 before.
    """
    cdef bint first = last[0] == 0
    return pool_due(last) and not first and poll()


cdef int stop() except -1:
    """Raise what a signal handler, or the function of a plugin, raised while blocks ran."""
    if PyErr_Occurred() != NULL:
        return -1
    error = pending.pop(PyThread_get_thread_ident(), None)
    raise RuntimeError("the process was forked by a signal handler during a kernel") if error is None else error


cdef int run(block_t block, void *job, Py_ssize_t blocks, int threads) except -1 nogil:
    """Run all blocks on up to `threads` threads; raises what a signal handler raised meanwhile."""
    if not run_blocks(block, job, blocks, threads):
        with gil:
            return stop()
    return 0
