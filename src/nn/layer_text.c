/* layer_text.c: layers as lines of text, and back: the form of recipe and model files.
 *
 * One line per layer, "conv_bn 64 act=gelu"; values equal to their defaults are left out. A nested
 * sequential is "sequential" .. "end"; a parallel is "parallel", "branch" and the branch's lines
 * for each branch, "end". Blank lines and lines that start with # are passed over. What words and
 * values there are is in layer_kinds.c. docs/formats/recipe.md describes this form for users. */
#include "layer_inner.h"
#include "nearest.h"
#include "number.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- printing ---- */

static fw_status print_line(fwi_buf *out, const fw_layer *l)
{
    const fwi_layer_info *const info = fwi_layer_info_get(l->kind);
    fw_status st = fwi_buf_printf(out, "%s", info->word);
    for (int i = 0; st == FW_OK && info->params[i] != NULL; i++) {
        const fwi_param *const p = info->params[i];
        char value[32];
        fwi_param_text(p, l->value[i], value);
        if (p->positional)
            st = fwi_buf_printf(out, " %s", value);
        else if (l->value[i] != p->def)
            st = fwi_buf_printf(out, " %s=%s", p->name, value);
    }
    return st == FW_OK ? fwi_buf_printf(out, "\n") : st;
}

static fw_status print_lines(fwi_buf *out, const fw_layer *container, int indent)
{
    fw_status st = FW_OK;
    for (int64_t i = 0; st == FW_OK && i < container->n_children; i++) {
        const fw_layer *const l = container->children[i];
        if (container->kind == FWI_L_PARALLEL) {
            st = fwi_buf_printf(out, "%*sbranch\n", indent, "");
            if (st == FW_OK)
                st = print_lines(out, l, indent + 2);
            continue;
        }
        st = fwi_buf_printf(out, "%*s", indent, "");
        if (st == FW_OK)
            st = print_line(out, l);
        if (st == FW_OK && fwi_layer_info_get(l->kind)->container) {
            st = print_lines(out, l, indent + 2);
            if (st == FW_OK)
                st = fwi_buf_printf(out, "%*send\n", indent, "");
        }
    }
    return st;
}

fw_status fw_layer_print(const fw_layer *l, char **text)
{
    if (text == NULL)
        return fwi_fail(FW_EARG, "fw_layer_print: NULL argument");
    fwi_buf out = {0};
    fw_status st = fwi_layer_check(l);
    if (st != FW_OK)
        goto done;
    if (l->kind == FWI_L_SEQUENTIAL) {
        st = print_lines(&out, l, 0);
    } else { /* what one child of a sequential looks like */
        fw_layer *child[1] = {(fw_layer *)l};
        const fw_layer holder = {.kind = FWI_L_SEQUENTIAL, .children = child, .n_children = 1};
        st = print_lines(&out, &holder, 0);
    }
    if (st == FW_OK) {
        *text = (char *)out.data;
        out = (fwi_buf){0};
    }
done:
    fwi_buf_clear(&out);
    return st;
}

void fw_text_free(char *text)
{
    fwi_free(text);
}

/* ---- parsing ---- */

enum { WORD_CAP = 64 };

typedef struct reader {
    const char *source;
    const char *at;         /* what is left of the text */
    const int64_t *line_no; /* NULL: count from 1 */
    int64_t index, line;    /* of the present line: from 0, and as messages give it */
    const char *rest, *end; /* what is left of the present line */
    char word[WORD_CAP];    /* the latest word */
    int64_t
        opened[FWI_LAYER_DEPTH + 1]; /* line of each open container, for "end" that is missing */
} reader;

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}

/* The next line that has something on it; false at the end of the text. */
static bool next_line(reader *r)
{
    while (*r->at != 0) {
        const char *const end = r->at + strcspn(r->at, "\n");
        r->rest = r->at;
        r->end = end;
        r->line = r->line_no != NULL ? r->line_no[r->index] : r->index + 1;
        r->index++;
        r->at = *end == '\n' ? end + 1 : end;
        while (r->rest < end && is_blank(*r->rest))
            r->rest++;
        if (r->rest < end && *r->rest != '#')
            return true;
    }
    return false;
}

/* A hostile word as it may stand in a message: bytes outside printable ASCII become '?'. */
static void make_printable(char *word)
{
    for (; *word != 0; word++)
        if ((unsigned char)*word < 0x20 || (unsigned char)*word > 0x7e)
            *word = '?';
}

/* 1: a word; 0: the line is over; -1: a word longer than any valid one, cut in r->word. */
static int next_word(reader *r)
{
    while (r->rest < r->end && is_blank(*r->rest))
        r->rest++;
    size_t n = 0;
    while (r->rest + n < r->end && !is_blank(r->rest[n]))
        n++;
    if (n == 0)
        return 0;
    const size_t kept = n < WORD_CAP ? n : WORD_CAP - 1;
    memcpy(r->word, r->rest, kept);
    r->word[kept] = 0;
    r->rest += n;
    return n < WORD_CAP ? 1 : -1;
}

