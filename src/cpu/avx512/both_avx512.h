/* both_avx512.h: compiles the file named by BODY for float and for double, with the vectors of
 * lanes_avx512.h. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_avx512.h"

#include BODY
#include "lanes_end.h"

#define LANES_F64 1
#include "lanes_avx512.h"

#include BODY
#include "lanes_end.h"
