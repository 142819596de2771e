/* t_fence.h: memory for tests of kernels: bytes of a known kind in front and behind, which show what was
 * written there, and less than 64 bytes behind its end a page that nobody may touch, which ends the test
 * where it is read: no sanitizer sees the loads of hand-written kernels. */
#ifndef T_FENCE_H
#define T_FENCE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct t_fenced {
    unsigned char *block, *data; /* block: what may be touched, from the first guard on */
    size_t bytes, room;          /* of data, of block */
} t_fenced;

/* align: what is left of the address of data by 64; 0: it is on a boundary of 64 bytes. Full of 0xFF,
 * which is a NaN in floats. */
t_fenced t_fenced_new(size_t bytes, size_t align);
bool t_fenced_intact(const t_fenced *f);
/* The one whose data this is. */
t_fenced t_fenced_of(void *data, size_t bytes);
void t_fenced_free(t_fenced *f); /* {0}: nothing */

#endif
