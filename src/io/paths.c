/* paths.c: names of files: joining, asking, making folders, and expanding patterns (file.h). */
#include "fail.h"
#include "file.h"
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SHARDS = 99999 }; /* five digits in NAME-00000-of-00005 */

char *fwi_path_join(const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    const char *between = n == 0 || dir[n - 1] == '/' ? "" : "/";
    return fwi_sprintf("%s%s%s", dir, between, name);
}

const char *fwi_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

const char *fwi_path_end(const char *path)
{
    const size_t n = strlen(path), most = 400;
    return n <= most ? path : path + (n - most);
}

fw_status fwi_path_look(const char *path, fwi_path_kind *kind)
{
    struct stat info;
    *kind = FWI_NOTHING;
    if (stat(path, &info) == 0)
        *kind = S_ISDIR(info.st_mode) ? FWI_FOLDER : FWI_FILE;
    else if (errno != ENOENT && errno != ENOTDIR &&
             errno != ENAMETOOLONG) /* no name can be so long */
        return fwi_fail(FW_EIO, "%s: cannot look at it: %s", path, strerror(errno));
    if (*kind == FWI_FOLDER && access(path, X_OK) != 0) /* nor at what is in it */
        return fwi_fail(FW_EIO, "%s: cannot look into it: %s", path, strerror(errno));
    return FW_OK;
}

bool fwi_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool fwi_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

bool fwi_dir_has(const char *dir, const char *name)
{
    char path[4096]; /* no allocation that could fail and pass for "not there" */
    struct stat info;
    const int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && n < (int)sizeof path && stat(path, &info) == 0;
}

int64_t fwi_file_size(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return -1;
    if (S_ISDIR(info.st_mode))
        errno = EISDIR;
    return S_ISDIR(info.st_mode) ? -1 : (int64_t)info.st_size;
}

fw_status fwi_path_check_local(const char *path)
{
    static const char *const schemes[] = {"gs://", "s3://", "http://", "https://", "hdfs://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
            return fwi_fail(FW_EUNAVAILABLE,
                            "%s: %s is not supported yet: copy it to a local folder and name that",
                            path, schemes[i]);
    return FW_OK;
}

fw_status fwi_mkdirs(const char *path)
{
    if (path == NULL || path[0] == '\0')
        return fwi_fail(FW_EARG, "cannot make a folder: the path is NULL or empty");
    fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    if (fwi_is_dir(path))
        return FW_OK;
    char *part = fwi_strdup(path);
    if (part == NULL)
        return FW_ENOMEM;
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        const char end = *at;
        *at = '\0';
        /* asked first: mkdir on a read-only root says EROFS even where the folder is there */
        if (!fwi_is_dir(part) && mkdir(part, 0777) != 0 && errno != EEXIST) {
            st = fwi_fail(FW_EIO, "%s: cannot make the folder %s: %s", path, part, strerror(errno));
            break;
        }
        *at = end;
        if (end == '\0')
            break;
    }
    fwi_free(part);
    if (st == FW_OK && !fwi_is_dir(path))
        st = fwi_fail(FW_EIO, "%s: cannot make the folder: a file has that name", path);
    return st;
}

void fwi_paths_clear(fwi_paths *p)
{
    if (p == NULL)
        return;
    for (int64_t i = 0; i < p->n; i++)
        fwi_free(p->items[i]);
    fwi_free(p->items);
    *p = (fwi_paths){0};
}

size_t fwi_shard_parse(const char *path, int64_t *i, int64_t *n)
{
    static const char form[] = "-#####-of-#####";
    const size_t bytes = strlen(path), k = sizeof form - 1;
    if (bytes <= k)
        return 0;
    const char *p = path + bytes - k;
    int64_t number[2] = {0};
    for (size_t at = 0; at < k; at++) {
        if (form[at] == '#' ? p[at] < '0' || p[at] > '9' : p[at] != form[at])
            return 0;
        if (form[at] == '#')
            number[at > 6] = number[at > 6] * 10 + (p[at] - '0');
    }
    if (number[0] >= number[1])
        return 0;
    if (i != NULL)
        *i = number[0];
    if (n != NULL)
        *n = number[1];
    return bytes - k;
}

char *fwi_shard_path(const char *name, size_t name_bytes, int64_t i, int64_t n)
{
    return fwi_sprintf("%.*s-%05lld-of-%05lld", (int)name_bytes, name, (long long)i, (long long)n);
}

/* NAME@N: N, and the length of NAME; 0 if it is no such pattern. */
static long shard_count(const char *pattern, size_t *name_len)
{
    const char *at = strrchr(pattern, '@');
    if (at == NULL || at == pattern || at[1] < '1' || at[1] > '9' || strlen(at + 1) > 5)
        return 0;
    char *end = NULL;
    const long n = strtol(at + 1, &end, 10);
    if (*end != '\0' || n > MAX_SHARDS)
        return 0;
    *name_len = (size_t)(at - pattern);
    return n;
}

