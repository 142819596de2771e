/* test_safetensors.c: tensor files and checkpoints: what is written is read back, and no damaged
 * file is believed. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoint.h"
#include "mem.h"
#include "safetensors.h"
#include "st_types.h"

static char dir[] = "test-ckpt-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "rm -rf '%s'", dir);
    return system(line);
}

static const char *in_dir(const char *name)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_header(const char *path, uint64_t length, const char *json, size_t data_bytes)
{
    uint8_t file[4096] = {0};
    const size_t n = strlen(json);
    assert_true(8 + n + data_bytes <= sizeof file);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(length >> (8 * i));
    memcpy(file + 8, json, n);
    put_file(path, file, 8 + n + data_bytes);
}

/* ---- tensor files ---- */

/* A header of 4 MB whose values would take some 45 times as much; and a pipe, which is not waited for. */
static void no_memory_for_nothing(void **state)
{
    (void)state;
    enum { N = 4 << 20 };
    fwi_safetensors *s = NULL;
    const char *path = in_dir("many.safetensors");
    uint8_t *file = malloc(8 + N);
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)N >> (8 * i));
    memset(file + 8, '[', N);
    for (size_t i = 0; i + 3 <= N - 8; i += 3)
        memcpy(file + 8 + 6 + i, "[],", 3);
    memcpy(file + 8, "{\"a\":[", 7);
    memcpy(file + 8 + N - 5, "[]]} ", 5);
    put_file(path, file, 8 + N);
    free(file);
    assert_int_equal(fwi_st_open(&s, path), FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "many.safetensors"));
    assert_non_null(strstr(fw_last_error(), "values, at most"));
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    assert_int_equal(fwi_st_open(&s, in_dir("pipe")), FW_EIO);
    assert_non_null(strstr(fw_last_error(), "is not a regular file"));
    assert_null(s);
}

static fw_status write_sample(const char *path, const float *a, const double *b)
{
    fwi_st_layout *l = NULL;
    fwi_file_writer *w = NULL;
    const fwi_shape sa = fwi_shape2(2, 3), sb = fwi_shape1(1);
    const void *data[2] = {a, b};
    fw_status st = fwi_st_layout_new(&l);
    if (st == FW_OK)
        st = fwi_st_layout_meta(l, "note", "a \"quoted\" \\ text\nwith \x01 control and \xc3\xa9");
    if (st == FW_OK)
        st = fwi_st_layout_add(l, "first.weight", FW_F32, &sa);
    if (st == FW_OK)
        st = fwi_st_layout_add(l, "second", FW_F64, &sb);
    if (st == FW_OK)
        st = fwi_file_writer_new(&w, 4096, 512);
    if (st == FW_OK)
        st = fwi_st_layout_write(l, w, path, data);
    fwi_file_writer_free(w);
    fwi_st_layout_free(l);
    return st;
}

static const float sample_a[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
static const double sample_b[1] = {-0.1};

static void round_trip(void **state)
{
    (void)state;
    const char *path = in_dir("a.safetensors");
    assert_int_equal(write_sample(path, sample_a, sample_b), FW_OK);
    fwi_safetensors *s = NULL;
    assert_int_equal(fwi_st_open(&s, path), FW_OK);
    assert_int_equal(fwi_st_verify(s), FW_OK);
    assert_int_equal(fwi_st_count(s), 2);
    assert_string_equal(fwi_st_meta(s, "note"),
                        "a \"quoted\" \\ text\nwith \x01 control and \xc3\xa9");
    assert_null(fwi_st_meta(s, "absent"));
    const fwi_st_tensor *a = fwi_st_find(s, "first.weight"), *b = fwi_st_find(s, "second");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(fwi_st_find(s, "third"));
    assert_int_equal(a->shape.rank, 2);
    assert_int_equal(a->shape.d[1], 3);
    assert_int_equal(b->dtype, FW_F64);
    float got_a[6];
    double got_b[1];
    assert_int_equal(fwi_st_read(s, a, got_a), FW_OK);
    assert_int_equal(fwi_st_read(s, b, got_b), FW_OK);
    assert_memory_equal(got_a, sample_a, sizeof got_a);
    assert_memory_equal(got_b, sample_b, sizeof got_b);
    fwi_st_close(s);

    /* The data begins on a multiple of 8, as the format advises. */
    uint8_t head[8];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, 1, 8, f), 8);
    fclose(f);
    assert_int_equal(head[0] % 8, 0);
}

