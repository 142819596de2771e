/* matmul.c: matrix products, for AVX-512; fast_matmul.h of cpu/portable has the code. */
#define BODY "fast_matmul.h"
#include "both_avx512.h"
