/* test_joint.c: updates of many tensors by one kernel, under emulation: the bits that the same calls
 * give one by one, for more calls than one table of arguments holds, of sizes around those of a block.
 * Nothing beside the tensors is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rng.h"
#include "t_cuda.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 18, GUARD = 8, COLUMNS = 6 };
static float alone[ROOM], joint[ROOM], start[ROOM];
static const double hyper[COLUMNS] = {0.1, 5e-4, 0.05, 0, 1 - 0.9, 1 - 0.999};

static uint32_t draws;
static uint32_t draw(uint32_t n)
{
    return (uint32_t)(fwi_rng_u64(11, FWI_RNG_TEST, 0, draws++) % n);
}

/* Tensors one behind the other with guards between; numbers in (0, 1], as second moments must be. */
typedef struct heap {
    float *at;
    size_t used;
} heap;

static void *take(heap *h, int64_t n)
{
    float *p = h->at + h->used;
    h->used += (size_t)n + GUARD;
    assert_true(h->used <= ROOM);
    return p;
}

static fwi_shape shape_of(fwi_opkind kind)
{
    static const int64_t sizes[] = {1, 3, 255, 256, 1023, 1024, 1025, 4097};
    if (kind == FWI_OP_lars)
        return fwi_shape4(1 + draw(9), 1 + draw(3), 1 + draw(3), 1 + draw(40));
    if (kind == FWI_OP_bn_update)
        return fwi_shape1(1 + draw(300));
    return fwi_shape1(draw(2) ? sizes[draw(8)] : 1 + draw(300));
}

static fwi_attr attr_of(fwi_opkind kind)
{
    fwi_attr a = {0};
    if (kind == FWI_OP_average)
        a.average = (fwi_average_attr){.on_col = draw(4), .decay_col = 4, .copy_back = draw(2)};
    else if (kind == FWI_OP_bn_update)
        a.bn = (fwi_bn_attr){.groups = 1 + draw(3), .update = 0.4, .count = 2 + draw(100)};
    else
        a.optim = (fwi_optim_attr){.momentum = 0.85,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .form = draw(3),
                                   .lr_col = draw(4), /* 3: a rate of 0 */
                                   .wd_col = draw(4),
                                   .bc_col = 4};
    return a;
}

/* n calls of a kind on the memory at h; the same ones each time. */
static void make_calls(fwi_opkind kind, fwi_call *calls, fwi_attr *attrs, int n, heap *h)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    draws = (uint32_t)kind * 1000;
    for (int i = 0; i < n; i++) {
        attrs[i] = attr_of(kind);
        calls[i] = (fwi_call){.kind = kind, .attr = &attrs[i]};
        const fwi_shape s = shape_of(kind);
        for (int k = 0; k < info->n_in; k++) {
            fwi_arg *a = &calls[i].in[k];
            *a = (fwi_arg){.dtype = FW_F32, .shape = s};
            if (kind == FWI_OP_bn_update && k >= 2)
                a->shape = fwi_shape2(attrs[i].bn.groups, s.d[0]);
            const bool rates = kind != FWI_OP_bn_update && k == info->n_in - 1;
            a->data = rates ? (void *)(uintptr_t)hyper : take(h, fwi_shape_elems(&a->shape));
        }
    }
}

static void one_kind(fwi_opkind kind, int n)
{
    fwi_call *calls = calloc((size_t)n, sizeof *calls);
    fwi_attr *attrs = calloc((size_t)n, sizeof *attrs);
    heap by_one = {alone, 0}, at_once = {joint, 0};
    memcpy(alone, start, sizeof alone);
    memcpy(joint, start, sizeof joint);
    make_calls(kind, calls, attrs, n, &by_one);
    const fwi_kernel *k = fwi_table_find(fwi_cuda_emulated_table(), &calls[0], NULL);
    assert_non_null(k);
    assert_non_null(k->joint);
    assert_null(k->joint->scratch);
    for (int i = 0; i < n; i++)
        assert_int_equal(k->run(&calls[i]), FW_OK);
    make_calls(kind, calls, attrs, n, &at_once);
    assert_int_equal(k->joint->run(calls, n), FW_OK);
    assert_memory_equal(alone, joint, sizeof alone); /* guards and what lies behind too */
    size_t changed = 0;
    for (size_t i = 0; i < by_one.used; i++)
        changed += alone[i] != start[i];
    assert_true(n < 13 ||
                changed > by_one.used / 8); /* a few may all be averages that are not due */
    free(calls);
    free(attrs);
}

