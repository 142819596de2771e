/* cmd_ablate.c: variants of a recipe on the same seeds: what each change, or each trick left out,
 * does to accuracy and time. The table is made in compare.c; each run is a line of a results file,
 * as those of cmd_train.c are. */
#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VARIANTS = 64, MOST_RUNS = 100000, RUNS = 5 };

typedef struct ablate_args {
    const char *data, *log, *device, *precision, *epochs, *batch, *slope, *plot, *base;
    uint64_t seed;
    int64_t threads, runs, memory_limit;
    double confidence;
    bool json, quiet, pin, same_commit;
    arg_list set, with, without, compare;
} ablate_args;

/* ---- variants ---- */

typedef struct variant {
    fw_recipe *recipe;
    fw_session *session; /* NULL: not open */
    cell cell;
} variant;

typedef struct lab {
    const command *self;
    const ablate_args *a;
    const char *recipe;
    variant v[MOST_VARIANTS + 2]; /* the base first */
    int n;
    bool has_other; /* the last is the base at another length */
} lab;

static void lab_clear(lab *l)
{
    for (int i = 0; i < l->n; i++) {
        fw_session_close(l->v[i].session);
        fw_recipe_free(l->v[i].recipe);
        cell_clear(&l->v[i].cell);
    }
}

/* Whether a variant asks for the same as the one at `at`. */
static bool same_recipe(const lab *l, int at, const fw_recipe *r)
{
    char id[2][FW_RECIPE_ID_CAP];
    return fw_recipe_id(l->v[at].recipe, id[0]) == FW_OK && fw_recipe_id(r, id[1]) == FW_OK &&
           strcmp(id[0], id[1]) == 0;
}

/* The recipe with the options of the command, then `changes` (NULL: none). One that asks for the
 * same as the base, or as a variant before it, is refused: runs would be compared with themselves. */
static fw_status add_variant(lab *l, const char *name, const char *changes, char *why, size_t cap)
{
    const ablate_args *const a = l->a;
    if (l->n == MOST_VARIANTS + 1) { /* the last place is that of --slope */
        snprintf(why, cap, "more than %d variants", (int)MOST_VARIANTS);
        return FW_EARG;
    }
    variant *const v = &l->v[l->n];
    fw_status st = recipe_open_with(&v->recipe, l->recipe, a->epochs, a->batch, &a->set);
    if (st == FW_OK && changes != NULL)
        st = fw_recipe_change(v->recipe, changes);
    if (st == FW_OK)
        st = fw_recipe_check(v->recipe, NULL);
    if (st == FW_OK && !cell_init(&v->cell, name, changes))
        st = FW_ENOMEM;
    if (v->recipe != NULL)
        l->n++; /* lab_clear has it now */
    if (st != FW_OK) {
        snprintf(why, cap, "%s: %s", name, fw_last_error());
        return st;
    }
    static const char key[] = "train.precision";
    char base[32];
    snprintf(base, sizeof base, "%s", fw_recipe_get(l->v[0].recipe, key));
    if (a->precision != NULL && strcmp(base, fw_recipe_get(v->recipe, key)) != 0) {
        snprintf(why, cap, "%s changes %s, and --precision %s goes before it", name, key,
                 a->precision);
        return FW_EARG;
    }
    if (l->n > 1 && same_recipe(l, 0, v->recipe)) {
        snprintf(why, cap, "%s changes nothing: %s", name, changes);
        return FW_EARG;
    }
    for (int i = 1; i < l->n - 1; i++)
        if (same_recipe(l, i, v->recipe)) {
            snprintf(why, cap, "%s asks for the same runs as %s", name, l->v[i].cell.name);
            return FW_EARG;
        }
    return FW_OK;
}

