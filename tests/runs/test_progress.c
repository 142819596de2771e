/* test_progress.c: the ready-made display: a line for each epoch, and on a terminal one for the step that is at work,
 * which never wraps: a terminal takes back the line that it is on, and no more. */
#include "t_runs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static fw_event event(fw_event_kind kind, int64_t step)
{
    return (fw_event){.kind = kind,
                      .step = step,
                      .total_steps = 1940,
                      .steps_per_epoch = 97,
                      .loss = 12.3456,
                      .accuracy = 0.987,
                      .lr = 0.000123,
                      .images_per_second = 123456,
                      .seconds_left = 3725};
}

/* What the display writes to standard error while that is `fd`. */
static void tell(int fd)
{
    const int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    const int64_t steps[] = {1, 96, 97, 1000};
    for (size_t i = 0; i < T_COUNT(steps); i++) {
        const fw_event ev = event(steps[i] == 97 ? FW_EVENT_EPOCH : FW_EVENT_STEP, steps[i]);
        assert_true(fw_progress_stderr(NULL, &ev));
    }
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
}

static const char epoch_line[] =
    "epoch   1.00/20 | step 97/1940 | loss 12.3456 | train 98.7 % | lr 0.000123 | 123456 img/s | "
    "eta 1h02m";

/* To a file: epochs alone, in full. */
static void test_file(void **state)
{
    (void)state;
    const char *path = t_path("told");
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    tell(fd);
    close(fd);
    const t_bytes told = t_read(path);
    char want[256];
    snprintf(want, sizeof want, "%s\n", epoch_line);
    assert_string_equal((char *)told.data, want);
    free(told.data);
}

/* One line of what came: from behind "clear the line" to the next one. */
static size_t next_line(char **at, char line[512])
{
    static const char clear[] = "\r\033[K";
    char *const from = strstr(*at, clear);
    assert_non_null(from);
    char *const text = from + strlen(clear), *const end = strstr(text, clear);
    const size_t n = end == NULL ? strlen(text) : (size_t)(end - text);
    assert_true(n < 512);
    memcpy(line, text, n);
    line[n] = 0;
    *at = text + n;
    return n;
}

static void test_terminal(void **state)
{
    (void)state;
    static const struct {
        unsigned short columns;
        const char *step, *late; /* of step 1, of step 1000 */
    } cases[] = {
        {200,
         "epoch   0.01/20 | step 1/1940 | loss 12.3456 | train 98.7 % | lr 0.000123 | 123456 img/s "
         "| eta 1h02m",
         "epoch  10.31/20 | step 1000/1940 | loss 12.3456 | train 98.7 % | lr 0.000123 | 123456 "
         "img/s | eta 1h02m"},
        {87,
         "epoch   0.01/20 | step 1/1940 | loss 12.3456 | train 98.7 % | 123456 img/s | eta 1h02m",
         "epoch  10.31/20 | loss 12.3456 | train 98.7 % | 123456 img/s | eta 1h02m"},
        {0, /* not known: 80 */
         "epoch   0.01/20 | loss 12.3456 | train 98.7 % | 123456 img/s | eta 1h02m",
         "epoch  10.31/20 | loss 12.3456 | train 98.7 % | 123456 img/s | eta 1h02m"},
        {20, "epoch   0.01/20 | l", "epoch  10.31/20 | l"},
        {1, "", ""},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        const int host = posix_openpt(O_RDWR | O_NOCTTY);
        if (host < 0 || grantpt(host) != 0 || unlockpt(host) != 0) {
            print_message("no terminals here: left out\n");
            return;
        }
        const int fd = open(ptsname(host), O_RDWR | O_NOCTTY);
        const struct winsize size = {.ws_row = 24, .ws_col = cases[i].columns};
        assert_true(fd >= 0 && ioctl(fd, TIOCSWINSZ, &size) == 0);
        tell(fd);
        close(fd);
        char told[4096], line[512], *at = told;
        size_t n = 0;
        for (ssize_t got; (got = read(host, told + n, sizeof told - 1 - n)) > 0;) /* then EIO */
            n += (size_t)got;
        told[n] = 0;
        next_line(&at, line);
        assert_string_equal(line, cases[i].step);
        next_line(&at, line);
        next_line(&at, line);
        line[strcspn(line, "\r\n")] = 0;
        assert_string_equal(line, epoch_line); /* stays, and may wrap */
        next_line(&at, line);
        assert_string_equal(line, cases[i].late);
        assert_int_equal(*at, 0);
        close(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_terminal),
    };
    return cmocka_run_group_tests_name("progress", tests, t_setup, t_teardown);
}
