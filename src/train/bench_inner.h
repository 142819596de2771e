/* bench_inner.h: what the measurements of bench_*.c share. */
#ifndef FWI_BENCH_INNER_H
#define FWI_BENCH_INNER_H

#include <fenwicks/bench.h>

double fwi_median(double *values, int64_t n); /* sorts values; n >= 1 */
double fwi_seconds_since_start(void);         /* of this process; -1 if the system does not say */

/* n images of random bytes with random labels, the same on every call. */
fw_status fwi_synthetic_images(int64_t n, const int64_t hwc[3], int64_t n_classes, fw_images *out);

#endif
