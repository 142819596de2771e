/* test_record_parts.c: which record files a name stands for, and folders that do not say it. */
#include "io_test.h"

/* A folder with empty files in it. */
static void make(const char *folder, const char *const *names)
{
    assert_ok(fwi_mkdirs(in_dir(folder)));
    for (; *names != NULL; names++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, *names);
        write_bytes(in_dir(path), "", 0);
    }
}

/* want: names in test_dir, NULL where nothing is to be found. */
static void finds(const char *data, const char *whole, const char *train, const char *test)
{
    fw_record_parts p;
    assert_ok(fw_record_parts_find(in_dir(data), &p));
    const char *const got[] = {p.whole, p.train, p.test}, *const want[] = {whole, train, test};
    for (int i = 0; i < 3; i++)
        if (want[i] == NULL)
            assert_null(got[i]);
        else
            assert_string_equal(got[i], in_dir(want[i]));
    fw_record_parts_clear(&p);
    assert_null(p.train);
}

static void a_pair_by_its_names(void **state)
{
    (void)state;
    make("pair", (const char *const[]){"x-train.tfrec", "x-test.tfrec", "x-train.tfrec.json",
                                       "x-test.tfrec.json", "notes.txt", NULL});
    finds("pair", NULL, "pair/x-train.tfrec", "pair/x-test.tfrec");
    finds("pair/", NULL, "pair/x-train.tfrec", "pair/x-test.tfrec");
    finds("pair/x", NULL, "pair/x-train.tfrec", "pair/x-test.tfrec");
    finds("pair/x.tfrec", NULL, "pair/x-train.tfrec", "pair/x-test.tfrec");
    finds("pair/x-test.tfrec", "pair/x-test.tfrec", NULL, NULL);
    finds("pair/x-test", "pair/x-test.tfrec", NULL, NULL);
    finds("pair/y", NULL, NULL, NULL);
    finds("nowhere/x", NULL, NULL, NULL);
    finds("pair/x-*.tfrec", NULL, NULL, NULL); /* a pattern stands for itself */
}

static void shards(void **state)
{
    (void)state;
    make("s", (const char *const[]){"x-train.tfrec-00000-of-00003", "x-train.tfrec-00001-of-00003",
                                    "x-train.tfrec-00002-of-00003", "x-test.tfrec-00000-of-00002",
                                    "x-test.tfrec-00001-of-00002", "x-train.tfrec.json",
                                    "x-test.tfrec-00002-of-00002", /* no shard of two */
                                    "y-train.tfrec-00001-of-00002", "z-train.tfrec-0-of-1", NULL});
    finds("s", NULL, "s/x-train.tfrec@3", "s/x-test.tfrec@2");
    finds("s/x.tfrec", NULL, "s/x-train.tfrec@3", "s/x-test.tfrec@2");
    finds("s/x-test.tfrec", "s/x-test.tfrec@2", NULL, NULL);
    finds("s/x-test.tfrec-00000-of-00002", NULL, NULL, NULL);
    finds("s/y", NULL, NULL, NULL); /* the first shard says how many */
    make("p.tfrec", (const char *const[]){"x-test.tfrec", NULL});
    finds("p.tfrec", NULL, NULL, "p.tfrec/x-test.tfrec"); /* one part, in a folder of any name */
}

static void what_is_refused(void **state)
{
    (void)state;
    fw_record_parts p = {0};
    make("two", (const char *const[]){"a-train.tfrec", "b-test.tfrec-00000-of-00001", NULL});
    assert_fails(fw_record_parts_find(in_dir("two"), &p), FW_EARG,
                 "holds records of several data sets", "name one of them");
    finds("two/b", NULL, NULL, "two/b-test.tfrec@1");
    /* A part in two numbers of shards, found in whichever order the folder lists them. */
    make("both", (const char *const[]){"c-train.tfrec-00000-of-00005",
                                       "c-train.tfrec-00000-of-00003", "c-test.tfrec", NULL});
    make("both", (const char *const[]){"d-train.tfrec-00000-of-00003",
                                       "d-train.tfrec-00000-of-00005", NULL});
    assert_fails(fw_record_parts_find(in_dir("both/c"), &p), FW_EARG,
                 "both/c-train.tfrec: is there in 3 shards and in 5",
                 "c-train.tfrec-00000-of-00005");
    assert_fails(fw_record_parts_find(in_dir("both/d"), &p), FW_EARG, "in 3 shards and in 5");
    finds("both/c-test", "both/c-test.tfrec", NULL, NULL);
    make("beside", (const char *const[]){"e-train.tfrec", "e-train.tfrec-00000-of-00003",
                                         "e-test.tfrec", NULL});
    assert_fails(fw_record_parts_find(in_dir("beside"), &p), FW_EARG,
                 "beside/e-train.tfrec: is there whole and in 3 shards",
                 "(e-train.tfrec-00000-of-00003)");
    assert_fails(fw_record_parts_find(in_dir("beside/e-train"), &p), FW_EARG, "in 3 shards");
    finds("beside/e-test", "beside/e-test.tfrec", NULL, NULL);
    /* One file and a pair of the same name are two data sets. */
    make("forms", (const char *const[]){"f.tfrec", "f-train.tfrec", "f-test.tfrec", NULL});
    for (int i = 0; i < 3; i++)
        assert_fails(fw_record_parts_find(in_dir(i == 0   ? "forms"
                                                 : i == 1 ? "forms/f"
                                                          : "forms/f.tfrec"),
                                          &p),
                     FW_EARG, "forms/f.tfrec: is there beside", "forms/f-train.tfrec");
    finds("forms/f-test", "forms/f-test.tfrec", NULL, NULL);
    make("form", (const char *const[]){"f.tfrec-00000-of-00002", "f-test.tfrec", NULL});
    assert_fails(fw_record_parts_find(in_dir("form/f"), &p), FW_EARG, "f.tfrec@2: is there beside",
                 "f-test.tfrec");
    /* A folder that is there and cannot be listed (ELOOP: of root's too) is not one without records. */
    assert_int_equal(symlink("loop", in_dir("loop")), 0);
    assert_fails(fw_record_parts_find(in_dir("loop/x"), &p), FW_EIO, "loop/x.tfrec: cannot list");
    finds("two/a-train.tfrec/x", NULL, NULL, NULL); /* a file where a folder would be */
    make("none", (const char *const[]){"-train.tfrec", "train.tfrec", "x.tfrec", NULL});
    finds("none", NULL, NULL, NULL);
    assert_fails(fw_record_parts_find("gs://bucket/x.tfrec", &p), FW_EUNAVAILABLE, "gs://");
    assert_fails(fw_record_parts_find(NULL, &p), FW_EARG, "NULL");
    assert_fails(fw_record_parts_find("x", NULL), FW_EARG, "NULL");
    fw_record_parts_clear(NULL);
}

static void without_memory(void **state)
{
    (void)state;
    for (int64_t at = 1;; at++) {
        fw_record_parts p = {0};
        fwi_mem_fail_at(at);
        const fw_status st = fw_record_parts_find(in_dir("s"), &p);
        fwi_mem_fail_at(0);
        if (st == FW_OK) {
            assert_string_equal(p.train, in_dir("s/x-train.tfrec@3"));
            assert_true(at > 4);
            fw_record_parts_clear(&p);
            break;
        }
        assert_int_equal(st, FW_ENOMEM);
        assert_true(p.train == NULL && p.test == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_by_its_names),
        cmocka_unit_test(shards),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
