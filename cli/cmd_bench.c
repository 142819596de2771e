/* cmd_bench.c: measurements of this machine: which subject, with which options. Each subject is a file
 * of its own: cmd_bench_step.c, cmd_bench_kernels.c, cmd_bench_data.c, cmd_bench_peak.c. */
#include "cmd_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is measured ---- */

enum { STEP = 1, CONV = 2, OPS = 4, DATA = 8, PEAK = 16 };

enum { SUBJECTS = 5 };
static const char *const subject_names[SUBJECTS] = {"step", "conv", "ops", "data", "peak"};

static unsigned subject_of(const char *word)
{
    for (unsigned i = 0; i < SUBJECTS; i++)
        if (strcmp(word, subject_names[i]) == 0)
            return 1U << i; /* STEP, CONV, ... */
    return 0;
}

bool bench_on_gpu(const bench_args *a)
{
    return a->device != NULL && strcmp(a->device, "cpu") != 0;
}

/* The first option given that says nothing of the subject; NULL: there is none. */
static const char *misplaced(const bench_args *a, unsigned subject)
{
    const struct {
        const char *name;
        bool given;
        unsigned of;
    } options[] = {{"--data", a->data != NULL, STEP | DATA},
                   {"--runs", a->runs > 0, STEP | CONV | OPS | DATA | (bench_on_gpu(a) ? PEAK : 0)},
                   {"--batch", a->batch != NULL, STEP | CONV | OPS | DATA},
                   {"--precision", a->precision_word != NULL, STEP | CONV | OPS},
                   {"--memory-limit", a->memory_limit > 0, STEP},
                   {"--device", a->device != NULL, STEP | CONV | OPS | PEAK},
                   {"--pin", a->pin, STEP},
                   {"--explain", a->explain, STEP},
                   {"--at", a->at >= 0, STEP},
                   {"--set", a->set.n > 0, STEP | DATA},
                   {"--with", a->with.n > 0, DATA},
                   {"--shape", a->shape != NULL, CONV | OPS},
                   {"--pass", a->pass != NULL, CONV},
                   {"--algo", a->algo != NULL, CONV},
                   {"--layout", a->layout != NULL, CONV | OPS},
                   {"--tune", a->tune, CONV},
                   {"--op", a->op != NULL, OPS},
                   {"--act", a->act != NULL, OPS},
                   {"--in-place", a->in_place, OPS},
                   {"--accept-slow", a->accept_slow, CONV},
                   {"--results", a->results != NULL, CONV},
                   {"--record", a->record != NULL, PEAK}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].given && (options[i].of & subject) == 0)
            return options[i].name;
    return NULL;
}

/* --batch as a number; a recipe reads it as text, with its own message. */
static bool batch_read(bench_args *a)
{
    enum { MOST = 1 << 20 };
    char *end = NULL;
    if (a->batch == NULL)
        return true;
    a->images = strtoll(a->batch, &end, 10);
    return end != a->batch && *end == 0 && a->images > 0 && a->images <= MOST;
}

static int bench_recipe(const command *self, const char *name, bool conv, const bench_args *a)
{
    fw_recipe *r = NULL;
    const fw_status st = recipe_open_with(&r, name, NULL, a->batch, &a->set);
    const int code = st != FW_OK ? fail(self->name, st, a->json)
                     : conv      ? bench_conv(self, r, a)
                                 : bench_step(self, r, a);
    fw_recipe_free(r);
    return code;
}

/* pos: the subject and, of some, a recipe. */
static int measure(const command *self, bench_args *a, const char *const *pos, int n)
{
    static const char *const walkthrough = "fenwicks";
    if (n == 0)
        return usage_error(self, "needs what to measure: step, conv, ops, data or peak");
    const unsigned subject = subject_of(pos[0]);
    if (subject == 0)
        return usage_error(self, "\"%s\" is none of step, conv, ops, data, peak; the nearest is %s",
                           pos[0], fw_nearest(pos[0], subject_names, SUBJECTS));
    const bool of_recipe = subject == CONV && bench_on_gpu(a); /* its convolutions */
    if (n > 1 && subject != STEP && subject != DATA && !of_recipe)
        return usage_error(self, "%s takes no recipe, here \"%s\"%s", pos[0], pos[1],
                           subject == PEAK ? "" : "; --shape names layers");
    if (n > 2 && subject != DATA)
        return usage_error(self, "%s takes one recipe", pos[0]);
    const char *const option = misplaced(a, subject);
    if (option != NULL)
        return usage_error(self, "%s says nothing of %s", option, pos[0]);
    const int wrong = check_precision(self, a->precision_word);
    if (wrong != EXIT_DONE)
        return wrong;
    a->precision = FW_F32;
    if (a->precision_word != NULL)
        (void)fw_precision_read(a->precision_word, a->device, &a->precision, &a->tf32);
    if (a->tf32 && subject != STEP && !(subject == CONV && bench_on_gpu(a)))
        return usage_error(self, "--precision: tf32 is for step, and for conv on a GPU");
    if (a->tune && !bench_on_gpu(a))
        return usage_error(self, "--tune needs a GPU: --device cuda");
    if (a->record != NULL && bench_on_gpu(a))
        return usage_error(self, "--record is for the peaks of CPUs");
    if (subject == PEAK && bench_on_gpu(a) && a->threads > 0)
        return usage_error(self, "--threads says nothing of a GPU's peaks");
    if ((subject == CONV || subject == OPS) && !batch_read(a))
        return usage_error(self, "--batch: \"%s\", expected a whole number from 1 to 1048576",
                           a->batch);
    return subject == PEAK ? bench_peak(self, a)
           : subject == CONV
               ? (n > 1 ? bench_recipe(self, pos[1], true, a) : bench_conv(self, NULL, a))
           : subject == OPS ? bench_ops(self, a)
           : subject == DATA
               ? bench_data(self, n > 1 ? pos + 1 : &walkthrough, n > 1 ? n - 1 : 1, a)
               : bench_recipe(self, n > 1 ? pos[1] : walkthrough, false, a);
}

