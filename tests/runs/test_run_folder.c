/* test_run_folder.c: what a run leaves in its folder can be read by others: JSON lines,
 * TensorBoard's events as TFRecords, a config that repeats it, a model file without time or place.
 */
#include "t_runs.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 40, H = 6, W = 6, C = 1, CLASSES = 3, STEPS = 9 };

static fw_images images;
static t_trace trace;
static char dir[512];

static bool on_event(void *user, const fw_event *ev)
{
    (void)user;
    return t_record(&trace, ev);
}

static void train(int64_t stop_at)
{
    trace = (t_trace){.stop_at = stop_at};
    fw_dataset *ds = NULL, *test = NULL;
    assert_ok(
        fw_array_dataset(&ds, &images, NULL, &(fw_dataset_opt){.batch = 8, .training = true}));
    assert_ok(fw_array_dataset(&test, &images, NULL, &(fw_dataset_opt){.batch = 16}));
    const fw_estimator_opt opt = {.work_dir = dir,
                                  .steps_per_epoch = 3,
                                  .eval_data = test,
                                  .eval_every = 1,
                                  .seed = 11,
                                  .config = "[recipe]\nname = \"quoted\" \\ ü\n",
                                  .progress = on_event};
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES),
                               fw_sgd(fw_linear_decay_lr(0.1, STEPS), 0.9, NULL), &opt));
    assert_int_equal(fw_estimator_train(e, ds, STEPS), stop_at > 0 ? FW_ESTOPPED : FW_OK);
    fw_estimator_free(e);
    fw_dataset_free(ds);
    fw_dataset_free(test);
}

static double losses[STEPS];

static int make_run(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    snprintf(dir, sizeof dir, "%s", t_path("deep/er/run")); /* folders above it are made */
    train(4);
    memcpy(losses, trace.loss, 4 * sizeof *losses);
    train(0);
    memcpy(losses + 4, trace.loss, (STEPS - 4) * sizeof *losses);
    return 0;
}

static int drop_run(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

static const char *in(const char *name)
{
    return t_path("deep/er/run/%s", name);
}

static json_t *field(json_t *o, const char *key, json_type type)
{
    json_t *v = json_object_get(o, key);
    if (v == NULL || json_typeof(v) != type)
        fail_msg("no %s of the right type", key);
    return v;
}

static void test_log(void **state)
{
    (void)state;
    const t_bytes b = t_read(in("log.jsonl"));
    int n_begin = 0, n_epoch = 0, n_eval = 0;
    double last_epoch = 0;
    char *rest = NULL;
    assert_true(b.n > 0 && b.data[b.n - 1] == '\n');
    for (char *line = strtok_r((char *)b.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_error_t err;
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, &err);
        if (o == NULL)
            fail_msg("not JSON: %s: %s", line, err.text);
        const char *event = json_string_value(field(o, "event", JSON_STRING));
        const json_int_t step = json_integer_value(field(o, "step", JSON_INTEGER));
        if (strcmp(event, "begin") == 0) {
            json_t *budget = field(o, "budget", JSON_OBJECT);
            assert_true(json_integer_value(field(budget, "total", JSON_INTEGER)) > 0);
            assert_int_equal(step, n_begin == 0 ? 0 : 4);
            assert_int_equal(json_integer_value(field(o, "until", JSON_INTEGER)), STEPS);
            n_begin++;
        } else if (strcmp(event, "epoch") == 0) {
            last_epoch = json_number_value(json_object_get(o, "epoch"));
            assert_true(json_number_value(json_object_get(o, "loss")) > 0);
            assert_true(json_is_number(json_object_get(o, "lr")));
            n_epoch++;
        } else if (strcmp(event, "eval") == 0) {
            assert_int_equal(json_integer_value(field(o, "records", JSON_INTEGER)), N);
            assert_int_equal(step % 3, 0);
            n_eval++;
        }
        json_decref(o);
    }
    assert_int_equal(n_begin, 2);
    assert_int_equal(n_epoch, 3);
    assert_int_equal(n_eval, 3);
    assert_true(last_epoch == 3);
    free(b.data);
}

/* One estimator at a time fills a folder; others may look at it. flock counts openings, so that another process
 * is no other case. */
static void test_in_use(void **state)
{
    (void)state;
    char busy[512];
    snprintf(busy, sizeof busy, "%s", t_path("busy"));
    const fw_estimator_opt opt = {.work_dir = busy};
    const fw_optimizer sgd = fw_sgd(fw_linear_decay_lr(0.1, STEPS), 0.9, NULL);
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL, *other = NULL, *late = NULL;
    assert_ok(
        fw_array_dataset(&ds, &images, NULL, &(fw_dataset_opt){.batch = 8, .training = true}));
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), sgd, &opt));
    assert_ok(fw_estimator_new(&late, t_net(4, 0, CLASSES), sgd, &opt));
    assert_ok(fw_estimator_new(&other, t_net(4, 0, CLASSES), sgd, &opt));
    assert_ok(fw_estimator_train(e, ds, 2));
    assert_fails(fw_estimator_train(other, ds, 2), FW_ESTATE, "busy: is in use by another run");
    assert_ok(fw_estimator_train(e, ds, 3));
    fw_estimator_free(e);
    fw_estimator_free(other);
    /* who saw an empty folder does not begin in one that has a run by now */
    assert_fails(fw_estimator_train(late, ds, 2), FW_ESTATE, "busy: another run has trained in it");
    fw_estimator_free(late);
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), sgd, &opt));
    assert_int_equal(fw_estimator_step(e), 3);
    assert_ok(fw_estimator_train(e, ds, 4));
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

