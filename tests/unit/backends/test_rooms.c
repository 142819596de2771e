/* Every room of kernels above the reference (test_device.c) has the rows that it is to have. A row
 * that is missing fails no other test: the one of the room below is taken, and all is right but slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <backends.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* Of tensors as they are, in f32 and f64. */
static const fwi_opkind plain[] = {FWI_OP_act,
                                   FWI_OP_act_grad,
                                   FWI_OP_adam,
                                   FWI_OP_add,
                                   FWI_OP_average,
                                   FWI_OP_avg_pool,
                                   FWI_OP_avg_pool_grad,
                                   FWI_OP_bias_add,
                                   FWI_OP_bn_eval,
                                   FWI_OP_bn_train,
                                   FWI_OP_bn_train_grad,
                                   FWI_OP_concat,
                                   FWI_OP_conv2d,
                                   FWI_OP_conv2d_dw,
                                   FWI_OP_conv2d_dx,
                                   FWI_OP_crop,
                                   FWI_OP_crop_grad,
                                   FWI_OP_fill,
                                   FWI_OP_global_avg_pool,
                                   FWI_OP_global_avg_pool_grad,
                                   FWI_OP_global_max_pool,
                                   FWI_OP_global_max_pool_grad,
                                   FWI_OP_lars,
                                   FWI_OP_matmul,
                                   FWI_OP_max_pool,
                                   FWI_OP_max_pool_grad,
                                   FWI_OP_muon,
                                   FWI_OP_relu,
                                   FWI_OP_relu_grad,
                                   FWI_OP_resize,
                                   FWI_OP_resize_grad,
                                   FWI_OP_scale,
                                   FWI_OP_scale_by,
                                   FWI_OP_sgd,
                                   FWI_OP_slice,
                                   FWI_OP_sum_rows,
                                   FWI_OP_sum_squares,
                                   FWI_OP_softmax,
                                   FWI_OP_softmax_xent,
                                   FWI_OP_softmax_xent_grad};

/* Of batch-blocked images, in f32, and stored as bf16 where a room has such. */
static const fwi_opkind blocked[] = {
    FWI_OP_act,          FWI_OP_act_grad,        FWI_OP_add,
    FWI_OP_avg_pool,     FWI_OP_avg_pool_grad,   FWI_OP_bias_add,
    FWI_OP_bn_eval,      FWI_OP_bn_train,        FWI_OP_bn_train_grad,
    FWI_OP_from_blocked, FWI_OP_global_avg_pool, FWI_OP_global_max_pool,
    FWI_OP_max_pool,     FWI_OP_max_pool_grad,   FWI_OP_relu,
    FWI_OP_relu_grad,    FWI_OP_scale,           FWI_OP_sum_rows,
    FWI_OP_bn_stats,     FWI_OP_max_pool_stats};

/* The same, fused (the room of products of bf16 has its own). */
static const fwi_opkind fused[] = {
    FWI_OP_bn_act,   FWI_OP_bn_act_add,       FWI_OP_bn_act_pool,        FWI_OP_bn_act_grad,
    FWI_OP_bias_act, FWI_OP_bn_act_pool_grad, FWI_OP_bn_act_unpool_grad, FWI_OP_bias_act_grad};

/* Their first input is f32, whatever the images are stored as: a row for each. */
static const fwi_opkind typed[] = {FWI_OP_global_avg_pool_grad, FWI_OP_global_max_pool_grad,
                                   FWI_OP_to_blocked};

static const fwi_opkind convs[] = {FWI_OP_conv2d, FWI_OP_conv2d_stats, FWI_OP_conv2d_dx,
                                   FWI_OP_conv2d_dw};

#define COUNT(x) (sizeof(x) / sizeof *(x))

/* As many rows as n of each op, of this type and layout, whose names have `part` ("": any). */
static void assert_rows(const fwi_op_table *t, const fwi_opkind *ops, size_t n_ops, fw_dtype type,
                        bool is_blocked, const char *part, int n)
{
    for (size_t i = 0; i < n_ops; i++) {
        int found = 0;
        for (const fwi_kernel *k = t->rows; k->run != NULL; k++)
            found += k->op == ops[i] && k->dtype == type && k->blocked == is_blocked &&
                     strstr(k->name, part) != NULL;
        if (found != n)
            fail_msg("%s: %d rows of %s in %s%s%s, expected %d", t->name, found,
                     fwi_op_info_get(ops[i])->name, fw_dtype_name(type),
                     is_blocked ? ", batch-blocked" : "", part, n);
    }
}

static const fwi_op_table *room(fwi_isa isa)
{
    const fwi_op_table *const t = fwi_cpu_table(isa);
    if (t == NULL && fwi_isa_supported(isa))
        fail_msg("no kernels for %s, which this processor has", fwi_isa_name(isa));
    if (t == NULL)
        print_message("this build has no kernels for %s\n", fwi_isa_name(isa));
    return t;
}

static void rooms_have_their_rows(void **state)
{
    (void)state;
    for (int isa = FWI_ISA_PORTABLE; isa <= FWI_ISA_AVX512; isa++) {
        const fwi_op_table *const t = room((fwi_isa)isa);
        if (t == NULL)
            continue;
        assert_rows(t, plain, COUNT(plain), FW_F32, false, "", 1);
        assert_rows(t, plain, COUNT(plain), FW_F64, false, "", 1);
        const bool stores_bf16 = isa >= FWI_ISA_AVX2;
        for (int bf16 = 0; bf16 <= stores_bf16; bf16++) {
            const fw_dtype type = bf16 == 1 ? FW_BF16 : FW_F32;
            assert_rows(t, blocked, COUNT(blocked), type, true, "", 1);
            assert_rows(t, fused, COUNT(fused), type, true, "", 1);
            assert_rows(t, convs, COUNT(convs), type, true, "_blocked_", 1);
            assert_rows(t, convs, COUNT(convs), type, true, "_winograd_", 1);
        }
        assert_rows(t, typed, COUNT(typed), FW_F32, true, "", stores_bf16 ? 2 : 1);
    }
}

static void products_of_bf16_have_their_rows(void **state)
{
    (void)state;
    const fwi_op_table *const t = room(FWI_ISA_AVX512_BF16);
    if (t == NULL)
        return;
    assert_rows(t, convs, COUNT(convs), FW_BF16, true, "_blocked_", 1);
    assert_rows(t, convs, COUNT(convs), FW_BF16, true, "_winograd_", 1);
    assert_rows(t, fused, COUNT(fused), FW_BF16, true, "", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_have_their_rows),
        cmocka_unit_test(products_of_bf16_have_their_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
