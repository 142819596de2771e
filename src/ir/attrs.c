/* attrs.c: the fields of every attribute struct, as tables, so that printing, parsing and comparing
 * need no code per op. ops.def says which struct an op has; a struct without a table here is a
 * build error, and so is a field that a table forgot. Read before: ir.h. Next: print.c, parse.c. */
#include "ir_rules.h"

#include <assert.h>
#include <string.h>

/* A table: FIELDS lists them with I (int64_t) and D (double). */
#define I(s, f)                                                                                    \
    {                                                                                              \
#f, offsetof(fwi_##s##_attr, f), false                                                     \
    }
#define D(s, f)                                                                                    \
    {                                                                                              \
#f, offsetof(fwi_##s##_attr, f), true                                                      \
    }
#define TABLE(s, ...)                                                                              \
    static const fwi_attr_field s##_fields[] = {__VA_ARGS__};                                      \
    static_assert(sizeof s##_fields / sizeof *s##_fields * 8 == sizeof(fwi_##s##_attr),            \
                  "a field of fwi_" #s "_attr is missing in its table")

TABLE(conv, I(conv, kh), I(conv, kw), I(conv, stride), I(conv, pad_t), I(conv, pad_l),
      I(conv, pad_b), I(conv, pad_r), I(conv, ih), I(conv, iw), I(conv, algo));
TABLE(matmul, I(matmul, ta), I(matmul, tb));
TABLE(bn, D(bn, eps), I(bn, groups), D(bn, update), I(bn, count));
TABLE(act, I(act, fn), D(act, alpha));
TABLE(pool, I(pool, k), I(pool, stride), I(pool, ih), I(pool, iw));
TABLE(pool_stats, I(pool_stats, k), I(pool_stats, stride), I(pool_stats, ih), I(pool_stats, iw),
      I(pool_stats, groups));
TABLE(stats, I(stats, groups));
TABLE(image, I(image, h), I(image, w), I(image, ih), I(image, iw));
TABLE(scalar, D(scalar, value));
TABLE(slice, I(slice, begin), I(slice, len));
TABLE(shape, I(shape, rank), I(shape, d0), I(shape, d1), I(shape, d2), I(shape, d3));
TABLE(fill, I(fill, rank), I(fill, d0), I(fill, d1), I(fill, d2), I(fill, d3), I(fill, dtype),
      D(fill, value));
TABLE(cast, I(cast, dtype));
TABLE(dropout, D(dropout, p), I(dropout, ordinal));
TABLE(xent, D(xent, smoothing), I(xent, mean));
TABLE(optim, D(optim, momentum), D(optim, beta1), D(optim, beta2), D(optim, eps), I(optim, form),
      I(optim, lr_col), I(optim, wd_col), I(optim, bc_col));
TABLE(muon, D(muon, momentum), D(muon, a), D(muon, b), D(muon, c), D(muon, renorm_eps),
      I(muon, steps), I(muon, lr_col), I(muon, wd_col), I(muon, rn_col), I(muon, xn_col),
      I(muon, narrow));
TABLE(average, I(average, on_col), I(average, decay_col), I(average, copy_back));
TABLE(layout, I(layout, nb), I(layout, dtype));
TABLE(bn_act, D(bn_act, eps), I(bn_act, fn), D(bn_act, alpha), I(bn_act, k), I(bn_act, ih),
      I(bn_act, iw));

typedef struct attr_type {
    const fwi_attr_field *fields;
    int n;
} attr_type;

enum { /* how many fields; none has none */
       N_none = 0,
#define COUNT(s) N_##s = (int)(sizeof s##_fields / sizeof *s##_fields)
       COUNT(conv),
       COUNT(matmul),
       COUNT(bn),
       COUNT(act),
       COUNT(pool),
       COUNT(pool_stats),
       COUNT(stats),
       COUNT(image),
       COUNT(scalar),
       COUNT(slice),
       COUNT(shape),
       COUNT(fill),
       COUNT(cast),
       COUNT(dropout),
       COUNT(xent),
       COUNT(optim),
       COUNT(muon),
       COUNT(average),
       COUNT(layout),
       COUNT(bn_act)
};
#define none_fields NULL

static const attr_type types[FWI_OP_COUNT] = {
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test)                                   \
    [FWI_OP_##name] = {attr##_fields, N_##attr},
#include "ops.def"
#undef FW_OP
};

const fwi_attr_field *fwi_attr_fields(fwi_opkind kind, int *n)
{
    *n = types[kind].n;
    return types[kind].fields;
}

int64_t fwi_attr_int(const fwi_attr *a, const fwi_attr_field *f)
{
    int64_t v = 0;
    memcpy(&v, (const char *)a + f->offset, sizeof v);
    return v;
}

double fwi_attr_double(const fwi_attr *a, const fwi_attr_field *f)
{
    double v = 0;
    memcpy(&v, (const char *)a + f->offset, sizeof v);
    return v;
}

void fwi_attr_set_int(fwi_attr *a, const fwi_attr_field *f, int64_t v)
{
    memcpy((char *)a + f->offset, &v, sizeof v);
}

void fwi_attr_set_double(fwi_attr *a, const fwi_attr_field *f, double v)
{
    memcpy((char *)a + f->offset, &v, sizeof v);
}

/* Bit for bit, so that 0.0 and -0.0 differ: fills of the two are not the same fill. */
bool fwi_attr_equal(fwi_opkind kind, const fwi_attr *a, const fwi_attr *b)
{
    return memcmp(a, b, (size_t)types[kind].n * 8) == 0;
}
