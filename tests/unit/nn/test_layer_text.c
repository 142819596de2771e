/* Layers as text: print then parse is the identity for every kind and option; hostile text ends
 * with a message that names source, line and the nearest valid word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <layer_inner.h>
#include <math.h>
#include <mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64 (Marsaglia 2003); the seed is fixed, so a failure repeats. */
static uint64_t rng_state = 0x9e3779b97f4a7c15u;
static uint64_t draw(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}
static double unit(void)
{
    return (double)(draw() >> 11) * 0x1p-53;
}

static double draw_value(const fwi_param *p)
{
    if (draw() % 4 == 0)
        return p->positional ? (p->above_min ? p->max / 2 : p->min) : p->def;
    if (p->type != FWI_P_REAL)
        return p->min + (double)(draw() % (uint64_t)(p->max - p->min + 1));
    double v;
    do { /* of every magnitude, with all their digits */
        v = p->min + (p->max - p->min) * unit() * pow(10, -20 * unit());
        if (draw() % 2 == 0)
            v = (double)(float)v;
    } while (fwi_param_check(p, v) != FW_OK);
    return v;
}

static fw_layer *draw_layer(fwi_layer_kind kind, int depth);
static void draw_children(fw_layer *l, int depth, int n)
{
    for (int i = 0; i < n; i++) {
        fwi_layer_kind kind = (fwi_layer_kind)(draw() % FWI_L_COUNT);
        if (depth > 3 && kind <= FWI_L_PARALLEL)
            kind = FWI_L_FLATTEN;
        if (l->kind == FWI_L_PARALLEL)
            kind = FWI_L_SEQUENTIAL;
        fw_add(l, draw_layer(kind, depth + 1));
    }
}

static fw_layer *draw_layer(fwi_layer_kind kind, int depth)
{
    fw_layer *const l = fwi_layer_new(kind);
    assert_non_null(l);
    const fwi_layer_info *const info = fwi_layer_info_get(kind);
    do {
        for (int i = 0; info->params[i] != NULL; i++)
            l->value[i] = draw_value(info->params[i]);
    } while (fwi_layer_settle(l) != FW_OK); /* act_alpha without celu: again */
    if (info->container)
        draw_children(l, depth, (int)(draw() % 4) + (kind == FWI_L_PARALLEL));
    return l;
}

static void assert_same(const fw_layer *a, const fw_layer *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(a->value, b->value, sizeof a->value); /* every bit */
    assert_int_equal(a->n_children, b->n_children);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->height, b->height);
    for (int64_t i = 0; i < a->n_children; i++)
        assert_same(a->children[i], b->children[i]);
}

static void check_identity(const fw_layer *l)
{
    char *text = NULL, *again = NULL;
    fw_layer *back = NULL;
    assert_int_equal(fw_layer_print(l, &text), FW_OK);
    if (fw_layer_parse(&back, text, "printed") != FW_OK)
        fail_msg("%s\nof:\n%s", fw_last_error(), text);
    if (l->kind == FWI_L_SEQUENTIAL) {
        assert_same(l, back);
    } else {
        assert_int_equal(back->n_children, 1);
        assert_same(l, back->children[0]);
    }
    assert_int_equal(fw_layer_print(back, &again), FW_OK);
    assert_string_equal(text, again);
    fw_layer_free(back);
    fw_text_free(text);
    fw_text_free(again);
}

static void print_then_parse_is_the_identity_for_every_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < FWI_L_COUNT; kind++)
        for (int i = 0; i < 300; i++) {
            fw_layer *const l = draw_layer((fwi_layer_kind)kind, 0);
            if (kind != FWI_L_SEQUENTIAL || l->n_children > 0)
                check_identity(l);
            fw_layer_free(l);
        }
}

