/* in_memory.c: handwritten digits from a text file to an accuracy, all in memory.
 *
 *     in_memory recipes/digits.csv */
#include <fenwicks/fenwicks.h>

#include <stdio.h>

static fw_layer *build_net(int64_t n_classes)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(32, FW_PYTORCH));
    fw_add(net, fw_conv_blk(64, FW_PYTORCH));
    fw_add(net, fw_conv_bn(128, FW_PYTORCH));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(n_classes, 0.125f, FW_PYTORCH));
    return net;
}

int main(int argc, char **argv)
{
    fw_images train = {0}, test = {0};
    fw_dataset *train_ds = NULL, *test_ds = NULL;
    fw_estimator *est = NULL;
    fw_metrics m = {0};
    const int64_t steps = 200;
    fw_status st = fw_import(argc > 1 ? argv[1] : "recipes/digits.csv",
                             &(fw_import_opt){.split_every = 5}, &train, &test);
    if (st == FW_OK) {
        const fw_transform plain[] = {fw_standardize(1, train.mean, train.std), FW_TRANSFORM_END};
        const fw_optimizer sgd = fw_sgd(fw_triangular_lr(0.2, (double)steps, 40), 0.9, NULL);
        const fw_dataset_opt in_training = {.batch = 64, .training = true}, in_test = {.batch = 64};
        if ((st = fw_array_dataset(&train_ds, &train, plain, &in_training)) == FW_OK &&
            (st = fw_array_dataset(&test_ds, &test, plain, &in_test)) == FW_OK &&
            (st = fw_estimator_new(&est, build_net(train.n_classes), sgd, NULL)) == FW_OK &&
            (st = fw_estimator_train(est, train_ds, steps)) == FW_OK &&
            (st = fw_estimator_evaluate(est, test_ds, &m)) == FW_OK)
            printf("accuracy %.2f %% of %d digits\n", 100 * m.accuracy, (int)m.records);
    }
    if (st != FW_OK)
        fprintf(stderr, "%s: %s\n", argv[0], fw_last_error());
    fw_estimator_free(est);
    fw_dataset_free(train_ds);
    fw_dataset_free(test_ds);
    fw_images_clear(&train);
    fw_images_clear(&test);
    return st == FW_OK ? 0 : 1;
}
