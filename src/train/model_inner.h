/* model_inner.h: a trained model's insides, shared by model.c (life and prediction) and model_eval.c. */
#ifndef FWI_MODEL_INNER_H
#define FWI_MODEL_INNER_H

#include <pthread.h>

#include "chain.h"
#include "eval_ahead.h"
#include "modelfile.h"
#include <fenwicks/model.h>

struct fw_model {
    fwi_model_meta meta;
    fw_layer *net;
    fwi_device *device;
    pthread_mutex_t turn; /* of who uses the network's scratch */
    fwi_network network;
    fwi_network_plan *plan;
    fwi_chain *chain; /* standardisation */
    fw_tta tta;
    /* On a device with memory of its own that can: room for images of 8 bits on their way, and what is done
     * with them. In the turn of who uses it. */
    fwi_device_data room;
    fwi_eval_ahead *ahead; /* NULL: the host makes batches */
    int64_t batch, params;
    /* Parts of a workspace: where they begin, and its size. */
    size_t at_images, at_labels, at_probs, at_chain, workspace;
};

/* Where the plan computes: in the workspace, or, on a device of its own memory, where it computes for one
 * caller at a time, until that one gives it back. */
void *fwi_model_take(const fw_model *m, char *ws);
void fwi_model_give(const fw_model *m);

/* Bytes that a device with memory of its own may be asked for beside the plan's. */
fw_status fwi_model_spare(const fw_model *m, size_t *spare);
/* Of what it keeps, by windows of batches. */
fwi_eval_pass fwi_model_pass(const fw_model *m, fwi_device_data *kept, fwi_left left);

#endif
