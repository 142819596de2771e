/* json_read.h: JSON of files that nobody vouches for.
 *
 * A value of two characters takes jansson over a hundred bytes: a file of empty lists, all of them within the
 * limits of its format, would take tens of times its size. So the values are counted before any is made. */
#ifndef FWI_JSON_READ_H
#define FWI_JSON_READ_H

#include <fenwicks/status.h>
#include <jansson.h>

/* Values: names of a million classes and sizes of 100,000 files are fewer. Lists and objects of so many take some
 * 300 MB. */
enum { FWI_JSON_MOST = 1 << 21 };

/* As json_loadb, duplicate keys refused; NULL, with why, also if there are more than FWI_JSON_MOST values.
 * The caller json_decrefs. */
json_t *fwi_json_read(const void *text, size_t n_bytes, json_error_t *why);
/* What that NULL means: FW_ENOMEM, which says nothing of the text, else FW_EFORMAT. */
fw_status fwi_json_status(const json_error_t *why);

#endif
