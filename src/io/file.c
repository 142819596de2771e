/* file.c: the one place that opens files for writing (file.h has the contract).
 *
 * The idea: everything that can fail for want of space fails before the rename. A temporary name
 * beside the final one keeps both on one file system, so that the rename is atomic; the folder is
 * synced after it, or a power cut could forget the new name. Names and patterns are in paths.c. */
#include "file.h"

#include "fail.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 << 10, TMP_SUFFIX_CAP = 48 };

typedef enum mode { IDLE, WRITING, SEALED, APPENDING } mode;

struct fwi_file_writer {
    int fd;
    mode mode;
    bool one_file; /* made by _open: the buffer goes at seal */
    bool replace_nothing;
    char *path; /* path_cap bytes */
    char *tmp;  /* path_cap + TMP_SUFFIX_CAP bytes */
    size_t path_cap;
    uint8_t *buf;
    size_t used, cap;
    int64_t n_bytes;
    int failed; /* errno of the first failed write; nothing is written after it */
};

static fw_status writer_alloc(fwi_file_writer **out, size_t buffer_bytes, size_t path_cap)
{
    fwi_file_writer *w = fwi_alloc_zero(sizeof *w);
    if (w == NULL)
        return FW_ENOMEM;
    *w = (fwi_file_writer){.fd = -1, .mode = IDLE, .path_cap = path_cap, .cap = buffer_bytes};
    w->path = fwi_alloc_zero(path_cap);
    w->tmp = fwi_alloc_zero(path_cap + TMP_SUFFIX_CAP);
    w->buf = fwi_alloc(buffer_bytes);
    if (w->path == NULL || w->tmp == NULL || w->buf == NULL) {
        fwi_file_writer_free(w);
        return FW_ENOMEM;
    }
    *out = w;
    return FW_OK;
}

fw_status fwi_file_writer_new(fwi_file_writer **out, size_t buffer_bytes, size_t path_cap)
{
    if (out == NULL || path_cap == 0)
        return fwi_fail(FW_EARG, "fwi_file_writer_new: no place for the result, or path_cap is 0");
    return writer_alloc(out, buffer_bytes == 0 ? BUFFER_BYTES : buffer_bytes, path_cap);
}

fw_status fwi_file_writer_begin(fwi_file_writer *w, const char *path)
{
    static atomic_uint counter; /* two writers of one path in one process must not meet */
    if (w == NULL || path == NULL || path[0] == '\0')
        return fwi_fail(FW_EARG, "cannot write: the path is NULL or empty");
    if (w->mode != IDLE)
        return fwi_fail(FW_ESTATE, "%s: the writer still has %s", path, w->path);
    const fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    const size_t len = strlen(path);
    if (len >= w->path_cap)
        return fwi_fail(FW_EARG, "%s: the path has %zu bytes, at most %zu fit", path, len,
                        w->path_cap - 1);
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* a device would be replaced by a file */
        return fwi_fail(FW_EIO, "%s: cannot write: it is %s", path,
                        S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
    memcpy(w->path, path, len + 1);
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(w->tmp, w->path_cap + TMP_SUFFIX_CAP, "%s.tmp-%ld-%u", path, (long)getpid(),
                 atomic_fetch_add(&counter, 1u));
        w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0 || errno != EEXIST) /* EEXIST: left by a killed process of the same number */
            break;
    }
    if (w->fd < 0)
        return fwi_fail(FW_EIO, "%s: cannot create: %s%s", path, strerror(errno),
                        errno == ENAMETOOLONG ? ", with the ending that it has until it is whole"
                                              : "");
    w->mode = WRITING;
    w->replace_nothing = false;
    w->used = 0;
    w->n_bytes = 0;
    w->failed = 0;
    return FW_OK;
}

fw_status fwi_file_writer_open(fwi_file_writer **out, const char *path)
{
    if (out == NULL || path == NULL)
        return fwi_fail(FW_EARG, "cannot write: the path is NULL");
    fwi_file_writer *w = NULL;
    fw_status st = writer_alloc(&w, BUFFER_BYTES, strlen(path) + 1);
    if (st != FW_OK)
        return st;
    w->one_file = true;
    st = fwi_file_writer_begin(w, path);
    if (st != FW_OK) {
        fwi_file_writer_free(w);
        return st;
    }
    *out = w;
    return FW_OK;
}

