/* bench_step.c: one training step of a recipe, op by op: the plan that training would run, on the
 * recipe's data or on synthetic images of its shape, timed step by step with the input pipeline in
 * front of it. Read before: exec.h, estimator.h. Next: bench_gpu_step.c. */
#include "bench_step.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dataset_inner.h"
#include "fail.h"
#include "recipe_inner.h"
#include "rng.h"

enum { GPU_READINGS = 3 };
enum { WARM_UP = 2, DEFAULT_RUNS = 7, MAX_RUNS = 1000, SHAPE_CAP = 64, EPOCH_IMAGES = 50000 };

fw_status fwi_synthetic_images(int64_t n, const int64_t hwc[3], int64_t n_classes, fw_images *out)
{
    fw_images im = {
        .n = n, .h = hwc[0], .w = hwc[1], .c = hwc[2], .dtype = FW_U8, .n_classes = n_classes};
    const int64_t bytes = n * hwc[0] * hwc[1] * hwc[2];
    im.pixels = fwi_alloc((size_t)bytes + 16);
    im.labels = fwi_alloc_array((size_t)n, sizeof *im.labels);
    im.source = fwi_strdup("synthetic images");
    if (im.pixels == NULL || im.labels == NULL || im.source == NULL) {
        fw_images_clear(&im);
        return FW_ENOMEM;
    }
    uint8_t *pixels = im.pixels;
    for (int64_t i = 0; i < bytes; i += 16) {
        uint32_t words[4];
        fwi_rng_block(0, FWI_RNG_TEST, 0, (uint64_t)i, 0, words);
        memcpy(pixels + i, words, (size_t)(bytes - i < 16 ? bytes - i : 16));
    }
    for (int64_t i = 0; i < n; i++)
        im.labels[i] = (int32_t)(i % n_classes);
    const fw_status st = fw_images_stats(&im);
    if (st != FW_OK)
        fw_images_clear(&im);
    else
        *out = im;
    return st;
}

/* ---- data and estimator ---- */

static fw_status open_synthetic(fwi_step_bench *b)
{
    int64_t hwc[3] = {0};
    fw_model_cost cost;
    fw_status st = fw_recipe_check(b->r, &cost);
    if (st != FW_OK)
        return st;
    (void)fwi_recipe_size(b->r, hwc);
    b->data.n_classes = cost.n_classes;
    b->synthetic = true;
    st = fwi_synthetic_images(2 * b->batch, hwc, cost.n_classes, &b->data.train_images);
    return st == FW_OK ? fwi_recipe_data_arrays(b->r, b->opt->seed, &(fwi_data_opt){0}, &b->data)
                       : st;
}

