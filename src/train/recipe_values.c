/* recipe_values.c: what the values of a recipe's keys may be and what they mean. The list of keys
 * is recipe_keys.def. A value is kept as it was written and read again where it is needed, so that
 * "5e-4*batch" follows a batch size that is set later. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "nearest.h"
#include "number.h"

const fwi_key_info fwi_keys[FWI_KEY_COUNT] = {
#define FW_KEY(id, section, key, type, def, low, high, doc, words)                                 \
    [FWI_KEY_##id] = {section, key, FWI_KEY_##type, def, low, high, doc, words},
#include "recipe_keys.def"
};

enum { MAX_WORDS = 8, WORD_CAP = 64 };

/* ---- words ---- */

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t';
}

bool fwi_next_word(const char **at, char *word, size_t cap)
{
    const char *p = *at;
    while (is_blank(*p))
        p++;
    size_t n = 0;
    for (; *p != 0 && !is_blank(*p); p++)
        if (n + 1 < cap)
            word[n++] = *p;
    word[n] = 0;
    *at = p;
    return n > 0;
}

/* Index of value among the words of a list; -1. */
static int find_word(const char *words, const char *value)
{
    char word[WORD_CAP];
    for (int i = 0; fwi_next_word(&words, word, sizeof word); i++)
        if (strcmp(word, value) == 0)
            return i;
    return -1;
}

static fw_status check_word(const char *words, const char *value)
{
    if (find_word(words, value) >= 0)
        return FW_OK;
    char word[MAX_WORDS][WORD_CAP];
    const char *names[MAX_WORDS];
    size_t n = 0;
    const char *at = words;
    while (n < MAX_WORDS && fwi_next_word(&at, word[n], WORD_CAP)) {
        names[n] = word[n];
        n++;
    }
    return fwi_fail(FW_EARG, "\"%.64s\", expected one of: %s (the nearest is %s)", value, words,
                    fwi_nearest(value, names, n));
}

/* ---- numbers ---- */

/* NUM, NUM/NUM or NUM^NUM, and after these /batch or *batch */
static bool parse_number(const char *text, fwi_number *out)
{
    static const char over[] = "/batch", times[] = "*batch";
    char copy[WORD_CAP];
    size_t n = strlen(text);
    fwi_number v = {.den = 1};
    if (n >= sizeof copy)
        return false;
    memcpy(copy, text, n + 1);
    if (n >= sizeof over - 1) {
        char *tail = copy + n - (sizeof over - 1);
        v.power = strcmp(tail, over) == 0 ? -1 : strcmp(tail, times) == 0 ? 1 : 0;
        if (v.power != 0)
            *tail = 0;
    }
    char *const second = strpbrk(copy, "/^"); /* of two numbers, what is between them */
    const char between = second == NULL ? 0 : *second;
    double b = 0;
    if (second != NULL)
        *second = 0;
    if (!fwi_parse_double(copy, &v.num) || (second != NULL && !fwi_parse_double(second + 1, &b)))
        return false;
    if (between == '/' && b == 0)
        return false;
    if (between == '/')
        v.den = b;
    else if (between == '^')
        v.num = pow(v.num, b);
    if (!isfinite(v.num))
        return false;
    *out = v;
    return true;
}

static fw_status check_number(const fwi_key_info *k, const char *word, bool rate)
{
    fwi_number v;
    if (!parse_number(word, &v))
        return fwi_fail(FW_EARG, "\"%.64s\", expected a number%s", word,
                        rate ? ", as in 0.4, 5/24, 0.4/batch or 5e-4*batch"
                             : ", as in 0.4, 5/24 or 0.99^5");
    if (v.power != 0 && !rate)
        return fwi_fail(FW_EARG, "\"%s\", but this number does not scale with the batch", word);
    const double x = v.num / v.den;
    if (!(x >= k->low && x <= k->high)) {
        char low[FWI_NUMBER_CAP], high[FWI_NUMBER_CAP];
        fwi_format_double(low, k->low);
        fwi_format_double(high, k->high);
        return fwi_fail(FW_EARG, "%s is not in %s to %s", word, low, high);
    }
    return FW_OK;
}

static fw_status check_int(const fwi_key_info *k, const char *word)
{
    int64_t v;
    if (!fwi_parse_int64(word, &v) || (double)v < k->low || (double)v > k->high)
        return fwi_fail(FW_EARG, "\"%.64s\", expected a whole number from %.0f to %.0f", word,
                        k->low, k->high);
    return FW_OK;
}

