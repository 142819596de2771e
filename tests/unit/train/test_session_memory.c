/* test_session_memory.c: a session that gets no memory, at whatever request, says so, leaves nothing
 * behind and can be asked again; a run that got none harms no later one: session.c,
 * estimator_build.c. */
#include "t_recipe.h"

#include <stdlib.h>

/* A proxy, whitening and an average: all that a session may hold. */
static const char text[] =
    "[data]\nbundled = digits\nsplit_every = 5\n[augment]\ntransform = standardize\n"
    "transform = flip\n[network]\ninput = 8 8 1\nlayer = whiten eps=1e-2 images=20 bias=false\n"
    "layer = conv_bn 2\nlayer = global_max_pool\nlayer = classifier 10\n"
    "[network proxy]\nlayer = conv_bn 2\nlayer = global_max_pool\nlayer = classifier 10\n"
    "keep = 20\ntrain_every = 2\n[train]\nlr = 0.1\nbatch = 256\nepochs = 2/5\n"
    "average = ema\naverage_decay = 0.9\n[evaluate]\nbatch = 180\ntta = selective\n";

/* From one request that fails to the next: all of the first, then fewer. */
static int64_t later(int64_t n)
{
    return n + 1 + n / 24;
}

static void building(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_session *s = NULL;
    fw_run_result want, got;
    fw_status st = FW_ENOMEM;
    int failed = 0;
    assert_int_equal(fw_recipe_parse(&r, text, "small.recipe"), FW_OK);
    assert_int_equal(fw_recipe_run(r, &(fw_run_opt){.threads = 1}, &want), FW_OK);
    assert_int_equal(fw_session_open(&s, r, &(fw_run_opt){.threads = 1}), FW_OK);
    for (int64_t n = 1; st != FW_OK; n = later(n)) {
        fwi_mem_fail_at(n);
        st = fw_session_build(s);
        fwi_mem_fail_at(0);
        failed += st != FW_OK;
        if (st != FW_OK)
            assert_int_equal(st, FW_ENOMEM);
    }
    assert_true(failed > 50);
    assert_int_equal(fw_session_run(s, &(fw_one_run){.seed = 0}, &got), FW_OK);
    assert_true(got.test.loss == want.test.loss);
    fw_session_close(s);
    fw_recipe_free(r);
}

/* Some requests can do without: what was in a folder before, when there is nothing to take away. */
static void running(void **state)
{
    (void)state;
    enum { MOST = 400 }; /* more than a run has */
    fw_recipe *r = NULL;
    fw_session *s = NULL;
    fw_run_result want, other, got;
    int failed = 0;
    assert_int_equal(fw_recipe_parse(&r, text, "small.recipe"), FW_OK);
    assert_int_equal(fw_session_open(&s, r, &(fw_run_opt){.threads = 1}), FW_OK);
    assert_int_equal(fw_session_run(s, &(fw_one_run){.seed = 3}, &want), FW_OK);
    assert_int_equal(fw_session_run(s, &(fw_one_run){.seed = 4}, &other), FW_OK);
    for (int64_t n = 1; n < MOST; n = later(n)) {
        fwi_mem_fail_at(n);
        const fw_status st = fw_session_run(s, &(fw_one_run){.seed = 4, .out = "run"}, &got);
        fwi_mem_fail_at(0);
        failed += st != FW_OK;
        if (st != FW_OK)
            assert_int_equal(st, FW_ENOMEM);
        else
            assert_true(got.test.loss == other.test.loss);
        assert_int_equal(system("rm -rf run"), 0);
        assert_int_equal(fw_session_run(s, &(fw_one_run){.seed = 3}, &got), FW_OK);
        assert_true(got.test.loss == want.test.loss);
    }
    assert_true(failed > 20);
    fw_session_close(s);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(building),
        cmocka_unit_test(running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
