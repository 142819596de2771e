/* test_records.c: images to record files and back, in every form; what is kept, what is refused,
 * what a sidecar says, and what inspecting shows. */
#include "io_test.h"

#include "example.h"
#include "sidecar.h"

#include <math.h>

static void expect_same(const fw_images *a, const fw_images *b, bool as_float)
{
    assert_int_equal(b->n, a->n);
    assert_int_equal(b->h, a->h);
    assert_int_equal(b->w, a->w);
    assert_int_equal(b->c, a->c);
    assert_int_equal(b->dtype, as_float ? FW_F32 : a->dtype);
    for (int64_t i = 0; i < a->n * a->h * a->w * a->c; i++) {
        const float want = a->dtype == FW_U8 ? ((uint8_t *)a->pixels)[i] : ((float *)a->pixels)[i];
        const float got = b->dtype == FW_U8 ? ((uint8_t *)b->pixels)[i] : ((float *)b->pixels)[i];
        assert_true(want == got);
    }
}

static void round_trips(void **state)
{
    (void)state;
    const int64_t sizes[][4] = {{1, 1, 1, 1}, {23, 5, 7, 3}, {7, 1, 9, 8}, {40, 8, 8, 1}};
    const int64_t shards[] = {0, 1, 3, 7};
    int cases = 0;
    for (size_t k = 0; k < 4; k++)
        for (int form = 0; form < 24; form++) {
            const bool floats = form % 2, no_labels = form % 4 / 2, as_float = floats || form >= 12;
            const fw_compression z = (fw_compression)(form / 4 % 3);
            const int64_t n_shards = k == 0 ? form % 2 : shards[(size_t)form % 4];
            const int64_t *d = sizes[k];
            fw_images im = random_images(d[0], d[1], d[2], d[3], floats ? FW_F32 : FW_U8, 4);
            const fw_write_opt opt = {.as_float = as_float,
                                      .overwrite = true,
                                      .shards = n_shards,
                                      .compression = z,
                                      .no_labels = no_labels};
            assert_ok(fw_write_tfrecord(in_dir("r.tfrec"), &im, &opt));
            char pattern[600];
            snprintf(pattern, sizeof pattern, "%s", in_dir("r.tfrec"));
            if (n_shards > 1)
                snprintf(pattern, sizeof pattern, "%s@%lld", in_dir("r.tfrec"),
                         (long long)n_shards);
            /* once with the sidecar, once without; the shape of floats must then come from
             * elsewhere */
            for (int side = 1; side >= 0; side--) {
                fw_images back = {0};
                if (side == 0)
                    assert_int_equal(unlink(in_dir("r.tfrec.json")), 0);
                if (side == 0 && as_float) {
                    assert_fails(fw_read_tfrecord(pattern, &back), FW_ESHAPE, "record 0 at byte 0",
                                 "values and no shape", "height, width");
                    fw_record_info info = {0};
                    assert_ok(fw_record_info_scan(pattern, d[1], d[2], d[3], &info));
                    assert_int_equal(info.n, d[0]);
                    assert_int_equal(info.labelled, !no_labels);
                    fw_record_info_clear(&info);
                    continue;
                }
                assert_ok(fw_read_tfrecord(pattern, &back));
                expect_same(&im, &back, as_float);
                if (no_labels) {
                    assert_null(back.labels);
                } else {
                    assert_memory_equal(back.labels, im.labels, (size_t)d[0] * 4);
                    assert_int_equal(back.n_classes, side ? 4 : d[0] == 1 ? 1 : 4);
                }
                assert_string_equal(back.source,
                                    side ? "random test images" : fwi_path_base(pattern));
                fw_images_clear(&back);
            }
            fw_images_clear(&im);
            cases++;
        }
    assert_int_equal(cases, 96);
}

