/* bench_gpu.c: see bench_gpu.h. Work is enqueued behind a load that holds the queue, so that the device
 * never waits for the host while it is timed; the time between two marks with nothing in between is
 * measured first and taken off. */
#include "bench_gpu.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "fail.h"
#include "mem.h"

enum { EMPTY_MARKS = 65 };
#define HOLD_SECONDS     2e-4 /* and for each piece of work: */
#define SECONDS_PER_WORK 4e-5 /* what enqueueing it may take */

bool fwi_names_gpu(const char *device)
{
    return device != NULL && strcmp(device, "cpu") != 0;
}

static fw_status hold(const fwi_gpu *g, int64_t n)
{
    return g->probe->hold != NULL
               ? g->probe->hold(g->d, HOLD_SECONDS + SECONDS_PER_WORK * (double)n)
               : FW_OK;
}

static fw_status time_marks(fwi_gpu *g)
{
    double seconds[EMPTY_MARKS - 1];
    fw_status st = g->d->backend->sync(g->d);
    for (int i = 0; i < EMPTY_MARKS && st == FW_OK; i++) /* made on first use */
        st = g->probe->mark(g->d, i);
    if (st == FW_OK)
        st = hold(g, EMPTY_MARKS);
    for (int i = 0; i < EMPTY_MARKS && st == FW_OK; i++)
        st = g->probe->mark(g->d, i);
    for (int i = 0; i < EMPTY_MARKS - 1 && st == FW_OK; i++)
        st = g->probe->between(g->d, i, i + 1, &seconds[i]);
    if (st == FW_OK)
        g->mark_seconds = fwi_median(seconds, EMPTY_MARKS - 1);
    return st;
}

fw_status fwi_gpu_of(fwi_gpu *out, fwi_device *d)
{
    *out = (fwi_gpu){.d = d, .probe = d->backend->probe};
    if (out->probe == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "%s has no clock of its own to be measured by", d->label);
    const fw_status st = out->probe->info(d, &out->info);
    return st == FW_OK ? time_marks(out) : st;
}

fw_status fwi_gpu_open(fwi_gpu *out, const char *device, int threads, bool tf32)
{
    *out = (fwi_gpu){.d = NULL};
    if (!fwi_names_gpu(device))
        return fwi_fail(FW_EARG, "device %s: expected a GPU, such as cuda or cuda:1",
                        device == NULL ? "cpu" : device);
    const fwi_device_opt opt = {.threads = threads, .tf32 = tf32};
    fwi_device *d = NULL;
    fw_status st = fwi_device_open(&d, device, &opt);
    if (st == FW_OK && (st = fwi_gpu_of(out, d)) != FW_OK)
        fwi_gpu_close(out);
    return st;
}

void fwi_gpu_close(fwi_gpu *g)
{
    fwi_device_close(g->d);
    *g = (fwi_gpu){.d = NULL};
}

double fwi_gpu_net(const fwi_gpu *g, double seconds)
{
    /* of what is hardly longer than the marks themselves no more is known than that it is short */
    return fmax(seconds - g->mark_seconds, seconds / 16);
}

fw_status fwi_gpu_time(const fwi_gpu *g, int64_t n, fw_status (*enqueue)(void *user, int64_t i),
                       void *user, double *seconds)
{
    enum { AT_ONCE = FWI_PROBE_MARKS / 2 };
    fw_status st = FW_OK;
    for (int64_t first = 0; first < n && st == FW_OK; first += AT_ONCE) {
        const int k = n - first < AT_ONCE ? (int)(n - first) : (int)AT_ONCE;
        st = hold(g, k);
        for (int i = 0; i < k && st == FW_OK; i++) {
            st = g->probe->mark(g->d, 2 * i);
            if (st == FW_OK)
                st = enqueue(user, first + i);
            if (st == FW_OK)
                st = g->probe->mark(g->d, 2 * i + 1);
        }
        for (int i = 0; i < k && st == FW_OK; i++) {
            st = g->probe->between(g->d, 2 * i, 2 * i + 1, &seconds[first + i]);
            seconds[first + i] = fwi_gpu_net(g, seconds[first + i]);
        }
    }
    return st;
}

/* ---- loads ---- */

/* Sizes to begin with, how they grow, how far, and until a run takes so long. */
static const struct {
    int64_t first, times, most;
    double seconds;
} growth[FWI_LOADS] = {
    [FWI_LOAD_F32] = {64, 4, 1 << 24, 1e-3},
    [FWI_LOAD_TF32] = {128, 2, 16384, 1e-3},
    [FWI_LOAD_BF16] = {128, 2, 16384, 1e-3},
    [FWI_LOAD_F16] = {128, 2, 16384, 1e-3},
    [FWI_LOAD_READ] = {1 << 20, 2, (int64_t)1 << 32, 2.5e-4},
    [FWI_LOAD_COPY] = {1 << 20, 2, (int64_t)1 << 32, 2.5e-4},
};
#define READING_SECONDS 5e-3
enum { LEAST_TIMES = 2, MOST_TIMES = 200, BEYOND_L2 = 8 };

typedef struct reading {
    const fwi_gpu *g;
    const fwi_gpu_load *l;
} reading;

static fw_status run_load(void *user, int64_t i)
{
    const reading *const r = user;
    fw_status st = FW_OK;
    (void)i;
    for (int64_t k = 0; k < r->l->times && st == FW_OK; k++)
        st = r->g->probe->load_run(r->g->d, &r->l->load);
    return st;
}

