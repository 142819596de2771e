/* engines.h: which engine computes each convolution of a training, on a device that has several and chooses by
 * what was measured (a GPU, exec/probe.h): for config.json, and so that a run that goes on does so with the
 * same ones, whose bits are their own. Neighbours: fit_folder.c, explain.c. */
#ifndef FWI_ENGINES_H
#define FWI_ENGINES_H

#include <jansson.h>

#include "network.h"

/* An object of the convolutions of the training plans: "conv2d_dw bf16 1000x31x31x24 > 31x31x64 k2x2 s1":
 * "conv2d_dw_bf16_nhwc_cudnn: engine 7, knobs 1=2, in f32". *out is NULL where the device says nothing of
 * engines. */
fw_status fwi_engines_of(const fwi_network *n, json_t **out);

/* FW_EEXISTS where the run whose config.json this is computed a convolution by another engine than now. FW_OK
 * for a file that is not there or says nothing of it; a convolution that only one of them has is no matter. */
fw_status fwi_engines_check(const json_t *now, const char *config);

#endif