static fw_status bad(const reader *r, const char *fmt, ...) FWI_PRINTF(2, 3);
static fw_status bad(const reader *r, const char *fmt, ...)
{
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return fwi_fail(FW_EFORMAT, "%.300s: line %" PRId64 ": %s", r->source, r->line, what);
}

static const char *nearest_param(const fwi_layer_info *info, const char *word)
{
    const char *names[FWI_LAYER_PARAMS];
    size_t n = 0;
    for (; info->params[n] != NULL; n++)
        names[n] = info->params[n]->name;
    return fwi_nearest(word, names, n);
}

static const char *nearest_kind(const char *word)
{
    const char *names[FWI_L_COUNT + 2];
    size_t n = 0;
    for (; n < FWI_L_COUNT; n++)
        names[n] = fwi_layer_info_get((fwi_layer_kind)n)->word;
    names[n++] = "branch";
    names[n++] = "end";
    return fwi_nearest(word, names, n);
}

static fw_status parse_value(const reader *r, const fwi_layer_info *info, const fwi_param *p,
                             char *text, double *out)
{
    int64_t i = 0;
    bool read = false;
    switch (p->type) {
    case FWI_P_INT:
        read = fwi_parse_int64(text, &i);
        *out = (double)i;
        break;
    case FWI_P_REAL:
        read = fwi_parse_double(text, out);
        break;
    case FWI_P_BOOL:
        *out = strcmp(text, "true") == 0;
        read = *out != 0 || strcmp(text, "false") == 0;
        break;
    case FWI_P_ENUM: {
        size_t n = 0;
        for (; p->words[n] != NULL; n++)
            if (strcmp(text, p->words[n]) == 0) {
                *out = (double)n;
                return FW_OK;
            }
        make_printable(text);
        return bad(r, "%s: %s is \"%s\", the nearest valid one is %s", info->word, p->name, text,
                   fwi_nearest(text, p->words, n));
    }
    }
    if (!read) {
        static const char *const expected[] = {[FWI_P_INT] = "a whole number",
                                               [FWI_P_REAL] = "a number",
                                               [FWI_P_BOOL] = "true or false"};
        make_printable(text);
        return bad(r, "%s: %s is \"%s\", expected %s", info->word, p->name, text,
                   expected[p->type]);
    }
    if (fwi_param_check(p, *out) != FW_OK)
        return bad(r, "%s: %s", info->word, fw_last_error());
    return FW_OK;
}

/* Reads the rest of the line into l's values. */
static fw_status parse_params(reader *r, fw_layer *l)
{
    const fwi_layer_info *const info = fwi_layer_info_get(l->kind);
    bool given[FWI_LAYER_PARAMS] = {false};
    int n_positional = 0, got;
    while (n_positional < FWI_LAYER_PARAMS && info->params[n_positional] != NULL &&
           info->params[n_positional]->positional)
        n_positional++;
    int place = 0;
    while ((got = next_word(r)) != 0) {
        if (got < 0) {
            make_printable(r->word);
            return bad(r, "%s: the word \"%.40s...\" is too long", info->word, r->word);
        }
        char *text = strchr(r->word, '=');
        int i = place;
        if (text == NULL) {
            text = r->word;
            if (place >= n_positional) {
                make_printable(r->word);
                const char *const near = nearest_param(info, r->word);
                return near == NULL
                           ? bad(r, "%s takes no \"%s\"", info->word, r->word)
                           : bad(r,
                                 "%s: \"%s\" is one word too many; options are name=value, the "
                                 "nearest valid name is %s",
                                 info->word, r->word, near);
            }
            place++;
        } else {
            *text++ = 0;
            for (i = 0; info->params[i] != NULL && strcmp(info->params[i]->name, r->word) != 0;)
                i++;
            if (info->params[i] == NULL) {
                make_printable(r->word);
                const char *const near = nearest_param(info, r->word);
                return near == NULL ? bad(r, "%s has no option \"%s\", it has none at all",
                                          info->word, r->word)
                                    : bad(r, "%s has no option \"%s\", the nearest valid one is %s",
                                          info->word, r->word, near);
            }
        }
        if (given[i])
            return bad(r, "%s: %s is given twice", info->word, info->params[i]->name);
        given[i] = true;
        const fw_status st = parse_value(r, info, info->params[i], text, &l->value[i]);
        if (st != FW_OK)
            return st;
    }
    for (int i = 0; i < n_positional; i++)
        if (!given[i])
            return bad(r, "%s: %s is missing (as in \"%s %s\")", info->word, info->params[i]->name,
                       info->word,
                       info->params[i]->type == FWI_P_ENUM   ? info->params[i]->words[0]
                       : info->params[i]->type == FWI_P_REAL ? "0.5"
                                                             : "2");
    if (fwi_layer_settle(l) != FW_OK)
        return bad(r, "%s: %s", info->word, fw_last_error());
    return FW_OK;
}

