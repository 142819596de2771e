/* dtype.c: names and sizes of element types (public side: fenwicks/tensor.h). Every room that moves
 * tensors asks here, so that a new type is added in one table. */
#include <fenwicks/tensor.h>

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [FW_F32] = {"f32", 4}, [FW_F64] = {"f64", 8}, [FW_BF16] = {"bf16", 2}, [FW_F16] = {"f16", 2},
    [FW_U8] = {"u8", 1},   [FW_I32] = {"i32", 4}, [FW_I64] = {"i64", 8},
};

size_t fw_dtype_size(fw_dtype t)
{
    const unsigned at = (unsigned)t;
    return at < sizeof types / sizeof *types ? types[at].size : 0;
}

const char *fw_dtype_name(fw_dtype t)
{
    const unsigned at = (unsigned)t;
    return at < sizeof types / sizeof *types ? types[at].name : "?";
}
