/* test_print.c: printed graphs: the exact form, print-parse-print is the identity, and text from
 * anybody ends in a graph that verifies or in a message with a line. */
#include "t_locale.h"
#include "t_random.h"

static char *print(const fwi_graph *g)
{
    fwi_buf b = {0};
    assert_int_equal(fwi_graph_print(g, &b), FW_OK);
    assert_int_equal(strlen((char *)b.data), b.size);
    return (char *)b.data; /* the buffer's memory: fwi_free */
}

static fwi_graph *parse(const char *text)
{
    fwi_graph *g = NULL;
    if (fwi_graph_parse(&g, text) != FW_OK)
        fail_msg("%s\n%s", fw_last_error(), text);
    return g;
}

static void same_again(const fwi_graph *g)
{
    char *first = print(g);
    fwi_graph *read = parse(first);
    char *second = print(read);
    assert_string_equal(first, second);
    assert_int_equal(read->n_ops, g->n_ops);
    assert_int_equal(read->n_outputs, g->n_outputs);
    assert_int_equal(read->real, g->real);
    fwi_graph_free(read);
    fwi_free(first);
    fwi_free(second);
}

static const char sample[] =
    "graph f32\n"
    "input %0 \"x\" f32[2,5,5,3]\n"
    "var %1 \"prep/w\" f32[4,3,3,3] conv trainable uniform -0.19245 0.1\n"
    "var %2 \"a \\\"b\\\" \\\\ \\xc3\\xa4\\x0a\" f32[2] stat fixed const 1 0\n"
    "%3 f32[2,5,5,4] = conv2d %0 %1 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 pad_b=1 pad_r=1 ih=5 iw=5 "
    "algo=0\n"
    "%4 f32[2,2,2,4], %5 u8[2,2,2,4] = max_pool %3 k=2 stride=2 ih=0 iw=0\n"
    "%6 f32[1] = fill rank=1 d0=1 d1=0 d2=0 d3=0 dtype=0 value=0\n"
    "%7 f32[1] = sum_squares %4 %6\n"
    "%8 f32[4,3,3,3] grad %1 = fill rank=4 d0=4 d1=3 d2=3 d3=3 dtype=0 value=-1e-05\n"
    "output \"ss\" %7\n";

static void exact_text(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, T_SHAPE(2, 5, 5, 3));
    const fwi_val w = fwi_graph_var(g, "prep/w", FWI_VAR_CONV, true, T_SHAPE(4, 3, 3, 3),
                                    (fwi_init){FWI_INIT_UNIFORM, -0.19245, 0.1});
    const fwi_val y = fwi_conv2d_same(g, x, w, 1);
    /* declared late: printed with the others */
    fwi_graph_var(g, "a \"b\" \\ \xc3\xa4\n", FWI_VAR_STAT, false, T_SHAPE(2),
                  (fwi_init){FWI_INIT_CONST, 1, 0});
    fwi_op1(g, FWI_OP_relu, NULL, y); /* dead: leaves a gap in the numbers */
    const fwi_attr two = {.pool = {.k = 2, .stride = 2}};
    const fwi_val p = fwi_op1(g, FWI_OP_max_pool, &two, y);
    const fwi_attr zero = {.fill = {.rank = 1, .d0 = 1}};
    const fwi_val none = fwi_graph_op(g, FWI_OP_fill, &zero, NULL, 0, NULL);
    const fwi_val ss = fwi_op2(g, FWI_OP_sum_squares, NULL, p, none);
    const fwi_attr a = {.fill = {4, 4, 3, 3, 3, FW_F32, -1e-5}};
    g->tensors[fwi_graph_op(g, FWI_OP_fill, &a, NULL, 0, NULL)].grad_of = w;
    fwi_graph_output(g, "ss", ss);
    t_ok(g);
    assert_int_equal(fwi_pass_dead_code(g), FW_OK);
    char *text = print(g);
    assert_string_equal(text, sample);
    fwi_free(text);
    same_again(g);
    fwi_graph_free(g);

    g = parse(sample);
    assert_int_equal(fwi_graph_find(g, "a \"b\" \\ \xc3\xa4\n"), 2);
    assert_true(g->tensors[1].init.a == -0.19245);
    assert_int_equal(g->tensors[1].init.kind, FWI_INIT_UNIFORM);
    assert_int_equal(g->tensors[1].var_class, FWI_VAR_CONV);
    assert_true(g->tensors[1].trainable);
    assert_int_equal(g->tensors[8].grad_of, 1);
    assert_int_equal(g->ops[0].attr.conv.pad_r, 1);
    fwi_graph_free(g);
}

