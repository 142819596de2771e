/* test_recipe_data.c: where the data of a recipe is found, and short runs: recipe_data.c, session.c. */
#include "t_recipe.h"

#include <stdio.h>
#include <stdlib.h>

#include <file.h>
#include <image_set.h>

/* ---- data ---- */

static void write_records(const char *path, int64_t n, int64_t shards)
{
    fw_images im = {0};
    assert_int_equal(fwi_images_new(&im, "test", n, 8, 8, 1, FW_U8, true), FW_OK);
    for (int64_t i = 0; i < n * 64; i++)
        ((uint8_t *)im.pixels)[i] = (uint8_t)(i * 7 % 251);
    for (int64_t i = 0; i < n; i++)
        im.labels[i] = (int32_t)(i % 3);
    im.n_classes = 3;
    assert_int_equal(fwi_images_finish(&im, "test", "test"), FW_OK);
    assert_int_equal(fw_write_tfrecord(path, &im, &(fw_write_opt){.shards = shards}), FW_OK);
    fw_images_clear(&im);
}

static void open_and_count(const fw_recipe *r, const char *data, int64_t train, int64_t test)
{
    fw_recipe_data d = {0};
    const fw_status st = fw_recipe_data_open(r, data, 1, &d);
    if (st != FW_OK)
        print_error("%s\n", fw_last_error());
    assert_int_equal(st, FW_OK);
    assert_int_equal(fw_dataset_count(d.train), train);
    assert_int_equal(fw_dataset_count(d.test), test);
    assert_int_equal(d.n_classes, 3);
    fw_recipe_data_clear(&d);
}

