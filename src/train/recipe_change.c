/* recipe_change.c: variants of a recipe: changes as text, what it means to leave a trick out, and
 * what tells two recipes apart. Read before: recipe.c. The language of changes is in
 * fenwicks/recipe.h, the lines "trick = NAME CHANGES" in docs/formats/recipe.md. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "nearest.h"

enum { NAME_CAP = 96 };

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_-.:*", c) != NULL);
}

/* ---- one line of a repeated key ---- */

/* The first word of a line, cut to cap. */
static void first_word(const char *line, char *word, size_t cap)
{
    word[0] = 0;
    (void)fwi_next_word(&line, word, cap);
}

/* The value of word "option=value"; NULL: another word. */
static const char *option_value(const char *word, const char *option)
{
    const size_t n = strlen(option);
    return strncmp(word, option, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static bool has_option(const char *line, const char *option)
{
    char word[FWI_RECIPE_VALUE + 1];
    while (fwi_next_word(&line, word, sizeof word))
        if (option_value(word, option) != NULL)
            return true;
    return false;
}

/* The line with option=value in place of the option, or behind it; without it where value is "". */
static fw_status put_option(fwi_buf *out, const char *line, const char *option, const char *value)
{
    char word[FWI_RECIPE_VALUE + 1];
    fw_status st = FW_OK;
    bool done = *value == 0;
    for (int i = 0; st == FW_OK && fwi_next_word(&line, word, sizeof word); i++) {
        const bool this_one = option_value(word, option) != NULL;
        if (this_one && *value == 0)
            continue;
        st = this_one ? fwi_buf_printf(out, " %s=%s", option, value)
                      : fwi_buf_printf(out, "%s%s", i > 0 ? " " : "", word);
        done = done || this_one;
    }
    return st != FW_OK || done ? st : fwi_buf_printf(out, " %s=%s", option, value);
}

/* KEY:WORD=LINE (option NULL) and KEY:WORD.OPTION=VALUE. */
static fw_status change_lines(fw_recipe *r, fwi_key key, const char *word, const char *option,
                              const char *value)
{
    const fwi_key_info *const k = &fwi_keys[key];
    const fwi_lines *const l = fwi_recipe_lines(r, key);
    const bool every = strcmp(word, "*") == 0;
    fwi_buf text = {0};
    char own[NAME_CAP];
    int64_t found = 0;
    if (l == NULL || key == FWI_KEY_RECIPE_TRICK)
        return fwi_fail(FW_EARG, "%s.%s has no lines to change", k->section, k->key);
    if (every && option == NULL)
        return fwi_fail(FW_EARG, "%s.%s:* needs an option, as in %s:*.act=relu", k->section, k->key,
                        k->key);
    fw_status st = fwi_buf_printf(&text, "%s", "");
    for (int64_t i = 0; i < l->n && st == FW_OK; i++) {
        first_word(l->text[i], own, sizeof own);
        const bool meant = every ? has_option(l->text[i], option) : strcmp(own, word) == 0;
        found += meant;
        if (meant && option != NULL)
            st = put_option(&text, l->text[i], option, value);
        else
            st = fwi_buf_printf(&text, "%s", meant ? value : l->text[i]);
        if (st == FW_OK)
            st = fwi_buf_printf(&text, "\n");
    }
    if (st == FW_OK && found == 0)
        st = fwi_fail(FW_ENOTFOUND, "no line of %s.%s %s %s", k->section, k->key,
                      every ? "has the option" : "begins with", every ? option : word);
    if (st == FW_OK) {
        char name[NAME_CAP];
        snprintf(name, sizeof name, "%s.%s", k->section, k->key);
        st = fw_recipe_set(r, name, (const char *)text.data);
    }
    fwi_buf_clear(&text);
    return st;
}

/* ---- changes ---- */

/* Bytes of the section with a blank in its name ("network proxy.") that `text` begins with, dot
 * included; 0: none. A blank elsewhere ends a name: else a list of lines would be full of names. */
static size_t blank_section(const char *text)
{
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        const char *const section = fwi_keys[k].section;
        const size_t n = strlen(section);
        if (strchr(section, ' ') != NULL && strncmp(text, section, n) == 0 && text[n] == '.')
            return n + 1;
    }
    return 0;
}

/* Bytes of the name that `text` begins with, where '=' follows; 0: none. */
static size_t name_before_equals(const char *text)
{
    size_t n = blank_section(text);
    while (is_name_char(text[n]))
        n++;
    return text[n] == '=' ? n : 0;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n')
        at++;
    return at;
}

/* Bytes of the first change: up to a comma that a name and '=' follow. */
static size_t change_bytes(const char *text)
{
    const char *comma = strchr(text, ',');
    while (comma != NULL && name_before_equals(skip_blanks(comma + 1)) == 0)
        comma = strchr(comma + 1, ',');
    return comma == NULL ? strlen(text) : (size_t)(comma - text);
}

/* name: up to the '='; value: what is behind it. */
static fw_status change_one(fw_recipe *r, char *name, const char *value)
{
    char *const colon = strchr(name, ':');
    if (colon == NULL)
        return fw_recipe_set(r, name, value);
    *colon = 0;
    char *const word = colon + 1, *const dot = strchr(word, '.');
    if (dot != NULL)
        *dot = 0;
    fw_status st;
    const fwi_key key = fwi_recipe_find_key(name, &st);
    return st != FW_OK ? st : change_lines(r, key, word, dot == NULL ? NULL : dot + 1, value);
}

fw_status fw_recipe_change(fw_recipe *r, const char *changes)
{
    if (r == NULL || changes == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_change: NULL argument");
    fw_status st = FW_OK;
    for (const char *at = skip_blanks(changes); *at != 0 && st == FW_OK;) {
        const size_t n = change_bytes(at), name = name_before_equals(at);
        if (n > FWI_RECIPE_BYTES)
            return fwi_fail(FW_EARG, "a change of %zu bytes: a recipe has at most %d", n,
                            (int)FWI_RECIPE_BYTES);
        char *text = fwi_sprintf("%.*s", (int)n, at);
        if (text == NULL)
            return FW_ENOMEM;
        if (name == 0 || name > n) {
            st = fwi_fail(FW_EARG,
                          "\"%.64s\" is no change: expected KEY=VALUE, KEY:WORD=LINE or "
                          "KEY:WORD.OPTION=VALUE",
                          text);
        } else {
            text[name] = 0;
            st = change_one(r, text, text + name + 1);
        }
        fwi_free(text);
        at = skip_blanks(at + n + (at[n] == ','));
    }
    return st;
}

/* ---- tricks ---- */

/* Of a line "NAME CHANGES": the name into word; returns where the changes begin. */
static const char *trick_split(const char *line, char word[NAME_CAP])
{
    (void)fwi_next_word(&line, word, NAME_CAP);
    return skip_blanks(line);
}

fw_status fwi_recipe_tricks_check(const fw_recipe *r)
{
    const fwi_lines *const l = fwi_recipe_lines(r, FWI_KEY_RECIPE_TRICK);
    char name[NAME_CAP], other[NAME_CAP];
    for (int64_t i = 0; i < l->n; i++) {
        const char *why = NULL;
        const char *const changes = trick_split(l->text[i], name);
        for (int64_t k = 0; k < i; k++) {
            (void)trick_split(l->text[k], other);
            if (strcmp(name, other) == 0)
                why = "is there already";
        }
        if (strcmp(name, "all") == 0)
            why = "stands for all tricks";
        if (strpbrk(name, "=:,") != NULL || name_before_equals(changes) == 0)
            why = "is not followed by its changes: trick = NAME KEY=VALUE, ...";
        if (why != NULL)
            return fwi_fail(FW_EFORMAT, "%s: line %" PRId64 ": trick \"%.64s\" %s",
                            fwi_recipe_lines_source(r, FWI_KEY_RECIPE_TRICK), l->line[i], name,
                            why);
    }
    return FW_OK;
}

fw_status fw_recipe_tricks(const fw_recipe *r, char **names)
{
    if (r == NULL || names == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_tricks: NULL argument");
    const fwi_lines *const l = fwi_recipe_lines(r, FWI_KEY_RECIPE_TRICK);
    fwi_buf out = {0};
    char name[NAME_CAP];
    fw_status st = fwi_buf_printf(&out, "%s", "");
    for (int64_t i = 0; i < l->n && st == FW_OK; i++) {
        (void)trick_split(l->text[i], name);
        st = fwi_buf_printf(&out, "%s%s", i > 0 ? " " : "", name);
    }
    if (st != FW_OK)
        fwi_buf_clear(&out);
    else
        *names = (char *)out.data;
    return st;
}

/* Keys of [recipe] change nothing in a run: there is nothing to leave out. */
static bool is_about_recipe(int key)
{
    return strcmp(fwi_keys[key].section, "recipe") == 0;
}

/* All that could have been meant: tricks, transforms, options of layers, keys that are not at their
 * defaults. Names live in out until it is cleared. */
static fw_status list_names(const fw_recipe *r, fwi_buf *out, fwi_buf *at)
{
    const fwi_key keys[] = {FWI_KEY_RECIPE_TRICK, FWI_KEY_AUGMENT_TRANSFORM, FWI_KEY_NETWORK_LAYER};
    char word[NAME_CAP];
    fw_status st = FW_OK;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const fwi_lines *const l = fwi_recipe_lines(r, keys[k]);
        for (int64_t i = 0; i < l->n; i++) {
            const char *line = l->text[i];
            while (st == FW_OK && fwi_next_word(&line, word, sizeof word)) {
                char *const equals = strchr(word, '=');
                const bool option = keys[k] == FWI_KEY_NETWORK_LAYER;
                if (option != (equals != NULL))
                    continue;
                if (equals != NULL)
                    *equals = 0;
                st = fwi_buf_append(at, &out->size, sizeof out->size);
                if (st == FW_OK)
                    st = fwi_buf_append(out, word, strlen(word) + 1);
                if (!option)
                    break;
            }
        }
    }
    for (int k = 0; k < FWI_KEY_COUNT && st == FW_OK; k++) {
        if (r->value[k] == NULL || is_about_recipe(k))
            continue;
        st = fwi_buf_append(at, &out->size, sizeof out->size);
        if (st == FW_OK)
            st = fwi_buf_append(out, fwi_keys[k].key, strlen(fwi_keys[k].key) + 1);
    }
    return st;
}

static fw_status nothing_of_that_name(const fw_recipe *r, const char *what)
{
    fwi_buf text = {0}, at = {0};
    fw_status st = list_names(r, &text, &at);
    const size_t n = at.size / sizeof(size_t);
    const char **names = st == FW_OK && n > 0 ? fwi_alloc_array(n, sizeof *names) : NULL;
    if (names != NULL) {
        for (size_t i = 0; i < n; i++) {
            size_t offset;
            memcpy(&offset, at.data + i * sizeof offset, sizeof offset);
            names[i] = (const char *)text.data + offset;
        }
        st = fwi_fail(FW_ENOTFOUND,
                      "recipe %s has no trick, key, transform or option of layers \"%.64s\", the "
                      "nearest is %s",
                      fw_recipe_name(r), what, fwi_nearest(what, names, n));
    } else if (st == FW_OK) {
        st = n > 0
                 ? FW_ENOMEM
                 : fwi_fail(FW_ENOTFOUND, "recipe %s has nothing to leave out", fw_recipe_name(r));
    }
    fwi_free(names);
    fwi_buf_clear(&text);
    fwi_buf_clear(&at);
    return st;
}

/* Whether a line of key begins with the word, or has the option. */
static bool any_line(const fw_recipe *r, fwi_key key, const char *word, bool option)
{
    const fwi_lines *const l = fwi_recipe_lines(r, key);
    char own[NAME_CAP];
    for (int64_t i = 0; i < l->n; i++) {
        first_word(l->text[i], own, sizeof own);
        if (option ? has_option(l->text[i], word) : strcmp(own, word) == 0)
            return true;
    }
    return false;
}

static bool is_key(const char *name)
{
    const char *const dot = strchr(name, '.');
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        const size_t n = strlen(fwi_keys[k].section);
        if (is_about_recipe(k))
            continue;
        if (dot == NULL ? strcmp(fwi_keys[k].key, name) == 0
                        : (size_t)(dot - name) == n && memcmp(fwi_keys[k].section, name, n) == 0 &&
                              strcmp(fwi_keys[k].key, dot + 1) == 0)
            return true;
    }
    return false;
}

fw_status fw_recipe_without(const fw_recipe *r, const char *what, char **changes)
{
    if (r == NULL || what == NULL || changes == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_without: NULL argument");
    const fwi_lines *const l = fwi_recipe_lines(r, FWI_KEY_RECIPE_TRICK);
    char *text = NULL, name[NAME_CAP];
    for (int64_t i = 0; i < l->n; i++) {
        const char *const of = trick_split(l->text[i], name);
        if (strcmp(name, what) == 0) {
            text = fwi_strdup(of);
            goto found;
        }
    }
    if (is_key(what))
        text = fwi_sprintf("%s=", what);
    else if (any_line(r, FWI_KEY_AUGMENT_TRANSFORM, what, false))
        text = fwi_sprintf("augment.transform:%s=", what);
    else if (any_line(r, FWI_KEY_NETWORK_LAYER, what, true))
        text = fwi_sprintf("network.layer:*.%s=", what);
    else
        return nothing_of_that_name(r, what);
found:
    if (text == NULL)
        return FW_ENOMEM;
    *changes = text;
    return FW_OK;
}

/* ---- what tells recipes apart ---- */

static void hash(uint64_t *h, const char *text)
{
    for (; *text != 0; text++) { /* FNV-1a */
        *h ^= (unsigned char)*text;
        *h *= UINT64_C(0x100000001b3);
    }
}

static void hash_entry(uint64_t *h, const fwi_key_info *k, const char *value)
{
    const char *const parts[] = {k->section, ".", k->key, "=", value, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash(h, parts[i]);
}

fw_status fw_recipe_id(const fw_recipe *r, char id[FW_RECIPE_ID_CAP])
{
    if (r == NULL || id == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_id: NULL argument");
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        const fwi_lines *const l = fwi_recipe_lines(r, (fwi_key)k);
        if (is_about_recipe(k))
            continue;
        for (int64_t i = 0; l != NULL && i < l->n; i++)
            hash_entry(&h, &fwi_keys[k], l->text[i]);
        /* in effect: a schedule that follows from other keys counts as if it had been written */
        const char *const value = l == NULL ? fwi_recipe_text(r, (fwi_key)k) : fwi_keys[k].def;
        if (strcmp(value, fwi_keys[k].def) != 0)
            hash_entry(&h, &fwi_keys[k], value);
    }
    snprintf(id, FW_RECIPE_ID_CAP, "%016" PRIx64, h);
    return FW_OK;
}
