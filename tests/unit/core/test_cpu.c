/* test_cpu.c: choice of the instruction set; CPU quotas of containers, from made-up files. */
#include "cpu.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* As Linux has it; elsewhere nobody's. */
static bool made_by_intel(void)
{
    FILE *const f = fopen("/proc/cpuinfo", "re");
    char line[4096];
    bool intel = false;
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        intel =
            intel || (strncmp(line, "vendor_id", 9) == 0 && strstr(line, "GenuineIntel") != NULL);
    if (f != NULL)
        fclose(f);
    return intel;
}

static void test_choose(void **state)
{
    (void)state;
    fwi_isa isa = FWI_ISA_COUNT;
    unsetenv("FENWICKS_ISA");
    assert_int_equal(fwi_isa_choose(&isa), FW_OK);
    assert_true(fwi_isa_supported(isa));
    const fwi_isa best = isa;
    unsigned supported = 0;
    for (int i = 0; i < FWI_ISA_COUNT; i++) {
        setenv("FENWICKS_ISA", fwi_isa_name((fwi_isa)i), 1);
        isa = FWI_ISA_COUNT;
        if (fwi_isa_supported((fwi_isa)i)) {
            supported |= 1u << i;
            assert_int_equal(fwi_isa_choose(&isa), FW_OK);
            assert_int_equal(isa, i);
        } else {
            assert_int_equal(fwi_isa_choose(&isa), FW_EUNAVAILABLE);
            assert_int_equal(isa, FWI_ISA_COUNT);
            assert_non_null(strstr(fw_last_error(), fwi_isa_name(best)));
        }
    }
    assert_int_equal(best, fwi_isa_fastest(supported, made_by_intel()));
    setenv("FENWICKS_ISA", "avx1024", 1);
    assert_int_equal(fwi_isa_choose(&isa), FW_EARG);
    assert_string_equal(fw_last_error(), "FENWICKS_ISA=avx1024: unknown; valid names are ref, "
                                         "portable, avx2, avx512, avx512_bf16");
    setenv("FENWICKS_ISA", "", 1); /* empty is not set */
    assert_int_equal(fwi_isa_choose(&isa), FW_OK);
    assert_int_equal(isa, best);
    assert_string_equal(fwi_isa_name(FWI_ISA_COUNT), "?");
    assert_true(fwi_isa_supported(FWI_ISA_REF) && fwi_isa_supported(FWI_ISA_PORTABLE));
    assert_false(fwi_isa_supported(FWI_ISA_COUNT));
}

/* What a machine lacks is an error that names the machine and the best that it has; nothing is chosen. */
static void test_machines_that_lack_some(void **state)
{
    (void)state;
    char words[128];
    for (int has = FWI_ISA_PORTABLE; has < FWI_ISA_COUNT; has++)
        for (int asked = 0; asked < FWI_ISA_COUNT; asked++) {
            const unsigned set = (2u << has) - 1;
            fwi_isa isa = FWI_ISA_COUNT;
            const fw_status st =
                fwi_isa_choose_from(&isa, fwi_isa_name((fwi_isa)asked), set, false);
            if (asked <= has) {
                assert_int_equal(st, FW_OK);
                assert_int_equal(isa, asked);
                continue;
            }
            assert_int_equal(st, FW_EUNAVAILABLE);
            assert_int_equal(isa, FWI_ISA_COUNT);
            snprintf(words, sizeof words, "lacks it; the best that it has is %s",
                     fwi_isa_name((fwi_isa)has));
            assert_non_null(strstr(fw_last_error(), fwi_isa_name((fwi_isa)asked)));
            assert_non_null(strstr(fw_last_error(), fwi_cpu_name()));
            assert_non_null(strstr(fw_last_error(), words));
        }
}

