"""The compiled loops: one source, built once per instruction set. Imports nothing from pyconvx but its compiled parts.

Arrays arrive checked, as (N, D, H, W, C) with contiguous channels and any other strides; index tables arrive as Axis
objects. Every loop is cut into blocks that any thread may do, in any order, with the same bits.
"""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals, PyErr_Occurred
from libc.math cimport erfc as erfc64
from libc.math cimport erfcf as erfc32
from libc.math cimport INFINITY, ceil, cos, frexp, sin, sqrt
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from pyconvx._core._compiled cimport Compiled, foreign_t
from pyconvx._core._kernel cimport DONE, FLAGGED, STOPPED, Kernel, ready_t
from pyconvx._core._tables cimport AXES, Axis, axis_t
from pyconvx._core._tables cimport FIRST_MIX_CODE as FIRST_MIX
from pyconvx._core._tables cimport NOTHING_CODE as NOTHING
from pyconvx._core._tables cimport OUTSIDE_CODE as OUTSIDE
from pyconvx._core._threads cimport block_t, run, run_blocks, stop

cnp.import_array()

ctypedef fused real:
    float
    double

ctypedef fused element:
    float
    double
    cnp.int8_t
    cnp.uint8_t
    cnp.int16_t
    cnp.uint16_t
    cnp.int32_t
    cnp.uint32_t
    cnp.int64_t
    cnp.uint64_t

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

