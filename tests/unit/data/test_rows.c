/* test_rows.c: a data set for a device that keeps the images (rows.c): the records of each batch are
 * those that it would have with images, and what is read once is what the batches show. */
#include "data_support.h"

enum { N = 61, H = 4, W = 3, C = 2, VALUES = H * W * C };

static fw_images images;

static int make_images(void **state)
{
    char path[128];
    (void)state;
    images = random_images(N, H, W, C, FW_U8);
    float *values = malloc(N * VALUES * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < N * VALUES; i++)
        values[i] = (float)((const uint8_t *)images.pixels)[i];
    fw_images floats = images;
    floats.pixels = values;
    floats.dtype = FW_F32;
    write_records(temp_path(path, "bytes"), &images, 0, N, FW_PLAIN);
    write_records(temp_path(path, "packed"), &images, 0, N, FW_GZIP);
    write_records(temp_path(path, "mixed-0"), &images, 0, 40, FW_PLAIN);
    write_records(temp_path(path, "mixed-1"), &floats, 40, N, FW_PLAIN);
    write_records(temp_path(path, "float"), &floats, 0, N, FW_PLAIN);
    free(values);
    return 0;
}

static int drop_images(void **state)
{
    free_images(&images);
    return remove_temp_folder(state);
}

static fw_dataset *open_set(const char *file, const fw_dataset_opt *opt)
{
    char path[128];
    fw_dataset *ds = NULL;
    if (file == NULL)
        assert_ok(fw_array_dataset(&ds, &images, NULL, opt));
    else
        assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, file), fw_parse_image_array(H, W, C),
                                      NULL, opt));
    return ds;
}

/* All batches (30 of an endless set) both ways. */
static void check(const char *file, const fw_dataset_opt *opt, int64_t from)
{
    fw_dataset *a = open_set(file, opt), *b = open_set(file, opt);
    const int64_t batch = opt->batch, n = fw_dataset_count(a);
    uint8_t *pixels = malloc((size_t)(n * VALUES));
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    int64_t *rows = malloc((size_t)(3 * batch) * sizeof *rows), valid = -1;
    assert_true(pixels != NULL && labels != NULL && rows != NULL);
    assert_ok(fwi_dataset_keepable(b));
    assert_ok(fwi_dataset_read(b, 0, n / 3, pixels, labels));
    assert_ok(fwi_dataset_read(b, n / 3, n - n / 3, pixels + n / 3 * VALUES, labels + n / 3));
    assert_ok(fw_dataset_seek(a, from));
    assert_ok(fw_dataset_seek(b, from));
    int seen = 0;
    fw_batch want;
    for (; seen < 30; seen++) {
        const fw_status st = fw_dataset_next(a, &want);
        if (st == FW_OK)
            assert_int_equal(fw_dataset_position(b), want.position);
        assert_int_equal(fwi_dataset_next_rows(b, rows, &valid), st);
        if (st == FW_END)
            break;
        assert_ok(st);
        assert_int_equal(valid, want.valid);
        for (int64_t i = 0; i < batch; i++) {
            assert_int_equal(rows[batch + i], want.records[i]);
            if (i >= valid) {
                assert_int_equal(rows[i], -1);
                continue;
            }
            assert_in_range(rows[i], 0, n - 1);
            assert_int_equal(labels[rows[i]], want.labels[i]);
            for (int64_t k = 0; k < VALUES; k++)
                assert_true(want.images[i * VALUES + k] == (float)pixels[rows[i] * VALUES + k]);
            const int64_t per_pass = opt->training && opt->drop_pass_end ? n / batch * batch : n;
            assert_int_equal(rows[2 * batch + i], (want.position + i) / per_pass);
        }
    }
    assert_true(seen > 1);
    free(rows);
    free(labels);
    free(pixels);
    fw_dataset_free(a);
    fw_dataset_free(b);
}

