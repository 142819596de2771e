/* own_engines.cu: all of our own engines for convolutions, in the order in which they are shown to whoever
 * measures them. Host code, in a file of this kind so that a test has the list of emulated engines beside the
 * real one. Read before: cuda_own_conv.h. */
#include "cuda_own_conv.h"

#include <string.h>

namespace fwi_cuda
{

/* The rows of a list that fit, behind the `n` that there are. */
static int fitting(const fwi_call *c, const fwi_kernel *rows, const engine *list, fwi_own_conv *out,
                   int n)
{
    for (; rows->run != nullptr; rows++, list++)
        if (rows->op == c->kind && rows->dtype == c->in[0].dtype &&
            rows->blocked == fwi_call_blocked(c) && list->fits(c) && n < FWI_OWN_CONVS)
            out[n++] = fwi_own_conv{list->name, rows};
    return n;
}

extern "C" int FWI_OWN_CANDIDATES(const fwi_call *c, fwi_own_conv out[FWI_OWN_CONVS])
{
    int n = 0;
    if (possible(c)) {
        n = fitting(c, FWI_CUDA_ROWS(wgmma), FWI_OWN_ENGINES(wgmma), out, n);
        n = fitting(c, FWI_CUDA_ROWS(wgmma_dw), FWI_OWN_ENGINES(wgmma_dw), out, n);
    }
    if (allowed(c))
        n = fitting(c, FWI_CUDA_ROWS(narrow_chosen), FWI_OWN_ENGINES(narrow_chosen), out, n);
    return n;
}

/* The engine of the row of this name in a list; NULL: none. */
static const char *named(const char *name, const fwi_kernel *rows, const engine *list)
{
    for (; rows->run != nullptr; rows++, list++)
        if (strcmp(rows->name, name) == 0)
            return list->name;
    return nullptr;
}

extern "C" const char *FWI_OWN_ENGINE_OF(const fwi_kernel *k)
{
    const char *e = named(k->name, FWI_CUDA_ROWS(wgmma), FWI_OWN_ENGINES(wgmma));
    if (e == nullptr)
        e = named(k->name, FWI_CUDA_ROWS(wgmma_dw), FWI_OWN_ENGINES(wgmma_dw));
    return e != nullptr
               ? e
               : named(k->name, FWI_CUDA_ROWS(narrow_chosen), FWI_OWN_ENGINES(narrow_chosen));
}

} // namespace fwi_cuda
