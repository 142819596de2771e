/* run_inspect.c: a run's folder, summed up for `fenwicks inspect`. */
#include <fenwicks/model.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "fail.h"
#include "file.h"
#include "json_read.h"
#include "run_folder.h"
#include "utf8.h"

enum { MAX_LOG = 1 << 28 };

static fw_status read_in(const char *dir, const char *name, size_t max_bytes, fwi_buf *buf)
{
    char *path = fwi_path_join(dir, name);
    const fw_status st = path == NULL ? FW_ENOMEM : fwi_read_own_file(path, max_bytes, buf);
    fwi_free(path);
    return st;
}

/* The last line of some events in log.jsonl; that it diverged only where no later start was made. */
static fw_status add_log(const char *dir, json_t *root)
{
    static const char *const events[][2] = {
        {"epoch", "last_epoch"}, {"eval", "last_eval"}, {"diverged", "diverged"}};
    fwi_buf log = {0};
    fw_status st = read_in(dir, "log.jsonl", MAX_LOG, &log);
    if (st == FW_ENOTFOUND)
        return FW_OK; /* a run that never began to train */
    int64_t line_no = 0;
    json_error_t err;
    char *save = NULL;
    const char *const end = (const char *)log.data + log.size;
    for (char *line = st == FW_OK ? strtok_r((char *)log.data, "\n", &save) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        line_no++;
        json_t *o = fwi_json_read(line, strlen(line), &err);
        const char *event = json_string_value(json_object_get(o, "event"));
        if (event == NULL) {
            json_decref(o);
            if (line + strlen(line) == end && log.data[log.size - 1] != '\n')
                break; /* a run that was killed while it wrote */
            st = fwi_fail(FW_EFORMAT, "%s/log.jsonl: line %" PRId64 " is no event", dir, line_no);
            break;
        }
        if (strcmp(event, "begin") == 0)
            (void)json_object_del(root, "diverged");
        for (size_t i = 0; i < sizeof events / sizeof *events; i++)
            if (strcmp(event, events[i][0]) == 0)
                (void)json_object_set(root, events[i][1], o);
        json_decref(o);
    }
    fwi_buf_clear(&log);
    return st;
}

static fw_status inspect(const char *dir, bool proxy, char **json)
{
    fwi_buf config = {0};
    json_error_t err;
    json_t *root = json_object();
    char path[4096];
    int64_t step = -1, named = -1;
    fw_status st = fwi_utf8_valid(dir, strlen(dir)) /* JSON is to name its files */
                       ? read_in(dir, "config.json", FWI_CONFIG_BYTES, &config)
                       : fwi_fail(FW_EARG, "%s: the folder's name is no UTF-8", dir);
    if (st == FW_ENOTFOUND)
        st = fwi_fail(FW_ENOTFOUND, "%s: holds no run (no config.json)", dir);
    if (st != FW_OK)
        goto done;
    json_t *parsed = fwi_json_read(config.data, config.size, &err);
    if (parsed == NULL) {
        st =
            fwi_fail(fwi_json_status(&err), "%s/config.json: line %d: %s", dir, err.line, err.text);
        goto done;
    }
    (void)json_object_set_new(root, "kind", json_string("run"));
    if (proxy)
        (void)json_object_set_new(root, "phase", json_string("proxy"));
    (void)json_object_set_new(root, "config", parsed);
    st = add_log(dir, root);
    if (st == FW_OK) /* first: a run that goes on may write another meanwhile */
        st = fwi_ckpt_newest_named(dir, &named);
    if (st == FW_OK)
        st = fwi_ckpt_newest(dir, &step, path, sizeof path);
    if (st == FW_OK && step >= 0) {
        (void)json_object_set_new(root, "checkpoint_step", json_integer(step));
        (void)json_object_set_new(root, "checkpoint", json_string(path));
        if (named > step) {
            char *const why = fwi_sprintf("%s: the checkpoint of step %" PRId64
                                          " is damaged; that of step %" PRId64 " is whole",
                                          dir, named, step);
            if (why == NULL)
                st = FW_ENOMEM;
            else
                (void)json_object_set_new(root, "checkpoint_damaged", json_string(why));
            fwi_free(why);
        }
    } else if (st == FW_EFORMAT) { /* the rest of it can be told all the same */
        (void)json_object_set_new(root, "checkpoint_damaged", json_string(fw_last_error()));
        st = FW_OK;
    }
    char *model = st == FW_OK ? fwi_path_join(dir, "model.safetensors") : NULL;
    if (model != NULL && fwi_file_exists(model))
        (void)json_object_set_new(root, "model", json_string(model));
    fwi_free(model);
    if (st == FW_OK) {
        char *text = json_dumps(root, JSON_COMPACT);
        *json = text == NULL ? NULL : fwi_strdup(text);
        free(text); /* jansson's */
        if (*json == NULL)
            st = fwi_fail(FW_ENOMEM, "%s: out of memory", dir);
    }
done:
    fwi_buf_clear(&config);
    json_decref(root);
    return st;
}

/* The network's config is written when its proxy is done: until then the run is the proxy's. */
fw_status fw_run_inspect(const char *dir, char **json)
{
    if (dir == NULL || json == NULL)
        return fwi_fail(FW_EARG, "fw_run_inspect: NULL argument");
    char *own = fwi_path_join(dir, "config.json"), *proxy = fwi_path_join(dir, "proxy");
    char *first = proxy == NULL ? NULL : fwi_path_join(proxy, "config.json");
    fw_status st = FW_ENOMEM;
    if (own != NULL && first != NULL)
        st = !fwi_file_exists(own) && fwi_file_exists(first) ? inspect(proxy, true, json)
                                                             : inspect(dir, false, json);
    fwi_free(own);
    fwi_free(proxy);
    fwi_free(first);
    return st;
}
