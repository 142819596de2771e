/* shuffle.c: a stream of records through a shuffle buffer (shuffle.h has the rule).
 *
 * Records are decoded as they are read, where file and byte are still known; the buffer holds
 * pixels in cells of one size, so its memory is known beforehand. While a pass drains the buffer,
 * each cell that comes free takes a record of the next pass, for which nothing is drawn yet: the
 * same result as filling the buffer when that pass begins, without the pause.
 *
 * Neighbours: io's record_stream.c, which inflates and checks; batches.c, whose feed jobs draw. */
#include "shuffle.h"

#include "fail.h"
#include "record_set.h"
#include "rng.h"

#include <string.h>

enum { ARENA_SPARE = 16 * 1024 }; /* a message's own structs */

struct fwi_shuffle {
    fwi_record_stream *stream;
    const char *pattern;
    const fwi_selection *selection;
    fwi_shuffle_opt opt;
    fwi_arena *arena;
    int64_t n_values, n_classes;
    fw_dtype dtype;
    bool labelled;
    size_t cell_bytes, arena_bytes;
    _Atomic size_t stream_bytes; /* asked for by other threads than the one that reads */

    int64_t index; /* records that the stream has given since its start */
    int64_t rank;  /* of the next one wanted */

    bool running; /* pass and place mean something; else the next draw starts afresh */
    int64_t pass, place;
    bool ahead, ahead_failed; /* the stream is in pass + 1, or ran into something there */

    uint8_t *cells; /* [capacity] of cell_bytes */
    size_t cells_bytes;
    int32_t *labels;            /* [capacity] */
    int64_t *records;           /* [capacity] */
    uint32_t *held, *held_next; /* cells of this pass, and of the next */
    int64_t n_held, n_next;
};

/* ---- making ---- */

static fw_status probe(fwi_shuffle *s)
{
    const uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    fwi_pixels first = {0};
    fw_status st = fwi_record_stream_next(s->stream, &bytes, &n_bytes);
    if (st == FW_END)
        return fwi_fail(FW_EFORMAT, "%s: there are no records", s->pattern);
    if (st != FW_OK)
        return st;
    st = fwi_pixels_decode(s->arena, bytes, n_bytes, s->opt.h, s->opt.w, s->opt.c, &first);
    if (st != FW_OK) {
        char place[512];
        return fwi_fail_in(st, "%s", fwi_record_stream_place(s->stream, place, sizeof place));
    }
    s->dtype = first.dtype;
    s->labelled = first.label >= 0;
    s->cell_bytes = (size_t)s->n_values * fw_dtype_size(s->dtype);
    s->stream_bytes = fwi_record_stream_memory(s->stream);
    return FW_OK;
}

fw_status fwi_shuffle_open(fwi_shuffle **out, const char *pattern, const fwi_selection *selection,
                           const fwi_shuffle_opt *opt)
{
    fwi_shuffle *s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    s->pattern = pattern;
    s->selection = selection;
    s->opt = *opt;
    if (s->opt.capacity > selection->n)
        s->opt.capacity = selection->n;
    s->n_values = opt->h * opt->w * opt->c;
    s->arena_bytes = 2 * (size_t)s->n_values * sizeof(float) + ARENA_SPARE;
    fw_status st = fwi_arena_new(&s->arena, s->arena_bytes);
    if (st == FW_OK)
        st = fwi_record_stream_open(&s->stream, pattern, opt->cycle_length);
    if (st == FW_OK)
        st = probe(s);
    if (st == FW_OK && !fwi_mul_size((size_t)s->opt.capacity, s->cell_bytes, &s->cells_bytes))
        st = fwi_fail(FW_ENOMEM, "a shuffle buffer of %lld images of %zu bytes",
                      (long long)s->opt.capacity, s->cell_bytes);
    if (st == FW_OK)
        *out = s;
    else
        fwi_shuffle_close(s);
    return st;
}

void fwi_shuffle_close(fwi_shuffle *s)
{
    if (s == NULL)
        return;
    fwi_record_stream_close(s->stream);
    fwi_arena_free(s->arena);
    fwi_big_free(s->cells, s->cells_bytes);
    fwi_free(s->labels);
    fwi_free(s->records);
    fwi_free(s->held);
    fwi_free(s->held_next);
    fwi_free(s);
}

