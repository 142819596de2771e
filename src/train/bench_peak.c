/* bench_peak.c: the ceilings that every measured speed is held against: multiply-adds on registers
 * (cpu/<isa>/peak.c), in f32 and in bf16, and memory that is in no cache, read and copied. Next:
 * bench_results.c, which keeps the best of them. */
#include "bench_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "mem.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { READINGS = 10, CHUNK = 1 << 20 };
#define MEMORY_BYTES   ((size_t)256 << 20) /* larger than most last-level caches */
#define TARGET_SECONDS 0.01                /* of one reading */

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

/* ---- arithmetic ---- */

static void do_arithmetic(void *arg, int64_t i, int slot)
{
    (void)slot;
    const fwi_ceiling *c = arg;
    c->flops[i * 64] = c->fn(c->rounds, &c->sinks[i * 64]);
}

static double time_arithmetic(fwi_ceiling *c, double *flops)
{
    const int threads = fwi_pool_threads(c->pool);
    const double start = fwi_now();
    fwi_pool_for(c->pool, threads, do_arithmetic, c);
    const double seconds = fwi_now() - start;
    *flops = 0;
    for (int i = 0; i < threads; i++)
        *flops += c->flops[i * 64];
    return seconds;
}

fw_status fwi_ceiling_init(fwi_ceiling *out, fwi_pool *pool, fwi_isa isa, fw_dtype type)
{
    const size_t n = (size_t)fwi_pool_threads(pool) * 64;
    if (isa == FWI_ISA_REF)
        isa = FWI_ISA_PORTABLE; /* the reference has no ceiling of its own */
    *out = (fwi_ceiling){.pool = pool, .factor = type == FW_F64 ? 0.5 : 1, .rounds = 1000};
    if (type == FW_BF16)
        out->fn = fwi_cpu_peak_bf16(isa);
    if (out->fn == NULL)
        out->fn = fwi_cpu_peak(isa);
    out->sinks = fwi_alloc_array(n, sizeof *out->sinks);
    out->flops = fwi_alloc_array(n, sizeof *out->flops);
    if (out->sinks == NULL || out->flops == NULL) {
        fwi_ceiling_clear(out);
        return FW_ENOMEM;
    }
    double flops, seconds;
    /* Long enough to be timed, and the clock frequency settles on the way. */
    while ((seconds = time_arithmetic(out, &flops)) < TARGET_SECONDS)
        out->rounds *= seconds < TARGET_SECONDS / 4 ? 4 : 2;
    return FW_OK;
}

void fwi_ceiling_clear(fwi_ceiling *c)
{
    fwi_free(c->sinks);
    fwi_free(c->flops);
    *c = (fwi_ceiling){0};
}

double fwi_ceiling_read(fwi_ceiling *c, int readings)
{
    double best = 0, flops;
    for (int i = 0; i < readings; i++) {
        const double seconds = time_arithmetic(c, &flops);
        if (flops / seconds > best)
            best = flops / seconds;
    }
    return c->factor * best / 1e9;
}

double fwi_peak_for(const fw_peak *p, fw_dtype type)
{
    if (type == FW_BF16 && p->gflops_bf16 > 0)
        return p->gflops_bf16;
    if (type == FW_F16)
        return p->gflops_f16;
    return type == FW_F64 ? p->gflops_f32 / 2 : p->gflops_f32;
}

/* ---- memory ---- */

typedef struct memory {
    uint64_t *words, *copy; /* MEMORY_BYTES each */
    uint64_t *sums;         /* [chunks] */
} memory;

static void do_read(void *arg, int64_t i, int slot)
{
    (void)slot;
    const memory *m = arg;
    const uint64_t *p = m->words + i * (CHUNK / 8);
    uint64_t s[8] = {0};
    for (int64_t k = 0; k < CHUNK / 8; k += 8)
        for (int j = 0; j < 8; j++)
            s[j] += p[k + j];
    for (int j = 1; j < 8; j++)
        s[0] += s[j];
    m->sums[i] = s[0];
}

/* Plus one: a plain copy would become a call of memcpy, which picks its own stores. */
static void do_copy(void *arg, int64_t i, int slot)
{
    (void)slot;
    const memory *m = arg;
    const uint64_t *restrict p = m->words + i * (CHUNK / 8);
    uint64_t *restrict q = m->copy + i * (CHUNK / 8);
    for (int64_t k = 0; k < CHUNK / 8; k++)
        q[k] = p[k] + 1;
}

