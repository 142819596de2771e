/* t_fed.c: see t_fed.h. */
#include "t_fed.h"

#include "backends.h"

fw_images t_fed_images;

int t_fed_setup(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    t_fed_images = t_images(N, SIDE, SIDE, C, CLASSES, FW_U8);
    fwi_device_offer(&t_far_backend);
    return 0;
}

int t_fed_teardown(void **state)
{
    fwi_device_offer(NULL);
    t_images_free(&t_fed_images);
    return t_teardown(state);
}

void t_fed_open(t_fed *r, bool fed, fw_tta tta, fw_dtype precision, const char *dir)
{
    const fw_transform list[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                 fw_random_pad_crop(2),
                                 fw_alternating_flip(),
                                 fw_cutout(3, 2),
                                 fw_color_jitter(0.2, 0.1),
                                 FW_TRANSFORM_END};
    const fw_transform plain[] = {list[0], FW_TRANSFORM_END};
    memset(r, 0, sizeof *r);
    assert_ok(fw_array_dataset(
        &r->train, &t_fed_images, list,
        &(fw_dataset_opt){.batch = BATCH, .training = true, .seed = 3, .folds = 5, .fold = 2}));
    assert_ok(fw_array_dataset(&r->test, &t_fed_images, plain, &(fw_dataset_opt){.batch = BATCH}));
    const fw_estimator_opt opt = {.device = "far",
                                  .precision = precision,
                                  .seed = 5,
                                  .work_dir = dir,
                                  .threads = 1,
                                  .tta = tta,
                                  .eval_data = r->test,
                                  .eval_every = 1,
                                  .host_batches = fed,
                                  .progress = t_record,
                                  .progress_user = &r->trace};
    assert_ok(fw_estimator_new(&r->e, t_net(8, 0.25f, CLASSES), t_sgd(0.05), &opt));
}

void t_fed_close(t_fed *r)
{
    fw_estimator_free(r->e);
    fw_dataset_free(r->train);
    fw_dataset_free(r->test);
}

void t_fed_explained(fw_estimator *e, const char *sentence)
{
    char *text = NULL;
    assert_ok(fw_estimator_explain(e, &text));
    if (strstr(text, sentence) == NULL)
        fail_msg("no \"%s\" in:\n%s", sentence, text);
    fw_text_free(text);
}
