/* clock.c: time and resident memory, for progress lines, logs and the memory budget's check. Reads
 * /proc with a fixed buffer: asking must not change what is asked about. */
#include "clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0.0;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double fwi_now(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double fwi_wall(void)
{
    return seconds(CLOCK_REALTIME);
}

/* A "key:  1234 kB" line of /proc/self/status, in bytes. Not getrusage: its maximum is inherited
 * across exec, so a small program started by a large one would report the large one's. */
static int64_t status_bytes(const char *key)
{
    char text[8192];
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t size = 0;
    ssize_t n;
    while (size < sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    text[size] = 0;
    const char *at = strstr(text, key);
    if (at == NULL)
        return -1;
    char *end = NULL;
    const long long kib = strtoll(at + strlen(key), &end, 10);
    return end != at + strlen(key) && kib >= 0 ? (int64_t)kib * 1024 : -1;
}

int64_t fwi_rss_bytes(void)
{
    return status_bytes("\nVmRSS:");
}

int64_t fwi_rss_peak_bytes(void)
{
    /* the kernel brings its maximum up to date now and then only; what is there now counts too */
    const int64_t peak = status_bytes("\nVmHWM:"), now = status_bytes("\nVmRSS:");
    return peak > now ? peak : now;
}

double fwi_seconds_since_start(void)
{
    /* Field 22 of /proc/self/stat: ticks from boot to the start of the process; the name in
     * parentheses before it may hold blanks. */
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "r");
    if (f == NULL)
        return -1;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++)
        at = (at = strchr(at, ' ')) == NULL ? NULL : at + 1;
    const long per_second = sysconf(_SC_CLK_TCK);
    struct timespec now;
    if (at == NULL || per_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return -1;
    const double ticks = (double)strtoll(at, NULL, 10);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - ticks / (double)per_second;
}
