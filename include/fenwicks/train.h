/* train.h: the estimator: train, evaluate, predict, resume. */
#ifndef FENWICKS_TRAIN_H
#define FENWICKS_TRAIN_H

#include <fenwicks/data.h>
#include <fenwicks/layers.h>
#include <fenwicks/optim.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Evaluation over several views of each image: their logits are averaged before the class is chosen
 * and the loss taken ("test-time augmentation"). */
typedef enum fw_tta {
    FW_TTA_NONE = 0,
    FW_TTA_MIRROR = 1,    /* the image and its mirror image, 1/2 each */
    FW_TTA_SELECTIVE = 3, /* the quarter of the records (rounded down) about which the network is
                             least certain, by the largest of their softmax probabilities, ties by
                             record: 1/6 each of the six views below; all others as they are (hiverge
                             2025). It looks at the whole data set before it chooses */
    FW_TTA_AIRBENCH6 = 2  /* 1/4 each of these, and 1/8 each of the same two of the image shifted by
                            one pixel along the diagonal, one way and the other, its border
                            reflected (Jordan 2024) */
} fw_tta;

/* How 3 x 3 convolutions may be computed: Winograd's algorithms multiply less and round otherwise
 * (docs/numerics.md). */
typedef enum fw_conv {
    FW_CONV_AUTO = 0,   /* as measured to be fastest; F(2x2,3x3) alone where products are of bf16 */
    FW_CONV_DIRECT = 1, /* by their definition */
    FW_CONV_WINOGRAD2 = 2, /* F(2x2,3x3) where it is faster */
    FW_CONV_WINOGRAD3 = 3, /* F(3x3,3x3) as well, products of bf16 or not */
    FW_CONV_WINOGRAD4 = 4, /* F(4x4,3x3) as well, likewise */
    FW_CONV_WINOGRAD5 = 5, /* F(5x5,3x3) as well, but not where products are of bf16 */
    /* F(6x6,3x3) as well, but not there either: what WINOGRAD4 allows counts there */
    FW_CONV_WINOGRAD6 = 6,
    /* F(7x7,3x3) as well, forward and for the input's gradient of images stored as bf16 and multiplied as
     * f32; elsewhere what WINOGRAD6 or, where products are of bf16, WINOGRAD4 allows */
    FW_CONV_WINOGRAD7 = 7
} fw_conv;

/* Training images may be smaller than the data's for a part of the run: a network learns from them
 * faster than it learns less. Evaluation is always at full size. */
enum { FW_MAX_RESOLUTIONS = 8 };
typedef enum fw_resolution_by {
    FW_BY_RESIZE = 0, /* bilinear, half-pixel centres, no antialiasing */
    /* The middle; behind fw_random_pad_crop a random window of the padded image. Not of batches that fw_cutmix
     * mixes: FW_EARG. */
    FW_BY_CROP = 1
} fw_resolution_by;
typedef struct fw_resolution {
    int64_t size;  /* height and width; at most the data's, whose images have to be square */
    int64_t until; /* before this global step */
} fw_resolution;

typedef struct fw_metrics {
    double loss;     /* mean per record, of an estimator with its label smoothing, of a model file
                              (fw_model_evaluate), which holds none, without */
    double accuracy; /* fraction in [0,1] */
    double accuracy_plain; /* without other views; the same where there are none */
    int64_t records;       /* how many were counted */
    int64_t forwards;      /* images that went through the network, each view counted */
    double seconds;
} fw_metrics;

/* Bytes, known before the first step. */
typedef struct fw_budget {
    int64_t state;    /* weights, running statistics, optimiser slots, gradients */
    int64_t scratch;  /* activations and kernels' workspace, shared by all plans */
    int64_t shuffle;  /* shuffle buffers, record indices, pass orders */
    int64_t prefetch; /* batches made ahead, workers' scratch */
    int64_t cache;    /* records and images held in memory */
    int64_t device;   /* images that stay on a device with memory of its own */
    int64_t total;
} fw_budget;

