/* Measurements give sane numbers: bench_*.c. How fast is for `fenwicks bench` to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <backends.h>
#include <bench_inner.h>
#include <clock.h>

static void medians(void **state)
{
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, one[] = {7};
    assert_true(fwi_median(odd, 3) == 2);
    assert_true(odd[0] == 1 && odd[2] == 3); /* sorted on the way */
    assert_true(fwi_median(even, 4) == 2.5);
    assert_true(fwi_median(one, 1) == 7);
    const double since = fwi_seconds_since_start();
    assert_true(since >= 0 && since < 3600);
}

static void the_machine(void **state)
{
    (void)state;
    fw_machine m;
    assert_int_equal(fw_machine_get(&m), FW_OK);
    assert_true(m.threads >= 1 && m.memory_bytes > 1 << 20);
    assert_non_null(strstr(m.isas, "ref,portable"));
    assert_non_null(strstr(m.isas, m.isa));
    assert_string_equal(m.version, fw_version());
    assert_true(strlen(m.cpu) > 0 && strlen(m.compiler) > 0);

    fw_part parts[32];
    const int n = fw_parts(parts, 32);
    assert_true(n >= 6 && n <= 32);
    assert_int_equal(fw_parts(NULL, 0), n);
    bool gnuplot = false;
    for (int i = 0; i < n; i++) {
        assert_true(strlen(parts[i].name) > 0 && strlen(parts[i].what) > 0);
        gnuplot = gnuplot || strcmp(parts[i].name, "gnuplot") == 0;
    }
    assert_true(gnuplot);
}

static void every_op_has_a_kernel(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(fw_ops_table(&text), FW_OK);
    for (int op = 0; op < FWI_OP_COUNT; op++) {
        char line[64];
        snprintf(line, sizeof line, "%-22s f32 ", fwi_op_info_get((fwi_opkind)op)->name);
        if (strstr(text, line) == NULL)
            print_error("no line \"%s\"\n", line);
        assert_non_null(strstr(text, line));
    }
    fw_text_free(text);
}

/* The ceiling counts what it does: rounds are proportional to operations, the value is the limit.
 */
static void peak_kernels(void **state)
{
    (void)state;
    int n = 0;
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        const fwi_peak_fn peak = fwi_cpu_peak((fwi_isa)isa);
        if (peak == NULL || !fwi_isa_supported((fwi_isa)isa))
            continue;
        float sink = 0;
        const double a = peak(50, &sink), b = peak(100, &sink);
        assert_true(a > 0 && b == 2 * a);
        assert_true(fabsf(sink - 12.0f) < 1e-3f); /* 12 sums that have come to 1 */
        n++;
    }
    assert_true(n >= 1);
    const fwi_peak_fn bf16 = fwi_cpu_peak_bf16(FWI_ISA_AVX512_BF16);
    assert_null(fwi_cpu_peak_bf16(FWI_ISA_AVX512));
    if (bf16 != NULL && fwi_isa_supported(FWI_ISA_AVX512_BF16)) {
        float sink = 0;
        const double a = bf16(512, &sink), b = bf16(1024, &sink);
        assert_true(a > 0 && b == 2 * a);
        assert_true(sink == 120 + 1.0F / 32); /* 0 to 15, and 16 * 1024 * 2 products of 2^-20 */
    }
}

static fw_status count_rows(void *arg, const fw_bench_conv_row *row)
{
    int *const rows = arg;
    assert_string_equal(row->pass, "fwd");
    assert_true(row->shape->n == 2 && row->seconds > 0 && row->seconds_min <= row->seconds);
    assert_true(row->gflops > 0 && row->peak_before > 0 && row->peak_after > 0);
    assert_true(row->executed > 0 && row->executed <= 1 && row->error >= 0);
    assert_false(row->wrong);
    return ++*rows == 3 ? FW_ESTOPPED : FW_OK;
}

static void convolutions(void **state)
{
    (void)state;
    fw_conv_shape shapes[128];
    const int n = fw_conv_shapes(shapes, 128);
    assert_true(n > 30 && n <= 128 && fw_conv_shapes(NULL, 0) == n);
    for (int i = 0; i < n; i++) {
        const fw_conv_shape *const s = &shapes[i];
        assert_true(s->n > 0 && s->c > 0 && s->oc > 0 && s->oh > 0 && s->ow > 0);
        for (int j = 0; j < i; j++)
            assert_true(strcmp(s->net, shapes[j].net) != 0 || strcmp(s->name, shapes[j].name) != 0);
    }
    int rows = 0;
    fw_bench_conv_opt o = {.shape = "airbench94/block3",
                           .pass = "fwd",
                           .algo = "direct",
                           .precision = FW_F32,
                           .threads = 1,
                           .runs = 1,
                           .batch = 2};
    assert_int_equal(fw_bench_conv(&o, count_rows, &rows), FW_OK);
    assert_int_equal(rows, 1);
    o.shape = "airbench94"; /* its third row ends it */
    rows = 0;
    assert_int_equal(fw_bench_conv(&o, count_rows, &rows), FW_ESTOPPED);
    assert_int_equal(rows, 3);
    o.shape = "airbench94/block4";
    assert_int_equal(fw_bench_conv(&o, count_rows, &rows), FW_ENOTFOUND);
    assert_non_null(strstr(fw_last_error(), "block3_in block3"));
    o.shape = NULL;
    o.precision = FW_I64;
    assert_int_equal(fw_bench_conv(&o, count_rows, &rows), FW_EARG);
    assert_int_equal(fw_bench_conv(NULL, count_rows, &rows), FW_EARG);
}

