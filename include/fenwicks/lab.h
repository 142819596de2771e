/* lab.h: many runs as evidence: each finished run is a line of JSON in a file that grows, and what
 * a file holds is not run again (docs/formats/trials.md). What the numbers mean: stats.h. */
#ifndef FENWICKS_LAB_H
#define FENWICKS_LAB_H

#include <fenwicks/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The last git commit that changed the sources that were built, "4f2c1ab09d"; "4f2c1ab09d-changed" where they
 * were not as committed; "" where they were not in a repository of their own. Never NULL. */
FW_API const char *fw_commit(void);

/* One finished run; also one that diverged, which is a finding too. Texts are never NULL; "" where nothing is known. */
typedef struct fw_trial {
    const char *recipe;  /* its name */
    const char *id;      /* fw_recipe_id of the recipe as it was run */
    const char *variant; /* what a comparison calls it */
    const char *changes; /* of the recipe, as in fw_recipe_change, separated by ", " */
    /* what the records are called: the last part of their path, without .tfrec; "": bundled */
    const char *data;
    const char *device, *precision; /* "cpu", "f32"; "tf32" where that is rounded to */
    const char *version, *commit;   /* fw_version, fw_commit */
    const char *cpu, *isa;          /* the machine: processor, kernels in use */
    int threads;
    uint64_t seed;
    fw_run_figures run;
} fw_trial;

typedef struct fw_trials fw_trials;

/* The runs that `path` holds. For growing (readonly false) the file is made where it is missing,
 * and a last line that was cut short (it begins with {) is taken off, with a warning to the log; else it is passed
 * over. path NULL: a list in memory. Several commands may add to one file; each sees what was there
 * when it opened it. Errors: FW_EFORMAT with the line for one that is no JSON object, has no seed, epochs or,
 * unless it diverged, accuracy, or an impossible one (an accuracy of 94, a time below 0); FW_EIO where
 * it cannot be written. */
FW_API fw_status fw_trials_open(fw_trials **out, const char *path, bool readonly);
FW_API void fw_trials_close(fw_trials *t);
FW_API int64_t fw_trials_count(const fw_trials *t);
FW_API const fw_trial *fw_trials_get(const fw_trials *t,
                                     int64_t i); /* borrowed until close; NULL beyond */

/* Adds a copy, and its line to the file: written at once and synced, so that an interrupted program
 * leaves whole lines. FW_ESTATE for one that was opened readonly; FW_EARG for a seed of 2^63 or more
 * and for figures that no line may have. */
FW_API fw_status fw_trials_add(fw_trials *t, const fw_trial *trial);

/* The run of this id, seed, data, device and precision by this version of the library; NULL: there
 * is none. Commits between versions are taken as equal unless same_commit; then one that ends in
 * -changed or is not known ("") is equal to none, itself included. Borrowed. */
FW_API const fw_trial *fw_trials_find(const fw_trials *t, const fw_trial *like, bool same_commit);

typedef struct fw_trial_opt {
    const char *variant, *changes; /* for the line; NULL: "" */
    bool same_commit;              /* as in fw_trials_find */
} fw_trial_opt;
/* fw_session_run, unless t holds the run; then its line, and nothing is built for it. *out is borrowed
 * from t. result (may be NULL) is filled where the recipe was run, *held says whether it was not. A run
 * that diverges gets its line, (*out)->run.diverged, and FW_OK; fw_last_error says where it did. Where something failed
 * behind the evaluation (a log or a folder that could not be closed) that error is returned with the line added and
 * *out set; where the line could not be added it stands in the log (fw_log_set), *out is NULL and result filled.
 * warm_start and until_accuracy of the session's options make another experiment: FW_EARG. */
FW_API fw_status fw_session_trial(fw_session *s, const fw_one_run *run, fw_trials *t,
                                  const fw_trial_opt *opt, const fw_trial **out,
                                  fw_run_result *result, bool *held);
/* The same in a session of its own. run NULL: all defaults. */
FW_API fw_status fw_trial_run(fw_trials *t, const fw_recipe *r, const fw_run_opt *run,
                              const fw_trial_opt *opt, const fw_trial **out, fw_run_result *result,
                              bool *held);

#ifdef __cplusplus
}
#endif
#endif
