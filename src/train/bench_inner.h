/* bench_inner.h: what the measurements of bench_*.c share. */
#ifndef FWI_BENCH_INNER_H
#define FWI_BENCH_INNER_H

#include <fenwicks/bench.h>

#include "backends.h"

double fwi_median(double *values, int64_t n); /* sorts values; n >= 1 */

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

/* ---- operands of kernels that are timed alone ---- bench_operand.c */
size_t fwi_operand_bytes(const fwi_arg *a); /* padding images included */
bool fwi_operand_alloc(fwi_arg *a);         /* false: no memory, the message is set */
void fwi_operand_free(fwi_arg *a);
/* Numbers in [lo, hi), the same for the same seed; whole ones for types of whole numbers. */
void fwi_operand_fill(fwi_pool *pool, const fwi_arg *a, double lo, double hi, uint32_t seed);
/* How many sets of so many bytes push each other out of the last-level cache. */
enum { FWI_COLD_SETS = 64 };
int fwi_cold_sets(size_t bytes);
/* FW_ENOMEM where operands of s take more than the machine has: pages are given when they are
 * filled, and the system ends who asks for one too many. */
fw_status fwi_operands_fit(const fw_conv_shape *s, size_t bytes);

bool fwi_names_gpu(const char *device); /* none but NULL and cpu is measured as one */

/* ---- kernels that are timed alone, over the shapes of nets ---- bench_operand.c */
enum { FWI_BENCH_RUNS = 7, FWI_BENCH_SHAPES = 128 }; /* runs by default; shapes at most */
/* What is asked of each measurement: FW_EARG for a count that is out of its range. call: for the message. */
fw_status fwi_bench_counts(const char *call, int threads, int64_t runs, int64_t batch);

bool fwi_conv_shape_named(const fw_conv_shape *s,
                          const char *word); /* a net, a name, or net/name; NULL: any */

/* each(user, s) for the shapes that wants(s, word), with batch images where that is not 0, until one fails. */
typedef struct fwi_shape_walk {
    const char *word; /* may be NULL */
    bool (*wants)(const fw_conv_shape *s, const char *word);
    int64_t batch;
    fw_status (*each)(void *user, const fw_conv_shape *s);
    void *user;
} fwi_shape_walk;
/* Of a list; *known: whether any was wanted. */
fw_status fwi_walk_shapes(const fwi_shape_walk *w, const fw_conv_shape *all, int n, bool *known);
/* Of bench/shapes.txt; FW_ENOTFOUND, with all there are, where the word names none. */
fw_status fwi_walk_known_shapes(const fwi_shape_walk *w);

/* Sets the memory figures of out alone. */
fw_status fwi_memory_peak(fwi_pool *pool, fw_peak *out);

/* Of p, the figure that fwi_ceiling_init would take for type. */
double fwi_peak_for(const fw_peak *p, fw_dtype type);

#endif