static fw_status time_load(const fwi_gpu *g, const fwi_gpu_load *l, int n, double *seconds)
{
    reading r = {g, l};
    return fwi_gpu_time(g, n, run_load, &r, seconds);
}

void fwi_gpu_load_close(const fwi_gpu *g, fwi_gpu_load *l)
{
    if (l->load.memory != NULL)
        g->d->backend->release(g->d, l->load.memory, l->load.bytes);
    *l = (fwi_gpu_load){.times = 0};
}

/* Memory, numbers, a run that does not count, and one that does. FW_ENOMEM: it does not fit. */
static fw_status try_size(const fwi_gpu *g, fwi_gpu_load *l, double *seconds)
{
    size_t free_bytes = 0, all_bytes = 0;
    fw_status st = g->probe->load_plan(g->d, &l->load);
    if (st == FW_OK && g->d->backend->memory != NULL)
        st = g->d->backend->memory(g->d, &free_bytes, &all_bytes);
    if (st == FW_OK && g->d->backend->memory != NULL && l->load.bytes > free_bytes / 4)
        return FW_ENOMEM;
    if (st == FW_OK)
        st = g->d->backend->alloc(g->d, l->load.bytes, &l->load.memory);
    if (st == FW_OK)
        st = g->probe->load_fill(g->d, &l->load);
    l->times = 1;
    double both[2] = {0};
    if (st == FW_OK)
        st = time_load(g, l, 2, both);
    *seconds = both[1];
    return st;
}

fw_status fwi_gpu_load_open(const fwi_gpu *g, fwi_load_kind kind, fwi_gpu_load *out)
{
    const bool memory = kind == FWI_LOAD_READ || kind == FWI_LOAD_COPY;
    const int64_t least = memory ? BEYOND_L2 * g->info.l2_bytes : 0;
    fwi_gpu_load kept = {.times = 0};
    *out = kept;
    if (g->probe->load_plan == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "%s has no such load", g->d->label);
    for (int64_t size = growth[kind].first;; size *= growth[kind].times) {
        fwi_gpu_load l = {.load = {.kind = kind, .size = size}};
        double seconds = 0;
        const fw_status st = try_size(g, &l, &seconds);
        if ((st == FW_ENOMEM || st == FW_EUNAVAILABLE) &&
            kept.times > 0) { /* the one before will do */
            fwi_gpu_load_close(g, &l);
            break;
        }
        fwi_gpu_load_close(g, &kept);
        if (st != FW_OK) {
            fwi_gpu_load_close(g, &l);
            return st == FW_ENOMEM
                       ? fwi_fail(st, "%s: no memory is free to read its ceilings", g->d->label)
                       : st;
        }
        const double times = seconds > 0 ? ceil(READING_SECONDS / seconds) : (double)MOST_TIMES;
        l.times = times < LEAST_TIMES  ? LEAST_TIMES
                  : times > MOST_TIMES ? (int64_t)MOST_TIMES
                                       : (int64_t)times;
        kept = l;
        if ((seconds >= growth[kind].seconds && size >= least) || size >= growth[kind].most)
            break;
    }
    *out = kept;
    return FW_OK;
}

fw_status fwi_gpu_load_read(const fwi_gpu *g, const fwi_gpu_load *l, int n, double *values)
{
    const fw_status st = time_load(g, l, n, values);
    for (int i = 0; i < n && st == FW_OK; i++)
        values[i] = values[i] > 0 ? l->load.work * (double)l->times / values[i] / 1e9 : 0;
    return st;
}

fwi_load_kind fwi_gpu_load_for(fw_dtype precision, bool tf32)
{
    return precision == FW_BF16  ? FWI_LOAD_BF16
           : precision == FW_F16 ? FWI_LOAD_F16
           : tf32                ? FWI_LOAD_TF32
                                 : FWI_LOAD_F32;
}

/* ---- operands ---- */

size_t fwi_gpu_round(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

fw_status fwi_gpu_cold_sets(const fwi_gpu *g, const fw_conv_shape *s, size_t bytes, int *sets)
{
    size_t free_bytes = 0, all_bytes = 0;
    *sets = 1;
    while (*sets < FWI_COLD_SETS && bytes * (size_t)*sets < 2 * (size_t)g->info.l2_bytes)
        ++*sets;
    if (g->d->backend->memory == NULL)
        return FW_OK;
    const fw_status st = g->d->backend->memory(g->d, &free_bytes, &all_bytes);
    if (st != FW_OK || bytes * (size_t)*sets <= free_bytes)
        return st;
    return fwi_fail(FW_ENOMEM,
                    "%s/%s with a batch of %" PRId64 " needs %.1f MiB, %s has %.1f free: a "
                    "smaller batch needs less",
                    s->net, s->name, s->n, (double)bytes * (double)*sets / 0x1p20, g->d->label,
                    (double)free_bytes / 0x1p20);
}

fw_status fwi_gpu_fill(const fwi_gpu *g, const fwi_arg *a, double lo, double hi, uint32_t seed)
{
    fwi_arg host = *a;
    if (!fwi_operand_alloc(&host))
        return FW_ENOMEM;
    if (hi > lo)
        fwi_operand_fill(g->d->pool, &host, lo, hi, seed);
    else
        memset(host.data, 0xFF, fwi_operand_bytes(&host));
    const fw_status st = g->d->backend->upload(g->d, a->data, host.data, fwi_operand_bytes(a));
    fwi_operand_free(&host);
    return st;
}
