/* test_dtype.c: names and sizes of the element types. */
#include <fenwicks/tensor.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_types(void **state)
{
    (void)state;
    static const struct {
        fw_dtype t;
        const char *name;
        size_t size;
    } cases[] = {{FW_F32, "f32", 4}, {FW_F64, "f64", 8}, {FW_BF16, "bf16", 2}, {FW_F16, "f16", 2},
                 {FW_U8, "u8", 1},   {FW_I32, "i32", 4}, {FW_I64, "i64", 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(fw_dtype_name(cases[i].t), cases[i].name);
        assert_int_equal(fw_dtype_size(cases[i].t), cases[i].size);
    }
    assert_string_equal(fw_dtype_name((fw_dtype)7), "?");
    assert_int_equal(fw_dtype_size((fw_dtype)7), 0);
    assert_string_equal(fw_dtype_name((fw_dtype)-1), "?");
    assert_int_equal(fw_dtype_size((fw_dtype)-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
