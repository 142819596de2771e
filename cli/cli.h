/* cli.h: what the verbs of the command share: arguments, output, exit codes. Each verb is one
 * cmd_*.c; public headers only. */
#ifndef FENWICKS_CLI_H
#define FENWICKS_CLI_H

#include <fenwicks/fenwicks.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* ---- arguments ---- */
enum { MOST_THREADS = 4096 };
typedef enum arg_kind {
    ARG_FLAG,    /* bool */
    ARG_TEXT,    /* const char * */
    ARG_COUNT,   /* int64_t, 1 or more */
    ARG_INDEX,   /* int64_t, 0 or more */
    ARG_THREADS, /* int64_t, 0 to MOST_THREADS */
    ARG_SEED,    /* uint64_t */
    ARG_REAL,    /* double */
    ARG_SIZE,    /* int64_t bytes: 512M, 2G */
    ARG_LIST,    /* arg_list of KEY=VALUE: may be given several times */
    ARG_WORDS    /* arg_list of any text */
} arg_kind;

typedef struct arg_list {
    const char *items[64];
    int n;
} arg_list;

typedef struct arg_option {
    const char *name;  /* "--seed"; "-o,--out" for two names */
    const char *value; /* what the help calls its value; NULL for flags */
    const char *help;  /* one line, with the default and its unit */
    arg_kind kind;
    void *to;
} arg_option;

typedef struct command {
    const char *name, *usage, *about; /* "train", "train RECIPE|FILE [options]", one line */
    int (*run)(const struct command *self, int argc, char **argv);
} command;
/* In the order of --help; NULL ends it. */
extern const command *const commands[];
extern const command command_convert, command_inspect, command_recipes, command_train,
    command_ablate, command_eval, command_predict, command_plot, command_bench, command_doctor;

/* Reads argv (the verb's own arguments). positional gets those without dashes, at most cap; *n how
 * many. Returns -1 to go on, else the exit code
 * (--help was printed: 0; wrong usage, said on standard error: 2). */
int args_read(const command *self, int argc, char **argv, const arg_option *options, int n_options,
              const char **positional, int cap, int *n);
int usage_error(const command *self, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- output ---- */
/* The failure as a sentence on standard error, and with --json as {"error", "status"} on standard
 * output. Returns EXIT_FAILED; EXIT_INTERRUPTED after FW_ESTOPPED. */
int fail(const char *what, fw_status st, bool json);
/* The same for what the command itself found wrong. */
int fail_with(const char *what, fw_status st, const char *message, bool json);
/* Prints and releases an object. Returns EXIT_DONE, or EXIT_FAILED if standard output cannot be
 * written. */
int print_json(json_t *object);
void print_explanation(void *user, const char *text); /* on standard error */
json_t *number_or_null(double v);                     /* null for what is not finite */
json_t *known_or_null(double v);  /* of a time or a rate, where 0 is one that nobody knows */
json_t *seed_json(uint64_t seed); /* a number; as text where JSON's here ends, at 2^63 - 1 */
/* A path, or what quotes one, is any bytes; JSON is UTF-8: else "?" for those above 127. NULL: no memory. */
json_t *text_json(const char *any);
/* SIGINT, SIGTERM and SIGHUP end the step and set it; a second one, over half a second later, ends the program. */
extern volatile sig_atomic_t stop_asked;
void catch_interrupts(void);
/* Control characters of a text from a file become '?': a terminal would obey them. */
void make_printable(char *text);
/* Prints such a text, and spaces up to width bytes. */
void put_text(const char *text, int width);
void clear_line(void);   /* before words on standard error */
int finish_output(void); /* flushes standard output: a full disk is a failure */

/* ---- recipes ---- */
fw_status recipe_set_all(fw_recipe *r,
                         const arg_list *set); /* each change, as in fw_recipe_change */
/* Opens a recipe with --epochs and --batch (NULL: not given) and --set. *out NULL on failure. */
fw_status recipe_open_with(fw_recipe **out, const char *name, const char *epochs, const char *batch,
                           const arg_list *set);
/* The same options as one text of changes, for a line of a results file. Caller frees. NULL: no memory. */
char *changes_text(const char *epochs, const char *batch, const arg_list *set, const char *more);
/* EXIT_DONE where --precision (NULL: not given) is one of fw_precision_read's, else a usage error. */
int check_precision(const command *self, const char *word);
/* EXIT_DONE where there are `runs` seeds from the first one on, else a usage error. */
int check_seeds(const command *self, uint64_t first, int64_t runs, bool in_file);
#define PRECISIONS "f32, tf32, bf16, f16, f64, auto"
#define DEVICES    "cpu, cuda or cuda:N, the N-th from 0 (default cpu)"

/* ---- data for models ---- */
enum { MODEL_PATH_CAP = 4096, WHY_CAP = 800 };
/* The model of a run's folder, put together in buf; a file as it is. NULL: the folder has none, why says what
 * there is to do. */
const char *model_path(const char *model, char buf[MODEL_PATH_CAP], char why[WHY_CAP]);
/* Whether a folder is no run but has those of several seeds in it (train --runs); why: then what to name instead. */
bool is_of_seeds(const char *dir, char why[WHY_CAP]);
typedef struct model_data {
    fw_images images; /* what was imported, or empty */
    fw_dataset *ds;
    char why[WHY_CAP]; /* of a failure that the library has no words for; "": it has */
} model_data;
/* Whether the model takes images of this size; else why it does not. */
bool images_fit(const fw_images *im, const fw_model_info *info, const char *file,
                char why[WHY_CAP]);
/* The test part of `data` (records X-test.tfrec, a pattern, or anything fw_import reads),
 * standardised as the model asks. model_data_clear after a failure too. */
fw_status model_data_open(model_data *d, const fw_model *m, const char *data, int64_t batch,
                          int threads);
void model_data_clear(model_data *d);
/* Every image of a file as it is: records by any name they have, or anything fw_import reads, the test part
 * first, then the training part; a part that is not there has no images. Rows of numbers are cut to the model's size. */
fw_status images_open(fw_images part[2], const fw_model_info *info, const char *file);

/* The records that data stands for, as a pattern, whole or in shards: X-test.tfrec of X, X.tfrec or
 * their folder if test is set and it is there; X.tfrec itself; else data as it is. Caller frees. */
fw_status records_find(const char *data, bool test, char **out);
bool ends_with(const char *path, const char *end);
bool is_folder(const char *path);
bool is_file(const char *path);    /* or anything else that is no folder */
bool is_records(const char *path); /* names a TFRecord file, a pattern or shards */

#endif