static fw_status make_buffer(fwi_shuffle *s)
{
    const size_t n = (size_t)s->opt.capacity;
    if (s->held_next != NULL || n == 0)
        return FW_OK;
    if (s->cells == NULL)
        s->cells = fwi_big_alloc(s->cells_bytes);
    if (s->labels == NULL)
        s->labels = fwi_alloc_array(n, sizeof *s->labels);
    if (s->records == NULL)
        s->records = fwi_alloc_array(n, sizeof *s->records);
    if (s->held == NULL)
        s->held = fwi_alloc_array(n, sizeof *s->held);
    if (s->cells == NULL || s->labels == NULL || s->records == NULL || s->held == NULL)
        return FW_ENOMEM;
    s->held_next = fwi_alloc_array(n, sizeof *s->held_next);
    return s->held_next != NULL ? FW_OK : FW_ENOMEM;
}

/* ---- reading ---- */

static fw_status wrong_count(const fwi_shuffle *s, const char *than)
{
    return fwi_fail(FW_EFORMAT,
                    "%s: there are %s records than the %lld that were counted (a stale .json "
                    "beside the file, or a file that changed)",
                    s->pattern, than, (long long)s->selection->n_source);
}

static fw_status decode_into(fwi_shuffle *s, const uint8_t *bytes, size_t n_bytes, void *cell,
                             int32_t *label)
{
    fwi_pixels p = {0};
    fw_status st = fwi_pixels_decode(s->arena, bytes, n_bytes, s->opt.h, s->opt.w, s->opt.c, &p);
    if (st == FW_OK)
        st = fwi_label_check(p.label, s->n_classes);
    if (st == FW_OK && p.dtype == FW_F32 && s->dtype == FW_U8)
        st = fwi_fail(FW_ESHAPE, "the image is float, those before are uint8: compressed files are "
                                 "read with one type");
    if (st != FW_OK) {
        char place[512];
        return fwi_fail_in(st, "%s", fwi_record_stream_place(s->stream, place, sizeof place));
    }
    fwi_pixels_copy(&p, s->n_values, s->dtype, cell);
    *label = p.label;
    return FW_OK;
}

/* The record of s->rank; cell NULL: only past it. */
static fw_status read_next(fwi_shuffle *s, void *cell, int32_t *label, int64_t *record)
{
    const int64_t wanted = fwi_selection_record(s->selection, s->rank);
    const uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    while (s->index <= wanted) {
        const fw_status st = fwi_record_stream_next(s->stream, &bytes, &n_bytes);
        if (st == FW_END)
            return wrong_count(s, "fewer");
        if (st != FW_OK)
            return st;
        s->index++;
    }
    if (cell != NULL) {
        const fw_status st = decode_into(s, bytes, n_bytes, cell, label);
        if (st != FW_OK)
            return st;
        *record = wanted;
    }
    s->rank++;
    if (s->index == s->selection->n_source) {
        const fw_status st = fwi_record_stream_next(s->stream, &bytes, &n_bytes);
        if (st != FW_END)
            return st == FW_OK ? wrong_count(s, "more") : st;
    }
    return FW_OK;
}

static fw_status rewind_stream(fwi_shuffle *s)
{
    s->index = 0;
    s->rank = 0;
    return fwi_record_stream_rewind(s->stream);
}

static fw_status read_cell(fwi_shuffle *s, uint32_t cell)
{
    return read_next(s, s->cells + (size_t)cell * s->cell_bytes, &s->labels[cell],
                     &s->records[cell]);
}

/* ---- passes ---- */

static fw_status stopped(void)
{
    return fwi_fail(FW_ESTOPPED, "stopped");
}

/* From the files' start. */
static fw_status start_pass(fwi_shuffle *s, int64_t pass, const atomic_bool *stop)
{
    s->running = false;
    fw_status st = make_buffer(s);
    if (st == FW_OK)
        st = rewind_stream(s);
    s->n_held = s->n_next = 0;
    s->ahead = s->ahead_failed = false;
    for (uint32_t i = 0; st == FW_OK && i < (uint32_t)s->opt.capacity; i++) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return stopped();
        st = read_cell(s, i);
        s->held[s->n_held++] = i;
    }
    atomic_store(&s->stream_bytes, fwi_record_stream_memory(s->stream));
    s->pass = pass;
    s->place = 0;
    s->running = st == FW_OK;
    return st;
}

