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
};

bool fwi_sweep_pools(const fwi_sweep *w)
{
    return strpbrk(w->in, "PI") != NULL || strpbrk(w->out, "PI") != NULL;
}

fwi_attr fwi_sweep_attr(const fw_conv_shape *s, const fwi_sweep *w)
{
    const bool gelu = strncmp(s->net, "airbench", 8) == 0,
               pools = strpbrk(w->in, "I") != NULL || strpbrk(w->out, "I") != NULL;
    const int64_t fn = gelu ? FWI_GELU : FWI_FUSED_RELU;
    const fwi_op_info *info = fwi_op_info_get(w->op);
    if (strcmp(info->attr, "bn") == 0)
        return (fwi_attr){.bn = {.eps = 1e-5, .groups = 1}};
    if (strcmp(info->attr, "bn_act") == 0)
        return (fwi_attr){.bn_act = {.eps = 1e-5,
                                     .fn = fn,
                                     .k = pools ? 2 : 0,
                                     .ih = pools ? s->oh : 0,
                                     .iw = pools ? s->ow : 0}};
    if (strcmp(info->attr, "act") == 0) /* act itself has no ReLU */
        return (fwi_attr){
            .act = {.fn = w->op == FWI_OP_act || w->op == FWI_OP_act_grad ? FWI_GELU : fn}};
    return (fwi_attr){.pool = {.k = 2, .stride = 2, .ih = s->oh, .iw = s->ow}};
}

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
    const fwi_layout layout = nb > 0 ? fwi_op_layout(w->op) : (fwi_layout){0};
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
        bytes += fwi_operand_bytes(&c->in[i]);
    for (int i = 0; w->out[i] != 0; i++)
        bytes += fwi_operand_bytes(&c->out[i]);
    return bytes;
}

void fwi_sweep_range(const fwi_sweep *w, int k, const fw_conv_shape *s, double *lo, double *hi)
{
    const char letter = w->in[k];
    *lo = letter == 'v' ? 0.5 : letter == 'I' || letter == 'J' ? 0 : -1;
    *hi = letter == 'v' ? 1.5 : letter == 'I' ? 4 : letter == 'J' ? (double)(s->oh * s->ow) : 1;
}

bool fwi_sweep_over_itself(const fwi_sweep *w)
{
    return (fwi_op_info_get(w->op)->flags & FWI_ALIAS) != 0;
}

/* ---- words ---- */

static fw_status unknown_op(const char *word)
{
    fwi_buf names = {0};
    fw_status st = FW_OK;
    for (int i = 0; i < FWI_SWEEPS && st == FW_OK; i++)
        st = fwi_buf_printf(&names, "%s%s", i == 0 ? "" : ", ",
                            fwi_op_info_get(fwi_sweeps[i].op)->name);
    if (st == FW_OK)
        st = fwi_fail(FW_ENOTFOUND, "no op \"%s\" here; there are %s", word,
                      (const char *)names.data);
    fwi_buf_clear(&names);
    return st;
}

fw_status fwi_sweep_check(const char *op)
{
    for (int i = 0; op != NULL; i++) {
        if (i == FWI_SWEEPS)
            return unknown_op(op);
        if (strcmp(fwi_op_info_get(fwi_sweeps[i].op)->name, op) == 0)
            break;
    }
    return FW_OK;
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

static fw_status each_of_shape(void *user, const fw_conv_shape *s)
{
    const sweeping *const to = user;
    fw_status st = FW_OK;
    for (int k = 0; k < FWI_SWEEPS && st == FW_OK; k++) {
        const fwi_sweep *const w = &fwi_sweeps[k];
        if (to->o->op != NULL && strcmp(fwi_op_info_get(w->op)->name, to->o->op) != 0)
            continue;
        if (!fwi_sweep_pools(w) || (s->oh >= 2 && s->ow >= 2))
            st = to->each(to->user, s, w);
    }
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
