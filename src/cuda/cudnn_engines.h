/* cudnn_engines.h: making a plan usable: an engine for its convolution, as cuDNN is asked for it. Read before:
 * cudnn_conv.h. */
#ifndef FWI_CUDNN_ENGINES_H
#define FWI_CUDNN_ENGINES_H

#include "cudnn_conv.h"

/* The stored choice if there is one, else the first that is allowed: p->usable, or p->why. each not NULL: every
 * one that is allowed is shown to it, and none is kept. The lock is held. */
fw_status fwi_cudnn_build(fwi_cuda_libs *l, fwi_cudnn_plan *p, fwi_cudnn_each each, void *user);

#endif
