/* args.c: command-line arguments by table: parsing, --help, usage errors. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int usage_error(const command *self, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "fenwicks %s: ", self->name);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nusage: fenwicks %s\n       fenwicks %s --help\n", self->usage, self->name);
    return EXIT_USAGE;
}

static void print_help(const command *self, const arg_option *options, int n)
{
    printf("usage: fenwicks %s\n\n%s\n\noptions:\n", self->usage, self->about);
    for (int i = 0; i < n; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", options[i].name, options[i].value == NULL ? "" : " ",
                 options[i].value == NULL ? "" : options[i].value);
        printf("  %-24s %s\n", left, options[i].help);
    }
    printf("  %-24s %s\n", "--help", "this text");
}

/* Is word one of the comma-separated names of an option? n: its length without "=value". */
static bool named(const arg_option *o, const char *word, size_t n)
{
    for (const char *name = o->name; *name != 0;) {
        const size_t len = strcspn(name, ",");
        if (len == n && memcmp(name, word, n) == 0)
            return true;
        name += len + (name[len] == ',');
    }
    return false;
}

/* The name that word was probably meant to be: of options with two names the long one. */
static int unknown_option(const command *self, const arg_option *options, int n, const char *word,
                          int len)
{
    enum { MOST = 64, NAME = 32 };
    char copies[MOST][NAME], wanted[NAME];
    const char *names[MOST + 1];
    int count = 0;
    for (int k = 0; options != NULL && k < n && count < MOST; k++) {
        const char *comma = strchr(options[k].name, ',');
        snprintf(copies[count], NAME, "%s", comma == NULL ? options[k].name : comma + 1);
        names[count] = copies[count];
        count++;
    }
    names[count++] = "--help";
    snprintf(wanted, sizeof wanted, "%.*s", len, word);
    return usage_error(self, "unknown option %.*s; the nearest is %s", len, word,
                       fw_nearest(wanted, names, count));
}

static bool read_int(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (end == text || *end != 0 || errno != 0)
        return false;
    *out = v;
    return true;
}

static bool read_seed(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0)
        return false;
    *out = v;
    return true;
}

static bool read_size(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    int shift = 0;
    if (end == text || errno != 0 || v < 1)
        return false;
    if (*end != 0) {
        const char *unit = strchr("KMGT", *end);
        if (unit == NULL || (end[1] != 0 && strcmp(end + 1, "iB") != 0))
            return false;
        shift = 10 * (int)(unit - "KMGT" + 1);
    }
    if (v > INT64_MAX >> shift)
        return false;
    *out = v << shift;
    return true;
}

/* What store takes, for messages. */
static const char *expected(arg_kind kind)
{
    switch (kind) {
    case ARG_COUNT:
        return "a whole number, 1 or more";
    case ARG_INDEX:
    case ARG_SEED:
        return "a whole number, 0 or more";
    case ARG_THREADS:
        return "a whole number from 0 to 4096";
    case ARG_REAL:
        return "a number";
    case ARG_SIZE:
        return "a number of bytes above 0, as in 512M or 2G";
    case ARG_LIST:
        return "KEY=VALUE, at most 64 times";
    case ARG_WORDS:
        return "some text, at most 64 times";
    default:
        return "some text";
    }
}

static bool store(const arg_option *o, const char *text)
{
    int64_t i;
    char *end = NULL;
    switch (o->kind) {
    case ARG_FLAG:
        *(bool *)o->to = true;
        return true;
    case ARG_TEXT:
        *(const char **)o->to = text;
        return text[0] != 0;
    case ARG_COUNT:
        return read_int(text, &i) && i >= 1 && (*(int64_t *)o->to = i, true);
    case ARG_INDEX:
        return read_int(text, &i) && i >= 0 && (*(int64_t *)o->to = i, true);
    case ARG_THREADS:
        return read_int(text, &i) && i >= 0 && i <= MOST_THREADS && (*(int64_t *)o->to = i, true);
    case ARG_SEED:
        return read_seed(text, o->to);
    case ARG_SIZE:
        return read_size(text, o->to);
    case ARG_REAL: {
        const double v = strtod(text, &end);
        return end != text && *end == 0 && isfinite(v) && (*(double *)o->to = v, true);
    }
    case ARG_LIST:
    case ARG_WORDS: {
        arg_list *list = o->to;
        return text[0] != 0 && (o->kind == ARG_WORDS || strchr(text, '=') != NULL) &&
               list->n < (int)(sizeof list->items / sizeof *list->items) &&
               (list->items[list->n++] = text, true);
    }
    }
    return false;
}

int args_read(const command *self, int argc, char **argv, const arg_option *options, int n_options,
              const char **positional, int cap, int *n)
{
    bool only_positional = false;
    *n = 0;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (only_positional || word[0] != '-' || word[1] == 0) {
            if (*n == cap)
                return usage_error(self, "unexpected argument \"%s\"", word);
            positional[(*n)++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_positional = true;
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(self, options, n_options);
            return finish_output();
        }
        const char *equals = strchr(word, '=');
        const size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
        const arg_option *o = NULL;
        for (int k = 0; k < n_options && o == NULL; k++)
            if (named(&options[k], word, len))
                o = &options[k];
        if (o == NULL)
            return unknown_option(self, options, n_options, word, (int)len);
        if (o->kind == ARG_FLAG && equals != NULL)
            return usage_error(self, "%.*s takes no value", (int)len, word);
        if (o->kind != ARG_FLAG && equals == NULL && i + 1 == argc)
            return usage_error(self, "%s needs a value (%s)", word, o->value);
        const char *text = o->kind == ARG_FLAG ? "" : equals != NULL ? equals + 1 : argv[++i];
        if (!store(o, text))
            return usage_error(self, "%.*s: \"%s\", expected %s", (int)len, word, text,
                               expected(o->kind));
    }
    return -1;
}
