/* sort.c: heap sort (Williams 1964). */
#include "sort.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

typedef struct heap {
    uint8_t *items;
    size_t bytes;
    int (*compare)(const void *, const void *);
} heap;

static uint8_t *item(const heap *h, size_t i)
{
    return h->items + i * h->bytes;
}

/* What stands at `at` sinks to its place among the first n, the last of the order on top. */
static void sink(const heap *h, size_t at, size_t n)
{
    uint8_t moved[FWI_SORT_BYTES];
    memcpy(moved, item(h, at), h->bytes);
    for (size_t below; (below = 2 * at + 1) < n; at = below) {
        if (below + 1 < n && h->compare(item(h, below), item(h, below + 1)) < 0)
            below++;
        if (h->compare(moved, item(h, below)) >= 0)
            break;
        memcpy(item(h, at), item(h, below), h->bytes);
    }
    memcpy(item(h, at), moved, h->bytes);
}

void fwi_sort(void *items, size_t n, size_t bytes, int (*compare)(const void *, const void *))
{
    const heap h = {items, bytes, compare};
    uint8_t last[FWI_SORT_BYTES];
    assert(bytes <= FWI_SORT_BYTES);
    for (size_t i = n / 2; i-- > 0;)
        sink(&h, i, n);
    while (n > 1) {
        n--;
        memcpy(last, item(&h, 0), bytes);
        memcpy(item(&h, 0), item(&h, n), bytes);
        memcpy(item(&h, n), last, bytes);
        sink(&h, 0, n);
    }
}