/* The base at the length of --slope, behind all variants: one of them may be just that. */
static fw_status add_other(lab *l, char *why, size_t cap)
{
    const ablate_args *const a = l->a;
    char name[96];
    variant *const v = &l->v[l->n];
    fw_status st = recipe_open_with(&v->recipe, l->recipe, a->epochs, a->batch, &a->set);
    if (v->recipe != NULL)
        l->n++;
    if (st == FW_OK)
        st = fw_recipe_set(v->recipe, "train.epochs", a->slope);
    if (st == FW_OK)
        st = fw_recipe_check(v->recipe, NULL);
    if (st != FW_OK) {
        snprintf(why, cap, "--slope %s: %s", a->slope, fw_last_error());
        return st;
    }
    if (same_recipe(l, 0, v->recipe)) {
        snprintf(why, cap,
                 "--slope %s: the recipe has that length already; a slope needs another one",
                 a->slope);
        return FW_EARG;
    }
    char changes[96];
    snprintf(changes, sizeof changes, "train.epochs=%s", a->slope);
    snprintf(name, sizeof name, "base, %s epochs", a->slope);
    l->has_other = cell_init(&v->cell, name, changes);
    return l->has_other ? FW_OK : FW_ENOMEM;
}

static fw_status add_without(lab *l, const char *what, char *why, size_t cap)
{
    char name[160], *changes = NULL;
    fw_status st = fw_recipe_without(l->v[0].recipe, what, &changes);
    snprintf(name, sizeof name, "without %s", what);
    if (st != FW_OK)
        snprintf(why, cap, "--without: %s", fw_last_error());
    else
        st = add_variant(l, name, changes, why, cap);
    fw_text_free(changes);
    return st;
}

/* Each trick of the recipe by itself. */
static fw_status add_all(lab *l, char *why, size_t cap)
{
    char *names = NULL, *rest = NULL;
    fw_status st = fw_recipe_tricks(l->v[0].recipe, &names);
    if (st == FW_OK && *names == 0) {
        snprintf(why, cap, "--without all: recipe %s has no line trick = NAME CHANGES",
                 fw_recipe_name(l->v[0].recipe));
        st = FW_ENOTFOUND;
    }
    for (char *word = st == FW_OK ? strtok_r(names, " ", &rest) : NULL; word != NULL && st == FW_OK;
         word = strtok_r(NULL, " ", &rest))
        st = add_without(l, word, why, cap);
    fw_text_free(names);
    return st;
}

static fw_status make_variants(lab *l, char *why, size_t cap)
{
    const ablate_args *const a = l->a;
    fw_status st = add_variant(l, "base", NULL, why, cap);
    for (int i = 0; i < a->with.n && st == FW_OK; i++)
        st = add_variant(l, a->with.items[i], a->with.items[i], why, cap);
    for (int i = 0; i < a->without.n && st == FW_OK; i++)
        st = strcmp(a->without.items[i], "all") == 0
                 ? add_all(l, why, cap)
                 : add_without(l, a->without.items[i], why, cap);
    if (a->slope != NULL && st == FW_OK)
        st = add_other(l, why, cap);
    return st;
}

/* ---- runs ---- */

static void close_sessions(lab *l)
{
    for (int i = 0; i < l->n; i++) {
        fw_session_close(l->v[i].session);
        l->v[i].session = NULL;
    }
}

/* Runs of a GPU are short: each variant keeps what it has built there, as long as there is memory.
 * On a CPU building is a small share of a run, and its memory is all there is: variants take turns. */
static fw_status run_one(lab *l, variant *v, const fw_run_opt *opt, const fw_one_run *run,
                         fw_trials *log, const fw_trial_opt *how, const fw_trial **trial,
                         bool *held)
{
    const bool turns = opt->device == NULL || strcmp(opt->device, "cpu") == 0;
    fw_status st = v->session != NULL ? FW_OK : fw_session_open(&v->session, v->recipe, opt);
    if (st == FW_OK)
        st = fw_session_trial(v->session, run, log, how, trial, NULL, held);
    if (st == FW_ENOMEM && !turns) { /* perhaps that of the others */
        close_sessions(l);
        st = fw_session_open(&v->session, v->recipe, opt);
        if (st == FW_OK)
            st = fw_session_trial(v->session, run, log, how, trial, NULL, held);
    }
    if (turns)
        close_sessions(l);
    return st;
}

