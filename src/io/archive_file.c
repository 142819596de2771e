/* archive_file.c: libarchive behind four calls (archive_file.h). Used by cifar.c (tar) and npy_images.c
 * (zip). Only the formats named here are switched on, and no filters: libarchive's "all" may start
 * programs, and its gzip does not look at the checksum, so a .tar.gz is inflated by source.c. */
#include "archive_file.h"

#include "fail.h"
#include "file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>

enum { BLOCK_BYTES = 64 << 10 };

struct fwi_archive {
    struct archive *ar;
    char *path;
    char *member; /* own copy of the present member's name, for messages */
    /* of a tar file: its bytes, inflated; the block that libarchive looks at; why there are no more, where
     * the source has said it in words */
    fwi_source *source;
    uint8_t *block;
    fw_status source_failed;
    locale_t utf8; /* in which members have names that are not ASCII; 0: the system has none */
};

static fw_status failed(const fwi_archive *a, const char *doing)
{
    if (a->source_failed != FW_OK) /* and has its message */
        return a->source_failed;
    const char *why = archive_error_string(a->ar);
    const int no = archive_errno(a->ar); /* of the system, or one of libarchive's own */
    if (no == ENOMEM)
        return fwi_fail(FW_ENOMEM, "%s: no memory to read %s", a->path, doing);
    if (no == EACCES || no == EPERM || no == EIO || no == EMFILE || no == ENFILE)
        return fwi_fail(FW_EIO, "%s: cannot read %s: %s", a->path, doing, strerror(no));
    return fwi_fail(FW_EFORMAT, "%s: cannot read %s: %s", a->path, doing,
                    why != NULL ? why : "damaged");
}

static la_ssize_t next_bytes(struct archive *ar, void *archive, const void **p)
{
    fwi_archive *a = archive;
    size_t got = 0;
    (void)ar;
    a->source_failed = fwi_source_read(a->source, a->block, BLOCK_BYTES, &got);
    *p = a->block;
    return a->source_failed == FW_OK ? (la_ssize_t)got : ARCHIVE_FATAL;
}

static fw_status open_tar(fwi_archive *a)
{
    fw_status st = fwi_source_new(&a->source);
    if (st == FW_OK && (a->block = fwi_alloc(BLOCK_BYTES)) == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_source_open_file(a->source, a->path);
    if (st == FW_OK)
        st = fwi_source_inflate_if_gzip(a->source);
    if (st != FW_OK)
        return st;
    archive_read_support_format_tar(a->ar);
    return archive_read_open(a->ar, a, NULL, next_bytes, NULL) == ARCHIVE_OK
               ? FW_OK
               : failed(a, "the archive");
}

static fw_status open_zip(fwi_archive *a)
{
    archive_read_support_format_zip(a->ar);
    return archive_read_open_filename(a->ar, a->path, BLOCK_BYTES) == ARCHIVE_OK
               ? FW_OK
               : failed(a, "the archive");
}

fw_status fwi_archive_open(fwi_archive **out, const char *path, fwi_archive_kind kind)
{
    fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    fwi_path_kind there;
    st = fwi_path_look(path, &there);
    if (st == FW_OK && there != FWI_FILE)
        st = fwi_fail(FW_ENOTFOUND, "%s: no such file", path);
    if (st != FW_OK)
        return st;
    fwi_archive *a = fwi_alloc_zero(sizeof *a);
    if (a == NULL)
        return FW_ENOMEM;
    a->path = fwi_strdup(path);
    a->ar = archive_read_new();
    if (a->path == NULL || a->ar == NULL) {
        st = a->path == NULL ? FW_ENOMEM : fwi_fail(FW_ENOMEM, "%s: no memory to open it", path);
        goto fail;
    }
    a->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    st = kind == FWI_TAR ? open_tar(a) : open_zip(a);
    if (st != FW_OK)
        goto fail;
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
    if (a->utf8 != (locale_t)0)
        freelocale(a->utf8);
    fwi_source_free(a->source);
    fwi_free(a->block);
    fwi_free(a->path);
    fwi_free(a->member);
    fwi_free(a);
}

/* A tar file may end before its bytes do: behind them is the checksum of what was inflated. */
static fw_status read_to_end(fwi_archive *a)
{
    size_t got = a->source != NULL;
    fw_status st = FW_OK;
    while (st == FW_OK && got > 0)
        st = fwi_source_read(a->source, a->block, BLOCK_BYTES, &got);
    return st;
}

/* The header of the next entry, and its name; NULL: it is no text. */
static int next_entry(fwi_archive *a, struct archive_entry **entry, const char **path)
{
    const locale_t before = a->utf8 != (locale_t)0 ? uselocale(a->utf8) : (locale_t)0;
    const int rc = archive_read_next_header(a->ar, entry);
    *path = rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? archive_entry_pathname(*entry) : NULL;
    if (before != (locale_t)0)
        (void)uselocale(before);
    return rc;
}

fw_status fwi_archive_next(fwi_archive *a, const char **name)
{
    for (;;) {
        struct archive_entry *entry = NULL;
        const char *path = NULL;
        const int rc = next_entry(a, &entry, &path);
        if (rc == ARCHIVE_EOF) {
            const fw_status st = read_to_end(a);
            return st == FW_OK ? FW_END : st;
        }
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) /* a warning: attributes we do not look at */
            return failed(a, "the next member");
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
