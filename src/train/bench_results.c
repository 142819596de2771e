/* bench_results.c: the best peaks ever read on a model of processor, one JSON file per model: what
 * bench/results holds, and what the library was built with. A share of a peak that was read while
 * somebody else used the machine flatters; the record tells. Format: docs/formats/peaks.md. */
#include "bench_inner.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "file.h"
#include "json_read.h"
#include "recipe_inner.h"

enum { NAME_CAP = 96, MAX_BYTES = 1 << 20 };

/* A figure of fw_peak and its key. */
static const struct {
    const char *key;
    size_t at;
} figures[] = {{"gflops_f32", offsetof(fw_peak, gflops_f32)},
               {"gflops_bf16", offsetof(fw_peak, gflops_bf16)},
               {"gbytes_read", offsetof(fw_peak, gbytes_read)},
               {"gbytes_copy", offsetof(fw_peak, gbytes_copy)},
               {"gbytes_stream", offsetof(fw_peak, gbytes_stream)}};
enum { N_FIGURES = sizeof figures / sizeof *figures };

static double *figure(fw_peak *p, int i)
{
    return (double *)(void *)((char *)p + figures[i].at);
}

/* "AMD EPYC" of family 25, model 1 is amd-epyc-25-1.json; without, amd-epyc.json. */
static void file_name(char out[NAME_CAP], bool with_family)
{
    int family, model;
    fwi_cpu_family(&family, &model);
    size_t n = 0;
    for (const char *s = fwi_cpu_name(); *s != 0 && n < NAME_CAP - 32; s++)
        if (isalnum((unsigned char)*s))
            out[n++] = (char)tolower((unsigned char)*s);
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    while (n > 0 && out[n - 1] == '-')
        n--;
    if (with_family && family > 0)
        snprintf(out + n, NAME_CAP - n, "-%d-%d.json", family, model);
    else
        snprintf(out + n, NAME_CAP - n, ".json");
}

/* Of a file with this processor's name: names are shared, so family and model have to agree where it
 * has them. */
static bool is_ours(const json_t *file)
{
    const json_t *const has_family = json_object_get(file, "family");
    const json_t *const has_model = json_object_get(file, "model");
    int family, model;
    fwi_cpu_family(&family, &model);
    return (has_family == NULL || json_integer_value(has_family) == family) &&
           (has_model == NULL || json_integer_value(has_model) == model);
}

static fw_status check(const char *where, const json_t *file)
{
    const char *const cpu = json_string_value(json_object_get(file, "cpu"));
    int family, model;
    if (!json_is_array(json_object_get(file, "peaks")) || cpu == NULL ||
        strcmp(cpu, fwi_cpu_name()) != 0)
        return fwi_fail(FW_EFORMAT,
                        "%s: expected an object with \"cpu\": \"%s\" and an array \"peaks\"", where,
                        fwi_cpu_name());
    if (is_ours(file))
        return FW_OK;
    fwi_cpu_family(&family, &model);
    return fwi_fail(FW_ENOTFOUND,
                    "no peaks are recorded for %s of family %d, model %d: %s has those of another",
                    cpu, family, model, where);
}

static fw_status parse(const char *where, const char *text, size_t size, json_t **out)
{
    json_error_t e;
    json_t *j = fwi_json_read(text, size, &e);
    if (j == NULL)
        return fwi_fail(fwi_json_status(&e), "%s: line %d: %s", where, e.line, e.text);
    const fw_status st = check(where, j);
    if (st == FW_OK)
        *out = j;
    else
        json_decref(j);
    return st;
}

static fw_status load_embedded(const char *name, json_t **out)
{
    for (const fwi_embedded *f = fwi_embedded_files; f->name != NULL; f++)
        if (strcmp(f->name, name) == 0)
            return parse(name, (const char *)f->data, f->size, out);
    return fwi_fail(FW_ENOTFOUND, "no peaks are recorded for %s", fwi_cpu_name());
}

static fw_status load_file(const char *path, json_t **out)
{
    fwi_buf buf = {0};
    fw_status st = fwi_read_file(path, MAX_BYTES, &buf);
    if (st == FW_OK)
        st = parse(path, (const char *)buf.data, buf.size, out);
    fwi_buf_clear(&buf);
    return st;
}

