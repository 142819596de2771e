/* test_silent.c: the library says nothing on standard output or standard error by itself: not while a run trains,
 * is evaluated, saved, plotted, resumed and used, not with a damaged checkpoint to warn of, not where a call fails. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 60, SIDE = 8, C = 3, CLASSES = 4, BATCH = 10, STEPS = 12 };

/* Where the two go meanwhile. */
typedef struct streams {
    int kept[2];
} streams;

static streams redirect(void)
{
    streams s;
    FILE *const files[] = {stdout, stderr};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fflush(files[i]), 0);
        s.kept[i] = dup(i + 1);
        FILE *const to = fopen(t_path("stream-%d", i), "wb");
        assert_non_null(to);
        assert_int_equal(dup2(fileno(to), i + 1), i + 1);
        assert_int_equal(fclose(to), 0);
    }
    return s;
}

static void restore(const streams *s)
{
    FILE *const files[] = {stdout, stderr};
    for (int i = 0; i < 2; i++) {
        (void)fflush(files[i]);
        (void)dup2(s->kept[i], i + 1);
        (void)close(s->kept[i]);
    }
}

static void assert_empty(void)
{
    for (int i = 0; i < 2; i++) {
        const t_bytes said = t_read(t_path("stream-%d", i));
        if (said.n > 0)
            fail_msg("on %s: %s", i == 0 ? "standard output" : "standard error",
                     (const char *)said.data);
        free(said.data);
    }
}

/* One start of a run that evaluates on the way, to that step. */
static fw_status start(int64_t until)
{
    fw_dataset *const train = t_data_set(BATCH, true), *const test = t_data_set(BATCH, false);
    const fw_estimator_opt opt = {.work_dir = t_path("run"),
                                  .threads = 2,
                                  .checkpoint_every = 4,
                                  .eval_data = test,
                                  .eval_every = 1};
    fw_estimator *e = NULL;
    fw_metrics m;
    fw_status st = fw_estimator_new(&e, t_net(6, 0.1F, CLASSES), t_sgd(0.05), &opt);
    if (st == FW_OK)
        st = fw_estimator_train(e, train, until);
    if (st == FW_OK)
        st = fw_estimator_evaluate(e, test, &m);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
    return st;
}

static fw_status use_model(void)
{
    fw_model *model = NULL;
    fw_metrics m;
    fw_status st = fw_model_open(&model, t_path("run/model.safetensors"), NULL);
    if (st != FW_OK)
        return st;
    fw_dataset *ds = NULL;
    st = fw_array_dataset(&ds, &t_data, fw_model_transforms(model),
                          &(fw_dataset_opt){.batch = BATCH});
    if (st == FW_OK)
        st = fw_model_evaluate(model, ds, &m, NULL);
    fw_dataset_free(ds);
    fw_model_close(model);
    return st;
}

static void test_silent(void **state)
{
    (void)state;
    char *text = NULL;
    fw_images none = {0}, more = {0};
    fw_status st[8];
    streams s = redirect();
    st[0] = start(4);
    st[1] = start(STEPS);
    restore(&s); /* what is asserted between the two is to be seen */
    assert_empty();
    const t_bytes last = t_read(t_path("run/checkpoint-%08d.safetensors", STEPS));
    last.data[last.n / 2] ^= 1;
    t_write(t_path("run/checkpoint-%08d.safetensors", STEPS), last.data, last.n);
    s = redirect();
    st[2] = start(STEPS); /* warns of the one that is damaged, where somebody listens */
    st[3] = use_model();
    st[4] = fw_run_inspect(t_path("run"), &text);
    fw_text_free(text);
    st[5] = fw_write_tfrecord(t_path("x.tfrec"), &t_data, NULL);
    const fw_schedule lr = fw_triangular_lr(0.4, 20, 5);
    st[6] = fw_plot_lr(&lr, 20, t_path("lr.svg"));
    st[7] = fw_import(t_path("nothing"), NULL, &none, &more);
    const char *const why = fw_last_error();
    restore(&s);
    assert_empty();
    for (int i = 0; i < 6; i++)
        if (st[i] != FW_OK)
            fail_msg("call %d: %s", i, fw_status_name(st[i]));
    assert_true(st[6] == FW_OK || st[6] == FW_EUNAVAILABLE); /* no gnuplot */
    assert_int_equal(st[7], FW_ENOTFOUND);
    assert_non_null(strstr(why, "nothing"));
    free(last.data);
}

static int setup(void **state)
{
    return t_setup_data(state, N, SIDE, C, CLASSES, FW_U8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_silent)};
    return cmocka_run_group_tests_name("silent", tests, setup, t_drop_data);
}