static void test_as_one_by_one(void **state)
{
    (void)state;
    static const fwi_opkind kinds[] = {FWI_OP_sgd, FWI_OP_adam, FWI_OP_lars, FWI_OP_average,
                                       FWI_OP_bn_update};
    static const int counts[] = {1, 2, 13, FWI_MAX_JOINED};
    for (size_t i = 0; i < ROOM; i++)
        start[i] = (float)(1 + fwi_rng_u64(7, FWI_RNG_TEST, 0, i) % 4096) / 4096;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            one_kind(kinds[k], counts[i]);
}

/* Gradients' norm: a chain of sums. What it gives may lie in its own scratch. */
static void one_chain(int n, bool meets)
{
    static const int64_t sizes[] = {1, 255, 256, 257, 4096, 4097, 8192, 20000};
    static double parts[1 << 12];
    static float x[ROOM], want[FWI_MAX_JOINED], got[FWI_MAX_JOINED];
    fwi_call calls[FWI_MAX_JOINED];
    const float so_far = 0.75F;
    size_t used = 0;
    draws = (uint32_t)n;
    memcpy(x, start, sizeof x);
    for (int i = 0; i < n; i++) {
        const int64_t size = sizes[draw(n > 13 ? 6 : 8)];
        calls[i] = (fwi_call){.kind = FWI_OP_sum_squares, .scratch = parts};
        calls[i].in[0] = (fwi_arg){.data = x + used, .dtype = FW_F32, .shape = fwi_shape1(size)};
        calls[i].in[1] = (fwi_arg){.data = i == 0 ? (void *)(uintptr_t)&so_far : &want[i - 1],
                                   .dtype = FW_F32,
                                   .shape = fwi_shape1(1)};
        calls[i].out[0] = (fwi_arg){.data = &want[i], .dtype = FW_F32, .shape = fwi_shape1(1)};
        used += (size_t)size;
        assert_true(used <= ROOM);
    }
    const fwi_kernel *k = fwi_table_find(fwi_cuda_emulated_table(), &calls[0], NULL);
    assert_non_null(k);
    assert_int_equal(k->joint->follows, 1);
    float sum = so_far;
    for (int i = 0; i < n; i++) {
        assert_true(k->scratch(&calls[i]) <= sizeof parts);
        assert_int_equal(k->run(&calls[i]), FW_OK);
        double own = 0;
        for (int64_t e = 0; e < fwi_shape_elems(&calls[i].in[0].shape); e++)
            own += (double)((const float *)calls[i].in[0].data)[e] *
                   (double)((const float *)calls[i].in[0].data)[e];
        sum += (float)own; /* few bits: a sum in double is exact */
        assert_true(want[i] == sum);
    }
    float *const to = meets ? (float *)(void *)parts : got;
    for (int i = 0; i < n; i++) {
        calls[i].out[0].data = &to[i];
        if (i > 0)
            calls[i].in[1].data = &to[i - 1];
    }
    assert_true(k->joint->scratch(calls, n) <= sizeof parts);
    assert_int_equal(k->joint->run(calls, n), FW_OK);
    assert_memory_equal(to, want, (size_t)n * sizeof *want);
    assert_memory_equal(x, start, sizeof x);
}

static void test_chain(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 13, FWI_MAX_JOINED};
    for (size_t i = 0; i < ROOM; i++)
        start[i] = (float)(1 + fwi_rng_u64(7, FWI_RNG_TEST, 0, i) % 4096) / 4096;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        one_chain(counts[i], false);
        one_chain(counts[i], true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_one_by_one),
                                       cmocka_unit_test(test_chain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
