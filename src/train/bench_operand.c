/* bench_operand.c: what kernels that are timed alone are given: operands of numbers that mean
 * nothing, filled by the threads that will read them, and the shapes of real networks
 * (bench/shapes.txt). Next: bench_conv.c, bench_ops.c. */
#include "bench_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "mem.h"
#include "recipe_inner.h"

enum { FILL_CHUNK = 1 << 16, MAX_RUNS = 1000, MAX_BATCH = 1 << 20 };

/* ---- operands ---- */

size_t fwi_operand_bytes(const fwi_arg *a)
{
    return (size_t)fwi_stored_elems(&a->shape, a->nb) * fw_dtype_size(a->dtype);
}

bool fwi_operand_alloc(fwi_arg *a)
{
    a->data = fwi_big_alloc(fwi_operand_bytes(a));
    return a->data != NULL;
}

void fwi_operand_free(fwi_arg *a)
{
    if (a->data != NULL)
        fwi_big_free(a->data, fwi_operand_bytes(a));
    a->data = NULL;
}

typedef struct filling {
    const fwi_arg *a;
    int64_t n;
    double lo, step;
    uint32_t seed;
} filling;

static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

/* Of numbers that are 0 or within the range of normal ones; ties go away from 0. */
static uint16_t to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000U, a = bits & 0x7FFFFFFFU;
    return (uint16_t)(a < 0x38800000U ? sign : sign | (a - 0x38000000U + 0x1000U) >> 13);
}

static void fill_chunk(void *arg, int64_t chunk, int slot)
{
    (void)slot;
    const filling *const f = arg;
    const int64_t begin = chunk * FILL_CHUNK;
    const int64_t end = begin + FILL_CHUNK < f->n ? begin + FILL_CHUNK : f->n;
    void *const data = f->a->data;
    for (int64_t i = begin; i < end; i++) {
        /* A hash of the place: numbers that follow each other by a rule would sum to more than
         * rounding in a filter's gradient. */
        uint32_t h = (uint32_t)i * 2654435761U + f->seed * 2246822519U;
        h = (h ^ h >> 16) * 2246822507U;
        h = (h ^ h >> 13) * 3266489909U;
        h ^= h >> 16;
        const double v = f->lo + f->step * (double)(h >> 8);
        switch (f->a->dtype) {
        case FW_F64:
            ((double *)data)[i] = v;
            break;
        case FW_F32:
            ((float *)data)[i] = (float)v;
            break;
        case FW_BF16:
            ((uint16_t *)data)[i] = to_bf16((float)v);
            break;
        case FW_F16:
            ((uint16_t *)data)[i] = to_f16((float)v);
            break;
        case FW_I32:
            ((int32_t *)data)[i] = (int32_t)v;
            break;
        default:
            ((uint8_t *)data)[i] = (uint8_t)v;
            break;
        }
    }
}

/* The threads that fill it are those that compute with it: pages come to lie near them. */
void fwi_operand_fill(fwi_pool *pool, const fwi_arg *a, double lo, double hi, uint32_t seed)
{
    const int64_t n = fwi_stored_elems(&a->shape, a->nb);
    filling f = {.a = a, .n = n, .lo = lo, .step = (hi - lo) / (1 << 24), .seed = seed};
    fwi_pool_for(pool, (n + FILL_CHUNK - 1) / FILL_CHUNK, fill_chunk, &f);
}

fw_status fwi_operands_fit(const fw_conv_shape *s, size_t bytes)
{
    fw_machine m;
    const fw_status st = fw_machine_get(&m);
    if (st != FW_OK || m.memory_bytes <= 0 || bytes <= (size_t)m.memory_bytes)
        return st;
    return fwi_fail(FW_ENOMEM,
                    "%s/%s with a batch of %" PRId64 " needs %.1f GiB, this machine has %.1f: a "
                    "smaller batch needs less",
                    s->net, s->name, s->n, (double)bytes / 0x1p30, (double)m.memory_bytes / 0x1p30);
}

