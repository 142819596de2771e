/* muon.c: the update of Muon, for any processor; fast_muon.h of cpu/portable has the code. */
#define BODY "fast_muon.h"
#include "both_portable.h"