static int run_bench(const command *self, int argc, char **argv)
{
    const char *pos[1 + MOST_RECIPES];
    bench_args a = {.at = FW_BENCH_WHOLE};
    int n;
    const arg_option options[] = {
        {"--data", "PATH", "records to read (default: synthetic images)", ARG_TEXT, &a.data},
        {"--device", "NAME", "of step, conv, ops, peak: " DEVICES, ARG_TEXT, &a.device},
        {"--threads", "N", "default: as many as allowed; of data 1", ARG_THREADS, &a.threads},
        {"--runs", "N",
         "measurements, of which the median counts (default 7); of peak on a GPU alone", ARG_COUNT,
         &a.runs},
        {"--batch", "N", "images per step (default: the recipe's, or the shape's)", ARG_TEXT,
         &a.batch},
        {"--precision", "TYPE",
         "of step (default: the recipe's), conv, ops (f32): f32, bf16, auto; a CPU: f64; "
         "a GPU: f16, tf32 (not ops)",
         ARG_TEXT, &a.precision_word},
        {"--memory-limit", "BYTES", "refuse a step that needs more (512M, 2G; default none)",
         ARG_SIZE, &a.memory_limit},
        {"--pin", NULL, "of a step: bind each thread to a CPU of its own", ARG_FLAG, &a.pin},
        {"--at", "STEP",
         "of a step: as training does that one, by size and what is trained (default: all, full "
         "size)",
         ARG_INDEX, &a.at},
        {"--explain", NULL, "of a step: say what was chosen: kernels, layout, memory", ARG_FLAG,
         &a.explain},
        {"--set", "KEY=VALUE", "of step, data: change a key of the recipe (may be repeated)",
         ARG_LIST, &a.set},
        {"--with", "CHANGES", "data: another row, the first recipe so changed (may be repeated)",
         ARG_LIST, &a.with},
        {"--shape", "NAME",
         "conv, ops: a net, a layer, or net/layer (default: all; ops: davidnet, airbench94)",
         ARG_TEXT, &a.shape},
        {"--pass", "PASS", "conv: fwd, dx or dw (default: those that training needs)", ARG_TEXT,
         &a.pass},
        {"--algo", "NAME",
         "conv: auto, direct, winograd2 to winograd7; on a GPU auto, cudnn, wgmma, narrow, cuda "
         "(default: all)",
         ARG_TEXT, &a.algo},
        {"--layout", "NAME", "conv, ops: blocked or nhwc (default: what training uses)", ARG_TEXT,
         &a.layout},
        {"--tune", NULL, "conv on a GPU: try all engines, keep the fastest in the file of choices",
         ARG_FLAG, &a.tune},
        {"--op", "NAME", "ops: one of them (default: all)", ARG_TEXT, &a.op},
        {"--act", "NAME", "ops: relu, silu, celu or another act of recipes (default: the net's)",
         ARG_TEXT, &a.act},
        {"--in-place", NULL, "ops: over their first input, where they may", ARG_FLAG, &a.in_place},
        {"--accept-slow", NULL, "conv: take shares though the peak is under the recorded", ARG_FLAG,
         &a.accept_slow},
        {"--results", "DIR", "conv: recorded peaks (default: those inside the command)", ARG_TEXT,
         &a.results},
        {"--record", "DIR", "peak: put higher readings into DIR/<processor>.json", ARG_TEXT,
         &a.record},
        {"--json", NULL, "JSON on standard output; conv, ops: a line per row", ARG_FLAG, &a.json}};
    const int code = args_read(self, argc, argv, options, sizeof options / sizeof *options, pos,
                               1 + MOST_RECIPES, &n);
    if (code >= 0)
        return code;
    return measure(self, &a, pos, n);
}

const command command_bench = {
    "bench", "bench step|conv|ops|data|peak [RECIPE...] [options]",
    "measure a training step, single kernels, the input pipeline, or the machine", run_bench};
