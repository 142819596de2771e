/* compare.c: groups of runs beside a base, as a table, as JSON and as a plot (compare.h). The
 * statistics are the library's (fenwicks/stats.h): here runs are paired by seed. */
#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where runs come from ---- */

void origins_add(origins *o, const fw_trial *t, bool held)
{
    const bool unknown = *t->commit == 0 || strstr(t->commit, "-changed") != NULL;
    if (!o->seen)
        *o = (origins){.first = *t, .seen = true};
    const bool known = *o->first.cpu != 0 && *t->cpu != 0; /* lines of old files do not say it */
    o->machines = o->machines ||
                  (known && (strcmp(o->first.cpu, t->cpu) != 0 ||
                             strcmp(o->first.isa, t->isa) != 0 || o->first.threads != t->threads));
    o->commits = o->commits || strcmp(o->first.commit, t->commit) != 0 || (held && unknown);
}

void origins_warn(const origins *o, const command *self)
{
    if (o->machines)
        fprintf(
            stderr,
            "fenwicks %s: note: these runs are of several machines: their seconds do not compare\n",
            self->name);
    if (o->commits)
        fprintf(stderr,
                "fenwicks %s: note: these runs are of several commits, or of changed sources: "
                "--same-commit takes those of this commit alone\n",
                self->name);
}

void origins_of_files(const origins *o, const command *self)
{
    if (o->machines || o->commits)
        fprintf(stderr, "fenwicks %s: note: these lines are of several %s%s\n", self->name,
                o->machines && o->commits ? "machines and commits"
                : o->machines             ? "machines"
                                          : "commits",
                o->machines ? ": their seconds do not compare" : "");
}

/* ---- cells ---- */

bool cell_init(cell *c, const char *name, const char *changes)
{
    *c = (cell){.name = strdup(name), .changes = changes == NULL ? NULL : strdup(changes)};
    return c->name != NULL && (changes == NULL || c->changes != NULL);
}

static bool grow(cell *c)
{
    const int64_t cap = c->cap == 0 ? 16 : 2 * c->cap;
    uint64_t *seed = realloc(c->seed, (size_t)cap * sizeof *seed);
    if (seed != NULL)
        c->seed = seed;
    double *accuracy = realloc(c->accuracy, (size_t)cap * sizeof *accuracy);
    if (accuracy != NULL)
        c->accuracy = accuracy;
    double *seconds = realloc(c->seconds, (size_t)cap * sizeof *seconds);
    if (seconds != NULL)
        c->seconds = seconds;
    if (seed == NULL || accuracy == NULL || seconds == NULL)
        return false;
    c->cap = cap;
    return true;
}

static bool lose(cell *c, uint64_t seed)
{
    uint64_t *lost = realloc(c->lost, (size_t)(c->diverged + 1) * sizeof *lost);
    if (lost == NULL)
        return false;
    c->lost = lost;
    c->lost[c->diverged++] = seed;
    return true;
}

bool cell_add(cell *c, const fw_trial *t, int64_t *twice)
{
    for (int64_t i = 0; i < c->n; i++)
        if (c->seed[i] == t->seed) {
            ++*twice;
            return true;
        }
    for (int64_t i = 0; i < c->diverged; i++)
        if (c->lost[i] == t->seed) {
            ++*twice;
            return true;
        }
    c->epochs = t->run.epochs;
    c->step = t->run.steps > 0 && !t->run.diverged ? t->run.epochs / (double)t->run.steps : c->step;
    if (t->run.diverged)
        return lose(c, t->seed);
    if (c->n == c->cap && !grow(c))
        return false;
    c->seed[c->n] = t->seed;
    c->accuracy[c->n] = t->run.accuracy;
    c->seconds[c->n] = t->run.t_train;
    c->n++;
    return true;
}

void cell_clear(cell *c)
{
    free(c->name);
    free(c->changes);
    free(c->seed);
    free(c->accuracy);
    free(c->seconds);
    free(c->lost);
    *c = (cell){0};
}

/* ---- comparing ---- */

static int64_t find_seed(const cell *c, uint64_t seed)
{
    int64_t i = 0;
    while (i < c->n && c->seed[i] != seed)
        i++;
    return i < c->n ? i : -1;
}

typedef struct outcome {
    fw_summary accuracy, seconds;
    fw_estimate difference; /* from the base; n 0: this is the base */
    bool paired, of_groups;
    fw_estimate matched; /* seconds at the base's accuracy; n 0: not known */
} outcome;

/* Differences on the seeds that both have, without an error where that is one; of the groups as they are where
 * there is none, or where one pair would leave out runs that both groups have more of. */
