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

/* op by op, which table a kernel comes from: "conv2d f32 avx512 conv2d_f32_avx512_14x32". Caller
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
} fw_peak;
FW_API fw_status fw_bench_peak(int threads, fw_peak *out);
/* The best readings recorded for this processor's model and this many threads (0: all allowed):
 * from dir/<model>.json, or from the records inside the library if dir is NULL. FW_ENOTFOUND if
 * there are none. */
FW_API fw_status fw_peak_recorded(const char *dir, int threads, fw_peak *out);
/* Puts p into dir/<model>.json, where it is higher than what is there (docs/formats/peaks.md). */
FW_API fw_status fw_peak_record(const char *dir, const fw_peak *p);

/* ---- convolutions, below graph and plan: one kernel on one shape ---- */
typedef struct fw_conv_shape {
    char net[16], name[16]; /* "davidnet", "layer1" */
    int64_t n, h, w, c, oc, k, stride, pad, oh, ow;
} fw_conv_shape;
/* The shapes of bench/shapes.txt: fills up to cap, returns how many there are. */
FW_API int fw_conv_shapes(fw_conv_shape *out, int cap);

typedef struct fw_bench_conv_opt {
    const char *shape; /* a net, a name, or net/name; NULL: all */
    const char *pass;  /* fwd dx dw; NULL: those that training needs: no dx of the images */
    const char
        *algo; /* auto (what training takes), direct, winograd2, winograd4; NULL, all: each */
    const char
        *layout; /* blocked, nhwc; NULL: blocked, nhwc where an algorithm has no such kernel */
    fw_dtype precision;  /* f32, f64 or bf16 */
    int threads;         /* 0: all allowed */
    int64_t runs, batch; /* 0: 7 runs; the table's batch */
    const char *results; /* folder of recorded peaks; NULL: those inside the library */
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
} fw_bench_conv_row;
/* Each row as it is measured; anything but FW_OK ends the benchmark with that status. */
typedef fw_status (*fw_bench_conv_fn)(void *arg, const fw_bench_conv_row *row);
/* An algorithm without a kernel for a shape and pass gives no row. FW_ENOTFOUND with the names for
 * a shape, pass, algorithm or layout that there is not, and if no row came out. */
FW_API fw_status fw_bench_conv(const fw_bench_conv_opt *opt, fw_bench_conv_fn fn, void *arg);

/* ---- the sweeps between convolutions, one kernel at a time ---- */
typedef struct fw_bench_ops_opt {
    const char *op;      /* "bn_act"; NULL: all */
    const char *shape;   /* as in fw_bench_conv_opt, whose outputs are the images; NULL: davidnet,
                            airbench94 */
    const char *layout;  /* blocked, nhwc; NULL: what training would use */
    fw_dtype precision;  /* f32, f64 or bf16 */
    int threads;         /* 0: all allowed */
    int64_t runs, batch; /* 0: 7 runs; the table's batch */
    bool in_place;       /* ops that may write over their first input do */
} fw_bench_ops_opt;

typedef struct fw_bench_ops_row {
    const char *op, *kernel, *layout;
    const fw_conv_shape *shape; /* images are n oh ow oc */
    bool in_place;
    int64_t bytes;                            /* inputs and outputs, each once */
    double seconds, seconds_min, seconds_max; /* median, least, most */
    double gbytes_per_second;
    double share_of_peak; /* of the highest memory ceiling */
    const fw_peak *peak;  /* read before all rows */
    int64_t runs;
} fw_bench_ops_row;
typedef fw_status (*fw_bench_ops_fn)(void *arg, const fw_bench_ops_row *row);
/* As fw_bench_conv; an op without a kernel above the reference gives no row. */
FW_API fw_status fw_bench_ops(const fw_bench_ops_opt *opt, fw_bench_ops_fn fn, void *arg);

/* ---- one training step ---- */
typedef struct fw_bench_op {
    const char *op, *kernel, *shape;  /* borrowed until fw_bench_step_clear */
    int64_t calls;                    /* per step */
    double seconds;                   /* per step, median */
    double gflops, gbytes_per_second; /* of the operation's own count; 0 where it has none */
    double share;                     /* of the step */
} fw_bench_op;
/* What a step spends its time on. OTHER: the head, the loss, what is in no other part; OUTSIDE:
 * waiting for images and handing them over, everything between ops. */
typedef enum fw_step_part {
    FW_PART_CONV,
    FW_PART_NORM, /* normalisation, activation and bias, fused with pools or not */
    FW_PART_POOL,
    FW_PART_ADD,
    FW_PART_LAYOUT, /* conversions of layout and type */
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
} fw_bench_step_result;
/* opt: data, seed, device, threads, pin, precision, memory_limit are used. runs 0: 7 (after 2 that are not
 * counted). Without data: synthetic images of the recipe's shape. */
FW_API fw_status fw_bench_step(const fw_recipe *r, const fw_run_opt *opt, int64_t runs,
                               fw_bench_step_result *out);
FW_API void fw_bench_step_clear(fw_bench_step_result *res);

/* ---- the input pipeline alone ---- */
typedef struct fw_bench_data_result {
    double images_per_second_min, images_per_second_median, images_per_second_max;
    double gbytes_per_second; /* of records read */
    int threads;
    int64_t images, runs;
} fw_bench_data_result;
/* The recipe's own training pipeline over `data` (records; NULL: synthetic uint8 records of 10,000
 * images in a temporary file), each run one pass. threads 0: 1. */
FW_API fw_status fw_bench_data(const fw_recipe *r, const char *data, int threads, int64_t runs,
                               fw_bench_data_result *out);

#ifdef __cplusplus
}
#endif
#endif
