/* file_lock.c: one process at a time; file.h says what for. */
#include "file.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The file that l->fd is. On a file system without locks it is held in name alone. */
static fw_status lock(fwi_file_lock *l, const char *path, int how)
{
    int failed;
    l->held = true;
    do
        failed = flock(l->fd, how);
    while (failed != 0 && errno == EINTR);
    if (failed == 0 || errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS)
        return FW_OK;
    const int why = errno;
    fwi_file_lock_leave(l);
    if (why == EWOULDBLOCK)
        return fwi_fail(FW_ESTATE, "%s: is in use by another run", path);
    return fwi_fail(FW_EIO, "%s: cannot lock: %s", path, strerror(why));
}

fw_status fwi_file_lock_take(fwi_file_lock *l, const char *path)
{
    *l = (fwi_file_lock){0};
    const fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0)
        return fwi_fail(FW_EIO, "%s: cannot open to append: %s", path, strerror(errno));
    return lock(l, path, LOCK_EX);
}

fw_status fwi_dir_lock_take(fwi_file_lock *l, const char *dir)
{
    *l = (fwi_file_lock){0};
    const fw_status st = fwi_path_check_local(dir);
    if (st != FW_OK)
        return st;
    l->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->fd < 0)
        return fwi_fail(FW_EIO, "%s: cannot open the folder: %s", dir, strerror(errno));
    return lock(l, dir, LOCK_EX | LOCK_NB);
}

void fwi_file_lock_leave(fwi_file_lock *l)
{
    if (l->held)
        close(l->fd); /* and its lock with it */
    *l = (fwi_file_lock){0};
}
