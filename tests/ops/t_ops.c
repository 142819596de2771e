/* t_ops.c: an op test as a program: its threads, its device, and whether it tested what it is there
 * for. See t_ops.h. */
#include "t_inner.h"

#include "t_far.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fwi_pool *t_pools[3];
fwi_device *t_device;

void t_require(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", fw_status_name(st), fw_last_error());
}

/* 1 if ops that ops.def gives to this program were not really tested. */
static int check_coverage(const char *name)
{
    int bad = 0;
    for (int i = 0; i < FWI_OP_COUNT; i++) {
        const fwi_op_info *info = fwi_op_info_get((fwi_opkind)i);
        const t_op_stats *s = &t_stats[i];
        if (strcmp(info->test, name) != 0)
            continue;
        if (s->cases == 0 || s->results == 0) {
            fprintf(stderr, "FAILED: ops.def says that %s tests %s, but no case of it ran\n", name,
                    info->name);
            bad = 1;
        } else if ((double)s->nonzero < 0.05 * (double)s->results) {
            fprintf(stderr, "FAILED: %s: only %lld of %lld expected results are not zero\n",
                    info->name, (long long)s->nonzero, (long long)s->results);
            bad = 1;
        } else {
            printf("%-22s %5lld cases, %9lld results\n", info->name, (long long)s->cases,
                   (long long)s->results);
        }
    }
    return bad;
}

/* FW_TEST_DEVICE: "far" is a stand-in for a GPU (t_far.h). */
static void open_device(void)
{
    const char *asked = getenv("FW_TEST_DEVICE");
    const char *name = asked != NULL ? asked : "cuda";
    fwi_device_offer(&t_far_backend);
    if (fwi_device_open(&t_device, name, &(fwi_device_opt){.threads = 1}) == FW_OK)
        printf("kernels run on %s too\n", t_device->label);
    else if (asked != NULL) {
        fprintf(stderr, "%s\n", fw_last_error());
        exit(1);
    }
}

int t_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n)
{
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            t_seed = strtoull(argv[++i], &end, 0);
        if (end == NULL || *end != 0) {
            fprintf(stderr, "usage: %s [--seed N]\n", name);
            return 2;
        }
    }
    printf("%s --seed %llu\n", name, (unsigned long long)t_seed);
    (void)setenv("FENWICKS_OVERSUBSCRIBE", "1", 1); /* 9 threads on whatever machine */
    if (fwi_pool_new(&t_pools[1], 2) != FW_OK || fwi_pool_new(&t_pools[2], 9) != FW_OK) {
        fprintf(stderr, "%s: %s\n", name, fw_last_error());
        return 1;
    }
    open_device();
    int failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    if (failed == 0)
        failed = check_coverage(name);
    t_print_kernels();
    fwi_device_close(t_device);
    fwi_pool_free(t_pools[1]);
    fwi_pool_free(t_pools[2]);
    return failed == 0 ? 0 : 1;
}
