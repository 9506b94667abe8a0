# From one layout to the other: rows and columns exchanged, a square of elements at a time.

cdef extern from "transpose.h":
    enum:
        SQUARE
    void transpose_u32(const cnp.uint32_t *x, Py_ssize_t x_step, cnp.uint32_t *y, Py_ssize_t y_step, Py_ssize_t rows,
                       Py_ssize_t columns) noexcept nogil
    void transpose_u64(const cnp.uint64_t *x, Py_ssize_t x_step, cnp.uint64_t *y, Py_ssize_t y_step, Py_ssize_t rows,
                       Py_ssize_t columns) noexcept nogil
    void transpose_squares_u32(const cnp.uint32_t *x, Py_ssize_t x_step, cnp.uint32_t *y, Py_ssize_t y_step,
                               Py_ssize_t rows, Py_ssize_t columns, bint by_rows) noexcept nogil
    void transpose_squares_u64(const cnp.uint64_t *x, Py_ssize_t x_step, cnp.uint64_t *y, Py_ssize_t y_step,
                               Py_ssize_t rows, Py_ssize_t columns, bint by_rows) noexcept nogil
    void weave_two(const cnp.uint32_t *x, Py_ssize_t x_step, cnp.uint32_t *y, Py_ssize_t columns) noexcept nogil
    void part_two(const cnp.uint32_t *x, cnp.uint32_t *y, Py_ssize_t y_step, Py_ssize_t rows) noexcept nogil
    void weave_three(const cnp.uint32_t *x, Py_ssize_t x_step, cnp.uint32_t *y, Py_ssize_t columns) noexcept nogil
    void part_three(const cnp.uint32_t *x, cnp.uint32_t *y, Py_ssize_t y_step, Py_ssize_t rows) noexcept nogil

cdef enum:
    STRIP = 256                     # rows of the result in one block

cdef struct transpose_t:
    const void *x
    void *y
    Py_ssize_t rows, columns        # of x
    Py_ssize_t x_row, y_row         # elements from a row to the next
    Py_ssize_t x_n, y_n             # and from a sample
    Py_ssize_t strips
    bint single


