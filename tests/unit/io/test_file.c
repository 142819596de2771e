/* test_file.c: files written beside and renamed, reading, patterns, folders. */
#include "io_test.h"

#include "fail.h"

static void appears_only_when_committed(void **state)
{
    (void)state;
    const char *path = in_dir("a.bin");
    fwi_file_writer *w = NULL;
    assert_ok(fwi_file_writer_open(&w, path));
    assert_ok(fwi_file_writer_put(w, "hello", 5));
    assert_ok(fwi_file_writer_flush(w));
    assert_false(fwi_file_exists(path));
    assert_int_equal(count_files(test_dir), 1); /* the temporary one */
    assert_int_equal(fwi_file_writer_bytes(w), 5);
    assert_ok(fwi_file_writer_commit(w));
    assert_int_equal(count_files(test_dir), 1);
    fwi_buf b = {0};
    assert_ok(fwi_read_file(path, 100, &b));
    assert_int_equal(b.size, 5);
    assert_string_equal((const char *)b.data, "hello");

    assert_ok(fwi_file_writer_open(&w, path));
    assert_ok(fwi_file_writer_put(w, "other", 5));
    fwi_file_writer_discard(w);
    fwi_file_writer_discard(NULL);
    assert_int_equal(count_files(test_dir), 1);
    assert_ok(fwi_read_file(path, 5, &b));
    assert_string_equal((const char *)b.data, "hello");

    assert_fails(fwi_read_file(path, 4, &b), FW_EFORMAT, path, "more than 4 bytes");
    assert_fails(fwi_read_file(in_dir("none"), 4, &b), FW_ENOTFOUND, "none", "No such file");
    assert_fails(fwi_read_file(test_dir, 4, &b), FW_EIO, test_dir, "folder");
    fwi_buf_clear(&b);
}

/* Two that write one name without leave to replace: the first one's file stays. */
static void replaces_nothing(void **state)
{
    (void)state;
    const char *path = in_dir("first");
    fwi_file_writer *w[2] = {NULL, NULL};
    fwi_buf b = {0};
    const int files = count_files(test_dir);
    for (int i = 0; i < 2; i++) {
        assert_ok(fwi_file_writer_open(&w[i], path));
        fwi_file_writer_replace_nothing(w[i]);
        assert_ok(fwi_file_writer_put(w[i], i == 0 ? "one" : "two", 3));
    }
    assert_ok(fwi_file_writer_commit(w[0]));
    assert_fails(fwi_file_writer_commit(w[1]), FW_EEXISTS, "first: exists by now; not overwritten");
    assert_ok(fwi_read_file(path, 3, &b));
    assert_string_equal((const char *)b.data, "one");
    assert_int_equal(count_files(test_dir), files + 1);
    fwi_buf_clear(&b);
}

static void every_size(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 4095, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 700001};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        uint8_t *p = malloc(n + 1);
        assert_non_null(p);
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)random_word(i);
        fwi_file_writer *w = NULL;
        assert_ok(fwi_file_writer_open(&w, in_dir("sized")));
        for (size_t at = 0; at < n;) {
            size_t step = random_word(at) % 300000 + 1;
            step = step < n - at ? step : n - at;
            assert_ok(fwi_file_writer_put(w, p + at, step));
            at += step;
        }
        assert_ok(fwi_file_writer_seal(w));
        assert_ok(fwi_file_writer_commit(w));
        fwi_buf b = {0};
        assert_ok(fwi_read_file(in_dir("sized"), n, &b));
        assert_int_equal(b.size, n);
        assert_memory_equal(b.data, p, n);
        fwi_buf_clear(&b);
        free(p);
    }
}