static fw_status check_one(const fwi_key_info *k, const char *word)
{
    switch (k->type) {
    case FWI_KEY_WORD:
        return check_word(k->words, word);
    case FWI_KEY_BOOL:
        return check_word("false true", word);
    case FWI_KEY_INT:
    case FWI_KEY_SIZE:
        return check_int(k, word);
    case FWI_KEY_NUMBER:
    case FWI_KEY_NUMBERS:
        return check_number(k, word, false);
    case FWI_KEY_RATE:
    case FWI_KEY_RATES:
        return check_number(k, word, true);
    case FWI_KEY_TEXT:
    case FWI_KEY_LINES:
        break;
    }
    return FW_OK;
}

fw_status fwi_key_check(fwi_key key, const char *value)
{
    const fwi_key_info *k = &fwi_keys[key];
    const size_t n = strlen(value);
    if (n > FWI_RECIPE_VALUE)
        return fwi_fail(FW_EARG, "%zu characters, at most %d are allowed", n,
                        (int)FWI_RECIPE_VALUE);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f || value[i] == ';')
            return fwi_fail(FW_EARG, "character %zu is a %s, which no value may hold", i + 1,
                            value[i] == ';' ? "semicolon (a comment)" : "control character");
    if (k->type == FWI_KEY_TEXT || k->type == FWI_KEY_LINES)
        return FW_OK;
    const int want = k->type == FWI_KEY_SIZE                                  ? 3
                     : k->type == FWI_KEY_NUMBERS || k->type == FWI_KEY_RATES ? FW_MAX_KNOTS
                                                                              : 1;
    char word[FWI_RECIPE_VALUE + 1];
    int words = 0;
    const char *at = value;
    while (fwi_next_word(&at, word, sizeof word)) {
        const fw_status st = check_one(k, word);
        if (st != FW_OK)
            return st;
        words++;
    }
    if (words > want || (k->type == FWI_KEY_SIZE && words > 0 && words < want))
        return fwi_fail(FW_EARG, "%d values, expected %s%d", words,
                        k->type == FWI_KEY_SIZE || want == 1 ? "" : "at most ", want);
    return FW_OK;
}

/* ---- reading them ---- */

const char *fwi_recipe_text(const fw_recipe *r, fwi_key key)
{
    if (r->value[key] != NULL)
        return r->value[key];
    if (key == FWI_KEY_TRAIN_SCHEDULE)
        return *fwi_recipe_text(r, FWI_KEY_TRAIN_LR_KNOTS) != 0 ? "piecewise" : "one_cycle";
    if (key == FWI_KEY_RECIPE_NAME)
        return r->name;
    return fwi_keys[key].def;
}

int64_t fwi_recipe_int(const fw_recipe *r, fwi_key key)
{
    int64_t v = 0;
    (void)fwi_parse_int64(fwi_recipe_text(r, key), &v);
    return v;
}

bool fwi_recipe_bool(const fw_recipe *r, fwi_key key)
{
    return strcmp(fwi_recipe_text(r, key), "true") == 0;
}

int fwi_recipe_word(const fw_recipe *r, fwi_key key)
{
    return find_word(fwi_keys[key].words, fwi_recipe_text(r, key));
}

static double value_of(const fw_recipe *r, const fwi_number *v, double whole)
{
    /* Multiplied before it is divided: shares of whole numbers of steps stay whole. */
    double x = v->num * whole / v->den;
    const double batch = (double)fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    if (v->power > 0)
        x *= batch;
    else if (v->power < 0)
        x /= batch;
    return x;
}

double fwi_recipe_share(const fw_recipe *r, fwi_key key, double whole)
{
    fwi_number v = {0, 1, 0};
    (void)parse_number(fwi_recipe_text(r, key), &v);
    return value_of(r, &v, whole);
}

fw_status fwi_recipe_read_number(const char *word, double low, double high, double whole,
                                 double *out)
{
    const fwi_key_info k = {.low = low, .high = high};
    fwi_number v = {0, 1, 0};
    const fw_status st = check_number(&k, word, false);
    if (st == FW_OK && parse_number(word, &v))
        *out = v.num * whole / v.den;
    return st;
}

double fwi_recipe_number(const fw_recipe *r, fwi_key key)
{
    return fwi_recipe_share(r, key, 1);
}

int fwi_recipe_numbers(const fw_recipe *r, fwi_key key, double whole, double *out, int cap)
{
    const char *at = fwi_recipe_text(r, key);
    char word[WORD_CAP];
    int n = 0;
    while (n < cap && fwi_next_word(&at, word, sizeof word)) {
        fwi_number v = {0, 1, 0};
        (void)parse_number(word, &v);
        out[n++] = value_of(r, &v, whole);
    }
    return n;
}

bool fwi_recipe_size(const fw_recipe *r, int64_t hwc[3])
{
    const char *at = fwi_recipe_text(r, FWI_KEY_NETWORK_INPUT);
    char word[WORD_CAP];
    int n = 0;
    while (n < 3 && fwi_next_word(&at, word, sizeof word) && fwi_parse_int64(word, &hwc[n]))
        n++;
    return n == 3;
}
