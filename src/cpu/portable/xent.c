/* xent.c: softmax and cross-entropy, for any processor; fast_xent.h of cpu/portable has the code. */
#define BODY "fast_xent.h"
#include "both_portable.h"
