/* fenwicks.h: everything. Train an image classifier from C:
 *
 *     fw_images train = {0}, test = {0};
 *     fw_dataset *train_ds = NULL, *test_ds = NULL;
 *     fw_estimator *est = NULL;
 *     fw_metrics m;
 *     fw_cifar10_load("cifar-10-batches-bin", &train, &test);
 *     const fw_transform augment[] = {fw_standardize(train.c, train.mean, train.std),
 *                                     fw_random_pad_crop(4), fw_random_flip(), fw_cutout(8, 8),
 *                                     FW_TRANSFORM_END};
 *     const fw_transform plain[] = {augment[0], FW_TRANSFORM_END};
 *     fw_array_dataset(&train_ds, &train, augment,
 *                      &(fw_dataset_opt){.batch = 512, .training = true});
 *     fw_array_dataset(&test_ds, &test, plain, &(fw_dataset_opt){.batch = 1000});
 *     fw_layer *net = fw_sequential();
 *     fw_add(net, fw_conv_bn(64, FW_PYTORCH));
 *     fw_add(net, fw_conv_res_blk(128, 2, FW_PYTORCH));
 *     fw_add(net, fw_global_max_pool());
 *     fw_add(net, fw_classifier(10, 0.125f, FW_PYTORCH));
 *     const fw_schedule lr = fw_triangular_lr(0.4, 970, 200);
 *     fw_estimator_new(&est, net, fw_sgd(lr, 0.9, &(fw_sgd_opt){.weight_decay = 5e-4}), NULL);
 *     fw_estimator_train(est, train_ds, 970);
 *     fw_estimator_evaluate(est, test_ds, &m);
 *
 * Each call returns an fw_status to be checked; fw_last_error() has the reason. See
 * examples/walkthrough.c. */
#ifndef FENWICKS_FENWICKS_H
#define FENWICKS_FENWICKS_H

#include <fenwicks/bench.h>
#include <fenwicks/data.h>
#include <fenwicks/image.h>
#include <fenwicks/lab.h>
#include <fenwicks/layers.h>
#include <fenwicks/model.h>
#include <fenwicks/optim.h>
#include <fenwicks/plot.h>
#include <fenwicks/recipe.h>
#include <fenwicks/record.h>
#include <fenwicks/stats.h>
#include <fenwicks/status.h>
#include <fenwicks/storage.h>
#include <fenwicks/tensor.h>
#include <fenwicks/train.h>

#endif
