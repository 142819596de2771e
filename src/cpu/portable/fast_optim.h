/* fast_optim.h: parameter updates and the gradient's norm. Included once per element type and
 * instruction set. Definitions, whose order of roundings is kept: cpu/ref/optim_body.h. */
#include "fast_math.h"
#include "fast_squares.h"

static void NAME(sgd_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_optim_attr *const a = &c->attr->optim;
    const double *const hyper = c->in[3].data;
    const REAL lr = (REAL)hyper[a->lr_col], wd = (REAL)hyper[a->wd_col];
    const REAL mom = (REAL)a->momentum;
    REAL *const restrict w = c->in[0].data, *const restrict v = c->in[1].data;
    const REAL *const restrict g = c->in[2].data;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t end = min_i64(begin + LOOP_BLOCK, elems_of(&c->in[0].shape));
    if (a->form == FWI_NESTEROV_PAGE) {
        for (int64_t i = begin; i < end; i++) {
            const REAL step = -lr * (g[i] + wd * w[i]);
            v[i] = mom * v[i] + step;
            w[i] = w[i] + (step + mom * v[i]);
        }
    } else if (a->form == FWI_NESTEROV_PYTORCH) {
        for (int64_t i = begin; i < end; i++) {
            const REAL d = g[i] + wd * w[i];
            v[i] = mom * v[i] + d;
            w[i] = w[i] - lr * (d + mom * v[i]);
        }
    } else {
        for (int64_t i = begin; i < end; i++) {
            v[i] = mom * v[i] + (g[i] + wd * w[i]);
            w[i] = w[i] - lr * v[i];
        }
    }
}

fw_status FN(sgd)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(sgd_part));
}

static void NAME(adam_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_optim_attr *const a = &c->attr->optim;
    const double *const hyper = c->in[4].data;
    const REAL keep = (REAL)(1.0 - hyper[a->lr_col] * hyper[a->wd_col]);
    const REAL rate = (REAL)(hyper[a->lr_col] / hyper[a->bc_col]);
    const REAL root = (REAL)sqrt(hyper[a->bc_col + 1]), eps = (REAL)a->eps;
    const REAL b1 = (REAL)a->beta1, c1 = (REAL)(1.0 - a->beta1);
    const REAL b2 = (REAL)a->beta2, c2 = (REAL)(1.0 - a->beta2);
    REAL *const restrict w = c->in[0].data, *const restrict m = c->in[1].data;
    REAL *const restrict v = c->in[2].data;
    const REAL *const restrict g = c->in[3].data;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t end = min_i64(begin + LOOP_BLOCK, elems_of(&c->in[0].shape));
    for (int64_t i = begin; i < end; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * (g[i] * g[i]);
        w[i] = w[i] * keep - rate * (m[i] / (NAME(root)(v[i]) / root + eps));
    }
}

fw_status FN(adam)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(adam_part));
}

/* Of a filter: its sums of squares, then its update. */
static void NAME(lars_filter)(void *arg, int64_t row, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_optim_attr *const a = &c->attr->optim;
    const double *const hyper = c->in[3].data;
    const int64_t n = elems_of(&c->in[0].shape) / c->in[0].shape.d[0];
    REAL *const restrict w = (REAL *)c->in[0].data + row * n;
    REAL *const restrict v = (REAL *)c->in[1].data + row * n;
    const REAL *const restrict g = (const REAL *)c->in[2].data + row * n;
    const double w2 = NAME(squares)(n, w), g2 = NAME(squares)(n, g);
    const REAL rate = (REAL)(hyper[a->lr_col] * (sqrt(w2) / (sqrt(g2) + a->eps)));
    const REAL wd = (REAL)hyper[a->wd_col], mom = (REAL)a->momentum;
    for (int64_t i = 0; i < n; i++) {
        const REAL step = -rate * (g[i] + wd * w[i]);
        v[i] = mom * v[i] + step;
        w[i] = w[i] + (step + mom * v[i]);
    }
}

fw_status FN(lars)(const fwi_call *c)
{
    fwi_pool_for(c->pool, c->in[0].shape.d[0], NAME(lars_filter), (void *)c);
    return FW_OK;
}

static void NAME(average_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_average_attr *const a = &c->attr->average;
    const double decay = ((const double *)c->in[2].data)[a->decay_col];
    /* the way from the one that the result is closer to: two shares that do not add up to 1 would drift */
    const REAL d = (REAL)decay, take = (REAL)(1.0 - decay);
    REAL *const restrict avg = c->in[0].data, *const restrict w = c->in[1].data;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t end = min_i64(begin + LOOP_BLOCK, elems_of(&c->in[0].shape));
    const size_t bytes = (size_t)(end - begin) * sizeof(REAL);
    if (decay == 0)
        memcpy(avg + begin, w + begin, bytes);
    else if (decay < 0.5)
        for (int64_t i = begin; i < end; i++)
            avg[i] = w[i] + d * (avg[i] - w[i]);
    else if (decay != 1)
        for (int64_t i = begin; i < end; i++)
            avg[i] = avg[i] + take * (w[i] - avg[i]);
    if (a->copy_back != 0)
        memcpy(w + begin, avg + begin, bytes);
}

fw_status FN(average)(const fwi_call *c)
{
    if (((const double *)c->in[2].data)[c->attr->average.on_col] == 0)
        return FW_OK;
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(average_part));
}

/* Sums of blocks, in double, joined in order. */
static void NAME(sum_squares_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const REAL *const restrict x = c->in[0].data;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t end = min_i64(begin + LOOP_BLOCK, elems_of(&c->in[0].shape));
    ((double *)c->scratch)[part] = NAME(squares)(end - begin, x + begin);
}

size_t FN(sum_squares_scratch)(const fwi_call *c)
{
    return (size_t)parts_of(elems_of(&c->in[0].shape), LOOP_BLOCK) * sizeof(double);
}

fw_status FN(sum_squares)(const fwi_call *c)
{
    const int64_t n = elems_of(&c->in[0].shape);
    double sum = 0;
    (void)loop_elems(c, n, NAME(sum_squares_part));
    for (int64_t i = 0; i < parts_of(n, LOOP_BLOCK); i++)
        sum += ((const double *)c->scratch)[i];
    *(REAL *)c->out[0].data = *(const REAL *)c->in[1].data + (REAL)sum;
    return FW_OK;
}