/* Bytes up to the end of the last line that has one. fd: open to read; n: its size. */
static int64_t whole_lines(int fd, int64_t n)
{
    char block[4096];
    while (n > 0) {
        const int64_t at = n > (int64_t)sizeof block ? n - (int64_t)sizeof block : 0;
        const ssize_t got = pread(fd, block, (size_t)(n - at), at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != n - at)
            return -1;
        for (; n > at; n--)
            if (block[n - 1 - at] == '\n')
                return n;
    }
    return 0;
}

fw_status fwi_file_writer_append_lines(fwi_file_writer **out, const char *path)
{
    struct stat info = {0};
    const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int64_t keep = -1; /* all: also of what cannot be read, which opening it to append will tell */
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        keep = whole_lines(fd, info.st_size);
    if (fd >= 0 && keep == info.st_size)
        keep = -1;
    if (fd >= 0)
        close(fd);
    return fwi_file_writer_append(out, path, keep);
}

fw_status fwi_file_writer_append(fwi_file_writer **out, const char *path, int64_t n_keep)
{
    if (out == NULL || path == NULL || path[0] == '\0')
        return fwi_fail(FW_EARG, "cannot append: the path is NULL or empty");
    fwi_file_writer *w = NULL;
    fw_status st = fwi_path_check_local(path);
    if (st == FW_OK)
        st = writer_alloc(&w, BUFFER_BYTES / 8, strlen(path) + 1);
    if (st != FW_OK)
        return st;
    memcpy(w->path, path, strlen(path) + 1);
    w->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    struct stat info;
    if (w->fd < 0 || fstat(w->fd, &info) != 0) {
        st = fwi_fail(FW_EIO, "%s: cannot open to append: %s", path, strerror(errno));
        goto fail;
    }
    if (n_keep > info.st_size) {
        st = fwi_fail(FW_EFORMAT, "%s: has %lld bytes, expected at least %lld", path,
                      (long long)info.st_size, (long long)n_keep);
        goto fail;
    }
    if (n_keep >= 0 && n_keep < info.st_size && ftruncate(w->fd, n_keep) != 0) {
        st = fwi_fail(FW_EIO, "%s: cannot cut at byte %lld: %s", path, (long long)n_keep,
                      strerror(errno));
        goto fail;
    }
    w->n_bytes = n_keep >= 0 ? n_keep : info.st_size;
    w->mode = APPENDING;
    *out = w;
    return FW_OK;
fail:
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    fwi_file_writer_free(w);
    return st;
}

static fw_status write_failed(const fwi_file_writer *w)
{
    return fwi_fail(FW_EIO, "%s: cannot write: %s", w->path, strerror(w->failed));
}

static fw_status write_all(fwi_file_writer *w, const uint8_t *p, size_t n)
{
    while (w->failed == 0 && n > 0) {
        const ssize_t got = write(w->fd, p, n > (1u << 30) ? (1u << 30) : n);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (got == 0) {
            w->failed = EIO;
        } else if (errno != EINTR) {
            w->failed = errno;
        }
    }
    return w->failed == 0 ? FW_OK : write_failed(w);
}

fw_status fwi_file_writer_flush(fwi_file_writer *w)
{
    if (w->mode != WRITING && w->mode != APPENDING)
        return fwi_fail(FW_ESTATE, "%s: nothing is being written", w->path);
    const fw_status st = write_all(w, w->buf, w->used);
    w->used = 0;
    return st;
}

fw_status fwi_file_writer_put(fwi_file_writer *w, const void *p, size_t n_bytes)
{
    if (w == NULL || (p == NULL && n_bytes > 0))
        return fwi_fail(FW_EARG, "fwi_file_writer_put: NULL argument");
    if (w->mode != WRITING && w->mode != APPENDING)
        return fwi_fail(FW_ESTATE, "%s: nothing is being written", w->path);
    if (w->failed != 0)
        return write_failed(w);
    if (n_bytes == 0)
        return FW_OK;
    if (n_bytes > w->cap - w->used) {
        fw_status st = fwi_file_writer_flush(w);
        if (st == FW_OK && n_bytes >= w->cap) {
            st = write_all(w, p, n_bytes);
            if (st == FW_OK)
                w->n_bytes += (int64_t)n_bytes;
            return st;
        }
        if (st != FW_OK)
            return st;
    }
    memcpy(w->buf + w->used, p, n_bytes);
    w->used += n_bytes;
    w->n_bytes += (int64_t)n_bytes;
    return FW_OK;
}