static void tell(const variant *v, const fw_trial *trial, bool held)
{
    clear_line();
    if (trial->run.diverged)
        fprintf(stderr, "%s, seed %" PRIu64 ": diverged: %s\n", v->cell.name, trial->seed,
                held ? "done before" : fw_last_error());
    else
        fprintf(stderr, "%s, seed %" PRIu64 ": accuracy %.2f %%, %.1f s%s\n", v->cell.name,
                trial->seed, 100 * trial->run.accuracy, trial->run.t_train,
                held ? ", done before" : "");
}

/* Seed by seed, so that the variants stay level where the command is stopped. */
static fw_status run_all(lab *l, const fw_run_opt *opt, fw_trials *log)
{
    const ablate_args *const a = l->a;
    origins from = {0};
    fw_status st = FW_OK;
    int64_t twice = 0;
    for (int64_t i = 0; i < a->runs && st == FW_OK; i++)
        for (int k = 0; k < l->n && st == FW_OK; k++) {
            variant *const v = &l->v[k];
            const fw_one_run run = {.seed = a->seed + (uint64_t)i};
            const fw_trial *trial = NULL;
            bool held = false;
            char *changes = changes_text(a->epochs, a->batch, &a->set, v->cell.changes);
            if (changes == NULL)
                return FW_ENOMEM;
            fprintf(stderr, "%s, seed %" PRIu64 "\n", v->cell.name, run.seed);
            const fw_trial_opt how = {
                .variant = v->cell.name, .changes = changes, .same_commit = a->same_commit};
            st = run_one(l, v, opt, &run, log, &how, &trial, &held);
            if (st == FW_OK)
                tell(v, trial, held); /* the message is of the run still */
            if (st == FW_OK && !cell_add(&v->cell, trial, &twice))
                st = FW_ENOMEM;
            free(changes);
            if (st != FW_OK)
                break;
            origins_add(&from, trial, held);
        }
    if (st == FW_OK)
        origins_warn(&from, l->self);
    return st;
}

/* The plot, where one is asked for and there is something to draw; *drawn: whether there is one. */
static fw_status draw(const ablate_args *a, const comparison *c, bool *drawn)
{
    *drawn = false;
    const fw_status st = a->plot == NULL ? FW_OK : compare_plot(c, a->plot, drawn);
    if (st == FW_OK && a->plot != NULL && !*drawn)
        fprintf(stderr, "fenwicks ablate: %s: no variant has a difference to draw\n", a->plot);
    return st;
}

/* The figures, whatever becomes of the picture: it is not worth the runs behind them. */
static int report(const command *self, const ablate_args *a, comparison *c, const char *recipe)
{
    bool drawn;
    fw_status st;
    int written;
    if (a->json) {
        json_t *list = compare_json(c);
        st = draw(a, c, &drawn);
        written = print_json(json_pack(
            "{s:o, s:f, s:o, s:o, s:o, s:s, s:s}", "recipe", text_json(recipe), "confidence",
            c->confidence, "variants", list, "slope", slope_json(c), "plot",
            text_json(drawn ? a->plot : ""), "version", fw_version(), "commit", fw_commit()));
    } else {
        st = compare_print(c);
        if (st == FW_OK)
            st = draw(a, c, &drawn);
        if (st == FW_OK && drawn)
            printf("plot     %s\n", a->plot);
        written = finish_output();
    }
    return st != FW_OK ? fail(self->name, st, false) : written;
}