static void calls_and_text_say_the_same(void **state)
{
    (void)state;
    const fw_layer_opt celu = {.act = FW_CELU, .act_alpha = 0.3f, .init = FW_INIT_PYTORCH};
    fw_layer *const net = fw_sequential(), *const par = fw_parallel(), *const seq = fw_sequential();
    fw_add(net, fw_conv_bn(64, FW_PYTORCH));
    fw_add(net, fw_conv_bn(32, &(fw_layer_opt){.kernel = 5, .stride = 2, .act = FW_GELU}));
    fw_add(net, fw_conv_res_blk(128, 2, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(128, 3, &(fw_layer_opt){.convs = 2, .pooling = FW_POOL_NONE}));
    fw_add(net, fw_conv_blk(256, &celu));
    fw_add(net, fw_conv_blk(128, &(fw_layer_opt){.convs = 3,
                                                 .skip = true,
                                                 .pool_first = true,
                                                 .bn_fixed_shift = true,
                                                 .bn_groups = 16,
                                                 .init = FW_INIT_DIRAC_ADDED}));
    fw_add(net,
           fw_conv_blk(32, &(fw_layer_opt){.pool_before_act = true, .init = FW_INIT_IDENTITY}));
    fw_add(net, fw_preact_blk(64, &(fw_layer_opt){.stride = 2, .bn_uniform_scale = true}));
    fw_add(net, fw_conv2d(8, false, &(fw_layer_opt){.padding = FW_HALF}));
    fw_add(seq, fw_conv2d(8, false, NULL));
    fw_add(seq, fw_activation(FW_TANH, 0));
    fw_add(par, seq);
    fw_add(par, fw_conv2d(8, true, &(fw_layer_opt){.kernel = 1})); /* becomes a branch */
    fw_add(par, fw_sequential());
    fw_add(net, par);
    fw_layer *const inner = fw_sequential();
    fw_add(inner, fw_max_pool(2, 2));
    fw_add(inner, fw_average_pool(3, 1));
    fw_add(net, inner);
    fw_add(net, fw_batch_norm(&(fw_layer_opt){.bn_eps = 1e-12f}));
    fw_add(net, fw_activation(FW_CELU, 0.075f));
    fw_add(net, fw_dropout(0.25f));
    fw_add(net, fw_global_pools());
    fw_add(net, fw_flatten());
    fw_add(net, fw_dense(10, true, FW_PYTORCH));
    fw_add(net, fw_dense_bn(512, 0.5f, false, NULL));
    fw_add(net, fw_scaling(-0.1f));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_global_average_pool());
    fw_add(net, fw_classifier(10, 0.125f, FW_PYTORCH));
    fw_add(net, fw_classifier(10, 1, &(fw_layer_opt){.bias = true}));
    fw_add(net, fw_whiten(&(fw_whiten_opt){.centred = true, .images = 50000, .no_bias = true}));
    fw_add(net, fw_fastai_head(7, NULL));
    char *text = NULL;
    assert_int_equal(fw_layer_print(net, &text), FW_OK);
    assert_string_equal(text, "conv_bn 64 init=pytorch bn_update=0.1 bn_eps=1e-05\n"
                              "conv_bn 32 kernel=5 stride=2 act=gelu\n"
                              "conv_res_blk 128 init=pytorch bn_update=0.1 bn_eps=1e-05\n"
                              "conv_res_blk 128 res_convs=3 convs=2 pooling=none\n"
                              "conv_blk 256 act=celu act_alpha=0.3 init=pytorch\n"
                              "conv_blk 128 convs=3 skip=true pool_first=true init=dirac_added "
                              "bn_fixed_shift=true bn_groups=16\n"
                              "conv_blk 32 pool_before_act=true init=identity\n"
                              "preact_blk 64 stride=2 bn_uniform_scale=true\n"
                              "conv2d 8 bias=false padding=half\n"
                              "parallel\n"
                              "  branch\n"
                              "    conv2d 8 bias=false\n"
                              "    activation tanh\n"
                              "  branch\n"
                              "    conv2d 8 kernel=1\n"
                              "  branch\n"
                              "end\n"
                              "sequential\n"
                              "  max_pool 2\n"
                              "  average_pool 3 stride=1\n"
                              "end\n"
                              "batch_norm bn_eps=1e-12\n"
                              "activation celu act_alpha=0.075\n"
                              "dropout 0.25\n"
                              "global_pools\n"
                              "flatten\n"
                              "dense 10 init=pytorch\n"
                              "dense_bn 512 dropout=0.5 bn_before_act=false\n"
                              "scaling -0.1\n"
                              "global_max_pool\n"
                              "global_average_pool\n"
                              "classifier 10 weight=0.125 init=pytorch\n"
                              "classifier 10 bias=true\n"
                              "whiten images=50000 centred=true bias=false\n"
                              "fastai_head 7\n");
    fw_text_free(text);
    check_identity(net);
    fw_layer_free(net);
}

