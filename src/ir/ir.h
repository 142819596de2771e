/* ir.h: the graph: ops over tensors with static shapes. What a layer appends to, what passes
 * rewrite, what a plan is made from. Nothing here computes. Read next: ops.def (the op list), then
 * exec.h (how it runs). */
#ifndef FWI_IR_H
#define FWI_IR_H

#include "fail.h"
#include "mem.h"
#include <fenwicks/tensor.h>
#include <stdbool.h>

enum { FWI_MAX_IN = 7, FWI_MAX_OUT = 4, FWI_NO_VAL = -1 };
enum { FWI_MUON_STEPS = 100 }; /* at most, of one update */

#define FWI_MAX_ELEMS ((int64_t)1 << 40) /* of one tensor: sizes in bytes then fit everywhere */

typedef struct fwi_shape {
    int32_t rank;
    int64_t d[FW_MAX_RANK];
} fwi_shape;

fwi_shape fwi_shape1(int64_t a);
fwi_shape fwi_shape2(int64_t a, int64_t b);
fwi_shape fwi_shape4(int64_t a, int64_t b, int64_t c, int64_t d);
/* 1 for rank 0; -1 for a shape that no tensor may have: rank outside 0..FW_MAX_RANK, a dimension
 * under 1, more than FWI_MAX_ELEMS elements. */
int64_t fwi_shape_elems(const fwi_shape *s);
enum { FWI_SHAPE_TEXT = 96 };
/* "f32[128,32,32,3]"; returns text. */
const char *fwi_type_text(char text[FWI_SHAPE_TEXT], fw_dtype dtype, const fwi_shape *shape);
bool fwi_shape_equal(const fwi_shape *a, const fwi_shape *b);

/* ---- ops ---- */
enum { /* flags in ops.def */
       FWI_CORE = 1,
       FWI_ALIAS = 2,
       FWI_VIEW = 4,
       FWI_MUT2 = 8,     /* inputs 0, 1 are variables that the op changes */
       FWI_MUT3 = 16,    /* inputs 0, 1, 2 */
       FWI_BACKEND = 32, /* made by a backend's lowering alone, never in the canonical graph */
       FWI_AFTER = 64    /* stands behind the updates: reads variables as they left them */
};

typedef enum fwi_opkind {
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test) FWI_OP_##name,
#include "ops.def"
#undef FW_OP
    FWI_OP_COUNT
} fwi_opkind;

typedef enum fwi_act_fn {
    FWI_CELU,
    FWI_GELU,
    FWI_SILU,
    FWI_TANH,
    FWI_SIGMOID,
    FWI_SOFTPLUS,
    FWI_ACT_COUNT
} fwi_act_fn;
enum { /* what fused ops know besides */
       FWI_FUSED_RELU = FWI_ACT_COUNT,
       FWI_FUSED_IDENTITY,
       FWI_FUSED_COUNT
};
typedef enum fwi_sgd_form {                /* recipes: "SGD+Nesterov" in its published forms */
                            FWI_SGD_PLAIN, /* g += wd w; v = mom v + g; w -= lr v */
                            FWI_NESTEROV_PYTORCH, /* g += wd w; v = mom v + g; w -= lr (g + mom v)
                                                   */
                            FWI_NESTEROV_PAGE /* d = -lr (g + wd w); v = mom v + d; w += d + mom v
                                               */
} fwi_sgd_form;

/* Attributes. All fields are int64_t or double, so that printing and parsing need one table
 * (attrs.c). */
/* How a convolution is to be computed: a backend's choice, made in its lowering; ANY in canonical
 * graphs. WINO2 is Winograd's F(2x2,3x3), WINO3 F(3x3,3x3) and so on; a row of a table takes a call
 * of its own algorithm, rows of direct kernels take every call. */
