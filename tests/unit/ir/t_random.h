/* t_random.h: random graphs of many op kinds, for tests of what must hold for any graph. The same
 * seed gives the same graph. */
#ifndef T_RANDOM_H
#define T_RANDOM_H

#include "t_graph.h"

#include "rng.h"

typedef struct t_rand {
    uint64_t seed, draws;
} t_rand;

static inline uint32_t t_below(t_rand *r, uint32_t n)
{
    return fwi_below((uint32_t)fwi_rng_u64(r->seed, FWI_RNG_TEST, 0, r->draws++), n);
}

/* A tensor of the graph's type: any, or one with the shape of `like`. */
static inline fwi_val t_pick(t_rand *r, const fwi_graph *g, fwi_val like)
{
    fwi_val found = like;
    uint32_t n = 0;
    for (fwi_val v = 0; v < g->n_tensors; v++) {
        const fwi_tensor *t = &g->tensors[v];
        if (t->dtype != g->real || (t->kind == FWI_TEMP && t->producer < 0))
            continue;
        if (like != FWI_NO_VAL && !fwi_shape_equal(&t->shape, &g->tensors[like].shape))
            continue;
        n++;
        if (v + 24 > g->n_tensors)
            n++; /* recent ones twice as often: long chains */
        if (t_below(r, n) < (v + 24 > g->n_tensors ? 2u : 1u))
            found = v;
    }
    return found;
}

static inline void t_random_op(t_rand *r, fwi_graph *g)
{
    const fwi_val x = t_pick(r, g, FWI_NO_VAL), y = t_pick(r, g, x);
    const fwi_shape s = g->tensors[x].shape;
    const int64_t n = fwi_shape_elems(&s), c = s.d[s.rank - 1];
    fwi_attr a = {0};
    switch (t_below(r, 14)) {
    case 0:
        fwi_op1(g, FWI_OP_relu, NULL, x);
        break;
    case 1:
    case 2:
    case 3:
        fwi_op2(g, FWI_OP_add, NULL, x, y);
        break;
    case 4:
        fwi_op2(g, FWI_OP_relu_grad, NULL, x, y);
        break;
    case 5: /* sometimes to the same shape */
        a.shape = (fwi_shape_attr){2, n / c, c, 0, 0};
        fwi_op1(g, FWI_OP_reshape, &a, x);
        break;
    case 6:
        a.shape = (fwi_shape_attr){1, n, 0, 0, 0};
        fwi_op1(g, FWI_OP_reshape, &a, x);
        break;
    case 7:
        a.scalar.value = t_below(r, 2) ? 1.0 : 0.5;
        fwi_op1(g, FWI_OP_scale, &a, x);
        break;
    case 8:
        fwi_op2(g, FWI_OP_bias_add, NULL, x, fwi_op1(g, FWI_OP_sum_rows, NULL, x));
        break;
    case 9:
        a.fill = (fwi_fill_attr){.rank = 1, .d0 = 1, .dtype = (int64_t)g->real};
        fwi_op2(g, FWI_OP_scale_by, NULL, x,
                fwi_op2(g, FWI_OP_sum_squares, NULL, y,
                        fwi_graph_op(g, FWI_OP_fill, &a, NULL, 0, NULL)));
        break;
    case 10:
        a.fill = (fwi_fill_attr){.rank = s.rank,
                                 .d0 = s.d[0],
                                 .d1 = s.d[1],
                                 .d2 = s.d[2],
                                 .d3 = s.d[3],
                                 .dtype = (int64_t)g->real,
                                 .value = (double)t_below(r, 2)};
        fwi_op2(g, FWI_OP_add, NULL, x, fwi_graph_op(g, FWI_OP_fill, &a, NULL, 0, NULL));
        break;
    case 11:
        if (s.rank >= 2) {
            const fwi_val b = fwi_op1(g, FWI_OP_sum_rows, NULL, x);
            const fwi_val in[] = {x, b, b};
            a.bn.eps = 1e-5, a.bn.groups = 1;
            fwi_graph_op(g, FWI_OP_bn_train, &a, in, 3, NULL);
        }
        break;
    case 12:
        if (n < 4096)
            fwi_op2(g, FWI_OP_concat, NULL, x, y);
        else {
            a.slice.len = (c + 1) / 2;
            fwi_op1(g, FWI_OP_slice, &a, x);
        }
        break;
    default:
        a.cast.dtype = t_below(r, 2) ? FW_U8 : (int64_t)g->real;
        fwi_op1(g, FWI_OP_cast, &a, x);
    }
}

