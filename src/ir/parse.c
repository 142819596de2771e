/* parse.c: reads what print.c wrote (the form is described there). The text may come from anybody:
 * every number and name is checked, every op goes through the builder, and the result through the
 * verifier, so a graph that parses can be planned. Memory stays in proportion to the text. Messages
 * say line and column. */
#include "ir_rules.h"
#include "nearest.h"
#include "number.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_WORD = 40, MAX_NAME = 255 };

typedef struct parser {
    const char *at, *line_start;
    int64_t line;
    fwi_graph *g;
} parser;

/* ---- letters and words ---- */

static fw_status expected(const parser *p, const char *what)
{
    const long long column = (long long)(p->at - p->line_start) + 1;
    if (*p->at == 0)
        return fwi_fail(FW_EFORMAT, "line %" PRId64 ", column %lld: the text ends, expected %s",
                        p->line, column, what);
    if (*p->at == '\n')
        return fwi_fail(FW_EFORMAT, "line %" PRId64 ", column %lld: the line ends, expected %s",
                        p->line, column, what);
    if (*p->at < 0x20 || *p->at > 0x7e)
        return fwi_fail(FW_EFORMAT, "line %" PRId64 ", column %lld: found byte 0x%02x, expected %s",
                        p->line, column, (unsigned)(unsigned char)*p->at, what);
    return fwi_fail(FW_EFORMAT, "line %" PRId64 ", column %lld: found '%c', expected %s", p->line,
                    column, *p->at, what);
}

static bool take(parser *p, char c)
{
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static fw_status need(parser *p, char c, const char *what)
{
    return take(p, c) ? FW_OK : expected(p, what);
}

static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '+' || c == '-';
}

static fw_status read_word(parser *p, char word[MAX_WORD], const char *what)
{
    size_t n = 0;
    while (n < MAX_WORD && in_word(p->at[n]))
        n++;
    if (n == 0 || n == MAX_WORD)
        return expected(p, what);
    memcpy(word, p->at, n);
    word[n] = 0;
    p->at += n;
    return FW_OK;
}

static fw_status read_int(parser *p, int64_t *out)
{
    char word[MAX_WORD];
    parser ahead = *p;
    TRY(read_word(&ahead, word, "an integer"));
    if (!fwi_parse_int64(word, out))
        return expected(p, "an integer");
    *p = ahead;
    return FW_OK;
}

static fw_status read_double(parser *p, double *out)
{
    char word[MAX_WORD];
    parser ahead = *p;
    TRY(read_word(&ahead, word, "a number"));
    if (!fwi_parse_double(word, out))
        return expected(p, "a finite number");
    *p = ahead;
    return FW_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static fw_status read_name(parser *p, char name[MAX_NAME + 1])
{
    size_t n = 0;
    TRY(need(p, '"', "a name in quotes"));
    while (!take(p, '"')) {
        char c = *p->at;
        if (c < 0x20 || c > 0x7e)
            return expected(p, "the name's closing quote");
        if (n == MAX_NAME)
            return expected(p, "the name's closing quote (names have at most 255 bytes)");
        p->at++;
        if (c == '\\') {
            c = *p->at;
            if (c == 'x' && hex_digit(p->at[1]) >= 0 && hex_digit(p->at[2]) >= 0 &&
                (p->at[1] != '0' || p->at[2] != '0')) {
                c = (char)(hex_digit(p->at[1]) * 16 + hex_digit(p->at[2]));
                p->at += 2;
            } else if (c != '"' && c != '\\')
                return expected(p, "\\\", \\\\ or \\xHH");
            p->at++;
        }
        name[n++] = c;
    }
    name[n] = 0;
    return FW_OK;
}

/* One of a table's words; its number. */
static fw_status read_choice(parser *p, const char *const *names, const char *what, int *out)
{
    char word[MAX_WORD];
    parser ahead = *p;
    TRY(read_word(&ahead, word, what));
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], word) == 0) {
            *out = i;
            *p = ahead;
            return FW_OK;
        }
    return expected(p, what);
}

