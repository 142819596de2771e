/* cmd_recipes.c: the built-in recipes, and one recipe's options. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int list_all(bool json)
{
    json_t *list = json_array();
    for (int i = 0; i < fw_recipe_count(); i++) {
        const char *name = fw_recipe_name_at(i);
        if (json)
            (void)json_array_append_new(
                list, json_pack("{s:s, s:s}", "name", name, "about", fw_recipe_about(name)));
        else
            printf("%-18s %s\n", name, fw_recipe_about(name));
    }
    if (json)
        return print_json(json_pack("{s:o}", "recipes", list));
    json_decref(list);
    return finish_output();
}

/* A run on the data set that the recipe names; where it names none *run is zeroed. */
static fw_status whole_run(const fw_recipe *r, fw_run_cost *run)
{
    int64_t train, test;
    *run = (fw_run_cost){0};
    const fw_status st = fw_recipe_records(r, &train, &test);
    return st == FW_OK ? fw_recipe_run_cost(r, train, test, run) : st == FW_ENOTFOUND ? FW_OK : st;
}

static double total_flops(const fw_run_cost *run)
{
    return run->train_flops + run->update_flops + run->proxy_flops + run->eval_flops;
}

static json_t *cost_json(const char *name, const fw_model_cost *c, const fw_run_cost *run)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "name",
                     name, "params", (json_int_t)c->params, "frozen", (json_int_t)c->frozen,
                     "statistics", (json_int_t)c->statistics, "macs", (json_int_t)c->macs,
                     "train_flops", (json_int_t)c->train_flops, "steps", (json_int_t)run->steps,
                     "images", (json_int_t)run->images, "images_seen", (json_int_t)run->images_seen,
                     "run_train_flops", run->train_flops, "run_update_flops", run->update_flops,
                     "run_proxy_flops", run->proxy_flops, "run_eval_flops", run->eval_flops);
}

static int list_costs(const command *self, bool json)
{
    json_t *list = json_array();
    fw_status st = FW_OK;
    if (!json)
        printf("%-18s %10s %7s %12s %10s %6s %8s %8s %8s %8s %8s\n", "", "trained", "frozen",
               "MAC/image", "GFLOP/image", "steps", "images/k", "train", "updates", "proxy",
               "eval");
    for (int i = 0; i < fw_recipe_count() && st == FW_OK; i++) {
        const char *const name = fw_recipe_name_at(i);
        fw_recipe *r = NULL;
        fw_model_cost c = {0};
        fw_run_cost run;
        if ((st = fw_recipe_open(&r, name)) == FW_OK)
            st = fw_recipe_check(r, &c);
        if (st == FW_OK)
            st = whole_run(r, &run);
        if (st == FW_OK && json)
            (void)json_array_append_new(list, cost_json(name, &c, &run));
        else if (st == FW_OK)
            printf("%-18s %10" PRId64 " %7" PRId64 " %12" PRId64 " %11.5f %6" PRId64
                   " %8.1f %8.4g %8.3g %8.3g %8.3g\n",
                   name, c.params, c.frozen, c.macs, (double)c.train_flops * 1e-9, run.steps,
                   (double)run.images * 1e-3, run.train_flops * 1e-12, run.update_flops * 1e-12,
                   run.proxy_flops * 1e-12, run.eval_flops * 1e-12);
        fw_recipe_free(r);
    }
    if (st == FW_OK && json)
        return print_json(json_pack("{s:o}", "recipes", list));
    json_decref(list);
    return st == FW_OK ? finish_output() : fail(self->name, st, json);
}

static void print_cost(const fw_model_cost *c, const fw_run_cost *run)
{
    printf("\n; %" PRId64 " parameters, %" PRId64 " frozen, %" PRId64
           " running statistics\n; %" PRId64
           " multiply-accumulates forward, %.5g GFLOP of training per image\n",
           c->params, c->frozen, c->statistics, c->macs, (double)c->train_flops * 1e-9);
    if (run->steps == 0)
        return;
    printf("; a run: %" PRId64 " steps, %" PRId64 " images, %.4g TFLOP: %.4g training", run->steps,
           run->images, total_flops(run) * 1e-12, run->train_flops * 1e-12);
    if (run->update_flops > 0)
        printf(", %.3g updates", run->update_flops * 1e-12);
    if (run->proxy_flops > 0)
        printf(", %.3g proxy", run->proxy_flops * 1e-12);
    printf(", %.3g evaluation\n", run->eval_flops * 1e-12);
}

static int show_one(const command *self, const char *name, const arg_list *set, bool json)
{
    fw_recipe *r = NULL;
    char *text = NULL;
    fw_model_cost cost = {0};
    fw_run_cost run = {0};
    fw_status st = fw_recipe_open(&r, name);
    if (st == FW_OK)
        st = recipe_set_all(r, set);
    if (st == FW_OK)
        st = fw_recipe_print(r, &text);
    if (st == FW_OK)
        st = fw_recipe_check(r, &cost);
    if (st == FW_OK)
        st = whole_run(r, &run);
    int code;
    if (st != FW_OK) {
        code = fail(self->name, st, json);
    } else if (json) {
        json_t *const o = cost_json(fw_recipe_name(r), &cost, &run);
        (void)json_object_set_new(o, "text", json_string(text));
        code = print_json(o);
    } else {
        fputs(text, stdout);
        print_cost(&cost, &run);
        code = finish_output();
    }
    fw_text_free(text);
    fw_recipe_free(r);
    return code;
}

static int run_recipes(const command *self, int argc, char **argv)
{
    const char *pos[1];
    arg_list set = {0};
    bool json = false, costs = false;
    int n;
    const arg_option options[] = {
        {"--costs", NULL, "what each of them computes, in a table (TFLOP of a whole run)", ARG_FLAG,
         &costs},
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &set},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 1, &n);
    if (code >= 0)
        return code;
    if (costs && n > 0)
        return usage_error(self, "--costs is a table of all recipes: leave %s out", pos[0]);
    if (n == 0 && set.n > 0)
        return usage_error(self, "--set changes a recipe: name one");
    if (costs)
        return list_costs(self, json);
    return n == 0 ? list_all(json) : show_one(self, pos[0], &set, json);
}

const command command_recipes = {"recipes", "recipes [NAME|FILE [--set KEY=VALUE] | --costs]",
                                 "the recipes; or one, with every key and its value", run_recipes};