static void finds_records(void **state)
{
    (void)state;
    fw_recipe *r = parsed(SMALL "batch = 4\n[evaluate]\nbatch = 4\n[augment]\n"
                                "transform = standardize\n");
    fw_recipe_data d = {0};
    char dir[] = "recipe-XXXXXX", path[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a-train.tfrec", dir);
    write_records(path, 30, 0);
    snprintf(path, sizeof path, "%s/a", dir);
    refused_by(fw_recipe_data_open(r, path, 0, &d), FW_ENOTFOUND, "no test records");
    snprintf(path, sizeof path, "%s/a-test.tfrec", dir);
    write_records(path, 9, 2);
    snprintf(path, sizeof path, "%s/a", dir);
    open_and_count(r, path, 30, 9);
    const fw_transform none[] = {FW_TRANSFORM_END};
    assert_int_equal(fw_recipe_test_open(r, path, none, 2, &d), FW_OK);
    assert_null(d.train);
    assert_int_equal(fw_dataset_count(d.test), 9);
    assert_int_equal(fw_dataset_batches(d.test), 5);
    fw_recipe_data_clear(&d);
    refused_by(fw_recipe_test_open(r, path, NULL, 2, &d), FW_EARG, "NULL");
    snprintf(path, sizeof path, "%s/a.tfrec", dir);
    open_and_count(r, path, 30, 9);
    open_and_count(r, dir, 30, 9);
    snprintf(path, sizeof path, "%s/b.tfrec", dir);
    refused_by(fw_recipe_data_open(r, path, 0, &d), FW_ENOTFOUND, "b-train.tfrec");
    /* A second data set makes the folder ambiguous; shards count as one. */
    snprintf(path, sizeof path, "%s/b-train.tfrec", dir);
    write_records(path, 12, 3);
    refused_by(fw_recipe_data_open(r, dir, 0, &d), FW_EARG, "records of several data sets");
    snprintf(path, sizeof path, "%s/b-test.tfrec", dir);
    write_records(path, 6, 0);
    snprintf(path, sizeof path, "%s/b", dir);
    open_and_count(r, path, 12, 6);
    /* The test part may be there alone, for who only evaluates. */
    snprintf(path, sizeof path, "%s/c-test.tfrec", dir);
    write_records(path, 7, 0);
    snprintf(path, sizeof path, "%s/c", dir);
    assert_int_equal(fw_recipe_test_open(r, path, none, 2, &d), FW_OK);
    assert_int_equal(fw_dataset_count(d.test), 7);
    fw_recipe_data_clear(&d);
    refused_by(fw_recipe_data_open(r, path, 0, &d), FW_ENOTFOUND, "no such file");
    snprintf(path, sizeof path, "%s/none.tfrec", dir);
    refused_by(fw_recipe_test_open(r, path, none, 2, &d), FW_ENOTFOUND, "none-train.tfrec");
    /* What does not fit. */
    snprintf(path, sizeof path, "%s/b", dir);
    assert_int_equal(fw_recipe_set(r, "input", "8 4 1"), FW_OK);
    refused_by(fw_recipe_data_open(r, path, 0, &d), FW_ESHAPE,
               "images of 8 x 8 x 1, recipe x "
               "takes 8 x 4 x 1");
    assert_int_equal(fw_recipe_set(r, "input", "8 8 1"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "layer", "flatten, classifier 2"), FW_OK);
    refused_by(fw_recipe_data_open(r, path, 0, &d), FW_ESHAPE,
               "3 classes, the network of recipe "
               "x has 2");
    refused_by(fw_recipe_data_open(r, "nothing/there", 0, &d), FW_ENOTFOUND, "nothing/there");
    refused_by(fw_recipe_data_open(r, NULL, 0, &d), FW_ENOTFOUND, "no bundled data");
    refused_by(fw_recipe_data_open(r, "gs://bucket/x", 0, &d), FW_EUNAVAILABLE, "gs://");
    fw_recipe_free(r);
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void bundled_digits(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_recipe_data d = {0};
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    assert_int_equal(fw_recipe_data_open(r, NULL, 0, &d), FW_OK);
    assert_int_equal(d.n_classes, 10);
    assert_int_equal(fw_dataset_count(d.train), 1438); /* of 1797, every fifth is test */
    assert_int_equal(fw_dataset_count(d.test), 359);
    fw_batch b;
    assert_int_equal(fw_dataset_next(d.test, &b), FW_OK);
    assert_int_equal(b.labels[0], 4); /* the fifth record */
    fw_recipe_data_clear(&d);
    /* The same file from outside. */
    assert_int_equal(fw_recipe_data_open(r, FW_SOURCE_DIR "/recipes/digits.csv", 0, &d), FW_OK);
    assert_int_equal(fw_dataset_count(d.test), 359);
    fw_recipe_data_clear(&d);
    fw_recipe_free(r);
}

/* ---- runs ---- */

static void refuses_a_used_folder(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_run_result res, again;
    char dir[] = "run-XXXXXX", command[300];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "epochs", "0.5"), FW_OK);
    refused_by(fw_recipe_run(r, &(fw_run_opt){.out = dir, .resume = true}, &res), FW_ENOTFOUND,
               "holds no run");
    const fw_run_opt o = {.out = dir, .seed = 3, .threads = 1};
    assert_int_equal(fw_recipe_run(r, &o, &res), FW_OK);
    assert_int_equal(res.run.steps, 11);
    assert_int_equal(res.test.records, 359);
    assert_true(res.test.accuracy > 0.2);
    assert_false(res.stopped_early);
    assert_true(res.run.t_train > 0 && res.run.t_total > res.run.t_train &&
                res.run.t_dawn > res.run.t_total);
    assert_true(fwi_file_exists(res.model));
    refused_by(fw_recipe_run(r, &o, &again), FW_EEXISTS, "--resume");
    /* Going on with a run that is done gives its result again. */
    fw_run_opt on = o;
    on.resume = true;
    assert_int_equal(fw_recipe_run(r, &on, &again), FW_OK);
    assert_true(again.test.accuracy == res.test.accuracy && again.test.loss == res.test.loss);
    fw_recipe_free(r);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void stops_at_an_accuracy(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_run_result res;
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "epochs", "3"), FW_OK);
    refused_by(fw_recipe_run(r, &(fw_run_opt){.until_accuracy = 94}, &res), FW_EARG, "fraction");
    const fw_run_opt o = {.until_accuracy = 0.01, .threads = 1};
    assert_int_equal(fw_recipe_run(r, &o, &res), FW_OK);
    assert_true(res.stopped_early);
    assert_int_equal(res.run.steps, 22); /* after the first epoch */
    assert_true(res.test.accuracy >= 0.01);
    fw_recipe_free(r);
}

/* Streamed from records, or in memory: the same bits. */
static void records_and_memory_agree(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_recipe_data d = {0};
    fw_run_result a, b;
    char dir[] = "same-XXXXXX", path[256], command[300];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fw_recipe_open(&r, "digits"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "epochs", "0.5"), FW_OK);
    assert_int_equal(fw_recipe_data_open(r, NULL, 0, &d), FW_OK);
    snprintf(path, sizeof path, "%s/x-train.tfrec", dir);
    assert_int_equal(fw_write_tfrecord(path, &d.train_images, NULL), FW_OK);
    snprintf(path, sizeof path, "%s/x-test.tfrec", dir);
    assert_int_equal(fw_write_tfrecord(path, &d.test_images, NULL), FW_OK);
    fw_recipe_data_clear(&d);
    assert_int_equal(fw_recipe_run(r, &(fw_run_opt){.threads = 2}, &a), FW_OK);
    assert_int_equal(fw_recipe_run(r, &(fw_run_opt){.data = dir, .threads = 1}, &b), FW_OK);
    assert_true(a.test.accuracy == b.test.accuracy && a.test.loss == b.test.loss);
    fw_recipe_free(r);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* Memory that runs out at any place is an error, not a crash or a leak. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_records),
        cmocka_unit_test(bundled_digits),
        cmocka_unit_test(refuses_a_used_folder),
        cmocka_unit_test(stops_at_an_accuracy),
        cmocka_unit_test(records_and_memory_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
