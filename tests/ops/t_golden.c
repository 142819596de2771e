/* t_golden.c: see t_golden.h. */
#include "t_golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "t_device.h"
#include "worse.h"

/* ---- files ---- */

static json_t *loaded;

static void release(void)
{
    json_decref(loaded);
}

const json_t *t_golden(const char *name)
{
    if (loaded != NULL)
        return loaded;
    char path[512];
    json_error_t e;
    const char *const source = getenv("FW_SOURCE_DIR"); /* of a build that was carried elsewhere */
    snprintf(path, sizeof path, "%s/tests/golden/%s.json", source != NULL ? source : FW_SOURCE_DIR,
             name);
    loaded = json_load_file(path, 0, &e);
    if (loaded == NULL)
        fail_msg("%s: %s", path, e.text);
    atexit(release);
    return loaded;
}

static double number(const json_t *v)
{
    assert_true(json_is_number(v));
    return json_number_value(v);
}

double t_number(const json_t *object, const char *key)
{
    return number(json_object_get(object, key));
}

double t_number_at(const json_t *list, size_t i)
{
    return number(json_array_get(list, i));
}

/* ---- draws ---- */

static uint32_t word_at(uint64_t seed, uint32_t pass, int64_t i)
{
    uint32_t w[4];
    fwi_rng_block(seed, FWI_RNG_TEST, pass, (uint64_t)i / 4, 0, w);
    return w[i % 4];
}

void t_golden_draw(uint64_t seed, uint32_t pass, int64_t n, fw_dtype real, void *out)
{
    for (int64_t i = 0; i < n; i++) {
        const float v = (float)(2 * sqrt(3) * (fwi_unit(word_at(seed, pass, i)) - 0.5));
        if (real == FW_F64)
            ((double *)out)[i] = (double)v;
        else
            ((float *)out)[i] = v;
    }
}

void t_golden_labels(uint64_t seed, uint32_t pass, int64_t n, uint32_t classes, int32_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (int32_t)fwi_below(word_at(seed, pass, i), classes);
}

/* ---- summaries ---- */

double t_golden_summary(const fwi_store *s, const json_t *want, bool gradient)
{
    enum { VECTORS = 8 };
    const fwi_var *v = fwi_store_find(s, json_string_value(json_object_get(want, "name")));
    assert_non_null(v);
    void *raw = malloc(v->bytes);
    assert_non_null(raw);
    t_require(gradient ? fwi_store_read_grad(s, v, raw) : fwi_store_read(s, v, raw));
    double dot[VECTORS] = {0}, squares = 0, sum = 0;
    uint32_t w[VECTORS][4];
    for (int64_t i = 0; i < fwi_shape_elems(&v->shape); i++) {
        const double x = v->dtype == FW_F64 ? ((double *)raw)[i] : (double)((float *)raw)[i];
        squares += x * x;
        for (uint32_t k = 0; k < VECTORS; k++) {
            if (i % 4 == 0)
                fwi_rng_block(2, FWI_RNG_TEST, 100 + k, (uint64_t)i / 4, 0, w[k]);
            dot[k] += w[k][i % 4] % 2 == 0 ? x : -x;
        }
    }
    free(raw);
    const double norm = t_number(want, "norm");
    for (size_t k = 0; k < VECTORS; k++)
        sum += pow(dot[k] - t_number_at(json_object_get(want, "dots"), k), 2);
    return t_worse(sqrt(sum / VECTORS) / norm, fabs(sqrt(squares) - norm) / norm);
}

/* ---- one variable ---- */

void t_mover_init(t_mover *m, const char *device, fw_dtype real, const fwi_optim *o,
                  fwi_shape shape, uint64_t seed, uint32_t pass)
{
    fwi_graph *g = NULL;
    *m = (t_mover){.real = real, .n = fwi_shape_elems(&shape)};
    m->device = t_device_open(device, &(fwi_device_opt){.threads = 1});
    t_require(fwi_graph_new(&g, real));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, shape, (fwi_init){0});
    const fwi_val grad = fwi_graph_input(g, "grad", real, shape);
    t_require(fwi_optim_append(o, g, &w, &grad, 1));
    t_require(fwi_store_new(&m->store, m->device, (const fwi_graph *const *)&g, 1));
    t_require(fwi_store_init(m->store, 1));
    t_require(fwi_plan_new(&m->plan, m->device, m->store, g));
    t_require(m->device->backend->alloc(m->device, fwi_plan_scratch_bytes(m->plan), &m->scratch));
    fwi_graph_free(g);
    m->w = fwi_store_find(m->store, "w");
    assert_non_null(m->w);
    void *raw = malloc(m->w->bytes);
    assert_non_null(raw);
    t_golden_draw(seed, pass, m->n, real, raw);
    t_require(fwi_store_write(m->store, m->w, raw));
    t_require(fwi_store_init_copies(m->store)); /* an average starts at w */
    free(raw);
}

void t_mover_clear(t_mover *m)
{
    m->device->backend->release(m->device, m->scratch, fwi_plan_scratch_bytes(m->plan));
    fwi_plan_free(m->plan);
    fwi_store_free(m->store);
    fwi_device_close(m->device);
}

