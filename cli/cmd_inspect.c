/* cmd_inspect.c: what is in a file that this library writes. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_CHECKED "checksums of the data were not checked (--verify)"

static void add_info(json_t *o, const fw_record_info *in)
{
    (void)json_object_set_new(
        o, "shape", json_pack("[I,I,I]", (json_int_t)in->h, (json_int_t)in->w, (json_int_t)in->c));
    (void)json_object_set_new(o, "type", json_string(in->dtype == FW_U8 ? "uint8" : "float32"));
    (void)json_object_set_new(o, "labelled", json_boolean(in->labelled));
    (void)json_object_set_new(o, "classes", json_integer((json_int_t)in->n_classes));
    if (in->class_names == NULL)
        return;
    json_t *const names = json_array();
    for (int64_t i = 0; i < in->n_classes; i++)
        (void)json_array_append_new(names, text_json(in->class_names[i]));
    (void)json_object_set_new(o, "class_names", names);
}

/* What a recipe has to know of them: network.input, the classifier's classes. */
static void print_info(const fw_record_info *in)
{
    enum { MOST_NAMES = 10 };
    printf("images       %" PRId64 " x %" PRId64 " x %" PRId64 ", %s\n", in->h, in->w, in->c,
           in->dtype == FW_U8 ? "uint8" : "float32");
    if (!in->labelled) {
        puts("labels       none");
        return;
    }
    printf("classes      %" PRId64, in->n_classes);
    for (int64_t i = 0; in->class_names != NULL && i < in->n_classes && i < MOST_NAMES; i++) {
        fputs(i == 0 ? ": " : ", ", stdout);
        put_text(in->class_names[i], 0);
    }
    puts(in->class_names != NULL && in->n_classes > MOST_NAMES ? ", ..." : "");
}

static int print_tensors(char *text, bool verify, bool json);

/* A file that is no TFRecord file may be a model of another name than ours. */
static int inspect_other(const command *self, const char *path, bool verify, bool json)
{
    char *const why = strdup(fw_last_error());
    char *text = NULL;
    const int code = fw_safetensors_inspect(path, verify, &text) == FW_OK
                         ? print_tensors(text, verify, json)
                         : fail_with(self->name, FW_EFORMAT, why != NULL ? why : path, json);
    free(why);
    return code;
}

static int inspect_records(const command *self, const char *path, bool verify, bool json)
{
    fw_record_summary s = {0};
    const fw_status st = fw_record_inspect(path, verify, &s);
    if (st == FW_EFORMAT)
        return inspect_other(self, path, verify, json);
    if (st != FW_OK)
        return fail(self->name, st, json);
    static const char *const kinds[] = {"none", "gzip", "zlib"};
    int code;
    if (json) {
        json_t *const o = json_pack(
            "{s:s, s:I, s:I, s:I, s:s, s:o, s:b, s:b}", "kind", "tfrecord", "files",
            (json_int_t)s.n_files, "records", (json_int_t)s.n_records, "bytes",
            (json_int_t)s.n_bytes, "compression", kinds[s.compression], "features",
            text_json(s.features == NULL ? "" : s.features), "valid", 1, "verified", verify);
        if (o != NULL && s.info != NULL)
            add_info(o, s.info);
        code = print_json(o);
    } else {
        printf("records      %" PRId64 "\nfiles        %" PRId64 "\nbytes        %" PRId64
               "\ncompression  %s\nfeatures     %s\n%s\n",
               s.n_records, s.n_files, s.n_bytes, kinds[s.compression],
               s.features == NULL ? "" : s.features,
               verify ? "every length and every checksum is right" : NOT_CHECKED);
        if (s.info != NULL)
            print_info(s.info);
        code = finish_output();
    }
    fw_record_summary_clear(&s);
    return code;
}

