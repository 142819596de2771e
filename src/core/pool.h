/* pool.h: the one thread pool, for kernels and the input pipeline alike.
 *
 * Two kinds of work. A parallel loop (fwi_pool_for) blocks its caller, who works along; it comes
 * first. A job (fwi_pool_submit) runs in the background when a worker has no loop to help with; who
 * waits for a job that nobody has begun runs it himself, so a pool of one thread works too
 * (everything then runs on the calling thread). How sums are cut never depends on the number of
 * threads: that is the caller's duty, and the reason why results have the same bits on any number
 * of threads. */
#ifndef FWI_POOL_H
#define FWI_POOL_H

#include <fenwicks/status.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct fwi_pool fwi_pool;

/* n_threads counts the caller of fwi_pool_for: n_threads - 1 workers are started. 0: as many as the
 * machine allows this process (CPU affinity and cgroup quota), see fwi_cpu_count(). More than that
 * is FW_EARG, see fwi_threads_check. */
fw_status fwi_pool_new(fwi_pool **out, int n_threads);
/* Binds each thread to one of the CPUs that the process may use, in their order: the calling
 * thread, which has to be the one that runs loops, to the first, worker i to the next but i - 1.
 * Once, before the pool is used. fwi_pool_free unbinds the calling thread if it is this one: who pins
 * a pool frees it, or stays pinned.
 * FW_EUNAVAILABLE where the system cannot. */
fw_status fwi_pool_pin(fwi_pool *p);
void fwi_pool_free(fwi_pool *p);         /* waits for running work; jobs not begun are dropped */
int fwi_pool_threads(const fwi_pool *p); /* 1 for NULL */

/* Calls fn(arg, i, slot) once for each i in [0, n), in any order, on any thread of the pool;
 * returns when all are done. p == NULL, n == 1, a call from inside a loop or a job, or a pool that
 * is busy with another thread's loop: runs inline. Allocates nothing.
 *
 * slot in [0, fwi_pool_threads) is for per-thread scratch, never for partial results. No two calls
 * of one loop that run at the same time have the same slot: the caller of the loop has 0, worker i
 * has i. A loop that runs inline uses one slot, that of the loop or job around it on this pool,
 * else 0. Two threads that run loops at the same time may both see slot 0, so scratch belongs to a
 * loop's arg, not to the pool. */
typedef void (*fwi_loop_fn)(void *arg, int64_t i, int slot);
void fwi_pool_for(fwi_pool *p, int64_t n, fwi_loop_fn fn, void *arg);

/* A background job. The caller owns the struct, zeroed, and keeps it until fwi_job_wait returns;
 * then it may be submitted again. Submitting allocates nothing. Several threads may submit at the
 * same time; each job has one waiter. Waiting for a job that was never submitted, or was waited for
 * already, returns at once. */
typedef struct fwi_job {
    void (*fn)(void *arg);
    void *arg;
    struct fwi_job *next; /* the pool's own */
    int state;            /* the pool's own */
} fwi_job;
void fwi_pool_submit(fwi_pool *p, fwi_job *j); /* p == NULL: runs at once */
void fwi_job_wait(fwi_pool *p, fwi_job *j);    /* helps with this job if nobody began it */
/* Runs it here if nobody has begun it, and returns true; else returns at once. Workers begin with the
 * job that was submitted first: who waits for many helps from the last one on, and meets them in the
 * middle. */
bool fwi_job_help(fwi_pool *p, fwi_job *j);

#endif
