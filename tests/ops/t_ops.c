/* t_ops.c: see t_ops.h. */
#include "t_ops.h"

#include "t_cuda.h"
#include "t_far.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, MAX_KERNELS = 256 };
static const unsigned char guard_byte = 0xA5;

uint64_t t_seed = 1;
static uint64_t draws;
static fwi_pool *pools[3]; /* none, 2 threads, 5 threads */
static int case_number;

typedef struct op_stats {
    int64_t cases, results, nonzero;
} op_stats;
static op_stats stats[FWI_OP_COUNT];

static struct {
    const char *name;
    double worst;
    int64_t runs;
} kernels[MAX_KERNELS];
static int n_kernels;

void t_require(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", fw_status_name(st), fw_last_error());
}

/* ---- random numbers ---- */

static void words(uint32_t w[4])
{
    fwi_rng_block(t_seed, FWI_RNG_TEST, 0, draws++, 0, w);
}

int64_t t_below(int64_t n)
{
    uint32_t w[4];
    words(w);
    return fwi_below(w[0], (uint32_t)n);
}

double t_normal(void)
{
    static double kept[4];
    static int left;
    static uint64_t at;
    if (left == 0 || at != draws) { /* a draw of another kind drops what is kept */
        uint32_t w[4];
        words(w);
        fwi_normal4(w, kept);
        left = 4;
        at = draws;
    }
    return kept[--left];
}

/* ---- cases ---- */

static void *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

static void *zeros(int64_t n, size_t elem)
{
    return must(calloc((size_t)n + 1, elem));
}

void t_begin(t_case *c, fwi_opkind kind, const fwi_attr *attr)
{
    *c = (t_case){.kind = kind};
    if (attr != NULL)
        c->attr = *attr;
    case_number++;
}

void t_drop(t_case *c)
{
    for (int i = 0; i < c->n_in; i++)
        free(c->in[i].v);
    for (int r = 0; r < c->n_results; r++) {
        free(c->result[r].want);
        free(c->result[r].tol);
        free(c->result[r].more);
    }
    *c = (t_case){0};
}

static t_input *add_input(t_case *c, fw_dtype dtype, fwi_shape shape)
{
    t_input *in = &c->in[c->n_in++];
    *in = (t_input){.dtype = dtype, .shape = shape, .n = fwi_shape_elems(&shape)};
    in->v = zeros(in->n, sizeof *in->v);
    return in;
}

double *t_real(t_case *c, fwi_shape shape, t_fill fill)
{
    t_input *in = add_input(c, FW_F32, shape);
    for (int64_t i = 0; i < in->n; i++) {
        double v = t_normal();
        if (fill == T_SHIFTED)
            v += 3.0;
        else if (fill == T_POSITIVE)
            v = 0.1 + fabs(v);
        else if (fill == T_AWAY)
            v += v < 0 ? -0.05 : 0.05;
        else if (fill == T_INTS)
            v = (double)(t_below(7) - 3);
        in->v[i] = (double)(float)v;
    }
    if (fill == T_SPREAD) { /* the numbers (i - n/2) / 1024, shuffled */
        const int64_t half = in->n / 2;
        for (int64_t i = 0; i < in->n; i++)
            in->v[i] = (double)(i - half) / 1024.0;
        for (int64_t i = in->n - 1; i > 0; i--) {
            const int64_t j = t_below(i + 1);
            const double t = in->v[i];
            in->v[i] = in->v[j];
            in->v[j] = t;
        }
    }
    return in->v;
}

double *t_ints(t_case *c, fw_dtype dtype, fwi_shape shape, int64_t lo, int64_t hi)
{
    t_input *in = add_input(c, dtype, shape);
    for (int64_t i = 0; i < in->n; i++)
        in->v[i] = (double)(lo + t_below(hi - lo + 1));
    return in->v;
}

double *t_values(t_case *c, fw_dtype dtype, fwi_shape shape, const double *v)
{
    t_input *in = add_input(c, dtype, shape);
    for (int64_t i = 0; i < in->n; i++)
        in->v[i] = dtype == FW_F32 ? (double)(float)v[i] : v[i];
    return in->v;
}

/* ---- memory with guards ---- */

typedef struct guarded {
    unsigned char *block, *data;
    size_t bytes, room;
    void *copy; /* of the block, on a device */
} guarded;

