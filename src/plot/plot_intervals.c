/* plot_intervals.c: values with their intervals, a row each: what a comparison of variants comes to.
 * draw.c has gnuplot. */
#include "draw.h"
#include "fail.h"
#include "number.h"
#include "utf8.h"
#include <fenwicks/plot.h>

#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    MOST_ROWS = 512,
    NAME_BYTES = 100,
    WIDTH = 700, /* pixels, with names of SHORT bytes; a longer one takes LETTER for each more */
    SHORT = 24,
    LETTER = 7
};

/* Bytes of the character of UTF-8 at s; 0: there is none. */
static size_t character_at(const char *s)
{
    const unsigned char c = (unsigned char)*s;
    const size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return strnlen(s, n) == n && fwi_utf8_valid(s, n) ? n : 0;
}

/* A name between quotes of gnuplot's: what would end it, or the line, becomes a blank, and so does the
 * backquote, behind which gnuplot would run a command of the system. An SVG is UTF-8: other bytes become
 * question marks. */
static fw_status put_name(fwi_buf *out, const char *name)
{
    fw_status st = fwi_buf_printf(out, "\"");
    for (size_t i = 0, n; name[i] != 0 && st == FW_OK; i += n) {
        const unsigned char c = (unsigned char)name[i];
        const bool blank = c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '`';
        const size_t whole = character_at(name + i);
        n = whole > 0 ? whole : 1;
        if (i + n > NAME_BYTES)
            break;
        st = fwi_buf_append(out, blank ? " " : whole > 0 ? name + i : "?", n);
    }
    return st == FW_OK ? fwi_buf_printf(out, "\"") : st;
}

static fw_status put_row(fwi_buf *out, const fw_interval *r, int y)
{
    char value[FWI_NUMBER_CAP], low[FWI_NUMBER_CAP], high[FWI_NUMBER_CAP];
    const bool bare = isnan(r->low) || isnan(r->high); /* a dot without an interval */
    fwi_format_double(value, r->value);
    fwi_format_double(low, bare ? r->value : r->low);
    fwi_format_double(high, bare ? r->value : r->high);
    fw_status st = fwi_buf_printf(out, "%d %s %s %s ", y, value, low, high);
    if (st == FW_OK)
        st = put_name(out, r->name);
    return st == FW_OK ? fwi_buf_printf(out, "\n") : st;
}

static int width_of(const fw_interval *rows, int n)
{
    size_t longest = SHORT;
    for (int i = 0; i < n; i++) {
        const size_t bytes = strnlen(rows[i].name, NAME_BYTES);
        longest = bytes > longest ? bytes : longest;
    }
    return WIDTH + LETTER * (int)(longest - SHORT);
}

static fw_status write_script(fwi_buf *out, const fw_interval *rows, int n, const char *title,
                              const char *label, bool png)
{
    fw_status st = fwi_buf_printf(
        out, "set terminal %s size %d,%d noenhanced background rgb 'white'\nset title ",
        png ? "pngcairo" : "svg", width_of(rows, n), 110 + 28 * n);
    if (st == FW_OK)
        st = put_name(out, title);
    if (st == FW_OK)
        st = fwi_buf_printf(out, "\nset xlabel ");
    if (st == FW_OK)
        st = put_name(out, label);
    if (st == FW_OK)
        st = fwi_buf_printf(out,
                            "\nunset key\n"
                            "set grid x lc rgb '#dddddd'\n"
                            "set tics font ',10'\n"
                            "set offsets graph 0.05, graph 0.05, 0, 0\n"
                            "set yrange [0.3:%d.7]\n"
                            "set xrange [*<0:0<*]\n" /* 0 is always on the axis */
                            "set arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '#888888'\n"
                            "$rows << EOD\n",
                            n);
    for (int i = 0; i < n && st == FW_OK; i++)
        st = put_row(out, &rows[i], n - i); /* the first at the top */
    if (st == FW_OK)
        st =
            fwi_buf_printf(out, "EOD\nplot $rows using 2:1:3:4:ytic(5) with xerrorbars pt 7 ps 0.8 "
                                "lw 1.5 lc rgb '#1f77b4'\n");
    return st;
}

fw_status fw_plot_intervals(const fw_interval *rows, int n, const char *title, const char *label,
                            const char *path)
{
    bool png;
    if (rows == NULL || title == NULL || label == NULL || path == NULL || n < 1 || n > MOST_ROWS)
        return fwi_fail(FW_EARG, "fw_plot_intervals: NULL argument, or not 1 to %d rows",
                        (int)MOST_ROWS);
    for (int i = 0; i < n; i++)
        if (rows[i].name == NULL || !isfinite(rows[i].value) || isinf(rows[i].low) ||
            isinf(rows[i].high))
            return fwi_fail(FW_EARG,
                            "fw_plot_intervals: row %d has no name, or a value that is not "
                            "finite",
                            i + 1);
    fw_status st = fwi_draw_path(path, &png);
    if (st != FW_OK)
        return st;
    fwi_buf script = {0};
    if ((st = write_script(&script, rows, n, title, label, png)) == FW_OK)
        st = fwi_draw(&script, path, png);
    fwi_buf_clear(&script);
    return st;
}
