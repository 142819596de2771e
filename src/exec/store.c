/* store.c: what outlives a step: weights, running statistics and optimiser slots, by name, in one
 * block of device memory; and their gradients, packed in a second one. Plans (plan.c) point into
 * both, so neither ever moves. */
#include "exec.h"
#include "rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { VAR_ALIGN = 64 }; /* a cache line, and the widest vector */

/* Rounds *n up to a multiple of align (a power of two); false when that does not fit. */
static bool round_up(size_t *n, size_t align)
{
    size_t t;
    if (!fwi_add_size(*n, align - 1, &t))
        return false;
    *n = t & ~(align - 1);
    return true;
}

static fw_status same_var(const fwi_var *v, const fwi_tensor *t)
{
    if (v->dtype != t->dtype)
        return fwi_fail(FW_ESHAPE, "variable %s: one graph has it as %s, another as %s", v->name,
                        fw_dtype_name(v->dtype), fw_dtype_name(t->dtype));
    if (!fwi_shape_equal(&v->shape, &t->shape))
        return fwi_fail(FW_ESHAPE,
                        "variable %s: one graph has it with %lld elements (rank %d), another with "
                        "%lld (rank %d)",
                        v->name, (long long)fwi_shape_elems(&v->shape), (int)v->shape.rank,
                        (long long)fwi_shape_elems(&t->shape), (int)t->shape.rank);
    if (v->cls != t->var_class || v->trainable != t->trainable)
        return fwi_fail(FW_ESHAPE,
                        "variable %s: two graphs disagree on its class or on whether it "
                        "is trained",
                        v->name);
    return FW_OK;
}

static fw_status add_var(fwi_store *s, const fwi_tensor *t)
{
    const fwi_var *known = fwi_store_find(s, t->name);
    if (known != NULL)
        return same_var(known, t);
    fwi_var *v = &s->vars[s->n_vars];
    *v = (fwi_var){.cls = t->var_class,
                   .trainable = t->trainable,
                   .dtype = t->dtype,
                   .shape = t->shape,
                   .init = t->init,
                   .offset = s->state_bytes};
    v->name = fwi_arena_strdup(s->arena, t->name);
    if (v->name == NULL)
        return FW_ENOMEM;
    const size_t elem = fw_dtype_size(t->dtype);
    bool fits = fwi_mul_size((size_t)fwi_shape_elems(&t->shape), elem, &v->bytes) &&
                fwi_add_size(s->state_bytes, v->bytes, &s->state_bytes) &&
                round_up(&s->state_bytes, VAR_ALIGN);
    if (fits && v->trainable) {
        fits = round_up(&s->grad_bytes, elem);
        v->grad_offset = s->grad_bytes;
        fits = fits && fwi_add_size(s->grad_bytes, v->bytes, &s->grad_bytes);
    }
    if (!fits)
        return fwi_fail(FW_ENOMEM, "variable %s: the variables' size does not fit in memory",
                        t->name);
    s->n_vars++;
    return FW_OK;
}

fw_status fwi_store_new(fwi_store **out, fwi_device *d, const fwi_graph *const *graphs,
                        int n_graphs)
{
    assert(out != NULL && d != NULL && graphs != NULL && n_graphs >= 0);
    *out = NULL;
    fw_status st = FW_ENOMEM;
    fwi_store *s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    s->device = d;
    size_t most = 0; /* variables, counted once per graph */
    for (int i = 0; i < n_graphs; i++) {
        for (int32_t t = 0; t < graphs[i]->n_tensors; t++)
            most += graphs[i]->tensors[t].kind == FWI_VAR;
    }
    s->vars = fwi_alloc_array(most, sizeof *s->vars);
    if (s->vars == NULL)
        goto done;
    if ((st = fwi_arena_new(&s->arena, 0)) != FW_OK)
        goto done;
    for (int i = 0; i < n_graphs; i++) {
        if ((st = fwi_graph_status(graphs[i])) != FW_OK)
            goto done;
        for (int32_t t = 0; t < graphs[i]->n_tensors; t++) {
            if (graphs[i]->tensors[t].kind == FWI_VAR &&
                (st = add_var(s, &graphs[i]->tensors[t])) != FW_OK)
                goto done;
        }
    }
    if (s->state_bytes > 0 && (st = d->backend->alloc(d, s->state_bytes, &s->state)) != FW_OK)
        goto done;
    if (s->grad_bytes > 0 && (st = d->backend->alloc(d, s->grad_bytes, &s->grads)) != FW_OK)
        goto done;
    for (int i = 0; i < s->n_vars; i++)
        s->vars[i].data = (uint8_t *)s->state + s->vars[i].offset;
    *out = s;
    s = NULL;
    st = FW_OK;
done:
    fwi_store_free(s);
    return st;
}

