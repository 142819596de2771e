/* record_stream.c: records of any files, compressed ones too, in a fixed interleaved order
 * (record_set.h). The way of sources that cannot seek; those that can have record_set.c. */
#include "record_set.h"

#include "fail.h"
#include "file.h"
#include "tfrecord.h"

#include <stdio.h>
#include <sys/stat.h>

typedef struct slot {
    fw_tfrecord *reader;
    int64_t file; /* index in paths; -1: none left for this slot */
} slot;

struct fwi_record_stream {
    fwi_paths paths;
    slot *slots;
    int64_t n_slots;
    int64_t turn;      /* slot to ask next */
    int64_t next_file; /* first file not yet begun */
    int64_t last_file; /* of the latest record; -1: none yet. Kept, as its slot may have moved on */
    int64_t last_record, last_offset;
};

fw_status fwi_record_stream_rewind(fwi_record_stream *s)
{
    s->turn = 0;
    s->last_file = -1;
    s->next_file = s->n_slots;
    for (int64_t i = 0; i < s->n_slots; i++) {
        s->slots[i].file = i;
        const fw_status st = fwi_tfrecord_reopen(s->slots[i].reader, s->paths.items[i]);
        if (st != FW_OK)
            return st;
    }
    return FW_OK;
}

/* A stream is read again from its start, which a pipe is not. */
static fw_status check_regular(const fwi_paths *p)
{
    struct stat info;
    for (int64_t i = 0; i < p->n; i++) /* what is not there at all, opening it says */
        if (stat(p->items[i], &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
            return fwi_fail(FW_EIO, "%s: cannot read records: it is no regular file", p->items[i]);
    return FW_OK;
}

fw_status fwi_record_stream_open(fwi_record_stream **out, const char *pattern, int64_t cycle_length)
{
    if (out == NULL || pattern == NULL || cycle_length < 0)
        return fwi_fail(FW_EARG, "cannot open records: NULL pattern or cycle_length below 0");
    fwi_record_stream *s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    fw_status st = fwi_glob(pattern, &s->paths);
    if (st == FW_OK)
        st = check_regular(&s->paths);
    if (st == FW_OK) {
        const int64_t wanted = cycle_length == 0 ? 1 : cycle_length;
        const int64_t n = wanted < s->paths.n ? wanted : s->paths.n;
        s->slots = fwi_alloc_array((size_t)n, sizeof *s->slots);
        st = s->slots == NULL ? FW_ENOMEM : FW_OK;
        for (int64_t i = 0; st == FW_OK && i < n; i++) {
            st = fwi_tfrecord_new(&s->slots[i].reader);
            if (st == FW_OK)
                s->n_slots++;
        }
    }
    if (st == FW_OK)
        st = fwi_record_stream_rewind(s);
    if (st != FW_OK) {
        fwi_record_stream_close(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

void fwi_record_stream_close(fwi_record_stream *s)
{
    if (s == NULL)
        return;
    for (int64_t i = 0; i < s->n_slots; i++)
        fw_tfrecord_close(s->slots[i].reader);
    fwi_free(s->slots);
    fwi_paths_clear(&s->paths);
    fwi_free(s);
}

fw_status fwi_record_stream_next(fwi_record_stream *s, const uint8_t **data, size_t *n_bytes)
{
    for (int64_t idle = 0; idle < s->n_slots;) {
        slot *now = &s->slots[s->turn];
        if (now->file < 0) {
            s->turn = (s->turn + 1) % s->n_slots;
            idle++;
            continue;
        }
        fw_status st = fw_tfrecord_next(now->reader, data, n_bytes);
        if (st != FW_END) {
            s->last_file = now->file;
            s->last_record = fwi_tfrecord_record(now->reader);
            s->last_offset = fwi_tfrecord_offset(now->reader);
            s->turn = (s->turn + 1) % s->n_slots;
            return st;
        }
        if (s->next_file < s->paths.n) { /* the same turn goes to the file that takes its place */
            now->file = s->next_file++;
            st = fwi_tfrecord_reopen(now->reader, s->paths.items[now->file]);
            if (st != FW_OK)
                return st;
        } else {
            now->file = -1;
        }
    }
    return FW_END;
}

size_t fwi_record_stream_memory(const fwi_record_stream *s)
{
    size_t n = sizeof *s + (size_t)s->n_slots * sizeof *s->slots;
    for (int64_t i = 0; i < s->n_slots; i++)
        n += fwi_tfrecord_memory(s->slots[i].reader);
    return n;
}

const char *fwi_record_stream_place(const fwi_record_stream *s, char *buf, size_t cap)
{
    if (cap == 0)
        return buf;
    buf[0] = '\0';
    if (s->last_file < 0)
        return buf;
    const char *const path = s->paths.items[s->last_file], *const end = fwi_path_end(path);
    snprintf(buf, cap, "%s%s: record %lld at byte %lld", end == path ? "" : "...", end,
             (long long)s->last_record, (long long)s->last_offset);
    return buf;
}
