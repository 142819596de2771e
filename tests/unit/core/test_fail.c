/* test_fail.c: messages: set, prefixed, cut, carried between threads; status names; the log
 * callback. */
#include "fail.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_message(void **state)
{
    (void)state;
    errno = EXDEV;
    assert_int_equal(fwi_fail(FW_EIO, "%s: record %d", "a.tfrecord", 118), FW_EIO);
    assert_string_equal(fw_last_error(), "a.tfrecord: record 118");
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fwi_fail(FW_EARG, "again: %s", fw_last_error()),
                     FW_EARG); /* its own text as argument */
    assert_string_equal(fw_last_error(), "again: a.tfrecord: record 118");
}

/* What a file calls things may be written for a terminal to obey. */
static void test_control_characters(void **state)
{
    (void)state;
    fwi_fail(FW_EFORMAT, "%s: \"%s\"", "a\x1b[31m\a.npy",
             "b\xc2\x9b"
             "2J \x7f caf\xc3\xa9 \n");
    assert_string_equal(fw_last_error(), "a?[31m?.npy: \"b??2J ? caf\xc3\xa9 ?\"");
}

static void test_prefix(void **state)
{
    (void)state;
    fwi_fail(FW_EFORMAT, "bad magic");
    assert_int_equal(fwi_fail_in(FW_EFORMAT, "layer %d", 3), FW_EFORMAT);
    assert_int_equal(fwi_fail_in(FW_EFORMAT, "net.recipe"), FW_EFORMAT);
    assert_string_equal(fw_last_error(), "net.recipe: layer 3: bad magic");
}

static void test_cut(void **state)
{
    (void)state;
    char text[3 * FWI_ERROR_CAP];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    text[FWI_ERROR_CAP - 1] = 0; /* exactly fits */
    fwi_fail(FW_EIO, "%s", text);
    assert_string_equal(fw_last_error(), text);
    text[FWI_ERROR_CAP - 1] = 'x'; /* one more does not */
    text[FWI_ERROR_CAP] = 0;
    fwi_fail(FW_EIO, "%s", text);
    assert_int_equal(strlen(fw_last_error()), FWI_ERROR_CAP - 1);
    const char *dots = strstr(fw_last_error(), "...");
    assert_non_null(dots); /* within: what is wrong stands at the end */
    assert_int_equal(dots - fw_last_error(), FWI_ERROR_CAP / 4);
    assert_string_equal(fw_last_error() + FWI_ERROR_CAP - 3, "xx");
    text[FWI_ERROR_CAP + 99] = 0;
    memset(text, 'x', FWI_ERROR_CAP + 99);
    memcpy(text, "begins", 6);
    memcpy(text + FWI_ERROR_CAP + 95, "ends", 4);
    fwi_fail(FW_EIO, "%s", text);
    assert_int_equal(strlen(fw_last_error()), FWI_ERROR_CAP - 1);
    assert_memory_equal(fw_last_error(), "begins", 6);
    assert_string_equal(fw_last_error() + FWI_ERROR_CAP - 1 - 5, "xends");
    memset(text, 'x', sizeof text);

    fwi_fail(FW_EIO, "tail");
    text[FWI_ERROR_CAP - 1 - 6] = 0; /* "<text>: tail" fits exactly */
    fwi_fail_in(FW_EIO, "%s", text);
    assert_int_equal(strlen(fw_last_error()), FWI_ERROR_CAP - 1);
    assert_string_equal(fw_last_error() + FWI_ERROR_CAP - 1 - 7, "x: tail");
    for (size_t n = FWI_ERROR_CAP - 6; n < FWI_ERROR_CAP + 40;
         n++) { /* around the end, each way of not fitting */
        fwi_fail(FW_EIO, "tail");
        memset(text, 'y', sizeof text);
        text[n] = 0;
        fwi_fail_in(FW_EIO, "%s", text);
        assert_int_equal(strlen(fw_last_error()), FWI_ERROR_CAP - 1);
        assert_non_null(strstr(fw_last_error(), "y...y"));
        assert_string_equal(fw_last_error() + FWI_ERROR_CAP - 1 - 7, "y: tail");
    }
}

static void test_cut_keeps_characters_whole(void **state)
{
    (void)state;
    char text[2 * FWI_ERROR_CAP + 1];
    for (size_t i = 0; i < FWI_ERROR_CAP; i++)
        memcpy(text + 2 * i, "\xc3\xa9", 2); /* e acute */
    text[2 * FWI_ERROR_CAP] = 0;
    for (size_t from = 0; from < 2; from++)
        for (size_t to = 0; to < 2; to++) {
            fwi_fail(FW_EIO, "%s%s%s", from == 0 ? "" : "x", text, to == 0 ? "" : "x");
            const char *const m = fw_last_error(), *const dots = strstr(m, "...");
            assert_non_null(dots);
            assert_int_equal((unsigned char)dots[-1], 0xa9); /* those beside the dots are whole */
            assert_int_equal((unsigned char)dots[3], 0xc3);
            assert_true(strlen(m) >= FWI_ERROR_CAP - 3);
        }
}

static void *fail_elsewhere(void *arg)
{
    if (*fw_last_error() != 0)
        return NULL;
    fwi_fail(FW_EFORMAT, "worker's");
    fwi_error_save(arg, FW_EFORMAT);
    return arg;
}

static void test_threads(void **state)
{
    (void)state;
    fwi_error carried;
    pthread_t t;
    void *result = NULL;
    fwi_fail(FW_EIO, "mine");
    assert_int_equal(pthread_create(&t, NULL, fail_elsewhere, &carried), 0);
    assert_int_equal(pthread_join(t, &result), 0);
    assert_ptr_equal(result, &carried);
    assert_string_equal(fw_last_error(), "mine");
    assert_int_equal(fwi_error_raise(&carried), FW_EFORMAT);
    assert_string_equal(fw_last_error(), "worker's");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(fw_status_name(FW_OK), "FW_OK");
    assert_string_equal(fw_status_name(FW_END), "FW_END");
    assert_string_equal(fw_status_name(FW_EIO), "FW_EIO");
    assert_string_equal(fw_status_name(FW_EUNAVAILABLE), "FW_EUNAVAILABLE");
    assert_string_equal(fw_status_name(FW_EINTERNAL), "FW_EINTERNAL");
    assert_string_equal(fw_status_name((fw_status)(FW_EINTERNAL + 1)), "FW_?");
    assert_string_equal(fw_status_name((fw_status)-1), "FW_?");
    assert_string_equal(fw_version(), FW_VERSION);
}

typedef struct heard {
    int n, level;
    char line[FWI_ERROR_CAP];
} heard;

static void listen(void *user, int level, const char *line)
{
    heard *h = user;
    h->n++;
    h->level = level;
    strcpy(h->line, line);
    fwi_log(0, "from the callback itself"); /* dropped, and does not lock up */
}

static void test_log(void **state)
{
    (void)state;
    heard h = {0};
    fwi_log(0, "nobody listens");
    fw_log_set(listen, &h);
    fwi_log(2, "epoch %d", 3);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.level, 2);
    assert_string_equal(h.line, "epoch 3");
    fw_log_set(NULL, NULL);
    fwi_log(0, "nobody again");
    assert_int_equal(h.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_keeps_characters_whole),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
