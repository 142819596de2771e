/* test_sprint.c: the recipe of our own record, with all that it puts together: whitening whose bias is
 * trained for a while, alternating flips, shifts, jitter, growing images, Muon with spaced norms, an
 * average at the end, six views. One seed, one model file, whatever ran before it and on however many
 * threads. The blocks are narrow and the images few, nothing else differs. */
#include "t_runs.h"

#include <stdlib.h>
#include <string.h>

enum { TRAIN = 130, TEST = 40, SIDE = 32, RUNS = T_SANITIZED ? 3 : 5 };

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    fw_images train = t_images(TRAIN, SIDE, SIDE, 3, 10, FW_U8);
    fw_images test = t_images(TEST, SIDE, SIDE, 3, 10, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("small-train.tfrec"), &train, NULL));
    assert_ok(fw_write_tfrecord(t_path("small-test.tfrec"), &test, NULL));
    t_images_free(&train);
    t_images_free(&test);
    return 0;
}

static fw_recipe *narrow_sprint(const char *changes)
{
    fw_recipe *r = NULL;
    assert_ok(fw_recipe_open(&r, "sprint"));
    assert_ok(fw_recipe_change(
        r, "train.batch=16, evaluate.batch=20, network.layer:whiten.images=100, "
           "network.layer:conv_blk=conv_blk 16 convs=2 pool_first=true act=silu init=dirac "
           "bn_update=0.4434 bn_eps=1e-12 bn_fixed_scale=true"));
    if (changes != NULL)
        assert_ok(fw_recipe_change(r, changes));
    return r;
}

static t_bytes run(const fw_recipe *r, const char *folder, uint64_t seed, int threads,
                   fw_run_result *result)
{
    const fw_run_opt opt = {
        .data = t_path("small"), .out = t_path("%s", folder), .seed = seed, .threads = threads};
    assert_ok(fw_recipe_run(r, &opt, result));
    return t_read(result->model);
}

/* Seeds 3, 4 and 3 again; then 4 before 3, on another number of threads. */
static void one_seed_is_one_model(void **state)
{
    (void)state;
    static const struct {
        const char *folder;
        uint64_t seed;
        int threads, same_as; /* -1: none before it */
    } runs[] = {{"a", 3, 1, -1}, {"b", 4, 1, -1}, {"c", 3, 1, 0}, {"d", 4, 2, 1}, {"e", 3, 2, 0}};
    fw_recipe *const r = narrow_sprint(NULL);
    t_bytes model[RUNS];
    fw_run_result result[RUNS];
    for (int i = 0; i < RUNS; i++) {
        model[i] = run(r, runs[i].folder, runs[i].seed, runs[i].threads, &result[i]);
        const int k = runs[i].same_as;
        assert_int_equal(result[i].run.steps, 74); /* 9.25 epochs of 8 */
        if (k < 0)
            continue;
        if (model[i].n != model[k].n || memcmp(model[i].data, model[k].data, model[k].n) != 0)
            fail_msg("run %s: another model than run %s of the same seed", runs[i].folder,
                     runs[k].folder);
        assert_memory_equal(&result[i].run.accuracy, &result[k].run.accuracy, sizeof(double));
        assert_memory_equal(&result[i].run.loss, &result[k].run.loss, sizeof(double));
    }
    assert_true(model[0].n != model[1].n || memcmp(model[0].data, model[1].data, model[1].n) != 0);
    for (int i = 0; i < RUNS; i++)
        free(model[i].data);
    fw_recipe_free(r);
}

/* Each of its tricks does something: without it the model is another one. But for the views, which
 * only evaluation has. */
static void each_trick_changes_the_model(void **state)
{
    (void)state;
    if (T_SANITIZED) /* too slow there, and nothing that the other test does not run */
        skip();
    fw_recipe *const r = narrow_sprint(NULL);
    fw_run_result result;
    char *names = NULL;
    int n = 0;
    t_bytes all = run(r, "all", 3, 2, &result);
    const double plain = result.run.accuracy_plain;
    assert_ok(fw_recipe_tricks(r, &names));
    for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " "), n++) {
        char *changes = NULL;
        assert_ok(fw_recipe_without(r, name, &changes));
        fw_recipe *const without = narrow_sprint(changes);
        t_bytes model = run(without, name, 3, 2, &result);
        const bool same = model.n == all.n && memcmp(model.data, all.data, all.n) == 0;
        if (same != (strcmp(name, "views") == 0))
            fail_msg("without %s: the model is %s", name, same ? "the same" : "another");
        if (same)
            assert_true(result.run.accuracy == plain);
        free(model.data);
        fw_recipe_free(without);
        fw_text_free(changes);
    }
    assert_in_range(n, 5, 8); /* an ablation has eight at most */
    fw_text_free(names);
    free(all.data);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_seed_is_one_model),
                                       cmocka_unit_test(each_trick_changes_the_model)};
    return cmocka_run_group_tests(tests, make_data, t_teardown);
}
