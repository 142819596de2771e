/* muon.c: the update of Muon, for AVX-512; fast_muon.h of cpu/portable has the code. */
#define BODY "fast_muon.h"
#include "both_avx512.h"
