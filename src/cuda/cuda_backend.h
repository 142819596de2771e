/* cuda_backend.h: what the other rooms see of this one: a backend whose `open` is NULL where the
 * library was built without CUDA. No type of CUDA stands here. Read before: exec.h. Next:
 * cuda_device.c. */
#ifndef FWI_CUDA_BACKEND_H
#define FWI_CUDA_BACKEND_H

#include "exec.h"
#include "probe.h"

/* opt->index chooses the GPU. FW_EUNAVAILABLE with the reason (no driver, one that is too old, no
 * GPU), FW_ENOTFOUND for an index that none has. */
extern const fwi_backend fwi_backend_cuda;

/* Which GPUs there are, for people: true and "NVIDIA H200 (sm_90, 139.8 GiB)", or false and the
 * reason why none can be used. text: at least 256 bytes. */
bool fwi_cuda_describe(char *text, size_t cap);

/* How many GPUs there are; the reason for 0 is this thread's message. */
int fwi_cuda_gpus(void);
/* GPU number i as it is, with the libraries that a device on it would have; out->why where this build
 * cannot use it. */
fw_status fwi_cuda_gpu_info(int i, fwi_gpu_info *out);

#endif