static fw_status differ(const cell *c, const cell *base, double confidence, double *a, double *b,
                        outcome *o)
{
    fw_summary of_base;
    int64_t n = 0;
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t k = find_seed(base, c->seed[i]);
        if (k < 0)
            continue;
        a[n] = c->accuracy[i];
        b[n++] = base->accuracy[k];
    }
    o->paired = n > 1 || (n == 1 && (c->n == 1 || base->n == 1));
    if (o->paired)
        return fw_paired(a, b, n, confidence, &o->difference);
    o->of_groups = true;
    const fw_status st = fw_summary_of(base->accuracy, base->n, &of_base);
    return st != FW_OK ? st : fw_welch(&o->accuracy, &of_base, confidence, &o->difference);
}

/* Seconds at matched accuracy, on the seeds that all three have. x: 4 columns of c->n. */
static void match(comparison *c, const cell *v, double *x, outcome *o)
{
    const cell *const base = &c->cells[0];
    double *const column[4] = {x, x + v->n, x + 2 * v->n, x + 3 * v->n};
    int64_t n = 0;
    for (int64_t i = 0; i < v->n; i++) {
        const int64_t k = find_seed(base, v->seed[i]), j = find_seed(c->other, v->seed[i]);
        if (k < 0 || j < 0)
            continue;
        column[0][n] = base->accuracy[k];
        column[1][n] = c->other->accuracy[j];
        column[2][n] = v->accuracy[i];
        column[3][n++] = v->seconds[i];
    }
    const fw_matched_opt m = {.base = column[0],
                              .other = column[1],
                              .variant = column[2],
                              .seconds = column[3],
                              .n = n,
                              .base_epochs = base->epochs,
                              .other_epochs = c->other->epochs,
                              .variant_epochs = v->epochs,
                              .confidence = c->confidence};
    fw_estimate slope = {0};
    const fw_status st = fw_matched_seconds(&m, &slope, &o->matched);
    if (st != FW_OK || isnan(o->seconds.mean))
        o->matched.n = 0;
    if (v == base && slope.n > 0) {
        c->slope = slope;
        c->has_slope = st == FW_OK;
    }
}

/* A results file need not say how long a run took. */
static bool times_known(const cell *v)
{
    int64_t i = 0;
    while (i < v->n && v->seconds[i] > 0)
        i++;
    return i == v->n;
}

static fw_status outcome_of(comparison *c, int at, outcome *o)
{
    const cell *const v = &c->cells[at];
    const fw_summary none = {.mean = NAN, .std = NAN, .se = NAN};
    *o = (outcome){.accuracy = none, .seconds = none};
    if (v->n == 0)
        return FW_OK;
    fw_status st = fw_summary_of(v->accuracy, v->n, &o->accuracy);
    if (st == FW_OK && times_known(v))
        st = fw_summary_of(v->seconds, v->n, &o->seconds);
    if (st != FW_OK)
        return st;
    double *x = calloc((size_t)v->n, 4 * sizeof *x);
    if (x == NULL)
        return FW_ENOMEM;
    if (at > 0 && c->cells[0].n > 0)
        st = differ(v, &c->cells[0], c->confidence, x, x + v->n, o);
    if (st == FW_OK && c->other != NULL)
        match(c, v, x, o);
    free(x);
    return st;
}

/* ---- as text ---- */

/* A number of points, or a dash where it needs more runs. */
static void print_points(int width, double v)
{
    if (isnan(v))
        printf(" %*s", width, "-");
    else
        printf(" %*.3f", width, 100 * v);
}

static void print_seconds(double v)
{
    if (isnan(v))
        printf(" %9s", "-");
    else
        printf(" %9.3g", v);
}

static void print_row(const comparison *c, const cell *v, const outcome *o)
{
    printf("%-28s %5" PRId64, v->name, v->n);
    print_points(10, o->accuracy.mean);
    print_points(8, o->accuracy.se);
    if (o->difference.n == 0) {
        printf(" %11s %8s %8s %8s %7s", "-", "-", "-", "-", "-");
    } else {
        print_points(11, o->difference.value);
        print_points(8, o->difference.se);
        print_points(8, o->difference.low);
        print_points(8, o->difference.high);
        if (isnan(o->difference.p))
            printf(" %7s", "-");
        else
            printf(" %7.2g", o->difference.p);
    }
    print_seconds(o->seconds.mean);
    print_seconds(o->seconds.se);
    if (c->other != NULL) {
        print_seconds(o->matched.n > 0 ? o->matched.value : NAN);
        print_seconds(o->matched.n > 0 ? o->matched.se : NAN);
    }
    puts("");
}

