/* checkpoint.c: see checkpoint.h. A checkpoint is a safetensors file of every variable, so any tool
 * can look into it; what may not differ on resume is in its metadata. */
#include "checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "number.h"
#include "st_types.h"

enum { PATH_CAP = 4096, WRITE_BUFFER = 1 << 20 };

struct fwi_ckpt {
    const fwi_store *store;
    fwi_st_layout *layout;
    fwi_file_writer *writer;
    char *dir;
    void *host;        /* staging for devices whose memory the host cannot read */
    const void **data; /* [n_vars] */
    int64_t keep;
    int64_t *steps; /* those written or found, oldest first: room for found + keep + 1 */
    int64_t n_steps;
    char path[PATH_CAP];
};

/* checkpoint-<digits>.safetensors, as name_make writes it and no other way: "checkpoint-7" is a
 * file of somebody else. */
static bool name_parse(const char *name, int64_t *step)
{
    enum { LEAST = 8 };
    static const char head[] = "checkpoint-", tail[] = ".safetensors";
    const size_t n = strlen(name), around = strlen(head) + strlen(tail);
    char digits[24];
    if (n < around + LEAST || n - around >= sizeof digits ||
        memcmp(name, head, strlen(head)) != 0 || strcmp(name + n - strlen(tail), tail) != 0)
        return false;
    const size_t n_digits = n - around;
    memcpy(digits, name + strlen(head), n_digits);
    digits[n_digits] = 0;
    return strspn(digits, "0123456789") == n_digits && (n_digits == LEAST || digits[0] != '0') &&
           fwi_parse_int64(digits, step);
}

static fw_status name_make(char *path, size_t cap, const char *dir, int64_t step)
{
    const int n = snprintf(path, cap, "%s/checkpoint-%08" PRId64 ".safetensors", dir, step);
    return n > 0 && (size_t)n < cap ? FW_OK : fwi_fail(FW_EARG, "%.200s...: path too long", dir);
}

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The steps of all checkpoints in dir, ascending. A folder that is not there has none. */
static fw_status list_steps(const char *dir, int64_t **steps, int64_t *n)
{
    *steps = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT ? FW_OK
                               : fwi_fail(FW_EIO, "%s: cannot list: %s", dir, strerror(errno));
    fwi_buf found = {0};
    fw_status st = FW_OK;
    while (st == FW_OK) {
        int64_t step;
        errno = 0; /* a list that breaks off is no list: the newest would be taken for another */
        const struct dirent *e = readdir(d);
        if (e == NULL) {
            if (errno != 0)
                st = fwi_fail(FW_EIO, "%s: cannot list: %s", dir, strerror(errno));
            break;
        }
        if (name_parse(e->d_name, &step))
            st = fwi_buf_append(&found, &step, sizeof step);
    }
    closedir(d);
    if (st != FW_OK || found.size == 0) {
        fwi_buf_clear(&found);
        return st;
    }
    *steps = (int64_t *)(void *)found.data;
    *n = (int64_t)(found.size / sizeof **steps);
    qsort(*steps, (size_t)*n, sizeof **steps, ascending);
    return FW_OK;
}

/* What a killed run left of the one that it was writing. That a file stays is no failure of training. */
static void remove_leftovers(const char *dir)
{
    DIR *const d = opendir(dir);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char name[sizeof e->d_name];
        const size_t n = fwi_leftover_parse(e->d_name);
        int64_t step;
        memcpy(name, e->d_name, n);
        name[n] = 0;
        if (name_parse(name, &step))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d != NULL)
        closedir(d);
}

void fwi_ckpt_free(fwi_ckpt *c)
{
    if (c == NULL)
        return;
    fwi_st_layout_free(c->layout);
    fwi_file_writer_free(c->writer);
    fwi_free(c->dir);
    fwi_free(c->host);
    fwi_free(c->data);
    fwi_free(c->steps);
    fwi_free(c);
}

