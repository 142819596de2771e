/* network.c: see network.h. Here layers become the two graphs of a classifier, to train and to
 * evaluate. Next: network_step.c. */
#include "network.h"

#include <inttypes.h>
#include <string.h>

#include "fail.h"
#include "nn.h"

/* The input as the graph computes: images arrive as f32 and at full size, so that batches do not
 * depend on the step; they become smaller here. Of images that fw_random_pad_crop has translated the
 * middle r x r is what a random r x r window of the padded image's middle (r + 2 pad)^2 would be:
 * tests/ops/test_resize.c shows why. */
static fwi_val input_images(fwi_graph *g, const fwi_network_spec *s, const fwi_network_use *use)
{
    fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape4(use->batch, s->h, s->w, s->c));
    const fwi_attr to = {.cast = {.dtype = g->real}},
                   size = {.image = {use->size, use->size, 0, 0}};
    if (g->real != FW_F32)
        x = fwi_op1(g, FWI_OP_cast, &to, x);
    if (use->size == 0)
        return x;
    return fwi_op1(g, use->by == FW_BY_CROP ? FWI_OP_crop : FWI_OP_resize, &size, x);
}

/* Logits of the layers on a new graph; checks that they are [batch, classes]. */
static fw_status logits_of(fwi_graph *g, const fwi_network_spec *s, const fwi_network_use *use,
                           fwi_val *logits, int64_t *n_classes)
{
    *logits = fwi_layer_build(s->net, g, input_images(g, s, use), use->kind == FWI_TRAIN);
    const fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const fwi_shape *shape = &g->tensors[*logits].shape;
    if (shape->rank != 2 || shape->d[0] != use->batch)
        return fwi_fail(FW_ESHAPE,
                        "the network's output has %d dimensions, a classifier's has 2 (batch, "
                        "classes): pool or flatten before the last layer",
                        shape->rank);
    *n_classes = shape->d[1];
    return FW_OK;
}

/* With second labels: (1 - share2) loss(labels) + share2 loss(labels2). */
static fwi_val append_loss(fwi_graph *g, fwi_val logits, const fwi_network_use *use,
                           double smoothing, bool mean)
{
    const fwi_attr xent = {.xent = {.smoothing = smoothing, .mean = mean}};
    const fwi_attr first = {.scalar = {1 - use->share2}}, second = {.scalar = {use->share2}};
    const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(use->batch));
    fwi_val out[2] = {FWI_NO_VAL, FWI_NO_VAL}, out2[2] = {FWI_NO_VAL, FWI_NO_VAL};
    fwi_graph_op(g, FWI_OP_softmax_xent, &xent, (const fwi_val[]){logits, labels}, 2, out);
    fwi_val loss = out[0], rows = out[1];
    if (use->share2 > 0) {
        const fwi_val labels2 = fwi_graph_input(g, "labels2", FW_I32, fwi_shape1(use->batch));
        fwi_graph_op(g, FWI_OP_softmax_xent, &xent, (const fwi_val[]){logits, labels2}, 2, out2);
        loss = fwi_op2(g, FWI_OP_add, NULL, fwi_op1(g, FWI_OP_scale, &first, loss),
                       fwi_op1(g, FWI_OP_scale, &second, out2[0]));
        if (use->rows)
            rows = fwi_op2(g, FWI_OP_add, NULL, fwi_op1(g, FWI_OP_scale, &first, rows),
                           fwi_op1(g, FWI_OP_scale, &second, out2[1]));
    }
    if (use->rows)
        fwi_graph_output(g, "rows", rows);
    fwi_graph_output(g, "loss", loss);
    fwi_graph_output(g, "correct", fwi_op2(g, FWI_OP_count_correct, NULL, logits, labels));
    return loss;
}

double fwi_network_loss_scale(const fwi_network_spec *s, int64_t batch)
{
    if (s->real != FW_F16)
        return 1;
    if (s->loss_scale != 0)
        return s->loss_scale;
    double scale = 1;
    while (!s->loss_sum && 2 * scale <= (double)batch)
        scale *= 2;
    return scale;
}

/* In f16 the gradients of images would lose their smallest numbers, so it is the gradient of a
 * multiple of the loss that goes through the network; it is divided again in f32, before anything
 * looks at it. A power of 2 rounds nothing. Parameters of groups whose training is over get no gradient:
 * what was only there for it, such as the way back through the layers in front, is not computed. */