static void test_fastest(void **state)
{
    (void)state;
    for (int intel = 0; intel < 2; intel++) {
        unsigned set = 0;
        for (int i = 0; i < FWI_ISA_COUNT; i++) {
            set |= 1u << i;
            const bool slow = intel == 1 && i == FWI_ISA_AVX512_BF16; /* its pairs of bf16 */
            assert_int_equal(fwi_isa_fastest(set, intel == 1), slow ? FWI_ISA_AVX512 : i);
        }
        assert_int_equal(fwi_isa_fastest(1u << FWI_ISA_AVX512_BF16, intel == 1),
                         FWI_ISA_AVX512_BF16);
    }
}

static void test_machine(void **state)
{
    (void)state;
    assert_true(fwi_cpu_count() >= 1);
    assert_true(strlen(fwi_cpu_name()) > 0);
    assert_ptr_equal(fwi_cpu_name(), fwi_cpu_name());
    assert_false(fwi_cpu_has_sse42() && fwi_cpu_has_arm_crc());
    /* what Linux reads from the same place */
    int family = -1, model = -1, line_value;
    fwi_cpu_family(&family, &model);
    FILE *const f = fopen("/proc/cpuinfo", "re");
    char line[256];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "cpu family : %d", &line_value) == 1)
            assert_int_equal(line_value, family);
        if (sscanf(line, "model : %d", &line_value) == 1)
            assert_int_equal(line_value, model);
        if (line[0] == '\n')
            break; /* the first processor */
    }
    if (f != NULL)
        fclose(f);
}

static char root[] = "/tmp/fenwicks-test-cpu-XXXXXX";

static void put(const char *name, const char *text)
{
    char *path = fwi_sprintf("%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    fwi_free(path);
}

static double quota_of(const char *proc_cgroup)
{
    put("proc", proc_cgroup);
    char *path = fwi_sprintf("%s/proc", root);
    char *fs = fwi_sprintf("%s/fs", root);
    const double q = fwi_cpu_quota(path, fs);
    fwi_free(path);
    fwi_free(fs);
    return q;
}

static void test_quota(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    put("fs/cpu.max", "max 100000\n");
    put("fs/a/cpu.max", "350000 100000\n");
    put("fs/a/b/cpu.max", "max 100000\n");
    put("fs/a/tight/cpu.max", "150000 100000\n");
    put("fs/bad/cpu.max", "lots of it\n");
    put("fs/cpu/cpu.cfs_quota_us", "-1\n");
    put("fs/cpu/cpu.cfs_period_us", "100000\n");
    put("fs/cpu/c/cpu.cfs_quota_us", "250000\n");
    put("fs/cpu/c/cpu.cfs_period_us", "100000\n");

    assert_true(quota_of("0::/\n") == 0.0);
    assert_true(quota_of("0::/a\n") == 3.5);
    assert_true(quota_of("0::/a/b\n") == 3.5); /* from the parent */
    assert_true(quota_of("0::/a/tight\n") == 1.5);
    assert_true(quota_of("0::/a/not/here\n") == 3.5);
    assert_true(quota_of("0::/bad\n") == 0.0);
    assert_true(quota_of("4:cpu,cpuacct:/c\n3:cpuset:/a\n0::/\n") == 2.5);
    assert_true(quota_of("4:cpuacct,cpu:/c/deeper\n") == 2.5);
    assert_true(quota_of("4:cpuset:/c\n") == 0.0);
    assert_true(quota_of("4:cpu:/\n0::/a\n") == 3.5); /* both versions mounted */
    assert_true(quota_of("") == 0.0);
    assert_true(quota_of("nonsense\n::\n0::\n") == 0.0);
    assert_true(fwi_cpu_quota("/does/not/exist", "/nor/this") == 0.0);

    char *command = fwi_sprintf("rm -r %s", root);
    assert_int_equal(system(command), 0);
    fwi_free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose), cmocka_unit_test(test_machines_that_lack_some),
        cmocka_unit_test(test_fastest), cmocka_unit_test(test_machine),
        cmocka_unit_test(test_quota)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
