/* pool.c: the thread pool; pool.h says what it promises.
 *
 * Loops. A training step is some hundred loops of 20 to 2000 us, so starting one must cost about a
 * microsecond. The pool has one loop slot, described by one atomic word, the gate:
 *
 *     63        32 | 31    30      | 15 .. 0
 *     loop number  | OPEN  WAITED  | workers inside
 *
 * The caller fills in the loop, opens the gate, and takes indices from an atomic counter like
 * everyone else. A worker enters by adding 1 to an open gate whose number it has not seen, and
 * leaves by taking 1 off when no indices are left. The caller closes the gate when it finds none
 * left itself, and the loop is over once nobody is inside: who was late finds a closed gate and
 * never touches a loop that is gone. If it must sleep for the last worker, it sets WAITED, and the
 * worker that brings the count to 0 sees this in the very word that it changes. A second thread
 * that finds the slot taken runs its loop inline.
 *
 * Sleep. A worker without work spins for SPIN_US on the gate and on the number of queued jobs, then
 * sleeps. It counts itself in n_sleeping before a last look for work; who brings work looks at
 * n_sleeping after publishing it; both sequentially consistent, so one of them sees the other.
 *
 * Jobs are a list under the lock, first in, first out. Neighbours: cpu.c for the number of threads.
 */
#include "pool.h"

#include "affinity.h"
#include "clock.h"
#include "cpu.h"
#include "fail.h"
#include "mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MAX_THREADS = 4096, CACHE_LINE = 64 };
#define SPIN_SECONDS                                                                               \
    30e-6 /* about the pause between two loops of a step; a wake-up costs 5 to 50 us */

#define GATE_OPEN      ((uint64_t)1 << 31)
#define GATE_WAITED    ((uint64_t)1 << 30)
#define GATE_INSIDE    ((uint64_t)0xFFFF)
#define GATE_NUMBER(g) ((uint32_t)((g) >> 32))

enum { JOB_IDLE = 0, JOB_QUEUED, JOB_RUNNING };

typedef struct worker {
    fwi_pool *pool;
    pthread_t thread;
    int slot;
} worker;

struct fwi_pool {
    /* each on its own cache line: everyone hammers next, spinning workers read gate */
    _Alignas(CACHE_LINE) _Atomic uint64_t gate;
    _Alignas(CACHE_LINE) _Atomic int64_t next;
    _Alignas(CACHE_LINE)
        atomic_bool loop_taken; /* its owner alone writes n, fn, arg and opens the gate */
    int64_t n;
    fwi_loop_fn fn;
    void *arg;

    _Alignas(CACHE_LINE) atomic_int n_sleeping;
    atomic_int n_queued; /* as many as in the list; written under the lock, read without */
    atomic_bool stop;
    pthread_mutex_t lock; /* the list and the states of jobs, and sleeping */
    pthread_cond_t work, loop_done, job_done;
    fwi_job *first, *last;
    int job_waiters;

    int n_threads, n_started;
    double spin_seconds;
    worker *workers; /* n_threads - 1 */
    bool pinned;
    pthread_t pinned_caller;
};

/* What this thread is in the middle of: decides whether a loop runs inline, and with which slot. */
static _Thread_local struct {
    const fwi_pool *pool;
    int slot;
    bool inside;
} me;

static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Runs indices until none are left. Results reach the loop's caller by the gate's count. */
static void run_indices(fwi_pool *p, int64_t n, fwi_loop_fn fn, void *arg, int slot)
{
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < n)
        fn(arg, i, slot);
}

/* ---- workers ---- */

static bool is_new_loop(uint64_t gate, uint32_t seen)
{
    return (gate & GATE_OPEN) != 0 && GATE_NUMBER(gate) != seen;
}

static bool help_with_loop(fwi_pool *p, int slot, uint32_t *seen)
{
    uint64_t gate = atomic_load_explicit(&p->gate, memory_order_relaxed);
    do {
        if (!is_new_loop(gate, *seen))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&p->gate, &gate, gate + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    *seen = GATE_NUMBER(gate);
    run_indices(p, p->n, p->fn, p->arg, slot);
    gate = atomic_fetch_sub_explicit(&p->gate, 1, memory_order_acq_rel);
    if ((gate & GATE_WAITED) != 0 && (gate & GATE_INSIDE) == 1) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->loop_done);
        pthread_mutex_unlock(&p->lock);
    }
    return true;
}

/* Takes a job off the list (lock held). */
static void unlink_job(fwi_pool *p, fwi_job *j)
{
    fwi_job *before = NULL;
    for (fwi_job *at = p->first; at != j; at = at->next)
        before = at;
    if (before != NULL)
        before->next = j->next;
    else
        p->first = j->next;
    if (p->last == j)
        p->last = before;
    j->next = NULL;
    atomic_fetch_sub_explicit(&p->n_queued, 1, memory_order_relaxed);
}