static fw_status read_dtype(parser *p, fw_dtype *out)
{
    char word[MAX_WORD];
    parser ahead = *p;
    TRY(read_word(&ahead, word, "an element type"));
    for (int t = 0; t <= FW_I64; t++)
        if (strcmp(fw_dtype_name((fw_dtype)t), word) == 0) {
            *out = (fw_dtype)t;
            *p = ahead;
            return FW_OK;
        }
    return expected(p, "an element type");
}

/* " f32[1,2]" */
static fw_status read_type(parser *p, fwi_type *out)
{
    *out = (fwi_type){0};
    TRY(need(p, ' ', "a blank"));
    TRY(read_dtype(p, &out->dtype));
    TRY(need(p, '[', "'['"));
    while (!take(p, ']')) {
        if (out->shape.rank == FW_MAX_RANK)
            return expected(p, "']' (at most 4 dimensions)");
        if (out->shape.rank > 0)
            TRY(need(p, ',', "',' or ']'"));
        TRY(read_int(p, &out->shape.d[out->shape.rank]));
        out->shape.rank++;
    }
    if (take(p, '/')) {
        int64_t nb = 0;
        TRY(read_int(p, &nb));
        if (nb < 1 || nb > FWI_MAX_NB)
            return expected(p, "a block of 1 to 64 images in front");
        out->nb = (int32_t)nb;
    }
    return FW_OK;
}

/* "%7": the number of a tensor that exists already. */
static fw_status read_val(parser *p, fwi_val *out)
{
    const parser start = *p;
    int64_t v = 0;
    TRY(need(p, '%', "a tensor"));
    TRY(read_int(p, &v));
    if (v < 0 || v >= p->g->n_tensors)
        return expected(&start, "a tensor of a line above");
    *out = (fwi_val)v;
    return FW_OK;
}

/* "%7" where a new tensor is made: its number must be the next one. */
static fw_status read_new(parser *p, int32_t ahead)
{
    const parser start = *p;
    int64_t v = 0;
    TRY(need(p, '%', "a tensor"));
    TRY(read_int(p, &v));
    if (v != (int64_t)p->g->n_tensors + ahead)
        return expected(&start, "the next tensor's number");
    return FW_OK;
}

/* ---- lines ---- */

/* The builder's message, with the line in front. */
static fw_status built(const parser *p)
{
    const fw_status st = fwi_graph_status(p->g);
    return st == FW_OK ? FW_OK : fwi_fail_in(st, "line %" PRId64, p->line);
}

static fw_status parse_declaration(parser *p, bool is_var)
{
    static const char *const trainable_names[] = {"fixed", "trainable", NULL};
    char name[MAX_NAME + 1];
    fwi_type t;
    const fwi_val next = p->g->n_tensors;
    TRY(need(p, ' ', "a blank"));
    TRY(read_new(p, 0));
    TRY(need(p, ' ', "a blank"));
    TRY(read_name(p, name));
    TRY(read_type(p, &t));
    if (t.nb != 0)
        return expected(p, "an input or a variable that is not blocked");
    if (is_var) {
        int cls = 0, trainable = 0, kind = 0;
        fwi_init init = {0};
        TRY(need(p, ' ', "a blank"));
        TRY(read_choice(p, fwi_var_class_names, "a class of variables", &cls));
        TRY(need(p, ' ', "a blank"));
        TRY(read_choice(p, trainable_names, "trainable or fixed", &trainable));
        TRY(need(p, ' ', "a blank"));
        TRY(read_choice(p, fwi_init_names,
                        "const, uniform, normal, dirac, unit_std, data, data_centred, dirac_added, "
                        "identity or copy",
                        &kind));
        TRY(need(p, ' ', "a blank"));
        TRY(read_double(p, &init.a));
        TRY(need(p, ' ', "a blank"));
        TRY(read_double(p, &init.b));
        init.kind = (fwi_init_kind)kind;
        if (t.dtype != p->g->real)
            return expected(p, "a variable of the graph's type");
        fwi_graph_var(p->g, name, (fwi_var_class)cls, trainable, t.shape, init);
    } else
        fwi_graph_input(p->g, name, t.dtype, t.shape);
    TRY(built(p));
    if (p->g->n_tensors != next + 1)
        return fwi_fail(FW_EFORMAT, "line %" PRId64 ": \"%s\" is declared twice", p->line, name);
    return FW_OK;
}

