/* Curves by gnuplot, and programs that misbehave. Programs are shell scripts in a folder that PATH
 * points to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fenwicks/plot.h>
#include <file.h>
#include <math.h>
#include <program.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[64], *path_before;

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/fw_plot_XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    path_before = strdup(getenv("PATH"));
    return path_before == NULL ? -1 : 0;
}

static void remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static int remove_dir(void **state)
{
    (void)state;
    setenv("PATH", path_before, 1);
    free(path_before);
    static const char *const names[] = {"gnuplot", "prog", "lr.svg", "lr.png",
                                        "it's $(x) \"q\".SVG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove_file(names[i]);
    return rmdir(dir); /* fails if a temporary file was left */
}

static int restore_path(void **state)
{
    (void)state;
    return setenv("PATH", path_before, 1);
}

/* A script as the first program of that name in PATH. */
static void put_program(const char *name, const char *body)
{
    char path[128], paths[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *const f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", body);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0700), 0);
    snprintf(paths, sizeof paths, "%s:%s", dir, path_before);
    setenv("PATH", paths, 1);
}

static void assert_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static fw_status run(const char *body, const char *input, int64_t timeout_ms,
                     fwi_program_result *out)
{
    static const char *const argv[] = {"prog", "an argument; with $(blanks)", NULL};
    put_program("prog", body);
    const fwi_program p = {.argv = argv,
                           .input = input,
                           .input_bytes = strlen(input),
                           .max_output_bytes = 1 << 20,
                           .timeout_ms = timeout_ms};
    const fw_status st = fwi_program_run(&p, out);
    assert_no_children();
    return st;
}

static void text_goes_in_and_comes_out(void **state)
{
    (void)state;
    fwi_program_result r;
    assert_int_equal(run("cat; echo \"$1\"; echo ' a\n\tb ' >&2; exit 7", "hello\n", 10000, &r),
                     FW_OK);
    assert_int_equal(r.exit_code, 7);
    static const char want[] = "hello\nan argument; with $(blanks)\n";
    assert_int_equal(r.output.size, sizeof want - 1);
    assert_memory_equal(r.output.data, want, sizeof want - 1);
    assert_string_equal(r.error, "a b");
    fwi_buf_clear(&r.output);

    char *const big = malloc(900001); /* more than any socket holds, both ways at once */
    assert_non_null(big);
    for (int i = 0; i < 900000; i++)
        big[i] = (char)('a' + i % 23);
    big[900000] = 0;
    assert_int_equal(run("cat", big, 20000, &r), FW_OK);
    assert_int_equal(r.output.size, 900000);
    assert_memory_equal(r.output.data, big, 900000);
    fwi_buf_clear(&r.output);
    /* one that does not read: no SIGPIPE (it would end this program) */
    assert_int_equal(run("exec <&-; exit 3", big, 10000, &r), FW_OK);
    assert_int_equal(r.exit_code, 3);
    fwi_buf_clear(&r.output);
    free(big);
}

static void one_that_hangs_is_stopped(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "sleep 60",                /* says nothing */
        "sleep 60 & wait",         /* its own child holds the streams */
        "exec >&- 2>&-; sleep 60", /* closes its outputs and lives on */
        "trap '' TERM INT HUP; while :; do sleep 1; done",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        fwi_program_result r;
        const double t0 = seconds();
        assert_int_equal(run(bodies[i], "x", 200, &r), FW_EIO);
        assert_string_equal(fw_last_error(), "prog took longer than 200 ms and was stopped");
        assert_true(seconds() - t0 < 10);
        fwi_buf_clear(&r.output);
    }
}

static void one_that_writes_without_end_is_stopped(void **state)
{
    (void)state;
    fwi_program_result r;
    assert_int_equal(
        run("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", "", 20000, &r),
        FW_EIO);
    assert_string_equal(fw_last_error(), "prog wrote more than 1048576 bytes");
    fwi_buf_clear(&r.output);
    assert_int_equal(
        run("i=0; while [ $i -lt 3000 ]; do echo error $i >&2; i=$((i+1)); done", "", 20000, &r),
        FW_OK);
    assert_int_equal(strncmp(r.error, "error 0 error 1 ", 16), 0);
    assert_true(strlen(r.error) < sizeof r.error);
    fwi_buf_clear(&r.output);
    assert_int_equal(run("kill -9 $$", "", 10000, &r), FW_OK);
    assert_int_equal(r.exit_code, -1);
    fwi_buf_clear(&r.output);
}

static void ignored_children_are_no_trouble(void **state)
{
    (void)state;
    void (*const before)(int) = signal(SIGCHLD, SIG_IGN);
    fwi_program_result r;
    assert_int_equal(run("cat", "hello", 10000, &r), FW_OK);
    assert_int_equal(r.output.size, 5);
    fwi_buf_clear(&r.output);
    assert_int_equal(run("sleep 60", "", 200, &r), FW_EIO);
    fwi_buf_clear(&r.output);
    signal(SIGCHLD, before);
}

