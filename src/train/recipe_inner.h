/* recipe_inner.h: a recipe's insides, shared by recipe.c (life, set, get), recipe_text.c (files),
 * recipe_values.c (what a value means), recipe_build.c (from text to layers, transforms and
 * optimiser), recipe_groups.c (to parameter groups), recipe_effect.c (keys that the others do not look
 * at), recipe_data.c, session.c and bench_*.c. */
#ifndef FWI_RECIPE_INNER_H
#define FWI_RECIPE_INNER_H

#include "mem.h"
#include "optim_inner.h"
#include <fenwicks/recipe.h>

/* ---- keys ---- */
typedef enum fwi_key {
#define FW_KEY(id, section, key, type, def, low, high, doc, words) FWI_KEY_##id,
#include "recipe_keys.def"
    FWI_KEY_COUNT
} fwi_key;

typedef enum fwi_key_type {
    FWI_KEY_TEXT,
    FWI_KEY_WORD,
    FWI_KEY_BOOL,
    FWI_KEY_INT,
    FWI_KEY_SIZE,
    FWI_KEY_NUMBER,
    FWI_KEY_RATE,
    FWI_KEY_NUMBERS,
    FWI_KEY_RATES,
    FWI_KEY_LINES
} fwi_key_type;

typedef struct fwi_key_info {
    const char *section, *key;
    fwi_key_type type;
    const char *def;
    double low, high;
    const char *doc;
    const char *words; /* WORD: the valid ones, separated by blanks */
} fwi_key_info;
extern const fwi_key_info fwi_keys[FWI_KEY_COUNT]; /* recipe_values.c */

/* ---- a recipe ---- */
enum {
    FWI_RECIPE_BYTES = 1 << 20, /* of a recipe file */
    FWI_RECIPE_VALUE = 160,     /* bytes of a value: a printed line has to fit inih's 200 */
    FWI_RECIPE_LINES = 4096,    /* of a repeated key */
    FWI_RECIPE_TRANSFORMS = 16
};

typedef struct fwi_lines {
    char **text;
    int64_t *line; /* in the file; from 1 where they were set otherwise */
    int64_t n, cap;
} fwi_lines;

struct fw_recipe {
    char *source, *name;        /* for messages: the file; what to call it without recipe.name */
    char *value[FWI_KEY_COUNT]; /* as written, blanks around it removed; NULL: the default */
    int64_t asked
        [FWI_KEY_COUNT]; /* the turn in which fw_recipe_set or fw_recipe_change set it last; 0: its file
                                     did, or nobody */
    int64_t turns;
    /* of augment.transform, network.layer, train.group, recipe.trick, and the proxy's */
    fwi_lines lines[5];
    char *lines_source[5]; /* NULL: source */
    fwi_buf scratch;       /* what fw_recipe_get returned */
};
fwi_lines *fwi_recipe_lines(const fw_recipe *r, fwi_key key); /* NULL: key is not repeated */
const char *fwi_recipe_lines_source(const fw_recipe *r, fwi_key key);

/* Checks and stores value (blanks around it removed; empty: back to the default; of a repeated key
 * it is added, cut at line ends and, but for tricks, at commas, line being its place or 0: counted).
 * Messages begin with the key. */
fw_status fwi_recipe_put(fw_recipe *r, fwi_key key, const char *value, int64_t line);
void fwi_recipe_lines_clear(fw_recipe *r, fwi_key key);
/* FWI_KEY_COUNT with a message (FW_ENOTFOUND, FW_EARG for an ambiguous one) in *st. */
fwi_key fwi_recipe_find_key(const char *name, fw_status *st);
fw_status fwi_recipe_new(fw_recipe **out, const char *source, const char *name);

/* ---- values: recipe_values.c. Stored ones are known to be valid ---- */
/* num / den, times batch^power */
typedef struct fwi_number {
    double num, den;
    int power;
} fwi_number;
fw_status fwi_key_check(fwi_key key, const char *value);      /* message without the key's name */
const char *fwi_recipe_text(const fw_recipe *r, fwi_key key); /* in effect, "" for none; no LINES */
int64_t fwi_recipe_int(const fw_recipe *r, fwi_key key);
bool fwi_recipe_bool(const fw_recipe *r, fwi_key key);
int fwi_recipe_word(const fw_recipe *r, fwi_key key);      /* index in the key's words */
double fwi_recipe_number(const fw_recipe *r, fwi_key key); /* /batch and *batch applied */
/* share * whole, exact where it is a whole number: 5/24 of 2328 is 485 */
double fwi_recipe_share(const fw_recipe *r, fwi_key key, double whole);
/* A number that is no key's, as in low to high; times whole, as above. Message without a name. */
fw_status fwi_recipe_read_number(const char *word, double low, double high, double whole,
                                 double *out);
int fwi_recipe_numbers(const fw_recipe *r, fwi_key key, double whole, double *out, int cap);
bool fwi_recipe_size(const fw_recipe *r, int64_t hwc[3]); /* network.input; false: not given */
/* The next word of *at, blanks skipped, into word (cut to cap); false at the end. */
bool fwi_next_word(const char **at, char *word, size_t cap);

