/* fuzz_tfrecord.c: TFRecord framing, plain and compressed. What is read from a plain file, framed
 * again, gives the same bytes; the index agrees with the reader on every head. Seeds:
 * scripts/make-golden. */
#include "tfrecord.h"

#include "bytes.h"
#include "crc32c.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* One frame behind `at`, compared with the input. */
static size_t check_frame(const uint8_t *input, size_t size, size_t at, const uint8_t *record,
                          size_t n)
{
    uint8_t head[FWI_RECORD_HEAD], foot[FWI_RECORD_FOOT];
    fwi_put_le64(head, n);
    fwi_put_le32(head + 8, fwi_crc32c_masked(head, 8));
    fwi_put_le32(foot, fwi_crc32c_masked(record, n));
    require(size - at >= sizeof head + n + sizeof foot);
    require(memcmp(input + at, head, sizeof head) == 0);
    require(n == 0 || memcmp(input + at + sizeof head, record, n) == 0);
    require(memcmp(input + at + sizeof head + n, foot, sizeof foot) == 0);
    return at + sizeof head + n + sizeof foot;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_tfrecord *r = NULL;
    const uint8_t *record = NULL;
    size_t n = 0, at = 0;
    if (fwi_tfrecord_new(&r) != FW_OK)
        return 0;
    fwi_tfrecord_reopen_memory(r, "input", data, size);
    fw_status st;
    while ((st = fw_tfrecord_next(r, &record, &n)) == FW_OK) {
        require(fwi_tfrecord_offset(r) >= 0);
        if (fwi_tfrecord_compression(r) == FW_PLAIN) {
            require((size_t)fwi_tfrecord_offset(r) == at);
            at = check_frame(data, size, at, record, n);
        }
    }
    require(st == FW_END || st == FW_EFORMAT || st == FW_ENOMEM);
    require(st != FW_END || fwi_tfrecord_compression(r) != FW_PLAIN || at == size);
    fw_tfrecord_close(r);
    return 0;
}
