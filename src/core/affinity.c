/* affinity.c: sched_setaffinity, and what a thread could use before it; affinity.h says why. */
#include "affinity.h"

#include "fail.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#if defined(__linux__)

enum { CPU_SETS = 8 /* 8192 processors: one cpu_set_t fails on machines with more than 1024 */ };

typedef struct cpus {
    cpu_set_t set[CPU_SETS];
} cpus;

static _Thread_local struct {
    int pins;
    cpus before; /* the first of them */
} me;

/* 0, or an errno. */
static int own_cpus(cpus *out)
{
    if (me.pins > 0) {
        *out = me.before;
        return 0;
    }
    memset(out, 0, sizeof *out);
    return sched_getaffinity(0, sizeof out->set, out->set) == 0 ? 0 : errno;
}

int fwi_affinity_count(void)
{
    cpus own;
    return own_cpus(&own) == 0 ? CPU_COUNT_S(sizeof own.set, own.set) : 0;
}

int fwi_affinity_start(pthread_t *out, void *(*fn)(void *), void *arg)
{
    if (me.pins == 0)
        return pthread_create(out, NULL, fn, arg);
    pthread_attr_t attr;
    int error = pthread_attr_init(&attr);
    if (error != 0)
        return error;
    error = pthread_attr_setaffinity_np(&attr, sizeof me.before.set, me.before.set);
    if (error == 0)
        error = pthread_create(out, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    return error;
}

/* The CPU behind `after` that c has, from its first one on again behind the last. */
static int next_cpu(const cpus *c, int after)
{
    const int n = (int)sizeof c->set * 8;
    for (int i = 1; i <= n; i++)
        if (CPU_ISSET_S((size_t)((after + i) % n), sizeof c->set, c->set))
            return (after + i) % n;
    return 0;
}

static int bind_to(pthread_t thread, int cpu)
{
    cpus one;
    memset(&one, 0, sizeof one);
    CPU_SET_S((size_t)cpu, sizeof one.set, one.set);
    return pthread_setaffinity_np(thread, sizeof one.set, one.set);
}

fw_status fwi_affinity_pin(const pthread_t *workers, int n)
{
    cpus own;
    int error = own_cpus(&own);
    if (error != 0)
        return fwi_fail(FW_EUNAVAILABLE,
                        "cannot pin threads: the system does not say which CPUs "
                        "this process may use: %s",
                        strerror(error));
    if (me.pins++ == 0)
        me.before = own;
    int cpu = -1;
    for (int i = 0; i <= n; i++) {
        cpu = next_cpu(&own, cpu);
        error = bind_to(i == 0 ? pthread_self() : workers[i - 1], cpu);
        if (error != 0) {
            fwi_affinity_unpin();
            return fwi_fail(FW_EUNAVAILABLE, "cannot pin thread %d to CPU %d: %s", i, cpu,
                            strerror(error));
        }
    }
    return FW_OK;
}

void fwi_affinity_unpin(void)
{
    if (me.pins > 0 && --me.pins == 0)
        (void)pthread_setaffinity_np(pthread_self(), sizeof me.before.set, me.before.set);
}

#else

#include <unistd.h>

int fwi_affinity_count(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 4096 ? (int)n : 0;
}

int fwi_affinity_start(pthread_t *out, void *(*fn)(void *), void *arg)
{
    return pthread_create(out, NULL, fn, arg);
}

fw_status fwi_affinity_pin(const pthread_t *workers, int n)
{
    (void)workers;
    (void)n;
    return fwi_fail(FW_EUNAVAILABLE, "this system cannot pin threads");
}

void fwi_affinity_unpin(void)
{
}

#endif
