/* optim.c: parameter updates, for AVX2 and FMA; fast_optim.h of cpu/portable has the code. */
#define BODY "fast_optim.h"
#include "both_avx2.h"