fw_status compare_print(comparison *c)
{
    bool unpaired = false;
    printf("%-28s %5s %10s %8s %11s %8s %8s %8s %7s %9s %9s", "variant", "runs", "accuracy %",
           "error", "difference", "error", "low", "high", "p", "s/run", "error");
    printf(c->other != NULL ? " %9s %9s\n" : "\n", "s matched", "error");
    for (int i = 0; i < c->n; i++) {
        outcome o;
        const fw_status st = outcome_of(c, i, &o);
        if (st != FW_OK)
            return st;
        print_row(c, &c->cells[i], &o);
        unpaired = unpaired || o.of_groups;
    }
    for (int i = 0; i < c->n; i++)
        if (c->cells[i].diverged > 0)
            printf("%s: %" PRId64 " of %" PRId64 " runs diverged, and are in no figure\n",
                   c->cells[i].name, c->cells[i].diverged, c->cells[i].n + c->cells[i].diverged);
    printf("difference in points from %s, on the same seeds%s; low to high holds it with %g %%\n",
           c->cells[0].name, unpaired ? " (of groups, where they share under two)" : "",
           100 * c->confidence);
    if (c->other != NULL && c->slope.n > 0)
        printf("slope    %.4g points per epoch (%.4g to %.4g), of %s between %g and %g epochs%s\n",
               100 * c->slope.value, 100 * c->slope.low, 100 * c->slope.high, c->cells[0].name,
               c->cells[0].epochs, c->other->epochs,
               c->has_slope ? "" : ": not surely above 0, so no seconds can be matched");
    return FW_OK;
}

/* ---- as JSON ---- */

static json_t *cell_json(const cell *v, const outcome *o)
{
    json_t *runs = json_array();
    for (int64_t i = 0; i < v->n; i++)
        (void)json_array_append_new(
            runs, json_pack("{s:I, s:f, s:o}", "seed", (json_int_t)v->seed[i], "accuracy",
                            v->accuracy[i], "seconds", known_or_null(v->seconds[i])));
    json_t *j = json_pack(
        "{s:s, s:s, s:f, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "name", v->name, "changes",
        v->changes == NULL ? "" : v->changes, "epochs", v->epochs, "runs", runs, "diverged",
        (json_int_t)v->diverged, "accuracy_mean", number_or_null(o->accuracy.mean), "accuracy_std",
        number_or_null(o->accuracy.std), "accuracy_se", number_or_null(o->accuracy.se), "seconds",
        number_or_null(o->seconds.mean), "seconds_std", number_or_null(o->seconds.std),
        "seconds_se", number_or_null(o->seconds.se));
    const bool base = o->difference.n == 0;
    if (j == NULL)
        return NULL;
    (void)json_object_set_new(j, "paired", base ? json_null() : json_boolean(o->paired));
    (void)json_object_set_new(j, "difference", base ? json_null() : json_real(o->difference.value));
    (void)json_object_set_new(j, "difference_se", number_or_null(base ? NAN : o->difference.se));
    (void)json_object_set_new(j, "low", number_or_null(base ? NAN : o->difference.low));
    (void)json_object_set_new(j, "high", number_or_null(base ? NAN : o->difference.high));
    (void)json_object_set_new(j, "p", number_or_null(base ? NAN : o->difference.p));
    const bool matched = o->matched.n > 0;
    (void)json_object_set_new(j, "matched_seconds",
                              number_or_null(matched ? o->matched.value : NAN));
    (void)json_object_set_new(j, "matched_se", number_or_null(matched ? o->matched.se : NAN));
    (void)json_object_set_new(j, "matched_low", number_or_null(matched ? o->matched.low : NAN));
    (void)json_object_set_new(j, "matched_high", number_or_null(matched ? o->matched.high : NAN));
    return j;
}

json_t *compare_json(comparison *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->n; i++) {
        outcome o;
        if (outcome_of(c, i, &o) != FW_OK ||
            json_array_append_new(list, cell_json(&c->cells[i], &o)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *slope_json(const comparison *c)
{
    if (c->other == NULL || c->slope.n == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:o, s:o, s:o, s:b}", "epochs", c->cells[0].epochs,
                     "other_epochs", c->other->epochs, "accuracy_per_epoch", c->slope.value, "se",
                     number_or_null(c->slope.se), "low", number_or_null(c->slope.low), "high",
                     number_or_null(c->slope.high), "above_zero", c->has_slope);
}

/* ---- as a plot ---- */

fw_status compare_plot(const comparison *c, const char *path, bool *drawn)
{
    comparison copy = *c;
    fw_interval *rows = calloc((size_t)c->n, sizeof *rows);
    fw_status st = rows == NULL ? FW_ENOMEM : FW_OK;
    int n = 0;
    for (int i = 1; i < c->n && st == FW_OK; i++) {
        outcome o;
        if ((st = outcome_of(&copy, i, &o)) != FW_OK)
            break;
        if (o.difference.n == 0)
            continue; /* it, or the base, has diverged */
        rows[n++] = (fw_interval){.name = c->cells[i].name,
                                  .value = 100 * o.difference.value,
                                  .low = 100 * o.difference.low,
                                  .high = 100 * o.difference.high};
    }
    *drawn = st == FW_OK && n > 0;
    if (*drawn)
        st = fw_plot_intervals(rows, n, c->title, "difference in accuracy, points", path);
    *drawn = *drawn && st == FW_OK;
    free(rows);
    return st;
}
