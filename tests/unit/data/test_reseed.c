/* test_reseed.c: a data set that is given another seed goes on as one that was made with it, whatever
 * it was in the middle of: its order, its buffer, its mixing of batches. */
#include "data_support.h"

#include "pool.h"

enum { N = 41, BATCH = 8, SOME = 13 }; /* batches of more than two passes */

static const float MEAN[3] = {125, 123, 114}, STD[3] = {51, 50, 51};

typedef fw_status (*make_fn)(fw_dataset **out, const fw_transform *list, const fw_dataset_opt *opt);

static fw_images images;

static fw_status of_array(fw_dataset **out, const fw_transform *list, const fw_dataset_opt *opt)
{
    return fw_array_dataset(out, &images, list, opt);
}

static fw_status of_file(fw_dataset **out, const char *name, const fw_transform *list,
                         const fw_dataset_opt *opt)
{
    char path[128];
    return fw_tfrecord_dataset(out, temp_path(path, name), fw_parse_image_array(8, 8, 3), list,
                               opt);
}

static fw_status of_plain(fw_dataset **out, const fw_transform *list, const fw_dataset_opt *opt)
{
    return of_file(out, "plain.tfrec", list, opt);
}

static fw_status of_gzip(fw_dataset **out, const fw_transform *list, const fw_dataset_opt *opt)
{
    return of_file(out, "gzip.tfrec", list, opt);
}

static void check(make_fn make, const fw_transform *list, fw_dataset_opt opt)
{
    static const uint64_t seeds[] = {5, 9, 9, 5}; /* also the one that it has */
    fw_dataset *ds = NULL;
    opt.seed = 1;
    assert_ok(make(&ds, list, &opt));
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        fw_dataset *other = NULL;
        fwi_dataset_reseed(ds, seeds[i]);
        assert_int_equal(fw_dataset_position(ds), 0);
        assert_int_equal(fwi_dataset_seed(ds), seeds[i]);
        opt.seed = seeds[i];
        assert_ok(make(&other, list, &opt));
        gathered a = gather(ds, SOME), b = gather(other, SOME);
        assert_same(&a, 0, &b);
        char line[2][1024];
        assert_ok(fwi_dataset_describe(ds, line[0], sizeof line[0]));
        assert_ok(fwi_dataset_describe(other, line[1], sizeof line[1]));
        assert_string_equal(line[0], line[1]);
        free_gathered(&a);
        free_gathered(&b);
        fw_dataset_free(other);
        if (i == 1) { /* in the middle of a pass, with batches under way */
            fw_batch batch;
            assert_ok(fw_dataset_next(ds, &batch));
        }
    }
    fw_dataset_free(ds);
}

static void test_as_made_with_it(void **state)
{
    (void)state;
    static const make_fn makes[] = {of_array, of_plain, of_gzip};
    const fw_transform list[] = {
        fw_standardize(3, MEAN, STD), fw_random_pad_crop(2), fw_alternating_flip(), fw_cutout(3, 3),
        fw_color_jitter(0.2, 0.1),    fw_cutmix(3, 3, 0),    FW_TRANSFORM_END};
    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++)
        for (int threads = 1; threads <= 3; threads += 2)
            for (int cache = 0; cache < 2; cache++)
                check(makes[i], list,
                      (fw_dataset_opt){.batch = BATCH,
                                       .training = true,
                                       .drop_pass_end = cache == 1,
                                       .cache = cache == 1,
                                       .shuffle_buffer = 20,
                                       .threads = threads});
}

/* On a training loop's threads, rows without images. */
static void test_rows(void **state)
{
    (void)state;
    fwi_pool *pool = NULL;
    fw_dataset *ds[2] = {NULL, NULL};
    int64_t rows[2][3 * BATCH], valid[2];
    assert_ok(fwi_pool_new(&pool, 3));
    for (int i = 0; i < 2; i++) {
        assert_ok(fw_array_dataset(
            &ds[i], &images, NULL,
            &(fw_dataset_opt){.batch = BATCH, .training = true, .seed = i == 0 ? 2 : 7}));
        assert_ok(fwi_dataset_use_pool(ds[i], pool));
    }
    for (int k = 0; k < SOME; k++)
        assert_ok(fwi_dataset_next_rows(ds[0], rows[0], &valid[0]));
    fwi_dataset_reseed(ds[0], 7);
    for (int k = 0; k < SOME; k++) {
        for (int i = 0; i < 2; i++)
            assert_ok(fwi_dataset_next_rows(ds[i], rows[i], &valid[i]));
        assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    }
    fw_dataset_free(ds[0]);
    fw_dataset_free(ds[1]);
    fwi_pool_free(pool);
}

static int make_files(void **state)
{
    (void)state;
    char path[128];
    images = random_images(N, 8, 8, 3, FW_U8);
    write_records(temp_path(path, "plain.tfrec"), &images, 0, N, FW_PLAIN);
    write_records(temp_path(path, "gzip.tfrec"), &images, 0, N, FW_GZIP);
    return 0;
}

static int remove_files(void **state)
{
    free_images(&images);
    return remove_temp_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_made_with_it),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
