/* graph.c: the graph itself and its builder. Ops and tensors are two arrays that grow, so a pointer
 * into either is good only until the next append. The builder remembers its first error and then
 * does nothing, so that code which builds a model needs one check, at its end. Read before: ir.h,
 * ops.def. Next: shapes.c (what an op asks for), gradients.c. */
#include "ir_rules.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_NAME = 255, FIRST_CAP = 64, MAX_ITEMS = 1 << 28, NAME_BLOCK = 4096 };

/* ---- op infos ---- */

/* GRAD_IS_NONE(none) is 1, of any other rule's name 0: only `none` is defined below, and brings a
 * comma that moves the 1 to second place. */
#define NONE_MARK_none     ~, 1
#define SECOND(a, b, ...)  b
#define SECOND_OF(...)     SECOND(__VA_ARGS__)
#define GRAD_IS_NONE(grad) SECOND_OF(NONE_MARK_##grad, 0, 0)

static const fwi_op_info infos[FWI_OP_COUNT] = {
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test)                                   \
    [FWI_OP_##name] = {#name, #attr, #test, n_in, n_out, flags, !GRAD_IS_NONE(grad)},
#include "ops.def"
#undef FW_OP
};

/* An op that asks for more than an fwi_op has room for does not compile. */
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test)                                   \
    _Static_assert((n_in) <= FWI_MAX_IN && (n_out) <= FWI_MAX_OUT, #name);
#include "ops.def"
#undef FW_OP

const fwi_op_info *fwi_op_info_get(fwi_opkind kind)
{
    const unsigned at = (unsigned)kind;
    return at < FWI_OP_COUNT ? &infos[at] : NULL;
}

bool fwi_op_is_conv(fwi_opkind kind)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    return info != NULL && strcmp(info->attr, "conv") == 0;
}

int fwi_op_mutates(fwi_opkind kind)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    return info == NULL ? 0 : info->flags & FWI_MUT3 ? 3 : info->flags & FWI_MUT2 ? 2 : 0;
}

/* ---- life ---- */

fw_status fwi_graph_new(fwi_graph **out, fw_dtype real)
{
    if (real != FW_F32 && real != FW_F64)
        return fwi_fail(FW_EARG, "a graph computes in f32 or f64, not in %s", fw_dtype_name(real));
    fw_status st = FW_ENOMEM;
    fwi_graph *g = fwi_alloc_zero(sizeof *g);
    if (g == NULL)
        return st;
    g->real = g->storage = real;
    g->error = fwi_alloc_zero(sizeof *g->error);
    if (g->error == NULL)
        goto done;
    st = fwi_arena_new(&g->arena, NAME_BLOCK);
    if (st != FW_OK)
        goto done;
    *out = g;
    g = NULL;
done:
    fwi_graph_free(g);
    return st;
}

void fwi_graph_free(fwi_graph *g)
{
    if (g == NULL)
        return;
    fwi_arena_free(g->arena);
    fwi_free(g->error);
    fwi_free(g->tensors);
    fwi_free(g->ops);
    fwi_free(g->outputs);
    fwi_free(g);
}

fw_status fwi_graph_stick(fwi_graph *g, fw_status st)
{
    if (st != FW_OK && g->status == FW_OK) {
        g->status = st;
        fwi_error_save(g->error, st);
    }
    return st;
}

fw_status fwi_graph_status(const fwi_graph *g)
{
    return g->status == FW_OK ? FW_OK : fwi_error_raise(g->error);
}

static fw_status reserve(void **items, int32_t *cap, int32_t want, size_t elem_bytes)
{
    if (want <= *cap)
        return FW_OK;
    if (want > MAX_ITEMS)
        return fwi_fail(FW_ENOMEM, "a graph has at most %d tensors, ops or outputs", MAX_ITEMS);
    int32_t n = *cap < FIRST_CAP ? FIRST_CAP : *cap;
    while (n < want)
        n *= 2; /* at most 2^28 */
    void *p = fwi_realloc(*items, (size_t)n * elem_bytes);
    if (p == NULL)
        return FW_ENOMEM;
    *items = p;
    *cap = n;
    return FW_OK;
}

static fw_status reserve_tensors(fwi_graph *g, int32_t more)
{
    void *p = g->tensors;
    const fw_status st = reserve(&p, &g->cap_tensors, g->n_tensors + more, sizeof *g->tensors);
    g->tensors = p;
    return st;
}

static fw_status reserve_ops(fwi_graph *g, int32_t more)
{
    void *p = g->ops;
    const fw_status st = reserve(&p, &g->cap_ops, g->n_ops + more, sizeof *g->ops);
    g->ops = p;
    return st;
}

