/* elementwise.c: sums, scales and movement of elements, for any processor; fast_elementwise.h of
 * cpu/portable has the code. */
#define BODY "fast_elementwise.h"
#include "both_portable.h"
