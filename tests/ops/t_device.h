/* t_device.h: the device that a test of whole nets runs on beside the CPU: the one that FW_TEST_DEVICE names,
 * a GPU or "far" (tests/cuda/t_far.h), which has f32, bf16 and f16, a GPU tf32 too. What is said of
 * precisions in docs/numerics.md is said of every device. Read before: t_ops.h. */
#ifndef T_DEVICE_H
#define T_DEVICE_H

#include "t_ops.h"

/* NULL: there is none, the test runs on the CPU. */
const char *t_device_asked(void);
/* Opens it, or the CPU where name is NULL; the test fails where it cannot be had. */
fwi_device *t_device_open(const char *name, const fwi_device_opt *opt);
/* Device memory, full of 0xFF, which is a NaN in floats: nobody may count on what was there. */
void *t_device_noise(fwi_device *d, size_t n_bytes);
/* "bf16", "f16", "tf32"; f32 and f64 as they are. */
const char *t_device_precision(fw_dtype type, bool tf32);

#endif
