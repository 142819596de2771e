/* test_verify.c: graphs damaged by hand, each in one way that the verifier must name. */
#include "t_random.h"

/* A graph with something of everything; forged, one field at a time, by the cases below. */
typedef struct sample {
    fwi_graph *g;
    fwi_val x, w, v, h, y, view, grad, hyper;
} sample;

static sample make(void)
{
    sample s = {.g = t_graph()};
    fwi_graph *g = s.g;
    const fwi_attr row = {.shape = {.rank = 2, .d0 = 1, .d1 = 3}}, plain = {.matmul = {0}};
    s.x = t_x(g, T_SHAPE(3));
    s.w = t_var(g, T_SHAPE(3));
    s.v = t_stat(g, T_SHAPE(3));
    s.h = fwi_op2(g, FWI_OP_add, NULL, s.x, s.w);   /* op 0 */
    s.y = fwi_op1(g, FWI_OP_relu, NULL, s.h);       /* op 1 */
    s.view = fwi_op1(g, FWI_OP_reshape, &row, s.y); /* op 2 */
    const fwi_val loss = fwi_op2(g, FWI_OP_matmul, &plain, s.view, t_x(g, T_SHAPE(3, 1)));
    assert_int_equal(fwi_graph_gradient(g, loss, &s.w, 1, &s.grad), FW_OK);
    s.hyper = t_in(g, FW_F64, T_SHAPE(1));
    const fwi_attr sgd = {.optim = {.momentum = 0.9}};
    const fwi_val in[] = {s.w, s.v, s.grad, s.hyper};
    fwi_graph_op(g, FWI_OP_sgd, &sgd, in, 4, NULL);
    fwi_graph_output(g, "loss", loss);
    fwi_graph_output(g, "w", s.w); /* the host may read what it became */
    t_ok(g);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    return s;
}

static void refused(sample *s, const char *why)
{
    assert_int_not_equal(fwi_graph_verify(s->g), FW_OK);
    t_message_has(why);
    fwi_graph_free(s->g);
    *s = make();
}

static void tensors(void **state)
{
    (void)state;
    sample s = make();
    s.g->tensors[s.x].kind = (fwi_tensor_kind)9;
    refused(&s, "is of kind 9");
    s.g->tensors[s.x].dtype = (fw_dtype)40;
    refused(&s, "tensor 0 is ?[3]");
    s.g->tensors[s.x].shape.rank = 9;
    refused(&s, "of rank 9");
    s.g->tensors[s.h].shape.d[0] = INT64_MAX;
    refused(&s, "tensor 3 is f32[9223372036854775807]");
    s.g->tensors[s.x].name = NULL;
    refused(&s, "has no name");
    s.g->tensors[s.x].name = s.g->tensors[s.w].name;
    refused(&s, "are both named \"n1\"");
    s.g->tensors[s.h].name = "h";
    refused(&s, "a temp, is named \"h\"");
    s.g->tensors[s.x].producer = 0;
    refused(&s, "is marked as made by op 0");
    s.g->tensors[s.h].producer = 1000;
    refused(&s, "is made by op 1000");
    s.g->tensors[s.h].producer = -2;
    refused(&s, "is made by op -2");
    s.g->tensors[s.h].producer = 1;
    refused(&s, "does not make it");
    s.g->tensors[s.w].dtype = FW_F64;
    refused(&s, "variable \"n1\" is f64, expected f32");
    s.g->tensors[s.w].var_class = (fwi_var_class)77;
    refused(&s, "of class 77");
    s.g->tensors[s.v].trainable = true;
    refused(&s, "is trainable and of class 7");
    s.g->tensors[s.w].init.kind = (fwi_init_kind)10;
    refused(&s, "initialiser 10");
    s.g->real = FW_U8;
    refused(&s, "the graph computes in u8");
    fwi_graph_free(s.g);
}