static fw_status layout_of(fwi_ckpt *c, const fwi_identity *ids, int n)
{
    fw_status st = fwi_st_layout_new(&c->layout);
    for (int i = 0; i < n && st == FW_OK; i++)
        st = fwi_st_layout_meta(c->layout, ids[i].key, ids[i].text);
    if (st == FW_OK) /* as wide as it will ever be: later steps fit the buffer */
        st = fwi_st_layout_meta(c->layout, "step", "9223372036854775807");
    for (int i = 0; i < c->store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &c->store->vars[i];
        st = fwi_st_layout_add(c->layout, v->name, v->dtype, &v->shape);
    }
    return st;
}

/* Where each variable's bytes will be read from: the store's own memory, or the staging block. */
static fw_status place_data(fwi_ckpt *c)
{
    const fwi_store *s = c->store;
    c->data = fwi_alloc_array((size_t)s->n_vars + 1, sizeof *c->data);
    if (c->data == NULL)
        return FW_ENOMEM;
    if (!s->device->host_memory) {
        c->host = fwi_alloc(s->state_bytes);
        if (c->host == NULL)
            return FW_ENOMEM;
    }
    for (int i = 0; i < s->n_vars; i++)
        c->data[i] = c->host == NULL ? s->vars[i].data : (char *)c->host + s->vars[i].offset;
    return FW_OK;
}

fw_status fwi_ckpt_new(fwi_ckpt **out, const fwi_store *store, const char *dir, int64_t keep,
                       const fwi_identity *ids, int n)
{
    fwi_ckpt *c = fwi_alloc_zero(sizeof *c);
    if (c == NULL)
        return FW_ENOMEM;
    int64_t *found = NULL, n_found = 0;
    c->store = store;
    const int64_t all = (int64_t)1 << 20; /* more are never there at once */
    c->keep = keep < 1 ? 1 : keep < all ? keep : all;
    fw_status st = FW_ENOMEM;
    c->dir = fwi_strdup(dir);
    if (c->dir == NULL)
        goto done;
    if ((st = layout_of(c, ids, n)) != FW_OK || (st = place_data(c)) != FW_OK ||
        (st = fwi_file_writer_new(&c->writer, WRITE_BUFFER, PATH_CAP)) != FW_OK ||
        (st = list_steps(dir, &found, &n_found)) != FW_OK)
        goto done;
    /* remember() adds one before it lets others go */
    c->steps = fwi_alloc_array((size_t)n_found + (size_t)c->keep + 1, sizeof *c->steps);
    if (c->steps == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    for (int64_t i = 0; i < n_found; i++) /* those of an earlier start count towards keep */
        c->steps[c->n_steps++] = found[i];
    remove_leftovers(dir);
    *out = c;
    c = NULL;
done:
    fwi_free(found);
    fwi_ckpt_free(c);
    return st;
}

static fw_status fetch(const fwi_ckpt *c)
{
    const fwi_store *s = c->store;
    for (int i = 0; i < s->n_vars; i++) {
        const fwi_var *v = &s->vars[i];
        if (c->host != NULL) {
            const fw_status st = fwi_store_read(s, v, (char *)c->host + v->offset);
            if (st != FW_OK)
                return st;
        }
        if (fwi_st_first_not_finite(c->data[i], v->dtype, fwi_shape_elems(&v->shape)) >= 0)
            return fwi_fail(FW_ENONFINITE,
                            "%s has values that are not finite: no checkpoint written", v->name);
    }
    return FW_OK;
}

static void forget(fwi_ckpt *c, int64_t i)
{
    char old[PATH_CAP];
    if (name_make(old, sizeof old, c->dir, c->steps[i]) == FW_OK)
        (void)unlink(old); /* one file too many is no failure of training */
    memmove(c->steps + i, c->steps + i + 1, (size_t)(c->n_steps - i - 1) * sizeof *c->steps);
    c->n_steps--;
}

static void remember(fwi_ckpt *c, int64_t step)
{
    /* Newer ones were damaged, or training would have gone on from them. */
    while (c->n_steps > 0 && c->steps[c->n_steps - 1] > step)
        forget(c, c->n_steps - 1);
    if (c->n_steps == 0 || c->steps[c->n_steps - 1] != step) /* else the same one again */
        c->steps[c->n_steps++] = step;
    while (c->n_steps > c->keep)
        forget(c, 0);
}

fw_status fwi_ckpt_save(fwi_ckpt *c, int64_t step, const char **path)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, step);
    fw_status st = fetch(c);
    if (st == FW_OK)
        st = fwi_st_layout_meta(c->layout, "step", text);
    if (st == FW_OK)
        st = name_make(c->path, sizeof c->path, c->dir, step);
    if (st == FW_OK)
        st = fwi_st_layout_write(c->layout, c->writer, c->path, c->data);
    if (st != FW_OK)
        return st;
    remember(c, step);
    if (path != NULL)
        *path = c->path;
    return FW_OK;
}

