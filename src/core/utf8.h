/* utf8.h: whether bytes are UTF-8 text.
 *
 * Everything that we write as JSON (models, checkpoints, sidecars, config.json) is UTF-8, but the
 * names of files and what stands in them may be any bytes: what will be written at the end of a
 * training is asked this at its beginning. */
#ifndef FWI_UTF8_H
#define FWI_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the n bytes are whole characters of UTF-8 (RFC 3629, section 4: no overlong forms, no
 * surrogates, nothing above U+10FFFF). A 0 byte is a character. */
bool fwi_utf8_valid(const void *text, size_t n);

#endif
