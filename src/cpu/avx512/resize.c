/* resize.c: images of another size, for AVX-512; fast_resize.h of cpu/portable has the code. */
#define BODY "fast_resize.h"
#include "both_avx512.h"
