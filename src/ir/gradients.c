/* gradients.c: the gradient of a loss, as ops appended to its graph. One rule per name in ops.def's
 * column "grad" (a missing one is a build error); the sweep below goes through the ops in reverse,
 * hands each rule the gradients of its op's outputs and sums what the rules give for the inputs.
 * Values from which no wanted variable can be reached are skipped: the first convolution gets no
 * conv2d_dx. Appending moves the arrays of the graph, so rules work on copies of ops. Read before:
 * graph.c. Whether the formulas are right is checked in tests/ops, against central differences. */
#include "ir_rules.h"

#include <string.h>

typedef struct sweep {
    fwi_graph *g;
    bool *wanted;   /* [n] does the tensor lead from a parameter? */
    fwi_val *grads; /* [n] sum of the contributions so far; FWI_NO_VAL: none */
    fwi_val n;      /* tensors before the sweep */
} sweep;

typedef struct rule {
    sweep *s;
    fwi_op op;               /* a copy */
    fwi_val dy[FWI_MAX_OUT]; /* gradients of the outputs; FWI_NO_VAL: none */
} rule;

/* ---- for the rules ---- */

static bool wants(const rule *r, int i)
{
    return r->s->wanted[r->op.in[i]];
}

static const fwi_shape *shape_in(const rule *r, int i)
{
    return &r->s->g->tensors[r->op.in[i]].shape;
}

/* Adds a contribution to the gradient of the op's input i. */
static void give(rule *r, int i, fwi_val d)
{
    if (!wants(r, i))
        return;
    fwi_val *sum = &r->s->grads[r->op.in[i]];
    *sum = *sum == FWI_NO_VAL ? d : fwi_op2(r->s->g, FWI_OP_add, NULL, *sum, d);
}

/* One op with the attributes of the op whose gradient this is. */
static fwi_val op1(rule *r, fwi_opkind kind, fwi_val a)
{
    return fwi_op1(r->s->g, kind, &r->op.attr, a);
}

static fwi_val op2(rule *r, fwi_opkind kind, fwi_val a, fwi_val b)
{
    return fwi_op2(r->s->g, kind, &r->op.attr, a, b);
}

/* Outputs from `first` on that no gradient may flow into. */
static fw_status only_before(const rule *r, int first, const char *why)
{
    for (int i = first; i < r->op.n_out; i++)
        if (r->dy[i] != FWI_NO_VAL)
            return fwi_fail(FW_EARG, "output %d carries a gradient: %s", i, why);
    return FW_OK;
}

/* ---- linear ---- */

static fw_status grad_conv2d(rule *r)
{
    if (wants(r, 0))
        give(r, 0, op2(r, FWI_OP_conv2d_dx, r->dy[0], r->op.in[1]));
    if (wants(r, 1))
        give(r, 1, op2(r, FWI_OP_conv2d_dw, r->op.in[0], r->dy[0]));
    return FW_OK;
}

/* C = A' B' with A' = A or its transpose: dA' = dC B'^T, dB' = A'^T dC. */
static fw_status grad_matmul(rule *r)
{
    fwi_graph *g = r->s->g;
    const int64_t ta = r->op.attr.matmul.ta, tb = r->op.attr.matmul.tb;
    const fwi_val a = r->op.in[0], b = r->op.in[1], dc = r->dy[0];
    if (wants(r, 0)) {
        const fwi_attr plain = {.matmul = {.ta = 0, .tb = !tb}};
        const fwi_attr turned = {.matmul = {.ta = tb, .tb = 1}}; /* dA = B' dC^T */
        give(r, 0,
             ta ? fwi_op2(g, FWI_OP_matmul, &turned, b, dc)
                : fwi_op2(g, FWI_OP_matmul, &plain, dc, b));
    }
    if (wants(r, 1)) {
        const fwi_attr plain = {.matmul = {.ta = !ta, .tb = 0}};
        const fwi_attr turned = {.matmul = {.ta = 1, .tb = ta}}; /* dB = dC^T A' */
        give(r, 1,
             tb ? fwi_op2(g, FWI_OP_matmul, &turned, dc, a)
                : fwi_op2(g, FWI_OP_matmul, &plain, a, dc));
    }
    return FW_OK;
}

