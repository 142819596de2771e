/* t_grad.c: see t_grad.h. */
#include "t_grad.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALS = 24, MAX_TRIES = 50 };

typedef struct net_val {
    fwi_val val;
    fw_dtype dtype;
    bool param;
    int64_t n;
    double *v;   /* as drawn */
    void *bound; /* inputs: in their own type */
} net_val;

struct t_net {
    fwi_graph *g;
    net_val vals[MAX_VALS];
    int n_vals;
    struct {
        fwi_shape shape;
        int64_t k, stride; /* k 0: distance from 0; else distance of a window's two largest */
    } kinks[MAX_VALS];
    int n_kinks;
    int n_dots;
};

fwi_graph *t_net_graph(t_net *net)
{
    return net->g;
}

/* Draws by way of a case, whose fills are those of the value tests. */
static fwi_val keep(t_net *net, const char *name, bool param, fw_dtype dtype, t_case *c)
{
    assert_true(net->n_vals < MAX_VALS);
    const fwi_shape shape = c->in[0].shape;
    net_val *v = &net->vals[net->n_vals++];
    *v = (net_val){.dtype = dtype, .param = param, .n = c->in[0].n, .v = c->in[0].v};
    c->in[0].v = NULL;
    v->val = param ? fwi_graph_var(net->g, name, FWI_VAR_DENSE, true, shape, (fwi_init){0})
                   : fwi_graph_input(net->g, name, dtype, shape);
    t_drop(c);
    return v->val;
}

fwi_val t_net_param(t_net *net, const char *name, fwi_shape shape, t_fill fill)
{
    t_case c = {0};
    t_real(&c, shape, fill);
    return keep(net, name, true, FW_F64, &c);
}

fwi_val t_net_real(t_net *net, const char *name, fwi_shape shape, t_fill fill)
{
    t_case c = {0};
    t_real(&c, shape, fill);
    return keep(net, name, false, FW_F64, &c);
}

fwi_val t_net_ints(t_net *net, const char *name, fw_dtype dtype, fwi_shape shape, int64_t lo,
                   int64_t hi)
{
    t_case c = {0};
    t_ints(&c, dtype, shape, lo, hi);
    return keep(net, name, false, dtype, &c);
}

fwi_val t_net_values(t_net *net, const char *name, fw_dtype dtype, fwi_shape shape, const double *v)
{
    t_case c = {0};
    t_values(&c, dtype, shape, v);
    return keep(net, name, false, dtype, &c);
}

fwi_val t_net_dot(t_net *net, fwi_val y)
{
    if (y == FWI_NO_VAL)
        return y; /* the graph knows why */
    char name[16];
    snprintf(name, sizeof name, "dot%d", net->n_dots++);
    const int64_t n = fwi_shape_elems(&net->g->tensors[y].shape);
    const fwi_val r = t_net_real(net, name, fwi_shape2(n, 1), T_AWAY);
    const fwi_attr row = {.shape = {.rank = 2, .d0 = 1, .d1 = n}};
    const fwi_val flat = fwi_op1(net->g, FWI_OP_reshape, &row, y);
    const fwi_attr none = {.matmul = {0, 0}};
    return fwi_op2(net->g, FWI_OP_matmul, &none, flat, r);
}

void t_net_apart(t_net *net, fwi_val v, int64_t k, int64_t stride)
{
    if (v == FWI_NO_VAL)
        return;
    assert_true(net->n_kinks < MAX_VALS);
    char name[16];
    snprintf(name, sizeof name, "kink%d", net->n_kinks);
    fwi_graph_output(net->g, name, v);
    net->kinks[net->n_kinks].shape = net->g->tensors[v].shape;
    net->kinks[net->n_kinks].k = k;
    net->kinks[net->n_kinks++].stride = stride;
}

void t_net_away(t_net *net, fwi_val v)
{
    t_net_apart(net, v, 0, 0);
}

typedef struct running {
    t_net *net;
    fwi_device *device;
    fwi_store *store;
    fwi_plan *plan;
    fwi_binding bind;
} running;

