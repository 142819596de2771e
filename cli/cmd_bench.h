/* cmd_bench.h: what the files of `fenwicks bench` share: the options, and one function for each subject.
 * Read next: cmd_bench.c. */
#ifndef FENWICKS_CMD_BENCH_H
#define FENWICKS_CMD_BENCH_H

#include "cli.h"

typedef struct bench_args {
    const char *data, *device;
    int64_t threads, runs, memory_limit, at; /* at -1: not given */
    bool explain, pin;
    arg_list set, with;
    const char *batch, *precision_word;
    const char *shape, *pass, *algo, *layout, *results, *record, *op, *act;
    fw_dtype precision;
    bool tf32;
    int64_t images; /* --batch */
    bool json, accept_slow, in_place, tune;
} bench_args;

enum { MOST_RECIPES = 16 };

/* Each prints what it measures and gives the exit code. */
int bench_peak(const command *self, const bench_args *a);
int bench_conv(const command *self, const fw_recipe *r, const bench_args *a); /* r: NULL, or its */
int bench_ops(const command *self, const bench_args *a);
int bench_data(const command *self, const char *const *recipes, int n_recipes, const bench_args *a);
int bench_step(const command *self, const fw_recipe *r, const bench_args *a);
bool bench_on_gpu(const bench_args *a); /* --device names another than the CPU */

#endif