/* odd: the address is only as aligned as an element. Full of 0xFF, which is a NaN in floats. */
static guarded guarded_new(size_t bytes, size_t elem, bool odd)
{
    guarded g = {.bytes = bytes};
    const size_t room = (GUARD + bytes + GUARD + 63) / 64 * 64;
    g.room = room;
    g.block = must(aligned_alloc(64, room));
    memset(g.block, guard_byte, room);
    g.data = g.block + (odd ? elem : 64);
    memset(g.data, 0xFF, bytes);
    return g;
}

static bool guarded_intact(const guarded *g)
{
    for (const unsigned char *p = g->block; p < g->data; p++)
        if (*p != guard_byte)
            return false;
    for (size_t i = 0; i < GUARD - 16; i++)
        if (g->data[g->bytes + i] != guard_byte)
            return false;
    return true;
}

/* Round to nearest, ties to even, as cpu/ref/layout.c defines it. */
static uint16_t bf16_bits(double v)
{
    const float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)(isnan(v) ? u >> 16 | 0x40 : (u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

static double bf16_value(uint16_t bits)
{
    const uint32_t u = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

/* IEEE's binary16, subnormal numbers included: the nearest of its values, ties to even. */
static uint16_t f16_bits(double v)
{
    const uint16_t sign = signbit(v) ? 0x8000 : 0;
    const double a = fabs(v);
    if (isnan(v))
        return sign | 0x7E00;
    if (a >= 65520)
        return sign | 0x7C00;
    int e = 0;
    (void)frexp(a, &e); /* a = [0.5, 1) 2^e */
    const int unit = e - 11 > -24 ? e - 11 : -24;
    const double steps = nearbyint(ldexp(a, -unit)); /* up to 2048 */
    if (steps == 0)
        return sign;
    if (unit == -24)
        return (uint16_t)(sign | (uint16_t)steps); /* 1024 is the first normal number's pattern */
    return (uint16_t)(sign | (uint16_t)(((unit + 24) << 10) + (int)steps));
}

static double f16_value(uint16_t bits)
{
    const int e = bits >> 10 & 31, m = bits & 1023;
    const double a = e == 31  ? (m != 0 ? (double)NAN : (double)INFINITY)
                     : e == 0 ? ldexp(m, -24)
                              : ldexp(1024 + m, e - 25);
    return bits & 0x8000 ? -a : a;
}

/* What v becomes when it is stored, and the share of itself that it may be off by then: u_out of
 * rule A14. */
static double as_stored(fw_dtype dtype, double v)
{
    return dtype == FW_F32    ? (double)(float)v
           : dtype == FW_BF16 ? bf16_value(bf16_bits(v))
           : dtype == FW_F16  ? f16_value(f16_bits(v))
                              : v;
}

static double u_out(fw_dtype dtype)
{
    return dtype == FW_BF16 ? 1.0 / 256.0 : dtype == FW_F16 ? 1.0 / 2048.0 : 0.0;
}

static void store(void *data, fw_dtype dtype, int64_t i, double v)
{
    switch (dtype) {
    case FW_F32:
        ((float *)data)[i] = (float)v;
        break;
    case FW_F64:
        ((double *)data)[i] = v;
        break;
    case FW_U8:
        ((uint8_t *)data)[i] = (uint8_t)v;
        break;
    case FW_I32:
        ((int32_t *)data)[i] = (int32_t)v;
        break;
    case FW_I64:
        ((int64_t *)data)[i] = (int64_t)v;
        break;
    case FW_BF16:
        ((uint16_t *)data)[i] = bf16_bits(v);
        break;
    case FW_F16:
        ((uint16_t *)data)[i] = f16_bits(v);
        break;
    }
}

static double load(const void *data, fw_dtype dtype, int64_t i)
{
    switch (dtype) {
    case FW_F32:
        return (double)((const float *)data)[i];
    case FW_F64:
        return ((const double *)data)[i];
    case FW_U8:
        return ((const uint8_t *)data)[i];
    case FW_I32:
        return ((const int32_t *)data)[i];
    case FW_I64:
        return (double)((const int64_t *)data)[i];
    case FW_BF16:
        return bf16_value(((const uint16_t *)data)[i]);
    case FW_F16:
        return f16_value(((const uint16_t *)data)[i]);
    }
    return 0;
}

/* ---- one op on one table ---- */

/* In a graph of doubles, inputs that are float in the float graph are double. Case inputs that are
 * F64 in both (hyper) stay. */
static fw_dtype as_real(fw_dtype t, fw_dtype real)
{
    return t == FW_F32 ? real : t;
}

/* Types and shapes of the call, by the op's shape rule: it also checks that the case is a legal
 * one. */
static fwi_call infer(const t_case *c, fw_dtype real, fwi_attr *attr)
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
        fail_msg("case %d: %s", case_number, fw_last_error());
    fwi_call call = {.kind = c->kind, .attr = attr};
    for (int i = 0; i < info->n_in; i++)
        call.in[i] = (fwi_arg){.dtype = g->tensors[in[i]].dtype, .shape = g->tensors[in[i]].shape};
    for (int i = 0; i < info->n_out; i++)
        call.out[i] =
            (fwi_arg){.dtype = g->tensors[out[i]].dtype, .shape = g->tensors[out[i]].shape};
    fwi_graph_free(g);
    return call;
}

typedef struct buffers {
    guarded in[FWI_MAX_IN], out[FWI_MAX_OUT], scratch;
} buffers;

static size_t arg_bytes(const fwi_arg *a)
{
    return (size_t)fwi_stored_elems(&a->shape, a->nb) * fw_dtype_size(a->dtype);
}

/* Where element j of the shape lies in memory. */
static int64_t place_of(const fwi_arg *a, int64_t j)
{
    if (a->nb == 0)
        return j;
    const int64_t c = a->shape.d[3], places = a->shape.d[1] * a->shape.d[2];
    const int64_t channel = j % c, place = j / c % places, image = j / c / places;
    return ((image / a->nb * places + place) * a->nb + image % a->nb) * c + channel;
}

static void buffers_new(buffers *b, const t_case *c, fwi_call *call, size_t scratch, bool odd)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    for (int i = 0; i < info->n_in; i++) {
        fwi_arg *a = &call->in[i];
        b->in[i] = guarded_new(arg_bytes(a), fw_dtype_size(a->dtype), odd);
        a->data = b->in[i].data;
        for (int64_t j = 0; j < c->in[i].n; j++)
            store(a->data, a->dtype, place_of(a, j), c->in[i].v[j]);
    }
    for (int i = 0; i < info->n_out; i++) {
        fwi_arg *a = &call->out[i];
        b->out[i] = guarded_new(arg_bytes(a), fw_dtype_size(a->dtype), odd);
        a->data = b->out[i].data;
    }
    b->scratch = guarded_new(scratch, 64, false);
    call->scratch = scratch > 0 ? b->scratch.data : NULL;
}

static void buffers_free(buffers *b, const t_case *c)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    for (int i = 0; i < info->n_in; i++)
        free(b->in[i].block);
    for (int i = 0; i < info->n_out; i++)
        free(b->out[i].block);
    free(b->scratch.block);
}

