/* source.c: see source.h. Two buffers in a row: `in` holds raw bytes, `out` inflated ones; a plain
 * source has no `out` and serves from `in`. Large reads go past the last buffer straight to the
 * caller. */
#include "source.h"

#include "fail.h"
#include "file.h"
#include "zlib_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    IN_BYTES = 256 << 10,
    OUT_BYTES = 64 << 10,
    PEEK_MAX = 64,
    WINDOW_BITS = 15,      /* the largest; zlib's own number for a zlib header */
    WINDOW_BITS_GZIP = 31, /* + 16: a gzip header */
    INFLATE_MEMORY = 44 << 10
};
#define GROW_STEP ((size_t)1 << 20) /* first step where a length cannot be believed; doubles */

typedef struct window {
    uint8_t *p;
    size_t at, end;
} window;

struct fwi_source {
    const char *name;
    int fd;
    const uint8_t *mem;
    size_t mem_left;
    fwi_source_fn fn;
    void *ctx;
    window in, out;
    bool raw_end; /* nothing comes after `in` */
    fw_compression compression;
    z_stream z;
    bool z_ready;
    bool in_member; /* inside a compressed stream: the end here is too early */
    int64_t at;
    int64_t size; /* of a plain file or of memory; -1: not known */
};

fw_status fwi_source_new(fwi_source **out)
{
    fwi_source *s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    s->fd = -1;
    s->name = "";
    s->in.p = fwi_alloc(IN_BYTES);
    if (s->in.p == NULL) {
        fwi_free(s);
        return FW_ENOMEM;
    }
    *out = s;
    return FW_OK;
}

void fwi_source_free(fwi_source *s)
{
    if (s == NULL)
        return;
    fwi_source_close(s);
    if (s->z_ready)
        inflateEnd(&s->z);
    fwi_free(s->in.p);
    fwi_free(s->out.p);
    fwi_free(s);
}

void fwi_source_close(fwi_source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->mem = NULL;
    s->mem_left = 0;
    s->fn = NULL;
    s->in.at = s->in.end = s->out.at = s->out.end = 0;
    s->raw_end = false;
    s->compression = FW_PLAIN;
    s->in_member = false;
    s->at = 0;
    s->size = -1;
}

