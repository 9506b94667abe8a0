/* Threads start on first use, spin for a moment when idle, then sleep. Each has a share of the blocks, the same in every
   job of as many, so that what it wrote in one it finds in its cache in the next; who is done helps others. Which thread
   does which block never changes a result. A forked child starts with no workers and an idle pool of its own. */
#ifdef __linux__
#define _GNU_SOURCE /* for the set of processors */
#endif
#include "pool.h"

#if defined(_WIN32)

int pool_run(pool_block block, void *job, ptrdiff_t blocks, int threads, pool_poll poll)
{
    (void)threads;
    for (ptrdiff_t b = 0; b < blocks; b++) {
        if (poll && b % 64 == 63 && poll()) return POOL_STOPPED;
        block(job, b, 0);
    }
    return POOL_DONE;
}

int pool_due(long long *last) { return ++*last % 64 == 0; }

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NANOSECONDS 500000 /* what a thread idles for before it sleeps: to wake it takes as long as a small layer */
#define OWN_NANOSECONDS 20000   /* of these before it lets any other have the processor */
#define POLL_NANOSECONDS 20000000

typedef struct {
    _Atomic ptrdiff_t next; /* the next block to hand out */
    ptrdiff_t end;
    char apart[64 - 2 * sizeof(ptrdiff_t)]; /* from what another thread writes */
} share_t;

typedef struct {
    pool_block block;
    void *job;
    int threads; /* that take part, the caller as number 0 */
    share_t share[POOL_MAX_THREADS];
} work_t;

static struct {
    pthread_mutex_t owner; /* held by the caller whose job is running */
    pthread_mutex_t lock;  /* guards what the conditions wait for */
    pthread_cond_t wake, finished;
    work_t work;
    atomic_uint generation; /* counts jobs: a change wakes the workers */
    atomic_uint busy;       /* workers that have begun with the current job and not finished it */
    int wanted;             /* workers 1 .. wanted may begin with it; 0 when nothing is left to do */
    int workers;            /* threads alive, besides callers: */
    pthread_t thread[POOL_MAX_THREADS];
    atomic_int sleeping;    /* of them */
    atomic_int here;        /* the processor that the caller was on when the job began */
    atomic_int met;         /* whether a worker has begun with a job there */
    int processors;         /* that this process may use */
    _Atomic int spins;      /* each thread of the current job may have one */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .finished = PTHREAD_COND_INITIALIZER};
static atomic_uint forks; /* counts forks above this process */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int pool_due(long long *last)
{
    const long long time = now();
    if (time - *last <= POLL_NANOSECONDS) return 0;
    *last = time;
    return 1;
}

static int processor(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Keeps workers off the caller's processor, where there are others for all of them: one that is woken there takes turns
   with the caller for milliseconds, though others idle. Reads the caller's set, which may have changed, not theirs. */
static void keep_apart(int helpers, int here)
{
#ifdef __linux__
    cpu_set_t set;
    if (here < 0 || sched_getaffinity(0, sizeof(set), &set)) return;
    if (CPU_COUNT(&set) > helpers) CPU_CLR(here, &set);
    for (int w = 0; w < helpers; w++) pthread_setaffinity_np(pool.thread[w], sizeof(set), &set);
#else
    (void)helpers, (void)here;
#endif
}

/* Waits as long as a number is what it is, but not for longer than a moment. */
static void spin_while(atomic_uint *number, unsigned value)
{
    const long long start = now();
    for (long long time = start; time - start < SPIN_NANOSECONDS; time = now()) {
        for (int i = 0; i < 32; i++) {
            if (atomic_load(number) != value) return;
            relax();
        }
        if (time - start > OWN_NANOSECONDS) {
            if (!pool.spins) return;
            sched_yield();
        }
    }
}

static void after_fork_in_child(void)
{
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.finished, NULL);
    pool.workers = pool.wanted = 0;
    atomic_store(&pool.busy, 0);
    atomic_store(&pool.sleeping, 0);
    atomic_fetch_add(&forks, 1);
}

