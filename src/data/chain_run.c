/* chain_run.c: one image through a chain, in as few passes over its memory as the list allows.
 *
 * The moves of a segment are composed into one: every output row is one source row, or column, and
 * the same holds along the other axis, whatever was composed. So a segment is one gather of rows, with
 * the standardisation done while converting, and one write of the float image; then holes
 * are cleared and colours jittered.
 *
 * Read before: chain.c, which cuts the list into segments. */
#include "chain_inner.h"

#include "fail.h"
#include "rng.h"

#include <assert.h>
#include <string.h>

/* words 4..7 of a user's transform: its place plus this, so that no two places share a block */
enum { USER_SECOND_BLOCK = 1 << 23 };

/* `n` pixels of a source row, from pixel `from`, forwards or backwards. */
typedef struct run {
    int32_t from, n;
    bool reversed;
} run;

/* A composed move: out(y, x) = in(rows[y], cols[x]), or in(rows[x], cols[y]) when transposed.
 * spare is for composing. Points into the caller's scratch. */
typedef struct move {
    int32_t *rows, *cols, *spare;
    run *runs;
    bool transposed;
} move;

/* ---- scratch: the copy, the move's tables, one row of bytes ---- */

static size_t round_up(size_t n)
{
    return (n + 15) / 16 * 16;
}

typedef struct layout {
    size_t copy, rows, cols, spare, runs, row, end;
} layout;

static layout scratch_layout(const fwi_chain *chain)
{
    const size_t h = (size_t)chain->h, w = (size_t)chain->w, c = (size_t)chain->c;
    const size_t longer = h > w ? h : w;
    layout l = {0};
    l.rows = chain->needs_copy ? round_up(h * w * c * sizeof(float)) : 0;
    l.cols = l.rows + round_up(h * sizeof(int32_t));
    l.spare = l.cols + round_up(w * sizeof(int32_t));
    l.runs = l.spare + round_up(longer * sizeof(int32_t));
    l.row = l.runs + round_up(longer * sizeof(run));
    l.end = l.row + round_up(w * c);
    return l;
}

size_t fwi_chain_scratch_bytes(const fwi_chain *chain)
{
    return scratch_layout(chain).end;
}

/* ---- moves ---- */

/* map[i] = map[f(i)], with f given by its values in a table the size of map. */
static void compose(int32_t *map, int32_t *spare, int64_t n,
                    int32_t (*f)(int32_t, int32_t, int32_t), int32_t arg)
{
    memcpy(spare, map, (size_t)n * sizeof *map);
    for (int32_t i = 0; i < (int32_t)n; i++)
        map[i] = spare[f(i, (int32_t)n, arg)];
}

static int32_t mirrored(int32_t i, int32_t n, int32_t unused)
{
    (void)unused;
    return n - 1 - i;
}

/* Place i + shift of a line of n that is continued by reflection, its ends not repeated. */
static int32_t reflected(int32_t i, int32_t n, int32_t shift)
{
    const int32_t at = i + shift;
    if (at < 0)
        return -at;
    return at < n ? at : 2 * (n - 1) - at;
}

/* The map that the output's y (or x) goes through. */
static int32_t *map_of_y(const move *m)
{
    return m->transposed ? m->cols : m->rows;
}
static int32_t *map_of_x(const move *m)
{
    return m->transposed ? m->rows : m->cols;
}

static void add_pad_crop(const fwi_chain *chain, move *m, int64_t pad, const uint32_t words[4])
{
    const uint32_t places = (uint32_t)(2 * pad + 1);
    const int32_t oy = (int32_t)fwi_below(words[0], places),
                  ox = (int32_t)fwi_below(words[1], places);
    compose(map_of_y(m), m->spare, chain->h, reflected, oy - (int32_t)pad);
    compose(map_of_x(m), m->spare, chain->w, reflected, ox - (int32_t)pad);
}

static void add_mirror(const fwi_chain *chain, move *m)
{
    compose(map_of_x(m), m->spare, chain->w, mirrored, 0);
}

/* Counter-clockwise by 90 degrees: out(y, x) = in(x, n - 1 - y), for square images. The new y goes
 * through what was x's map, mirrored. */
static void add_quarter_turn(const fwi_chain *chain, move *m)
{
    compose(map_of_x(m), m->spare, chain->w, mirrored, 0);
    m->transposed = !m->transposed;
}

static void draw_words(const fwi_draw *draw, fwi_purpose purpose, int place, uint32_t words[4])
{
    fwi_rng_block(draw->seed, purpose, (uint32_t)draw->pass, (uint64_t)draw->record,
                  (uint32_t)place, words);
}

