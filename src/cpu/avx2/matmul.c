/* matmul.c: matrix products, for AVX2 and FMA; fast_matmul.h of cpu/portable has the code. */
#define BODY "fast_matmul.h"
#include "both_avx2.h"
