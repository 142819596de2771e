/* clock.c: time and resident memory, for progress lines, logs and the memory budget's check. Reads
 * /proc with a fixed buffer: asking must not change what is asked about. */
#include "clock.h"

#include <fcntl.h>
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