typedef enum fwi_conv_algo {
    FWI_CONV_ANY,
    FWI_CONV_DIRECT,
    FWI_CONV_WINO2,
    FWI_CONV_WINO3,
    FWI_CONV_WINO4,
    FWI_CONV_WINO5,
    FWI_CONV_WINO6,
    FWI_CONV_WINO7,
    FWI_CONV_ALGOS
} fwi_conv_algo;
const char *fwi_conv_algo_name(fwi_conv_algo algo); /* "auto" (ANY), "direct", "winograd2", ... */
extern const char *const fwi_conv_algo_names[];     /* all of them, then NULL */
typedef struct fwi_conv_attr {
    int64_t kh, kw, stride, pad_t, pad_l, pad_b, pad_r, ih, iw;
    int64_t algo; /* fwi_conv_algo */
} fwi_conv_attr;  /* all set, in all three ops */
typedef struct fwi_matmul_attr {
    int64_t ta, tb;
} fwi_matmul_attr;
typedef struct fwi_bn_attr {
    double eps;
    int64_t groups;
    double update;
    int64_t count;
} fwi_bn_attr; /* count: elements per channel and group */
typedef struct fwi_act_attr {
    int64_t fn;
    double alpha;
} fwi_act_attr;
typedef struct fwi_pool_attr {
    int64_t k, stride, ih, iw;
} fwi_pool_attr;
typedef struct fwi_pool_stats_attr {
    int64_t k, stride, ih, iw; /* as in fwi_pool_attr, which a kernel may read in its place */
    int64_t groups;
} fwi_pool_stats_attr;
typedef struct fwi_stats_attr {
    int64_t groups;
} fwi_stats_attr;
/* fn: of fwi_act_fn or FWI_FUSED_*. Ops with a pool: windows k x k, k apart, on images of ih x iw;
 * in the others all three are 0. How many groups there are the statistics' shape says: fwi_stat_groups. */
typedef struct fwi_bn_act_attr {
    double eps;
    int64_t fn;
    double alpha;
    int64_t k, ih, iw;
} fwi_bn_act_attr;
/* Sizes of images: h x w after resizing or cropping, ih x iw before. Forward ih, iw may be 0. */
typedef struct fwi_image_attr {
    int64_t h, w, ih, iw;
} fwi_image_attr;
typedef struct fwi_scalar_attr {
    double value;
} fwi_scalar_attr;
typedef struct fwi_slice_attr {
    int64_t begin, len;
} fwi_slice_attr;
typedef struct fwi_shape_attr {
    int64_t rank, d0, d1, d2, d3;
} fwi_shape_attr;
typedef struct fwi_fill_attr {
    int64_t rank, d0, d1, d2, d3, dtype;
    double value;
} fwi_fill_attr;
typedef struct fwi_cast_attr {
    int64_t dtype;
} fwi_cast_attr;
typedef struct fwi_dropout_attr {
    double p;
    int64_t ordinal;
} fwi_dropout_attr;
typedef struct fwi_xent_attr {
    double smoothing;
    int64_t mean;
} fwi_xent_attr;
typedef struct fwi_optim_attr {
    double momentum, beta1, beta2, eps;
    int64_t form, lr_col, wd_col, bc_col;
} fwi_optim_attr;
typedef struct fwi_muon_attr {
    double momentum, a, b, c, renorm_eps;
    int64_t steps, lr_col, wd_col, rn_col, xn_col;
    int64_t narrow; /* 1: kernels may round X, A and B to bf16; set by a backend's lowering alone */
} fwi_muon_attr;    /* a x + b x^3 + c x^5, `steps` times */
typedef struct fwi_average_attr {
    int64_t on_col, decay_col, copy_back;
} fwi_average_attr;
typedef struct fwi_layout_attr {
    int64_t nb, dtype;
} fwi_layout_attr;
typedef union fwi_attr {
    fwi_conv_attr conv;
    fwi_matmul_attr matmul;
    fwi_bn_attr bn;
    fwi_act_attr act;
    fwi_pool_attr pool;
    fwi_image_attr image;
    fwi_scalar_attr scalar;
    fwi_slice_attr slice;
    fwi_shape_attr shape;
    fwi_fill_attr fill;
    fwi_cast_attr cast;
    fwi_dropout_attr dropout;
    fwi_xent_attr xent;
    fwi_optim_attr optim;
    fwi_muon_attr muon;
    fwi_average_attr average;
    fwi_layout_attr layout;
    fwi_bn_act_attr bn_act;
    fwi_pool_stats_attr pool_stats;
    fwi_stats_attr stats;
} fwi_attr;

/* Of mean or var as fused ops take them: [groups,c] of a batch; [c] is running ones, or of one group. */
static inline int64_t fwi_stat_groups(const fwi_shape *mean)
{
    return mean->rank == 2 ? mean->d[0] : 1;
}

typedef int32_t fwi_val; /* a tensor's number in its graph */