static void text_may_be_written_freely(void **state)
{
    (void)state;
    fw_layer *l = NULL;
    char *text = NULL;
    static const char free_form[] =
        "# a net\r\n\n\t conv_bn   kernel=5\tchannels=16 act=relu\r\n"
        "max_pool stride=2 2\n   # no newline behind the last line\n"
        "conv2d +4 bias=true stride=1\nactivation act=celu\nscaling 1e-1";
    assert_int_equal(fw_layer_parse(&l, free_form, NULL), FW_OK);
    assert_int_equal(fw_layer_print(l, &text), FW_OK);
    assert_string_equal(text, "conv_bn 16 kernel=5\nmax_pool 2\nconv2d 4\nactivation celu\n"
                              "scaling 0.1\n");
    fw_text_free(text);
    fw_layer_free(l);
}

static void refuse(const char *text, const char *message)
{
    fw_layer *l = NULL;
    assert_int_equal(fw_layer_parse(&l, text, "my.recipe"), FW_EFORMAT);
    assert_null(l);
    if (strstr(fw_last_error(), message) == NULL)
        fail_msg("said: %s\nexpected: %s", fw_last_error(), message);
}

static void bad_text_is_answered_with_line_and_word(void **state)
{
    (void)state;
    refuse("", "my.recipe: no layers");
    refuse("  \n# only a remark\n", "my.recipe: no layers");
    refuse("flatten\n\nconv_bm 64\n",
           "my.recipe: line 3: unknown layer \"conv_bm\", the nearest valid one is conv_bn");
    refuse("Conv-Res-Blk 64", "nearest valid one is conv_res_blk");
    refuse("conv_bn 64 kernal=3",
           "line 1: conv_bn has no option \"kernal\", the nearest valid one is kernel");
    refuse("conv_blk 64 stride=2", "conv_blk has no option \"stride\"");
    refuse("flatten x=1", "flatten has no option \"x\", it has none at all");
    refuse("flatten 3", "flatten takes no \"3\"");
    refuse("conv_bn 64 act=rlu", "conv_bn: act is \"rlu\", the nearest valid one is relu");
    refuse("activation gleu", "activation: act is \"gleu\", the nearest valid one is gelu");
    refuse("conv_bn", "conv_bn: channels is missing (as in \"conv_bn 2\")");
    refuse("conv_bn kernel=3", "channels is missing");
    refuse("conv_bn 64 32", "\"32\" is one word too many");
    refuse("conv_bn 64 kernel", "the nearest valid name is kernel");
    refuse("conv_bn 64 channels=64", "channels is given twice");
    refuse("conv_bn 64 kernel=3 kernel=3", "kernel is given twice");
    refuse("conv_bn 64.5", "channels is \"64.5\", expected a whole number");
    refuse("conv_bn 0", "channels is 0, expected 1 to 1048576");
    refuse("conv_bn -1", "channels is -1, expected 1 to 1048576");
    refuse("conv_bn 99999999999999999999", "expected a whole number");
    refuse("conv_bn 9223372036854775807", "expected 1 to 1048576");
    refuse("conv_bn 64 kernel=128", "kernel is 128, expected 1 to 127");
    refuse("conv_bn 64 bn_eps=nan", "bn_eps is \"nan\", expected a number");
    refuse("conv_bn 64 bn_eps=0", "bn_eps is 0, expected 1e-30 to 1");
    refuse("conv_bn 64 bn_update=1.5", "bn_update is 1.5, expected more than 0 to 1");
    refuse("conv_bn 64 bn_eps=", "bn_eps is \"\", expected a number");
    refuse("conv_bn 64 =3", "has no option \"\"");
    refuse("dropout 1", "rate is 1, expected 0 to less than 1");
    refuse("dropout inf", "rate is \"inf\", expected a number");
    refuse("dropout", "rate is missing (as in \"dropout 0.5\")");
    refuse("max_pool 17", "size is 17, expected 1 to 16");
    refuse("dense 10 bias=yes", "bias is \"yes\", expected true or false");
    refuse("conv_bn 64 act_alpha=0.3", "act_alpha is for act celu alone");
    refuse("conv_blk 4 skip=true", "skip is for blocks of 2 convolutions or more, convs is 1");
    refuse("conv_blk 4 pool_before_act=true pool_first=true",
           "pool_first and pool_before_act are two places of one pool");
    refuse("conv_blk 4 pool_before_act=true pooling=none",
           "pool_before_act is for blocks with a pool, pooling is none");
    refuse("conv_bn 4 bn_fixed_scale=true bn_uniform_scale=true",
           "bn_fixed_scale is a scale of 1, bn_uniform_scale a random one");
    refuse("conv_bn 4 bn_groups=0", "bn_groups is 0, expected 1 to 4096");
    refuse("whiten padding=half", "padding is \"half\", the nearest valid one is");
    refuse("end", "line 1: end without a sequential or parallel before it");
    refuse("branch", "branch stands outside of parallel");
    refuse("parallel\nend", "line 2: parallel has no branches");
    refuse("parallel\nflatten\nend", "line 2: flatten stands before the first branch of parallel");
    refuse("flatten\nparallel\nbranch\nflatten\n", "line 2: parallel has no end");
    refuse("parallel\nbranch\nsequential\nbranch\nend\nend",
           "line 4: branch stands outside of parallel");
    refuse("sequential\nsequential\nend\n", "line 1: sequential has no end");
    refuse("parallel 2", "parallel takes no \"2\"");
    refuse("parallel\nbranch 1\n", "branch takes no \"1\"");
    refuse("flatten\n\x01\xff\x80 2\n", "line 2: unknown layer \"???\"");
    const int64_t lines[] = {17, 23};
    fw_layer *l = NULL;
    assert_int_equal(fwi_layer_parse_numbered(&l, "flatten\nflaten", "my.recipe", lines),
                     FW_EFORMAT);
    assert_string_equal(fw_last_error(),
                        "my.recipe: line 23: unknown layer \"flaten\", the nearest "
                        "valid one is flatten");
}