static fw_status grad_bias_add(rule *r)
{
    give(r, 0, r->dy[0]);
    if (wants(r, 1))
        give(r, 1, op1(r, FWI_OP_sum_rows, r->dy[0]));
    return FW_OK;
}

/* ---- normalisation ---- */

static fw_status grad_bn_train(rule *r)
{
    const fw_status st = only_before(r, 1, "the batch's statistics have no gradient of their own");
    if (st != FW_OK || r->dy[0] == FWI_NO_VAL)
        return st;
    const fwi_val in[] = {r->dy[0], r->op.in[0], r->op.in[1], r->op.out[1], r->op.out[2]};
    fwi_val d[3];
    fwi_graph_op(r->s->g, FWI_OP_bn_train_grad, &r->op.attr, in, 5, d);
    for (int i = 0; i < 3; i++)
        give(r, i, d[i]);
    return FW_OK;
}

static fw_status grad_bn_eval(rule *r)
{
    if (wants(r, 3) || wants(r, 4))
        return fwi_fail(FW_EARG, "the running statistics have no gradient");
    const fwi_val in[] = {r->dy[0], r->op.in[0], r->op.in[1], r->op.in[3], r->op.in[4]};
    fwi_val d[3];
    fwi_graph_op(r->s->g, FWI_OP_bn_eval_grad, &r->op.attr, in, 5, d);
    for (int i = 0; i < 3; i++)
        give(r, i, d[i]);
    return FW_OK;
}

/* ---- activations ---- */

static fw_status grad_relu(rule *r)
{
    give(r, 0, op2(r, FWI_OP_relu_grad, r->dy[0], r->op.out[0]));
    return FW_OK;
}

static fw_status grad_act(rule *r)
{
    give(r, 0, op2(r, FWI_OP_act_grad, r->dy[0], r->op.in[0]));
    return FW_OK;
}

/* ---- pools ---- the gradient's attributes carry the input's size */

static fwi_attr pool_attr(const rule *r)
{
    fwi_attr a = {.pool = r->op.attr.pool}; /* zeros for the global pools, which have none */
    a.pool.ih = shape_in(r, 0)->d[1];
    a.pool.iw = shape_in(r, 0)->d[2];
    return a;
}

static fw_status pool_max(rule *r, fwi_opkind kind)
{
    const fwi_attr a = pool_attr(r);
    give(r, 0, fwi_op2(r->s->g, kind, &a, r->dy[0], r->op.out[1]));
    return FW_OK;
}

static fw_status pool_avg(rule *r, fwi_opkind kind)
{
    const fwi_attr a = pool_attr(r);
    give(r, 0, fwi_op1(r->s->g, kind, &a, r->dy[0]));
    return FW_OK;
}

static fw_status grad_max_pool(rule *r)
{
    return pool_max(r, FWI_OP_max_pool_grad);
}

static fw_status grad_global_max_pool(rule *r)
{
    return pool_max(r, FWI_OP_global_max_pool_grad);
}

static fw_status grad_avg_pool(rule *r)
{
    return pool_avg(r, FWI_OP_avg_pool_grad);
}

static fw_status grad_global_avg_pool(rule *r)
{
    return pool_avg(r, FWI_OP_global_avg_pool_grad);
}

/* ---- sizes of images ---- the gradient's attributes carry the input's size */

static fw_status image_grad(rule *r, fwi_opkind kind)
{
    fwi_attr a = {.image = r->op.attr.image};
    a.image.ih = shape_in(r, 0)->d[1];
    a.image.iw = shape_in(r, 0)->d[2];
    give(r, 0, fwi_op1(r->s->g, kind, &a, r->dy[0]));
    return FW_OK;
}

static fw_status grad_resize(rule *r)
{
    return image_grad(r, FWI_OP_resize_grad);
}

static fw_status grad_crop(rule *r)
{
    return image_grad(r, FWI_OP_crop_grad);
}

/* ---- elementwise and movement ---- */

static fw_status grad_add(rule *r)
{
    give(r, 0, r->dy[0]);
    give(r, 1, r->dy[0]);
    return FW_OK;
}

static fw_status grad_scale(rule *r)
{
    give(r, 0, op1(r, FWI_OP_scale, r->dy[0]));
    return FW_OK;
}

