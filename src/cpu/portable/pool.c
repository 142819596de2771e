/* pool.c: pools, for any processor; fast_pool.h of cpu/portable has the code. */
#define BODY "fast_pool.h"
#include "both_portable.h"