static void ok(fw_status st, const char *what)
{
    if (st != FW_OK)
        fail_msg("%s: --seed %llu: %s", what, (unsigned long long)t_seed, fw_last_error());
}

static void *typed(const net_val *v)
{
    char *p = malloc((size_t)v->n * fw_dtype_size(v->dtype));
    assert_non_null(p);
    for (int64_t i = 0; i < v->n; i++) {
        if (v->dtype == FW_F64)
            ((double *)(void *)p)[i] = v->v[i];
        else if (v->dtype == FW_I32)
            ((int32_t *)(void *)p)[i] = (int32_t)v->v[i];
        else if (v->dtype == FW_I64)
            ((int64_t *)(void *)p)[i] = (int64_t)v->v[i];
        else
            ((uint8_t *)p)[i] = (uint8_t)v->v[i];
    }
    return p;
}

static void start(running *r, t_net *net, const char *what)
{
    *r = (running){.net = net};
    const fwi_graph *g = net->g;
    ok(fwi_device_open(&r->device, "cpu", &(fwi_device_opt){.threads = 1}), what);
    ok(fwi_store_new(&r->store, r->device, &g, 1), what);
    ok(fwi_plan_new(&r->plan, r->device, r->store, g), what);
    void *scratch = NULL;
    ok(r->device->backend->alloc(r->device, fwi_plan_scratch_bytes(r->plan), &scratch), what);
    r->bind.scratch = scratch;
    for (int i = 0; i < net->n_vals; i++) {
        net_val *v = &net->vals[i];
        const char *name = g->tensors[v->val].name;
        if (v->param) {
            ok(fwi_store_write(r->store, fwi_store_find(r->store, name), v->v), what);
            continue;
        }
        v->bound = typed(v);
        const int slot = fwi_plan_input(r->plan, name);
        if (slot >= 0)
            r->bind.inputs[slot] = v->bound;
    }
}

static void stop(running *r)
{
    r->device->backend->release(r->device, r->bind.scratch, fwi_plan_scratch_bytes(r->plan));
    fwi_plan_free(r->plan);
    fwi_store_free(r->store);
    fwi_device_close(r->device);
}

static double loss_of(const running *r, const char *what)
{
    double loss = NAN;
    ok(fwi_plan_run(r->plan, &r->bind), what);
    ok(fwi_plan_read(r->plan, &r->bind, fwi_plan_output(r->plan, "loss"), &loss, sizeof loss),
       what);
    return loss;
}

/* The two largest of a window, starting at w, of an image of that width and that many channels. */
static double gap(const double *w, int64_t k, int64_t width, int64_t channels)
{
    double first = 0, second = 0; /* only what is over 0 counts */
    for (int64_t i = 0; i < k * k; i++) {
        const double v = w[(i / k * width + i % k) * channels];
        if (v > first) {
            second = first;
            first = v;
        } else if (v > second) {
            second = v;
        }
    }
    return first > 0 ? first - second : INFINITY;
}

/* How near the point is to a kink. */
static double margin(const running *r, const char *what)
{
    double least = INFINITY;
    for (int i = 0; i < r->net->n_kinks; i++) {
        const fwi_shape *s = &r->net->kinks[i].shape;
        const int64_t n = fwi_shape_elems(s), k = r->net->kinks[i].k;
        const int64_t stride = r->net->kinks[i].stride;
        char name[16];
        snprintf(name, sizeof name, "kink%d", i);
        double *v = malloc((size_t)n * sizeof *v);
        assert_non_null(v);
        ok(fwi_plan_read(r->plan, &r->bind, fwi_plan_output(r->plan, name), v,
                         (size_t)n * sizeof *v),
           what);
        for (int64_t j = 0; k == 0 && j < n; j++)
            least = fmin(least, fabs(v[j]));
        for (int64_t j = 0; k > 0 && j < n; j++) { /* j as the corner of a window, if it is one */
            const int64_t x = j / s->d[3] % s->d[2], y = j / s->d[3] / s->d[2] % s->d[1];
            if (x % stride == 0 && y % stride == 0 && x + k <= s->d[2] && y + k <= s->d[1])
                least = fmin(least, gap(v + j, k, s->d[2], s->d[3]));
        }
        free(v);
    }
    return least;
}

