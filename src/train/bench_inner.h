/* bench_inner.h: what the measurements of bench_*.c share. */
#ifndef FWI_BENCH_INNER_H
#define FWI_BENCH_INNER_H

#include <fenwicks/bench.h>

#include "backends.h"

double fwi_median(double *values, int64_t n); /* sorts values; n >= 1 */
double fwi_seconds_since_start(void);         /* of this process; -1 if the system does not say */

/* n images of random bytes with random labels, the same on every call. */
fw_status fwi_synthetic_images(int64_t n, const int64_t hwc[3], int64_t n_classes, fw_images *out);

/* ---- the ceiling of arithmetic, read again and again ---- */
typedef struct fwi_ceiling {
    fwi_pool *pool; /* borrowed */
    fwi_peak_fn fn;
    double factor; /* f64: half the f32 reading, as its vectors hold half as many */
    int64_t rounds;
    float *sinks;  /* [threads * 64] */
    double *flops; /* [threads * 64] */
} fwi_ceiling;
/* The one that products of this type run against: bf16 pairs where isa multiplies them, else f32. */
fw_status fwi_ceiling_init(fwi_ceiling *out, fwi_pool *pool, fwi_isa isa, fw_dtype type);
void fwi_ceiling_clear(fwi_ceiling *c);
double fwi_ceiling_read(fwi_ceiling *c, int readings); /* the best of them, GFLOP/s */

/* What the CPU runs by FENWICKS_ISA; peak of the type that fwi_ceiling_init would take. */
double fwi_peak_for(const fw_peak *p, fw_dtype type);

#endif