static void damage_is_found(void **state)
{
    (void)state;
    const char *path = in_dir("b.safetensors");
    assert_int_equal(write_sample(path, sample_a, sample_b), FW_OK);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    /* One flipped bit in the data: the header stays readable, the crc tells. */
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, info.st_size - 3), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, info.st_size - 3), 1);
    fwi_safetensors *s = NULL;
    assert_int_equal(fwi_st_open(&s, path), FW_OK);
    assert_int_equal(fwi_st_verify(s), FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "b.safetensors: crc of the data"));
    fwi_st_close(s);
    /* Cut short at every length: refused, never read past its end. */
    for (off_t n = info.st_size - 1; n >= 0; n -= 7) {
        assert_int_equal(ftruncate(fd, n), 0);
        assert_int_equal(fwi_st_open(&s, path), FW_EFORMAT);
        assert_non_null(strstr(fw_last_error(), "b.safetensors: "));
    }
    close(fd);
}

static void hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t data;
        const char *says;
    } cases[] = {
        {"{", 0, "header at byte"},
        {"[]", 0, "no JSON object"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "not inside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "asks for 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "not inside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "is no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1099511627776,1099511627776],\"data_offsets\":[0,4]}"
         "}",
         4, "asks for"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         "at most 4"},
        {"{\"a\":{\"dtype\":\"F8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "type F8"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "type (none)"},
        {"{\"a\":3}", 0, "type (none)"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         4, "begins at byte 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "of 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{}}", 4,
         "header at byte"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "is no text"},
        {"{\"__metadata__\":[]}", 0, "is no object"},
    };
    const char *path = in_dir("h.safetensors");
    fwi_safetensors *s = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_header(path, strlen(cases[i].json), cases[i].json, cases[i].data);
        assert_int_equal(fwi_st_open(&s, path), FW_EFORMAT);
        if (strstr(fw_last_error(), cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, fw_last_error(), cases[i].says);
        assert_non_null(strstr(fw_last_error(), "h.safetensors"));
    }
    put_header(path, UINT64_MAX, "{}", 0);
    assert_int_equal(fwi_st_open(&s, path), FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "header length 18446744073709551615 at byte 0"));
    put_header(path, 3, "{}", 0);
    assert_int_equal(fwi_st_open(&s, path), FW_EFORMAT);
    assert_int_equal(fwi_st_open(&s, in_dir("none.safetensors")), FW_ENOTFOUND);
    assert_int_equal(fwi_st_open(&s, dir), FW_EIO);
}

static void no_memory(void **state)
{
    (void)state;
    const char *path = in_dir("m.safetensors");
    int64_t n = 0;
    fw_status st;
    do {
        fwi_mem_fail_at(++n);
        st = write_sample(path, sample_a, sample_b);
        fwi_mem_fail_at(0);
        assert_true(st == FW_OK || st == FW_ENOMEM);
        if (st != FW_OK)
            assert_int_equal(access(path, F_OK), -1); /* nothing half-written */
    } while (st != FW_OK);
    assert_true(n > 3);
    n = 0;
    do {
        fwi_safetensors *s = NULL;
        fwi_mem_fail_at(++n);
        st = fwi_st_open(&s, path);
        fwi_mem_fail_at(0);
        assert_true(st == FW_OK || st == FW_ENOMEM);
        fwi_st_close(s);
    } while (st != FW_OK);
    assert_true(n > 3);
}

/* ---- checkpoints, on a device made of host memory ---- */

