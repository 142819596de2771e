/* blocked_rows.h: the rows of a room that has batch-blocked kernels in float and in bf16 storage.
 * The bodies are those of the other rows (fast_rows.h); only the layout is another one. A room's
 * rows file defines ISA, includes fast_rows.h, then this, and puts BLOCKED_ROWS into its array. */
#ifndef FWI_BLOCKED_ROWS_H
#define FWI_BLOCKED_ROWS_H

#include "fast_rows.h"

/* Statistics of a part of the batch need images apart. */
static bool blocked_one_group(const fwi_call *c)
{
    return c->attr->bn.groups == 1;
}
/* A pool whose windows overlap would round a sum several times in bf16. */
static bool blocked_apart(const fwi_call *c)
{
    return c->attr->pool.stride >= c->attr->pool.k;
}
/* Rows whose input 0 does not tell what the output is stored as. */
static bool blocked_gives_f32(const fwi_call *c)
{
    return c->out[0].dtype == FW_F32;
}
static bool blocked_gives_bf16(const fwi_call *c)
{
    return c->out[0].dtype == FW_BF16;
}

/* X(op, accepts for float, accepts for bf16) */
#define BLOCKED_PLAIN(X)                                                                           \
    X(bias_add, NULL, NULL)                                                                        \
    X(relu, NULL, NULL)                                                                            \
    X(relu_grad, NULL, NULL)                                                                       \
    X(act, NULL, NULL)                                                                             \
    X(act_grad, NULL, NULL)                                                                        \
    X(max_pool, NULL, NULL)                                                                        \
    X(max_pool_grad, NULL, blocked_apart)                                                          \
    X(avg_pool, NULL, NULL)                                                                        \
    X(avg_pool_grad, NULL, blocked_apart)                                                          \
    X(global_max_pool, NULL, NULL)                                                                 \
    X(global_avg_pool, NULL, NULL)                                                                 \
    X(add, NULL, NULL)                                                                             \
    X(scale, NULL, NULL)                                                                           \
    X(from_blocked, NULL, NULL)
#define BLOCKED_TYPED(X) /* input 0 is float either way */                                         \
    X(global_max_pool_grad)                                                                        \
    X(global_avg_pool_grad)                                                                        \
    X(to_blocked)
#define BLOCKED_SCRATCH(X)                                                                         \
    X(bn_train, blocked_one_group)                                                                 \
    X(bn_train_grad, blocked_one_group)                                                            \
    X(bn_eval, NULL)                                                                               \
    X(sum_rows, NULL)                                                                              \
    X(bn_stats, NULL)                                                                              \
    X(max_pool_stats, NULL)                                                                        \
    X(bn_act, NULL)                                                                                \
    X(bn_act_add, NULL)                                                                            \
    X(bn_act_pool, NULL)                                                                           \
    X(bn_act_grad, NULL)                                                                           \
    X(bn_act_pool_grad, NULL)                                                                      \
    X(bn_act_unpool_grad, NULL)                                                                    \
    X(bias_act, NULL)                                                                              \
    X(bias_act_grad, NULL)

#define BLOCKED_FN3(name, type, isa) fwi_##name##_##type##_##isa
#define BLOCKED_FN(name, type, isa)  BLOCKED_FN3(name, type, isa)
#define BLOCKED_STR2(x)              #x
#define BLOCKED_STR(x)               BLOCKED_STR2(x)

#define DECLARE_BLOCKED(name, f32_accepts, bf16_accepts)                                           \
    fw_status BLOCKED_FN(name, f32, ISA)(const fwi_call *c);                                       \
    fw_status BLOCKED_FN(name, bf16, ISA)(const fwi_call *c);
#define DECLARE_TYPED(name) DECLARE_BLOCKED(name, , )
#define DECLARE_WITH(name, accepts_)                                                               \
    DECLARE_BLOCKED(name, , )                                                                      \
    size_t BLOCKED_FN(name##_scratch, f32, ISA)(const fwi_call *c);                                \
    size_t BLOCKED_FN(name##_scratch, bf16, ISA)(const fwi_call *c);
BLOCKED_PLAIN(DECLARE_BLOCKED)
BLOCKED_TYPED(DECLARE_TYPED)
BLOCKED_SCRATCH(DECLARE_WITH)

#define BLOCKED_ROW(name_, type, key, scratch_, accepts_)                                          \
    {.op = FWI_OP_##name_,                                                                         \
     .dtype = key,                                                                                 \
     .run = BLOCKED_FN(name_, type, ISA),                                                          \
     .scratch = scratch_,                                                                          \
     .accepts = accepts_,                                                                          \
     .name = #name_ "_" #type "_blocked_" BLOCKED_STR(ISA),                                        \
     .blocked = true},
#define ROW_BLOCKED(name, f32_accepts, bf16_accepts)                                               \
    BLOCKED_ROW(name, f32, FW_F32, NULL, f32_accepts)                                              \
    BLOCKED_ROW(name, bf16, FW_BF16, NULL, bf16_accepts)
#define ROW_TYPED(name)                                                                            \
    BLOCKED_ROW(name, f32, FW_F32, NULL, blocked_gives_f32)                                        \
    BLOCKED_ROW(name, bf16, FW_F32, NULL, blocked_gives_bf16)
#define ROW_BLOCKED_WITH(name, accepts_)                                                           \
    BLOCKED_ROW(name, f32, FW_F32, BLOCKED_FN(name##_scratch, f32, ISA), accepts_)                 \
    BLOCKED_ROW(name, bf16, FW_BF16, BLOCKED_FN(name##_scratch, bf16, ISA), accepts_)

#define BLOCKED_ROWS                                                                               \
    BLOCKED_PLAIN(ROW_BLOCKED) BLOCKED_TYPED(ROW_TYPED) BLOCKED_SCRATCH(ROW_BLOCKED_WITH)

#endif
