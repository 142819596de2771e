/* walkthrough.c: from CIFAR-10 to a trained network, step by step.
 *
 *     walkthrough [ROOT [CIFAR10_FOLDER [EPOCHS [BATCH]]]]
 *
 * ROOT            data and results live in ROOT/data/cifar10 and ROOT/work/cifar10 (default: .)
 * CIFAR10_FOLDER  the data set's .bin files, or its .tar.gz (default: ROOT/data/cifar10)
 * EPOCHS, BATCH   24 passes over the data, 512 images a step
 *
 * The network is DavidNet and the schedule a triangle, after David Page, "How to train your ResNet"
 * (2018). Started again, the program goes on where it stopped. */
#include <fenwicks/fenwicks.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static fw_layer *build_net(int64_t n_classes)
{
    const int64_t c = 64;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(c, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(c * 2, 2, FW_PYTORCH));
    fw_add(net, fw_conv_blk(c * 4, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(c * 8, 2, FW_PYTORCH));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(n_classes, 0.125f, FW_PYTORCH));
    return net; /* a mistake in here is reported where the estimator is made */
}

/* What the network takes the first images for. */
static fw_status print_some(fw_estimator *est, fw_dataset *ds, const fw_images *im)
{
    int64_t n = 0;
    float *p = malloc((size_t)(fw_dataset_count(ds) * im->n_classes) * sizeof *p);
    const fw_status st = fw_estimator_predict(est, ds, p, p == NULL ? 0 : im->n, &n);
    for (int64_t i = 0; i < n && i < 5 && st == FW_OK; i++) {
        const float *row = p + i * im->n_classes;
        int64_t best = 0;
        for (int64_t k = 1; k < im->n_classes; k++)
            if (row[k] > row[best])
                best = k;
        printf("test image %" PRId64 ": class %" PRId64 " with %.1f %%, is %" PRId32 "\n", i, best,
               100 * (double)row[best], im->labels[i]);
    }
    free(p);
    return st;
}

int main(int argc, char **argv)
{
    const char *root = argc > 1 ? argv[1] : ".";
    const double epochs = argc > 3 ? atof(argv[3]) : 24;
    const int64_t batch = argc > 4 ? atoll(argv[4]) : 512;
    fw_dirs dirs = {0};
    fw_images train = {0}, test = {0};
    fw_dataset *train_ds = NULL, *test_ds = NULL;
    fw_estimator *est = NULL;
    fw_metrics m = {0};
    fw_status st;
    int exit_code = 1;

    /* Where data and results live. */
    if ((st = fw_storage_setup(root)) != FW_OK ||
        (st = fw_project_dirs(root, "cifar10", &dirs)) != FW_OK)
        goto done;

    /* Arrays to TFRecords, once. */
    if ((st = fw_cifar10_load(argc > 2 ? argv[2] : dirs.data, &train, &test)) != FW_OK)
        goto done;
    const char *train_fn = fw_path(&dirs, dirs.data, "train.tfrec");
    const char *test_fn = fw_path(&dirs, dirs.data, "test.tfrec");
    if ((st = fw_write_tfrecord(train_fn, &train, NULL)) != FW_OK ||
        (st = fw_write_tfrecord(test_fn, &test, NULL)) != FW_OK)
        goto done;

    /* Parse, augment, shuffle, batch, prefetch. */
    const fw_transform augment[] = {fw_standardize(train.c, train.mean, train.std),
                                    fw_random_pad_crop(4), fw_random_flip(), fw_cutout(8, 8),
                                    FW_TRANSFORM_END};
    const fw_transform plain[] = {fw_standardize(train.c, train.mean, train.std), FW_TRANSFORM_END};
    const fw_parser parse = fw_parse_image_array(32, 32, 3);
    if ((st = fw_tfrecord_dataset(&train_ds, train_fn, parse, augment,
                                  &(fw_dataset_opt){.batch = batch, .training = true})) != FW_OK ||
        (st = fw_tfrecord_dataset(&test_ds, test_fn, parse, plain,
                                  &(fw_dataset_opt){.batch = batch})) != FW_OK)
        goto done;
    const int64_t steps_per_epoch = fw_dataset_batches(train_ds);
    const int64_t total_steps = (int64_t)(epochs * (double)steps_per_epoch);
    if (total_steps < 1) {
        fprintf(stderr,
                "%s: %g epochs of %" PRId64 " images in batches of %" PRId64 " are no step\n",
                argv[0], epochs, train.n, batch);
        goto done;
    }

    /* Schedule: up for the first 5/24 of the run, then down to zero. The loss is a sum over the
     * batch, so the rate is divided by the batch and the weight decay multiplied by it. */
    const fw_schedule lr =
        fw_triangular_lr(0.4 / (double)batch, (double)total_steps, (double)total_steps * 5 / 24);
    st = fw_plot_lr(&lr, total_steps, fw_path(&dirs, dirs.work, "lr.svg"));
    if (st == FW_EUNAVAILABLE) /* no gnuplot here: a plot is worth a note, not a failure */
        fprintf(stderr, "note: %s\n", fw_last_error());
    else if (st != FW_OK)
        goto done;

    /* Optimiser, estimator; train, evaluate, predict. */
    const fw_optimizer sgd = fw_sgd(lr, 0.9, &(fw_sgd_opt){.weight_decay = 5e-4 * (double)batch});
    if ((st = fw_estimator_new(&est, build_net(train.n_classes), sgd,
                               &(fw_estimator_opt){.work_dir = dirs.work,
                                                   .loss_sum = true,
                                                   .checkpoint_every = steps_per_epoch,
                                                   .progress = fw_progress_stderr})) != FW_OK)
        goto done;
    if ((st = fw_estimator_train(est, train_ds, total_steps)) != FW_OK ||
        (st = fw_estimator_evaluate(est, test_ds, &m)) != FW_OK ||
        (st = print_some(est, test_ds, &test)) != FW_OK)
        goto done;
    printf("accuracy %.2f %%, loss %.3f, model %s/model.safetensors\n", 100 * m.accuracy, m.loss,
           dirs.work);
    exit_code = 0;

done:
    if (st != FW_OK)
        fprintf(stderr, "%s: %s\n", argv[0], fw_last_error());
    fw_estimator_free(est);
    fw_dataset_free(train_ds);
    fw_dataset_free(test_ds);
    fw_images_clear(&train);
    fw_images_clear(&test);
    fw_dirs_clear(&dirs);
    return exit_code;
}
