/* A training set's records once more, in order and without augmentation: from memory, plain files,
 * compressed ones and their cache; folds and shards kept. */
#include "data_support.h"

enum { N = 23, VALUES = 6 * 5 * 3 };

static int make_files(void **state)
{
    (void)state;
    char path[128];
    fw_images im = random_images(N, 6, 5, 3, FW_U8);
    write_records(temp_path(path, "plain"), &im, 0, N, FW_PLAIN);
    write_records(temp_path(path, "packed.gz"), &im, 0, N, FW_GZIP);
    free_images(&im);
    return 0;
}

static void test_all_sources(void **state)
{
    (void)state;
    const float mean[3] = {100, 120, 90}, std[3] = {50, 40, 64};
    const float mean2[3] = {0.5F, -1, 0}, std2[3] = {2, 1, 0.25F};
    const fw_transform chain[] = {fw_random_flip(),      fw_standardize(3, mean, std),
                                  fw_random_pad_crop(2), fw_standardize(3, mean2, std2),
                                  fw_cutout(2, 2),       FW_TRANSFORM_END};
    fw_images im = random_images(N, 6, 5, 3, FW_U8);
    static const char *const names[] = {NULL, "plain", "packed.gz"};
    for (int source = 0; source < 3; source++)
        for (int cache = 0; cache < 2; cache++)
            for (int part = 0; part < 2; part++) {
                char path[128];
                fw_dataset_opt opt = {.batch = 4, .training = true, .seed = 3, .cache = cache};
                if (part == 1) {
                    opt.folds = 3;
                    opt.fold = 1;
                    opt.shards = 2;
                    opt.shard = 1;
                }
                fw_dataset *ds = NULL, *again = NULL;
                if (source == 0)
                    assert_ok(fw_array_dataset(&ds, &im, chain, &opt));
                else
                    assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, names[source]),
                                                  fw_parse_image_array(6, 5, 3), chain, &opt));
                fw_batch before;
                assert_ok(fw_dataset_next(ds, &before));
                assert_ok(fwi_dataset_in_order(&again, ds, 7));
                assert_int_equal(fw_dataset_count(again), fw_dataset_count(ds));
                /* training has the records that are not in the fold; every second of these */
                int64_t want[N], n = 0, rank = 0;
                for (int64_t i = 0; i < N; i++)
                    if (part == 0 || (i % 3 != 1 && rank++ % 2 == 1))
                        want[n++] = i;
                assert_int_equal(n, fw_dataset_count(ds));
                for (int64_t row = 0; row < 2 * n; row += 7) {
                    fw_batch b;
                    assert_ok(fw_dataset_next(again, &b));
                    assert_int_equal(b.valid, 7);
                    for (int64_t i = 0; i < 7; i++) {
                        const uint8_t *image =
                            (const uint8_t *)im.pixels + want[(row + i) % n] * VALUES;
                        for (int k = 0; k < VALUES; k++) {
                            const float once = ((float)image[k] - mean[k % 3]) / std[k % 3];
                            assert_true(b.images[i * VALUES + k] ==
                                        (once - mean2[k % 3]) / std2[k % 3]);
                        }
                    }
                }
                fw_dataset_free(again);
                assert_int_equal(fw_dataset_position(ds), 4); /* where it was */
                fw_dataset_free(ds);
            }
    free_images(&im);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    fw_images im = random_images(N, 6, 5, 3, FW_U8);
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 4, .training = true}));
    int failures = 0;
    for (int64_t n = 1;; n++, failures++) {
        fw_dataset *again = NULL;
        fwi_mem_fail_at(n);
        const fw_status st = fwi_dataset_in_order(&again, ds, 7);
        fwi_mem_fail_at(0);
        fw_dataset_free(again);
        if (st == FW_OK)
            break;
        assert_int_equal(st, FW_ENOMEM);
        assert_null(again);
    }
    assert_in_range(failures, 3, 20);
    fw_dataset_free(ds);
    free_images(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_sources),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_files, remove_temp_folder);
}
