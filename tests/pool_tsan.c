/* The thread pool under load, for ThreadSanitizer: calls from several threads, calls within blocks, calls that are
   stopped, forks while others call and while a block runs. Built and run by .ci/sanitize; returns 0 if all is well. */
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CALLERS = 4, ROUNDS = 1500, BLOCKS = 97, THREADS = 5, FORKS = 20 };

typedef struct {
    ptrdiff_t blocks;
    int nested, slow;
    /* neither is atomic: a block is done once, and a worker's scratch is touched by one thread at a time */
    int done[BLOCKS];
    long scratch[THREADS];
} job_t;

static atomic_int failures;

static void check(int fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "wrong: %s\n", what);
    atomic_fetch_add(&failures, 1);
}

static int run(ptrdiff_t blocks, int threads, int nested, int slow, pool_poll poll);

static void do_block(void *argument, ptrdiff_t block, int worker)
{
    job_t *job = argument;
    check(worker >= 0 && worker < THREADS, "the number of a worker");
    check(block >= 0 && block < job->blocks, "the number of a block");
    job->done[block]++;
    job->scratch[worker] += block;
    if (job->slow) nanosleep(&(struct timespec){0, 6000000}, NULL);
    if (job->nested && block % 31 == 0) run(BLOCKS / 2, THREADS, 0, 0, NULL);
}

/* A job of its own, checked afterwards. */
static int run(ptrdiff_t blocks, int threads, int nested, int slow, pool_poll poll)
{
    job_t job = {.blocks = blocks, .nested = nested, .slow = slow};
    const int status = pool_run(do_block, &job, blocks, threads, poll);
    long sum = 0, expected = 0;
    for (ptrdiff_t b = 0; b < blocks; b++) {
        check(job.done[b] == 1 || (status == POOL_STOPPED && job.done[b] == 0), "how often a block is done");
        expected += job.done[b] * b;
    }
    for (int worker = 0; worker < THREADS; worker++) sum += job.scratch[worker];
    check(sum == expected, "what the workers did together");
    return status;
}

static int keep_on(void) { return 0; }
static int stop(void) { return 1; }

static void *call(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        const ptrdiff_t blocks = rand_r(&seed) % (BLOCKS + 1);
        const int threads = 1 + rand_r(&seed) % THREADS;
        check(run(blocks, threads, round % 7 == 0, 0, keep_on) == POOL_DONE, "the status of a job");
    }
    return NULL;
}

static void together(int callers, void *(*work)(void *))
{
    pthread_t threads[CALLERS];
    for (int i = 0; i < callers; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(size_t)(i + 1))) abort();
    for (int i = 0; i < callers; i++) pthread_join(threads[i], NULL);
}

static void jobs_of_a_child(void)
{
    for (int round = 0; round < 20; round++) run(BLOCKS, THREADS, round % 5 == 0, 0, keep_on);
}

static int ended_well(pid_t pid)
{
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void child(void)
{
    jobs_of_a_child();
    const pid_t pid = fork();
    if (pid == 0) {
        jobs_of_a_child();
        _exit(atomic_load(&failures) != 0);
    }
    check(ended_well(pid), "a grandchild");
    _exit(atomic_load(&failures) != 0);
}

static void *fork_often(void *argument)
{
    (void)argument;
    for (int i = 0; i < FORKS; i++) {
        const pid_t pid = fork();
        if (pid == 0) child();
        check(ended_well(pid), "a child that was forked while others call");
    }
    return NULL;
}

static void *call_or_fork(void *argument) { return (size_t)argument == 1 ? fork_often(argument) : call(argument); }

static pid_t forked = -1; /* by a poll, as a signal handler may */

static int fork_once_in_poll(void)
{
    if (forked == -1) forked = fork();
    return 0;
}

int main(void)
{
    together(CALLERS, call);
    puts("calls from several threads, and within blocks");
    check(run(BLOCKS, THREADS, 0, 1, stop) == POOL_STOPPED, "the status of a job that was stopped");
    check(run(BLOCKS, 1, 0, 1, stop) == POOL_STOPPED, "the status of a job of one thread that was stopped");
    check(run(BLOCKS, THREADS, 0, 0, keep_on) == POOL_DONE, "a job after those");
    puts("jobs that are stopped");
    together(CALLERS, call_or_fork);
    puts("forks while others call");
    const int status = run(BLOCKS, 3, 0, 1, fork_once_in_poll);
    if (forked == 0) {
        check(status == POOL_STOPPED, "the status in the child of a poll that forked");
        child();
    }
    check(status == POOL_DONE, "the status in the parent of a poll that forked");
    check(ended_well(forked), "the child of a poll that forked");
    puts("a fork during a job");
    return atomic_load(&failures) != 0;
}
