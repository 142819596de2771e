/* t_inner.h: what the files behind t_ops.h share: t_case.c (inputs), t_memory.c, t_call.c (a case on one kernel),
 * t_check.c (on all of them), t_ops.c (the program). */
#ifndef T_INNER_H
#define T_INNER_H

#include "t_fence.h"
#include "t_ops.h"

extern int t_case_number;    /* cases begun */
extern fwi_pool *t_pools[3]; /* none, 2 threads, 5 threads */
extern fwi_device *t_device; /* one whose memory is its own: a GPU; NULL: there is none */

typedef struct t_op_stats {
    int64_t cases, results, nonzero;
} t_op_stats;
extern t_op_stats t_stats[FWI_OP_COUNT];

/* ---- t_case.c ---- */
void *t_zeros(int64_t n, size_t elem);

/* ---- t_memory.c ---- */
/* What v becomes when it is stored, and the share of itself that it may be off by then: u_out of
 * rule A14. */
double t_as_stored(fw_dtype dtype, double v);
double t_u_out(fw_dtype dtype);
/* n elements of memory from `at` on, from and into v. */
void t_store(void *data, fw_dtype dtype, int64_t at, int64_t n, const double *v);
void t_load(const void *data, fw_dtype dtype, int64_t at, int64_t n, double *v);

/* ---- t_call.c ---- */
typedef struct t_buffer {
    t_fenced mem;
    void *copy; /* of all that may be touched, on a device */
} t_buffer;
typedef struct t_buffers {
    t_buffer in[FWI_MAX_IN], out[FWI_MAX_OUT], scratch;
} t_buffers;
/* Types and shapes of the call, by the op's shape rule: it also checks that the case is a legal
 * one. */
fwi_call t_infer(const t_case *c, fw_dtype real, fwi_attr *attr);
size_t t_arg_bytes(const fwi_arg *a);
/* Where element j of n lies in memory; returns how many from it on lie together. */
int64_t t_run_of(const fwi_arg *a, int64_t j, int64_t n, int64_t *place);
/* odd: on addresses that are only as aligned as their elements; what a table wants on a boundary of
 * `align` bytes (fwi_op_table) is on that and on no larger one. */
void t_buffers_new(t_buffers *b, const t_case *c, fwi_call *call, size_t scratch, bool odd,
                   int32_t align);
void t_buffers_free(t_buffers *b, const t_case *c);
void t_describe(const t_case *c, char *text, size_t cap);
/* The table's kernel; the test fails where there is none. */
const fwi_kernel *t_find(const t_case *c, const fwi_op_table *table, const fwi_call *call);
void t_reference_run(const t_case *c, double *const *out); /* outputs, then what the op changes */

/* ---- t_check.c ---- */
void t_print_kernels(void); /* each that ran: how often, how near to its tolerance */

#endif