static bool have_gnuplot(void)
{
    static const char *const argv[] = {"gnuplot", "--version", NULL};
    const fwi_program p = {
        .argv = argv, .input = "", .max_output_bytes = 4096, .timeout_ms = 10000};
    fwi_program_result r;
    const fw_status st = fwi_program_run(&p, &r);
    fwi_buf_clear(&r.output);
    return st == FW_OK && r.exit_code == 0;
}

static void read_all(const char *path, fwi_buf *b)
{
    if (fwi_read_file(path, 1 << 20, b) != FW_OK)
        fail_msg("%s", fw_last_error());
}

static void draws_svg_and_png(void **state)
{
    (void)state;
    if (!have_gnuplot()) {
        print_message("gnuplot is not installed: the pictures are not tested\n");
        skip();
    }
    const fw_schedule s = fw_triangular_lr(0.4 / 512, 2328, 485);
    fwi_buf b = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/it's $(x) \"q\".SVG", dir);
    assert_int_equal(fw_plot_lr(&s, 2328, path), FW_OK);
    read_all(path, &b);
    assert_non_null(strstr((char *)b.data, "width=\"350\" height=\"350\""));
    assert_non_null(strstr((char *)b.data, "Training step"));
    assert_non_null(strstr((char *)b.data, "Learning rate"));
    snprintf(path, sizeof path, "%s/lr.png", dir);
    for (int64_t total = 1; total < INT64_C(4000000000000000); total = total * 997 + 1) {
        assert_int_equal(fw_plot_lr(&s, total, path), FW_OK);
        read_all(path, &b);
        static const uint8_t head[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13,
                                       'I',  'H', 'D', 'R', 0,    0,    1,    0x5e, 0, 0, 1, 0x5e};
        assert_true(b.size > 1000);
        assert_memory_equal(b.data, head, sizeof head); /* 350 x 350 */
    }
    fwi_buf_clear(&b);
    assert_no_children();
}

static void failures_say_why_and_leave_no_file(void **state)
{
    (void)state;
    const fw_schedule s = fw_constant_lr(1), bad = fw_constant_lr(-1);
    char path[128], want[256];
    snprintf(path, sizeof path, "%s/lr.svg", dir);
    assert_int_equal(fw_plot_lr(&s, 10, NULL), FW_EARG);
    assert_int_equal(fw_plot_lr(&s, 10, "lr.pdf"), FW_EARG);
    assert_string_equal(fw_last_error(), "lr.pdf: a plot's name ends in .svg or .png");
    assert_int_equal(fw_plot_lr(&s, 10, ".png"), FW_EARG);
    assert_int_equal(fw_plot_lr(&s, 0, path), FW_EARG);
    assert_int_equal(fw_plot_lr(&bad, 10, path), FW_EARG);
    assert_int_equal(fw_plot_lr(NULL, 10, path), FW_EARG);
    assert_int_equal(fw_plot_lr(&s, 10, "gs://bucket/lr.svg"), FW_EUNAVAILABLE);

    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(fw_plot_lr(&s, 10, path), FW_EUNAVAILABLE);
    assert_non_null(strstr(fw_last_error(), "package gnuplot-nox"));
    restore_path(NULL);
    put_program("gnuplot", "echo 'line 3: unknown terminal' >&2; exit 1");
    assert_int_equal(fw_plot_lr(&s, 10, path), FW_EIO);
    snprintf(want, sizeof want, "%s: gnuplot drew nothing (exit code 1): line 3: unknown terminal",
             path);
    assert_string_equal(fw_last_error(), want);
    put_program("gnuplot", "cat >/dev/null; echo '<svg'");
    assert_int_equal(fw_plot_lr(&s, 10, path), FW_EIO);
    assert_non_null(strstr(fw_last_error(), "it gave no reason"));
    put_program("gnuplot", "exit 0");
    assert_int_equal(fw_plot_lr(&s, 2000000, path), FW_EIO);
    assert_false(fwi_file_exists(path));
    put_program("gnuplot", "cat >/dev/null; echo '<svg></svg>'");
    assert_int_equal(fw_plot_lr(&s, 10, "/nonexistent/folder/lr.svg"), FW_EIO);
    assert_int_equal(fw_plot_lr(&s, 10, path), FW_OK);
    assert_no_children();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(text_goes_in_and_comes_out, restore_path),
        cmocka_unit_test_teardown(one_that_hangs_is_stopped, restore_path),
        cmocka_unit_test_teardown(one_that_writes_without_end_is_stopped, restore_path),
        cmocka_unit_test_teardown(ignored_children_are_no_trouble, restore_path),
        cmocka_unit_test_teardown(draws_svg_and_png, restore_path),
        cmocka_unit_test_teardown(failures_say_why_and_leave_no_file, restore_path),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