static fw_status append_updates(fwi_graph *g, const fwi_network_spec *s, const fwi_network_use *use,
                                fwi_val loss)
{
    const uint32_t over = use->over;
    const double scale = fwi_network_loss_scale(s, use->batch);
    const fwi_attr up = {.scalar = {scale}}, down = {.scalar = {1 / scale}};
    const int n = fwi_graph_params(g, NULL, 0);
    if (n == 0)
        return fwi_fail(FW_EARG, "the network has nothing to train");
    fwi_val *params = fwi_alloc_array(4 * (size_t)n, sizeof *params);
    if (params == NULL)
        return FW_ENOMEM;
    fwi_val *grads = params + n, *trained = grads + n, *trained_grads = trained + n;
    fwi_graph_params(g, params, n);
    int n_trained = 0;
    for (int i = 0; i < n; i++)
        if (!fwi_optim_among(s->optim, over, g->tensors[params[i]].var_class))
            trained[n_trained++] = params[i];
    fw_status st = FW_OK;
    if (scale != 1)
        loss = fwi_op1(g, FWI_OP_scale, &up, loss);
    if (n_trained > 0)
        st = fwi_graph_gradient(g, loss, trained, n_trained, trained_grads);
    for (int i = 0; i < n_trained && scale != 1 && st == FW_OK; i++)
        trained_grads[i] = fwi_op1(g, FWI_OP_scale, &down, trained_grads[i]);
    for (int i = 0, k = 0; i < n; i++)
        grads[i] = k < n_trained && params[i] == trained[k] ? trained_grads[k++] : FWI_NO_VAL;
    if (st == FW_OK)
        st = fwi_optim_append(s->optim, g, params, grads, n);
    fwi_free(params);
    return st;
}

_Static_assert((int)FW_CONV_AUTO == FWI_CONV_ANY && (int)FW_CONV_DIRECT == FWI_CONV_DIRECT &&
                   (int)FW_CONV_WINOGRAD2 == FWI_CONV_WINO2 &&
                   (int)FW_CONV_WINOGRAD3 == FWI_CONV_WINO3 &&
                   (int)FW_CONV_WINOGRAD4 == FWI_CONV_WINO4 &&
                   (int)FW_CONV_WINOGRAD5 == FWI_CONV_WINO5 &&
                   (int)FW_CONV_WINOGRAD6 == FWI_CONV_WINO6 &&
                   (int)FW_CONV_WINOGRAD7 == FWI_CONV_WINO7,
               "fw_conv is fwi_conv_algo to the user");

/* *out is left NULL on error. */
static fw_status graph_new(fwi_graph **out, const fwi_network_spec *s, const fwi_network_use *use,
                           int64_t *n_classes)
{
    const bool training = use->kind == FWI_TRAIN;
    *out = NULL;
    fwi_graph *g = NULL;
    fwi_val logits = FWI_NO_VAL;
    const bool half = s->real == FW_BF16 || s->real == FW_F16;
    fw_status st = fwi_graph_new(&g, half ? FW_F32 : s->real);
    if (st == FW_OK && half)
        g->storage = s->real; /* for the backend's lowering; the store stays f32 */
    if (st == FW_OK)
        g->conv = (fwi_conv_algo)s->conv;
    if (st == FW_OK)
        st = logits_of(g, s, use, &logits, n_classes);
    if (st != FW_OK)
        goto done;
    for (int32_t i = 0; use->still && i < g->n_ops; i++)
        if (g->ops[i].kind == FWI_OP_bn_update)
            g->ops[i].attr.bn.update = 0;
    const fwi_val loss = append_loss(g, logits, use, s->label_smoothing, training && !s->loss_sum);
    if (!training) {
        fwi_graph_output(g, "logits", logits);
        fwi_graph_output(g, "probabilities", fwi_op1(g, FWI_OP_softmax, NULL, logits));
    }
    st = fwi_graph_status(g);
    if (st == FW_OK && training && !use->rows)
        st = append_updates(g, s, use, loss);
    if (st == FW_OK && use->kind == FWI_EVALUATE_AVERAGE)
        st = fwi_pass_averages(g);
    if (st == FW_OK)
        st = fwi_graph_status(g);
done:
    if (st != FW_OK)
        fwi_graph_free(g);
    else
        *out = g;
    return st;
}

/* Sizes of the data are no sizes of their own. */
static fw_status check_size(const fwi_network_spec *s, fwi_network_use *use)
{
    if (use->size == 0 || (use->size == s->h && use->size == s->w)) {
        use->size = 0;
        use->by = FW_BY_RESIZE;
        return FW_OK;
    }
    if (s->h != s->w)
        return fwi_fail(FW_ESHAPE,
                        "resolutions are sizes of squares, the images are %" PRId64 " x %" PRId64,
                        s->h, s->w);
    if (use->size > s->h)
        return fwi_fail(FW_ESHAPE,
                        "a resolution of %" PRId64 " is larger than the images of %" PRId64
                        " x %" PRId64,
                        use->size, s->h, s->w);
    return FW_OK;
}

