/* lower_fuse.c: see cpu_lower.h. Batch norm and what stands around it, as the fused ops of ops.def.
 *
 * For each norm the pass finds what it may take along: in front a convolution or a pool, which then
 * gathers the statistics; behind it an activation, and behind that a max-pool or an addition; and
 * of the gradient the ops that mirror these. What lies between fused ops is never stored, so a value
 * may go only if nobody else reads it. A plan says how much is fused; plans are tried from the
 * widest down, and the first is taken that the graph allows and that the table has rows for. No
 * tensor is made: fused ops give the tensors that are left of the ops they replace. Read before:
 * ir.h, ops.def, lower_blocked.c, which runs next and makes blocked what is asked for here. */
#include "cpu_lower.h"

#include <string.h>

typedef struct fusion {
    fwi_graph *g;
    const fwi_op_table *table;
    bool *drop; /* [n_ops] */
} fusion;

enum { NONE = -1 };

typedef enum tail_kind { TAIL_NONE, TAIL_POOL, TAIL_ADD } tail_kind;
typedef enum back_kind { BACK_NONE, BACK_ACT, BACK_POOL, BACK_UNPOOL } back_kind;

/* Ops by number, NONE where there is none. */
typedef struct chain {
    int32_t norm, act, tail;
    tail_kind tail_kind;
    int32_t grad, act_grad;    /* of the norm and of the activation */
    int32_t pool_grad, unpool; /* of the pool behind the activation; of the one in front */
} chain;

typedef struct plan {
    bool act;
    tail_kind tail;
    back_kind back;
} plan;

/* ---- looking around ---- */

static int uses_of(const fusion *f, fwi_val v)
{
    const fwi_graph *g = f->g;
    int n = g->tensors[v].grad_of != FWI_NO_VAL;
    for (int32_t i = 0; i < g->n_outputs; i++)
        n += g->outputs[i].val == v;
    for (int32_t i = 0; i < g->n_ops; i++)
        for (int k = 0; !f->drop[i] && k < g->ops[i].n_in; k++)
            n += g->ops[i].in[k] == v;
    return n;
}

/* The first op of this kind that reads v as its input `slot`. */
static int32_t reader_of(const fusion *f, fwi_val v, fwi_opkind kind, int slot)
{
    const fwi_graph *g = f->g;
    for (int32_t i = 0; i < g->n_ops; i++)
        if (!f->drop[i] && g->ops[i].kind == kind && g->ops[i].in[slot] == v)
            return i;
    return NONE;
}

/* The op that makes v, if it is of this kind. */
static int32_t maker_of(const fusion *f, fwi_val v, fwi_opkind kind)
{
    const int32_t i = f->g->tensors[v].producer;
    return i >= 0 && !f->drop[i] && f->g->ops[i].kind == kind ? i : NONE;
}

/* Side by side, without gaps: the only pools that norm and activation take along. */
static bool plain_pool(const fwi_op *pool)
{
    return pool->attr.pool.stride == pool->attr.pool.k;
}

/* Whether an op in front of number `at` changes what v is. */
static bool changed_before(const fusion *f, fwi_val v, int32_t at)
{
    const fwi_val root = fwi_graph_root(f->g, v);
    for (int32_t i = 0; i < at; i++)
        for (int k = 0; k < fwi_op_mutates(f->g->ops[i].kind); k++)
            if (f->g->ops[i].in[k] == root)
                return true;
    return false;
}

/* Whether the table has a row for the op on blocked images, which lower_blocked.c will ask for. */
static bool has_row(const fusion *f, const fwi_op *op)
{
    fwi_call c;
    return fwi_blocked_call(f->g, f->table, op, &c);
}

/* Whether a pool's places are read by gradients alone: in blocked form there is no other reader. */
static bool places_stay(const fusion *f, fwi_val idx)
{
    int n = 0;
    for (int32_t i = 0; i < f->g->n_ops; i++)
        n += !f->drop[i] && f->g->ops[i].kind == FWI_OP_max_pool_grad && f->g->ops[i].in[1] == idx;
    return uses_of(f, idx) == n;
}

/* Whether these gradients, but for one that a fused op replaces (NONE: none is), run on blocked images.
 * Else the pool stays in n h w c, where max_pool has a fast row and max_pool_stats has none. */
static bool gradients_run_blocked(const fusion *f, fwi_val idx, int32_t replaced)
{
    const fwi_graph *g = f->g;
    for (int32_t i = 0; i < g->n_ops; i++)
        if (!f->drop[i] && i != replaced && g->ops[i].kind == FWI_OP_max_pool_grad &&
            g->ops[i].in[1] == idx && !has_row(f, &g->ops[i]))
            return false;
    return true;
}