static void sidecar_says_it_all(void **state)
{
    (void)state;
    fw_images im = random_images(20, 3, 4, 2, FW_U8, 3);
    im.class_names = fwi_alloc_array(3, sizeof *im.class_names);
    im.class_names[0] = fwi_strdup("caf\xc3\xa9");
    im.class_names[1] = fwi_strdup("line\nbreak \"quoted\"");
    im.class_names[2] = fwi_strdup("not utf-8 \xff");
    assert_ok(fw_images_stats(&im));
    const fw_write_opt three = {.shards = 3};
    for (int again = 0; again < 2; again++) /* what cannot be written as it is, is the same again */
        assert_ok(fw_write_tfrecord(in_dir("s"), &im, &three));
    im.class_names[2][10] = 'g';
    assert_fails(fw_write_tfrecord(in_dir("s"), &im, &three), FW_EEXISTS, "other names of classes");
    im.class_names[2][10] = '\xff';
    char *const name = im.class_names[1];
    im.class_names[1] = NULL;
    assert_fails(fw_write_tfrecord(in_dir("s"), &im, &three), FW_EARG, "class name 1 is NULL");
    im.class_names[1] = name;
    fw_record_info with = {0}, scanned = {0}, one = {0};
    assert_ok(fw_record_info_read(in_dir("s@3"), &with));
    assert_ok(fw_record_info_scan(in_dir("s-*-of-00003"), 0, 0, 0, &scanned));
    assert_int_equal(with.n, 20);
    assert_int_equal(scanned.n, 20);
    assert_int_equal(with.h * 100 + with.w * 10 + with.c, 342);
    assert_string_equal(with.class_names[0], im.class_names[0]);
    assert_string_equal(with.class_names[1], im.class_names[1]);
    assert_string_equal(with.class_names[2], "not utf-8 ?");
    for (int k = 0; k < 2;
         k++) { /* bit for bit: through decimal text, and again from the records */
        assert_true(with.mean[k] == im.mean[k] && with.std[k] == im.std[k]);
        assert_true(scanned.mean[k] == im.mean[k] && scanned.std[k] == im.std[k]);
    }
    /* one shard alone: counted by a scan, with the shape and classes of the sidecar */
    assert_ok(fw_record_info_read(in_dir("s-00001-of-00003"), &one));
    assert_int_equal(one.n, 7);
    assert_int_equal(one.n_classes, 3);
    assert_string_equal(one.class_names[0], im.class_names[0]);
    assert_true(one.mean[0] != with.mean[0]);
    fw_record_info_clear(&with);
    fw_record_info_clear(&scanned);
    fw_record_info_clear(&one);
    fw_record_info_clear(&one);
    fw_images_clear(&im);
}

static void kept_or_refused(void **state)
{
    (void)state;
    const char *path = in_dir("k.tfrec");
    fw_images im = random_images(10, 2, 2, 1, FW_U8, 3);
    struct stat first, now;
    assert_ok(fw_write_tfrecord(path, &im, NULL));
    assert_int_equal(stat(path, &first), 0);
    assert_ok(fw_write_tfrecord(path, &im, NULL)); /* kept */
    assert_int_equal(stat(path, &now), 0);
    assert_int_equal(now.st_ino, first.st_ino);
    assert_fails(fw_write_tfrecord(path, &im, &(fw_write_opt){.as_float = true}), FW_EEXISTS, path,
                 "another form", "random test images");
    assert_fails(fw_write_tfrecord(path, &im, &(fw_write_opt){.compression = FW_GZIP}), FW_EEXISTS,
                 "another form");
    assert_fails(fw_write_tfrecord(path, &im, &(fw_write_opt){.no_labels = true}), FW_EEXISTS,
                 "another form");
    im.source[0] = 'X';
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EEXISTS, "another source");
    im.source[0] = 'r';
    static char *names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    assert_true(im.class_names == NULL && im.n_classes <= 10);
    im.class_names = names;
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EEXISTS, "other names of classes");
    im.class_names = NULL;
    im.labels[3] ^= 1;
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EEXISTS, "other images");
    assert_ok(fw_write_tfrecord(path, &im, &(fw_write_opt){.overwrite = true}));
    assert_int_equal(stat(path, &now), 0);
    assert_int_not_equal(now.st_ino, first.st_ino);
    assert_ok(fw_write_tfrecord(path, &im, NULL));
    assert_int_equal(truncate(path, 40), 0);
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EEXISTS, "k.tfrec.json", "but it has 40");
    fw_record_info info = {0};
    assert_fails(fw_record_info_read(path, &info), FW_EFORMAT, "k.tfrec.json", "but it has 40");
    write_bytes(in_dir("k.tfrec.json"), "{", 1);
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EEXISTS, "k.tfrec.json: line 1");
    assert_int_equal(unlink(in_dir("k.tfrec.json")), 0);
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EEXISTS, "no sidecar");
    assert_int_equal(count_files(test_dir), 1);
    fw_images_clear(&im);
}

