/* explain.h: the choices of a network's plans as text. */
#ifndef FWI_EXPLAIN_H
#define FWI_EXPLAIN_H

#include "network.h"

/* Appends lines: the device, then each plan made so far with its convolutions and fused ops. */
fw_status fwi_network_explain(const fwi_network *n, fwi_buf *out);

#endif
