/* Functions that plugins bring along: how they are called, and how one of them tells that it failed. */
#ifndef PYCONVX_FOREIGN_H
#define PYCONVX_FOREIGN_H
#include <limits.h>
#include <stddef.h>

/* What a function is, which tells how it is called; `user` is its own data, or the parameters of the plugin. */
enum foreign_form {
    FOREIGN_NONE,
    FOREIGN_ROW,         /* void (const T *x, T *y, ptrdiff_t n, void *user): y = activation or derivative of x */
    FOREIGN_CHECKED_ROW, /* int, of the same arguments: 0, or anything else for failure */
    FOREIGN_WINDOW,      /* int (double *w, ptrdiff_t taps, double *y, void *user), of scipy.ndimage: 0 for failure */
    FOREIGN_ROWS,        /* int (const T *const *rows, ptrdiff_t taps, T *y, ptrdiff_t n, void *user) */
    FOREIGN_SLOPES       /* int (const T *const *rows, ptrdiff_t taps, const T *y, T *const *slopes, ptrdiff_t n,
                            void *user) */
};

typedef void (*foreign_row_t)(const void *x, void *y, ptrdiff_t n, void *user);
typedef int (*foreign_checked_row_t)(const void *x, void *y, ptrdiff_t n, void *user);
typedef int (*foreign_window_t)(double *w, ptrdiff_t taps, double *y, void *user);
typedef int (*foreign_rows_t)(const void *const *rows, ptrdiff_t taps, void *y, ptrdiff_t n, void *user);
typedef int (*foreign_slopes_t)(const void *const *rows, ptrdiff_t taps, const void *y, void *const *slopes,
                                ptrdiff_t n, void *user);

#define FOREIGN_REFUSED INT_MIN /* stands for the failure of a FOREIGN_WINDOW */

/* Threads share a place for failures. */
#if defined(__GNUC__)
static inline void fail(int *failure, int status) { __atomic_store_n(failure, status, __ATOMIC_RELAXED); }
static inline int failed(const int *failure) { return __atomic_load_n(failure, __ATOMIC_RELAXED); }
#else
static inline void fail(int *failure, int status) { *(volatile int *)failure = status; }
static inline int failed(const int *failure) { return *(const volatile int *)failure; }
#endif
#endif