static void refused_arguments(void **state)
{
    (void)state;
    fw_images im = random_images(10, 2, 2, 1, FW_F32, 3);
    const char *path = in_dir("a.tfrec");
    assert_fails(fw_write_tfrecord(NULL, &im, NULL), FW_EARG, "NULL");
    assert_fails(fw_write_tfrecord(path, NULL, NULL), FW_EARG, "NULL");
    assert_fails(fw_write_tfrecord(path, &(fw_images){0}, NULL), FW_EARG, "no images");
    assert_fails(fw_write_tfrecord(path, &im, NULL), FW_EARG, "as_float");
    assert_fails(fw_write_tfrecord("gs://b/x", &im, NULL), FW_EUNAVAILABLE, "gs://b/x");
    for (int i = 0; i < 2; i++) { /* what the sidecar's reader would refuse */
        im.n_classes = i == 0 ? -1 : (1 << 20) + 1;
        assert_fails(fw_write_tfrecord(path, &im, &(fw_write_opt){.as_float = true}), FW_EARG,
                     "classes, expected 0 to 1048576");
    }
    im.n_classes = 3;
    fw_write_opt opt = {.as_float = true, .shards = 11};
    assert_fails(fw_write_tfrecord(path, &im, &opt), FW_EARG, "11 shards of 10 records");
    opt.shards = -1;
    assert_fails(fw_write_tfrecord(path, &im, &opt), FW_EARG, "-1 shards");
    opt.shards = 0;
    im.labels[4] = 3;
    assert_fails(fw_write_tfrecord(path, &im, &opt), FW_EARG,
                 "record 4: label 3, there are 3 classes");
    im.labels[4] = -1;
    assert_fails(fw_write_tfrecord(path, &im, &opt), FW_EARG, "record 4: label -1");
    im.labels[4] = 0;
    ((float *)im.pixels)[17] = NAN;
    assert_fails(fw_write_tfrecord(path, &im, &opt), FW_EFORMAT, "record 4: value 1 is nan");
    assert_fails(fw_write_tfrecord(in_dir("no/x"), &im, &opt), FW_EFORMAT, "");
    ((float *)im.pixels)[17] = 0;
    assert_fails(fw_write_tfrecord(in_dir("no/x"), &im, &opt), FW_EIO, "no/x", "cannot create");
    write_bytes(in_dir("file"), "x", 1);
    assert_fails(fw_write_tfrecord(in_dir("file/x"), &im, &opt), FW_EIO, "file/x",
                 "Not a directory");
    assert_int_equal(count_files(test_dir), 1);
    fw_images_clear(&im);
}

static void put_record(fw_tfrecord_writer *w, const fwi_example_image *e)
{
    fwi_buf b = {0};
    assert_ok(fwi_example_image_encode(e, &b));
    assert_ok(fw_tfrecord_put(w, b.data, b.size));
    fwi_buf_clear(&b);
}

/* Two good records and a third one that is not like them. */
static const char *write_odd(const fwi_example_image *odd)
{
    static const uint8_t px[12] = {1, 2, 3};
    const fwi_example_image good = {.u8 = px,
                                    .n_values = 12,
                                    .h = 2,
                                    .w = 2,
                                    .c = 3,
                                    .has_shape = true,
                                    .has_label = true,
                                    .label = 1};
    fw_tfrecord_writer *w = NULL;
    const char *path = in_dir("odd.tfrec");
    assert_ok(fw_tfrecord_create(&w, path, FW_PLAIN, 0));
    put_record(w, &good);
    put_record(w, &good);
    put_record(w, odd);
    assert_ok(fw_tfrecord_commit(w));
    return path;
}

