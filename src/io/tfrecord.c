/* tfrecord.c: reading TFRecord files, with every length and checksum held against what is there.
 *
 * Nothing in a file is believed before its checksum fits, and a length not even then: it must fit
 * the rest of a plain file, and for a compressed one memory grows with the bytes that really come.
 * Writing is tfrecord_write.c; whole patterns are record_set.c and record_stream.c. */
#include "tfrecord.h"

#include "bytes.h"
#include "crc32c.h"
#include "fail.h"

#include <string.h>

#define FIRST_STEP ((size_t)1 << 20)

struct fw_tfrecord {
    fwi_source *src;
    char *path; /* own copy, where the public call opened the file */
    const char *name;
    fwi_buf data;    /* the record and its foot */
    bool started;    /* plain or compressed is known */
    fw_status ended; /* what every further call returns; FW_OK: go on */
    int64_t record;  /* of the record given last; -1 before the first */
    int64_t offset;
};

fw_compression fwi_tfrecord_detect(const uint8_t *p, size_t n_bytes)
{
    /* A plain file first, by its checksum: its first length may happen to look like a magic number.
     */
    if (n_bytes >= FWI_RECORD_HEAD && fwi_crc32c_masked(p, 8) == fwi_get_le32(p + 8))
        return FW_PLAIN;
    if (n_bytes >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return FW_GZIP;
    /* RFC 1950: method 8, window at most 32 KiB, no preset dictionary, and a multiple of 31 */
    if (n_bytes >= 2 && (p[0] & 0x0f) == 8 && p[0] >> 4 <= 7 && (p[1] & 0x20) == 0 &&
        (p[0] * 256 + p[1]) % 31 == 0)
        return FW_ZLIB;
    return FW_PLAIN;
}

fw_status fwi_tfrecord_check_head(const uint8_t head[FWI_RECORD_HEAD], int64_t left,
                                  uint64_t *length)
{
    const uint32_t crc = fwi_crc32c_masked(head, 8);
    const uint32_t said = fwi_get_le32(head + 8);
    if (crc != said)
        return fwi_fail(FW_EFORMAT, "length crc is %08x, file says %08x", crc, said);
    const uint64_t n = fwi_get_le64(head);
    if (left >= 0 && (n > (uint64_t)left || (uint64_t)left - n < FWI_RECORD_FOOT))
        return fwi_fail(FW_EFORMAT,
                        "length is %llu bytes (and 4 of its crc), but only %lld bytes are left",
                        (unsigned long long)n, (long long)left);
    if (n > FWI_RECORD_MAX_BYTES)
        return fwi_fail(FW_EFORMAT, "length is %llu bytes, at most %llu are read",
                        (unsigned long long)n, (unsigned long long)FWI_RECORD_MAX_BYTES);
    *length = n;
    return FW_OK;
}

/* What other files begin with, as far as 12 bytes tell; NULL: nothing known. */
static const char *file_kind(const uint8_t *p, size_t n)
{
    static const struct {
        const char *kind, *magic;
        size_t n;
    } known[] = {
        {"a PNG image", "\x89PNG\r\n\x1a\n", 8},
        {"a JPEG image", "\xff\xd8\xff", 3},
        {"a GIF image", "GIF8", 4},
        {"a NumPy array", "\x93NUMPY", 6},
        {"a zip archive", "PK\3\4", 4},
        {"an HDF5 file", "\x89HDF\r\n\x1a\n", 8},
        {"a Parquet file", "PAR1", 4},
        {"a WebP or other RIFF file", "RIFF", 4},
        {"an xz file",
         "\xfd"
         "7zXZ",
         5},
        {"a zstd file", "\x28\xb5\x2f\xfd", 4},
        {"a bzip2 file", "BZh", 3},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n >= known[i].n && memcmp(p, known[i].magic, known[i].n) == 0)
            return known[i].kind;
    if (n >= 9 && p[8] == '{' && fwi_get_le64(p) < (uint64_t)1 << 32)
        return "a safetensors file";
    size_t text = 0;
    while (text < n && (p[text] >= 0x20 ? p[text] != 0x7f : p[text] >= '\t' && p[text] <= '\r'))
        text++;
    return n > 0 && text == n ? "text" : NULL;
}

fw_status fwi_tfrecord_fail_at(fw_status st, const char *name, int64_t record, int64_t offset,
                               const fwi_record_start *start)
{
    static const char *const packed[] = {"", ", compressed by gzip", ", compressed by zlib"};
    const bool whole = start != NULL && start->n_bytes == FWI_RECORD_HEAD;
    if (record > 0 || start == NULL || st != FW_EFORMAT ||
        (whole && fwi_crc32c_masked(start->head, 8) == fwi_get_le32(start->head + 8)))
        return fwi_fail_in(st, "%s: record %lld at byte %lld", name, (long long)record,
                           (long long)offset);
    const char *const kind = file_kind(start->head, start->n_bytes);
    if (kind != NULL)
        return fwi_fail_in(st, "%s: is no TFRecord file but %s%s: record 0 at byte 0", name, kind,
                           packed[start->compression]);
    const uint64_t most =
        start->left < 0 ? FWI_RECORD_MAX_BYTES : (uint64_t)start->left; /* of a length */
    if (whole && fwi_get_le64(start->head) > most)
        return fwi_fail_in(
            st, "%s: is no TFRecord file, or its beginning is damaged: record 0 at byte 0", name);
    return fwi_fail_in(st, "%s: record 0 at byte 0", name);
}

fw_status fwi_tfrecord_check_data(const uint8_t *data, size_t n_bytes)
{
    const uint32_t crc = fwi_crc32c_masked(data, n_bytes);
    const uint32_t said = fwi_get_le32(data + n_bytes);
    if (crc != said)
        return fwi_fail(FW_EFORMAT, "data crc is %08x, file says %08x", crc, said);
    return FW_OK;
}

fw_status fwi_tfrecord_new(fw_tfrecord **out)
{
    fw_tfrecord *r = fwi_alloc_zero(sizeof *r);
    if (r == NULL)
        return FW_ENOMEM;
    const fw_status st = fwi_source_new(&r->src);
    if (st != FW_OK) {
        fwi_free(r);
        return st;
    }
    r->name = "";
    r->record = -1;
    *out = r;
    return FW_OK;
}

static void restart(fw_tfrecord *r, const char *name)
{
    r->name = name;
    r->started = false;
    r->ended = FW_OK;
    r->record = -1;
    r->offset = 0;
}

fw_status fwi_tfrecord_reopen(fw_tfrecord *r, const char *path)
{
    restart(r, path);
    r->ended = fwi_source_open_file(r->src, path);
    return r->ended;
}

void fwi_tfrecord_reopen_memory(fw_tfrecord *r, const char *name, const void *p, size_t n_bytes)
{
    restart(r, name);
    fwi_source_open_memory(r->src, name, p, n_bytes);
}

fw_status fw_tfrecord_open(fw_tfrecord **out, const char *path)
{
    if (out == NULL || path == NULL)
        return fwi_fail(FW_EARG, "fw_tfrecord_open: NULL argument");
    fw_tfrecord *r = NULL;
    fw_status st = fwi_tfrecord_new(&r);
    if (st == FW_OK && (r->path = fwi_strdup(path)) == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_tfrecord_reopen(r, r->path);
    if (st != FW_OK) {
        fw_tfrecord_close(r);
        return st;
    }
    *out = r;
    return FW_OK;
}

void fw_tfrecord_close(fw_tfrecord *r)
{
    if (r == NULL)
        return;
    fwi_source_free(r->src);
    fwi_buf_clear(&r->data);
    fwi_free(r->path);
    fwi_free(r);
}

static fw_status start(fw_tfrecord *r)
{
    const uint8_t *p = NULL;
    size_t got = 0;
    fw_status st = fwi_source_peek(r->src, FWI_RECORD_HEAD, &p, &got);
    if (st == FW_OK)
        st = fwi_source_inflate(r->src, fwi_tfrecord_detect(p, got));
    r->started = st == FW_OK;
    return st;
}

/* The message of the source names the file; the frame's own lack it. */
static fw_status in_record(const fw_tfrecord *r, fw_status st)
{
    return fwi_tfrecord_fail_at(st, r->name, r->record, r->offset, NULL);
}

static fw_status read_body(fw_tfrecord *r, size_t n_bytes)
{
    size_t cap = fwi_source_left(r->src) >= 0 || n_bytes < FIRST_STEP ? n_bytes : FIRST_STEP;
    size_t have = 0;
    for (;;) {
        fw_status st = fwi_buf_reserve(&r->data, cap);
        if (st != FW_OK)
            return in_record(r, st);
        size_t got = 0;
        st = fwi_source_read(r->src, r->data.data + have, cap - have, &got);
        if (st != FW_OK)
            return fwi_fail_in(st, "record %lld at byte %lld", (long long)r->record,
                               (long long)r->offset);
        have += got;
        if (have < cap)
            return in_record(r, fwi_fail(FW_EFORMAT,
                                         "ends after %zu of %zu bytes of data and crc: the file is "
                                         "cut off",
                                         have, n_bytes));
        if (have == n_bytes)
            return FW_OK;
        cap = n_bytes - cap < cap ? n_bytes : 2 * cap;
    }
}

static fw_status next(fw_tfrecord *r, size_t *n_bytes)
{
    fw_status st = r->started ? FW_OK : start(r);
    if (st != FW_OK)
        return st;
    uint8_t head[FWI_RECORD_HEAD];
    size_t got = 0;
    r->record++;
    r->offset = fwi_source_at(r->src);
    st = fwi_source_read(r->src, head, sizeof head, &got);
    if (st != FW_OK)
        return fwi_fail_in(st, "record %lld at byte %lld", (long long)r->record,
                           (long long)r->offset);
    if (got == 0)
        return FW_END;
    uint64_t length = 0;
    if (got < sizeof head)
        st = fwi_fail(FW_EFORMAT,
                      "ends after %zu of %d bytes of length and crc: the file is cut off", got,
                      FWI_RECORD_HEAD);
    else
        st = fwi_tfrecord_check_head(head, fwi_source_left(r->src), &length);
    if (st != FW_OK) {
        const fwi_record_start start = {head, got, fwi_source_left(r->src),
                                        fwi_source_compression(r->src)};
        return fwi_tfrecord_fail_at(st, r->name, r->record, r->offset, &start);
    }
    st = read_body(r, (size_t)length + FWI_RECORD_FOOT);
    if (st != FW_OK)
        return st;
    st = fwi_tfrecord_check_data(r->data.data, (size_t)length);
    if (st != FW_OK)
        return in_record(r, st);
    *n_bytes = (size_t)length;
    return FW_OK;
}

fw_status fw_tfrecord_next(fw_tfrecord *r, const uint8_t **data, size_t *n_bytes)
{
    if (r == NULL || data == NULL || n_bytes == NULL)
        return fwi_fail(FW_EARG, "fw_tfrecord_next: NULL argument");
    if (r->ended == FW_END)
        return FW_END;
    if (r->ended != FW_OK)
        return fwi_fail(r->ended, "%s: reading stopped at record %lld after an error", r->name,
                        (long long)(r->record < 0 ? 0 : r->record));
    r->ended = next(r, n_bytes);
    if (r->ended == FW_OK)
        *data = r->data.data;
    return r->ended;
}

int64_t fwi_tfrecord_record(const fw_tfrecord *r)
{
    return r->record;
}

int64_t fwi_tfrecord_offset(const fw_tfrecord *r)
{
    return r->offset;
}

fw_compression fwi_tfrecord_compression(const fw_tfrecord *r)
{
    return fwi_source_compression(r->src);
}

size_t fwi_tfrecord_memory(const fw_tfrecord *r)
{
    return sizeof *r + fwi_source_memory(r->src) + r->data.cap;
}
