/* plan_inner.h: what a plan is: plan.c makes it, plan_run.c runs it. */
#ifndef FWI_PLAN_INNER_H
#define FWI_PLAN_INNER_H

#include "exec.h"

enum { MAX_INPUTS = FWI_MAX_BOUND, FWI_PLAN_ALIGN = 64 };

/* The blocks of memory that a run works on; inputs follow from SPACE_INPUT on. */
enum { SPACE_NONE, SPACE_SCRATCH, SPACE_STATE, SPACE_GRADS, SPACE_INPUT };
enum { SPACE_COUNT = SPACE_INPUT + MAX_INPUTS };

typedef struct place {
    int32_t space;
    size_t offset;
} place;

struct fwi_step { /* one call; the first of a joint step stands for all of it */
    const fwi_kernel *kernel;
    const char *table;
    fwi_attr attr;
    fwi_call call; /* types and shapes; the addresses are filled in per run */
    place in[FWI_MAX_IN], out[FWI_MAX_OUT], scratch;
    int32_t n_in, n_out;
    int64_t macs, bytes;
};

typedef struct plan_output {
    const char *name;
    place at;
    fw_dtype dtype;
    fwi_shape shape;
    size_t bytes;
} plan_output;

struct fwi_plan {
    fwi_device *device;
    fwi_store *store;
    fwi_arena *arena; /* names */
    fwi_step *calls;
    int n_calls;
    int32_t *first; /* [n_steps + 1] its first call; the last entry is n_calls */
    int n_steps;
    size_t scratch_bytes;
    int64_t live_peak;
    const char *input_names[MAX_INPUTS]; /* of the graph that was given, in its order */
    bool input_used[MAX_INPUTS];
    size_t input_bytes[MAX_INPUTS], staged_at[MAX_INPUTS]; /* its copy's place in scratch */
    int n_inputs;
    plan_output *outputs;
    int n_outputs;
};

/* Which input of the graph has this name; -1: none. */
int fwi_plan_slot(const fwi_plan *p, const char *name);

#endif
