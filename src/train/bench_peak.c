/* bench_peak.c: the two ceilings that every measured speed is held against: multiply-adds on
 * registers (cpu/<isa>/peak.c) and reading memory that is in no cache. */
#include "bench_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "clock.h"
#include "fail.h"
#include "mem.h"
#include "rng.h"

enum { READINGS = 15, READ_CHUNK = 1 << 20 };
#define READ_BYTES     ((size_t)256 << 20) /* larger than most last-level caches */
#define TARGET_SECONDS 0.02                /* of one reading */

/* ---- small things ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double fwi_median(double *values, int64_t n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double fwi_seconds_since_start(void)
{
    /* Field 22 of /proc/self/stat: ticks from boot to the start of the process; the name in
     * parentheses before it may hold blanks. */
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "r");
    if (f == NULL)
        return -1;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++)
        at = (at = strchr(at, ' ')) == NULL ? NULL : at + 1;
    const long per_second = sysconf(_SC_CLK_TCK);
    struct timespec now;
    if (at == NULL || per_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return -1;
    const double ticks = (double)strtoll(at, NULL, 10);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - ticks / (double)per_second;
}

/* ---- arithmetic ---- */

typedef struct work {
    fwi_peak_fn peak;
    int64_t rounds;
    float *sinks;  /* [threads * 64] */
    double *flops; /* [threads * 64] */
    const uint64_t *words;
    uint64_t *sums; /* [threads * 64] */
} work;

static void do_arithmetic(void *arg, int64_t i, int slot)
{
    (void)slot;
    const work *w = arg;
    w->flops[i * 64] = w->peak(w->rounds, &w->sinks[i * 64]);
}

static double time_arithmetic(fwi_pool *pool, work *w, int threads, double *flops)
{
    const double start = fwi_now();
    fwi_pool_for(pool, threads, do_arithmetic, w);
    const double seconds = fwi_now() - start;
    *flops = 0;
    for (int i = 0; i < threads; i++)
        *flops += w->flops[i * 64];
    return seconds;
}

static double measure_arithmetic(fwi_pool *pool, work *w, int threads)
{
    double best = 0, flops, seconds;
    /* Long enough to be timed, and the clock frequency settles on the way. */
    for (w->rounds = 1000; (seconds = time_arithmetic(pool, w, threads, &flops)) < TARGET_SECONDS;)
        w->rounds *= seconds < TARGET_SECONDS / 4 ? 4 : 2;
    for (int i = 0; i < READINGS; i++) {
        seconds = time_arithmetic(pool, w, threads, &flops);
        if (flops / seconds > best)
            best = flops / seconds;
    }
    return best / 1e9;
}

/* ---- memory ---- */

static void do_read(void *arg, int64_t i, int slot)
{
    (void)slot;
    const work *w = arg;
    const uint64_t *p = w->words + i * (READ_CHUNK / 8);
    uint64_t s[8] = {0};
    for (int64_t k = 0; k < READ_CHUNK / 8; k += 8)
        for (int j = 0; j < 8; j++)
            s[j] += p[k + j];
    for (int j = 1; j < 8; j++)
        s[0] += s[j];
    w->sums[i] = s[0];
}

static double measure_reading(fwi_pool *pool, work *w)
{
    double best = 0;
    for (int i = 0; i < READINGS; i++) {
        const double start = fwi_now();
        fwi_pool_for(pool, (int64_t)(READ_BYTES / READ_CHUNK), do_read, w);
        const double seconds = fwi_now() - start;
        if ((double)READ_BYTES / seconds > best)
            best = (double)READ_BYTES / seconds;
    }
    return best / 1e9;
}

fw_status fw_bench_peak(int threads, fw_peak *out)
{
    if (out == NULL || threads < 0)
        return fwi_fail(FW_EARG, "fw_bench_peak: NULL argument, or fewer than 0 threads");
    fwi_isa isa = FWI_ISA_REF;
    fwi_pool *pool = NULL;
    work w = {0};
    void *memory = NULL;
    fw_status st = fwi_isa_choose(&isa);
    if (st == FW_OK)
        st = fwi_pool_new(&pool, threads);
    if (st != FW_OK)
        return st;
    const int n = fwi_pool_threads(pool);
    if (isa == FWI_ISA_REF)
        isa = FWI_ISA_PORTABLE; /* the reference has no ceiling of its own */
    w.peak = fwi_cpu_peak(isa);
    w.sinks = fwi_alloc_array((size_t)n * 64, sizeof *w.sinks);
    w.flops = fwi_alloc_array((size_t)n * 64, sizeof *w.flops);
    w.sums = fwi_alloc_array(READ_BYTES / READ_CHUNK, sizeof *w.sums);
    memory = fwi_big_alloc(READ_BYTES);
    if (w.sinks == NULL || w.flops == NULL || w.sums == NULL || memory == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    memset(memory, 1, READ_BYTES); /* pages that were never written share one page of zeros */
    w.words = memory;
    *out = (fw_peak){.threads = n};
    out->gflops_f32 = measure_arithmetic(pool, &w, n);
    out->gbytes_read = measure_reading(pool, &w);
done:
    if (memory != NULL)
        fwi_big_free(memory, READ_BYTES);
    fwi_free(w.sinks);
    fwi_free(w.flops);
    fwi_free(w.sums);
    fwi_pool_free(pool);
    return st;
}