static fw_status count_sweeps(void *arg, const fw_bench_ops_row *row)
{
    int *const rows = arg;
    assert_true(row->seconds > 0 && row->seconds_min <= row->seconds && row->bytes > 0);
    assert_true(row->gbytes_per_second > 0 && row->share_of_peak > 0 && row->peak->gbytes_read > 0);
    ++*rows;
    return FW_OK;
}

static void sweeps(void **state)
{
    (void)state;
    int rows = 0;
    fw_bench_ops_opt o = {
        .shape = "airbench94/block3", .precision = FW_F32, .threads = 1, .runs = 1, .batch = 3};
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_OK);
    assert_true(rows >= 10);
    o.op = "max_pool";
    rows = 0;
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_OK);
    assert_int_equal(rows, 1);
    o.op = "act_grad";
    o.act = "silu";
    rows = 0;
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_OK);
    assert_int_equal(rows, 1);
    o.act = "relu"; /* which has a gradient of its own */
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_EARG);
    o.act = "silo";
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_ENOTFOUND);
    o.act = NULL;
    o.op = "matmul";
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_ENOTFOUND);
    o.op = NULL;
    o.runs = -1;
    assert_int_equal(fw_bench_ops(&o, count_sweeps, &rows), FW_EARG);
    assert_int_equal(fw_bench_ops(NULL, count_sweeps, &rows), FW_EARG);
}

