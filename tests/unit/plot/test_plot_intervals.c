/* Dots with intervals: plot_intervals.c; names that gnuplot's language must not see as such. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fenwicks/plot.h>
#include <file.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const fw_interval rows[] = {
    {"without smoothing", -0.2, -0.35, -0.05},
    {"lr=0.2/batch, a_b^{c}", 0.1, -0.1, 0.3},
    {"quote \" back \\ slash\nEOD\nexit", 0.05, NAN, NAN},
    {"`touch made-by-a-row`", 0.2, 0.1, 0.3},
};

static void draws(void **state)
{
    (void)state;
    fwi_buf b = {0};
    const fw_status st = fw_plot_check("rows.svg");
    if (st == FW_EUNAVAILABLE)
        skip();
    assert_int_equal(st, FW_OK);
    assert_int_equal(fw_plot_intervals(rows, 4, "a_title `touch made-by-a-title`",
                                       "points `touch made-by-a-label`", "rows.svg"),
                     FW_OK);
    assert_int_equal(fwi_read_file("rows.svg", 1 << 20, &b), FW_OK);
    const char *const svg = (const char *)b.data;
    assert_non_null(strstr(svg, "without smoothing"));
    assert_non_null(strstr(svg, "a_b^{c}")); /* as it is, no subscripts */
    assert_non_null(strstr(svg, "a_title"));
    assert_non_null(strstr(svg, "EOD exit")); /* a name, no command */
    assert_non_null(strstr(svg, "touch made-by-a-row"));
    assert_non_null(strstr(svg, "touch made-by-a-title"));
    assert_false(fwi_file_exists("made-by-a-row") || fwi_file_exists("made-by-a-title") ||
                 fwi_file_exists("made-by-a-label"));
    assert_int_equal(fw_plot_intervals(rows, 1, "one", "points", "rows.png"), FW_OK);
    assert_int_equal(fwi_read_file("rows.png", 1 << 20, &b), FW_OK);
    assert_memory_equal(b.data, "\x89PNG", 4);
    fwi_buf_clear(&b);
    unlink("rows.svg");
    unlink("rows.png");
}

static void refuses(void **state)
{
    (void)state;
    const fw_interval bad[] = {{"x", NAN, 0, 1}}, far[] = {{"x", 0, -INFINITY, 1}},
                      nameless[] = {{NULL, 0, 0, 1}};
    assert_int_equal(fw_plot_intervals(rows, 0, "t", "l", "x.svg"), FW_EARG);
    assert_int_equal(fw_plot_intervals(rows, 513, "t", "l", "x.svg"), FW_EARG);
    assert_int_equal(fw_plot_intervals(NULL, 1, "t", "l", "x.svg"), FW_EARG);
    assert_int_equal(fw_plot_intervals(rows, 1, "t", "l", "x.gif"), FW_EARG);
    assert_int_equal(fw_plot_intervals(bad, 1, "t", "l", "x.svg"), FW_EARG);
    assert_int_equal(fw_plot_intervals(far, 1, "t", "l", "x.svg"), FW_EARG);
    assert_int_equal(fw_plot_intervals(nameless, 1, "t", "l", "x.svg"), FW_EARG);
    assert_int_equal(fw_plot_check(NULL), FW_EARG);
    assert_int_equal(fw_plot_check("x.gif"), FW_EARG);
    assert_int_equal(fw_plot_check("no/such/folder/x.svg"), FW_EIO);
    assert_int_equal(fw_plot_check("gs://bucket/x.svg"), FW_EUNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