static void odd_records(void **state)
{
    (void)state;
    static const uint8_t px[24] = {0};
    static const float fx[12] = {0};
    static const uint8_t jpeg[12] = {0xff, 0xd8, 0xff};
    static const float inf[12] = {[7] = -INFINITY};
    const struct {
        fwi_example_image e;
        fw_status st;
        const char *word;
    } cases[] = {
        {{.u8 = px, .n_values = 24, .h = 2, .w = 4, .c = 3, .has_shape = true, .has_label = true},
         FW_ESHAPE,
         "2 x 4 x 3, expected 2 x 2 x 3"},
        {{.u8 = px, .n_values = 11, .has_label = true}, FW_ESHAPE, "11 bytes and no shape"},
        {{.f32 = fx, .n_values = 12, .has_label = true},
         FW_EFORMAT,
         "float, the records before are bytes"},
        {{.u8 = px, .n_values = 12}, FW_EFORMAT, "has no label, the records before have one"},
        {{.u8 = px, .n_values = 12, .has_label = true, .label = -1}, FW_EFORMAT, "label -1"},
        {{.u8 = px, .n_values = 12, .has_label = true, .label = INT64_MAX},
         FW_EFORMAT,
         "label 9223372036854775807"},
        {{.u8 = jpeg, .n_values = 12, .has_label = true}, FW_EUNAVAILABLE, "JPEG"},
        {{.f32 = inf, .n_values = 12, .has_label = true},
         FW_EFORMAT,
         "value 7 of the image is -inf"},
    };
    fw_images im = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_odd(&cases[i].e);
        assert_fails(fw_read_tfrecord(path, &im), cases[i].st, "odd.tfrec: record 2 at byte ",
                     cases[i].word);
    }
    /* no shape, but the right length: raw, as the records before are */
    const fwi_example_image raw = {.u8 = px, .n_values = 12, .has_label = true, .label = 4};
    assert_ok(fw_read_tfrecord(write_odd(&raw), &im));
    assert_int_equal(im.n_classes, 5);
    fw_images_clear(&im);
    fw_tfrecord_writer *w = NULL;
    assert_ok(fw_tfrecord_create(&w, in_dir("odd.tfrec"), FW_PLAIN, 0));
    assert_ok(fw_tfrecord_commit(w));
    assert_fails(fw_read_tfrecord(in_dir("odd.tfrec"), &im), FW_EFORMAT, "holds no records");
}

/* A pipe is not waited for. */
static void no_regular_files(void **state)
{
    (void)state;
    fw_record_info info = {0};
    fw_record_summary sum = {0};
    assert_int_equal(mkfifo(in_dir("pipe.tfrec"), 0600), 0);
    assert_fails(fw_record_info_read(in_dir("pipe.tfrec"), &info), FW_EIO, "pipe.tfrec",
                 "no regular file");
    assert_fails(fw_record_inspect(in_dir("p*.tfrec"), false, &sum), FW_EIO, "pipe.tfrec",
                 "no regular file");
    /* a name that is not UTF-8 stands in the sidecar, and is told from others all the same */
    fw_images im = random_images(4, 2, 2, 1, FW_U8, 3);
    assert_ok(fw_write_tfrecord(in_dir("\xe4.tfrec"), &im, NULL));
    assert_ok(fw_write_tfrecord(in_dir("\xe4.tfrec"), &im, NULL));
    assert_ok(fw_record_info_read(in_dir("\xe4.tfrec"), &info));
    assert_string_equal(info.source, "random test images"); /* of the sidecar: a scan knows none */
    fw_record_info_clear(&info);
    fw_images_clear(&im);
}