/* The graph of a use whose size was checked; the size is named in what is wrong with it. */
static fw_status graph_at(fwi_graph **out, const fwi_network_spec *s, const fwi_network_use *use,
                          int64_t *n_classes)
{
    const fw_status st = graph_new(out, s, use, n_classes);
    return st == FW_OK || use->size == 0
               ? st
               : fwi_fail_in(st, "at a resolution of %" PRId64 " x %" PRId64, use->size, use->size);
}

/* The same of one whose size was not checked yet. */
static fw_status graph_of(fwi_graph **out, const fwi_network_spec *s, const fwi_network_use *use)
{
    fwi_network_use wanted = *use;
    int64_t n_classes = 0;
    const fw_status st = check_size(s, &wanted);
    return st == FW_OK ? graph_at(out, s, &wanted, &n_classes) : st;
}

fw_status fwi_network_check_use(const fwi_network_spec *spec, const fwi_network_use *use)
{
    fwi_graph *g = NULL;
    const fw_status st = graph_of(&g, spec, use);
    fwi_graph_free(g);
    return st;
}

fw_status fwi_network_ungrouped(const fwi_network_spec *spec, int64_t batch, int *n)
{
    fwi_graph *g = NULL;
    *n = 0;
    const fw_status st = graph_of(&g, spec, &(fwi_network_use){.kind = FWI_TRAIN, .batch = batch});
    for (int32_t t = 0; st == FW_OK && t < g->n_tensors; t++)
        *n += g->tensors[t].kind == FWI_VAR && g->tensors[t].trainable &&
              !fwi_optim_among(spec->optim, UINT32_MAX, g->tensors[t].var_class);
    fwi_graph_free(g);
    return st;
}

fw_status fwi_network_count(const fwi_network_spec *spec, const fwi_network_use *use,
                            fwi_network_macs *out)
{
    fwi_graph *g = NULL;
    *out = (fwi_network_macs){0};
    const fw_status st = graph_of(&g, spec, use);
    for (int32_t i = 0; st == FW_OK && i < g->n_ops; i++) {
        int64_t *const sum = g->ops[i].kind == FWI_OP_muon ? &out->updates : &out->passes;
        *sum = fwi_macs_add(*sum, fwi_op_macs(g, &g->ops[i]));
    }
    fwi_graph_free(g);
    return st;
}

fw_status fwi_network_check(const fwi_network_spec *spec, int64_t batch)
{
    const fwi_network_use train = {.kind = FWI_TRAIN, .batch = batch},
                          eval = {.kind = FWI_EVALUATE, .batch = batch};
    const fw_status st = spec->optim != NULL ? fwi_network_check_use(spec, &train) : FW_OK;
    return st == FW_OK ? fwi_network_check_use(spec, &eval) : st;
}

static fw_status check_var_bytes(const fwi_graph *g, size_t most)
{
    size_t need = 0;
    for (int32_t t = 0; t < g->n_tensors; t++)
        if (g->tensors[t].kind == FWI_VAR &&
            !fwi_add_size(need, fwi_tensor_bytes(&g->tensors[t]), &need))
            need = SIZE_MAX;
    return most == 0 || need <= most
               ? FW_OK
               : fwi_fail(FW_ESHAPE, "the layers have %zu bytes of weights, expected %zu at most",
                          need, most);
}

fw_status fwi_network_init(fwi_network *n, fwi_device *d, const fwi_network_spec *spec)
{
    *n = (fwi_network){.spec = *spec, .device = d};
    fwi_graph *train = NULL, *eval = NULL;
    const fwi_graph *graphs[2];
    int n_graphs = 0;
    fw_status st = FW_OK;
    int64_t batch = 2;
    /* Variables do not depend on the batch size; this is the least that batch norm can train on at 1
     * x 1 pixels. */
    if (spec->optim != NULL) {
        if ((st = fwi_layer_least_batch(spec->net, &batch)) == FW_OK)
            st = graph_new(&train, spec, &(fwi_network_use){.kind = FWI_TRAIN, .batch = batch},
                           &n->n_classes);
        graphs[n_graphs++] = train;
    }
    if (st == FW_OK) {
        st = graph_new(&eval, spec, &(fwi_network_use){.kind = FWI_EVALUATE, .batch = 2},
                       &n->n_classes);
        graphs[n_graphs++] = eval;
    }
    if (st == FW_OK)
        st = check_var_bytes(eval, spec->most_var_bytes);
    if (st == FW_OK)
        st = fwi_store_new(&n->store, d, graphs, n_graphs);
    fwi_graph_free(train);
    fwi_graph_free(eval);
    if (st != FW_OK)
        fwi_network_clear(n);
    return st;
}

