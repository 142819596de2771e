/* program.h: runs another program with text in and bytes out: gnuplot draws for us. */
#ifndef FWI_PROGRAM_H
#define FWI_PROGRAM_H

#include "mem.h"

typedef struct fwi_program {
    const char *const *argv; /* argv[0] is looked for in PATH; ends with NULL; no shell */
    const void *input;       /* its standard input */
    size_t input_bytes;
    size_t max_output_bytes; /* of its standard output */
    int64_t timeout_ms;      /* then it is killed */
} fwi_program;

typedef struct fwi_program_result {
    fwi_buf output;  /* its standard output */
    char error[512]; /* the start of its standard error, one line; "" if there was none */
    int exit_code;   /* -1: ended by a signal; 0 also where the caller has SIGCHLD ignored */
} fwi_program_result;

/* Runs it to its end. FW_OK for any exit code; FW_ENOTFOUND if there is no such program. It is gone
 * when this returns, on every path: no zombie. Raises no SIGPIPE. The caller clears out->output.
 * Safe from several threads. */
fw_status fwi_program_run(const fwi_program *p, fwi_program_result *out);

#endif
