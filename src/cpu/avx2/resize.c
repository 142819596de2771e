/* resize.c: images of another size, for AVX2 and FMA; fast_resize.h of cpu/portable has the code. */
#define BODY "fast_resize.h"
#include "both_avx2.h"
