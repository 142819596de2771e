/* test_io_failures.c: no memory and no space. Every allocation fails once; a disk fills up; and
 * what was there before stays, with nothing half-written beside it. (Leaks show under the address
 * sanitizer.) */
#include "io_test.h"

#include "example.h"
#include "record_set.h"
#include "sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <fenwicks/storage.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int renames_left = -1, syncs_left = -1; /* below 0: as many as are asked for */
static char calls[64]; /* in order: s, S a file, a folder synced; r renamed; l linked */

static bool none_left(int *left)
{
    const bool none = *left == 0;
    *left -= *left > 0;
    errno = none ? EIO : errno;
    return none;
}

/* what: a letter of `calls`, for one that succeeded. */
static int note(char what, int result)
{
    const size_t n = strlen(calls);
    if (result == 0 && n + 1 < sizeof calls)
        calls[n] = what;
    return result;
}

/* In place of the system's for this program: the two ways to a file's own name, and to the disk. */
int rename(const char *from, const char *to)
{
    return none_left(&renames_left) ? -1 : note('r', renameat(AT_FDCWD, from, AT_FDCWD, to));
}

int link(const char *from, const char *to)
{
    return none_left(&renames_left) ? -1 : note('l', linkat(AT_FDCWD, from, AT_FDCWD, to, 0));
}

int fsync(int fd)
{
    struct stat s;
    const bool folder = fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
    return none_left(&syncs_left) ? -1 : note(folder ? 'S' : 's', (int)syscall(SYS_fsync, fd));
}

typedef fw_status (*call)(void);

/* Fails allocation 1, 2, ... of fn until it gets through. */
static int fail_each(call fn, const char *what)
{
    int n = 1;
    for (;; n++) {
        assert_true(n < 5000);
        fwi_mem_fail_at(n);
        const fw_status st = fn();
        const bool reached = fwi_mem_count() >= n;
        fwi_mem_fail_at(0);
        if (st == FW_OK && !reached)
            break;
        if (st != FW_ENOMEM)
            print_error("%s, allocation %d: %s \"%s\"\n", what, n, fw_status_name(st),
                        fw_last_error());
        assert_int_equal(st, FW_ENOMEM);
        assert_non_null(strstr(fw_last_error(), "memory"));
    }
    return n - 1;
}

static fw_images sample;

static fw_status write_form(const fw_write_opt *opt)
{
    const fw_status st = fw_write_tfrecord(in_dir("w"), &sample, opt);
    if (st != FW_OK)
        assert_int_equal(count_files(test_dir), 0);
    else
        assert_int_equal(
            nftw(test_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) + mkdir(test_dir, 0700), 0);
    return st;
}

static fw_status write_plain(void)
{
    return write_form(NULL);
}
static fw_status write_gzip_shards(void)
{
    return write_form(&(fw_write_opt){.compression = FW_GZIP, .shards = 3});
}
static fw_status write_floats(void)
{
    return write_form(&(fw_write_opt){.as_float = true});
}

static void writers(void **state)
{
    (void)state;
    sample = random_images(9, 4, 4, 3, FW_U8, 3);
    sample.class_names = fwi_alloc_array(3, sizeof *sample.class_names);
    for (int i = 0; i < 3; i++)
        sample.class_names[i] = fwi_strdup("name");
    int n = fail_each(write_plain, "write plain");
    n += fail_each(write_gzip_shards, "write gzip shards");
    n += fail_each(write_floats, "write floats");
    assert_true(n > 60);
    fw_images_clear(&sample);
}

static const char *reading;

static fw_status read_records(void)
{
    fw_images im = {0};
    const fw_status st = fw_read_tfrecord(reading, &im);
    fw_images_clear(&im);
    return st;
}
static fw_status read_info(void)
{
    fw_record_info info = {0};
    const fw_status st = fw_record_info_scan(reading, 0, 0, 0, &info);
    fw_record_info_clear(&info);
    return st;
}
static fw_status read_summary(void)
{
    fw_record_summary s = {0};
    const fw_status st = fw_record_inspect(reading, true, &s);
    fw_record_summary_clear(&s);
    return st;
}
static fw_status read_stream(void)
{
    fwi_record_stream *s = NULL;
    const uint8_t *data = NULL;
    size_t n = 0;
    fw_status st = fwi_record_stream_open(&s, reading, 2);
    while (st == FW_OK)
        st = fwi_record_stream_next(s, &data, &n);
    fwi_record_stream_close(s);
    return st == FW_END ? FW_OK : st;
}
static fw_status import(void)
{
    fw_images a = {0}, b = {0};
    const fw_status st = fw_import(reading, &(fw_import_opt){.split_every = 2}, &a, &b);
    fw_images_clear(&a);
    fw_images_clear(&b);
    return st;
}
static fw_status dirs(void)
{
    fw_dirs d = {0};
    fw_status st = fw_storage_setup(reading);
    if (st == FW_OK)
        st = fw_project_dirs(reading, "p", &d);
    if (st == FW_OK)
        st = fw_path(&d, d.data, "x") == NULL ? FW_ENOMEM : FW_OK;
    fw_dirs_clear(&d);
    return st;
}

