/* draw.c: gnuplot draws a picture (draw.h).
 *
 * The script and the points go in by standard input, the picture comes back by standard output and
 * is written by io: so no path ever stands in gnuplot's language, and the file appears whole or not
 * at all. program.c runs it. */
#include "draw.h"
#include "fail.h"
#include "file.h"
#include "program.h"
#include <fenwicks/plot.h>

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_PICTURE = 16 << 20, TIMEOUT_MS = 30000 };

static bool ends_with(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

fw_status fwi_draw_path(const char *path, bool *png)
{
    *png = ends_with(path, ".png");
    if (!*png && !ends_with(path, ".svg"))
        return fwi_fail(FW_EARG, "%s: a plot's name ends in .svg or .png", path);
    return fwi_path_check_local(path);
}

static fw_status no_gnuplot(const char *path)
{
    return fwi_fail(FW_EUNAVAILABLE,
                    "%s: plots are drawn by gnuplot, which is not installed "
                    "(Debian, Ubuntu: package gnuplot-nox; others: gnuplot)",
                    path);
}

/* Whether a file could be made beside path's name. */
static fw_status check_folder(const char *path)
{
    const char *const slash = strrchr(path, '/');
    char *const folder = slash == NULL   ? fwi_strdup(".")
                         : slash == path ? fwi_strdup("/")
                                         : fwi_sprintf("%.*s", (int)(slash - path), path);
    fw_status st = folder == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK && access(folder, W_OK | X_OK) != 0)
        st = fwi_fail(FW_EIO, "%s: no file can be made in %s: %s", path, folder, strerror(errno));
    fwi_free(folder);
    return st;
}

fw_status fw_plot_check(const char *path)
{
    static const char *const argv[] = {"gnuplot", "--version", NULL};
    const fwi_program gnuplot = {
        .argv = argv, .input = "", .max_output_bytes = 4096, .timeout_ms = TIMEOUT_MS};
    fwi_program_result result = {0};
    bool png;
    if (path == NULL)
        return fwi_fail(FW_EARG, "fw_plot_check: NULL path");
    fw_status st = fwi_draw_path(path, &png);
    if (st == FW_OK)
        st = check_folder(path);
    if (st != FW_OK)
        return st;
    st = fwi_program_run(&gnuplot, &result);
    fwi_buf_clear(&result.output);
    return st == FW_ENOTFOUND ? no_gnuplot(path) : st;
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

fw_status fwi_draw(const fwi_buf *script, const char *path, bool png)
{
    static const char *const argv[] = {"gnuplot", "-d", "-", NULL}; /* -d: no ~/.gnuplot */
    fwi_program_result result = {0};
    const fwi_program gnuplot = {.argv = argv,
                                 .input = script->data,
                                 .input_bytes = script->size,
                                 .max_output_bytes = MAX_PICTURE,
                                 .timeout_ms = TIMEOUT_MS};
    fw_status st = fwi_program_run(&gnuplot, &result);
    if (st == FW_ENOTFOUND)
        st = no_gnuplot(path);
    else if (st != FW_OK)
        fwi_fail_in(st, "%s", path);
    else if (result.exit_code != 0 || !is_picture(&result.output, png))
        st = fwi_fail(FW_EIO, "%s: gnuplot drew nothing (exit code %d): %s", path, result.exit_code,
                      result.error[0] != 0 ? result.error : "it gave no reason");
    else
        st = fwi_write_file(path, result.output.data, result.output.size);
    fwi_buf_clear(&result.output);
    return st;
}
