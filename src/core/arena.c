/* arena.c: many small pieces that are freed together.
 *
 * A list of blocks, filled one after the other. Reset starts again at the first block and keeps
 * them all, so a loop that resets once per turn, and asks for the same pieces in each, stops allocating
 * after the first. Neighbours: mem.c, where the blocks come from. */
#include "fail.h"
#include "mem.h"

#include <string.h>

enum { PIECE_ALIGN = 16, DEFAULT_BLOCK = 64 * 1024 };

typedef struct block {
    struct block *next;
    size_t cap, used; /* bytes of data[] */
    _Alignas(PIECE_ALIGN) uint8_t data[];
} block;

struct fwi_arena {
    block *first, *current;
    size_t block_bytes;
};

fw_status fwi_arena_new(fwi_arena **out, size_t block_bytes)
{
    fwi_arena *a = fwi_alloc_zero(sizeof *a);
    if (a == NULL)
        return FW_ENOMEM;
    a->block_bytes = block_bytes > 0 ? block_bytes : DEFAULT_BLOCK;
    *out = a;
    return FW_OK;
}

static void free_blocks(block *b)
{
    while (b != NULL) {
        block *const next = b->next;
        fwi_free(b);
        b = next;
    }
}

void fwi_arena_free(fwi_arena *a)
{
    if (a == NULL)
        return;
    free_blocks(a->first);
    fwi_free(a);
}

void fwi_arena_reset(fwi_arena *a)
{
    for (block *b = a->first; b != NULL; b = b->next)
        b->used = 0;
    a->current = a->first;
}

/* A block behind the current one with room for n_bytes: one that a reset kept, or a new one in the place of all
 * that are too small: kept, they would come to the sum of what was ever asked for. */
static block *next_block(fwi_arena *a, size_t n_bytes)
{
    block *const last = a->current;
    block *const behind = last != NULL ? last->next : a->first;
    for (block *b = behind; b != NULL; b = b->next)
        if (b->cap >= n_bytes)
            return b;
    const size_t cap = n_bytes > a->block_bytes ? n_bytes : a->block_bytes;
    size_t total = 0;
    if (!fwi_add_size(sizeof(block), cap, &total)) {
        fwi_fail(FW_ENOMEM, "out of memory: %zu bytes asked for", n_bytes);
        return NULL;
    }
    block *b = fwi_alloc(total);
    if (b == NULL)
        return NULL;
    *b = (block){.cap = cap};
    free_blocks(behind); /* they are empty since the reset */
    if (last != NULL)
        last->next = b;
    else
        a->first = b;
    return b;
}

void *fwi_arena_alloc(fwi_arena *a, size_t n_bytes)
{
    size_t n = 0;
    if (!fwi_add_size(n_bytes > 0 ? n_bytes : 1, PIECE_ALIGN - 1, &n)) {
        fwi_fail(FW_ENOMEM, "out of memory: %zu bytes asked for", n_bytes);
        return NULL;
    }
    n -= n % PIECE_ALIGN;
    block *b = a->current;
    if (b == NULL || b->cap - b->used < n) {
        b = next_block(a, n);
        if (b == NULL)
            return NULL;
        a->current = b;
    }
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

char *fwi_arena_strdup(fwi_arena *a, const char *s)
{
    const size_t n_bytes = strlen(s) + 1;
    char *copy = fwi_arena_alloc(a, n_bytes);
    if (copy != NULL)
        memcpy(copy, s, n_bytes);
    return copy;
}