/* A whole file under the name of another step would be gone on from at that step. */
static fw_status check_step(const fwi_safetensors *s, int64_t step)
{
    const char *said = fwi_st_meta(s, "step");
    int64_t is = -1;
    if (said != NULL && (!fwi_parse_int64(said, &is) || is != step))
        return fwi_fail(FW_EFORMAT, "%s: its metadata says step %.32s: it is under another's name",
                        fwi_st_path(s), said);
    return FW_OK;
}

/* Opens the file and reads all of it against its crc, into memory if out is not NULL. */
static fw_status open_whole(const char *path, int64_t step, fwi_safetensors **out)
{
    fwi_safetensors *s = NULL;
    fw_status st = fwi_st_open(&s, path);
    if (st == FW_OK)
        st = out != NULL ? fwi_st_hold(s) : fwi_st_verify(s);
    if (st == FW_OK)
        st = check_step(s, step);
    if (st == FW_OK && out != NULL) {
        *out = s;
        s = NULL;
    }
    fwi_st_close(s);
    return st;
}

static fw_status newest(const char *dir, int64_t *step, char *path, size_t cap,
                        fwi_safetensors **out)
{
    int64_t *steps = NULL, n = 0;
    *step = -1;
    fw_status st = list_steps(dir, &steps, &n);
    for (int64_t i = n - 1; i >= 0 && st == FW_OK && *step < 0; i--) {
        st = name_make(path, cap, dir, steps[i]);
        if (st != FW_OK)
            break;
        const fw_status whole = open_whole(path, steps[i], out);
        if (whole == FW_OK)
            *step = steps[i];
        else if (whole != FW_EFORMAT) /* no memory, no access: says nothing about the content */
            st = whole;
        else
            fwi_log(1, "checkpoint passed over: %s", fw_last_error());
    }
    if (st == FW_OK && n > 0 && *step < 0) /* hours of training do not begin again unasked */
        st = fwi_fail(FW_EFORMAT,
                      "%s: none of its %" PRId64
                      " checkpoints is whole: begin anew in another folder",
                      dir, n);
    fwi_free(steps);
    return st;
}

fw_status fwi_ckpt_newest(const char *dir, int64_t *step, char *path, size_t cap)
{
    return newest(dir, step, path, cap, NULL);
}

fw_status fwi_ckpt_open(const char *dir, int64_t *step, fwi_safetensors **out)
{
    char path[PATH_CAP];
    *out = NULL;
    return newest(dir, step, path, sizeof path, out);
}

fw_status fwi_ckpt_newest_named(const char *dir, int64_t *step)
{
    int64_t *steps = NULL, n = 0;
    const fw_status st = list_steps(dir, &steps, &n);
    *step = n > 0 ? steps[n - 1] : -1;
    fwi_free(steps);
    return st;
}

/* Where two descriptions differ: the first word that is another one, or stands in one line only, and
 * what begins that line or group: the words up to the first KEY=VALUE. */
typedef struct difference {
    const char *was, *is, *part;
    int n_was, n_is, n_part;
} difference;

static int word_bytes(const char *s)
{
    enum { MOST = 100 };
    const size_t n = strcspn(s, " \n");
    return n < MOST ? (int)n : MOST;
}

