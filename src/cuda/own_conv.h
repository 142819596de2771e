/* own_conv.h: our own convolutions as engines beside cuDNN's: on the tensor cores of Hopper GPUs (wgmma.cu,
 * wgmma_dw.cu) each tile size is one, named "own:128x64x64"; for images of few channels, on any GPU, there is
 * "own:narrow" (narrow.cu). None is taken before cuDNN unless something names it: a choice for that
 * convolution (conv_choices.h), or the environment's FENWICKS_CONV_ENGINE for all of them. No type of CUDA
 * stands here. Read before: exec.h. */
#ifndef FWI_OWN_CONV_H
#define FWI_OWN_CONV_H

#include "exec.h"
#include "tensor_map.h"

enum { FWI_OWN_CONVS = 16 }; /* at most, for one call */
typedef struct fwi_own_conv {
    const char *name;         /* what a choice calls it; under FWI_CONV_ENGINE_NAME bytes */
    const fwi_kernel *kernel; /* its scratch and run take the call, whatever is chosen */
} fwi_own_conv;

/* Every engine of ours that can do a conv2d, conv2d_dx or conv2d_dw (types, shapes, attributes and stream of
 * the call count, not its addresses), and how many; 0 where FENWICKS_CONV_ENGINE is cudnn. Images must be
 * on a boundary of 16 bytes when it runs. For measuring. */
int fwi_own_conv_candidates(const fwi_call *c, fwi_own_conv out[FWI_OWN_CONVS]);

/* ---- for the kernels' files (own_conv.c) ---- */

/* The engine that a row of a table is, by the row's name, whatever is allowed; NULL: it is none of ours. */
const char *fwi_own_conv_engine_of(const fwi_kernel *k);
/* Whether engines of ours may be used; and whether the call's device can run those for Hopper GPUs. */
bool fwi_own_conv_allowed(const fwi_call *c);
bool fwi_own_conv_possible(const fwi_call *c);
/* Whether the engine of this name is what the call is to use. */
bool fwi_own_conv_chosen(const fwi_call *c, const char *name);
fw_status fwi_own_conv_map(const fwi_call *c, fwi_tensor_map *out, const fwi_map_spec *s);

#endif