/* "step 22, epoch 1, loss 0.3": of an event of the log, whose kind its key says. */
static void print_event(const char *key, json_t *event)
{
    const char *name, *comma = ": ";
    json_t *item;
    put_text(key, 0);
    json_object_foreach(event, name, item)
    {
        char *const text = strcmp(name, "event") == 0
                               ? NULL
                               : json_dumps(item, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        if (text == NULL)
            continue;
        fputs(comma, stdout);
        put_text(name, 0);
        putchar(' ');
        put_text(text, 0);
        free(text);
        comma = ", ";
    }
    putchar('\n');
}

/* Texts as they are, those of several lines below their key; other values as JSON. */
static void print_value(const char *key, const json_t *value)
{
    const char *text = json_string_value(value);
    char *dump = text == NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
    if (text == NULL)
        text = dump == NULL ? "?" : dump;
    put_text(key, 0);
    printf(":%s", strchr(text, '\n') != NULL ? "\n" : " ");
    do {
        const size_t n = strcspn(text, "\n");
        char *const line = strndup(text, n);
        put_text(line == NULL ? "?" : line, 0);
        putchar('\n');
        free(line);
        text += n + (text[n] != 0);
    } while (*text != 0);
    free(dump);
}

/* text: fw_safetensors_inspect's, freed here. */
static int print_tensors(char *text, bool verify, bool json)
{
    json_t *root = json_loads(text, 0, NULL);
    fw_text_free(text);
    if (json) {
        (void)json_object_set_new(root, "kind", json_string("safetensors"));
        (void)json_object_set_new(root, "valid", json_true());
        (void)json_object_set_new(root, "verified", json_boolean(verify));
        return print_json(root);
    }
    const char *key;
    json_t *value;
    size_t i;
    json_array_foreach(json_object_get(root, "tensors"), i, value)
    {
        char shape[96] = "";
        const json_t *dims = json_object_get(value, "shape");
        for (size_t k = 0; k < json_array_size(dims); k++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%" JSON_INTEGER_FORMAT,
                     k == 0 ? "" : " x ", json_integer_value(json_array_get(dims, k)));
        put_text(json_string_value(json_object_get(value, "name")), 28);
        printf(" %-5s %s\n", json_string_value(json_object_get(value, "type")), shape);
    }
    printf("%" JSON_INTEGER_FORMAT " elements\n",
           json_integer_value(json_object_get(root, "elements")));
    json_object_foreach(json_object_get(root, "metadata"), key, value)
    {
        print_value(key, value);
    }
    if (!verify)
        puts(NOT_CHECKED);
    json_decref(root);
    return finish_output();
}

static int inspect_tensors(const command *self, const char *path, bool verify, bool json)
{
    char *text = NULL;
    const fw_status st = fw_safetensors_inspect(path, verify, &text);
    return st != FW_OK ? fail(self->name, st, json) : print_tensors(text, verify, json);
}

/* What came of it first, its long texts last. */
static void print_run(const json_t *root)
{
    json_t *const config = json_object_get(root, "config");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        if (json_is_object(value) && value != config)
            print_event(key, value);
        else if (value != config)
            print_value(key, value);
    }
    for (int texts = 0; texts < 2; texts++)
        json_object_foreach(config, key, value)
        {
            const char *const text = json_string_value(value);
            if ((text != NULL && strchr(text, '\n') != NULL) == (texts == 1))
                print_value(key, value);
        }
}

static int inspect_folder(const command *self, const char *dir, bool verify, bool json)
{
    char *text = NULL, why[WHY_CAP];
    if (is_of_seeds(dir, why))
        return fail_with(self->name, FW_ENOTFOUND, why, json);
    fw_status st = fw_run_inspect(dir, &text); /* reads the newest checkpoint, verified or not */
    if (st != FW_OK)
        return fail(self->name, st, json);
    json_t *root = json_loads(text, 0, NULL);
    fw_text_free(text);
    const char *model = json_string_value(json_object_get(root, "model"));
    const char *const damaged = json_string_value(json_object_get(root, "checkpoint_damaged"));
    if (verify && damaged != NULL) {
        const int code = fail_with(self->name, FW_EFORMAT, damaged, json);
        json_decref(root);
        return code;
    }
    if (verify && model != NULL) {
        st = fw_safetensors_inspect(model, true, &text);
        if (st != FW_OK) {
            json_decref(root);
            return fail(self->name, st, json);
        }
        fw_text_free(text);
    }
    if (json)
        return print_json(root);
    print_run(root);
    json_decref(root);
    return finish_output();
}

static int run_inspect(const command *self, int argc, char **argv)
{
    const char *pos[1];
    bool verify = false, json = false;
    int n;
    const arg_option options[] = {
        {"--verify", NULL, "read everything and check every checksum", ARG_FLAG, &verify},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 1, &n);
    if (code >= 0)
        return code;
    if (n != 1)
        return usage_error(self, "needs a file or a run's folder");
    if (is_folder(pos[0]))
        return inspect_folder(self, pos[0], verify, json);
    if (ends_with(pos[0], ".safetensors"))
        return inspect_tensors(self, pos[0], verify, json);
    if (is_file(pos[0]))
        return inspect_records(self, pos[0], verify, json);
    char *path = NULL;
    const fw_status st = records_find(pos[0], false, &path);
    const int result =
        st != FW_OK ? fail(self->name, st, json) : inspect_records(self, path, verify, json);
    free(path);
    return result;
}

const command command_inspect = {
    "inspect", "inspect FILE|FOLDER [--verify]",
    "what is in a TFRecord file, a model, a checkpoint or a run's folder", run_inspect};
