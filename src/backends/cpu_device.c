/* cpu_device.c: the CPU as a device. Its memory is the host's, its queue is the calling thread, and
 * its kernels are those of the fastest instruction set (core/cpu.h) that this machine and this build
 * both have (FENWICKS_ISA chooses another). Read before: exec.h. */
#include "backends.h"
#include "backends_inner.h"
#include "cpu_lower.h"

#include <stdlib.h>
#include <string.h>

typedef struct cpu_device {
    fwi_device base;
    fwi_pool *own_pool; /* NULL: the caller's is used */
    char *label;
    bool blocked; /* f32 graphs are lowered to the batch-blocked layout; bf16 graphs always are */
} cpu_device;

static void cpu_close(fwi_device *d)
{
    cpu_device *c = (cpu_device *)d;
    fwi_pool_free(c->own_pool);
    fwi_free(c->label);
    fwi_free(c);
}

/* FENWICKS_LAYOUT: "blocked" (the default) or "nhwc". */
static fw_status choose_layout(bool *blocked)
{
    const char *asked = getenv("FENWICKS_LAYOUT");
    *blocked = asked == NULL || *asked == 0 || strcmp(asked, "blocked") == 0;
    if (*blocked || strcmp(asked, "nhwc") == 0)
        return FW_OK;
    return fwi_fail(FW_EARG, "FENWICKS_LAYOUT=%s: unknown; valid names are nhwc, blocked", asked);
}

static fw_status cpu_open(fwi_device **out, const fwi_device_opt *opt)
{
    if (opt->threads < 0)
        return fwi_fail(FW_EARG, "cpu: %d threads asked for; 0 means as many as allowed",
                        opt->threads);
    if (opt->index != 0)
        return fwi_fail(FW_ENOTFOUND, "cpu: there is one, number 0; number %d was asked for",
                        opt->index);
    if (opt->tf32)
        return fwi_fail(FW_EUNAVAILABLE,
                        "precision tf32 is a GPU's: on the device cpu products are "
                        "of f32, bf16 and f64");
    fwi_isa isa = FWI_ISA_REF;
    const fwi_op_table *table;
    fw_status st = fwi_cpu_table_choose(&table, &isa);
    if (st != FW_OK)
        return st;
    cpu_device *c = fwi_alloc_zero(sizeof *c);
    if (c == NULL)
        return FW_ENOMEM;
    c->base.backend = &fwi_backend_cpu;
    c->base.table = table;
    c->base.host_memory = true;
    c->base.has_f64 = true;
    c->base.has_bf16 = isa >= FWI_ISA_AVX2; /* AVX-512 BF16 multiplies it, others store it */
    if ((st = choose_layout(&c->blocked)) != FW_OK)
        goto done;
    if (opt->pool == NULL && (st = fwi_pool_new(&c->own_pool, opt->threads)) != FW_OK)
        goto done;
    c->base.pool = opt->pool != NULL ? opt->pool : c->own_pool;
    if (c->own_pool != NULL && opt->pin && (st = fwi_pool_pin(c->own_pool)) != FW_OK)
        goto done;
    const int n = fwi_pool_threads(c->base.pool);
    c->label = fwi_sprintf("cpu (%s%s, %d %s%s)", table->name, c->blocked ? "" : " nhwc", n,
                           opt->pin ? "pinned " : "", n == 1 ? "thread" : "threads");
    if (c->label == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    c->base.label = c->label;
    *out = &c->base;
    c = NULL;
done:
    if (c != NULL)
        cpu_close(&c->base);
    return st;
}

static fw_status cpu_alloc(fwi_device *d, size_t n_bytes, void **out)
{
    *out = fwi_big_alloc(n_bytes);
    d->allocations += *out != NULL;
    return *out != NULL ? FW_OK : FW_ENOMEM;
}

static void cpu_release(fwi_device *d, void *p, size_t n_bytes)
{
    (void)d;
    fwi_big_free(p, n_bytes);
}

static fw_status cpu_copy(fwi_device *d, void *dst, const void *src, size_t n_bytes)
{
    (void)d;
    if (n_bytes > 0)
        memcpy(dst, src, n_bytes);
    return FW_OK;
}

int32_t fwi_cpu_block_of(int64_t n)
{
    return fwi_block_of(n);
}

fw_status fwi_cpu_choose_conv(fwi_graph *g, const fwi_op_table *table)
{
    return fwi_lower_conv(g, table);
}

static fw_status cpu_lower(fwi_device *d, fwi_graph *g)
{
    const bool bf16 = g->storage == FW_BF16;
    if (g->storage == FW_F16)
        return fwi_fail(FW_EUNAVAILABLE,
                        "precision f16 is a GPU's: the device cpu has f32, bf16 and "
                        "f64");
    if (bf16 && !d->has_bf16)
        return fwi_fail(FW_EUNAVAILABLE, "precision bf16 needs a processor with AVX2; %s has none",
                        d->label);
    fw_status st = FW_OK;
    if (g->real == FW_F32 && (bf16 || ((const cpu_device *)d)->blocked)) {
        st = fwi_lower_fuse(g, d->table);
        if (st == FW_OK)
            st = fwi_lower_blocked(g, d->table);
    }
    return st == FW_OK ? fwi_lower_conv(g, d->table) : st;
}

static fw_status cpu_sync(fwi_device *d)
{
    (void)d;
    return FW_OK;
}

const fwi_backend fwi_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .lower = cpu_lower,
    .sync = cpu_sync,
};
