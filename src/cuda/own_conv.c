/* own_conv.c: when one of our own engines computes a convolution. Read before: own_conv.h,
 * cuda_libs.h. */
#include "own_conv.h"

#include "cuda_inner.h"
#include "cuda_libs.h"

#include <string.h>

bool fwi_own_conv_allowed(const fwi_call *c)
{
    const fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    return l != NULL && strcmp(l->conv_engine, "cudnn") != 0;
}

bool fwi_own_conv_possible(const fwi_call *c)
{
    const fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    return fwi_own_conv_allowed(c) && l->sm == 90 && l->maps.tiled != NULL &&
           l->maps.im2col != NULL;
}

bool fwi_own_conv_chosen(const fwi_call *c, const char *name)
{
    const fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    fwi_dnn_key key;
    if (l == NULL || !fwi_dnn_key_of(c, l->tf32, &key))
        return false;
    if (l->conv_engine[0] != 0)
        return strcmp(l->conv_engine, "own") == 0 || strcmp(l->conv_engine, name) == 0;
    const fwi_dnn_choice *choice = fwi_dnn_choices_find(&l->choices, &key);
    return choice != NULL && strcmp(choice->own, name) == 0;
}

fw_status fwi_own_conv_map(const fwi_call *c, fwi_tensor_map *out, const fwi_map_spec *s)
{
    const fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    if (l == NULL)
        return fwi_fail(FW_EINTERNAL, "a convolution without a device");
    return fwi_map_encode(&l->maps, out, s);
}
