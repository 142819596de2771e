/* engines.c: see engines.h. */
#include "engines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "file.h"
#include "json_read.h"
#include "probe.h"
#include "run_folder.h"

enum { KEY_CAP = 192, TEXT_CAP = 512 };

/* The convolution as such: types and sizes, nothing of how it is computed. */
static void key_of(const fwi_call *c, char key[KEY_CAP])
{
    const fwi_conv_attr *a = &c->attr->conv;
    const fwi_shape *const x = c->kind == FWI_OP_conv2d_dx ? &c->out[0].shape : &c->in[0].shape;
    const fwi_shape *const y = c->kind == FWI_OP_conv2d_dx   ? &c->in[0].shape
                               : c->kind == FWI_OP_conv2d_dw ? &c->in[1].shape
                                                             : &c->out[0].shape;
    snprintf(key, KEY_CAP,
             "%s %s %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " > %" PRId64 "x%" PRId64
             "x%" PRId64 " k%" PRId64 "x%" PRId64 " s%" PRId64 " p%" PRId64 " %" PRId64 " %" PRId64
             " %" PRId64,
             fwi_op_info_get(c->kind)->name, fw_dtype_name(c->in[0].dtype), x->d[0], x->d[1],
             x->d[2], x->d[3], y->d[1], y->d[2], y->d[3], a->kh, a->kw, a->stride, a->pad_t,
             a->pad_l, a->pad_b, a->pad_r);
}

/* Who chose it makes no other bits: that last part of the sentence goes. */
static void drop_how(char *text)
{
    static const char *const hows[] = {", measured", ", the heuristic's", ", chosen"};
    const size_t n = strlen(text);
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        const size_t m = strlen(hows[i]);
        if (n >= m && strcmp(text + n - m, hows[i]) == 0)
            text[n - m] = 0;
    }
}

static fw_status put_plan(fwi_device *d, const fwi_plan *p, json_t *out)
{
    int bad = 0;
    for (int i = 0; i < fwi_plan_steps(p) && bad == 0; i++) {
        fwi_step_info s;
        fwi_plan_step(p, i, &s);
        if (!fwi_op_is_conv(s.op))
            continue;
        char key[KEY_CAP], engine[TEXT_CAP] = "", text[TEXT_CAP + 64];
        key_of(s.call, key);
        fwi_call c = *s.call;
        c.stream = d->stream;
        d->backend->probe->row_text(d, &c, fwi_table_find(d->table, &c, NULL), engine,
                                    sizeof engine);
        drop_how(engine);
        snprintf(text, sizeof text, "%s%s%s", s.kernel, engine[0] != 0 ? ": " : "", engine);
        bad = json_object_set_new(out, key, json_string(text));
    }
    return bad == 0 ? FW_OK : FW_ENOMEM;
}

fw_status fwi_engines_of(const fwi_network *n, json_t **out)
{
    fwi_device *const d = n->device;
    *out = NULL;
    if (d->backend->probe == NULL || d->backend->probe->row_text == NULL)
        return FW_OK;
    json_t *const o = json_object();
    fw_status st = o == NULL ? FW_ENOMEM : FW_OK;
    for (int i = 0; i < n->n_plans && st == FW_OK; i++)
        if (n->plans[i].use.kind == FWI_TRAIN)
            st = put_plan(d, n->plans[i].plan, o);
    if (st != FW_OK)
        json_decref(o);
    else
        *out = o;
    return st;
}

fw_status fwi_engines_check(const json_t *now, const char *config)
{
    fwi_buf text = {0};
    json_error_t err;
    const char *key = NULL;
    json_t *is = NULL;
    if (now == NULL)
        return FW_OK;
    fw_status st = fwi_read_own_file(config, FWI_CONFIG_BYTES, &text);
    if (st == FW_ENOTFOUND)
        return FW_OK;
    if (st != FW_OK)
        return st;
    json_t *const root = fwi_json_read(text.data, text.size, &err);
    if (root == NULL)
        st = fwi_fail(fwi_json_status(&err), "%s: line %d: %s", config, err.line, err.text);
    json_t *const before = json_object_get(root, "engines");
    json_object_foreach((json_t *)(uintptr_t)now, key, is) /* which is not changed */
    {
        const char *const was = json_string_value(json_object_get(before, key));
        if (was == NULL || strcmp(was, json_string_value(is)) == 0)
            continue;
        st =
            fwi_fail(FW_EEXISTS,
                     "%s: %s was computed by %s, and is by %s now: the bits would be others. "
                     "FENWICKS_CONV_CHOICES names the file of measured engines; another version of "
                     "cuDNN has other engines",
                     config, key, was, json_string_value(is));
        break;
    }
    json_decref(root);
    fwi_buf_clear(&text);
    return st;
}