static void readers(void **state)
{
    (void)state;
    int n = 0;
    sample = random_images(9, 4, 4, 3, FW_U8, 3);
    for (int z = FW_PLAIN; z <= FW_ZLIB; z++) {
        assert_ok(fw_write_tfrecord(
            in_dir("r"), &sample,
            &(fw_write_opt){.shards = 2, .compression = (fw_compression)z, .overwrite = true}));
        char pattern[600];
        snprintf(pattern, sizeof pattern, "%s-*", in_dir("r"));
        reading = pattern;
        n += fail_each(read_records, "read records");
        n += fail_each(read_info, "scan");
        n += fail_each(read_summary, "inspect");
        n += fail_each(read_stream, "stream");
    }
    fw_images_clear(&sample);
    char csv[600], npy[600], idx[600];
    snprintf(csv, sizeof csv, "%s", in_dir("x.csv"));
    write_bytes(csv, "1,2,3,4,0\n1,2,3,4,1\n", 20);
    reading = csv;
    n += fail_each(import, "csv");
    static const char dict[] = "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 2), }";
    uint8_t b[200] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, sizeof dict - 1, 0};
    memcpy(b + 10, dict, sizeof dict - 1);
    snprintf(npy, sizeof npy, "%s", in_dir("x.npy"));
    write_bytes(npy, b, 10 + sizeof dict - 1 + 16);
    reading = npy;
    n += fail_each(import, "npy");
    const uint8_t images[24] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3};
    const uint8_t labels[10] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
    snprintf(idx, sizeof idx, "%s", in_dir("a-images-idx3-ubyte"));
    write_bytes(idx, images, sizeof images);
    write_bytes(in_dir("a-labels-idx1-ubyte"), labels, sizeof labels);
    reading = idx;
    n += fail_each(import, "idx");
    reading = test_dir;
    n += fail_each(dirs, "dirs");
    assert_true(n > 150);
}

/* A disk that fills up at any point: what was there stays, nothing half-written is left. */
static void fill_up(const char *dir, void (*limit)(size_t), const char *reason)
{
    char path[700];
    snprintf(path, sizeof path, "%s/full.tfrec", dir);
    fw_images small = random_images(2, 4, 4, 3, FW_U8, 3),
              large = random_images(3000, 16, 16, 3, FW_U8, 3);
    assert_ok(fw_write_tfrecord(path, &small, NULL));
    size_t n = 0, n_now = 0;
    uint8_t *before = read_bytes(path, &n);
    int refused = 0;
    const fw_write_opt forms[] = {{.overwrite = true},
                                  {.overwrite = true, .shards = 4},
                                  {.overwrite = true, .compression = FW_GZIP, .level = 1},
                                  {.overwrite = true, .as_float = true}};
    for (size_t k = 0; k < 4; k++) {
        const int files = count_files(dir);
        limit(100000);
        const fw_status st = fw_write_tfrecord(path, &large, &forms[k]);
        limit(0);
        assert_fails(st, FW_EIO, path, "cannot write", reason);
        assert_int_equal(count_files(dir), files);
        uint8_t *now = read_bytes(path, &n_now);
        assert_int_equal(n_now, n);
        assert_memory_equal(now, before, n);
        free(now);
        refused++;
    }
    fw_images back = {0};
    assert_ok(fw_read_tfrecord(path, &back));
    assert_int_equal(back.n, 2);
    fw_images_clear(&back);
    assert_int_equal(refused, 4);
    free(before);
    fw_images_clear(&small);
    fw_images_clear(&large);
}

static void limit_by_rlimit(size_t n)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = n == 0 ? r.rlim_max : n;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void file_size_limit(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    fill_up(test_dir, limit_by_rlimit, "File too large");
}

static void no_limit(size_t n)
{
    (void)n; /* the file system itself is small */
}

static void full_disk(void **state)
{
    (void)state;
    if (mount("none", test_dir, "tmpfs", 0, "size=256k") != 0) {
        print_message(
            "no tmpfs can be mounted here: a full disk was not tested, a file size limit was\n");
        skip();
    }
    fill_up(test_dir, no_limit, "No space left on device");
    /* the very last bytes: at any fill level an error or a whole file */
    char path[700], filler[700];
    snprintf(filler, sizeof filler, "%s/filler", test_dir);
    snprintf(path, sizeof path, "%s/x.bin", test_dir);
    int refused = 0;
    static const uint8_t zeros[300000];
    for (size_t fill = 100000; fill < 262144; fill += 8192) {
        FILE *f = fopen(filler, "wb");
        (void)!fwrite(zeros, 1, fill, f);
        fclose(f);
        if (fwi_write_file(path, zeros, 100000) != FW_OK) {
            assert_false(fwi_file_exists(path));
            refused++;
        }
        unlink(path);
    }
    assert_int_equal(count_files(test_dir), 3); /* filler, records, sidecar */
    assert_true(refused > 3);
    assert_int_equal(umount(test_dir), 0);
}

