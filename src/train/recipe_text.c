/* recipe_text.c: recipes as INI files (docs/formats/recipe.md), through inih.
 *
 * inih gives its handler no line numbers and joins indented lines to the value before them; both
 * are settled by the reader that hands it the lines: it counts them and takes the indentation away
 * (so layers inside a branch may be indented). Neighbours: recipe.c, recipe_values.c. */
#include "recipe_inner.h"

#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "file.h"
#include "nearest.h"
#include "utf8.h"

typedef struct parser {
    fw_recipe *r;
    const char *at; /* what is left of the text */
    int64_t line;
    int64_t given[FWI_KEY_COUNT]; /* line of each key; 0: not yet */
    fw_status st;
} parser;

/* fgets over the text, for inih. NULL at the end, and after the first mistake. */
static char *next_line(char *buf, int cap, void *user)
{
    parser *p = user;
    if (p->st != FW_OK || *p->at == 0)
        return NULL;
    p->line++;
    const char *text = p->at, *end = text + strcspn(text, "\n");
    p->at = *end == '\n' ? end + 1 : end;
    if (p->line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3; /* a byte order mark */
    while (text < end && (*text == ' ' || *text == '\t'))
        text++;
    const int64_t n = end - text;
    if (*text == '#' || *text == ';' || n == 0) { /* comments may be long */
        memcpy(buf, "\n", 2);
        return buf;
    }
    if (n > cap - 3) {
        p->st = fwi_fail(FW_EFORMAT, "%" PRId64 " characters, at most %d are allowed", n, cap - 3);
        return NULL;
    }
    memcpy(buf, text, (size_t)n);
    memcpy(buf + n, "\n", 2);
    return buf;
}

/* Bytes that could confuse a terminal become '?'. */
static const char *printable(char *copy, size_t cap, const char *text)
{
    snprintf(copy, cap, "%s", text);
    for (char *c = copy; *c != 0; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    return copy;
}

static fw_status unknown(const char *section, const char *key)
{
    const char *names[FWI_KEY_COUNT];
    char shown[64];
    size_t n = 0;
    for (int k = 0; k < FWI_KEY_COUNT; k++)
        if (strcmp(fwi_keys[k].section, section) == 0)
            names[n++] = fwi_keys[k].key;
    if (n > 0)
        return fwi_fail(FW_EFORMAT, "unknown key \"%s\" in [%s], the nearest valid one is %s",
                        printable(shown, sizeof shown, key), section, fwi_nearest(key, names, n));
    if (*section == 0)
        return fwi_fail(FW_EFORMAT, "\"%s\" stands before the first [section]",
                        printable(shown, sizeof shown, key));
    for (int k = 0; k < FWI_KEY_COUNT; k++)
        names[n++] = fwi_keys[k].section;
    return fwi_fail(FW_EFORMAT, "unknown section [%s], the nearest valid one is [%s]",
                    printable(shown, sizeof shown, section), fwi_nearest(section, names, n));
}

/* inih's handler: 1 goes on, 0 is a mistake. */
static int take(void *user, const char *section, const char *key, const char *value)
{
    parser *p = user;
    if (p->st != FW_OK)
        return 0;
    int k = 0;
    while (k < FWI_KEY_COUNT &&
           (strcmp(fwi_keys[k].section, section) != 0 || strcmp(fwi_keys[k].key, key) != 0))
        k++;
    if (k == FWI_KEY_COUNT)
        p->st = unknown(section, key);
    else if (p->given[k] > 0 && fwi_keys[k].type != FWI_KEY_LINES)
        p->st = fwi_fail(FW_EFORMAT, "%s.%s was given in line %" PRId64 " already", section, key,
                         p->given[k]);
    else if ((p->st = fwi_recipe_put(p->r, (fwi_key)k, value, p->line)) == FW_EARG)
        p->st = FW_EFORMAT; /* the same message: here it is the file's mistake */
    if (k < FWI_KEY_COUNT)
        p->given[k] = p->line;
    return p->st == FW_OK;
}

/* "mnist" of "recipes/mnist.recipe" */
static fw_status new_named(fw_recipe **out, const char *source)
{
    const char *base = fwi_path_base(source);
    const char *dot = strrchr(base, '.');
    char name[FWI_RECIPE_VALUE + 1];
    const size_t n = dot != NULL && dot > base ? (size_t)(dot - base) : strlen(base);
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), base);
    const bool text = fwi_utf8_valid(name, strlen(name));
    for (char *c = name; *c != 0; c++) /* it has to be printed as a value, and stand in JSON */
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == ';' ||
            (!text && (unsigned char)*c >= 0x80))
            *c = '_';
    return fwi_recipe_new(out, source, name);
}

