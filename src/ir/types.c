/* types.c: shapes as values: made, counted, compared, as text for messages. Counting is where sizes
 * that may come from anybody are first looked at, so it cannot overflow. Next: shapes.c, the rules
 * of the ops. */
#include "ir_rules.h"

#include <inttypes.h>
#include <stdio.h>

fwi_shape fwi_shape1(int64_t a)
{
    return (fwi_shape){.rank = 1, .d = {a}};
}

fwi_shape fwi_shape2(int64_t a, int64_t b)
{
    return (fwi_shape){.rank = 2, .d = {a, b}};
}

fwi_shape fwi_shape4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (fwi_shape){.rank = 4, .d = {a, b, c, d}};
}

int64_t fwi_shape_elems(const fwi_shape *s)
{
    if (s->rank < 0 || s->rank > FW_MAX_RANK)
        return -1;
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++) {
        if (s->d[i] < 1 || s->d[i] > FWI_MAX_ELEMS / n)
            return -1;
        n *= s->d[i];
    }
    return n;
}

bool fwi_shape_equal(const fwi_shape *a, const fwi_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->d[i] != b->d[i])
            return false;
    return true;
}

const char *fwi_type_text(char text[FWI_SHAPE_TEXT], fw_dtype dtype, const fwi_shape *shape)
{
    int at = snprintf(text, FWI_SHAPE_TEXT, "%s[", fw_dtype_name(dtype));
    const int rank = shape->rank < 0 ? 0 : shape->rank > FW_MAX_RANK ? FW_MAX_RANK : shape->rank;
    for (int i = 0; i < rank; i++) /* 4 numbers of at most 20 characters: always fits */
        at += snprintf(text + at, (size_t)(FWI_SHAPE_TEXT - at), "%s%" PRId64, i > 0 ? "," : "",
                       shape->d[i]);
    snprintf(text + at, (size_t)(FWI_SHAPE_TEXT - at), "]");
    return text;
}
