/* plot_lr.c: a learning-rate schedule as a picture. draw.c has gnuplot. */
#include "draw.h"
#include "fail.h"
#include "number.h"
#include <fenwicks/plot.h>

#include <inttypes.h>

enum { MAX_POINTS = 4096 }; /* more than ten per pixel */

static fw_status write_script(fwi_buf *out, const fw_schedule *sched, int64_t total, bool png)
{
    fw_status st =
        fwi_buf_printf(out,
                       "%s\n"
                       "set xlabel 'Training step'\n"
                       "set ylabel 'Learning rate'\n"
                       "unset key\n"
                       "set grid lc rgb '#dddddd'\n"
                       "set format y '%%g'\n"
                       "set tics font ',9'\n"
                       "set xtics autofreq rotate by -45\n"
                       "set rmargin 5\n"
                       "set yrange [0:*]\n"
                       "$rates << EOD\n",
                       png ? "set terminal pngcairo size 350,350 background rgb 'white'"
                           : "set terminal svg size 350,350 dynamic background rgb 'white'");
    const int64_t n = total < MAX_POINTS ? total : MAX_POINTS;
    for (int64_t i = 0; st == FW_OK && i < n; i++) {
        /* evenly, the first and the last step among them; no product of two large numbers */
        const int64_t s = n == total ? i
                          : i == n - 1
                              ? total - 1
                              : (int64_t)((double)i / (double)(n - 1) * (double)(total - 1));
        char rate[FWI_NUMBER_CAP];
        fwi_format_double(rate, fw_schedule_at(sched, (double)s));
        st = fwi_buf_printf(out, "%" PRId64 " %s\n", s, rate);
    }
    if (st == FW_OK)
        st = fwi_buf_printf(out,
                            "EOD\n"
                            "plot $rates using 1:2 with %s lc rgb '#1f77b4' lw 2\n",
                            n > 1 ? "lines" : "points");
    return st;
}

fw_status fw_plot_lr(const fw_schedule *sched, int64_t total_steps, const char *path)
{
    if (path == NULL)
        return fwi_fail(FW_EARG, "fw_plot_lr: NULL path");
    if (total_steps < 1)
        return fwi_fail(FW_EARG, "fw_plot_lr: total_steps is %" PRId64 ", expected at least 1",
                        total_steps);
    bool png;
    fwi_buf script = {0};
    fw_status st = fw_schedule_check(sched);
    if (st == FW_OK)
        st = fwi_draw_path(path, &png);
    if (st != FW_OK)
        return st;
    if ((st = write_script(&script, sched, total_steps, png)) == FW_OK)
        st = fwi_draw(&script, path, png);
    fwi_buf_clear(&script);
    return st;
}
