/* t_device.c: see t_device.h. */
#include "t_device.h"

#include "t_far.h"

#include <stdlib.h>
#include <string.h>

const char *t_device_asked(void)
{
    const char *name = getenv("FW_TEST_DEVICE");
    return name != NULL && *name != 0 && strcmp(name, "cpu") != 0 ? name : NULL;
}

fwi_device *t_device_open(const char *name, const fwi_device_opt *opt)
{
    fwi_device *d = NULL;
    fwi_device_offer(&t_far_backend);
    t_require(fwi_device_open(&d, name != NULL ? name : "cpu", opt));
    return d;
}

void *t_device_noise(fwi_device *d, size_t n_bytes)
{
    void *there = NULL;
    void *const noise = t_must(malloc(n_bytes > 0 ? n_bytes : 1));
    memset(noise, 0xFF, n_bytes);
    t_require(d->backend->alloc(d, n_bytes, &there));
    t_require(d->backend->upload(d, there, noise, n_bytes));
    t_require(d->backend->sync(d));
    free(noise);
    return there;
}

const char *t_device_precision(fw_dtype type, bool tf32)
{
    return tf32 ? "tf32" : fw_dtype_name(type);
}