static void describe(const t_case *c, char *text, size_t cap)
{
    size_t at = (size_t)snprintf(text, cap, "case %d, --seed %llu: %s(", case_number,
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

static const fwi_kernel *find(const t_case *c, const fwi_op_table *table, const fwi_call *call)
{
    const fwi_kernel *k = fwi_table_find(table, call, NULL);
    if (k == NULL) {
        char text[512];
        describe(c, text, sizeof text);
        fail_msg("%s: table %s has no kernel", text, table->name);
    }
    return k;
}

static void reference(const t_case *c, double *const *out)
{
    fwi_attr attr;
    fwi_call call = infer(c, FW_F64, &attr);
    const fwi_kernel *k = find(c, fwi_cpu_table(FWI_ISA_REF), &call);
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    buffers b = {0};
    buffers_new(&b, c, &call, k->scratch != NULL ? k->scratch(&call) : 0, false);
    assert_int_equal(k->run(&call), FW_OK);
    for (int i = 0; i < info->n_out; i++) {
        assert_true(guarded_intact(&b.out[i]));
        for (int64_t j = 0; j < fwi_shape_elems(&call.out[i].shape); j++)
            out[i][j] = load(call.out[i].data, call.out[i].dtype, j);
    }
    for (int i = 0; i < fwi_op_mutates(c->kind); i++)
        for (int64_t j = 0; j < c->in[i].n; j++)
            out[info->n_out + i][j] = load(call.in[i].data, call.in[i].dtype, j);
    buffers_free(&b, c);
}

void t_reference(const t_case *c, double *const *out)
{
    reference(c, out);
    stats[c->kind].cases++;
}

void t_expect(t_case *c)
{
    fwi_attr attr;
    const fwi_call call = infer(c, FW_F32, &attr);
    const int n_out = fwi_op_info_get(c->kind)->n_out;
    double *out[T_RESULTS] = {0};
    c->n_results = n_out + fwi_op_mutates(c->kind);
    for (int r = 0; r < c->n_results; r++) {
        t_result *res = &c->result[r];
        const fwi_arg *a = r < n_out ? &call.out[r] : &call.in[r - n_out];
        *res = (t_result){.dtype = a->dtype, .shape = a->shape, .n = fwi_shape_elems(&a->shape)};
        res->want = zeros(res->n, sizeof *res->want);
        res->tol = zeros(res->n, sizeof *res->tol);
        out[r] = res->want;
    }
    reference(c, out);
}

void t_tol_linear(t_case *c, int64_t k)
{
    t_case a = *c; /* the same case with every number positive */
    double *out[T_RESULTS] = {0};
    for (int i = 0; i < c->n_in; i++) {
        a.in[i].v = zeros(c->in[i].n, sizeof *a.in[i].v);
        const bool real = c->in[i].dtype == FW_F32;
        for (int64_t j = 0; j < c->in[i].n; j++)
            a.in[i].v[j] = real ? fabs(c->in[i].v[j]) : c->in[i].v[j];
    }
    if (c->kind == FWI_OP_scale)
        a.attr.scalar.value = fabs(c->attr.scalar.value);
    for (int r = 0; r < c->n_results; r++)
        out[r] = c->result[r].tol;
    reference(&a, out);
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
    c->result[r].more = zeros(c->result[r].n, sizeof *c->result[r].more);
    return c->result[r].more;
}

/* ---- checking ---- */

static void note_kernel(const char *name, double ratio)
{
    int i = 0;
    while (i < n_kernels && strcmp(kernels[i].name, name) != 0)
        i++;
    if (i == n_kernels) {
        assert_true(n_kernels < MAX_KERNELS);
        kernels[n_kernels++].name = name;
    }
    kernels[i].runs++;
    if (ratio > kernels[i].worst)
        kernels[i].worst = ratio;
}

static const fwi_arg *result_arg(const t_case *c, const fwi_call *call, int r)
{
    const int n_out = fwi_op_info_get(c->kind)->n_out;
    return r < n_out ? &call->out[r] : &call->in[r - n_out];
}

/* The first run of a kernel: values against the tolerance. */
static void compare(const t_case *c, const fwi_kernel *k, const fwi_call *call)
{
    /* Tolerances are stated in units of float; in double both sides round, in units of 2^-53. */
    const double units[] = {[FW_F32] = 1.0, [FW_F64] = 2.0 / 536870912.0};
    double worst = 0;
    for (int r = 0; r < c->n_results; r++) {
        const t_result *res = &c->result[r];
        const fwi_arg *a = result_arg(c, call, r);
        const fw_dtype dtype = a->dtype;
        const double unit = units[dtype == FW_F64 ? FW_F64 : FW_F32];
        for (int64_t j = 0; j < res->n; j++) {
            const double got = load(a->data, dtype, place_of(a, j)), want = res->want[j];
            const double near = as_stored(dtype, want);
            /* below 2^-14 the values of f16 are 2^-24 apart: half of that is a rounding */
            const double tol = unit * res->tol[j] + fabs(want) * u_out(dtype) +
                               (dtype == FW_F16 ? ldexp(1, -25) : 0.0);
            if (got == near || (isnan(got) && isnan(want)))
                continue;
            const double err = fabs(got - want);
            if (!(err <= tol)) {
                char text[512];
                describe(c, text, sizeof text);
                fail_msg("%s: %s: result %d, element %lld of %lld is %.9g, expected %.9g "
                         "within %.3g (off by %.3g)",
                         text, k->name, r, (long long)j, (long long)res->n, got, want, tol, err);
            }
            if (err / tol > worst)
                worst = err / tol;
        }
    }
    note_kernel(k->name, worst);
}

static void check_untouched(const t_case *c, const fwi_kernel *k, const buffers *b,
                            const fwi_call *call, bool in_place)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    bool intact = guarded_intact(&b->scratch), same = true;
    for (int i = 0; i < info->n_in; i++) {
        intact = intact && guarded_intact(&b->in[i]);
        if (i < fwi_op_mutates(c->kind) || (in_place && i == 0))
            continue;
        for (int64_t j = 0; j < c->in[i].n; j++) {
            const fwi_arg *a = &call->in[i];
            const double now = load(a->data, a->dtype, place_of(a, j)), was = c->in[i].v[j];
            same = same && (now == was || (isnan(now) && isnan(was)));
        }
    }
    for (int i = 0; i < info->n_out; i++)
        intact = intact && guarded_intact(&b->out[i]);
    if (intact && same)
        return;
    char text[512];
    describe(c, text, sizeof text);
    fail_msg("%s: %s %s", text, k->name,
             intact ? "changed an input" : "wrote behind or before a buffer");
}

/* Of all elements that are no padding. */
static bool same_bits(const fwi_arg *a, const fwi_arg *b)
{
    const size_t size = fw_dtype_size(a->dtype);
    if (a->nb == 0)
        return memcmp(a->data, b->data, arg_bytes(a)) == 0;
    const int64_t n = fwi_shape_elems(&a->shape);
    for (int64_t j = 0; j < n; j++) {
        const size_t at = (size_t)place_of(a, j) * size;
        if (memcmp((const char *)a->data + at, (const char *)b->data + at, size) != 0)
            return false;
    }
    return true;
}

/* ---- a device whose memory is its own: a GPU, where there is one ---- */

static fwi_device *device;

static void require_device(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", device->label, fw_last_error());
}

/* The block goes there, guards and all; gives where its data is. */
static void *to_device(guarded *g)
{
    if (g->block == NULL)
        return NULL;
    require_device(device->backend->alloc(device, g->room, &g->copy));
    require_device(device->backend->upload(device, g->copy, g->block, g->room));
    return (unsigned char *)g->copy + (g->data - g->block);
}

static void from_device(guarded *g)
{
    if (g->copy == NULL)
        return;
    require_device(device->backend->download(device, g->block, g->copy, g->room));
    device->backend->release(device, g->copy, g->room);
    g->copy = NULL;
}

/* Runs the call on copies of its memory and brings them back. */
static fw_status run_on_device(const t_case *c, const fwi_kernel *k, const fwi_call *call,
                               buffers *b, bool in_place)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    fwi_call there = *call;
    for (int i = 0; i < info->n_in; i++)
        there.in[i].data = to_device(&b->in[i]);
    for (int i = 0; i < info->n_out; i++)
        there.out[i].data = to_device(&b->out[i]);
    if (in_place)
        there.out[0].data = there.in[0].data;
    if (call->scratch != NULL)
        there.scratch = to_device(&b->scratch);
    there.stream = device->stream;
    fw_status st = k->run(&there);
    if (st == FW_OK)
        st = device->backend->sync(device);
    for (int i = 0; i < info->n_in; i++)
        from_device(&b->in[i]);
    for (int i = 0; i < info->n_out; i++)
        from_device(&b->out[i]);
    from_device(&b->scratch);
    return st;
}

