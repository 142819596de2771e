/* fail.c: this thread's message, its way between threads, and the log callback.
 *
 * The message lives in thread-local storage, so that reporting a failure needs no memory and no
 * lock: it must work when there is none to be had. Every other file of the library calls into this
 * one; it calls nobody. */
#include "fail.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#undef fwi_fail
#undef fwi_fail_in

static _Thread_local char message[FWI_ERROR_CAP];
static _Thread_local bool in_log_callback;

static fw_log_fn log_fn;
static void *log_user;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static bool inside_character(char c)
{
    return ((unsigned char)c & 0xC0u) == 0x80u; /* UTF-8 */
}

/* A text that does not fit begins with long names and ends with what is wrong with them: "..." takes the place of what
 * stands behind its first quarter, up to whole characters. text: n bytes and a 0. */
static void put_cut(char out[FWI_ERROR_CAP], const char *text, size_t n)
{
    enum { HEAD = FWI_ERROR_CAP / 4 };
    if (n < FWI_ERROR_CAP) {
        memcpy(out, text, n + 1);
        return;
    }
    size_t head = HEAD, tail = n - (FWI_ERROR_CAP - 1 - HEAD - 3);
    while (head > 0 && inside_character(text[head]))
        head--;
    while (tail < n && inside_character(text[tail]))
        tail++;
    memcpy(out, text, head);
    memcpy(out + head, "...", sizeof "...");
    memcpy(out + head + 3, text + tail, n - tail + 1);
}

/* Messages quote names and words of files, which may hold anything: what a terminal would obey (C0,
 * DEL, and C1 in UTF-8) becomes '?'. */
static void disarm(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != 0; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
}

enum { WHOLE_CAP = 8192 }; /* of a text before it is cut: longer than two paths */

/* Into whole; its length. */
static size_t format(char whole[WHOLE_CAP], const char *fmt, va_list args)
{
    const int n = vsnprintf(whole, WHOLE_CAP, fmt, args);
    if (n < 0) /* an encoding error in an argument: better the bare format than nothing */
        snprintf(whole, WHOLE_CAP, "%s", fmt);
    disarm(whole);
    return strlen(whole);
}

fw_status fwi_fail(fw_status st, const char *fmt, ...)
{
    const int saved = errno;
    char whole[WHOLE_CAP]; /* apart from message: an argument may be fw_last_error() itself */
    va_list args;
    va_start(args, fmt);
    put_cut(message, whole, format(whole, fmt, args));
    va_end(args);
    errno = saved;
    return st;
}

fw_status fwi_fail_in(fw_status st, const char *fmt, ...)
{
    const int saved = errno;
    char whole[WHOLE_CAP + 2 + FWI_ERROR_CAP];
    va_list args;
    va_start(args, fmt);
    const size_t head = format(whole, fmt, args), tail = strlen(message);
    va_end(args);
    memcpy(whole + head, ": ", sizeof ": ");
    memcpy(whole + head + 2, message, tail + 1);
    put_cut(message, whole, head + 2 + tail);
    errno = saved;
    return st;
}

void fwi_error_save(fwi_error *out, fw_status st)
{
    out->status = st;
    memcpy(out->text, message, sizeof out->text);
}

fw_status fwi_error_raise(const fwi_error *e)
{
    memcpy(message, e->text, sizeof message);
    message[sizeof message - 1] = 0;
    return e->status;
}

void fwi_log(int level, const char *fmt, ...)
{
    const int saved = errno;
    char whole[WHOLE_CAP], text[FWI_ERROR_CAP];
    va_list args;
    va_start(args, fmt);
    put_cut(text, whole, format(whole, fmt, args));
    va_end(args);
    fwi_log_text(level, text);
    errno = saved;
}

void fwi_log_text(int level, const char *text)
{
    if (log_fn == NULL ||
        in_log_callback) /* a callback that fails and logs must not wait for itself */
        return;
    const int saved = errno;
    pthread_mutex_lock(&log_lock);
    in_log_callback = true;
    log_fn(log_user, level, text);
    in_log_callback = false;
    pthread_mutex_unlock(&log_lock);
    errno = saved;
}

const char *fw_last_error(void)
{
    return message;
}

const char *fw_status_name(fw_status st)
{
    static const char *const names[] = {
        "FW_OK",         "FW_END",      "FW_EARG",      "FW_ESHAPE",    "FW_EIO",
        "FW_EFORMAT",    "FW_ENOMEM",   "FW_ENOTFOUND", "FW_EEXISTS",   "FW_EUNAVAILABLE",
        "FW_ENONFINITE", "FW_ESTOPPED", "FW_ESTATE",    "FW_EINTERNAL",
    };
    const unsigned at = (unsigned)st;
    return at < sizeof names / sizeof *names ? names[at] : "FW_?";
}

const char *fw_version(void)
{
    return FW_VERSION;
}

void fw_log_set(fw_log_fn fn, void *user)
{
    log_fn = fn;
    log_user = user;
}
