/* recipe.h: a recipe is a text file that says everything about a training run
 * (docs/formats/recipe.md). The built-in ones travel inside the library. */
#ifndef FENWICKS_RECIPE_H
#define FENWICKS_RECIPE_H

#include <fenwicks/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fw_recipe fw_recipe;

/* A built-in recipe by name, or a file by path (a name with a '/' or ending in ".recipe"). Errors:
 * FW_ENOTFOUND with the nearest name; FW_EFORMAT with file, line and the nearest valid key. */
FW_API fw_status fw_recipe_open(fw_recipe **out, const char *name_or_path);
FW_API fw_status fw_recipe_parse(fw_recipe **out, const char *text, const char *source);
FW_API void fw_recipe_free(fw_recipe *r);

FW_API int fw_recipe_count(void);                     /* built-in recipes */
FW_API const char *fw_recipe_name_at(int i);          /* NULL beyond the end */
FW_API const char *fw_recipe_about(const char *name); /* one line; NULL: no such recipe */

/* key: "section.key" ("train.epochs"), or the key alone where only one section has it. FW_ENOTFOUND
 * with the nearest valid key. */
FW_API fw_status fw_recipe_set(fw_recipe *r, const char *key, const char *value);
/* The value in effect as text, defaults included; NULL: no such key. Borrowed until the next call
 * on r. */
FW_API const char *fw_recipe_get(fw_recipe *r, const char *key);
/* The whole recipe, every key, as a recipe file. Caller frees with fw_text_free. */
FW_API fw_status fw_recipe_print(const fw_recipe *r, char **text);
FW_API const char *fw_recipe_name(const fw_recipe *r);
/* ---- variants of a recipe ----
 * A change is one of
 *   KEY=VALUE               as fw_recipe_set; without VALUE the key goes back to its default
 *   KEY:WORD=LINE           of a repeated key (transform, layer, group) the lines that begin with
 *                           WORD become LINE; without LINE they are dropped
 *   KEY:WORD.OPTION=VALUE   in these lines OPTION=VALUE replaces the option, or is added; without
 *                           VALUE it is taken out. WORD * stands for every line that has the option
 * Changes are separated by commas: one that a name and '=' follow begins the next change. A name has
 * no blanks, but for that of a section: "network proxy.keep=64, network proxy.layer:conv_bn.act=relu". */

/* Makes them, in order. Errors: those of fw_recipe_set; FW_ENOTFOUND where no line is meant. After
 * an error some may have been made. */
FW_API fw_status fw_recipe_change(fw_recipe *r, const char *changes);
/* The names of the recipe's tricks (its lines "trick = NAME CHANGES", which say what it means to
 * leave one out), separated by blanks; "" for none. Caller frees with fw_text_free. */
FW_API fw_status fw_recipe_tricks(const fw_recipe *r, char **names);
/* The changes that leave `what` out: those of the trick of that name; else the key of that name back
 * to its default; else the transforms, else the layers' options of that name dropped. FW_ENOTFOUND
 * with the nearest of these names. Caller frees with fw_text_free. */
FW_API fw_status fw_recipe_without(const fw_recipe *r, const char *what, char **changes);
/* A text that two recipes share if they ask for the same: 16 hexadecimal digits, over every value
 * that is not its default and every line, but not over section [recipe]. */
enum { FW_RECIPE_ID_CAP = 17 };
FW_API fw_status fw_recipe_id(const fw_recipe *r, char id[FW_RECIPE_ID_CAP]);

/* Checks all of it, network included, without data; fills cost (may be NULL). FW_EARG too where a key that
 * fw_recipe_set or fw_recipe_change has set has no effect: momentum beside the optimizer adam
 * (docs/formats/recipe.md). All that trains or measures asks this. */
FW_API fw_status fw_recipe_check(const fw_recipe *r, fw_model_cost *cost);
/* The rate's schedule for that many training records, and how many steps the run has. */
FW_API fw_status fw_recipe_schedule(const fw_recipe *r, int64_t records, fw_schedule *out,
                                    int64_t *steps);

/* What a whole run multiplies: floating-point operations of convolutions and matrix products, two per
 * multiply-accumulate, whatever algorithm computes them (a 3 x 3 convolution by Winograd's counts as
 * one by its definition). Everything else a run does is bound by memory. */
typedef struct fw_run_cost {
    int64_t steps;
    int64_t images;      /* that the network is trained on */
    int64_t images_seen; /* that batches are made of: more than these where a proxy chooses */
    double train_flops;  /* forwards and backwards, at each step's resolution; no gradients of
                            parameters whose training is over */
    double update_flops; /* Muon's iterations */
    double proxy_flops;  /* the proxy's passes */
    double eval_flops;   /* one evaluation with the recipe's views */
} fw_run_cost;
/* Of a run on so many training records, with one evaluation of so many, 2^40 at most. No data is
 * read. */
FW_API fw_status fw_recipe_run_cost(const fw_recipe *r, int64_t train_records, int64_t test_records,
                                    fw_run_cost *out);
/* How many records the data set that the recipe names has (data.source, data.bundled). FW_ENOTFOUND:
 * it names none of a known size. */
FW_API fw_status fw_recipe_records(const fw_recipe *r, int64_t *train, int64_t *test);