static fw_status reserve_outputs(fwi_graph *g, int32_t more)
{
    void *p = g->outputs;
    const fw_status st = reserve(&p, &g->cap_outputs, g->n_outputs + more, sizeof *g->outputs);
    g->outputs = p;
    return st;
}

fw_status fwi_graph_copy(fwi_graph **out, const fwi_graph *g)
{
    fwi_graph *c = NULL;
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    st = fwi_graph_new(&c, g->real);
    if (st != FW_OK)
        return st;
    c->storage = g->storage;
    c->conv = g->conv;
    st = FW_ENOMEM;
    if (reserve_tensors(c, g->n_tensors) != FW_OK || reserve_ops(c, g->n_ops) != FW_OK ||
        reserve_outputs(c, g->n_outputs) != FW_OK)
        goto done;
    for (int32_t i = 0; i < g->n_tensors; i++) {
        c->tensors[i] = g->tensors[i];
        if (g->tensors[i].name != NULL) {
            c->tensors[i].name = fwi_arena_strdup(c->arena, g->tensors[i].name);
            if (c->tensors[i].name == NULL)
                goto done;
        }
    }
    for (int32_t i = 0; i < g->n_ops; i++)
        c->ops[i] = g->ops[i];
    for (int32_t i = 0; i < g->n_outputs; i++) {
        c->outputs[i] = g->outputs[i];
        c->outputs[i].name = fwi_arena_strdup(c->arena, g->outputs[i].name);
        if (c->outputs[i].name == NULL)
            goto done;
    }
    c->n_tensors = g->n_tensors;
    c->n_ops = g->n_ops;
    c->n_outputs = g->n_outputs;
    *out = c;
    c = NULL;
    st = FW_OK;
done:
    fwi_graph_free(c);
    return st;
}

/* ---- looking around ---- */

bool fwi_graph_has(const fwi_graph *g, fwi_val v)
{
    return v >= 0 && v < g->n_tensors;
}

static fwi_val find_tensor(const fwi_graph *g, const char *name)
{
    for (fwi_val v = 0; v < g->n_tensors; v++)
        if (g->tensors[v].name != NULL && strcmp(g->tensors[v].name, name) == 0)
            return v;
    return FWI_NO_VAL;
}

static fwi_val find_output(const fwi_graph *g, const char *name)
{
    for (int32_t i = 0; i < g->n_outputs; i++)
        if (strcmp(g->outputs[i].name, name) == 0)
            return g->outputs[i].val;
    return FWI_NO_VAL;
}

fwi_val fwi_graph_find(const fwi_graph *g, const char *name)
{
    const fwi_val v = find_tensor(g, name);
    return v != FWI_NO_VAL ? v : find_output(g, name);
}

fwi_val fwi_graph_root(const fwi_graph *g, fwi_val v)
{
    while (g->tensors[v].producer >= 0) {
        const fwi_op *op = &g->ops[g->tensors[v].producer];
        if (!(infos[op->kind].flags & FWI_VIEW) || op->out[0] != v)
            break;
        v = op->in[0];
    }
    return v;
}

int fwi_graph_params(const fwi_graph *g, fwi_val *out, int cap)
{
    int n = 0;
    for (fwi_val v = 0; v < g->n_tensors; v++) {
        if (g->tensors[v].kind != FWI_VAR || !g->tensors[v].trainable)
            continue;
        if (out != NULL && n < cap)
            out[n] = v;
        n++;
    }
    return n;
}

/* ---- builder ---- every call: nothing after an error, and the first error stays */

/* Remembers this thread's message, with the layer in front of it. */
static fwi_val refuse(fwi_graph *g, fw_status st)
{
    if (g->where != NULL && st != FW_ENOMEM)
        fwi_fail_in(st, "%s", g->where);
    fwi_graph_stick(g, st);
    return FWI_NO_VAL;
}

static fw_status check_name(const char *what, const char *name)
{
    const size_t n = name == NULL ? 0 : strlen(name);
    if (n < 1 || n > MAX_NAME)
        return fwi_fail(FW_EARG, "the name of %s has %zu bytes, expected 1 to %d", what, n,
                        MAX_NAME);
    return FW_OK;
}

