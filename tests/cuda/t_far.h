/* t_far.h: a device for tests, named "far": the emulated kernels of src/cuda on memory that is not
 * the host's. It can be touched by kernels and copies alone: anyone else who reads or writes it
 * ends the program. It keeps recordings, and does nothing before it is told to: so whatever a GPU
 * needs of exec and train is needed here. */
#ifndef T_FAR_H
#define T_FAR_H

#include "exec.h"

extern const fwi_backend t_far_backend; /* for fwi_device_offer */
int64_t t_far_replays(void);            /* of recordings since the program began */
extern bool t_far_refuses;              /* recordings fail */
extern bool t_far_one_by_one; /* devices that are opened now have no tables for steps (lines.h) */
int64_t t_far_joint_calls(void); /* kernels that ran several calls, likewise */
int64_t t_far_batches(void);     /* made of images that lie there, likewise */
int64_t t_far_uploaded(void);    /* bytes, likewise */
int64_t t_far_copies(void);      /* from and to there, likewise */
extern size_t t_far_memory;      /* what the device says it has in all; at first 1 GiB */
/* Work behind far's back, on whatever of its memory: between the two, kernels are run by hand. */
void t_far_open_memory(void);
void t_far_close_memory(void);
/* Before far is opened: rows in place of the emulated ones, and the stream that calls get. */
extern const fwi_op_table *t_far_rows;
extern void *t_far_stream;
extern double t_far_extra_seconds; /* added to what its clock shows */
extern int t_far_refuses_block;    /* this one from now on cannot be had, from 1; 0: all can */

#endif