int64_t fwi_file_writer_bytes(const fwi_file_writer *w)
{
    return w->n_bytes;
}

fw_status fwi_file_writer_sync(fwi_file_writer *w)
{
    const fw_status st = fwi_file_writer_flush(w);
    if (st != FW_OK)
        return st;
    /* EINVAL and EROFS: a pipe or a device, which has nothing to sync */
    if (fsync(w->fd) != 0 && errno != EINVAL && errno != EROFS) {
        w->failed = errno;
        return write_failed(w);
    }
    return FW_OK;
}

static fw_status close_fd(fwi_file_writer *w)
{
    const int fd = w->fd;
    w->fd = -1;
    /* On Linux the descriptor is gone even if close fails; network file systems report lost writes
     * here. */
    if (fd >= 0 && close(fd) != 0 && errno != EINTR) {
        w->failed = errno;
        return write_failed(w);
    }
    return FW_OK;
}

fw_status fwi_file_writer_seal(fwi_file_writer *w)
{
    if (w->mode == SEALED)
        return FW_OK;
    fw_status st = fwi_file_writer_sync(w);
    if (st == FW_OK)
        st = close_fd(w);
    if (st != FW_OK)
        return st;
    w->mode = SEALED;
    if (w->one_file) { /* hundreds of sealed shards may wait for the last one */
        fwi_free(w->buf);
        w->buf = NULL;
    }
    return FW_OK;
}

/* The folder of path, so that the rename itself is on the disk. Some file systems cannot sync a
 * folder. */