cdef extern from "tiles.h":
    enum:
        VECTOR_BYTES, LANES_F32, HALVES, TILE_FULL, TILE_SINGLE, TILE_VECTORS, MOST_PIECE, FOLD_F32, FOLD_F64
    Py_ssize_t panel_width(Py_ssize_t left, Py_ssize_t lanes) noexcept nogil
    void multiply_f32(Py_ssize_t height, Py_ssize_t width, const float **rows, const Py_ssize_t *tap, Py_ssize_t count,
                      Py_ssize_t offset, Py_ssize_t channels, const float *panel, const float *start,
                      Py_ssize_t start_step, float **to, Py_ssize_t first) noexcept nogil
    void multiply_f64(Py_ssize_t height, Py_ssize_t width, const double **rows, const Py_ssize_t *tap, Py_ssize_t count,
                      Py_ssize_t offset, Py_ssize_t channels, const double *panel, const double *start,
                      Py_ssize_t start_step, double **to, Py_ssize_t first) noexcept nogil
    void multiply_even_f32(Py_ssize_t height, Py_ssize_t width, const float **rows, Py_ssize_t apart,
                           const Py_ssize_t *tap, Py_ssize_t count, Py_ssize_t offset, Py_ssize_t channels,
                           const float *panel, const float *start, float *to, Py_ssize_t to_step,
                           bint past) noexcept nogil
    void multiply_even_f64(Py_ssize_t height, Py_ssize_t width, const double **rows, Py_ssize_t apart,
                           const Py_ssize_t *tap, Py_ssize_t count, Py_ssize_t offset, Py_ssize_t channels,
                           const double *panel, const double *start, double *to, Py_ssize_t to_step,
                           bint past) noexcept nogil
    enum:
        DOTS_ROWS, DOTS_FILTERS
    int DOTS_HEIGHT(Py_ssize_t filters) noexcept nogil
    void dots_f32(Py_ssize_t height, Py_ssize_t outputs, const float **rows, const Py_ssize_t *tap, Py_ssize_t count,
                  Py_ssize_t offset, Py_ssize_t channels, const float *filters, Py_ssize_t step,
                  float *sums) noexcept nogil
    void dots_f64(Py_ssize_t height, Py_ssize_t outputs, const double **rows, const Py_ssize_t *tap, Py_ssize_t count,
                  Py_ssize_t offset, Py_ssize_t channels, const double *filters, Py_ssize_t step,
                  double *sums) noexcept nogil
    float spoiled_f32(const float *x, Py_ssize_t n) noexcept nogil
    double spoiled_f64(const double *x, Py_ssize_t n) noexcept nogil
    void add_outer_f32(Py_ssize_t height, int vectors, const float **rows, Py_ssize_t count, Py_ssize_t offset,
                       const float *panel, double *total) noexcept nogil
    void add_outer_f64(Py_ssize_t height, int vectors, const double **rows, Py_ssize_t count, Py_ssize_t offset,
                       const double *panel, double *total) noexcept nogil
    void outer_f32(Py_ssize_t height, int vectors, const float **rows, Py_ssize_t count, Py_ssize_t offset,
                   const float *panel, float *sums) noexcept nogil
    void gather_f32(const float **rows, Py_ssize_t count, Py_ssize_t offset, Py_ssize_t valid, Py_ssize_t width,
                    float *panel) noexcept nogil
    void gather_f64(const double **rows, Py_ssize_t count, Py_ssize_t offset, Py_ssize_t valid, Py_ssize_t width,
                    double *panel) noexcept nogil
    Py_ssize_t spread_f32(Py_ssize_t height, Py_ssize_t vectors, const float **rows, Py_ssize_t count,
                          const float **others, const Py_ssize_t *at, float *sums) noexcept nogil
    Py_ssize_t spread_f64(Py_ssize_t height, Py_ssize_t vectors, const double **rows, Py_ssize_t count,
                          const double **others, const Py_ssize_t *at, double *sums) noexcept nogil
    Py_ssize_t lanes_at(Py_ssize_t c, Py_ssize_t channels, Py_ssize_t lanes) noexcept nogil
    enum:
        LEAST_PASSING
    const Py_ssize_t FAR
    ctypedef struct span_t "struct span":
        Py_ssize_t first, count, to_step, column, apart, tap, taps, tap_step, piece, between, stride, since
        size_t there
    ctypedef struct kernel_row_t "struct kernel_row":
        const void *x
        Py_ssize_t pixel, tap, a, b
    ctypedef struct taps_run_t "struct taps_run":
        pass
    void line_f32(const span_t *span, const kernel_row_t *rows, Py_ssize_t count, taps_run_t *runs,
                  const float *weights, Py_ssize_t all_taps, Py_ssize_t channels, const float *start,
                  float *to) noexcept nogil
    void line_f64(const span_t *span, const kernel_row_t *rows, Py_ssize_t count, taps_run_t *runs,
                  const double *weights, Py_ssize_t all_taps, Py_ssize_t channels, const double *start,
                  double *to) noexcept nogil
    void pair_f32(const span_t *span, const kernel_row_t *rows, const kernel_row_t *rows2, Py_ssize_t planes,
                  taps_run_t *runs, const float *weights, Py_ssize_t all_taps, Py_ssize_t channels, const float *start,
                  float *to, Py_ssize_t second) noexcept nogil
    void pair_f64(const span_t *span, const kernel_row_t *rows, const kernel_row_t *rows2, Py_ssize_t planes,
                  taps_run_t *runs, const double *weights, Py_ssize_t all_taps, Py_ssize_t channels,
                  const double *start, double *to, Py_ssize_t second) noexcept nogil
    void single_f32(Py_ssize_t height, const span_t *span, const float **x, const kernel_row_t *rows, Py_ssize_t count,
                    const float *weights, Py_ssize_t all_taps, Py_ssize_t channels, const float *start,
                    float **to) noexcept nogil
    void single_f64(Py_ssize_t height, const span_t *span, const double **x, const kernel_row_t *rows, Py_ssize_t count,
                    const double *weights, Py_ssize_t all_taps, Py_ssize_t channels, const double *start,
                    double **to) noexcept nogil
    void products_f32(const span_t *span, const kernel_row_t *rows, Py_ssize_t count, taps_run_t *runs,
                      const float *gy, Py_ssize_t all_taps, Py_ssize_t c, Py_ssize_t until, Py_ssize_t channels,
                      float *sums) noexcept nogil
    void products_f64(const span_t *span, const kernel_row_t *rows, Py_ssize_t count, taps_run_t *runs,
                      const double *gy, Py_ssize_t all_taps, Py_ssize_t c, Py_ssize_t until, Py_ssize_t channels,
                      double *sums) noexcept nogil
    void single_products_f32(Py_ssize_t height, const span_t *span, const float **x, const kernel_row_t *rows,
                             Py_ssize_t count, const float **gy, Py_ssize_t all_taps, Py_ssize_t c, Py_ssize_t until,
                             Py_ssize_t channels, float *sums) noexcept nogil
    void single_products_f64(Py_ssize_t height, const span_t *span, const double **x, const kernel_row_t *rows,
                             Py_ssize_t count, const double **gy, Py_ssize_t all_taps, Py_ssize_t c, Py_ssize_t until,
                             Py_ssize_t channels, double *sums) noexcept nogil
    void lay_columns_f32(const float **rows, Py_ssize_t offset, Py_ssize_t count, Py_ssize_t products, float *to,
                         Py_ssize_t width) noexcept nogil
    void lay_columns_f64(const double **rows, Py_ssize_t offset, Py_ssize_t count, Py_ssize_t products, double *to,
                         Py_ssize_t width) noexcept nogil
    void columns_f32(Py_ssize_t height, int vectors, const float **rows, Py_ssize_t offset, Py_ssize_t products,
                     const float *weights, Py_ssize_t apart, const float *start, float **to, bint past) noexcept nogil
    void columns_f64(Py_ssize_t height, int vectors, const double **rows, Py_ssize_t offset, Py_ssize_t products,
                     const double *weights, Py_ssize_t apart, const double *start, double **to,
                     bint past) noexcept nogil
    void PREFETCH(const void *address) noexcept nogil
    enum:
        LOWEST_STRIP, HIGHEST_STRIP, HIGHEST_STRIDED, WIDEST_STRIP, SKIPPING, MASKED_LOADS
    void planes_down_f32(int high, int down, int rise, const float **rows, const float *weights, Py_ssize_t taps,
                         Py_ssize_t height, Py_ssize_t apart, Py_ssize_t run0, Py_ssize_t run1, Py_ssize_t next,
                         Py_ssize_t o, Py_ssize_t until, float start, float **to) noexcept nogil
    void planes_down_f64(int high, int down, int rise, const double **rows, const double *weights, Py_ssize_t taps,
                         Py_ssize_t height, Py_ssize_t apart, Py_ssize_t run0, Py_ssize_t run1, Py_ssize_t next,
                         Py_ssize_t o, Py_ssize_t until, double start, double **to) noexcept nogil
    void lay_row_f32(const float *row, const Py_ssize_t *code, Py_ssize_t length, Py_ssize_t run0, Py_ssize_t run1,
                     float *to) noexcept nogil
    void lay_row_f64(const double *row, const Py_ssize_t *code, Py_ssize_t length, Py_ssize_t run0, Py_ssize_t run1,
                     double *to) noexcept nogil
    void planes_f32(int band, const float **rows, const float *weights, const int *first, const int *until,
                    const int *folds, Py_ssize_t entries, Py_ssize_t taps, Py_ssize_t apart, Py_ssize_t places,
                    float start, float **to) noexcept nogil
    void planes_f64(int band, const double **rows, const double *weights, const int *first, const int *until,
                    const int *folds, Py_ssize_t entries, Py_ssize_t taps, Py_ssize_t apart, Py_ssize_t places,
                    double start, double **to) noexcept nogil

