/* clock.h: monotonic time, and the process's memory as the system counts it. */
#ifndef FWI_CLOCK_H
#define FWI_CLOCK_H

#include <stdint.h>

double fwi_now(void);                 /* seconds from a fixed, unnamed point; CLOCK_MONOTONIC */
double fwi_seconds_since_start(void); /* of this process; -1 if the system does not say */
double fwi_wall(void);                /* seconds since 1970-01-01 UTC: for event files only */
int64_t fwi_rss_bytes(void);          /* resident memory now; -1 if unknown */
int64_t fwi_rss_peak_bytes(void);     /* its maximum so far; -1 if unknown */

#endif
