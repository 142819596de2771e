/* eigen.h: eigenvectors of small symmetric matrices: for whitening filters. */
#ifndef FWI_EIGEN_H
#define FWI_EIGEN_H

#include <fenwicks/status.h>

enum { FWI_EIGEN_MAX = 128 };

/* a [n,n], symmetric (only its upper triangle is read), is destroyed. values [n], largest first;
 * vectors [n,n]: row i belongs to values[i], has length 1, and its component of the largest
 * magnitude (the first of equals) is positive. Equal eigenvalues keep the order of the matrix's
 * diagonal.
 * Cost: a few n^3; allocates nothing. The same bits on every machine with IEEE arithmetic.
 * Errors: FW_EARG for n outside of 1..FWI_EIGEN_MAX, FW_ENONFINITE for values that are not finite;
 * values and vectors are then undefined.
 * Source: Jacobi's method by rows (cyclic), with the small rotations of Rutishauser 1966. */
fw_status fwi_eigen_symmetric(int n, double *a, double *values, double *vectors);

#endif
