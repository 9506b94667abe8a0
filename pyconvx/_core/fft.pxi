# Convolution by Fourier transforms, for large kernels on single channels: stride 1 on the last two axes.
#
# The result is cut into tiles. What a tile reads, a little more than itself, is transformed, multiplied by the spectrum
# of a filter and transformed back ("overlap-save"); two tiles are the real and the imaginary part of one transform.
# Inputs are found through the same tables as everywhere, so any padding mode works. A pair of tiles that holds what the
# transform would spread over all of its places, an infinity, a NaN or the rounding of an element far larger than usual
# ones, is reported, for another algorithm to do again.

cdef extern from "ffts.h":
    enum:
        PANEL, FFT_LAST
    ctypedef struct fft_sizes:
        pass
    int fft_radix(Py_ssize_t length) noexcept nogil
    void fft_forth_f32(float *z, Py_ssize_t length, const float *w) noexcept nogil
    void fft_forth_f64(double *z, Py_ssize_t length, const double *w) noexcept nogil
    void fft_back_f32(float *z, Py_ssize_t length, const float *w) noexcept nogil
    void fft_back_f64(double *z, Py_ssize_t length, const double *w) noexcept nogil
    void fft_columns_f32(float *z, Py_ssize_t length, const float *w) noexcept nogil
    void fft_columns_f64(double *z, Py_ssize_t length, const double *w) noexcept nogil
    void fft_columns_back_f32(float *z, Py_ssize_t length, const float *w) noexcept nogil
    void fft_columns_back_f64(double *z, Py_ssize_t length, const double *w) noexcept nogil
    void fft_product_f32(const float *z, const float *h, float *to, Py_ssize_t length) noexcept nogil
    void fft_product_f64(const double *z, const double *h, double *to, Py_ssize_t length) noexcept nogil
    void fft_put_f32(const float *row, Py_ssize_t count, Py_ssize_t panels, float *z, Py_ssize_t apart,
                     fft_sizes *sizes) noexcept nogil
    void fft_put_f64(const double *row, Py_ssize_t count, Py_ssize_t panels, double *z, Py_ssize_t apart,
                     fft_sizes *sizes) noexcept nogil
    double fft_squares_f32(const fft_sizes *sizes) noexcept nogil
    double fft_squares_f64(const fft_sizes *sizes) noexcept nogil
    bint fft_small_f32(const fft_sizes *sizes, double mean_square) noexcept nogil
    bint fft_small_f64(const fft_sizes *sizes, double mean_square) noexcept nogil
    void fft_turn_f32(const float *z, Py_ssize_t z_step, float *to, Py_ssize_t to_step,
                      Py_ssize_t squares) noexcept nogil
    void fft_turn_f64(const double *z, Py_ssize_t z_step, double *to, Py_ssize_t to_step,
                      Py_ssize_t squares) noexcept nogil
    int fft_take_f32(const float *z, Py_ssize_t rows, Py_ssize_t columns, float scale, float start, float *y,
                     Py_ssize_t row_step, Py_ssize_t step) noexcept nogil
    int fft_take_f64(const double *z, Py_ssize_t rows, Py_ssize_t columns, double scale, double start, double *y,
                     Py_ssize_t row_step, Py_ssize_t step) noexcept nogil


