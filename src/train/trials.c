/* trials.c: finished runs as lines of a file (docs/formats/trials.md): read, found again, added.
 *
 * A line is handed to the system whole and synced, at the end of the file: so it is there or not. A
 * last line without its end comes from a program that was killed in between, or a full disk. */
#include <fenwicks/bench.h>
#include <fenwicks/lab.h>

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fail.h"
#include "file.h"
#include "json_read.h"
#include "mem.h"
#include "recipe_inner.h"
#include "run_folder.h"
#include "utf8.h"

enum { MOST_BYTES = 256 << 20 }; /* of a file */

struct fw_trials {
    char *path; /* NULL: in memory */
    bool readonly;
    fw_trial **items; /* each stays where it is: callers hold on to them */
    int64_t n, cap;
    fwi_arena *texts;
};

/* ---- the list ---- */

static const char *keep(fw_trials *t, const char *text, bool *failed)
{
    const char *copy = text == NULL || *text == 0 ? "" : fwi_arena_strdup(t->texts, text);
    *failed = *failed || copy == NULL;
    return copy;
}

static const char records_end[] = ".tfrec";

/* Without the ".tfrec" that records are found with or without. */
static size_t data_length(const char *data)
{
    const size_t n = strlen(data), tail = strlen(records_end);
    return n > tail && strcmp(data + n - tail, records_end) == 0 ? n - tail : n;
}

static fw_status add_copy(fw_trials *t, const fw_trial *from)
{
    if (t->n == t->cap) {
        const int64_t cap = t->cap == 0 ? 64 : 2 * t->cap;
        fw_trial **items = fwi_realloc(t->items, (size_t)cap * sizeof *items);
        if (items == NULL)
            return FW_ENOMEM;
        t->items = items;
        t->cap = cap;
    }
    fw_trial c = *from, *const item = fwi_arena_alloc(t->texts, sizeof *item);
    bool failed = item == NULL;
    const char **const texts[] = {&c.recipe, &c.id,     &c.variant,   &c.changes,
                                  &c.data,   &c.device, &c.precision, &c.version,
                                  &c.commit, &c.cpu,    &c.isa};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = keep(t, *texts[i], &failed);
    if (failed)
        return FW_ENOMEM;
    if (c.data[data_length(c.data)] != 0) { /* lines from before the end was left out have it */
        char *const name = fwi_arena_strdup(t->texts, c.data);
        if (name == NULL)
            return FW_ENOMEM;
        name[data_length(name)] = 0;
        c.data = name;
    }
    *item = c;
    t->items[t->n++] = item;
    return FW_OK;
}

/* ---- lines ---- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static double number_of(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* A whole number from 0 to most; else 0. */
static int64_t count_of(const json_t *o, const char *key, int64_t most)
{
    const json_t *v = json_object_get(o, key);
    const json_int_t n = json_is_integer(v) ? json_integer_value(v) : 0;
    return n >= 0 && n <= most ? n : 0;
}

/* NULL, or what keeps a run out of a results file: means and sums are taken of what is in it. */
static const char *unfit(const fw_run_figures *r)
{
    enum { MOST_SECONDS = 1000000000 };
    const double shares[] = {r->accuracy, r->accuracy_plain};
    const double seconds[] = {r->t_train, r->t_total, r->t_dawn, r->t_build};
    if (!isfinite(r->epochs) || r->epochs <= 0)
        return "an epochs that is no number above 0";
    for (size_t i = 0; i < sizeof shares / sizeof *shares && !r->diverged; i++)
        if (!(shares[i] >= 0 && shares[i] <= 1))
            return "an accuracy that is no fraction";
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        if (!(seconds[i] >= 0 && seconds[i] <= MOST_SECONDS))
            return "a time that is no number of seconds";
    return NULL;
}

/* NULL, or why the object is no run. Lines of scripts/ab call the variant "arm" and t_train
 * "seconds". */