static difference differ(const char *was, const char *is)
{
    const char *part = is, *end;
    for (;;) {
        const size_t n = strcspn(is, " \n");
        if (strcspn(was, " \n") != n || memcmp(was, is, n) != 0)
            break;
        was += n;
        is += n;
        const char a = *was, b = *is;
        if (a != b ||
            a == 0) { /* a line ends in one of them; what goes on there is the difference */
            was += a == ' ' || (a == '\n' && b == 0);
            is += b == ' ' || (b == '\n' && a == 0);
            break;
        }
        was++;
        is++;
        if (a == '\n' || (n > 0 && is[-2] == ';'))
            part = is;
    }
    end = part;
    for (const char *p = part; p < is && memchr(p, '=', strcspn(p, " \n")) == NULL; p = end + 1)
        end = p + strcspn(p, " \n");
    return (difference){was, is, part, word_bytes(was), word_bytes(is), (int)(end - part)};
}

static fw_status other_run(const char *path, const char *key, const char *was, const char *is)
{
    const difference d = differ(was, is);
    return fwi_fail(
        FW_EEXISTS, "%s: is of a run with %s %s%s%.*s: there \"%.*s\", here \"%.*s\"%s", path,
        strcmp(key, "data") == 0 ? "other" : "another", key, d.n_part > 0 ? ", first in " : "",
        d.n_part, d.part, d.n_was, d.was, d.n_is, d.is,
        strcmp(key, "optimizer") == 0 ? "; the schedule is part of it, and with it epochs and "
                                        "batch: a run goes on with those "
                                        "it was begun with"
                                      : "");
}

/* A checkpoint that says some of what must agree is ours, but of a version that knew less. */
static fw_status key_missing(const fwi_safetensors *s, const fwi_identity *ids, int n,
                             const char *key)
{
    for (int i = 0; i < n; i++)
        if (fwi_st_meta(s, ids[i].key) != NULL)
            return fwi_fail(FW_EFORMAT,
                            "%s: was written by another version of fenwicks, which did not record "
                            "\"%s\", so that nobody can tell whether this run would go on as that "
                            "one: go on with that version, begin anew in another folder, or begin "
                            "with its weights (warm start)",
                            fwi_st_path(s), key);
    return fwi_fail(FW_EFORMAT, "%s: is no checkpoint of fenwicks: its metadata has no \"%s\"",
                    fwi_st_path(s), key);
}

fw_status fwi_ckpt_check(const fwi_safetensors *s, const fwi_identity *ids, int n)
{
    for (int i = 0; i < n; i++) {
        const char *was = fwi_st_meta(s, ids[i].key);
        if (was == NULL)
            return key_missing(s, ids, n, ids[i].key);
        if (strcmp(was, ids[i].text) != 0)
            return other_run(fwi_st_path(s), ids[i].key, was, ids[i].text);
    }
    return fwi_st_meta(s, "step") != NULL ? FW_OK : key_missing(s, ids, n, "step");
}

fw_status fwi_ckpt_load(fwi_store *store, fwi_safetensors *s)
{
    fwi_buf host = {0};
    const char *path = fwi_st_path(s);
    fw_status st = FW_OK;
    if (fwi_st_count(s) != store->n_vars)
        st = fwi_fail(FW_ESHAPE, "%s: has %d tensors, this model and optimiser have %d", path,
                      fwi_st_count(s), store->n_vars);
    for (int i = 0; i < store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &store->vars[i];
        const fwi_st_tensor *t = fwi_st_find(s, v->name);
        if (t == NULL || t->dtype != v->dtype || !fwi_shape_equal(&t->shape, &v->shape))
            st = fwi_fail(FW_ESHAPE, "%s: tensor %s is %s", path, v->name,
                          t == NULL ? "missing" : "of another shape or type");
        if (st == FW_OK)
            st = fwi_buf_reserve(&host, v->bytes);
        if (st == FW_OK)
            st = fwi_st_read(s, t, host.data);
        if (st == FW_OK)
            st = fwi_store_write(store, v, host.data);
    }
    fwi_buf_clear(&host);
    return st;
}

fw_status fwi_ckpt_remove_all(const char *dir)
{
    int64_t *steps = NULL, n = 0;
    char path[PATH_CAP];
    fw_status st = list_steps(dir, &steps, &n);
    for (int64_t i = 0; i < n && st == FW_OK; i++) {
        st = name_make(path, sizeof path, dir, steps[i]);
        if (st == FW_OK && unlink(path) != 0)
            st = fwi_fail(FW_EIO, "%s: cannot remove: %s", path, strerror(errno));
    }
    fwi_free(steps);
    return st;
}
