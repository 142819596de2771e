/* t_case.c: a case's inputs, drawn by (seed, number of the draw). See t_ops.h. */
#include "t_inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t t_seed = 1;
int t_case_number;
static uint64_t draws;

static void words(uint32_t w[4])
{
    fwi_rng_block(t_seed, FWI_RNG_TEST, 0, draws++, 0, w);
}

int64_t t_below(int64_t n)
{
    uint32_t w[4];
    words(w);
    return fwi_below(w[0], (uint32_t)n);
}

double t_normal(void)
{
    static double kept[4];
    static int left;
    static uint64_t at;
    if (left == 0 || at != draws) { /* a draw of another kind drops what is kept */
        uint32_t w[4];
        words(w);
        fwi_normal4(w, kept);
        left = 4;
        at = draws;
    }
    return kept[--left];
}

/* ---- cases ---- */

void *t_must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

void *t_zeros(int64_t n, size_t elem)
{
    return t_must(calloc((size_t)n + 1, elem));
}

void t_begin(t_case *c, fwi_opkind kind, const fwi_attr *attr)
{
    *c = (t_case){.kind = kind};
    if (attr != NULL)
        c->attr = *attr;
    t_case_number++;
}

void t_drop(t_case *c)
{
    for (int i = 0; i < c->n_in; i++)
        free(c->in[i].v);
    for (int r = 0; r < c->n_results; r++) {
        free(c->result[r].want);
        free(c->result[r].tol);
        free(c->result[r].more);
    }
    *c = (t_case){0};
}

static t_input *add_input(t_case *c, fw_dtype dtype, fwi_shape shape)
{
    t_input *in = &c->in[c->n_in++];
    *in = (t_input){.dtype = dtype, .shape = shape, .n = fwi_shape_elems(&shape)};
    in->v = t_zeros(in->n, sizeof *in->v);
    return in;
}

double *t_real(t_case *c, fwi_shape shape, t_fill fill)
{
    t_input *in = add_input(c, FW_F32, shape);
    for (int64_t i = 0; i < in->n; i++) {
        double v = t_normal();
        if (fill == T_SHIFTED)
            v += 3.0;
        else if (fill == T_POSITIVE)
            v = 0.1 + fabs(v);
        else if (fill == T_AWAY)
            v += v < 0 ? -0.05 : 0.05;
        else if (fill == T_INTS)
            v = (double)(t_below(7) - 3);
        in->v[i] = (double)(float)v;
    }
    if (fill == T_SPREAD) { /* the numbers (i - n/2) / 1024, shuffled */
        const int64_t half = in->n / 2;
        for (int64_t i = 0; i < in->n; i++)
            in->v[i] = (double)(i - half) / 1024.0;
        for (int64_t i = in->n - 1; i > 0; i--) {
            const int64_t j = t_below(i + 1);
            const double t = in->v[i];
            in->v[i] = in->v[j];
            in->v[j] = t;
        }
    }
    return in->v;
}

double *t_ints(t_case *c, fw_dtype dtype, fwi_shape shape, int64_t lo, int64_t hi)
{
    t_input *in = add_input(c, dtype, shape);
    for (int64_t i = 0; i < in->n; i++)
        in->v[i] = (double)(lo + t_below(hi - lo + 1));
    return in->v;
}

double *t_values(t_case *c, fw_dtype dtype, fwi_shape shape, const double *v)
{
    t_input *in = add_input(c, dtype, shape);
    for (int64_t i = 0; i < in->n; i++)
        in->v[i] = dtype == FW_F32 ? (double)(float)v[i] : v[i];
    return in->v;
}
