/* plot.h: pictures of a run. */
#ifndef FENWICKS_PLOT_H
#define FENWICKS_PLOT_H

#include <fenwicks/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The rates of steps 0 .. total_steps-1, in out[total_steps]. */
FW_API fw_status fw_simulate_lr(const fw_schedule *sched, int64_t total_steps, double *out);

/* Draws the same as a curve of 350 x 350 pixels. path ends in .svg or .png; the file is written
 * beside and renamed. The program gnuplot draws: FW_EUNAVAILABLE, with the package to install,
 * where there is none. FW_EARG for another ending, total_steps < 1 or a schedule with a mistake. */
FW_API fw_status fw_plot_lr(const fw_schedule *sched, int64_t total_steps, const char *path);

#ifdef __cplusplus
}
#endif
#endif