static void every_graph_reads_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 80; seed++) {
        fwi_graph *g = t_random_graph(seed, 40);
        same_again(g);
        assert_int_equal(fwi_pass_constants(g), FW_OK);
        assert_int_equal(fwi_pass_dead_code(g), FW_OK);
        same_again(g);
        fwi_graph_free(g);
    }
    fwi_graph *g = t_training_graph(4, 8, 6);
    same_again(g);
    fwi_graph_free(g);
    g = t_graph();
    same_again(g); /* the empty one */
    fwi_graph_free(g);
}

/* Every op's attributes survive, doubles to the last bit. */
static void attributes_read_back(void **state)
{
    (void)state;
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F64), FW_OK);
    const double values[] = {0.1,       -1.0 / 3, 1e-300, 1e300,
                             0x1p-1074, -0.0,     3,      123456789012345678.0};
    const fwi_val x = t_x(g, T_SHAPE(2, 3));
    for (int i = 0; i < T_COUNT(values); i++) {
        const fwi_attr a = {.scalar = {values[i]}};
        fwi_op1(g, FWI_OP_scale, &a, x);
    }
    const fwi_attr drop = {.dropout = {.p = 0.3, .ordinal = 4294967295}};
    fwi_op2(g, FWI_OP_dropout, &drop, x, t_in(g, FW_I64, T_SHAPE(2)));
    t_ok(g);
    same_again(g);
    char *text = print(g);
    (void)t_comma_locale(); /* where there is one */
    fwi_graph *read = parse(text);
    char *again = print(read);
    assert_string_equal(text, again);
    setlocale(LC_ALL, "C");
    for (int i = 0; i < T_COUNT(values); i++)
        assert_memory_equal(&read->ops[i].attr.scalar.value, &values[i], sizeof values[i]);
    assert_int_equal(read->ops[T_COUNT(values)].attr.dropout.ordinal, 4294967295);
    fwi_free(text);
    fwi_free(again);
    fwi_graph_free(read);
    fwi_graph_free(g);
}

/* ---- hostile text ---- */

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "line 1, column 1: the text ends, expected \"graph f32\""},
        {"grape f32", "column 1: found 'g'"},
        {"graph u8", "f32 or f64, not in u8"},
        {"graph f16\n", "f32 or f64, not in f16"},
        {"graph f33", "column 7: found 'f', expected an element type"},
        {"graph f32 \n", "line 1, column 10: found ' ', expected the line's end"},
        {"graph f32\ninput %1 \"x\" f32[1]",
         "line 2, column 7: found '%', expected the next tensor's number"},
        {"graph f32\ninput %0 x f32[1]", "a name in quotes"},
        {"graph f32\ninput %0 \"x f32[1]",
         "column 19: the text ends, expected the name's closing quote"},
        {"graph f32\ninput %0 \"x\n\" f32[1]",
         "column 12: the line ends, expected the name's closing quote"},
        {"graph f32\ninput %0 \"\\q\" f32[1]", "found 'q'"},
        {"graph f32\ninput %0 \"\\x00\" f32[1]", "found 'x'"},
        {"graph f32\ninput %0 \"\\x4", "found 'x'"},
        {"graph f32\ninput %0 \"\xff\" f32[1]", "found byte 0xff"},
        {"graph f32\ninput %0 \"\" f32[1]", "line 2: the name of an input has 0 bytes"},
        {"graph f32\ninput %0 \"x\" f32[0]", "line 2: \"x\" is f32[0]"},
        {"graph f32\ninput %0 \"x\" f32[-1]", "line 2: \"x\" is f32[-1]"},
        {"graph f32\ninput %0 \"x\" f32[9223372036854775807,9223372036854775807]", "2^40"},
        {"graph f32\ninput %0 \"x\" f32[9223372036854775808]", "found '9', expected an integer"},
        {"graph f32\ninput %0 \"x\" f32[1,2,3,4,5]", "at most 4 dimensions"},
        {"graph f32\ninput %0 \"x\" f32[1 2]", "found ' ', expected ',' or ']'"},
        {"graph f32\ninput %0 \"x\" f32[,]", "found ',', expected an integer"},
        {"graph f32\ninput %0 \"x\" f32[1]\ninput %1 \"x\" f32[1]",
         "line 3: \"x\" is declared twice"},
        {"graph f32\ninput %0 \"x\" f32[1]\ninput %1 \"x\" f32[2]",
         "line 3: \"x\" was declared as f32[1]"},
        {"graph f32\nvar %0 \"x\" f64[1] conv fixed const 0 0", "a variable of the graph's type"},
        {"graph f32\nvar %0 \"x\" f32[1] cone fixed const 0 0", "expected a class of variables"},
        {"graph f32\nvar %0 \"x\" f32[1] conv loose const 0 0", "expected trainable or fixed"},
        {"graph f32\nvar %0 \"x\" f32[1] conv fixed zero 0 0",
         "expected const, uniform, normal, dirac"},
        {"graph f32\nvar %0 \"x\" f32[1] conv fixed const nan 0", "expected a finite number"},
        {"graph f32\nvar %0 \"x\" f32[1] conv fixed const 1e999 0", "expected a finite number"},
        {"graph f32\nvar %0 \"x\" f32[1] conv fixed const 0", "the text ends, expected a blank"},
        {"graph f32\nvar %0 \"x\" f32[1] stat trainable const 0 0",
         "line 2: \"x\" is of class stat"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = rulu %0",
         "line 3: \"rulu\" is no op; did you mean \"relu\"?"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = relu %1",
         "expected a tensor of a line above"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = relu %-1",
         "expected a tensor of a line above"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = relu %4294967296",
         "expected a tensor of a line above"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = relu",
         "line 3: relu: 0 inputs given, expected 1"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = relu %0 %0", "expected no further input"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[2] = relu %0",
         "line 3: output 0 of relu is f32[1], the text says f32[2]"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1], %2 f32[1] = relu %0",
         "relu has 1 outputs, 2 are named"},
        {"graph f32\ninput %0 \"x\" f32[1]\nrelu %0", "relu has 1 outputs, 0 are named"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1], %1 f32[1] = relu %0",
         "the next tensor's number"},
        {"graph f32\n%0 f32[1], %1 f32[1], %2 f32[1], %3 f32[1], %4 f32[1] = relu",
         "at most 4 outputs"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] relu %0", "expected \" = \" and an op"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = scale %0",
         "expected a blank and an attribute"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = scale %0 valve=1",
         "found 'v', expected value"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = scale %0 value=1 x=2",
         "expected the line's end"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] grad %0 = relu %0", "no trainable variable"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] grad %7 = relu %0",
         "expected a tensor of a line above"},
        {"graph f32\noutput \"x\" %0", "expected a tensor of a line above"},
        {"graph f32\ninput %0 \"x\" f32[1]\noutput \"y\" %0\noutput \"y\" %0",
         "line 4: output \"y\" is declared twice"},
        {"graph f32\ninput %0 \"x\" f32[1]\n%1 f32[1] = input %0", "line 3: \"input\" is no op"},
        {"graph f32\n\n\n  relu", "line 4, column 1: found ' '"},
        {"graph f32\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "line 2, column 1"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = NULL;
        const fw_status st = fwi_graph_parse(&g, cases[i].text);
        assert_null(g);
        if (st == FW_OK)
            fail_msg("accepted: %s", cases[i].text);
        t_message_has(cases[i].why);
        t_message_has("graph text: ");
    }
    char name[300 + 40];
    snprintf(name, sizeof name, "graph f32\ninput %%0 \"%0300d\" f32[1]", 0);
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_parse(&g, name), FW_EFORMAT);
    t_message_has("at most 255 bytes");
}

