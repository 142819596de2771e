/* recipe.c: a recipe's life, its keys one by one, and the recipes that travel inside the library.
 * Files are read and written in recipe_text.c; what a recipe leads to is in recipe_build.c. */
#include "recipe_inner.h"

#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "file.h"
#include "nearest.h"
#include "utf8.h"

static const char suffix[] = ".recipe";

/* ---- life ---- */

fw_status fwi_recipe_new(fw_recipe **out, const char *source, const char *name)
{
    fw_recipe *r = fwi_alloc_zero(sizeof *r);
    if (r == NULL)
        return FW_ENOMEM;
    r->source = fwi_strdup(source);
    r->name = fwi_strdup(name);
    if (r->source == NULL || r->name == NULL) {
        fw_recipe_free(r);
        return FW_ENOMEM;
    }
    *out = r;
    return FW_OK;
}

void fw_recipe_free(fw_recipe *r)
{
    if (r == NULL)
        return;
    for (int k = 0; k < FWI_KEY_COUNT; k++)
        fwi_free(r->value[k]);
    fwi_recipe_lines_clear(r, FWI_KEY_AUGMENT_TRANSFORM);
    fwi_recipe_lines_clear(r, FWI_KEY_NETWORK_LAYER);
    fwi_recipe_lines_clear(r, FWI_KEY_TRAIN_GROUP);
    fwi_recipe_lines_clear(r, FWI_KEY_RECIPE_TRICK);
    fwi_recipe_lines_clear(r, FWI_KEY_PROXY_LAYER);
    fwi_free(r->source);
    fwi_free(r->name);
    fwi_buf_clear(&r->scratch);
    fwi_free(r);
}

/* ---- values ---- */

static int lines_at(fwi_key key)
{
    return key == FWI_KEY_AUGMENT_TRANSFORM ? 0
           : key == FWI_KEY_NETWORK_LAYER   ? 1
           : key == FWI_KEY_TRAIN_GROUP     ? 2
           : key == FWI_KEY_RECIPE_TRICK    ? 3
           : key == FWI_KEY_PROXY_LAYER     ? 4
                                            : -1;
}

fwi_lines *fwi_recipe_lines(const fw_recipe *r, fwi_key key)
{
    const int at = lines_at(key);
    return at < 0 ? NULL : (fwi_lines *)&r->lines[at];
}

const char *fwi_recipe_lines_source(const fw_recipe *r, fwi_key key)
{
    const char *own = r->lines_source[lines_at(key)];
    return own != NULL ? own : r->source;
}

static void lines_release(fwi_lines *l)
{
    for (int64_t i = 0; i < l->n; i++)
        fwi_free(l->text[i]);
    fwi_free(l->text);
    fwi_free(l->line);
    *l = (fwi_lines){0};
}

void fwi_recipe_lines_clear(fw_recipe *r, fwi_key key)
{
    const int at = lines_at(key);
    lines_release(&r->lines[at]);
    fwi_free(r->lines_source[at]);
    r->lines_source[at] = NULL;
}

static fw_status lines_add(fwi_lines *l, const char *text, int64_t line)
{
    if (l->n == FWI_RECIPE_LINES)
        return fwi_fail(FW_EARG, "more than %d lines", (int)FWI_RECIPE_LINES);
    if (l->n == l->cap) {
        const int64_t cap = l->cap == 0 ? 16 : 2 * l->cap;
        char **texts = fwi_realloc(l->text, (size_t)cap * sizeof *texts);
        if (texts == NULL)
            return FW_ENOMEM;
        l->text = texts;
        int64_t *numbers = fwi_realloc(l->line, (size_t)cap * sizeof *numbers);
        if (numbers == NULL)
            return FW_ENOMEM;
        l->line = numbers;
        l->cap = cap;
    }
    if ((l->text[l->n] = fwi_strdup(text)) == NULL)
        return FW_ENOMEM;
    l->line[l->n++] = line;
    return FW_OK;
}

/* A copy of [text, end) without the blanks around it. */
static char *trimmed(const char *text, const char *end)
{
    while (text < end && strchr(" \t\r\n", *text) != NULL)
        text++;
    while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    return fwi_sprintf("%.*s", (int)(end - text), text);
}

