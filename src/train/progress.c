/* progress.c: the ready-made progress display of fenwicks/train.h. The one place of the library
 * that prints, and only when a caller hands it in. */
#include <fenwicks/train.h>

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static void print_time(FILE *f, double seconds)
{
    const int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        fprintf(f, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else if (s >= 60)
        fprintf(f, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else
        fprintf(f, "%" PRId64 "s", s);
}

static void print_line(FILE *f, const fw_event *ev)
{
    const double epochs = (double)ev->total_steps / (double)ev->steps_per_epoch;
    fprintf(f,
            "epoch %6.2f/%g | step %" PRId64 "/%" PRId64
            " | loss %.4f | train %.1f %% | lr %.3g | %.0f img/s | eta ",
            (double)ev->step / (double)ev->steps_per_epoch, epochs, ev->step, ev->total_steps,
            ev->loss, 100 * ev->accuracy, ev->lr, ev->images_per_second);
    print_time(f, ev->seconds_left);
}

bool fw_progress_stderr(void *user, const fw_event *ev)
{
    (void)user;
    FILE *f = stderr;
    const bool terminal = isatty(fileno(f)) == 1;
    const char *clear = terminal ? "\r\033[K" : "";
    const fw_budget *b = ev->budget;
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
            fputs(clear, f);
            print_line(f, ev);
        }
        break;
    case FW_EVENT_EPOCH:
        fputs(clear, f);
        print_line(f, ev);
        fputc('\n', f);
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
