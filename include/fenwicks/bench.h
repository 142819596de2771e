/* bench.h: measuring this machine and this library: what `fenwicks bench` and `fenwicks doctor`
 * print. */
#ifndef FENWICKS_BENCH_H
#define FENWICKS_BENCH_H

#include <fenwicks/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what the machine and this build have ---- */
typedef struct fw_machine {
    const char *cpu;  /* "AMD EPYC" */
    const char *isa;  /* in use: "avx512" */
    const char *isas; /* supported, comma-separated */
    int threads;      /* this process may use */
    int64_t memory_bytes;
    const char *compiler, *version;
} fw_machine;
FW_API fw_status fw_machine_get(fw_machine *out); /* static text inside */

typedef struct fw_part {
    const char *name; /* "gnuplot" */
    bool present;
    const char *what;    /* what it is for; why it is missing */
    const char *package; /* Debian package that would bring it; NULL: none */
} fw_part;
FW_API int fw_parts(fw_part *out, int cap); /* fills up to cap, returns how many there are */

/* A GPU of this machine; text is "" and a number 0 where it is not known. */
typedef struct fw_gpu {
    char name[256];      /* "NVIDIA H200" */
    char driver[64];     /* its own version: "580.82.07" */
    char libraries[256]; /* "cuDNN 9.19.0; cuBLASLt 13.1.0", or why there is none of one */
    char why[256];       /* why this build cannot use it; "": it can */
    char precisions[64]; /* that it computes in: "f32, tf32, bf16, f16" */
    int major, minor;    /* compute capability */
    int multiprocessors;
    int driver_cuda,
        runtime_cuda; /* CUDA that the driver serves, that this build has: 13000 is 13.0 */
    int64_t memory_free, memory_bytes, l2_bytes;
} fw_gpu;
/* Fills up to cap, returns how many there are; 0 where none can be used: fw_parts says why. */
FW_API int fw_gpus(fw_gpu *out, int cap);

/* op by op, which table a kernel comes from: "conv2d f32 blocked avx512 conv2d_f32_blocked_avx512_14x32". Caller
 * frees with fw_text_free. */
FW_API fw_status fw_ops_table(char **text);

/* ---- peaks: the best of several readings on `threads` threads (0: all allowed), since a ceiling
 * is never lower than what was seen ---- */
typedef struct fw_peak {
    double gflops_f32;    /* fused multiply-adds on registers */
    double gflops_bf16;   /* products of bf16 pairs summed in f32; 0: no such instruction in use */
    double gbytes_read;   /* per second, from memory larger than the caches */
    double gbytes_copy;   /* read and written, both counted */
    double gbytes_stream; /* the same by stores that pass the caches; 0: none here */
    int threads;
    double gflops_tf32, gflops_f16; /* of GPUs alone: products on tensor cores, as is their bf16 */
} fw_peak;
FW_API fw_status fw_bench_peak(int threads, fw_peak *out);
/* The same of a GPU: multiply-adds in f32 on registers, products of matrices on tensor cores by cuBLASLt,
 * memory larger than its L2. Each is read `runs` times, by marks in the GPU's queue. A figure is 0 where
 * there is none, and note then says why. */
typedef struct fw_gpu_peak {
    fw_peak median, least, most; /* threads 0, gbytes_stream 0 */
    char device[320];            /* "cuda:0 (NVIDIA H200, sm_90)" */
    char note[256];
    int64_t runs;
} fw_gpu_peak;
/* device: "cuda", "cuda:1"; FW_EARG for the CPU. runs 0: 7. FW_EUNAVAILABLE, FW_ENOTFOUND as for training. */
FW_API fw_status fw_bench_gpu_peak(const char *device, int64_t runs, fw_gpu_peak *out);
/* The best readings recorded for this processor's model, the instruction set in use and this many
 * threads (0: all allowed): from dir/<processor>.json, or from the records inside the library if dir is NULL. FW_ENOTFOUND if
 * there are none. */
FW_API fw_status fw_peak_recorded(const char *dir, int threads, fw_peak *out);
/* Puts p into dir/<processor>.json, where it is higher than what is there (docs/formats/peaks.md). */
FW_API fw_status fw_peak_record(const char *dir, const fw_peak *p);

/* ---- convolutions, below graph and plan: one kernel on one shape ---- */
typedef struct fw_conv_shape {
    char net[16], name[16]; /* "davidnet", "layer1" */
    int64_t n, h, w, c, oc, k, stride, pad, oh, ow;
} fw_conv_shape;
/* The shapes of bench/shapes.txt: fills up to cap, returns how many there are. */
FW_API int fw_conv_shapes(fw_conv_shape *out, int cap);
/* Those that a recipe trains, at each of its resolutions, with its batch, or with the rows that a proxy network
 * leaves of it, and then those of the proxy too; net is its name, cut to fit. Fills up to cap, *n: how many there are. A convolution that is not square is left out. */