/* Damaged text: it is refused, or what was read is a graph that prints and reads back. */
static void damaged_text(void **state)
{
    (void)state;
    t_rand r = {.seed = 77};
    static const char letters[] = "%= ,[]\"\\\n0123456789abfx.-_";
    int refused = 0, accepted = 0;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof sample];
        memcpy(text, sample, sizeof sample);
        const int n = 1 + (int)t_below(&r, 3);
        for (int i = 0; i < n; i++) {
            const uint32_t at = t_below(&r, sizeof sample - 1);
            if (t_below(&r, 8) == 0)
                text[at] = 0; /* cut */
            else if (t_below(&r, 4) == 0)
                text[at] = (char)t_below(&r, 256);
            else
                text[at] = letters[t_below(&r, sizeof letters - 1)];
        }
        fwi_graph *g = NULL;
        if (fwi_graph_parse(&g, text) == FW_OK) {
            accepted++;
            same_again(g);
            fwi_graph_free(g);
        } else {
            refused++;
            assert_null(g);
        }
    }
    assert_true(refused > 1000);
    assert_true(accepted > 50);
}

static void allocation_failures(void **state)
{
    (void)state;
    bool done = false;
    for (int64_t at = 1; !done; at++) {
        fwi_graph *g = NULL;
        fwi_mem_fail_at(at);
        const fw_status st = fwi_graph_parse(&g, sample);
        fwi_mem_fail_at(0);
        done = st == FW_OK;
        assert_true(done ? at > 5 : st == FW_ENOMEM && g == NULL);
        fwi_graph_free(g);
    }
    fwi_graph *g = parse(sample);
    done = false;
    for (int64_t at = 1; !done; at++) {
        fwi_buf b = {0};
        fwi_mem_fail_at(at);
        const fw_status st = fwi_graph_print(g, &b);
        fwi_mem_fail_at(0);
        done = st == FW_OK;
        assert_true(done ? at > 3 : st == FW_ENOMEM);
        fwi_buf_clear(&b);
    }
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_text),           cmocka_unit_test(every_graph_reads_back),
        cmocka_unit_test(attributes_read_back), cmocka_unit_test(refusals),
        cmocka_unit_test(damaged_text),         cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