/* inline; 2 threads; 5 threads on odd addresses; in place */
enum { WAYS = 4, ALL_WAYS = T_THREADS_BUILD ? 1 | 4 : 15 };

/* Emulated instructions (tests/avx512) take ten times as long as others. */
static int ways_of(fwi_isa isa)
{
#ifdef T_EMULATED
    if (isa >= FWI_ISA_AVX512)
        return 1 | 4 | 8;
#endif
    (void)isa;
    return ALL_WAYS;
}

/* ways: a bit for each; the first one always. */
static void check_kernel(const t_case *c, const fwi_kernel *k, const fwi_call *types, int ways,
                         bool on_device)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    const bool may_alias = (info->flags & FWI_ALIAS) != 0;
    buffers b[WAYS] = {0};
    fwi_call call[WAYS];
    for (int w = 0; w < (may_alias ? WAYS : WAYS - 1); w++) {
        const bool in_place = w == 3;
        if (w > 0 && !(ways >> w & 1))
            continue;
        call[w] = *types;
        call[w].pool = pools[w % 3];
        const size_t scratch = k->scratch != NULL ? k->scratch(&call[w]) : 0;
        buffers_new(&b[w], c, &call[w], scratch, w == 2);
        if (in_place)
            call[w].out[0].data = call[w].in[0].data;
        const fw_status st =
            on_device ? run_on_device(c, k, &call[w], &b[w], in_place) : k->run(&call[w]);
        if (st != FW_OK)
            fail_msg("%s: %s", k->name, fw_last_error());
        check_untouched(c, k, &b[w], &call[w], in_place);
        if (w == 0) {
            compare(c, k, &call[0]);
            continue;
        }
        for (int r = 0; r < c->n_results; r++) {
            if (!same_bits(result_arg(c, &call[0], r), result_arg(c, &call[w], r))) {
                static const char *const names[WAYS] = {
                    "", "with 2 threads", "with 5 threads on odd addresses", "in place"};
                char text[512];
                describe(c, text, sizeof text);
                fail_msg("%s: %s gives other bits %s", text, k->name, names[w]);
            }
        }
        buffers_free(&b[w], c);
    }
    buffers_free(&b[0], c);
}

