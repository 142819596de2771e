/* After the first pass nobody allocates: not the data room, not the libraries below it. The
 * program brings a malloc that counts; sanitizers bring their own, and then only the library's own
 * allocations are counted. */
#include "data_support.h"

#include <stdatomic.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_MALLOC 0
#endif
#endif
#if !defined(COUNTS_MALLOC) && defined(__GLIBC__)
#define COUNTS_MALLOC 1
#elif !defined(COUNTS_MALLOC)
#define COUNTS_MALLOC 0
#endif

static atomic_long n_malloc;

#if COUNTS_MALLOC
/* NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names for what is replaced here */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
/* NOLINTEND(bugprone-reserved-identifier) */
__attribute__((visibility("default"))) void *malloc(size_t n)
{
    atomic_fetch_add(&n_malloc, 1);
    return __libc_malloc(n);
}
__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&n_malloc, 1);
    return __libc_calloc(n, size);
}
__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&n_malloc, 1);
    return __libc_realloc(p, n);
}
#endif

enum { N = 203 };
static fw_images images;

static int make_images(void **state)
{
    (void)state;
    images = random_images(N, 12, 12, 3, FW_U8);
    char path[128];
    write_records(temp_path(path, "a.tfrec"), &images, 0, N, FW_PLAIN);
    write_records(temp_path(path, "a.gz"), &images, 0, N, FW_GZIP);
    return 0;
}

static int drop_images(void **state)
{
    free_images(&images);
    return remove_temp_folder(state);
}

static void check(fw_dataset *ds)
{
    fw_batch b;
    for (int i = 0; i < 10; i++)
        assert_ok(fw_dataset_next(ds, &b));
    const int64_t count = fwi_mem_count();
    const long mallocs = atomic_load(&n_malloc);
    for (int i = 0; i < 40; i++)
        assert_ok(fw_dataset_next(ds, &b));
    assert_int_equal(atomic_load(&n_malloc), mallocs);
    assert_int_equal(fwi_mem_count(), count);
    fw_dataset_free(ds);
}

static void test_steady_state(void **state)
{
    (void)state;
    const float mean[3] = {125, 123, 114}, std[3] = {51, 50, 51};
    const fw_transform list[] = {fw_standardize(3, mean, std), fw_random_pad_crop(2),
                                 fw_random_dihedral(),         fw_cutout(3, 3),
                                 fw_random_pad_crop(1),        FW_TRANSFORM_END};
    char path[128];
    for (int threads = 1; threads <= 3; threads++)
        for (int cache = 0; cache < 2; cache++) {
            const fw_dataset_opt opt = {
                .batch = 25, .training = true, .threads = threads, .cache = cache};
            fw_dataset *ds = NULL;
            assert_ok(fw_array_dataset(&ds, &images, list, &opt));
            check(ds);
            assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, "a.tfrec"),
                                          fw_parse_image_array(12, 12, 3), list, &opt));
            check(ds);
            assert_ok(fw_tfrecord_dataset(&ds, temp_path(path, "a.gz"),
                                          fw_parse_image_array(12, 12, 3), list, &opt));
            check(ds);
        }
}

/* Mixing sorts the rows of a batch. */
static void test_mixing(void **state)
{
    (void)state;
    const fw_transform list[] = {fw_random_flip(), fw_cutmix(3, 4, 0), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &images, list,
                               &(fw_dataset_opt){.batch = 150, .training = true, .threads = 1}));
    check(ds);
}

/* The counter counts: making a data set is seen by it. */
static void test_counter(void **state)
{
    (void)state;
    const int64_t count = fwi_mem_count();
    const long mallocs = atomic_load(&n_malloc);
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &images, NULL, &(fw_dataset_opt){.batch = 1}));
    assert_true(fwi_mem_count() > count + 5);
    assert_true(!COUNTS_MALLOC || atomic_load(&n_malloc) > mallocs + 5);
    fw_dataset_free(ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_steady_state),
        cmocka_unit_test(test_mixing),
    };
    return cmocka_run_group_tests_name("dataset steady state", tests, make_images, drop_images);
}