/* n_ops ops or a few more, some of whose values are outputs; some variables are changed at the end.
 */
static inline fwi_graph *t_random_graph(uint64_t seed, int n_ops)
{
    t_rand r = {.seed = seed};
    fwi_graph *g = t_graph();
    t_x(g, T_SHAPE(2, 3, 4, 5));
    t_x(g, T_SHAPE(7, 5));
    t_x(g, T_SHAPE(300));
    const fwi_val w[2] = {t_var(g, T_SHAPE(6, 5)), t_stat(g, T_SHAPE(6, 5))};
    while (g->n_ops < n_ops)
        t_random_op(&r, g);
    char name[16];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "out%d", i);
        fwi_graph_output(g, name, (fwi_val)t_below(&r, (uint32_t)g->n_tensors));
    }
    const fwi_attr a = {.optim = {.momentum = 0.9}};
    const fwi_val in[] = {w[0], w[1], t_pick(&r, g, w[0]), t_in(g, FW_F64, T_SHAPE(2))};
    if (fwi_graph_root(g, in[2]) != w[0] && fwi_graph_root(g, in[2]) != w[1])
        fwi_graph_op(g, FWI_OP_sgd, &a, in, 4, NULL);
    t_ok(g);
    return g;
}

/* A small residual network with its loss, gradients and updates. */
static inline fwi_graph *t_training_graph(int64_t batch, int64_t size, int64_t width)
{
    fwi_graph *g = t_graph();
    const fwi_attr bn = {.bn = {.eps = 1e-5, .groups = 1}}, two = {.pool = {.k = 2, .stride = 2}};
    const fwi_attr tb = {.matmul = {.tb = 1}}, xent = {.xent = {.mean = 1}};
    fwi_val h = t_x(g, fwi_shape4(batch, size, size, 3)), skip = FWI_NO_VAL;
    int64_t c = 3;
    for (int i = 0; i < 4; i++) {
        const fwi_val w = t_var(g, fwi_shape4(width, 3, 3, c)), gamma = t_var(g, fwi_shape1(width)),
                      beta = t_var(g, fwi_shape1(width));
        const fwi_val in[] = {fwi_conv2d_same(g, h, w, 1), gamma, beta};
        const fwi_val running[2] = {t_stat(g, fwi_shape1(width)), t_stat(g, fwi_shape1(width))};
        fwi_val out[3];
        fwi_graph_op(g, FWI_OP_bn_train, &bn, in, 3, out);
        const fwi_attr update = {.bn = {.groups = 1, .update = 0.1, .count = batch * size * size}};
        const fwi_val stats[] = {running[0], running[1], out[1], out[2]};
        fwi_graph_op(g, FWI_OP_bn_update, &update, stats, 4, NULL);
        h = fwi_op1(g, FWI_OP_relu, NULL, out[0]);
        c = width;
        if (i == 1)
            h = skip = fwi_op1(g, FWI_OP_max_pool, &two, h);
    }
    h = fwi_op2(g, FWI_OP_add, NULL, skip, h);
    h = fwi_op1(g, FWI_OP_global_max_pool, NULL, h);
    h = fwi_op2(g, FWI_OP_matmul, &tb, h, t_var(g, fwi_shape2(10, width)));
    const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(batch));
    const fwi_val loss = fwi_op2(g, FWI_OP_softmax_xent, &xent, h, labels);
    fwi_graph_output(g, "loss", loss);
    fwi_graph_output(g, "correct", fwi_op2(g, FWI_OP_count_correct, NULL, h, labels));
    fwi_val params[16], d[16];
    const int n = fwi_graph_params(g, params, 16);
    assert_int_equal(n, 13);
    assert_int_equal(fwi_graph_gradient(g, loss, params, n, d), FW_OK);
    const fwi_val hyper = fwi_graph_input(g, "hyper", FW_F64, fwi_shape1(2));
    const fwi_attr sgd = {.optim = {.momentum = 0.9, .form = FWI_NESTEROV_PYTORCH, .wd_col = 1}};
    for (int i = 0; i < n; i++) {
        const fwi_val in[] = {params[i], t_stat(g, g->tensors[params[i]].shape), d[i], hyper};
        fwi_graph_op(g, FWI_OP_sgd, &sgd, in, 4, NULL);
    }
    t_ok(g);
    return g;
}

#endif
