/* cmd_eval.c: a trained model on labelled data. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *confusion_json(const int64_t *m, int64_t k)
{
    json_t *rows = json_array();
    for (int64_t i = 0; i < k; i++) {
        json_t *row = json_array();
        for (int64_t j = 0; j < k; j++)
            (void)json_array_append_new(row, json_integer(m[i * k + j]));
        (void)json_array_append_new(rows, row);
    }
    return rows;
}

static void print_confusion(const fw_model_info *info, const int64_t *m)
{
    const int64_t k = info->n_classes;
    printf("confusion: rows true, columns predicted\n%14s", "");
    for (int64_t j = 0; j < k; j++)
        printf(" %6" PRId64, j);
    putchar('\n');
    for (int64_t i = 0; i < k; i++) {
        char name[12];
        snprintf(name, sizeof name, "%s", info->class_names == NULL ? "" : info->class_names[i]);
        printf("%2" PRId64 " ", i);
        put_text(name, 11);
        for (int64_t j = 0; j < k; j++)
            printf(" %6" PRId64, m[i * k + j]);
        putchar('\n');
    }
}

static int show(const fw_model_info *info, const fw_metrics *m, const int64_t *confusion,
                const char *model, const char *tta, bool want_confusion, bool json)
{
    if (json)
        return print_json(json_pack(
            "{s:f, s:f, s:o, s:I, s:I, s:f, s:s, s:o, s:o}", "accuracy", m->accuracy,
            "accuracy_plain", m->accuracy_plain, "loss", number_or_null(m->loss), "records",
            (json_int_t)m->records, "forwards", (json_int_t)m->forwards, "images_per_second",
            m->seconds > 0 ? (double)m->records / m->seconds : 0, "tta", tta, "model",
            text_json(model), "confusion", confusion_json(confusion, info->n_classes)));
    printf("accuracy %.2f %%, loss %.4f, %" PRId64 " records, %.0f images/s\n", 100 * m->accuracy,
           m->loss, m->records, m->seconds > 0 ? (double)m->records / m->seconds : 0);
    if (strcmp(tta, "none") != 0)
        printf("accuracy %.2f %% without the other views, %" PRId64 " forward passes with them\n",
               100 * m->accuracy_plain, m->forwards);
    if (want_confusion)
        print_confusion(info, confusion);
    return finish_output();
}

static bool read_tta(const char *text, fw_tta *out)
{
    static const char *const names[] = {[FW_TTA_NONE] = "none",
                                        [FW_TTA_MIRROR] = "mirror",
                                        [FW_TTA_AIRBENCH6] = "airbench6",
                                        [FW_TTA_SELECTIVE] = "selective"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (fw_tta)i;
            return true;
        }
    return false;
}

static int run_eval(const command *self, int argc, char **argv)
{
    const char *pos[1], *data = NULL, *recipe_name = NULL, *tta_name = "none", *device = NULL;
    fw_tta tta = FW_TTA_NONE;
    int64_t batch = 0, threads = 0;
    bool json = false, want_confusion = false, explain = false;
    int n;
    const arg_option options[] = {
        {"--data", "PATH",
         "records (X for X-test.tfrec, or their folder), or an importable data set; its test part",
         ARG_TEXT, &data},
        {"--recipe", "NAME", "take the test data that this recipe brings or splits off", ARG_TEXT,
         &recipe_name},
        {"--batch", "N", "images at a time (default 100)", ARG_COUNT, &batch},
        {"--device", "NAME", DEVICES, ARG_TEXT, &device},
        {"--threads", "N", "default: as many as this process may use", ARG_THREADS, &threads},
        {"--tta", "VIEWS",
         "average over views: none, mirror, airbench6 or selective (default none)", ARG_TEXT,
         &tta_name},
        {"--explain", NULL, "say what was chosen: kernels, layout", ARG_FLAG, &explain},
        {"--confusion", NULL, "print the confusion matrix", ARG_FLAG, &want_confusion},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 1, &n);
    if (code >= 0)
        return code;
    if (n != 1)
        return usage_error(self, "needs a model file");
    if (data == NULL && recipe_name == NULL)
        return usage_error(self, "needs --data, or --recipe for bundled data");
    if (!read_tta(tta_name, &tta))
        return usage_error(self, "--tta: \"%s\" is none of none, mirror, airbench6, selective",
                           tta_name);
    if (batch == 0)
        batch = 100;
    fw_model *model = NULL;
    fw_recipe *recipe = NULL;
    fw_recipe_data from_recipe = {0};
    model_data from_file = {0};
    fw_model_info info = {0};
    fw_metrics m;
    int64_t *confusion = NULL;
    char buf[MODEL_PATH_CAP];
    const char *const path = model_path(pos[0], buf, from_file.why);
    if (path == NULL)
        return fail_with(self->name, FW_ENOTFOUND, from_file.why, json);
    fw_status st = fw_model_open(&model, path,
                                 &(fw_model_opt){.batch = batch,
                                                 .threads = threads == 0 ? FW_NONE : (int)threads,
                                                 .device = device,
                                                 .tta = tta});
    if (st == FW_OK && explain) {
        char *text = NULL;
        st = fw_model_explain(model, &text);
        if (st == FW_OK)
            print_explanation(NULL, text);
        fw_text_free(text);
    }
    if (st == FW_OK && recipe_name != NULL) {
        st = fw_recipe_open(&recipe, recipe_name);
        if (st == FW_OK)
            st = fw_recipe_test_open(recipe, data, fw_model_transforms(model), batch, &from_recipe);
    } else if (st == FW_OK) {
        st = model_data_open(&from_file, model, data, batch, (int)threads);
    }
    if (st == FW_OK) {
        fw_model_info_get(model, &info);
        const size_t k = (size_t)info.n_classes;
        if ((want_confusion || json) && (confusion = calloc(k, k * sizeof *confusion)) == NULL) {
            snprintf(from_file.why, WHY_CAP,
                     "out of memory for the confusion matrix of %zu classes", k);
            st = FW_ENOMEM;
        }
    }
    if (st == FW_OK)
        st = fw_model_evaluate(model, recipe != NULL ? from_recipe.test : from_file.ds, &m,
                               confusion);
    const int result =
        st == FW_OK ? show(&info, &m, confusion, path, tta_name, want_confusion, json)
                    : fail_with(self->name, st,
                                from_file.why[0] != 0 ? from_file.why : fw_last_error(), json);
    free(confusion);
    fw_recipe_data_clear(&from_recipe);
    model_data_clear(&from_file);
    fw_recipe_free(recipe);
    fw_model_close(model);
    return result;
}

const command command_eval = {"eval", "eval MODEL --data PATH [options]",
                              "accuracy, loss and confusion matrix of a model", run_eval};