static fw_status prepare(fwi_step_bench *b, fw_budget *budget)
{
    fw_layer *net = NULL;
    fwi_optim optim;
    fw_average average;
    fw_resolution resolutions[FW_MAX_RESOLUTIONS];
    fwi_training_plans plans = {.n = 0};
    int32_t n_resolutions = 0; /* none: full size */
    int64_t steps = 0;
    b->batch = fwi_recipe_int(b->r, FWI_KEY_TRAIN_BATCH);
    fw_status st = fwi_run_precision(b->r, b->opt, &b->precision, &b->tf32);
    if (st == FW_OK)
        st = b->opt->data == NULL
                 ? open_synthetic(b)
                 : fwi_recipe_data_open(b->r, b->opt->data, b->opt->seed,
                                        &(fwi_data_opt){.no_test = true, .labels = true}, &b->data);
    if (st != FW_OK)
        return st;
    int64_t images = EPOCH_IMAGES,
            test = 0; /* of an epoch, where there are none but synthetic ones */
    if (b->synthetic && fw_recipe_records(b->r, &images, &test) != FW_OK)
        images = EPOCH_IMAGES;
    b->steps_per_epoch = b->synthetic ? images / b->batch : fw_dataset_batches(b->data.train);
    if (b->steps_per_epoch < 1)
        b->steps_per_epoch = 1;
    st = fwi_recipe_steps(b->r, b->steps_per_epoch, &steps);
    if (st == FW_OK && b->step >= steps)
        st = fwi_fail(FW_EARG,
                      "bench step: the run has %" PRId64 " steps, number %" PRId64
                      " is behind the last",
                      steps, b->step);
    if (st == FW_OK && !b->whole)
        st = fwi_recipe_resolutions(b->r, steps, resolutions, &n_resolutions);
    if (st == FW_OK)
        st = fwi_recipe_optim(b->r, steps, b->steps_per_epoch, &optim);
    if (st == FW_OK)
        st = fwi_recipe_average(b->r, steps, b->steps_per_epoch, &average);
    if (st == FW_OK)
        st = fwi_recipe_net(b->r, &net);
    if (st != FW_OK)
        return st;
    const fw_estimator_opt opt = {
        .device = b->opt->device,
        .precision = b->precision,
        .tf32 = b->tf32,
        .threads = b->opt->threads,
        .pin = b->opt->pin,
        .conv = (fw_conv)fwi_recipe_word(b->r, FWI_KEY_TRAIN_CONV),
        .seed = b->opt->seed,
        .memory_limit = b->opt->memory_limit,
        .groups = optim.group,
        .n_groups = optim.n_groups,
        .average = average,
        .resolutions = resolutions,
        .n_resolutions = n_resolutions,
        .resolution_by = (fw_resolution_by)fwi_recipe_word(b->r, FWI_KEY_TRAIN_RESOLUTION_BY),
        .loss_sum = fwi_recipe_word(b->r, FWI_KEY_TRAIN_LOSS) == 1,
        .label_smoothing = fwi_recipe_number(b->r, FWI_KEY_TRAIN_SMOOTHING)};
    st = fw_estimator_new(&b->e, net, optim.rest, &opt);
    if (st == FW_OK)
        st = fw_estimator_prepare(b->e, b->data.train, NULL, budget);
    if (st == FW_OK)
        st = fwi_estimator_training_plans(b->e, b->data.train, &plans);
    if (st == FW_OK)
        b->plan = fwi_stage_at(&plans, b->step)->plan;
    if (st == FW_OK)
        st = fwi_estimator_take_data(b->e, b->data.train, 0);
    return st;
}

/* ---- steps ---- */

fw_status fwi_step_bind(fwi_step_bench *b, const fw_batch *batch, fwi_binding *bind)
{
    fw_estimator *e = b->e;
    fwi_optim_row(&e->optim, b->step, b->row);
    b->rng[0] = (int64_t)b->opt->seed;
    b->rng[1] = b->step;
    *bind = fwi_network_binding(b->plan, e->network.scratch, batch->images, batch->labels, b->row,
                                b->rng);
    fwi_network_bind_labels2(b->plan, bind, batch->labels2);
    const fwi_shown shown = fwi_device_data_shown(&e->train_data, batch);
    const fw_status st = fwi_device_data_bind(&shown, b->plan, 0, false, bind);
    b->step++;
    return st;
}

/* op_seconds NULL: not timed. */
static fw_status run_batch(fwi_step_bench *b, const fw_batch *batch, double *op_seconds)
{
    fwi_binding bind;
    const fw_status st = fwi_step_bind(b, batch, &bind);
    return st == FW_OK ? fwi_network_update_timed(&b->e->network, b->plan, &bind, op_seconds) : st;
}

static fw_status measure(fwi_step_bench *b, int64_t runs, double *start_seconds)
{
    fw_batch batch;
    fw_status st = fwi_device_data_next(&b->e->train_data, b->data.train, &batch);
    *start_seconds = fwi_seconds_since_start(); /* all that is left is to run the first step */
    for (int64_t i = -WARM_UP; i < runs && st == FW_OK; i++) {
        const double start = fwi_now();
        if (i > -WARM_UP)
            st = fwi_device_data_next(&b->e->train_data, b->data.train, &batch);
        if (st == FW_OK)
            st = run_batch(b, &batch,
                           i < 0 ? NULL : b->op_seconds + i * fwi_plan_steps(b->plan->plan));
        if (i >= 0)
            b->seconds[i] = fwi_now() - start;
    }
    return st;
}

