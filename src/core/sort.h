/* sort.h: sorting in place. qsort may allocate, and glibc's does for more than a kilobyte; where nothing
 * may be allocated this sorts. */
#ifndef FWI_SORT_H
#define FWI_SORT_H

#include <stddef.h>

enum { FWI_SORT_BYTES = 64 }; /* an element has at most so many */

/* As qsort; equal elements may change places. n log n comparisons, whatever the order was. */
void fwi_sort(void *items, size_t n, size_t bytes, int (*compare)(const void *, const void *));

#endif
