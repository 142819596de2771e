/* test_bad_model.c: what is wrong with a model's file is said with file and reason, whatever byte of it is
 * missing or another; no model comes of it. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 20, H = 5, W = 5, C = 1, CLASSES = 4 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("good.tfrec"), &images, NULL));
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

static const char *make_model(void)
{
    const char *path = t_path("model.safetensors");
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    assert_ok(
        fw_array_dataset(&ds, &images, NULL, &(fw_dataset_opt){.batch = 5, .training = true}));
    assert_ok(fw_estimator_new(&e, t_net(4, 0.25F, CLASSES), t_sgd(0.1), NULL));
    assert_ok(fw_estimator_train(e, ds, 2));
    assert_ok(fw_estimator_save(e, path));
    fw_estimator_free(e);
    fw_dataset_free(ds);
    return path;
}

static void assert_not_a_model(const char *path, const char *reason)
{
    fw_model *m = NULL;
    assert_bad(fw_model_open(&m, path, NULL), FW_EFORMAT, path, NULL, reason);
    assert_null(m);
}

/* The first place of a text in the file, header and all. */
static uint8_t *find(const t_bytes *b, const char *text)
{
    for (size_t i = 8; i + strlen(text) <= b->n; i++)
        if (memcmp(b->data + i, text, strlen(text)) == 0)
            return b->data + i;
    fail_msg("the model's file has no \"%s\"", text);
    return NULL;
}

/* The model's file with one text of its header as another, of any length. */
static void write_with(const t_bytes *b, const char *path, const char *was, const char *is)
{
    const size_t n_was = strlen(was), n_is = strlen(is);
    const uint8_t *at = find(b, was);
    const size_t head = (size_t)(at - b->data), tail = b->n - head - n_was;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | b->data[i];
    uint8_t *file = malloc(b->n + n_is);
    assert_non_null(file);
    memcpy(file, b->data, head);
    memcpy(file + head, is, n_is);
    memcpy(file + head + n_is, at + n_was, tail);
    t_put_u64(file, length + n_is - n_was);
    t_write(path, file, head + n_is + tail);
    free(file);
}

static void test_damaged_models(void **state)
{
    (void)state;
    const t_bytes b = t_read(make_model());
    const char *path = t_path("damaged.safetensors");
    size_t header = 8;
    for (int i = 0; i < 3; i++)
        header += (size_t)b.data[i] << 8 * i;
    /* Cut off anywhere. */
    for (size_t n = 0; n < b.n; n += n < header ? 5 : 101) {
        t_write(path, b.data, n);
        assert_not_a_model(path, "");
    }
    /* A byte too many. */
    t_bytes longer = {.data = malloc(b.n + 1), .n = b.n + 1};
    memcpy(longer.data, b.data, b.n);
    longer.data[b.n] = 0;
    t_write(path, longer.data, longer.n);
    assert_not_a_model(path, "");
    free(longer.data);
    /* Absurd lengths of the header. */
    const uint64_t lengths[] = {0, 1, b.n, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX};
    uint8_t kept[8];
    memcpy(kept, b.data, 8);
    for (size_t i = 0; i < T_COUNT(lengths); i++) {
        t_put_u64(b.data, lengths[i]);
        t_write(path, b.data, b.n);
        assert_not_a_model(path, "");
    }
    memcpy(b.data, kept, 8);
    /* A bit anywhere: the data's checksum sees its own; in the header there are places that change
     * nothing that matters (the version), but never is the file's name missing from a complaint. */
    int refused = 0, tried = 0;
    for (size_t bit = 0; bit < 8 * b.n; bit += T_SANITIZED ? 61 : 13) {
        const size_t at = bit / 8;
        b.data[at] ^= (uint8_t)(1 << bit % 8);
        t_write(path, b.data, b.n);
        b.data[at] ^= (uint8_t)(1 << bit % 8);
        fw_model *m = NULL;
        const fw_status st = fw_model_open(&m, path, NULL);
        tried++;
        refused += st != FW_OK;
        if ((st == FW_OK && at >= header) || (st != FW_OK && strstr(fw_last_error(), path) == NULL))
            fail_msg("bit %zu: %s: %s", bit, fw_status_name(st), fw_last_error());
        fw_model_close(m);
    }
    assert_true(refused > tried * 9 / 10);
    free(b.data);
}

