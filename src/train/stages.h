/* stages.h: a run in stages: a new one begins where the resolution changes, or the training of a
 * parameter group is over. A stage has a plan of its own. */
#ifndef FWI_STAGES_H
#define FWI_STAGES_H

#include "network.h"

enum { FWI_MAX_STAGES = FW_MAX_RESOLUTIONS + 1 + FW_MAX_GROUPS };

/* What divides a run. All borrowed. */
typedef struct fwi_stages {
    const fwi_optim *optim;
    const fw_resolution *resolution; /* [n_resolutions], steps increase */
    int32_t n_resolutions;
    fw_resolution_by by;
} fwi_stages;

/* What the stage of this step trains: fills size, by and over, and leaves the rest of *use. Returns
 * the first step of the stage behind it; INT64_MAX: there is none. */
int64_t fwi_stage_of(const fwi_stages *s, int64_t step, fwi_network_use *use);

#endif
