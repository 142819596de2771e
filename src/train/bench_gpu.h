/* bench_gpu.h: devices with a queue as bench_gpu_*.c measure them: times by marks in the queue, ceilings
 * by loads, operands in the device's memory. Read before: probe.h. Next: bench_gpu.c. */
#ifndef FWI_BENCH_GPU_H
#define FWI_BENCH_GPU_H

#include "bench_inner.h"
#include "probe.h"

typedef struct fwi_gpu {
    fwi_device *d;
    const fwi_probe *probe;
    fwi_gpu_info info;
    double mark_seconds; /* between two marks with nothing between them */
} fwi_gpu;
/* FW_EUNAVAILABLE for a device that cannot be measured so. */
fw_status fwi_gpu_open(fwi_gpu *out, const char *device, int threads, bool tf32);
void fwi_gpu_close(fwi_gpu *g); /* {0}: nothing */
/* The same of a device that is open, and stays so. */
fw_status fwi_gpu_of(fwi_gpu *out, fwi_device *d);

/* Enqueues call after call of enqueue(user, i), each between two marks, behind a load that keeps the
 * device busy meanwhile; seconds[n], less what the marks take. */
fw_status fwi_gpu_time(const fwi_gpu *g, int64_t n, fw_status (*enqueue)(void *user, int64_t i),
                       void *user, double *seconds);
double fwi_gpu_net(const fwi_gpu *g,
                   double seconds); /* of a time between marks, what is not theirs */

/* A load of a size that can be timed. kind -1: none. */
typedef struct fwi_gpu_load {
    fwi_load load;
    int64_t times; /* runs of one reading */
} fwi_gpu_load;
/* FW_EUNAVAILABLE where the device has none of the kind. */
fw_status fwi_gpu_load_open(const fwi_gpu *g, fwi_load_kind kind, fwi_gpu_load *out);
void fwi_gpu_load_close(const fwi_gpu *g, fwi_gpu_load *l); /* {0}: nothing */
/* n readings: work per second in units of 1e9, in the order of reading. */
fw_status fwi_gpu_load_read(const fwi_gpu *g, const fwi_gpu_load *l, int n, double *values);
fwi_load_kind fwi_gpu_load_for(fw_dtype precision,
                               bool tf32); /* the one that products run against */

/* The ceilings whose bits (1 << kind) are set; bench_gpu_peak.c. runs 0: 7 */
enum {
    FWI_ALL_LOADS = (1 << FWI_LOADS) - 1,
    FWI_MEMORY_LOADS = 1 << FWI_LOAD_READ | 1 << FWI_LOAD_COPY
};
fw_status fwi_gpu_peak(const fwi_gpu *g, int64_t runs, unsigned kinds, fw_gpu_peak *out);

/* How many sets of so many bytes push each other out of the device's L2; FW_ENOMEM if they do not fit
 * beside what is there. */
fw_status fwi_gpu_cold_sets(const fwi_gpu *g, const fw_conv_shape *s, size_t bytes, int *sets);
size_t fwi_gpu_round(size_t bytes); /* to where the next operand may begin */
/* Random numbers in [lo, hi) into an operand that lies on the device; all ones where hi is not over lo:
 * what no kernel leaves behind. */
fw_status fwi_gpu_fill(const fwi_gpu *g, const fwi_arg *a, double lo, double hi, uint32_t seed);

#endif
