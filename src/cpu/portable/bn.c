/* bn.c: batch normalisation and sums over rows, for any processor; fast_bn.h of cpu/portable has
 * the code. */
#define BODY "fast_bn.h"
#include "both_portable.h"
