/* print.c: a graph as text, one line per tensor and op, for people, for tests and for bug reports.
 * parse.c reads it back; printing what was read gives the same bytes. The form:
 *
 *   graph f32
 *   input %0 "x" f32[8,32,32,3]
 *   var %1 "prep/w" f32[64,3,3,3] conv trainable uniform -0.19245 0.19245
 *   %2 f32[8,32,32,64] = conv2d %0 %1 kh=3 kw=3 stride=1 pad_t=1 ...
 *   %9 f32[64,3,3,3] grad %1 = conv2d_dw %0 %8 kh=3 ...
 *   bn_update %3 %4 %5 %6 eps=1e-05 ...
 *   output "loss" %7
 *
 * A second type in the first line is that of activations in a lowered graph; there a type may end in
 * "/10": blocked by 10 images. Numbers count tensors in the order of the text (inputs and variables first), so they differ from
 * those in memory where a pass left unused temps behind. Names are quoted: \" \\ and \xHH for bytes
 * outside printable ASCII. Doubles have as many digits as it takes to read the same value
 * back. */
#include "ir_rules.h"
#include "number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const fwi_var_class_names[] = {[FWI_VAR_CONV] = "conv",
                                           [FWI_VAR_DENSE] = "dense",
                                           [FWI_VAR_HEAD] = "head",
                                           [FWI_VAR_BN_SCALE] = "bn_scale",
                                           [FWI_VAR_BIAS] = "bias",
                                           [FWI_VAR_WHITEN] = "whiten",
                                           [FWI_VAR_WHITEN_BIAS] = "whiten_bias",
                                           [FWI_VAR_STAT] = "stat",
                                           [FWI_VAR_SLOT] = "slot",
                                           [FWI_VAR_AVERAGE] = "average",
                                           [FWI_VAR_AVERAGE + 1] = NULL};
const char *const fwi_init_names[] = {[FWI_INIT_CONST] = "const",
                                      [FWI_INIT_UNIFORM] = "uniform",
                                      [FWI_INIT_NORMAL] = "normal",
                                      [FWI_INIT_DIRAC] = "dirac",
                                      [FWI_INIT_UNIT_STD] = "unit_std",
                                      [FWI_INIT_DATA] = "data",
                                      [FWI_INIT_DATA_CENTRED] = "data_centred",
                                      [FWI_INIT_DIRAC_ADDED] = "dirac_added",
                                      [FWI_INIT_IDENTITY] = "identity",
                                      [FWI_INIT_COPY] = "copy",
                                      [FWI_INIT_COPY + 1] = NULL};
const char *const fwi_conv_algo_names[] = {
    [FWI_CONV_ANY] = "auto",        [FWI_CONV_DIRECT] = "direct",   [FWI_CONV_WINO2] = "winograd2",
    [FWI_CONV_WINO3] = "winograd3", [FWI_CONV_WINO4] = "winograd4", [FWI_CONV_WINO5] = "winograd5",
    [FWI_CONV_WINO6] = "winograd6", [FWI_CONV_WINO7] = "winograd7", [FWI_CONV_ALGOS] = NULL};

const char *fwi_conv_algo_name(fwi_conv_algo algo)
{
    const unsigned at = (unsigned)algo;
    return at < FWI_CONV_ALGOS ? fwi_conv_algo_names[at] : "?";
}

typedef struct printer {
    const fwi_graph *g;
    fwi_buf *out;
    int32_t *number; /* of each tensor in the text; -1: not printed */
    fw_status st;    /* first failure of put */
} printer;

static void put(printer *p, const char *text)
{
    if (p->st == FW_OK)
        p->st = fwi_buf_append(p->out, text, strlen(text));
}

static void put_int(printer *p, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, v);
    put(p, text);
}

static void put_double(printer *p, double v)
{
    char text[FWI_NUMBER_CAP];
    fwi_format_double(text, v);
    put(p, text);
}

static void put_val(printer *p, fwi_val v)
{
    put(p, "%");
    put_int(p, p->number[v]);
}

static void put_name(printer *p, const char *name)
{
    put(p, "\"");
    for (const unsigned char *s = (const unsigned char *)name; *s != 0; s++) {
        char one[8];
        if (*s == '"' || *s == '\\')
            snprintf(one, sizeof one, "\\%c", *s);
        else if (*s < 0x20 || *s > 0x7e)
            snprintf(one, sizeof one, "\\x%02x", *s);
        else
            snprintf(one, sizeof one, "%c", *s);
        put(p, one);
    }
    put(p, "\"");
}