/* Runs a job whose state is JOB_RUNNING; its owner may take it away as soon as the lock is
 * released. */
static void run_job(fwi_pool *p, fwi_job *j)
{
    j->fn(j->arg);
    pthread_mutex_lock(&p->lock);
    j->state = JOB_IDLE;
    if (p->job_waiters > 0)
        pthread_cond_broadcast(&p->job_done);
    pthread_mutex_unlock(&p->lock);
}

static bool help_with_job(fwi_pool *p)
{
    if (atomic_load_explicit(&p->n_queued, memory_order_relaxed) == 0)
        return false;
    pthread_mutex_lock(&p->lock);
    fwi_job *j = p->first;
    if (j != NULL) {
        unlink_job(p, j);
        j->state = JOB_RUNNING;
    }
    pthread_mutex_unlock(&p->lock);
    if (j == NULL)
        return false;
    run_job(p, j);
    return true;
}

static bool has_work(fwi_pool *p, uint32_t seen)
{
    return is_new_loop(atomic_load(&p->gate), seen) || atomic_load(&p->n_queued) > 0 ||
           atomic_load(&p->stop);
}

static bool spin_for_work(fwi_pool *p, uint32_t seen)
{
    const double until = fwi_now() + p->spin_seconds;
    do {
        for (int i = 0; i < 32; i++) {
            if (has_work(p, seen))
                return true;
            relax();
        }
    } while (fwi_now() < until);
    return false;
}

static void sleep_for_work(fwi_pool *p, uint32_t seen)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_sleeping, 1);
    while (!has_work(p, seen))
        pthread_cond_wait(&p->work, &p->lock);
    atomic_fetch_sub(&p->n_sleeping, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
    const worker *w = arg;
    fwi_pool *p = w->pool;
    me.pool = p;
    me.slot = w->slot;
    me.inside = true; /* whatever a worker runs is a loop's or a job's body */
    uint32_t seen = 0;
    while (!atomic_load(&p->stop)) {
        if (help_with_loop(p, w->slot, &seen) || help_with_job(p))
            continue;
        if (!spin_for_work(p, seen))
            sleep_for_work(p, seen);
    }
    return NULL;
}