/* Of another program, which leaves no checksum: a weight that is no number is no model's, nor a beginning. */
static void test_no_number(void **state)
{
    (void)state;
    static const uint8_t nan[] = {0, 0, 0xc0, 0x7f}, infinite[] = {0, 0, 0x80, 0xff};
    t_bytes b = t_read(make_model());
    const char *path = t_path("nan.safetensors");
    write_with(&b, path, "\"crc32c\"", "\"other\"");
    fw_model *m = NULL;
    assert_ok(fw_model_open(&m, path, NULL));
    fw_model_close(m);
    free(b.data);
    b = t_read(path);
    for (int i = 0; i < 2; i++) {
        memcpy(b.data + b.n - 4, i == 0 ? nan : infinite, 4);
        t_write(path, b.data, b.n);
        assert_not_a_model(path, "is not finite");
        fw_dataset *ds = NULL;
        fw_estimator *e = NULL;
        assert_ok(
            fw_array_dataset(&ds, &images, NULL, &(fw_dataset_opt){.batch = 5, .training = true}));
        assert_ok(fw_estimator_new(&e, t_net(4, 0.25F, CLASSES), t_sgd(0.1),
                                   &(fw_estimator_opt){.warm_start = path}));
        assert_bad(fw_estimator_train(e, ds, 2), FW_EFORMAT, path, "tensor ", "is not finite");
        fw_estimator_free(e);
        fw_dataset_free(ds);
    }
    free(b.data);
}

static void test_tensors_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *was, *is, *reason;
    } cases[] = {
        {"conv_bn 4", "conv_bn 5", "another shape"},
        {"classifier 4", "classifier 3", "another shape"},
        {"conv_bn 4", "conv_xx 4", "conv_xx"},
        {"gamma\"", "gamme\"", "missing"},
        {"\"F32\"", "\"F64\"", ""},
        {"\"F32\"", "\"I32\"", ""},
        {"\"F32\"", "\"X32\"", "X32"},
        {"5 5 1", "5 5 2", "another shape"},
        {"5 5 1", "5 5 x", "5 5 x"},
        {"5 5 1", "0 5 1", "0 5 1"},
        {"fenwicks model 1", "fenwicks model 2", "fenwicks model 2"},
        {"\"precision\":\"f32\"", "\"precision\":\"f64\"", ""},
        {"\"precision\":\"f32\"", "\"precision\":\"f23\"", "f23"},
        {"\"layers\"", "\"lawyer\"", "layers"},
        {"\"data_offsets\":[0,", "\"data_offsets\":[4,", ""},
    };
    const t_bytes b = t_read(make_model());
    const char *path = t_path("other.safetensors");
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        write_with(&b, path, cases[i].was, cases[i].is);
        fw_model *m = NULL;
        const fw_status st = fw_model_open(&m, path, NULL);
        if (st == FW_OK || strstr(fw_last_error(), path) == NULL ||
            strstr(fw_last_error(), cases[i].reason) == NULL)
            fail_msg("%s as %s: %s: %s", cases[i].was, cases[i].is, fw_status_name(st),
                     fw_last_error());
        assert_null(m);
    }
    free(b.data);
    t_write(path, "hello", 5);
    assert_not_a_model(path, "");
    t_copy(t_path("good.tfrec"), path);
    assert_not_a_model(path, "");
}

/* Layers and transforms that cannot be, and that would take memory which the file's tensors do not speak of. */
static void test_parts_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *was, *is, *reason;
    } cases[] = {
        {"conv_bn 4", "conv_bn 1048576 kernel=127", "bytes of weights, expected"},
        {"conv_bn 4", "dense 10\\nconv_bn 4", "layer 0 (dense 10)"},
        {"5 5 1", "1 5 1", ""},
        {"\"transforms\":\"\"", "\"transforms\":\"standardize 1 0 -1\"", "std -1"},
    };
    const t_bytes b = t_read(make_model());
    const char *path = t_path("odd.safetensors");
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        write_with(&b, path, cases[i].was, cases[i].is);
        assert_not_a_model(path, cases[i].reason);
    }
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_models),
        cmocka_unit_test(test_no_number),
        cmocka_unit_test(test_tensors_that_do_not_fit),
        cmocka_unit_test(test_parts_that_cannot_be),
    };
    return cmocka_run_group_tests_name("bad models", tests, make_data, drop_data);
}
