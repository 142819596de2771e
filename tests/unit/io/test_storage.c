/* test_storage.c: project folders and paths. */
#include "io_test.h"

#include <fenwicks/storage.h>

static void project(void **state)
{
    (void)state;
    fw_dirs d = {0};
    assert_ok(fw_storage_setup(in_dir("root/deep")));
    assert_int_equal(rmdir(in_dir("root/deep")), 0);        /* empty: the probe is gone */
    assert_ok(fw_storage_setup(in_dir("root/deep/probe"))); /* a project may be called so */
    assert_ok(fw_storage_setup(in_dir("root/deep")));
    assert_ok(fw_project_dirs(in_dir("root"), "cifar10", &d));
    assert_true(fwi_is_dir(in_dir("root/data/cifar10")));
    assert_true(fwi_is_dir(in_dir("root/work/cifar10")));
    assert_string_equal(d.work, in_dir("root/work/cifar10"));
    const char *a = fw_path(&d, d.data, "train.tfrec"), *b = fw_path(&d, d.data, "test.tfrec");
    assert_string_equal(a, in_dir("root/data/cifar10/train.tfrec"));
    assert_string_equal(b, in_dir("root/data/cifar10/test.tfrec"));
    assert_null(fw_path(&d, NULL, "x"));
    assert_null(fw_path(NULL, "x", "x"));
    fw_dirs_clear(&d);
    assert_null(d.data);
    fw_dirs_clear(&d);
    fw_dirs_clear(NULL);
}

static void refused(void **state)
{
    (void)state;
    fw_dirs d = {0};
    write_bytes(in_dir("file"), "x", 1);
    assert_fails(fw_storage_setup("gs://bucket"), FW_EUNAVAILABLE, "gs://bucket");
    assert_fails(fw_storage_setup("s3://bucket"), FW_EUNAVAILABLE, "s3://bucket");
    assert_fails(fw_storage_setup(NULL), FW_EARG, "NULL");
    assert_fails(fw_storage_setup(in_dir("file")), FW_EIO, "file");
    assert_fails(fw_storage_setup(in_dir("file/below")), FW_EIO, "file/below");
    assert_fails(fw_storage_setup("/proc"), FW_EIO, "/proc", "cannot be written to");
    assert_fails(fw_project_dirs(in_dir("file"), "p", &d), FW_EIO, "file/data/p");
    assert_fails(fw_project_dirs(test_dir, "", &d), FW_EARG, "empty project");
    assert_fails(fw_project_dirs("", "p", &d), FW_EARG, "empty root");
    assert_null(d.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(project, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(refused, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
