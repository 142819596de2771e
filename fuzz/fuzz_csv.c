/* fuzz_csv.c: text of numbers. What is accepted has images and labels that fit what it says of itself. Seeds:
 * scripts/make-golden. */
#include "image_set.h"

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
    static const fw_csv_opt options[] = {{0}, {.h = 2, .w = 2}, {.label_column = 1}};
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        fw_images im = {0};
        if (fwi_csv_parse("input", data, size, &options[k], &im) != FW_OK) {
            require(im.pixels == NULL && im.labels == NULL);
            continue;
        }
        require(im.n > 0 && im.h > 0 && im.w > 0 && im.c > 0);
        require(options[k].h == 0 || (im.h == 2 && im.w == 2 && im.c == 1));
        const int64_t values = im.n * im.h * im.w * im.c;
        for (int64_t i = 0; i < values; i++)
            require(im.dtype == FW_U8 || isfinite(((const float *)im.pixels)[i]));
        volatile uint8_t last = ((const uint8_t *)im.pixels)[values - 1];
        (void)last;
        for (int64_t i = 0; i < im.n; i++)
            require(im.labels[i] >= 0 && im.labels[i] < im.n_classes);
        fw_images_clear(&im);
    }
    return 0;
}