/* ---- by part ---- */

const char *fw_step_part_name(fw_step_part part)
{
    static const char *const names[FW_PART_COUNT] = {
        [FW_PART_CONV] = "convolution",
        [FW_PART_NORM] = "normalisation, activation",
        [FW_PART_POOL] = "pools",
        [FW_PART_ADD] = "additions",
        [FW_PART_LAYOUT] = "conversions",
        [FW_PART_OPTIMIZER] = "optimizer",
        [FW_PART_OTHER] = "head, loss, other",
        [FW_PART_OUTSIDE] = "input, between ops",
    };
    return (unsigned)part < FW_PART_COUNT ? names[part] : "?";
}

static fw_step_part part_of(fwi_opkind kind)
{
    static const struct {
        const char *start; /* of the names of ops */
        fw_step_part part;
    } starts[] = {
        {"conv2d", FW_PART_CONV},
        {"bn_", FW_PART_NORM},
        {"bias_", FW_PART_NORM},
        {"sum_rows", FW_PART_NORM},
        {"relu", FW_PART_NORM},
        {"act", FW_PART_NORM},
        {"max_pool_stats", FW_PART_NORM}, /* sums for the norm behind it, in its sweep */
        {"max_pool", FW_PART_POOL},
        {"avg_pool", FW_PART_POOL},
        {"global_", FW_PART_POOL},
        {"adam", FW_PART_OPTIMIZER},
        {"add", FW_PART_ADD},
        {"to_blocked", FW_PART_LAYOUT},
        {"from_blocked", FW_PART_LAYOUT},
        {"cast", FW_PART_LAYOUT},
        {"resize", FW_PART_LAYOUT},
        {"crop", FW_PART_LAYOUT},
        {"sgd", FW_PART_OPTIMIZER},
        {"muon", FW_PART_OPTIMIZER},
        {"lars", FW_PART_OPTIMIZER},
        {"average", FW_PART_OPTIMIZER},
        {"sum_squares", FW_PART_OPTIMIZER},
        {"clip_factor", FW_PART_OPTIMIZER},
    };
    const char *const name = fwi_op_info_get(kind)->name;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(name, starts[i].start, strlen(starts[i].start)) == 0)
            return starts[i].part;
    return FW_PART_OTHER;
}

/* ---- by kernel and shape ---- */

typedef struct row {
    fw_bench_op op;
    char shape[SHAPE_CAP];
    double flops, bytes;
    fw_dtype type; /* in which its products are */
} row;

/* A convolution's products are in the type of its images; Muon's may be in 16 bits (ir.h). */
static fw_dtype product_type(const fwi_step_info *s)
{
    return s->op == FWI_OP_muon && s->call->attr->muon.narrow != 0 ? FW_BF16 : s->call->in[0].dtype;
}

static void shape_text(char *out, const fwi_step_info *s)
{
    size_t n = 0;
    out[0] = 0;
    for (int part = 0; part < 2; part++) {
        const fwi_shape *shape = part == 0 ? &s->in0 : &s->out0;
        if (part == 1 && n > 0 && shape->rank > 0 && n < SHAPE_CAP)
            n += (size_t)snprintf(out + n, SHAPE_CAP - n, " > ");
        for (int i = 0; i < shape->rank && n < SHAPE_CAP; i++)
            n += (size_t)snprintf(out + n, SHAPE_CAP - n, "%s%" PRId64, i > 0 ? "x" : "",
                                  shape->d[i]);
    }
    if (s->n_calls > 1 && n < SHAPE_CAP)
        snprintf(out + n, SHAPE_CAP - n, " and %d more", s->n_calls - 1);
}

static int by_time(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->op.seconds != y->op.seconds)
        return x->op.seconds < y->op.seconds ? 1 : -1;
    return strcmp(x->shape, y->shape);
}

/* Median over the runs of plan step i. scratch: [runs]. */
static double median_of(const fwi_step_bench *b, int i, int n, int64_t runs, double *scratch)
{
    for (int64_t k = 0; k < runs; k++)
        scratch[k] = b->op_seconds[k * n + i];
    return fwi_median(scratch, runs);
}

