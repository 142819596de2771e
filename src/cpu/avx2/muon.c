/* muon.c: the update of Muon, for AVX2; fast_muon.h of cpu/portable has the code. */
#define BODY "fast_muon.h"
#include "both_avx2.h"
