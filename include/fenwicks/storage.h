/* storage.h: where data and results live. */
#ifndef FENWICKS_STORAGE_H
#define FENWICKS_STORAGE_H

#include <fenwicks/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the folder root with its parents if it is not there, and checks that files can be made in
 * it, by making one and removing it. gs:// and s3:// roots give FW_EUNAVAILABLE for now. */
FW_API fw_status fw_storage_setup(const char *root);

/* root/data/PROJECT and root/work/PROJECT, both made where missing. {0} is an empty one; released
 * by fw_dirs_clear. out stays untouched on error. */
typedef struct fw_dirs {
    char *data, *work;
    struct fw_path_list *paths; /* the library's own: what fw_path gave out */
} fw_dirs;
FW_API fw_status fw_project_dirs(const char *root, const char *project, fw_dirs *out);
FW_API void fw_dirs_clear(fw_dirs *d);

/* dir + "/" + name; borrowed: valid until fw_dirs_clear(d). NULL when memory is out or an argument
 * is NULL; calls that take a path then fail with FW_EARG. */
FW_API const char *fw_path(fw_dirs *d, const char *dir, const char *name);

#ifdef __cplusplus
}
#endif
#endif
