/* in_order.c: a data set's records once more, in order and without augmentation: what whitening
 * looks at before the first step. A data set of its own, so that the one that trains keeps its
 * place. */
#include "dataset_room.h"

#include "mem.h"

static fw_status over_memory(fw_dataset **out, const fw_dataset *ds, const fw_transform *list,
                             fw_dataset_opt opt)
{
    const fwi_resident *r = &ds->resident;
    if (r->by_rank) /* holds what was selected already */
        opt.folds = opt.fold = opt.shards = opt.shard = 0;
    const fw_images images = {.n = r->by_rank ? ds->selection.n : ds->selection.n_source,
                              .h = ds->h,
                              .w = ds->w,
                              .c = ds->c,
                              .dtype = r->dtype,
                              .pixels = (void *)(uintptr_t)r->pixels, /* only read */
                              .labels = (int32_t *)(uintptr_t)r->labels,
                              .source = ds->name};
    return fw_array_dataset(out, &images, list, &opt);
}

fw_status fwi_dataset_in_order(fw_dataset **out, const fw_dataset *ds, int64_t batch)
{
    int n = 0, kept = 0;
    const fw_transform *given = fwi_dataset_transforms(ds, &n);
    fw_transform *const list = fwi_alloc_array((size_t)n + 1, sizeof *list);
    if (list == NULL)
        return FW_ENOMEM;
    for (int i = 0; i < n; i++) /* all of them: evaluation applies one after the other */
        if (given[i].kind == FW_TRANSFORM_STANDARDIZE)
            list[kept++] = given[i];
    list[kept] = fw_transform_end();
    /* .training because the folds of training are the others; without a shuffle. */
    const fw_dataset_opt opt = {.batch = batch,
                                .training = true,
                                .no_shuffle = true,
                                .prefetch = FW_NONE,
                                .threads = 1,
                                .cycle_length = ds->opt.cycle_length,
                                .shards = ds->opt.shards,
                                .shard = ds->opt.shard,
                                .folds = ds->opt.folds,
                                .fold = ds->opt.fold};
    const fw_status st =
        ds->origin == FWI_ORIGIN_ARRAY
            ? over_memory(out, ds, list, opt)
            : fw_tfrecord_dataset(out, ds->name, fw_parse_image_array(ds->h, ds->w, ds->c), list,
                                  &opt);
    fwi_free(list); /* copied */
    return st;
}
