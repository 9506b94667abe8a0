"""Kernels one after another, for a batch in pieces: memory, threads and order are settled before.

Imports nothing from pyconvx but threads.
"""

cimport numpy as cnp
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free

from pyconvx._core._threads cimport interrupted, run_blocks, stop

cnp.import_array()

cdef enum:
    LINE = 64                       # bytes of a line of the cache


cdef class Kernel:
    """Base of those that are made ready for arrays of given shapes, and fill any number of results."""

    @property
    def runs(self):
        """Whether it can be one of a `Row`."""
        return self.ready.once != NULL

    cdef int fill_once(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, char *scratch) except -1:
        """Fill y by `once`, for `fill` of kernels that can do any arrays of their form so. bias: or None."""
        cdef const void *added = NULL if bias is None else cnp.PyArray_DATA(bias)
        cdef int status
        with nogil:
            status = self.ready.once(&self.ready, cnp.PyArray_DATA(x), added, cnp.PyArray_DATA(y), scratch)
        return stop() if status == STOPPED else 0


cdef struct link_t:
    const ready_t *ready
    const void *bias
    bint adds                       # what the row is given, in place of a bias
    const void *x                   # what it reads; NULL where it reads what the row is given
    void *y                         # what it fills; NULL for the last, which fills the result


cdef class Row:
    """Row(kernels, biases, maps, reads=None): kernels one after another. All but the last fill a map.

    kernels: such as have `runs`; biases: contiguous arrays, None, or the number of the map that is added; maps:
    contiguous arrays, which are kept; reads: the number of the map that each reads, by default that of the one before.
    The number -1 is what the row is given.
    """
    cdef link_t *links
    cdef Py_ssize_t count
    cdef object keep
    cdef readonly Py_ssize_t scratch
    """Bytes of scratch memory that it takes."""

    def __cinit__(self, kernels, biases, maps, reads=None):
        cdef Kernel kernel
        cdef link_t *link
        self.count, self.keep, self.scratch = len(kernels), (list(kernels), list(biases), list(maps)), LINE
        reads = range(-1, self.count - 1) if reads is None else reads
        if len(biases) != self.count or len(maps) != self.count - 1 or len(reads) != self.count:
            raise ValueError(f"{self.count} kernels, {len(biases)} biases, {len(reads)} reads and {len(maps)} maps")
        self.links = <link_t *> calloc(self.count, sizeof(link_t))
        if self.links == NULL:
            raise MemoryError("no memory for a row of kernels")
        for i in range(self.count):
            kernel, link = kernels[i], &self.links[i]
            if not kernel.runs:
                raise ValueError(f"kernel {i} is run by `fill` alone")
            link.ready = &kernel.ready
            link.x = self.map(reads[i], i)
            if isinstance(biases[i], int):
                link.adds, link.bias = biases[i] < 0, self.map(biases[i], i)
            elif biases[i] is not None:
                link.bias = cnp.PyArray_DATA(<cnp.ndarray> biases[i])
            link.y = cnp.PyArray_DATA(<cnp.ndarray> maps[i]) if i + 1 < self.count else NULL
            self.scratch = max(self.scratch, kernel.ready.scratch + LINE)

    cdef void *map(self, Py_ssize_t number, Py_ssize_t reader) except? NULL:
        if not -1 <= number < reader:
            raise ValueError(f"kernel {reader} reads map {number}")
        return NULL if number < 0 else self.links[number].y

    def __dealloc__(self):
        free(self.links)


cdef struct piece_t:
    Py_ssize_t start, stop          # samples
    bint flagged


cdef struct pieces_t:
    piece_t *piece
    Py_ssize_t count
    const link_t **links            # for each worker of each piece
    Py_ssize_t *lengths             # of each piece
    char **scratch                  # of each worker
    const char *x
    char *y
    Py_ssize_t x_step, y_step       # bytes of a sample
    bint stopped
    long long asked                 # when, whether to stop


cdef void piece_block(void *argument, Py_ssize_t number, int worker) noexcept nogil:
    cdef pieces_t *job = <pieces_t *> argument
    cdef piece_t *piece = &job.piece[number]
    cdef const link_t *link = job.links[worker * job.count + number]
    cdef const void *given = job.x + piece.start * job.x_step
    cdef void *y
    cdef int status
    for _ in range(job.lengths[number]):
        if job.stopped:
            return
        y = job.y + piece.start * job.y_step if link.y == NULL else link.y
        status = link.ready.once(link.ready, given if link.x == NULL else link.x, given if link.adds else link.bias, y,
                                 job.scratch[worker])
        if status == STOPPED:
            job.stopped = True
        elif worker == 0 and interrupted(&job.asked):   # a row of short kernels may take long
            job.stopped = True
        if status != DONE:
            piece.flagged = True
            return
        link += 1


cdef class Pieces:
    """Pieces(bounds, rows, scratch): samples through a row of kernels, some at a time.

    bounds: where each piece begins and ends; rows: for each worker a dict of the `Row` for so many samples; scratch:
    for each worker an array of as many bytes as its rows take. With one worker, kernels may use all threads for a
    piece; with more, each does pieces by itself, and the kernels are for one thread.
    """
    cdef pieces_t job
    cdef int workers
    cdef object keep

    def __cinit__(self, bounds, rows, scratch):
        cdef pieces_t *job = &self.job
        cdef Row row
        self.workers, job.count, self.keep = len(rows), len(bounds), (rows, scratch)
        job.piece = <piece_t *> calloc(job.count, sizeof(piece_t))
        job.lengths = <Py_ssize_t *> calloc(job.count, sizeof(Py_ssize_t))
        job.links = <const link_t **> calloc(job.count * self.workers, sizeof(link_t *))
        job.scratch = <char **> calloc(self.workers, sizeof(char *))
        if job.piece == NULL or job.lengths == NULL or job.links == NULL or job.scratch == NULL:
            raise MemoryError("no memory for pieces")
        for number in range(job.count):
            job.piece[number].start, job.piece[number].stop = bounds[number]
        for worker in range(self.workers):
            job.scratch[worker] = <char *> ((<uintptr_t> cnp.PyArray_DATA(<cnp.ndarray> scratch[worker]) + LINE - 1)
                                            // LINE * LINE)
            for number in range(job.count):
                row = rows[worker][job.piece[number].stop - job.piece[number].start]
                if row.scratch > scratch[worker].nbytes:
                    raise ValueError("too little scratch memory")
                job.lengths[number], job.links[worker * job.count + number] = row.count, row.links

    def __dealloc__(self):
        free(self.job.piece)
        free(self.job.lengths)
        free(<void *> self.job.links)
        free(self.job.scratch)

    def fill(self, cnp.ndarray x, cnp.ndarray y):
        """Put the result of x into y, both contiguous; returns the numbers of the pieces that must be done by `fill` of
        the kernels. One call at a time.
        """
        cdef pieces_t *job = &self.job
        cdef Py_ssize_t i
        cdef bint done
        job.x, job.y = <const char *> cnp.PyArray_DATA(x), <char *> cnp.PyArray_DATA(y)
        job.x_step, job.y_step = x.nbytes // x.shape[0], y.nbytes // y.shape[0]
        job.stopped, job.asked = False, 0
        for i in range(job.count):
            job.piece[i].flagged = False
        with nogil:
            done = run_blocks(piece_block, job, job.count, self.workers)
        if job.stopped or not done:
            stop()
        return [i for i in range(job.count) if job.piece[i].flagged]
