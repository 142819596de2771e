/* test_table.c: the search for a kernel along a chain of tables. */
#include "fake.h"

static bool up_to_8(const fwi_call *c)
{
    return fwi_shape_elems(&c->in[0].shape) <= 8;
}

static const fwi_kernel fast_rows[] = {
    {FWI_OP_add, FW_F32, fake_add, NULL, up_to_8, "add_small", false, NULL},
    {FWI_OP_scale, FW_F64, fake_scale, NULL, NULL, "scale_f64", false, NULL},
    {FWI_OP_scale, FW_F64, fake_scale, NULL, NULL, "scale_f64_second", false, NULL},
    {.run = NULL},
};
static const fwi_op_table fast = {.name = "fast", .base = &fake_table, .rows = fast_rows};

static fwi_call call(fwi_opkind kind, fw_dtype dtype, int64_t n)
{
    fwi_call c = {.kind = kind};
    c.in[0] = c.out[0] = (fwi_arg){.dtype = dtype, .shape = fwi_shape1(n)};
    return c;
}

static void test_chain(void **state)
{
    (void)state;
    const fwi_op_table *from = NULL;
    fwi_call c = call(FWI_OP_add, FW_F32, 8);
    assert_string_equal(fwi_table_find(&fast, &c, &from)->name, "add_small");
    assert_ptr_equal(from, &fast);
    c = call(FWI_OP_add, FW_F32, 9); /* refused by the first row */
    assert_string_equal(fwi_table_find(&fast, &c, &from)->name, "add_fake");
    assert_ptr_equal(from, &fake_table);
    c = call(FWI_OP_scale, FW_F64, 1); /* the first of two that fit */
    assert_string_equal(fwi_table_find(&fast, &c, NULL)->name, "scale_f64");
    c = call(FWI_OP_scale, FW_F32, 1);
    assert_string_equal(fwi_table_find(&fast, &c, NULL)->name, "scale_fake");
}

static void test_none(void **state)
{
    (void)state;
    fwi_call c = call(FWI_OP_add, FW_F64, 8);
    assert_null(fwi_table_find(&fast, &c, NULL));
    c = call(FWI_OP_relu, FW_F32, 8);
    assert_null(fwi_table_find(&fast, &c, NULL));
}

/* An op without inputs is found by what it makes. */
static void test_by_output(void **state)
{
    (void)state;
    fwi_call c = call(FWI_OP_fill, FW_F32, 8);
    c.in[0].dtype = FW_F64; /* not an input of fill */
    assert_string_equal(fwi_table_find(&fast, &c, NULL)->name, "fill_fake");
    c.out[0].dtype = FW_F64;
    assert_null(fwi_table_find(&fast, &c, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_by_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
