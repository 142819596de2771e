/* whiten.c: see whiten.h. What is heavy here is the sum over patches: 5,000 images of CIFAR-10 have
 * 4.8 million. Each image's sum is a task of its own and the sums are added in the images' order,
 * so that the bits do not depend on the threads. Read before: core/eigen.h. */
#include "whiten.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "dataset_inner.h"
#include "eigen.h"
#include "fail.h"

enum { IMAGES_AT_ONCE = 64 };

typedef struct moments {
    const float *images;
    int64_t h, w, c, k, d;
    double *partial; /* [n,d+1,d] */
} moments;

/* X^T X of one image's patches, its upper triangle; below it the sum of the patches. */
static void one_image(void *arg, int64_t i, int slot)
{
    (void)slot;
    const moments *m = arg;
    const int64_t d = m->d, row = m->w * m->c, run = m->k * m->c;
    const float *image = m->images + i * m->h * row;
    double *restrict sum = m->partial + i * (d + 1) * d;
    double patch[FWI_EIGEN_MAX] = {0}; /* all of [0, d) is written below: d is k * run */
    memset(sum, 0, (size_t)((d + 1) * d) * sizeof *sum);
    for (int64_t y = 0; y + m->k <= m->h; y++)
        for (int64_t x = 0; x + m->k <= m->w; x++) {
            for (int64_t ky = 0; ky < m->k; ky++)
                for (int64_t j = 0; j < run; j++)
                    patch[ky * run + j] = (double)image[(y + ky) * row + x * m->c + j];
            for (int64_t p = 0; p < d; p++)
                for (int64_t q = p; q < d; q++)
                    sum[p * d + q] += patch[p] * patch[q];
            for (int64_t q = 0; q < d; q++)
                sum[d * d + q] += patch[q];
        }
}

void fwi_whiten_moments(fwi_pool *pool, const float *images, int64_t n, int64_t h, int64_t w,
                        int64_t c, int64_t k, double *partial, double *sum)
{
    moments m = {.images = images, .h = h, .w = w, .c = c, .k = k, .d = k * k * c};
    m.partial = partial;
    fwi_pool_for(pool, n, one_image, &m);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < (m.d + 1) * m.d; j++)
            sum[j] += partial[i * (m.d + 1) * m.d + j];
}

void fwi_whiten_covariance(int64_t d, int64_t rows, bool centred, double *sum)
{
    const double *const all = sum + d * d;
    const double n = (double)rows;
    for (int64_t p = 0; p < d; p++)
        for (int64_t q = p; q < d; q++)
            sum[p * d + q] =
                centred ? (sum[p * d + q] - all[p] * all[q] / n) / (n - 1) : sum[p * d + q] / n;
}

fw_status fwi_whiten_filter(int64_t d, int64_t channels, double eps, double *cov, float *filter)
{
    double values[FWI_EIGEN_MAX];
    double *vectors = fwi_alloc_array((size_t)(d * d), sizeof *vectors);
    if (vectors == NULL)
        return FW_ENOMEM;
    const fw_status st = fwi_eigen_symmetric((int)d, cov, values, vectors);
    for (int64_t i = 0; i < d && st == FW_OK; i++) {
        /* A sum of squares has no negative eigenvalue; its rounding errors may. */
        const double scale = 1 / sqrt(fmax(values[i], 0) + eps);
        for (int64_t j = 0; j < d; j++) {
            const float f = (float)(scale * vectors[i * d + j]);
            filter[i * d + j] = f;
            if (channels > d)
                filter[(d + i) * d + j] = -f;
        }
    }
    fwi_free(vectors);
    return st;
}

/* All that one filter needs. */
typedef struct work {
    fw_dataset *ds; /* in order */
    double *partial, *sum;
    float *filter;
    void *host; /* the variable's values in its own type */
} work;