static fw_status make_table(const fwi_step_bench *b, int64_t runs, fw_bench_step_result *out)
{
    const int n = fwi_plan_steps(b->plan->plan);
    double *scratch = fwi_alloc_array((size_t)runs, sizeof *scratch);
    row *rows = fwi_alloc_array((size_t)n + 1, sizeof *rows);
    fw_bench_op *ops = fwi_alloc_array((size_t)n + 1, sizeof *ops);
    double flops = 0, seconds = 0;
    int n_rows = 0;
    if (scratch == NULL || rows == NULL || ops == NULL) {
        fwi_free(scratch);
        fwi_free(rows);
        fwi_free(ops);
        return FW_ENOMEM;
    }
    for (int i = 0; i < n; i++) {
        fwi_step_info s;
        char shape[SHAPE_CAP];
        fwi_plan_step(b->plan->plan, i, &s);
        shape_text(shape, &s);
        int k = 0;
        while (k < n_rows &&
               (strcmp(rows[k].op.kernel, s.kernel) != 0 || strcmp(rows[k].shape, shape) != 0))
            k++;
        row *to = &rows[k];
        if (k == n_rows) {
            n_rows++;
            to->op.op = fwi_op_info_get(s.op)->name;
            to->op.kernel = s.kernel;
            to->type = product_type(&s);
            memcpy(to->shape, shape, sizeof shape);
        }
        const double t = median_of(b, i, n, runs, scratch);
        to->op.calls++;
        to->op.seconds += t;
        to->flops += 2.0 * (double)s.macs;
        to->bytes += (double)s.bytes;
        seconds += t;
        out->part_seconds[part_of(s.op)] += t;
        flops += 2.0 * (double)s.macs;
    }
    qsort(rows, (size_t)n_rows, sizeof *rows, by_time);
    for (int k = 0; k < n_rows; k++) {
        row *from = &rows[k];
        ops[k] = from->op;
        ops[k].shape = from->shape;
        if (from->op.seconds > 0) {
            ops[k].gflops = from->flops / from->op.seconds / 1e9;
            ops[k].gbytes_per_second = from->bytes / from->op.seconds / 1e9;
            ops[k].share = from->op.seconds / seconds;
        }
    }
    out->kernels_seconds = seconds;
    fwi_free(scratch);
    if (out->seconds_median > seconds)
        out->part_seconds[FW_PART_OUTSIDE] = out->seconds_median - seconds;
    out->ops = ops;
    out->n_ops = n_rows;
    out->owned = rows;
    out->gflops = flops / out->seconds_median / 1e9;
    return FW_OK;
}

/* Each kernel beside the ceiling that it runs against: products beside those of their type, all else
 * beside the memory. rows and ops are in the same order. */
static void set_shares(fw_bench_step_result *res, bool tf32)
{
    const row *const rows = res->owned;
    const double memory =
        fmax(fmax(res->peak.gbytes_read, res->peak.gbytes_copy), res->peak.gbytes_stream);
    for (int i = 0; i < res->n_ops; i++) {
        fw_bench_op *const o = &res->ops[i];
        const bool products = rows[i].flops > 0;
        fw_dtype type = rows[i].type;
        if (type == FW_BF16 && !(res->peak.gflops_bf16 > 0)) /* no such unit: multiplied as f32 */
            type = FW_F32;
        const bool as_tf32 = tf32 && type == FW_F32;
        const double peak = !products ? memory
                            : as_tf32 ? res->peak.gflops_tf32
                                      : fwi_peak_for(&res->peak, type);
        o->ceiling = !products ? "memory" : as_tf32 ? "tf32" : fw_dtype_name(type);
        o->share_of_peak = peak > 0 ? (products ? o->gflops : o->gbytes_per_second) / peak : 0;
    }
}