static int unmount_and_teardown(void **state)
{
    (void)umount(test_dir); /* a failed test may have left it */
    return dir_teardown(state);
}

/* The k-th file of three cannot get its name: none of the new ones stays, and where they were to take the place
 * of others, of these the first at most; never a mix of both that could be taken for a set. Nor of the two parts of
 * a pair. */
static void half_a_set(void **state)
{
    (void)state;
    fw_images im = random_images(9, 2, 2, 1, FW_U8, 3);
    for (int overwrite = 0; overwrite < 2; overwrite++)
        for (int k = 0; k < 4; k++) { /* 3: the sidecar */
            const fw_write_opt opt = {.shards = 3, .overwrite = overwrite == 1};
            if (overwrite == 1)
                assert_ok(fw_write_tfrecord(in_dir("h"), &im, &opt));
            renames_left = k;
            assert_fails(fw_write_tfrecord(in_dir("h"), &im, &opt), FW_EIO, in_dir("h"),
                         "cannot rename");
            renames_left = -1;
            /* the first one that failed may be the former file still; others went before the new came */
            assert_int_equal(count_files(test_dir), overwrite == 1 && k == 0);
            if (overwrite == 1 && k == 0)
                assert_int_equal(unlink(in_dir("h-00000-of-00003")), 0);
        }
    for (int k = 0; k < 4; k++) { /* both records, both sidecars */
        const fw_write_opt opt = {.overwrite = true};
        assert_ok(fw_write_tfrecord_pair(in_dir("a"), &im, in_dir("b"), &im, &opt));
        renames_left = k;
        assert_fails(fw_write_tfrecord_pair(in_dir("a"), &im, in_dir("b"), &im, &opt), FW_EIO, "",
                     "cannot rename");
        renames_left = -1;
        assert_int_equal(fwi_file_exists(in_dir("a")),
                         k != 1); /* the former, and from 2 on the new */
        assert_false(fwi_file_exists(in_dir("b")));
        assert_false(fwi_file_exists(in_dir("b.json")));
    }
    fw_images_clear(&im);
}

/* What has a file's name is on the disk, and then so is the name: a power cut leaves the old file or the new. */
static void synced_before_named(void **state)
{
    (void)state;
    const char *const path = in_dir("s");
    size_t n = 0;
    memset(calls, 0, sizeof calls);
    assert_ok(fwi_write_file(path, "old", 3));
    assert_string_equal(calls, "srS");
    for (int k = 0; k < 2; k++) { /* the file's sync fails, then its folder's */
        syncs_left = k;
        assert_fails(fwi_write_file(path, "newer", 5), FW_EIO, path,
                     k == 0 ? "cannot write" : "sync its folder", "Input/output error");
        syncs_left = -1;
        uint8_t *const now = read_bytes(path, &n);
        assert_int_equal(n, k == 0 ? 3 : 5);
        assert_memory_equal(now, k == 0 ? "old" : "newer", n);
        free(now);
        assert_int_equal(count_files(test_dir), 1);
    }
    /* of a set every file, before the first has its name */
    fw_images im = random_images(9, 2, 2, 1, FW_U8, 3);
    memset(calls, 0, sizeof calls);
    assert_ok(fw_write_tfrecord(in_dir("set"), &im, &(fw_write_opt){.shards = 3}));
    assert_int_equal(strspn(calls, "s"), 3); /* and then the sidecar */
    int synced = 0, named = 0;
    for (const char *c = calls; *c != 0; c++) {
        synced += *c == 's';
        named += *c == 'r' || *c == 'l';
        assert_true(named <= synced);
    }
    assert_int_equal(named, 4);
    assert_int_equal(calls[strlen(calls) - 1], 'S');
    fw_images_clear(&im);
    /* lines that are added to a file */
    fwi_file_writer *w = NULL;
    assert_ok(fwi_file_writer_append_lines(&w, path));
    memset(calls, 0, sizeof calls);
    assert_ok(fwi_file_writer_put(w, "line", 4));
    syncs_left = 0;
    assert_fails(fwi_file_writer_sync(w), FW_EIO, path, "cannot write", "Input/output error");
    syncs_left = -1;
    assert_string_equal(calls, "");
    assert_int_equal(fwi_file_writer_close(w), FW_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writers, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(half_a_set, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(synced_before_named, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(readers, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(file_size_limit, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(full_disk, dir_setup, unmount_and_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