/* Recording keeps the higher figure of each, and finds by threads. */
static void recorded_peaks(void **state)
{
    (void)state;
    char dir[] = "peaks-XXXXXX";
    assert_non_null(mkdtemp(dir));
    fw_peak p;
    assert_int_equal(fw_peak_recorded(dir, 2, &p), FW_ENOTFOUND);
    assert_int_equal(
        fw_peak_record(dir, &(fw_peak){.gflops_f32 = 5, .gbytes_read = 7, .threads = 2}), FW_OK);
    assert_int_equal(
        fw_peak_record(dir, &(fw_peak){.gflops_f32 = 4, .gbytes_read = 8, .threads = 2}), FW_OK);
    assert_int_equal(fw_peak_recorded(dir, 2, &p), FW_OK);
    assert_true(p.gflops_f32 == 5 && p.gbytes_read == 8 && p.gbytes_copy == 0 && p.threads == 2);
    assert_int_equal(fw_peak_recorded(dir, 3, &p), FW_ENOTFOUND);
    assert_int_equal(fw_peak_record(dir, &(fw_peak){0}), FW_EARG);
    /* as a file of the name alone, it is found too; as one of another family it is none of ours */
    char command[256];
    snprintf(command, sizeof command,
             "cd %s && f=$(echo *.json) && g=$(echo $f | sed -E 's/-[0-9]+-[0-9]+[.]json/.json/') "
             "&& { [ $f = $g ] || mv $f $g; }",
             dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(fw_peak_recorded(dir, 2, &p), FW_OK);
    snprintf(command, sizeof command, "sed -i 's/\"family\": [0-9]*/\"family\": 999/' %s/*.json",
             dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(fw_peak_recorded(dir, 2, &p), FW_ENOTFOUND);
    assert_non_null(strstr(fw_last_error(), "has those of another"));
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    assert_true(fwi_peak_for(&(fw_peak){.gflops_f32 = 4, .gflops_bf16 = 9}, FW_BF16) == 9);
    assert_true(fwi_peak_for(&(fw_peak){.gflops_f32 = 4}, FW_BF16) == 4);
    assert_true(fwi_peak_for(&(fw_peak){.gflops_f32 = 4, .gflops_bf16 = 9}, FW_F64) == 2);
}

static void one_step(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_bench_step_result s;
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    for (int k = 0; k < 3;
         k++) { /* on data; without; without, and nobody says how many there are */
        const fw_run_opt o = {.threads = 1,
                              .data = k == 0 ? FW_SOURCE_DIR "/recipes/digits.csv" : NULL};
        if (k == 2)
            assert_int_equal(fw_recipe_set(r, "data.bundled", "none"), FW_OK);
        assert_int_equal(fw_bench_step(r, &o, FW_BENCH_WHOLE, 2, &s), FW_OK);
        assert_int_equal(s.batch, 64);
        assert_int_equal(s.runs, 2);
        assert_true(s.seconds_min > 0 && s.seconds_min <= s.seconds_median);
        assert_true(s.seconds_median <= s.seconds_max && s.start_seconds >= 0);
        assert_true(s.images_per_second > 0 && s.gflops > 0 && s.peak.gflops_f32 > 0);
        assert_true(s.peak.gbytes_read > 0 && s.peak.threads == 1);
        assert_true(s.share_of_peak > 0);
        assert_true(fabs(s.epoch_seconds / s.seconds_median - (k < 2 ? 1438 / 64 : 50000 / 64)) <
                    1e-6);
        assert_true(s.budget.state > 0 && s.budget.total > s.budget.state);
        double share = 0;
        bool conv = false;
        assert_true(s.n_ops > 3);
        for (int i = 0; i < s.n_ops; i++) {
            assert_true(i == 0 || s.ops[i].seconds <= s.ops[i - 1].seconds);
            assert_true(s.ops[i].calls >= 1 && strlen(s.ops[i].shape) > 0);
            conv = conv || (strncmp(s.ops[i].op, "conv2d", 6) == 0 && s.ops[i].gflops > 0);
            share += s.ops[i].share;
        }
        assert_true(conv);
        assert_true(fabs(share - 1) < 1e-9);
        double parts = 0;
        for (int i = 0; i < FW_PART_COUNT; i++) {
            assert_true(s.part_seconds[i] >= 0 && strlen(fw_step_part_name((fw_step_part)i)) > 1);
            parts += s.part_seconds[i];
        }
        assert_true(s.part_seconds[FW_PART_CONV] > 0 && s.part_seconds[FW_PART_OPTIMIZER] > 0);
        assert_true(parts >= s.seconds_median * 0.999);
        assert_true(s.peak_gflops == s.peak.gflops_f32);
        fw_bench_step_clear(&s);
        assert_int_equal(s.n_ops, 0);
    }
    assert_int_equal(fw_bench_step(r, NULL, FW_BENCH_WHOLE, -1, &s), FW_EARG);
    fw_recipe_free(r);
}

/* Steps of a run whose images grow, and which ends the training of a group half-way. */
static void steps_of_a_run(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_bench_step_result s;
    static const int64_t at[] = {FW_BENCH_WHOLE, 0, 99, 199};
    double flops[4];
    const fw_run_opt o = {.threads = 1, .data = FW_SOURCE_DIR "/recipes/digits.csv"};
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "train.epochs", "200/22"), FW_OK); /* 22 steps an epoch */
    assert_int_equal(fw_recipe_set(r, "train.resolution", "4 8"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "train.resolution_ends", "1/4"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "train.group", "conv train_epochs=110/22"), FW_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fw_bench_step(r, &o, at[i], 1, &s), FW_OK);
        flops[i] = s.gflops * s.seconds_median;
        fw_bench_step_clear(&s);
    }
    const double near = 1e-9 * flops[0];
    assert_true(flops[1] < 0.5 * flops[0]); /* a quarter of the pixels */
    assert_true(fabs(flops[2] - flops[0]) < near);
    assert_true(flops[3] < 0.7 * flops[0]); /* no gradients of filters, and none to reach them */
    assert_int_equal(fw_bench_step(r, &o, 200, 1, &s), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "200 steps"));
    assert_int_equal(fw_bench_step(r, &o, -2, 1, &s), FW_EARG);
    fw_recipe_free(r);
}

static void the_pipeline(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_bench_data_result d;
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    char dir[] = "bench-XXXXXX";
    assert_non_null(mkdtemp(dir));
    setenv("TMPDIR", dir, 1);
    const volatile sig_atomic_t stop = 1;
    assert_int_equal(fw_bench_data(r, &(fw_run_opt){.stop = &stop}, 2, &d), FW_ESTOPPED);
    assert_int_equal(fw_bench_data(r, NULL, 2, &d), FW_OK);
    assert_int_equal(rmdir(dir), 0); /* nothing of the temporary records is left */
    unsetenv("TMPDIR");
    assert_int_equal(d.images, 10000 / 64 * 64);
    assert_int_equal(d.threads, 1);
    assert_int_equal(d.runs, 2);
    assert_true(d.images_per_second_min > 0 &&
                d.images_per_second_min <= d.images_per_second_median &&
                d.images_per_second_median <= d.images_per_second_max);
    assert_true(d.gbytes_per_second > 0);
    assert_int_equal(fw_bench_data(r, &(fw_run_opt){.data = "nothing/there"}, 1, &d), FW_ENOTFOUND);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(the_machine),
        cmocka_unit_test(every_op_has_a_kernel),
        cmocka_unit_test(peak_kernels),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(recorded_peaks),
        cmocka_unit_test(one_step),
        cmocka_unit_test(steps_of_a_run),
        cmocka_unit_test(the_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
