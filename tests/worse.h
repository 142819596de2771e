/* worse.h: the larger of two errors, where a NaN is larger than any number and stays. fmax drops a
 * NaN and `error > worst` never takes one, so a test that keeps its worst error in either way passes
 * results that are NaN. */
#ifndef FWI_TESTS_WORSE_H
#define FWI_TESTS_WORSE_H

#include <math.h>

static inline double t_worse(double worst, double error)
{
    return isnan(worst) || worst > error ? worst : error;
}

#endif
