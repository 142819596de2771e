/* cost.c: what an op costs, for recipes and benchmarks. Only convolutions and matrix products
 * count: everything else is bound by memory. Read before: ops.def. */
#include "ir_rules.h"

static int64_t product(const int64_t *d, int n)
{
    int64_t p = 1;
    for (int i = 0; i < n; i++)
        p = d[i] > INT64_MAX / p ? INT64_MAX : p * d[i];
    return p;
}

int64_t fwi_macs_add(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

int64_t fwi_op_macs(const fwi_graph *g, const fwi_op *op)
{
    /* the output's places times the filter's elements; dy has the output's shape, dw the filter's
     */
    fwi_val y = FWI_NO_VAL, w = FWI_NO_VAL;
    switch (op->kind) {
    case FWI_OP_conv2d:
    case FWI_OP_conv2d_stats:
        y = op->out[0], w = op->in[1];
        break;
    case FWI_OP_conv2d_dx:
        y = op->in[0], w = op->in[1];
        break;
    case FWI_OP_conv2d_dw:
        y = op->in[1], w = op->out[0];
        break;
    case FWI_OP_matmul: {
        const int64_t *c = g->tensors[op->out[0]].shape.d;
        const int64_t k = g->tensors[op->in[0]].shape.d[1 - op->attr.matmul.ta];
        return product((const int64_t[]){c[0], c[1], k}, 3);
    }
    case FWI_OP_muon: { /* each step: X X^T, its square, and that times X; X has m <= n */
        const fwi_shape *s = &g->tensors[op->in[0]].shape;
        const int64_t rows = s->d[0], rest = product(s->d + 1, s->rank - 1);
        const int64_t m = rows < rest ? rows : rest, n = rows < rest ? rest : rows;
        const int64_t once = product((const int64_t[]){m, m, n}, 3);
        const int64_t square = product((const int64_t[]){m, m, m}, 3);
        if (once > (INT64_MAX - square) / 2)
            return INT64_MAX;
        return product((const int64_t[]){op->attr.muon.steps, 2 * once + square}, 2);
    }
    default:
        return 0;
    }
    const int64_t *dy = g->tensors[y].shape.d, *dw = g->tensors[w].shape.d;
    return product((const int64_t[]){dy[0], dy[1], dy[2], dw[0], dw[1], dw[2], dw[3]}, 7);
}
