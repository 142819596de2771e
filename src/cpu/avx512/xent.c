/* xent.c: softmax and cross-entropy, for AVX-512; fast_xent.h of cpu/portable has the code. */
#define BODY "fast_xent.h"
#include "both_avx512.h"
