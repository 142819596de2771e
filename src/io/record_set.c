/* record_set.c: plain TFRecord files as one numbered list of records (record_set.h).
 *
 * One scan reads the 12 bytes in front of every record and hops over the data; what is kept is
 * where each frame begins, 8 bytes per record. Reading is a pread, so any number of threads may
 * read at once. Of a set of many files the first KEEP_OPEN stay open; one of the others is opened for
 * each record that is read from it, a few microseconds, since 2000 shards are more descriptors than a
 * process usually may have (1024). Files that cannot seek are left to record_stream.c. */
#include "record_set.h"

#include "crc32c.h"
#include "fail.h"
#include "file.h"
#include "tfrecord.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEEP_OPEN = 256, /* a training and a test set, and the rest of the program: under 1024 */
    SCAN_BYTES = 64 << 10,
    SCAN_SMALL = 8 << 10 /* records up to this: read on and find the next head in memory */
};

typedef struct set_file {
    int fd; /* -1: opened as it is read, if it is still this one: */
    dev_t dev;
    ino_t ino;
    struct timespec changed;
    fw_compression compression;
    int64_t n_bytes;
    int64_t first; /* number in the set of its first record */
    int64_t
        at_base; /* its first entry in offsets[]: count + 1 of them, the last is the file's end */
} set_file;

struct fwi_record_set {
    fwi_paths paths;
    set_file *files;
    uint64_t *offsets;
    int64_t n_offsets, cap_offsets;
    int64_t n_records, n_bytes;
    uint64_t max_length; /* longest frame without its head: what a read needs */
    bool seekable;
};

static fw_status add_offset(fwi_record_set *s, int64_t at)
{
    if (s->n_offsets == s->cap_offsets) {
        const int64_t cap = s->cap_offsets == 0 ? 1024 : 2 * s->cap_offsets;
        uint64_t *more = fwi_realloc(s->offsets, (size_t)cap * sizeof *more);
        if (more == NULL)
            return FW_ENOMEM;
        s->offsets = more;
        s->cap_offsets = cap;
    }
    s->offsets[s->n_offsets++] = (uint64_t)at;
    return FW_OK;
}

/* Where every record of one plain file begins. buf: SCAN_BYTES of scratch. */
static fw_status scan(fwi_record_set *s, set_file *f, int fd, const char *path, uint8_t *buf)
{
    int64_t buf_at = 0;
    size_t buf_n = 0;
    uint64_t length = 0; /* of the record before: small ones are scanned through the buffer */
    fw_status st = FW_OK;
    f->at_base = s->n_offsets;
    f->first = s->n_records;
    int64_t at = 0, count = 0;
    for (; at < f->n_bytes; count++) {
        const int64_t left = f->n_bytes - at;
        if (at < buf_at || at + FWI_RECORD_HEAD > buf_at + (int64_t)buf_n) {
            const size_t want = length <= SCAN_SMALL ? SCAN_BYTES : FWI_RECORD_HEAD;
            buf_at = at;
            st = fwi_file_read_at(fd, buf, want, at, &buf_n);
        }
        if (st == FW_OK && (buf_n < FWI_RECORD_HEAD || left < FWI_RECORD_HEAD))
            st = fwi_fail(FW_EFORMAT,
                          "ends after %lld of %d bytes of length and crc: the file is cut off",
                          (long long)left, FWI_RECORD_HEAD);
        if (st == FW_OK)
            st = fwi_tfrecord_check_head(buf + (at - buf_at), left - FWI_RECORD_HEAD, &length);
        if (st != FW_OK) {
            const fwi_record_start start = {buf, buf_n < FWI_RECORD_HEAD ? buf_n : FWI_RECORD_HEAD,
                                            left - FWI_RECORD_HEAD, FW_PLAIN};
            return fwi_tfrecord_fail_at(st, path, count, at, &start);
        }
        if ((st = add_offset(s, at)) != FW_OK)
            return st;
        if (length + FWI_RECORD_FOOT > s->max_length)
            s->max_length = length + FWI_RECORD_FOOT;
        at += FWI_RECORD_HEAD + (int64_t)length + FWI_RECORD_FOOT;
    }
    s->n_records += count;
    return add_offset(s, at);
}

static fw_status open_path(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe is refused, not waited for */
    return *fd >= 0 ? FW_OK
                    : fwi_fail(errno == ENOENT ? FW_ENOTFOUND : FW_EIO, "%s: cannot open: %s", path,
                               strerror(errno));
}