void t_mover_step(const t_mover *m, const fwi_optim *o, int64_t step, const void *grad)
{
    double row[FWI_MAX_COLUMNS];
    fwi_optim_row(o, step, row);
    fwi_binding b = {.scratch = m->scratch};
    b.inputs[fwi_plan_input(m->plan, "grad")] = grad;
    b.inputs[fwi_plan_input(m->plan, "hyper")] = row;
    t_require(fwi_plan_run(m->plan, &b));
}

static void read_var(const t_mover *m, const fwi_var *v, double *out)
{
    assert_non_null(v);
    void *raw = malloc(v->bytes);
    assert_non_null(raw);
    t_require(fwi_store_read(m->store, v, raw));
    for (int64_t i = 0; i < m->n; i++)
        out[i] = m->real == FW_F64 ? ((double *)raw)[i] : (double)((float *)raw)[i];
    free(raw);
}

void t_mover_read(const t_mover *m, double *out)
{
    read_var(m, m->w, out);
}

/* The gradient of a case whose gradients have a scale, in place. */
static void scale_by(const json_t *c, const t_mover *m, double *grad)
{
    if (json_object_get(c, "scale") == NULL)
        return;
    const double by = t_number(c, "scale"); /* a power of two */
    for (int64_t i = 0; i < m->n; i++)
        if (m->real == FW_F64)
            grad[i] *= by;
        else
            ((float *)grad)[i] *= (float)by;
}

/* The distance of a case's average from what its list has after these steps; 0: no list. */
static double average_error(const json_t *c, const t_mover *m, const char *key, double *w)
{
    const json_t *const want = json_object_get(json_object_get(c, "average"), key);
    double off = 0;
    if (want == NULL)
        return 0;
    assert_int_equal(json_array_size(want), m->n);
    read_var(m, fwi_store_average(m->store, m->w), w);
    for (int64_t i = 0; i < m->n; i++)
        off += pow(w[i] - t_number_at(want, (size_t)i), 2);
    return sqrt(off);
}

enum { MAX_STEPS = 64 };

fw_schedule t_golden_rate(const json_t *c)
{
    double knots[MAX_STEPS], rates[MAX_STEPS];
    const json_t *const list = json_object_get(c, "rate");
    const size_t n = json_array_size(list);
    assert_in_range(n, 1, MAX_STEPS);
    for (size_t s = 0; s < n; s++) {
        knots[s] = (double)s;
        rates[s] = t_number_at(list, s);
    }
    return fw_piecewise_lr((int32_t)n, knots, rates);
}

static void steps_on(const char *device, const json_t *c, const fwi_optim *o, fw_dtype real,
                     fwi_shape shape, uint64_t seed, uint32_t first, double bound)
{
    const json_t *const norms = json_object_get(c, "norm");
    double worst = 0;
    int compared = 0;
    t_mover m;
    t_mover_init(&m, device, real, o, shape, seed, first - 1);
    double *grad = malloc((size_t)m.n * sizeof *grad), *w = malloc((size_t)m.n * sizeof *w);
    assert_non_null(grad);
    assert_non_null(w);
    for (size_t step = 0; step < json_array_size(norms); step++) {
        char key[24];
        double ww = 0, off = 0;
        t_golden_draw(seed, first + (uint32_t)step, m.n, real, grad);
        scale_by(c, &m, grad);
        t_mover_step(&m, o, (int64_t)step, grad);
        t_mover_read(&m, w);
        snprintf(key, sizeof key, "%zu", step + 1);
        const json_t *const after = json_object_get(json_object_get(c, "after"), key);
        if (after != NULL)
            assert_int_equal(json_array_size(after), m.n);
        for (int64_t i = 0; i < m.n; i++) {
            ww += w[i] * w[i];
            off += after != NULL ? pow(w[i] - t_number_at(after, (size_t)i), 2) : 0;
        }
        const double norm = t_number_at(norms, step);
        worst = t_worse(worst, fabs(sqrt(ww) - norm) / norm);
        worst = t_worse(worst, sqrt(off) / norm);
        worst = t_worse(worst, average_error(c, &m, key, w) / norm);
        compared += after != NULL;
    }
    assert_int_equal(compared, 3);
    const char *const name = json_string_value(json_object_get(c, "name"));
    printf("%-28s %s %s error %.2e, bound %.0e\n", name, m.device->label, fw_dtype_name(real),
           worst, bound);
    if (!(worst <= bound))
        fail_msg("%s is off by %g", name, worst);
    free(grad);
    free(w);
    t_mover_clear(&m);
}

void t_golden_steps(const json_t *c, const fwi_optim *o, fw_dtype real, fwi_shape shape,
                    uint64_t seed, uint32_t first, double bound)
{
    steps_on(NULL, c, o, real, shape, seed, first, bound);
    if (real == FW_F32 && t_device_asked() != NULL)
        steps_on(t_device_asked(), c, o, real, shape, seed, first, bound);
}
