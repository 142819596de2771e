/* bench_sweeps.c: see bench_sweeps.h. */
#include "bench_sweeps.h"

#include <string.h>

#include "fail.h"
#include "mem.h"

const fwi_sweep fwi_sweeps[FWI_SWEEPS] = {
    {FWI_OP_bn_train, "Xcc", "Xss"},
    {FWI_OP_bn_train_grad, "XXcsv", "Xcc"},
    {FWI_OP_relu, "X", "X"},
    {FWI_OP_relu_grad, "XX", "X"},
    {FWI_OP_act, "X", "X"},
    {FWI_OP_act_grad, "XX", "X"},
    {FWI_OP_bias_add, "Xc", "X"},
    {FWI_OP_sum_rows, "X", "c"},
    {FWI_OP_add, "XX", "X"},
    {FWI_OP_max_pool, "X", "PI"},
    {FWI_OP_max_pool_grad, "PI", "X"},
    {FWI_OP_global_max_pool, "X", "GJ"},
    {FWI_OP_global_max_pool_grad, "GJ", "X"},
    {FWI_OP_bn_stats, "X", "ss"},
    {FWI_OP_max_pool_stats, "X", "PIss"},
    {FWI_OP_bn_act, "Xccsv", "X"},
    {FWI_OP_bn_act_add, "XccsvX", "X"},
    {FWI_OP_bn_act_pool, "Xccsv", "PI"},
    {FWI_OP_bn_act_grad, "XXccsv", "Xcc"},
    {FWI_OP_bn_act_pool_grad, "PIXccsv", "Xcc"},
    {FWI_OP_bn_act_unpool_grad, "PIPccsv", "Xcc"},
    {FWI_OP_bias_act, "Xc", "X"},
    {FWI_OP_bias_act_grad, "XXc", "Xc"},
    {FWI_OP_avg_pool, "X", "P"},
    {FWI_OP_avg_pool_grad, "P", "X"},
    {FWI_OP_to_blocked, "X", "X"},
    {FWI_OP_from_blocked, "X", "X"},
    {FWI_OP_resize, "R", "3"},
    {FWI_OP_resize, "R", "7"},
    {FWI_OP_sgd, "FFFH", ""},
    {FWI_OP_muon, "FFFH", ""},
};

bool fwi_sweep_pools(const fwi_sweep *w)
{
    return strpbrk(w->in, "PI") != NULL || strpbrk(w->out, "PI") != NULL;
}

/* ---- activations ---- */

typedef struct activation {
    const char *word;
    int64_t fn; /* as fused ops number them */
} activation;
static const activation activations[] = {{"relu", FWI_FUSED_RELU}, {"identity", FWI_FUSED_IDENTITY},
                                         {"celu", FWI_CELU},       {"gelu", FWI_GELU},
                                         {"silu", FWI_SILU},       {"tanh", FWI_TANH},
                                         {"sigmoid", FWI_SIGMOID}, {"softplus", FWI_SOFTPLUS}};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

static const activation *named(const char *word)
{
    for (int i = 0; i < ACTIVATIONS; i++)
        if (strcmp(activations[i].word, word) == 0)
            return &activations[i];
    return NULL;
}

static bool is_relu(fwi_opkind op)
{
    return op == FWI_OP_relu || op == FWI_OP_relu_grad;
}

/* Which functions an op knows. */
static bool knows(fwi_opkind op, int64_t fn)
{
    if (is_relu(op))
        return fn == FWI_FUSED_RELU;
    return (op != FWI_OP_act && op != FWI_OP_act_grad) || fn < FWI_ACT_COUNT;
}

static bool has_activation(fwi_opkind op)
{
    const char *const attr = fwi_op_info_get(op)->attr;
    return is_relu(op) || strcmp(attr, "bn_act") == 0 || strcmp(attr, "act") == 0;
}

/* That of a row; NULL where the op has none, or not the one asked for. Unasked, an op that does not
 * know the net's has the one it is trained with elsewhere. */
static const activation *activation_of(const fw_bench_ops_opt *o, const fw_conv_shape *s,
                                       fwi_opkind op)
{
    if (!has_activation(op))
        return NULL;
    const bool gelu = strncmp(s->net, "airbench", 8) == 0;
    const activation *const a = named(o->act != NULL ? o->act : gelu ? "gelu" : "relu");
    if (a == NULL || knows(op, a->fn))
        return a;
    return o->act != NULL ? NULL : named(is_relu(op) ? "relu" : "gelu");
}

/* ---- calls ---- */

static int64_t resized(int64_t size, char letter)
{
    return letter == '3' ? size * 3 / 4 : size * 7 / 8;
}

