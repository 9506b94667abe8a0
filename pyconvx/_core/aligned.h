/* Memory of results that starts with a line of the cache: vectors are then written to one line, not to two.
   The line is found within what malloc gives: a C library's own function for that splits its blocks, and those of one
   size are then not used again, but taken from the system anew at every call. Some large blocks that are freed are kept
   for arrays to come: what goes back to the system comes anew page by page, which may take longer than to fill it. */
#ifndef PYCONVX_ALIGNED_H
#define PYCONVX_ALIGNED_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define ALIGNED_LINE 64
/* For what lies before the line: the size and the address of the block. */
#define ALIGNED_ROOM (ALIGNED_LINE + 2 * sizeof(void *))
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

static void *aligned_mark(void *block, size_t size)
{
    if (block == NULL) return NULL;
    char *memory = aligned_in(block);
    ((void **)memory)[-1] = block;
    ((size_t *)memory)[-2] = size;
    return memory;
}

/* Blocks that are kept, the newest last. Where another thread is looking at them, a block is taken from malloc, or freed,
   as if there were none: so nobody waits, nor does a child that was forked meanwhile. */
#define KEPT_BLOCKS 8
#define KEPT_LEAST (1 << 17) /* bytes of a block: malloc keeps smaller ones */
#define KEPT_MOST (1 << 26)  /* and of all */
#if defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
static struct { void *block; size_t size; } kept[KEPT_BLOCKS];
static size_t kept_bytes;
static int kept_count;
static char kept_busy;

static void *kept_remove(int i)
{
    void *block = kept[i].block;
    kept_bytes -= kept[i].size;
    memmove(kept + i, kept + i + 1, (--kept_count - i) * sizeof(kept[0]));
    return block;
}

/* A block of `size` bytes or up to a quarter more, and how many it has; NULL if none is kept. */
static void *kept_take(size_t size, size_t *found)
{
    if (size < KEPT_LEAST || __atomic_test_and_set(&kept_busy, __ATOMIC_ACQUIRE)) return NULL;
    int best = -1;
    for (int i = 0; i < kept_count; i++)
        if (kept[i].size >= size && kept[i].size - size <= size / 4 && (best < 0 || kept[i].size <= kept[best].size))
            best = i;
    if (best >= 0) *found = kept[best].size;
    void *block = best < 0 ? NULL : kept_remove(best);
    __atomic_clear(&kept_busy, __ATOMIC_RELEASE);
    return block;
}

static void kept_give(void *block, size_t size)
{
    void *old[KEPT_BLOCKS + 1];
    int count = 0;
    if (size < KEPT_LEAST || size > KEPT_MOST / 2 || __atomic_test_and_set(&kept_busy, __ATOMIC_ACQUIRE)) {
        free(block);
        return;
    }
    while (kept_count == KEPT_BLOCKS || kept_bytes + size > KEPT_MOST) old[count++] = kept_remove(0);
    kept[kept_count].block = block;
    kept[kept_count++].size = size;
    kept_bytes += size;
    __atomic_clear(&kept_busy, __ATOMIC_RELEASE);
    while (count) free(old[--count]);
}

/* Frees all; returns whether there were any. */
static int kept_free(void)
{
    int count = 0;
    if (__atomic_test_and_set(&kept_busy, __ATOMIC_ACQUIRE)) return 0;
    for (; kept_count; count++) free(kept_remove(kept_count - 1));
    __atomic_clear(&kept_busy, __ATOMIC_RELEASE);
    return count > 0;
}
#else
static void *kept_take(size_t size, size_t *found) { return NULL; }
static void kept_give(void *block, size_t size) { free(block); }
static int kept_free(void) { return 0; }
#endif

static void *aligned_new(void *context, size_t size)
{
    (void)context;
    if (size > SIZE_MAX - ALIGNED_ROOM) return NULL;
    size_t room = size + ALIGNED_ROOM;
    void *block = kept_take(room, &room);
    if (block != NULL) return aligned_mark(block, room);
    block = malloc(room);
    if (block == NULL && kept_free()) block = malloc(room);
    void *memory = aligned_mark(block, room);
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
    return aligned_mark(calloc(1, count * size + ALIGNED_ROOM), count * size + ALIGNED_ROOM);
}

static void *aligned_again(void *context, void *memory, size_t size)
{
    if (memory == NULL) return aligned_new(context, size);
    if (size > SIZE_MAX - ALIGNED_ROOM) return NULL;
    const size_t before = (size_t)((char *)memory - (char *)aligned_block(memory));
    char *block = realloc(aligned_block(memory), size + ALIGNED_ROOM);
    if (block == NULL) return NULL;
    memmove(aligned_in(block), block + before, size); /* the line may lie elsewhere in the new block */
    return aligned_mark(block, size + ALIGNED_ROOM);
}

static void aligned_free(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    if (memory != NULL) kept_give(aligned_block(memory), ((size_t *)memory)[-2]);
}

static PyDataMem_Handler aligned_handler = {
    "pyconvx", 1, {NULL, aligned_new, aligned_zeros, aligned_again, aligned_free}};

#endif
