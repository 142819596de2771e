/* estimator.h: the estimator's insides, shared by estimator.c (its life), estimator_plans.c (compilation),
 * fit.c (the training loop) and eval.c. */
#ifndef FWI_ESTIMATOR_H
#define FWI_ESTIMATOR_H

#include "checkpoint.h"
#include "device_data.h"
#include "eval_ahead.h"
#include "file.h"
#include "filter.h"
#include "modelfile.h"
#include "network.h"
#include "runlog.h"
#include "stages.h"
#include "tta.h"
#include "tta_select.h"
#include <fenwicks/train.h>

enum { FWI_PATH_CAP = 4096 };

struct fw_estimator {
    fw_layer *net;
    fwi_optim optim;
    fw_estimator_opt opt; /* texts in it are copies of our own */
    char **class_names;
    fwi_device *device;
    bool device_lent;    /* somebody else's, who closes it */
    fwi_network network; /* compiled at the first use with data */
    bool compiled;
    bool filled;     /* the network has weights: of a run */
    bool broken;     /* a loss was not finite: the weights are lost */
    bool recording;  /* what opt.record holds is of this estimator's own steps */
    bool keeps_data; /* data sets stay on its threads when training is over */
    bool one_set;    /* a run of one training set from its first step to its last */
    bool resumed;    /* resume is of a run whose data a call of this estimator named */
    const struct fw_estimator *beside; /* whose memory is held too; NULL: none */
    int64_t step;
    /* Seconds of training, evaluations not counted: of the starts before this one, by the log of the
     * run's folder; of this start's calls that are over. */
    double seconds_before, seconds_here;
    bool seconds_lost; /* the log does not say how long the starts before took */
    /* Sums of the steps since the epoch began, of the starts before too as far as the log tells them. */
    struct {
        int64_t steps;
        double loss, correct;
        int64_t per, counted; /* the data's: steps of an epoch, records of a step */
    } epoch;
    /* The latest step that a checkpoint was written or found of; that an evaluation on the way was of. 0: none. */
    int64_t saved_step, evaluated_step;
    char *layers_text, *optimizer_text;
    fwi_safetensors *resume; /* checkpoint to load when compiled; NULL: none */
    int64_t found_step; /* the newest in the run's folder as it was then, whole or not; -1: none */
    fw_transform transforms[2]; /* standardisation of the training data, for the model file */
    bool own_transforms;        /* the data has some of the caller's own, which no file can hold */
    fwi_file_lock folder; /* opt.work_dir is this estimator's alone, from its first training on */
    fwi_runlog *log;
    fwi_ckpt *ckpt;
    fw_resolution resolutions[FW_MAX_RESOLUTIONS]; /* [opt.n_resolutions] */
    fwi_device_data train_data, eval_data;         /* what the device keeps of them */
    fwi_eval_ahead eval_ahead;                     /* evaluations of what the device keeps */
    fwi_tta tta;                                   /* room for the views of evaluation */
    fwi_selective selective;                       /* and for choosing who gets them */
    fw_budget budget;                              /* the latest that was made */
    double window_seconds; /* that steps on their way may take (fit_ahead.c); 0: as it has it */
};

/* fw_estimator_save as model.safetensors in the run's folder; nothing where there is none. */
fw_status fwi_estimator_save_model(fw_estimator *e);
/* Compiles for images of this data set, or checks that they are those compiled for. */
fw_status fwi_estimator_compile(fw_estimator *e, const fw_dataset *ds);
/* The model file will ask for images standardised as these are. */
void fwi_estimator_standardize_as(fw_estimator *e, const fw_dataset *ds);
/* What a run begins with, unless that is there: weights by the seed, a model or a checkpoint. */
fw_status fwi_estimator_fill(fw_estimator *e);
/* The plan that evaluates batches of so many images with what evaluation uses after so many steps. */
fw_status fwi_estimator_eval_plan(fw_estimator *e, int64_t batch, int64_t step,
                                  fwi_network_plan **out);
/* How p evaluates ds by windows, with the views of the options. */
fwi_eval_pass fwi_estimator_pass(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p,
                                 fwi_left left);
/* The stages of a run (stages.h), plans for batches of ds, made on first demand. */
typedef struct fwi_stage {
    int64_t until; /* the step that is the next one's first; INT64_MAX: none */
    fwi_network_plan *plan;
    fwi_network_plan *rows; /* of opt.record; else NULL */
} fwi_stage;
typedef struct fwi_training_plans {
    fwi_stage stage[FWI_MAX_STAGES];
    int32_t n; /* 1 or more */
} fwi_training_plans;
fw_status fwi_estimator_training_plans(fw_estimator *e, const fw_dataset *ds,
                                       fwi_training_plans *out);