/* ---- what there is ---- */

/* The gradient of that very norm: x may be normed twice. */
static bool is_grad_of(const fwi_op *grad, const fwi_op *norm)
{
    return grad->in[1] == norm->in[0] && grad->in[2] == norm->in[1] &&
           grad->in[3] == norm->out[1] && grad->in[4] == norm->out[2] &&
           grad->attr.bn.eps == norm->attr.bn.eps && grad->attr.bn.groups == norm->attr.bn.groups;
}

static bool same_act(const fwi_op *a, const fwi_op *b)
{
    return a->attr.act.fn == b->attr.act.fn && a->attr.act.alpha == b->attr.act.alpha;
}

/* The gradient of that very pool, by its places. */
static bool is_pool_grad_of(const fwi_op *grad, const fwi_op *pool)
{
    return grad->in[1] == pool->out[1] && grad->attr.pool.k == pool->attr.pool.k &&
           grad->attr.pool.stride == pool->attr.pool.stride;
}

static void find_backward(const fusion *f, chain *c)
{
    const fwi_graph *g = f->g;
    const fwi_op *norm = &g->ops[c->norm];
    for (int32_t i = 0; i < g->n_ops && c->grad == NONE; i++)
        if (!f->drop[i] && g->ops[i].kind == FWI_OP_bn_train_grad && is_grad_of(&g->ops[i], norm))
            c->grad = i;
    if (c->grad == NONE || c->act == NONE)
        return;
    const fwi_op *grad = &g->ops[c->grad];
    const bool relu = g->ops[c->act].kind == FWI_OP_relu;
    c->act_grad = maker_of(f, grad->in[0], relu ? FWI_OP_relu_grad : FWI_OP_act_grad);
    if (c->act_grad == NONE || uses_of(f, grad->in[0]) != 1 ||
        (!relu && !same_act(&g->ops[c->act_grad], &g->ops[c->act])) ||
        g->ops[c->act_grad].in[1] != (relu ? g->ops[c->act].out[0] : norm->out[0])) {
        c->act_grad = NONE;
        return;
    }
    const fwi_val dz = g->ops[c->act_grad].in[0];
    if (c->tail_kind == TAIL_POOL && uses_of(f, dz) == 1) {
        c->pool_grad = maker_of(f, dz, FWI_OP_max_pool_grad);
        if (c->pool_grad != NONE && !is_pool_grad_of(&g->ops[c->pool_grad], &g->ops[c->tail]))
            c->pool_grad = NONE;
    }
    const int32_t pool = maker_of(f, norm->in[0], FWI_OP_max_pool);
    if (pool != NONE && plain_pool(&g->ops[pool]) && uses_of(f, grad->out[0]) == 1) {
        c->unpool = reader_of(f, grad->out[0], FWI_OP_max_pool_grad, 0);
        if (c->unpool != NONE && (!is_pool_grad_of(&g->ops[c->unpool], &g->ops[pool]) ||
                                  !places_stay(f, g->ops[pool].out[1])))
            c->unpool = NONE;
    }
}

static chain find_chain(const fusion *f, int32_t norm)
{
    const fwi_graph *g = f->g;
    chain c = {.norm = norm,
               .act = NONE,
               .tail = NONE,
               .grad = NONE,
               .act_grad = NONE,
               .pool_grad = NONE,
               .unpool = NONE};
    const fwi_val y = g->ops[norm].out[0];
    c.act = reader_of(f, y, FWI_OP_relu, 0);
    if (c.act == NONE)
        c.act = reader_of(f, y, FWI_OP_act, 0);
    if (c.act != NONE) {
        const fwi_val z = g->ops[c.act].out[0];
        const int32_t pool = reader_of(f, z, FWI_OP_max_pool, 0);
        int32_t sum = reader_of(f, z, FWI_OP_add, 0);
        if (sum == NONE)
            sum = reader_of(f, z, FWI_OP_add, 1);
        if (pool != NONE && plain_pool(&g->ops[pool]) && places_stay(f, g->ops[pool].out[1])) {
            c.tail = pool;
            c.tail_kind = TAIL_POOL;
        } else if (sum != NONE) {
            c.tail = sum;
            c.tail_kind = TAIL_ADD;
        }
    }
    if (g->ops[norm].kind == FWI_OP_bn_train)
        find_backward(f, &c);
    return c;
}

/* ---- the fused ops ---- */