static fw_status sync_folder(const fwi_file_writer *w)
{
    char *dir =
        w->tmp; /* the temporary name is used up: its memory serves, so nothing is allocated */
    const size_t len = (size_t)(fwi_path_base(w->path) - w->path);
    if (len == 0) {
        memcpy(dir, ".", 2);
    } else {
        memcpy(dir, w->path, len);
        dir[len] = '\0';
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return FW_OK; /* a folder may be writable and not readable; the file is there */
    const int failed =
        fsync(fd) != 0 && errno != EINVAL && errno != EROFS && errno != EBADF ? errno : 0;
    close(fd);
    return failed == 0
               ? FW_OK
               : fwi_fail(FW_EIO, "%s: cannot sync its folder: %s", w->path, strerror(failed));
}

void fwi_file_writer_replace_nothing(fwi_file_writer *w)
{
    w->replace_nothing = true;
}

/* From its temporary name to its own; errno, as of rename. A link finds out who was first; where the file system
 * has none, what comes between the look and the rename is not seen. */
static int take_name(const fwi_file_writer *w)
{
    struct stat there, ours;
    if (w->replace_nothing) {
        const bool linked = link(w->tmp, w->path) == 0;
        const bool exists = !linked && lstat(w->path, &there) == 0;
        /* a network file system may have lost the answer to a link that it made */
        if (linked || (exists && lstat(w->tmp, &ours) == 0 && ours.st_dev == there.st_dev &&
                       ours.st_ino == there.st_ino)) {
            (void)unlink(w->tmp);
            return 0;
        }
        if (exists)
            return EEXIST;
    }
    return rename(w->tmp, w->path) == 0 ? 0 : errno;
}

fw_status fwi_file_writer_end(fwi_file_writer *w)
{
    if (w->mode != WRITING && w->mode != SEALED)
        return fwi_fail(FW_ESTATE, "%s: nothing is being written", w->path);
    fw_status st = fwi_file_writer_seal(w);
    const int failed = st == FW_OK ? take_name(w) : 0;
    if (failed == EEXIST && w->replace_nothing)
        st = fwi_fail(FW_EEXISTS, "%s: exists by now; not overwritten", w->path);
    else if (failed != 0)
        st = fwi_fail(FW_EIO, "%s: cannot rename the finished file to this name: %s", w->path,
                      strerror(failed));
    if (st != FW_OK) {
        fwi_file_writer_abort(w);
        return st;
    }
    w->mode = IDLE;
    return sync_folder(w);
}

void fwi_file_writer_abort(fwi_file_writer *w)
{
    if (w == NULL || (w->mode != WRITING && w->mode != SEALED))
        return;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    unlink(w->tmp);
    w->mode = IDLE;
    w->used = 0;
}

void fwi_file_writer_free(fwi_file_writer *w)
{
    if (w == NULL)
        return;
    fwi_file_writer_abort(w);
    fwi_free(w->path);
    fwi_free(w->tmp);
    fwi_free(w->buf);
    fwi_free(w);
}

fw_status fwi_file_writer_commit(fwi_file_writer *w)
{
    if (w == NULL)
        return fwi_fail(FW_EARG, "fwi_file_writer_commit: NULL argument");
    const fw_status st = fwi_file_writer_end(w);
    fwi_file_writer_free(w);
    return st;
}

void fwi_file_writer_discard(fwi_file_writer *w)
{
    fwi_file_writer_free(w);
}

fw_status fwi_file_writer_close(fwi_file_writer *w)
{
    if (w == NULL)
        return FW_OK;
    if (w->mode != APPENDING)
        return fwi_fail(FW_ESTATE, "%s: was not opened to append", w->path);
    fw_status st = fwi_file_writer_flush(w);
    const fw_status closed = close_fd(w);
    w->mode = IDLE;
    fwi_file_writer_free(w);
    return st != FW_OK ? st : closed;
}

fw_status fwi_write_file(const char *path, const void *p, size_t n_bytes)
{
    fwi_file_writer *w = NULL;
    fw_status st = fwi_file_writer_open(&w, path);
    if (st != FW_OK)
        return st;
    st = fwi_file_writer_put(w, p, n_bytes);
    if (st != FW_OK) {
        fwi_file_writer_discard(w);
        return st;
    }
    return fwi_file_writer_commit(w);
}

fw_status fwi_file_read_at(int fd, void *p, size_t n_bytes, int64_t at, size_t *got)
{
    *got = 0;
    while (*got < n_bytes) {
        const ssize_t k = pread(fd, (uint8_t *)p + *got, n_bytes - *got, at + (int64_t)*got);
        if (k == 0)
            break;
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fwi_fail(FW_EIO, "cannot read at byte %lld: %s", (long long)at + (long long)*got,
                            strerror(errno));
        *got += (size_t)k;
    }
    return FW_OK;
}

static fw_status read_whole(const char *path, size_t max_bytes, int flags, fwi_buf *buf)
{
    if (path == NULL || buf == NULL)
        return fwi_fail(FW_EARG, "cannot read: the path is NULL");
    fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    buf->size = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return fwi_fail(errno == ENOENT ? FW_ENOTFOUND : FW_EIO, "%s: cannot open: %s", path,
                        strerror(errno));
    struct stat info;
    size_t want = 0;
    if (fstat(fd, &info) != 0) {
        st = fwi_fail(FW_EIO, "%s: cannot look at it: %s", path, strerror(errno));
        goto done;
    }
    if (S_ISDIR(info.st_mode)) {
        st = fwi_fail(FW_EIO, "%s: cannot read: it is a folder", path);
        goto done;
    }
    if ((flags & O_NONBLOCK) != 0 && !S_ISREG(info.st_mode)) {
        st = fwi_fail(FW_EIO, "%s: cannot read: it is not a regular file", path);
        goto done;
    }
    want = info.st_size > 0 ? (size_t)info.st_size : 0;
    for (;;) {
        /* one more than max_bytes, so that a file that is longer shows itself, pipes included */
        if (want > max_bytes || buf->size > max_bytes) {
            st = fwi_fail(FW_EFORMAT, "%s: has more than %zu bytes, the most that is read", path,
                          max_bytes);
            goto done;
        }
        size_t room = want > buf->size ? want - buf->size : 4096;
        if (room > max_bytes - buf->size)
            room = max_bytes - buf->size + 1;
        st = fwi_buf_reserve(buf, buf->size + room + 1);
        if (st != FW_OK)
            goto done;
        const ssize_t got = read(fd, buf->data + buf->size, room);
        if (got > 0) {
            buf->size += (size_t)got;
        } else if (got == 0) {
            break;
        } else if (errno != EINTR) {
            st = fwi_fail(FW_EIO, "%s: cannot read at byte %zu: %s", path, buf->size,
                          strerror(errno));
            goto done;
        }
    }
    buf->data[buf->size] = 0;
done:
    close(fd);
    return st;
}

fw_status fwi_read_file(const char *path, size_t max_bytes, fwi_buf *buf)
{
    return read_whole(path, max_bytes, 0, buf);
}

fw_status fwi_read_own_file(const char *path, size_t max_bytes, fwi_buf *buf)
{
    return read_whole(path, max_bytes, O_NONBLOCK, buf);
}
