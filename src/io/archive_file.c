/* archive_file.c: libarchive behind four calls (archive_file.h). Used by cifar.c (tar) and npy.c
 * (zip). Only the formats and filters named here are switched on: libarchive's "all" may start
 * programs. */
#include "archive_file.h"

#include "fail.h"
#include "file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

enum { BLOCK_BYTES = 64 << 10 };

struct fwi_archive {
    struct archive *ar;
    char *path;
    char *member; /* own copy of the present member's name, for messages */
};

static fw_status failed(const fwi_archive *a, const char *doing)
{
    const char *why = archive_error_string(a->ar);
    const int no = archive_errno(a->ar); /* of the system, or one of libarchive's own */
    if (no == ENOMEM)
        return fwi_fail(FW_ENOMEM, "%s: no memory to read %s", a->path, doing);
    if (no == EACCES || no == EPERM || no == EIO || no == EMFILE || no == ENFILE)
        return fwi_fail(FW_EIO, "%s: cannot read %s: %s", a->path, doing, strerror(no));
    return fwi_fail(FW_EFORMAT, "%s: cannot read %s: %s", a->path, doing,
                    why != NULL ? why : "damaged");
}

fw_status fwi_archive_open(fwi_archive **out, const char *path, fwi_archive_kind kind)
{
    fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    if (!fwi_file_exists(path))
        return fwi_fail(FW_ENOTFOUND, "%s: no such file", path);
    fwi_archive *a = fwi_alloc_zero(sizeof *a);
    if (a == NULL)
        return FW_ENOMEM;
    a->path = fwi_strdup(path);
    a->ar = archive_read_new();
    if (a->path == NULL || a->ar == NULL) {
        st = a->path == NULL ? FW_ENOMEM : fwi_fail(FW_ENOMEM, "%s: no memory to open it", path);
        goto fail;
    }
    if (kind == FWI_TAR) {
        archive_read_support_filter_gzip(a->ar);
        archive_read_support_format_tar(a->ar);
    } else {
        archive_read_support_format_zip(a->ar);
    }
    if (archive_read_open_filename(a->ar, path, BLOCK_BYTES) != ARCHIVE_OK) {
        st = failed(a, "the archive");
        goto fail;
    }
    *out = a;
    return FW_OK;
fail:
    fwi_archive_close(a);
    return st;
}

void fwi_archive_close(fwi_archive *a)
{
    if (a == NULL)
        return;
    if (a->ar != NULL)
        archive_read_free(a->ar);
    fwi_free(a->path);
    fwi_free(a->member);
    fwi_free(a);
}

fw_status fwi_archive_next(fwi_archive *a, const char **name)
{
    for (;;) {
        struct archive_entry *entry = NULL;
        const int rc = archive_read_next_header(a->ar, &entry);
        if (rc == ARCHIVE_EOF)
            return FW_END;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) /* a warning: attributes we do not look at */
            return failed(a, "the next member");
        const char *path = archive_entry_pathname(entry);
        if (archive_entry_filetype(entry) != AE_IFREG || path == NULL)
            continue;
        fwi_free(a->member);
        a->member = fwi_strdup(path);
        if (a->member == NULL)
            return FW_ENOMEM;
        *name = a->member;
        return FW_OK;
    }
}

fw_status fwi_archive_source(void *archive, uint8_t *p, size_t cap, size_t *got)
{
    fwi_archive *a = archive;
    la_ssize_t n;
    do
        n = archive_read_data(a->ar, p, cap);
    while (n == ARCHIVE_RETRY);
    if (n < 0)
        return failed(a, a->member);
    *got = (size_t)n;
    return FW_OK;
}

fw_status fwi_archive_read(fwi_archive *a, size_t max_bytes, fwi_buf *buf)
{
    buf->size = 0;
    for (;;) {
        fw_status st = fwi_buf_reserve(buf, buf->size + BLOCK_BYTES);
        if (st != FW_OK)
            return st;
        size_t got = 0;
        st = fwi_archive_source(a, buf->data + buf->size, buf->cap - buf->size, &got);
        if (st != FW_OK || got == 0)
            return st;
        buf->size += got;
        if (buf->size > max_bytes)
            return fwi_fail(FW_EFORMAT, "%s: %s has more than %zu bytes, the most that is read",
                            a->path, a->member, max_bytes);
    }
}