static int ablate(const command *self, const ablate_args *a, const char *recipe, fw_run_opt *opt)
{
    char why[1400] = "";
    lab *l = calloc(1, sizeof *l);
    cell *cells = NULL;
    fw_trials *log = NULL;
    if (l == NULL)
        return fail_with(self->name, FW_ENOMEM, "no memory", a->json);
    *l = (lab){.self = self, .a = a, .recipe = recipe};
    fw_status st = make_variants(l, why, sizeof why);
    int code;
    if (st != FW_OK) {
        code = fail_with(self->name, st, why, a->json);
        goto done;
    }
    st = a->plot == NULL ? FW_OK : fw_plot_check(a->plot); /* before hours of work */
    if (st == FW_OK)
        st = fw_trials_open(&log, a->log, false);
    if (st == FW_OK)
        st = run_all(l, opt, log);
    if (st != FW_OK) {
        code = fail(self->name, st, a->json);
        if (st == FW_ESTOPPED && a->log != NULL)
            fprintf(stderr, "to go on: the same command; runs that are done are in %s\n", a->log);
        else if (st == FW_ESTOPPED)
            fputs("--log FILE would keep the runs that are done\n", stderr);
        goto done;
    }
    const int n = l->n - l->has_other;
    if ((cells = calloc((size_t)n, sizeof *cells)) == NULL) {
        code = fail_with(self->name, FW_ENOMEM, "no memory", a->json);
        goto done;
    }
    for (int i = 0; i < n; i++)
        cells[i] = l->v[i].cell; /* lent */
    comparison c = {.title = fw_recipe_name(l->v[0].recipe),
                    .cells = cells,
                    .n = n,
                    .other = l->has_other ? &l->v[n].cell : NULL,
                    .confidence = a->confidence};
    code = report(self, a, &c, fw_recipe_name(l->v[0].recipe));
done:
    free(cells);
    fw_trials_close(log);
    lab_clear(l);
    free(l);
    return code;
}

/* ---- files of runs ---- */

/* What all lines have in common, or not: a recipe, a set of data. */
typedef struct common {
    const char *first; /* view of a line's; NULL: no line names one */
    bool others;
} common;

/* What files hold: of several recipes, or sets of data, the names of groups say which. */
typedef struct groups {
    cell *cells;
    int n;
    int64_t twice;
    origins from;
    common recipe, data;
} groups;

static void take_word(common *c, const char *word)
{
    if (c->first == NULL)
        c->first = word;
    c->others = c->others || strcmp(c->first, word) != 0;
}

/* Lines of old files, which have no id, may name neither. */
static void take_line(groups *g, const fw_trial *t)
{
    if (*t->recipe != 0)
        take_word(&g->recipe, t->recipe);
    if (*t->id != 0 || *t->data != 0)
        take_word(&g->data, t->data);
}

/* How a run was changed, but for its length, which each table has. changes: "a=1, train.epochs=4", cut there. */
static void drop_length(char *changes)
{
    char *to = changes;
    for (char *at = changes, *next; at != NULL; at = next) {
        next = strstr(at, ", ");
        const size_t n = next != NULL ? (size_t)(next - at) : strlen(at);
        if (next != NULL)
            next += 2;
        if (strncmp(at, "train.epochs=", 13) == 0 || strncmp(at, "epochs=", 7) == 0)
            continue;
        if (to != changes) {
            memcpy(to, ", ", 2);
            to += 2;
        }
        memmove(to, at, n);
        to += n;
    }
    *to = 0;
}

/* What a line's group is called: its variant, else how it was changed, else base. The caller frees. */
static char *label_of(const groups *g, const fw_trial *t)
{
    char *const changes = strdup(t->changes);
    if (changes == NULL)
        return NULL;
    drop_length(changes);
    const char *label = *t->variant != 0 ? t->variant : *changes != 0 ? changes : "base";
    const bool of = g->recipe.others && *t->recipe != 0;
    const bool plain = of && *t->variant == 0 && *changes == 0; /* the recipe itself */
    const char *data = *t->data != 0 ? t->data : *t->id != 0 ? "bundled data" : "unknown data";
    const size_t n = strlen(label) + strlen(t->recipe) + strlen(data) + 8;
    char *name = malloc(n);
    if (name != NULL)
        snprintf(name, n, "%s%s%s%s%s", of ? t->recipe : "", of && !plain ? ": " : "",
                 plain ? "" : label, g->data.others ? " on " : "", g->data.others ? data : "");
    free(changes);
    if (name != NULL)
        make_printable(name);
    return name;
}

/* Lines of old files do not say it. */
static bool another(const char **first, const char *word)
{
    if (*word != 0 && *first == NULL)
        *first = word;
    return *word != 0 && strcmp(*first, word) != 0;
}