/* Under emulation there are no threads of the host, and large convolutions take long. 0: too long. */
static int cuda_ways(const fwi_call *types)
{
    enum { LARGE = 1 << 20 };
    const fwi_conv_attr *a = &types->attr->conv;
    const int64_t *d = types->out[0].shape.d;
    if (T_THREADS_BUILD)
        return 0;
    if (fwi_op_is_conv(types->kind) && fwi_shape_elems(&types->in[0].shape) * a->kh * a->kw *
                                               (types->kind == FWI_OP_conv2d_dw ? d[0] : d[3]) >
                                           LARGE)
        return T_SLOW_BUILD ? 0 : 1;
    return 1 | 4 | 8;
}

static int check_own_convs_on_device(const t_case *c, const fwi_call *types)
{
    fwi_own_conv own[FWI_OWN_CONVS];
    fwi_call call = *types;
    if (device == NULL || strcmp(device->backend->name, "cuda") != 0)
        return 0;
    call.stream = device->stream;
    const int n = fwi_own_conv_candidates(&call, own);
    for (int i = 0; i < n; i++) /* twice, on the boundaries that they want */
        check_kernel(c, own[i].kernel, &call, 1 | 2, true);
    return n;
}

/* Our own engines for convolutions, which no table takes by itself: every second one of a case under
 * emulation, whose time is long, and all of them on a GPU that has them. How many. */
