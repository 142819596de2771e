/* xent.c: softmax and cross-entropy, for AVX2; fast_xent.h of cpu/portable has the code. */
#define BODY "fast_xent.h"
#include "both_avx2.h"