void fwi_network_clear(fwi_network *n)
{
    for (int i = 0; i < n->n_plans; i++) {
        fwi_recording_free(n->plans[i].recorded);
        fwi_recording_free(n->plans[i].ahead.recorded);
        fwi_plan_free(n->plans[i].plan);
    }
    if (n->scratch != NULL)
        n->device->backend->release(n->device, n->scratch, n->scratch_bytes);
    fwi_network_clear_beside(n);
    fwi_store_free(n->store);
    *n = (fwi_network){0};
}

static bool same_use(const fwi_network_use *a, const fwi_network_use *b)
{
    return a->kind == b->kind && a->batch == b->batch && a->size == b->size && a->by == b->by &&
           a->share2 == b->share2 && a->over == b->over && a->rows == b->rows &&
           a->still == b->still;
}

fw_status fwi_network_plan_get(fwi_network *n, fwi_use use, int64_t batch, fwi_network_plan **out)
{
    return fwi_network_plan_for(n, &(fwi_network_use){.kind = use, .batch = batch}, out);
}

static fw_status take(fwi_network *n, fwi_network_plan *p, fwi_network_plan **out)
{
    const size_t bytes = fwi_plan_scratch_bytes(p->plan);
    if (bytes > n->scratch_wanted)
        n->scratch_wanted = bytes;
    *out = p;
    return FW_OK;
}

fw_status fwi_network_plan_for(fwi_network *n, const fwi_network_use *asked, fwi_network_plan **out)
{
    fwi_network_use wanted = *asked;
    const fwi_network_use *const use = &wanted;
    fw_status st = check_size(&n->spec, &wanted);
    if (st != FW_OK)
        return st;
    for (int i = 0; i < n->n_plans; i++)
        if (same_use(&n->plans[i].use, use))
            return take(n, &n->plans[i], out); /* its scratch may have been refused once */
    if (n->n_plans == FWI_MAX_PLANS)
        return fwi_fail(FW_ESTATE,
                        "more than %d different batch sizes and resolutions on one model",
                        FWI_MAX_PLANS);
    fwi_graph *g = NULL;
    int64_t n_classes;
    st = graph_at(&g, &n->spec, use, &n_classes);
    if (st != FW_OK)
        return st;
    fwi_network_plan *p = &n->plans[n->n_plans];
    *p = (fwi_network_plan){.use = *use};
    st = fwi_plan_new(&p->plan, n->device, n->store, g);
    fwi_graph_free(g);
    if (st != FW_OK) /* such as weights whose number hangs on the size: flatten in front of them */
        return use->size == 0 ? st
                              : fwi_fail_in(st, "at a resolution of %" PRId64 " x %" PRId64,
                                            use->size, use->size);
    p->in_x = fwi_plan_input(p->plan, "x");
    p->in_labels = fwi_plan_input(p->plan, "labels");
    p->in_labels2 = fwi_plan_input(p->plan, "labels2");
    p->in_hyper = fwi_plan_input(p->plan, "hyper");
    p->in_rng = fwi_plan_input(p->plan, "rng");
    p->out_rows = fwi_plan_output(p->plan, "rows");
    p->out_loss = fwi_plan_output(p->plan, "loss");
    p->out_correct = fwi_plan_output(p->plan, "correct");
    p->out_logits = fwi_plan_output(p->plan, "logits");
    p->out_probs = fwi_plan_output(p->plan, "probabilities");
    n->n_plans++;
    return take(n, p, out);
}

void fwi_network_want_no_more(fwi_network *n)
{
    n->scratch_wanted = n->scratch_bytes;
}

size_t fwi_network_to_come(const fwi_network *n)
{
    const size_t beside = fwi_network_beside_to_come(n);
    return n->scratch_wanted > n->scratch_bytes ? n->scratch_wanted - n->scratch_bytes + beside
                                                : beside;
}

static double mib(size_t n_bytes)
{
    return (double)n_bytes / 1048576;
}

