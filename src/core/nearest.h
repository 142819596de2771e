/* nearest.h: the word that was probably meant, for messages about unknown words. */
#ifndef FWI_NEAREST_H
#define FWI_NEAREST_H

#include <stddef.h>

/* The name with the smallest edit distance to word (insert, delete, replace or swap neighbours: one
 * each; letters' case and '-' for '_' count nothing); the first of equals. NULL if n is 0. Only the
 * first 64 bytes of each are looked at, so a hostile word costs little. Allocates nothing. */
const char *fwi_nearest(const char *word, const char *const *names, size_t n);

#endif