/* Which rows of each batch are worth training on: chosen while one network is trained (record), used
 * to train the next (filter), on the same batches. A small network thereby spares a large one the
 * images that it would learn little from (Jordan 2024, airbench96). */
typedef struct fw_filter fw_filter;
/* Room for `keep` of `batch` rows in each of `steps` steps: steps * ceil(batch / 8) bytes. FW_EARG:
 * keep is not in 1..batch, or there are no steps. */
FW_API fw_status fw_filter_new(fw_filter **out, int64_t batch, int64_t keep, int64_t steps);
/* After the estimators that use it. */
FW_API void fw_filter_free(fw_filter *f);
FW_API int64_t
fw_filter_recorded(const fw_filter *f); /* steps that have been chosen for, from 0 on */
/* The `keep` rows of a recorded step, ascending, into rows [keep]. FW_EARG: no such step. */
FW_API fw_status fw_filter_rows(const fw_filter *f, int64_t step, int32_t *rows);

/* What happened, for progress, logs and early stops. */
typedef enum fw_event_kind {
    FW_EVENT_BEGIN = 0, /* before the first step: budget is set */
    FW_EVENT_STEP = 1,  /* after each step; see fw_event_fn */
    FW_EVENT_EPOCH =
        2, /* after the last step of an epoch, and after the last of a call that ends within one:
                           loss and accuracy are means over the epoch so far */
    FW_EVENT_EVAL = 3,       /* after an evaluation: eval is set */
    FW_EVENT_CHECKPOINT = 4, /* after a checkpoint was written: path is set */
    FW_EVENT_END = 5         /* training is over */
} fw_event_kind;

typedef struct fw_event {
    fw_event_kind kind;
    int64_t step, total_steps; /* steps done; the step at which training ends */
    int64_t steps_per_epoch;
    double loss, accuracy; /* training, mean per record: of the step, or of the epoch */
    double lr; /* of the latest step; of the estimator's own optimiser, where there are groups */
    double images_per_second;     /* since training began, evaluation not counted */
    double seconds, seconds_left; /* of this call; estimated */
    const fw_metrics *eval;
    const fw_budget *budget;
    const char *path;
} fw_event;
/* Every step is told once, in order, before what follows from it (the end of its epoch, an evaluation,
 * a checkpoint); where a run is gone on with an evaluation of the step that it was left at may come first. On a CPU that is behind each step. A GPU is given up to 64 steps at once, none of them
 * beyond the end of an epoch or a checkpoint; their events come together when the last of them is over,
 * with the times of then: the estimator has gone on to that step, and whoever says stop stops there. */
typedef bool (*fw_event_fn)(void *user,
                            const fw_event *ev); /* false: stop after this (FW_ESTOPPED) */

/* Ready-made: on a terminal one line that is redrawn, else a line per epoch; on standard error.
 * user is ignored. */
FW_API bool fw_progress_stderr(void *user, const fw_event *ev);

/* The precision of a word: "f32", "tf32", "bf16", "f16" (or "fp16"), "f64"; "auto": bf16 where training is
 * faster in it (a GPU, or a processor with AVX-512 unless FENWICKS_ISA forbids that), else f32. out, tf32: as
 * fw_estimator_opt has them. device NULL: "cpu". Whether the device has it is seen when it is opened. FW_EARG. */
FW_API fw_status fw_precision_read(const char *word, const char *device, fw_dtype *out, bool *tf32);
/* "tf32", or as fw_dtype_name. */
FW_API const char *fw_precision_name(fw_dtype precision, bool tf32);

