/* cmd_doctor.c: what was built in, what the machine offers, what is missing and how to get it. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_PARTS = 64, MAX_GPUS = 16 };

static const char *capability(const fw_gpu *g)
{
    static char text[32];
    snprintf(text, sizeof text, "%d.%d", g->major, g->minor);
    return text;
}

static json_t *gpu_json(int i, const fw_gpu *g)
{
    return json_pack("{s:i, s:s, s:s, s:i, s:I, s:I, s:I, s:s, s:i, s:i, s:s, s:s, s:s}", "index",
                     i, "name", g->name, "compute_capability", capability(g), "multiprocessors",
                     g->multiprocessors, "memory_bytes", (json_int_t)g->memory_bytes,
                     "memory_free_bytes", (json_int_t)g->memory_free, "l2_bytes",
                     (json_int_t)g->l2_bytes, "driver", g->driver, "driver_cuda", g->driver_cuda,
                     "runtime_cuda", g->runtime_cuda, "libraries", g->libraries, "precisions",
                     g->precisions, "why_not", g->why);
}

static void print_gpu(int i, const fw_gpu *g)
{
    printf("\nGPU %d    %s, compute capability %s, %d multiprocessors, L2 %.1f MiB\n", i, g->name,
           capability(g), g->multiprocessors, (double)g->l2_bytes / 1048576);
    printf("         memory %.1f GiB, %.1f free\n", (double)g->memory_bytes / 1073741824,
           (double)g->memory_free / 1073741824);
    printf("         driver %s for CUDA %d.%d; this build has CUDA %d.%d\n",
           g->driver[0] != 0 ? g->driver : "of unknown version", g->driver_cuda / 1000,
           g->driver_cuda % 1000 / 10, g->runtime_cuda / 1000, g->runtime_cuda % 1000 / 10);
    printf("         %s\n", g->libraries);
    if (g->why[0] != 0)
        printf("         cannot be used: %s\n", g->why);
    else
        printf("         precisions %s\n", g->precisions);
}

static int run_doctor(const command *self, int argc, char **argv)
{
    bool json = false, ops = false;
    int n;
    const arg_option options[] = {
        {"--ops", NULL, "op by op, which kernel would run", ARG_FLAG, &ops},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, NULL, 0, &n);
    if (code >= 0)
        return code;
    fw_machine m;
    fw_part parts[MAX_PARTS];
    char *table = NULL;
    const int n_parts = fw_parts(parts, MAX_PARTS);
    fw_gpu *const gpus = calloc(MAX_GPUS, sizeof *gpus);
    const int n_gpus = gpus == NULL ? 0 : fw_gpus(gpus, MAX_GPUS);
    fw_status st = fw_machine_get(&m);
    if (st == FW_OK && ops)
        st = fw_ops_table(&table);
    if (st != FW_OK) {
        free(gpus);
        return fail(self->name, st, json);
    }
    if (json) {
        json_t *list = json_array();
        for (int i = 0; i < n_parts && i < MAX_PARTS; i++)
            (void)json_array_append_new(list,
                                        json_pack("{s:s, s:b, s:s, s:s?}", "name", parts[i].name,
                                                  "present", parts[i].present, "what",
                                                  parts[i].what, "package", parts[i].package));
        json_t *gpu_list = json_array();
        for (int i = 0; i < n_gpus && i < MAX_GPUS; i++)
            (void)json_array_append_new(gpu_list, gpu_json(i, &gpus[i]));
        free(gpus);
        json_t *root =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:o, s:o}", "version", m.version,
                      "commit", fw_commit(), "compiler", m.compiler, "cpu", m.cpu, "isa", m.isa,
                      "isas", m.isas, "threads", m.threads, "memory_bytes",
                      (json_int_t)m.memory_bytes, "parts", list, "gpus", gpu_list);
        if (table != NULL)
            (void)json_object_set_new(root, "ops", json_string(table));
        fw_text_free(table);
        return print_json(root);
    }
    printf("fenwicks %s%s%s, built with %s\ncpu      %s\nkernels  %s (this machine can run: "
           "%s)\nthreads  %d\nmemory   %.1f GiB\n\n",
           m.version, *fw_commit() == 0 ? "" : " ", fw_commit(), m.compiler, m.cpu, m.isa, m.isas,
           m.threads, (double)m.memory_bytes / 1073741824);
    for (int i = 0; i < n_parts && i < MAX_PARTS; i++)
        printf("%-3s %-14s %s%s%s%s\n", parts[i].present ? "yes" : "no", parts[i].name,
               parts[i].what, parts[i].present || parts[i].package == NULL ? "" : " (package ",
               parts[i].present || parts[i].package == NULL ? "" : parts[i].package,
               parts[i].present || parts[i].package == NULL ? "" : ")");
    for (int i = 0; i < n_gpus && i < MAX_GPUS; i++)
        print_gpu(i, &gpus[i]);
    free(gpus);
    if (table != NULL)
        printf("\n%s", table);
    fw_text_free(table);
    return finish_output();
}

const command command_doctor = {"doctor", "doctor [--ops] [--json]",
                                "what this build and this machine have, and what is missing",
                                run_doctor};
