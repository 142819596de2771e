/* cmd_plot.c: pictures. For now the learning-rate schedule of a recipe. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int run_plot(const command *self, int argc, char **argv)
{
    const char *pos[2], *out = "lr.svg", *epochs = NULL;
    int64_t records = 0, test = 0;
    arg_list set = {0};
    bool json = false;
    int n;
    const arg_option options[] = {
        {"-o,--out", "FILE", ".svg or .png (default lr.svg)", ARG_TEXT, &out},
        {"--epochs", "N", "length of the run (default: the recipe's)", ARG_TEXT, &epochs},
        {"--records", "N",
         "training records, which make an epoch (default: of the recipe's data set, else 50000)",
         ARG_COUNT, &records},
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &set},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 2, &n);
    if (code >= 0)
        return code;
    if (n > 0 && strcmp(pos[0], "lr") != 0)
        return usage_error(self, "\"%s\" is none of the kinds: lr", pos[0]);
    if (n != 2)
        return usage_error(self, "needs a kind (lr) and a recipe");
    fw_recipe *r = NULL;
    fw_schedule lr;
    int64_t steps = 0;
    fw_status st = recipe_open_with(&r, pos[1], epochs, NULL, &set);
    if (st == FW_OK)
        st = fw_recipe_check(r, NULL);
    if (st == FW_OK && records == 0 && fw_recipe_records(r, &records, &test) != FW_OK)
        records = 50000;
    if (st == FW_OK)
        st = fw_recipe_schedule(r, records, &lr, &steps);
    if (st == FW_OK)
        st = fw_plot_lr(&lr, steps, out);
    fw_recipe_free(r);
    if (st != FW_OK)
        return fail(self->name, st, json);
    if (json)
        return print_json(
            json_pack("{s:o, s:I}", "plot", text_json(out), "steps", (json_int_t)steps));
    printf("%s: learning rate over %" PRId64 " steps\n", out, steps);
    return finish_output();
}

const command command_plot = {"plot", "plot lr RECIPE|FILE [-o FILE] [options]",
                              "the learning-rate schedule as SVG or PNG", run_plot};
