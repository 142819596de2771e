/* plot_lr.c: a learning-rate schedule as a picture, drawn by gnuplot.
 *
 * The script and the points go in by standard input, the picture comes back by standard output and
 * is written by io: so no path ever stands in gnuplot's language, and the file appears whole or not
 * at all. program.c runs it. */
#include "fail.h"
#include "file.h"
#include "number.h"
#include "program.h"
#include <fenwicks/plot.h>

#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_POINTS = 4096, /* more than ten per pixel */
    MAX_PICTURE = 16 << 20,
    TIMEOUT_MS = 30000
};

static bool ends_with(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

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

static bool is_picture(const fwi_buf *b, bool png)
{
    static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const char svg_end[] = "</svg>";
    if (png)
        return b->size > sizeof signature && memcmp(b->data, signature, sizeof signature) == 0;
    for (size_t n = sizeof svg_end - 1, i = b->size; i >= n; i--)
        if (memcmp(b->data + i - n, svg_end, n) == 0)
            return true;
    return false;
}

fw_status fw_plot_lr(const fw_schedule *sched, int64_t total_steps, const char *path)
{
    if (path == NULL)
        return fwi_fail(FW_EARG, "fw_plot_lr: NULL path");
    const bool png = ends_with(path, ".png");
    if (!png && !ends_with(path, ".svg"))
        return fwi_fail(FW_EARG, "%s: a plot's name ends in .svg or .png", path);
    if (total_steps < 1)
        return fwi_fail(FW_EARG, "fw_plot_lr: total_steps is %" PRId64 ", expected at least 1",
                        total_steps);
    fw_status st = fw_schedule_check(sched);
    if (st != FW_OK || (st = fwi_path_check_local(path)) != FW_OK)
        return st;

    static const char *const argv[] = {"gnuplot", "-d", "-", NULL}; /* -d: no ~/.gnuplot */
    fwi_buf script = {0};
    fwi_program_result result = {0};
    if ((st = write_script(&script, sched, total_steps, png)) != FW_OK)
        goto done;
    const fwi_program gnuplot = {.argv = argv,
                                 .input = script.data,
                                 .input_bytes = script.size,
                                 .max_output_bytes = MAX_PICTURE,
                                 .timeout_ms = TIMEOUT_MS};
    st = fwi_program_run(&gnuplot, &result);
    if (st == FW_ENOTFOUND) {
        st = fwi_fail(FW_EUNAVAILABLE,
                      "%s: plots are drawn by gnuplot, which is not installed "
                      "(Debian, Ubuntu: package gnuplot-nox; others: gnuplot)",
                      path);
    } else if (st != FW_OK) {
        fwi_fail_in(st, "%s", path);
    } else if (result.exit_code != 0 || !is_picture(&result.output, png)) {
        st = fwi_fail(FW_EIO, "%s: gnuplot drew nothing (exit code %d): %s", path, result.exit_code,
                      result.error[0] != 0 ? result.error : "it gave no reason");
    } else {
        st = fwi_write_file(path, result.output.data, result.output.size);
    }
done:
    fwi_buf_clear(&script);
    fwi_buf_clear(&result.output);
    return st;
}