cdef extern from "reductions.h":
    void extremum_f32(bint largest, const float **rows, Py_ssize_t count, Py_ssize_t channels, bint fresh,
                      Py_ssize_t places, Py_ssize_t apart, float *y, Py_ssize_t step) noexcept nogil
    void extremum_f64(bint largest, const double **rows, Py_ssize_t count, Py_ssize_t channels, bint fresh,
                      Py_ssize_t places, Py_ssize_t apart, double *y, Py_ssize_t step) noexcept nogil
    void winners_f32(bint largest, const float **rows, const cnp.int32_t *numbers, Py_ssize_t count,
                     Py_ssize_t channels, bint fresh, float *y, cnp.int32_t *number) noexcept nogil
    void winners_f64(bint largest, const double **rows, const cnp.int32_t *numbers, Py_ssize_t count,
                     Py_ssize_t channels, bint fresh, double *y, cnp.int32_t *number) noexcept nogil
    bint indices_f32(const float **rows, const cnp.int32_t *numbers, Py_ssize_t count, Py_ssize_t channels,
                     Py_ssize_t places, Py_ssize_t apart, Py_ssize_t gap, float *y, Py_ssize_t *index,
                     Py_ssize_t step) noexcept nogil
    bint indices_f64(const double **rows, const cnp.int32_t *numbers, Py_ssize_t count, Py_ssize_t channels,
                     Py_ssize_t places, Py_ssize_t apart, Py_ssize_t gap, double *y, Py_ssize_t *index,
                     Py_ssize_t step) noexcept nogil
    void sum_f32(const float **rows, Py_ssize_t count, Py_ssize_t channels, bint fresh, Py_ssize_t places,
                 Py_ssize_t apart, bint divided, float by, float *y, Py_ssize_t step) noexcept nogil
    void sum_f64(const double **rows, Py_ssize_t count, Py_ssize_t channels, bint fresh, Py_ssize_t places,
                 Py_ssize_t apart, bint divided, double by, double *y, Py_ssize_t step) noexcept nogil
    void phase_f32(const void *origin, Py_ssize_t readable, Py_ssize_t apart, Py_ssize_t group, Py_ssize_t count,
                   void *to) noexcept nogil
    void phase_f64(const void *origin, Py_ssize_t readable, Py_ssize_t apart, Py_ssize_t group, Py_ssize_t count,
                   void *to) noexcept nogil
    enum:
        PLANE_MAX, PLANE_MIN, PLANE_SUM
    void plane_row_f32(int task, Py_ssize_t rise, const float **rows, Py_ssize_t count, Py_ssize_t length, float *line,
                       Py_ssize_t room, Py_ssize_t taps, Py_ssize_t places, Py_ssize_t before, float *y) noexcept nogil
    void plane_row_f64(int task, Py_ssize_t rise, const double **rows, Py_ssize_t count, Py_ssize_t length,
                       double *line, Py_ssize_t room, Py_ssize_t taps, Py_ssize_t places, Py_ssize_t before,
                       double *y) noexcept nogil
    void plane_shares_f32(const float **taps, const cnp.int32_t **won, const cnp.int32_t *numbers, Py_ssize_t count,
                          Py_ssize_t length, float *to) noexcept nogil
    void plane_shares_f64(const double **taps, const cnp.int32_t **won, const cnp.int32_t *numbers, Py_ssize_t count,
                          Py_ssize_t length, double *to) noexcept nogil
    void join_phases_f32(const float *phases, Py_ssize_t apart, Py_ssize_t rise, Py_ssize_t before, Py_ssize_t length,
                         float *y) noexcept nogil
    void join_phases_f64(const double *phases, Py_ssize_t apart, Py_ssize_t rise, Py_ssize_t before, Py_ssize_t length,
                         double *y) noexcept nogil
    void merge_f32(bint largest, const float **rows, const cnp.int32_t **numbers, cnp.int32_t first,
                   Py_ssize_t count, Py_ssize_t length, bint fresh, float *y, cnp.int32_t *number) noexcept nogil
    void merge_f64(bint largest, const double **rows, const cnp.int32_t **numbers, cnp.int32_t first,
                   Py_ssize_t count, Py_ssize_t length, bint fresh, double *y, cnp.int32_t *number) noexcept nogil
    enum:
        SUM_PLAIN, SUM_DEVIATIONS, SUM_SIZES, SUM_SQUARES, SUM_POWERS, SUM_SHARES, SUM_WEIGHTED
        SLOPE_SIGN, SLOPE_RATIO, SLOPE_POWER, SLOPE_DEVIATION, SLOPE_SHARE, SLOPE_WEIGHTED
        MOST_SORTED, MOST_PAIRS, MOST_WHOLE
    void top_f32(bint deviation, const float **rows, Py_ssize_t count, Py_ssize_t channels, bint fresh,
                 const float *center, float *top) noexcept nogil
    void top_f64(bint deviation, const double **rows, Py_ssize_t count, Py_ssize_t channels, bint fresh,
                 const double *center, double *top) noexcept nogil
    void factors_f32(const float *top, Py_ssize_t channels, float *factor) noexcept nogil
    void factors_f64(const double *top, Py_ssize_t channels, double *factor) noexcept nogil
    void bases_f32(const float *top, Py_ssize_t channels, float *scale) noexcept nogil
    void bases_f64(const double *top, Py_ssize_t channels, double *scale) noexcept nogil
    void norm_f32(const float *factor, const float *sum, float divisor, Py_ssize_t channels, float *y) noexcept nogil
    void norm_f64(const double *factor, const double *sum, double divisor, Py_ssize_t channels,
                  double *y) noexcept nogil
    void sums_f32(int statistic, const float **rows, Py_ssize_t count, Py_ssize_t channels, const float *center,
                  const float *scale, float parameter, float *sum, float *weighted) noexcept nogil
    void sums_f64(int statistic, const double **rows, Py_ssize_t count, Py_ssize_t channels, const double *center,
                  const double *scale, double parameter, double *sum, double *weighted) noexcept nogil
    void root_f32(const float *scale, const float *sum, float inverse, Py_ssize_t channels, float *y) noexcept nogil
    void root_f64(const double *scale, const double *sum, double inverse, Py_ssize_t channels,
                  double *y) noexcept nogil
    void raised_f32(const float *top, const float *sum, float temperature, Py_ssize_t channels,
                    float *y) noexcept nogil
    void raised_f64(const double *top, const double *sum, double temperature, Py_ssize_t channels,
                    double *y) noexcept nogil
    bint quick_f32(int statistic, const float **rows, const float **powers, Py_ssize_t count, Py_ssize_t channels,
                   bint again, float parameter, float inverse, float *y) noexcept nogil
    bint quick_f64(int statistic, const double **rows, const double **powers, Py_ssize_t count, Py_ssize_t channels,
                   bint again, double parameter, double inverse, double *y) noexcept nogil
    void exponentials_f32(const float *x, Py_ssize_t count, float temperature, float inverse, float *y) noexcept nogil
    void exponentials_f64(const double *x, Py_ssize_t count, double temperature, double inverse,
                          double *y) noexcept nogil
    Py_ssize_t sorting_network(Py_ssize_t count, Py_ssize_t low, Py_ssize_t high, unsigned char *pairs) noexcept nogil
    void median_of_4_f32(const float **rows, Py_ssize_t channels, float *y) noexcept nogil
    void median_of_4_f64(const double **rows, Py_ssize_t channels, double *y) noexcept nogil
    void median_of_9_f32(const float **rows, Py_ssize_t channels, float *y) noexcept nogil
    void median_of_9_f64(const double **rows, Py_ssize_t channels, double *y) noexcept nogil
    void rank_f32(const float **rows, const cnp.int32_t *numbers, Py_ssize_t count, const unsigned char *pairs,
                  Py_ssize_t length, Py_ssize_t channels, Py_ssize_t low, Py_ssize_t high, float weight, float *y,
                  cnp.int32_t *lower, cnp.int32_t *upper) noexcept nogil
    void rank_f64(const double **rows, const cnp.int32_t *numbers, Py_ssize_t count, const unsigned char *pairs,
                  Py_ssize_t length, Py_ssize_t channels, Py_ssize_t low, Py_ssize_t high, double weight, double *y,
                  cnp.int32_t *lower, cnp.int32_t *upper) noexcept nogil
    void slope_f32(int slope, const float *w, const float *gy, const float *y, const float *center, const float *scale,
                   float parameter, float inverse, Py_ssize_t channels, float *part) noexcept nogil
    void slope_f64(int slope, const double *w, const double *gy, const double *y, const double *center,
                   const double *scale, double parameter, double inverse, Py_ssize_t channels,
                   double *part) noexcept nogil
    void add_f32(float *to, const float *origin, Py_ssize_t channels) noexcept nogil
    void add_f64(double *to, const double *origin, Py_ssize_t channels) noexcept nogil
    void add_won_f32(float *to, const float *origin, const cnp.int32_t *winner, cnp.int32_t tap,
                     Py_ssize_t channels, bint fresh) noexcept nogil
    void add_won_f64(double *to, const double *origin, const cnp.int32_t *winner, cnp.int32_t tap,
                     Py_ssize_t channels, bint fresh) noexcept nogil
    void scaled_winners_f32(bint rectified, const float **rows, const cnp.int32_t *numbers, Py_ssize_t count,
                            Py_ssize_t channels, const float **scale, float *y, cnp.int32_t *number,
                            float *value) noexcept nogil
    void scaled_winners_f64(bint rectified, const double **rows, const cnp.int32_t *numbers, Py_ssize_t count,
                            Py_ssize_t channels, const double **scale, double *y, cnp.int32_t *number,
                            double *value) noexcept nogil
    void scaled_slope_f32(const float *x, const float *gy, const cnp.int32_t *winner, cnp.int32_t tap,
                          Py_ssize_t channels, const float **scale, float *gx) noexcept nogil
    void scaled_slope_f64(const double *x, const double *gy, const cnp.int32_t *winner, cnp.int32_t tap,
                          Py_ssize_t channels, const double **scale, double *gx) noexcept nogil

