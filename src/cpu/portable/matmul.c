/* matmul.c: matrix products, for any processor; fast_matmul.h of cpu/portable has the code. */
#define BODY "fast_matmul.h"
#include "both_portable.h"