FW_API fw_status fw_recipe_conv_shapes(const fw_recipe *r, fw_conv_shape *out, int cap, int *n);

typedef struct fw_bench_conv_opt {
    const char *shape; /* a net, a name, or net/name; NULL: all */
    const char *pass;  /* fwd dx dw; NULL: those that training needs: no dx of the images */
    /* auto (what training takes), direct, winograd2 to winograd7; NULL, all: each */
    const char *algo;
    const char
        *layout; /* blocked, nhwc; NULL: blocked, nhwc where an algorithm has no such kernel */
    fw_dtype precision;  /* f32, f64 or bf16 */
    int threads;         /* 0: all allowed */
    int64_t runs, batch; /* 0: 7 runs; the table's batch */
    const char *results; /* folder of recorded peaks; NULL: those inside the library */
    /* On a GPU precision is f32, bf16 or f16, the layout is nhwc, and the algorithms are whose the
     * kernel is: cudnn, wgmma (our own on Hopper's tensor cores, where a choice names it), narrow (our own for
     * images of few channels), cuda (our own for any shape); auto is the one that training takes. */
    const char *device;      /* NULL: cpu */
    const fw_recipe *recipe; /* its convolutions instead of the table's; on a GPU alone */
    bool tf32;               /* f32 whose products may round to tf32 */
    bool
        tune; /* of each shape and pass: try every engine, cuDNN's and our own, keep the fastest that is
                           right in the file of choices (docs/formats/conv-choices.md) */
} fw_bench_conv_opt;

typedef struct fw_bench_conv_row {
    const fw_conv_shape *shape; /* the batch in it is the one measured */
    const char *pass, *algo, *kernel, *layout;
    bool chosen; /* the algorithm that training takes here, unless a recipe says otherwise */
    double seconds, seconds_min, seconds_max;  /* median, least, most */
    double gflops;                             /* nominal: every tap counted */
    double executed;                           /* of these, the share that meets no padding */
    double peak_before, peak_after, peak_best; /* GFLOP/s; best: recorded, 0 if it is not */
    double share_of_peak; /* direct: executed; Winograd: nominal; of the higher peak */
    bool slow;            /* the higher peak is under 95 % of peak_best */
    double error;         /* relative L2 against double, sampled outputs */
    bool wrong;           /* error out of bounds: the speed means nothing */
    int64_t scratch_bytes, runs;
    /* of GPUs alone; their share_of_peak is of the nominal gflops, since padding is multiplied too */
    const char *device, *precision; /* label; "tf32"; NULL: a CPU's row */
    const char *engine;             /* cuDNN's, in words: "engine 7, knobs 1=2, measured"; "" */
    int64_t engines, engines_wrong; /* tuning: how many were tried, and gave a wrong result */
    double seconds_before;          /* tuning: of the heuristic's first engine */
    const char *choices;            /* tuning: the file; NULL: not tuned */
} fw_bench_conv_row;
/* Each row as it is measured; anything but FW_OK ends the benchmark with that status. */
typedef fw_status (*fw_bench_conv_fn)(void *arg, const fw_bench_conv_row *row);
/* An algorithm without a kernel for a shape and pass gives no row. FW_ENOTFOUND with the names for
 * a shape, pass, algorithm or layout that there is not, and if no row came out. */
FW_API fw_status fw_bench_conv(const fw_bench_conv_opt *opt, fw_bench_conv_fn fn, void *arg);

/* ---- the sweeps between convolutions, one kernel at a time ---- */
/* On the outputs of convolutions; of their filters the updates (sgd, muon); and where a convolution has at most 4
 * channels, so is given a net's images, resizing of those to 3/4 and to 7/8. */
typedef struct fw_bench_ops_opt {
    const char *op;      /* "bn_act"; NULL: all */
    const char *act;     /* "silu": the activation, a word of act in recipes; NULL: the one of the
                            shape's net. Ops with activations that do not know it have no row */
    const char *shape;   /* as in fw_bench_conv_opt, whose outputs are the images; NULL: davidnet,
                            airbench94 */
    const char *layout;  /* blocked, nhwc; NULL: what training would use */
    fw_dtype precision;  /* f32, f64 or bf16 */
    int threads;         /* 0: all allowed */
    int64_t runs, batch; /* 0: 7 runs; the table's batch */
    bool in_place;       /* ops that may write over their first input do */
    const char *device;  /* NULL: cpu; on a GPU precision is f32, bf16 or f16, the layout nhwc */
} fw_bench_ops_opt;