static fw_status look_at(set_file *f, int fd, const char *path)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return fwi_fail(FW_EIO, "%s: cannot look at it: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return fwi_fail(FW_EIO, "%s: cannot read: it is a folder", path);
    if (!S_ISREG(info.st_mode))
        return fwi_fail(FW_EIO, "%s: cannot read records: it is no regular file", path);
    f->n_bytes = info.st_size;
    f->dev = info.st_dev;
    f->ino = info.st_ino;
    f->changed = info.st_mtim;
    uint8_t head[FWI_RECORD_HEAD];
    size_t got = 0;
    const fw_status st = fwi_file_read_at(fd, head, sizeof head, 0, &got);
    if (st != FW_OK)
        return fwi_fail_in(st, "%s", path);
    f->compression = fwi_tfrecord_detect(head, got);
    return FW_OK;
}

/* *fd: its descriptor, which let_go takes back. A file that was not kept open may have become another
 * one meanwhile, in which records of the same size begin at the same places: FW_EFORMAT. */
static fw_status open_again(const set_file *f, const char *path, int *fd)
{
    *fd = f->fd;
    if (*fd >= 0)
        return FW_OK;
    const fw_status st = open_path(path, fd);
    struct stat is;
    if (st != FW_OK)
        return st;
    if (fstat(*fd, &is) == 0 && is.st_dev == f->dev && is.st_ino == f->ino &&
        is.st_size == f->n_bytes && is.st_mtim.tv_sec == f->changed.tv_sec &&
        is.st_mtim.tv_nsec == f->changed.tv_nsec)
        return FW_OK;
    close(*fd);
    *fd = -1;
    return fwi_fail(FW_EFORMAT,
                    "%s: is no longer the file that it was when the records were counted", path);
}

static void let_go(const set_file *f, int fd)
{
    if (fd >= 0 && fd != f->fd)
        close(fd);
}

