/* t_call.c: one case as a call of one table's kernel; what the reference says of it, and how far off
 * that others may be. See t_ops.h, t_inner.h. */
#include "t_inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

t_op_stats t_stats[FWI_OP_COUNT];

/* In a graph of doubles, inputs that are float in the float graph are double. Case inputs that are
 * F64 in both (hyper) stay. */
static fw_dtype as_real(fw_dtype t, fw_dtype real)
{
    return t == FW_F32 ? real : t;
}

fwi_call t_infer(const t_case *c, fw_dtype real, fwi_attr *attr)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    fwi_graph *g = NULL;
    fwi_val in[FWI_MAX_IN] = {0}, out[FWI_MAX_OUT] = {0};
    *attr = c->attr;
    if (c->kind == FWI_OP_fill || c->kind == FWI_OP_cast) { /* these name a type */
        int64_t *t = c->kind == FWI_OP_fill ? &attr->fill.dtype : &attr->cast.dtype;
        *t = as_real((fw_dtype)*t, real);
    }
    assert_int_equal(c->n_in, info->n_in);
    assert_int_equal(fwi_graph_new(&g, real), FW_OK);
    for (int i = 0; i < c->n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "in%d", i);
        const fw_dtype t = as_real(c->in[i].dtype, real);
        in[i] = i < fwi_op_mutates(c->kind)
                    ? fwi_graph_var(g, name, FWI_VAR_SLOT, false, c->in[i].shape, (fwi_init){0})
                    : fwi_graph_input(g, name, t, c->in[i].shape);
    }
    fwi_graph_op(g, c->kind, attr, in, c->n_in, out);
    if (fwi_graph_status(g) != FW_OK)
        fail_msg("case %d: %s", t_case_number, fw_last_error());
    fwi_call call = {.kind = c->kind, .attr = attr};
    for (int i = 0; i < info->n_in; i++)
        call.in[i] = (fwi_arg){.dtype = g->tensors[in[i]].dtype, .shape = g->tensors[in[i]].shape};
    for (int i = 0; i < info->n_out; i++)
        call.out[i] =
            (fwi_arg){.dtype = g->tensors[out[i]].dtype, .shape = g->tensors[out[i]].shape};
    fwi_graph_free(g);
    return call;
}

size_t t_arg_bytes(const fwi_arg *a)
{
    return (size_t)fwi_stored_elems(&a->shape, a->nb) * fw_dtype_size(a->dtype);
}

int64_t t_run_of(const fwi_arg *a, int64_t j, int64_t n, int64_t *place)
{
    if (a->nb == 0) {
        *place = j;
        return n - j;
    }
    const int64_t c = a->shape.d[3], pixels = a->shape.d[1] * a->shape.d[2];
    const int64_t channel = j % c, pixel = j / c % pixels, image = j / c / pixels;
    *place = ((image / a->nb * pixels + pixel) * a->nb + image % a->nb) * c + channel;
    return n - j < c - channel ? n - j : c - channel;
}

/* Of an operand in a call on odd addresses. */
static size_t odd_boundary(const fwi_arg *a, bool wanted, int32_t align)
{
    const size_t elem = fw_dtype_size(a->dtype);
    return wanted && (size_t)align > elem ? (size_t)align : elem;
}

void t_buffers_new(t_buffers *b, const t_case *c, fwi_call *call, size_t scratch, bool odd,
                   int32_t align)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    const fwi_layout images = fwi_op_layout(c->kind);
    for (int i = 0; i < info->n_in; i++) {
        fwi_arg *a = &call->in[i];
        b->in[i].mem = t_fenced_new(t_arg_bytes(a), odd ? odd_boundary(a, true, align) : 0);
        a->data = b->in[i].mem.data;
        int64_t at = 0, run = 0;
        for (int64_t j = 0; j < c->in[i].n; j += run) {
            run = t_run_of(a, j, c->in[i].n, &at);
            t_store(a->data, a->dtype, at, run, c->in[i].v + j);
        }
    }
    for (int i = 0; i < info->n_out; i++) {
        fwi_arg *a = &call->out[i];
        const bool image = images.out >> i & 1;
        b->out[i].mem = t_fenced_new(t_arg_bytes(a), odd ? odd_boundary(a, image, align) : 0);
        a->data = b->out[i].mem.data;
    }
    b->scratch.mem = t_fenced_new(scratch, 0);
    call->scratch = scratch > 0 ? b->scratch.mem.data : NULL;
}

void t_buffers_free(t_buffers *b, const t_case *c)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    for (int i = 0; i < info->n_in; i++)
        t_fenced_free(&b->in[i].mem);
    for (int i = 0; i < info->n_out; i++)
        t_fenced_free(&b->out[i].mem);
    t_fenced_free(&b->scratch.mem);
}