typedef struct fw_bench_ops_row {
    const char *op, *kernel, *layout;
    const fw_conv_shape *shape; /* images are n oh ow oc; so are the filters of an update */
    const char *act;            /* NULL: the op has none, or is one */
    int64_t to_h, to_w;         /* of what resizes; else 0 */
    bool in_place;
    int64_t bytes; /* inputs and outputs, each once; twice what is updated */
    double seconds, seconds_min, seconds_max; /* median, least, most */
    double gbytes_per_second;
    double share_of_peak; /* of the highest memory ceiling */
    const fw_peak *peak;  /* read before all rows */
    int64_t runs;
    const char *device; /* label of a GPU; NULL: a CPU's row */
} fw_bench_ops_row;
typedef fw_status (*fw_bench_ops_fn)(void *arg, const fw_bench_ops_row *row);
/* As fw_bench_conv; an op without a kernel above the reference gives no row. FW_EARG for an op that
 * has no such activation. */
FW_API fw_status fw_bench_ops(const fw_bench_ops_opt *opt, fw_bench_ops_fn fn, void *arg);

/* ---- one training step ---- */
typedef struct fw_bench_op {
    const char *op, *kernel, *shape;  /* borrowed until fw_bench_step_clear */
    int64_t calls;                    /* per step */
    double seconds;                   /* per step, median */
    double gflops, gbytes_per_second; /* of the operation's own count; 0 where it has none */
    double share;                     /* of the step */
    const char *ceiling;              /* what it runs against: "bf16", "memory"; NULL: not known */
    double share_of_peak;             /* of that; 0: not known */
} fw_bench_op;
/* What a step spends its time on. OTHER: the head, the loss, what is in no other part; OUTSIDE:
 * waiting for images and handing them over, everything between ops. */
typedef enum fw_step_part {
    FW_PART_CONV,
    FW_PART_NORM, /* normalisation, activation and bias, fused with pools or not */
    FW_PART_POOL,
    FW_PART_ADD,
    FW_PART_LAYOUT, /* conversions of layout and type, and of the size of images */
    FW_PART_OPTIMIZER,
    FW_PART_OTHER,
    FW_PART_OUTSIDE,
    FW_PART_COUNT
} fw_step_part;
FW_API const char *fw_step_part_name(fw_step_part part); /* "convolution"; "?" for no part */

typedef struct fw_bench_step_result {
    double seconds_min, seconds_median, seconds_max; /* of a step */
    double images_per_second;                        /* by the median */
    double gflops, share_of_peak;
    double epoch_seconds; /* steps per epoch times the median, input pipeline included */
    double start_seconds; /* from process start to the end of the first step's preparation */
    fw_peak peak;
    fw_dtype precision;
    bool tf32;
    double
        peak_gflops; /* the one of peak that this precision runs against; 0: not known, of a GPU */
    int64_t batch, runs;
    fw_budget budget;
    int64_t peak_memory_bytes;          /* resident at most, synthetic or real data included */
    double part_seconds[FW_PART_COUNT]; /* of a step, summed from medians */
    fw_bench_op *ops;                   /* by time, descending */
    int n_ops;
    void *owned;
    char device[320];       /* label */
    double kernels_seconds; /* of a step: all ops, each alone; summed from medians */
    /* of a GPU alone */
    double graph_seconds;     /* the recorded step alone, median; 0: it could not be recorded */
    int64_t allocations;      /* of device memory, from the first step's end to that of the last */
    int64_t host_allocations; /* by the library, likewise */
    int64_t
        memory_taken_bytes; /* by which the device's free memory shrank meanwhile, whoever took it */
} fw_bench_step_result;
/* opt: data, seed, device, threads, pin, precision, memory_limit, explain and its user are used. runs 0:
 * 7 (after 2 that are not counted). Without data: synthetic images of the recipe's shape. at: the step of the run, from 0, as
 * training does it: with images of the size that they have there, and without what is not trained any more.
 * FW_BENCH_WHOLE: full size, and all of it trained. FW_EARG behind the run's last step. */
enum { FW_BENCH_WHOLE = -1 };
FW_API fw_status fw_bench_step(const fw_recipe *r, const fw_run_opt *opt, int64_t at, int64_t runs,
                               fw_bench_step_result *out);
FW_API void fw_bench_step_clear(fw_bench_step_result *res);

/* ---- the input pipeline alone ---- */
typedef struct fw_bench_data_result {
    double images_per_second_min, images_per_second_median, images_per_second_max;
    double gbytes_per_second; /* of records read */
    int threads;
    int64_t images, runs;
} fw_bench_data_result;
/* The recipe's own training pipeline, each run one pass. opt: data (records; NULL: synthetic uint8 records of
 * 10,000 images in a temporary file), threads (0: 1) and stop (FW_ESTOPPED, between batches) are used; NULL:
 * none is set. */
FW_API fw_status fw_bench_data(const fw_recipe *r, const fw_run_opt *opt, int64_t runs,
                               fw_bench_data_result *out);

#ifdef __cplusplus
}
#endif
#endif
