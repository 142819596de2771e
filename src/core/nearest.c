/* nearest.c: edit distance between a misspelt word and the valid ones.
 *
 * Every text that users write (recipes, layer lines, --set keys, recipe names) is answered with the
 * nearest valid word when it holds an unknown one; nn and train both read such text, so the search
 * lives here. */
#include "nearest.h"

#include <fenwicks/status.h>

#include <string.h>

enum { LOOK = 64 };

static int fold(char ch)
{
    if (ch >= 'A' && ch <= 'Z')
        return ch - 'A' + 'a';
    return ch == '-' ? '_' : ch;
}

static int min2(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance (Damerau 1964, no substring edited twice): three rows of the
 * table. */
static int distance(const char *a, const char *b)
{
    const size_t na = strnlen(a, LOOK), nb = strnlen(b, LOOK);
    int rows[3][LOOK + 1];
    int *two_up = rows[0], *up = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        up[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            const int same = fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1;
            int d = min2(up[j - 1] + same, min2(up[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]))
                d = min2(d, two_up[j - 2] + 1);
            row[j] = d;
        }
        int *const free_row = two_up;
        two_up = up;
        up = row;
        row = free_row;
    }
    return up[nb];
}

const char *fw_nearest(const char *word, const char *const *words, int n)
{
    return word == NULL || words == NULL || n < 1 ? NULL : fwi_nearest(word, words, (size_t)n);
}

const char *fwi_nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    int best_distance = 0;
    for (size_t i = 0; i < n; i++) {
        const int d = distance(word, names[i]);
        if (best == NULL || d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