static fw_status put_part(fw_recipe *r, fwi_key key, const char *from, const char *end,
                          int64_t line)
{
    const fwi_key_info *k = &fwi_keys[key];
    char *text = trimmed(from, end);
    if (text == NULL)
        return FW_ENOMEM;
    fw_status st = fwi_utf8_valid(text, strlen(text)) /* run folders and results are JSON */
                       ? fwi_key_check(key, text)
                       : fwi_fail(FW_EARG, "is not UTF-8 text");
    if (st == FW_OK && k->type == FWI_KEY_LINES) {
        if (*text != 0)
            st = lines_add(fwi_recipe_lines(r, key), text, line);
    } else if (st == FW_OK) {
        fwi_free(r->value[key]);
        r->value[key] = *text == 0 ? NULL : text;
        if (*text != 0)
            text = NULL;
    }
    fwi_free(text);
    return st == FW_EARG ? fwi_fail_in(st, "%s.%s", k->section, k->key) : st;
}

fw_status fwi_recipe_put(fw_recipe *r, fwi_key key, const char *value, int64_t line)
{
    const size_t n = strlen(value);
    if (n > FWI_RECIPE_BYTES)
        return fwi_fail(FW_EARG, "%s.%s: %zu characters", fwi_keys[key].section, fwi_keys[key].key,
                        n);
    if (fwi_keys[key].type != FWI_KEY_LINES)
        return put_part(r, key, value, value + n, line);
    fw_status st = FW_OK;
    for (const char *at = value; st == FW_OK && *at != 0;) {
        const size_t part = strcspn(at, key == FWI_KEY_RECIPE_TRICK ? "\n" : ",\n");
        st = put_part(r, key, at, at + part, line > 0 ? line : fwi_recipe_lines(r, key)->n + 1);
        at += at[part] != 0 ? part + 1 : part;
    }
    return st;
}

/* ---- keys by name ---- */

static bool full_name(char *out, size_t cap, int key)
{
    return snprintf(out, cap, "%s.%s", fwi_keys[key].section, fwi_keys[key].key) < (int)cap;
}

/* The key whose full name, or bare name if name has no dot, is nearest. */
static fw_status unknown_key(const char *name)
{
    enum { NAME = 64 };
    char full[FWI_KEY_COUNT][NAME];
    const char *names[FWI_KEY_COUNT];
    const bool bare = strchr(name, '.') == NULL;
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        full_name(full[k], NAME, k);
        names[k] = bare ? fwi_keys[k].key : full[k];
    }
    const char *near = fwi_nearest(name, names, FWI_KEY_COUNT);
    int at = 0;
    while (names[at] != near)
        at++;
    return fwi_fail(FW_ENOTFOUND, "no recipe key \"%.64s\", the nearest valid one is %s", name,
                    full[at]);
}

fwi_key fwi_recipe_find_key(const char *name, fw_status *st)
{
    char full[2][64];
    int found = FWI_KEY_COUNT;
    *st = FW_OK;
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        full_name(full[0], sizeof full[0], k);
        if (strcmp(full[0], name) == 0)
            return (fwi_key)k;
        /* a bare name never means the proxy: layer is network.layer */
        if (strcmp(fwi_keys[k].key, name) != 0 || k == FWI_KEY_PROXY_LAYER)
            continue;
        if (found != FWI_KEY_COUNT) {
            full_name(full[1], sizeof full[1], found);
            *st = fwi_fail(FW_EARG, "recipe key \"%s\" may be %s or %s: write one of these", name,
                           full[1], full[0]);
            return FWI_KEY_COUNT;
        }
        found = k;
    }
    if (found == FWI_KEY_COUNT)
        *st = unknown_key(name);
    return (fwi_key)found;
}

/* A repeated key is replaced whole. */
static fw_status set_lines(fw_recipe *r, fwi_key key, const char *value)
{
    fwi_lines *now = fwi_recipe_lines(r, key), before = *now;
    char *source = fwi_sprintf("%s.%s", fwi_keys[key].section, fwi_keys[key].key);
    if (source == NULL)
        return FW_ENOMEM;
    *now = (fwi_lines){0};
    const fw_status st = fwi_recipe_put(r, key, value, 0);
    if (st != FW_OK) {
        lines_release(now);
        *now = before;
        fwi_free(source);
        return st;
    }
    lines_release(&before);
    char **own = &r->lines_source[lines_at(key)];
    fwi_free(*own);
    *own = source;
    return FW_OK;
}

