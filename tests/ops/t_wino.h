/* t_wino.h: what the tests of Winograd's convolutions share: shapes, numbers that are exact in their
 * type, guarded memory full of NaN, batch-blocked images, the pools a kernel must give the same bits
 * on, and the worst errors seen. Read before: t_ops.h. */
#ifndef T_WINO_H
#define T_WINO_H

#include "t_fence.h"
#include "t_ops.h"

/* A 3 x 3 convolution with stride 1; nb: images of a block. */
typedef struct t_wino_shape {
    int64_t n, h, w, c, oc, pt, pl, oh, ow;
    int32_t nb;
} t_wino_shape;
/* With one line of padding on each side. */
t_wino_shape t_wino_same(int64_t n, int32_t nb, int64_t h, int64_t w, int64_t c, int64_t oc);
fwi_attr t_wino_attr(const t_wino_shape *s, int algo);
int64_t t_wino_side(int algo); /* of its squares of outputs: 2 to 7; else 0 */

uint16_t t_to_bf16(double v);
double t_from_bf16(uint16_t v);
/* n numbers that are exact in dtype. Caller frees. */
double *t_wino_numbers(int64_t n, fw_dtype dtype, t_fill fill);

/* Memory full of NaN (0xFF) with guards around it; odd: aligned to its elements alone. */
uint8_t *t_guarded(size_t bytes, size_t elem, bool odd);
void t_check_guards(void *p, size_t bytes); /* and frees it */

size_t t_stored_bytes(const fwi_arg *a);
int64_t t_stored_at(const fwi_arg *a, int64_t j); /* where element j of n h w c lies in blocks */
/* v as `a` describes it, guarded; padding images are NaN. */
uint8_t *t_wino_images(const double *v, const fwi_arg *a, bool odd);

enum { T_WINO_WAYS = 3 }; /* inline; 2 threads; 5 threads on odd addresses */
fwi_pool *t_wino_pool(int way);

/* The Winograd row that this instruction set has of its own for the call, if the machine runs it. */
const fwi_kernel *t_wino_row(fwi_isa isa, const fwi_call *c);
/* How to have the case again. */
void t_wino_say(const t_wino_shape *s, int algo, const char *kernel, char *text, size_t cap);
void t_wino_note(const char *kernel, int algo, double error); /* for the list at the end */
/* How many instruction sets of this machine have rows of their own for images of this type; filters'
 * gradients have none for F7. */
int t_wino_rows(fw_dtype dtype, int algo);

/* t_main with the pools made before and the list of errors printed after it. */
int t_wino_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n);

#endif
