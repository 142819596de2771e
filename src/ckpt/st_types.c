/* st_types.c: see st_types.h. */
#include "st_types.h"

#include <math.h>
#include <string.h>

static const struct {
    fw_dtype dtype;
    const char *name;
} types[] = {{FW_F32, "F32"}, {FW_F64, "F64"}, {FW_BF16, "BF16"}, {FW_F16, "F16"},
             {FW_U8, "U8"},   {FW_I32, "I32"}, {FW_I64, "I64"}};

const char *fwi_st_dtype_name(fw_dtype t)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == t)
            return types[i].name;
    return "?";
}

bool fwi_st_dtype_parse(const char *name, fw_dtype *out)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) {
            *out = types[i].dtype;
            return true;
        }
    return false;
}

/* Of 16 bits each, whose exponent is these: infinite or not a number where all of it is set. */
static int64_t first_with_all(const uint16_t *x, uint16_t exponent, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if ((x[i] & exponent) == exponent)
            return i;
    return -1;
}

int64_t fwi_st_first_not_finite(const void *data, fw_dtype t, int64_t n)
{
    if (t == FW_F16)
        return first_with_all(data, 0x7C00, n);
    if (t == FW_BF16)
        return first_with_all(data, 0x7F80, n);
    if (t == FW_F32) {
        const float *x = data;
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(x[i]))
                return i;
    } else if (t == FW_F64) {
        const double *x = data;
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(x[i]))
                return i;
    }
    return -1;
}
