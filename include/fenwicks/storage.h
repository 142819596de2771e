/* storage.h: where data and results live. */
#ifndef FENWICKS_STORAGE_H
#define FENWICKS_STORAGE_H

#include <fenwicks/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Checks that root can be written to (creating it if need be). gs:// and s3:// roots give
 * FW_EUNAVAILABLE for now. */
FW_API fw_status fw_storage_setup(const char *root);

/* root/data/PROJECT and root/work/PROJECT, both created. {0} is an empty one. */
typedef struct fw_dirs {
    char *data, *work;
    struct fw_path_list *paths; /* the library's own: what fw_path gave out */
} fw_dirs;
FW_API fw_status fw_project_dirs(const char *root, const char *project, fw_dirs *out);
FW_API void fw_dirs_clear(fw_dirs *d);

/* dir + "/" + name; borrowed: valid until fw_dirs_clear(d). NULL when memory is out or an argument
 * is NULL (calls that take a path then fail with FW_EARG). */
FW_API const char *fw_path(fw_dirs *d, const char *dir, const char *name);

#ifdef __cplusplus
}
#endif
#endif
