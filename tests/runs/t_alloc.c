/* t_alloc.c: a malloc that counts, in front of glibc's. Every way to get memory passes here: the
 * library's, and that of the libraries below it. Sanitizers bring a malloc of their own, and then
 * nothing is counted. */
#include "t_runs.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !T_SANITIZED && defined(__GLIBC__) && defined(SYS_mmap)
#define COUNTS 1
#else
#define COUNTS 0
#endif

static atomic_long n_made;

bool t_alloc_counts(void)
{
    return COUNTS;
}

long t_alloc_count(void)
{
    return atomic_load(&n_made);
}

#if COUNTS
#define SHOWN __attribute__((visibility("default")))
/* NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names for what is replaced here */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
/* NOLINTEND(bugprone-reserved-identifier) */

SHOWN void *malloc(size_t n)
{
    atomic_fetch_add(&n_made, 1);
    return __libc_malloc(n);
}

SHOWN void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&n_made, 1);
    return __libc_calloc(n, size);
}

SHOWN void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&n_made, 1);
    return __libc_realloc(p, n);
}

SHOWN void *aligned_alloc(size_t align, size_t n)
{
    atomic_fetch_add(&n_made, 1);
    return __libc_memalign(align, n);
}

SHOWN int posix_memalign(void **out, size_t align, size_t n)
{
    atomic_fetch_add(&n_made, 1);
    *out = __libc_memalign(align, n);
    return *out == NULL ? 12 /* ENOMEM */ : 0;
}

SHOWN void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    atomic_fetch_add(&n_made, 1);
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}
#endif