static fw_status parse_output(parser *p)
{
    char name[MAX_NAME + 1];
    fwi_val v = FWI_NO_VAL;
    const int32_t before = p->g->n_outputs;
    TRY(need(p, ' ', "a blank"));
    TRY(read_name(p, name));
    TRY(need(p, ' ', "a blank"));
    TRY(read_val(p, &v));
    fwi_graph_output(p->g, name, v);
    TRY(built(p));
    if (p->g->n_outputs != before + 1)
        return fwi_fail(FW_EFORMAT, "line %" PRId64 ": output \"%s\" is declared twice", p->line,
                        name);
    return FW_OK;
}

typedef struct result {
    fwi_type type;
    fwi_val grad_of;
} result;

/* "%9 f32[2] grad %1, %10 f32[2] = " */
static fw_status parse_results(parser *p, result out[FWI_MAX_OUT], int *n)
{
    do {
        if (*n == FWI_MAX_OUT)
            return expected(p, "'=' (an op has at most 4 outputs)");
        if (*n > 0)
            TRY(need(p, ' ', "a blank"));
        result *r = &out[*n];
        TRY(read_new(p, *n));
        TRY(read_type(p, &r->type));
        r->grad_of = FWI_NO_VAL;
        if (strncmp(p->at, " grad ", 6) == 0) {
            p->at += 6;
            TRY(read_val(p, &r->grad_of));
        }
        (*n)++;
    } while (take(p, ','));
    if (strncmp(p->at, " = ", 3) != 0)
        return expected(p, "\" = \" and an op");
    p->at += 3;
    return FW_OK;
}

static fw_status find_op(const parser *p, const char *word, fwi_opkind *out)
{
    const char *names[FWI_OP_COUNT];
    for (int k = 0; k < FWI_OP_COUNT; k++) {
        names[k] = fwi_op_info_get((fwi_opkind)k)->name;
        if (strcmp(names[k], word) == 0) {
            *out = (fwi_opkind)k;
            return FW_OK;
        }
    }
    return fwi_fail(FW_EFORMAT, "line %" PRId64 ": \"%s\" is no op; did you mean \"%s\"?", p->line,
                    word, fwi_nearest(word, names, FWI_OP_COUNT));
}

static fw_status parse_attr(parser *p, fwi_opkind kind, fwi_attr *a)
{
    int n_fields = 0;
    const fwi_attr_field *fields = fwi_attr_fields(kind, &n_fields);
    for (int i = 0; i < n_fields; i++) {
        const size_t n = strlen(fields[i].name);
        TRY(need(p, ' ', "a blank and an attribute"));
        if (strncmp(p->at, fields[i].name, n) != 0 || p->at[n] != '=')
            return expected(p, fields[i].name);
        p->at += n + 1;
        if (fields[i].is_double) {
            double v = 0;
            TRY(read_double(p, &v));
            fwi_attr_set_double(a, &fields[i], v);
        } else {
            int64_t v = 0;
            TRY(read_int(p, &v));
            fwi_attr_set_int(a, &fields[i], v);
        }
    }
    return FW_OK;
}