static void put_type(printer *p, const fwi_tensor *t)
{
    char text[FWI_SHAPE_TEXT];
    put(p, " ");
    put(p, fwi_type_text(text, t->dtype, &t->shape));
    if (t->nb > 0) {
        put(p, "/");
        put_int(p, t->nb);
    }
}

static void put_declaration(printer *p, fwi_val v)
{
    const fwi_tensor *t = &p->g->tensors[v];
    put(p, t->kind == FWI_VAR ? "var " : "input ");
    put_val(p, v);
    put(p, " ");
    put_name(p, t->name);
    put_type(p, t);
    if (t->kind == FWI_VAR) {
        put(p, " ");
        put(p, fwi_var_class_names[t->var_class]);
        put(p, t->trainable ? " trainable " : " fixed ");
        put(p, fwi_init_names[t->init.kind]);
        put(p, " ");
        put_double(p, t->init.a);
        put(p, " ");
        put_double(p, t->init.b);
    }
    put(p, "\n");
}

static void put_op(printer *p, const fwi_op *op)
{
    for (int i = 0; i < op->n_out; i++) {
        const fwi_tensor *t = &p->g->tensors[op->out[i]];
        if (i > 0)
            put(p, ", ");
        put_val(p, op->out[i]);
        put_type(p, t);
        if (t->grad_of != FWI_NO_VAL) {
            put(p, " grad ");
            put_val(p, t->grad_of);
        }
    }
    if (op->n_out > 0)
        put(p, " = ");
    put(p, fwi_op_info_get(op->kind)->name);
    for (int i = 0; i < op->n_in; i++) {
        put(p, " ");
        put_val(p, op->in[i]);
    }
    int n_fields = 0;
    const fwi_attr_field *fields = fwi_attr_fields(op->kind, &n_fields);
    for (int i = 0; i < n_fields; i++) {
        put(p, " ");
        put(p, fields[i].name);
        put(p, "=");
        if (fields[i].is_double)
            put_double(p, fwi_attr_double(&op->attr, &fields[i]));
        else
            put_int(p, fwi_attr_int(&op->attr, &fields[i]));
    }
    put(p, "\n");
}

static void number_tensors(printer *p)
{
    const fwi_graph *g = p->g;
    int32_t n = 0;
    for (fwi_val v = 0; v < g->n_tensors; v++)
        p->number[v] = g->tensors[v].kind == FWI_TEMP ? -1 : n++;
    for (int32_t i = 0; i < g->n_ops; i++)
        for (int k = 0; k < g->ops[i].n_out; k++)
            p->number[g->ops[i].out[k]] = n++;
}

fw_status fwi_graph_print(const fwi_graph *g, fwi_buf *out)
{
    const fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    printer p = {.g = g, .out = out};
    p.number = fwi_alloc_array((size_t)g->n_tensors, sizeof *p.number);
    if (p.number == NULL)
        return FW_ENOMEM;
    number_tensors(&p);
    put(&p, "graph ");
    put(&p, fw_dtype_name(g->real));
    if (g->storage != g->real) {
        put(&p, " ");
        put(&p, fw_dtype_name(g->storage));
    }
    if (g->conv != FWI_CONV_ANY) {
        put(&p, " conv=");
        put(&p, fwi_conv_algo_name(g->conv));
    }
    put(&p, "\n");
    for (fwi_val v = 0; v < g->n_tensors; v++)
        if (g->tensors[v].kind != FWI_TEMP)
            put_declaration(&p, v);
    for (int32_t i = 0; i < g->n_ops; i++)
        put_op(&p, &g->ops[i]);
    for (int32_t i = 0; i < g->n_outputs; i++) {
        put(&p, "output ");
        put_name(&p, g->outputs[i].name);
        put(&p, " ");
        put_val(&p, g->outputs[i].val);
        put(&p, "\n");
    }
    if (p.st == FW_OK) /* a 0 behind the end, which is not counted */
        p.st = fwi_buf_printf(out, "%s", "");
    fwi_free(p.number);
    return p.st;
}