static fwi_attr attr_of(const fusion *f, const chain *c, const plan *p)
{
    const fwi_op *norm = &f->g->ops[c->norm];
    fwi_attr a = {.bn_act = {.eps = norm->attr.bn.eps, .fn = FWI_FUSED_IDENTITY}};
    if (p->act && f->g->ops[c->act].kind == FWI_OP_relu)
        a.bn_act.fn = FWI_FUSED_RELU;
    else if (p->act) {
        a.bn_act.fn = f->g->ops[c->act].attr.act.fn;
        a.bn_act.alpha = f->g->ops[c->act].attr.act.alpha;
    }
    return a;
}

/* With a pool of k x k on images like v. */
static void set_pool(const fusion *f, fwi_attr *a, int64_t k, fwi_val v)
{
    const fwi_shape *s = &f->g->tensors[v].shape;
    a->bn_act.k = k;
    a->bn_act.ih = s->d[1];
    a->bn_act.iw = s->d[2];
}

static fwi_op make(fwi_opkind kind, const fwi_attr *a)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    fwi_op op = {.kind = kind, .n_in = info->n_in, .n_out = info->n_out, .attr = *a};
    for (int k = 0; k < FWI_MAX_IN; k++)
        op.in[k] = FWI_NO_VAL;
    for (int k = 0; k < FWI_MAX_OUT; k++)
        op.out[k] = FWI_NO_VAL;
    return op;
}

/* gamma beta mean var into in[at ...] */
static void set_norm(const fusion *f, const chain *c, fwi_op *op, int at)
{
    const fwi_op *norm = &f->g->ops[c->norm];
    const bool eval = norm->kind == FWI_OP_bn_eval;
    op->in[at] = norm->in[1];
    op->in[at + 1] = norm->in[2];
    op->in[at + 2] = eval ? norm->in[3] : norm->out[1];
    op->in[at + 3] = eval ? norm->in[4] : norm->out[2];
}

/* Stands where the last of what it replaces stood: *at. */
static fwi_op sweep_op(const fusion *f, const chain *c, const plan *p, int32_t *at)
{
    const fwi_graph *g = f->g;
    const fwi_op *norm = &g->ops[c->norm];
    fwi_attr a = attr_of(f, c, p);
    *at = p->tail != TAIL_NONE ? c->tail : p->act ? c->act : c->norm;
    if (p->tail == TAIL_POOL)
        set_pool(f, &a, g->ops[c->tail].attr.pool.k, norm->in[0]);
    fwi_op op = make(p->tail == TAIL_POOL  ? FWI_OP_bn_act_pool
                     : p->tail == TAIL_ADD ? FWI_OP_bn_act_add
                                           : FWI_OP_bn_act,
                     &a);
    op.in[0] = norm->in[0];
    set_norm(f, c, &op, 1);
    if (p->tail == TAIL_ADD) {
        const fwi_op *sum = &g->ops[c->tail];
        op.in[5] = sum->in[0] == g->ops[c->act].out[0] ? sum->in[1] : sum->in[0];
    }
    for (int k = 0; k < op.n_out; k++)
        op.out[k] = g->ops[*at].out[k];
    return op;
}

/* Stands where the norm's gradient stood. */
static fwi_op back_op(const fusion *f, const chain *c, const plan *p)
{
    const fwi_graph *g = f->g;
    const fwi_op *grad = &g->ops[c->grad], *act_grad = &g->ops[c->act_grad];
    fwi_attr a = attr_of(f, c, p);
    if (p->back == BACK_POOL)
        set_pool(f, &a, g->ops[c->tail].attr.pool.k, grad->in[1]);
    if (p->back == BACK_UNPOOL)
        set_pool(f, &a, g->ops[c->unpool].attr.pool.k, g->ops[c->unpool].out[0]);
    fwi_op op = make(p->back == BACK_POOL     ? FWI_OP_bn_act_pool_grad
                     : p->back == BACK_UNPOOL ? FWI_OP_bn_act_unpool_grad
                                              : FWI_OP_bn_act_grad,
                     &a);
    int n = 0;
    op.in[n++] = p->back == BACK_POOL ? g->ops[c->pool_grad].in[0] : act_grad->in[0];
    if (p->back == BACK_POOL)
        op.in[n++] = g->ops[c->tail].out[1];
    if (p->back == BACK_UNPOOL)
        op.in[n++] = g->ops[c->unpool].in[1];
    op.in[n++] = grad->in[1];
    set_norm(f, c, &op, n);
    op.out[0] = p->back == BACK_UNPOOL ? g->ops[c->unpool].out[0] : grad->out[0];
    op.out[1] = grad->out[1];
    op.out[2] = grad->out[2];
    return op;
}

