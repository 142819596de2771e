/* mem.c: the library's one door to the allocator, and sizes that cannot overflow unseen.
 *
 * Every request is numbered. A test can make the n-th one fail, to walk through every path that
 * runs out of memory, and can count them, to show that a loop has stopped allocating. Neighbours:
 * arena.c and buf.c, which are built on these calls. */
#include "mem.h"

#include "fail.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SMALL_ALIGN = 64 };
#define HUGE_ALIGN ((size_t)2 << 20)
#define HUGE_FROM  ((size_t)4 << 20)

static _Atomic int64_t n_made; /* since the latest fwi_mem_fail_at */
static _Atomic int64_t fail_at;

static void *no_memory(size_t n_bytes)
{
    fwi_fail(FW_ENOMEM, "out of memory: %zu bytes asked for", n_bytes);
    return NULL;
}

static bool may_allocate(size_t n_bytes)
{
    if (n_bytes >
        PTRDIFF_MAX) { /* no object is larger; an allocator under test may even abort on it */
        no_memory(n_bytes);
        return false;
    }
    const int64_t n = atomic_fetch_add_explicit(&n_made, 1, memory_order_relaxed) + 1;
    if (n != atomic_load_explicit(&fail_at, memory_order_relaxed))
        return true;
    fwi_fail(FW_ENOMEM, "out of memory: %zu bytes asked for (failed on purpose by a test)",
             n_bytes);
    return false;
}

void *fwi_alloc(size_t n_bytes)
{
    if (!may_allocate(n_bytes))
        return NULL;
    void *p = malloc(n_bytes > 0 ? n_bytes : 1);
    return p != NULL ? p : no_memory(n_bytes);
}

void *fwi_alloc_zero(size_t n_bytes)
{
    if (!may_allocate(n_bytes))
        return NULL;
    void *p = calloc(1, n_bytes > 0 ? n_bytes : 1);
    return p != NULL ? p : no_memory(n_bytes);
}

void *fwi_alloc_array(size_t count, size_t elem_bytes)
{
    size_t n_bytes = 0;
    if (!fwi_mul_size(count, elem_bytes, &n_bytes)) {
        fwi_fail(FW_ENOMEM, "out of memory: %zu elements of %zu bytes asked for", count,
                 elem_bytes);
        return NULL;
    }
    return fwi_alloc_zero(n_bytes);
}

void *fwi_realloc(void *p, size_t n_bytes)
{
    if (!may_allocate(n_bytes))
        return NULL;
    void *q = realloc(p, n_bytes > 0 ? n_bytes : 1);
    return q != NULL ? q : no_memory(n_bytes);
}

char *fwi_strdup(const char *s)
{
    const size_t n_bytes = strlen(s) + 1;
    char *copy = fwi_alloc(n_bytes);
    if (copy != NULL)
        memcpy(copy, s, n_bytes);
    return copy;
}

char *fwi_sprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        fwi_fail(FW_EINTERNAL, "cannot format \"%s\"", fmt);
        return NULL;
    }
    const size_t n_bytes = (size_t)n + 1;
    char *text = fwi_alloc(n_bytes);
    if (text != NULL) {
        va_start(args, fmt);
        vsnprintf(text, n_bytes, fmt, args);
        va_end(args);
    }
    return text;
}

void fwi_free(void *p)
{
    free(p);
}

/* Mapped rather than from malloc: untouched pages cost nothing, and the address can be cut to the
 * boundary that huge pages need. */
static void *map_huge(size_t n_bytes)
{
    size_t span = 0;
    if (!fwi_add_size(n_bytes, HUGE_ALIGN, &span))
        return no_memory(n_bytes);
    uint8_t *base = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return no_memory(n_bytes);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (HUGE_ALIGN - (uintptr_t)base % HUGE_ALIGN) % HUGE_ALIGN;
    const size_t used = (n_bytes + page - 1) / page * page;
    if (before > 0)
        munmap(base, before);
    if (span > before + used)
        munmap(base + before + used, span - before - used);
#ifdef MADV_HUGEPAGE
    madvise(base + before, used,
            MADV_HUGEPAGE); /* a wish: slower, not wrong, where it is refused */
#endif
    return base + before;
}

void *fwi_big_alloc(size_t n_bytes)
{
    if (!may_allocate(n_bytes))
        return NULL;
    if (n_bytes >= HUGE_FROM)
        return map_huge(n_bytes);
    void *p = NULL;
    const size_t n = n_bytes > 0 ? n_bytes : 1;
    if (posix_memalign(&p, SMALL_ALIGN, n) != 0)
        return no_memory(n_bytes);
    return memset(p, 0, n);
}

void fwi_big_free(void *p, size_t n_bytes)
{
    if (p == NULL)
        return;
    if (n_bytes >= HUGE_FROM)
        munmap(p, n_bytes);
    else
        free(p);
}

void fwi_mem_fail_at(int64_t n)
{
    atomic_store_explicit(&n_made, 0, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n, memory_order_relaxed);
}

int64_t fwi_mem_count(void)
{
    return atomic_load_explicit(&n_made, memory_order_relaxed);
}

bool fwi_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool fwi_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}
