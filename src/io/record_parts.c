/* record_parts.c: which record files a name stands for: X-train.tfrec and X-test.tfrec of X, of X.tfrec
 * or of the folder that they are in, or X.tfrec itself, each whole or in shards. Read before: paths.c. */
#include "fail.h"
#include "file.h"

#include <fenwicks/record.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char records_end[] = ".tfrec", train_end[] = "-train", test_end[] = "-test";

void fw_record_parts_clear(fw_record_parts *p)
{
    if (p == NULL)
        return;
    fwi_free(p->whole);
    fwi_free(p->train);
    fwi_free(p->test);
    *p = (fw_record_parts){0};
}

/* In how many shards the file `base` is whose first shard `name` is; 0: it is something else. */
static int64_t first_of_shards(const char *name, const char *base, size_t base_bytes)
{
    int64_t i = 0, n = 0;
    return fwi_shard_parse(name, &i, &n) == base_bytes && i == 0 &&
                   memcmp(name, base, base_bytes) == 0
               ? n
               : 0;
}

/* In how many shards the file `whole` is in its folder; *shards 0: in none, as in a folder that is not
 * there, or that cannot be listed (*unlisted: errno). FW_EARG: in two numbers of them, and the order of a
 * listing must not choose. */
static fw_status count_shards(const char *dir, const char *whole, int64_t *shards, int *unlisted)
{
    const char *base = fwi_path_base(whole);
    *shards = 0;
    DIR *d = opendir(*dir != 0 ? dir : ".");
    if (d == NULL) {
        if (errno != ENOENT && errno != ENOTDIR)
            *unlisted = errno;
        return FW_OK;
    }
    fw_status st = FW_OK;
    errno = 0; /* readdir's way to tell an end from a failure */
    for (struct dirent *e; st == FW_OK && (e = readdir(d)) != NULL; errno = 0) {
        const int64_t n = first_of_shards(e->d_name, base, strlen(base)), m = *shards;
        if (n > 0 && m > 0 && n != m)
            st = fwi_fail(
                FW_EARG,
                "%s: is there in %" PRId64 " shards and in %" PRId64 " (%s-00000-of-%05" PRId64
                ", %s-00000-of-%05" PRId64 "): keep the files of one",
                whole, n < m ? n : m, n < m ? m : n, base, n < m ? n : m, base, n < m ? m : n);
        else if (n > 0)
            *shards = n;
    }
    if (st == FW_OK && errno != 0)
        st = fwi_fail(FW_EIO, "%s: cannot list the folder: %s", *dir != 0 ? dir : ".",
                      strerror(errno));
    closedir(d);
    return st;
}

/* The pattern of "<dir><name><part>.tfrec"; dir: "" or ending with '/'; *out NULL: not there. FW_EARG: it is
 * there whole and in shards, one of which is old, and nothing says which. */
static fw_status find_part(const char *dir, const char *name, const char *part, char **out,
                           int *unlisted)
{
    char *whole = fwi_sprintf("%s%s%s%s", dir, name, part, records_end);
    int64_t shards = 0;
    if (whole == NULL)
        return FW_ENOMEM;
    fw_status st = count_shards(dir, whole, &shards, unlisted);
    const bool one = fwi_file_exists(whole);
    if (st == FW_OK && one && shards > 0)
        st = fwi_fail(FW_EARG,
                      "%s: is there whole and in %" PRId64 " shards (%s-00000-of-%05" PRId64
                      "): keep the one or the others",
                      whole, shards, fwi_path_base(whole), shards);
    if (st == FW_OK && one) {
        *out = whole;
        return FW_OK;
    }
    if (st == FW_OK && shards > 0 && (*out = fwi_sprintf("%s@%" PRId64, whole, shards)) == NULL)
        st = FW_ENOMEM;
    fwi_free(whole);
    return st;
}

