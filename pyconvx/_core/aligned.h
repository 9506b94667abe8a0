/* Memory of results that starts with a line of the cache: vectors are then written to one line, not to two. */
#ifndef PYCONVX_ALIGNED_H
#define PYCONVX_ALIGNED_H
#include <stdint.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define ALIGNED_LINE 64
#define ALIGNED_HUGE (1 << 22) /* bytes from which numpy asks for huge pages, too */
#define ALIGNED_PAGE 4096

static void *aligned_new(void *context, size_t size)
{
    (void)context;
#if defined(_WIN32)
    return malloc(size ? size : 1);
#else
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNED_LINE, size ? size : 1)) return NULL;
#if defined(MADV_HUGEPAGE)
    if (size >= ALIGNED_HUGE) {
        const size_t lost = ALIGNED_PAGE - (uintptr_t)memory % ALIGNED_PAGE;
        madvise((char *)memory + lost, size - lost, MADV_HUGEPAGE); /* a wish, which may fail */
    }
#endif
    return memory;
#endif
}

static void *aligned_zeros(void *context, size_t count, size_t size)
{
    (void)context;
    return calloc(count, size);
}

static void *aligned_again(void *context, void *memory, size_t size)
{
    (void)context;
    return realloc(memory, size ? size : 1);
}

static void aligned_free(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static PyDataMem_Handler aligned_handler = {
    "pyconvx", 1, {NULL, aligned_new, aligned_zeros, aligned_again, aligned_free}};

#endif
