/* cmd_predict.c: classes and probabilities for images in files: lines, CSV or JSON. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct predict_args {
    bool json, csv;
    int64_t top;
} predict_args;

static const char *class_name(const fw_model_info *info, int64_t i, char buf[24])
{
    if (info->class_names != NULL)
        return info->class_names[i];
    snprintf(buf, 24, "%" PRId64, i);
    return buf;
}

/* The most likely class that was not taken yet. */
static int64_t next_best(const float *p, int64_t k, const bool *taken)
{
    int64_t best = -1;
    for (int64_t i = 0; i < k; i++)
        if (!taken[i] && (best < 0 || p[i] > p[best]))
            best = i;
    return best;
}

/* Without control characters, as put_text. */
static void csv_text(const char *s)
{
    if (strpbrk(s, ",\"") == NULL) {
        put_text(s, 0);
        return;
    }
    char *const copy = strdup(s);
    if (copy != NULL)
        make_printable(copy);
    putchar('"');
    for (const char *at = copy == NULL ? "?" : copy; *at != 0; at++) {
        if (*at == '"')
            putchar('"');
        putchar(*at);
    }
    putchar('"');
    free(copy);
}

static void show_image(const predict_args *a, const fw_model_info *info, const char *file,
                       int64_t i, const float *p, bool *taken, json_t *list)
{
    char buf[24];
    const int64_t k = info->n_classes;
    const int64_t best = next_best(p, k, memset(taken, 0, (size_t)k * sizeof *taken));
    if (a->json) {
        json_t *probs = json_array();
        for (int64_t j = 0; j < k; j++)
            (void)json_array_append_new(probs, number_or_null((double)p[j]));
        (void)json_array_append_new(
            list,
            json_pack("{s:o, s:I, s:I, s:s, s:o, s:o}", "file", text_json(file), "index",
                      (json_int_t)i, "class", (json_int_t)best, "name", class_name(info, best, buf),
                      "probability", number_or_null((double)p[best]), "probabilities", probs));
        return;
    }
    if (a->csv) {
        csv_text(file);
        printf(",%" PRId64 ",", i);
        csv_text(class_name(info, best, buf));
        for (int64_t j = 0; j < k; j++)
            printf(",%.6g", (double)p[j]);
        putchar('\n');
        return;
    }
    printf("%s[%" PRId64 "]", file, i);
    for (int64_t t = 0; t < a->top; t++) {
        const int64_t j = next_best(p, k, taken);
        taken[j] = true;
        printf("%s ", t == 0 ? "" : ",");
        put_text(class_name(info, j, buf), 0);
        printf(" %.1f %%", 100 * (double)p[j]);
    }
    putchar('\n');
}

/* Image i of im is number first + i of the file. why gets the reason where the library has none. */
static fw_status predict_images(const fw_model *m, const predict_args *a, const fw_model_info *info,
                                const char *file, const fw_images *im, int64_t first, json_t *list,
                                char why[WHY_CAP])
{
    fw_status st;
    void *ws = NULL;
    const size_t ws_bytes = (fw_model_workspace(m) + 63) / 64 * 64;
    float *probs = malloc((size_t)(im->n * info->n_classes) * sizeof *probs);
    bool *taken = malloc((size_t)info->n_classes * sizeof *taken);
    if (probs == NULL || taken == NULL || (ws = aligned_alloc(64, ws_bytes)) == NULL) {
        snprintf(why, WHY_CAP, "%.500s: out of memory for %" PRId64 " images", file, im->n);
        st = FW_ENOMEM;
    } else if (!images_fit(im, info, file, why)) {
        st = FW_ESHAPE;
    } else {
        st = fw_model_predict(m, im->pixels, im->dtype, im->n, ws, probs);
    }
    for (int64_t i = 0; i < im->n && st == FW_OK; i++)
        show_image(a, info, file, first + i, probs + i * info->n_classes, taken, list);
    free(ws);
    free(taken);
    free(probs);
    return st;
}

static fw_status predict_file(const fw_model *m, const predict_args *a, const char *file,
                              json_t *list, char why[WHY_CAP])
{
    fw_model_info info;
    fw_images part[2];
    int64_t first = 0;
    fw_model_info_get(m, &info);
    fw_status st = images_open(part, &info, file);
    for (int i = 0; i < 2 && st == FW_OK; first += part[i].n, i++)
        if (part[i].n > 0)
            st = predict_images(m, a, &info, file, &part[i], first, list, why);
    fw_images_clear(&part[0]);
    fw_images_clear(&part[1]);
    return st;
}

/* pos: room for argc arguments. */
static int predict_files(const command *self, int argc, char **argv, const char **pos)
{
    char path[MODEL_PATH_CAP];
    predict_args a = {.top = 0};
    char why[WHY_CAP] = "";
    const char *device = NULL;
    int64_t threads = 0;
    int n;
    const arg_option options[] = {
        {"--top", "N", "classes per image, in lines for people (default 1)", ARG_COUNT, &a.top},
        {"--csv", NULL, "file,index,class and every probability, with a header", ARG_FLAG, &a.csv},
        {"--device", "NAME", DEVICES, ARG_TEXT, &device},
        {"--threads", "N", "default: as many as this process may use", ARG_THREADS, &threads},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &a.json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, argc, &n);
    if (code >= 0)
        return code;
    if (n < 2)
        return usage_error(self, "needs a model and at least one file of images");
    if (a.csv && a.json)
        return usage_error(self, "--csv does not go with --json");
    if (a.top > 0 && (a.csv || a.json))
        return usage_error(self, "--top is of lines for people: --csv and --json have every class");
    if (a.top == 0)
        a.top = 1;
    const char *const model = model_path(pos[0], path, why);
    if (model == NULL)
        return fail_with(self->name, FW_ENOTFOUND, why, a.json);
    fw_model *m = NULL;
    json_t *list = json_array();
    fw_status st = fw_model_open(&m, model,
                                 &(fw_model_opt){.batch = 64,
                                                 .threads = threads == 0 ? FW_NONE : (int)threads,
                                                 .device = device});
    if (st == FW_OK) {
        fw_model_info info;
        char buf[24];
        fw_model_info_get(m, &info);
        if (a.top > info.n_classes) {
            snprintf(why, sizeof why, "--top %" PRId64 ": the model has %" PRId64 " classes", a.top,
                     info.n_classes);
            st = FW_EARG;
        } else if (a.csv) {
            fputs("file,index,class", stdout);
            for (int64_t i = 0; i < info.n_classes; i++) {
                putchar(',');
                csv_text(class_name(&info, i, buf));
            }
            putchar('\n');
        }
    }
    for (int i = 1; i < n && st == FW_OK; i++)
        st = predict_file(m, &a, pos[i], list, why);
    fw_model_close(m);
    if (st == FW_OK && a.json)
        return print_json(json_pack("{s:o}", "predictions", list));
    json_decref(list);
    if (st != FW_OK)
        return fail_with(self->name, st, why[0] != 0 ? why : fw_last_error(), a.json);
    return finish_output();
}

static int run_predict(const command *self, int argc, char **argv)
{
    const char **const pos =
        calloc((size_t)argc + 1, sizeof *pos); /* a pattern of the shell may be long */
    if (pos == NULL)
        return fail_with(self->name, FW_ENOMEM, "out of memory", false);
    const int code = predict_files(self, argc, argv, pos);
    free(pos);
    return code;
}

const command command_predict = {
    "predict", "predict MODEL FILE... [options]",
    "classes and probabilities of the images in .npy, .npz, .csv, IDX, CIFAR or record files",
    run_predict};
