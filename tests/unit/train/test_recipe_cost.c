/* What a whole run multiplies, against the totals that the recipes' authors give and those that follow
 * from the shapes of the layers: PFLOP of Page, airbench, hiverge and E1, in docs/recipes.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include <nn.h>
#include <recipe_inner.h>

/* In TFLOP. */
typedef struct total {
    const char *name;
    int64_t steps, images, seen;
    double train, updates, proxy, eval;
    double within; /* of train, for the rounding of its factors; the others are held to theirs */
} total;

/* An input gradient, in GFLOP per image, of the first convolution behind the whitening: it is not
 * computed once the whitening's bias stays (airbench) or where there is none (hlb). */
#define FIRST_64  (2e-9 * 31 * 31 * 24 * 9 * 64)
#define FIRST_128 (2e-9 * 31 * 31 * 24 * 9 * 128)
#define NS        6.33e-3 /* TFLOP of a step of Muon on airbench's six filters */

static const total totals[] = {
    {"fenwicks", 2328, 1191936, 1191936, 2708, 0, 0, 7.585, 0.5},
    {"page-1", 35 * 390, 35 * 390 * 128, 35 * 390 * 128, 4816, 0, 0, 9.2, 2},
    {"page-4", 2328, 1191936, 1191936, 2708, 0, 0, 7.585, 0.5},
    {"page-8.9", 970, 496640, 496640, 1129, 0, 0, 15.2, 0.5},
    {"hlb", 581, 594944, 594944, 581.1 - 594944e-3 * FIRST_64, 0, 0, 6.52, 0.1},
    {"airbench94", 476, 487424, 487424, 345.0 - 332 * 1.024 * FIRST_64, 0, 0, 14.18, 0.1},
    {"airbench94-muon", 200, 400000, 400000, 276.5, 200 * NS, 0, 14.18, 0.1},
    {"airbench96-legacy", 1776, 1818624, 1818624, 4930 - 1632 * 1.024 * FIRST_128, 0, 0, 54.2, 1},
    /* The proxy: a forward pass of all images; one more, and the gradient, in every fourth step. It has
     * no whitening bias, so the first convolution, to 32 channels, has no input gradient. */
    {"airbench96", 2160, 1105920, 2211840, 2998, 0,
     2211840e-12 * 2 * 17085088 +
         540 * 1024e-12 * 2 * (3 * 17085088 - 2 * 276768 - 31 * 31 * 24 * 9 * 32),
     54.2, 1},
    {"hiverge", 243, 373248, 373248, 254.5, 243 * NS, 0, 5.91, 0.1},
    {"e1", 284, 436224, 436224, 224.5, 284 * NS, 0, 14.18, 0.1},
};

static bool near(double got, double want, double within)
{
    return fabs(got * 1e-12 - want) <= within;
}

static void runs_cost_what_their_authors_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        const total *const t = &totals[i];
        fw_recipe *r = NULL;
        fw_run_cost c;
        int64_t train = 0, test = 0;
        if (fw_recipe_open(&r, t->name) != FW_OK || fw_recipe_records(r, &train, &test) != FW_OK ||
            fw_recipe_run_cost(r, train, test, &c) != FW_OK)
            fail_msg("%s: %s", t->name, fw_last_error());
        assert_int_equal(train, 50000);
        assert_int_equal(test, 10000);
        if (c.steps != t->steps || c.images != t->images || c.images_seen != t->seen)
            fail_msg("%s: %lld steps, %lld images, %lld seen", t->name, (long long)c.steps,
                     (long long)c.images, (long long)c.images_seen);
        if (!near(c.train_flops, t->train, t->within) ||
            !near(c.update_flops, t->updates, 0.002 * t->updates) ||
            !near(c.proxy_flops, t->proxy, 1e-9 * t->proxy) ||
            !near(c.eval_flops, t->eval, 0.02 * sqrt(t->eval)))
            fail_msg("%s: %.4f TFLOP of training, %.4f updates, %.6f proxy, %.4f evaluation",
                     t->name, c.train_flops * 1e-12, c.update_flops * 1e-12, c.proxy_flops * 1e-12,
                     c.eval_flops * 1e-12);
        fw_recipe_free(r);
    }
}

