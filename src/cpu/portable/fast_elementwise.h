/* fast_elementwise.h: sums and scales of elements, the bias, and joining and cutting of channels.
 * Included once per element type and instruction set. Definitions: cpu/ref/elementwise_body.h,
 * bias_body.h. Output 0 may be input 0's memory where ops.def says so. */
#include "fast_store.h"
#include "rng.h"

static void NAME(add_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const STORE *const a = c->in[0].data, *const b = c->in[1].data;
    STORE *const y = c->out[0].data;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, stored_of(&c->in[0]));
    INDEPENDENT
    for (int64_t i = part * LOOP_BLOCK; i < end; i++)
        y[i] = KEEP(LOAD(a[i]) + LOAD(b[i]));
}

fw_status FN(add)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(add_part));
}

static void NAME(times)(const fwi_call *c, int64_t part, REAL s)
{
    const STORE *const x = c->in[0].data;
    STORE *const y = c->out[0].data;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, stored_of(&c->in[0]));
    INDEPENDENT
    for (int64_t i = part * LOOP_BLOCK; i < end; i++)
        y[i] = KEEP(s * LOAD(x[i]));
}

static void NAME(scale_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    NAME(times)(c, part, (REAL)c->attr->scalar.value);
}

fw_status FN(scale)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(scale_part));
}

static void NAME(bias_add_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const int64_t cols = cols_of(&c->in[0].shape), rows = block_rows(cols);
    const int64_t end = min_i64((part + 1) * rows, stored_of(&c->in[0]) / cols);
    const REAL *const restrict b = c->in[1].data;
    for (int64_t r = part * rows; r < end; r++) {
        const STORE *const x = (const STORE *)c->in[0].data + r * cols;
        STORE *const y = (STORE *)c->out[0].data + r * cols;
        INDEPENDENT
        for (int64_t i = 0; i < cols; i++)
            y[i] = KEEP(LOAD(x[i]) + b[i]);
    }
}

fw_status FN(bias_add)(const fwi_call *c)
{
    const int64_t cols = cols_of(&c->in[0].shape);
    fwi_pool_for(c->pool, parts_of(stored_of(&c->in[0]) / cols, block_rows(cols)),
                 NAME(bias_add_part), (void *)c);
    return FW_OK;
}

#ifndef LANES_BF16 /* what exists in n h w c alone */
static void NAME(scale_by_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    NAME(times)(c, part, *(const REAL *)c->in[1].data);
}

fw_status FN(scale_by)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(scale_by_part));
}

/* The draws of cpu/ref/dropout_body.h, four elements each: a block of elements begins with one. */
_Static_assert(LOOP_BLOCK % 4 == 0, "whole draws");
static void NAME(dropout_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_dropout_attr *const a = &c->attr->dropout;
    const REAL *const x = c->in[0].data;
    const int64_t *const rng = c->in[1].data;
    REAL *const y = c->out[0].data;
    const uint64_t seed = (uint64_t)rng[0], step = (uint64_t)rng[1] << 32;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, elems_of(&c->in[0].shape));
    for (int64_t i = part * LOOP_BLOCK; i < end; i += 4) {
        uint32_t words[4];
        fwi_rng_block(seed, FWI_RNG_DROPOUT, (uint32_t)a->ordinal, step | (uint64_t)(i / 4), 0,
                      words);
        for (int64_t k = 0; k < 4 && i + k < end; k++)
            y[i + k] = fwi_unit(words[k]) >= a->p ? (REAL)((double)x[i + k] / (1.0 - a->p)) : 0;
    }
}

fw_status FN(dropout)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(dropout_part));
}

static void NAME(concat_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const int64_t ca = cols_of(&c->in[0].shape), cb = cols_of(&c->in[1].shape);
    const int64_t rows = block_rows(ca + cb);
    const int64_t end = min_i64((part + 1) * rows, rows_of(&c->in[0].shape));
    for (int64_t r = part * rows; r < end; r++) {
        REAL *const y = (REAL *)c->out[0].data + r * (ca + cb);
        memcpy(y, (const REAL *)c->in[0].data + r * ca, (size_t)ca * sizeof(REAL));
        memcpy(y + ca, (const REAL *)c->in[1].data + r * cb, (size_t)cb * sizeof(REAL));
    }
}

fw_status FN(concat)(const fwi_call *c)
{
    const fwi_shape *const y = &c->out[0].shape;
    fwi_pool_for(c->pool, parts_of(rows_of(y), block_rows(cols_of(y))), NAME(concat_part),
                 (void *)c);
    return FW_OK;
}

static void NAME(slice_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const int64_t cx = cols_of(&c->in[0].shape), cy = cols_of(&c->out[0].shape);
    const int64_t rows = block_rows(cy);
    const int64_t end = min_i64((part + 1) * rows, rows_of(&c->in[0].shape));
    const REAL *const x = (const REAL *)c->in[0].data + c->attr->slice.begin;
    REAL *const y = c->out[0].data;
    for (int64_t r = part * rows; r < end; r++)
        memcpy(y + r * cy, x + r * cx, (size_t)cy * sizeof(REAL));
}

fw_status FN(slice)(const fwi_call *c)
{
    const fwi_shape *const y = &c->out[0].shape;
    fwi_pool_for(c->pool, parts_of(rows_of(y), block_rows(cols_of(y))), NAME(slice_part),
                 (void *)c);
    return FW_OK;
}

static void NAME(fill_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    REAL *const restrict y = c->out[0].data;
    const REAL v = (REAL)c->attr->fill.value;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, elems_of(&c->out[0].shape));
    for (int64_t i = part * LOOP_BLOCK; i < end; i++)
        y[i] = v;
}

fw_status FN(fill)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->out[0].shape), NAME(fill_part));
}
#endif