fwi_attr fwi_sweep_attr(const fw_bench_ops_opt *o, const fw_conv_shape *s, const fwi_sweep *w,
                        int32_t nb)
{
    const bool pools = strpbrk(w->in, "I") != NULL || strpbrk(w->out, "I") != NULL;
    const activation *const act = activation_of(o, s, w->op);
    const char *const attr = fwi_op_info_get(w->op)->attr;
    if (strcmp(attr, "bn") == 0)
        return (fwi_attr){.bn = {.eps = 1e-5, .groups = 1}};
    if (strcmp(attr, "stats") == 0)
        return (fwi_attr){.stats = {.groups = 1}};
    if (strcmp(attr, "pool_stats") == 0)
        return (fwi_attr){
            .pool_stats = {.k = 2, .stride = 2, .ih = s->oh, .iw = s->ow, .groups = 1}};
    if (strcmp(attr, "bn_act") == 0)
        return (fwi_attr){.bn_act = {.eps = 1e-5,
                                     .fn = act->fn,
                                     .alpha = 1,
                                     .k = pools ? 2 : 0,
                                     .ih = pools ? s->oh : 0,
                                     .iw = pools ? s->ow : 0}};
    if (strcmp(attr, "act") == 0)
        return (fwi_attr){.act = {.fn = act->fn, .alpha = 1}};
    if (strcmp(attr, "layout") == 0)
        return (fwi_attr){.layout = {.nb = nb, .dtype = o->precision}};
    if (strcmp(attr, "image") == 0)
        return (fwi_attr){
            .image = {
                .h = resized(s->h, *w->out), .w = resized(s->w, *w->out), .ih = s->h, .iw = s->w}};
    if (strcmp(attr, "optim") == 0)
        return (fwi_attr){.optim = {.momentum = 0.9, .form = FWI_NESTEROV_PYTORCH, .wd_col = 1}};
    if (strcmp(attr, "muon") == 0)
        return (fwi_attr){.muon = {.momentum = 0.6,
                                   .a = 3.4445,
                                   .b = -4.7750,
                                   .c = 2.0315,
                                   .steps = 3,
                                   .wd_col = 1,
                                   .rn_col = 2,
                                   .xn_col = 3}};
    return (fwi_attr){.pool = {.k = 2, .stride = 2, .ih = s->oh, .iw = s->ow}};
}

void fwi_sweep_describe(const fw_bench_ops_opt *o, const fw_conv_shape *s, const fwi_sweep *w,
                        fw_conv_shape *kept, fw_bench_ops_row *row)
{
    const activation *const act = activation_of(o, s, w->op);
    *kept = *s;
    row->shape = kept;
    row->act = act != NULL && !is_relu(w->op) ? act->word : NULL;
    if (*w->in == 'F') {
        kept->n = s->oc;
        kept->oh = kept->ow = s->k;
        kept->oc = s->c;
    } else if (*w->in == 'R') {
        kept->oh = s->h;
        kept->ow = s->w;
        kept->oc = s->c;
        row->to_h = resized(s->h, *w->out);
        row->to_w = resized(s->w, *w->out);
    }
}

/* Rates: columns lr, wd, and of muon whether and how it is brought to a norm, p, q. */
enum { UPDATE_COLUMNS = 5 };

static fwi_arg operand(const fw_conv_shape *s, fw_dtype precision, char letter, int32_t nb)
{
    const fw_dtype real = precision == FW_F64 ? FW_F64 : FW_F32;
    fwi_arg a = {.dtype = real, .shape = fwi_shape1(s->oc)};
    switch (letter) {
    case 'X':
        a.shape = fwi_shape4(s->n, s->oh, s->ow, s->oc);
        break;
    case 'P':
    case 'I':
        a.shape = fwi_shape4(s->n, s->oh / 2, s->ow / 2, s->oc);
        break;
    case 'G':
    case 'J':
        a.shape = fwi_shape2(s->n, s->oc);
        break;
    case 's':
    case 'v':
        a.shape = fwi_shape2(1, s->oc);
        break;
    case 'R':
        a.shape = fwi_shape4(s->n, s->h, s->w, s->c);
        break;
    case '3':
    case '7':
        a.shape = fwi_shape4(s->n, resized(s->h, letter), resized(s->w, letter), s->c);
        break;
    case 'F':
        a.shape = fwi_shape4(s->oc, s->k, s->k, s->c);
        break;
    case 'H':
        a.shape = fwi_shape1(UPDATE_COLUMNS);
        a.dtype = FW_F64;
        break;
    default:
        break;
    }
    if (letter == 'I')
        a.dtype = FW_U8;
    if (letter == 'J')
        a.dtype = FW_I32;
    if (nb > 0) {
        a.nb = nb;
        if (letter != 'I')
            a.dtype = precision;
    }
    return a;
}

fwi_call fwi_sweep_call(const fw_conv_shape *s, const fwi_sweep *w, const fwi_attr *attr,
                        fw_dtype precision, int32_t nb)
{
    fwi_layout layout = nb > 0 ? fwi_op_layout(w->op) : (fwi_layout){0};
    if (nb > 0 && w->op == FWI_OP_to_blocked) /* whose attribute says it */
        layout.out = 1;
    fwi_call c = {.kind = w->op, .attr = attr};
    for (int i = 0; w->in[i] != 0; i++)
        c.in[i] = operand(s, precision, w->in[i], layout.in >> i & 1 ? nb : 0);
    for (int i = 0; w->out[i] != 0; i++)
        c.out[i] = operand(s, precision, w->out[i], layout.out >> i & 1 ? nb : 0);
    return c;
}