/* One length in epochs, rounded to whole steps of each: another batch has other ones. */
static bool same_length(const cell *a, const cell *b)
{
    return fabs(a->epochs - b->epochs) <= 0.5 * (a->step + b->step);
}

static bool group_add(groups *g, const fw_trial *t)
{
    char *const name = label_of(g, t);
    int i = 0;
    if (name == NULL)
        return false;
    while (i < g->n && (strcmp(g->cells[i].name, name) != 0 || g->cells[i].epochs != t->run.epochs))
        i++;
    bool ok = true;
    if (i == g->n) {
        cell *cells = realloc(g->cells, (size_t)(g->n + 1) * sizeof *cells);
        ok = cells != NULL;
        if (ok) {
            g->cells = cells;
            ok = cell_init(&g->cells[g->n++], name, NULL);
        }
    }
    free(name);
    if (!ok)
        return false;
    cell *const c = &g->cells[i];
    origins_add(&g->from, t, false);
    const bool id = another(&c->id, t->id), device = another(&c->device, t->device);
    c->mixed = another(&c->precision, t->precision) || id || device || c->mixed;
    return cell_add(c, t, &g->twice);
}

/* One table per length that the base has. */
static int report_groups(const command *self, const ablate_args *a, groups *g)
{
    json_t *tables = json_array();
    int found = 0, code = EXIT_DONE, lengths = 0;
    bool drawn = false;
    cell *cells = calloc((size_t)g->n + 1, sizeof *cells);
    for (int b = 0; b < g->n; b++)
        lengths += strcmp(g->cells[b].name, a->base) == 0;
    if (a->plot != NULL && lengths > 1)
        code = fail_with(self->name, FW_EARG,
                         "--plot shows one length, the files have the base at several", a->json);
    for (int b = 0; b < g->n && cells != NULL && code == EXIT_DONE; b++) {
        if (strcmp(g->cells[b].name, a->base) != 0)
            continue;
        comparison c = {.title = a->base, .cells = cells, .confidence = a->confidence};
        cells[c.n++] = g->cells[b];
        for (int i = 0; i < g->n; i++)
            if (i != b && strcmp(g->cells[i].name, a->base) != 0 &&
                same_length(&g->cells[i], &g->cells[b]))
                cells[c.n++] = g->cells[i];
        found++;
        if (a->json) {
            if (json_array_append_new(tables, json_pack("{s:f, s:o}", "epochs", g->cells[b].epochs,
                                                        "variants", compare_json(&c))) != 0)
                code = fail_with(self->name, FW_ENOMEM, "the table cannot be put as JSON", true);
        } else {
            printf("%s%g epochs\n", found > 1 ? "\n" : "", g->cells[b].epochs);
            const fw_status st = compare_print(&c);
            if (st != FW_OK)
                code = fail(self->name, st, false);
        }
        const fw_status st = code == EXIT_DONE ? draw(a, &c, &drawn) : FW_OK;
        if (st != FW_OK)
            code = fail(self->name, st, a->json);
        if (drawn && !a->json)
            printf("plot     %s\n", a->plot);
    }
    for (int i = 0; i < g->n && found > 0; i++) {
        int b = 0;
        while (b < g->n &&
               (strcmp(g->cells[b].name, a->base) != 0 || !same_length(&g->cells[b], &g->cells[i])))
            b++;
        if (b == g->n)
            fprintf(stderr,
                    "fenwicks ablate: not compared: %s, %g epochs, %" PRId64
                    " runs: there is no \"%s\" of that length\n",
                    g->cells[i].name, g->cells[i].epochs, g->cells[i].n + g->cells[i].diverged,
                    a->base);
    }
    free(cells);
    if (code == EXIT_DONE && g->n == 0) {
        code = fail_with(self->name, FW_ENOTFOUND, "there are no runs in the files", a->json);
    } else if (code == EXIT_DONE && found == 0) {
        char why[256];
        const char *names[MOST_VARIANTS];
        int n = 0;
        for (; n < g->n && n < MOST_VARIANTS; n++)
            names[n] = g->cells[n].name;
        snprintf(why, sizeof why, "--base: no run is called \"%s\"; the nearest is %s", a->base,
                 fw_nearest(a->base, names, n));
        code = fail_with(self->name, FW_ENOTFOUND, why, a->json);
    } else if (a->json && code == EXIT_DONE) {
        return print_json(json_pack("{s:s, s:f, s:o, s:o}", "base", a->base, "confidence",
                                    a->confidence, "tables", tables, "plot",
                                    text_json(drawn ? a->plot : "")));
    }
    json_decref(tables);
    return code != EXIT_DONE ? code : finish_output();
}