typedef struct fw_run_opt {
    const char *data; /* records (X for X-train.tfrec and X-test.tfrec, or a folder of them), or
                         what fw_import reads, of the kind that data.source names; NULL: bundled data,
                         where the recipe has it. A run with a folder has it in UTF-8, else FW_EARG */
    const char *out;  /* run folder; NULL: nothing is written */
    uint64_t seed;
    const char *device;    /* NULL: "cpu" */
    const char *precision; /* as fw_precision_read takes it; NULL: the recipe's, train.precision */
    int threads;           /* 0: as many as this process may use; more are refused */
    bool pin;              /* bind each thread to a CPU of its own */
    bool resume; /* go on with the run in `out`; without it a folder that holds a run is refused */
    int64_t eval_every;       /* epochs; 0: only at the end, with until_accuracy after each */
    int64_t checkpoint_every; /* steps; 0: only at the end */
    int64_t keep;             /* the newest checkpoints that stay; 0: 2 */
    double until_accuracy;    /* 0: none; stop when an evaluation reaches it */
    int64_t memory_limit;     /* bytes; 0: none */
    const char *warm_start;   /* a model file to begin with; NULL: none */
    fw_event_fn progress;
    void *progress_user;
    const volatile sig_atomic_t *stop;
    /* Gets the text of fw_estimator_explain before the first step; NULL: nobody asks. */
    void (*explain)(void *user, const char *text);
    void *explain_user;
} fw_run_opt;

/* What a run came to, in numbers: also those of a line of a results file (lab.h). */
typedef struct fw_run_figures {
    int64_t steps;   /* done */
    double epochs;   /* of these; of a run that diverged, those it was to have */
    double accuracy; /* of the final evaluation, as a fraction; NaN for a run that diverged, as the
                        next two */
    double accuracy_plain, loss; /* plain: without other views */
    double t_train, t_total,
        t_dawn;     /* seconds: initialising + training, by all starts of a run that
                       was resumed; + final evaluation; + reading the data and bringing it to
                       the device, even where an earlier run of the session did that. 0: not
                       known, of a run that was resumed without its log */
    double t_build; /* seconds before t_train began: the build of fw_session; 0: an earlier run
                       has told it */
    double images_per_second;
    double
        train_flops; /* as fw_run_cost counts them, of this run's steps: training, updates and proxy */
    double eval_flops; /* of the final evaluation */
    int64_t forwards;  /* images through the network in it, each view counted; 0: not known */
    int64_t peak_memory_bytes;
    bool diverged; /* a loss, or a weight, was no number: it ended there */
} fw_run_figures;

enum { FW_MODEL_PATH_CAP = 4128 }; /* of a folder, and the file in it */

typedef struct fw_run_result {
    fw_run_figures run;
    fw_metrics test; /* the final evaluation */
    bool stopped_early;
    char model[FW_MODEL_PATH_CAP]; /* "" without out */
    double since_start;            /* seconds from the process's start to this result */
} fw_run_result;

/* Trains and evaluates: a session (below) of one run. opt NULL: all defaults. After FW_ESTOPPED
 * (Ctrl-C) a checkpoint is in `out`, and result has what is known; after FW_ENONFINITE
 * result->run.diverged is set. */
FW_API fw_status fw_recipe_run(const fw_recipe *r, const fw_run_opt *opt, fw_run_result *result);

/* ---- several runs of one recipe ----
 * What no run decides is built once: data read and decoded to memory, device and libraries opened,
 * memory, plans, images brought to the device; and on a device that keeps recordings of steps (a GPU)
 * these, made of batches without images. Then a run begins as the first of a process of its own
 * would, and ends with the same bits: neither the runs before it nor their order matter. t_train
 * begins when all of that is there (docs/recipes.md). */
typedef struct fw_session fw_session;

/* r, and what opt points to, are borrowed until fw_session_close, and r must not change. opt's seed,
 * out and resume are not looked at: each run has its own. NULL: all defaults. Checks the options;
 * nothing is read. */
FW_API fw_status fw_session_open(fw_session **out, const fw_recipe *r, const fw_run_opt *opt);
/* Builds, unless that is done. The first run does it too. Errors: what the data, the device and the
 * plans have to say; then nothing is built, and a later call tries again. Runs are made by the thread
 * that built. */
FW_API fw_status fw_session_build(fw_session *s);

typedef struct fw_one_run {
    uint64_t seed;   /* of weights, order and augmentation */
    const char *out; /* as in fw_run_opt; the folder is looked at before anything is built */
    bool resume;
} fw_one_run;
/* fw_recipe_run, of one seed; FW_ESTATE where another run is filling the folder. After an error, FW_ESTOPPED
 * included, other runs may follow. */
FW_API fw_status fw_session_run(fw_session *s, const fw_one_run *run, fw_run_result *result);
FW_API void fw_session_close(fw_session *s);

/* The data sets of a recipe, for programs that go on by themselves; everything in out is released by
 * fw_recipe_data_clear. data as in fw_run_opt. out stays untouched on error: FW_ENOTFOUND (no bundled
 * data, no test part), FW_ESHAPE (not the network's shape or classes), and what fw_recipe_check and the
 * data say. */
typedef struct fw_recipe_data {
    fw_dataset *train, *test;
    fw_images train_images, test_images; /* when the data was imported into memory */
    int64_t n_classes;
    char **class_names; /* [n_classes] or NULL */
} fw_recipe_data;
FW_API fw_status fw_recipe_data_open(const fw_recipe *r, const char *data, uint64_t seed,
                                     fw_recipe_data *out);
/* The test part alone, for a model that is trained already: its images pass `transforms`
 * (fw_model_transforms: a model has to see them as it was trained) in place of the recipe's, `batch`
 * at a time (0: the recipe's). out->train stays NULL. */
FW_API fw_status fw_recipe_test_open(const fw_recipe *r, const char *data,
                                     const fw_transform *transforms, int64_t batch,
                                     fw_recipe_data *out);
FW_API void fw_recipe_data_clear(fw_recipe_data *d);

#ifdef __cplusplus
}
#endif
#endif