/* ---- recipe_build.c ---- */
typedef enum fwi_schedule_word { /* order of train.schedule's words */
                                 FWI_WORD_CONSTANT,
                                 FWI_WORD_ONE_CYCLE,
                                 FWI_WORD_TRIANGULAR,
                                 FWI_WORD_PIECEWISE,
                                 FWI_WORD_EXPONENTIAL,
                                 FWI_WORD_LINEAR
} fwi_schedule_word;
fw_status fwi_recipe_net(const fw_recipe *r, fw_layer **out);
/* The network of [network proxy]; *out NULL: there is none. */
fw_status fwi_recipe_proxy(const fw_recipe *r, fw_layer **out);
/* With the data's own mean and std where a line says only "standardize". records: of a pass, for
 * what begins in the course of the run; 0: not known yet, it begins at once. training false: only
 * what is not random. */
fw_status fwi_recipe_transforms(const fw_recipe *r, const float *mean, const float *std,
                                int64_t records, bool training,
                                fw_transform out[FWI_RECIPE_TRANSFORMS + 1]);
fw_status fwi_recipe_optimizer(const fw_recipe *r, int64_t steps, fw_optimizer *out);
fw_status fwi_recipe_average(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                             fw_average *out);
/* ---- recipe_change.c ---- */
/* Whether every line of recipe.trick reads; what it changes is not looked up. */
fw_status fwi_recipe_tricks_check(const fw_recipe *r);
/* ---- recipe_groups.c ---- */
/* Whether every line of train.group reads; the optimisers are not made. */
fw_status fwi_recipe_groups_check(const fw_recipe *r);
/* Their groups, in order, for a run of so many steps. */
fw_status fwi_recipe_groups(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                            fw_param_group out[FW_MAX_GROUPS], int32_t *n);
/* All that updates parameters: fwi_recipe_optimizer for the rest, and the groups. No average. */
fw_status fwi_recipe_optim(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                           fwi_optim *out);
/* Whether a group may have a value of its own for the key: keys of optimisers and their schedules. */
bool fwi_recipe_is_of_groups(fwi_key key);
/* Whether the optimiser of any group looks at the value that key, one of a group's, has in [train]. */
bool fwi_recipe_groups_look_at(const fw_recipe *r, fwi_key key);
/* ---- recipe_effect.c ---- */
/* FW_EARG: this key of [train] has no effect beside the others, and why. */
fw_status fwi_recipe_check_effect(const fw_recipe *r, fwi_key key);
/* The same of a schedule's own length, which a constant one has no use for. given: what it is called. */
fw_status fwi_recipe_check_length(const fw_recipe *r, const char *given);
/* The same for all that were set on purpose (fw_recipe.asked), in any optimiser; all_in_groups: that of [train] has
 * no parameter. */
fw_status fwi_recipe_check_effects(const fw_recipe *r, bool all_in_groups);
/* ---- recipe_build.c ---- */
/* round(epochs * steps_per_epoch), at least 1. FW_EARG where an epoch has no step. */
fw_status fwi_recipe_steps(const fw_recipe *r, int64_t steps_per_epoch, int64_t *out);

/* ---- precision.c ---- */
/* Of a run: its option, else the recipe's key. */
fw_status fwi_run_precision(const fw_recipe *r, const fw_run_opt *o, fw_dtype *out, bool *tf32);

/* ---- session.c: what it was opened with ---- */
const fw_recipe *fwi_session_recipe(const fw_session *s);
const fw_run_opt *fwi_session_opt(const fw_session *s);

/* ---- recipe_cost.c ---- */
/* fw_recipe_run_cost of a run whose network ended after `until` of its steps, and whose proxy, if it
 * has one, after `proxy_until`, if they have more. */
fw_status fwi_recipe_cost_until(const fw_recipe *r, int64_t train_records, int64_t test_records,
                                int64_t until, int64_t proxy_until, fw_run_cost *out);

/* ---- recipe_resolution.c ---- */
/* For a run of so many steps; n 0: full size all the time. */
fw_status fwi_recipe_resolutions(const fw_recipe *r, int64_t steps,
                                 fw_resolution out[FW_MAX_RESOLUTIONS], int32_t *n);
/* Whether they read, and the network takes such images. full: its cost with images of hwc. */
fw_status fwi_recipe_resolutions_check(const fw_recipe *r, const fw_layer *net,
                                       const int64_t hwc[3], const fw_model_cost *full);

/* ---- recipe_data.c ---- */
typedef struct fwi_data_opt {
    int threads;  /* of data sets used alone */
    bool no_test; /* training data alone will do */
    bool labels;  /* images without them are refused: FW_EARG */
    /* Test data alone, through this chain in place of the recipe's; NULL: both parts. */
    const fw_transform *test_chain;
    int64_t test_batch; /* 0: evaluate.batch */
} fwi_data_opt;
fw_status fwi_recipe_data_open(const fw_recipe *r, const char *data, uint64_t seed,
                               const fwi_data_opt *opt, fw_recipe_data *out);
/* Data sets over images that are in out->train_images and out->test_images (n 0: none). */
fw_status fwi_recipe_data_arrays(const fw_recipe *r, uint64_t seed, const fwi_data_opt *opt,
                                 fw_recipe_data *out);
/* fw_record_parts_find for training, or (test_alone) for who reads the test part and no other: FW_ENOTFOUND where
 * data is called *.tfrec and that part is not there. */
fw_status fwi_recipe_records_find(const char *data, bool test_alone, fw_record_parts *out);

/* ---- files inside the library: made by cmake/embed.cmake ---- */
typedef struct fwi_embedded {
    const char *name;           /* "mnist.recipe" */
    const char *recipe, *about; /* "mnist", and its recipe.about; NULL: no recipe */
    const unsigned char *data;
    size_t size; /* a 0 byte stands behind the end */
} fwi_embedded;
extern const fwi_embedded fwi_embedded_files[]; /* ends with a NULL name */

#endif
