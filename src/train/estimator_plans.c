/* estimator_plans.c: an estimator compiled for a data set: the plans of a run's stages and of evaluation,
 * what the data decides, and the threads that both work on. Read before: estimator.h, network.h. */
#include "estimator.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "cutmix.h"
#include "dataset_inner.h"
#include "fail.h"
#include "nn.h"
#include "stages.h"
#include "whiten.h"

static fw_status fill_store(fw_estimator *e)
{
    fw_status st;
    if (e->resume != NULL) {
        st = fwi_ckpt_load(e->network.store, e->resume);
        fwi_st_drop(e->resume); /* what it says of its run is still asked for */
        return st;
    }
    st = fwi_store_init(e->network.store, e->opt.seed);
    if (st != FW_OK || e->opt.warm_start == NULL)
        return st;
    const fw_status warm = fwi_model_warm_start(e->network.store, e->opt.warm_start);
    return warm == FW_OK ? fwi_store_init_copies(e->network.store) : warm;
}

fw_status fwi_estimator_fill(fw_estimator *e)
{
    if (e->filled)
        return FW_OK;
    const fw_status st = fill_store(e);
    e->filled = st == FW_OK;
    return st;
}

fw_status fwi_estimator_eval_plan(fw_estimator *e, int64_t batch, int64_t step,
                                  fwi_network_plan **out)
{
    const bool averages = fwi_average_evaluates(&e->optim.average, step);
    return fwi_network_plan_get(&e->network, averages ? FWI_EVALUATE_AVERAGE : FWI_EVALUATE, batch,
                                out);
}

fw_status fwi_estimator_compile(fw_estimator *e, const fw_dataset *ds)
{
    int64_t h, w, c;
    fw_dataset_shape(ds, &h, &w, &c);
    if (e->compiled) {
        const fwi_network_spec *s = &e->network.spec;
        if (s->h == h && s->w == w && s->c == c)
            return FW_OK;
        return fwi_fail(FW_ESHAPE,
                        "images of %" PRId64 " x %" PRId64 " x %" PRId64
                        ", the estimator was compiled for %" PRId64 " x %" PRId64 " x %" PRId64,
                        h, w, c, s->h, s->w, s->c);
    }
    const fwi_network_spec spec = {.net = e->net,
                                   .optim = &e->optim,
                                   .real = e->opt.precision,
                                   .tf32 = e->opt.tf32,
                                   .h = h,
                                   .w = w,
                                   .c = c,
                                   .label_smoothing = e->opt.label_smoothing,
                                   .loss_sum = e->opt.loss_sum,
                                   .loss_scale = e->opt.loss_scale,
                                   .conv = e->opt.conv};
    const fw_status st = fwi_network_init(&e->network, e->device, &spec);
    if (st != FW_OK)
        return st;
    if (e->class_names != NULL && e->opt.n_class_names != e->network.n_classes) {
        const int64_t classes = e->network.n_classes;
        fwi_network_clear(&e->network); /* a model with such names could not be opened */
        return fwi_fail(FW_EARG, "%" PRId64 " class names, the network has %" PRId64 " classes",
                        (int64_t)e->opt.n_class_names, classes);
    }
    fwi_estimator_standardize_as(e, ds);
    e->compiled = true;
    return FW_OK;
}

/* NAN for what is too large for one, as saving refuses it. */
static float float_of(double v)
{
    return fabs(v) <= (double)FLT_MAX ? (float)v : NAN;
}

/* ((x - m) / s - mean) / std = (x - (m + mean s)) / (s std), where a deviation of 0 stands for 1. */
static void then_standardize(fw_transform *t, const fw_transform *next)
{
    if (t->kind == FW_TRANSFORM_NONE) {
        *t = *next;
        return;
    }
    for (int64_t k = 0; k < t->c && k < next->c; k++) {
        const double s = t->std[k] == 0.0f ? 1.0 : (double)t->std[k],
                     std = next->std[k] == 0.0f ? 1.0 : (double)next->std[k];
        t->mean[k] = float_of((double)t->mean[k] + (double)next->mean[k] * s);
        t->std[k] = float_of(s * std);
        if (t->std[k] == 0.0f) /* would stand for 1 */
            t->std[k] = NAN;
    }
}

void fwi_estimator_standardize_as(fw_estimator *e, const fw_dataset *ds)
{
    int n = 0;
    const fw_transform *list = fwi_dataset_transforms(ds, &n);
    e->transforms[0] = (fw_transform){.kind = FW_TRANSFORM_NONE};
    e->own_transforms = false;
    for (int i = 0; i < n; i++) {
        if (list[i].kind == FW_TRANSFORM_STANDARDIZE)
            then_standardize(&e->transforms[0], &list[i]);
        e->own_transforms = e->own_transforms || list[i].kind == FW_TRANSFORM_USER;
    }
}

