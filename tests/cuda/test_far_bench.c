/* test_far_bench.c: the measurements of a GPU (bench_gpu_*.c) on the device that stands for one
 * (t_far.h): every row comes, with a result that is right, and whatever a host must not touch is not
 * touched. The times are those of an emulator and mean nothing. */
#include "t_far.h"
#include "t_runs.h"

#include <backends.h>
#include <math.h>
#include <string.h>

static int setup(void **state)
{
    fwi_device_offer(&t_far_backend);
    return t_setup(state);
}

static int teardown(void **state)
{
    fwi_device_offer(NULL);
    return t_teardown(state);
}

static void test_peak(void **state)
{
    (void)state;
    fw_gpu_peak p;
    assert_ok(fw_bench_gpu_peak("far", 3, &p));
    assert_int_equal(p.runs, 3);
    assert_string_equal(p.device, "far");
    const double *const figures[][3] = {
        {&p.least.gflops_f32, &p.median.gflops_f32, &p.most.gflops_f32},
        {&p.least.gbytes_read, &p.median.gbytes_read, &p.most.gbytes_read},
        {&p.least.gbytes_copy, &p.median.gbytes_copy, &p.most.gbytes_copy}};
    for (size_t i = 0; i < T_COUNT(figures); i++)
        assert_true(*figures[i][0] > 0 && *figures[i][0] <= *figures[i][1] &&
                    *figures[i][1] <= *figures[i][2]);
    /* no library here, so none of the products that need one */
    assert_true(p.median.gflops_bf16 == 0 && p.median.gflops_f16 == 0 && p.most.gflops_tf32 == 0);
    assert_non_null(strstr(p.note, "tensor cores"));
    assert_fails(fw_bench_gpu_peak("cpu", 1, &p), FW_EARG, "expected a GPU");
    assert_fails(fw_bench_gpu_peak(NULL, 1, &p), FW_EARG, "expected a GPU");
    assert_fails(fw_bench_gpu_peak("far", -1, &p), FW_EARG, "runs");
    assert_fails(fw_bench_gpu_peak("fra", 1, &p), FW_ENOTFOUND, "unknown");
    /* all of its memory is needed by others: an error, not a smaller ceiling of nothing */
    const size_t all = t_far_memory;
    t_far_memory = 1 << 12;
    assert_fails(fw_bench_gpu_peak("far", 1, &p), FW_ENOMEM, "no memory is free");
    t_far_memory = all;
}

typedef struct seen {
    int rows;
    unsigned passes; /* bits */
    const char *precision;
} seen;

static fw_status conv_row(void *arg, const fw_bench_conv_row *r)
{
    seen *const s = arg;
    s->rows++;
    s->passes |= strcmp(r->pass, "fwd") == 0 ? 1 : strcmp(r->pass, "dx") == 0 ? 2 : 4;
    assert_string_equal(r->precision, s->precision);
    assert_string_equal(r->device, "far");
    const bool few =
        r->shape->c <= 4; /* channels: a kernel for these first, then the one for any shape */
    assert_string_equal(r->algo, few && r->chosen ? "narrow" : "cuda");
    assert_string_equal(r->layout, "nhwc");
    assert_true((r->chosen || few) && !r->slow && r->choices == NULL && r->engines == 0);
    assert_true(r->seconds > 0 && r->seconds_min <= r->seconds && r->seconds <= r->seconds_max);
    assert_true(r->gflops > 0 && r->executed > 0 && r->executed <= 1);
    if (r->wrong)
        fail_msg("%s %s %s: error %g", r->shape->name, r->pass, r->precision, r->error);
    assert_true(r->error > 0);
    const bool f32 = strcmp(r->precision, "f32") == 0;
    assert_true(f32 ? r->peak_before > 0 && r->share_of_peak > 0 : r->share_of_peak == 0);
    return FW_OK;
}

static void test_conv(void **state)
{
    (void)state;
    static const fw_dtype types[] = {FW_F32, FW_BF16, FW_F16};
    for (size_t i = 0; i < T_COUNT(types); i++) {
        seen s = {.precision = fw_dtype_name(types[i])};
        const fw_bench_conv_opt o = {.device = "far",
                                     .shape = "resnet18/block2_skip", /* a stride, and no padding */
                                     .precision = types[i],
                                     .runs = 2,
                                     .batch = 1};
        assert_ok(fw_bench_conv(&o, conv_row, &s));
        assert_int_equal(s.rows, 3);
        assert_int_equal(s.passes, 7);
    }
    seen s = {.precision = "bf16"};
    fw_bench_conv_opt o = {
        .device = "far", .shape = "airbench94/whiten", .precision = FW_BF16, .runs = 1, .batch = 1};
    assert_ok(fw_bench_conv(&o, conv_row, &s));
    assert_int_equal(s.passes, 5); /* no gradient of what the net is given */
    assert_int_equal(s.rows, 4);
    o.algo = "cudnn";
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_ENOTFOUND, "algorithm cudnn");
    o.algo = "winograd2";
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_ENOTFOUND,
                 "auto, cudnn, wgmma, narrow, cuda, all");
    o.algo = NULL;
    o.layout = "blocked";
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_ENOTFOUND, "there is nhwc");
    o.layout = NULL;
    o.precision = FW_F64;
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_EARG, "precision f64");
    o.precision = FW_F32;
    o.tune = true;
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_EUNAVAILABLE, "no engines to choose from");
    o.device = "cpu";
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_EARG, "tuning needs one");
    o = (fw_bench_conv_opt){.device = "far", .shape = "davidnet/layer1", .batch = 4096};
    assert_fails(fw_bench_conv(&o, conv_row, &s), FW_ENOMEM, "a smaller batch needs less");
}

static fw_status ops_row(void *arg, const fw_bench_ops_row *r)
{
    int *const rows = arg;
    ++*rows;
    assert_string_equal(r->device, "far");
    assert_string_equal(r->layout, "nhwc");
    assert_true(r->bytes > 0 && r->seconds > 0 && r->gbytes_per_second > 0);
    assert_true(r->share_of_peak > 0 && r->peak->gbytes_read > 0 && r->peak->gbytes_copy > 0);
    return FW_OK;
}

static void test_ops(void **state)
{
    (void)state;
    static const fw_dtype types[] = {FW_F32, FW_BF16, FW_F16};
    for (size_t i = 0; i < T_COUNT(types); i++) {
        int rows = 0;
        const fw_bench_ops_opt o = {.device = "far",
                                    .shape = "airbench94/whiten", /* Muon is slow here */
                                    .precision = types[i],
                                    .runs = 1,
                                    .batch = 2,
                                    .in_place = i == 1};
        assert_ok(fw_bench_ops(&o, ops_row, &rows));
        assert_true(rows >= 15); /* fused ones and those that stand alone */
    }
    int rows = 0;
    fw_bench_ops_opt o = {.device = "far", .op = "conv2d"};
    assert_fails(fw_bench_ops(&o, ops_row, &rows), FW_ENOTFOUND, "bn_train, bn_train_grad");
    o = (fw_bench_ops_opt){.device = "far", .precision = FW_F64};
    assert_fails(fw_bench_ops(&o, ops_row, &rows), FW_EARG, "precision f64");
    o = (fw_bench_ops_opt){.device = "far", .layout = "blocked"};
    assert_fails(fw_bench_ops(&o, ops_row, &rows), FW_ENOTFOUND, "there is nhwc");
    assert_int_equal(rows, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peak),
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_ops),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
