/* t_ops.h: what the op tests share. A case is one op with attributes and inputs. Its expected
 * results come from the double reference, fed with the inputs as rounded to float; then each kernel
 * that this machine can run, for float and for double, does the same case
 *   - inline, with 2 threads and with 5, on aligned and on odd addresses, in place where the op may
 * be: always with the same bits;
 *   - with outputs and scratch full of NaN and guard bytes behind every buffer;
 * and each result must lie within the case's tolerance. A test program fails too when one of the
 * ops that ops.def gives it ran no case, or when nearly all of an op's expected results were zero.
 * Gradients: t_grad.h. */
#ifndef T_OPS_H
#define T_OPS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends.h"
#include "exec.h"
#include "rng.h"

enum { T_RESULTS = FWI_MAX_OUT + 3 };
#define T_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define T_U            (1.0 / 16777216.0) /* 2^-24: half a unit in the last place of a float near 1 */

/* Under these sanitizers what takes minutes is left out. */
#if defined(__SANITIZE_THREAD__)
#define T_THREADS_BUILD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define T_THREADS_BUILD 1
#elif __has_feature(address_sanitizer)
#define T_SLOW_BUILD 1
#endif
#endif
#ifndef T_THREADS_BUILD
#define T_THREADS_BUILD 0
#endif
#if defined(__SANITIZE_ADDRESS__) || T_THREADS_BUILD
#define T_SLOW_BUILD 1
#endif
#ifndef T_SLOW_BUILD
#define T_SLOW_BUILD 0
#endif
/* Of n random cases, those that such a build has time for. */
#define T_RANDOM(n) (T_THREADS_BUILD ? ((n) + 7) / 8 : T_SLOW_BUILD ? ((n) + 5) / 6 : (n))

/* Runs the tests and then the checks on the program as a whole; gives main's exit status. name:
 * "test_conv2d", as in ops.def. Understands --seed N. */
int t_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n);

void t_require(fw_status st); /* FW_OK, or the test fails with this thread's message */
void *t_must(void *p);        /* p; NULL ends the program */

extern uint64_t t_seed;
/* Uniform in [0, n) and normal numbers, by (seed, the number of draws so far). */
int64_t t_below(int64_t n);
double t_normal(void);

typedef struct t_input {
    fw_dtype dtype;
    fwi_shape shape;
    int64_t n;
    double *v; /* values; exact in the input's type */
} t_input;

typedef struct t_result { /* an output, or an input that the op changes */
    fw_dtype dtype;       /* in the float run */
    fwi_shape shape;
    int64_t n;
    double *want;
    double *tol;  /* per element; 0: the float nearest to want */
    double *more; /* per element, or NULL: added where images are stored as bf16; see t_more */
} t_result;

typedef struct t_case {
    fwi_opkind kind;
    fwi_attr attr;
    int n_in, n_results;
    bool float_only; /* no kernels in double, where the reference rounds as much as they do */
    t_input in[FWI_MAX_IN];
    t_result result[T_RESULTS]; /* the outputs, then the inputs that the op changes */
} t_case;

/* attr may be NULL. A case ends with t_check or t_drop, which release what it holds. */
void t_begin(t_case *c, fwi_opkind kind, const fwi_attr *attr);
void t_drop(t_case *c);

/* Inputs, in order. */
typedef enum t_fill {
    T_NORMAL,   /* mean 0, deviation 1 */
    T_SHIFTED,  /* mean 3, deviation 1: sums that do not cancel */
    T_POSITIVE, /* 0.1 and more */
    T_AWAY,     /* 0.05 or more away from 0: for kinks there */
    T_SPREAD,   /* all different, by 2^-10 at least: no ties for a maximum */
    T_INTS      /* whole numbers from -3 to 3: sums of products are exact */
} t_fill;
double *t_real(t_case *c, fwi_shape shape, t_fill fill);
double *t_ints(t_case *c, fw_dtype dtype, fwi_shape shape, int64_t lo, int64_t hi); /* lo..hi */
double *t_values(t_case *c, fw_dtype dtype, fwi_shape shape, const double *v);

/* Runs the double reference and fills in the results, with tolerances of 0. Call after the last
 * input; then set tolerances, if any. */
void t_expect(t_case *c);

/* Tolerance of docs/numerics.md for ops that are linear in their inputs (each result a sum of
 * products): 2 u sqrt(k) sum|terms| + u |want|, with k terms; sum|terms| is what the reference
 * gives for the inputs' absolute values. */
void t_tol_linear(t_case *c, int64_t k);
/* scale * u * |want| + floor on result r */
void t_tol_relative(t_case *c, int r, double scale, double floor);

/* Room for result r's `more`, zeros: what functions that are shortened for bf16 storage may be off
 * by. */
double *t_more(t_case *c, int r);

/* Every kernel, as described above; releases the case. */
void t_check(t_case *c);

/* The engines of our own for convolutions on GPUs (own_conv.h) alone, each that fits, for images in bf16
 * and f16; how many kernels ran. Releases the case. */
int t_check_own_convs(t_case *c);
int t_own_convs_on_gpu(void); /* how often one of them ran there */

/* The double reference alone, on values: out[r] as wide as the r-th output. For tests that state a
 * formula of their own. */
void t_reference(const t_case *c, double *const *out);

#endif
