/* blocked_rows.h: the rows of a room that has batch-blocked kernels, in float or in float and in
 * bf16 storage. The bodies are those of the other rows (fast_rows.h) but for convolutions
 * (fast_conv2d_blocked.h); else only the layout is another one. A room's rows file defines ISA,
 * includes this, puts BLOCKED_F32_DECLARE (and BLOCKED_BF16_DECLARE) before its array and
 * BLOCKED_F32_ROWS (and BLOCKED_BF16_ROWS) into it, and BLOCKED_CONV_ROWS in front of them. */
#ifndef FWI_BLOCKED_ROWS_H
#define FWI_BLOCKED_ROWS_H

#include "fast_rows.h"

/* A pool whose windows overlap would round a sum several times in bf16. */
static inline bool blocked_apart(const fwi_call *c)
{
    return c->attr->pool.stride >= c->attr->pool.k;
}
/* Rows whose input 0 does not tell what the output is stored as. */
static inline bool blocked_gives_f32(const fwi_call *c)
{
    return c->out[0].dtype == FW_F32;
}
static inline bool blocked_gives_bf16(const fwi_call *c)
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
    X(bn_train, NULL)                                                                              \
    X(bn_train_grad, NULL)                                                                         \
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

/* ---- convolutions: direct, whatever algorithm is asked for ---- */
#define BLOCKED_CONV_DECLARE(type, isa)                                                            \
    size_t fwi_blocked_conv2d_scratch_##type##_##isa(const fwi_call *c);                           \
    size_t fwi_blocked_conv2d_stats_scratch_##type##_##isa(const fwi_call *c);                     \
    size_t fwi_blocked_conv2d_dx_scratch_##type##_##isa(const fwi_call *c);                        \
    size_t fwi_conv2d_dw_scratch_##type##_##isa(const fwi_call *c);                                \
    fw_status fwi_blocked_conv2d_##type##_##isa(const fwi_call *c);                                \
    fw_status fwi_blocked_conv2d_stats_##type##_##isa(const fwi_call *c);                          \
    fw_status fwi_blocked_conv2d_dx_##type##_##isa(const fwi_call *c);                             \
    fw_status fwi_conv2d_dw_##type##_##isa(const fwi_call *c);

#define BLOCKED_CONV_ROW(op_, body, type, key, isa, tile)                                          \
    {                                                                                              \
        .op = FWI_OP_##op_, .dtype = key, .run = fwi_##body##_##type##_##isa,                      \
        .scratch = fwi_##body##_scratch_##type##_##isa,                                            \
        .name = #op_ "_" #type "_blocked_" #isa "_" tile, .blocked = true                          \
    }
#define BLOCKED_CONV_ROWS(type, key, isa, tile)                                                    \
    BLOCKED_CONV_ROW(conv2d, blocked_conv2d, type, key, isa, tile),                                \
        BLOCKED_CONV_ROW(conv2d_stats, blocked_conv2d_stats, type, key, isa, tile),                \
        BLOCKED_CONV_ROW(conv2d_dx, blocked_conv2d_dx, type, key, isa, tile),                      \
        BLOCKED_CONV_ROW(conv2d_dw, conv2d_dw, type, key, isa, tile)

/* ---- all the rest ---- */
#define BLOCKED_DECLARE(name, type) fw_status BLOCKED_FN(name, type, ISA)(const fwi_call *c);
#define BLOCKED_DECLARE_WITH(name, type)                                                           \
    BLOCKED_DECLARE(name, type)                                                                    \
    size_t BLOCKED_FN(name##_scratch, type, ISA)(const fwi_call *c);
#define DECLARE_F32(name, f32_accepts, bf16_accepts)  BLOCKED_DECLARE(name, f32)
#define DECLARE_F32_TYPED(name)                       BLOCKED_DECLARE(name, f32)
#define DECLARE_F32_WITH(name, accepts_)              BLOCKED_DECLARE_WITH(name, f32)
#define DECLARE_BF16(name, f32_accepts, bf16_accepts) BLOCKED_DECLARE(name, bf16)
#define DECLARE_BF16_TYPED(name)                      BLOCKED_DECLARE(name, bf16)
#define DECLARE_BF16_WITH(name, accepts_)             BLOCKED_DECLARE_WITH(name, bf16)
#define BLOCKED_F32_DECLARE                                                                        \
    BLOCKED_PLAIN(DECLARE_F32) BLOCKED_TYPED(DECLARE_F32_TYPED) BLOCKED_SCRATCH(DECLARE_F32_WITH)
#define BLOCKED_BF16_DECLARE                                                                       \
    BLOCKED_PLAIN(DECLARE_BF16)                                                                    \
    BLOCKED_TYPED(DECLARE_BF16_TYPED) BLOCKED_SCRATCH(DECLARE_BF16_WITH)

#define BLOCKED_ROW(name_, type, key, scratch_, accepts_)                                          \
    {.op = FWI_OP_##name_,                                                                         \
     .dtype = key,                                                                                 \
     .run = BLOCKED_FN(name_, type, ISA),                                                          \
     .scratch = scratch_,                                                                          \
     .accepts = accepts_,                                                                          \
     .name = #name_ "_" #type "_blocked_" BLOCKED_STR(ISA),                                        \
     .blocked = true},
#define ROW_F32(name, f32_accepts, bf16_accepts) BLOCKED_ROW(name, f32, FW_F32, NULL, f32_accepts)
#define ROW_F32_TYPED(name)                      BLOCKED_ROW(name, f32, FW_F32, NULL, blocked_gives_f32)
#define ROW_F32_WITH(name, accepts_)                                                               \
    BLOCKED_ROW(name, f32, FW_F32, BLOCKED_FN(name##_scratch, f32, ISA), accepts_)
#define ROW_BF16(name, f32_accepts, bf16_accepts)                                                  \
    BLOCKED_ROW(name, bf16, FW_BF16, NULL, bf16_accepts)
#define ROW_BF16_TYPED(name) BLOCKED_ROW(name, bf16, FW_F32, NULL, blocked_gives_bf16)
#define ROW_BF16_WITH(name, accepts_)                                                              \
    BLOCKED_ROW(name, bf16, FW_BF16, BLOCKED_FN(name##_scratch, bf16, ISA), accepts_)
#define BLOCKED_F32_ROWS                                                                           \
    BLOCKED_PLAIN(ROW_F32) BLOCKED_TYPED(ROW_F32_TYPED) BLOCKED_SCRATCH(ROW_F32_WITH)
#define BLOCKED_BF16_ROWS                                                                          \
    BLOCKED_PLAIN(ROW_BF16) BLOCKED_TYPED(ROW_BF16_TYPED) BLOCKED_SCRATCH(ROW_BF16_WITH)

#endif
