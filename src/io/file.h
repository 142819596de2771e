/* file.h: files as the library writes, reads and finds them.
 *
 * A result is written beside its final name, synced and renamed, so that a reader sees the old file
 * or the new one, never a half. Used by every room that touches files; sources with a decoder in
 * between (gzip, archives) are in source.h. */
#ifndef FWI_FILE_H
#define FWI_FILE_H

#include "mem.h"
#include <stdbool.h>
#include <stdint.h>

/* Writes PATH.tmp-<pid>-<n> beside PATH; commit flushes, fsyncs, renames to PATH and fsyncs the
 * folder. Messages name PATH (not the temporary name) and the system's reason: "/x/y.tfrec: cannot
 * write: No space left on device". After a failed put the writer only remembers the failure; commit
 * returns it. */
typedef struct fwi_file_writer fwi_file_writer;

/* One file. commit and discard free w; discard removes what was written; discard(NULL) does
 * nothing. */
fw_status fwi_file_writer_open(fwi_file_writer **out, const char *path);
fw_status fwi_file_writer_put(fwi_file_writer *w, const void *p, size_t n_bytes);
fw_status fwi_file_writer_commit(fwi_file_writer *w); /* frees w, also on error */
void fwi_file_writer_discard(fwi_file_writer *w);

/* Optional step before commit: flushes, fsyncs and closes, so that only the rename is left to fail.
 * For groups of files that appear together. The buffer of a writer from _open is released. */
fw_status fwi_file_writer_seal(fwi_file_writer *w);

/* What is being written may not take the place of a file that is there when it is done: FW_EEXISTS. */
void fwi_file_writer_replace_nothing(fwi_file_writer *w);

int64_t fwi_file_writer_bytes(const fwi_file_writer *w); /* put so far */

/* The same for many files with no allocation after _new (checkpoints inside a training loop):
 * begin, put ..., then end (as commit) or abort (as discard), and again. Paths under path_cap
 * bytes. free aborts what was begun. */
fw_status fwi_file_writer_new(fwi_file_writer **out, size_t buffer_bytes, size_t path_cap);
fw_status fwi_file_writer_begin(fwi_file_writer *w, const char *path);
fw_status fwi_file_writer_end(fwi_file_writer *w);
void fwi_file_writer_abort(fwi_file_writer *w);
void fwi_file_writer_free(fwi_file_writer *w);

/* For logs that grow: opens PATH itself at its end (creating it), keeps n_keep bytes of it and
 * drops what is behind them (n_keep < 0: all). put and flush as above; flush hands everything to
 * the system, sync also waits for the disk; close flushes and frees. Allocates nothing after open.
 */
fw_status fwi_file_writer_append(fwi_file_writer **out, const char *path, int64_t n_keep);
/* The same for files of lines: drops a last one that a full disk or a power cut has cut short. */
fw_status fwi_file_writer_append_lines(fwi_file_writer **out, const char *path);
fw_status fwi_file_writer_flush(fwi_file_writer *w);
fw_status fwi_file_writer_sync(fwi_file_writer *w);
fw_status fwi_file_writer_close(fwi_file_writer *w);

/* A lock on PATH, which is made if it is not there, held until _leave ({0}: nothing to leave): for
 * files that several processes add to and mend. Waits for who holds it, through signals: turns are short. It
 * binds only those who take it too (flock), and on a file system that has no locks nobody. */
typedef struct fwi_file_lock {
    bool held;
    int fd;
} fwi_file_lock;
fw_status fwi_file_lock_take(fwi_file_lock *l, const char *path);
/* The same of a folder, which is made with its parents, for as long as one fills it. Does not wait: FW_ESTATE
 * where another has it, of this process or of another one. */
fw_status fwi_dir_lock_make(fwi_file_lock *l, const char *dir);
/* Removes a folder that is empty and that nobody has locked; whether it did. */
bool fwi_dir_remove_unused(const char *dir);
void fwi_file_lock_leave(fwi_file_lock *l);

/* All of a file into buf (its former contents go, its memory is used again). FW_ENOTFOUND if it is
 * not there, FW_EFORMAT if it is larger than max_bytes. A 0 byte stands behind the end. */
fw_status fwi_read_file(const char *path, size_t max_bytes, fwi_buf *buf);
/* The same of a file whose name is ours and not the user's: a pipe there is not waited for, but FW_EIO. */
fw_status fwi_read_own_file(const char *path, size_t max_bytes, fwi_buf *buf);

/* n_bytes of an open file from byte `at` on, however the system cuts them; *got: less where the file ends. The
 * message does not know the file: callers put it in front. Thread-safe. */
fw_status fwi_file_read_at(int fd, void *p, size_t n_bytes, int64_t at, size_t *got);

/* All of buf as PATH, beside and renamed. */
fw_status fwi_write_file(const char *path, const void *p, size_t n_bytes);

fw_status fwi_mkdirs(const char *path); /* with parents; fine if it is there */
char *fwi_path_join(const char *dir,
                    const char *name);       /* "dir/name"; caller frees; NULL: no memory */
const char *fwi_path_base(const char *path); /* view: what follows the last '/' */
/* View: its last 400 bytes, for a message that says more behind it. */
const char *fwi_path_end(const char *path);
/* What stands there. Whoever may not look, at it or into a folder (FW_EIO, with the path and the reason), does not
 * know that there is nothing. */
typedef enum fwi_path_kind { FWI_NOTHING, FWI_FILE, FWI_FOLDER } fwi_path_kind;
fw_status fwi_path_look(const char *path, fwi_path_kind *kind);
/* The same in a word, for names in folders that have been looked into: false also if it can't be told. */
bool fwi_is_dir(const char *path);
bool fwi_file_exists(const char *path);              /* and is no folder */
bool fwi_dir_has(const char *dir, const char *name); /* a file or folder; allocates nothing */
int64_t fwi_file_size(const char *path);             /* -1: no file, and errno says why */

/* gs://, s3:// and the like: FW_EUNAVAILABLE with a message; else FW_OK. */
fw_status fwi_path_check_local(const char *path);

/* Shards are called NAME-00003-of-00005. The bytes of NAME in such a path, the shard's number and
 * how many there are (either may be NULL); 0: it is called otherwise, or its number is not below
 * their number. */
size_t fwi_shard_parse(const char *path, int64_t *i, int64_t *n);
/* The path of shard i of n, the first name_bytes of name being NAME; caller frees; NULL: no memory.
 */
char *fwi_shard_path(const char *name, size_t name_bytes, int64_t i, int64_t n);

/* What a process that was killed while it wrote NAME leaves is called NAME.tmp-PID-N: the bytes of NAME in such
 * a path; 0: it is called otherwise. */
size_t fwi_leftover_parse(const char *path);

/* Expands a pattern: an existing file of exactly that name; NAME@N for NAME-00000-of-0000N ... (all
 * N, whether they are there or not); else a glob(7) pattern, sorted by byte value, less the sidecars
 * Y.json of files Y that match too and what killed writers left (Y.tmp-PID-N). FW_ENOTFOUND if nothing matches. */
typedef struct fwi_paths {
    char **items;
    int64_t n;
} fwi_paths;
fw_status fwi_glob(const char *pattern, fwi_paths *out); /* out: {0} or cleared */
void fwi_paths_clear(fwi_paths *p);

#endif