static void depth_count_and_length_are_limited(void **state)
{
    (void)state;
    const size_t cap = 200000;
    char *const text = calloc(1, cap);
    assert_non_null(text);
    for (int i = 0; i < 5000; i++)
        strcat(text + 11 * i, "sequential\n");
    refuse(text, "line 64: layers lie more than 64 deep");
    char *at = text;
    for (int i = 0; i < 63; i++)
        at += sprintf(at, "sequential\n");
    for (int i = 0; i < 63; i++)
        at += sprintf(at, "end\n");
    fw_layer *l = NULL;
    assert_int_equal(fw_layer_parse(&l, text, "deep"), FW_OK);
    check_identity(l);
    fw_layer_free(l);
    at = text;
    for (int i = 0; i < 10000; i++)
        at += sprintf(at, "flatten\n");
    refuse(text, "line 10000: a model has at most 10000 layers");
    memset(text, 'x', cap - 1);
    refuse(text, "line 1: the word \"xxxxxxxx");
    memcpy(text, "conv_bn ", 8);
    refuse(text, "line 1: conv_bn: the word \"xxxxxxxx");
    free(text);
}

/* Any bytes: an error or a model that prints. Valid lines, some with a byte changed, so that the
 * deeper branches are reached. */
static void random_text_never_breaks(void **state)
{
    (void)state;
    static const char *const lines[] = {"conv_bn 64 kernel=3\n",
                                        "conv2d 8 stride=2 bias=false\n",
                                        "parallel\n",
                                        "branch\n",
                                        "end\n",
                                        "sequential\n",
                                        "flatten\r\n",
                                        "activation celu act_alpha=0.25\n",
                                        "# remark\n",
                                        "\n",
                                        "dropout .5\n",
                                        "scaling -1e-3\n",
                                        "conv_blk 4 pooling=none convs=2"};
    int parsed = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        char text[512] = "";
        const int n = (int)(draw() % 9);
        for (int i = 0; i < n; i++)
            strcat(text, lines[draw() % (sizeof lines / sizeof *lines)]);
        for (int i = (int)(draw() % 3); i > 0 && *text != 0; i--)
            text[draw() % strlen(text)] = (char)(draw() % 256);
        fw_layer *l = NULL;
        if (fw_layer_parse(&l, text, "random") == FW_OK) {
            check_identity(l);
            parsed++;
        } else {
            assert_null(l);
            assert_int_equal(strncmp(fw_last_error(), "random: ", 8), 0);
            refused++;
        }
        fw_layer_free(l);
    }
    assert_true(parsed > 1000 && refused > 1000);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] =
        "conv_bn 64\nparallel\nbranch\nflatten\nbranch\ndense 3\nend\nflatten\n"
        "flatten\nflatten\nflatten\nflatten\nflatten\nflatten\n";
    int failures = 0;
    for (int64_t n = 1;; n++) {
        fw_layer *l = NULL;
        char *printed = NULL;
        fwi_mem_fail_at(n);
        fw_status st = fw_layer_parse(&l, text, "t");
        if (st == FW_OK)
            st = fw_layer_print(l, &printed);
        fwi_mem_fail_at(0);
        fw_layer_free(l);
        fw_text_free(printed);
        if (st == FW_OK)
            break;
        assert_int_equal(st, FW_ENOMEM);
        failures++;
    }
    assert_true(failures > 10);
}

