/* cpu.c: which instruction sets may be used, and how many threads this process may run.
 *
 * The one file that asks the machine what it is: kernels are chosen from these answers at run time,
 * never at build time. The number of threads honours what a container grants, not what the machine
 * has: 64 threads on a quota of 2 CPUs would spend their time being stopped. Neighbour: pool.c. */
#include "cpu.h"

#include "affinity.h"
#include "fail.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const char *const isa_names[FWI_ISA_COUNT] = {"ref", "portable", "avx2", "avx512",
                                                     "avx512_bf16"};

const char *fwi_isa_name(fwi_isa isa)
{
    const unsigned at = (unsigned)isa;
    return at < FWI_ISA_COUNT ? isa_names[at] : "?";
}

bool fwi_isa_supported(fwi_isa isa)
{
    if (isa == FWI_ISA_REF || isa == FWI_ISA_PORTABLE)
        return true;
#if defined(__x86_64__)
    /* the builtins also ask whether the operating system saves the wide registers */
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (isa == FWI_ISA_AVX2)
        return avx2;
    if (isa == FWI_ISA_AVX512)
        return avx512;
    if (isa == FWI_ISA_AVX512_BF16)
        return avx512 && __builtin_cpu_supports("avx512bf16");
#endif
    return false;
}

fwi_isa fwi_isa_fastest(unsigned set, bool intel)
{
    const unsigned avx512 = 1u << FWI_ISA_AVX512;
    if (intel && (set & avx512) != 0)
        set &= 2 * avx512 - 1;
    int highest = FWI_ISA_REF;
    for (int i = 0; i < FWI_ISA_COUNT; i++)
        if ((set >> i & 1) != 0)
            highest = i;
    return (fwi_isa)highest;
}

fw_status fwi_isa_choose_from(fwi_isa *out, const char *asked, unsigned set, bool intel)
{
    const fwi_isa best = fwi_isa_fastest(set, intel);
    if (asked == NULL || *asked == 0) {
        *out = best;
        return FW_OK;
    }
    for (int i = 0; i < FWI_ISA_COUNT; i++) {
        if (strcmp(asked, isa_names[i]) != 0)
            continue;
        if ((set >> i & 1) == 0)
            return fwi_fail(
                FW_EUNAVAILABLE,
                "FENWICKS_ISA=%s: this machine (%s) lacks it; the best that it has is %s", asked,
                fwi_cpu_name(), isa_names[best]);
        *out = (fwi_isa)i;
        return FW_OK;
    }
    char valid[128] = "";
    size_t n = 0;
    for (int i = 0; i < FWI_ISA_COUNT; i++)
        n += (size_t)snprintf(valid + n, sizeof valid - n, "%s%s", i > 0 ? ", " : "", isa_names[i]);
    return fwi_fail(FW_EARG, "FENWICKS_ISA=%s: unknown; valid names are %s", asked, valid);
}

fw_status fwi_isa_choose(fwi_isa *out)
{
    unsigned supported = 0;
    for (int i = 0; i < FWI_ISA_COUNT; i++)
        if (fwi_isa_supported((fwi_isa)i))
            supported |= 1u << i;
#if defined(__x86_64__)
    const bool intel = __builtin_cpu_is("intel");
#else
    const bool intel = false;
#endif
    return fwi_isa_choose_from(out, getenv("FENWICKS_ISA"), supported, intel);
}

bool fwi_cpu_has_sse42(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2");
#else
    return false;
#endif
}

bool fwi_cpu_has_arm_crc(void)
{
#if defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; /* HWCAP_CRC32 */
#elif defined(__aarch64__) && defined(__APPLE__)
    return true; /* every Apple arm64 has it */
#else
    return false;
#endif
}

/* The first line of a small file; false if it cannot be read. */
static bool read_line(const char *path, char *line, int cap)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    const bool ok = fgets(line, cap, f) != NULL;
    fclose(f);
    return ok;
}

/* A number at *at, which is moved behind it; 0 if there is none. */
static long long take_number(const char **at)
{
    char *end = NULL;
    const long long n = strtoll(*at, &end, 10);
    *at = end;
    return n;
}

/* The quota that one folder sets, in CPUs; 0 if it sets none. Version 2: "max 100000" or "150000
 * 100000" in cpu.max. Version 1: two files, quota -1 for none. */