static void reused_writer_allocates_nothing(void **state)
{
    (void)state;
    fwi_file_writer *w = NULL;
    assert_ok(fwi_file_writer_new(&w, 1000, 600));
    uint8_t p[5000];
    memset(p, 7, sizeof p);
    const int64_t before = fwi_mem_count();
    for (int i = 0; i < 20; i++) {
        assert_ok(fwi_file_writer_begin(w, in_dir(i % 2 == 0 ? "even" : "odd")));
        for (size_t n = 1; n < sizeof p; n += 777)
            assert_ok(fwi_file_writer_put(w, p, n));
        if (i % 5 == 4)
            fwi_file_writer_abort(w);
        else
            assert_ok(fwi_file_writer_end(w));
    }
    assert_int_equal(fwi_mem_count(), before);
    assert_fails(fwi_file_writer_put(w, p, 1), FW_ESTATE, "nothing is being written");
    assert_ok(fwi_file_writer_begin(w, in_dir("left")));
    assert_fails(fwi_file_writer_begin(w, in_dir("second")), FW_ESTATE, "left");
    fwi_file_writer_free(w); /* aborts */
    assert_false(fwi_file_exists(in_dir("left")));
    char longer[700];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_ok(fwi_file_writer_new(&w, 0, 600));
    assert_fails(fwi_file_writer_begin(w, longer), FW_EARG, "699 bytes, at most 599");
    fwi_file_writer_free(w);
}

static void appends_and_cuts(void **state)
{
    (void)state;
    const char *path = in_dir("log");
    fwi_file_writer *w = NULL;
    fwi_buf b = {0};
    assert_ok(fwi_file_writer_append(&w, path, -1));
    assert_ok(fwi_file_writer_put(w, "one\n", 4));
    assert_ok(fwi_file_writer_sync(w));
    assert_ok(fwi_read_file(path, 100, &b));
    assert_string_equal((const char *)b.data, "one\n");
    assert_ok(fwi_file_writer_put(w, "two\n", 4));
    assert_int_equal(fwi_file_writer_bytes(w), 8);
    assert_ok(fwi_file_writer_close(w));
    assert_ok(fwi_file_writer_append(&w, path, 4));
    assert_ok(fwi_file_writer_put(w, "2\n", 2));
    assert_ok(fwi_file_writer_close(w));
    assert_ok(fwi_read_file(path, 100, &b));
    assert_string_equal((const char *)b.data, "one\n2\n");
    assert_fails(fwi_file_writer_append(&w, path, 7), FW_EFORMAT, path, "has 6 bytes");
    fwi_buf_clear(&b);
}

/* A last line that was cut short goes, however long it is; the whole ones stay. */
static void appends_behind_whole_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t cut; /* bytes without a line's end behind it */
        const char *want;
    } cases[] = {
        {"", 0, "new\n"},        {"one\n", 0, "one\nnew\n"},    {"one\nhal", 0, "one\nnew\n"},
        {"hal", 0, "new\n"},     {"one\n", 4096, "one\nnew\n"}, {"one\n", 9999, "one\nnew\n"},
        {"\n\n", 1, "\n\nnew\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16], text[10240];
        const size_t n = strlen(cases[i].text);
        snprintf(name, sizeof name, "lines%zu", i);
        memcpy(text, cases[i].text, n);
        memset(text + n, 'x', cases[i].cut);
        write_bytes(in_dir(name), text, n + cases[i].cut);
        fwi_file_writer *w = NULL;
        fwi_buf b = {0};
        assert_ok(fwi_file_writer_append_lines(&w, in_dir(name)));
        assert_ok(fwi_file_writer_put(w, "new\n", 4));
        assert_ok(fwi_file_writer_close(w));
        assert_ok(fwi_read_file(in_dir(name), sizeof text, &b));
        assert_string_equal((const char *)b.data, cases[i].want);
        fwi_buf_clear(&b);
    }
    fwi_file_writer *w = NULL;
    assert_ok(fwi_file_writer_append_lines(&w, in_dir("fresh")));
    assert_ok(fwi_file_writer_close(w));
    assert_true(fwi_file_exists(in_dir("fresh")));
    assert_fails(fwi_file_writer_append_lines(&w, in_dir("no/such")), FW_EIO, "no/such");
    assert_fails(fwi_file_writer_append_lines(&w, NULL), FW_EARG, "NULL");
}