/* Shards of which one is gone, and a sidecar of which nothing can be told. */
static void parts_that_are_missing(void **state)
{
    (void)state;
    const char *path = in_dir("m.tfrec");
    fw_images im = random_images(10, 2, 2, 1, FW_U8, 3);
    fw_record_info info = {0};
    assert_ok(fw_write_tfrecord(path, &im, &(fw_write_opt){.shards = 3}));
    assert_int_equal(unlink(in_dir("m.tfrec-00001-of-00003")), 0);
    assert_fails(fw_record_info_read(in_dir("m.tfrec@3"), &info), FW_ENOTFOUND,
                 "m.tfrec-00001-of-00003: no such file, though", "m.tfrec.json lists it");
    assert_fails(fw_write_tfrecord(path, &im, &(fw_write_opt){.shards = 3}), FW_EEXISTS,
                 "m.tfrec-00000-of-00003: exists and is not overwritten",
                 "m.tfrec-00001-of-00003: no such file");
    /* Written in another number, beside what is left of the former: none of its names is there. */
    write_bytes(in_dir("m.tfrec.json"), "{", 1);
    assert_fails(fw_write_tfrecord(path, &im, &(fw_write_opt){.shards = 2}), FW_EEXISTS,
                 "m.tfrec: its sidecar cannot be read", "m.tfrec.json: line 1");
    assert_int_equal(count_files(test_dir), 3);
    assert_ok(fw_write_tfrecord(path, &im, &(fw_write_opt){.shards = 2, .overwrite = true}));
    assert_ok(fw_record_info_read(in_dir("m.tfrec@2"), &info));
    assert_int_equal(info.n, 10);
    fw_record_info_clear(&info);
    fw_images_clear(&im);
}

static void stopped(void **state)
{
    (void)state;
    const volatile sig_atomic_t stop = 1, go_on = 0;
    fw_images im = random_images(10, 2, 2, 1, FW_U8, 3);
    const int before = count_files(test_dir);
    assert_fails(
        fw_write_tfrecord(in_dir("st.tfrec"), &im, &(fw_write_opt){.shards = 3, .stop = &stop}),
        FW_ESTOPPED, "st.tfrec: stopped");
    assert_int_equal(count_files(test_dir), before);
    assert_ok(fw_write_tfrecord(in_dir("st.tfrec"), &im, &(fw_write_opt){.stop = &go_on}));
    fw_images_clear(&im);
}

/* The sidecar says fewer classes than a record has. */
static void label_outside_the_classes(void **state)
{
    (void)state;
    fw_images im = random_images(10, 2, 2, 1, FW_U8, 9), back = {0};
    assert_ok(fw_write_tfrecord(in_dir("l"), &im, NULL));
    size_t n = 0;
    char *text = (char *)read_bytes(in_dir("l.json"), &n);
    char *at = strstr(text, "\"classes\": 9");
    assert_non_null(at);
    at[11] = '7';
    write_bytes(in_dir("l.json"), text, n);
    free(text);
    assert_fails(fw_read_tfrecord(in_dir("l"), &back), FW_EFORMAT, "l: record 1 at byte ",
                 "label 7, there are 7 classes");
    fw_images_clear(&im);
}

/* A list without names is no list of names: the scan, which finds classes, must not count them as
 * names. */
static void no_names_in_the_list(void **state)
{
    (void)state;
    static const char text[] =
        "{\"version\":1,\"count\":0,\"shape\":[2,2,1],\"type\":\"uint8\",\"labelled\":false,"
        "\"classes\":[],\"mean\":[0],\"std\":[0],\"source\":\"\",\"digest\":\"\","
        "\"compression\":\"none\",\"files\":[]}";
    fw_images im = random_images(20, 2, 2, 1, FW_U8, 10), back = {0};
    fw_record_info info = {0};
    assert_ok(fw_write_tfrecord(in_dir("e.tfrec"), &im, NULL));
    write_bytes(in_dir("e.tfrec.json"), text, sizeof text - 1);
    assert_ok(fw_record_info_read(in_dir("e.tfrec"), &info));
    assert_int_equal(info.n_classes, 10);
    assert_null(info.class_names);
    fw_record_info_clear(&info);
    assert_ok(fw_read_tfrecord(in_dir("e.tfrec"), &back));
    expect_same(&im, &back, false);
    assert_int_equal(back.n_classes, 10);
    assert_null(back.class_names);
    fw_images_clear(&back);
    fw_images_clear(&im);
}

