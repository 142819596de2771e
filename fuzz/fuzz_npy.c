/* fuzz_npy.c: NumPy arrays. A header that is accepted has sizes that multiply to its values, and
 * its values are exactly the rest of the input. Seeds: scripts/make-golden. */
#include "npy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fwi_source *s = NULL;
    fwi_npy h;
    void *values = NULL;
    if (fwi_source_new(&s) != FW_OK)
        return 0;
    fwi_source_open_memory(s, "input", data, size);
    if (fwi_npy_read_head(s, &h) == FW_OK) {
        size_t n = 1;
        for (int i = 0; i < h.rank; i++)
            n *= (size_t)h.dim[i];
        require(n == h.n_values && n > 0);
        const size_t left = (size_t)fwi_source_left(s);
        if (fwi_npy_read_values(s, &h, &values) == FW_OK) {
            require(left == n * h.size);
            volatile double value = 0; /* every value is read */
            for (size_t i = 0; i < n; i++)
                value = fwi_npy_value(&h, values, i);
            (void)value;
        }
    }
    fwi_free(values);
    fwi_source_free(s);
    return 0;
}