static int check_own_convs(const t_case *c, const fwi_call *types)
{
    fwi_own_conv own[FWI_OWN_CONVS];
    const int n = T_THREADS_BUILD ? 0 : fwi_emulated_own_conv_candidates(types, own);
    int ran = 0;
    for (int i = 0; i < n; i++) {
        if (n > 1 && (i + case_number + (types->in[0].dtype == FW_F16)) % 2 != 0)
            continue;
        check_kernel(c, own[i].kernel, types, 1, false);
        ran++;
    }
    return ran + check_own_convs_on_device(c, types);
}

/* Our kernels for GPUs, under emulation and, where there is a GPU, on it with whatever its table has
 * for the call. A GPU has nothing to fall back to: there must be a kernel for every core op. */
static void check_cuda(const t_case *c, const fwi_call *types)
{
    const bool must = (fwi_op_info_get(c->kind)->flags & FWI_CORE) != 0 && types->in[0].nb == 0 &&
                      !(types->kind == FWI_OP_cast && types->out[0].dtype != FW_F32);
    const fwi_op_table *table = fwi_cuda_emulated_table();
    const fwi_kernel *k = must ? find(c, table, types) : fwi_table_find(table, types, NULL);
    if (k == NULL)
        return;
    const int ways = cuda_ways(types);
    if (ways != 0)
        check_kernel(c, k, types, ways, false);
    if (device == NULL)
        return;
    fwi_call call = *types;
    call.stream = device->stream;
    check_kernel(c, find(c, device->table, &call), &call, 1 | 4 | 8, true);
    if (fwi_op_is_conv(types->kind))
        (void)check_own_convs_on_device(c, types);
}

