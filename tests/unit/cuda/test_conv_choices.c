/* test_conv_choices.c: keys of convolutions in words, the file of measured engines there and back,
 * hostile files, and which file is read. */
#include "libs_test.h"

#include "conv_choices.h"
#include "file.h"
#include "rng.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static fwi_dnn_choice a_choice(int32_t pass, int32_t dtype, int32_t n)
{
    fwi_dnn_choice c = {.key = {.pass = pass,
                                .dtype = dtype,
                                .n = n,
                                .h = 31,
                                .w = 31,
                                .c = 24,
                                .oc = 64,
                                .kh = 3,
                                .kw = 3,
                                .oh = 31,
                                .ow = 31,
                                .stride = 1,
                                .pad_t = 1,
                                .pad_l = 1,
                                .pad_b = 1,
                                .pad_r = 1},
                        .engine = 42,
                        .n_knobs = 2,
                        .seconds = 0.000125};
    c.knobs[0].type = 2, c.knobs[0].value = 5;
    c.knobs[1].type = 13, c.knobs[1].value = -7000000000;
    if (pass == FWI_DNN_DW)
        c.dw = dtype;
    return c;
}

static void test_text(void **state)
{
    (void)state;
    char text[FWI_CONV_KEY_TEXT];
    const fwi_dnn_choice c = a_choice(FWI_DNN_DW, FW_F16, 2000);
    assert_string_equal(fwi_dnn_key_text(&c.key, text),
                        "conv2d_dw f16 n2000 h31 w31 c24 oc64 k3x3 s1 pad1,1,1,1");
    fwi_dnn_key longest;
    memset(&longest, 0x80, sizeof longest); /* the longest numbers there are */
    longest.pass = 1, longest.tf32 = 1;
    assert_true(strlen(fwi_dnn_key_text(&longest, text)) < FWI_CONV_KEY_TEXT - 1);
}

static void test_padded_keys(void **state)
{
    (void)state;
    fwi_dnn_key k = a_choice(FWI_DNN_Y, FW_F16, 8).key, out; /* 24 channels, 64 filters */
    assert_false(fwi_dnn_key_padded(&k, 4, &out));
    assert_false(fwi_dnn_key_padded(&k, 8, &out));
    k.c = 3;
    assert_true(fwi_dnn_key_padded(&k, 4, &out));
    assert_true(out.c == 4 && out.oc == 64);
    k.oc = 12;
    assert_true(fwi_dnn_key_padded(&k, 8, &out));
    assert_true(out.c == 8 && out.oc == 16 && out.n == 8 && k.c == 3);
    k.n = INT32_MAX / (31 * 31 * 12); /* enough for y with 12 filters, and not with 16 */
    assert_true(fwi_dnn_key_padded(&k, 4, &out));
    assert_false(fwi_dnn_key_padded(&k, 8, &out));
    k.c = k.n = k.h = k.w = INT32_MAX; /* no overflow on the way */
    assert_false(fwi_dnn_key_padded(&k, 8, &out));
}

static void test_wrong_keys(void **state)
{
    (void)state;
    const fwi_dnn_key good = a_choice(FWI_DNN_Y, FW_F32, 8).key;
    assert_null(fwi_dnn_key_wrong(&good));
    for (size_t i = 0; i < sizeof good / sizeof(int32_t);
         i++) { /* no number may be just anything */
        fwi_dnn_key k = good;
        const int32_t v = -1;
        memcpy((char *)&k + i * sizeof v, &v, sizeof v);
        assert_non_null(fwi_dnn_key_wrong(&k));
    }
    fwi_dnn_key k = good;
    k.dtype = FW_BF16, k.tf32 = 1;
    assert_non_null(fwi_dnn_key_wrong(&k));
    k = good;
    k.oh = 30;
    assert_non_null(fwi_dnn_key_wrong(&k));
    k = good;
    k.h = k.pad_t = k.pad_b = INT32_MAX; /* no overflow on the way */
    assert_non_null(fwi_dnn_key_wrong(&k));
}