static void unwritable_places(void **state)
{
    (void)state;
    fwi_file_writer *w = NULL;
    write_bytes(in_dir("plain"), "x", 1);
    /* below a regular file: refused for everyone, root included, whom permission bits do not stop
     */
    assert_fails(fwi_file_writer_open(&w, in_dir("plain/file")), FW_EIO, "plain/file",
                 "cannot create", "Not a directory");
    assert_fails(fwi_file_writer_open(&w, in_dir("no/such/file")), FW_EIO, "no/such/file",
                 "No such file");
    assert_fails(fwi_file_writer_open(&w, test_dir), FW_EIO, test_dir, "it is a folder");
    /* a device or a pipe would make room for a file of its name */
    assert_int_equal(mkfifo(in_dir("pipe"), 0666), 0);
    assert_fails(fwi_file_writer_open(&w, in_dir("pipe")), FW_EIO, "pipe", "not a regular file");
    assert_int_equal(remove(in_dir("pipe")), 0);
    assert_fails(fwi_file_writer_open(&w, "gs://bucket/x"), FW_EUNAVAILABLE, "gs://bucket/x");
    assert_fails(fwi_file_writer_open(&w, ""), FW_EARG, "empty");
    assert_fails(fwi_mkdirs(in_dir("plain/sub")), FW_EIO, "plain/sub");
    assert_fails(fwi_mkdirs(in_dir("plain")), FW_EIO, "a file has that name");
    if (geteuid() != 0) {
        assert_int_equal(mkdir(in_dir("locked"), 0500), 0);
        assert_fails(fwi_file_writer_open(&w, in_dir("locked/file")), FW_EIO, "Permission denied");
    } else {
        print_message("running as root: permission bits do not apply, so they were not tested\n");
    }
    assert_int_equal(count_files(in_dir("no")), 0);
}

static void folders(void **state)
{
    (void)state;
    assert_ok(fwi_mkdirs(in_dir("p/q/r")));
    assert_ok(fwi_mkdirs(in_dir("p/q/r")));
    assert_ok(fwi_mkdirs(in_dir("p/q/s/")));
    assert_true(fwi_is_dir(in_dir("p/q/s")));
    char *j = fwi_path_join("a/", "b");
    assert_string_equal(j, "a/b");
    fwi_free(j);
    j = fwi_path_join("a", "b");
    assert_string_equal(j, "a/b");
    fwi_free(j);
    j = fwi_path_join("", "b");
    assert_string_equal(j, "b");
    fwi_free(j);
    assert_string_equal(fwi_path_base("/x/y.z"), "y.z");
    assert_string_equal(fwi_path_base("y.z"), "y.z");
    assert_int_equal(fwi_file_size(in_dir("p")), -1);
}

/* One at a time; and what one has is not taken away, though it is empty. */
static void locked_folders(void **state)
{
    (void)state;
    fwi_file_lock a = {0}, b = {0};
    char path[600];
    snprintf(path, sizeof path, "%s", in_dir("l/ock"));
    assert_ok(fwi_dir_lock_make(&a, path)); /* made, with its parents */
    assert_true(fwi_is_dir(path));
    assert_fails(fwi_dir_lock_make(&b, path), FW_ESTATE, path, "is in use by another run");
    assert_false(b.held);
    fwi_fail(FW_EIO, "why this is cleaned up");
    assert_false(fwi_dir_remove_unused(path));
    assert_string_equal(fw_last_error(), "why this is cleaned up");
    assert_true(fwi_is_dir(path));
    fwi_file_lock_leave(&a);
    assert_ok(fwi_dir_lock_make(&b, path));
    assert_ok(fwi_write_file(in_dir("l/ock/file"), "x", 1));
    fwi_file_lock_leave(&b);
    assert_false(fwi_dir_remove_unused(path)); /* it holds something */
    assert_int_equal(unlink(in_dir("l/ock/file")), 0);
    assert_true(fwi_dir_remove_unused(path));
    assert_false(fwi_dir_remove_unused(path));
    assert_false(fwi_is_dir(path));
    write_bytes(in_dir("plain"), "x", 1);
    assert_fails(fwi_dir_lock_make(&a, in_dir("plain")), FW_EIO, "plain");
    fwi_file_lock_leave(&a);
}

