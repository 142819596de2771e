/* fuzz_idx.c: IDX images and labels, plain and gzipped. Seeds: scripts/make-golden. */
#include "idx.h"

#include "mem.h"

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
    fw_images im = {0};
    uint8_t *labels = NULL;
    int64_t n = 0;
    if (fwi_source_new(&s) != FW_OK)
        return 0;
    fwi_source_open_memory(s, "input", data, size);
    if (fwi_idx_read_images(s, &im) == FW_OK) {
        require(im.n > 0 && im.h > 0 && im.w > 0 && im.c > 0);
        const int64_t values = im.n * im.h * im.w * im.c;
        volatile uint8_t last = ((const uint8_t *)im.pixels)[values - 1];
        (void)last;
        require(fw_images_stats(&im) == FW_OK);
    } else {
        require(im.pixels == NULL);
    }
    fwi_source_open_memory(s, "input", data, size);
    if (fwi_idx_read_labels(s, &labels, &n) == FW_OK && n > 0) {
        volatile uint8_t last = labels[n - 1];
        (void)last;
    }
    fwi_free(labels);
    fw_images_clear(&im);
    fwi_source_free(s);
    return 0;
}