#if defined(__SSE2__)
/* Past the caches: a line that is written whole need not be read first. */
static void do_stream(void *arg, int64_t i, int slot)
{
    (void)slot;
    const memory *m = arg;
    const __m128i *p = (const __m128i *)(const void *)(m->words + i * (CHUNK / 8));
    __m128i *q = (__m128i *)(void *)(m->copy + i * (CHUNK / 8));
    for (int64_t k = 0; k < CHUNK / 16; k += 4) {
        _mm_stream_si128(q + k, _mm_load_si128(p + k));
        _mm_stream_si128(q + k + 1, _mm_load_si128(p + k + 1));
        _mm_stream_si128(q + k + 2, _mm_load_si128(p + k + 2));
        _mm_stream_si128(q + k + 3, _mm_load_si128(p + k + 3));
    }
    _mm_sfence();
}
#endif

/* bytes: asked for by one chunk's loads and stores. */
static double measure_memory(fwi_pool *pool, memory *m, fwi_loop_fn fn, double bytes)
{
    const int64_t chunks = (int64_t)(MEMORY_BYTES / CHUNK);
    double best = 0;
    for (int i = 0; i < READINGS; i++) {
        const double start = fwi_now();
        fwi_pool_for(pool, chunks, fn, m);
        const double seconds = fwi_now() - start;
        if (bytes * (double)chunks / seconds > best)
            best = bytes * (double)chunks / seconds;
    }
    return best / 1e9;
}

fw_status fwi_memory_peak(fwi_pool *pool, fw_peak *out)
{
    memory m = {.words = fwi_big_alloc(MEMORY_BYTES),
                .copy = fwi_big_alloc(MEMORY_BYTES),
                .sums = fwi_alloc_array(MEMORY_BYTES / CHUNK, sizeof *m.sums)};
    fw_status st = FW_OK;
    if (m.words == NULL || m.copy == NULL || m.sums == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    /* pages that were never written share one page of zeros */
    memset(m.words, 1, MEMORY_BYTES);
    memset(m.copy, 1, MEMORY_BYTES);
    out->gbytes_read = measure_memory(pool, &m, do_read, CHUNK);
    out->gbytes_copy = measure_memory(pool, &m, do_copy, 2.0 * CHUNK);
#if defined(__SSE2__)
    out->gbytes_stream = measure_memory(pool, &m, do_stream, 2.0 * CHUNK);
#endif
done:
    if (m.words != NULL)
        fwi_big_free(m.words, MEMORY_BYTES);
    if (m.copy != NULL)
        fwi_big_free(m.copy, MEMORY_BYTES);
    fwi_free(m.sums);
    return st;
}

static fw_status measure_arithmetic(fwi_pool *pool, fwi_isa isa, fw_dtype type, double *out)
{
    fwi_ceiling c;
    const fw_status st = fwi_ceiling_init(&c, pool, isa, type);
    if (st != FW_OK)
        return st;
    *out = fwi_ceiling_read(&c, 3 * READINGS);
    fwi_ceiling_clear(&c);
    return FW_OK;
}

fw_status fw_bench_peak(int threads, fw_peak *out)
{
    if (out == NULL || threads < 0)
        return fwi_fail(FW_EARG, "fw_bench_peak: NULL argument, or fewer than 0 threads");
    fwi_isa isa = FWI_ISA_REF;
    fwi_pool *pool = NULL;
    fw_status st = fwi_isa_choose(&isa);
    if (st == FW_OK)
        st = fwi_pool_new(&pool, threads);
    if (st != FW_OK)
        return st;
    fw_peak p = {.threads = fwi_pool_threads(pool)};
    st = measure_arithmetic(pool, isa, FW_F32, &p.gflops_f32);
    if (st == FW_OK && fwi_cpu_peak_bf16(isa) != NULL)
        st = measure_arithmetic(pool, isa, FW_BF16, &p.gflops_bf16);
    if (st == FW_OK)
        st = fwi_memory_peak(pool, &p);
    if (st == FW_OK)
        *out = p;
    fwi_pool_free(pool);
    return st;
}