/* From the op's name on; word is that name. */
static fw_status parse_op(parser *p, const char *word, const result *results, int n_results)
{
    fwi_graph *g = p->g;
    fwi_opkind kind = FWI_OP_COUNT;
    fwi_val in[FWI_MAX_IN], out[FWI_MAX_OUT];
    fwi_attr attr = {0};
    int n_in = 0;
    TRY(find_op(p, word, &kind));
    const fwi_op_info *info = fwi_op_info_get(kind);
    while (p->at[0] == ' ' && p->at[1] == '%') {
        p->at++;
        if (n_in == info->n_in)
            return expected(p, "no further input of this op");
        TRY(read_val(p, &in[n_in]));
        n_in++;
    }
    TRY(parse_attr(p, kind, &attr));
    if (n_results != info->n_out)
        return fwi_fail(FW_EFORMAT, "line %" PRId64 ": %s has %d outputs, %d are named", p->line,
                        info->name, info->n_out, n_results);
    fwi_graph_op(g, kind, &attr, in, n_in, out);
    TRY(built(p));
    for (int i = 0; i < n_results; i++) {
        fwi_tensor *t = &g->tensors[out[i]];
        char is[FWI_SHAPE_TEXT], says[FWI_SHAPE_TEXT];
        if (results[i].type.nb > 0 && fwi_layout_is_free(kind, g->real, results[i].type.dtype))
            t->nb = results[i].type.nb, t->dtype = results[i].type.dtype;
        if (t->nb != results[i].type.nb)
            return fwi_fail(FW_ESHAPE,
                            "line %" PRId64 ": output %d of %s is blocked by %d, the text says %d",
                            p->line, i, info->name, t->nb, results[i].type.nb);
        if (t->dtype != results[i].type.dtype ||
            !fwi_shape_equal(&t->shape, &results[i].type.shape))
            return fwi_fail(FW_ESHAPE, "line %" PRId64 ": output %d of %s is %s, the text says %s",
                            p->line, i, info->name, fwi_type_text(is, t->dtype, &t->shape),
                            fwi_type_text(says, results[i].type.dtype, &results[i].type.shape));
        g->tensors[out[i]].grad_of = results[i].grad_of;
    }
    return FW_OK;
}

static fw_status parse_line(parser *p)
{
    char word[MAX_WORD];
    result results[FWI_MAX_OUT];
    int n_results = 0;
    if (*p->at == '%')
        TRY(parse_results(p, results, &n_results));
    TRY(read_word(p, word, "input, var, output, a tensor or an op"));
    if (n_results == 0 && strcmp(word, "input") == 0)
        return parse_declaration(p, false);
    if (n_results == 0 && strcmp(word, "var") == 0)
        return parse_declaration(p, true);
    if (n_results == 0 && strcmp(word, "output") == 0)
        return parse_output(p);
    return parse_op(p, word, results, n_results);
}

static fw_status parse_header(parser *p)
{
    fw_dtype real = FW_F32;
    if (strncmp(p->at, "graph ", 6) != 0)
        return expected(p, "\"graph f32\" or \"graph f64\"");
    p->at += 6;
    TRY(read_dtype(p, &real));
    fw_dtype storage = real;
    if (strncmp(p->at, " bf16", 5) == 0) {
        p->at += 5;
        storage = FW_BF16;
    } else if (strncmp(p->at, " f16", 4) == 0) {
        p->at += 4;
        storage = FW_F16;
    }
    int conv = FWI_CONV_ANY;
    if (strncmp(p->at, " conv=", 6) == 0) {
        p->at += 6;
        TRY(read_choice(p, fwi_conv_algo_names, "auto, direct or winograd2 to winograd7", &conv));
    }
    TRY(fwi_graph_new(&p->g, real));
    p->g->storage = storage; /* checked by the verifier */
    p->g->conv = (fwi_conv_algo)conv;
    return FW_OK;
}

static fw_status parse_lines(parser *p)
{
    TRY(parse_header(p));
    while (*p->at != 0) {
        TRY(need(p, '\n', "the line's end"));
        p->line++;
        p->line_start = p->at;
        if (*p->at != '\n' && *p->at != 0)
            TRY(parse_line(p));
    }
    return fwi_graph_verify(p->g);
}

fw_status fwi_graph_parse(fwi_graph **out, const char *text)
{
    parser p = {.at = text, .line_start = text, .line = 1};
    const fw_status st = parse_lines(&p);
    if (st == FW_OK)
        *out = p.g;
    else
        fwi_graph_free(p.g);
    return st == FW_OK || st == FW_ENOMEM ? st : fwi_fail_in(st, "graph text");
}
