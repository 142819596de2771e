/* test_lower.c: what a GPU makes of a graph beside joining its ops (which test_fused_nets has, on the device
 * that stands for one): Muon in 16 bits where images are, and nothing at all of f64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cuda_lower.h"
#include "t_cuda.h"

#include <string.h>

static fwi_graph *with_muon(fw_dtype real, fw_dtype storage)
{
    const fwi_shape s = fwi_shape4(8, 3, 3, 4);
    const fwi_attr a = {
        .muon = {.steps = 3, .a = 3, .b = -4, .c = 2, .wd_col = 1, .rn_col = 2, .xn_col = 3}};
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, real), FW_OK);
    if (storage != real)
        g->storage = storage;
    const fwi_val in[] = {fwi_graph_var(g, "w", FWI_VAR_CONV, true, s, (fwi_init){0}),
                          fwi_graph_var(g, "v", FWI_VAR_SLOT, false, s, (fwi_init){0}),
                          fwi_graph_input(g, "grad", real, s),
                          fwi_graph_input(g, "hyper", FW_F64, fwi_shape1(5))};
    fwi_graph_op(g, FWI_OP_muon, &a, in, 4, NULL);
    assert_int_equal(fwi_graph_status(g), FW_OK);
    return g;
}

static void test_muon(void **state)
{
    (void)state;
    static const fw_dtype types[] = {FW_F32, FW_BF16, FW_F16};
    for (int i = 0; i < 3; i++) {
        fwi_graph *g = with_muon(FW_F32, types[i]);
        int found = 0;
        assert_int_equal(fwi_cuda_lower(fwi_cuda_emulated_table(), g), FW_OK);
        for (int32_t k = 0; k < g->n_ops; k++)
            if (g->ops[k].kind == FWI_OP_muon) {
                assert_int_equal(g->ops[k].attr.muon.narrow, types[i] != FW_F32);
                found++;
            }
        assert_int_equal(found, 1);
        fwi_graph_free(g);
    }
}

static void test_f64(void **state)
{
    (void)state;
    fwi_graph *g = with_muon(FW_F64, FW_F64);
    assert_int_equal(fwi_cuda_lower(fwi_cuda_emulated_table(), g), FW_EUNAVAILABLE);
    assert_non_null(strstr(fw_last_error(), "precision f64: a GPU computes in f32"));
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_muon), cmocka_unit_test(test_f64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
