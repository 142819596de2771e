/* output.c: results on standard output, words on standard error, exit codes. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A progress line may stand there, which nothing has ended. */
void clear_line(void)
{
    if (isatty(STDERR_FILENO) == 1)
        fputs("\r\033[K", stderr);
}

int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    fprintf(stderr, "fenwicks: cannot write to standard output\n");
    return EXIT_FAILED;
}

void print_explanation(void *user, const char *text)
{
    (void)user;
    (void)fputs(text, stderr);
}

json_t *number_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *known_or_null(double v)
{
    return number_or_null(v > 0 ? v : NAN);
}

json_t *seed_json(uint64_t seed)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, seed);
    return seed <= INT64_MAX ? json_integer((json_int_t)seed) : json_string(text);
}

int print_json(json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_REAL_PRECISION(17));
    json_decref(object);
    if (text == NULL) {
        fprintf(stderr, "fenwicks: the result cannot be put as JSON: a number that is not finite, "
                        "or no memory\n");
        puts("{\"error\": \"the result cannot be put as JSON\", \"status\": \"FW_EINTERNAL\"}");
        return EXIT_FAILED;
    }
    puts(text);
    free(text);
    return finish_output();
}

/* Bytes of the control character that stands here; 0: there is none. */
static int control_at(const char *text)
{
    const unsigned char *const p = (const unsigned char *)text;
    if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* U+0080 to U+009F */
        return 2;
    return *p < 0x20 || *p == 0x7f ? 1 : 0;
}

void make_printable(char *text)
{
    for (; *text != 0; text++)
        for (int i = control_at(text); i > 0; i--)
            text[i - 1] = '?';
}

void put_text(const char *text, int width)
{
    int n = 0;
    for (; *text != 0; text++, n++) {
        const int control = control_at(text);
        putchar(control > 0 ? '?' : *text);
        text += control == 2;
    }
    printf("%*s", n < width ? width - n : 0, "");
}

int fail(const char *what, fw_status st, bool json)
{
    return fail_with(what, st, fw_last_error(), json);
}

json_t *text_json(const char *any)
{
    json_t *text = json_string(any);
    char *copy = text != NULL ? NULL : strdup(any);
    for (char *p = copy; p != NULL && *p != 0; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    if (copy != NULL)
        text = json_string(copy);
    free(copy);
    return text;
}

int fail_with(const char *what, fw_status st, const char *message, bool json)
{
    clear_line();
    fprintf(stderr, "fenwicks %s: %s\n", what, message);
    if (json)
        (void)print_json(
            json_pack("{s:o, s:s}", "error", text_json(message), "status", fw_status_name(st)));
    return st == FW_ESTOPPED ? EXIT_INTERRUPTED : EXIT_FAILED;
}
