/* test_lower.c: what a GPU makes of a graph beside joining its ops (which test_fused_nets has, on the device
 * that stands for one): Muon in 16 bits where images are, and nothing at all of f64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends.h"
#include "cuda_lower.h"
#include "t_cuda.h"
#include "t_far.h"

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

/* Kernels count in 32 bits, and look a little beyond the end. */
static void test_most_elements(void **state)
{
    (void)state;
    for (int64_t n = FWI_MOST_ELEMS - 1; n <= FWI_MOST_ELEMS; n++) {
        fwi_call c = {.kind = FWI_OP_relu};
        c.in[0] = c.out[0] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape1(n)};
        assert_int_equal(fwi_table_find(fwi_cuda_emulated_table(), &c, NULL) != NULL,
                         n < FWI_MOST_ELEMS);
    }
    fwi_device *d = NULL;
    fwi_graph *g = NULL;
    fwi_store *s = NULL;
    fwi_plan *p = NULL;
    fwi_device_offer(&t_far_backend);
    t_far_memory = (size_t)1 << 42;
    assert_int_equal(fwi_device_open(&d, "far", &(fwi_device_opt){.threads = 1}), FW_OK);
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape4(700, 224, 224, 64));
    fwi_graph_output(g, "y",
                     fwi_op1(g, FWI_OP_global_avg_pool, NULL, fwi_op1(g, FWI_OP_relu, NULL, x)));
    const fwi_graph *graphs[1] = {g};
    assert_int_equal(fwi_store_new(&s, d, graphs, 1), FW_OK);
    assert_int_equal(fwi_plan_new(&p, d, s, g), FW_EUNAVAILABLE);
    assert_non_null(strstr(fw_last_error(), "no kernel for"));
    assert_non_null(strstr(fw_last_error(), "nearly 2^31 elements, or more; a smaller batch"));
    fwi_store_free(s);
    fwi_graph_free(g);
    fwi_device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_muon), cmocka_unit_test(test_f64),
                                       cmocka_unit_test(test_most_elements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
