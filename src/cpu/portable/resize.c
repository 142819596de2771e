/* resize.c: images of another size, for any processor; fast_resize.h of cpu/portable has the code. */
#define BODY "fast_resize.h"
#include "both_portable.h"
