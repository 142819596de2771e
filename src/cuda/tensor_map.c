/* tensor_map.c: packing of tensor maps by the driver, whose functions are asked for by name: nothing
 * here is linked against it. Read before: tensor_map.h. */
#include "tensor_map.h"

#include <assert.h>
#include <cuda.h>
#include <cuda_runtime_api.h>

static_assert(sizeof(fwi_tensor_map) == sizeof(CUtensorMap), "what a copy is given");

typedef __typeof__(&cuTensorMapEncodeTiled) tiled_fn;
typedef __typeof__(&cuTensorMapEncodeIm2col) im2col_fn;

static void *entry(const char *name)
{
    void *fn = NULL;
    enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    enum { SINCE = 12000 }; /* CUDA 12.0 has them first */
    const cudaError_t e =
        cudaGetDriverEntryPointByVersion(name, &fn, SINCE, cudaEnableDefault, &found);
#else
    const cudaError_t e = cudaGetDriverEntryPoint(name, &fn, cudaEnableDefault, &found);
#endif
    if (e != cudaSuccess)
        (void)cudaGetLastError(); /* it is no failure of what comes next */
    return e == cudaSuccess && found == cudaDriverEntryPointSuccess ? fn : NULL;
}

void fwi_map_encoders_open(fwi_map_encoders *e)
{
    e->tiled = entry("cuTensorMapEncodeTiled");
    e->im2col = entry("cuTensorMapEncodeIm2col");
}

static CUtensorMapSwizzle swizzle_of(int32_t bytes)
{
    return bytes == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
           : bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                         : CU_TENSOR_MAP_SWIZZLE_32B;
}

fw_status fwi_map_encode(const fwi_map_encoders *e, fwi_tensor_map *out, const fwi_map_spec *s)
{
    enum { RANKS = 4 };
    const CUtensorMapDataType type =
        s->dtype == FW_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    const cuuint32_t ones[RANKS] = {1, 1, 1, 1}, rank = (cuuint32_t)s->rank;
    cuuint64_t size[RANKS] = {0}, stride[RANKS] = {0}, bytes = fw_dtype_size(s->dtype);
    cuuint32_t box[RANKS] = {0};
    for (int i = 0; i < s->rank; i++) {
        size[i] = (cuuint64_t)s->size[i];
        box[i] = (cuuint32_t)s->box[i];
        bytes *= size[i];
        stride[i] = bytes; /* from one to the next along axis i + 1 */
    }
    if ((s->im2col ? e->im2col : e->tiled) == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "this driver cannot describe tensors for bulk copies");
    CUtensorMap *const map = (CUtensorMap *)out;
    const CUresult r =
        s->im2col
            ? ((im2col_fn)e->im2col)(map, type, rank, s->data, size, stride, s->lower, s->upper,
                                     box[0], box[1], ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                     swizzle_of(s->swizzle), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                                     CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
            : ((tiled_fn)e->tiled)(map, type, rank, s->data, size, stride, box, ones,
                                   CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(s->swizzle),
                                   CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (r == CUDA_SUCCESS)
        return FW_OK;
    return fwi_fail(FW_EINTERNAL,
                    "the driver does not take a tensor of %lld x %lld x ... elements at %p (%d)",
                    (long long)s->size[0], (long long)s->size[1], s->data, (int)r);
}