static const char *trial_of(const json_t *o, fw_trial *out)
{
    const json_t *seed = json_object_get(o, "seed");
    const char *variant = text_of(o, "variant");
    const bool diverged = json_is_true(json_object_get(o, "diverged"));
    const double accuracy = diverged ? NAN : number_of(o, "accuracy", NAN);
    *out = (fw_trial){.recipe = text_of(o, "recipe"),
                      .id = text_of(o, "id"),
                      .variant = *variant != 0 ? variant : text_of(o, "arm"),
                      .changes = text_of(o, "changes"),
                      .data = text_of(o, "data"),
                      .device = text_of(o, "device"),
                      .precision = text_of(o, "precision"),
                      .version = text_of(o, "version"),
                      .commit = text_of(o, "commit"),
                      .cpu = text_of(o, "cpu"),
                      .isa = text_of(o, "isa"),
                      .threads = (int)count_of(o, "threads", INT_MAX),
                      .seed = (uint64_t)json_integer_value(seed),
                      .run = {.steps = count_of(o, "steps", INT64_MAX),
                              .peak_memory_bytes = count_of(o, "peak_memory_bytes", INT64_MAX),
                              .epochs = number_of(o, "epochs", NAN),
                              .accuracy = accuracy,
                              .accuracy_plain = number_of(o, "accuracy_plain", accuracy),
                              .loss = number_of(o, "loss", diverged ? NAN : 0),
                              .t_train = number_of(o, "t_train", number_of(o, "seconds", 0)),
                              .t_build = number_of(o, "t_build", 0),
                              .images_per_second = number_of(o, "images_per_second", 0),
                              .train_flops = number_of(o, "train_flops", 0),
                              .eval_flops = number_of(o, "eval_flops", 0),
                              .forwards = count_of(o, "forwards", INT64_MAX),
                              .diverged = diverged}};
    out->run.t_total = number_of(o, "t_total", out->run.t_train);
    out->run.t_dawn = number_of(o, "t_dawn", out->run.t_total);
    if (!json_is_integer(seed) || json_integer_value(seed) < 0 || isnan(out->run.epochs) ||
        (!diverged && isnan(accuracy)))
        return "no seed, epochs or accuracy";
    return unfit(&out->run);
}

/* null where a run that diverged has no number. */
static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static char *line_of(const fw_trial *t)
{
    const fw_run_figures *const r = &t->run;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
        "s:I, s:I, "
        "s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}",
        "recipe", t->recipe, "variant", t->variant, "changes", t->changes, "id", t->id, "seed",
        (json_int_t)t->seed, "epochs", r->epochs, "steps", (json_int_t)r->steps, "accuracy",
        real_or_null(r->accuracy), "accuracy_plain", real_or_null(r->accuracy_plain), "loss",
        real_or_null(r->loss), "t_train", r->t_train, "t_total", r->t_total, "t_dawn", r->t_dawn,
        "t_build", r->t_build, "images_per_second", r->images_per_second, "train_flops",
        r->train_flops, "eval_flops", r->eval_flops, "forwards", (json_int_t)r->forwards,
        "peak_memory_bytes", (json_int_t)r->peak_memory_bytes, "data", t->data, "device", t->device,
        "precision", t->precision, "version", t->version, "commit", t->commit, "cpu", t->cpu, "isa",
        t->isa, "threads", t->threads);
    const bool whole =
        o != NULL && (!r->diverged || json_object_set_new(o, "diverged", json_true()) == 0);
    /* 17 digits bring every number back, and do not hang on the others of the line. Caller frees. */
    char *text = whole ? json_dumps(o, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(o);
    return text;
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr(" \t\r", text[i]) == NULL)
            return false;
    return true;
}