void fwi_store_free(fwi_store *s)
{
    if (s == NULL)
        return;
    if (s->state != NULL)
        s->device->backend->release(s->device, s->state, s->state_bytes);
    if (s->grads != NULL)
        s->device->backend->release(s->device, s->grads, s->grad_bytes);
    fwi_arena_free(s->arena);
    fwi_free(s->vars);
    fwi_free(s);
}

static double value_at(const fwi_var *v, const void *host, int64_t i)
{
    return v->dtype == FW_F32 ? (double)((const float *)host)[i] : ((const double *)host)[i];
}

/* By way of float in both types: an f32 and an f64 net start from the same weights. */
static void put_value(const fwi_var *v, void *host, int64_t i, double x)
{
    const float f = (float)x;
    if (v->dtype == FW_F32)
        ((float *)host)[i] = f;
    else
        ((double *)host)[i] = (double)f;
}

/* Element of filter o that a Dirac has its 1 at: the centre of input channel o. */
static int64_t dirac_at(const fwi_var *v, int64_t o)
{
    const int64_t kh = v->shape.d[1], kw = v->shape.d[2], c = v->shape.d[3];
    return o * kh * kw * c + ((kh - 1) / 2 * kw + (kw - 1) / 2) * c + o;
}

/* The first filters become copies of one input channel each. */
static void put_dirac(const fwi_var *v, void *host)
{
    const int64_t oc = v->shape.d[0], c = v->shape.d[3], n = fwi_shape_elems(&v->shape) / oc;
    for (int64_t o = 0; o < oc && o < c; o++)
        for (int64_t i = o * n; i < (o + 1) * n; i++)
            put_value(v, host, i, i == dirac_at(v, o) ? 1 : 0);
}

/* Mean and deviation of the sample. */
static void moments_of(const fwi_var *v, const void *host, double *mean, double *deviation)
{
    const int64_t n = fwi_shape_elems(&v->shape);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += value_at(v, host, i);
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double d = value_at(v, host, i) - *mean;
        squares += d * d;
    }
    *deviation = sqrt(squares / (double)(n - 1));
}

static void divide_by_deviation(const fwi_var *v, void *host)
{
    double mean, deviation;
    moments_of(v, host, &mean, &deviation);
    for (int64_t i = 0; i < fwi_shape_elems(&v->shape) && deviation > 0; i++)
        put_value(v, host, i, value_at(v, host, i) / deviation);
}

/* Adds the Dirac's ones, then brings mean and deviation back to what they were. */
static void add_dirac(const fwi_var *v, void *host)
{
    double mean, deviation, new_mean, new_deviation;
    moments_of(v, host, &mean, &deviation);
    for (int64_t o = 0; o < v->shape.d[0] && o < v->shape.d[3]; o++)
        put_value(v, host, dirac_at(v, o), value_at(v, host, dirac_at(v, o)) + 1);
    moments_of(v, host, &new_mean, &new_deviation);
    const double scale = new_deviation > 0 ? deviation / new_deviation : 1;
    for (int64_t i = 0; i < fwi_shape_elems(&v->shape); i++)
        put_value(v, host, i, mean + (value_at(v, host, i) - new_mean) * scale);
}

typedef struct drawing {
    const fwi_var *v;
    uint64_t seed;
    uint32_t pass;
    void *host;
} drawing;

enum { DRAWN_AT_ONCE = 4096 }; /* elements; whole blocks of 4 */

/* Element i of a variable: word i % 4 of the block (seed, INIT, name, i / 4) names it, so that a
 * variable starts the same whatever else the model holds, and on any number of threads. */