fw_status fw_recipe_set(fw_recipe *r, const char *key, const char *value)
{
    if (r == NULL || key == NULL || value == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_set: NULL argument");
    fw_status st;
    const fwi_key k = fwi_recipe_find_key(key, &st);
    if (st != FW_OK)
        return st;
    st =
        fwi_keys[k].type == FWI_KEY_LINES ? set_lines(r, k, value) : fwi_recipe_put(r, k, value, 0);
    if (st == FW_OK)
        r->asked[k] = ++r->turns;
    return st;
}

const char *fw_recipe_get(fw_recipe *r, const char *key)
{
    fw_status st;
    if (r == NULL || key == NULL)
        return NULL;
    const fwi_key k = fwi_recipe_find_key(key, &st);
    if (st != FW_OK)
        return NULL;
    if (fwi_keys[k].type != FWI_KEY_LINES)
        return fwi_recipe_text(r, k);
    const fwi_lines *l = fwi_recipe_lines(r, k);
    r->scratch.size = 0;
    st = fwi_buf_printf(&r->scratch, "%s", "");
    for (int64_t i = 0; i < l->n && st == FW_OK; i++)
        st = fwi_buf_printf(&r->scratch, "%s%s", i > 0 ? "\n" : "", l->text[i]);
    return st == FW_OK ? (const char *)r->scratch.data : NULL;
}

const char *fw_recipe_name(const fw_recipe *r)
{
    return r == NULL ? "" : fwi_recipe_text(r, FWI_KEY_RECIPE_NAME);
}

/* ---- built-in recipes, and files ---- */

static bool is_recipe_file(const char *name)
{
    const size_t n = strlen(name), k = sizeof suffix - 1;
    return n > k && strcmp(name + n - k, suffix) == 0;
}

static const fwi_embedded *builtin_find(const char *name)
{
    for (const fwi_embedded *f = fwi_embedded_files; f->name != NULL; f++)
        if (f->recipe != NULL && strcmp(f->recipe, name) == 0)
            return f;
    return NULL;
}

int fw_recipe_count(void)
{
    int n = 0;
    for (const fwi_embedded *f = fwi_embedded_files; f->name != NULL; f++)
        n += f->recipe != NULL;
    return n;
}

const char *fw_recipe_name_at(int i)
{
    for (const fwi_embedded *f = fwi_embedded_files; f->name != NULL; f++)
        if (f->recipe != NULL && i-- == 0)
            return f->recipe;
    return NULL;
}

const char *fw_recipe_about(const char *name)
{
    const fwi_embedded *f = name == NULL ? NULL : builtin_find(name);
    return f == NULL ? NULL : f->about;
}

static fw_status unknown_recipe(const char *name)
{
    enum { CAP = 256 };
    const char *names[CAP];
    size_t n = 0;
    for (const char *s; n < CAP && (s = fw_recipe_name_at((int)n)) != NULL; n++)
        names[n] = s;
    return fwi_fail(FW_ENOTFOUND,
                    "no recipe \"%.64s\", the nearest one is %s; a file's name has a '/' in it or "
                    "ends in %s",
                    name, n > 0 ? fwi_nearest(name, names, n) : "missing", suffix);
}

fw_status fw_recipe_open(fw_recipe **out, const char *name_or_path)
{
    if (out == NULL || name_or_path == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_open: NULL argument");
    if (strchr(name_or_path, '/') == NULL && !is_recipe_file(name_or_path)) {
        const fwi_embedded *f = builtin_find(name_or_path);
        return f == NULL ? unknown_recipe(name_or_path)
                         : fw_recipe_parse(out, (const char *)f->data, f->name);
    }
    fwi_buf text = {0};
    fw_status st = fwi_read_file(name_or_path, FWI_RECIPE_BYTES, &text);
    if (st == FW_OK && memchr(text.data, 0, text.size) != NULL)
        st = fwi_fail(FW_EFORMAT, "%s: holds a 0 byte: this is no recipe", name_or_path);
    if (st == FW_OK)
        st = fw_recipe_parse(out, text.size == 0 ? "" : (const char *)text.data, name_or_path);
    fwi_buf_clear(&text);
    return st;
}
