/* storage.c: the folders of a project (fenwicks/storage.h). */
#include <fenwicks/storage.h>

#include "fail.h"
#include "file.h"

#include <unistd.h>

struct fw_path_list {
    struct fw_path_list *next;
    char *path;
};

fw_status fw_storage_setup(const char *root)
{
    fw_status st = fwi_mkdirs(root);
    if (st != FW_OK)
        return st;
    /* Permission bits do not tell (root, read-only mounts, quotas): a file is really begun, then
     * dropped. Its name is nobody's: a folder of that name would be taken for a root without room. */
    char *probe = fwi_sprintf("%s/.fenwicks-probe-%ld", root, (long)getpid());
    if (probe == NULL)
        return FW_ENOMEM;
    fwi_file_writer *w = NULL;
    st = fwi_file_writer_open(&w, probe);
    if (st == FW_OK)
        st = fwi_file_writer_put(w, "", 1);
    if (st == FW_OK)
        st = fwi_file_writer_flush(w);
    fwi_file_writer_discard(w);
    fwi_free(probe);
    return st == FW_OK ? FW_OK : fwi_fail_in(st, "%s: the folder cannot be written to", root);
}

fw_status fw_project_dirs(const char *root, const char *project, fw_dirs *out)
{
    if (root == NULL || root[0] == '\0' || project == NULL || project[0] == '\0' || out == NULL)
        return fwi_fail(FW_EARG,
                        "fw_project_dirs: NULL argument, empty root or empty project name");
    fw_dirs d = {.data = fwi_sprintf("%s/data/%s", root, project),
                 .work = fwi_sprintf("%s/work/%s", root, project)};
    fw_status st = d.data == NULL || d.work == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK)
        st = fwi_mkdirs(d.data);
    if (st == FW_OK)
        st = fwi_mkdirs(d.work);
    if (st != FW_OK) {
        fw_dirs_clear(&d);
        return st;
    }
    *out = d;
    return FW_OK;
}

void fw_dirs_clear(fw_dirs *d)
{
    if (d == NULL)
        return;
    while (d->paths != NULL) {
        struct fw_path_list *next = d->paths->next;
        fwi_free(d->paths->path);
        fwi_free(d->paths);
        d->paths = next;
    }
    fwi_free(d->data);
    fwi_free(d->work);
    *d = (fw_dirs){0};
}

const char *fw_path(fw_dirs *d, const char *dir, const char *name)
{
    if (d == NULL || dir == NULL || name == NULL) {
        fwi_fail(FW_EARG, "fw_path: NULL argument");
        return NULL;
    }
    struct fw_path_list *entry = fwi_alloc_zero(sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->path = fwi_path_join(dir, name);
    if (entry->path == NULL) {
        fwi_free(entry);
        return NULL;
    }
    entry->next = d->paths;
    d->paths = entry;
    return entry->path;
}