/* All lines of text; *whole: bytes up to the end of the last that is one. */
static fw_status read_lines(fw_trials *t, const char *text, size_t n, size_t *whole)
{
    fw_status st = FW_OK;
    int64_t line = 1;
    *whole = 0;
    for (size_t at = 0; at < n && st == FW_OK; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t bytes = end == NULL ? n - at : (size_t)(end - (text + at));
        json_error_t err = {.line = 1};
        fw_trial trial;
        json_t *o = is_blank(text + at, bytes) ? NULL : fwi_json_read(text + at, bytes, &err);
        const char *const why = json_is_object(o) ? trial_of(o, &trial) : "no JSON object";
        if (why == NULL)
            st = add_copy(t, &trial);
        else if (o == NULL && fwi_json_status(&err) == FW_ENOMEM) /* it may be whole */
            st = fwi_fail(FW_ENOMEM, "%s: line %" PRId64 ": no memory to read it", t->path, line);
        else if (o != NULL || (end != NULL && !is_blank(text + at, bytes)) ||
                 (text[at] != '{' && !is_blank(text + at, bytes))) /* no line of ours cut short */
            st = fwi_fail(FW_EFORMAT, "%s: line %" PRId64 ": %s", t->path, line, why);
        if (end != NULL || o != NULL)
            *whole = at + bytes + (end != NULL);
        json_decref(o);
        at += bytes + (end != NULL);
    }
    return st;
}

/* Takes off what is behind the last whole line, and gives that line its end. */
static fw_status mend(const fw_trials *t, const fwi_buf *text, size_t whole)
{
    fwi_file_writer *w = NULL;
    if (whole < text->size)
        fwi_log(1, "%s: the last line was cut short, and is taken off", t->path);
    fw_status st = fwi_file_writer_append(&w, t->path, whole < text->size ? (int64_t)whole : -1);
    if (st != FW_OK)
        return st;
    if (whole > 0 && text->data[whole - 1] != '\n')
        st = fwi_file_writer_put(w, "\n", 1);
    const fw_status closed = fwi_file_writer_close(w);
    return st != FW_OK ? st : closed;
}

/* What is written to is read first, to its end, which a pipe or a terminal has not. */
static fw_status check_kind(const char *path)
{
    struct stat info, null;
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) ||
        (S_ISCHR(info.st_mode) && stat("/dev/null", &null) == 0 && info.st_rdev == null.st_rdev))
        return FW_OK; /* opening it says the rest */
    return fwi_fail(FW_EARG, "%s: is no regular file: results are read before they are added to",
                    path);
}

/* ---- life ---- */

