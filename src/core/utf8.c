/* utf8.c: see utf8.h. The second byte alone has limits that depend on the first one; those after it
 * are 80 to BF always. */
#include "utf8.h"

#include <stdint.h>

/* Bytes of the character that begins with a, 0: none does; [*lo, *hi]: what its second byte may be. */
static size_t length_of(uint8_t a, uint8_t *lo, uint8_t *hi)
{
    *lo = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    *hi = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    if (a < 0x80)
        return 1;
    if (a < 0xC2)
        return 0;
    return a < 0xE0 ? 2 : a < 0xF0 ? 3 : a < 0xF5 ? 4 : 0;
}

bool fwi_utf8_valid(const void *text, size_t n)
{
    const uint8_t *p = text;
    for (size_t at = 0, k; at < n; at += k) {
        uint8_t lo, hi;
        k = length_of(p[at], &lo, &hi);
        if (k == 0 || k > n - at || (k > 1 && (p[at + 1] < lo || p[at + 1] > hi)))
            return false;
        for (size_t i = 2; i < k; i++)
            if (p[at + i] < 0x80 || p[at + i] > 0xBF)
                return false;
    }
    return true;
}