typedef struct fw_estimator_opt {
    /* Texts and lists here are copied; callbacks and their `user` are kept. */
    const char *work_dir; /* the run's folder: config, log, events, checkpoints, model; NULL:
                             nothing is written */
    const char *device;   /* NULL: "cpu" */
    fw_dtype
        precision; /* FW_F32; FW_BF16: images between the layers are stored as bf16 and summed in
                             f32, all that is learnt stays f32, where the device can; FW_F16: the same, on
                             GPUs alone, where a step whose gradients overflow is undone, and told of;
                             FW_F64, for checks */
    bool tf32;     /* with FW_F32, on GPUs alone: products may round their operands to tf32 */
    double loss_scale; /* of FW_F16: what the loss is multiplied by while its gradient is taken. 0:
                             the largest power of 2 that is no more than the batch, or 1 with .loss_sum */
    int threads;       /* 0: as many as this process may use; more are refused */
    uint64_t seed;     /* weights and dropout */
    bool loss_sum;     /* loss summed over the batch instead of its mean */
    double label_smoothing;
    fw_event_fn progress;
    void *progress_user;
    const volatile sig_atomic_t *
        stop; /* when it becomes non-zero: finish the step, on a GPU those that are on their way too,
                  write a checkpoint, return FW_ESTOPPED. An evaluation and a prediction end behind the
                  batch at work, on a GPU the window of batches, with FW_ESTOPPED and no result; one in a
                  training without its event, and behind the last step that training is whole: FW_OK. A
                  signal handler may set it */
    int64_t steps_per_epoch;  /* 0: the training data's batches per pass */
    int64_t checkpoint_every; /* steps; 0: only when training ends or stops */
    int64_t keep;             /* newest checkpoints kept; 0: 2 */
    fw_dataset
        *eval_data; /* borrowed: evaluated every eval_every epochs, and named by the budget */
    /* Epochs; 0: never during training. A call that goes on behind a step after which one is due, and was not
     * made by this estimator, begins with it. */
    int64_t eval_every;
    fw_tta tta;             /* of every evaluation */
    const char *warm_start; /* model file whose tensors replace the initial weights where names and
                               shapes agree; at least one must */
    int64_t memory_limit;   /* bytes; 0: none. A larger budget is refused before scratch and batches
                               are allocated, a step is taken or a file is written; an evaluation or a
                               prediction likewise. What was refused leaves the estimator as it was */
    bool fresh; /* ignore (and replace) checkpoints in work_dir instead of resuming from the newest
                 */
    const char *config; /* text kept as "recipe" in config.json; may be NULL */
    const char *const
        *class_names; /* [n_class_names] for the model file; UTF-8, else FW_EARG; copied */
    int64_t n_class_names;
    const fw_param_group *groups; /* [n_groups], copied: optimisers of their own for some classes of
                                     parameters */
    int32_t n_groups;             /* at most FW_MAX_GROUPS */
    fw_average average;           /* of the weights */
    const fw_resolution *resolutions; /* [n_resolutions], copied: `until` increases; behind the last
                                         one images have their full size. All plans are made before
                                         the first step */
    int32_t n_resolutions;            /* at most FW_MAX_RESOLUTIONS */
    fw_resolution_by resolution_by;
    fw_filter *record; /* borrowed; NULL: none. In each step the `keep` rows of the batch with the
                             highest loss (label smoothing included, statistics of the batch; ties:
                             the smaller row) are put there before the step's update, which is of
                             these rows alone; the filter's `batch` is that of the data. Losses and
                             accuracies told are those of whole batches, and running statistics take each batch
                             once. With work_dir they are kept
                             beside the checkpoints, as rows.safetensors */
    int64_t record_every; /* only steps 0, n, 2n, ... update the weights; 0: 1, all */
    const fw_filter
        *filter; /* borrowed; NULL: none. Batches are reduced to its rows: the network is
                                trained with batches of `keep`. It has to have every step */
    fw_conv conv;
    bool
        host_batches; /* make batches on the host also where the device would make them: images held
                          in memory as uint8 (fw_dataset_opt.cache, fw_array_dataset) are uploaded once
                          to a GPU, which makes the same batches, bit by bit. Users' own transforms,
                          fw_cutmix, filters, and images that do not fit there beside the plan leave it
                          to the host by themselves; fw_estimator_explain says which it is */
    bool pin; /* bind each thread to a CPU of its own; the calling thread, which has to be the one
                 that trains, until fw_estimator_free */
} fw_estimator_opt;

