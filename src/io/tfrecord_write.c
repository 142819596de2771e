/* tfrecord_write.c: writing TFRecord files, plain or deflated (tfrecord.c reads them).
 *
 * Frames go through an optional deflate stage into file.c's writer, which keeps the unfinished file
 * under another name until commit. */
#include "bytes.h"
#include "crc32c.h"
#include "fail.h"
#include "file.h"
#include "tfrecord.h"
#include "zlib_memory.h"

#include <zlib.h>

enum { OUT_BYTES = 64 << 10, MEM_LEVEL = 8, WINDOW_BITS_ZLIB = 15, WINDOW_BITS_GZIP = 31 };

struct fw_tfrecord_writer {
    fwi_file_writer *file;
    fw_compression compression;
    z_stream z;
    bool z_ready, sealed;
    fw_status seal_status; /* what sealing gave: commit must not forget it */
    uint8_t *out;          /* OUT_BYTES, where compressed */
};

static void end_deflate(fw_tfrecord_writer *w)
{
    if (w->z_ready)
        deflateEnd(&w->z);
    w->z_ready = false;
    fwi_free(w->out);
    w->out = NULL;
}

void fw_tfrecord_discard(fw_tfrecord_writer *w)
{
    if (w == NULL)
        return;
    end_deflate(w);
    fwi_file_writer_discard(w->file);
    fwi_free(w);
}

fw_status fw_tfrecord_create(fw_tfrecord_writer **out, const char *path, fw_compression z,
                             int level)
{
    if (out == NULL || path == NULL)
        return fwi_fail(FW_EARG, "fw_tfrecord_create: NULL argument");
    if (z != FW_PLAIN && z != FW_GZIP && z != FW_ZLIB)
        return fwi_fail(FW_EARG, "%s: compression %d is none of FW_PLAIN, FW_GZIP, FW_ZLIB", path,
                        (int)z);
    if (level < 0 || level > 9)
        return fwi_fail(FW_EARG, "%s: compression level %d is not in 0..9", path, level);
    fw_tfrecord_writer *w = fwi_alloc_zero(sizeof *w);
    if (w == NULL)
        return FW_ENOMEM;
    w->compression = z;
    fw_status st = FW_OK;
    if (z != FW_PLAIN) {
        w->out = fwi_alloc(OUT_BYTES);
        st = w->out == NULL ? FW_ENOMEM : FW_OK;
    }
    if (st == FW_OK && z != FW_PLAIN) {
        w->z.zalloc = fwi_z_alloc;
        w->z.zfree = fwi_z_free;
        const int bits = z == FW_GZIP ? WINDOW_BITS_GZIP : WINDOW_BITS_ZLIB;
        const int rc = deflateInit2(&w->z, level == 0 ? Z_DEFAULT_COMPRESSION : level, Z_DEFLATED,
                                    bits, MEM_LEVEL, Z_DEFAULT_STRATEGY);
        w->z_ready = rc == Z_OK;
        if (rc == Z_MEM_ERROR)
            st = FW_ENOMEM; /* fwi_z_alloc set the message */
        else if (rc != Z_OK)
            st = fwi_fail(FW_EINTERNAL, "%s: zlib does not start: code %d", path, rc);
    }
    if (st == FW_OK)
        st = fwi_file_writer_open(&w->file, path);
    if (st != FW_OK) {
        fw_tfrecord_discard(w);
        return st;
    }
    *out = w;
    return FW_OK;
}

static fw_status deflate_put(fw_tfrecord_writer *w, const uint8_t *p, size_t n, int flush)
{
    do {
        const unsigned step = n > (1u << 30) ? (1u << 30) : (unsigned)n;
        w->z.next_in =
            (uint8_t *)(uintptr_t)p; /* zlib's type lacks const; it does not write there */
        w->z.avail_in = step;
        do {
            w->z.next_out = w->out;
            w->z.avail_out = OUT_BYTES;
            if (deflate(&w->z, flush) == Z_STREAM_ERROR)
                return fwi_fail(FW_EINTERNAL, "zlib lost its state");
            const fw_status st = fwi_file_writer_put(w->file, w->out, OUT_BYTES - w->z.avail_out);
            if (st != FW_OK)
                return st;
        } while (w->z.avail_out == 0);
        p += step;
        n -= step;
    } while (n > 0);
    return FW_OK;
}

static fw_status put(fw_tfrecord_writer *w, const void *p, size_t n)
{
    if (n == 0)
        return FW_OK;
    return w->compression == FW_PLAIN ? fwi_file_writer_put(w->file, p, n)
                                      : deflate_put(w, p, n, Z_NO_FLUSH);
}

fw_status fw_tfrecord_put(fw_tfrecord_writer *w, const void *data, size_t n_bytes)
{
    if (w == NULL || (data == NULL && n_bytes > 0))
        return fwi_fail(FW_EARG, "fw_tfrecord_put: NULL argument");
    if (w->sealed)
        return fwi_fail(FW_ESTATE, "fw_tfrecord_put: the file is finished");
    if (n_bytes > FWI_RECORD_MAX_BYTES)
        return fwi_fail(FW_EARG,
                        "fw_tfrecord_put: a record of %zu bytes, at most %llu can be read back",
                        n_bytes, (unsigned long long)FWI_RECORD_MAX_BYTES);
    uint8_t head[FWI_RECORD_HEAD], foot[FWI_RECORD_FOOT];
    fwi_put_le64(head, n_bytes);
    fwi_put_le32(head + 8, fwi_crc32c_masked(head, 8));
    fwi_put_le32(foot, fwi_crc32c_masked(data, n_bytes));
    fw_status st = put(w, head, sizeof head);
    if (st == FW_OK)
        st = put(w, data, n_bytes);
    return st == FW_OK ? put(w, foot, sizeof foot) : st;
}

void fwi_tfrecord_replace_nothing(fw_tfrecord_writer *w)
{
    fwi_file_writer_replace_nothing(w->file);
}

fw_status fwi_tfrecord_seal(fw_tfrecord_writer *w)
{
    if (w->sealed)
        return w->seal_status;
    fw_status st =
        w->compression == FW_PLAIN ? FW_OK : deflate_put(w, (const uint8_t *)"", 0, Z_FINISH);
    end_deflate(w);
    if (st == FW_OK)
        st = fwi_file_writer_seal(w->file);
    w->sealed = true;
    w->seal_status = st;
    return st;
}

fw_status fw_tfrecord_commit(fw_tfrecord_writer *w)
{
    if (w == NULL)
        return fwi_fail(FW_EARG, "fw_tfrecord_commit: NULL argument");
    fw_status st = fwi_tfrecord_seal(w);
    if (st == FW_OK) {
        st = fwi_file_writer_commit(w->file);
        w->file = NULL;
    }
    fw_tfrecord_discard(w);
    return st;
}

int64_t fwi_tfrecord_file_bytes(const fw_tfrecord_writer *w)
{
    return fwi_file_writer_bytes(w->file);
}