static double folder_quota(const char *folder, bool version2)
{
    char path[4096 + 64], line[128];
    const char *at = line;
    snprintf(path, sizeof path, "%s/%s", folder, version2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (!read_line(path, line, sizeof line))
        return 0.0;
    const long long quota = take_number(&at);
    if (!version2) {
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        if (!read_line(path, line, sizeof line))
            return 0.0;
        at = line;
    }
    const long long period = take_number(&at);
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0.0;
}

/* The tightest quota from a group's folder up to the root: each level limits all below it. A path
 * that does not exist here (a container sees its own group as the root) counts as its nearest
 * parent. */
static double group_quota(const char *root, const char *group, bool version2)
{
    char folder[4096];
    const int n = snprintf(folder, sizeof folder, "%s%s", root, group);
    if (n < 0 || (size_t)n >= sizeof folder)
        return 0.0;
    const size_t root_len = strlen(root);
    double least = 0.0;
    for (;;) {
        const double q = folder_quota(folder, version2);
        if (q > 0.0 && (least == 0.0 || q < least))
            least = q;
        if (strlen(folder) <= root_len)
            return least;
        char *slash = strrchr(folder + root_len, '/');
        if (slash == NULL)
            return least;
        *slash = 0;
    }
}

static bool lists_cpu(const char *controllers)
{
    for (const char *at = controllers; *at != 0;) {
        const size_t n = strcspn(at, ",");
        if (n == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

double fwi_cpu_quota(const char *proc_cgroup, const char *fs_root)
{
    FILE *f = fopen(proc_cgroup, "re");
    if (f == NULL)
        return 0.0;
    double least = 0.0;
    char line[4096];
    while (fgets(line, sizeof line, f) != NULL) { /* "hierarchy:controllers:/group" */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL)
            continue;
        *controllers++ = 0;
        *group++ = 0;
        const bool version2 = *controllers == 0;
        if (!version2 && !lists_cpu(controllers))
            continue;
        char root[512];
        snprintf(root, sizeof root, "%s%s", fs_root, version2 ? "" : "/cpu");
        const double q = group_quota(root, group, version2);
        if (q > 0.0 && (least == 0.0 || q < least))
            least = q;
    }
    fclose(f);
    return least;
}

int fwi_cpu_count(void)
{
    int n = fwi_affinity_count();
#if defined(__linux__)
    const double quota = fwi_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0.0 && ceil(quota) < (double)n)
        n = (int)ceil(quota);
#endif
    return n > 0 ? n : 1;
}

fw_status fwi_threads_check(int n)
{
    const int allowed = fwi_cpu_count();
    if (n <= allowed)
        return FW_OK;
    const char *any = getenv("FENWICKS_OVERSUBSCRIBE");
    if (any != NULL && strcmp(any, "1") == 0)
        return FW_OK;
    return fwi_fail(FW_EARG,
                    "%d threads are asked for, but CPU affinity and cgroup quota allow this "
                    "process %d",
                    n, allowed);
}

static char cpu_name[128];
static pthread_once_t cpu_name_once = PTHREAD_ONCE_INIT;

static void find_cpu_name(void)
{
    char text[sizeof cpu_name] = "";
#if defined(__x86_64__)
    unsigned words[12];
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) >= 0x80000004u) {
        for (unsigned i = 0; i < 3; i++)
            __get_cpuid(0x80000002u + i, words + 4 * i, words + 4 * i + 1, words + 4 * i + 2,
                        words + 4 * i + 3);
        memcpy(text, words, sizeof words);
        text[sizeof words] = 0;
    }
#else
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon != NULL &&
            (strncmp(line, "model name", 10) == 0 || strncmp(line, "Model", 5) == 0)) {
            snprintf(text, sizeof text, "%s", colon + 1);
            break;
        }
    }
    if (f != NULL)
        fclose(f);
#endif
    /* makers pad the name with blanks in front, behind and between */
    size_t n = 0;
    for (const char *at = text; *at != 0; at++) {
        const bool blank = *at == ' ' || *at == '\t' || *at == '\n';
        if (!blank)
            cpu_name[n++] = *at;
        else if (n > 0 && cpu_name[n - 1] != ' ')
            cpu_name[n++] = ' ';
    }
    while (n > 0 && cpu_name[n - 1] == ' ')
        n--;
    cpu_name[n] = 0;
    if (n == 0)
        memcpy(cpu_name, "unknown", sizeof "unknown");
}

const char *fwi_cpu_name(void)
{
    pthread_once(&cpu_name_once, find_cpu_name);
    return cpu_name;
}

void fwi_cpu_family(int *family, int *model)
{
    *family = *model = 0;
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0)
        return;
    const unsigned base = a >> 8 & 15;
    *family = (int)(base == 15 ? base + (a >> 20 & 255) : base);
    *model = (int)((base == 15 || base == 6 ? (a >> 16 & 15) << 4 : 0) | (a >> 4 & 15));
#endif
}
