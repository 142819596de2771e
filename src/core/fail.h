/* fail.h: how library code sets this thread's message (public side: fenwicks/status.h). */
#ifndef FWI_FAIL_H
#define FWI_FAIL_H

#include <fenwicks/status.h>

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

void fwi_log(int level, const char *fmt, ...) FWI_PRINTF(2, 3); /* to the callback of fw_log_set */

#endif
