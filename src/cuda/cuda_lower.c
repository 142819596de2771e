/* cuda_lower.c: see cuda_lower.h. */
#include "cuda_lower.h"

#include "cpu_lower.h"
#include "fail.h"

/* Where activations are of 16 bits, Muon's products are too: its three steps ask for no more. */
static void narrow_muon(fwi_graph *g)
{
    for (int32_t i = 0; i < g->n_ops; i++)
        if (g->ops[i].kind == FWI_OP_muon)
            g->ops[i].attr.muon.narrow = g->storage == FW_BF16 || g->storage == FW_F16;
}

fw_status fwi_cuda_lower(const fwi_op_table *table, fwi_graph *g)
{
    if (g->real != FW_F32)
        return fwi_fail(FW_EUNAVAILABLE,
                        "precision %s: a GPU computes in f32, tf32, bf16 and f16; the "
                        "device cpu has f64",
                        fw_dtype_name(g->real));
    fw_status st = fwi_lower_fuse(g, table);
    if (st == FW_OK)
        st = fwi_lower_blocked(g, table);
    narrow_muon(g);
    return st == FW_OK ? fwi_pass_updates_last(g) : st;
}