static fw_status host_alloc(fwi_device *d, size_t n, void **out)
{
    (void)d;
    *out = fwi_big_alloc(n);
    return *out == NULL ? FW_ENOMEM : FW_OK;
}
static void host_release(fwi_device *d, void *p, size_t n)
{
    (void)d;
    fwi_big_free(p, n);
}
static fw_status host_copy(fwi_device *d, void *dst, const void *src, size_t n)
{
    (void)d;
    memcpy(dst, src, n);
    return FW_OK;
}
static const fwi_backend host_backend = {.name = "host",
                                         .alloc = host_alloc,
                                         .release = host_release,
                                         .upload = host_copy,
                                         .download = host_copy};
static fwi_device host = {.backend = &host_backend, .host_memory = true, .label = "host"};
static fwi_device far = {.backend = &host_backend, .host_memory = false, .label = "far"};

static fwi_store *make_store(fwi_device *d, int64_t width)
{
    fwi_graph *g = NULL;
    fwi_store *s = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_init spread = {FWI_INIT_UNIFORM, -1, 1}, zero = {FWI_INIT_CONST, 0, 0};
    fwi_graph_var(g, "w", FWI_VAR_DENSE, true, fwi_shape2(3, width), spread);
    fwi_graph_var(g, "w/momentum", FWI_VAR_SLOT, false, fwi_shape2(3, width), zero);
    assert_int_equal(fwi_graph_status(g), FW_OK);
    assert_int_equal(fwi_store_new(&s, d, (const fwi_graph *const *)&g, 1), FW_OK);
    fwi_graph_free(g);
    return s;
}

static const fwi_identity ids[] = {
    {"layers", "dense 3\n"},
    {"seed", "7"},
    {"optimizer", "sgd momentum=0.9 steps=4 lr=1; group norm bias train_steps=3: adam eps=1"}};
static const fwi_identity other_ids[] = {{"layers", "dense 3\n"}, {"seed", "8"}};
static const fwi_identity newer_ids[] = {{"layers", "dense 3\n"}, {"seed", "7"}, {"conv", "auto"}};

/* Texts that differ, and what the message says of it. */
static const char *const differences[][3] = {
    {"optimizer", "sgd momentum=0.9 steps=7 lr=2; group bias: adam",
     "another optimizer, first in sgd: there \"steps=4\", here \"steps=7\"; the schedule"},
    {"optimizer", "sgd momentum=0.9 steps=4 lr=1; group norm bias train_steps=30: adam eps=1",
     "first in group norm bias: there \"train_steps=3:\", here \"train_steps=30:\""},
    {"optimizer", "adam", "another optimizer: there \"sgd\", here \"adam\""},
    {"optimizer", "sgd momentum=0.9 steps=4", "first in sgd: there \"lr=1;\", here \"\""},
    {"layers", "dense 3\nrelu\n", "another layers: there \"\", here \"relu\""},
    {"layers", "dense 3 x=1\n", "another layers, first in dense 3: there \"\", here \"x=1\""},
    {"layers", "", "another layers: there \"dense\", here \"\""},
};