static void register_fork(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

/* Hands out a block, of share number *share first and then of the others; -1 where none is left. */
static ptrdiff_t take(work_t *work, int *share)
{
    for (int tried = 0; tried < work->threads; tried++) {
        share_t *some = &work->share[*share];
        const ptrdiff_t b = atomic_fetch_add(&some->next, 1);
        if (b < some->end) return b;
        *share = (*share + 1) % work->threads;
    }
    return -1;
}

static void *worker_main(void *argument)
{
    const int worker = (int)(ptrdiff_t)argument;
    unsigned seen = 0; /* generations start at 1, and a worker is born into the one it serves first */
    for (;;) {
        unsigned generation;
        spin_while(&pool.generation, seen);
        pthread_mutex_lock(&pool.lock);
        if (atomic_load(&pool.generation) == seen) {
            atomic_fetch_add(&pool.sleeping, 1);
            while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
            atomic_fetch_sub(&pool.sleeping, 1);
        }
        generation = atomic_load(&pool.generation);
        seen = generation;
        const int mine = worker <= pool.wanted;
        if (mine) atomic_fetch_add(&pool.busy, 1);
        pthread_mutex_unlock(&pool.lock);
        if (!mine) continue;
        if (processor() == atomic_load(&pool.here)) atomic_store(&pool.met, 1);
        int share = worker;
        for (ptrdiff_t b; (b = take(&pool.work, &share)) >= 0;) pool.work.block(pool.work.job, b, worker);
        if (atomic_fetch_sub(&pool.busy, 1) == 1) {
            pthread_mutex_lock(&pool.lock);
            pthread_cond_signal(&pool.finished);
            pthread_mutex_unlock(&pool.lock);
        }
    }
    return NULL;
}

static int usable_processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof(set), &set)) return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Called with `owner` held and no job running. Fewer threads than wanted is no error: the caller does the rest. */
static int start_workers(int wanted)
{
    pthread_attr_t detached;
    sigset_t all, before;
    if (pool.workers >= wanted) return wanted;
    pthread_once(&fork_once, register_fork);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* workers inherit it: signals are for Python's threads */
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (pool.workers < wanted) {
        pthread_t *thread = &pool.thread[pool.workers];
        if (pthread_create(thread, &detached, worker_main, (void *)(ptrdiff_t)(pool.workers + 1))) break;
        pool.workers++;
    }
    pool.processors = usable_processors();
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool.workers;
}

static int run_alone(pool_block block, void *job, ptrdiff_t blocks, pool_poll poll)
{
    long long last = blocks > 1 ? now() : 0;
    for (ptrdiff_t b = 0; b < blocks; b++) {
        block(job, b, 0);
        if (poll && b + 1 < blocks && now() - last > POLL_NANOSECONDS) {
            if (poll()) return POOL_STOPPED;
            last = now();
        }
    }
    return POOL_DONE;
}

int pool_run(pool_block block, void *job, ptrdiff_t blocks, int threads, pool_poll poll)
{
    int status = POOL_DONE, helpers = threads - 1;
    if (helpers > blocks - 1) helpers = (int)(blocks - 1);
    if (helpers < 1 || pthread_mutex_trylock(&pool.owner)) return run_alone(block, job, blocks, poll);
    helpers = start_workers(helpers);
    if (helpers < 1) {
        pthread_mutex_unlock(&pool.owner);
        return run_alone(block, job, blocks, poll);
    }
    const unsigned family = atomic_load(&forks);
    pool.spins = helpers < pool.processors;
    const int here = processor();
    atomic_store(&pool.here, here);
    if (atomic_load(&pool.sleeping) || atomic_load(&pool.met)) keep_apart(helpers, here);
    atomic_store(&pool.met, 0);
    pthread_mutex_lock(&pool.lock);
    pool.work.block = block;
    pool.work.job = job;
    pool.work.threads = helpers + 1;
    for (ptrdiff_t t = 0; t <= helpers; t++) {
        atomic_store(&pool.work.share[t].next, blocks * t / (helpers + 1));
        pool.work.share[t].end = blocks * (t + 1) / (helpers + 1);
    }
    pool.wanted = helpers;
    atomic_fetch_add(&pool.generation, 1);
    pthread_mutex_unlock(&pool.lock);
    if (atomic_load(&pool.sleeping)) pthread_cond_broadcast(&pool.wake);

    int share = 0;
    long long last = now();
    for (ptrdiff_t b; (b = take(&pool.work, &share)) >= 0;) {
        block(job, b, 0); /* which may ask for signals, too */
        const int stop = poll && now() - last > POLL_NANOSECONDS ? poll() : -1;
        if (atomic_load(&forks) != family) return POOL_STOPPED; /* a signal handler forked: no workers here */
        if (stop >= 0) {
            if (stop) {
                status = POOL_STOPPED;
                for (int t = 0; t <= helpers; t++) atomic_store(&pool.work.share[t].next, blocks);
            }
            last = now();
        }
    }
    pthread_mutex_lock(&pool.lock); /* who has not come by now has nothing to do, and is not waited for */
    pool.wanted = 0;
    pthread_mutex_unlock(&pool.lock);
    for (unsigned busy; (busy = atomic_load(&pool.busy));) {
        spin_while(&pool.busy, busy);
        if (atomic_load(&pool.busy) == busy) break;
    }
    if (atomic_load(&pool.busy)) {
        pthread_mutex_lock(&pool.lock);
        while (atomic_load(&pool.busy)) pthread_cond_wait(&pool.finished, &pool.lock);
        pthread_mutex_unlock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.owner);
    return status;
}

#endif
