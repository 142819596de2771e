/* fake.h: a device for the tests of exec, whose room sees no backend: host memory behind an offset
 * of its own count, four kernels in float, and a switch that makes the next kernel fail. */
#ifndef FAKE_H
#define FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exec.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static int64_t fake_live; /* blocks alive */
static int fake_lowered;  /* calls of lower */
static bool fake_kernel_fails;
static int fake_add_calls;

static fw_status fake_alloc(fwi_device *d, size_t n_bytes, void **out)
{
    (void)d;
    *out = fwi_big_alloc(n_bytes);
    fake_live += *out != NULL;
    return *out != NULL ? FW_OK : FW_ENOMEM;
}

static void fake_release(fwi_device *d, void *p, size_t n_bytes)
{
    (void)d;
    fake_live -= p != NULL;
    fwi_big_free(p, n_bytes);
}

static fw_status fake_copy(fwi_device *d, void *dst, const void *src, size_t n_bytes)
{
    (void)d;
    memcpy(dst, src, n_bytes);
    return FW_OK;
}

static fw_status fake_lower(fwi_device *d, fwi_graph *g)
{
    (void)d;
    (void)g;
    fake_lowered++;
    return FW_OK;
}

static fw_status fake_sync(fwi_device *d)
{
    (void)d;
    return FW_OK;
}

static fw_status fake_add(const fwi_call *c)
{
    const float *a = c->in[0].data, *b = c->in[1].data;
    float *y = c->out[0].data, *tmp = c->scratch;
    const int64_t n = fwi_shape_elems(&c->in[0].shape);
    fake_add_calls++;
    if (fake_kernel_fails)
        return fwi_fail(FW_EINTERNAL, "the fake kernel failed");
    memcpy(tmp, b, (size_t)n * sizeof *tmp); /* scratch must not overlap what is read or written */
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + tmp[i];
    return FW_OK;
}

static size_t fake_add_scratch(const fwi_call *c)
{
    return (size_t)fwi_shape_elems(&c->in[0].shape) * sizeof(float);
}

static fw_status fake_scale(const fwi_call *c)
{
    const float *x = c->in[0].data;
    float *y = c->out[0].data;
    for (int64_t i = 0; i < fwi_shape_elems(&c->in[0].shape); i++)
        y[i] = (float)c->attr->scalar.value * x[i];
    return FW_OK;
}

static fw_status fake_reshape(const fwi_call *c)
{
    memmove(c->out[0].data, c->in[0].data,
            (size_t)fwi_shape_elems(&c->in[0].shape) * sizeof(float));
    return FW_OK;
}

static fw_status fake_fill(const fwi_call *c)
{
    float *y = c->out[0].data;
    for (int64_t i = 0; i < fwi_shape_elems(&c->out[0].shape); i++)
        y[i] = (float)c->attr->fill.value;
    return FW_OK;
}

/* w -= lr g, as far as these tests go */
static fw_status fake_sgd(const fwi_call *c)
{
    float *w = c->in[0].data;
    const float *g = c->in[2].data;
    const double *hyper = c->in[3].data;
    for (int64_t i = 0; i < fwi_shape_elems(&c->in[0].shape); i++)
        w[i] -= (float)hyper[c->attr->optim.lr_col] * g[i];
    return FW_OK;
}

static int fake_joint_calls; /* of the joint kernel, and the calls that it got in all */
static int fake_joint_members;

static size_t fake_sgd_scratch(const fwi_call *calls, int n)
{
    return (size_t)n * (size_t)fwi_shape_elems(&calls[0].in[0].shape) * sizeof(float);
}

/* The same from back to front, by way of scratch. */
static fw_status fake_sgd_joint(const fwi_call *calls, int n)
{
    fake_joint_calls++;
    fake_joint_members += n;
    memset(calls[0].scratch, 0xFF, fake_sgd_scratch(calls, n));
    for (int i = n - 1; i >= 0; i--)
        fake_sgd(&calls[i]);
    return FW_OK;
}
static const fwi_joint fake_sgd_as_one = {fake_sgd_scratch, fake_sgd_joint, 0};

/* so_far + the sum of squares. */
static float fake_sum(const fwi_call *c, float so_far)
{
    const float *x = c->in[0].data;
    float sum = 0;
    for (int64_t i = 0; i < fwi_shape_elems(&c->in[0].shape); i++)
        sum += x[i] * x[i];
    return so_far + sum;
}

static fw_status fake_squares(const fwi_call *c)
{
    *(float *)c->out[0].data = fake_sum(c, *(const float *)c->in[1].data);
    return FW_OK;
}

static size_t fake_squares_scratch(const fwi_call *calls, int n)
{
    (void)calls;
    return (size_t)n * sizeof(float);
}

/* All of it by way of scratch, and only then what each call gives. */
static fw_status fake_squares_joint(const fwi_call *calls, int n)
{
    float *sum = calls[0].scratch, kept[FWI_MAX_JOINED];
    const float so_far = *(const float *)calls[0].in[1].data;
    fake_joint_calls++;
    fake_joint_members += n;
    for (int i = 0; i < n; i++)
        sum[i] = fake_sum(&calls[i], i == 0 ? so_far : sum[i - 1]);
    memcpy(kept, sum, (size_t)n * sizeof *sum);
    for (int i = 0; i < n; i++)
        *(float *)calls[i].out[0].data = kept[i];
    return FW_OK;
}
static const fwi_joint fake_squares_as_one = {fake_squares_scratch, fake_squares_joint, 1};

static const fwi_kernel fake_rows[] = {
    {FWI_OP_add, FW_F32, fake_add, fake_add_scratch, NULL, "add_fake", false, NULL},
    {FWI_OP_scale, FW_F32, fake_scale, NULL, NULL, "scale_fake", false, NULL},
    {FWI_OP_reshape, FW_F32, fake_reshape, NULL, NULL, "reshape_fake", false, NULL},
    {FWI_OP_fill, FW_F32, fake_fill, NULL, NULL, "fill_fake", false, NULL},
    {FWI_OP_sgd, FW_F32, fake_sgd, NULL, NULL, "sgd_fake", false, &fake_sgd_as_one},
    {FWI_OP_sum_squares, FW_F32, fake_squares, NULL, NULL, "sum_squares_fake", false,
     &fake_squares_as_one},
    {.run = NULL},
};
static const fwi_op_table fake_table = {.name = "fake", .rows = fake_rows};
static const fwi_backend fake_backend = {.name = "fake",
                                         .alloc = fake_alloc,
                                         .release = fake_release,
                                         .upload = fake_copy,
                                         .download = fake_copy,
                                         .lower = fake_lower,
                                         .sync = fake_sync};

static inline fwi_device *fake_device(void)
{
    static fwi_device d = {
        .backend = &fake_backend, .table = &fake_table, .host_memory = true, .label = "fake"};
    return &d;
}

static inline fwi_graph *new_graph(void)
{
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    return g;
}

static inline void assert_message(const char *part)
{
    if (strstr(fw_last_error(), part) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", fw_last_error(), part);
}

#endif