/* A sidecar may name what is the user's, or itself: of a former set goes what is called as one of its files. */
static void foreign_names(void **state)
{
    (void)state;
    const fw_write_opt over = {.overwrite = true};
    const fw_write_opt three = {.overwrite = true, .shards = 3};
    fw_images im = random_images(6, 2, 2, 1, FW_U8, 5);
    fwi_sidecar s = {0};
    assert_ok(fw_write_tfrecord(in_dir("f"), &im, &three));
    static const char *const others[] = {"f.bak", "f.json", "f-00001-of-00003"};
    assert_ok(fwi_sidecar_read(in_dir("f.json"), &s));
    assert_int_equal(s.n_files, 3);
    for (int64_t i = 0; i < 3; i++) {
        fwi_free(s.files[i].name);
        assert_non_null(s.files[i].name = fwi_strdup(others[i]));
    }
    assert_ok(fwi_sidecar_write(in_dir("f.json"), &s));
    fwi_sidecar_clear(&s);
    write_bytes(in_dir("f.bak"), "mine", 4);
    assert_ok(fw_write_tfrecord(in_dir("f"), &im, &over));
    assert_true(fwi_file_exists(in_dir("f.bak")) && fwi_file_exists(in_dir("f.json")));
    assert_true(fwi_file_exists(in_dir("f")) && !fwi_file_exists(in_dir("f-00001-of-00003")));
    fw_images_clear(&im);
}

/* What cannot be looked at is not taken for nothing. */
static void not_to_be_seen(void **state)
{
    (void)state;
    fw_images im = random_images(6, 2, 2, 1, FW_U8, 5);
    fw_record_info info = {0};
    fwi_paths found = {0};
    assert_ok(fw_write_tfrecord(in_dir("l"), &im, NULL));
    assert_int_equal(unlink(in_dir("l.json")), 0);
    assert_int_equal(symlink("l.json", in_dir("l.json")), 0); /* ELOOP, for root too */
    assert_fails(fw_record_info_read(in_dir("l"), &info), FW_EIO, "l.json: cannot look at it: ");
    assert_int_equal(symlink("m", in_dir("m")), 0);
    assert_fails(fwi_glob(in_dir("m"), &found), FW_EIO, "m: cannot look at it: ");
    assert_fails(fw_import(in_dir("m"), NULL, &im, &im), FW_EIO, "m: cannot look at it: ");
    assert_fails(fw_cifar10_load(in_dir("m"), &im, &im), FW_EIO, "m: cannot look at it: ");
    assert_fails(fw_write_tfrecord(in_dir("m"), &im, NULL), FW_EIO, "m: cannot look at it: ");
    assert_int_equal(symlink("nowhere", in_dir("n")), 0); /* a name that is taken, all the same */
    assert_fails(fw_write_tfrecord(in_dir("n"), &im, NULL), FW_EEXISTS,
                 "n: exists, and no sidecar");
    assert_int_equal(symlink("p-labels-idx1-ubyte", in_dir("p-labels-idx1-ubyte")), 0);
    write_bytes(in_dir("p-images-idx3-ubyte"), "\0\0\10\3\0\0\0\1\0\0\0\1\0\0\0\1\7", 17);
    fw_images none = {0};
    assert_fails(fw_import(in_dir("p-images-idx3-ubyte"), NULL, &none, &none), FW_EIO,
                 "p-labels-idx1-ubyte: cannot look at it: ");
    fw_images_clear(&im);
}