/* Compiles for each batch size, resolution and use of its own, and keeps what it compiled: FW_ESTATE beyond 48 of
 * them. */
typedef struct fw_estimator fw_estimator;

/* Takes net, also on failure. Reports the first mistake made while building it. If work_dir holds
 * checkpoints, the newest that is whole will be resumed from (unless .fresh), provided that model,
 * optimiser, seed, precision, loss, resolutions, filter and .conv are those that it was written with:
 * else FW_EEXISTS; data likewise, in fw_estimator_train. FW_EFORMAT where none is whole. */
FW_API fw_status fw_estimator_new(fw_estimator **out, fw_layer *net, fw_optimizer optimizer,
                                  const fw_estimator_opt *opt);
FW_API void fw_estimator_free(fw_estimator *e);

/* Trains until global step `until`: a program that is started again goes on where it stopped. ds
 * must be a training data set, borrowed for the call; its position is set from the global step. Calls may
 * have data sets of their own, one after another: then a program that is started again makes them again, and
 * those whose steps are all done train nothing and write nothing until the one that was at work. When the
 * last step is done, work_dir gets a checkpoint and model.safetensors. Errors: FW_ENONFINITE (step and rate
 * named; the last good checkpoint stays), FW_ESTOPPED, FW_EEXISTS (a run that is gone on with had other data; on a GPU,
 * it computed a convolution by another engine than would be used now, see docs/cuda.md), FW_ESTATE (it
 * diverged before; or another estimator, of this process or of another, that has trained in work_dir is not
 * freed yet), FW_EARG (no training data set, no labels, a batch larger than the records), and what the data
 * set reports.
 * Where data, an evaluation or the log fails, a checkpoint of the last step is written first. */
FW_API fw_status fw_estimator_train(fw_estimator *e, fw_dataset *ds, int64_t until);

/* Every record of a non-training data set counts once, wherever it stands, by the views that .tta asks
 * for; it has to have labels. FW_ESTATE: a filter of fw_whiten is not made yet, see fw_estimator_save. */
FW_API fw_status fw_estimator_evaluate(fw_estimator *e, fw_dataset *ds, fw_metrics *out);

/* Class probabilities of every record, in order: probabilities [cap, n_classes]. FW_EARG if cap <
 * fw_dataset_count(ds). n_rows may be NULL. On a GPU its images may take the place of those that were
 * evaluated last (docs/cuda.md). */
FW_API fw_status fw_estimator_predict(fw_estimator *e, fw_dataset *ds, float *probabilities,
                                      int64_t cap, int64_t *n_rows);

FW_API int64_t fw_estimator_step(const fw_estimator *e);    /* steps done so far */
FW_API int64_t fw_estimator_classes(const fw_estimator *e); /* 0 before the first use with data */

/* Compiles for data sets and fills the budget without training: train to train on, eval to evaluate on.
 * Either may be NULL, and out too. Allocates state and scratch. */
FW_API fw_status fw_estimator_prepare(fw_estimator *e, fw_dataset *train, fw_dataset *eval,
                                      fw_budget *out);

/* What was chosen for the plans made so far (fw_estimator_prepare, or training): device, layout,
 * algorithm and kernel of each convolution, fused ops, memory, as lines for people. Caller frees
 * with fw_text_free. */
FW_API fw_status fw_estimator_explain(const fw_estimator *e, char **text);

/* What evaluation uses, as a model file (docs/formats/model.md): the weights, before the first step those
 * that training begins with, and the standardisation of the data, several in a row as one. A transform
 * of the caller's own cannot be in it, which is logged: the model wants its images as that leaves them.
 * FW_ESTATE: there are no weights before data is seen (prepare, train, evaluate, predict), no filter of fw_whiten
 * before training data is (prepare, train), which an evaluation wants too; FW_ENONFINITE: a value is not finite. */
FW_API fw_status fw_estimator_save(fw_estimator *e, const char *path);

#ifdef __cplusplus
}
#endif
#endif
