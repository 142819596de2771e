/* peak.c: the ceiling of this room's multiply-adds (fast_peak.h). */
#define LANES_F64 0
#include "lanes_avx2.h"

#include "fast_peak.h"

#include "lanes_end.h"