static void check_tables(const t_case *c, fw_dtype real)
{
    fwi_attr attr;
    const fwi_call types = infer(c, real, &attr);
    const fwi_kernel *seen[FWI_ISA_COUNT];
    int n_seen = 0;
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        const fwi_op_table *table = fwi_cpu_table((fwi_isa)isa);
        if (table == NULL || !fwi_isa_supported((fwi_isa)isa))
            continue;
        if (T_THREADS_BUILD && isa == FWI_ISA_REF)
            continue; /* has no threads */
        const fwi_kernel *k = find(c, table, &types);
        bool again = false;
        for (int i = 0; i < n_seen; i++)
            again = again || seen[i] == k;
        if (again)
            continue;
        seen[n_seen++] = k;
        if (isa == FWI_ISA_REF && real == FW_F64)
            continue; /* the measure itself */
        check_kernel(c, k, &types, ways_of((fwi_isa)isa), false);
    }
    if (real == FW_F32) /* a GPU computes in no other type */
        check_cuda(c, &types);
}

/* ---- batch-blocked kernels ---- */

/* The same call with its images blocked; false where the op or the case has none. */
static bool block_call(fwi_call *call, int32_t nb, fw_dtype storage)
{
    const fwi_op_info *info = fwi_op_info_get(call->kind);
    const fwi_layout layout = fwi_op_layout(call->kind);
    if ((layout.in | layout.out) == 0)
        return false;
    for (int i = 0; i < info->n_in + info->n_out; i++) {
        const bool is_in = i < info->n_in;
        const int k = is_in ? i : i - info->n_in;
        fwi_arg *a = is_in ? &call->in[k] : &call->out[k];
        if (!((is_in ? layout.in : layout.out) >> k & 1))
            continue;
        if (a->shape.rank != 4)
            return false;
        a->nb = nb;
        if (a->dtype == FW_F32)
            a->dtype = storage;
    }
    return true;
}

/* The case with its inputs rounded to what images are stored as, and what the reference says of those. Tolerances stay:
 * rounding an input moves sums of |terms| by less than a hundredth. */
static void round_case(const t_case *c, fw_dtype storage, t_case *out)
{
    double *want[T_RESULTS] = {0};
    *out = *c;
    for (int i = 0; i < c->n_in; i++) {
        out->in[i].v = zeros(c->in[i].n, sizeof(double));
        for (int64_t j = 0; j < c->in[i].n; j++)
            out->in[i].v[j] =
                c->in[i].dtype == FW_F32 ? as_stored(storage, c->in[i].v[j]) : c->in[i].v[j];
    }
    for (int r = 0; r < c->n_results; r++) {
        t_result *res = &out->result[r];
        res->want = zeros(res->n, sizeof(double));
        res->tol = zeros(res->n, sizeof(double));
        want[r] = res->want;
    }
    reference(out, want);
    for (int r = 0; r < c->n_results; r++) {
        out->result[r].more = NULL;
        for (int64_t j = 0; j < out->result[r].n; j++) /* the part of it that grows with |want| */
            out->result[r].tol[j] = 1.02 * c->result[r].tol[j] +
                                    T_U * fabs(out->result[r].want[j] - c->result[r].want[j]) +
                                    (c->result[r].more != NULL ? c->result[r].more[j] : 0);
    }
}

/* Every blocked row that takes the case: whole blocks, a block with padding, one block alone. The
 * padding is full of NaN before each call. */
static void check_blocked(const t_case *c, fw_dtype storage)
{
    static const int32_t sizes[] = {1, 2, 5, 10, 14};
    t_case rounded = *c;
    if (storage != FW_F32)
        round_case(c, storage, &rounded);
    for (int isa = FWI_ISA_PORTABLE; isa < FWI_ISA_COUNT; isa++) {
        const fwi_op_table *table = fwi_cpu_table((fwi_isa)isa), *from = NULL;
        if (table == NULL || !fwi_isa_supported((fwi_isa)isa))
            continue;
        for (int s = 0; s < T_COUNT(sizes); s++) {
            fwi_attr attr;
            fwi_call types = infer(&rounded, FW_F32, &attr);
            if (!block_call(&types, sizes[s], storage))
                break;
            const fwi_kernel *k = fwi_table_find(table, &types, &from);
            if (k != NULL && from == table)
                check_kernel(&rounded, k, &types, ways_of((fwi_isa)isa), false);
        }
    }
    fwi_attr attr;
    fwi_call types = infer(&rounded, FW_F32, &attr);
    if (block_call(&types, 1, storage))
        check_cuda(&rounded, &types);
    if (storage != FW_F32)
        t_drop(&rounded);
}