/* The buffer already holds what the next pass begins with. */
static void enter_next_pass(fwi_shuffle *s)
{
    uint32_t *held = s->held;
    s->held = s->held_next;
    s->held_next = held;
    s->n_held = s->n_next;
    s->n_next = 0;
    atomic_store(&s->stream_bytes, fwi_record_stream_memory(s->stream));
    s->ahead = false;
    s->pass++;
    s->place = 0;
}

/* A cell has come free and this pass has no record left for it. What fails here concerns a later
 * pass: it will be met again, and reported, when that one begins. */
static void read_ahead(fwi_shuffle *s, uint32_t cell)
{
    if (s->ahead_failed || (s->opt.passes > 0 && s->pass + 1 >= s->opt.passes))
        return;
    fw_status st = FW_OK;
    if (!s->ahead) {
        s->ahead = true;
        st = rewind_stream(s);
    }
    if (st == FW_OK)
        st = read_cell(s, cell);
    if (st == FW_OK)
        s->held_next[s->n_next++] = cell;
    else
        s->ahead_failed = true;
}

/* The next draw of the present pass; cell NULL: only past it. */
static fw_status take(fwi_shuffle *s, void *cell, int32_t *label, int64_t *record)
{
    fw_status st = FW_OK;
    if (s->opt.capacity == 0) {
        st = read_next(s, cell, label, record);
    } else {
        uint32_t words[4];
        fwi_rng_block(s->opt.seed, FWI_RNG_BUFFER, (uint32_t)s->pass, (uint64_t)s->place, 0, words);
        const uint32_t at = fwi_below(words[0], (uint32_t)s->n_held);
        const uint32_t drawn = s->held[at];
        if (cell != NULL) {
            memcpy(cell, s->cells + (size_t)drawn * s->cell_bytes, s->cell_bytes);
            *label = s->labels[drawn];
            *record = s->records[drawn];
        }
        if (!s->ahead && s->rank < s->selection->n) {
            st = read_cell(s, drawn);
        } else {
            s->held[at] = s->held[--s->n_held];
            read_ahead(s, drawn);
        }
    }
    s->place++;
    if (st != FW_OK)
        s->running = false;
    return st;
}

static fw_status skip_to(fwi_shuffle *s, int64_t place, const atomic_bool *stop)
{
    fw_status st = FW_OK;
    while (st == FW_OK && s->place < place) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return stopped();
        st = take(s, NULL, NULL, NULL);
    }
    return st;
}

fw_status fwi_shuffle_draw(fwi_shuffle *s, int64_t pass, int64_t place, void *cell, int32_t *label,
                           int64_t *record, const atomic_bool *stop)
{
    fw_status st = FW_OK;
    if (s->running && pass == s->pass + 1 && s->opt.capacity > 0) {
        st = skip_to(s, s->selection->n, stop); /* a pass may be left before its end */
        if (st == FW_OK && !s->ahead_failed)
            enter_next_pass(s);
    }
    if (st == FW_OK && (!s->running || pass != s->pass || place < s->place))
        st = start_pass(s, pass, stop);
    if (st == FW_OK)
        st = skip_to(s, place, stop);
    return st == FW_OK ? take(s, cell, label, record) : st;
}

void fwi_shuffle_expect_classes(fwi_shuffle *s, int64_t n_classes)
{
    s->n_classes = n_classes;
    s->running = false;
}

void fwi_shuffle_reseed(fwi_shuffle *s, uint64_t seed)
{
    s->opt.seed = seed;
    s->running = false;
}

fw_dtype fwi_shuffle_dtype(const fwi_shuffle *s)
{
    return s->dtype;
}

bool fwi_shuffle_labelled(const fwi_shuffle *s)
{
    return s->labelled;
}

size_t fwi_shuffle_bytes(const fwi_shuffle *s)
{
    const size_t per_cell =
        sizeof *s->labels + sizeof *s->records + sizeof *s->held + sizeof *s->held_next;
    return sizeof *s + s->cells_bytes + (size_t)s->opt.capacity * per_cell + s->arena_bytes +
           atomic_load(&s->stream_bytes);
}
