/* fuzz_trials.c: results files. Runs that are accepted have figures that means can be taken of, and
 * can be added to another list; a line that is refused is named. */
#include <fenwicks/lab.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char path[64];
    fw_trials *t = NULL, *copy = NULL;
    const int fd = memfd_create("trials", MFD_CLOEXEC); /* a file that needs no disk */
    require(fd >= 0 && write(fd, data, n_bytes) == (ssize_t)n_bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const fw_status st = fw_trials_open(&t, path, true);
    require(st == FW_OK || (st == FW_EFORMAT && strstr(fw_last_error(), ": line ") != NULL));
    require(fw_trials_open(&copy, NULL, false) == FW_OK);
    for (int64_t i = 0; i < fw_trials_count(t); i++) {
        const fw_trial *const trial = fw_trials_get(t, i);
        require(isfinite(trial->run.epochs) && isfinite(trial->run.t_total));
        require(trial->run.diverged || (trial->run.accuracy >= 0 && trial->run.accuracy <= 1));
        require(fw_trials_add(copy, trial) == FW_OK);
    }
    fw_trials_close(copy);
    fw_trials_close(t);
    close(fd);
    return 0;
}