ISA = "avx512" if VECTOR_BYTES == 64 else "avx2" if VECTOR_BYTES == 32 else "baseline"
LANES = {"float32": VECTOR_BYTES // 4, "float64": VECTOR_BYTES // 8}
TILE_ROWS = TILE_FULL
LEAST_LANES = {name: lanes // 2 if HALVES else lanes for name, lanes in LANES.items()}     # of the narrowest vectors

include "border.pxi"
include "source.pxi"
include "scratch.pxi"
include "foreign.pxi"
include "activate.pxi"
include "task.pxi"
include "transpose.pxi"
include "lines.pxi"
include "panels.pxi"
include "conv.pxi"
include "dots.pxi"
include "strips.pxi"
include "bands.pxi"
include "winograd_tiles.pxi"
include "winograd_filters.pxi"
include "winograd.pxi"
include "winograd_lots.pxi"
include "winograd_fused.pxi"
include "spans.pxi"
include "depthwise.pxi"
include "planes.pxi"
include "plane_strips.pxi"
include "columns.pxi"
include "fft.pxi"
include "filters.pxi"
include "depthwise_gradient.pxi"
include "winograd_gradient.pxi"
include "pool.pxi"
include "flat_pool.pxi"
include "plane_pool.pxi"
include "plane_gradient.pxi"
include "pooling.pxi"
include "window_rows.pxi"
include "statistics.pxi"
include "pool_gradient.pxi"
include "scaled_pool.pxi"
include "foreign_pool.pxi"
include "windows.pxi"
include "rows.pxi"
include "channels.pxi"