/* The one of a global step. */
const fwi_stage *fwi_stage_at(const fwi_training_plans *p, int64_t step);
/* Pixels of an image, summed over steps first to last - 1: what their time is in proportion to. full: of
 * one that is not made smaller. */
double fwi_stages_pixels(const fwi_training_plans *p, int64_t full, int64_t first, int64_t last);
/* Rows of a batch that the network is trained on: the data's, or those that opt.filter keeps. */
int64_t fwi_estimator_rows(const fw_estimator *e, const fw_dataset *ds);
/* What the training data decides about the initial state; nothing where that was done or loaded. */
fw_status fwi_estimator_whiten(fw_estimator *e, const fw_dataset *ds);
/* Room for evaluations of batches of ds. */
fw_status fwi_estimator_make_views(fw_estimator *e, const fw_dataset *ds);
/* The data set's batches will be made on the estimator's threads, from stream position p on. */
fw_status fwi_estimator_lend_threads(fw_estimator *e, fw_dataset *ds, int64_t position);
/* The same, and every label has to be one of the network's classes. */
fw_status fwi_estimator_take_data(fw_estimator *e, fw_dataset *ds, int64_t position);
/* And again on its own. */
void fwi_estimator_leave_data(fw_dataset *ds);
/* Leaves ds on the estimator's threads, with all it has allocated: for the training loop, where
 * later evaluations allocate nothing. */
fw_status fwi_estimator_evaluate(fw_estimator *e, fw_dataset *ds, fw_metrics *out);
/* Compiles all that training to step `until` takes, and fills the budget; scratch is not allocated. */
fw_status fwi_estimator_plan(fw_estimator *e, fw_dataset *train, fw_dataset *eval, int64_t until,
                             fw_budget *out);
/* Whether what an evaluation of ds has in memory, its plan got, is within opt.memory_limit: FW_OK or FW_ENOMEM. */
fw_status fwi_estimator_may_evaluate(fw_estimator *e, fw_dataset *ds);
fw_status fwi_estimator_budget(fw_estimator *e, fw_dataset *train, fw_dataset *eval,
                               fw_budget *out);
/* Which side makes the batches of these (either may be NULL), which are on the estimator's threads, and
 * what plans were made. Allocates nothing. */
fw_status fwi_estimator_choose_data(fw_estimator *e, fw_dataset *train, fw_dataset *eval);
/* That choice, the budget, and only then: scratch, and what the device keeps of train, and of eval if
 * load_eval. */
fw_status fwi_estimator_settle_data(fw_estimator *e, fw_dataset *train, fw_dataset *eval,
                                    bool load_eval, fw_budget *out);

/* ---- several runs of one estimator ----
 * fwi_estimator_build once, then for each run fwi_estimator_restart and fw_estimator_train: with the
 * same bits as an estimator made for that run alone. */
/* fw_estimator_new on a device of the caller's, which outlives it (opt's device, threads and pin are not looked
 * at); NULL: on its own. */
fw_status fwi_estimator_new_on(fw_estimator **out, fwi_device *device, fw_layer *net,
                               fw_optimizer optimizer, const fw_estimator_opt *opt);
/* All that training to step `until`, and evaluating, take and no run decides: plans, memory, images
 * on the device, and on one that keeps recordings those of all steps, made of batches without a
 * record. Data sets stay on the estimator's threads from then on: whoever frees it frees them
 * before. eval may be NULL. */
fw_status fwi_estimator_build(fw_estimator *e, fw_dataset *train, fw_dataset *eval, int64_t until);
/* As one just made with this seed and work_dir (NULL: none); what was built stays. */
fw_status fwi_estimator_restart(fw_estimator *e, uint64_t seed, const char *work_dir);
/* Steps from one update to the next where rows are recorded. */
static inline int64_t fwi_estimator_record_every(const fw_estimator *e)
{
    return e->opt.record_every == 0 ? 1 : e->opt.record_every;
}
/* An evaluation of the weights as they are, for the log of its work_dir. */
fw_status fwi_estimator_log_eval(const fw_estimator *e, const fw_metrics *m);
/* That it diverged, at this rate; NaN: not known. This thread's message stays. */
void fwi_estimator_log_diverged(const fw_estimator *e, double lr);
/* The files of its work_dir are written and closed. */
fw_status fwi_estimator_close_folder(fw_estimator *e);

/* What must agree on resume. data: description of the training data, or NULL. Texts live as long as e and
 * out. */
typedef struct fwi_ids {
    fwi_identity id[12];
    int n;
    char seed[32], input[64], loss[96], resolution[512], rows[96];
    char data[1 << 15]; /* 64 transforms of 8 channels, each number with 9 digits */
} fwi_ids;
fw_status fwi_estimator_ids(const fw_estimator *e, const fw_dataset *data, fwi_ids *out);

#endif