static fwi_dnn_choices some(void)
{
    fwi_dnn_choices c = {.sm = 90, .cudnn = 91900};
    for (int32_t i = 0; i < 40; i++) {
        fwi_dnn_choice one = a_choice(i % FWI_DNN_PASSES,
                                      i % 2 == 0   ? FW_F16
                                      : i % 3 == 0 ? FW_BF16
                                                   : FW_F32,
                                      i + 1);
        one.key.tf32 = one.key.dtype == FW_F32 && i % 4 == 1;
        one.n_knobs = i % 3;
        one.engine = i;
        if (one.n_knobs < 2)
            memset(&one.knobs[one.n_knobs], 0,
                   sizeof one.knobs - (size_t)one.n_knobs * sizeof *one.knobs);
        if (one.key.pass == FWI_DNN_DW && i % 4 == 0)
            one.dw = FW_F32;
        if (one.n_knobs == 0 && one.dw == FW_F32 && i % 2 == 0)
            strcpy(one.own, i % 4 == 0 ? "own:128x64x32" : "own:narrow"), one.engine = 0;
        else if (i % 5 == 0)
            one.key.c = 3, one.pad = i % 2 == 0 ? 4 : 8;
        assert_int_equal(fwi_dnn_choices_put(&c, &one), FW_OK);
    }
    return c;
}

static void test_there_and_back(void **state)
{
    (void)state;
    fwi_dnn_choices c = some(), back = {0};
    fwi_buf text = {0}, again = {0};
    assert_int_equal(fwi_dnn_choices_print(&c, &text), FW_OK);
    assert_int_equal(fwi_dnn_choices_parse(&back, "x.json", text.data, text.size), FW_OK);
    assert_int_equal(back.n, c.n);
    assert_int_equal(back.sm, 90);
    assert_int_equal(back.cudnn, 91900);
    for (int i = 0; i < c.n; i++) {
        const fwi_dnn_choice *a = &c.items[i], *b = fwi_dnn_choices_find(&back, &a->key);
        assert_non_null(b);
        assert_int_equal(a->engine, b->engine);
        assert_string_equal(a->own, b->own);
        assert_int_equal(a->dw, b->dw);
        assert_int_equal(a->pad, b->pad);
        assert_int_equal(a->n_knobs, b->n_knobs);
        assert_memory_equal(a->knobs, b->knobs, sizeof a->knobs);
        assert_true(a->seconds == b->seconds);
    }
    assert_int_equal(fwi_dnn_choices_print(&back, &again), FW_OK);
    assert_int_equal(again.size, text.size);
    assert_memory_equal(again.data, text.data, text.size);
    fwi_buf_clear(&text);
    fwi_buf_clear(&again);
    fwi_dnn_choices_clear(&c);
    fwi_dnn_choices_clear(&back);
}

/* The same key again takes the old one's place. */
static void test_put(void **state)
{
    (void)state;
    fwi_dnn_choices c = {0};
    fwi_dnn_choice one = a_choice(FWI_DNN_Y, FW_F16, 5);
    assert_null(fwi_dnn_choices_find(&c, &one.key));
    assert_int_equal(fwi_dnn_choices_put(&c, &one), FW_OK);
    one.engine = 43;
    assert_int_equal(fwi_dnn_choices_put(&c, &one), FW_OK);
    assert_int_equal(c.n, 1);
    assert_int_equal(fwi_dnn_choices_find(&c, &one.key)->engine, 43);
    one.key.n = 6;
    assert_null(fwi_dnn_choices_find(&c, &one.key));
    fwi_dnn_choices_clear(&c);
}

#define HEAD                                                                                       \
    "{\"format\":\"fenwicks-conv-choices\",\"version\":1,\"sm\":90,\"cudnn\":91900,\"choices\":["
