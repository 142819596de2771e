/* The same bits whatever the number of threads, the depth of prefetching, and the source. This is
 * the program to run under ThreadSanitizer. */
#include "data_support.h"

#include <stdatomic.h>

static const float MEAN[3] = {125, 123, 114}, STD[3] = {51, 50, 51};
static const int THREADS[] = {1, 2, 5};
static const int64_t DEPTHS[] = {FW_NONE, 1, 3};
enum { N = 203, BATCH = 70, BATCHES = 9 }; /* two jobs a batch; every third straddles */

static fw_images images;

static int make_images(void **state)
{
    (void)state;
    images = random_images(N, 12, 12, 3, FW_U8);
    return 0;
}

static int drop_images(void **state)
{
    free_images(&images);
    return remove_temp_folder(state);
}

static void open_source(fw_dataset **ds, int source, const fw_transform *list, fw_dataset_opt opt)
{
    char path[128];
    if (source == 0) {
        assert_ok(fw_array_dataset(ds, &images, list, &opt));
        return;
    }
    opt.cache = source == 2;
    assert_ok(fw_tfrecord_dataset(ds, temp_path(path, "plain-*"), fw_parse_image_array(12, 12, 3),
                                  list, &opt));
}

static void test_same_bits(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "plain-0"), &images, 0, 100, FW_PLAIN);
    write_records(temp_path(path, "plain-1"), &images, 100, 101, FW_PLAIN);
    write_records(temp_path(path, "plain-2"), &images, 101, N, FW_PLAIN);
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), fw_random_pad_crop(3),
                                 fw_random_flip(), fw_cutout(4, 4), FW_TRANSFORM_END};
    fw_dataset_opt opt = {.batch = BATCH, .training = true, .seed = 12, .threads = 1};
    opt.prefetch = FW_NONE;
    fw_dataset *ds = NULL;
    open_source(&ds, 0, list, opt);
    gathered want = gather(ds, BATCHES);
    fw_dataset_free(ds);
    for (int source = 0; source < 3; source++)
        for (int t = 0; t < 3; t++)
            for (int d = 0; d < 3; d++) {
                opt.threads = THREADS[t];
                opt.prefetch = DEPTHS[d];
                open_source(&ds, source, list, opt);
                gathered got = gather(ds, BATCHES);
                assert_same(&want, 0, &got);
                free_gathered(&got);
                assert_ok(fw_dataset_seek(ds, 4 * BATCH)); /* with batches under way */
                got = gather(ds, BATCHES - 4);
                assert_same(&want, 4, &got);
                free_gathered(&got);
                fw_dataset_free(ds);
            }
    free_gathered(&want);
}

static void test_same_bits_compressed(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "gz-0"), &images, 0, 90, FW_GZIP);
    write_records(temp_path(path, "gz-1"), &images, 90, 120, FW_ZLIB);
    write_records(temp_path(path, "gz-2"), &images, 120, N, FW_GZIP);
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), fw_random_pad_crop(3),
                                 fw_random_flip(), FW_TRANSFORM_END};
    for (int64_t buffer = 20; buffer <= 220; buffer += 200) {
        gathered want = {0};
        for (int t = 0; t < 3; t++)
            for (int d = 0; d < 3; d++) {
                const fw_dataset_opt opt = {.batch = BATCH,
                                            .training = true,
                                            .seed = 12,
                                            .threads = THREADS[t],
                                            .prefetch = DEPTHS[d],
                                            .shuffle_buffer = buffer};
                fw_dataset *ds = NULL;
                assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, "gz-?"),
                                              fw_parse_image_array(12, 12, 3), list, &opt));
                gathered got = gather(ds, BATCHES);
                if (want.images == NULL)
                    want = got;
                else
                    assert_same(&want, 0, &got);
                if (want.images != got.images)
                    free_gathered(&got);
                assert_ok(fw_dataset_seek(ds, 5 * BATCH));
                got = gather(ds, BATCHES - 5);
                assert_same(&want, 5, &got);
                free_gathered(&got);
                fw_dataset_free(ds);
            }
        free_gathered(&want);
    }
}

