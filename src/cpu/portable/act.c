/* act.c: activations, for any processor; fast_act.h of cpu/portable has the code. */
#define BODY "fast_act.h"
#include "both_portable.h"