static void damaged_sidecars(void **state)
{
    (void)state;
    fw_images im = random_images(10, 2, 3, 2, FW_U8, 3);
    fwi_sidecar s = {0};
    assert_ok(fw_write_tfrecord(in_dir("d"), &im, NULL));
    fw_images_clear(&im);
    size_t n = 0;
    char *text = (char *)read_bytes(in_dir("d.json"), &n);
    text[n] = '\0';
    assert_ok(fwi_sidecar_parse("good", text, n, &s));
    assert_int_equal(s.n_files, 1);
    fwi_sidecar_clear(&s);
    for (size_t keep = 0; keep + 2 < n; keep++)
        assert_fails(fwi_sidecar_parse("cut.json", text, keep, &s), FW_EFORMAT, "cut.json: line ",
                     "column ");
    const char *const edits[][3] = {
        {"\"version\": 1", "\"version\": 2", "\"version\" is 2"},
        {"\"count\": 10", "\"count\": -1", "\"count\" is -1"},
        {"\"count\": 10", "\"count\": 11", "the files have 10 records"},
        {"\"count\": 10", "\"count\": 9", "more records"},
        {"\"count\": 10", "\"count\": 1e1", "\"count\""},
        {"\"count\"", "\"kount\"", "\"count\" is missing"},
        {"\"shape\"", "\"shade\"", "\"shape\" is missing"},
        {"\"type\": \"uint8\"", "\"type\": \"int8\"", "\"type\""},
        {"\"labelled\": true", "\"labelled\": 1", "\"labelled\""},
        {"\"classes\": 3", "\"classes\": -3", "\"classes\" is -3"},
        {"\"classes\": 3", "\"classes\": 0", "at least one class"},
        {"\"classes\": 3", "\"classes\": [1]", "\"classes\""},
        {"\"mean\": [", "\"mean\": [0,", "\"mean\""},
        {"\"std\": [", "\"std\": [\"x\",", "\"std\""},
        {"\"compression\": \"none\"", "\"compression\": \"lz4\"", "\"compression\""},
        {"\"source\": \"", "\"source\": 1, \"x\": \"", "\"source\""},
        {"\"digest\"", "\"dig\"", "\"digest\""},
        {"\"bytes\": ", "\"bytes\": -", "\"bytes\""},
        {"\"records\": ", "\"rec\": ", "\"records\""},
        {"\"records\": 10", "\"records\": 1000000", "cannot hold 1000000 records"},
        {"\"name\": ", "\"count\": ", "\"name\""},
        {"\"source\"", "\"count\"", "duplicate"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char *at = strstr(text, edits[i][0]);
        assert_non_null(at);
        char *changed = malloc(n + 100);
        snprintf(changed, n + 100, "%.*s%s%s", (int)(at - text), text, edits[i][1],
                 at + strlen(edits[i][0]));
        assert_fails(fwi_sidecar_parse("bad.json", changed, strlen(changed), &s), FW_EFORMAT,
                     "bad.json: ", edits[i][2]);
        free(changed);
    }
    assert_fails(fwi_sidecar_parse("bad.json", "[1]", 3, &s), FW_EFORMAT,
                 "bad.json: expected one JSON object");
    assert_fails(fwi_sidecar_read(in_dir("none.json"), &s), FW_ENOTFOUND, "none.json");
    write_bytes(in_dir("d.json"), text, n / 2);
    fw_record_info info = {0};
    assert_fails(fw_record_info_read(in_dir("d"), &info), FW_EFORMAT, "d.json: line ");
    free(text);
}

/* Two parts are written before one has its name; no failure leaves an old part beside a new one. */
static void pairs(void **state)
{
    (void)state;
    char a[600], b[600];
    snprintf(a, sizeof a, "%s", in_dir("p-train.tfrec"));
    snprintf(b, sizeof b, "%s", in_dir("p-test.tfrec"));
    fw_images first[2], second[2], back = {0};
    for (int i = 0; i < 2; i++) {
        first[i] = random_images(9 + i, 3, 3, 1, FW_U8, 4);
        second[i] = random_images(5 + i, 3, 3, 1, FW_U8, 4);
    }
    fw_write_opt opt = {.shards = 3};
    assert_fails(fw_write_tfrecord_pair(a, &first[0], a, &first[1], &opt), FW_EARG, "the same");
    assert_fails(fw_write_tfrecord_pair(a, &first[0], b, NULL, &opt), FW_EARG, "NULL");
    assert_ok(fw_write_tfrecord_pair(a, &first[0], b, &first[1], &opt));
    assert_ok(fw_write_tfrecord_pair(a, &first[0], b, &first[1], &opt)); /* there already */
    assert_fails(fw_write_tfrecord_pair(a, &first[0], b, &second[1], &opt), FW_EEXISTS, b);
    opt.overwrite = true;
    second[1].labels[2] =
        4; /* there are 4 classes: the second part is refused, and the first with it */
    assert_fails(fw_write_tfrecord_pair(a, &second[0], b, &second[1], &opt), FW_EARG, "label 4");
    for (int i = 0; i < 2; i++) {
        char pattern[700];
        snprintf(pattern, sizeof pattern, "%s@3", i == 0 ? a : b);
        assert_ok(fw_read_tfrecord(pattern, &back));
        expect_same(&first[i], &back, false);
        fw_images_clear(&back);
    }
    second[1].labels[2] = 3;
    /* The name of one shard of the test part cannot be had: what is left is the old training part and no test part. */
    char taken[700], pattern[700];
    snprintf(taken, sizeof taken, "%s-00002-of-00003", b);
    assert_int_equal(unlink(taken), 0);
    assert_ok(fwi_mkdirs(taken));
    assert_fails(fw_write_tfrecord_pair(a, &second[0], b, &second[1], &opt), FW_EIO, taken);
    snprintf(pattern, sizeof pattern, "%s@3", a);
    assert_ok(fw_read_tfrecord(pattern, &back));
    expect_same(&first[0], &back, false);
    fw_images_clear(&back);
    assert_int_equal(rmdir(taken), 0);
    assert_ok(fw_write_tfrecord_pair(a, &second[0], b, &second[1], &opt));
    for (int i = 0; i < 2; i++) {
        snprintf(pattern, sizeof pattern, "%s@3", i == 0 ? a : b);
        assert_ok(fw_read_tfrecord(pattern, &back));
        expect_same(&second[i], &back, false);
        fw_images_clear(&back);
        fw_images_clear(&first[i]);
        fw_images_clear(&second[i]);
    }
}

static void inspected(void **state)
{
    (void)state;
    fw_images im = random_images(12, 2, 3, 2, FW_U8, 3);
    fw_record_summary s = {0};
    for (int z = FW_PLAIN; z <= FW_ZLIB; z++)
        for (int verify = 0; verify < 2; verify++) {
            assert_ok(fw_write_tfrecord(
                in_dir("i"), &im,
                &(fw_write_opt){.shards = 2, .compression = (fw_compression)z, .overwrite = true}));
            assert_ok(fw_record_inspect(in_dir("i@2"), verify, &s));
            assert_int_equal(s.n_files, 2);
            assert_int_equal(s.n_records, 12);
            assert_int_equal(s.compression, z);
            assert_int_equal(s.n_bytes, fwi_file_size(in_dir("i-00000-of-00002")) +
                                            fwi_file_size(in_dir("i-00001-of-00002")));
            assert_string_equal(s.features, "image bytes, label int64, shape int64[3]");
            fw_record_summary_clear(&s);
        }
    assert_ok(
        fw_write_tfrecord(in_dir("f"), &im, &(fw_write_opt){.as_float = true, .no_labels = true}));
    assert_ok(fw_record_inspect(in_dir("f"), true, &s));
    assert_string_equal(s.features, "image float[12]");
    fw_record_summary_clear(&s);
    /* a flipped data bit shows only when every record is read */
    size_t n = 0;
    uint8_t *p = read_bytes(in_dir("f"), &n);
    p[n - 10] ^= 4;
    write_bytes(in_dir("f"), p, n);
    free(p);
    assert_ok(fw_record_inspect(in_dir("f"), false, &s));
    fw_record_summary_clear(&s);
    assert_fails(fw_record_inspect(in_dir("f"), true, &s), FW_EFORMAT, "f: record 11 at byte ",
                 "data crc is");
    fw_tfrecord_writer *w = NULL;
    assert_ok(fw_tfrecord_create(&w, in_dir("o"), FW_GZIP, 0));
    assert_ok(fw_tfrecord_put(w, "event", 5));
    assert_ok(fw_tfrecord_commit(w));
    assert_ok(fw_record_inspect(in_dir("o"), false, &s));
    assert_string_equal(s.features, "no tf.train.Example");
    assert_int_equal(s.n_records, 1);
    fw_record_summary_clear(&s);
    write_bytes(in_dir("e"), "", 0);
    assert_ok(fw_record_inspect(in_dir("e"), true, &s));
    assert_string_equal(s.features, "");
    assert_int_equal(s.n_records, 0);
    fw_record_summary_clear(&s);
    assert_fails(fw_record_inspect(in_dir("none"), true, &s), FW_ENOTFOUND, "none");
    fw_images_clear(&im);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, dir_setup, dir_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(round_trips),
        TEST(sidecar_says_it_all),
        TEST(kept_or_refused),
        TEST(refused_arguments),
        TEST(odd_records),
        TEST(label_outside_the_classes),
        TEST(damaged_sidecars),
        TEST(foreign_names),
        TEST(not_to_be_seen),
        TEST(inspected),
        TEST(pairs),
        TEST(no_names_in_the_list),
        TEST(stopped),
        TEST(parts_that_are_missing),
        TEST(no_regular_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
