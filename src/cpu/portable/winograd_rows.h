/* winograd_rows.h: the rows of fast_winograd.h and fast_winograd_dw.h, once for every room that
 * includes them. A room's rows file puts WINOGRAD_DECLARE(type, isa) before its array and
 * WINOGRAD_ROWS(type, key, isa, tile, takes) into it, above its direct convolutions: these take every
 * call. takes: one of winograd_points.h. */
#ifndef FWI_WINOGRAD_ROWS_H
#define FWI_WINOGRAD_ROWS_H

#include "winograd_points.h"

#define WINOGRAD_DECLARE(type, isa)                                                                \
    size_t fwi_winograd_conv2d_scratch_##type##_##isa(const fwi_call *c);                          \
    size_t fwi_winograd_conv2d_stats_scratch_##type##_##isa(const fwi_call *c);                    \
    size_t fwi_winograd_conv2d_dx_scratch_##type##_##isa(const fwi_call *c);                       \
    size_t fwi_winograd_conv2d_dw_scratch_##type##_##isa(const fwi_call *c);                       \
    fw_status fwi_winograd_conv2d_##type##_##isa(const fwi_call *c);                               \
    fw_status fwi_winograd_conv2d_stats_##type##_##isa(const fwi_call *c);                         \
    fw_status fwi_winograd_conv2d_dx_##type##_##isa(const fwi_call *c);                            \
    fw_status fwi_winograd_conv2d_dw_##type##_##isa(const fwi_call *c);

#define WINOGRAD_ROW(op_, type, key, isa, tile, takes)                                             \
    {                                                                                              \
        .op = FWI_OP_##op_, .dtype = key, .run = fwi_winograd_##op_##_##type##_##isa,              \
        .scratch = fwi_winograd_##op_##_scratch_##type##_##isa, .accepts = takes,                  \
        .name = #op_ "_" #type "_winograd_" #isa "_" tile, .blocked = true                         \
    }
#define WINOGRAD_ROWS(type, key, isa, tile, takes)                                                 \
    WINOGRAD_ROW(conv2d, type, key, isa, tile, takes),                                             \
        WINOGRAD_ROW(conv2d_stats, type, key, isa, tile, takes),                                   \
        WINOGRAD_ROW(conv2d_dx, type, key, isa, tile, takes),                                      \
        WINOGRAD_ROW(conv2d_dw, type, key, isa, tile, takes)

#endif
