# Extremum and sum of windows, for callers: at once, or made ready for any number of calls.

cdef int forward_pool(flat_t *job, const pool_t *pool, tuple axes, bint summing, int threads, Py_ssize_t itemsize,
                      ready_t *ready) except -1:
    """Make a job ready for an extremum or a sum, whichever way is faster."""
    if not plan_flat(job, pool, axes, summing, threads, ready):
        job.pool = pool[0]
        plan_forward(sum_any if summing else extremum_any, &job.pool, itemsize, threads, ready)
    return 0


cdef int once_pool(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef flat_t job
    memcpy(&job, ready.job, ready.job_size)
    job.pool.x, job.pool.y, job.pool.scratch = x, y, scratch
    return DONE if run_blocks(ready.block, &job, ready.blocks, ready.threads) else STOPPED


def pool_extremum(cnp.ndarray x, cnp.ndarray y, cnp.ndarray winner, cnp.ndarray index, tuple axes,
                  cnp.ndarray constants, bint largest, int threads):
    """y (N, *places, C) = the largest or smallest of each window of x (N, D, H, W, C), of any real dtype but float16.

    winner (int32, laid out as y) or None: the number of the tap that won. index (intp, laid out as y) or None: its flat
    spatial index, where all taps are elements of x. Both need windows of fewer than 2**31 taps.
    """
    cdef pool_t pool = pool_job(x, y, winner, axes, constants)
    cdef flat_t job
    cdef ready_t ready
    pool.largest = largest
    if index is not None:
        pool.index = <Py_ssize_t *> cnp.PyArray_DATA(index)
        if winner is None and x[:1, ..., :1].size >= 2**31:  # positions that have no number of 32 bits
            winner = np.empty_like(y, np.int32)
            pool.winner = <cnp.int32_t *> cnp.PyArray_DATA(winner)
    forward_pool(&job, &pool, axes, False, threads, x.itemsize, &ready)
    launch(&ready, &job.pool, None)


def pool_sum(cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants, divisor, double value, int threads):
    """y (N, *places, C) = the sum of each window of x, divided as `divisor`, a name in DIVISORS, says."""
    cdef pool_t pool = pool_job(x, y, None, axes, constants)
    cdef flat_t job
    cdef ready_t ready
    pool.divisor, pool.value = DIVISORS[divisor], value
    forward_pool(&job, &pool, axes, True, threads, x.itemsize, &ready)
    launch(&ready, &job.pool, None)


cdef class Pool(Kernel):
    """Pool(x, y, axes, constants, reduction, threads): an extremum or a sum, made ready for arrays like x and y, whose
    elements are contiguous: they are only looked at.

    reduction: "max", "min", or for a sum the name in DIVISORS and the number that divide it.
    """
    cdef flat_t job
    cdef object keep

    def __init__(self, cnp.ndarray x, cnp.ndarray y, tuple axes, cnp.ndarray constants, reduction, int threads):
        cdef pool_t pool = pool_job(x, y, None, axes, constants)
        summing = isinstance(reduction, tuple)
        if summing:
            pool.divisor, pool.value = DIVISORS[reduction[0]], reduction[1]
        else:
            pool.largest = reduction == "max"
        forward_pool(&self.job, &pool, axes, summing, threads, x.itemsize, &self.ready)
        self.ready.once, self.ready.job, self.ready.job_size = once_pool, &self.job, sizeof(flat_t)
        self.keep = axes, constants

    def fill(self, cnp.ndarray x, bias, cnp.ndarray y, filters=None):
        """Fill y from x: arrays as those that it was made ready for, of any shape. bias, filters: None."""
        cdef _Scratch scratch = _Scratch(self.job.pool.scratch_size, self.ready.threads)
        self.fill_once(x, None, y, scratch.first)