typedef struct fwi_op {
    fwi_opkind kind;
    int32_t n_in, n_out;
    fwi_val in[FWI_MAX_IN], out[FWI_MAX_OUT];
    fwi_attr attr;
} fwi_op;

/* What ops.def says of a kind. */
typedef struct fwi_op_info {
    const char *name, *attr, *test;
    int32_t n_in, n_out, flags;
    bool has_grad;
} fwi_op_info;
const fwi_op_info *fwi_op_info_get(fwi_opkind kind);
bool fwi_op_is_conv(fwi_opkind kind); /* has the attributes of a convolution */
int fwi_op_mutates(fwi_opkind kind);  /* how many leading inputs it changes: 0, 2, 3 */

/* ---- tensors ---- */
typedef enum fwi_tensor_kind {
    FWI_TEMP,  /* made by an op */
    FWI_INPUT, /* given to each run: "x", "labels", "hyper", "rng" */
    FWI_VAR    /* lives in the store */
} fwi_tensor_kind;

typedef enum fwi_var_class {                /* for parameter groups, checkpoints and model files */
                             FWI_VAR_CONV,  /* convolution filter */
                             FWI_VAR_DENSE, /* matrix of a hidden dense layer */
                             FWI_VAR_HEAD,  /* matrix of a classifier */
                             FWI_VAR_BN_SCALE,
                             FWI_VAR_BIAS,   /* biases, batch-norm shifts */
                             FWI_VAR_WHITEN, /* whitening filter: from the data, never trained */
                             FWI_VAR_WHITEN_BIAS,
                             FWI_VAR_STAT, /* running statistics: no gradient, needed to evaluate */
                             FWI_VAR_SLOT, /* an optimiser's: no gradient, not needed to evaluate */
                             FWI_VAR_AVERAGE /* of a variable over the steps: like a slot */
} fwi_var_class;

typedef enum fwi_init_kind {
    FWI_INIT_CONST,
    FWI_INIT_UNIFORM,
    FWI_INIT_NORMAL,
    FWI_INIT_DIRAC,    /* filters [oc,kh,kw,c] alone */
    FWI_INIT_UNIT_STD, /* two elements or more */
    FWI_INIT_DATA,     /* whitening filters [oc,kh,kw,c] alone */
    FWI_INIT_DATA_CENTRED,
    FWI_INIT_DIRAC_ADDED, /* filters alone, two elements or more */
    FWI_INIT_IDENTITY,    /* filters alone */
    FWI_INIT_COPY         /* variables of class AVERAGE, called NAME/average, and they alone */
} fwi_init_kind;
typedef struct fwi_init { /* of a variable; random kinds draw Philox INIT by the variable's name,
                             see rng.h */
    fwi_init_kind kind;
    /* Computed in double, rounded to float:
     *   CONST     a
     *   UNIFORM   a + (b-a) * unit
     *   NORMAL    mean a, deviation b
     *   DIRAC     UNIFORM, then each of the first min(oc, c) filters o is 0 but for a 1 at
     *             [o][(kh-1)/2][(kw-1)/2][o]: with SAME padding and stride 1 it copies channel o
     *   UNIT_STD  UNIFORM, rounded, each divided by the sample's deviation
     *             sqrt(sum (x - mean)^2 / (n-1)); all equal: not divided
     *   DATA      0, until the training data fills it (train/whiten.c): a is the epsilon of the
     *             whitening, b the number of images it looks at
     *   DATA_CENTRED  the same, the patches' mean taken off
     *   DIRAC_ADDED   UNIFORM, rounded, then DIRAC's ones are added and all values brought back to
     *             the mean and the sample's deviation that they had before
     *   IDENTITY  DIRAC with 0 in place of UNIFORM
     *   COPY      what the variable NAME starts with */
    double a, b;
} fwi_init;
/* Filled by the training data; given ones at the centre. */
static inline bool fwi_init_is_data(fwi_init_kind k)
{
    return k == FWI_INIT_DATA || k == FWI_INIT_DATA_CENTRED;
}
static inline bool fwi_init_has_dirac(fwi_init_kind k)
{
    return k == FWI_INIT_DIRAC || k == FWI_INIT_DIRAC_ADDED || k == FWI_INIT_IDENTITY;
}