/* Every word of the table stands in the user's documentation. */
static void the_documentation_knows_every_word(void **state)
{
    (void)state;
    static char doc[65536];
    FILE *const f = fopen(FW_SOURCE_DIR "/docs/formats/recipe.md", "rb");
    assert_non_null(f);
    const size_t n = fread(doc, 1, sizeof doc - 1, f);
    fclose(f);
    doc[n] = 0;
    for (int k = 0; k < FWI_L_COUNT; k++) {
        const fwi_layer_info *const info = fwi_layer_info_get((fwi_layer_kind)k);
        char row[4096], word[80];
        snprintf(word, sizeof word, "\n| `%s", info->word);
        const char *at = strstr(doc, word);
        while (at != NULL && strchr("` ", at[strlen(word)]) == NULL)
            at = strstr(at + 1, word);
        if (at == NULL)
            fail_msg("%s has no row in docs/formats/recipe.md", info->word);
        const size_t len = strcspn(at + 1, "\n");
        assert_true(len < sizeof row);
        memcpy(row, at + 1, len);
        row[len] = 0;
        for (int i = 0; info->params[i] != NULL; i++) {
            const fwi_param *const p = info->params[i];
            char value[32];
            if (p->positional)
                continue;
            snprintf(word, sizeof word, "`%s=%s`", p->name, fwi_param_text(p, p->def, value));
            if (strstr(row, word) == NULL)
                fail_msg("the row of %s lacks %s:\n%s", info->word, word, row);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print_then_parse_is_the_identity_for_every_kind),
        cmocka_unit_test(calls_and_text_say_the_same),
        cmocka_unit_test(text_may_be_written_freely),
        cmocka_unit_test(bad_text_is_answered_with_line_and_word),
        cmocka_unit_test(depth_count_and_length_are_limited),
        cmocka_unit_test(random_text_never_breaks),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_documentation_knows_every_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
