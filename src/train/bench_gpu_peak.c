/* bench_gpu_peak.c: the ceilings of a GPU. Read before: bench_gpu.h; for CPUs: bench_peak.c. */
#include "bench_gpu.h"

#include <stdio.h>
#include <string.h>

#include "fail.h"

enum { DEFAULT_RUNS = 7, MAX_RUNS = 1000 };

static double *figure(fw_peak *p, int kind)
{
    switch (kind) {
    case FWI_LOAD_F32:
        return &p->gflops_f32;
    case FWI_LOAD_TF32:
        return &p->gflops_tf32;
    case FWI_LOAD_BF16:
        return &p->gflops_bf16;
    case FWI_LOAD_F16:
        return &p->gflops_f16;
    case FWI_LOAD_READ:
        return &p->gbytes_read;
    default:
        return &p->gbytes_copy;
    }
}

/* One ceiling; that a device has none of the kind is noted. */
static fw_status read_one(const fwi_gpu *g, int kind, fw_gpu_peak *out)
{
    double values[MAX_RUNS];
    fwi_gpu_load load;
    fw_status st = fwi_gpu_load_open(g, (fwi_load_kind)kind, &load);
    if (st == FW_EUNAVAILABLE) {
        if (out->note[0] == 0)
            snprintf(out->note, sizeof out->note, "%s", fw_last_error());
        return FW_OK;
    }
    if (st == FW_OK)
        st = fwi_gpu_load_read(g, &load, (int)out->runs, values);
    fwi_gpu_load_close(g, &load);
    if (st != FW_OK)
        return st;
    *figure(&out->median, kind) = fwi_median(values, out->runs); /* sorts */
    *figure(&out->least, kind) = values[0];
    *figure(&out->most, kind) = values[out->runs - 1];
    return FW_OK;
}

fw_status fwi_gpu_peak(const fwi_gpu *g, int64_t runs, unsigned kinds, fw_gpu_peak *out)
{
    fw_gpu_peak p = {.runs = runs > 0 ? runs : DEFAULT_RUNS};
    fw_status st = FW_OK;
    snprintf(p.device, sizeof p.device, "%s", g->d->label);
    for (int kind = 0; kind < FWI_LOADS && st == FW_OK; kind++)
        if ((kinds >> kind & 1) != 0)
            st = read_one(g, kind, &p);
    if (st == FW_OK)
        *out = p;
    return st;
}

fw_status fw_bench_gpu_peak(const char *device, int64_t runs, fw_gpu_peak *out)
{
    if (out == NULL || runs < 0 || runs > MAX_RUNS)
        return fwi_fail(FW_EARG, "fw_bench_gpu_peak: NULL argument, or not 0 to %d runs",
                        (int)MAX_RUNS);
    fwi_gpu g;
    fw_status st = fwi_gpu_open(&g, device, 0, true);
    if (st == FW_OK)
        st = fwi_gpu_peak(&g, runs, FWI_ALL_LOADS, out);
    fwi_gpu_close(&g);
    return st;
}