static void draw_move(const fwi_chain *chain, const step *s, const fwi_draw *draw, move *m)
{
    for (int32_t i = 0; i < (int32_t)chain->h; i++)
        m->rows[i] = i;
    for (int32_t i = 0; i < (int32_t)chain->w; i++)
        m->cols[i] = i;
    for (int i = s->first; i < s->moved; i++) {
        const fw_transform *t = &chain->list[i];
        uint32_t words[4];
        if (t->kind == FW_TRANSFORM_PAD_CROP) {
            draw_words(draw, FWI_RNG_CROP, i, words);
            add_pad_crop(chain, m, t->h, words);
        } else if (t->kind == FW_TRANSFORM_FLIP &&
                   t->alternating) { /* the bit is the record's own, drawn as in pass 0 */
            const fwi_draw always = {.seed = draw->seed, .pass = 0, .record = draw->record};
            draw_words(&always, FWI_RNG_FLIP, i, words);
            if ((fwi_below(words[0], 2) == 1) != (draw->pass % 2 == 1))
                add_mirror(chain, m);
        } else if (t->kind == FW_TRANSFORM_FLIP) {
            draw_words(draw, FWI_RNG_FLIP, i, words);
            if (fwi_below(words[0], 2) == 1)
                add_mirror(chain, m);
            if (t->dihedral)
                for (uint32_t k = fwi_below(words[1], 4); k > 0; k--)
                    add_quarter_turn(chain, m);
        }
    }
}

/* Cuts a column map into runs of neighbours, so that most of a row is one copy. */
static int64_t find_runs(const int32_t *cols, int64_t w, run *runs)
{
    int64_t n = 0;
    for (int64_t x = 0; x < w;) {
        int64_t end = x + 1;
        const int32_t by = end < w ? cols[end] - cols[x] : 1;
        if (by == 1 || by == -1)
            while (end < w && cols[end] - cols[end - 1] == by)
                end++;
        runs[n++] = (run){.from = cols[x], .n = (int32_t)(end - x), .reversed = by == -1};
        x = end;
    }
    return n;
}

/* ---- rows: pixels are px bytes ---- */

static void copy_reversed(uint8_t *restrict to, const uint8_t *restrict from, int64_t n, size_t px)
{
    switch (
        px) { /* the usual sizes, so that the compiler knows them: 1 and 3 channels, u8 and f32 */
    case 1:
        for (int64_t i = 0; i < n; i++)
            to[i] = *(from - i);
        break;
    case 3:
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 3 * i, from - 3 * i, 3);
        break;
    case 4:
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 4 * i, from - 4 * i, 4);
        break;
    case 12:
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 12 * i, from - 12 * i, 12);
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            memcpy(to + (size_t)i * px, from - (size_t)i * px, px);
    }
}

static void gather_runs(uint8_t *restrict to, const uint8_t *restrict row, const run *runs,
                        int64_t n_runs, size_t px)
{
    for (int64_t i = 0; i < n_runs; i++) {
        const uint8_t *from = row + (size_t)runs[i].from * px;
        if (runs[i].reversed)
            copy_reversed(to, from, runs[i].n, px);
        else
            memcpy(to, from, (size_t)runs[i].n * px);
        to += (size_t)runs[i].n * px;
    }
}

static void gather_column(uint8_t *restrict to, const uint8_t *restrict in, const move *m,
                          int64_t y, int64_t n, size_t px)
{
    const uint8_t *column = in + (size_t)m->cols[y] * px;
    const size_t stride = (size_t)n * px;
    for (int64_t x = 0; x < n; x++)
        memcpy(to + (size_t)x * px, column + (size_t)m->rows[x] * stride, px);
}

static void convert_row(float *restrict y, const uint8_t *restrict x, const row_affine *a,
                        int64_t n)
{
    if (a == NULL) {
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)x[i];
        return;
    }
    const float *restrict mean = a->mean, *restrict std = a->std;
    for (int64_t i = 0; i < n; i++)
        y[i] = ((float)x[i] - mean[i]) / std[i];
}

static void standardize_row(float *restrict y, const row_affine *a, int64_t n)
{
    const float *restrict mean = a->mean, *restrict std = a->std;
    for (int64_t i = 0; i < n; i++)
        y[i] = (y[i] - mean[i]) / std[i];
}

/* ---- steps ---- */

static const row_affine *next_affine(const fwi_chain *chain, const step *s, int *at)
{
    for (; *at < s->moved; ++*at)
        if (chain->list[*at].kind == FW_TRANSFORM_STANDARDIZE)
            return &chain->affine[(*at)++];
    return NULL;
}

static void cut_hole(const fwi_chain *chain, const fw_transform *t, const fwi_draw *draw, int place,
                     float *out)
{
    uint32_t words[4];
    draw_words(draw, FWI_RNG_CUTOUT, place, words);
    const int64_t y = fwi_below(words[0], (uint32_t)(chain->h - t->h + 1));
    const int64_t x = fwi_below(words[1], (uint32_t)(chain->w - t->w + 1));
    for (int64_t i = y; i < y + t->h; i++)
        memset(out + (i * chain->w + x) * chain->c, 0, (size_t)(t->w * chain->c) * sizeof *out);
}

