/* runlog.h: what a run leaves in its folder while it goes: log.jsonl and TensorBoard's event file.
 * Nothing is allocated after open. */
#ifndef FWI_RUNLOG_H
#define FWI_RUNLOG_H

#include <fenwicks/status.h>
#include <stdint.h>

typedef struct fwi_runlog fwi_runlog;

/* dir exists. log.jsonl is continued, the event file is a new one beside those of earlier starts.
 */
fw_status fwi_runlog_open(fwi_runlog **out, const char *dir);
fw_status fwi_runlog_close(fwi_runlog *l); /* reports what could not be written; NULL: nothing */

/* One JSON object on a line of its own: the text between the braces. */
fw_status fwi_runlog_line(fwi_runlog *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A scalar of TensorBoard. */
fw_status fwi_runlog_scalar(fwi_runlog *l, const char *tag, int64_t step, double value);

fw_status fwi_runlog_flush(fwi_runlog *l);

/* What log.jsonl in dir tells of the time behind the checkpoint of `step`. */
typedef struct fwi_run_past {
    /* Of training: by its line, else by the last one before that step, where a program was killed in
     * between; -1: there is neither. */
    double seconds;
    /* Of the epoch that it stands in, and the sums over them, by its line; 0: none. */
    int64_t epoch_steps;
    double epoch_loss, epoch_correct;
} fwi_run_past;
fw_status fwi_runlog_past(const char *dir, int64_t step, fwi_run_past *out);

#endif
