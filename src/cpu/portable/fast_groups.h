/* fast_groups.h: how passes over batch-blocked images are cut where the batch is in groups with
 * statistics of their own ("ghost" batch norm): contiguous runs of images, which begin and end
 * anywhere in a block of nb images. So a pass is cut into tasks that stay in one block, each a run of
 * its places, and a place's rows into pieces, a piece for each group that the block has images of. Sums
 * are kept by task and piece: a block has few groups, whatever their number. With one group the blocks
 * do not matter, and a task is a run of all places. Cuts depend on shapes alone. Users:
 * fast_bn_stats.h, fast_fused.h. */
#ifndef FWI_FAST_GROUPS_H
#define FWI_FAST_GROUPS_H

#include "fast_loop.h"

typedef struct group_cut {
    int64_t groups, len;  /* len: images of a group */
    int64_t nb, images;   /* of a block; of the batch */
    int64_t blocks, span; /* span: places of a block; one group: all places are one block's */
    int64_t step, chunks; /* places of a task; tasks of a block */
    int64_t tasks, most;  /* most: groups that a block can have images of */
} group_cut;

/* Of images as x, each with so many places; step: places of a task, if there are as many. */
static inline group_cut group_cut_of(const fwi_arg *x, int64_t groups, int64_t places, int64_t step)
{
    const int64_t images = x->shape.d[0], nb = block_of(x), blocks = wide_images(x);
    group_cut k = {.groups = groups, .len = images / groups, .nb = nb, .images = images};
    k.blocks = groups == 1 ? 1 : blocks;
    k.span = groups == 1 ? blocks * places : places;
    k.step = step;
    k.chunks = parts_of(k.span, step);
    k.tasks = k.blocks * k.chunks;
    k.most = groups == 1 ? 1 : min_i64(groups, (nb + k.len - 2) / k.len + 1);
    return k;
}

/* The places of a task. */
static inline int64_t group_begin(const group_cut *k, int64_t task)
{
    return task / k->chunks * k->span + task % k->chunks * k->step;
}
static inline int64_t group_end(const group_cut *k, int64_t task)
{
    return min_i64(group_begin(k, task) + k->step, (task / k->chunks + 1) * k->span);
}

/* The first group of a block, and how many it has. */
static inline int64_t group_first(const group_cut *k, int64_t block)
{
    return k->groups == 1 ? 0 : block * k->nb / k->len;
}
static inline int64_t group_count(const group_cut *k, int64_t block)
{
    if (k->groups == 1)
        return 1;
    const int64_t last = min_i64(k->images, (block + 1) * k->nb) - 1;
    return last / k->len - group_first(k, block) + 1;
}

/* Several groups: the rows of a place of the block that are the group's. */
static inline void group_rows(const group_cut *k, int64_t block, int64_t group, int64_t *begin,
                              int64_t *end)
{
    *begin = max_i64(0, group * k->len - block * k->nb);
    *end = min_i64(k->nb, (group + 1) * k->len - block * k->nb);
}

/* Sums are kept [tasks][most]. Those of a group are `count` in number: the chunks of its first block,
 * then of the next. group_sum: the place of number i in that table; *task: whose it is. */
static inline int64_t group_sums(const group_cut *k, int64_t group)
{
    if (k->groups == 1)
        return k->tasks;
    return (((group + 1) * k->len - 1) / k->nb - group * k->len / k->nb + 1) * k->chunks;
}
static inline int64_t group_sum(const group_cut *k, int64_t group, int64_t i, int64_t *task)
{
    const int64_t block = k->groups == 1 ? 0 : group * k->len / k->nb + i / k->chunks;
    *task = block * k->chunks + (k->groups == 1 ? i : i % k->chunks);
    return *task * k->most + group - group_first(k, block);
}

#endif