/* From dir, or NULL: from inside the library. The file of its family and model before one that has its
 * name alone. */
static fw_status load(const char *dir, json_t **out)
{
    fw_status st = FW_ENOTFOUND;
    for (int with_family = 1; with_family >= 0 && st == FW_ENOTFOUND; with_family--) {
        char name[NAME_CAP];
        file_name(name, with_family != 0);
        char *const path = dir == NULL ? NULL : fwi_path_join(dir, name);
        if (dir == NULL)
            st = load_embedded(name, out);
        else
            st = path == NULL ? FW_ENOMEM : load_file(path, out);
        fwi_free(path);
    }
    return st;
}

static json_t *find(json_t *file, const char *isa, int threads)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(file, "peaks"), i, p)
    {
        const char *s = json_string_value(json_object_get(p, "isa"));
        if (s != NULL && strcmp(s, isa) == 0 &&
            json_integer_value(json_object_get(p, "threads")) == threads)
            return p;
    }
    return NULL;
}

fw_status fw_peak_recorded(const char *dir, int threads, fw_peak *out)
{
    if (out == NULL || threads < 0)
        return fwi_fail(FW_EARG, "fw_peak_recorded: NULL argument, or fewer than 0 threads");
    fwi_isa isa = FWI_ISA_REF;
    json_t *file = NULL;
    fw_status st = fwi_isa_choose(&isa);
    if (threads == 0)
        threads = fwi_cpu_count();
    if (st == FW_OK)
        st = load(dir, &file);
    if (st != FW_OK)
        return st;
    const json_t *p = find(file, fwi_isa_name(isa), threads);
    if (p == NULL)
        st = fwi_fail(FW_ENOTFOUND, "no peaks are recorded for %s, %s, %d thread%s", fwi_cpu_name(),
                      fwi_isa_name(isa), threads, threads == 1 ? "" : "s");
    else {
        *out = (fw_peak){.threads = threads};
        for (int i = 0; i < N_FIGURES; i++)
            *figure(out, i) = json_number_value(json_object_get(p, figures[i].key));
    }
    json_decref(file);
    return st;
}

fw_status fw_peak_record(const char *dir, const fw_peak *peak)
{
    if (dir == NULL || peak == NULL || peak->threads < 1)
        return fwi_fail(FW_EARG, "fw_peak_record: NULL argument, or a peak without threads");
    fwi_isa isa = FWI_ISA_REF;
    char name[NAME_CAP], *path = NULL, *text = NULL;
    json_t *file = NULL;
    fw_peak given = *peak;
    fw_status st = fwi_isa_choose(&isa);
    if (st != FW_OK)
        return st;
    int family, model;
    fwi_cpu_family(&family, &model);
    file_name(name, true);
    path = fwi_path_join(dir, name);
    if (path == NULL)
        return FW_ENOMEM;
    if (!fwi_file_exists(path))
        file = json_pack("{s:s, s:i, s:i, s:[]}", "cpu", fwi_cpu_name(), "family", family, "model",
                         model, "peaks");
    else if ((st = load_file(path, &file)) != FW_OK)
        goto done;
    json_t *p = find(file, fwi_isa_name(isa), peak->threads);
    if (p == NULL) {
        p = json_pack("{s:s, s:i}", "isa", fwi_isa_name(isa), "threads", peak->threads);
        if (p == NULL || json_array_append_new(json_object_get(file, "peaks"), p) != 0) {
            st = fwi_fail(FW_ENOMEM, "%s: no memory", path);
            goto done;
        }
    }
    for (int i = 0; i < N_FIGURES; i++) {
        const double now = *figure(&given, i);
        if (now > json_number_value(json_object_get(p, figures[i].key)) &&
            json_object_set_new(p, figures[i].key, json_real(now)) != 0)
            st = fwi_fail(FW_ENOMEM, "%s: no memory", path);
    }
    text = st == FW_OK ? json_dumps(file, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (st == FW_OK && text == NULL)
        st = fwi_fail(FW_ENOMEM, "%s: no memory", path);
    if (st == FW_OK) {
        char *line = fwi_sprintf("%s\n", text);
        st = line == NULL ? FW_ENOMEM : fwi_write_file(path, line, strlen(line));
        fwi_free(line);
    }
done:
    free(text);
    json_decref(file);
    fwi_free(path);
    return st;
}
