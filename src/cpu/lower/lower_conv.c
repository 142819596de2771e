/* lower_conv.c: see cpu_lower.h. How each convolution is computed: what the user wants bounds the
 * choice, conv_choice.c says what is fastest within these bounds, and the table of kernels whether
 * there is such a row. The choice stands in the op's attributes, where the row that is found for it
 * reads it, and with it a printed plan. Read before: ir.h (fwi_conv_algo). */
#include "cpu_lower.h"

fwi_conv_pass fwi_conv_pass_of(fwi_opkind kind)
{
    return kind == FWI_OP_conv2d_dx   ? FWI_CONV_INPUT_GRAD
           : kind == FWI_OP_conv2d_dw ? FWI_CONV_FILTER_GRAD
                                      : FWI_CONV_FORWARD;
}

/* F(3x3,3x3) and F(4x4,3x3) round several times as coarsely as the definition where their products are
 * of bf16 (docs/numerics.md): there only where the user asks for them. */
static bool too_coarse(const fwi_graph *g, fwi_conv_algo algo, const char *table)
{
    return g->conv == FWI_CONV_ANY && g->storage == FW_BF16 && algo > FWI_CONV_WINO2 &&
           fwi_multiplies_bf16(table);
}

/* The row for this call with that algorithm, if it is one of its own and not the direct one, which
 * takes every call. */
static const fwi_kernel *own_row(const fwi_op_table *table, const fwi_call *call,
                                 fwi_conv_algo algo, const fwi_op_table **from)
{
    fwi_attr attr = *call->attr;
    fwi_call c = *call;
    c.attr = &attr;
    attr.conv.algo = FWI_CONV_DIRECT;
    const fwi_kernel *direct = fwi_table_find(table, &c, NULL);
    attr.conv.algo = algo;
    const fwi_kernel *row = fwi_table_find(table, &c, from);
    return row != direct ? row : NULL;
}

static fwi_conv_algo choose(const fwi_graph *g, const fwi_op *op, const fwi_op_table *table)
{
    const fwi_conv_attr *a = &op->attr.conv;
    const fwi_conv_pass pass = fwi_conv_pass_of(op->kind);
    const fwi_call c = fwi_call_of(g, op);
    if (a->kh != 3 || a->kw != 3 || a->stride != 1)
        return FWI_CONV_DIRECT;
    const fwi_shape *filters = pass == FWI_CONV_FILTER_GRAD ? &c.out[0].shape : &c.in[1].shape;
    /* what is cut into squares: what the op gives, or the gradient that filters' gradients are made of */
    const fwi_shape *cut = pass == FWI_CONV_FILTER_GRAD ? &c.in[1].shape : &c.out[0].shape;
    const int64_t side = cut->d[1] < cut->d[2] ? cut->d[1] : cut->d[2];
    fwi_conv_algo most = g->conv == FWI_CONV_ANY ? FWI_CONV_ALGOS - 1 : g->conv;
    /* of the larger ones there are no kernels with products of bf16 */
    if (most > FWI_CONV_WINO4 && g->storage == FW_BF16 && fwi_multiplies_bf16(table->name))
        most = FWI_CONV_WINO4;
    unsigned allowed = 0;
    const char *from_name = table->name;
    for (fwi_conv_algo algo = FWI_CONV_WINO2; algo <= most; algo++) {
        const fwi_op_table *from = NULL;
        if (own_row(table, &c, algo, &from) == NULL || too_coarse(g, algo, from->name))
            continue;
        allowed |= 1U << algo;
        from_name = from->name;
    }
    return fwi_conv_choice(from_name, c.in[0].dtype, pass, side, filters->d[3], filters->d[0],
                           allowed);
}

fw_status fwi_lower_conv(fwi_graph *g, const fwi_op_table *table)
{
    for (int32_t i = 0; i < g->n_ops; i++)
        if (fwi_op_is_conv(g->ops[i].kind))
            g->ops[i].attr.conv.algo = (int64_t)choose(g, &g->ops[i], table);
    return fwi_graph_status(g);
}
