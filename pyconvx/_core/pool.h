/* A small pool of POSIX threads that runs the blocks of one job at a time. Knows nothing of Python. */
#ifndef PYCONVX_POOL_H
#define PYCONVX_POOL_H
#include <stddef.h>

/* Does block number `block` of the job; `worker` (0 <= worker < threads) owns a scratch buffer. */
typedef void (*pool_block)(void *job, ptrdiff_t block, int worker);
/* Asked by the calling thread now and then; nonzero stops the job. */
typedef int (*pool_poll)(void);

/* Whether it is time for a poll, if there was one at *last, which is then set to now. */
int pool_due(long long *last);

#define POOL_DONE 0
#define POOL_STOPPED 1
#define POOL_MAX_THREADS 256

/* Runs all blocks, by at most `threads` threads of which the caller is one. A call made while the pool works for
   somebody else (another thread, or a block that calls again) runs its blocks itself. */
int pool_run(pool_block block, void *job, ptrdiff_t blocks, int threads, pool_poll poll);
#endif
