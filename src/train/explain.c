/* explain.c: what was chosen for a network, as text for people: the device, the layout of images,
 * each convolution's algorithm and kernel, the fused ops, the memory. All of it is read off the
 * plans, so it is what will run. Neighbours: exec.h (fwi_plan_step), estimator.c, model.c. */
#include "explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

enum { WORD_CAP = 64 };

static bool is_fused(fwi_opkind kind)
{
    return (fwi_op_info_get(kind)->flags & FWI_BACKEND) != 0 && kind != FWI_OP_to_blocked &&
           kind != FWI_OP_from_blocked;
}

/* Images per block and how many conversions there are; 0: n h w c. */
static int32_t layout_of(const fwi_plan *p, int *conversions)
{
    int32_t nb = 0;
    *conversions = 0;
    for (int i = 0; i < fwi_plan_steps(p); i++) {
        fwi_step_info s;
        fwi_plan_step(p, i, &s);
        *conversions += s.op == FWI_OP_to_blocked || s.op == FWI_OP_from_blocked;
        for (int k = 0; k < FWI_MAX_IN; k++)
            nb = s.call->in[k].nb > nb ? s.call->in[k].nb : nb;
    }
    return nb;
}

static fw_status put_conv(const fwi_step_info *s, fwi_buf *out)
{
    const fwi_call *c = s->call;
    const fwi_conv_attr *a = &c->attr->conv;
    const bool dx = s->op == FWI_OP_conv2d_dx, dw = s->op == FWI_OP_conv2d_dw;
    const fwi_shape *w = dw ? &c->out[0].shape : &c->in[1].shape;
    char images[WORD_CAP], filters[WORD_CAP];
    snprintf(images, sizeof images, "%" PRId64 "x%" PRId64 " %" PRId64 " > %" PRId64, a->ih, a->iw,
             w->d[3], w->d[0]);
    snprintf(filters, sizeof filters, "%" PRId64 "x%" PRId64 "/%" PRId64, a->kh, a->kw, a->stride);
    return fwi_buf_printf(out, "  %-4s %-20s %-8s %-10s %s\n",
                          dx   ? "dx"
                          : dw ? "dw"
                               : "fwd",
                          images, filters, fwi_conv_algo_name((fwi_conv_algo)a->algo), s->kernel);
}

static fw_status put_fused(const fwi_plan *p, fwi_buf *out)
{
    int n[FWI_OP_COUNT] = {0}, kinds = 0;
    for (int i = 0; i < fwi_plan_steps(p); i++) {
        fwi_step_info s;
        fwi_plan_step(p, i, &s);
        n[s.op] += is_fused(s.op);
    }
    fw_status st = fwi_buf_printf(out, "  fused:");
    for (int k = 0; k < FWI_OP_COUNT && st == FW_OK; k++)
        if (n[k] > 0)
            st = fwi_buf_printf(out, "%s %s %d", kinds++ > 0 ? "," : "",
                                fwi_op_info_get((fwi_opkind)k)->name, n[k]);
    return st == FW_OK ? fwi_buf_printf(out, "%s\n", kinds == 0 ? " none" : "") : st;
}

static fw_status put_plan(const fwi_network_plan *np, fwi_buf *out)
{
    const fwi_plan *p = np->plan;
    static const char *const uses[] = {[FWI_EVALUATE] = "evaluation",
                                       [FWI_TRAIN] = "training",
                                       [FWI_EVALUATE_AVERAGE] = "evaluation of averages"};
    int conversions = 0, convs = 0;
    char layout[WORD_CAP] = "n h w c";
    const int32_t nb = layout_of(p, &conversions);
    if (nb > 0)
        snprintf(layout, sizeof layout, "blocks of %" PRId32 " images, %d conversion%s", nb,
                 conversions, conversions == 1 ? "" : "s");
    char size[WORD_CAP] = "";
    if (np->use.size > 0)
        snprintf(size, sizeof size, " at %" PRId64 " x %" PRId64 " (%s)", np->use.size,
                 np->use.size, np->use.by == FW_BY_CROP ? "crop" : "resize");
    fw_status st = fwi_buf_printf(
        out, "%s, batches of %" PRId64 "%s%s: %d steps, %.1f MiB of scratch; layout: %s\n",
        np->use.rows ? "choosing" : uses[np->use.kind], np->use.batch, size,
        np->use.over != 0 ? ", where the training of a group is over" : "", fwi_plan_steps(p),
        (double)fwi_plan_scratch_bytes(p) / 1048576, layout);
    for (int i = 0; i < fwi_plan_steps(p) && st == FW_OK; i++) {
        fwi_step_info s;
        fwi_plan_step(p, i, &s);
        if (!fwi_op_is_conv(s.op))
            continue;
        if (convs++ == 0)
            st = fwi_buf_printf(out, "  %-4s %-20s %-8s %-10s %s\n", "pass", "image, channels",
                                "filter", "algorithm", "kernel");
        if (st == FW_OK)
            st = put_conv(&s, out);
    }
    return st == FW_OK ? put_fused(p, out) : st;
}

fw_status fwi_network_explain(const fwi_network *n, fwi_buf *out)
{
    fw_status st =
        fwi_buf_printf(out, "device: %s; precision %s, conv %s\n", n->device->label,
                       fw_precision_name(n->spec.real, n->spec.tf32 && n->spec.real == FW_F32),
                       fwi_conv_algo_name((fwi_conv_algo)n->spec.conv));
    for (int i = 0; i < n->n_plans && st == FW_OK; i++)
        st = put_plan(&n->plans[i], out);
    return st;
}
