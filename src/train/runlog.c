/* runlog.c: see runlog.h. An event file is a TFRecord file of Event messages, the first of which
 * names the version; formats: docs/formats/events.md. Records are packed into a buffer on the
 * stack, so logging a step allocates nothing. */
#include "runlog.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "crc32c.h"
#include "event.pb-c.h"
#include "fail.h"
#include "file.h"
#include "json_read.h"
#include "mem.h"

struct fwi_runlog {
    fwi_file_writer *lines, *events;
    double started; /* fwi_now() at open, so that wall times never run backwards */
    double wall;
};

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* One Event as a TFRecord: length, its crc, the message, its crc. */
static fw_status put_event(fwi_runlog *l, Fwi__Tb__Event *e)
{
    enum { CAP = 512, FRAME = 12 };
    uint8_t rec[CAP];
    e->wall_time = l->wall + (fwi_now() - l->started);
    const size_t n = fwi__tb__event__get_packed_size(e);
    if (n > CAP - FRAME - 4)
        return fwi_fail(FW_EINTERNAL, "event of %zu bytes", n);
    put_u32(rec, (uint32_t)n);
    put_u32(rec + 4, 0);
    put_u32(rec + 8, fwi_crc32c_masked(rec, 8));
    fwi__tb__event__pack(e, rec + FRAME);
    put_u32(rec + FRAME + n, fwi_crc32c_masked(rec + FRAME, n));
    return fwi_file_writer_put(l->events, rec, FRAME + n + 4);
}

fw_status fwi_runlog_open(fwi_runlog **out, const char *dir)
{
    fwi_runlog *l = fwi_alloc_zero(sizeof *l);
    if (l == NULL)
        return FW_ENOMEM;
    l->started = fwi_now();
    l->wall = fwi_wall();
    fw_status st = FW_ENOMEM;
    char *lines = fwi_path_join(dir, "log.jsonl");
    /* The name TensorBoard looks for: events.out.tfevents.<seconds>.<what>. The process id keeps
     * two starts in one second apart. */
    char *events = fwi_sprintf("%s/events.out.tfevents.%010" PRId64 ".fenwicks.%ld", dir,
                               (int64_t)l->wall, (long)getpid());
    if (lines == NULL || events == NULL)
        goto done;
    st = fwi_file_writer_append_lines(&l->lines, lines);
    if (st == FW_OK)
        st = fwi_file_writer_append(&l->events, events, -1);
    if (st == FW_OK) {
        char version[] = "brain.Event:2";
        Fwi__Tb__Event e = FWI__TB__EVENT__INIT;
        e.file_version = version;
        st = put_event(l, &e);
    }
done:
    fwi_free(lines);
    fwi_free(events);
    if (st != FW_OK)
        (void)fwi_runlog_close(l);
    else
        *out = l;
    return st;
}

fw_status fwi_runlog_close(fwi_runlog *l)
{
    if (l == NULL)
        return FW_OK;
    fw_status a = FW_OK, b = FW_OK;
    if (l->lines != NULL)
        a = fwi_file_writer_close(l->lines);
    if (l->events != NULL)
        b = fwi_file_writer_close(l->events);
    fwi_free(l);
    return a != FW_OK ? a : b;
}

fw_status fwi_runlog_line(fwi_runlog *l, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        return fwi_fail(FW_EINTERNAL, "log line of %d bytes", n);
    fw_status st = fwi_file_writer_put(l->lines, "{", 1);
    if (st == FW_OK)
        st = fwi_file_writer_put(l->lines, text, (size_t)n);
    return st == FW_OK ? fwi_file_writer_put(l->lines, "}\n", 2) : st;
}

fw_status fwi_runlog_scalar(fwi_runlog *l, const char *tag, int64_t step, double value)
{
    char name[64];
    snprintf(name, sizeof name, "%s", tag);
    Fwi__Tb__Value v = FWI__TB__VALUE__INIT;
    v.tag = name;
    v.simple_value = (float)value;
    Fwi__Tb__Value *values[1] = {&v};
    Fwi__Tb__Summary s = FWI__TB__SUMMARY__INIT;
    s.n_value = 1;
    s.value = values;
    Fwi__Tb__Event e = FWI__TB__EVENT__INIT;
    e.step = step;
    e.summary = &s;
    return put_event(l, &e);
}

fw_status fwi_runlog_flush(fwi_runlog *l)
{
    const fw_status st = fwi_file_writer_flush(l->lines);
    return st != FW_OK ? st : fwi_file_writer_flush(l->events);
}

/* ---- reading it ---- */

/* One line: the checkpoints of a run that began anew behind it are no longer those before it. */
static void look_at(const json_t *o, int64_t step, fwi_run_past *exact, double *before)
{
    const char *const event = json_string_value(json_object_get(o, "event"));
    const json_t *const seconds = json_object_get(o, "seconds");
    const int64_t at = json_integer_value(json_object_get(o, "step"));
    if (event == NULL)
        return;
    if (strcmp(event, "begin") == 0 && at == 0) {
        *exact = (fwi_run_past){.seconds = -1};
        *before = -1;
    }
    if (strcmp(event, "checkpoint") != 0)
        return;
    const bool known = json_is_number(seconds);
    if (at == step) {
        const json_t *const loss = json_object_get(o, "epoch_loss"), *const correct =
                                                                         json_object_get(
                                                                             o, "epoch_correct");
        *exact = (fwi_run_past){.seconds = known ? json_number_value(seconds) : exact->seconds};
        if (json_is_number(loss) && json_is_number(correct)) {
            exact->epoch_steps = json_integer_value(json_object_get(o, "epoch_steps"));
            exact->epoch_loss = json_number_value(loss);
            exact->epoch_correct = json_number_value(correct);
        }
    } else if (at < step && known) {
        *before = json_number_value(seconds);
    }
}

fw_status fwi_runlog_past(const char *dir, int64_t step, fwi_run_past *out)
{
    enum { MOST_BYTES = 1 << 28 };
    fwi_buf text = {0};
    fwi_run_past exact = {.seconds = -1};
    double before = -1;
    json_error_t err;
    char *path = fwi_path_join(dir, "log.jsonl");
    fw_status st = path == NULL ? FW_ENOMEM : fwi_read_own_file(path, MOST_BYTES, &text);
    const char *at = (const char *)text.data, *const end = at == NULL ? at : at + text.size;
    while (st == FW_OK && at < end) {
        const char *const stop = memchr(at, '\n', (size_t)(end - at));
        const size_t n = stop == NULL ? (size_t)(end - at) : (size_t)(stop - at);
        json_t *o = fwi_json_read(at, n, &err); /* NULL: a line cut short */
        look_at(o, step, &exact, &before);
        json_decref(o);
        at += n + 1;
    }
    *out = exact;
    if (out->seconds < 0)
        out->seconds = before;
    fwi_buf_clear(&text);
    fwi_free(path);
    return st == FW_ENOTFOUND ? FW_OK : st;
}
