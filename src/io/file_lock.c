/* file_lock.c: one process at a time; file.h says what for. */
#include "file.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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

/* Whether the path still leads to what is open. */
static bool is_there(const char *dir, int fd)
{
    struct stat named, held;
    return stat(dir, &named) == 0 && fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
           named.st_ino == held.st_ino;
}

fw_status fwi_dir_lock_make(fwi_file_lock *l, const char *dir)
{
    fw_status st = FW_OK;
    *l = (fwi_file_lock){0};
    for (int turn = 0; turn < 100 && st == FW_OK; turn++) { /* another may take it away, empty */
        if ((st = fwi_mkdirs(dir)) != FW_OK)
            break;
        l->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->fd < 0 && errno == ENOENT)
            continue;
        if (l->fd < 0)
            return fwi_fail(FW_EIO, "%s: cannot open the folder: %s", dir, strerror(errno));
        st = lock(l, dir, LOCK_EX | LOCK_NB);
        if (st == FW_OK && is_there(dir, l->fd))
            return FW_OK;
        fwi_file_lock_leave(l);
    }
    return st != FW_OK ? st : fwi_fail(FW_EIO, "%s: is taken away again and again", dir);
}

bool fwi_dir_remove_unused(const char *dir)
{
    fwi_file_lock l = {0};
    l.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l.fd < 0)
        return false;
    fwi_error said; /* that another has it is no failure, and who cleans up has one to tell */
    fwi_error_save(&said, FW_OK);
    const bool ours = lock(&l, dir, LOCK_EX | LOCK_NB) == FW_OK;
    const bool gone = ours && rmdir(dir) == 0;
    fwi_file_lock_leave(&l);
    (void)fwi_error_raise(&said);
    return gone;
}

void fwi_file_lock_leave(fwi_file_lock *l)
{
    if (l->held)
        close(l->fd); /* and its lock with it */
    *l = (fwi_file_lock){0};
}
