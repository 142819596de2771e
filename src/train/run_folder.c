/* run_folder.c: see run_folder.h. */
#include "run_folder.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "fail.h"
#include "file.h"
#include "mem.h"

/* Whether `out` holds a run, whole or not. */
static fw_status holds_run(const char *out, bool *yes)
{
    static const char *const files[] = {"config.json", "log.jsonl", "model.safetensors",
                                        "proxy/config.json"};
    *yes = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !*yes; i++) {
        char *path = fwi_path_join(out, files[i]);
        if (path == NULL)
            return FW_ENOMEM;
        *yes = fwi_file_exists(path);
        fwi_free(path);
    }
    int64_t step = -1;
    char path[4096];
    if (*yes || !fwi_is_dir(out))
        return FW_OK;
    const fw_status st = fwi_ckpt_newest(out, &step, path, sizeof path);
    *yes = step >= 0;
    return st;
}

fw_status fwi_run_folder_check(const char *out, bool resume)
{
    bool run = false;
    if (out == NULL)
        return resume ? fwi_fail(FW_EARG, "resume: no run folder is named (out)") : FW_OK;
    fw_status st = fwi_path_check_local(out);
    if (st == FW_OK)
        st = holds_run(out, &run);
    if (st != FW_OK)
        return st;
    if (run && !resume)
        return fwi_fail(FW_EEXISTS,
                        "%s: holds a run already: go on with it (--resume), or name another folder",
                        out);
    if (!run && resume)
        return fwi_fail(FW_ENOTFOUND, "%s: holds no run to go on with", out);
    return FW_OK;
}

/* Cuts the last of path's n bytes' names off, and the slashes in front of it; bytes that are left. */
static size_t to_parent(char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 0 && path[n - 1] == '/')
        n--;
    path[n] = 0;
    return n;
}

size_t fwi_run_folder_there(const char *path)
{
    size_t n = strlen(path);
    char *const copy = fwi_strdup(path);
    while (copy != NULL && n > 0 && !fwi_is_dir(copy))
        n = to_parent(copy, n);
    fwi_free(copy);
    return n;
}

void fwi_run_folder_remove_empty(const char *path, size_t there)
{
    size_t n = strlen(path);
    char *const copy = fwi_strdup(path);
    while (copy != NULL && n > there && (fwi_dir_remove_unused(copy) || errno == ENOENT))
        n = to_parent(copy, n);
    fwi_free(copy);
}