static void test_same_batches(void **state)
{
    (void)state;
    static const char *const files[] = {NULL, "bytes", "packed"};
    for (int i = 0; i < 3; i++)
        for (int threads = 1; threads <= 2; threads++) {
            const bool cache = i > 0;
            check(files[i], &(fw_dataset_opt){.batch = 7, .cache = cache, .threads = threads}, 0);
            check(files[i], &(fw_dataset_opt){.batch = 9, .cache = cache, .drop_remainder = true},
                  9);
            check(
                files[i],
                &(fw_dataset_opt){
                    .batch = 100, .cache = cache, .training = true, .seed = 5, .threads = threads},
                300);
            check(files[i],
                  &(fw_dataset_opt){.batch = 8,
                                    .cache = cache,
                                    .training = true,
                                    .folds = 4,
                                    .fold = 1,
                                    .seed = 6,
                                    .passes = 3},
                  0);
            check(files[i],
                  &(fw_dataset_opt){.batch = 10,
                                    .cache = cache,
                                    .training = true,
                                    .drop_pass_end = true,
                                    .shards = 2,
                                    .shard = 1},
                  20);
        }
}

static void test_not_kept(void **state)
{
    (void)state;
    static uint8_t pixels[N * VALUES];
    static int32_t labels[N];
    fw_dataset *ds = open_set("bytes", &(fw_dataset_opt){.batch = 4});
    assert_fails(fwi_dataset_keepable(ds), FW_EUNAVAILABLE, "read from files as they are wanted");
    fw_dataset_free(ds);
    ds = open_set("packed", &(fw_dataset_opt){.batch = 4});
    assert_fails(fwi_dataset_keepable(ds), FW_EUNAVAILABLE, "read from files as they are wanted");
    fw_dataset_free(ds);
    ds = open_set("float", &(fw_dataset_opt){.batch = 4, .cache = true});
    assert_fails(fwi_dataset_read(ds, 0, N, pixels, labels), FW_EUNAVAILABLE,
                 "images are f32, not u8");
    fw_dataset_free(ds);
    ds = open_set("mixed-*", &(fw_dataset_opt){.batch = 4, .cache = true, .threads = 2});
    assert_ok(fwi_dataset_read(ds, 0, 40, pixels, labels));
    assert_fails(fwi_dataset_read(ds, 0, N, pixels, labels), FW_EUNAVAILABLE, "mixed-1: record 0");
    fw_dataset_free(ds);
}

static void test_labels_and_state(void **state)
{
    (void)state;
    static uint8_t pixels[N * VALUES];
    static int32_t labels[N];
    int64_t rows[3 * 4], valid;
    fw_batch b;
    fw_dataset *ds = open_set(NULL, &(fw_dataset_opt){.batch = 4, .threads = 2});
    fw_dataset *other = open_set(NULL, &(fw_dataset_opt){.batch = 4, .threads = 2});
    assert_true(fwi_dataset_serial(ds) != 0 && fwi_dataset_serial(ds) != fwi_dataset_serial(other));
    fw_dataset_free(other);
    assert_ok(fwi_dataset_expect_classes(ds, 9)); /* labels are 0 to 9 */
    assert_fails(fwi_dataset_read(ds, 0, N, pixels, labels), FW_EFORMAT, "record 9");
    assert_ok(fwi_dataset_expect_classes(ds, 10));
    assert_ok(fwi_dataset_read(ds, 0, N, pixels, labels));
    for (int64_t n = 1; n <= 2; n++) {
        fwi_mem_fail_at(n);
        assert_int_equal(fwi_dataset_read(ds, 0, N, pixels, labels), FW_ENOMEM);
        fwi_mem_fail_at(0);
    }
    fw_dataset_memory all, rows_only;
    fw_dataset_memory_get(ds, &all);
    fwi_dataset_rows_only(ds, true);
    fw_dataset_memory_get(ds, &rows_only);
    assert_true(all.prefetch > 0 && rows_only.prefetch == 0);
    fwi_dataset_rows_only(ds, false);
    assert_ok(fw_dataset_next(ds, &b));
    assert_fails(fwi_dataset_next_rows(ds, rows, &valid), FW_ESTATE, "batches are under way");
    assert_ok(fw_dataset_seek(ds, 4));
    assert_ok(fwi_dataset_next_rows(ds, rows, &valid));
    assert_int_equal(rows[4], 4);
    fw_dataset_free(ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_batches),
        cmocka_unit_test(test_not_kept),
        cmocka_unit_test(test_labels_and_state),
    };
    return cmocka_run_group_tests_name("rows", tests, make_images, drop_images);
}
