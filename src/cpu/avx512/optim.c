/* optim.c: parameter updates, for AVX-512; fast_optim.h of cpu/portable has the code. */
#define BODY "fast_optim.h"
#include "both_avx512.h"
