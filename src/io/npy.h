/* npy.h: one NumPy array from any source of bytes (docs/formats/npy.md). For npy.c and the fuzzer;
 * the importer that makes images of arrays is npy_images.c. */
#ifndef FWI_NPY_H
#define FWI_NPY_H

#include "source.h"

enum { FWI_NPY_MAX_RANK = 8 };

/* The header, and where the values will stand once read: in C order, in the machine's byte order.
 */
typedef struct fwi_npy {
    char kind;    /* NumPy's letter: 'b' truth, 'u' and 'i' integers, 'f' floats */
    size_t size;  /* bytes of a value: 1; 1, 2, 4, 8; 2, 4, 8 */
    bool swap;    /* stored big-endian */
    bool fortran; /* stored with the first index running fastest */
    int rank;
    int64_t dim[FWI_NPY_MAX_RANK];
    size_t n_values;
} fwi_npy;

fw_status fwi_npy_read_head(fwi_source *s, fwi_npy *h);

/* All the values, in C order, and the end of the source; fwi_free(*out). */
fw_status fwi_npy_read_values(fwi_source *s, const fwi_npy *h, void **out);

/* Value i of what _read_values gave; integers beyond 2^53 are rounded. */
double fwi_npy_value(const fwi_npy *h, const void *values, size_t i);

#endif
