/* number.c: numbers as text under the C locale, whatever the program's is.
 *
 * glibc, musl and macOS all have per-thread locales; the "C" one is static there, so asking for it
 * allocates nothing. Used by every room that reads or writes text for people. */
#include "number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Switches this thread to the C locale; undone by uselocale of what it returns. */
static locale_t enter_c_locale(void)
{
    pthread_once(&c_locale_once, make_c_locale);
    return uselocale(c_locale); /* (locale_t)0, if there is no memory for it, only asks */
}

void fwi_format_double(char out[FWI_NUMBER_CAP], double v)
{
    if (isnan(v)) {
        memcpy(out, "nan", sizeof "nan"); /* printf's may carry a sign */
        return;
    }
    const locale_t before = enter_c_locale();
    for (int digits = 1; digits <= 17; digits++) { /* 17 are always enough */
        snprintf(out, FWI_NUMBER_CAP, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    uselocale(before);
}

int fwi_vformat(char *buf, size_t cap, const char *fmt, va_list args)
{
    const locale_t before = enter_c_locale();
    const int n = vsnprintf(buf, cap, fmt, args);
    uselocale(before);
    return n;
}

double fwi_widen(float f)
{
    if (!isfinite(f))
        return (double)f;
    char text[FWI_NUMBER_CAP];
    double wide = (double)f;
    const locale_t before = enter_c_locale();
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)f);
        if (strtof(text, NULL) == f) {
            wide = strtod(text, NULL);
            break;
        }
    }
    uselocale(before);
    return wide;
}

bool fwi_parse_double(const char *text, double *out)
{
    /* strtod alone would also take blanks, "0x1p3", "nan" and "infinity". */
    if (*text == 0 || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    const int saved = errno;
    const locale_t before = enter_c_locale();
    char *end = NULL;
    const double v = strtod(text, &end);
    uselocale(before);
    errno = saved;
    if (end == text || *end != 0 || !isfinite(v))
        return false;
    *out = v;
    return true;
}

bool fwi_parse_int64(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits == 0 || strspn(digits, "0123456789") != strlen(digits))
        return false;
    const int saved = errno;
    errno = 0;
    const long long v = strtoll(text, NULL, 10);
    const bool fits = errno == 0;
    errno = saved;
    if (fits)
        *out = v;
    return fits;
}