static fw_status grad_concat(rule *r)
{
    int64_t begin = 0;
    for (int i = 0; i < 2; i++) {
        const fwi_shape *s = shape_in(r, i);
        const fwi_attr part = {.slice = {.begin = begin, .len = s->d[s->rank - 1]}};
        begin += part.slice.len;
        if (wants(r, i))
            give(r, i, fwi_op1(r->s->g, FWI_OP_slice, &part, r->dy[0]));
    }
    return FW_OK;
}

static fw_status grad_reshape(rule *r)
{
    const fwi_shape *s = shape_in(r, 0);
    const fwi_attr back = {.shape = {s->rank, s->d[0], s->d[1], s->d[2], s->d[3]}};
    give(r, 0, fwi_op1(r->s->g, FWI_OP_reshape, &back, r->dy[0]));
    return FW_OK;
}

static fw_status grad_cast(rule *r)
{
    const fwi_attr back = {.cast = {.dtype = r->s->g->tensors[r->op.in[0]].dtype}};
    give(r, 0, fwi_op1(r->s->g, FWI_OP_cast, &back, r->dy[0]));
    return FW_OK;
}

static fw_status grad_dropout(rule *r)
{
    give(r, 0, op2(r, FWI_OP_dropout, r->dy[0], r->op.in[1])); /* the same draw, so the same mask */
    return FW_OK;
}

/* ---- head ---- */

static fw_status grad_softmax_xent(rule *r)
{
    const fw_status st = only_before(r, 1, "only the loss has a gradient, not the rows");
    if (st != FW_OK || r->dy[0] == FWI_NO_VAL)
        return st;
    const fwi_val in[] = {r->op.in[0], r->op.in[1], r->dy[0]};
    give(r, 0, fwi_graph_op(r->s->g, FWI_OP_softmax_xent_grad, &r->op.attr, in, 3, NULL));
    return FW_OK;
}

static fw_status grad_none(rule *r)
{
    (void)r;
    return fwi_fail(FW_EARG, "the op has no gradient, and lies between a parameter and the loss");
}

static fw_status (*const rules[FWI_OP_COUNT])(rule *r) = {
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test) [FWI_OP_##name] = grad_##grad,
#include "ops.def"
#undef FW_OP
};

/* ---- the sweep ---- */

static bool is_float(fw_dtype t)
{
    return t == FW_F32 || t == FW_F64 || t == FW_BF16 || t == FW_F16;
}

static fw_status check_arguments(const fwi_graph *g, fwi_val loss, const fwi_val *params, int n)
{
    char text[FWI_SHAPE_TEXT];
    if (n < 0 || (n > 0 && params == NULL))
        return fwi_fail(FW_EARG, "gradient: %d parameters at %p", n, (const void *)params);
    if (!fwi_graph_has(g, loss))
        return fwi_fail(FW_EARG, "gradient: the loss is %d, which is no tensor of this graph",
                        loss);
    const fwi_tensor *t = &g->tensors[loss];
    if (t->dtype != g->real || fwi_shape_elems(&t->shape) != 1)
        return fwi_fail(FW_ESHAPE, "gradient: the loss is %s, expected one element of type %s",
                        fwi_type_text(text, t->dtype, &t->shape), fw_dtype_name(g->real));
    for (int i = 0; i < n; i++) {
        if (!fwi_graph_has(g, params[i]))
            return fwi_fail(FW_EARG,
                            "gradient: parameter %d is %d, which is no tensor of this graph", i,
                            params[i]);
        const fwi_tensor *p = &g->tensors[params[i]];
        if (p->kind != FWI_VAR || !p->trainable)
            return fwi_fail(FW_EARG, "gradient: parameter %d (%s) is no trainable variable", i,
                            p->name != NULL ? p->name : "a temp");
        for (int j = 0; j < i; j++)
            if (params[j] == params[i])
                return fwi_fail(FW_EARG, "gradient: \"%s\" is named twice", p->name);
    }
    for (fwi_val v = 0; v < g->n_tensors; v++)
        for (int i = 0; i < n && g->tensors[v].grad_of != FWI_NO_VAL; i++)
            if (g->tensors[v].grad_of == params[i])
                return fwi_fail(FW_EARG, "gradient: \"%s\" has a gradient already",
                                g->tensors[params[i]].name);
    return FW_OK;
}