#define CONV                                                                                       \
    "\"n\":2,\"h\":4,\"w\":4,\"c\":3,\"oc\":5,\"kh\":3,\"kw\":3,\"oh\":4,\"ow\":4,\"stride\":1,"   \
    "\"pad_t\":1,\"pad_l\":1,\"pad_b\":1,\"pad_r\":1,"
#define ITEM(op, type, conv, rest) "{\"op\":\"" op "\",\"type\":\"" type "\"," conv rest "}"
#define REST                       "\"engine\":1,\"knobs\":[],\"seconds\":0.1"

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line"},
        {"[]", "not a file of choices"},
        {"{\"format\":\"other\"}", "not a file of choices"},
        {"{\"format\":\"fenwicks-conv-choices\",\"version\":2}", "its version is not 1"},
        {"{\"format\":\"fenwicks-conv-choices\",\"version\":1,\"sm\":\"90\"}", "sm is no"},
        {"{\"format\":\"fenwicks-conv-choices\",\"version\":1,\"sm\":90,\"cudnn\":0}",
         "cudnn is no"},
        {"{\"format\":\"fenwicks-conv-choices\",\"version\":1,\"sm\":90,\"cudnn\":91900,"
         "\"choices\":3}",
         "choices is no list"},
        {"{\"format\":\"fenwicks-conv-choices\",\"format\":\"x\"}", "duplicate"},
        {HEAD "7]}", "choice 0: it is no object"},
        {HEAD ITEM("conv3d", "f32", CONV, REST) "]}", "op is none of"},
        {HEAD ITEM("conv2d", "f64", CONV, REST) "]}", "type is none of"},
        {HEAD ITEM("conv2d", "f32", "\"n\":2,", REST) "]}", "is missing"},
        {HEAD ITEM("conv2d", "f32", CONV "\"dw\":\"f32\",", REST) "]}",
         "dw is for conv2d_dw alone"},
        {HEAD ITEM("conv2d_dw", "bf16", CONV, REST) "]}", "dw is neither"},
        {HEAD ITEM("conv2d_dw", "bf16", CONV "\"dw\":\"f16\",", REST) "]}", "dw is neither"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":-1,\"knobs\":[],\"seconds\":1") "]}",
         "engine is no number"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":1.5,\"knobs\":[],\"seconds\":1") "]}",
         "engine is no number"},
        {HEAD ITEM("conv2d", "f16", CONV, "\"engine\":\"1\",\"knobs\":[],\"seconds\":1") "]}",
         "neither a number nor own:NAME"},
        {HEAD ITEM("conv2d", "f16", CONV, "\"engine\":\"own:\",\"knobs\":[],\"seconds\":1") "]}",
         "neither a number nor own:NAME"},
        {HEAD ITEM("conv2d", "f16", CONV,
                   "\"engine\":\"own:64x64\\n\",\"knobs\":[],\"seconds\":1") "]}",
         "neither a number nor own:NAME"},
        {HEAD ITEM("conv2d", "f16", CONV,
                   "\"engine\":\"own:11111111111111111111\",\"knobs\":[],\"seconds\":1") "]}",
         "neither a number nor own:NAME"},
        {HEAD ITEM("conv2d", "f16", CONV,
                   "\"engine\":\"own:64x64x64\",\"knobs\":[[1,2]],\"seconds\":1") "]}",
         "has no knobs"},
        {HEAD ITEM("conv2d_dw", "f16", CONV "\"dw\":\"f16\",",
                   "\"engine\":\"own:64x64x64\",\"knobs\":[],\"seconds\":1") "]}",
         "gives dw in f32"},
        {HEAD ITEM("conv2d", "f16", CONV "\"pad\":8,",
                   "\"engine\":\"own:narrow\",\"knobs\":[],\"seconds\":1") "]}",
         "no pad"},
        {HEAD ITEM("conv2d", "f16", CONV "\"pad\":6,", REST) "]}", "pad is neither 4 nor 8"},
        {HEAD ITEM("conv2d", "f16", CONV "\"pad\":0,", REST) "]}", "pad is neither 4 nor 8"},
        {HEAD ITEM("conv2d", "f16", CONV "\"pad\":\"8\",", REST) "]}", "pad is neither 4 nor 8"},
        {HEAD ITEM("conv2d", "f16",
                   "\"n\":2,\"h\":4,\"w\":4,\"c\":8,\"oc\":4,\"kh\":1,\"kw\":1,\"oh\":4,\"ow\":4,"
                   "\"stride\":1,\"pad_t\":0,\"pad_l\":0,\"pad_b\":0,\"pad_r\":0,\"pad\":4,",
                   REST) "]}",
         "pad has nothing to pad"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":1,\"seconds\":1") "]}", "knobs is no list"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":1,\"knobs\":[[1]],\"seconds\":1") "]}",
         "no pair of whole numbers"},
        {HEAD ITEM("conv2d", "f32", CONV,
                   "\"engine\":1,\"knobs\":[[1,2],[1,3]],\"seconds\":1") "]}",
         "named twice"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":1,\"knobs\":[[-1,2]],\"seconds\":1") "]}",
         "out of range"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":1,\"knobs\":[],\"seconds\":-1") "]}",
         "seconds is no number"},
        {HEAD ITEM("conv2d", "f32", CONV, "\"engine\":1,\"knobs\":[]") "]}",
         "seconds is no number"},
        {HEAD ITEM("conv2d", "f32", CONV, REST) "," ITEM("conv2d", "f32", CONV, REST) "]}",
         "choice 1: its convolution was named before"},
        {HEAD ITEM("conv2d", "f32",
                   "\"n\":2,\"h\":4,\"w\":4,\"c\":3,\"oc\":5,\"kh\":3,\"kw\":3,\"oh\":9,\"ow\":4,"
                   "\"stride\":1,\"pad_t\":1,\"pad_l\":1,\"pad_b\":1,\"pad_r\":1,",
                   REST) "]}",
         "its output is not what its input gives"},
        {HEAD ITEM("conv2d", "f32",
                   "\"n\":99999999999,\"h\":4,\"w\":4,\"c\":3,\"oc\":5,\"kh\":3,\"kw\":3,\"oh\":4,"
                   "\"ow\":4,\"stride\":1,\"pad_t\":1,\"pad_l\":1,\"pad_b\":1,\"pad_r\":1,",
                   REST) "]}",
         "is missing or no whole number"},
    };
    fwi_dnn_choices c;
    const char *good = HEAD ITEM("conv2d", "f32", CONV, REST) "]}";
    assert_int_equal(fwi_dnn_choices_parse(&c, "good", good, strlen(good)), FW_OK);
    assert_int_equal(c.n, 1);
    fwi_dnn_choices_clear(&c);
    for (int i = 0; i < COUNT(cases); i++) {
        if (fwi_dnn_choices_parse(&c, "f.json", cases[i].text, strlen(cases[i].text)) != FW_EFORMAT)
            fail_msg("case %d was taken", i);
        assert_message("f.json: ");
        if (strstr(fw_last_error(), cases[i].says) == NULL)
            fail_msg("case %d: %s", i, fw_last_error());
        assert_int_equal(c.n, 0);
        assert_null(c.items);
    }
    fwi_buf many = {0};
    assert_int_equal(fwi_buf_printf(&many, HEAD), FW_OK);
    for (int i = 0; i < FWI_CONV_KNOBS + 1; i++)
        assert_int_equal(fwi_buf_printf(&many, "%s[%d,0]",
                                        i > 0 ? ","
                                              : "{\"op\":\"conv2d\",\"type\":\"f32\"," CONV
                                                "\"engine\":1,\"seconds\":1,\"knobs\":[",
                                        i),
                         FW_OK);
    assert_int_equal(fwi_buf_printf(&many, "]}]}"), FW_OK);
    assert_int_equal(fwi_dnn_choices_parse(&c, "f", many.data, many.size), FW_EFORMAT);
    assert_message("more knobs than there can be");
    fwi_buf_clear(&many);
}

