/* status.h: how every call of the library reports what happened.
 *
 * Every fallible call returns an fw_status; FW_OK is 0. When it is not FW_OK (nor FW_END, which is
 * no failure), fw_last_error() gives a sentence about it: which file, record or layer, what was
 * found and what was expected. The library never exits, aborts or prints.
 *
 * An object (fw_dataset, fw_estimator, fw_model, ...) is for one thread at a time, different ones for
 * different threads at once, unless its header says more (fw_model_predict). */
#ifndef FENWICKS_STATUS_H
#define FENWICKS_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FW_API __attribute__((visibility("default")))
#else
#define FW_API
#endif

/* The numbers never change their meaning; new ones are added at the end. */
typedef enum fw_status {
    FW_OK = 0,
    FW_END = 1,       /* a stream has no more items: not a failure, no message */
    FW_EARG = 2,      /* an argument is NULL, out of range or contradicts another */
    FW_ESHAPE = 3,    /* shapes, sizes or types do not fit together */
    FW_EIO = 4,       /* the system could not open, read or write something */
    FW_EFORMAT = 5,   /* a file's bytes are not what its format asks for */
    FW_ENOMEM = 6,    /* memory could not be had */
    FW_ENOTFOUND = 7, /* a file, a recipe, a key or a name does not exist */
    FW_EEXISTS = 8,   /* something exists and was not to be overwritten */
    FW_EUNAVAILABLE =
        9, /* this build or this machine does not have it; the message says what would help */
    FW_ENONFINITE = 10, /* a loss became infinite or not a number */
    FW_ESTOPPED = 11,   /* stopped on request (a stop flag, a callback) */
    FW_ESTATE = 12, /* the object is not in a state that allows this call, or a folder is in use */
    FW_EINTERNAL = 13 /* a fault of the library itself: please report it */
} fw_status;

/* This thread's latest message; "" if there was none. Never NULL. Good right after the call
 * that failed: any later call of this library by the thread may overwrite it, also one that succeeds
 * (objects may be freed first). A failure on one of the library's own threads reaches the thread that waits for its
 * result. */
FW_API const char *fw_last_error(void);

/* "FW_EIO" for FW_EIO and so on; "FW_?" for a number that is no status. Never NULL. */
FW_API const char *fw_status_name(fw_status st);

/* Of n words the one nearest to `word` by edit distance, for messages about unknown ones; NULL if n
 * is under 1. Borrowed. */
FW_API const char *fw_nearest(const char *word, const char *const *words, int n);

/* "0.1.0" */
FW_API const char *fw_version(void);

/* Log messages. level: 0 error, 1 warning, 2 info, 3 debug. The line has no newline at its end. The
 * library's default is to drop them. The callback may be called from any thread, one call at a
 * time. Setting it is not thread-safe: do it before other calls. NULL drops them again. */
typedef void (*fw_log_fn)(void *user, int level, const char *line);
FW_API void fw_log_set(fw_log_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
