/* cuda_own_conv.h: what the files of our own engines for convolutions share: whether one may be used, whether
 * one was chosen, and the lists of their names, which own_engines.cu goes through. Read before: own_conv.h,
 * cuda_kernel.h. Read next: cuda_conv_tiles.h and wgmma.cu, or narrow.cu. */
#ifndef FWI_CUDA_OWN_CONV_H
#define FWI_CUDA_OWN_CONV_H

#include "cuda_kernel.h"

extern "C" {
#include "own_conv.h"
}

namespace fwi_cuda
{

/* Whether the call's device lets engines of ours be used at all. */
static inline bool allowed(const fwi_call *c)
{
#if defined(FWI_CUDA_EMULATED)
    (void)c;
    return true;
#else
    return fwi_own_conv_allowed(c);
#endif
}
/* Whether a kernel for Hopper GPUs is in this build, and the call's device is one. */
static inline bool possible(const fwi_call *c)
{
#if defined(FWI_CUDA_EMULATED)
    (void)c;
    return true;
#elif defined(FWI_CUDA_HAS_90A)
    return fwi_own_conv_possible(c);
#else
    (void)c;
    return false;
#endif
}
static inline bool chosen(const fwi_call *c, const char *name)
{
#if defined(FWI_CUDA_EMULATED)
    (void)c, (void)name;
    return false;
#else
    return fwi_own_conv_chosen(c, name);
#endif
}

/* The engine of each row of a list: its name, and what it can do whether or not it is chosen. */
struct engine {
    const char *name;
    bool (*fits)(const fwi_call *c);
};

#ifdef FWI_CUDA_EMULATED
#define FWI_OWN_ENGINES(family) emulated_engines_##family
#define FWI_OWN_CANDIDATES      fwi_emulated_own_conv_candidates
#define FWI_OWN_ENGINE_OF       fwi_emulated_own_conv_engine_of
#else
#define FWI_OWN_ENGINES(family) engines_##family
#define FWI_OWN_CANDIDATES      fwi_own_conv_candidates
#define FWI_OWN_ENGINE_OF       fwi_own_conv_engine_of
#endif

/* A family: its rows, which take a call where their engine was chosen, and their engines in the same order. */
#define FWI_OWN_FAMILY(family)                                                                     \
    extern const engine FWI_OWN_ENGINES(family)[];                                                 \
    extern "C" const fwi_kernel FWI_CUDA_ROWS(family)[];
FWI_OWN_FAMILY(wgmma)
FWI_OWN_FAMILY(wgmma_dw)
FWI_OWN_FAMILY(narrow_chosen)

} // namespace fwi_cuda

#endif