static void patterns(void **state)
{
    (void)state;
    assert_ok(fwi_mkdirs(in_dir("g")));
    const char *const names[] = {"g/b.rec", "g/a.rec",      "g/B.rec",
                                 "g/c.txt", "g/odd[1].rec", "g/x@3"};
    for (size_t i = 0; i < 6; i++)
        write_bytes(in_dir(names[i]), "x", 1);
    assert_ok(fwi_mkdirs(in_dir("g/dir.rec")));
    fwi_paths p = {0};
    assert_ok(fwi_glob(in_dir("g/?.rec"), &p));
    assert_int_equal(p.n, 3);
    assert_string_equal(fwi_path_base(p.items[0]), "B.rec"); /* by byte value */
    assert_string_equal(fwi_path_base(p.items[1]), "a.rec");
    assert_string_equal(fwi_path_base(p.items[2]), "b.rec");
    fwi_paths_clear(&p);
    assert_ok(fwi_glob(in_dir("g/odd[1].rec"), &p)); /* a file of exactly that name comes first */
    assert_int_equal(p.n, 1);
    fwi_paths_clear(&p);
    assert_ok(fwi_glob(in_dir("g/x@3"), &p));
    assert_int_equal(p.n, 1);
    fwi_paths_clear(&p);
    assert_ok(fwi_glob(in_dir("g/y@3"), &p));
    assert_int_equal(p.n, 3);
    assert_string_equal(fwi_path_base(p.items[2]), "y-00002-of-00003");
    fwi_paths_clear(&p);
    /* a sidecar goes with its file or its shards; other files of that kind do not */
    static const char *const records[] = {
        "g/x.tfrec", "g/x.tfrec.json", "g/z.tfrec-00000-of-00002", "g/z.tfrec-00001-of-00002",
        "g/z.tfrec.json", "g/y.tfrec.json",
        /* what a killed writer left is no file of the set; this other one is somebody's own */
        "g/x.tfrec.tmp-123-0", "g/z.tfrec-00001-of-00002.tmp-9-41", "g/x.tfrec.tmp-old"};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        write_bytes(in_dir(records[i]), "x", 1);
    assert_ok(fwi_glob(in_dir("g/x.tfrec*"), &p));
    assert_int_equal(p.n, 2);
    assert_string_equal(fwi_path_base(p.items[0]), "x.tfrec");
    assert_string_equal(fwi_path_base(p.items[1]), "x.tfrec.tmp-old");
    fwi_paths_clear(&p);
    assert_ok(fwi_glob(in_dir("g/?.tfrec*"), &p));
    assert_int_equal(p.n, 5);
    assert_string_equal(fwi_path_base(p.items[2]), "y.tfrec.json");
    fwi_paths_clear(&p);
    assert_fails(fwi_glob(in_dir("g/*-0"), &p), FW_ENOTFOUND, "*-0");
    assert_ok(fwi_glob(in_dir("g/x.tfrec.tmp-123-0"), &p)); /* asked for by its name */
    assert_int_equal(p.n, 1);
    fwi_paths_clear(&p);
    assert_fails(fwi_glob(in_dir("g/*.none"), &p), FW_ENOTFOUND, "*.none");
    assert_fails(fwi_glob(in_dir("g/d*.rec"), &p), FW_ENOTFOUND, "folders only");
    assert_fails(fwi_glob(in_dir("g/y@0"), &p), FW_ENOTFOUND, "y@0");
    assert_fails(fwi_glob(in_dir("g/y@999999"), &p), FW_ENOTFOUND, "y@999999");
    assert_fails(fwi_glob("", &p), FW_EARG, "empty");
    assert_fails(fwi_glob("s3://b/x*", &p), FW_EUNAVAILABLE, "s3://");
    assert_null(p.items);
}

static void shards(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "x",
                                         "-00000-of-00001", /* of nothing */
                                         "x-00001-of-00001",
                                         "x-00000-of-00000",
                                         "x-0000-of-00002",
                                         "x-00000-of-000002",
                                         "x-00000-off00002",
                                         "x-00000-of-00002.json",
                                         "x_00000-of-00002",
                                         "x-0000a-of-00002"};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        assert_int_equal(fwi_shard_parse(others[k], NULL, NULL), 0);
    static const int64_t cases[][2] = {{0, 1}, {3, 5}, {99998, 99999}, {0, 99999}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int64_t i = -1, n = -1;
        char *path = fwi_shard_path("a/b-00000-of-00009.tfrec, cut", 24, cases[k][0], cases[k][1]);
        assert_non_null(path);
        assert_int_equal(fwi_shard_parse(path, &i, &n), 24);
        assert_int_equal(i, cases[k][0]);
        assert_int_equal(n, cases[k][1]);
        assert_memory_equal(path, "a/b-00000-of-00009.tfrec", 24);
        fwi_free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appears_only_when_committed, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(replaces_nothing, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(every_size, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(reused_writer_allocates_nothing, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(appends_and_cuts, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(appends_behind_whole_lines, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(unwritable_places, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(folders, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(locked_folders, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(patterns, dir_setup, dir_teardown),
        cmocka_unit_test(shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