static fw_status check_shape(const char *name, fw_dtype dtype, const fwi_shape *s)
{
    char text[FWI_SHAPE_TEXT];
    if (fw_dtype_size(dtype) == 0)
        return fwi_fail(FW_EARG, "\"%s\": %d is no element type", name, (int)dtype);
    if (s->rank < 0 || s->rank > FW_MAX_RANK)
        return fwi_fail(FW_ESHAPE, "\"%s\" has %d dimensions, expected 0 to %d", name, s->rank,
                        FW_MAX_RANK);
    if (fwi_shape_elems(s) < 0)
        return fwi_fail(FW_ESHAPE,
                        "\"%s\" is %s: each dimension must be at least 1, all together at most "
                        "2^40 elements",
                        name, fwi_type_text(text, dtype, s));
    return FW_OK;
}

/* Appends t under a copy of name. */
static fwi_val declare(fwi_graph *g, const char *name, fwi_tensor t)
{
    if (reserve_tensors(g, 1) != FW_OK)
        return refuse(g, FW_ENOMEM);
    t.name = fwi_arena_strdup(g->arena, name);
    if (t.name == NULL)
        return refuse(g, FW_ENOMEM);
    for (int i = t.shape.rank; i < FW_MAX_RANK; i++)
        t.shape.d[i] = 0;
    t.producer = -1;
    t.grad_of = FWI_NO_VAL;
    g->tensors[g->n_tensors] = t;
    return g->n_tensors++;
}

static fwi_val again(fwi_graph *g, fwi_val v, const fwi_tensor *t)
{
    const fwi_tensor *old = &g->tensors[v];
    char was[FWI_SHAPE_TEXT], is[FWI_SHAPE_TEXT];
    if (old->kind != t->kind)
        return refuse(g, fwi_fail(FW_EARG, "\"%s\" is the name of %s already", old->name,
                                  old->kind == FWI_VAR ? "a variable" : "an input"));
    if (old->dtype != t->dtype || !fwi_shape_equal(&old->shape, &t->shape))
        return refuse(g, fwi_fail(FW_ESHAPE, "\"%s\" was declared as %s, now as %s", old->name,
                                  fwi_type_text(was, old->dtype, &old->shape),
                                  fwi_type_text(is, t->dtype, &t->shape)));
    if (old->var_class != t->var_class || old->trainable != t->trainable)
        return refuse(g, fwi_fail(FW_EARG, "\"%s\" was declared as %s %s, now as %s %s", old->name,
                                  old->trainable ? "a trainable" : "a fixed",
                                  fwi_var_class_names[old->var_class],
                                  t->trainable ? "a trainable" : "a fixed",
                                  fwi_var_class_names[t->var_class]));
    return v;
}

fwi_val fwi_graph_input(fwi_graph *g, const char *name, fw_dtype dtype, fwi_shape shape)
{
    if (g->status != FW_OK)
        return FWI_NO_VAL;
    fw_status st = check_name("an input", name);
    if (st == FW_OK)
        st = check_shape(name, dtype, &shape);
    if (st != FW_OK)
        return refuse(g, st);
    const fwi_tensor t = {.kind = FWI_INPUT, .dtype = dtype, .shape = shape};
    const fwi_val v = find_tensor(g, name);
    return v != FWI_NO_VAL ? again(g, v, &t) : declare(g, name, t);
}

fw_status fwi_init_check(const fwi_init *init, const fwi_shape *shape)
{
    if ((unsigned)init->kind > FWI_INIT_COPY || !isfinite(init->a) || !isfinite(init->b))
        return fwi_fail(FW_EARG, "initialiser %d (%g, %g) is none", (int)init->kind, init->a,
                        init->b);
    const bool data = fwi_init_is_data(init->kind);
    if ((data || fwi_init_has_dirac(init->kind)) && shape->rank != 4)
        return fwi_fail(FW_EARG, "initialiser %s is for filters [oc,kh,kw,c]",
                        fwi_init_names[init->kind]);
    if ((init->kind == FWI_INIT_UNIT_STD || init->kind == FWI_INIT_DIRAC_ADDED) &&
        fwi_shape_elems(shape) < 2)
        return fwi_fail(FW_EARG, "initialiser %s: one element has no deviation",
                        fwi_init_names[init->kind]);
    if (data && (!(init->a > 0) || !(init->b >= 1)))
        return fwi_fail(FW_EARG, "initialiser %s: epsilon %g, %g images",
                        fwi_init_names[init->kind], init->a, init->b);
    return FW_OK;
}

bool fwi_class_trains(fwi_var_class cls)
{
    return cls != FWI_VAR_STAT && cls != FWI_VAR_SLOT && cls != FWI_VAR_AVERAGE;
}

