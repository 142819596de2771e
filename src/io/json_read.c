/* json_read.c: json_read.h. */
#include "json_read.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"

static const char no_memory[] = "out of memory"; /* none of jansson's own words */

enum { ROOM = 4096, ROOM_VALUE = 192 }; /* what jansson takes at most, beside the texts twice */

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

/* Where jansson finds no memory it may say that the text is wrong. So it is asked for before. */
static bool has_room(size_t n_values, size_t n_bytes)
{
    char *const room = fwi_alloc(ROOM + ROOM_VALUE * n_values + 2 * n_bytes);
    if (room != NULL)
        *(volatile char *)room = 0; /* no compiler leaves it out */
    fwi_free(room);
    return room != NULL;
}

json_t *fwi_json_read(const void *text, size_t n_bytes, json_error_t *why)
{
    const size_t n = count_values(text, n_bytes);
    *why = (json_error_t){.line = 1};
    if (n > FWI_JSON_MOST) {
        snprintf(why->text, sizeof why->text, "%zu values, at most %d are read", n, FWI_JSON_MOST);
        return NULL;
    }
    json_t *const json =
        has_room(n, n_bytes) ? json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, why) : NULL;
    if (json == NULL && why->text[0] == 0)
        snprintf(why->text, sizeof why->text, "%s", no_memory);
    return json;
}

fw_status fwi_json_status(const json_error_t *why)
{
    return strcmp(why->text, no_memory) == 0 ? FW_ENOMEM : FW_EFORMAT;
}
