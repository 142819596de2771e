/* optim.c: parameter updates, for any processor; fast_optim.h of cpu/portable has the code. */
#define BODY "fast_optim.h"
#include "both_portable.h"