/* Marks what leads from the parameters: along the ops, through values that can carry a gradient. */
static void mark_wanted(sweep *s, const fwi_val *params, int n)
{
    const fwi_graph *g = s->g;
    for (int i = 0; i < n; i++)
        s->wanted[params[i]] = true;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op *op = &g->ops[i];
        bool leads = false;
        for (int k = 0; k < op->n_in; k++)
            leads = leads || s->wanted[op->in[k]];
        for (int k = 0; leads && k < op->n_out; k++)
            s->wanted[op->out[k]] = is_float(g->tensors[op->out[k]].dtype);
    }
}

static fwi_val fill_like(fwi_graph *g, fwi_val v, double value)
{
    const fwi_shape *s = &g->tensors[v].shape;
    const fwi_attr a = {.fill = {.rank = s->rank,
                                 .d0 = s->d[0],
                                 .d1 = s->d[1],
                                 .d2 = s->d[2],
                                 .d3 = s->d[3],
                                 .dtype = (int64_t)g->tensors[v].dtype,
                                 .value = value}};
    return fwi_graph_op(g, FWI_OP_fill, &a, NULL, 0, NULL);
}

static fw_status run(sweep *s, fwi_val loss)
{
    fwi_graph *g = s->g;
    if (!s->wanted[loss])
        return FW_OK;
    s->grads[loss] = fill_like(g, loss, 1.0);
    for (int32_t i = g->n_ops - 1; i >= 0; i--) {
        rule r = {.s = s, .op = g->ops[i]};
        bool any = false, leads = false;
        for (int k = 0; k < r.op.n_out; k++) {
            r.dy[k] = r.op.out[k] < s->n ? s->grads[r.op.out[k]] : FWI_NO_VAL;
            any = any || r.dy[k] != FWI_NO_VAL;
        }
        for (int k = 0; any && k < r.op.n_in; k++)
            leads = leads || wants(&r, k);
        if (!leads)
            continue;
        const fw_status st = rules[r.op.kind](&r);
        if (st != FW_OK)
            return fwi_fail_in(st, "gradient of op %d, %s", i, fwi_op_info_get(r.op.kind)->name);
        if (g->status != FW_OK)
            return fwi_fail_in(fwi_graph_status(g), "gradient of op %d, %s", i,
                               fwi_op_info_get(r.op.kind)->name);
    }
    return FW_OK;
}

/* Gives each parameter a tensor of its own that an op writes: a value that is also somebody else's
 * gradient, or a view, cannot live in the gradient range, so it is copied there. */
static void settle(sweep *s, const fwi_val *params, int n, fwi_val *grads)
{
    fwi_graph *g = s->g;
    const fwi_attr one = {.scalar = {.value = 1.0}};
    for (int i = 0; i < n && g->status == FW_OK; i++) {
        fwi_val d = s->grads[params[i]];
        if (d == FWI_NO_VAL)
            d = fill_like(g, params[i], 0.0);
        else if (g->tensors[d].grad_of != FWI_NO_VAL || fwi_graph_root(g, d) != d)
            d = fwi_op1(g, FWI_OP_scale, &one, d);
        if (d == FWI_NO_VAL)
            return;
        g->tensors[d].grad_of = params[i];
        grads[i] = d;
    }
}

fw_status fwi_graph_gradient(fwi_graph *g, fwi_val loss, const fwi_val *params, int n,
                             fwi_val *grads)
{
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const char *where = g->where;
    sweep s = {.g = g, .n = g->n_tensors};
    for (int i = 0; i < n; i++)
        grads[i] = FWI_NO_VAL;
    st = check_arguments(g, loss, params, n);
    if (st != FW_OK)
        goto done;
    g->where = NULL; /* the layer is not known any more */
    st = FW_ENOMEM;
    s.wanted = fwi_alloc_array((size_t)s.n, sizeof *s.wanted);
    s.grads = fwi_alloc_array((size_t)s.n, sizeof *s.grads);
    if (s.wanted == NULL || s.grads == NULL)
        goto done;
    for (fwi_val v = 0; v < s.n; v++)
        s.grads[v] = FWI_NO_VAL;
    mark_wanted(&s, params, n);
    st = run(&s, loss);
    if (st != FW_OK)
        goto done;
    settle(&s, params, n, grads);
    st = fwi_graph_status(g);
done:
    fwi_graph_stick(g, st);
    g->where = where;
    fwi_free(s.wanted);
    fwi_free(s.grads);
    return st;
}