cdef inline void turn_each(const real *x, Py_ssize_t row_step, Py_ssize_t column_step, real *y, Py_ssize_t y_step,
                           Py_ssize_t y_column, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """As `turn`, of a few elements that lie anyhow, one by one."""
    cdef Py_ssize_t row, column
    for column in range(columns):
        for row in range(rows):
            y[column * y_step + row * y_column] = x[row * row_step + column * column_step]


cdef inline void turn_rows(const real *x, Py_ssize_t row_step, real *y, Py_ssize_t y_step, Py_ssize_t rows,
                           Py_ssize_t columns) noexcept nogil:
    """The same of contiguous rows, along one of the arrays."""
    if real is float:
        transpose_u32(<const cnp.uint32_t *> x, row_step, <cnp.uint32_t *> y, y_step, rows, columns)
    else:
        transpose_u64(<const cnp.uint64_t *> x, row_step, <cnp.uint64_t *> y, y_step, rows, columns)


cdef void turn(const real *x, Py_ssize_t row_step, Py_ssize_t column_step, real *y, Py_ssize_t y_step,
               Py_ssize_t y_column, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """y[column * y_step + row * y_column] = x[row * row_step + column * column_step]"""
    cdef Py_ssize_t row, column
    cdef bint by_rows = row_step > y_step       # long runs of what lies further apart: few at a time are far apart
    if row_step == 1 and y_column == 1:
        for column in range(columns):
            for row in range(rows):
                y[column * y_step + row] = x[column * column_step + row]
    elif column_step == 1 and y_column == 1:
        if real is float and rows == y_step == 2:
            weave_two(<const cnp.uint32_t *> x, row_step, <cnp.uint32_t *> y, columns)
        elif real is float and rows == y_step == 3:
            weave_three(<const cnp.uint32_t *> x, row_step, <cnp.uint32_t *> y, columns)
        elif real is float:
            transpose_squares_u32(<const cnp.uint32_t *> x, row_step, <cnp.uint32_t *> y, y_step, rows, columns,
                                  by_rows)
        else:
            transpose_squares_u64(<const cnp.uint64_t *> x, row_step, <cnp.uint64_t *> y, y_step, rows, columns,
                                  by_rows)
    elif by_rows:
        for row from 0 <= row < rows by SQUARE:
            turn_each(x + row * row_step, row_step, column_step, y + row * y_column, y_step, y_column,
                      min(SQUARE, rows - row), columns)
    else:
        for column from 0 <= column < columns by SQUARE:
            for row from 0 <= row < rows by SQUARE:
                turn_each(x + row * row_step + column * column_step, row_step, column_step,
                          y + column * y_step + row * y_column, y_step, y_column, min(SQUARE, rows - row),
                          min(SQUARE, columns - column))


cdef void few_columns(const cnp.uint32_t *x, Py_ssize_t x_row, cnp.uint32_t *y, Py_ssize_t y_row, Py_ssize_t rows,
                      Py_ssize_t columns, Py_ssize_t first, Py_ssize_t until) noexcept nogil:
    """As transpose_strip, of two or three rows, or of as many columns: those are all in one strip."""
    if rows == 2:
        weave_two(x + first, x_row, y + 2 * first, until - first)
    elif rows == 3:
        weave_three(x + first, x_row, y + 3 * first, until - first)
    elif columns == 2:
        part_two(x, y, y_row, rows)
    else:
        part_three(x, y, y_row, rows)


cdef void transpose_strip(const transpose_t *job, const real *x, real *y, Py_ssize_t first,
                          Py_ssize_t until) noexcept nogil:
    """Columns first .. until - 1 of x (rows, columns) as rows of y."""
    cdef Py_ssize_t rows = job.rows, columns = job.columns, x_row = job.x_row, y_row = job.y_row, row
    if (rows == 1 and y_row == 1) or (columns == 1 and x_row == 1):
        memcpy(y + first * y_row, x + first, (until - first) * rows * sizeof(real))
        return
    if real is float and ((1 < rows <= 3 and y_row == rows) or (1 < columns <= 3 and x_row == columns and rows > 3)):
        few_columns(<const cnp.uint32_t *> x, x_row, <cnp.uint32_t *> y, y_row, rows, columns, first, until)
        return
    if rows < SQUARE or columns < SQUARE:           # either way long runs of what is read or written
        turn_rows(x + first, x_row, y + first * y_row, y_row, rows, until - first)
        return
    for row from 0 <= row < rows by STRIP:          # runs of y are long, and what x is read again for is near
        turn(x + row * x_row + first, x_row, 1, y + first * y_row + row, y_row, 1, min(STRIP, rows - row),
             until - first)


cdef void transpose_block(void *argument, Py_ssize_t block, int worker) noexcept nogil:
    cdef const transpose_t *job = <const transpose_t *> argument
    cdef Py_ssize_t n = block // job.strips, first = block % job.strips * STRIP, until = min(first + STRIP, job.columns)
    if job.single:
        transpose_strip(job, <const float *> job.x + n * job.x_n, <float *> job.y + n * job.y_n, first, until)
    else:
        transpose_strip(job, <const double *> job.x + n * job.x_n, <double *> job.y + n * job.y_n, first, until)


cdef void plan_transpose(transpose_t *job, Py_ssize_t n, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t itemsize,
                         int threads, ready_t *ready) noexcept:
    job.rows, job.columns, job.single = rows, columns, itemsize == 4
    job.x_row, job.y_row, job.x_n, job.y_n = columns, rows, rows * columns, rows * columns
    job.strips = (columns + STRIP - 1) // STRIP
    ready.block, ready.blocks = transpose_block, n * job.strips
    ready.threads = 1 if n * rows * columns < 1 << 16 else threads


cdef bint has_rows(cnp.ndarray array):
    """Whether each row of an array (N, rows, columns) is contiguous."""
    cdef Py_ssize_t item = array.itemsize
    if array.size == 0:
        return True
    return (array.shape[2] == 1 or array.strides[2] == item) and array.strides[0] % item == array.strides[1] % item == 0


def transpose(cnp.ndarray x, cnp.ndarray y, int threads):
    """Fill y (N, columns, rows) from x (N, rows, columns); both of one dtype of 4 or 8 bytes, each row contiguous."""
    cdef Py_ssize_t item = x.itemsize
    if item not in (4, 8) or x.dtype != y.dtype or x.ndim != 3 \
            or (<object> y).shape != (x.shape[0], x.shape[2], x.shape[1]) or not has_rows(x) or not has_rows(y):
        raise ValueError("transpose: arrays do not fit")
    cdef transpose_t job
    cdef ready_t ready
    plan_transpose(&job, x.shape[0], x.shape[1], x.shape[2], item, threads, &ready)
    job.x, job.x_n, job.x_row = cnp.PyArray_DATA(x), x.strides[0] // item, x.strides[1] // item
    job.y, job.y_n, job.y_row = cnp.PyArray_DATA(y), y.strides[0] // item, y.strides[1] // item
    if x.size:
        with nogil:
            run(ready.block, &job, ready.blocks, ready.threads)


cdef int once_transpose(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef transpose_t job
    memcpy(&job, ready.job, ready.job_size)
    job.x, job.y = x, y
    return DONE if run_blocks(ready.block, &job, ready.blocks, ready.threads) else STOPPED


cdef class Transpose(Kernel):
    """Transpose(n, rows, columns, itemsize, threads): `transpose` made ready for contiguous arrays of one size."""
    cdef transpose_t job

    def __init__(self, Py_ssize_t n, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t itemsize, int threads):
        plan_transpose(&self.job, n, rows, columns, itemsize, threads, &self.ready)
        self.ready.job, self.ready.job_size, self.ready.once = &self.job, sizeof(transpose_t), once_transpose

    def fill(self, cnp.ndarray x, bias, cnp.ndarray y, filters=None):
        """Fill y from x, both contiguous, of any shape. bias, filters: None."""
        self.fill_once(x, None, y, NULL)