static fw_status sum_images(const fwi_var *v, fwi_pool *pool, int64_t n, work *w)
{
    int64_t done = 0;
    fw_batch b = {0};
    while (done < n) {
        const fw_status st = fw_dataset_next(w->ds, &b);
        if (st != FW_OK)
            return st == FW_END ? fwi_fail(FW_EINTERNAL, "the data set ended") : st;
        const int64_t rows = n - done < b.n ? n - done : b.n;
        fwi_whiten_moments(pool, b.images, rows, b.h, b.w, b.c, v->shape.d[1], w->partial, w->sum);
        done += rows;
    }
    const int64_t k = v->shape.d[1], d = k * k * b.c;
    const int64_t patches = n * (b.h - k + 1) * (b.w - k + 1);
    const bool centred = v->init.kind == FWI_INIT_DATA_CENTRED;
    if (centred && patches < 2)
        return fwi_fail(FW_EARG, "one patch has no covariance");
    fwi_whiten_covariance(d, patches, centred, w->sum);
    return FW_OK;
}

static fw_status make_filter(fwi_store *store, const fwi_var *v, fwi_pool *pool,
                             const fw_dataset *ds)
{
    const int64_t channels = v->shape.d[0], d = fwi_shape_elems(&v->shape) / channels;
    const int64_t count = fw_dataset_count(ds);
    const int64_t n = v->init.b < (double)count ? (int64_t)v->init.b : count;
    const int64_t batch = n < IMAGES_AT_ONCE ? n : IMAGES_AT_ONCE;
    work w = {0};
    w.partial = fwi_alloc_array((size_t)(batch * (d + 1) * d), sizeof *w.partial);
    w.sum = fwi_alloc_zero((size_t)((d + 1) * d) * sizeof *w.sum);
    w.filter = fwi_alloc_array((size_t)(channels * d), sizeof *w.filter);
    w.host = fwi_alloc(v->bytes);
    fw_status st = w.partial == NULL || w.sum == NULL || w.filter == NULL || w.host == NULL
                       ? FW_ENOMEM
                       : fwi_dataset_in_order(&w.ds, ds, batch);
    if (st == FW_OK)
        st = fwi_dataset_use_pool(w.ds, pool);
    if (st == FW_OK)
        st = sum_images(v, pool, n, &w);
    if (st == FW_OK)
        st = fwi_whiten_filter(d, channels, v->init.a, w.sum, w.filter);
    if (st == FW_OK) {
        for (int64_t i = 0; i < channels * d; i++)
            if (v->dtype == FW_F64)
                ((double *)w.host)[i] = (double)w.filter[i];
            else
                ((float *)w.host)[i] = w.filter[i];
        st = fwi_store_write(store, v, w.host);
    }
    fw_dataset_free(w.ds);
    fwi_free(w.host);
    fwi_free(w.filter);
    fwi_free(w.sum);
    fwi_free(w.partial);
    return st == FW_OK ? st : fwi_fail_in(st, "%s from the training images", v->name);
}

static fw_status is_empty(const fwi_store *store, const fwi_var *v, bool *yes)
{
    unsigned char *host = fwi_alloc(v->bytes);
    if (host == NULL)
        return FW_ENOMEM;
    const fw_status st = fwi_store_read(store, v, host);
    *yes = true;
    for (size_t i = 0; i < v->bytes && st == FW_OK; i++)
        *yes = *yes && host[i] == 0;
    fwi_free(host);
    return st;
}

fw_status fwi_whiten(fwi_store *store, fwi_pool *pool, const fw_dataset *ds)
{
    fw_status st = FW_OK;
    for (int i = 0; i < store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &store->vars[i];
        bool empty = false;
        if (!fwi_init_is_data(v->init.kind))
            continue;
        st = is_empty(store, v, &empty);
        if (st == FW_OK && empty)
            st = make_filter(store, v, pool, ds);
    }
    return st;
}

fw_status fwi_whiten_check(const fwi_store *store)
{
    fw_status st = FW_OK;
    for (int i = 0; i < store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &store->vars[i];
        bool empty = false;
        if (fwi_init_is_data(v->init.kind))
            st = is_empty(store, v, &empty);
        if (st == FW_OK && empty)
            st = fwi_fail(
                FW_ESTATE,
                "%s is made from the training images, and there have been none yet: train, "
                "or prepare with them",
                v->name);
    }
    return st;
}