static void draw_some(void *arg, int64_t task, int slot)
{
    (void)slot;
    const drawing *const d = arg;
    const fwi_var *const v = d->v;
    void *const host = d->host;
    const int64_t first = task * DRAWN_AT_ONCE, all = fwi_shape_elems(&v->shape),
                  n = all - first < DRAWN_AT_ONCE ? all : first + DRAWN_AT_ONCE;
    const fwi_init_kind kind = v->init.kind;
    const bool zero = fwi_init_is_data(kind) || kind == FWI_INIT_IDENTITY || kind == FWI_INIT_COPY;
    const bool drawn = kind != FWI_INIT_CONST && !zero;
    const double a = zero ? 0 : v->init.a, b = v->init.b;
    for (int64_t i = first; i < n; i += 4) {
        uint32_t words[4] = {0};
        double x[4] = {a, a, a, a};
        if (drawn)
            fwi_rng_block(d->seed, FWI_RNG_INIT, d->pass, (uint64_t)(i / 4), 0, words);
        if (kind == FWI_INIT_NORMAL) {
            fwi_normal4(words, x);
            for (int j = 0; j < 4; j++)
                x[j] = a + b * x[j];
        } else if (drawn) {
            for (int j = 0; j < 4; j++)
                x[j] = a + (b - a) * fwi_unit(words[j]);
        }
        for (int64_t j = 0; j < 4 && i + j < n; j++)
            put_value(v, host, i + j, x[j]);
    }
}

static void init_values(const fwi_var *v, uint64_t seed, fwi_pool *pool, void *host)
{
    const fwi_init_kind kind = v->init.kind;
    drawing d = {.v = v, .seed = seed, .pass = fwi_fnv1a(v->name), .host = host};
    fwi_pool_for(pool, (fwi_shape_elems(&v->shape) + DRAWN_AT_ONCE - 1) / DRAWN_AT_ONCE, draw_some,
                 &d);
    if (kind == FWI_INIT_DIRAC || kind == FWI_INIT_IDENTITY)
        put_dirac(v, host);
    else if (kind == FWI_INIT_DIRAC_ADDED)
        add_dirac(v, host);
    else if (kind == FWI_INIT_UNIT_STD)
        divide_by_deviation(v, host);
}

fw_status fwi_store_init(fwi_store *s, uint64_t seed)
{
    size_t most = 0;
    for (int i = 0; i < s->n_vars; i++) {
        const fwi_var *v = &s->vars[i];
        if (v->dtype != FW_F32 && v->dtype != FW_F64)
            return fwi_fail(FW_ESHAPE, "variable %s: %s has no initial values", v->name,
                            fw_dtype_name(v->dtype));
        if (v->bytes > most)
            most = v->bytes;
    }
    void *host = fwi_alloc(most);
    if (host == NULL)
        return FW_ENOMEM;
    fw_status st = FW_OK;
    for (int i = 0; i < s->n_vars && st == FW_OK; i++) {
        const fwi_var *const v = &s->vars[i];
        init_values(v, seed, s->device->pool, host);
        st = fwi_store_write(s, v, host);
    }
    fwi_free(host);
    return st == FW_OK ? fwi_store_init_copies(s) : st;
}

fw_status fwi_store_init_copies(fwi_store *s)
{
    fwi_buf host = {0};
    fw_status st = FW_OK;
    for (int i = 0; i < s->n_vars && st == FW_OK; i++) {
        const fwi_var *const v = &s->vars[i], *const average = fwi_store_average(s, v);
        if (average == NULL)
            continue;
        st = fwi_buf_reserve(&host, v->bytes);
        if (st == FW_OK)
            st = fwi_store_read(s, v, host.data);
        if (st == FW_OK)
            st = fwi_store_write(s, average, host.data);
    }
    fwi_buf_clear(&host);
    return st;
}

const fwi_var *fwi_store_average(const fwi_store *s, const fwi_var *v)
{
    for (int i = 0; i < s->n_vars; i++) {
        const fwi_var *const a = &s->vars[i];
        const size_t n = a->init.kind == FWI_INIT_COPY ? fwi_average_of(a->name) : 0;
        if (n > 0 && strncmp(a->name, v->name, n) == 0 && v->name[n] == 0)
            return a;
    }
    return NULL;
}

const fwi_var *fwi_store_find(const fwi_store *s, const char *name)
{
    for (int i = 0; i < s->n_vars; i++) {
        if (strcmp(s->vars[i].name, name) == 0)
            return &s->vars[i];
    }
    return NULL;
}

fw_status fwi_store_read(const fwi_store *s, const fwi_var *v, void *host)
{
    return s->device->backend->download(s->device, host, v->data, v->bytes);
}

fw_status fwi_store_write(fwi_store *s, const fwi_var *v, const void *host)
{
    return s->device->backend->upload(s->device, v->data, host, v->bytes);
}

fw_status fwi_store_read_grad(const fwi_store *s, const fwi_var *v, void *host)
{
    if (!v->trainable)
        return fwi_fail(FW_EARG, "variable %s: it is not trained and has no gradient", v->name);
    return s->device->backend->download(s->device, host, (uint8_t *)s->grads + v->grad_offset,
                                        v->bytes);
}