fw_status fwi_estimator_training_plans(fw_estimator *e, const fw_dataset *ds,
                                       fwi_training_plans *out)
{
    *out = (fwi_training_plans){.n = 0};
    const int32_t n = e->opt.n_resolutions;
    fw_status st = n > 0 && e->opt.resolution_by == FW_BY_CROP
                       ? fwi_cutmix_check_crop(fwi_dataset_cutmix(ds), e->resolutions[n - 1].until,
                                               fwi_dataset_batch(ds))
                       : FW_OK;
    if (st != FW_OK)
        return st;
    const fwi_stages stages = {.optim = &e->optim,
                               .resolution = e->resolutions,
                               .n_resolutions = e->opt.n_resolutions,
                               .by = e->opt.resolution_by};
    int64_t step = 0;
    do {
        fwi_stage *const s = &out->stage[out->n++];
        fwi_network_use use = {.kind = FWI_TRAIN,
                               .batch = fwi_estimator_rows(e, ds),
                               .share2 = fwi_dataset_share2(ds),
                               .still = e->opt.record != NULL};
        step = fwi_stage_of(&stages, step, &use);
        st = fwi_network_plan_for(&e->network, &use, &s->plan);
        use.rows = true; /* of each step, also where an update follows */
        use.still = false;
        use.over = 0;
        if (st == FW_OK && e->opt.record != NULL)
            st = fwi_network_plan_for(&e->network, &use, &s->rows);
        s->until = step;
    } while (st == FW_OK && step != INT64_MAX);
    return st;
}

const fwi_stage *fwi_stage_at(const fwi_training_plans *p, int64_t step)
{
    const fwi_stage *s = p->stage;
    while (step >= s->until)
        s++;
    return s;
}

double fwi_stages_pixels(const fwi_training_plans *p, int64_t full, int64_t first, int64_t last)
{
    double sum = 0;
    for (const fwi_stage *s = p->stage; first < last; s++) {
        const int64_t end = s->until < last ? s->until : last, size = s->plan->use.size;
        if (end <= first)
            continue;
        sum += (double)(end - first) * (double)(size > 0 ? size * size : full);
        first = end;
    }
    return sum;
}

int64_t fwi_estimator_rows(const fw_estimator *e, const fw_dataset *ds)
{
    return e->opt.filter != NULL ? fwi_filter_keep(e->opt.filter) : fwi_dataset_batch(ds);
}

fw_status fwi_estimator_whiten(fw_estimator *e, const fw_dataset *ds)
{
    return fwi_whiten(e->network.store, e->device->pool, ds);
}

fw_status fwi_estimator_make_views(fw_estimator *e, const fw_dataset *ds)
{
    const fwi_network_spec *s = &e->network.spec;
    if (e->opt.tta == FW_TTA_NONE)
        return FW_OK;
    fw_status st = FW_OK;
    if (e->opt.tta == FW_TTA_SELECTIVE)
        st = fwi_selective_prepare(&e->selective, fw_dataset_count(ds), fwi_dataset_batch(ds), s->h,
                                   s->w, s->c, e->network.n_classes);
    return st == FW_OK ? fwi_tta_prepare(&e->tta, e->opt.tta, fwi_dataset_batch(ds), s->h, s->w,
                                         s->c, e->network.n_classes)
                       : st;
}

fw_status fwi_estimator_lend_threads(fw_estimator *e, fw_dataset *ds, int64_t position)
{
    const fw_status st = fw_dataset_seek(ds, position);
    return st == FW_OK ? fwi_dataset_use_pool(ds, e->device->pool) : st;
}

fw_status fwi_estimator_take_data(fw_estimator *e, fw_dataset *ds, int64_t position)
{
    const fw_status st = fwi_estimator_lend_threads(e, ds, position);
    return st == FW_OK ? fwi_dataset_expect_classes(ds, e->network.n_classes) : st;
}

void fwi_estimator_leave_data(fw_dataset *ds)
{
    fwi_dataset_rows_only(ds, false);
    /* Drops batches made ahead on the estimator's threads, which may end before the data set does.
     */
    (void)fw_dataset_seek(ds, fw_dataset_position(ds));
    (void)fwi_dataset_use_own_pool(ds);
    fwi_dataset_expect_any_class(ds); /* its labels are another network's business now */
}