typedef struct fwi_tensor {
    fwi_tensor_kind kind;
    fw_dtype dtype;
    fwi_shape shape;
    const char *name;        /* inputs and variables; NULL: a temp */
    fwi_var_class var_class; /* variables */
    bool trainable;          /* variables */
    fwi_init init;           /* variables */
    int32_t producer;        /* op that makes it; -1 */
    fwi_val grad_of; /* temps: the variable whose gradient this is, or FWI_NO_VAL; lives in the
                        store's gradient range, whatever else reads it */
    int32_t nb;      /* temps of a lowered graph: 0 n h w c; over 0 batch-blocked, see fwi_layout */
} fwi_tensor;

/* Batch-blocked activations: [ceil(n/nb)][h][w][nb][c] in memory; the shape stays n h w c. Images
 * beyond n in the last block are padding: they hold anything at all, NaN included, any kernel may
 * write them, and none lets them reach an image, a statistic or a gradient. Only activations of
 * rank 4 can be blocked, each operand of an op by the same nb and in one type: `real`, or bf16
 * or f16 where real is f32. Bit i of in (out): input (output) i of the kind is such an activation; {0, 0}:
 * the op exists in n h w c alone. */
enum { FWI_MAX_NB = 64 };
typedef struct fwi_layout {
    uint8_t in, out;
} fwi_layout;
fwi_layout fwi_op_layout(fwi_opkind kind);
/* Elements in memory, padding included. The shape must be a legal one. */
int64_t fwi_stored_elems(const fwi_shape *s, int32_t nb);
size_t fwi_tensor_bytes(const fwi_tensor *t);

typedef struct fwi_output {
    const char *name;
    fwi_val val;
} fwi_output;

/* ---- graph ---- a list of tensors and a list of ops in an order that can be run */
typedef struct fwi_graph {
    fw_dtype real;      /* FW_F32 or FW_F64 */
    fw_dtype storage;   /* of activations once a backend has lowered the graph: real, or FW_BF16
                         or FW_F16 where that is f32. The canonical graph computes in `real` all the same */
    fwi_conv_algo conv; /* what the user wants of convolutions. ANY: as the backend thinks best;
                           WINO2 to WINO7: no further than this, where it is faster */
    fwi_tensor *tensors;
    int32_t n_tensors, cap_tensors;
    fwi_op *ops;
    int32_t n_ops, cap_ops;
    fwi_output *outputs; /* what the host reads after a run */
    int32_t n_outputs, cap_outputs;
    fwi_arena *arena; /* names */
    fw_status
        status; /* first error of a builder call: builders then do nothing and give FWI_NO_VAL */
    fwi_error *error;  /* its message */
    const char *where; /* layer being built, for messages; set by nn; may be NULL */
} fwi_graph;

fw_status fwi_graph_new(fwi_graph **out, fw_dtype real);
fw_status fwi_graph_copy(fwi_graph **out, const fwi_graph *g); /* the same numbers and names */
void fwi_graph_free(fwi_graph *g);
fw_status
fwi_graph_status(const fwi_graph *g); /* raises the first builder error again; FW_OK if none */
/* Remembers this thread's message as the graph's first error (unless it has one); returns st. For
 * code outside of this room that builds. */
fw_status fwi_graph_stick(fwi_graph *g, fw_status st);

/* An input; asking again for a name works as for variables. Names are 1..255 bytes, one per graph.
 */
fwi_val fwi_graph_input(fwi_graph *g, const char *name, fw_dtype dtype, fwi_shape shape);
/* A variable; asking again for a name with the same type and shape gives the same tensor, with
 * others it is an error. */
fwi_val fwi_graph_var(fwi_graph *g, const char *name, fwi_var_class cls, bool trainable,
                      fwi_shape shape, fwi_init init);
/* The input or variable of that name, else the output; FWI_NO_VAL if there is none. */
fwi_val fwi_graph_find(const fwi_graph *g, const char *name);
/* Names of outputs are apart from those of inputs and variables: a gradient may be called like its
 * variable. The same name again for another tensor is an error. */
void fwi_graph_output(fwi_graph *g, const char *name, fwi_val v);

/* Appends an op: shapes are inferred and checked, output tensors made. attr may be NULL for ops
 * without. Returns output 0 (FWI_NO_VAL for ops without outputs, and after an error); outs, if not
 * NULL, gets all of them. */
fwi_val fwi_graph_op(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, const fwi_val *in,
                     int n_in, fwi_val *outs);