int fwi_cold_sets(size_t bytes)
{
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const size_t cold = 2 * (cache > 0 ? (size_t)cache : (size_t)64 << 20);
    int sets = 1;
    while (sets < FWI_COLD_SETS && bytes * (size_t)sets < cold)
        sets++;
    return sets;
}

/* ---- shapes ---- */

/* A line of bench/shapes.txt: two words and eight numbers. */
static bool read_shape(const char *line, fw_conv_shape *s)
{
    int64_t *const numbers[] = {&s->n, &s->h, &s->w, &s->c, &s->oc, &s->k, &s->stride, &s->pad};
    int words = 0;
    if (sscanf(line, "%15s %15s%n", s->net, s->name, &words) != 2)
        return false;
    line += words;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *end;
        *numbers[i] = strtoll(line, &end, 10);
        if (end == line)
            return false;
        line = end;
    }
    return true;
}

int fw_conv_shapes(fw_conv_shape *out, int cap)
{
    int n = 0;
    const fwi_embedded *f = fwi_embedded_files;
    while (f->name != NULL && strcmp(f->name, "shapes.txt") != 0)
        f++;
    for (const char *at = f->name != NULL ? (const char *)f->data : ""; *at != 0;) {
        fw_conv_shape s = {0};
        if (*at != '#' && read_shape(at, &s)) {
            s.oh = (s.h + 2 * s.pad - s.k) / s.stride + 1;
            s.ow = (s.w + 2 * s.pad - s.k) / s.stride + 1;
            if (n < cap && out != NULL)
                out[n] = s;
            n++;
        }
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    return n;
}

bool fwi_conv_shape_named(const fw_conv_shape *s, const char *word)
{
    const size_t net = strlen(s->net);
    return word == NULL || strcmp(s->net, word) == 0 || strcmp(s->name, word) == 0 ||
           (strncmp(s->net, word, net) == 0 && word[net] == '/' &&
            strcmp(s->name, word + net + 1) == 0);
}

static fw_status unknown_shape(const char *word, const fw_conv_shape *all, int n)
{
    fwi_buf names = {0};
    fw_status st = FW_OK;
    for (int i = 0; i < n && st == FW_OK; i++) {
        if (i == 0 || strcmp(all[i].net, all[i - 1].net) != 0)
            st = fwi_buf_printf(&names, "%s%s:", i == 0 ? "" : "; ", all[i].net);
        if (st == FW_OK)
            st = fwi_buf_printf(&names, " %s", all[i].name);
    }
    if (st == FW_OK)
        st = fwi_fail(FW_ENOTFOUND, "no shape \"%s\"; there are (net: names) %s", word,
                      (const char *)names.data);
    fwi_buf_clear(&names);
    return st;
}

fw_status fwi_walk_shapes(const fwi_shape_walk *w, const fw_conv_shape *all, int n, bool *known)
{
    fw_status st = FW_OK;
    *known = false;
    for (int i = 0; i < n && st == FW_OK; i++) {
        if (!w->wants(&all[i], w->word))
            continue;
        *known = true;
        fw_conv_shape s = all[i];
        if (w->batch > 0)
            s.n = w->batch;
        st = w->each(w->user, &s);
    }
    return st;
}

fw_status fwi_walk_known_shapes(const fwi_shape_walk *w)
{
    fw_conv_shape all[FWI_BENCH_SHAPES];
    const int there = fw_conv_shapes(all, FWI_BENCH_SHAPES);
    const int n = there < FWI_BENCH_SHAPES ? there : FWI_BENCH_SHAPES;
    bool known;
    const fw_status st = fwi_walk_shapes(w, all, n, &known);
    return st == FW_OK && !known ? unknown_shape(w->word, all, n) : st;
}

fw_status fwi_bench_counts(const char *call, int threads, int64_t runs, int64_t batch)
{
    if (threads < 0 || runs < 0 || runs > MAX_RUNS || batch < 0 || batch > MAX_BATCH)
        return fwi_fail(FW_EARG, "%s: negative threads, or not 0 to %d runs of a batch of 0 to %d",
                        call, (int)MAX_RUNS, (int)MAX_BATCH);
    return FW_OK;
}