size_t fwi_sweep_bytes(const fwi_sweep *w, const fwi_call *c)
{
    size_t bytes = 0;
    for (int i = 0; w->in[i] != 0; i++)
        bytes += fwi_operand_bytes(&c->in[i]) * (i < fwi_op_mutates(w->op) ? 2 : 1);
    for (int i = 0; w->out[i] != 0; i++)
        bytes += fwi_operand_bytes(&c->out[i]);
    return bytes;
}

void fwi_sweep_range(const fwi_sweep *w, int k, const fw_conv_shape *s, double *lo, double *hi)
{
    const char letter = w->in[k];
    *lo = letter == 'v' ? 0.5 : letter == 'I' || letter == 'J' ? 0 : -1;
    *hi = letter == 'v' ? 1.5 : letter == 'I' ? 4 : letter == 'J' ? (double)(s->oh * s->ow) : 1;
    if (letter == 'H') { /* Muon's p is one of them: near 1, so that its iteration converges */
        *lo = 0.9;
        *hi = 1;
    }
}

bool fwi_sweep_over_itself(const fwi_sweep *w)
{
    return (fwi_op_info_get(w->op)->flags & FWI_ALIAS) != 0;
}

/* ---- words ---- */

static const char *op_name(int i)
{
    return fwi_op_info_get(fwi_sweeps[i].op)->name;
}
static const char *act_word(int i)
{
    return activations[i].word;
}

/* FW_OK for NULL and for one of n words, some of which may stand twice in a row. */
static fw_status one_of(const char *word, const char *what, const char *(*name)(int i), int n)
{
    fwi_buf names = {0};
    fw_status st = FW_OK;
    for (int i = 0; i < n; i++)
        if (word == NULL || strcmp(name(i), word) == 0)
            return FW_OK;
    for (int i = 0; i < n && st == FW_OK; i++)
        if (i == 0 || strcmp(name(i), name(i - 1)) != 0)
            st = fwi_buf_printf(&names, "%s%s", i == 0 ? "" : ", ", name(i));
    if (st == FW_OK)
        st = fwi_fail(FW_ENOTFOUND, "no %s \"%s\" here; there are %s", what, word,
                      (const char *)names.data);
    fwi_buf_clear(&names);
    return st;
}

fw_status fwi_sweep_check(const fw_bench_ops_opt *o)
{
    fw_status st = one_of(o->op, "op", op_name, FWI_SWEEPS);
    if (st == FW_OK)
        st = one_of(o->act, "activation", act_word, ACTIVATIONS);
    for (int i = 0; i < FWI_SWEEPS && st == FW_OK && o->op != NULL && o->act != NULL; i++) {
        const fwi_opkind op = fwi_sweeps[i].op;
        if (strcmp(op_name(i), o->op) == 0 && !(has_activation(op) && knows(op, named(o->act)->fn)))
            st = fwi_fail(FW_EARG, "bench ops: %s has no activation %s", o->op, o->act);
    }
    return st;
}

static bool wants(const fw_conv_shape *s, const char *word)
{
    if (word != NULL)
        return fwi_conv_shape_named(s, word);
    return strcmp(s->net, "davidnet") == 0 || strcmp(s->net, "airbench94") == 0;
}

typedef struct sweeping {
    const fw_bench_ops_opt *o;
    fw_status (*each)(void *user, const fw_conv_shape *s, const fwi_sweep *w);
    void *user;
} sweeping;

/* Whether the shape has what the sweep is about. */
static bool applies(const fw_bench_ops_opt *o, const fw_conv_shape *s, const fwi_sweep *w)
{
    const fwi_opkind op = w->op;
    if (o->op != NULL && strcmp(fwi_op_info_get(op)->name, o->op) != 0)
        return false;
    if (*w->in == 'R') /* what has more channels comes from another layer */
        return s->c <= 4 && s->h >= 2 && s->w >= 2;
    if (fwi_sweep_pools(w) && (s->oh < 2 || s->ow < 2))
        return false;
    return o->act == NULL || !has_activation(op) || knows(op, named(o->act)->fn);
}

static fw_status each_of_shape(void *user, const fw_conv_shape *s)
{
    const sweeping *const to = user;
    fw_status st = FW_OK;
    for (int k = 0; k < FWI_SWEEPS && st == FW_OK; k++)
        if (applies(to->o, s, &fwi_sweeps[k]))
            st = to->each(to->user, s, &fwi_sweeps[k]);
    return st;
}

fw_status fwi_sweep_each(const fw_bench_ops_opt *o,
                         fw_status (*each)(void *user, const fw_conv_shape *s, const fwi_sweep *w),
                         void *user)
{
    sweeping to = {o, each, user};
    return fwi_walk_known_shapes(&(fwi_shape_walk){
        .word = o->shape, .wants = wants, .batch = o->batch, .each = each_of_shape, .user = &to});
}
