/* timed.h: a recorded step timed by the device's own clock (probe.h). Read before: exec.h, probe.h. */
#ifndef FWI_TIMED_H
#define FWI_TIMED_H

#include "probe.h"

/* Runs it once, and gives the time between marks put right before and right behind it: what is uploaded
 * first is not in it. The device has a probe. */
fw_status fwi_recording_time(const fwi_recording *r, const fwi_binding *b, double *seconds);

#endif
