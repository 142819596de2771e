/* bench_gpu_conv.h: a convolution with operands in a GPU's memory, as bench_gpu_conv.c times its rows and
 * bench_gpu_tune.c the engines of cuDNN. Read before: bench_gpu.h, bench_conv.h. */
#ifndef FWI_BENCH_GPU_CONV_H
#define FWI_BENCH_GPU_CONV_H

#include "bench_conv.h"
#include "bench_gpu.h"

typedef struct fwi_gpu_conv {
    const fw_bench_conv_opt *opt;
    fwi_gpu g;
    fwi_gpu_load ceiling; /* of the precision; no memory: not to be had */
    double bound;         /* of errors */
    int64_t runs;
    double *seconds; /* [runs] */
    fw_bench_conv_fn fn;
    void *arg;
    int64_t rows;
    /* of the shape in hand */
    fw_conv_shape s;
    fwi_attr attr;
    void *block; /* of the device: the operands of all sets */
    size_t block_bytes, set_bytes;
    int n_sets;
    /* of the pass in hand */
    int pass;
} fwi_gpu_conv;

/* The call of the pass on set i; sets take turns. */
fwi_call fwi_gpu_conv_call(const fwi_gpu_conv *b, int64_t i);

/* One way of doing the pass: a row of the table, or an engine. */
typedef struct fwi_gpu_way {
    fwi_gpu_conv *b;
    const fwi_kernel *kernel; /* NULL: the engine */
    const fwi_engine *engine;
    size_t scratch_bytes;
    void *scratch;
} fwi_gpu_way;
/* Scratch for it; runs of it into b->seconds, sorted, after one that does not count; the error of one. */
fw_status fwi_gpu_way_open(fwi_gpu_way *w);
void fwi_gpu_way_close(fwi_gpu_way *w);
fw_status fwi_gpu_way_time(fwi_gpu_way *w);
fw_status fwi_gpu_way_error(fwi_gpu_way *w, double *error);

/* Tries the engines of the pass and keeps the fastest that is right; row gets what is said of that. */
fw_status fwi_gpu_tune(fwi_gpu_conv *b, fw_bench_conv_row *row);
/* Writes the file as it is, so that one that cannot be written is found before anything is measured. */
fw_status fwi_gpu_tune_begin(fwi_gpu_conv *b);

#endif
