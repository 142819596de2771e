/* cmd_doctor.c: what was built in, what the machine offers, what is missing and how to get it. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_PARTS = 64 };

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
    fw_status st = fw_machine_get(&m);
    if (st == FW_OK && ops)
        st = fw_ops_table(&table);
    if (st != FW_OK)
        return fail(self->name, st, json);
    if (json) {
        json_t *list = json_array();
        for (int i = 0; i < n_parts && i < MAX_PARTS; i++)
            (void)json_array_append_new(list,
                                        json_pack("{s:s, s:b, s:s, s:s?}", "name", parts[i].name,
                                                  "present", parts[i].present, "what",
                                                  parts[i].what, "package", parts[i].package));
        json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:o}", "version",
                                 m.version, "commit", fw_commit(), "compiler", m.compiler, "cpu",
                                 m.cpu, "isa", m.isa, "isas", m.isas, "threads", m.threads,
                                 "memory_bytes", (json_int_t)m.memory_bytes, "parts", list);
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
    if (table != NULL)
        printf("\n%s", table);
    fw_text_free(table);
    return finish_output();
}

const command command_doctor = {"doctor", "doctor [--ops] [--json]",
                                "what this build and this machine have, and what is missing",
                                run_doctor};