/* Shorthands for one and two inputs without further outputs wanted. */
fwi_val fwi_op1(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, fwi_val a);
fwi_val fwi_op2(fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, fwi_val a, fwi_val b);

/* conv2d with its attributes filled in from the tensors' shapes: x[n,h,w,c] w[oc,kh,kw,c].
 * same: TensorFlow's SAME padding, oh = ceil(h / stride); the odd row of padding goes to the
 * bottom. pad:  the same padding on all four sides. */
fwi_val fwi_conv2d_same(fwi_graph *g, fwi_val x, fwi_val w, int64_t stride);
fwi_val fwi_conv2d_pad(fwi_graph *g, fwi_val x, fwi_val w, int64_t stride, int64_t pad);

/* The tensor whose memory v is: v itself, or what it is a view of (FWI_VIEW, followed to its end).
 */
fwi_val fwi_graph_root(const fwi_graph *g, fwi_val v);

/* Appends the gradient of `loss` (one element) with respect to each variable in params; grads[i] is
 * a fill of zeros where loss does not depend on it. Marks grad_of; only trainable variables have
 * room for a gradient, and each can have one per graph. */
fw_status fwi_graph_gradient(fwi_graph *g, fwi_val loss, const fwi_val *params, int n,
                             fwi_val *grads);

/* Averages: what changes while a net trains (trained variables and running statistics) may have an
 * average, a variable of class AVERAGE that is called NAME/average. */
#define FWI_AVERAGE_TAIL "/average"
bool fwi_may_average(const fwi_tensor *t);
fwi_val fwi_graph_average(fwi_graph *g, fwi_val v); /* declares it, or gives the one there is */
size_t fwi_average_of(const char *name); /* of NAME/average: the length of NAME; 0: no such name */

/* The trainable variables in order of declaration; returns how many; out may be NULL to count. */
int fwi_graph_params(const fwi_graph *g, fwi_val *out, int cap);

fw_status fwi_graph_verify(const fwi_graph *g); /* every rule, again; run after each pass */
fw_status fwi_graph_print(const fwi_graph *g, fwi_buf *out);
fw_status fwi_graph_parse(fwi_graph **out, const char *text); /* reads what fwi_graph_print wrote */

/* Neutral passes: each leaves a graph that verifies and computes the same outputs. Tensors keep
 * their numbers: a temp whose op went stays behind with producer -1, unused. Values whose grad_of
 * is set are results, like outputs. */
fw_status
fwi_pass_dead_code(fwi_graph *g); /* drops ops that neither reach an output nor change a variable */
fw_status
fwi_pass_averages(fwi_graph *g); /* no neutral one: what may have an average is replaced by
                                              it, for evaluation with averaged weights */
fw_status fwi_pass_constants(fwi_graph *g); /* merges equal fills; drops add of zeros, scale by 1,
                                               reshape to the same shape, casts to the same type */
/* Ops that change variables go behind all others, each kind side by side and by the size of what it changes (axis 0,
 * then elements), for devices that do many of them as one (fwi_joint in exec.h). What each reads is what it read. */
fw_status fwi_pass_updates_last(fwi_graph *g);

/* Where each temp lives in one scratch block. offset[t] for tensor t: bytes, 64-aligned; -1: not in
 * scratch (inputs, variables, gradients of variables, views of these: see fwi_graph_root, unused).
 * Outputs of the graph live to the end. kernel_scratch[i] (may be NULL): bytes that op i needs
 * while it runs; its place comes back in kernel_offset[i]. Lifetimes that do not overlap share
 * memory; FWI_ALIAS and FWI_VIEW are used.
 */
typedef struct fwi_memplan {
    int64_t *offset;        /* [n_tensors] */
    int64_t *kernel_offset; /* [n_ops] */
    int64_t bytes;          /* of the block */
    int64_t live_peak;      /* lower bound: the largest sum of tensors alive at once */
} fwi_memplan;
fw_status fwi_memplan_make(const fwi_graph *g, const size_t *kernel_scratch, fwi_memplan *out);
void fwi_memplan_clear(fwi_memplan *m);

/* Cost, for `recipes` and `bench`: multiply-accumulates of an op's forward definition. */
int64_t fwi_op_macs(const fwi_graph *g, const fwi_op *op);
/* Of counts from 0 on: INT64_MAX where the sum is more. */
int64_t fwi_macs_add(int64_t a, int64_t b);

#endif