fw_status fwi_average_check(const char *name, fwi_var_class cls, const fwi_init *init)
{
    if (cls != FWI_VAR_AVERAGE && init->kind != FWI_INIT_COPY)
        return FW_OK;
    if (cls != FWI_VAR_AVERAGE || init->kind != FWI_INIT_COPY || fwi_average_of(name) == 0)
        return fwi_fail(
            FW_EARG,
            "\"%s\": of class %s, starts as %s: an average is called NAME" FWI_AVERAGE_TAIL
            " and starts as a copy",
            name, fwi_var_class_names[cls], fwi_init_names[init->kind]);
    return FW_OK;
}

fwi_val fwi_graph_var(fwi_graph *g, const char *name, fwi_var_class cls, bool trainable,
                      fwi_shape shape, fwi_init init)
{
    if (g->status != FW_OK)
        return FWI_NO_VAL;
    fw_status st = check_name("a variable", name);
    if (st == FW_OK)
        st = check_shape(name, g->real, &shape);
    if (st == FW_OK && (unsigned)cls > FWI_VAR_AVERAGE)
        st = fwi_fail(FW_EARG, "\"%s\": %d is no class of variables", name, (int)cls);
    if (st == FW_OK && trainable && !fwi_class_trains(cls))
        st = fwi_fail(FW_EARG, "\"%s\" is of class %s, which cannot be trained", name,
                      fwi_var_class_names[cls]);
    if (st == FW_OK)
        st = fwi_average_check(name, cls, &init);
    if (st == FW_OK && (st = fwi_init_check(&init, &shape)) != FW_OK)
        st = fwi_fail_in(st, "\"%s\"", name);
    if (st != FW_OK)
        return refuse(g, st);
    const fwi_tensor t = {.kind = FWI_VAR,
                          .dtype = g->real,
                          .shape = shape,
                          .var_class = cls,
                          .trainable = trainable,
                          .init = init};
    const fwi_val v = find_tensor(g, name);
    return v != FWI_NO_VAL ? again(g, v, &t) : declare(g, name, t);
}

size_t fwi_average_of(const char *name)
{
    static const char tail[] = FWI_AVERAGE_TAIL;
    const size_t n = strlen(name), n_tail = sizeof tail - 1;
    return n > n_tail && strcmp(name + n - n_tail, tail) == 0 ? n - n_tail : 0;
}

bool fwi_may_average(const fwi_tensor *t)
{
    return t->kind == FWI_VAR && (t->trainable || t->var_class == FWI_VAR_STAT);
}

fwi_val fwi_graph_average(fwi_graph *g, fwi_val v)
{
    if (g->status != FW_OK)
        return FWI_NO_VAL;
    const fwi_tensor *const t = &g->tensors[v];
    char *const name = fwi_sprintf("%s" FWI_AVERAGE_TAIL, t->name);
    if (name == NULL)
        return refuse(g, FW_ENOMEM);
    const fwi_val average =
        fwi_graph_var(g, name, FWI_VAR_AVERAGE, false, t->shape, (fwi_init){.kind = FWI_INIT_COPY});
    fwi_free(name);
    return average;
}

void fwi_graph_output(fwi_graph *g, const char *name, fwi_val v)
{
    if (g->status != FW_OK)
        return;
    fw_status st = check_name("an output", name);
    if (st == FW_OK && !fwi_graph_has(g, v))
        st = fwi_fail(FW_EARG, "output \"%s\" is %d, which is no tensor of this graph", name, v);
    if (st != FW_OK) {
        refuse(g, st);
        return;
    }
    const fwi_val taken = find_output(g, name);
    if (taken == v)
        return;
    if (taken != FWI_NO_VAL) {
        refuse(g, fwi_fail(FW_EARG, "output \"%s\" is another tensor already", name));
        return;
    }
    const char *copy = NULL;
    st = reserve_outputs(g, 1);
    if (st == FW_OK && (copy = fwi_arena_strdup(g->arena, name)) == NULL)
        st = FW_ENOMEM;
    if (st != FW_OK) {
        refuse(g, st);
        return;
    }
    g->outputs[g->n_outputs++] = (fwi_output){copy, v};
}