/* A good file with bytes changed, cut and repeated: refused, or read and printed again. */
static void test_hostile(void **state)
{
    (void)state;
    fwi_dnn_choices c = some();
    fwi_buf text = {0};
    assert_int_equal(fwi_dnn_choices_print(&c, &text), FW_OK);
    int taken = 0;
    for (uint64_t i = 0; i < 800; i++) {
        fwi_buf bad = {0};
        const uint64_t r = fwi_rng_u64(7, FWI_RNG_TEST, 0, i);
        const size_t size = i % 3 == 0 ? r % text.size : text.size;
        assert_int_equal(fwi_buf_append(&bad, text.data, size), FW_OK);
        if (i % 3 != 0)
            bad.data[r % size] = i % 3 == 1 ? (uint8_t)(r >> 32) : (uint8_t)('0' + (r >> 32) % 10);
        fwi_dnn_choices back;
        const fw_status st = fwi_dnn_choices_parse(&back, "f", bad.data, bad.size);
        assert_true(st == FW_OK || st == FW_EFORMAT);
        if (st == FW_OK) {
            taken++;
            fwi_buf again = {0};
            assert_int_equal(fwi_dnn_choices_print(&back, &again), FW_OK);
            fwi_buf_clear(&again);
        }
        fwi_dnn_choices_clear(&back);
        fwi_buf_clear(&bad);
    }
    assert_true(taken > 20 && taken < 700);
    fwi_buf_clear(&text);
    fwi_dnn_choices_clear(&c);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *cache, *home, *want;
    } cases[] = {{"/a/b.json", "/c", "/h", "/a/b.json"},
                 {"", "/c", "/h", "/c/fenwicks/conv-choices-sm90.json"},
                 {NULL, NULL, "/h", "/h/.cache/fenwicks/conv-choices-sm90.json"},
                 {NULL, "", "", NULL}};
    char *home = strdup(getenv("HOME") != NULL ? getenv("HOME") : "/");
    for (int i = 0; i < COUNT(cases); i++) {
        const char *names[] = {"FENWICKS_CONV_CHOICES", "XDG_CACHE_HOME", "HOME"};
        const char *values[] = {cases[i].asked, cases[i].cache, cases[i].home};
        for (int j = 0; j < 3; j++)
            values[j] != NULL ? setenv(names[j], values[j], 1) : unsetenv(names[j]);
        char *got = fwi_dnn_choices_path(90);
        if (cases[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(got, cases[i].want);
        fwi_free(got);
    }
    fwi_dnn_choices none = {.sm = 90, .cudnn = 1};
    assert_int_equal(fwi_dnn_choices_save(&none), FW_ENOTFOUND);
    assert_message("FENWICKS_CONV_CHOICES=PATH");
    setenv("HOME", home, 1);
    free(home);
}

static void test_load_and_save(void **state)
{
    (void)state;
    char path[] = "saved/deep/choices.json";
    setenv("FENWICKS_CONV_CHOICES", path, 1);
    unlink(path);
    fwi_dnn_choices c = some(), got;
    assert_int_equal(fwi_dnn_choices_load(&got, 90, 91900), FW_OK); /* no file */
    const int table = got.n;
    fwi_dnn_choices_clear(&got);
    assert_int_equal(fwi_dnn_choices_save(&c), FW_OK);
    assert_int_equal(fwi_dnn_choices_load(&got, 90, 91900), FW_OK);
    assert_int_equal(got.n, table + c.n);
    fwi_dnn_choices_clear(&got);
    assert_int_equal(fwi_dnn_choices_load(&got, 80, 91900), FW_OK); /* another GPU's */
    assert_int_equal(got.n, 0);
    fwi_dnn_choices_clear(&got);
    assert_int_equal(fwi_dnn_choices_load(&got, 90, 92000), FW_OK); /* another cuDNN's */
    assert_int_equal(got.n, 0);
    fwi_dnn_choices_clear(&got);
    assert_int_equal(fwi_write_file(path, "{", 1), FW_OK);
    assert_int_equal(fwi_dnn_choices_load(&got, 90, 91900), FW_EFORMAT);
    assert_message(path);
    assert_null(got.items);
    unlink(path);
    fwi_dnn_choices_clear(&c);
}

/* Caches where one may not look are none; a file that was named has to be there to be read. */
static void test_out_of_reach(void **state)
{
    (void)state;
    char *home = strdup(getenv("HOME") != NULL ? getenv("HOME") : "/");
    fwi_dnn_choices got;
    unsetenv("FENWICKS_CONV_CHOICES");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/dev/null", 1);
    assert_int_equal(fwi_dnn_choices_load(&got, 90, 91900), FW_OK);
    fwi_dnn_choices_clear(&got);
    assert_int_equal(fwi_dnn_choices_add(90, 91900, NULL),
                     FW_EIO); /* what is measured would be lost */
    setenv("FENWICKS_CONV_CHOICES", "/dev/null/choices.json", 1);
    assert_int_equal(fwi_dnn_choices_load(&got, 90, 91900), FW_EIO);
    assert_message("/dev/null/choices.json");
    unsetenv("FENWICKS_CONV_CHOICES");
    setenv("HOME", home, 1);
    free(home);
}

/* Several that measure at once keep what each has found. */
static void test_added_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    char path[] = "at-once/choices.json";
    setenv("FENWICKS_CONV_CHOICES", path, 1);
    unlink(path);
    fwi_dnn_choices all = some(), got;
    assert_true(all.n >= PROCESSES);
    pid_t child[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        child[p] = fork();
        assert_true(child[p] >= 0);
        if (child[p] > 0)
            continue;
        bool ok = true;
        for (int i = p; i < all.n; i += PROCESSES)
            ok = ok && fwi_dnn_choices_add(90, 91900, &all.items[i]) == FW_OK;
        _exit(ok ? 0 : 1);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status = 0;
        assert_int_equal(waitpid(child[p], &status, 0), child[p]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(fwi_dnn_choices_load_file(&got, 90, 91900), FW_OK);
    assert_int_equal(got.n, all.n);
    for (int i = 0; i < all.n; i++)
        assert_non_null(fwi_dnn_choices_find(&got, &all.items[i].key));
    fwi_dnn_choices_clear(&got);
    fwi_dnn_choices_clear(&all);
    unlink(path);
    unsetenv("FENWICKS_CONV_CHOICES");
}

/* The table in the source obeys the file's rules, one key once for each GPU and version. */
static void test_table(void **state)
{
    (void)state;
    for (const fwi_dnn_choices_row *r = fwi_dnn_choices_table; r->sm != 0; r++) {
        assert_null(fwi_dnn_key_wrong(&r->choice.key));
        assert_true(r->cudnn >= 90000 && r->choice.n_knobs >= 0 &&
                    r->choice.n_knobs <= FWI_CONV_KNOBS && r->choice.engine >= 0);
        for (const fwi_dnn_choices_row *q = fwi_dnn_choices_table; q != r; q++)
            assert_false(q->sm == r->sm && q->cudnn == r->cudnn &&
                         fwi_dnn_key_equal(&q->choice.key, &r->choice.key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),           cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_put),
        cmocka_unit_test(test_bad_files),      cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_paths),          cmocka_unit_test(test_load_and_save),
        cmocka_unit_test(test_table),          cmocka_unit_test(test_padded_keys),
        cmocka_unit_test(test_out_of_reach),   cmocka_unit_test(test_added_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