/* The bytes of X in X-train.tfrec, X-test.tfrec or the first shard of one; 0: it is something else. */
static size_t name_of_part(const char *file)
{
    const char *const end = strstr(file, records_end);
    if (end == NULL)
        return 0;
    const char *const rest = end + sizeof records_end - 1;
    if (*rest != 0 && first_of_shards(file, file, (size_t)(rest - file)) == 0)
        return 0;
    const size_t n = (size_t)(end - file);
    static const char *const parts[] = {train_end, test_end};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t k = strlen(parts[i]);
        if (n > k && memcmp(end - k, parts[i], k) == 0)
            return n - k;
    }
    return 0;
}

/* The name X of a folder's parts; FW_EARG if there are several. *out NULL: none. */
static fw_status name_in_folder(const char *dir, char **out)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return fwi_fail(FW_EIO, "%s: cannot open the folder: %s", dir, strerror(errno));
    fw_status st = FW_OK;
    errno = 0;
    for (struct dirent *e; st == FW_OK && (e = readdir(d)) != NULL; errno = 0) {
        const size_t n = name_of_part(e->d_name);
        if (n == 0 || (*out != NULL && strlen(*out) == n && memcmp(*out, e->d_name, n) == 0))
            continue;
        if (*out != NULL)
            st = fwi_fail(FW_EARG,
                          "%s: holds records of several data sets (%.100s, %.*s): name one "
                          "of them, as in %s/%.*s",
                          dir, *out, (int)n, e->d_name, dir, (int)n, e->d_name);
        else if ((*out = fwi_sprintf("%.*s", (int)n, e->d_name)) == NULL)
            st = FW_ENOMEM;
    }
    if (st == FW_OK && errno != 0)
        st = fwi_fail(FW_EIO, "%s: cannot list the folder: %s", dir, strerror(errno));
    closedir(d);
    return st;
}

fw_status fw_record_parts_find(const char *data, fw_record_parts *out)
{
    if (data == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_record_parts_find: NULL argument");
    fw_record_parts p = {0};
    char *dir = NULL, *name = NULL;
    int unlisted = 0;
    fw_status st = fwi_path_check_local(data);
    if (st != FW_OK)
        return st;
    const bool folder = fwi_is_dir(data);
    if (folder) {
        dir = fwi_path_join(data, "");
        st = dir == NULL ? FW_ENOMEM : name_in_folder(data, &name);
    } else {
        const char *base = fwi_path_base(data);
        size_t n = strlen(base);
        const size_t k = sizeof records_end - 1;
        if (n > k && strcmp(base + n - k, records_end) == 0)
            n -= k;
        dir = fwi_sprintf("%.*s", (int)(base - data), data);
        name = fwi_sprintf("%.*s", (int)n, base);
        if (dir == NULL || name == NULL)
            st = FW_ENOMEM;
    }
    if (st == FW_OK && name != NULL)
        st = find_part(dir, name, "", &p.whole, &unlisted);
    if (st == FW_OK && name != NULL)
        st = find_part(dir, name, train_end, &p.train, &unlisted);
    if (st == FW_OK && name != NULL)
        st = find_part(dir, name, test_end, &p.test, &unlisted);
    if (st == FW_OK && p.whole != NULL && (p.train != NULL || p.test != NULL))
        st = fwi_fail(FW_EARG,
                      "%s: is there beside %s, and nothing says which is meant: keep the one or "
                      "the other",
                      p.whole, p.train != NULL ? p.train : p.test);
    /* files that are there are used; that there are none cannot be told of a folder that has no listing */
    if (st == FW_OK && unlisted != 0 && p.whole == NULL && p.train == NULL && p.test == NULL &&
        !fwi_file_exists(data))
        st = fwi_fail(FW_EIO, "%s%s%s: cannot list the folder that it would be in: %s", dir, name,
                      records_end, strerror(unlisted));
    if (st == FW_OK)
        *out = p;
    else
        fw_record_parts_clear(&p);
    fwi_free(dir);
    fwi_free(name);
    return st;
}
