/* json_read.c: json_read.h. */
#include "json_read.h"

#include <stdbool.h>
#include <stdio.h>

/* At most how many values a text has: one, and one for each bracket and comma outside of strings. */
static size_t count_values(const char *text, size_t n_bytes)
{
    size_t n = 1;
    bool inside = false;
    for (size_t i = 0; i < n_bytes; i++) {
        const char c = text[i];
        if (c == '"')
            inside = !inside;
        else if (inside && c == '\\')
            i++;
        else if (!inside && (c == '[' || c == '{' || c == ','))
            n++;
    }
    return n;
}

json_t *fwi_json_read(const void *text, size_t n_bytes, json_error_t *why)
{
    const size_t n = count_values(text, n_bytes);
    if (n <= FWI_JSON_MOST)
        return json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, why);
    *why = (json_error_t){.line = 1};
    snprintf(why->text, sizeof why->text, "%zu values, at most %d are read", n, FWI_JSON_MOST);
    return NULL;
}
