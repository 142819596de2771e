/* fuzz_sidecar.c: sidecars. What is accepted is consistent in itself. Seeds: scripts/make-golden.
 */
#include "sidecar.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fwi_sidecar s = {0};
    const fw_status st = fwi_sidecar_parse("input", data, size, &s);
    if (st == FW_OK) {
        int64_t n = 0;
        for (int64_t i = 0; i < s.n_files; i++)
            n += s.files[i].n_records;
        require(n == s.info.n && s.info.c >= 1 && s.info.c <= FW_MAX_CHANNELS);
        for (int64_t i = 0; i < s.info.c; i++)
            require(isfinite(s.info.mean[i]) && isfinite(s.info.std[i]));
    }
    fwi_sidecar_clear(&s);
    return 0;
}