static void checkpoints(void **state)
{
    (void)state;
    char home[128], path[512];
    int64_t step = 0;
    snprintf(home, sizeof home, "%s/run", dir);
    assert_int_equal(mkdir(home, 0777), 0);
    fwi_device *devices[2] = {&host, &far};
    for (int k = 0; k < 2; k++) {
        fwi_store *s = make_store(devices[k], 5), *t = make_store(devices[k], 5);
        fwi_ckpt *c = NULL;
        float before[15], after[15];
        assert_int_equal(fwi_ckpt_remove_all(home), FW_OK);
        assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
        assert_int_equal(step, -1);
        assert_int_equal(fwi_store_init(s, 7), FW_OK);
        assert_int_equal(fwi_ckpt_new(&c, s, home, 2, ids, 3), FW_OK);
        for (int64_t i = 1; i <= 4; i++)
            assert_int_equal(fwi_ckpt_save(c, 10 * i, NULL), FW_OK);
        assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
        assert_int_equal(step, 40);
        assert_int_equal(access(in_dir("run/checkpoint-00000030.safetensors"), F_OK), 0);
        assert_int_equal(access(in_dir("run/checkpoint-00000020.safetensors"), F_OK), -1);

        fwi_safetensors *file = NULL;
        assert_int_equal(fwi_ckpt_open(home, &step, &file), FW_OK);
        assert_int_equal(step, 40);
        assert_string_equal(fwi_st_path(file), path);
        assert_int_equal(fwi_ckpt_check(file, ids, 3), FW_OK);
        assert_int_equal(fwi_ckpt_check(file, other_ids, 2), FW_EEXISTS);
        assert_non_null(strstr(fw_last_error(), "another seed: there \"7\", here \"8\""));
        assert_int_equal(fwi_ckpt_check(file, newer_ids, 3), FW_EFORMAT);
        assert_non_null(strstr(fw_last_error(), "another version of fenwicks"));
        assert_non_null(strstr(fw_last_error(), "did not record \"conv\""));
        assert_int_equal(fwi_ckpt_check(file, newer_ids + 2, 1), FW_EFORMAT);
        assert_non_null(strstr(fw_last_error(), "is no checkpoint of fenwicks"));

        for (size_t i = 0; i < sizeof differences / sizeof *differences; i++) {
            const fwi_identity id = {differences[i][0], differences[i][1]};
            assert_int_equal(fwi_ckpt_check(file, &id, 1), FW_EEXISTS);
            if (strstr(fw_last_error(), differences[i][2]) == NULL)
                fail_msg("\"%s\" is not in: %s", differences[i][2], fw_last_error());
        }

        /* What was checked is what is loaded, whatever becomes of the file meanwhile. */
        const int there = open(path, O_RDWR);
        assert_true(there >= 0);
        const off_t end = lseek(there, -4, SEEK_END);
        char last[4];
        assert_int_equal(pread(there, last, 4, end), 4);
        assert_int_equal(pwrite(there, "\1\2\3\4", 4, end), 4);
        assert_int_equal(fwi_ckpt_load(t, file), FW_OK);
        assert_int_equal(pwrite(there, last, 4, end), 4);
        close(there);
        fwi_st_drop(file);
        assert_int_equal(fwi_ckpt_load(t, file), FW_OK);
        assert_int_equal(fwi_store_read(s, &s->vars[0], before), FW_OK);
        assert_int_equal(fwi_store_read(t, &t->vars[0], after), FW_OK);
        assert_memory_equal(before, after, sizeof before);
        assert_true(before[0] != before[1]);

        fwi_store *wide = make_store(devices[k], 6);
        assert_int_equal(fwi_ckpt_load(wide, file), FW_ESHAPE);
        fwi_store_free(wide);
        fwi_st_close(file);

        /* Saving goes on without allocating; a damaged newest file is passed over. */
        fwi_mem_fail_at(0);
        const int64_t count = fwi_mem_count();
        assert_int_equal(fwi_ckpt_save(c, 50, NULL), FW_OK);
        assert_int_equal(fwi_mem_count(), count);
        assert_int_equal(truncate(in_dir("run/checkpoint-00000050.safetensors"), 300), 0);
        assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
        assert_int_equal(step, 40);

        /* Want of memory is no damage: it would cost a good checkpoint. */
        int refused = 0;
        for (int64_t n = 1;; n++) {
            fwi_mem_fail_at(n);
            const fw_status st = fwi_ckpt_newest(home, &step, path, sizeof path);
            if (st == FW_OK)
                break;
            assert_int_equal(st, FW_ENOMEM);
            refused++;
        }
        fwi_mem_fail_at(0);
        assert_int_equal(step, 40);
        assert_true(refused > 3);

        /* What is not finite is not kept. */
        before[3] = NAN;
        assert_int_equal(fwi_store_write(s, &s->vars[0], before), FW_OK);
        assert_int_equal(fwi_ckpt_save(c, 60, NULL), FW_ENONFINITE);
        assert_int_equal(access(in_dir("run/checkpoint-00000060.safetensors"), F_OK), -1);
        fwi_ckpt_free(c);
        fwi_store_free(s);
        fwi_store_free(t);
    }
}

