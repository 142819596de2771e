/* fast_rows.h: the rows that a fast room fills, once for all of them: the bodies are the same, so
 * the lists are too. A room's rows file defines ISA, TILE_F32 and TILE_F64, includes this and puts
 * FAST_ROWS into its array. An op that gets a body is added to FAST_OPS. */
#ifndef FWI_FAST_ROWS_H
#define FWI_FAST_ROWS_H

#include "exec.h"

/* TILED(op): on the register tile, with scratch. PLAIN(op): a loop. SCRATCH(op): a loop that needs
 * scratch. */
#define FAST_OPS(TILED, PLAIN, SCRATCH, isa)                                                       \
    TILED(conv2d, isa)                                                                             \
    TILED(conv2d_dx, isa)                                                                          \
    TILED(conv2d_dw, isa)                                                                          \
    TILED(matmul, isa)                                                                             \
    SCRATCH(bn_train, isa)                                                                         \
    SCRATCH(bn_train_grad, isa)                                                                    \
    SCRATCH(bn_eval, isa)                                                                          \
    SCRATCH(sum_rows, isa)                                                                         \
    SCRATCH(sum_squares, isa)                                                                      \
    SCRATCH(muon, isa)                                                                             \
    SCRATCH(resize, isa)                                                                           \
    SCRATCH(resize_grad, isa)                                                                      \
    SCRATCH(softmax_xent, isa)                                                                     \
    PLAIN(softmax_xent_grad, isa)                                                                  \
    PLAIN(softmax, isa)                                                                            \
    PLAIN(bias_add, isa)                                                                           \
    PLAIN(relu, isa)                                                                               \
    PLAIN(relu_grad, isa)                                                                          \
    PLAIN(act, isa)                                                                                \
    PLAIN(act_grad, isa)                                                                           \
    PLAIN(max_pool, isa)                                                                           \
    PLAIN(max_pool_grad, isa)                                                                      \
    PLAIN(avg_pool, isa)                                                                           \
    PLAIN(avg_pool_grad, isa)                                                                      \
    PLAIN(global_max_pool, isa)                                                                    \
    PLAIN(global_max_pool_grad, isa)                                                               \
    PLAIN(global_avg_pool, isa)                                                                    \
    PLAIN(global_avg_pool_grad, isa)                                                               \
    PLAIN(crop, isa)                                                                               \
    PLAIN(crop_grad, isa)                                                                          \
    PLAIN(add, isa)                                                                                \
    PLAIN(scale, isa)                                                                              \
    PLAIN(scale_by, isa)                                                                           \
    PLAIN(dropout, isa)                                                                            \
    PLAIN(concat, isa)                                                                             \
    PLAIN(slice, isa)                                                                              \
    PLAIN(fill, isa)                                                                               \
    PLAIN(sgd, isa)                                                                                \
    PLAIN(adam, isa)                                                                               \
    PLAIN(lars, isa)                                                                               \
    PLAIN(average, isa)

/* One more expansion, so that ISA itself is replaced. */
#define FAST_OPS_OF(TILED, PLAIN, SCRATCH, isa) FAST_OPS(TILED, PLAIN, SCRATCH, isa)

#define DECLARE_PLAIN(name, isa)                                                                   \
    fw_status fwi_##name##_f32_##isa(const fwi_call *c);                                           \
    fw_status fwi_##name##_f64_##isa(const fwi_call *c);
#define DECLARE_SCRATCH(name, isa)                                                                 \
    DECLARE_PLAIN(name, isa)                                                                       \
    size_t fwi_##name##_scratch_f32_##isa(const fwi_call *c);                                      \
    size_t fwi_##name##_scratch_f64_##isa(const fwi_call *c);
FAST_OPS_OF(DECLARE_SCRATCH, DECLARE_PLAIN, DECLARE_SCRATCH, ISA)

#define ROW_PLAIN(name_, isa)                                                                      \
    {.op = FWI_OP_##name_,                                                                         \
     .dtype = FW_F32,                                                                              \
     .run = fwi_##name_##_f32_##isa,                                                               \
     .name = #name_ "_f32_" #isa},                                                                 \
        {.op = FWI_OP_##name_,                                                                     \
         .dtype = FW_F64,                                                                          \
         .run = fwi_##name_##_f64_##isa,                                                           \
         .name = #name_ "_f64_" #isa},
#define ROW_WITH(name_, isa, tile32, tile64)                                                       \
    {.op = FWI_OP_##name_,                                                                         \
     .dtype = FW_F32,                                                                              \
     .run = fwi_##name_##_f32_##isa,                                                               \
     .scratch = fwi_##name_##_scratch_f32_##isa,                                                   \
     .name = #name_ "_f32_" #isa tile32},                                                          \
        {.op = FWI_OP_##name_,                                                                     \
         .dtype = FW_F64,                                                                          \
         .run = fwi_##name_##_f64_##isa,                                                           \
         .scratch = fwi_##name_##_scratch_f64_##isa,                                               \
         .name = #name_ "_f64_" #isa tile64},
#define ROW_SCRATCH(name, isa) ROW_WITH(name, isa, "", "")
#define ROW_TILED(name, isa)   ROW_WITH(name, isa, "_" TILE_F32, "_" TILE_F64)

#define FAST_ROWS FAST_OPS_OF(ROW_TILED, ROW_PLAIN, ROW_SCRATCH, ISA)

#endif