fw_status fwi_network_fits(const fwi_network *n, size_t images)
{
    const fwi_backend *b = n->device->backend;
    const size_t plan = fwi_network_to_come(n);
    size_t free_bytes = 0, all_bytes = 0;
    if (b->memory == NULL || plan + images == 0)
        return FW_OK;
    const fw_status st = b->memory(n->device, &free_bytes, &all_bytes);
    if (st != FW_OK || plan + images <= free_bytes)
        return st;
    return fwi_fail(
        FW_ENOMEM,
        "%s: the plan needs %.1f MiB beside the %.1f MiB of its state and %.1f MiB of images, %.1f "
        "of %.1f MiB are free: a smaller batch needs less",
        n->device->label, mib(plan), mib((size_t)fwi_network_state_bytes(n)), mib(images),
        mib(free_bytes), mib(all_bytes));
}

fw_status fwi_network_bind(fwi_network *n)
{
    const fwi_backend *b = n->device->backend;
    const fw_status beside = fwi_network_bind_beside(n);
    if (beside != FW_OK)
        fwi_network_want_no_more(n);
    if (beside != FW_OK || n->scratch_wanted <= n->scratch_bytes)
        return beside;
    const size_t had = n->scratch_bytes;
    if (n->scratch != NULL)
        b->release(n->device, n->scratch, n->scratch_bytes);
    n->scratch = NULL;
    n->scratch_bytes = 0;
    const fw_status st = b->alloc(n->device, n->scratch_wanted, &n->scratch);
    if (st == FW_OK) {
        n->scratch_bytes = n->scratch_wanted;
        return FW_OK;
    }
    fwi_error
        why; /* the plans that had room go on: a callback of a training may be what asked for more */
    fwi_error_save(&why, st);
    if (had > 0 && b->alloc(n->device, had, &n->scratch) == FW_OK)
        n->scratch_bytes = had;
    fwi_network_want_no_more(n);
    return fwi_error_raise(&why);
}

/* Zeros, by way of some of the host's. */
static fw_status clear(fwi_device *d, void *dst, size_t n_bytes)
{
    enum { CHUNK = 1 << 20 };
    const size_t each = n_bytes < CHUNK ? n_bytes : CHUNK;
    void *const zeros = n_bytes > 0 ? fwi_alloc_zero(each) : NULL;
    fw_status st = zeros == NULL && n_bytes > 0 ? FW_ENOMEM : FW_OK;
    for (size_t at = 0; at < n_bytes && st == FW_OK; at += each)
        st = d->backend->upload(d, (uint8_t *)dst + at, zeros,
                                n_bytes - at < each ? n_bytes - at : each);
    fwi_free(zeros);
    return st;
}

fw_status fwi_network_forget(fwi_network *n)
{
    const fw_status st = clear(n->device, n->store->grads, n->store->grad_bytes);
    return st == FW_OK && n->guard.kept != NULL
               ? clear(n->device, n->guard.counts, FWI_GUARD_WORDS * sizeof *n->guard.counts)
               : st;
}

int64_t fwi_network_state_bytes(const fwi_network *n)
{
    return (int64_t)(n->store->state_bytes + n->store->grad_bytes);
}

fw_status fwi_network_read(const fwi_network_plan *p, const fwi_binding *b, int i, double *out,
                           int64_t n)
{
    enum { CHUNK = 16 };
    fw_dtype dtype = FW_F32;
    const fwi_shape *shape = fwi_plan_output_shape(p->plan, i, &dtype);
    if (dtype == FW_F64)
        return fwi_plan_read(p->plan, b, i, out, (size_t)n * sizeof *out);
    float chunk[CHUNK]; /* losses and counts: always small */
    if (n > CHUNK || fwi_shape_elems(shape) != n)
        return fwi_fail(FW_EINTERNAL, "fwi_network_read: %" PRId64 " elements", n);
    const fw_status st = fwi_plan_read(p->plan, b, i, chunk, (size_t)n * sizeof *chunk);
    for (int64_t k = 0; k < n && st == FW_OK; k++)
        out[k] = (double)chunk[k];
    return st;
}

fwi_binding fwi_network_binding(const fwi_network_plan *p, void *scratch, const void *images,
                                const void *labels, const double *hyper, const int64_t *rng)
{
    fwi_binding b = {.scratch = scratch};
    if (p->in_x >= 0)
        b.inputs[p->in_x] = images;
    if (p->in_labels >= 0)
        b.inputs[p->in_labels] = labels;
    if (p->in_hyper >= 0)
        b.inputs[p->in_hyper] = hyper;
    if (p->in_rng >= 0)
        b.inputs[p->in_rng] = rng;
    return b;
}
