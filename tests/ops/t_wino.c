/* t_wino.c: see t_wino.h. */
#include "t_wino.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fwi_pool *pools[T_WINO_WAYS];

static struct {
    const char *name;
    int algo;
    double worst;
    int runs;
} seen[128];

t_wino_shape t_wino_same(int64_t n, int32_t nb, int64_t h, int64_t w, int64_t c, int64_t oc)
{
    return (t_wino_shape){
        .n = n, .nb = nb, .h = h, .w = w, .c = c, .oc = oc, .pt = 1, .pl = 1, .oh = h, .ow = w};
}

fwi_attr t_wino_attr(const t_wino_shape *s, int algo)
{
    return (fwi_attr){.conv = {.kh = 3,
                               .kw = 3,
                               .stride = 1,
                               .pad_t = s->pt,
                               .pad_l = s->pl,
                               .pad_b = s->oh + 2 - s->h - s->pt,
                               .pad_r = s->ow + 2 - s->w - s->pl,
                               .ih = s->h,
                               .iw = s->w,
                               .algo = algo}};
}

int64_t t_wino_side(int algo)
{
    return algo >= FWI_CONV_WINO2 ? algo - FWI_CONV_WINO2 + 2 : 0;
}

int t_wino_rows(fw_dtype dtype, int algo)
{
    const bool pairs = dtype == FW_BF16 && algo <= FWI_CONV_WINO4; /* others: of f32 alone */
    if (dtype != FW_BF16 && algo > FWI_CONV_WINO6)
        return 0;
    return (dtype == FW_BF16 ? 0 : 1) + (fwi_isa_supported(FWI_ISA_AVX2) ? 1 : 0) +
           (fwi_isa_supported(FWI_ISA_AVX512) ? 1 : 0) +
           (pairs && fwi_isa_supported(FWI_ISA_AVX512_BF16) ? 1 : 0);
}

/* ---- numbers ---- */

uint16_t t_to_bf16(double v)
{
    const float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)((u + 0x7FFFU + (u >> 16 & 1U)) >> 16);
}

double t_from_bf16(uint16_t v)
{
    const uint32_t u = (uint32_t)v << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

double *t_wino_numbers(int64_t n, fw_dtype dtype, t_fill fill)
{
    double *v = t_must(malloc((size_t)n * sizeof *v));
    for (int64_t i = 0; i < n; i++) {
        double d = fill == T_INTS ? (double)(t_below(7) - 3) : t_normal();
        if (fill == T_POSITIVE)
            d = d < 0 ? 0 : d; /* as after a ReLU */
        v[i] = dtype == FW_BF16 ? t_from_bf16(t_to_bf16(d)) : (double)(float)d;
    }
    return v;
}

/* ---- memory ---- */

uint8_t *t_guarded(size_t bytes, size_t elem, bool odd)
{
    return t_fenced_new(bytes, odd ? elem : 0).data;
}

void t_check_guards(void *p, size_t bytes)
{
    t_fenced f = t_fenced_of(p, bytes);
    assert_true(t_fenced_intact(&f));
    t_fenced_free(&f);
}

size_t t_stored_bytes(const fwi_arg *a)
{
    return (size_t)fwi_stored_elems(&a->shape, a->nb) * fw_dtype_size(a->dtype);
}

int64_t t_stored_at(const fwi_arg *a, int64_t j)
{
    const int64_t c = a->shape.d[3], places = a->shape.d[1] * a->shape.d[2];
    const int64_t image = j / c / places;
    return ((image / a->nb * places + j / c % places) * a->nb + image % a->nb) * c + j % c;
}

uint8_t *t_wino_images(const double *v, const fwi_arg *a, bool odd)
{
    uint8_t *const p = t_guarded(t_stored_bytes(a), fw_dtype_size(a->dtype), odd);
    for (int64_t j = 0; j < fwi_shape_elems(&a->shape); j++)
        if (a->dtype == FW_BF16)
            ((uint16_t *)(void *)p)[t_stored_at(a, j)] = t_to_bf16(v[j]);
        else
            ((float *)(void *)p)[t_stored_at(a, j)] = (float)v[j];
    return p;
}

/* ---- rows and verdicts ---- */

fwi_pool *t_wino_pool(int way)
{
    return pools[way];
}

const fwi_kernel *t_wino_row(fwi_isa isa, const fwi_call *c)
{
    const fwi_op_table *const table = fwi_cpu_table(isa), *from = NULL;
    if (table == NULL || !fwi_isa_supported(isa))
        return NULL;
    const fwi_kernel *const k = fwi_table_find(table, c, &from);
    return k != NULL && from == table && strstr(k->name, "winograd") != NULL ? k : NULL;
}

void t_wino_say(const t_wino_shape *s, int algo, const char *kernel, char *text, size_t cap)
{
    snprintf(text, cap, "--seed %llu: %s F%lld n%lld nb%d %lldx%lld c%lld oc%lld pad %lld %lld",
             (unsigned long long)t_seed, kernel, (long long)t_wino_side(algo), (long long)s->n,
             (int)s->nb, (long long)s->h, (long long)s->w, (long long)s->c, (long long)s->oc,
             (long long)s->pt, (long long)s->pl);
}

void t_wino_note(const char *kernel, int algo, double error)
{
    int i = 0;
    while (seen[i].name != NULL && (seen[i].algo != algo || strcmp(seen[i].name, kernel) != 0))
        i++;
    assert_true(i + 1 < T_COUNT(seen));
    seen[i].name = kernel;
    seen[i].algo = algo;
    seen[i].runs++;
    seen[i].worst = fmax(seen[i].worst, error);
}

int t_wino_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n)
{
    (void)setenv("FENWICKS_OVERSUBSCRIBE", "1", 1); /* 9 threads on whatever machine */
    if (fwi_pool_new(&pools[1], 2) != FW_OK || fwi_pool_new(&pools[2], 9) != FW_OK) {
        fprintf(stderr, "%s: %s\n", name, fw_last_error());
        return 1;
    }
    const int failed = t_main(argc, argv, name, tests, n);
    for (int i = 0; seen[i].name != NULL; i++)
        printf("%-48s F%lld %5d runs, worst %.3g\n", seen[i].name,
               (long long)t_wino_side(seen[i].algo), seen[i].runs, seen[i].worst);
    fwi_pool_free(pools[1]);
    fwi_pool_free(pools[2]);
    return failed;
}