fw_status fw_recipe_parse(fw_recipe **out, const char *text, const char *source)
{
    if (out == NULL || text == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_parse: NULL argument");
    if (source == NULL)
        source = "recipe";
    if (strlen(text) > FWI_RECIPE_BYTES)
        return fwi_fail(FW_EFORMAT, "%s: %zu bytes, a recipe has at most %d", source, strlen(text),
                        (int)FWI_RECIPE_BYTES);
    parser p = {.at = text};
    fw_layer *net = NULL, *proxy = NULL;
    fw_transform chain[FWI_RECIPE_TRANSFORMS + 1];
    fw_status st = new_named(&p.r, source);
    if (st != FW_OK)
        return st;
    const int rc = ini_parse_stream(next_line, &p, take, &p);
    if (p.st != FW_OK) {
        st = p.st == FW_ENOMEM ? p.st : fwi_fail_in(p.st, "%s: line %" PRId64, source, p.line);
    } else if (rc > 0) {
        st = fwi_fail(FW_EFORMAT, "%s: line %d: expected [section], key = value or a # comment",
                      source, rc);
    } else if (rc < 0) {
        st = fwi_fail(FW_ENOMEM, "%s: memory ran out", source);
    }
    /* Lines of layers, transforms, groups and tricks are read now, so that a mistake in a file is found when the
     * file is. A recipe without layers may be completed by fw_recipe_set. */
    if (st == FW_OK && fwi_recipe_lines(p.r, FWI_KEY_NETWORK_LAYER)->n > 0)
        st = fwi_recipe_net(p.r, &net);
    if (st == FW_OK)
        st = fwi_recipe_proxy(p.r, &proxy);
    if (st == FW_OK)
        st = fwi_recipe_transforms(p.r, NULL, NULL, 0, true, chain);
    if (st == FW_OK)
        st = fwi_recipe_groups_check(p.r);
    if (st == FW_OK)
        st = fwi_recipe_tricks_check(p.r);
    fw_layer_free(net);
    fw_layer_free(proxy);
    if (st != FW_OK) {
        fw_recipe_free(p.r);
        return st;
    }
    *out = p.r;
    return FW_OK;
}

/* ---- printing ---- */

enum { COMMENT_COLUMN = 34, LINE_CAP = 180 };

static fw_status print_key(fwi_buf *out, const fw_recipe *r, fwi_key key)
{
    const fwi_key_info *k = &fwi_keys[key];
    const char *text = fwi_recipe_text(r, key);
    char line[512];
    int n = snprintf(line, sizeof line, "%s =%s%s", k->key, *text == 0 ? "" : " ", text);
    if (k->type != FWI_KEY_TEXT && n + 3 + (int)strlen(k->doc) < LINE_CAP)
        (void)snprintf(line + n, sizeof line - (size_t)n, "%*s ; %s",
                       n < COMMENT_COLUMN ? COMMENT_COLUMN - n : 0, "", k->doc);
    return fwi_buf_printf(out, "%s\n", line);
}

static fw_status print_lines(fwi_buf *out, const fw_recipe *r, fwi_key key)
{
    const fwi_lines *l = fwi_recipe_lines(r, key);
    fw_status st = FW_OK;
    for (int64_t i = 0; i < l->n && st == FW_OK; i++)
        st = fwi_buf_printf(out, "%s = %s\n", fwi_keys[key].key, l->text[i]);
    return st;
}

fw_status fw_recipe_print(const fw_recipe *r, char **text)
{
    if (r == NULL || text == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_print: NULL argument");
    fwi_buf out = {0};
    fw_status st = FW_OK;
    const char *section = "";
    for (int k = 0; k < FWI_KEY_COUNT && st == FW_OK; k++) {
        if (strcmp(section, fwi_keys[k].section) != 0) {
            section = fwi_keys[k].section;
            st = fwi_buf_printf(&out, "%s[%s]\n", k > 0 ? "\n" : "", section);
        }
        if (st == FW_OK)
            st = fwi_keys[k].type == FWI_KEY_LINES ? print_lines(&out, r, (fwi_key)k)
                                                   : print_key(&out, r, (fwi_key)k);
    }
    if (st != FW_OK) {
        fwi_buf_clear(&out);
        return st;
    }
    *text = (char *)out.data;
    return FW_OK;
}