static void gradients(void **state)
{
    (void)state;
    sample s = make();
    s.g->tensors[s.grad].grad_of = s.v;
    refused(&s, "no trainable variable");
    s.g->tensors[s.grad].grad_of = 1000;
    refused(&s, "the gradient of 1000");
    s.g->tensors[s.h].grad_of = s.w;
    refused(&s, "\"n1\" has two gradients");
    s.g->tensors[s.grad].grad_of = FWI_NO_VAL;
    s.g->tensors[s.view].grad_of = s.w;
    refused(&s, "another type or shape");
    const fwi_attr flat = {.shape = {.rank = 1, .d0 = 3}};
    s.g->tensors[s.grad].grad_of = FWI_NO_VAL;
    s.g->tensors[fwi_op1(s.g, FWI_OP_reshape, &flat, s.y)].grad_of = s.w;
    refused(&s, "is a view, and marked as the gradient");
    s.g->tensors[s.x].grad_of = s.w;
    refused(&s, "is marked as made by");
    fwi_graph_free(s.g);
}

static void ops(void **state)
{
    (void)state;
    sample s = make();
    s.g->ops[1].kind = FWI_OP_COUNT;
    refused(&s, "op 1, ?");
    s.g->ops[1].kind = (fwi_opkind)-1;
    refused(&s, "-1 is no op");
    s.g->ops[1].n_in = 2;
    refused(&s, "op 1, relu: 2 inputs and 1 outputs, expected 1 and 1");
    s.g->ops[1].n_out = 3;
    refused(&s, "1 inputs and 3 outputs");
    s.g->ops[1].in[0] = 1000;
    refused(&s, "op 1, relu: input 0 is 1000");
    s.g->ops[1].in[0] = -5;
    refused(&s, "input 0 is -5");
    s.g->ops[1].in[0] = s.y; /* itself */
    refused(&s, "which is not made before it");
    s.g->ops[0].in[0] = s.y; /* a loop */
    refused(&s, "op 0, add: input 0 is tensor 4, which is not made before it");
    s.g->ops[1].out[0] = s.x;
    refused(&s, "does not make it");
    s.g->ops[1].out[0] = s.h; /* two producers */
    refused(&s, "does not make it");
    s.g->tensors[s.y].shape = T_SHAPE(4);
    refused(&s, "op 1, relu: output 0 is f32[4], the op gives f32[3]");
    s.g->tensors[s.y].dtype = FW_F64;
    refused(&s, "output 0 is f64[3], the op gives f32[3]");
    s.g->ops[2].attr.shape.d1 = 4;
    refused(&s, "op 2, reshape: reshape(f32[3]): x has 3 elements");
    const fwi_op moved = s.g->ops[0]; /* order */
    s.g->ops[0] = s.g->ops[1], s.g->ops[1] = moved;
    s.g->tensors[s.h].producer = 1, s.g->tensors[s.y].producer = 0;
    refused(&s, "op 0, relu: input 0 is tensor 3, which is not made before it");
    /* an op that makes the same tensor twice: swap in max_pool's two outputs */
    const fwi_attr p = {.pool = {.k = 1, .stride = 1}};
    fwi_op1(s.g, FWI_OP_max_pool, &p, t_x(s.g, T_SHAPE(1, 2, 2, 1)));
    fwi_op *op = &s.g->ops[s.g->n_ops - 1];
    s.g->tensors[op->out[1]].producer = -1;
    op->out[1] = op->out[0];
    refused(&s, "outputs 0 and 1 are the same tensor");
    s.g->outputs[0].val = 1000;
    refused(&s, "output \"loss\" is tensor 1000");
    s.g->outputs[1].name = s.g->outputs[0].name;
    refused(&s, "two outputs are named \"loss\"");
    s.g->outputs[1].name = "";
    refused(&s, "output 1 has no name");
    fwi_graph_free(s.g);
}