/* ---- events ---- */

/* What of an Event is looked at, read without the library's own code. */
typedef struct event {
    double wall;
    uint64_t step;
    char version[32], tag[64];
    float value;
    bool has_value;
} event;

static uint64_t varint(const uint8_t *p, size_t n, size_t *at)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        assert_true(*at < n);
        const uint8_t byte = p[(*at)++];
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return v;
    }
    fail_msg("varint of more than 64 bits");
    return 0;
}

static void text_of(char *out, size_t cap, const uint8_t *p, size_t n)
{
    assert_true(n < cap);
    memcpy(out, p, n);
    out[n] = 0;
}

/* Fields of one message: an Event (depth 0), its Summary (1), a Value (2). */
static void parse(event *e, const uint8_t *p, size_t n, int depth)
{
    for (size_t at = 0; at < n;) {
        const uint64_t key = varint(p, n, &at), number = key >> 3;
        const unsigned wire = key & 7;
        uint64_t v = 0;
        size_t len = 0;
        if (wire == 0)
            v = varint(p, n, &at);
        else
            len = wire == 1 ? 8 : wire == 5 ? 4 : (size_t)varint(p, n, &at);
        assert_true(wire == 0 || wire == 1 || wire == 2 || wire == 5);
        assert_true(len <= n - at);
        const uint8_t *data = p + at;
        at += len;
        if (depth == 0 && number == 1 && wire == 1)
            memcpy(&e->wall, data, 8);
        else if (depth == 0 && number == 2 && wire == 0)
            e->step = v;
        else if (depth == 0 && number == 3 && wire == 2)
            text_of(e->version, sizeof e->version, data, len);
        else if (depth == 0 && number == 5 && wire == 2)
            parse(e, data, len, 1);
        else if (depth == 1 && number == 1 && wire == 2)
            parse(e, data, len, 2);
        else if (depth == 2 && number == 1 && wire == 2)
            text_of(e->tag, sizeof e->tag, data, len);
        else if (depth == 2 && number == 2 && wire == 5) {
            memcpy(&e->value, data, 4);
            e->has_value = true;
        } else
            fail_msg("field %d of wire type %u at depth %d", (int)number, wire, depth);
    }
}

static void test_events(void **state)
{
    (void)state;
    static const char *const tags[] = {"train/loss",     "train/lr",
                                       "train/accuracy", "train/images_per_second",
                                       "test/loss",      "test/accuracy"};
    static const int counts[] = {STEPS, STEPS, 3, 3, 3, 3};
    int seen[T_COUNT(tags)] = {0}, files = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
        if (strncmp(f->d_name, "events.out.tfevents.", 20) != 0)
            continue;
        files++;
        fw_tfrecord *r = NULL;
        const uint8_t *data = NULL;
        size_t n = 0;
        double wall = 0;
        fw_status st;
        bool first = true;
        assert_ok(fw_tfrecord_open(&r, in(f->d_name)));
        while ((st = fw_tfrecord_next(r, &data, &n)) == FW_OK) { /* checks both CRCs */
            event e = {0};
            parse(&e, data, n, 0);
            assert_true(e.wall >= wall && e.wall > 1.6e9);
            wall = e.wall;
            if (strcmp(e.version, "brain.Event:2") == 0) {
                assert_false(e.has_value);
                first = false;
                continue;
            }
            assert_false(first); /* the version comes before all else */
            size_t t = 0;
            while (t < T_COUNT(tags) && strcmp(tags[t], e.tag) != 0)
                t++;
            if (t == T_COUNT(tags))
                fail_msg("tag %s", e.tag);
            seen[t]++;
            assert_true(e.step >= 1 && e.step <= STEPS);
            const uint64_t at = e.step - 1;
            if (t == 0)
                assert_true(e.value == (float)losses[at]);
            if (t == 1)
                assert_true(fabs((double)e.value - 0.1 * (1 - (double)at / STEPS)) < 1e-7);
            if (t == 2 || t == 5)
                assert_true(e.value >= 0 && e.value <= 1);
        }
        assert_int_equal(st, FW_END);
        fw_tfrecord_close(r);
    }
    closedir(d);
    assert_true(files >= 1); /* both starts may fall into one second */
    for (size_t t = 0; t < T_COUNT(tags); t++)
        assert_int_equal(seen[t], counts[t]);
}

