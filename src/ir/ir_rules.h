/* ir_rules.h: what the files of this room share and no other room needs: op rules by kind,
 * attribute fields by kind, and how a builder remembers its first error. Read before: ir.h,
 * ops.def. */
#ifndef FWI_IR_RULES_H
#define FWI_IR_RULES_H

#include "ir.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != FW_OK)                                                                          \
            return st_;                                                                            \
    } while (0)

typedef struct fwi_type {
    fw_dtype dtype;
    fwi_shape shape;
    int32_t nb;
} fwi_type;

/* shapes.c: checks inputs and attributes of an op that is or would be in g, gives the types of its
 * outputs. in has the kind's n_in values. attr may be NULL for kinds without. The message names the
 * op and its inputs. */
fw_status fwi_infer(const fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, const fwi_val *in,
                    fwi_type out[FWI_MAX_OUT]);

/* layout.c: what an op's rule sees of blocked operands, and what it gives for them. enter turns
 * blocked inputs into the `real` n h w c that rules know and returns in *common what they were
 * (nb 0: none was blocked); leave makes the outputs alike. */
fw_status fwi_layout_enter(fwi_opkind kind, fw_dtype real, fwi_type *in, fwi_type *common);
void fwi_layout_leave(fwi_opkind kind, fw_dtype real, const fwi_type *common, fwi_type *out);
/* Whether a graph of `real` may store its activations as dtype, besides as `real`. */
bool fwi_may_store(fw_dtype real, int64_t dtype);
/* May a tensor of a graph of `real` be of this type, as far as layout goes? */
fw_status fwi_layout_check(fw_dtype real, const fwi_type *t);
/* The op has activations among its outputs but none among its inputs: each may be blocked, and of this type,
 * as its tensor says. */
bool fwi_layout_is_free(fwi_opkind kind, fw_dtype real, fw_dtype dtype);

/* graph.c */
bool fwi_graph_has(const fwi_graph *g, fwi_val v);
/* Whether a variable of this shape can start so; the message does not name it. */
fw_status fwi_init_check(const fwi_init *init, const fwi_shape *shape);
bool fwi_class_trains(fwi_var_class cls); /* may its variables be trainable? */
/* Averages have their names and COPY, and others have not. */
fw_status fwi_average_check(const char *name, fwi_var_class cls, const fwi_init *init);

/* attrs.c: the fields of an op kind's attributes, in the order of the struct. */
typedef struct fwi_attr_field {
    const char *name;
    size_t offset;
    bool is_double; /* else int64_t */
} fwi_attr_field;
const fwi_attr_field *fwi_attr_fields(fwi_opkind kind, int *n); /* n 0 for ops without attributes */
int64_t fwi_attr_int(const fwi_attr *a, const fwi_attr_field *f);
double fwi_attr_double(const fwi_attr *a, const fwi_attr_field *f);
void fwi_attr_set_int(fwi_attr *a, const fwi_attr_field *f, int64_t v);
void fwi_attr_set_double(fwi_attr *a, const fwi_attr_field *f, double v);
bool fwi_attr_equal(fwi_opkind kind, const fwi_attr *a, const fwi_attr *b);

/* print.c and parse.c share these names; a table ends with NULL. */
extern const char *const fwi_var_class_names[];
extern const char *const fwi_init_names[];

#endif