static fw_status append(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, const fwi_val *in,
                        int n_in, fwi_val *outs)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    if (info == NULL)
        return fwi_fail(FW_EARG, "%d is no op", (int)kind);
    if (n_in != info->n_in)
        return fwi_fail(FW_EARG, "%s: %d inputs given, expected %d", info->name, n_in, info->n_in);
    fwi_type types[FWI_MAX_OUT] = {0};
    fw_status st = fwi_infer(g, kind, attr, in, types);
    if (st == FW_OK)
        st = reserve_tensors(g, info->n_out);
    if (st == FW_OK)
        st = reserve_ops(g, 1);
    if (st != FW_OK)
        return st;
    fwi_op op = {.kind = kind, .n_in = info->n_in, .n_out = info->n_out};
    /* Only the kind's own fields: a graph's bytes do not depend on what else the caller's had. */
    int n_fields = 0;
    const fwi_attr_field *fields = fwi_attr_fields(kind, &n_fields);
    for (int i = 0; i < n_fields; i++) {
        if (fields[i].is_double)
            fwi_attr_set_double(&op.attr, &fields[i], fwi_attr_double(attr, &fields[i]));
        else
            fwi_attr_set_int(&op.attr, &fields[i], fwi_attr_int(attr, &fields[i]));
    }
    for (int i = 0; i < FWI_MAX_IN; i++)
        op.in[i] = i < n_in ? in[i] : FWI_NO_VAL; /* n_in is info->n_in */
    for (int i = 0; i < FWI_MAX_OUT; i++) {
        op.out[i] = FWI_NO_VAL;
        if (i >= info->n_out)
            continue;
        g->tensors[g->n_tensors] = (fwi_tensor){.kind = FWI_TEMP,
                                                .dtype = types[i].dtype,
                                                .shape = types[i].shape,
                                                .nb = types[i].nb,
                                                .producer = g->n_ops,
                                                .grad_of = FWI_NO_VAL};
        op.out[i] = g->n_tensors++;
        outs[i] = op.out[i];
    }
    g->ops[g->n_ops++] = op;
    return FW_OK;
}

fwi_val fwi_graph_op(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, const fwi_val *in,
                     int n_in, fwi_val *outs)
{
    fwi_val made[FWI_MAX_OUT] = {FWI_NO_VAL, FWI_NO_VAL, FWI_NO_VAL, FWI_NO_VAL};
    if (g->status == FW_OK) {
        const fw_status st = append(g, kind, attr, in, n_in, made);
        if (st != FW_OK)
            refuse(g, st);
    }
    const fwi_op_info *info = fwi_op_info_get(kind);
    for (int i = 0; outs != NULL && info != NULL && i < info->n_out; i++)
        outs[i] = made[i];
    return made[0];
}

fwi_val fwi_op1(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, fwi_val a)
{
    return fwi_graph_op(g, kind, attr, &a, 1, NULL);
}

fwi_val fwi_op2(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, fwi_val a, fwi_val b)
{
    const fwi_val in[2] = {a, b};
    return fwi_graph_op(g, kind, attr, in, 2, NULL);
}

/* ---- conv2d with its attributes filled in ---- */

/* Kernel and input sizes from the tensors; false where these are not images and filters, which the
 * op's own rule then says. */
static bool conv_sizes(const fwi_graph *g, fwi_val x, fwi_val w, fwi_conv_attr *a)
{
    if (!fwi_graph_has(g, x) || !fwi_graph_has(g, w) || g->tensors[x].shape.rank != 4 ||
        g->tensors[w].shape.rank != 4)
        return false;
    const int64_t *dx = g->tensors[x].shape.d, *dw = g->tensors[w].shape.d;
    a->ih = dx[1], a->iw = dx[2], a->kh = dw[1], a->kw = dw[2];
    return true;
}

/* All the padding on one axis such that the output has ceil(i / stride) places. */
static int64_t same_padding(int64_t i, int64_t k, int64_t stride)
{
    const int64_t steps = (i - 1) / stride; /* ceil(i / stride) - 1 */
    const int64_t total = steps * stride + k - i;
    return total > 0 ? total : 0;
}

fwi_val fwi_conv2d_same(fwi_graph *g, fwi_val x, fwi_val w, int64_t stride)
{
    fwi_attr a = {.conv = {.stride = stride}};
    if (conv_sizes(g, x, w, &a.conv) && stride > 0) {
        const int64_t h = same_padding(a.conv.ih, a.conv.kh, stride);
        const int64_t v = same_padding(a.conv.iw, a.conv.kw, stride);
        a.conv.pad_t = h / 2, a.conv.pad_b = h - h / 2;
        a.conv.pad_l = v / 2, a.conv.pad_r = v - v / 2;
    }
    return fwi_op2(g, FWI_OP_conv2d, &a, x, w);
}

fwi_val fwi_conv2d_pad(fwi_graph *g, fwi_val x, fwi_val w, int64_t stride, int64_t pad)
{
    fwi_attr a = {.conv = {.stride = stride}};
    conv_sizes(g, x, w, &a.conv);
    a.conv.pad_t = a.conv.pad_l = a.conv.pad_b = a.conv.pad_r = pad;
    return fwi_op2(g, FWI_OP_conv2d, &a, x, w);
}