static void test_config(void **state)
{
    (void)state;
    json_error_t err;
    json_t *o = json_load_file(in("config.json"), JSON_REJECT_DUPLICATES, &err);
    if (o == NULL)
        fail_msg("config.json: %s", err.text);
    assert_string_equal(json_string_value(field(o, "seed", JSON_STRING)), "11");
    assert_string_equal(json_string_value(field(o, "fenwicks", JSON_STRING)), fw_version());
    assert_string_equal(json_string_value(field(o, "recipe", JSON_STRING)),
                        "[recipe]\nname = \"quoted\" \\ ü\n");
    assert_int_equal(json_integer_value(field(o, "steps", JSON_INTEGER)), STEPS);
    assert_int_equal(json_integer_value(field(o, "steps_per_epoch", JSON_INTEGER)), 3);
    assert_non_null(strstr(json_string_value(field(o, "layers", JSON_STRING)), "classifier 3"));
    json_decref(o);
    char *text = NULL;
    assert_ok(fw_run_inspect(dir, &text));
    o = json_loads(text, 0, &err);
    assert_non_null(o);
    json_decref(o);
    fw_text_free(text);
    assert_fails(fw_run_inspect(t_path("deep"), &text), FW_ENOTFOUND, "deep");
}

/* The model's file says nothing of when, where and by how many. */
static void test_model_file(void **state)
{
    (void)state;
    const t_bytes b = t_read(in("model.safetensors"));
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--)
        size = size << 8 | b.data[i];
    assert_true(size < b.n - 8);
    json_error_t err;
    json_t *header = json_loadb((const char *)b.data + 8, (size_t)size, 0, &err);
    assert_non_null(header);
    json_t *meta = field(header, "__metadata__", JSON_OBJECT);
    static const char *const keys[] = {"format",    "layers",     "input",   "version",
                                       "precision", "transforms", "classes", "crc32c"};
    assert_int_equal(json_object_size(meta), T_COUNT(keys));
    for (size_t i = 0; i < T_COUNT(keys); i++)
        assert_non_null(field(meta, keys[i], JSON_STRING));
    /* Every tensor is where the header says, none overlaps, none is left out. */
    const char *name;
    json_t *t;
    uint64_t bytes = 0, end = 0;
    json_object_foreach(header, name, t)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        json_t *at = field(t, "data_offsets", JSON_ARRAY);
        const json_int_t from = json_integer_value(json_array_get(at, 0));
        const json_int_t to = json_integer_value(json_array_get(at, 1));
        assert_true(from >= 0 && to > from);
        bytes += (uint64_t)(to - from);
        end = (uint64_t)to > end ? (uint64_t)to : end;
        assert_null(strstr(name, "momentum"));
    }
    assert_int_equal(end, b.n - 8 - size);
    assert_int_equal(bytes, end);
    json_decref(header);
    free(b.data);
    char *text = NULL;
    assert_ok(fw_safetensors_inspect(in("model.safetensors"), true, &text));
    json_t *o = json_loads(text, 0, &err);
    assert_non_null(o);
    json_decref(o);
    fw_text_free(text);
}

/* Of tensors in 16 bits the values are looked at too, and one without elements counts none. */
static void test_inspect_of_other_files(void **state)
{
    (void)state;
    static const char *const types[] = {"BF16", "F16"};
    static const uint16_t one[] = {0x3F80, 0x3C00}, inf[] = {0xFF80, 0xFC00},
                          nan[] = {0x7F81, 0x7FFF};
    for (int t = 0; t < 2; t++)
        for (int how = 0; how < 3; how++) {
            const char *path = t_path("half.safetensors");
            const uint16_t v = how == 0 ? one[t] : how == 1 ? inf[t] : nan[t];
            uint8_t file[256] = {0};
            const int n =
                snprintf((char *)file + 8, sizeof file - 8,
                         "{\"a\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,4]},"
                         "\"e\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[4,4]}}",
                         types[t]);
            file[0] = (uint8_t)n;
            file[8 + n + 2] = (uint8_t)v; /* little-endian, the second element */
            file[8 + n + 3] = (uint8_t)(v >> 8);
            t_write(path, file, (size_t)n + 12);
            char *text = NULL;
            if (how > 0)
                assert_fails(fw_safetensors_inspect(path, true, &text), FW_EFORMAT,
                             "tensor a: element 1 is not finite");
            assert_ok(fw_safetensors_inspect(path, how == 0, &text));
            assert_non_null(strstr(text, "\"elements\":2,"));
            fw_text_free(text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_events),     cmocka_unit_test(test_config),
        cmocka_unit_test(test_model_file), cmocka_unit_test(test_inspect_of_other_files),
    };
    return cmocka_run_group_tests_name("run folder", tests, make_run, drop_run);
}