static void copy_file(const char *to, const char *from)
{
    static char bytes[1 << 16];
    FILE *f = fopen(from, "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    assert_true(n > 0 && n < sizeof bytes);
    fclose(f);
    put_file(to, bytes, n);
}

/* Checkpoints of steps 10, 20, 30 in dir/<name>, 3 of which stay. */
static fwi_ckpt *three_checkpoints(const fwi_store *s, const char *name, char home[128])
{
    fwi_ckpt *c = NULL;
    snprintf(home, 128, "%s/%s", dir, name);
    assert_int_equal(mkdir(home, 0777), 0);
    assert_int_equal(fwi_ckpt_new(&c, s, home, 3, ids, 3), FW_OK);
    for (int64_t i = 1; i <= 3; i++)
        assert_int_equal(fwi_ckpt_save(c, 10 * i, NULL), FW_OK);
    return c;
}

/* A newest checkpoint that cannot be opened, for want of descriptors or of a file system that answers,
 * may be whole: to go on from the one before would cost it. */
static void not_opened_is_not_damaged(void **state)
{
    (void)state;
    fwi_store *s = make_store(&host, 5);
    assert_int_equal(fwi_store_init(s, 7), FW_OK);
    char home[128], path[512];
    fwi_ckpt *c = three_checkpoints(s, "unopened", home);
    fwi_safetensors *file = NULL;
    int64_t step = 0;
    const char *newest = in_dir("unopened/checkpoint-00000030.safetensors");
    assert_int_equal(unlink(newest), 0);
    assert_int_equal(symlink("checkpoint-00000030.safetensors", newest),
                     0); /* ELOOP, for root too */
    assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_EIO);
    assert_non_null(strstr(fw_last_error(), "checkpoint-00000030.safetensors: cannot open: "));
    assert_int_equal(fwi_ckpt_open(home, &step, &file), FW_EIO);
    assert_null(file);
    fwi_ckpt_free(c);
    fwi_store_free(s);
}

/* A name is believed only if name_make gives it, and if the file says the same step. */
static void names_and_steps(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "checkpoint-7.safetensors",         "checkpoint-+0000090.safetensors",
        "checkpoint-0000090.safetensors",   "checkpoint-000000090.safetensors",
        "checkpoint--0000090.safetensors",  "checkpoint-99999999999999999999.safetensors",
        "checkpoint-00000090.safetensors~", "checkpoint-0000009a.safetensors"};
    enum { N = sizeof foreign / sizeof *foreign };
    fwi_store *s = make_store(&host, 5);
    assert_int_equal(fwi_store_init(s, 7), FW_OK);
    char home[128], path[512], name[128], of_30[256];
    fwi_ckpt *c = three_checkpoints(s, "names", home);
    int64_t step = 0;
    snprintf(of_30, sizeof of_30, "%s/checkpoint-00000030.safetensors", home);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "names/%s", foreign[i]);
        copy_file(in_dir(name), of_30);
    }
    assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
    assert_int_equal(step, 30);

    /* Step 20 under a later name is passed over as a damaged one is. */
    fwi_safetensors *file = NULL;
    copy_file(in_dir("names/checkpoint-00000040.safetensors"),
              in_dir("names/checkpoint-00000020.safetensors"));
    assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
    assert_int_equal(step, 30);
    assert_int_equal(fwi_ckpt_open(home, &step, &file), FW_OK);
    assert_int_equal(step, 30);
    assert_string_equal(fwi_st_meta(file, "step"), "30");
    fwi_st_close(file);

    /* More digits than eight are a step too. */
    assert_int_equal(fwi_ckpt_save(c, INT64_C(1234567890), NULL), FW_OK);
    assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
    assert_int_equal(step, 1234567890);

    assert_int_equal(fwi_ckpt_remove_all(home), FW_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(of_30, F_OK), -1);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "names/%s", foreign[i]);
        assert_int_equal(access(in_dir(name), F_OK), 0);
    }
    fwi_ckpt_free(c);
    fwi_store_free(s);
}