static int compare_files(const command *self, const ablate_args *a)
{
    groups g = {0};
    const int n = a->compare.n;
    fw_trials **const files = calloc((size_t)n, sizeof(fw_trials *));
    fw_status st = files == NULL ? FW_ENOMEM : a->plot != NULL ? fw_plot_check(a->plot) : FW_OK;
    for (int i = 0; i < n && st == FW_OK; i++) { /* what there is, before groups are named by it */
        st = fw_trials_open(&files[i], a->compare.items[i], true);
        for (int64_t k = 0; st == FW_OK && k < fw_trials_count(files[i]); k++)
            take_line(&g, fw_trials_get(files[i], k));
    }
    for (int i = 0; i < n && st == FW_OK; i++)
        for (int64_t k = 0; k < fw_trials_count(files[i]) && st == FW_OK; k++)
            if (!group_add(&g, fw_trials_get(files[i], k)))
                st = FW_ENOMEM;
    if (g.twice > 0)
        fprintf(stderr,
                "fenwicks ablate: %" PRId64
                " lines repeat a variant, length and seed, and are left "
                "out: the first counts\n",
                g.twice);
    for (int i = 0; i < g.n; i++)
        if (g.cells[i].mixed)
            fprintf(stderr,
                    "fenwicks ablate: note: %s, %g epochs: its runs differ in more than the seed, "
                    "in recipe, device or precision; --label tells them apart\n",
                    g.cells[i].name, g.cells[i].epochs);
    if (st == FW_OK)
        origins_of_files(&g.from, self);
    const int code = st != FW_OK ? fail(self->name, st, a->json) : report_groups(self, a, &g);
    for (int i = 0; i < g.n; i++)
        cell_clear(&g.cells[i]);
    free(g.cells);
    for (int i = 0; files != NULL && i < n; i++)
        fw_trials_close(files[i]);
    free(files);
    return code;
}

/* ---- arguments ---- */

/* What is wrong with them; EXIT_DONE: nothing. */
static int check_args(const command *self, const ablate_args *a, int n)
{
    if (!(a->confidence > 0 && a->confidence < 1))
        return usage_error(self, "--confidence: %g is no fraction between 0 and 1", a->confidence);
    if (a->compare.n > 0) {
        if (n > 0 || a->with.n > 0 || a->without.n > 0 || a->log != NULL || a->slope != NULL ||
            a->data != NULL || a->device != NULL || a->precision != NULL || a->epochs != NULL ||
            a->batch != NULL || a->set.n > 0 || a->seed != 0 || a->runs != RUNS ||
            a->threads != 0 || a->pin || a->same_commit || a->memory_limit != 0)
            return usage_error(self, "--compare reads files: it goes with --base, --confidence, "
                                     "--plot and --json only");
        return EXIT_DONE;
    }
    if (a->base != NULL)
        return usage_error(self, "--base goes with --compare: of runs the base is the recipe");
    if (n != 1)
        return usage_error(self, "needs a recipe's name or file");
    if (a->with.n == 0 && a->without.n == 0)
        return usage_error(self, "needs a variant: --with KEY=VALUE, --without TRICK or --without "
                                 "all");
    if (a->with.n + a->without.n > MOST_VARIANTS)
        return usage_error(self, "at most %d variants", (int)MOST_VARIANTS);
    if (a->runs > MOST_RUNS)
        return usage_error(self, "--runs: at most %d", (int)MOST_RUNS);
    const int seeds = check_seeds(self, a->seed, a->runs, true);
    if (seeds != EXIT_DONE)
        return seeds;
    if (a->same_commit && a->log == NULL)
        return usage_error(self, "--same-commit needs --log");
    if (a->slope != NULL && a->runs < 2)
        return usage_error(self, "--slope needs two runs at least: the slope has an error");
    return EXIT_DONE;
}