fw_status fwi_source_open_file(fwi_source *s, const char *path)
{
    fwi_source_close(s);
    const fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    s->name = path;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        return fwi_fail(errno == ENOENT ? FW_ENOTFOUND : FW_EIO, "%s: cannot open: %s", path,
                        strerror(errno));
    struct stat info;
    if (fstat(s->fd, &info) != 0)
        return fwi_fail(FW_EIO, "%s: cannot look at it: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return fwi_fail(FW_EIO, "%s: cannot read: it is a folder", path);
    s->size = S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
    return FW_OK;
}

void fwi_source_open_memory(fwi_source *s, const char *name, const void *p, size_t n_bytes)
{
    fwi_source_close(s);
    s->name = name;
    s->mem = p;
    s->mem_left = n_bytes;
    s->size = (int64_t)n_bytes;
}

void fwi_source_open_fn(fwi_source *s, const char *name, fwi_source_fn fn, void *ctx)
{
    fwi_source_close(s);
    s->name = name;
    s->fn = fn;
    s->ctx = ctx;
}

static fw_status raw_read(fwi_source *s, uint8_t *p, size_t cap, size_t *got)
{
    *got = 0;
    if (s->raw_end || cap == 0)
        return FW_OK;
    if (s->fn != NULL) {
        const fw_status st = s->fn(s->ctx, p, cap, got);
        if (st != FW_OK)
            return st;
    } else if (s->fd >= 0) {
        ssize_t n;
        do
            n = read(s->fd, p, cap > (1u << 30) ? (1u << 30) : cap);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return fwi_fail(FW_EIO, "%s: cannot read at byte %lld: %s", s->name, (long long)s->at,
                            strerror(errno));
        *got = (size_t)n;
    } else if (s->mem_left > 0) {
        *got = cap < s->mem_left ? cap : s->mem_left;
        memcpy(p, s->mem, *got);
        s->mem += *got;
        s->mem_left -= *got;
    }
    s->raw_end = *got == 0;
    return FW_OK;
}

fw_status fwi_source_inflate(fwi_source *s, fw_compression kind)
{
    if (kind == FW_PLAIN)
        return FW_OK;
    if (s->out.p == NULL && (s->out.p = fwi_alloc(OUT_BYTES)) == NULL)
        return FW_ENOMEM;
    const int bits = kind == FW_GZIP ? WINDOW_BITS_GZIP : WINDOW_BITS;
    int rc;
    if (s->z_ready) {
        rc = inflateReset2(&s->z, bits);
    } else {
        s->z = (z_stream){.zalloc = fwi_z_alloc, .zfree = fwi_z_free};
        rc = inflateInit2(&s->z, bits);
        s->z_ready = rc == Z_OK;
    }
    if (rc == Z_MEM_ERROR)
        return FW_ENOMEM; /* fwi_z_alloc set the message */
    if (rc != Z_OK)
        return fwi_fail(FW_EINTERNAL, "%s: zlib does not start: code %d", s->name, rc);
    s->compression = kind;
    s->size = -1;
    s->in_member = true; /* an empty rest is no compressed stream */
    return FW_OK;
}

/* Inflates at least one byte to p, unless the end is here. */
static fw_status inflate_some(fwi_source *s, uint8_t *p, size_t cap, size_t *got)
{
    *got = 0;
    while (*got == 0) {
        if (s->in.at == s->in.end) {
            s->in.at = 0;
            const fw_status st = raw_read(s, s->in.p, IN_BYTES, &s->in.end);
            if (st != FW_OK)
                return st;
            if (s->in.end == 0) {
                if (!s->in_member)
                    return FW_OK;
                return fwi_fail(FW_EFORMAT,
                                "%s: the compressed data ends too early, after byte %lld of the "
                                "decompressed data",
                                s->name, (long long)s->at);
            }
        }
        while (!s->in_member && s->in.at < s->in.end && s->in.p[s->in.at] == 0)
            s->in.at++; /* what fills the last block of a tape, behind the last stream */
        if (s->in.at == s->in.end)
            continue;
        if (!s->in_member) { /* one stream has ended and more follows */
            inflateReset(&s->z);
            s->in_member = true;
        }
        const unsigned room = cap > (1u << 30) ? (1u << 30) : (unsigned)cap;
        s->z.next_in = s->in.p + s->in.at;
        s->z.avail_in = (unsigned)(s->in.end - s->in.at);
        s->z.next_out = p;
        s->z.avail_out = room;
        const int rc = inflate(&s->z, Z_NO_FLUSH);
        s->in.at = s->in.end - s->z.avail_in;
        *got = room - s->z.avail_out;
        if (rc == Z_STREAM_END)
            s->in_member = false;
        else if (rc == Z_MEM_ERROR)
            return FW_ENOMEM;
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return fwi_fail(FW_EFORMAT,
                            "%s: damaged %s data after byte %lld of the decompressed data: %s",
                            s->name, s->compression == FW_GZIP ? "gzip" : "zlib",
                            (long long)(s->at + (int64_t)*got),
                            s->z.msg != NULL ? s->z.msg : "it needs a dictionary");
    }
    return FW_OK;
}

static fw_status some(fwi_source *s, uint8_t *p, size_t cap, size_t *got)
{
    return s->compression == FW_PLAIN ? raw_read(s, p, cap, got) : inflate_some(s, p, cap, got);
}

static window *last_window(fwi_source *s)
{
    return s->compression == FW_PLAIN ? &s->in : &s->out;
}

fw_status fwi_source_read(fwi_source *s, void *p, size_t n_bytes, size_t *got)
{
    window *w = last_window(s);
    const size_t window_cap = s->compression == FW_PLAIN ? IN_BYTES : OUT_BYTES;
    uint8_t *to = p;
    size_t done = 0;
    while (done < n_bytes) {
        size_t n = w->end - w->at;
        if (n > 0) {
            n = n < n_bytes - done ? n : n_bytes - done;
            memcpy(to + done, w->p + w->at, n);
            w->at += n;
        } else if (n_bytes - done >= window_cap) {
            const fw_status st = some(s, to + done, n_bytes - done, &n);
            if (st != FW_OK)
                return st;
            if (n == 0)
                break;
        } else {
            size_t fresh = 0;
            const fw_status st = some(s, w->p, window_cap, &fresh);
            if (st != FW_OK)
                return st;
            w->at = 0;
            w->end = fresh;
            if (fresh == 0)
                break;
            continue;
        }
        done += n;
        s->at += (int64_t)n;
    }
    *got = done;
    return FW_OK;
}

fw_status fwi_source_peek(fwi_source *s, size_t want, const uint8_t **p, size_t *got)
{
    window *w = last_window(s);
    const size_t window_cap = s->compression == FW_PLAIN ? IN_BYTES : OUT_BYTES;
    if (want > PEEK_MAX)
        want = PEEK_MAX;
    if (w->end - w->at < want) {
        memmove(w->p, w->p + w->at, w->end - w->at);
        w->end -= w->at;
        w->at = 0;
        while (w->end < want) {
            size_t n = 0;
            const fw_status st = some(s, w->p + w->end, window_cap - w->end, &n);
            if (st != FW_OK)
                return st;
            if (n == 0)
                break;
            w->end += n;
        }
    }
    *p = w->p + w->at;
    *got = w->end - w->at < want ? w->end - w->at : want;
    return FW_OK;
}

fw_status fwi_source_inflate_if_gzip(fwi_source *s)
{
    const uint8_t *p = NULL;
    size_t got = 0;
    const fw_status st = fwi_source_peek(s, 2, &p, &got);
    if (st != FW_OK)
        return st;
    return got == 2 && p[0] == 0x1f && p[1] == 0x8b ? fwi_source_inflate(s, FW_GZIP) : FW_OK;
}

static fw_status too_short(const fwi_source *s, int64_t from, uint64_t n_bytes, int64_t end,
                           const char *what)
{
    return fwi_fail(FW_EFORMAT, "%s: ends at byte %lld, inside %s (%llu bytes from byte %lld)",
                    s->name, (long long)end, what, (unsigned long long)n_bytes, (long long)from);
}

fw_status fwi_source_read_exact(fwi_source *s, void *p, size_t n_bytes, const char *what)
{
    const int64_t from = s->at;
    size_t got = 0;
    const fw_status st = fwi_source_read(s, p, n_bytes, &got);
    if (st != FW_OK)
        return st;
    return got == n_bytes ? FW_OK : too_short(s, from, n_bytes, s->at, what);
}

fw_status fwi_source_read_alloc(fwi_source *s, size_t n_bytes, const char *what, void **out)
{
    const int64_t from = s->at;
    const int64_t left = fwi_source_left(s);
    if (left >= 0 && n_bytes > (uint64_t)left)
        return too_short(s, from, n_bytes, from + left, what);
    uint8_t *p = NULL;
    size_t have = 0;
    size_t cap = left >= 0 || n_bytes < GROW_STEP ? n_bytes : GROW_STEP;
    for (;;) {
        uint8_t *more = fwi_realloc(p, cap);
        size_t got = 0;
        fw_status st = more == NULL ? FW_ENOMEM : FW_OK;
        if (st == FW_OK) {
            p = more;
            st = fwi_source_read(s, p + have, cap - have, &got);
        }
        have += got;
        if (st == FW_OK && have < cap)
            st = too_short(s, from, n_bytes, s->at, what);
        if (st != FW_OK) {
            fwi_free(p);
            return st;
        }
        if (have == n_bytes)
            break;
        cap = n_bytes - cap < cap ? n_bytes : 2 * cap;
    }
    *out = p;
    return FW_OK;
}

fw_status fwi_source_expect_end(fwi_source *s, const char *what)
{
    const uint8_t *p = NULL;
    size_t got = 0;
    const fw_status st = fwi_source_peek(s, 1, &p, &got);
    if (st != FW_OK || got == 0)
        return st;
    return fwi_fail(FW_EFORMAT, "%s: goes on behind byte %lld, where %s ends", s->name,
                    (long long)s->at, what);
}

int64_t fwi_source_at(const fwi_source *s)
{
    return s->at;
}

int64_t fwi_source_left(const fwi_source *s)
{
    return s->size < 0 ? -1 : s->size > s->at ? s->size - s->at : 0;
}

const char *fwi_source_name(const fwi_source *s)
{
    return s->name;
}

fw_compression fwi_source_compression(const fwi_source *s)
{
    return s->compression;
}

size_t fwi_source_memory(const fwi_source *s)
{
    return sizeof *s + IN_BYTES + (s->out.p != NULL ? OUT_BYTES : 0) +
           (s->z_ready ? INFLATE_MEMORY : 0);
}
