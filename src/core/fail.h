/* fail.h: how library code sets this thread's message (public side: fenwicks/status.h). */
#ifndef FWI_FAIL_H
#define FWI_FAIL_H

#include <fenwicks/status.h>

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__GNUC__)
#define FWI_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#else
#define FWI_PRINTF(fmt_at, args_at)
#endif

/* Bytes of a message, its final 0 included. Longer ones are cut in front of their end, where the reason is:
 * "..." behind their first quarter. */
enum { FWI_ERROR_CAP = 1024 };

/* Sets the message and returns st, so that a failure is one line: return fwi_fail(FW_EIO, "...").
 */
fw_status fwi_fail(fw_status st, const char *fmt, ...) FWI_PRINTF(2, 3);

/* Puts "<formatted>: " in front of the present message; returns st. For adding the file or layer
 * that an inner function did not know. */
fw_status fwi_fail_in(fw_status st, const char *fmt, ...) FWI_PRINTF(2, 3);

/* clang's analyser cannot see from outside that these return their first argument. */
#if defined(__clang_analyzer__)
#define fwi_fail(st, ...)    (fwi_fail(st, __VA_ARGS__), (st))
#define fwi_fail_in(st, ...) (fwi_fail_in(st, __VA_ARGS__), (st))
#endif

/* A message on its way from a worker thread to the thread that waits for the result. */
typedef struct fwi_error {
    fw_status status;
    char text[FWI_ERROR_CAP];
} fwi_error;

void fwi_error_save(fwi_error *out, fw_status st); /* copies this thread's message */
fw_status
fwi_error_raise(const fwi_error *e); /* makes it this thread's message; returns e->status */

/* What a caller's stop flag says; NULL: nobody stops. */
static inline bool fwi_stop_asked(const volatile sig_atomic_t *stop)
{
    return stop != NULL && *stop != 0;
}

/* FW_ESTOPPED if it does: "stopped while <doing>". */
static inline fw_status fwi_stop_check(const volatile sig_atomic_t *stop, const char *doing)
{
    return fwi_stop_asked(stop) ? fwi_fail(FW_ESTOPPED, "stopped while %s", doing) : FW_OK;
}

void fwi_log(int level, const char *fmt, ...) FWI_PRINTF(2, 3); /* to the callback of fw_log_set */
void fwi_log_text(int level, const char *text);                 /* the same, of any length */

#endif