/* The six filters of airbench, each by the formula of its smaller side D and larger K: three
 * iterations of 4 D^2 K + 2 D^3. */
static void one_step_of_muon(void **state)
{
    (void)state;
    static const double dk[][2] = {{64, 216},   {64, 576},   {256, 576},
                                   {256, 2304}, {256, 2304}, {256, 2304}};
    double want = 0;
    for (size_t i = 0; i < 6; i++)
        want += 3 * (4 * dk[i][0] * dk[i][0] * dk[i][1] + 2 * dk[i][0] * dk[i][0] * dk[i][0]);
    fw_recipe *r = NULL;
    fw_run_cost c;
    assert_int_equal(fw_recipe_open(&r, "airbench94-muon"), FW_OK);
    assert_int_equal(fw_recipe_run_cost(r, 50000, 10000, &c), FW_OK);
    assert_true(fabs(c.update_flops - 200 * want) < 1);
    assert_true(fabs(want - 6.33e9) < 0.005e9);
    fw_recipe_free(r);
}

static void shorter_runs_and_other_data(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_run_cost all, half, c;
    int64_t train = 0, test = 0;
    assert_int_equal(fw_recipe_open(&r, "page-4"), FW_OK);
    assert_int_equal(fw_recipe_run_cost(r, 50000, 10000, &all), FW_OK);
    assert_int_equal(fw_recipe_set(r, "train.epochs", "12"), FW_OK);
    assert_int_equal(fw_recipe_run_cost(r, 50000, 0, &half), FW_OK);
    assert_int_equal(half.steps * 2, all.steps);
    assert_true(fabs(half.train_flops * 2 / all.train_flops - 1) < 1e-12);
    assert_true(half.eval_flops == 0);
    /* fewer records than a batch */
    assert_int_equal(fw_recipe_run_cost(r, 500, 0, &c), FW_EARG);
    assert_int_equal(fw_recipe_run_cost(r, 0, 0, &c), FW_EARG);
    assert_int_equal(fw_recipe_run_cost(r, INT64_MAX / 2, 0, &c), FW_EARG);
    assert_int_equal(fw_recipe_run_cost(r, 500, INT64_MAX, &c), FW_EARG);
    assert_int_equal(fw_recipe_run_cost(NULL, 1, 1, &c), FW_EARG);
    assert_int_equal(fw_recipe_set(r, "data.source", "npy"), FW_OK);
    assert_int_equal(fw_recipe_records(r, &train, &test), FW_ENOTFOUND);
    fw_recipe_free(r);
}

/* A network that ended early had a proxy that did not. */
static void a_proxy_ends_by_itself(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_run_cost all, net, both;
    assert_int_equal(fw_recipe_open(&r, "airbench96"), FW_OK);
    assert_int_equal(fw_recipe_run_cost(r, 50000, 10000, &all), FW_OK);
    assert_int_equal(fwi_recipe_cost_until(r, 50000, 10000, 540, INT64_MAX, &net), FW_OK);
    assert_true(net.proxy_flops == all.proxy_flops);
    assert_int_equal(net.images_seen, all.images_seen);
    assert_int_equal(net.steps, 540);
    assert_true(net.train_flops < 0.3 * all.train_flops);
    /* neither learns after its first quarter */
    assert_int_equal(fwi_recipe_cost_until(r, 50000, 10000, 0, 540, &both), FW_OK);
    assert_true(fabs(4 * both.proxy_flops / all.proxy_flops - 1) < 1e-12);
    assert_int_equal(4 * both.images_seen, all.images_seen);
    assert_true(both.train_flops == 0);
    fw_recipe_free(r);
}