fw_status fwi_record_set_open(fwi_record_set **out, const char *pattern)
{
    if (out == NULL || pattern == NULL)
        return fwi_fail(FW_EARG, "cannot open records: the pattern is NULL");
    uint8_t *buf = NULL;
    fwi_record_set *s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    s->seekable = true;
    fw_status st = fwi_glob(pattern, &s->paths);
    if (st != FW_OK)
        goto done;
    s->files = fwi_alloc_array((size_t)s->paths.n, sizeof *s->files);
    buf = fwi_alloc(SCAN_BYTES);
    if (s->files == NULL || buf == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    for (int64_t i = 0; i < s->paths.n; i++)
        s->files[i].fd = -1;
    for (int64_t i = 0; st == FW_OK && i < s->paths.n; i++) {
        int fd = -1;
        st = open_path(s->paths.items[i], &fd);
        if (i < KEEP_OPEN)
            s->files[i].fd = fd;
        if (st == FW_OK)
            st = look_at(&s->files[i], fd, s->paths.items[i]);
        let_go(&s->files[i], fd);
        s->n_bytes += s->files[i].n_bytes;
        s->seekable = s->seekable && s->files[i].compression == FW_PLAIN;
    }
    for (int64_t i = 0; st == FW_OK && s->seekable && i < s->paths.n; i++) {
        int fd = -1;
        st = open_again(&s->files[i], s->paths.items[i], &fd);
        if (st == FW_OK)
            st = scan(s, &s->files[i], fd, s->paths.items[i], buf);
        let_go(&s->files[i], fd);
    }
    if (st == FW_OK && s->seekable && s->n_offsets < s->cap_offsets) { /* give the slack back */
        uint64_t *less = fwi_realloc(s->offsets, (size_t)s->n_offsets * sizeof *less);
        if (less == NULL) {
            st = FW_ENOMEM;
            goto done;
        }
        s->offsets = less;
        s->cap_offsets = s->n_offsets;
    }
done:
    fwi_free(buf);
    if (st != FW_OK) {
        fwi_record_set_close(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

void fwi_record_set_close(fwi_record_set *s)
{
    if (s == NULL)
        return;
    for (int64_t i = 0; s->files != NULL && i < s->paths.n; i++)
        if (s->files[i].fd >= 0)
            close(s->files[i].fd);
    fwi_free(s->files);
    fwi_free(s->offsets);
    fwi_paths_clear(&s->paths);
    fwi_free(s);
}

bool fwi_record_set_seekable(const fwi_record_set *s)
{
    return s->seekable;
}

int64_t fwi_record_set_count(const fwi_record_set *s)
{
    return s->seekable ? s->n_records : -1;
}

int64_t fwi_record_set_files(const fwi_record_set *s)
{
    return s->paths.n;
}

fw_compression fwi_record_set_compression(const fwi_record_set *s, int64_t i)
{
    return s->files[i].compression;
}

int64_t fwi_record_set_bytes(const fwi_record_set *s)
{
    return s->n_bytes;
}

size_t fwi_record_set_max_bytes(const fwi_record_set *s)
{
    return (size_t)s->max_length;
}

size_t fwi_record_set_memory(const fwi_record_set *s)
{
    return sizeof *s + (size_t)s->cap_offsets * sizeof *s->offsets +
           (size_t)s->paths.n * sizeof *s->files;
}

/* The last file whose first record is not behind i, and which is not empty. */
static int64_t file_of(const fwi_record_set *s, int64_t i)
{
    int64_t lo = 0, hi = s->paths.n - 1;
    while (lo < hi) {
        const int64_t mid = (lo + hi + 1) / 2;
        if (s->files[mid].first <= i)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo; /* of files with the same first record only the last one can hold records */
}

const char *fwi_record_set_place(const fwi_record_set *s, int64_t i, char *buf, size_t cap)
{
    if (cap == 0)
        return buf;
    if (!s->seekable || i < 0 || i >= s->n_records) {
        snprintf(buf, cap, "record %lld", (long long)i);
        return buf;
    }
    const int64_t k = file_of(s, i);
    const set_file *f = &s->files[k];
    const char *const path = s->paths.items[k], *const end = fwi_path_end(path);
    snprintf(buf, cap, "%s%s: record %lld at byte %llu", end == path ? "" : "...", end,
             (long long)(i - f->first), (unsigned long long)s->offsets[f->at_base + i - f->first]);
    return buf;
}

fw_status fwi_record_set_read(const fwi_record_set *s, int64_t i, void *buf, size_t cap,
                              const uint8_t **data, size_t *n_bytes)
{
    if (s == NULL || buf == NULL || data == NULL || n_bytes == NULL)
        return fwi_fail(FW_EARG, "fwi_record_set_read: NULL argument");
    if (!s->seekable)
        return fwi_fail(FW_ESTATE, "%s: compressed records cannot be read by number",
                        s->paths.items[0]);
    if (i < 0 || i >= s->n_records)
        return fwi_fail(FW_EARG, "%s: record %lld was asked for, there are %lld", s->paths.items[0],
                        (long long)i, (long long)s->n_records);
    const int64_t k = file_of(s, i);
    const set_file *f = &s->files[k];
    const uint64_t *at = s->offsets + f->at_base + (i - f->first);
    const size_t n = (size_t)(at[1] - at[0]) - FWI_RECORD_HEAD;
    int fd = -1;
    size_t got = 0;
    fw_status st = open_again(f, s->paths.items[k], &fd);
    if (st != FW_OK)
        return st;
    if (n > cap)
        st = fwi_fail(FW_EARG, "needs a buffer of %zu bytes, this one has %zu", n, cap);
    if (st == FW_OK)
        st = fwi_file_read_at(fd, buf, n, (int64_t)at[0] + FWI_RECORD_HEAD, &got);
    let_go(f, fd);
    if (st == FW_OK && got < n)
        st = fwi_fail(FW_EFORMAT,
                      "ends after %zu of %zu bytes of data and crc: the file became shorter", got,
                      n);
    if (st == FW_OK)
        st = fwi_tfrecord_check_data(buf, n - FWI_RECORD_FOOT);
    if (st != FW_OK)
        return fwi_fail_in(st, "%s: record %lld at byte %llu", s->paths.items[k],
                           (long long)(i - f->first), (unsigned long long)at[0]);
    *data = buf;
    *n_bytes = n - FWI_RECORD_FOOT;
    return FW_OK;
}

fw_status fwi_record_set_sample(const fwi_record_set *s, uint32_t *crc)
{
    enum { SAMPLES = 32 };
    const int64_t n = s->n_records < SAMPLES ? s->n_records : SAMPLES;
    const size_t cap = fwi_record_set_max_bytes(s);
    uint8_t *const buf = fwi_alloc(cap);
    fw_status st = buf == NULL ? FW_ENOMEM : FW_OK;
    *crc = 0;
    for (int64_t i = 0; i < n && st == FW_OK; i++) { /* the first, the last, and those between */
        const uint8_t *data = NULL;
        size_t bytes = 0;
        const int64_t at =
            n == 1 ? 0 : (int64_t)((double)i / (double)(n - 1) * (double)(s->n_records - 1));
        st = fwi_record_set_read(s, at, buf, cap, &data, &bytes);
        if (st == FW_OK)
            *crc = fwi_crc32c_update(*crc, data, bytes);
    }
    fwi_free(buf);
    return st;
}