/* One parameter: its analytic gradient along a random direction against the difference. */
static void check_param(running *r, const net_val *p, const double *grad, const char *what,
                        double rel)
{
    const double h = 1e-5;
    const char *name = r->net->g->tensors[p->val].name;
    const fwi_var *var = fwi_store_find(r->store, name);
    double *v = malloc((size_t)p->n * sizeof *v), *w = malloc((size_t)p->n * sizeof *w);
    assert_non_null(v);
    assert_non_null(w);
    double dot = 0, g2 = 0, v2 = 0, f[2];
    for (int64_t i = 0; i < p->n; i++) {
        v[i] = t_normal();
        dot += grad[i] * v[i];
        g2 += grad[i] * grad[i];
        v2 += v[i] * v[i];
    }
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < p->n; i++)
            w[i] = p->v[i] + (side == 0 ? -h : h) * v[i];
        ok(fwi_store_write(r->store, var, w), what);
        f[side] = loss_of(r, what);
    }
    ok(fwi_store_write(r->store, var, p->v), what);
    const double num = (f[1] - f[0]) / (2 * h);
    const double size = fmax(fabs(dot), sqrt(g2) * sqrt(v2) / sqrt((double)p->n));
    if (!(fabs(num - dot) <= rel * size + 1e-12))
        fail_msg("%s: --seed %llu: gradient of %s along v is %.12g, the difference says %.12g",
                 what, (unsigned long long)t_seed, name, dot, num);
    if (size == 0)
        fail_msg("%s: the gradient of %s is 0 altogether", what, name);
    free(v);
    free(w);
}

static void net_clear(t_net *net)
{
    for (int i = 0; i < net->n_vals; i++) {
        free(net->vals[i].v);
        free(net->vals[i].bound);
    }
    fwi_graph_free(net->g);
    *net = (t_net){0};
}

void t_net_check(const char *what, t_build build, const void *arg, double rel)
{
    assert_int_equal(setenv("FENWICKS_ISA", "ref", 1), 0);
    t_net net = {0};
    running r;
    for (int tries = 0;; tries++) {
        net = (t_net){0};
        ok(fwi_graph_new(&net.g, FW_F64), what);
        const fwi_val loss = build(&net, arg);
        fwi_graph_output(net.g, "loss", loss);
        ok(fwi_graph_status(net.g), what);
        fwi_val params[MAX_VALS], grads[MAX_VALS];
        const int n = fwi_graph_params(net.g, params, MAX_VALS);
        assert_in_range(n, 1, MAX_VALS);
        ok(fwi_graph_gradient(net.g, loss, params, n, grads), what);
        ok(fwi_graph_verify(net.g), what);
        start(&r, &net, what);
        (void)loss_of(&r, what);
        if (margin(&r, what) > 1e-3)
            break;
        if (tries == MAX_TRIES)
            fail_msg("%s: no point away from the kinks found", what);
        stop(&r);
        net_clear(&net);
    }
    assert_true(isfinite(loss_of(&r, what)));
    double *grad[MAX_VALS] = {0}; /* all of them before any parameter moves */
    for (int i = 0; i < net.n_vals; i++) {
        if (!net.vals[i].param)
            continue;
        grad[i] = malloc((size_t)net.vals[i].n * sizeof *grad[i]);
        assert_non_null(grad[i]);
        const fwi_var *var = fwi_store_find(r.store, net.g->tensors[net.vals[i].val].name);
        ok(fwi_store_read_grad(r.store, var, grad[i]), what);
    }
    for (int i = 0; i < net.n_vals; i++) {
        if (net.vals[i].param)
            check_param(&r, &net.vals[i], grad[i], what, rel);
        free(grad[i]);
    }
    stop(&r);
    net_clear(&net);
    assert_int_equal(unsetenv("FENWICKS_ISA"), 0);
}