/* fw_add keeps its mistakes in the parent (too deep, too many): here they are this line's. */
static fw_status add(const reader *r, fw_layer *parent, fw_layer *child)
{
    fw_add(parent, child);
    if (parent->status == FW_OK)
        return FW_OK;
    if (parent->status == FW_ENOMEM)
        return fwi_fail(FW_ENOMEM, "%.300s: line %" PRId64 ": memory ran out", r->source, r->line);
    return bad(r, "%s", parent->error != NULL ? parent->error : "a mistake");
}

/* "end" and "branch" take no more words. */
static fw_status want_line_over(reader *r, const char *word)
{
    if (next_word(r) == 0)
        return FW_OK;
    make_printable(r->word);
    return bad(r, "%s takes no \"%.40s\"", word, r->word);
}

static fw_status parse_lines(reader *r, fw_layer *root)
{
    fw_layer *at = root; /* the innermost open container */
    int depth = 0;
    while (next_line(r)) {
        fw_status st;
        if (next_word(r) < 0) {
            make_printable(r->word);
            return bad(r, "the word \"%.40s...\" is too long", r->word);
        }
        fw_layer *const par = at->kind == FWI_L_PARALLEL ? at
                              : at->parent != NULL && at->parent->kind == FWI_L_PARALLEL
                                  ? at->parent
                                  : NULL; /* whose branch may begin or end here */
        if (strcmp(r->word, "branch") == 0) {
            if ((st = want_line_over(r, "branch")) != FW_OK)
                return st;
            if (par == NULL)
                return bad(r, "branch stands outside of parallel");
            fw_layer *const branch = fw_sequential();
            if (branch == NULL)
                return FW_ENOMEM;
            if ((st = add(r, par, branch)) != FW_OK)
                return st;
            at = par->children[par->n_children - 1];
            continue;
        }
        if (strcmp(r->word, "end") == 0) {
            if ((st = want_line_over(r, "end")) != FW_OK)
                return st;
            const fw_layer *const closed = par != NULL ? par : at;
            if (closed == root)
                return bad(r, "end without a sequential or parallel before it");
            if (closed->kind == FWI_L_PARALLEL && closed->n_children == 0)
                return bad(r, "parallel has no branches");
            at = closed->parent;
            depth--;
            continue;
        }
        int k = 0;
        while (k < FWI_L_COUNT && strcmp(r->word, fwi_layer_info_get((fwi_layer_kind)k)->word) != 0)
            k++;
        if (k == FWI_L_COUNT) {
            make_printable(r->word);
            return bad(r, "unknown layer \"%s\", the nearest valid one is %s", r->word,
                       nearest_kind(r->word));
        }
        if (at->kind == FWI_L_PARALLEL)
            return bad(r, "%s stands before the first branch of parallel", r->word);
        fw_layer *const l = fwi_layer_new((fwi_layer_kind)k);
        if (l == NULL)
            return FW_ENOMEM;
        if ((st = parse_params(r, l)) != FW_OK) {
            fw_layer_free(l);
            return st;
        }
        if ((st = add(r, at, l)) != FW_OK)
            return st;
        if (fwi_layer_info_get(l->kind)->container) {
            at = l;
            r->opened[++depth] = r->line; /* fw_add has just bounded the depth */
        }
    }
    if (at != root) {
        r->line = r->opened[depth];
        return bad(r, "%s has no end",
                   at->parent != NULL && at->parent->kind == FWI_L_PARALLEL
                       ? "parallel"
                       : fwi_layer_info_get(at->kind)->word);
    }
    return FW_OK;
}

fw_status fwi_layer_parse_numbered(fw_layer **out, const char *text, const char *source,
                                   const int64_t *line_no)
{
    if (out == NULL || text == NULL)
        return fwi_fail(FW_EARG, "fw_layer_parse: NULL argument");
    reader r = {.source = source != NULL ? source : "layers", .at = text, .line_no = line_no};
    fw_layer *root = fw_sequential();
    if (root == NULL)
        return FW_ENOMEM;
    fw_status st = parse_lines(&r, root);
    if (st == FW_OK && root->n_children == 0)
        st = fwi_fail(FW_EFORMAT, "%.300s: no layers", r.source);
    if (st == FW_OK) {
        *out = root;
        root = NULL;
    }
    fw_layer_free(root);
    return st;
}

fw_status fw_layer_parse(fw_layer **out, const char *text, const char *source)
{
    return fwi_layer_parse_numbered(out, text, source, NULL);
}
