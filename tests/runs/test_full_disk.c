/* test_full_disk.c: a disk that is full in the middle of a run: the reason is named, nothing
 * half-written stays, and what was whole before still is. On a small tmpfs, mounted in a namespace
 * of a child process; skipped where none may be mounted. */
#include "t_runs.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 64, H = 12, W = 12, C = 3, CLASSES = 4, CANNOT_MOUNT = 77 };

static fw_images images;
static char disk[600];

/* A namespace in which this process may mount: as root, or as root of a user namespace. */
static bool mount_disk(const char *size)
{
    char option[64];
    snprintf(option, sizeof option, "size=%s", size);
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false; /* it would show outside */
    return mount("none", disk, "tmpfs", 0, option) == 0;
}

/* Says what went wrong and ends the child. */
#define child_requires(what)                                                                       \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, fw_last_error());                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static bool is_full_disk(fw_status st)
{
    return st == FW_EIO && strstr(fw_last_error(), disk) != NULL &&
           strstr(fw_last_error(), strerror(ENOSPC)) != NULL;
}

static bool is_empty(void)
{
    char *text = t_listing(disk);
    const bool empty = text[0] == 0;
    free(text);
    return empty;
}

static const char *on_disk(const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/%s", disk, name);
    return path;
}

static void records(void)
{
    if (!mount_disk("16k"))
        _exit(CANNOT_MOUNT);
    child_requires(is_full_disk(fw_write_tfrecord(on_disk("a.tfrec"), &images, NULL)));
    child_requires(is_empty());
    child_requires(
        is_full_disk(fw_write_tfrecord(on_disk("a.tfrec"), &images, &(fw_write_opt){.shards = 4})));
    child_requires(is_empty());
    fw_images few = images;
    few.n = 8;
    child_requires(fw_write_tfrecord(on_disk("few.tfrec"), &few, NULL) == FW_OK);
    char *before = t_listing(disk);
    child_requires(is_full_disk(
        fw_write_tfrecord(on_disk("few.tfrec"), &images, &(fw_write_opt){.overwrite = true})));
    char *after = t_listing(disk);
    child_requires(strcmp(before, after) == 0); /* the old ones are still whole */
    fw_images back = {0};
    child_requires(fw_read_tfrecord(on_disk("few.tfrec"), &back) == FW_OK && back.n == 8);
    fw_images_clear(&back);
    free(before);
    free(after);
}

static fw_status train(const char *dir, int64_t width, int64_t until, int64_t *step)
{
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    fw_status st = fw_array_dataset(&ds, &images, NULL,
                                    &(fw_dataset_opt){.batch = 16, .training = true, .threads = 1});
    if (st == FW_OK)
        st = fw_estimator_new(
            &e, t_net(width, 0, CLASSES), t_sgd(0.1),
            &(fw_estimator_opt){.work_dir = dir, .threads = 1, .checkpoint_every = 1, .keep = 30});
    if (st == FW_OK)
        st = fw_estimator_train(e, ds, until);
    *step = fw_estimator_step(e);
    fw_estimator_free(e);
    fw_dataset_free(ds);
    return st;
}

/* More checkpoints are kept than fit: the run ends with the reason, and goes on from the last whole
 * one when there is room again. */
static void checkpoints(void)
{
    if (!mount_disk("256k"))
        _exit(CANNOT_MOUNT);
    int64_t step = 0, again = 0;
    child_requires(is_full_disk(train(disk, 8, 40, &step)));
    child_requires(step >= 2 && step < 40);
    char *text = t_listing(disk);
    child_requires(strstr(text, "tmp") == NULL);
    child_requires(strstr(text, "model.safetensors") == NULL);
    free(text);
    child_requires(unlink(on_disk("checkpoint-00000001.safetensors")) == 0);
    const fw_status st = train(disk, 8, step + 1, &again); /* room for one more */
    child_requires(st == FW_OK || is_full_disk(st));
    child_requires(again >= step);
}

/* The one file that counts does not fit. */
static void model(void)
{
    if (!mount_disk("8k"))
        _exit(CANNOT_MOUNT);
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    child_requires(fw_array_dataset(&ds, &images, NULL,
                                    &(fw_dataset_opt){.batch = 16, .training = true}) == FW_OK);
    child_requires(fw_estimator_new(&e, t_net(16, 0, CLASSES), t_sgd(0.1), NULL) == FW_OK);
    child_requires(fw_estimator_train(e, ds, 1) == FW_OK);
    child_requires(is_full_disk(fw_estimator_save(e, on_disk("m.safetensors"))));
    child_requires(is_empty());
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

/* An estimator whose log could not grow goes on when there is room again. */
static void the_same_estimator(void)
{
    if (!mount_disk("64k"))
        _exit(CANNOT_MOUNT);
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    child_requires(fw_array_dataset(&ds, &images, NULL,
                                    &(fw_dataset_opt){.batch = 16, .training = true}) == FW_OK);
    child_requires(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                    &(fw_estimator_opt){.work_dir = disk}) == FW_OK);
    child_requires(fw_estimator_train(e, ds, 1) == FW_OK);
    FILE *filler = fopen(on_disk("filler"), "wb");
    child_requires(filler != NULL);
    setvbuf(filler, NULL, _IONBF, 0);
    while (fputc(0, filler) == 0) {
    }
    fclose(filler);
    int failed = 0;
    for (int64_t until = 2; until < 42; until++) { /* the page that the log ends in fills, too */
        const fw_status st = fw_estimator_train(e, ds, until);
        child_requires(st == FW_OK || is_full_disk(st));
        failed += st != FW_OK;
    }
    child_requires(failed > 0);
    child_requires(unlink(on_disk("filler")) == 0);
    child_requires(fw_estimator_train(e, ds, 50) == FW_OK);
    child_requires(fw_estimator_step(e) == 50);
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

/* false: nothing may be mounted here. */
static bool in_child(void (*fn)(void))
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_MOUNT)
        return false;
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

static bool skipped;

static void test_full_disk(void **state)
{
    (void)state;
    static void (*const cases[])(void) = {records, checkpoints, model, the_same_estimator};
    for (size_t i = 0; i < T_COUNT(cases); i++)
        if (!in_child(cases[i])) {
            print_message("no tmpfs can be mounted here: a full disk was not tried\n");
            skipped = true;
            return;
        }
}

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    snprintf(disk, sizeof disk, "%s", t_path("disk"));
    return mkdir(disk, 0700);
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_full_disk)};
    const int failed = cmocka_run_group_tests_name("full disk", tests, make_data, drop_data);
    return failed == 0 && skipped ? 77 : failed;
}