cdef object turns_of(Py_ssize_t length, dtype):
    """The twiddles of all stages of a transform but the last: [stage][row][1 ... radix - 1] (cosine, sine)."""
    cdef double angle, pi = 3.14159265358979323846
    cdef cnp.ndarray turns = np.empty(4 * length, np.float64)       # a stage has less than two for each row
    cdef double *turn = <double *> cnp.PyArray_DATA(turns)
    cdef Py_ssize_t row, k, count = 0
    cdef int radix
    while length > FFT_LAST:
        radix = fft_radix(length)
        for row in range(length // radix):
            for k in range(1, radix):
                angle = -2 * pi * (row * k) / length
                turn[count], turn[count + 1] = cos(angle), sin(angle)
                count += 2
        length //= radix
    return turns[:count].astype(dtype)


cdef class Spectra:
    """Spectra(weights, taps, steps, tile, packing): what transforms of x are multiplied with:
    [filter][panel][row][part][column].

    weights: (F, taps), contiguous. taps, steps: of the last two axes, how far apart they lie in the index tables, below
    0 if in reverse. tile: lengths of the transforms on these axes, multiples of PANEL. `packing` as for Panels.
    """
    cdef Py_ssize_t taps[2]
    cdef Py_ssize_t steps[2]
    cdef Py_ssize_t tile[2]
    cdef readonly Py_ssize_t size           # elements for one filter
    cdef object memory
    cdef object turns0, turns1              # twiddles
    cdef void *data

    def __init__(self, cnp.ndarray weights, tuple taps, tuple steps, tuple tile, bint packing=True):
        for i in range(2):
            self.taps[i], self.steps[i], self.tile[i] = taps[i], steps[i], tile[i]
            if self.tile[i] % PANEL or self.tile[i] < (self.taps[i] - 1) * abs(self.steps[i]) + 1:
                raise ValueError("a transform is too short, or not a multiple of a panel")
        self.turns0, self.turns1 = turns_of(self.tile[0], weights.dtype), turns_of(self.tile[1], weights.dtype)
        self.size = 2 * self.tile[0] * self.tile[1]
        if not packing:
            return
        cdef Py_ssize_t bytes = weights.shape[0] * self.size * weights.itemsize
        self.memory = np.empty(bytes + 64, np.uint8)
        self.data = <void *> ((<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64)
        cdef _Scratch scratch = _Scratch(self.size * weights.itemsize, 1)
        cdef void *turns0 = cnp.PyArray_DATA(<cnp.ndarray> self.turns0)
        cdef void *turns1 = cnp.PyArray_DATA(<cnp.ndarray> self.turns1)
        cdef Py_ssize_t count = weights.shape[0]
        cdef bint single = weights.itemsize == 4
        cdef void *given = cnp.PyArray_DATA(weights)
        with nogil:
            if single:
                self.transform(count, <const float *> given, <const float *> turns0, <const float *> turns1,
                               <float *> scratch.first)
            else:
                self.transform(count, <const double *> given, <const double *> turns0, <const double *> turns1,
                               <double *> scratch.first)

    cdef void transform(self, Py_ssize_t count, const real *weights, const real *turns0, const real *turns1,
                        real *z) noexcept nogil:
        cdef Py_ssize_t panel0 = 2 * PANEL * self.tile[0], panel1 = 2 * PANEL * self.tile[1]
        cdef Py_ssize_t f, i, j, row, column, panel
        cdef real *h = <real *> self.data
        for f in range(count):
            memset(z, 0, self.size * sizeof(real))
            for i in range(self.taps[0]):
                row = i * self.steps[0] - min((self.taps[0] - 1) * self.steps[0], 0)
                for j in range(self.taps[1]):
                    column = j * self.steps[1] - min((self.taps[1] - 1) * self.steps[1], 0)
                    z[column // PANEL * panel0 + row * 2 * PANEL + column % PANEL] = weights[0]
                    weights += 1
            for panel in range(self.tile[1] // PANEL):
                if real is float:
                    fft_columns_f32(z + panel * panel0, self.tile[0], turns0)
                else:
                    fft_columns_f64(z + panel * panel0, self.tile[0], turns0)
            for panel in range(self.tile[0] // PANEL):
                if real is float:
                    fft_turn_f32(z + panel * 2 * PANEL * PANEL, panel0, h, 2 * PANEL * PANEL, self.tile[1] // PANEL)
                    fft_columns_f32(h, self.tile[1], turns1)
                else:
                    fft_turn_f64(z + panel * 2 * PANEL * PANEL, panel0, h, 2 * PANEL * PANEL, self.tile[1] // PANEL)
                    fft_columns_f64(h, self.tile[1], turns1)
                for row in range(self.tile[1]):     # windows are read forwards: the conjugate
                    for column in range(PANEL):
                        h[(2 * row + 1) * PANEL + column] = -h[(2 * row + 1) * PANEL + column]
                h += panel1

    @property
    def nbytes(self):
        """Bytes held."""
        return 0 if self.memory is None else self.memory.nbytes


cdef struct fft_t:
    task_t task
    const void *spectra
    const void *turns[2]
    Py_ssize_t size                 # elements of a spectrum
    Py_ssize_t groups, outputs
    Py_ssize_t tile[2]              # lengths of the transforms on the last two axes
    Py_ssize_t reach[2]             # positions that a place reads there
    Py_ssize_t step[2]              # places from a tile to the next
    Py_ssize_t tiles[2]
    Py_ssize_t all_tiles
    unsigned char *flagged          # [block]
    Py_ssize_t line_at, kept_at, product_at, mix_at


cdef void fft_block(real *kind, const fft_t *job, Py_ssize_t block, int worker) noexcept nogil:
    cdef const source_t *s = &job.task.source
    cdef const axis_t *middle = &s.axis[1]
    cdef const axis_t *last = &s.axis[2]
    cdef char *scratch = job.task.scratch + worker * job.task.scratch_size
    cdef real *z = <real *> scratch
    cdef real *line = <real *> (scratch + job.line_at)
    cdef real *kept = <real *> (scratch + job.kept_at)
    cdef real *product = <real *> (scratch + job.product_at)
    cdef real *mix = <real *> (scratch + job.mix_at)
    cdef const real *turns0 = <const real *> job.turns[0]
    cdef const real *turns1 = <const real *> job.turns[1]
    cdef const real *h
    cdef const real *row
    cdef Py_ssize_t group = block % job.groups, pair = block // job.groups
    cdef Py_ssize_t rows = job.tile[0], columns = job.tile[1], panels = columns // PANEL, used = 0
    cdef Py_ssize_t panel0 = rows * 2 * PANEL, panel1 = columns * 2 * PANEL, square = 2 * PANEL * PANEL
    cdef Py_ssize_t height[2]
    cdef Py_ssize_t width[2]
    cdef real *y[2]
    cdef const Py_ssize_t *code1
    cdef const Py_ssize_t *code2
    cdef const real *image
    cdef fft_sizes sizes[2]
    cdef Py_ssize_t t, q, r, a, b, oh, ow, f, p, run0, run1, there0, there1
    cdef real scale = <real> (1.0 / (<double> rows * columns)), start
    cdef double mean_square
    cdef bint in_place, usual, finite = True
    memset(sizes, 0, sizeof(sizes))
    for t in range(2):
        q = 2 * pair + t
        height[t] = width[t] = there0 = there1 = run0 = run1 = a = 0
        code1 = code2 = NULL
        image = NULL
        y[t] = NULL
        if q < job.all_tiles:
            ow = q % job.tiles[1] * job.step[1]
            q //= job.tiles[1]
            oh = q % job.tiles[0] * job.step[0]
            q //= job.tiles[0]
            a = s.axis[0].code[s.axis[0].row[q % s.axis[0].length]]
            height[t], width[t] = min(job.step[0], middle.length - oh), min(job.step[1], last.length - ow)
            there0, there1 = height[t] + job.reach[0] - 1, width[t] + job.reach[1] - 1
            code1 = middle.code + middle.row[oh] + min(middle.step * (middle.taps - 1), 0)
            code2 = last.code + last.row[ow] + min(last.step * (last.taps - 1), 0)
            longest_run(code2, there1, &run0, &run1)
            image = <const real *> job.task.x + q // s.axis[0].length * s.stride_n
            y[t] = <real *> job.task.y + q // s.axis[0].length * job.task.y_n \
                + s.axis[0].place[q % s.axis[0].length] * job.task.y_stride[0] \
                + oh * job.task.y_stride[1] + ow * job.task.y_stride[2] + group * job.outputs
        in_place = run0 == 0 and run1 == there1 and s.stride[2] == 1
        for r in range(rows):
            row = line
            if r < there0:
                b = code1[r]
                if (a | b) >= 0 and in_place:
                    row = image + a * s.stride[0] + b * s.stride[1] + code2[0] + group
                else:
                    lay_line(&job.task, image, a, b, code2, there1, run0, run1, group, 1, line, 1, 1, mix)
            if real is float:
                fft_put_f32(row, there1 if r < there0 else 0, panels, z + (2 * r + t) * PANEL, panel0, &sizes[t])
            else:
                fft_put_f64(row, there1 if r < there0 else 0, panels, z + (2 * r + t) * PANEL, panel0, &sizes[t])
        used = max(used, (width[t] + PANEL - 1) // PANEL)
    if real is float:
        mean_square = (fft_squares_f32(&sizes[0]) + fft_squares_f32(&sizes[1])) * scale / 2
        usual = not (fft_small_f32(&sizes[0], mean_square) or fft_small_f32(&sizes[1], mean_square))
    else:
        mean_square = (fft_squares_f64(&sizes[0]) + fft_squares_f64(&sizes[1])) * scale / 2
        usual = not (fft_small_f64(&sizes[0], mean_square) or fft_small_f64(&sizes[1], mean_square))
    if not usual:
        job.flagged[block] = 1
        return
    for p in range(panels):
        if real is float:
            fft_columns_f32(z + p * panel0, rows, turns0)
        else:
            fft_columns_f64(z + p * panel0, rows, turns0)
    for f in range(job.outputs):
        h = <const real *> job.spectra + (group * job.outputs + f) * job.size
        for p in range(rows // PANEL):
            if real is float:
                if f == 0:
                    fft_turn_f32(z + p * square, panel0, kept, square, panels)
                    fft_forth_f32(kept, columns, turns1)
                fft_product_f32(kept, h, product, columns)
                fft_back_f32(product, columns, turns1)
                fft_turn_f32(product, square, z + p * square, panel0, used)
            else:
                if f == 0:
                    fft_turn_f64(z + p * square, panel0, kept, square, panels)
                    fft_forth_f64(kept, columns, turns1)
                fft_product_f64(kept, h, product, columns)
                fft_back_f64(product, columns, turns1)
                fft_turn_f64(product, square, z + p * square, panel0, used)
            h += panel1
            if job.outputs > 1:     # the transform of x serves all filters of the group
                kept += panel1
        kept = <real *> (scratch + job.kept_at)
        start = 0 if job.task.bias == NULL else (<const real *> job.task.bias)[group * job.outputs + f]
        for p in range(used):
            if real is float:
                fft_columns_back_f32(z + p * panel0, rows, turns0)
            else:
                fft_columns_back_f64(z + p * panel0, rows, turns0)
            for t in range(2):
                if width[t] <= p * PANEL:
                    continue
                if real is float:
                    finite &= fft_take_f32(
                        z + p * panel0 + t * PANEL, height[t], min(<Py_ssize_t> PANEL, width[t] - p * PANEL), scale,
                        start, y[t] + f + p * PANEL * job.task.y_stride[2], job.task.y_stride[1], job.task.y_stride[2])
                else:
                    finite &= fft_take_f64(
                        z + p * panel0 + t * PANEL, height[t], min(<Py_ssize_t> PANEL, width[t] - p * PANEL), scale,
                        start, y[t] + f + p * PANEL * job.task.y_stride[2], job.task.y_stride[1], job.task.y_stride[2])
    if not finite:
        job.flagged[block] = 1


cdef void fft_block_f32(void *job, Py_ssize_t block, int worker) noexcept nogil:
    fft_block(<float *> NULL, <const fft_t *> job, block, worker)


cdef void fft_block_f64(void *job, Py_ssize_t block, int worker) noexcept nogil:
    fft_block(<double *> NULL, <const fft_t *> job, block, worker)


cdef int once_fft(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef fft_t job
    cdef int status
    memcpy(&job, ready.job, ready.job_size)
    job.flagged = <unsigned char *> (scratch + rounded(job.task.scratch_size) * ready.threads)
    memset(job.flagged, 0, ready.blocks)
    status = run_task(ready, &job.task, x, bias, y, scratch)
    return status if status != DONE or all_zero(job.flagged, ready.blocks) else FLAGGED


cdef class Fft(Convolution):
    """Fft(x, spectra, groups, y, axes, constants, threads): for one channel per group and one tap on the first axis.

    Places of the last two axes must follow one another in their tables. `fill` returns None, or uint8 (pairs, groups)
    not 0 for the pairs of tiles that must be done again by another algorithm: tiles 2 i and 2 i + 1 of (N, places of
    the first axis, rows of tiles, columns of tiles), each as many places long as a transform has more than the reach.
    """
    cdef fft_t job
    cdef Spectra spectra

    def __init__(self, cnp.ndarray x, Spectra spectra, Py_ssize_t groups, cnp.ndarray y, tuple axes,
                 cnp.ndarray constants, int threads):
        cdef fft_t *job = &self.job
        cdef Py_ssize_t filters = y.shape[AXES + 1], item = x.itemsize
        self.begin(job, sizeof(fft_t), x, y, axes, constants, threads,
                   1.0 * filters * spectra.taps[0] * spectra.taps[1])
        self.spectra = spectra
        job.spectra, job.size = spectra.data, spectra.size
        job.turns[0] = cnp.PyArray_DATA(<cnp.ndarray> spectra.turns0)
        job.turns[1] = cnp.PyArray_DATA(<cnp.ndarray> spectra.turns1)
        job.groups, job.outputs = groups, filters // groups
        job.all_tiles = job.task.source.batch * job.task.source.axis[0].length
        for i in range(2):
            job.tile[i] = spectra.tile[i]
            job.reach[i] = (spectra.taps[i] - 1) * abs(spectra.steps[i]) + 1
            job.step[i] = job.tile[i] - job.reach[i] + 1
            job.tiles[i] = (job.task.source.axis[i + 1].length + job.step[i] - 1) // job.step[i]
            job.all_tiles *= job.tiles[i]
            if job.task.source.axis[i + 1].taps != spectra.taps[i] or \
                    job.task.source.axis[i + 1].step != spectra.steps[i]:
                raise ValueError("spectra: the filters do not fit")
        cdef Py_ssize_t panel = 2 * PANEL * job.tile[1] * item
        job.line_at = rounded(job.size * item)
        job.kept_at = job.line_at + rounded(job.tile[1] * item)
        job.product_at = job.kept_at
        if job.outputs > 1:
            job.product_at += job.tile[0] // PANEL * panel
        job.mix_at = job.product_at + panel
        job.task.scratch_size = job.mix_at + rounded(job.task.source.channels * item)
        self.end(fft_block_f32 if item == 4 else fft_block_f64, (job.all_tiles + 1) // 2 * groups)
        self.ready.once = once_fft
        self.ready.scratch += self.ready.blocks

    def pack(self, cnp.ndarray filters):
        cdef Spectra mine = self.spectra
        return Spectra(
            filters.reshape((filters.shape[0], -1)), tuple(mine.taps), tuple(mine.steps), tuple(mine.tile))

    cdef int use(self, void *job, packed) except -1:
        (<fft_t *> job).spectra = (<Spectra?> packed).data
        return 0

    def fill(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, filters=None,
             Border border=None):
        cdef fft_t job
        memcpy(&job, self.ready.job, self.ready.job_size)
        if self.ready.blocks == 0:
            return None
        packed = self.packed(&job, filters)
        flagged = np.zeros((self.ready.blocks // job.groups, job.groups), np.uint8)
        job.flagged = <unsigned char *> cnp.PyArray_DATA(<cnp.ndarray> flagged)
        self.run(&job, x, bias, y, border)
        return flagged if flagged.any() else None