static fw_status fail_at_some(void *user, fw_sample *s)
{
    atomic_int *calls = user;
    atomic_fetch_add(calls, 1);
    return s->record % 50 == 49 ? FW_EIO : FW_OK;
}

/* The failure that is reported is the first of the batch, however the jobs were run. */
static void test_first_failure(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int d = 0; d < 3; d++) {
            atomic_int calls = 0;
            const fw_transform list[] = {fw_user_transform(fail_at_some, &calls), FW_TRANSFORM_END};
            const fw_dataset_opt opt = {.batch = 100, .threads = THREADS[t], .prefetch = DEPTHS[d]};
            fw_dataset *ds = NULL;
            assert_ok(fw_array_dataset(&ds, &images, list, &opt));
            fw_batch b;
            for (int turn = 0; turn < 2; turn++)
                assert_fails(fw_dataset_next(ds, &b), FW_EIO, "memory: record 49: transform 0");
            assert_ok(fw_dataset_seek(ds, 50));
            assert_fails(fw_dataset_next(ds, &b), FW_EIO, "memory: record 99: transform 0");
            assert_true(atomic_load(&calls) >= 100);
            fw_dataset_free(ds); /* with failed batches under way */
        }
}

/* A failure in the first batch, with the ring full and its last rows still being fed from a compressed
 * file: all starts again, as often as it is asked for. */
static void test_failure_while_fed(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "failing.gz"), &images, 0, N, FW_GZIP);
    for (int64_t depth = 1; depth <= 2; depth++)
        for (int turn = 0; turn < 20; turn++) {
            atomic_int calls = 0;
            const fw_transform list[] = {fw_user_transform(fail_at_some, &calls), FW_TRANSFORM_END};
            const fw_dataset_opt opt = {.batch = 50, .threads = 3, .prefetch = depth};
            fw_dataset *ds = NULL;
            assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, "failing.gz"),
                                          fw_parse_image_array(12, 12, 3), list, &opt));
            fw_batch b;
            for (int again = 0; again < 3; again++)
                assert_fails(fw_dataset_next(ds, &b), FW_EIO, "record 49: transform 0");
            assert_true(atomic_load(&calls) >= 3);
            fw_dataset_free(ds);
        }
}

/* Freed with everything in motion, at every stage. */
static void test_free_while_running(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "some.gz"), &images, 0, N, FW_GZIP);
    for (int64_t batches = 0; batches < 8; batches++)
        for (int source = 0; source < 2; source++) {
            const fw_dataset_opt opt = {
                .batch = 33, .training = true, .threads = 3, .prefetch = 4, .shuffle_buffer = 50};
            fw_dataset *ds = NULL;
            if (source == 0)
                assert_ok(fw_array_dataset(&ds, &images, NULL, &opt));
            else
                assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, "some.gz"),
                                              fw_parse_image_array(12, 12, 3), NULL, &opt));
            gathered g = gather(ds, batches);
            free_gathered(&g);
            fw_dataset_free(ds);
        }
}

/* Steady state: no allocation by any thread, from any source. */
static void test_no_allocation(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "a.tfrec"), &images, 0, N, FW_PLAIN);
    write_records(temp_path(path, "a.gz"), &images, 0, N, FW_GZIP);
    const char *const names[] = {"a.tfrec", "a.gz"};
    for (int i = 0; i < 2; i++)
        for (int cache = 0; cache < 2; cache++) {
            const fw_dataset_opt opt = {
                .batch = 25, .training = true, .threads = 3, .cache = cache};
            fw_dataset *ds = NULL;
            assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, names[i]),
                                          fw_parse_image_array(12, 12, 3), NULL, &opt));
            fw_batch b;
            for (int k = 0; k < 10; k++)
                assert_ok(fw_dataset_next(ds, &b));
            const int64_t before = fwi_mem_count();
            for (int k = 0; k < 40; k++)
                assert_ok(fw_dataset_next(ds, &b));
            assert_int_equal(fwi_mem_count(), before);
            fw_dataset_free(ds);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_same_bits_compressed),
        cmocka_unit_test(test_first_failure), cmocka_unit_test(test_free_while_running),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_failure_while_fed),
    };
    return cmocka_run_group_tests_name("dataset threads", tests, make_images, drop_images);
}