fw_status fw_trials_open(fw_trials **out, const char *path, bool readonly)
{
    if (out == NULL || (path == NULL && readonly))
        return fwi_fail(FW_EARG, "fw_trials_open: NULL argument");
    fwi_buf text = {0};
    /* another command may be adding its line, and would lose it to mend */
    fwi_file_lock lock = {0};
    size_t whole = 0;
    fw_trials *t = fwi_alloc_zero(sizeof *t);
    fw_status st = t == NULL ? FW_ENOMEM : fwi_arena_new(&t->texts, 0);
    if (st != FW_OK || path == NULL)
        goto done;
    t->readonly = readonly;
    if ((t->path = fwi_strdup(path)) == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    if (!readonly)
        st = check_kind(path);
    if (st == FW_OK && !readonly)
        st = fwi_file_lock_take(&lock, path);
    if (st == FW_OK)
        st = fwi_read_file(path, MOST_BYTES, &text);
    if (st == FW_OK && text.size > 0)
        st = read_lines(t, (const char *)text.data, text.size, &whole);
    if (st == FW_OK && !readonly) /* also: whether it can be written, before hours of work */
        st = mend(t, &text, whole);
done:
    fwi_file_lock_leave(&lock);
    fwi_buf_clear(&text);
    if (st != FW_OK)
        fw_trials_close(t);
    else
        *out = t;
    return st;
}

void fw_trials_close(fw_trials *t)
{
    if (t == NULL)
        return;
    fwi_arena_free(t->texts);
    fwi_free(t->items);
    fwi_free(t->path);
    fwi_free(t);
}

int64_t fw_trials_count(const fw_trials *t)
{
    return t == NULL ? 0 : t->n;
}

const fw_trial *fw_trials_get(const fw_trials *t, int64_t i)
{
    return t == NULL || i < 0 || i >= t->n ? NULL : t->items[i];
}

/* Whole lines stay, also a last one that only lacks its end, as of an editor: what was cut short is not in the way
 * of the next one. Lock held. */
static fw_status mend_end(const fw_trials *t)
{
    fwi_buf text = {0};
    json_error_t why;
    fw_status st = fwi_read_file(t->path, MOST_BYTES, &text);
    size_t whole = text.size;
    while (st == FW_OK && whole > 0 && text.data[whole - 1] != '\n')
        whole--;
    const size_t rest = text.size - whole;
    json_t *const last =
        st == FW_OK && rest > 0 ? fwi_json_read(text.data + whole, rest, &why) : NULL;
    if (st == FW_OK && rest > 0 && last == NULL && fwi_json_status(&why) == FW_ENOMEM)
        st = FW_ENOMEM; /* it may be whole */
    if (json_is_object(last))
        whole = text.size;
    else if (st == FW_OK && rest > 0 && text.data[whole] != '{' &&
             !is_blank((const char *)text.data + whole, rest))
        st = fwi_fail(FW_EFORMAT, "%s: ends with a line that is none of ours, and is not added to",
                      t->path);
    json_decref(last);
    if (st == FW_OK && (whole < text.size || (whole > 0 && text.data[whole - 1] != '\n')))
        st = mend(t, &text, whole);
    fwi_buf_clear(&text);
    return st;
}

static fw_status append_line(const fw_trials *t, const fw_trial *trial)
{
    fwi_file_writer *w = NULL;
    fwi_file_lock lock;
    char *line = line_of(trial);
    if (line == NULL)
        return fwi_fail(FW_EARG,
                        "%s: the run of seed %" PRIu64 " cannot be put as JSON: a number "
                        "that is not finite, a text that is not UTF-8, or no memory",
                        t->path, trial->seed);
    const size_t n = strlen(line);
    line[n] = '\n'; /* in place of its 0: one piece to write */
    fw_status st = fwi_file_lock_take(&lock, t->path);
    if (st == FW_OK) {
        st = mend_end(t);
        if (st == FW_OK)
            st = fwi_file_writer_append(&w, t->path, -1);
        if (st == FW_OK) {
            st = fwi_file_writer_put(w, line, n + 1);
            if (st == FW_OK)
                st = fwi_file_writer_sync(w);
            const fw_status closed = fwi_file_writer_close(w);
            st = st != FW_OK ? st : closed;
        }
        fwi_file_lock_leave(&lock);
    }
    free(line); /* jansson's */
    return st;
}

static fw_status check_seed(const fw_trial *t)
{
    return t->seed <= INT64_MAX /* JSON's whole numbers end there */
               ? FW_OK
               : fwi_fail(FW_EARG, "seed %" PRIu64 ": a results file holds seeds up to %" PRId64,
                          t->seed, INT64_MAX);
}

static fw_status fail_readonly(const fw_trials *t)
{
    return fwi_fail(FW_ESTATE, "%s: was opened to be read", t->path);
}

fw_status fw_trials_add(fw_trials *t, const fw_trial *trial)
{
    if (t == NULL || trial == NULL)
        return fwi_fail(FW_EARG, "fw_trials_add: NULL argument");
    if (t->readonly)
        return fail_readonly(t);
    const char *const why = unfit(&trial->run);
    fw_status st = check_seed(trial);
    if (st == FW_OK && why != NULL)
        st = fwi_fail(FW_EARG, "seed %" PRIu64 ": %s", trial->seed, why);
    if (st == FW_OK)
        st = add_copy(t, trial);
    if (st == FW_OK && t->path != NULL && (st = append_line(t, t->items[t->n - 1])) != FW_OK)
        t->n--; /* what is not in the file is not in the list */
    return st;
}

/* ---- runs ---- */

static bool same(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* Sources that no commit holds are not known to be the same. */
static bool same_sources(const char *a, const char *b)
{
    const size_t n = strlen(a), tail = strlen("-changed");
    return n > 0 && same(a, b) && (n < tail || strcmp(a + n - tail, "-changed") != 0);
}

/* held: as add_copy keeps it. */
static bool same_data(const char *held, const char *data)
{
    const size_t n = data_length(data == NULL ? "" : data);
    return strlen(held) == n && (n == 0 || memcmp(held, data, n) == 0);
}

const fw_trial *fw_trials_find(const fw_trials *t, const fw_trial *like, bool same_commit)
{
    if (t == NULL || like == NULL)
        return NULL;
    for (int64_t i = 0; i < t->n; i++) {
        const fw_trial *s = t->items[i];
        if (*s->id != 0 && s->seed == like->seed && same(s->id, like->id) &&
            same_data(s->data, like->data) && same(s->device, like->device) &&
            same(s->precision, like->precision) && same(s->version, like->version) &&
            (!same_commit || same_sources(s->commit, like->commit)))
            return s;
    }
    return NULL;
}

/* What names a data set: the last part of its path, however many slashes follow it, without the
 * ".tfrec" that records are found with or without; of "." and "..", which every folder has, that of the folder
 * that is there. In the arena; NULL: no memory. */
static const char *data_name(fwi_arena *texts, const char *path)
{
    char *copy = fwi_arena_strdup(texts, path == NULL ? "" : path);
    if (copy == NULL)
        return NULL;
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = 0;
    if (strcmp(fwi_path_base(copy), ".") == 0 || strcmp(fwi_path_base(copy), "..") == 0) {
        char *const real = realpath(copy, NULL); /* of libc's malloc */
        if (real != NULL && (copy = fwi_arena_strdup(texts, real)) == NULL) {
            free(real);
            return NULL;
        }
        free(real);
    }
    char *const name = copy + (fwi_path_base(copy) - copy);
    name[data_length(name)] = 0;
    return name;
}

/* A run that is gone on with may have begun with a model's weights. */
static fw_status check_beginning(const fw_one_run *run)
{
    fwi_buf text = {0};
    json_error_t why;
    char *const path =
        run->resume && run->out != NULL ? fwi_path_join(run->out, "config.json") : NULL;
    json_t *const was = path != NULL && fwi_read_own_file(path, FWI_CONFIG_BYTES, &text) == FW_OK
                            ? fwi_json_read(text.data, text.size, &why)
                            : NULL;
    const bool warm = json_object_get(was, "warm_start") != NULL;
    const fw_status st =
        warm ? fwi_fail(FW_EARG,
                        "%s: the run began with the weights of a model (warm_start), and "
                        "does not go with others",
                        path)
             : FW_OK;
    json_decref(was);
    fwi_buf_clear(&text);
    fwi_free(path);
    return st;
}

/* What a run is, but for its figures. machine, texts: what it views. */
static fw_status describe(const fw_session *s, const fw_one_run *run, const fw_trial_opt *o,
                          char id[FW_RECIPE_ID_CAP], fw_machine *machine, fwi_arena *texts,
                          fw_trial *out)
{
    const fw_recipe *const r = fwi_session_recipe(s);
    const fw_run_opt *const opt = fwi_session_opt(s);
    fw_dtype precision = FW_F32;
    bool tf32 = false;
    if (opt->warm_start != NULL || opt->until_accuracy != 0)
        return fwi_fail(FW_EARG, "a run that begins with another's weights, or stops when it is "
                                 "good, does not go with others");
    fw_status st = fw_machine_get(machine);
    if (st == FW_OK)
        st = fwi_run_precision(r, opt, &precision, &tf32);
    if (st == FW_OK)
        st = fw_recipe_id(r, id);
    const char *const data = data_name(texts, opt->data);
    if (st != FW_OK || data == NULL)
        return st != FW_OK ? st : FW_ENOMEM;
    *out = (fw_trial){.recipe = fw_recipe_name(r),
                      .id = id,
                      .variant = o->variant != NULL ? o->variant : "",
                      .changes = o->changes != NULL ? o->changes : "",
                      .data = data,
                      .device = opt->device == NULL ? "cpu" : opt->device,
                      .precision = fw_precision_name(precision, tf32),
                      .version = fw_version(),
                      .commit = fw_commit(),
                      .cpu = machine->cpu,
                      .isa = machine->isa,
                      .threads = opt->threads > 0 ? opt->threads : machine->threads,
                      .seed = run->seed};
    return FW_OK;
}

/* What its line could not hold is refused before the run, not behind it. */
static fw_status check_texts(const fw_trial *t)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"the name of the recipe", t->recipe},
                 {"the name of the variant", t->variant},
                 {"a change", t->changes},
                 {"the path of the data", t->data}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text != NULL && !fwi_utf8_valid(texts[i].text, strlen(texts[i].text)))
            return fwi_fail(FW_EARG,
                            "%s is not UTF-8 text, so no line of a results file can hold it",
                            texts[i].name);
    return FW_OK;
}