static int run_ablate(const command *self, int argc, char **argv)
{
    const char *pos[1];
    ablate_args a = {.runs = RUNS, .confidence = 0.95};
    int n;
    const arg_option options[] = {
        {"--with", "CHANGES", "a variant: KEY=VALUE, several with commas (may be repeated)",
         ARG_LIST, &a.with},
        {"--without", "TRICK",
         "a variant: a trick of the recipe, a key, transform or layer option left out; all: each "
         "trick",
         ARG_WORDS, &a.without},
        {"--runs", "N", "seeds of each variant, from --seed on (default 5)", ARG_COUNT, &a.runs},
        {"--seed", "N", "the first one (default 0)", ARG_SEED, &a.seed},
        {"--log", "FILE", "a line of JSON per run; what it holds is not run again", ARG_TEXT,
         &a.log},
        {"--same-commit", NULL, "of --log: only lines of this very commit count as done", ARG_FLAG,
         &a.same_commit},
        {"--slope", "EPOCHS",
         "run the base at this length too, for seconds at matched accuracy (default: no)", ARG_TEXT,
         &a.slope},
        {"--confidence", "C", "of the intervals, two-sided (a fraction; default 0.95)", ARG_REAL,
         &a.confidence},
        {"--plot", "FILE", "the differences as .svg or .png, by gnuplot (default: no plot)",
         ARG_TEXT, &a.plot},
        {"--data", "PATH", "records, or an importable data set, as for train", ARG_TEXT, &a.data},
        {"--epochs", "N", "length of every run (default: the recipe's)", ARG_TEXT, &a.epochs},
        {"--batch", "N", "images per step (default: the recipe's)", ARG_TEXT, &a.batch},
        {"--set", "KEY=VALUE", "change a key of all variants (may be repeated)", ARG_LIST, &a.set},
        {"--device", "NAME", DEVICES, ARG_TEXT, &a.device},
        {"--precision", "TYPE", PRECISIONS " (default: the recipe's)", ARG_TEXT, &a.precision},
        {"--threads", "N", "at most, and by default, as many as this process may use", ARG_THREADS,
         &a.threads},
        {"--pin", NULL, "bind each thread to a CPU of its own", ARG_FLAG, &a.pin},
        {"--memory-limit", "BYTES", "refuse a larger plan (512M, 2G; default none)", ARG_SIZE,
         &a.memory_limit},
        {"--compare", "FILE", "run nothing: compare the runs of a results file (may be repeated)",
         ARG_WORDS, &a.compare},
        {"--base", "NAME", "of --compare: what the others are compared with (default base)",
         ARG_TEXT, &a.base},
        {"--quiet", NULL, "no progress within runs", ARG_FLAG, &a.quiet},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &a.json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 1, &n);
    if (code >= 0)
        return code;
    int wrong = check_args(self, &a, n);
    if (wrong == EXIT_DONE)
        wrong = check_precision(self, a.precision);
    if (wrong != EXIT_DONE)
        return wrong;
    if (a.compare.n > 0) {
        if (a.base == NULL)
            a.base = "base";
        return compare_files(self, &a);
    }
    fw_run_opt opt = {.data = a.data,
                      .device = a.device,
                      .precision = a.precision,
                      .threads = (int)a.threads,
                      .pin = a.pin,
                      .memory_limit = a.memory_limit,
                      .progress = a.quiet ? NULL : fw_progress_stderr,
                      .stop = &stop_asked};
    catch_interrupts();
    return ablate(self, &a, pos[0], &opt);
}

const command command_ablate = {"ablate", "ablate RECIPE|FILE [options]",
                                "compare variants of a recipe on the same seeds", run_ablate};