static void jitter(const fwi_chain *chain, const fw_transform *t, const fwi_draw *draw, int place,
                   float *out)
{
    uint32_t words[4];
    draw_words(draw, FWI_RNG_JITTER, place, words);
    const float b = (float)(t->brightness * (2 * fwi_unit(words[0]) - 1));
    const float m = (float)(1 + t->contrast * (2 * fwi_unit(words[1]) - 1));
    const int64_t n = chain->h * chain->w * chain->c;
    for (int64_t i = 0; i < n; i++)
        out[i] = (out[i] + b) * m;
}

/* in is u8 for the first segment of a u8 image, else f32; in == out where nothing moves. */
static void run_segment(const fwi_chain *chain, const step *s, uint8_t *scratch,
                        const fwi_draw *draw, fw_dtype dtype, const void *in, float *out)
{
    const layout l = scratch_layout(chain);
    move m = {.rows = (int32_t *)(void *)(scratch + l.rows),
              .cols = (int32_t *)(void *)(scratch + l.cols),
              .spare = (int32_t *)(void *)(scratch + l.spare),
              .runs = (run *)(void *)(scratch + l.runs)};
    const size_t px = (size_t)chain->c * (dtype == FW_U8 ? 1 : sizeof(float));
    const size_t in_stride = (size_t)chain->w * px;
    const int64_t row = chain->w * chain->c;
    int64_t n_runs = 0;
    if (s->moves) {
        draw_move(chain, s, draw, &m);
        if (!m.transposed)
            n_runs = find_runs(m.cols, chain->w, m.runs);
    }
    int first_affine = s->first;
    const row_affine *first = next_affine(chain, s, &first_affine);
    for (int64_t y = 0; y < chain->h; y++) {
        float *to = out + y * row;
        const uint8_t *from = (const uint8_t *)in + (size_t)y * in_stride;
        if (s->moves) {
            uint8_t *gathered = dtype == FW_U8 ? scratch + l.row : (uint8_t *)to;
            if (m.transposed)
                gather_column(gathered, in, &m, y, chain->w, px);
            else
                gather_runs(gathered, (const uint8_t *)in + (size_t)m.rows[y] * in_stride, m.runs,
                            n_runs, px);
            from = gathered;
        }
        if (dtype == FW_U8) {
            convert_row(to, from, first, row);
        } else {
            if (from != (const uint8_t *)to)
                memcpy(to, from, in_stride);
            if (first != NULL)
                standardize_row(to, first, row);
        }
        int at = first_affine;
        for (const row_affine *a; (a = next_affine(chain, s, &at)) != NULL;)
            standardize_row(to, a, row);
    }
    for (int i = s->moved; i < s->end; i++) {
        const fw_transform *t = &chain->list[i];
        if (t->kind == FW_TRANSFORM_CUTOUT)
            cut_hole(chain, t, draw, i, out);
        else
            jitter(chain, t, draw, i, out);
    }
}

static fw_status run_user(const fwi_chain *chain, int place, const fwi_draw *draw, int32_t label,
                          float *out)
{
    const fw_transform *t = &chain->list[place];
    fw_sample sample = {.h = chain->h,
                        .w = chain->w,
                        .c = chain->c,
                        .label = label,
                        .record = draw->record,
                        .pass = draw->pass};
    sample.image = out;
    draw_words(draw, FWI_RNG_USER, place, sample.words);
    draw_words(draw, FWI_RNG_USER, place + USER_SECOND_BLOCK, sample.words + 4);
    const fw_status st = t->fn(t->user, &sample);
    if (st == FW_OK)
        return FW_OK;
    /* FW_END would read as the end of the data */
    return fwi_fail(st == FW_END ? FW_EARG : st, "transform %d, the caller's own, returned %s",
                    place, fw_status_name(st));
}

fw_status fwi_chain_run(const fwi_chain *chain, void *scratch, const fwi_draw *draw, fw_dtype dtype,
                        const void *restrict in, int32_t label, float *restrict out)
{
    assert(dtype == FW_U8 || dtype == FW_F32);
    const size_t bytes = (size_t)(chain->h * chain->w * chain->c) * sizeof *out;
    for (int i = 0; i < chain->n_steps; i++) {
        const step *s = &chain->steps[i];
        if (s->user) {
            const fw_status st = run_user(chain, s->first, draw, label, out);
            if (st != FW_OK)
                return st;
        } else if (i == 0) {
            run_segment(chain, s, scratch, draw, dtype, in, out);
        } else if (s->moves) {
            memcpy(scratch, out, bytes); /* the copy lies at the scratch's start */
            run_segment(chain, s, scratch, draw, FW_F32, scratch, out);
        } else {
            run_segment(chain, s, scratch, draw, FW_F32, out, out);
        }
    }
    return FW_OK;
}
