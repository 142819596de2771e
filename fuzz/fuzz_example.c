/* fuzz_example.c: tf.train.Example messages. What decodes, encodes to a message that decodes to the
 * same image, and whose second encoding is the same bytes. Seeds: scripts/make-golden. */
#include "example.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fwi_arena *a = NULL, *b = NULL;
    fwi_buf first = {0}, second = {0}, text = {0};
    fwi_example_image e, again;
    if (fwi_arena_new(&a, 0) != FW_OK || fwi_arena_new(&b, 0) != FW_OK)
        goto done;
    (void)fwi_example_describe(a, data, size, &text);
    if (fwi_example_image_decode(a, data, size, &e) != FW_OK)
        goto done;
    require((e.u8 != NULL) != (e.f32 != NULL));
    if (e.has_shape)
        require(e.h * e.w * e.c == e.n_values &&
                fwi_example_image_check(&e, e.h, e.w, e.c) == FW_OK);
    if (fwi_example_image_encode(&e, &first) != FW_OK)
        goto done;
    require(fwi_example_image_decode(b, first.data, first.size, &again) == FW_OK);
    require(again.n_values == e.n_values && again.has_label == e.has_label);
    require(again.label == e.label && again.h == e.h && again.w == e.w && again.c == e.c);
    const size_t value = e.u8 != NULL ? 1 : sizeof(float);
    require(memcmp(e.u8 != NULL ? (const void *)e.u8 : e.f32,
                   again.u8 != NULL ? (const void *)again.u8 : again.f32,
                   (size_t)e.n_values * value) == 0);
    require(fwi_example_image_encode(&again, &second) == FW_OK);
    require(second.size == first.size && memcmp(second.data, first.data, first.size) == 0);
done:
    fwi_buf_clear(&first);
    fwi_buf_clear(&second);
    fwi_buf_clear(&text);
    fwi_arena_free(a);
    fwi_arena_free(b);
    return 0;
}
