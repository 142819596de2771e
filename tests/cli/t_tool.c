/* t_tool.c: what the scripts in tests/cli need and a shell lacks: small data sets, a damaged byte,
 * and a look into JSON.
 *
 *   t_tool cifar10 DIR N         DIR/data_batch_1..5.bin and test_batch.bin with N records each:
 * each class a colour of its own, with some noise t_tool npy FILE N            N grey images of 8 x
 * 8, bytes; FILE-labels.npy with labels 0..2 t_tool npy-float FILE N      N images of 4 x 4 x 3,
 * floats (header version 1.0, no labels) t_tool flip FILE OFFSET      turns one bit of the byte at
 * OFFSET (from the end if negative) t_tool json KEY...           standard input must be exactly one
 * JSON object that has every KEY; prints their values, one per line, texts without quotes t_tool
 * jsonl KEY...          each line of standard input must be a JSON object with every KEY */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "t_tool: %s: %s\n", what, why);
    return 1;
}

static bool write_all(const char *path, const void *head, size_t n_head, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        return false;
    const bool ok = fwrite(head, 1, n_head, f) == n_head && fwrite(data, 1, n, f) == n;
    return fclose(f) == 0 && ok;
}

/* A small generator of its own (Lehmer's), so that the files are the same everywhere. */
static unsigned noise(unsigned limit)
{
    static uint32_t state = 1;
    state = (uint32_t)((uint64_t)state * 48271 % 2147483647);
    return state / 7 % limit;
}

static int make_cifar10(const char *dir, long n)
{
    enum { PLANE = 32 * 32, RECORD = 1 + 3 * PLANE };
    unsigned char *records = malloc((size_t)n * RECORD);
    for (int file = 0; file < 6 && records != NULL; file++) {
        char path[4096];
        for (long i = 0; i < n; i++) {
            unsigned char *r = records + i * RECORD;
            r[0] = (unsigned char)((i + file) % 10);
            for (int k = 0; k < 3 * PLANE; k++)
                r[1 + k] = (unsigned char)(20 + r[0] * (k / PLANE * 5 + 10) + (int)noise(40));
        }
        if (file == 5)
            snprintf(path, sizeof path, "%s/test_batch.bin", dir);
        else
            snprintf(path, sizeof path, "%s/data_batch_%d.bin", dir, file + 1);
        if (!write_all(path, "", 0, records, (size_t)n * RECORD)) {
            free(records);
            return complain(path, strerror(errno));
        }
    }
    free(records);
    return records == NULL;
}

static bool write_npy(const char *path, const char *descr, const char *shape, const void *data,
                      size_t n)
{
    char head[128] = "\x93NUMPY\x01";
    head[8] = sizeof head - 10;
    memset(head + 10, ' ', sizeof head - 10);
    const int len =
        snprintf(head + 10, sizeof head - 10,
                 "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    head[10 + len] = ' ';
    head[sizeof head - 1] = '\n';
    return write_all(path, head, sizeof head, data, n);
}

static int make_npy(const char *path, long n, bool as_float)
{
    const size_t per = as_float ? 4 * 4 * 3 : 8 * 8;
    char shape[64], labels_path[4096];
    float *f = malloc((size_t)n * per * sizeof *f);
    unsigned char *u = malloc((size_t)n * per);
    bool ok = f != NULL && u != NULL;
    for (size_t i = 0; i < (size_t)n * per && ok; i++) {
        u[i] = (unsigned char)(i / per % 3 * 80 + noise(40));
        f[i] = (float)u[i] / 16.0f - 4.0f;
    }
    if (as_float) {
        snprintf(shape, sizeof shape, "(%ld, 4, 4, 3)", n);
        ok = ok && write_npy(path, "<f4", shape, f, (size_t)n * per * sizeof *f);
    } else {
        snprintf(shape, sizeof shape, "(%ld, 8, 8)", n);
        ok = ok && write_npy(path, "|u1", shape, u, (size_t)n * per);
        for (long i = 0; i < n && ok; i++)
            u[i] = (unsigned char)(i % 3);
        snprintf(shape, sizeof shape, "(%ld,)", n);
        snprintf(labels_path, sizeof labels_path, "%s-labels.npy", path);
        ok = ok && write_npy(labels_path, "|u1", shape, u, (size_t)n);
    }
    free(f);
    free(u);
    return ok ? 0 : complain(path, "cannot be written");
}

static int flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    if (f == NULL)
        return complain(path, strerror(errno));
    int c = EOF;
    bool ok = fseek(f, at, at < 0 ? SEEK_END : SEEK_SET) == 0 && (c = fgetc(f)) != EOF &&
              fseek(f, -1, SEEK_CUR) == 0 && fputc(c ^ 4, f) != EOF;
    ok = fclose(f) == 0 && ok;
    return ok ? 0 : complain(path, "no such byte");
}

static int check_object(const char *text, size_t n, char **keys, int n_keys, bool print)
{
    json_error_t err;
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &err); /* refuses what follows it */
    if (!json_is_object(o)) {
        json_decref(o);
        return complain("not one JSON object", o == NULL ? err.text : "another kind of value");
    }
    int code = 0;
    for (int i = 0; i < n_keys && code == 0; i++) {
        const json_t *v = json_object_get(o, keys[i]);
        char *dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        if (v == NULL)
            code = complain(keys[i], "no such key");
        else if (print)
            puts(json_is_string(v) ? json_string_value(v) : dump);
        free(dump);
    }
    json_decref(o);
    return code;
}

static int check_json(char **keys, int n_keys, bool lines)
{
    static char text[1 << 20];
    if (!lines) {
        const size_t n = fread(text, 1, sizeof text, stdin);
        return check_object(text, n, keys, n_keys, true);
    }
    int n = 0;
    for (; fgets(text, sizeof text, stdin) != NULL; n++)
        if (check_object(text, strlen(text), keys, n_keys, false) != 0)
            return 1;
    return n > 0 ? 0 : complain("standard input", "empty");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const long n = argc > 3 ? atol(argv[3]) : 0;
    if (strcmp(what, "json") == 0 || strcmp(what, "jsonl") == 0)
        return check_json(argv + 2, argc - 2, what[4] != 0);
    if (argc != 4)
        return complain(what, "wrong arguments");
    if (strcmp(what, "cifar10") == 0 && n > 0)
        return make_cifar10(argv[2], n);
    if ((strcmp(what, "npy") == 0 || strcmp(what, "npy-float") == 0) && n > 0)
        return make_npy(argv[2], n, what[3] != 0);
    if (strcmp(what, "flip") == 0)
        return flip(argv[2], n);
    return complain(what, "unknown");
}
