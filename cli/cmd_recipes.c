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

static int show_one(const command *self, const char *name, const arg_list *set, bool json)
{
    fw_recipe *r = NULL;
    char *text = NULL;
    fw_model_cost cost = {0};
    fw_status st = fw_recipe_open(&r, name);
    if (st == FW_OK)
        st = recipe_set_all(r, set);
    if (st == FW_OK)
        st = fw_recipe_print(r, &text);
    if (st == FW_OK)
        st = fw_recipe_check(r, &cost);
    int code;
    if (st != FW_OK) {
        code = fail(self->name, st, json);
    } else if (json) {
        code = print_json(
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", fw_recipe_name(r), "text",
                      text, "params", (json_int_t)cost.params, "frozen", (json_int_t)cost.frozen,
                      "statistics", (json_int_t)cost.statistics, "macs", (json_int_t)cost.macs,
                      "train_flops", (json_int_t)cost.train_flops));
    } else {
        fputs(text, stdout);
        printf("\n; %" PRId64 " parameters, %" PRId64 " frozen, %" PRId64
               " running statistics\n; %" PRId64
               " multiply-accumulates forward, %.4g GFLOP of training per image\n",
               cost.params, cost.frozen, cost.statistics, cost.macs,
               (double)cost.train_flops * 1e-9);
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
    bool json = false;
    int n;
    const arg_option options[] = {
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &set},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 1, &n);
    if (code >= 0)
        return code;
    return n == 0 ? list_all(json) : show_one(self, pos[0], &set, json);
}

const command command_recipes = {"recipes", "recipes [NAME|FILE] [--set KEY=VALUE]",
                                 "the recipes; or one, with every key and its value", run_recipes};
