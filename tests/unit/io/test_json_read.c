/* test_json_read.c: documents of many values are refused before they are made, others are read. */
#include "io_test.h"

#include "json_read.h"

static json_t *read_repeated(const char *head, const char *piece, size_t n, const char *tail,
                             json_error_t *why)
{
    fwi_buf b = {0};
    assert_ok(fwi_buf_printf(&b, "%s", head));
    for (size_t i = 0; i < n; i++)
        assert_ok(fwi_buf_append(&b, piece, strlen(piece)));
    assert_ok(fwi_buf_append(&b, tail, strlen(tail)));
    json_t *j = fwi_json_read(b.data, b.size, why);
    fwi_buf_clear(&b);
    return j;
}

static void values_are_counted(void **state)
{
    (void)state;
    json_error_t why;
    /* each piece counts twice: for its bracket, and for what may stand behind the comma */
    json_t *j = read_repeated("[", "[],", FWI_JSON_MOST / 2 - 2, "[]]", &why);
    assert_int_equal(json_array_size(j), FWI_JSON_MOST / 2 - 1);
    json_decref(j);
    assert_null(read_repeated("[", "[],", FWI_JSON_MOST / 2 - 1, "[]]", &why));
    assert_non_null(strstr(why.text, "values, at most 2097152 are read"));
    assert_null(read_repeated("{\"a\": [", "1,", FWI_JSON_MOST, "1]}", &why));
    assert_null(read_repeated("[", "{},", FWI_JSON_MOST, "{}]", &why));
    /* what stands in strings counts for nothing, quoted quotes and all */
    j = read_repeated("[\"", "[,{\\\"\\\\", FWI_JSON_MOST / 2, "\", 7]", &why);
    assert_int_equal(json_array_size(j), 2);
    assert_int_equal(json_integer_value(json_array_get(j, 1)), 7);
    json_decref(j);
}

static void damage_is_told(void **state)
{
    (void)state;
    json_error_t why;
    static const char *const bad[] = {"", "{", "[1,", "\"", "\"\\", "{\"a\": 1, \"a\": 2}", "1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(fwi_json_read(bad[i], strlen(bad[i]), &why));
        assert_true(why.text[0] != 0);
    }
    assert_int_equal(fwi_json_status(&why), FW_EFORMAT);
    /* no memory says nothing of the text, which jansson would perhaps find wrong */
    fwi_mem_fail_at(1);
    assert_null(fwi_json_read("[1]", 3, &why));
    fwi_mem_fail_at(0);
    assert_int_equal(fwi_json_status(&why), FW_ENOMEM);
    json_t *j = fwi_json_read("[1] ", 3, &why);
    assert_int_equal(json_array_size(j), 1);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(damage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
