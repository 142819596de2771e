/* t_graph.h: what the tests of this room share: building small graphs in one line each, counting
 * ops, and asking for a message. */
#ifndef T_GRAPH_H
#define T_GRAPH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ir.h"

#define T_COUNT(a)   ((int)(sizeof(a) / sizeof *(a)))
#define T_SHAPE(...) t_shape(T_COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[]){__VA_ARGS__})

static inline fwi_shape t_shape(int rank, const int64_t *d)
{
    fwi_shape s = {.rank = rank};
    for (int i = 0; i < rank && i < FW_MAX_RANK; i++)
        s.d[i] = d[i];
    return s;
}

static inline fwi_graph *t_graph(void)
{
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    return g;
}

/* Inputs and variables with names made from their number: n0, n1, ... */
static inline const char *t_next_name(const fwi_graph *g, char name[16])
{
    snprintf(name, 16, "n%d", g->n_tensors);
    return name;
}

static inline fwi_val t_in(fwi_graph *g, fw_dtype t, fwi_shape s)
{
    char name[16];
    return fwi_graph_input(g, t_next_name(g, name), t, s);
}

static inline fwi_val t_x(fwi_graph *g, fwi_shape s) /* a real input */
{
    return t_in(g, g->real, s);
}

static inline fwi_val t_var(fwi_graph *g, fwi_shape s) /* a trainable variable */
{
    char name[16];
    return fwi_graph_var(g, t_next_name(g, name), FWI_VAR_DENSE, true, s, (fwi_init){0});
}

static inline fwi_val t_stat(fwi_graph *g, fwi_shape s)
{
    char name[16];
    return fwi_graph_var(g, t_next_name(g, name), FWI_VAR_STAT, false, s, (fwi_init){0});
}

static inline void t_ok(const fwi_graph *g)
{
    if (fwi_graph_status(g) != FW_OK)
        fail_msg("%s", fw_last_error());
}

static inline void t_is_shape(const fwi_graph *g, fwi_val v, fw_dtype t, fwi_shape s)
{
    t_ok(g);
    assert_true(v >= 0 && v < g->n_tensors);
    assert_int_equal(g->tensors[v].dtype, t);
    if (!fwi_shape_equal(&g->tensors[v].shape, &s))
        fail_msg("%%%d has rank %d, dims %lld %lld %lld %lld", v, g->tensors[v].shape.rank,
                 (long long)g->tensors[v].shape.d[0], (long long)g->tensors[v].shape.d[1],
                 (long long)g->tensors[v].shape.d[2], (long long)g->tensors[v].shape.d[3]);
}

/* This thread's message has every word of the list that ends with NULL. */
static inline void t_message_has(const char *word)
{
    if (strstr(fw_last_error(), word) == NULL)
        fail_msg("\"%s\" is not in: %s", word, fw_last_error());
}

/* Expects that the builder refused, with each of the words in its message. */
static inline void t_refused(fwi_graph *g, fw_status st, const char *a, const char *b)
{
    const fw_status got = fwi_graph_status(g);
    if (got != st)
        fail_msg("status %s (%s), expected %s with \"%s\"", fw_status_name(got),
                 got == FW_OK ? "" : fw_last_error(), fw_status_name(st), a);
    t_message_has(a);
    if (b != NULL)
        t_message_has(b);
    fwi_graph_free(g);
}

static inline fwi_val t_op3(fwi_graph *g, fwi_opkind kind, const fwi_attr *a, fwi_val x, fwi_val y,
                            fwi_val z, fwi_val *outs)
{
    const fwi_val in[] = {x, y, z};
    return fwi_graph_op(g, kind, a, in, 3, outs);
}

static inline int t_count(const fwi_graph *g, fwi_opkind kind)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_ops; i++)
        n += g->ops[i].kind == kind;
    return n;
}

static inline const fwi_op *t_producer(const fwi_graph *g, fwi_val v)
{
    assert_true(v >= 0 && v < g->n_tensors);
    assert_true(g->tensors[v].producer >= 0);
    return &g->ops[g->tensors[v].producer];
}

#endif
