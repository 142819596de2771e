/* plot.h: pictures of a run. */
#ifndef FENWICKS_PLOT_H
#define FENWICKS_PLOT_H

#include <fenwicks/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The rates of steps 0 .. total_steps-1, in out[total_steps]. FW_EARG for total_steps < 1 or a schedule
 * with a mistake. */
FW_API fw_status fw_simulate_lr(const fw_schedule *sched, int64_t total_steps, double *out);

/* Draws the same as a curve of 350 x 350 pixels. path ends in .svg or .png; the file is written
 * beside and renamed. The program gnuplot draws: FW_EUNAVAILABLE, with the package to install,
 * where there is none. FW_EARG for another ending, total_steps < 1 or a schedule with a mistake; FW_EIO
 * where gnuplot fails or the file cannot be written. */
FW_API fw_status fw_plot_lr(const fw_schedule *sched, int64_t total_steps, const char *path);

/* A value with its interval: a row of a dot-and-interval chart. */
typedef struct fw_interval {
    const char *name;
    double value, low, high; /* low, high NaN: a dot alone */
} fw_interval;
/* Draws n rows, the first at the top, over an axis called `label` with a line at 0; 700 pixels wide, and
 * more where names have over 24 bytes. Errors as fw_plot_lr, and FW_EARG for more than 512 rows. */
FW_API fw_status fw_plot_intervals(const fw_interval *rows, int n, const char *title,
                                   const char *label, const char *path);

/* Whether a plot of that name could be drawn here, before the work whose result it shows: its
 * ending, and whether there is gnuplot. Errors as fw_plot_lr. */
FW_API fw_status fw_plot_check(const char *path);

#ifdef __cplusplus
}
#endif
#endif
