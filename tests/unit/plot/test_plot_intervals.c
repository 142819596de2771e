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
#include <utf8.h>

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

/* The line at 0 is there where every interval lies on one side of it; bytes that are no UTF-8, or half of a
 * character at the end of what is shown, would make an SVG that no reader takes. */
static void one_side(void **state)
{
    (void)state;
    char longest[256];
    memset(longest, 'n', sizeof longest);
    memcpy(longest + 99, "\xc3\xa4", 3);
    const fw_interval below[] = {{"gr\xc3\xbcn", -1.2, -1.4, -1},
                                 {"K\xe4se", -0.8, -0.95, -0.6},
                                 {longest, -0.5, NAN, NAN}},
                      above[] = {{"x", 0.05, NAN, NAN}};
    fwi_buf b = {0};
    if (fw_plot_check("side.svg") == FW_EUNAVAILABLE)
        skip();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            fw_plot_intervals(i == 0 ? below : above, i == 0 ? 3 : 1, "t", "points", "side.svg"),
            FW_OK);
        assert_int_equal(fwi_read_file("side.svg", 1 << 20, &b), FW_OK);
        assert_non_null(strstr((const char *)b.data, "rgb(136, 136, 136)"));
        assert_true(fwi_utf8_valid(b.data, b.size));
        assert_true(i == 1 || (strstr((const char *)b.data, "gr\xc3\xbcn") != NULL &&
                               strstr((const char *)b.data, "K?se") != NULL));
    }
    fwi_buf_clear(&b);
    unlink("side.svg");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws), cmocka_unit_test(one_side),
                                       cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