static void changed_variables(void **state)
{
    (void)state;
    sample s = make();
    fwi_op1(s.g, FWI_OP_relu, NULL, s.w);
    refused(&s, "relu: input 0 reads \"n1\" after an op has changed it");
    fwi_op2(s.g, FWI_OP_add, NULL, s.x, s.v);
    refused(&s, "input 1 reads \"n2\" after an op has changed it");
    const fwi_attr sgd = {.optim = {.momentum = 0.9}}; /* twice */
    const fwi_val again[] = {s.w, s.v, s.grad, s.hyper};
    fwi_graph_op(s.g, FWI_OP_sgd, &sgd, again, 4, NULL);
    refused(&s, "sgd: input 0 reads \"n1\" after an op has changed it");
    /* an average stands behind the update, and nothing reads behind it */
    const fwi_attr average = {.average = {.copy_back = 1}};
    const fwi_val behind[] = {fwi_graph_average(s.g, s.w), s.w, s.hyper};
    fwi_graph_op(s.g, FWI_OP_average, &average, behind, 3, NULL);
    assert_int_equal(fwi_graph_verify(s.g), FW_OK);
    fwi_op1(s.g, FWI_OP_relu, NULL, behind[0]);
    refused(&s, "relu: input 0 reads \"n1/average\" after an op has changed it");
    fwi_graph_free(s.g);

    fwi_graph *g = t_graph(); /* through a view made before the change */
    const fwi_attr row = {.shape = {.rank = 2, .d0 = 1, .d1 = 3}};
    const fwi_val w = t_var(g, T_SHAPE(3)), v = t_stat(g, T_SHAPE(3)), x = t_x(g, T_SHAPE(3));
    const fwi_val view = fwi_op1(g, FWI_OP_reshape, &row, w);
    const fwi_val in[] = {w, v, x, t_in(g, FW_F64, T_SHAPE(1))};
    fwi_graph_op(g, FWI_OP_sgd, &sgd, in, 4, NULL);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    fwi_op1(g, FWI_OP_relu, NULL, view);
    assert_int_equal(fwi_graph_verify(g), FW_EARG);
    t_message_has("reads \"n0\" after an op has changed it");
    fwi_graph_free(g);

    g = t_graph(); /* the gradient given to an update is a view of what it changes */
    const fwi_val w2 = t_var(g, T_SHAPE(3)), v2 = t_stat(g, T_SHAPE(3));
    const fwi_attr flat = {.shape = {.rank = 1, .d0 = 3}};
    const fwi_val bad[] = {w2, v2, fwi_op1(g, FWI_OP_reshape, &flat, w2),
                           t_in(g, FW_F64, T_SHAPE(1))};
    fwi_graph_op(g, FWI_OP_sgd, &sgd, bad, 4, NULL);
    assert_int_equal(fwi_graph_status(g), FW_EARG);
    t_message_has("inputs 0 and 2 are the same variable \"n0\"");
    fwi_graph_free(g);
}

static void good_graphs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 40; seed++) {
        fwi_graph *g = t_random_graph(seed, 50), *copy = NULL;
        assert_int_equal(fwi_graph_verify(g), FW_OK);
        assert_int_equal(fwi_graph_copy(&copy, g), FW_OK);
        fwi_graph_free(g);
        assert_int_equal(fwi_graph_verify(copy), FW_OK);
        fwi_graph_free(copy);
    }
}

static void allocation_failures(void **state)
{
    (void)state;
    sample s = make();
    for (int64_t at = 1; at <= 2; at++) {
        fwi_mem_fail_at(at);
        assert_int_equal(fwi_graph_verify(s.g), FW_ENOMEM);
    }
    fwi_mem_fail_at(3);
    assert_int_equal(fwi_graph_verify(s.g), FW_OK);
    fwi_mem_fail_at(0);
    fwi_graph_free(s.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors),     cmocka_unit_test(gradients),
        cmocka_unit_test(ops),         cmocka_unit_test(changed_variables),
        cmocka_unit_test(good_graphs), cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
