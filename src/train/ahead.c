/* ahead.c: see ahead.h. */
#include "ahead.h"

fw_status fwi_ahead_line(fw_estimator *e, fw_dataset *ds, int32_t i, int64_t step)
{
    double row[FWI_MAX_COLUMNS];
    const int64_t rng[2] = {(int64_t)e->opt.seed, step};
    const fw_status st = e->train_data.loaded ? fwi_device_data_line(&e->train_data, ds, i) : FW_OK;
    if (st != FW_OK)
        return st;
    fwi_optim_row(&e->optim, step, row);
    fwi_network_line(&e->network, i, row, rng);
    return FW_OK;
}

fw_status fwi_ahead_send(fw_estimator *e, int32_t n)
{
    const fw_status st = fwi_network_send(&e->network, n);
    return st == FW_OK && e->train_data.loaded ? fwi_device_data_send(&e->train_data, n) : st;
}

fw_status fwi_ahead_step(fw_estimator *e, fwi_network_plan *p, const fw_batch *batch)
{
    const fw_batch none = {0}, *const x = batch != NULL ? batch : &none;
    fwi_batch_job job;
    fw_status st = FW_OK;
    fwi_binding b = fwi_network_binding(p, e->network.scratch, x->images, x->labels, NULL, NULL);
    fwi_network_bind_labels2(p, &b, x->labels2);
    fwi_network_bind_line(p, &b);
    if (batch == NULL)
        st = fwi_device_data_job(&e->train_data, p, NULL, fwi_network_turn(&e->network), &b, &job);
    return st == FW_OK ? fwi_network_step_ahead(&e->network, p, &b, batch == NULL ? &job : NULL)
                       : st;
}