/* After the estimator, whose memory and threads are then free. */
static fw_status read_peaks(const fwi_step_bench *b, bool gpu, int n_threads,
                            fw_bench_step_result *res)
{
    fw_gpu_peak p;
    fw_status st;
    if (gpu) {
        st = fw_bench_gpu_peak(b->opt->device, GPU_READINGS, &p);
        if (st == FW_OK)
            res->peak = p.median;
    } else
        st = fw_bench_peak(n_threads, &res->peak);
    if (st != FW_OK)
        return st;
    res->peak_gflops = b->tf32 ? res->peak.gflops_tf32 : fwi_peak_for(&res->peak, b->precision);
    set_shares(res, b->tf32);
    return FW_OK;
}

/* ---- */

fw_status fw_bench_step(const fw_recipe *r, const fw_run_opt *opt, int64_t at, int64_t runs,
                        fw_bench_step_result *out)
{
    static const fw_run_opt none = {0};
    if (r == NULL || out == NULL || runs < 0 || runs > MAX_RUNS || at < FW_BENCH_WHOLE)
        return fwi_fail(FW_EARG, "fw_bench_step: NULL argument, not 0 to %d runs, or step %" PRId64,
                        (int)MAX_RUNS, at);
    if (runs == 0)
        runs = DEFAULT_RUNS;
    fwi_step_bench b = {.r = r,
                        .opt = opt != NULL ? opt : &none,
                        .whole = at == FW_BENCH_WHOLE,
                        .step = at == FW_BENCH_WHOLE ? 0 : at};
    fw_bench_step_result res = {.runs = runs};
    fw_status st = prepare(&b, &res.budget);
    if (st != FW_OK)
        goto done;
    res.batch = b.batch;
    if (b.opt->explain != NULL) {
        char *text = NULL;
        if ((st = fw_estimator_explain(b.e, &text)) == FW_OK)
            b.opt->explain(b.opt->explain_user, text);
        fw_text_free(text);
        if (st != FW_OK)
            goto done;
    }
    b.seconds = fwi_alloc_array((size_t)runs, sizeof *b.seconds);
    b.op_seconds =
        fwi_alloc_array((size_t)(runs * fwi_plan_steps(b.plan->plan)), sizeof *b.op_seconds);
    st = b.seconds == NULL || b.op_seconds == NULL ? FW_ENOMEM : FW_OK;
    const bool gpu = b.e->device->backend->probe != NULL;
    if (st == FW_OK)
        st = gpu ? fwi_gpu_step(&b, runs, &res) : measure(&b, runs, &res.start_seconds);
    fwi_estimator_leave_data(b.data.train);
    if (st != FW_OK)
        goto done;
    res.peak_memory_bytes = fwi_rss_peak_bytes();
    res.seconds_median = fwi_median(b.seconds, runs); /* sorts */
    res.seconds_min = b.seconds[0];
    res.seconds_max = b.seconds[runs - 1];
    res.images_per_second = (double)b.batch / res.seconds_median;
    res.epoch_seconds = res.seconds_median * (double)b.steps_per_epoch;
    if ((st = make_table(&b, runs, &res)) != FW_OK)
        goto done;
    const int n_threads = fwi_pool_threads(b.e->device->pool);
    const bool known = gpu || b.e->device->host_memory;
    snprintf(res.device, sizeof res.device, "%s", b.e->device->label);
    fw_estimator_free(b.e); /* its memory and threads, before the peaks are measured */
    b.e = NULL;
    res.precision = b.precision;
    res.tf32 = b.tf32;
    if (known)
        st = read_peaks(&b, gpu, n_threads, &res);
    if (st == FW_OK && res.peak_gflops > 0)
        res.share_of_peak = res.gflops / res.peak_gflops;
done:
    fw_estimator_free(b.e);
    fw_recipe_data_clear(&b.data);
    fwi_free(b.seconds);
    fwi_free(b.op_seconds);
    if (st != FW_OK)
        fw_bench_step_clear(&res);
    else
        *out = res;
    return st;
}

void fw_bench_step_clear(fw_bench_step_result *res)
{
    if (res == NULL)
        return;
    fwi_free(res->ops);
    fwi_free(res->owned);
    *res = (fw_bench_step_result){0};
}
