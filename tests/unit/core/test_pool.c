/* test_pool.c: every index once, slots, nesting, concurrent callers, jobs beside loops, no
 * allocation. Runs under the thread sanitizer too (label tsan). Asserts only on the main thread:
 * cmocka's jump back to the test must not cross threads. */
#include "cpu.h"
#include "mem.h"
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST = 300, MAX_SLOTS = 64 };

typedef struct loop {
    fwi_pool *pool;
    int64_t n;
    int seen[MOST]; /* not atomic: each index has one writer, and the pool orders it before us */
    int64_t scratch[MAX_SLOTS]; /* not atomic: the sanitizer sees two calls with one slot */
    atomic_int busy[MAX_SLOTS];
    atomic_int n_bad;
} loop;

static void body(void *arg, int64_t i, int slot)
{
    loop *l = arg;
    if (slot < 0 || slot >= fwi_pool_threads(l->pool) || i < 0 || i >= l->n) {
        atomic_fetch_add(&l->n_bad, 1);
        return;
    }
    if (atomic_exchange(&l->busy[slot], 1) != 0)
        atomic_fetch_add(&l->n_bad, 1);
    l->seen[i]++;
    l->scratch[slot] += i;
    atomic_store(&l->busy[slot], 0);
}

static bool run_loop(fwi_pool *p, int64_t n, loop *l)
{
    memset(l, 0, sizeof *l);
    l->pool = p;
    l->n = n;
    fwi_pool_for(p, n, body, l);
    int64_t sum = 0;
    for (int s = 0; s < MAX_SLOTS; s++)
        sum += l->scratch[s];
    for (int64_t i = 0; i < n; i++)
        if (l->seen[i] != 1)
            return false;
    return atomic_load(&l->n_bad) == 0 && sum == n * (n - 1) / 2;
}

static void test_loops(void **state)
{
    (void)state;
    const int threads[] = {1, 2, 3, 8};
    static loop l;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        fwi_pool *p = NULL;
        assert_int_equal(fwi_pool_new(&p, threads[t]), FW_OK);
        assert_int_equal(fwi_pool_threads(p), threads[t]);
        fwi_pool_for(p, 0, body, NULL);
        fwi_pool_for(p, -3, body, NULL);
        for (int k = 0; k < 500; k++)
            assert_true(run_loop(p, 1 + (k * 7) % MOST, &l));
        const struct timespec pause = {.tv_nsec =
                                           2000000}; /* long enough for the workers to sleep */
        for (int k = 0; k < 5; k++) {
            nanosleep(&pause, NULL);
            assert_true(run_loop(p, 2 + k, &l));
        }
        fwi_pool_free(p);
    }
    assert_true(run_loop(NULL, 17, &l));
    assert_int_equal(fwi_pool_threads(NULL), 1);
    fwi_pool_free(NULL);
}

static void test_arguments(void **state)
{
    (void)state;
    fwi_pool *p = NULL;
    assert_int_equal(fwi_pool_new(&p, -1), FW_EARG);
    assert_int_equal(fwi_pool_new(&p, 1 << 20), FW_EARG);
    assert_null(p);
    assert_int_equal(fwi_pool_new(&p, 0), FW_OK);
    assert_true(fwi_pool_threads(p) >= 1);
    fwi_pool_free(p);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    fwi_pool *p = NULL;
    int64_t n = 0;
    fw_status st;
    do {
        fwi_mem_fail_at(++n);
        st = fwi_pool_new(&p, 3);
        assert_true(st == FW_OK || (st == FW_ENOMEM && p == NULL));
    } while (st != FW_OK);
    fwi_mem_fail_at(0);
    assert_int_equal(n, 3); /* two allocations, whatever the number of threads */
    fwi_pool_free(p);
}

typedef struct outer {
    fwi_pool *pool;
    atomic_int inner, wrong_slot;
} outer;

typedef struct inner {
    outer *o;
    int slot;
} inner;

static void inner_body(void *arg, int64_t i, int slot)
{
    const inner *in = arg;
    (void)i;
    atomic_fetch_add(&in->o->inner, 1);
    if (slot != in->slot)
        atomic_fetch_add(&in->o->wrong_slot, 1);
}

static void outer_body(void *arg, int64_t i, int slot)
{
    outer *o = arg;
    (void)i;
    fwi_pool_for(o->pool, 10, inner_body,
                 &(inner){o, slot}); /* inline: on this thread, with this slot */
    fwi_pool_for(NULL, 10, inner_body, &(inner){o, 0});
}