/* What a run that was killed left half written goes with the next one; what only looks alike stays. */
static void leftovers_go(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool stays;
    } files[] = {{"checkpoint-00000040.safetensors.tmp-123-0", false},
                 {"checkpoint-00000030.safetensors.tmp-9-17", false},
                 {"checkpoint-00000050.safetensors.tmp-123-", true},
                 {"checkpoint-00000050.safetensors.tmp", true},
                 {"checkpoint-5.safetensors.tmp-123-0", true},
                 {"records.tfrec.tmp-123-0", true},
                 {".tmp-123-0", true}};
    enum { N = sizeof files / sizeof *files };
    fwi_store *s = make_store(&host, 5);
    assert_int_equal(fwi_store_init(s, 7), FW_OK);
    char home[128], name[128];
    fwi_ckpt *c = three_checkpoints(s, "leftovers", home);
    fwi_ckpt_free(c);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "leftovers/%s", files[i].name);
        put_file(in_dir(name), "abc", 3);
    }
    int64_t step = 0;
    assert_int_equal(fwi_ckpt_newest_named(home, &step), FW_OK);
    assert_int_equal(step, 30);
    assert_int_equal(fwi_ckpt_new(&c, s, home, 3, ids, 3), FW_OK);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "leftovers/%s", files[i].name);
        assert_int_equal(access(in_dir(name), F_OK), files[i].stays ? 0 : -1);
    }
    for (int i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "leftovers/checkpoint-000000%d0.safetensors", i);
        assert_int_equal(access(in_dir(name), F_OK), 0);
    }
    fwi_ckpt_free(c);
    fwi_store_free(s);
}

/* A tensor file that does not say its step is no checkpoint: refused, not passed over and removed. */
static void without_a_step(void **state)
{
    (void)state;
    char home[128], path[512];
    int64_t step = 0;
    fwi_safetensors *file = NULL;
    snprintf(home, sizeof home, "%s/stepless", dir);
    assert_int_equal(mkdir(home, 0777), 0);
    static const char header[] = "{\"__metadata__\":{\"layers\":\"dense 3\\n\",\"seed\":\"7\"}}";
    put_header(in_dir("stepless/checkpoint-00000007.safetensors"), sizeof header - 1, header, 0);
    assert_int_equal(fwi_ckpt_newest(home, &step, path, sizeof path), FW_OK);
    assert_int_equal(fwi_ckpt_open(home, &step, &file), FW_OK);
    assert_int_equal(fwi_ckpt_check(file, ids, 2), FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "did not record \"step\""));
    fwi_st_close(file);
}

/* Every one of the 65,536 values of the two types of 16 bits, against what they stand for. */
static void finite_in_16_bits(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < 65536; v++) {
        const uint16_t x[3] = {0, 0, (uint16_t)v};
        const uint32_t wide = v << 16; /* bf16 is the upper half of a float */
        float f;
        memcpy(&f, &wide, sizeof f);
        assert_int_equal(fwi_st_first_not_finite(x, FW_BF16, 3), isfinite(f) ? -1 : 2);
        assert_int_equal(fwi_st_first_not_finite(x, FW_F16, 3), (v >> 10 & 31) == 31 ? 2 : -1);
        assert_int_equal(fwi_st_first_not_finite(x, FW_U8, 6), -1);
    }
    const double d[2] = {1, INFINITY};
    assert_int_equal(fwi_st_first_not_finite(d, FW_F64, 2), 1);
    assert_int_equal(fwi_st_first_not_finite(d, FW_F64, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_memory_for_nothing),
                                       cmocka_unit_test(round_trip),
                                       cmocka_unit_test(damage_is_found),
                                       cmocka_unit_test(hostile_headers),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(checkpoints),
                                       cmocka_unit_test(not_opened_is_not_damaged),
                                       cmocka_unit_test(names_and_steps),
                                       cmocka_unit_test(leftovers_go),
                                       cmocka_unit_test(without_a_step),
                                       cmocka_unit_test(finite_in_16_bits)};
    return cmocka_run_group_tests_name("safetensors", tests, make_dir, remove_dir);
}
