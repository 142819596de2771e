/* backends_inner.h: the backends that backends.c chooses from. */
#ifndef FWI_BACKENDS_INNER_H
#define FWI_BACKENDS_INNER_H

#include "cuda_backend.h"
#include "exec.h"

extern const fwi_backend fwi_backend_cpu; /* cpu_device.c */

#endif
