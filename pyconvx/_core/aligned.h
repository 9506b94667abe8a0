/* Memory of results that starts with a line of the cache: vectors are then written to one line, not to two.
   The line is found within what malloc gives: a C library's own function for that splits its blocks, and those of one
   size are then not used again, but taken from the system anew at every call. */
#ifndef PYCONVX_ALIGNED_H
#define PYCONVX_ALIGNED_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define ALIGNED_LINE 64
#define ALIGNED_ROOM (ALIGNED_LINE + sizeof(void *)) /* for what lies before the line: the block's own address */
#define ALIGNED_HUGE (1 << 22) /* bytes from which numpy asks for huge pages, too */
#define ALIGNED_PAGE 4096

static char *aligned_in(void *block)
{
    char *last = (char *)block + ALIGNED_ROOM;
    return last - (uintptr_t)last % ALIGNED_LINE;
}

static void *aligned_block(const void *memory)
{
    return ((void *const *)memory)[-1];
}

static void *aligned_mark(void *block)
{
    if (block == NULL) return NULL;
    char *memory = aligned_in(block);
    ((void **)memory)[-1] = block;
    return memory;
}

static void *aligned_new(void *context, size_t size)
{
    (void)context;
    if (size > SIZE_MAX - ALIGNED_ROOM) return NULL;
    void *memory = aligned_mark(malloc(size + ALIGNED_ROOM));
#if defined(MADV_HUGEPAGE)
    if (memory != NULL && size >= ALIGNED_HUGE) {
        const size_t lost = ALIGNED_PAGE - (uintptr_t)memory % ALIGNED_PAGE;
        madvise((char *)memory + lost, size - lost, MADV_HUGEPAGE); /* a wish, which may fail */
    }
#endif
    return memory;
}

static void *aligned_zeros(void *context, size_t count, size_t size)
{
    (void)context;
    if (size && count > (SIZE_MAX - ALIGNED_ROOM) / size) return NULL;
    return aligned_mark(calloc(1, count * size + ALIGNED_ROOM));
}

static void *aligned_again(void *context, void *memory, size_t size)
{
    if (memory == NULL) return aligned_new(context, size);
    if (size > SIZE_MAX - ALIGNED_ROOM) return NULL;
    const size_t before = (size_t)((char *)memory - (char *)aligned_block(memory));
    char *block = realloc(aligned_block(memory), size + ALIGNED_ROOM);
    if (block == NULL) return NULL;
    memmove(aligned_in(block), block + before, size); /* the line may lie elsewhere in the new block */
    return aligned_mark(block);
}

static void aligned_free(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    if (memory != NULL) free(aligned_block(memory));
}

static PyDataMem_Handler aligned_handler = {
    "pyconvx", 1, {NULL, aligned_new, aligned_zeros, aligned_again, aligned_free}};

#endif