/* A net whose sums pass what 64 bits hold costs that much, not a negative number. */
static void costs_do_not_wrap(void **state)
{
    (void)state;
    static const char text[] =
        "[network]\ninput = 1024 1024 3\nclasses = 10\nlayer = conv2d 262144 kernel=1\n"
        "layer = conv2d 128 kernel=127\nlayer = conv2d 262144 kernel=127\n"
        "layer = conv2d 128 kernel=127\nlayer = global_max_pool\nlayer = classifier 10\n"
        "[train]\nlr = 0.1\nbatch = 2\n[evaluate]\nbatch = 2\n";
    fw_recipe *r = NULL;
    fw_model_cost cost;
    assert_int_equal(fw_recipe_parse(&r, text, "wide"), FW_OK);
    assert_int_equal(fw_recipe_check(r, &cost), FW_OK);
    /* two images forward, then with gradients, of which the sum is too much */
    assert_true(cost.macs > INT64_C(1) << 60);
    assert_int_equal(cost.train_flops, INT64_MAX - 1);
    fw_recipe_free(r);
}

/* Numbers that a forward pass of one image stores, of the graph that training runs: convolutions, what norm
 * and activation make in one, pools, sums, the head. */
static int64_t elements(const char *name, int64_t side)
{
    fw_recipe *r = NULL;
    fw_layer *net = NULL;
    fwi_graph *g = NULL;
    int64_t images = 0, sum = 0;
    assert_int_equal(fw_recipe_open(&r, name), FW_OK);
    assert_int_equal(fwi_recipe_net(r, &net), FW_OK);
    assert_int_equal(fwi_layer_least_batch(net, &images), FW_OK);
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    (void)fwi_layer_build(net, g,
                          fwi_graph_input(g, "x", FW_F32, fwi_shape4(images, side, side, 3)), true);
    assert_int_equal(fwi_graph_status(g), FW_OK);
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_opkind kind = g->ops[i].kind;
        if (kind == FWI_OP_conv2d || kind == FWI_OP_relu || kind == FWI_OP_act ||
            kind == FWI_OP_max_pool || kind == FWI_OP_add || kind == FWI_OP_global_max_pool ||
            kind == FWI_OP_matmul)
            sum += fwi_shape_elems(&g->tensors[g->ops[i].out[0]].shape);
    }
    fwi_graph_free(g);
    fw_layer_free(net);
    fw_recipe_free(r);
    return sum / images;
}

static void images_take_so_many_elements(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t side, elements;
    } tables[] = {{"fenwicks", 32, 852490},        {"page-4", 32, 852490},
                  {"page-8.9", 32, 708106},        {"airbench94-muon", 32, 295034},
                  {"airbench94-muon", 28, 223738}, {"airbench94-muon", 24, 157562}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const int64_t got = elements(tables[i].name, tables[i].side);
        if (got != tables[i].elements)
            fail_msg("%s at %lld: %lld elements", tables[i].name, (long long)tables[i].side,
                     (long long)got);
    }
}

/* What the program says of the data that it bundles is what is in it. */
static void bundled_records(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_recipe_data d = {0};
    int64_t train = 0, test = 0;
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    assert_int_equal(fw_recipe_records(r, &train, &test), FW_OK);
    assert_int_equal(fw_recipe_data_open(r, NULL, 0, &d), FW_OK);
    assert_int_equal(fw_dataset_count(d.train), train);
    assert_int_equal(fw_dataset_count(d.test), test);
    fw_recipe_data_clear(&d);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_cost_what_their_authors_say),
                                       cmocka_unit_test(one_step_of_muon),
                                       cmocka_unit_test(a_proxy_ends_by_itself),
                                       cmocka_unit_test(costs_do_not_wrap),
                                       cmocka_unit_test(images_take_so_many_elements),
                                       cmocka_unit_test(shorter_runs_and_other_data),
                                       cmocka_unit_test(bundled_records)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