int t_check_own_convs(t_case *c)
{
    static const fw_dtype storages[] = {FW_BF16, FW_F16};
    int n = 0;
    for (int i = 0; i < T_COUNT(storages); i++) {
        t_case rounded;
        round_case(c, storages[i], &rounded);
        fwi_attr attr;
        fwi_call types = infer(&rounded, FW_F32, &attr);
        assert_true(block_call(&types, 1, storages[i]));
        n += check_own_convs(&rounded, &types);
        t_drop(&rounded);
    }
    t_drop(c);
    return n;
}

void t_check(t_case *c)
{
    assert_true(c->n_results > 0);
    check_tables(c, FW_F32);
    check_tables(c, FW_F64);
    check_blocked(c, FW_F32);
    check_blocked(c, FW_BF16);
    check_blocked(c, FW_F16);
    op_stats *s = &stats[c->kind];
    s->cases++;
    for (int r = 0; r < c->n_results; r++) {
        s->results += c->result[r].n;
        for (int64_t j = 0; j < c->result[r].n; j++)
            s->nonzero += c->result[r].want[j] != 0;
    }
    t_drop(c);
}

/* ---- the program as a whole ---- */

/* 1 if ops that ops.def gives to this program were not really tested. */
static int check_coverage(const char *name)
{
    int bad = 0;
    for (int i = 0; i < FWI_OP_COUNT; i++) {
        const fwi_op_info *info = fwi_op_info_get((fwi_opkind)i);
        const op_stats *s = &stats[i];
        if (strcmp(info->test, name) != 0)
            continue;
        if (s->cases == 0 || s->results == 0) {
            fprintf(stderr, "FAILED: ops.def says that %s tests %s, but no case of it ran\n", name,
                    info->name);
            bad = 1;
        } else if ((double)s->nonzero < 0.05 * (double)s->results) {
            fprintf(stderr, "FAILED: %s: only %lld of %lld expected results are not zero\n",
                    info->name, (long long)s->nonzero, (long long)s->results);
            bad = 1;
        } else {
            printf("%-22s %5lld cases, %9lld results\n", info->name, (long long)s->cases,
                   (long long)s->results);
        }
    }
    return bad;
}

/* FW_TEST_DEVICE: "far" is a stand-in for a GPU (t_far.h). */
static void open_device(void)
{
    const char *asked = getenv("FW_TEST_DEVICE");
    const char *name = asked != NULL ? asked : "cuda";
    fwi_device_offer(&t_far_backend);
    if (fwi_device_open(&device, name, &(fwi_device_opt){.threads = 1}) == FW_OK)
        printf("kernels run on %s too\n", device->label);
    else if (asked != NULL) {
        fprintf(stderr, "%s\n", fw_last_error());
        exit(1);
    }
}

int t_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n)
{
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            t_seed = strtoull(argv[++i], &end, 0);
        if (end == NULL || *end != 0) {
            fprintf(stderr, "usage: %s [--seed N]\n", name);
            return 2;
        }
    }
    printf("%s --seed %llu\n", name, (unsigned long long)t_seed);
    (void)setenv("FENWICKS_OVERSUBSCRIBE", "1", 1); /* 5 threads on whatever machine */
    if (fwi_pool_new(&pools[1], 2) != FW_OK || fwi_pool_new(&pools[2], 5) != FW_OK) {
        fprintf(stderr, "%s: %s\n", name, fw_last_error());
        return 1;
    }
    open_device();
    int failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    if (failed == 0)
        failed = check_coverage(name);
    for (int i = 0; i < n_kernels; i++)
        printf("%-36s %5lld runs, worst err/tol %.3f\n", kernels[i].name,
               (long long)kernels[i].runs, kernels[i].worst);
    fwi_device_close(device);
    fwi_pool_free(pools[1]);
    fwi_pool_free(pools[2]);
    return failed == 0 ? 0 : 1;
}