/* After publishing work for at most n workers. */
static void wake(fwi_pool *p, int64_t n)
{
    if (atomic_load(&p->n_sleeping) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    if (n >= p->n_threads - 1)
        pthread_cond_broadcast(&p->work);
    else
        for (int64_t i = 0; i < n; i++)
            pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

/* ---- making and ending ---- */

fw_status fwi_pool_new(fwi_pool **out, int n_threads)
{
    if (n_threads < 0 || n_threads > MAX_THREADS)
        return fwi_fail(
            FW_EARG, "%d threads: between 1 and %d are possible, 0 for as many as the machine has",
            n_threads, MAX_THREADS);
    const fw_status allowed = fwi_threads_check(n_threads);
    if (allowed != FW_OK)
        return allowed;
    const int n_cpus = fwi_cpu_count();
    if (n_threads == 0)
        n_threads = n_cpus < MAX_THREADS ? n_cpus : MAX_THREADS;
    fwi_pool *p = fwi_big_alloc(sizeof *p); /* for its alignment */
    if (p == NULL)
        return FW_ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->loop_done, NULL);
    pthread_cond_init(&p->job_done, NULL);
    p->n_threads = n_threads;
    /* with more threads than processors a spinning one keeps a working one from its processor */
    p->spin_seconds = n_threads <= n_cpus ? SPIN_SECONDS : 0.0;
    fw_status st = FW_OK;
    p->workers = fwi_alloc_array((size_t)n_threads, sizeof *p->workers);
    if (p->workers == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    /* signals are the program's business: its handlers never run on a worker, but of the worker's own faults */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; st == FW_OK && i < n_threads - 1; i++) {
        worker *w = &p->workers[i];
        *w = (worker){.pool = p, .slot = i + 1};
        const int error = fwi_affinity_start(&w->thread, worker_main, w);
        if (error == 0)
            p->n_started++;
        else
            st = fwi_fail(FW_EUNAVAILABLE, "cannot start thread %d of %d: %s; try fewer threads",
                          i + 2, n_threads, strerror(error));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
done:
    if (st == FW_OK)
        *out = p;
    else
        fwi_pool_free(p);
    return st;
}

fw_status fwi_pool_pin(fwi_pool *p)
{
    pthread_t *threads = fwi_alloc_array((size_t)p->n_threads, sizeof *threads);
    if (threads == NULL)
        return FW_ENOMEM;
    for (int i = 0; i < p->n_started; i++)
        threads[i] = p->workers[i].thread;
    const fw_status st = fwi_affinity_pin(threads, p->n_started);
    fwi_free(threads);
    p->pinned = st == FW_OK;
    p->pinned_caller = pthread_self();
    return st;
}

void fwi_pool_free(fwi_pool *p)
{
    if (p == NULL)
        return;
    if (p->pinned && pthread_equal(p->pinned_caller, pthread_self()))
        fwi_affinity_unpin();
    atomic_store(&p->stop, true);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    for (fwi_job *j = p->first; j != NULL;) {
        fwi_job *next = j->next;
        j->next = NULL;
        j->state = JOB_IDLE;
        j = next;
    }
    pthread_cond_destroy(&p->job_done);
    pthread_cond_destroy(&p->loop_done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    fwi_free(p->workers);
    fwi_big_free(p, sizeof *p);
}

int fwi_pool_threads(const fwi_pool *p)
{
    return p != NULL ? p->n_threads : 1;
}

/* ---- loops ---- */

static void wait_until_left(fwi_pool *p)
{
    uint64_t gate = atomic_fetch_and_explicit(&p->gate, ~GATE_OPEN, memory_order_acq_rel);
    if ((gate & GATE_INSIDE) == 0)
        return;
    const double until = fwi_now() + p->spin_seconds;
    do {
        for (int i = 0; i < 32; i++) {
            if ((atomic_load_explicit(&p->gate, memory_order_acquire) & GATE_INSIDE) == 0)
                return;
            relax();
        }
    } while (fwi_now() < until);
    gate = atomic_fetch_or_explicit(&p->gate, GATE_WAITED, memory_order_acq_rel);
    if ((gate & GATE_INSIDE) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    while ((atomic_load_explicit(&p->gate, memory_order_acquire) & GATE_INSIDE) != 0)
        pthread_cond_wait(&p->loop_done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void fwi_pool_for(fwi_pool *p, int64_t n, fwi_loop_fn fn, void *arg)
{
    if (n <= 0)
        return;
    const int slot = p != NULL && me.inside && me.pool == p ? me.slot : 0;
    if (n ==
        1) { /* not marked as inside: a batch of one image leaves the pool to the loops within */
        fn(arg, 0, slot);
        return;
    }
    const bool inline_run = p == NULL || p->n_threads == 1 || me.inside ||
                            atomic_exchange_explicit(&p->loop_taken, true, memory_order_acquire);
    if (inline_run) {
        for (int64_t i = 0; i < n; i++)
            fn(arg, i, slot);
        return;
    }
    p->n = n;
    p->fn = fn;
    p->arg = arg;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    const uint64_t number = GATE_NUMBER(atomic_load_explicit(&p->gate, memory_order_relaxed)) + 1u;
    atomic_store(&p->gate, number << 32 | GATE_OPEN);
    wake(p, n - 1);
    me.pool = p;
    me.slot = 0;
    me.inside = true;
    run_indices(p, n, fn, arg, 0);
    me.inside = false;
    wait_until_left(p);
    atomic_store_explicit(&p->loop_taken, false, memory_order_release);
}

/* ---- jobs ---- */

void fwi_pool_submit(fwi_pool *p, fwi_job *j)
{
    if (p == NULL) {
        j->fn(j->arg);
        return;
    }
    pthread_mutex_lock(&p->lock);
    assert(j->state == JOB_IDLE);
    j->state = JOB_QUEUED;
    j->next = NULL;
    if (p->last != NULL)
        p->last->next = j;
    else
        p->first = j;
    p->last = j;
    atomic_fetch_add(&p->n_queued, 1);
    if (atomic_load(&p->n_sleeping) > 0)
        pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

bool fwi_job_help(fwi_pool *p, fwi_job *j)
{
    if (p == NULL)
        return false;
    pthread_mutex_lock(&p->lock);
    const bool mine = j->state == JOB_QUEUED;
    if (mine) {
        unlink_job(p, j);
        j->state = JOB_RUNNING;
    }
    pthread_mutex_unlock(&p->lock);
    if (!mine)
        return false;
    const bool was_inside = me.inside;
    const fwi_pool *was_pool = me.pool;
    const int was_slot = me.slot;
    me.inside = true;
    me.slot = was_inside && was_pool == p ? was_slot : 0;
    me.pool = p;
    run_job(p, j);
    me.inside = was_inside;
    me.pool = was_pool;
    me.slot = was_slot;
    return true;
}

void fwi_job_wait(fwi_pool *p, fwi_job *j)
{
    if (p == NULL || fwi_job_help(p, j))
        return;
    pthread_mutex_lock(&p->lock);
    p->job_waiters++;
    while (j->state != JOB_IDLE)
        pthread_cond_wait(&p->job_done, &p->lock);
    p->job_waiters--;
    pthread_mutex_unlock(&p->lock);
}
