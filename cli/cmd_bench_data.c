/* cmd_bench_data.c: the input pipeline alone, of one recipe or several variants: `fenwicks bench data`. */
#include "cmd_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct data_row {
    char name[160];
    fw_bench_data_result r;
    double ms_per_batch;
} data_row;

enum { MOST_ROWS = MOST_RECIPES + 64 };

/* A recipe with the options of the command and `changes` (NULL: none). */
static fw_status data_row_measure(const bench_args *a, const char *recipe, const char *changes,
                                  data_row *row)
{
    fw_recipe *r = NULL;
    fw_status st = recipe_open_with(&r, recipe, NULL, a->batch, &a->set);
    if (st == FW_OK && changes != NULL)
        st = fw_recipe_change(r, changes);
    if (st == FW_OK)
        st = fw_bench_data(
            r, &(fw_run_opt){.data = a->data, .threads = (int)a->threads, .stop = &stop_asked},
            a->runs, &row->r);
    if (st == FW_OK) {
        snprintf(row->name, sizeof row->name, "%s%s%s", fw_recipe_name(r),
                 changes == NULL ? "" : " ", changes == NULL ? "" : changes);
        row->ms_per_batch =
            1e3 * strtod(fw_recipe_get(r, "train.batch"), NULL) / row->r.images_per_second_median;
    }
    fw_recipe_free(r);
    return st;
}

static json_t *data_json(const data_row *row)
{
    const fw_bench_data_result *const d = &row->r;
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:i, s:I, s:I}", "name", row->name,
                     "images_per_second", d->images_per_second_median, "images_per_second_min",
                     d->images_per_second_min, "images_per_second_max", d->images_per_second_max,
                     "ms_per_batch", row->ms_per_batch, "gbytes_per_second", d->gbytes_per_second,
                     "threads", d->threads, "images", (json_int_t)d->images, "runs",
                     (json_int_t)d->runs);
}

static int print_data(const bench_args *a, const data_row *rows, int n)
{
    if (a->json) {
        json_t *o = data_json(&rows[0]);
        json_t *list = n > 1 ? json_array() : NULL;
        for (int i = 0; i < n && list != NULL; i++)
            (void)json_array_append_new(list, data_json(&rows[i]));
        if (list != NULL)
            (void)json_object_set_new(o, "variants", list);
        return print_json(o);
    }
    const fw_bench_data_result *const d = &rows[0].r;
    if (n == 1) {
        printf("input pipeline of %s on %d thread%s: %.0f images/s (median of %" PRId64
               " passes over %" PRId64
               " images; %.0f to %.0f), %.2f ms per batch, %.2f GB/s of records\n",
               rows[0].name, d->threads, d->threads == 1 ? "" : "s", d->images_per_second_median,
               d->runs, d->images, d->images_per_second_min, d->images_per_second_max,
               rows[0].ms_per_batch, d->gbytes_per_second);
        return finish_output();
    }
    printf("input pipelines on %d thread%s, medians of %" PRId64 " passes\n\n%-40s %10s %10s %10s "
           "%12s %8s\n",
           d->threads, d->threads == 1 ? "" : "s", d->runs, "recipe", "images/s", "least", "most",
           "ms per batch", "GB/s");
    for (int i = 0; i < n; i++)
        printf("%-40s %10.0f %10.0f %10.0f %12.3f %8.2f\n", rows[i].name,
               rows[i].r.images_per_second_median, rows[i].r.images_per_second_min,
               rows[i].r.images_per_second_max, rows[i].ms_per_batch, rows[i].r.gbytes_per_second);
    return finish_output();
}

/* Each recipe, then the first one with each change. */
int bench_data(const command *self, const char *const *recipes, int n_recipes, const bench_args *a)
{
    data_row *rows = calloc(MOST_ROWS, sizeof *rows);
    fw_status st = FW_OK;
    int n = 0, code;
    if (rows == NULL)
        return fail_with(self->name, FW_ENOMEM, "no memory", a->json);
    if (a->data == NULL)
        catch_interrupts(); /* there is a temporary file to take away */
    for (int i = 0; i < n_recipes && st == FW_OK; i++)
        st = data_row_measure(a, recipes[i], NULL, &rows[n++]);
    for (int i = 0; i < a->with.n && st == FW_OK; i++)
        st = data_row_measure(a, recipes[0], a->with.items[i], &rows[n++]);
    code = st != FW_OK ? fail(self->name, st, a->json) : print_data(a, rows, n);
    free(rows);
    return code;
}
