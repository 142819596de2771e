/* progress.c: the ready-made progress display of fenwicks/train.h. The one place of the library
 * that prints, and only when a caller hands it in. */
#include <fenwicks/train.h>

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE = 256, TIME = 32 };

static void put_time(char text[TIME], double seconds)
{
    const int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, TIME, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(text, TIME, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else
        snprintf(text, TIME, "%" PRId64 "s", s);
}

/* Without the rate of learning, then without the step, where it would be of more than `most` characters; the rest
 * is cut. */
static void put_line(char line[LINE], const fw_event *ev, int most)
{
    char step[64], lr[32], eta[TIME];
    int n = LINE;
    snprintf(step, sizeof step, " | step %" PRId64 "/%" PRId64, ev->step, ev->total_steps);
    snprintf(lr, sizeof lr, " | lr %.3g", ev->lr);
    put_time(eta, ev->seconds_left);
    for (int without = 0; without < 3 && n > most; without++)
        n = snprintf(
            line, LINE, "epoch %6.2f/%g%s | loss %.4f | train %.1f %%%s | %.0f img/s | eta %s",
            (double)ev->step / (double)ev->steps_per_epoch,
            (double)ev->total_steps / (double)ev->steps_per_epoch, without < 2 ? step : "",
            ev->loss, 100 * ev->accuracy, without < 1 ? lr : "", ev->images_per_second, eta);
    if (n > most)
        line[most] = 0;
}

/* What a line may have on a terminal without wrapping, which "back to its start" would not take back. */
static int line_room(FILE *f)
{
    struct winsize w = {0};
    const int columns = ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
    return columns < LINE ? columns - 1 : LINE - 1;
}

bool fw_progress_stderr(void *user, const fw_event *ev)
{
    (void)user;
    FILE *f = stderr;
    const bool terminal = isatty(fileno(f)) == 1;
    const char *clear = terminal ? "\r\033[K" : "";
    const fw_budget *b = ev->budget;
    char line[LINE];
    switch (ev->kind) {
    case FW_EVENT_BEGIN:
        fprintf(f,
                "memory: %.1f MiB = state %.1f + scratch %.1f + shuffle %.1f + prefetch %.1f + "
                "cache %.1f%s",
                (double)b->total / 1048576, (double)b->state / 1048576,
                (double)b->scratch / 1048576, (double)b->shuffle / 1048576,
                (double)b->prefetch / 1048576, (double)b->cache / 1048576,
                b->device == 0 ? "\n" : "");
        if (b->device > 0)
            fprintf(f, " + images on the device %.1f\n", (double)b->device / 1048576);
        break;
    case FW_EVENT_STEP:
        if (terminal) {
            put_line(line, ev, line_room(f));
            fprintf(f, "%s%s", clear, line);
        }
        break;
    case FW_EVENT_EPOCH:
        put_line(line, ev, LINE - 1);
        fprintf(f, "%s%s\n", clear, line);
        break;
    case FW_EVENT_EVAL:
        fprintf(f, "%stest  | loss %.4f | accuracy %.2f %% | %.1f s\n", clear, ev->eval->loss,
                100 * ev->eval->accuracy, ev->eval->seconds);
        break;
    case FW_EVENT_CHECKPOINT:
    case FW_EVENT_END:
        break;
    }
    fflush(f);
    return true;
}
