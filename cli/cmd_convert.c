/* cmd_convert.c: data sets of any importable kind to TFRecords. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RECORDS_END ".tfrec"

static bool read_compression(const char *text, fw_compression *out)
{
    static const char *const names[] = {"none", "gzip", "zlib"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (fw_compression)i;
            return true;
        }
    return false;
}

/* X.tfrec -> X-train.tfrec. Caller frees; NULL when memory is out. */
static char *part_path(const char *dst, const char *part)
{
    const char *dot = strrchr(dst, '.'), *slash = strrchr(dst, '/');
    const size_t stem =
        dot == NULL || (slash != NULL && dot < slash) ? strlen(dst) : (size_t)(dot - dst);
    const size_t n = strlen(dst) + strlen(part) + 1;
    char *path = malloc(n);
    if (path != NULL)
        snprintf(path, n, "%.*s%s%s", (int)stem, dst, part, dst + stem);
    return path;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What is read is not written over: neither under dst nor under the name of one of its parts. NULL: nothing is. */
static const char *overwritten(const char *dst, const char *src, const fw_import_opt *in)
{
    static const char *const parts[] = {"", "-train", "-test"};
    const char *const inputs[] = {src, in->labels, in->class_names};
    for (int i = 0; i < 3; i++) {
        char *const path = part_path(dst, parts[i]);
        for (int k = 0; k < 3; k++)
            if (path != NULL && inputs[k] != NULL && same_file(path, inputs[k])) {
                free(path);
                return inputs[k];
            }
        free(path);
    }
    return NULL;
}

/* X.tfrec of X-train.tfrec or X-test.tfrec; NULL: it is neither. Caller frees. */
static char *pair_of(const char *dst)
{
    static const char *const ends[] = {"-train" RECORDS_END, "-test" RECORDS_END};
    for (int i = 0; i < 2; i++) {
        const size_t n = strlen(dst), k = strlen(ends[i]);
        char *const name = n > k && ends_with(dst, ends[i]) ? malloc(n) : NULL;
        if (name != NULL) {
            snprintf(name, n, "%.*s" RECORDS_END, (int)(n - k), dst);
            return name;
        }
    }
    return NULL;
}

/* Beside a pair of parts a whole file of their name would be another data set, and nothing would say which of
 * the two is meant: neither comes to be beside the other. */
static fw_status check_form(const char *dst, bool both, char why[WHY_CAP])
{
    fw_record_parts p = {0};
    char *const pair = both ? NULL : pair_of(dst); /* a part that is written by its own name */
    fw_status st = fw_record_parts_find(pair != NULL ? pair : dst, &p);
    const bool part = both || pair != NULL;
    free(pair);
    if (st != FW_OK)
        return st;
    const char *const other = part ? p.whole : p.train != NULL ? p.train : p.test;
    if (other != NULL)
        snprintf(why, WHY_CAP,
                 "%.300s: exists, and %.300s is to be written %s: beside each other nothing would "
                 "say which is meant; remove what is there, or take another name",
                 other, dst,
                 both   ? "as a pair"
                 : part ? "as a part of a pair"
                        : "as one part");
    const bool found = other != NULL;
    fw_record_parts_clear(&p);
    return found ? FW_EEXISTS : FW_OK;
}

static void tell_part(const char *path, const fw_images *im, const fw_write_opt *opt, json_t *files,
                      bool json)
{
    const bool labelled = im->labels != NULL && !opt->no_labels;
    (void)json_array_append_new(files, json_pack("{s:o, s:I, s:[I,I,I], s:I, s:b}", "path",
                                                 text_json(path), "records", (json_int_t)im->n,
                                                 "shape", (json_int_t)im->h, (json_int_t)im->w,
                                                 (json_int_t)im->c, "classes",
                                                 (json_int_t)im->n_classes, "labelled", labelled));
    FILE *const f = json ? stderr : stdout;
    fprintf(f, "%s: %" PRId64 " records of %" PRId64 " x %" PRId64 " x %" PRId64, path, im->n,
            im->h, im->w, im->c);
    if (labelled)
        fprintf(f, ", %" PRId64 " classes", im->n_classes);
    else
        fputs(", no labels", f);
    if (opt->shards > 1)
        fprintf(f, ", in %" PRId64 " files", opt->shards);
    fputc('\n', f);
}

/* train alone, test alone, or both as a pair. */
static fw_status write_parts(const char *dst, const fw_images *train, const fw_images *test,
                             const fw_write_opt *opt, json_t *files, bool json)
{
    const bool both = train->n > 0 && test->n > 0;
    const fw_images *const part[] = {train->n > 0 ? train : test, both ? test : NULL};
    char *const path[] = {part_path(dst, both ? "-train" : ""), part_path(dst, "-test")};
    fw_status st = FW_ENOMEM;
    if (path[0] != NULL && path[1] != NULL)
        st = both ? fw_write_tfrecord_pair(path[0], part[0], path[1], part[1], opt)
                  : fw_write_tfrecord(path[0], part[0], opt);
    for (int i = 0; i < 2 && st == FW_OK; i++)
        if (part[i] != NULL)
            tell_part(path[i], part[i], opt, files, json);
    free(path[0]);
    free(path[1]);
    return st;
}

static int run_convert(const command *self, int argc, char **argv)
{
    const char *pos[2], *compression = "none";
    fw_import_opt in = {0};
    fw_write_opt out = {0};
    int64_t level = 0;
    bool json = false;
    int n;
    const arg_option options[] = {
        {"--float", NULL, "images as floats, as the walk-through writes them (default: bytes)",
         ARG_FLAG, &out.as_float},
        {"--shards", "N", "files per part (default 1)", ARG_COUNT, &out.shards},
        {"--compression", "KIND", "none, gzip or zlib (default none)", ARG_TEXT, &compression},
        {"--level", "1..9", "of the compression (default zlib's)", ARG_COUNT, &level},
        {"--no-labels", NULL, "leave the labels out", ARG_FLAG, &out.no_labels},
        {"--overwrite", NULL, "replace files that exist", ARG_FLAG, &out.overwrite},
        {"--labels", "FILE", "labels of an .npy, .npz or IDX import", ARG_TEXT, &in.labels},
        {"--x-key", "NAME", "member of an .npz with the images (default x, X or images)", ARG_TEXT,
         &in.npy.x_key},
        {"--y-key", "NAME", "member of an .npz with the labels (default y or labels)", ARG_TEXT,
         &in.npy.y_key},
        {"--label-column", "N",
         "of a .csv (default: the one named label, labels, class, target or y; without a header "
         "the last)",
         ARG_COUNT, &in.label_column},
        {"--class-names", "FILE", "a line for each class, from 0 on, of images that have none",
         ARG_TEXT, &in.class_names},
        {"--height", "N", "of the images: rows (.npy, .csv) are cut so, others must have it",
         ARG_COUNT, &in.h},
        {"--width", "N", "likewise", ARG_COUNT, &in.w},
        {"--channels", "N", "likewise", ARG_COUNT, &in.c},
        {"--coarse", NULL, "CIFAR-100: the 20 coarse labels", ARG_FLAG, &in.coarse},
        {"--split-every", "K",
         "every K-th record goes to the test part (default: the source's own parts)", ARG_COUNT,
         &in.split_every},
        {"--take", "N", "keep only the first N records to train on (default: all)", ARG_COUNT,
         &in.take},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 2, &n);
    if (code >= 0)
        return code;
    if (n != 2 || pos[1][0] == 0)
        return usage_error(self, "needs a source and a destination");
    if (!read_compression(compression, &out.compression))
        return usage_error(self, "--compression: \"%s\" is none of none, gzip, zlib", compression);
    if (!ends_with(pos[1], RECORDS_END) || strcmp(pos[1], RECORDS_END) == 0)
        return usage_error(self,
                           "%s: names of records end in " RECORDS_END ", as in %s" RECORDS_END,
                           pos[1], pos[1]);
    const char *const lost = overwritten(pos[1], pos[0], &in);
    if (lost != NULL)
        return usage_error(self, "%s: is read, and would be written over", lost);
    if (level > 9)
        return usage_error(self, "--level: %" PRId64 " is not in 1..9", level);
    if (level > 0 && out.compression == FW_PLAIN)
        return usage_error(self, "--level: is of --compression gzip or zlib");
    out.level = (int)level;
    out.stop = &stop_asked;

    char why[WHY_CAP] = "";
    fw_images train = {0}, test = {0};
    json_t *files = json_array();
    fw_status st = fw_import(pos[0], &in, &train, &test);
    if (st == FW_OK &&
        ((train.n > 0 && train.dtype == FW_F32) || (test.n > 0 && test.dtype == FW_F32)))
        out.as_float = true;
    const bool both = train.n > 0 && test.n > 0;
    if (st == FW_OK)
        st = check_form(pos[1], both, why);
    catch_interrupts(); /* from here on there are files to take away; before, Ctrl-C ends the program */
    if (st == FW_OK && (train.n > 0 || test.n > 0))
        st = write_parts(pos[1], &train, &test, &out, files, json);
    fw_images_clear(&train);
    fw_images_clear(&test);
    if (st != FW_OK) {
        json_decref(files);
        return why[0] != 0 ? fail_with(self->name, st, why, json) : fail(self->name, st, json);
    }
    if (json)
        return print_json(json_pack("{s:o}", "files", files));
    json_decref(files);
    return finish_output();
}

const command command_convert = {
    "convert", "convert SRC DST [options]",
    "CIFAR, MNIST, .npy, .npz or .csv to TFRecords (X-train.tfrec and X-test.tfrec)", run_convert};