/* What gathers the statistics: who makes x, if the table can do that, else an op of its own. A
 * convolution's sums know no groups. */
static fwi_op stats_op(const fusion *f, const chain *c, const plan *p, int32_t *at)
{
    const fwi_op *norm = &f->g->ops[c->norm];
    const int64_t groups = norm->attr.bn.groups;
    const int32_t conv = groups == 1 ? maker_of(f, norm->in[0], FWI_OP_conv2d) : NONE;
    const int32_t pool = maker_of(f, norm->in[0], FWI_OP_max_pool);
    *at = conv != NONE ? conv : pool;
    const int32_t replaced = p->back == BACK_UNPOOL ? c->unpool : NONE;
    if (*at != NONE &&
        (conv != NONE || (places_stay(f, f->g->ops[pool].out[1]) &&
                          gradients_run_blocked(f, f->g->ops[pool].out[1], replaced)))) {
        const fwi_op *old = &f->g->ops[*at];
        fwi_op op = make(conv != NONE ? FWI_OP_conv2d_stats : FWI_OP_max_pool_stats, &old->attr);
        if (conv == NONE)
            op.attr.pool_stats.groups = groups;
        memcpy(op.in, old->in, sizeof op.in);
        memcpy(op.out, old->out, sizeof op.out);
        op.out[old->n_out] = norm->out[1];
        op.out[old->n_out + 1] = norm->out[2];
        if (has_row(f, &op))
            return op;
    }
    *at = c->norm;
    fwi_op op = make(FWI_OP_bn_stats, &(fwi_attr){.stats = {.groups = groups}});
    op.in[0] = norm->in[0];
    op.out[0] = norm->out[1];
    op.out[1] = norm->out[2];
    return op;
}

/* ---- plans ---- */

static bool allowed(const fusion *f, const chain *c, const plan *p)
{
    const fwi_graph *g = f->g;
    const bool train = g->ops[c->norm].kind == FWI_OP_bn_train;
    if ((p->act && c->act == NONE) || (p->tail != TAIL_NONE && c->tail_kind != p->tail))
        return false;
    if ((p->back != BACK_NONE && c->act_grad == NONE) ||
        (p->back == BACK_POOL && (p->tail != TAIL_POOL || c->pool_grad == NONE)) ||
        (p->back == BACK_UNPOOL && c->unpool == NONE))
        return false;
    /* the activation's gradient reads its output (relu) or its input; fused, it reads neither */
    const bool back = p->back != BACK_NONE;
    const bool relu = c->act != NONE && g->ops[c->act].kind == FWI_OP_relu;
    if (p->act && uses_of(f, g->ops[c->norm].out[0]) != 1 + (back && !relu))
        return false;
    if (p->tail != TAIL_NONE && uses_of(f, g->ops[c->act].out[0]) != 1 + (back && relu))
        return false;
    int32_t at = NONE, stats_at = NONE;
    const fwi_op sweep = sweep_op(f, c, p, &at);
    if (!has_row(f, &sweep))
        return false;
    for (int k = 1; k < 5; k++)
        if (changed_before(f, sweep.in[k], back ? c->grad : at))
            return false;
    if (train) {
        const fwi_op stats = stats_op(f, c, p, &stats_at);
        /* a norm alone gains nothing by being cut in two */
        if (!has_row(f, &stats) || (stats_at == c->norm && !p->act))
            return false;
    }
    if (back) {
        const fwi_op op = back_op(f, c, p);
        return has_row(f, &op);
    }
    return train || p->act;
}

static void put(fusion *f, int32_t at, const fwi_op *op)
{
    f->g->ops[at] = *op;
    f->drop[at] = false;
    for (int k = 0; k < op->n_out; k++)
        f->g->tensors[op->out[k]].producer = at;
}

static void apply(fusion *f, const chain *c, const plan *p)
{
    int32_t at = NONE, stats_at = NONE;
    const bool train = f->g->ops[c->norm].kind == FWI_OP_bn_train;
    const fwi_op sweep = sweep_op(f, c, p, &at);
    fwi_op back = {0}, stats = {0};
    if (p->back != BACK_NONE)
        back = back_op(f, c, p);
    if (train)
        stats = stats_op(f, c, p, &stats_at);
    f->drop[c->norm] = true;
    if (p->act)
        f->drop[c->act] = true;
    if (p->back != BACK_NONE) {
        f->drop[c->act_grad] = true;
        if (p->back == BACK_POOL)
            f->drop[c->pool_grad] = true;
        if (p->back == BACK_UNPOOL)
            f->drop[c->unpool] = true;
        put(f, c->grad, &back);
    }
    if (train)
        put(f, stats_at, &stats);
    put(f, at, &sweep);
}

