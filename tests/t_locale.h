/* t_locale.h: the program speaks a language with a decimal comma, which numbers in files must not. Where the
 * system has no such locale, but what they are made of, one is made in the test's folder. */
#ifndef T_LOCALE_H
#define T_LOCALE_H

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* false: there is none, nor can one be made. Undone by setlocale(LC_ALL, "C"). */
static inline bool t_comma_locale(void)
{
    char here[4096];
    const bool found =
        setlocale(LC_ALL, "de_DE.UTF-8") != NULL || setlocale(LC_ALL, "fr_FR.UTF-8") != NULL ||
        (system("localedef -c -i de_DE -f UTF-8 ./de_DE.UTF-8 > localedef.log 2>&1") >= 0 &&
         getcwd(here, sizeof here) != NULL && setenv("LOCPATH", here, 1) == 0 &&
         setlocale(LC_ALL, "de_DE.UTF-8") != NULL);
    return found && strcmp(localeconv()->decimal_point, ",") == 0;
}

#endif
