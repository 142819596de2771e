/* number.h: numbers as text, the same under every locale.
 *
 * Recipes, layer lines and model files must mean the same in a program that called setlocale, so
 * decimal text goes through here instead of strtod and printf. */
#ifndef FWI_NUMBER_H
#define FWI_NUMBER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fail.h"

enum { FWI_NUMBER_CAP = 32 }; /* bytes of a printed number, its final 0 included */

/* The shortest decimal text that reads back as exactly v: "0.1", "1e-05", "nan", "-inf". */
void fwi_format_double(char out[FWI_NUMBER_CAP], double v);

/* vsnprintf, with a decimal point under every locale. */
int fwi_vformat(char *buf, size_t cap, const char *fmt, va_list args) FWI_PRINTF(3, 0);

/* The whole of text as a number: decimal only (no hex, no surrounding blanks). false, *out
 * unchanged, for other text, for nan and inf and for what overflows. */
bool fwi_parse_double(const char *text, double *out);
bool fwi_parse_int64(const char *text, int64_t *out); /* decimal digits with an optional sign */

/* The double that the shortest decimal text of f stands for: 0.1f gives 0.1, not
 * 0.100000001490116. For options that users give as float and that mean what was written. */
double fwi_widen(float f);

#endif