static void test_nested(void **state)
{
    (void)state;
    outer o = {0};
    assert_int_equal(fwi_pool_new(&o.pool, 4), FW_OK);
    for (int k = 0; k < 100; k++)
        fwi_pool_for(o.pool, 20, outer_body, &o);
    assert_int_equal(o.inner, 100 * 20 * 20);
    assert_int_equal(o.wrong_slot, 0);
    fwi_pool_free(o.pool);
}

typedef struct caller {
    fwi_pool *pool;
    pthread_t thread;
    bool ok;
} caller;

static void *call_loops(void *arg)
{
    caller *c = arg;
    loop *l = fwi_alloc(sizeof *l);
    c->ok = l != NULL;
    for (int k = 0; c->ok && k < 400; k++)
        c->ok = run_loop(c->pool, 1 + (k * 13) % 100, l);
    fwi_free(l);
    return NULL;
}

static void test_concurrent_callers(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    fwi_pool *p = NULL;
    assert_int_equal(fwi_pool_new(&p, 3), FW_OK);
    caller c[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        c[i] = (caller){.pool = p};
        assert_int_equal(pthread_create(&c[i].thread, NULL, call_loops, &c[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(c[i].thread, NULL);
    for (int i = 0; i < CALLERS; i++)
        assert_true(c[i].ok);
    fwi_pool_free(p);
}

typedef struct task {
    fwi_job job;
    fwi_pool *pool;
    int64_t result; /* not atomic: waiting orders it before us */
} task;

static void task_body(void *arg, int64_t i, int slot)
{
    (void)slot;
    ((task *)arg)->result += i; /* inline inside a job, so not shared */
}

static void task_fn(void *arg)
{
    task *t = arg;
    t->result = 0;
    fwi_pool_for(t->pool, 50, task_body, t);
}

static void test_jobs(void **state)
{
    (void)state;
    enum { JOBS = 16 };
    static loop l;
    for (int threads = 1; threads <= 4; threads++) {
        fwi_pool *p = NULL;
        assert_int_equal(fwi_pool_new(&p, threads), FW_OK);
        task t[JOBS];
        memset(t, 0, sizeof t);
        fwi_job_wait(p, &t[0].job); /* never submitted */
        for (int round = 0; round < 40; round++) {
            for (int i = 0; i < JOBS; i++) {
                t[i].pool = p;
                t[i].result = -1;
                t[i].job.fn = task_fn;
                t[i].job.arg = &t[i];
                fwi_pool_submit(p, &t[i].job);
            }
            assert_true(run_loop(p, 33, &l));
            for (int k = 0; k < JOBS; k++) { /* waited for in another order than begun */
                const int i = k * 5 % JOBS;
                fwi_job_wait(p, &t[i].job);
                assert_int_equal(t[i].result, 1225);
                fwi_job_wait(p, &t[i].job); /* again: returns at once */
            }
        }
        fwi_pool_free(p);
    }
    task t = {.job = {.fn = task_fn, .arg = &t}};
    fwi_pool_submit(NULL, &t.job);
    assert_int_equal(t.result, 1225);
    fwi_job_wait(NULL, &t.job);
}

static void *call_jobs(void *arg)
{
    caller *c = arg;
    c->ok = true;
    for (int k = 0; k < 300; k++) {
        task a = {.pool = c->pool, .job = {.fn = task_fn, .arg = &a}};
        task b = {.pool = c->pool, .job = {.fn = task_fn, .arg = &b}};
        fwi_pool_submit(c->pool, &a.job);
        fwi_pool_submit(c->pool, &b.job);
        fwi_job_wait(c->pool, &b.job); /* both are on this stack: nobody may touch them after */
        fwi_job_wait(c->pool, &a.job);
        c->ok = c->ok && a.result == 1225 && b.result == 1225;
    }
    return NULL;
}

static void test_jobs_from_several_threads_beside_loops(void **state)
{
    (void)state;
    enum { CALLERS = 3 };
    static loop l;
    fwi_pool *p = NULL;
    assert_int_equal(fwi_pool_new(&p, 3), FW_OK);
    caller c[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        c[i] = (caller){.pool = p};
        assert_int_equal(pthread_create(&c[i].thread, NULL, call_jobs, &c[i]), 0);
    }
    for (int k = 0; k < 300; k++)
        assert_true(run_loop(p, 1 + (k * 7) % 100, &l));
    for (int i = 0; i < CALLERS; i++)
        pthread_join(c[i].thread, NULL);
    for (int i = 0; i < CALLERS; i++)
        assert_true(c[i].ok);
    fwi_pool_free(p);
}

typedef struct order {
    fwi_job job;
    int *log, *n;
    int id;
} order;

static void order_fn(void *arg)
{
    order *o = arg;
    o->log[(*o->n)++] = o->id;
}

static void test_who_waits_runs_it_himself(void **state)
{
    (void)state;
    fwi_pool *p = NULL;
    int log[4] = {0}, n = 0;
    order o[4];
    assert_int_equal(fwi_pool_new(&p, 1), FW_OK); /* no workers: everything on this thread */
    for (int i = 0; i < 4; i++) {
        o[i] = (order){.job = {.fn = order_fn, .arg = &o[i]}, .log = log, .n = &n, .id = i};
        fwi_pool_submit(p, &o[i].job);
    }
    assert_int_equal(n, 0);
    const int waits[3] = {3, 0, 2}; /* the list's end, front, and what is left of its end */
    for (int k = 0; k < 3; k++) {
        fwi_job_wait(p, &o[waits[k]].job);
        assert_int_equal(n, k + 1);
        assert_int_equal(log[k], waits[k]);
    }
    fwi_pool_submit(p, &o[0].job); /* behind number 1 */
    fwi_pool_free(p);              /* drops both */
    assert_int_equal(n, 3);
}

/* Helping runs what nobody has begun, once, and never waits. */
static void test_help(void **state)
{
    (void)state;
    fwi_pool *p = NULL;
    int log[4] = {0}, n = 0;
    order o[2];
    assert_int_equal(fwi_pool_new(&p, 1), FW_OK);
    for (int i = 0; i < 2; i++) {
        o[i] = (order){.job = {.fn = order_fn, .arg = &o[i]}, .log = log, .n = &n, .id = i};
        assert_false(fwi_job_help(p, &o[i].job)); /* not submitted yet */
        fwi_pool_submit(p, &o[i].job);
    }
    assert_true(fwi_job_help(p, &o[1].job));
    assert_false(fwi_job_help(p, &o[1].job)); /* done */
    assert_true(n == 1 && log[0] == 1);
    fwi_job_wait(p, &o[1].job);
    fwi_job_wait(p, &o[0].job);
    assert_true(n == 2 && log[1] == 0);
    assert_false(fwi_job_help(NULL, &o[0].job));
    fwi_pool_free(p);
}

static void test_no_allocation(void **state)
{
    (void)state;
    static loop l;
    fwi_pool *p = NULL;
    assert_int_equal(fwi_pool_new(&p, 3), FW_OK);
    fwi_mem_fail_at(0);
    for (int k = 0; k < 50; k++) {
        task t = {.pool = p, .job = {.fn = task_fn, .arg = &t}};
        fwi_pool_submit(p, &t.job);
        assert_true(run_loop(p, 40, &l));
        fwi_job_wait(p, &t.job);
    }
    assert_int_equal(fwi_mem_count(), 0);
    fwi_pool_free(p);
}

static void mask_body(void *arg, int64_t i, int slot)
{
    (void)i;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    const bool right = sigismember(&now, SIGINT) && !sigismember(&now, SIGSEGV);
    if (slot > 0)
        atomic_fetch_add((atomic_int *)arg + right, 1);
    const struct timespec pause = {.tv_nsec = 200000}; /* so that workers get some of the indices */
    nanosleep(&pause, NULL);
}

static void test_signals_stay_with_the_program(void **state)
{
    (void)state;
    fwi_pool *p = NULL;
    assert_int_equal(fwi_pool_new(&p, 3), FW_OK);
    atomic_int n[2] = {
        0}; /* indices that workers had with another mask; with SIGINT blocked, and not its own faults */
    while (n[0] + n[1] == 0)
        fwi_pool_for(p, 30, mask_body, n);
    assert_int_equal(n[0], 0);
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGINT));
    fwi_pool_free(p);
}

/* One more than allowed is refused, with both numbers. */
static void test_more_than_allowed(void **state)
{
    (void)state;
    char asked[64], allowed[64];
    fwi_pool *p = NULL;
    const int n = fwi_cpu_count();
    snprintf(asked, sizeof asked, "%d threads are asked for", n + 1);
    snprintf(allowed, sizeof allowed, "allow this process %d", n);
    assert_int_equal(unsetenv("FENWICKS_OVERSUBSCRIBE"), 0);
    assert_int_equal(fwi_pool_new(&p, n + 1), FW_EARG);
    assert_non_null(strstr(fw_last_error(), asked));
    assert_non_null(strstr(fw_last_error(), allowed));
    assert_int_equal(fwi_pool_new(&p, n), FW_OK);
    fwi_pool_free(p);
    assert_int_equal(setenv("FENWICKS_OVERSUBSCRIBE", "1", 1), 0);
    assert_int_equal(fwi_pool_new(&p, n + 1), FW_OK);
    assert_int_equal(fwi_pool_threads(p), n + 1);
    fwi_pool_free(p);
}

#if defined(__linux__)
typedef struct places {
    cpu_set_t set[8]; /* by slot */
} places;

static void note_place(void *arg, int64_t i, int slot)
{
    (void)i;
    places *p = arg;
    CPU_ZERO(&p->set[slot]);
    (void)sched_getaffinity(0, sizeof p->set[slot], &p->set[slot]);
}

/* Loops until the caller and the first worker both had a part, as either may do all of a loop. */
static void see_places(fwi_pool *p, places *seen)
{
    memset(seen, 0, sizeof *seen);
    while (CPU_COUNT(&seen->set[0]) == 0 || CPU_COUNT(&seen->set[1]) == 0)
        fwi_pool_for(p, MOST, note_place, seen);
}

/* What a pinned thread makes next has the CPUs that it had itself: another pool's threads, pinned or
 * not, and how many there may be. */
static void assert_pins_hide_nothing(const cpu_set_t *before)
{
    fwi_pool *p = NULL;
    places seen;
    for (int pin = 0; pin < 2; pin++) {
        assert_int_equal(fwi_pool_new(&p, 2), FW_OK);
        if (pin == 1)
            assert_int_equal(fwi_pool_pin(p), FW_OK);
        see_places(p, &seen);
        assert_int_equal(CPU_COUNT(&seen.set[0]), 1);
        assert_int_equal(CPU_COUNT(&seen.set[1]), pin == 1 ? 1 : CPU_COUNT(before));
        if (pin == 1 && CPU_COUNT(before) > 1)
            assert_false(CPU_EQUAL(&seen.set[0], &seen.set[1]));
        fwi_pool_free(p); /* a pin taken off leaves the one around it */
        note_place(&seen, 0, 0);
        assert_int_equal(CPU_COUNT(&seen.set[0]), 1);
    }
}

/* Pinned threads have one CPU each, of those allowed; the caller gets its own back. */
static void test_pinned(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    cpu_set_t before, after, either;
    const int n_cpus = fwi_cpu_count();
    CPU_ZERO(&before);
    CPU_ZERO(&after);
    if (sched_getaffinity(0, sizeof before, &before) != 0)
        skip(); /* more processors than a cpu_set_t holds */
    fwi_pool *p = NULL;
    assert_int_equal(fwi_pool_new(&p, THREADS), FW_OK);
    assert_int_equal(fwi_pool_pin(p), FW_OK);
    assert_int_equal(fwi_cpu_count(), n_cpus);
    places seen;
    see_places(p, &seen);
    for (int i = 0; i < 200; i++) /* so that the last one comes to help too */
        fwi_pool_for(p, MOST, note_place, &seen);
    for (int s = 0; s < THREADS; s++) {
        const int n = CPU_COUNT(&seen.set[s]);
        assert_true(n == 1 || (n == 0 && s > 1));
        CPU_OR(&either, &seen.set[s], &before);
        assert_true(CPU_EQUAL(&either, &before));
    }
    if (CPU_COUNT(&before) > 1)
        assert_false(CPU_EQUAL(&seen.set[0], &seen.set[1]));
    assert_pins_hide_nothing(&before);
    fwi_pool_free(p);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}
#endif

int main(void)
{
    (void)setenv("FENWICKS_OVERSUBSCRIBE", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_more_than_allowed),
#if defined(__linux__)
        cmocka_unit_test(test_pinned),
#endif
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_concurrent_callers),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_jobs_from_several_threads_beside_loops),
        cmocka_unit_test(test_who_waits_runs_it_himself),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_signals_stay_with_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