static fw_status paths_alloc(fwi_paths *p, size_t n)
{
    p->items = fwi_alloc_array(n, sizeof *p->items);
    p->n = 0;
    return p->items == NULL ? FW_ENOMEM : FW_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A sidecar Y.json stands beside Y, or beside its shards: "X.tfrec*" does not mean it. */
static bool is_sidecar(const char *path, const fwi_paths *all)
{
    static const char end[] = ".json";
    const size_t n = strlen(path), k = sizeof end - 1;
    if (n <= k || strcmp(path + n - k, end) != 0)
        return false;
    for (int64_t i = 0; i < all->n; i++) {
        const char *other = all->items[i];
        if (strncmp(other, path, n - k) == 0 &&
            (other[n - k] == 0 || fwi_shard_parse(other, NULL, NULL) == n - k))
            return true;
    }
    return false;
}

size_t fwi_leftover_parse(const char *path)
{
    const char *at = path + strlen(path);
    for (int i = 0; i < 2; i++) { /* "-" and digits, from the end */
        const char *const end = at;
        while (at > path && at[-1] >= '0' && at[-1] <= '9')
            at--;
        if (at == end || at == path || at[-1] != '-')
            return 0;
        at--;
    }
    return at - path > 4 && strncmp(at - 4, ".tmp", 4) == 0 ? (size_t)(at - path) - 4 : 0;
}

static void leave_others_out(fwi_paths *p)
{
    for (int64_t i = p->n - 1; i >= 0; i--)
        if (fwi_leftover_parse(p->items[i]) > 0 || is_sidecar(p->items[i], p)) {
            fwi_free(p->items[i]);
            memmove(p->items + i, p->items + i + 1, (size_t)(--p->n - i) * sizeof *p->items);
        }
}

static fw_status expand_glob(const char *pattern, fwi_paths *p)
{
    glob_t found = {0};
    fw_status st = FW_OK;
    const int rc = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (rc == GLOB_NOMATCH)
        st = fwi_fail(FW_ENOTFOUND, "%s: no such file, and no file matches it as a pattern",
                      pattern);
    else if (rc == GLOB_NOSPACE)
        st = fwi_fail(FW_ENOMEM, "%s: no memory to expand the pattern", pattern);
    else if (rc != 0)
        st = fwi_fail(FW_EIO, "%s: cannot expand the pattern: %s", pattern, strerror(errno));
    if (st != FW_OK)
        goto done;
    st = paths_alloc(p, found.gl_pathc);
    for (size_t i = 0; st == FW_OK && i < found.gl_pathc; i++) {
        if (fwi_is_dir(found.gl_pathv[i]))
            continue;
        p->items[p->n] = fwi_strdup(found.gl_pathv[i]);
        if (p->items[p->n] == NULL)
            st = FW_ENOMEM;
        else
            p->n++;
    }
    const bool files = p->n > 0;
    if (st == FW_OK)
        leave_others_out(p);
    if (st == FW_OK && p->n == 0)
        st = fwi_fail(FW_ENOTFOUND, "%s: matches %s only, a file was expected", pattern,
                      files ? "unfinished files (*.tmp-*)" : "folders");
    if (st == FW_OK) {
        qsort(p->items, (size_t)p->n, sizeof *p->items,
              by_bytes); /* not by locale, as glob would */
    }
done:
    globfree(&found);
    return st;
}

fw_status fwi_glob(const char *pattern, fwi_paths *out)
{
    if (pattern == NULL || out == NULL || pattern[0] == '\0')
        return fwi_fail(FW_EARG, "cannot look for files: the pattern is NULL or empty");
    fwi_paths p = {0};
    size_t name_len = 0;
    long shards = 0;
    fwi_path_kind there = FWI_NOTHING;
    fw_status st = fwi_path_check_local(pattern);
    if (st == FW_OK)
        st = fwi_path_look(pattern, &there);
    if (st != FW_OK)
        return st;
    if (there == FWI_FILE) {
        st = paths_alloc(&p, 1);
        if (st == FW_OK && (p.items[0] = fwi_strdup(pattern)) == NULL)
            st = FW_ENOMEM;
        if (st == FW_OK)
            p.n = 1;
    } else if ((shards = shard_count(pattern, &name_len)) > 0) {
        st = paths_alloc(&p, (size_t)shards);
        for (long i = 0; st == FW_OK && i < shards; i++) {
            p.items[i] = fwi_shard_path(pattern, name_len, i, shards);
            if (p.items[i] == NULL)
                st = FW_ENOMEM;
            else
                p.n++;
        }
    } else {
        st = expand_glob(pattern, &p);
    }
    if (st != FW_OK) {
        fwi_paths_clear(&p);
        return st;
    }
    *out = p;
    return FW_OK;
}
