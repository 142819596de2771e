/* precision.c: the precisions by name, and which of them a run has: its option's, else its recipe's. */
#include "recipe_inner.h"

#include <string.h>

#include "backends.h"
#include "fail.h"

fw_status fw_precision_read(const char *word, const char *device, fw_dtype *out, bool *tf32)
{
    static const struct {
        const char *word;
        fw_dtype type;
        bool tf32;
    } known[] = {{"f32", FW_F32, false}, {"tf32", FW_F32, true},  {"bf16", FW_BF16, false},
                 {"f16", FW_F16, false}, {"fp16", FW_F16, false}, {"f64", FW_F64, false}};
    if (word == NULL || out == NULL || tf32 == NULL)
        return fwi_fail(FW_EARG, "fw_precision_read: NULL argument");
    if (strcmp(word, "auto") == 0) {
        *out = fwi_device_prefers_bf16(device) ? FW_BF16 : FW_F32;
        *tf32 = false;
        return FW_OK;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i].word) == 0) {
            *out = known[i].type;
            *tf32 = known[i].tf32;
            return FW_OK;
        }
    return fwi_fail(FW_EARG, "precision: \"%.40s\" is none of f32, tf32, bf16, f16, f64, auto",
                    word);
}

const char *fw_precision_name(fw_dtype precision, bool tf32)
{
    return tf32 ? "tf32" : fw_dtype_name(precision);
}

fw_status fwi_run_precision(const fw_recipe *r, const fw_run_opt *o, fw_dtype *out, bool *tf32)
{
    const char *const word =
        o->precision != NULL ? o->precision : fwi_recipe_text(r, FWI_KEY_TRAIN_PRECISION);
    return fw_precision_read(word, o->device, out, tf32);
}
