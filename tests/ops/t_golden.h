/* t_golden.h: what the tests against golden values share: the files of tests/golden as JSON, numbers
 * in them, the random numbers from which both sides start, summaries of large tensors, and one
 * variable that an optimiser moves step by step. How the files are made: tests/golden/README.md. Read
 * before: t_ops.h. */
#ifndef T_GOLDEN_H
#define T_GOLDEN_H

#include "t_ops.h"

#include <jansson.h>

#include "optim_inner.h"

/* ---- files ---- */

/* tests/golden/<name>.json; a program reads one file, once. Borrowed. */
const json_t *t_golden(const char *name);
double t_number(const json_t *object, const char *key);
double t_number_at(const json_t *list, size_t i);

/* ---- draws, the formulas of scripts/golden ---- */

/* out[i], i < n: f32(2 sqrt(3) (unit - 0.5)), of mean 0 and deviation 1, as floats or doubles. */
void t_golden_draw(uint64_t seed, uint32_t pass, int64_t n, fw_dtype real, void *out);
void t_golden_labels(uint64_t seed, uint32_t pass, int64_t n, uint32_t classes, int32_t *out);

/* ---- tensors too large for a file ---- */

/* How far a variable's value or gradient lies from {name, norm, dots}: the larger of |d| / |x|, as
 * estimated from inner products with vectors of signs, and the difference of the norms. */
double t_golden_summary(const fwi_store *s, const json_t *want, bool gradient);

/* ---- one variable "w", whose gradient is an input ---- */

typedef struct t_mover {
    fwi_device *device;
    fwi_store *store;
    fwi_plan *plan;
    void *scratch;
    const fwi_var *w;
    int64_t n;
    fw_dtype real;
} t_mover;

/* w [shape], drawn by (seed, pass), and one update of it by o. device: NULL: the CPU. */
void t_mover_init(t_mover *m, const char *device, fw_dtype real, const fwi_optim *o,
                  fwi_shape shape, uint64_t seed, uint32_t pass);
void t_mover_clear(t_mover *m);
/* Step `step` of the tables of o; grad [n] in the mover's type. */
void t_mover_step(const t_mover *m, const fwi_optim *o, int64_t step, const void *grad);
void t_mover_read(const t_mover *m, double *out); /* w [n] */

/* The rates of a case, one a step. */
fw_schedule t_golden_rate(const json_t *c);
/* Runs the steps of a case {name, rate, norm, after} from (seed, first - 1) with gradients
 * (seed, first), (seed, first + 1), ..., times its scale if it has one; with {average} the average of
 * w is looked at too; prints how far w was off at most, relative to its norm, and
 * holds it to the bound. On the CPU, and in f32 on the device that is asked for (t_device.h) too. */
void t_golden_steps(const json_t *c, const fwi_optim *o, fw_dtype real, fwi_shape shape,
                    uint64_t seed, uint32_t first, double bound);

#endif
