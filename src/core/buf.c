/* buf.c: growable bytes, for records, headers and text whose size is not known before. Capacity
 * doubles, so that n appended bytes cost O(n); a failed call leaves the buffer as it was.
 * Neighbours: mem.c. */
#include "fail.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

fw_status fwi_buf_reserve(fwi_buf *b, size_t cap)
{
    if (cap <= b->cap)
        return FW_OK;
    size_t want = b->cap < 64 ? 64 : b->cap;
    while (want < cap)
        want = want > SIZE_MAX / 2 ? cap : want * 2;
    uint8_t *p = fwi_realloc(b->data, want);
    if (p == NULL)
        return FW_ENOMEM;
    b->data = p;
    b->cap = want;
    return FW_OK;
}

fw_status fwi_buf_append(fwi_buf *b, const void *p, size_t n_bytes)
{
    if (n_bytes == 0)
        return FW_OK;
    size_t size = 0;
    if (!fwi_add_size(b->size, n_bytes, &size))
        return fwi_fail(FW_ENOMEM, "out of memory: %zu bytes behind %zu", n_bytes, b->size);
    const fw_status st = fwi_buf_reserve(b, size);
    if (st != FW_OK)
        return st;
    memcpy(b->data + b->size, p, n_bytes);
    b->size = size;
    return FW_OK;
}

fw_status fwi_buf_printf(fwi_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        return fwi_fail(FW_EINTERNAL, "cannot format \"%s\"", fmt);
    size_t size = 0;
    if (!fwi_add_size(b->size, (size_t)n + 1, &size))
        return fwi_fail(FW_ENOMEM, "out of memory: %d bytes behind %zu", n, b->size);
    const fw_status st = fwi_buf_reserve(b, size);
    if (st != FW_OK)
        return st;
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, args);
    va_end(args);
    b->size = size - 1; /* the 0 stays behind the end */
    return FW_OK;
}

void fwi_buf_clear(fwi_buf *b)
{
    fwi_free(b->data);
    *b = (fwi_buf){0};
}
