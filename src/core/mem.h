/* mem.h: memory. Every allocation of the library goes through these calls, so that a test can fail
 * the n-th one and count them. Each returns NULL with this thread's message set; n_bytes 0 gives a
 * valid pointer. Memory from fwi_alloc_* is released by fwi_free. */
#ifndef FWI_MEM_H
#define FWI_MEM_H

#include <fenwicks/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *fwi_alloc(size_t n_bytes);
void *fwi_alloc_zero(size_t n_bytes);
void *fwi_alloc_array(size_t count,
                      size_t elem_bytes);   /* zeroed; the product is checked for overflow */
void *fwi_realloc(void *p, size_t n_bytes); /* p stays valid on failure */
char *fwi_strdup(const char *s);
char *fwi_sprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* caller frees */
void fwi_free(void *p);

/* Big buffers: 64-byte aligned (2 MiB from 4 MiB on, with huge pages asked for), zeroed. Released
 * by fwi_big_free with the same size. */
void *fwi_big_alloc(size_t n_bytes);
void fwi_big_free(void *p, size_t n_bytes);

/* Tests only: make the n-th allocation from now on fail (0: none fails), and count those asked for
 * since that call (since the program's start, if there was none). */
void fwi_mem_fail_at(int64_t n);
int64_t fwi_mem_count(void);

/* Overflow-checked arithmetic on sizes; false when the result does not fit. */
bool fwi_mul_size(size_t a, size_t b, size_t *out);
bool fwi_add_size(size_t a, size_t b, size_t *out);

/* Arena: many small pieces, freed together. 16-byte aligned pieces; never moves what it gave out.
 */
typedef struct fwi_arena fwi_arena;
fw_status fwi_arena_new(fwi_arena **out, size_t block_bytes); /* 0: 64 KiB */
void fwi_arena_free(fwi_arena *a);
void fwi_arena_reset(fwi_arena *a); /* keeps the blocks: a loop over reset stops allocating */
void *fwi_arena_alloc(fwi_arena *a, size_t n_bytes); /* not zeroed */
char *fwi_arena_strdup(fwi_arena *a, const char *s);

/* Growable bytes. {0} is an empty one. Text built with fwi_buf_printf always has a 0 behind its
 * end. */
typedef struct fwi_buf {
    uint8_t *data;
    size_t size, cap;
} fwi_buf;
fw_status fwi_buf_reserve(fwi_buf *b, size_t cap);
fw_status fwi_buf_append(fwi_buf *b, const void *p, size_t n_bytes);
fw_status fwi_buf_printf(fwi_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fwi_buf_clear(fwi_buf *b); /* releases the memory */

#endif
