/* conv_choice.c: which algorithm computes a 3 x 3 convolution fastest, as a table of what was
 * measured. It is data: `fenwicks bench conv` times every algorithm on a shape, and where it shows
 * another order than a line here, the line is what has to change. Asked by lower_conv.c, which
 * knows whether there is a kernel for the answer.
 *
 * What stands behind the lines. Winograd's F(2x2,3x3) multiplies 2.25 times less than the
 * definition, F(4x4,3x3) 4 times less; against it go transforms, whose cost per product falls with
 * the channels; tiles that reach beyond the image (a side of 3 costs as much as one of 4); and that
 * the direct kernels leave out the taps that fall into the padding, which are many where images are
 * small. Filter gradients transform both of their operands and win least. */
#include "cpu_lower.h"

#include <string.h>

enum { FWD = 1 << FWI_CONV_FORWARD, DX = 1 << FWI_CONV_INPUT_GRAD, DW = 1 << FWI_CONV_FILTER_GRAD };
enum { ALL = FWD | DX | DW, ANY_SIZE = INT32_MAX };

typedef struct choice {
    const char *table;              /* where the kernel is from; NULL: any */
    fw_dtype dtype;                 /* of the images in memory */
    unsigned passes;                /* a set of them */
    int32_t least_side, most_side;  /* of the image, in pixels */
    int32_t least_c, most_c;        /* channels, of images and filters alike: each within these */
    fwi_conv_algo up_to_2, up_to_4; /* the fastest where WINO2, where WINO4 is the most allowed */
} choice;

/* The first line that fits counts; none: direct. */
static const choice choices[] = {
    /* bf16 products. With fewer channels the transforms cost more than they save. */
    {"avx512_bf16", FW_BF16, FWD | DX, 3, 3, 32, ANY_SIZE, FWI_CONV_DIRECT, FWI_CONV_WINO4},
    {"avx512_bf16", FW_BF16, FWD | DX, 4, ANY_SIZE, 32, ANY_SIZE, FWI_CONV_WINO2, FWI_CONV_WINO4},
    {"avx512_bf16", FW_BF16, DW, 4, ANY_SIZE, 32, 64, FWI_CONV_DIRECT, FWI_CONV_WINO4},
    {"avx512_bf16", FW_BF16, DW, 4, ANY_SIZE, 32, ANY_SIZE, FWI_CONV_WINO2, FWI_CONV_WINO4},
    /* f32 products, half as many at a time: transforms weigh half as much. */
    {NULL, FW_F32, FWD | DX, 3, 3, 32, ANY_SIZE, FWI_CONV_DIRECT, FWI_CONV_WINO4},
    {NULL, FW_F32, ALL, 4, ANY_SIZE, 32, ANY_SIZE, FWI_CONV_WINO2, FWI_CONV_WINO4},
};

fwi_conv_algo fwi_conv_choice(const char *table, fw_dtype dtype, fwi_conv_pass pass, int64_t side,
                              int64_t c, int64_t oc, fwi_conv_algo most)
{
    const int64_t fewer = c < oc ? c : oc, more = c < oc ? oc : c;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const choice *k = &choices[i];
        if (k->dtype != dtype || (k->passes >> pass & 1) == 0 || side < k->least_side ||
            side > k->most_side || fewer < k->least_c || more > k->most_c ||
            (k->table != NULL && strcmp(k->table, table) != 0))
            continue;
        return most == FWI_CONV_WINO4   ? k->up_to_4
               : most == FWI_CONV_WINO2 ? k->up_to_2
                                        : FWI_CONV_DIRECT;
    }
    return FWI_CONV_DIRECT;
}