/* Hours of work are not lost with a disk that was full: the line stands in the log, to be added by hand. */
static void tell_line(const fw_trials *t, const fw_trial *trial)
{
    fwi_error why;
    fwi_error_save(&why, FW_EIO);
    char *const line = line_of(trial);
    if (line != NULL) {
        fwi_log(1, "%s: could not be added to; its line would be:",
                t->path != NULL ? t->path : "the results");
        fwi_log_text(1, line);
    }
    free(line); /* jansson's */
    (void)fwi_error_raise(&why);
}

fw_status fw_session_trial(fw_session *s, const fw_one_run *run, fw_trials *t,
                           const fw_trial_opt *opt, const fw_trial **out, fw_run_result *result,
                           bool *held)
{
    static const fw_trial_opt none = {0};
    if (s == NULL || run == NULL || t == NULL || out == NULL || held == NULL)
        return fwi_fail(FW_EARG, "fw_session_trial: NULL argument");
    const fw_trial_opt *const o = opt != NULL ? opt : &none;
    fw_run_result own, *const res = result != NULL ? result : &own;
    fw_machine machine;
    fw_trial trial;
    char id[FW_RECIPE_ID_CAP];
    fw_status st = describe(s, run, o, id, &machine, t->texts, &trial);
    if (st != FW_OK)
        return st;
    *out = fw_trials_find(t, &trial, o->same_commit);
    *held = *out != NULL;
    if (*held)
        return FW_OK;
    st = t->readonly ? fail_readonly(t) : check_seed(&trial);
    if (st == FW_OK)
        st = check_beginning(run);
    if (st == FW_OK && t->path != NULL)
        st = check_texts(&trial);
    if (st != FW_OK)
        return st;
    st = fw_session_run(s, run, res);
    const bool diverged = st == FW_ENONFINITE && res->run.diverged;
    if (st != FW_OK && !diverged && res->run.forwards == 0)
        return st;
    fwi_error failed; /* of what came behind the evaluation: the result is one all the same */
    fwi_error_save(&failed, diverged ? FW_OK : st);
    trial.run = res->run;
    if ((st = fw_trials_add(t, &trial)) == FW_OK)
        *out = fw_trials_get(t, fw_trials_count(t) - 1);
    else
        tell_line(t, &trial);
    return failed.status == FW_OK ? st : fwi_error_raise(&failed);
}

fw_status fw_trial_run(fw_trials *t, const fw_recipe *r, const fw_run_opt *run,
                       const fw_trial_opt *opt, const fw_trial **out, fw_run_result *result,
                       bool *held)
{
    const fw_run_opt none = {0};
    fw_session *s = NULL;
    if (t == NULL || r == NULL || out == NULL || held == NULL)
        return fwi_fail(FW_EARG, "fw_trial_run: NULL argument");
    if (run == NULL)
        run = &none;
    fw_status st = fw_session_open(&s, r, run);
    if (st == FW_OK)
        st = fw_session_trial(
            s, &(fw_one_run){.seed = run->seed, .out = run->out, .resume = run->resume}, t, opt,
            out, result, held);
    fw_session_close(s);
    return st;
}
