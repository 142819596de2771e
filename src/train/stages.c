/* stages.c: which stage a step belongs to, and where each begins (stages.h). */
#include "stages.h"

int64_t fwi_stage_of(const fwi_stages *s, int64_t step, fwi_network_use *use)
{
    int64_t end = INT64_MAX;
    int32_t i = 0;
    while (i < s->n_resolutions && step >= s->resolution[i].until)
        i++;
    use->size = 0;
    if (i < s->n_resolutions) {
        use->size = s->resolution[i].size;
        end = s->resolution[i].until;
    }
    use->by = s->by;
    use->over = fwi_optim_over(s->optim, step);
    for (int32_t k = 0; k < s->optim->n_groups; k++) {
        const int64_t over = s->optim->group[k].train_steps;
        if (over > step && over < end)
            end = over;
    }
    return end;
}