void t_describe(const t_case *c, char *text, size_t cap)
{
    size_t at = (size_t)snprintf(text, cap, "case %d, --seed %llu: %s(", t_case_number,
                                 (unsigned long long)t_seed, fwi_op_info_get(c->kind)->name);
    for (int i = 0; i < c->n_in && at < cap; i++) {
        const fwi_shape *s = &c->in[i].shape;
        at += (size_t)snprintf(text + at, cap - at, "%s%s[", i > 0 ? " " : "",
                               fw_dtype_name(c->in[i].dtype));
        for (int j = 0; j < s->rank && at < cap; j++)
            at += (size_t)snprintf(text + at, cap - at, "%s%lld", j > 0 ? "," : "",
                                   (long long)s->d[j]);
        if (at < cap)
            at += (size_t)snprintf(text + at, cap - at, "]");
    }
    if (at < cap)
        snprintf(text + at, cap - at, ")");
}

const fwi_kernel *t_find(const t_case *c, const fwi_op_table *table, const fwi_call *call)
{
    const fwi_kernel *k = fwi_table_find(table, call, NULL);
    if (k == NULL) {
        char text[512];
        t_describe(c, text, sizeof text);
        fail_msg("%s: table %s has no kernel", text, table->name);
    }
    return k;
}

void t_reference_run(const t_case *c, double *const *out)
{
    fwi_attr attr;
    fwi_call call = t_infer(c, FW_F64, &attr);
    const fwi_kernel *k = t_find(c, fwi_cpu_table(FWI_ISA_REF), &call);
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    t_buffers b = {0};
    t_buffers_new(&b, c, &call, k->scratch != NULL ? k->scratch(&call) : 0, false, 0);
    assert_int_equal(k->run(&call), FW_OK);
    for (int i = 0; i < info->n_out; i++) {
        assert_true(t_fenced_intact(&b.out[i].mem));
        t_load(call.out[i].data, call.out[i].dtype, 0, fwi_shape_elems(&call.out[i].shape), out[i]);
    }
    for (int i = 0; i < fwi_op_mutates(c->kind); i++)
        t_load(call.in[i].data, call.in[i].dtype, 0, c->in[i].n, out[info->n_out + i]);
    t_buffers_free(&b, c);
}

void t_reference(const t_case *c, double *const *out)
{
    t_reference_run(c, out);
    t_stats[c->kind].cases++;
}

void t_expect(t_case *c)
{
    fwi_attr attr;
    const fwi_call call = t_infer(c, FW_F32, &attr);
    const int n_out = fwi_op_info_get(c->kind)->n_out;
    double *out[T_RESULTS] = {0};
    c->n_results = n_out + fwi_op_mutates(c->kind);
    for (int r = 0; r < c->n_results; r++) {
        t_result *res = &c->result[r];
        const fwi_arg *a = r < n_out ? &call.out[r] : &call.in[r - n_out];
        *res = (t_result){.dtype = a->dtype, .shape = a->shape, .n = fwi_shape_elems(&a->shape)};
        res->want = t_zeros(res->n, sizeof *res->want);
        res->tol = t_zeros(res->n, sizeof *res->tol);
        out[r] = res->want;
    }
    t_reference_run(c, out);
}

void t_tol_linear(t_case *c, int64_t k)
{
    t_case a = *c; /* the same case with every number positive */
    double *out[T_RESULTS] = {0};
    for (int i = 0; i < c->n_in; i++) {
        a.in[i].v = t_zeros(c->in[i].n, sizeof *a.in[i].v);
        const bool real = c->in[i].dtype == FW_F32;
        for (int64_t j = 0; j < c->in[i].n; j++)
            a.in[i].v[j] = real ? fabs(c->in[i].v[j]) : c->in[i].v[j];
    }
    if (c->kind == FWI_OP_scale)
        a.attr.scalar.value = fabs(c->attr.scalar.value);
    for (int r = 0; r < c->n_results; r++)
        out[r] = c->result[r].tol;
    t_reference_run(&a, out);
    for (int i = 0; i < c->n_in; i++)
        free(a.in[i].v);
    for (int r = 0; r < c->n_results; r++) {
        t_result *res = &c->result[r];
        for (int64_t j = 0; j < res->n; j++) /* until here tol is the sum of |terms| */
            res->tol[j] =
                2.0 * T_U * sqrt((double)k) * fabs(res->tol[j]) + T_U * fabs(res->want[j]);
    }
}

void t_tol_relative(t_case *c, int r, double scale, double floor)
{
    for (int64_t j = 0; j < c->result[r].n; j++)
        c->result[r].tol[j] = scale * T_U * fabs(c->result[r].want[j]) + floor;
}

double *t_more(t_case *c, int r)
{
    c->result[r].more = t_zeros(c->result[r].n, sizeof *c->result[r].more);
    return c->result[r].more;
}
