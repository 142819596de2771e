/* replay.c: runs a fuzz target without a fuzzing engine, so that the ordinary test run covers every
 * crash of the past. Each file of the corpus is fed to the target as it is, cut short at several
 * lengths, and with single bits flipped. Neighbours: fuzz_*.c, one per format. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { CUTS = 32, FLIPS = 128, MAX_BYTES = 1 << 20 };

/* Hands over a copy of exactly n_bytes: a sanitizer then sees the first byte read beyond the end.
 */
static int feed(const uint8_t *data, size_t n_bytes)
{
    uint8_t *copy = malloc(n_bytes > 0 ? n_bytes : 1);
    if (copy == NULL)
        return 1;
    memcpy(copy, data, n_bytes);
    const int rc = LLVMFuzzerTestOneInput(copy, n_bytes);
    free(copy);
    return rc;
}

static int replay(const char *path)
{
    int rc = 1;
    uint8_t *data = NULL;
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        goto done;
    data = malloc(MAX_BYTES);
    if (data == NULL)
        goto done;
    const size_t n = fread(data, 1, MAX_BYTES, f);
    if (ferror(f) || !feof(f))
        goto done;
    rc = feed(data, n);
    for (size_t i = 0; i < CUTS && n > 0; i++)
        rc |= feed(data, n * i / CUTS);
    uint64_t lcg = n; /* the same flips every time */
    for (size_t i = 0; i < FLIPS && n > 0; i++) {
        lcg = lcg * 6364136223846793005u + 1442695040888963407u;
        /* the front of a file is where its lengths are: half of the flips go there */
        const size_t range = i % 2 == 0 && n > 64 ? 64 : n;
        const size_t at = (size_t)((lcg >> 33) % range);
        const uint8_t bit = (uint8_t)(1u << (lcg >> 20 & 7u));
        data[at] ^= bit;
        rc |= feed(data, n);
        data[at] ^= bit;
    }
done:
    if (rc != 0)
        fprintf(stderr, "%s: cannot be read, is over %d bytes, or the target refused it\n", path,
                MAX_BYTES);
    if (f != NULL)
        fclose(f);
    free(data);
    return rc;
}

int main(int argc, char **argv)
{
    int n_files = 0, rc = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (dir == NULL) {
            n_files++;
            rc |= replay(argv[i]);
            continue;
        }
        const struct dirent *entry;
        while ((entry = readdir(dir)) != NULL) {
            char path[4096];
            struct stat st;
            const int len = snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (len < 0 || (size_t)len >= sizeof path || stat(path, &st) != 0 ||
                !S_ISREG(st.st_mode))
                continue;
            n_files++;
            rc |= replay(path);
        }
        closedir(dir);
    }
    printf("%d files replayed\n", n_files);
    return n_files > 0 ? rc : 1; /* an empty corpus tests nothing */
}