static void fuse_norm(fusion *f, int32_t norm)
{
    if (f->g->tensors[f->g->ops[norm].in[0]].shape.rank != 4)
        return;
    static const tail_kind tails[] = {TAIL_POOL, TAIL_ADD, TAIL_NONE};
    static const back_kind backs[] = {BACK_POOL, BACK_UNPOOL, BACK_ACT, BACK_NONE};
    const chain c = find_chain(f, norm);
    for (size_t b = 0; b < sizeof backs / sizeof *backs; b++)
        for (size_t t = 0; t < sizeof tails / sizeof *tails; t++) {
            const plan p = {.act = true, .tail = tails[t], .back = backs[b]};
            if (allowed(f, &c, &p)) {
                apply(f, &c, &p);
                return;
            }
        }
    const plan alone = {.act = false};
    if (allowed(f, &c, &alone))
        apply(f, &c, &alone);
}

/* ---- bias and activation ---- */

static void fuse_bias(fusion *f, int32_t bias)
{
    fwi_graph *g = f->g;
    const fwi_op *add = &g->ops[bias];
    const fwi_val y = add->out[0];
    int32_t act = reader_of(f, y, FWI_OP_relu, 0);
    const bool relu = act != NONE;
    if (!relu)
        act = reader_of(f, y, FWI_OP_act, 0);
    if (act == NONE || g->tensors[y].shape.rank != 4)
        return;
    const fwi_val z = g->ops[act].out[0];
    const fwi_attr a = {.act = {.fn = relu ? FWI_FUSED_RELU : g->ops[act].attr.act.fn,
                                .alpha = relu ? 0 : g->ops[act].attr.act.alpha}};
    fwi_op sweep = make(FWI_OP_bias_act, &a), back = make(FWI_OP_bias_act_grad, &a);
    sweep.in[0] = add->in[0];
    sweep.in[1] = add->in[1];
    sweep.out[0] = z;
    if (!has_row(f, &sweep) || changed_before(f, add->in[1], act))
        return;
    int32_t grad = reader_of(f, relu ? z : y, relu ? FWI_OP_relu_grad : FWI_OP_act_grad, 1);
    if (grad != NONE && !relu && !same_act(&g->ops[grad], &g->ops[act]))
        grad = NONE;
    const int32_t sum = grad == NONE ? NONE : reader_of(f, g->ops[grad].out[0], FWI_OP_sum_rows, 0);
    bool fused_back = sum != NONE;
    if (fused_back) {
        back.in[0] = g->ops[grad].in[0];
        back.in[1] = add->in[0];
        back.in[2] = add->in[1];
        back.out[0] = g->ops[grad].out[0];
        back.out[1] = g->ops[sum].out[0];
        fused_back = has_row(f, &back) && !changed_before(f, add->in[1], grad);
    }
    if (uses_of(f, y) != 1 + (fused_back && !relu))
        return;
    f->drop[bias] = true;
    put(f, act, &sweep);
    if (fused_back) {
        f->drop[sum] = true;
        put(f, grad, &back);
    }
}

/* ---- the pass ---- */

static void close_gaps(fusion *f)
{
    fwi_graph *g = f->g;
    int32_t n = 0;
    for (fwi_val v = 0; v < g->n_tensors; v++)
        g->tensors[v].producer = -1;
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (f->drop[i])
            continue;
        const fwi_op op = g->ops[i];
        for (int k = 0; k < op.n_out; k++)
            g->tensors[op.out[k]].producer = n;
        g->ops[n++] = op;
    }
    g->n_ops = n;
}

fw_status fwi_lower_fuse(fwi_graph *g, const fwi_op_table *table)
{
    const fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    fusion f = {.g = g, .table = table, .drop = fwi_alloc_array((size_t)g->n_ops, sizeof *f.drop)};
    if (f.drop == NULL)
        return FW_ENOMEM;
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (f.drop[i])
            continue;
        const fwi_opkind kind = g->ops[i].kind;
        if (kind == FWI_OP_bn_train || kind == FWI_OP_bn_eval)
            fuse_norm(&f, i);
        else if (kind == FWI_OP_bias_add)
            fuse_bias(&f, i);
    }
    close_gaps(&f);
    fwi_free(f.drop);
    return FW_OK;
}
