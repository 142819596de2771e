/* exec.h: how a graph runs. Kernels by table, buffers by device, state in a store, steps in a plan.
 * Backends fill op tables and a device table; nothing here knows a backend's name. Read before:
 * ir.h. */
#ifndef FWI_EXEC_H
#define FWI_EXEC_H

#include "ir.h"
#include "pool.h"

/* ---- kernels ---- */
typedef struct fwi_arg {
    void *data;
    fw_dtype dtype;
    fwi_shape shape;
    int32_t nb; /* over 0: batch-blocked, see fwi_layout in ir.h */
} fwi_arg;

/* One call of a kernel. Types and shapes obey the op's shape rule in ops.def: kernels assert, they
 * do not check. What a kernel may count on, and what tests/ops holds it to:
 *   - data is as aligned as its elements, not more (gradients are packed), unless its table says what
 * it wants; scratch is 64-byte aligned
 *   - outputs and scratch hold anything at all before the call; nothing else may be written, except
 *     the inputs that the op changes
 *   - outputs overlap no input, but out[0] of an FWI_ALIAS op may be in[0]'s memory exactly
 *   - the result has the same bits for any pool, none included, and at any address */
typedef struct fwi_call {
    fwi_opkind kind;
    const fwi_attr *attr;
    fwi_arg in[FWI_MAX_IN], out[FWI_MAX_OUT];
    void *scratch;  /* as many bytes as the kernel asked for, 64-byte aligned */
    fwi_pool *pool; /* CPU: may be NULL (run inline) */
    void *stream;   /* devices with a queue */
} fwi_call;

/* Several calls of one row as one: for devices on which a small kernel costs as much as a large one. Of
 * rows whose op changes variables and makes nothing, or makes output 0 of an input that is that of the call
 * before; the result is that of call after call, bit for bit (of Muon by cuBLASLt: as its products of one
 * or several matrices have it, which may be rounded otherwise). */
enum { FWI_MAX_JOINED = 64 };
typedef struct fwi_joint {
    size_t (*scratch)(const fwi_call *calls,
                      int n); /* as fwi_kernel's, for all of them; NULL: none */
    fw_status (*run)(const fwi_call *calls, int n); /* scratch and stream: of calls[0] */
    /* Over 0: each call makes its output of this input, which is the output of the call before; the first
     * one's comes from elsewhere. Outputs may lie where other calls' inputs do, or scratch: all of these are
     * read before any output is written, in the order of the calls. */
    int follows;
} fwi_joint;

typedef struct fwi_kernel {
    fwi_opkind op;
    fw_dtype dtype;                      /* of in[0]; of out[0] for ops without inputs */
    fw_status (*run)(const fwi_call *c); /* allocates nothing */
    size_t (*scratch)(
        const fwi_call
            *c); /* bytes for these shapes and this pool; data pointers are NULL. NULL: none */
    bool (*accepts)(const fwi_call *c); /* NULL: any shape */
    const char *name;                   /* "conv2d_f32_avx512_14x32" */
    bool blocked;           /* for calls with a batch-blocked operand, and for these alone */
    const fwi_joint *joint; /* NULL: one call at a time */
} fwi_kernel;

/* Elements of a tensor from which on kernels that count in 32 bits do not take it: 2^31, less room for
 * what a block of threads looks at beyond the end. Those of the CPU take any. */
#define FWI_MOST_ELEMS (((int64_t)1 << 31) - ((int64_t)1 << 23))

/* Bytes of an output beyond which a sweep over images writes past the caches: a last level holds no more. Tests
 * lower it, between calls. */
enum { FWI_STREAM_FROM = 1 << 25 };
extern int64_t fwi_stream_from;

/* A backend's rows, and the table to fall back to: the first row that fits, along the chain, is
 * taken. So a room of the CPU starts from the reference and overrides, and one that lacks an op is
 * slower, never wrong; the chain of a device with memory of its own ends without the reference. */
typedef struct fwi_op_table {
    const char *name; /* "avx512" */
    const struct fwi_op_table *base;
    const fwi_kernel *rows; /* ends with a row whose run is NULL */
    int32_t nb; /* images per block that its rows want, where there are several; 0: as the CPU's */
    /* What the rows want on a boundary of so many bytes: inputs, and outputs that are images
     * (fwi_op_layout). In a plan on a device with memory of its own those are on one of 64; what may lie
     * anywhere is the gradient of a variable. 0: nothing, as fwi_call has it. */
    int32_t align;
    /* Outputs in f32 of rows for images of 16 bits may have been rounded to the images' type on the way. */
    bool rounds;
} fwi_op_table;
bool fwi_call_blocked(const fwi_call *c); /* has a batch-blocked operand */
/* Types, layouts, shapes and attributes of an op of a graph; no addresses. */
fwi_call fwi_call_of(const fwi_graph *g, const fwi_op *op);
/* NULL if no row of the chain fits. from, if not NULL, gets the table it came from. */
const fwi_kernel *fwi_table_find(const fwi_op_table *t, const fwi_call *c,
                                 const fwi_op_table **from);

/* ---- devices ---- */
typedef struct fwi_device fwi_device;
typedef struct fwi_step fwi_step;
typedef struct fwi_plan fwi_plan;

typedef struct fwi_device_opt {
    int threads;    /* CPU: 0 as many as allowed */
    int index;      /* which one, for devices that come in numbers */
    fwi_pool *pool; /* CPU: use this pool (borrowed); NULL: make one of `threads` */
    bool pin;       /* CPU: bind each thread of the pool that it makes to a CPU */
    bool
        tf32; /* GPU: products of f32 may round their operands to tf32; elsewhere FW_EUNAVAILABLE */
} fwi_device_opt;

struct fwi_batch_job;
struct fwi_guard;
struct fwi_line_job;
struct fwi_score_job;
typedef struct fwi_backend {
    const char *name; /* "cpu" */
    fw_status (*open)(fwi_device **out, const fwi_device_opt *opt);
    void (*close)(fwi_device *d);
    /* Device memory: zeroed, at least 64-byte aligned. */
    fw_status (*alloc)(fwi_device *d, size_t n_bytes, void **out);
    void (*release)(fwi_device *d, void *p, size_t n_bytes);
    fw_status (*upload)(fwi_device *d, void *dst, const void *src, size_t n_bytes);
    fw_status (*download)(fwi_device *d, void *dst, const void *src,
                          size_t n_bytes); /* waits for what was enqueued */
    /* Backend passes over a verified canonical graph, in place: fusion, layout, types. NULL: none.
     */
    fw_status (*lower)(fwi_device *d, fwi_graph *g);
    fw_status (*sync)(fwi_device *d);
    /* Device memory that is free and that there is. NULL: the host's, which nobody asks for. */
    fw_status (*memory)(fwi_device *d, size_t *free_bytes, size_t *all_bytes);
    /* Recordings, or four times NULL: what kernels enqueue between begin and end is not run but kept;
     * replay enqueues all of it at once. end after a failure in between gives no recording. */
    fw_status (*record_begin)(fwi_device *d);
    fw_status (*record_end)(fwi_device *d, void **out);
    fw_status (*replay)(fwi_device *d, void *recording);
    void (*forget)(fwi_device *d, void *recording);
    /* Enqueues the making of a batch of images that lie on the device (augment.h). NULL: batches come
     * from the host. */
    fw_status (*make_batch)(fwi_device *d, const struct fwi_batch_job *job);
    /* Enqueue a copy of the state; then, behind a step, a look at the gradients: if one of them is not
     * finite the state becomes that copy again, and counts tell (guard.h). NULL where has_f16 is not
     * set. */
    fw_status (*guard_keep)(fwi_device *d, const struct fwi_guard *g);
    fw_status (*guard_judge)(fwi_device *d, const struct fwi_guard *g);
    /* Enqueues copies between tables and what a step reads and leaves (lines.h). NULL: steps are fed one by
     * one. */
    fw_status (*move_lines)(fwi_device *d, const struct fwi_line_job *job);
    /* Enqueues what an evaluation makes of a batch's logits (score.h). NULL: the host does it. */
    fw_status (*score)(fwi_device *d, const struct fwi_score_job *job);
    const struct fwi_probe
        *probe; /* for those who measure it (probe.h); NULL: by the host's clock */
} fwi_backend;

struct fwi_device { /* first member of a backend's own device struct */
    const fwi_backend *backend;
    const fwi_op_table *table;
    fwi_pool *pool; /* CPU and host work; may be NULL */
    void *stream;
    bool host_memory;    /* device memory can be read and written by the host */
    bool has_bf16;       /* runs graphs whose storage is FW_BF16 */
    bool has_f16;        /* or FW_F16 */
    bool has_f64;        /* runs graphs of FW_F64 */
    const char *label;   /* "cpu (avx512, 2 threads)" */
    int64_t allocations; /* blocks that it has given out, since it was opened */
};

/* ---- store: weights, statistics, slots, by name ---- */
typedef struct fwi_var {
    const char *name;
    fwi_var_class cls;
    bool trainable;
    fw_dtype dtype;
    fwi_shape shape;
    fwi_init init;
    size_t offset, bytes; /* in the state block; 64-byte aligned */
    size_t
        grad_offset; /* in the gradient block, elements packed in parameter order; trainable only */
    void *data;      /* device memory */
} fwi_var;

typedef struct fwi_store {
    fwi_device *device;
    fwi_var *vars;
    int n_vars;
    void *state, *grads; /* two blocks of device memory */
    size_t state_bytes, grad_bytes;
    fwi_arena *arena;
} fwi_store;
/* All variables of the graphs (same name: same type and shape, else FW_ESHAPE), in order of first
 * appearance. */
fw_status fwi_store_new(fwi_store **out, fwi_device *d, const fwi_graph *const *graphs,
                        int n_graphs);
void fwi_store_free(fwi_store *s);
fw_status fwi_store_init(fwi_store *s, uint64_t seed); /* every variable by its init rule */
/* The averages become what they are averages of: again, where that was changed since. */
fw_status fwi_store_init_copies(fwi_store *s);
/* The average of that variable; NULL: it has none. */
const fwi_var *fwi_store_average(const fwi_store *s, const fwi_var *v);
const fwi_var *fwi_store_find(const fwi_store *s, const char *name);        /* NULL */
fw_status fwi_store_read(const fwi_store *s, const fwi_var *v, void *host); /* v->bytes */
fw_status fwi_store_write(fwi_store *s, const fwi_var *v, const void *host);
fw_status fwi_store_read_grad(const fwi_store *s, const fwi_var *v, void *host);

/* ---- plan: a flat list of steps ---- immutable once made, so several threads may run one plan
 * with bindings of their own */
enum { FWI_MAX_BOUND = 8 }; /* inputs of a graph */
typedef struct fwi_binding {
    void *scratch;                     /* fwi_plan_scratch_bytes, device memory, 64-byte aligned */
    const void *inputs[FWI_MAX_BOUND]; /* host memory, in the order of the inputs of the graph that
                                          was given (fwi_plan_input); at least as aligned as the
                                          elements; unused ones may be NULL. A device whose memory
                                          is not the host's gets copies of them with each run, in a
                                          part of scratch that is theirs */
    uint32_t resident;                 /* bit i: input i is device memory, and not copied */
} fwi_binding;

/* Takes the graph's ops through device->backend->lower, verifies, chooses kernels, plans memory.
 * graph is copied as needed: it may be freed afterwards. store must hold every variable of it and
 * outlive the plan. */
fw_status fwi_plan_new(fwi_plan **out, fwi_device *d, fwi_store *s, const fwi_graph *g);
void fwi_plan_free(fwi_plan *p);
size_t fwi_plan_scratch_bytes(const fwi_plan *p);
size_t fwi_plan_live_bytes(const fwi_plan *p); /* lower bound of the above, see fwi_memplan */
int fwi_plan_input(const fwi_plan *p,
                   const char *name); /* slot in fwi_binding.inputs; -1: the plan does not use it */
int fwi_plan_output(const fwi_plan *p, const char *name); /* -1: none */
const fwi_shape *fwi_plan_output_shape(const fwi_plan *p, int i, fw_dtype *dtype);
fw_status fwi_plan_run(const fwi_plan *p,
                       const fwi_binding *b); /* allocates nothing, locks nothing of its own */
/* The steps of one binding as one thing that is enqueued by a single call: for devices with a queue.
 * *out is NULL where the device keeps none. Of later bindings only the inputs that lie on the host
 * may differ. Run the plan once before: what a first run still has to do is then done. */
typedef struct fwi_recording fwi_recording;
/* What else is enqueued, before the plan's steps and behind them: part of the recording. It is for the
 * caller to know whether that would still be the same. */
typedef struct fwi_around {
    fw_status (*before)(const void *user), (*behind)(const void *user);
    const void *user;
} fwi_around;
/* around NULL: nothing. */
fw_status fwi_plan_record(fwi_recording **out, const fwi_plan *p, const fwi_binding *b,
                          const fwi_around *around);
fw_status fwi_recording_run(const fwi_recording *r, const fwi_binding *b);
/* Whether it can be run with this binding. */
bool fwi_recording_fits(const fwi_recording *r, const fwi_binding *b);
void fwi_recording_free(fwi_recording *r); /* NULL: nothing */
/* Where input i is copied to with each run, on a device whose memory is not the host's: whoever fills
 * it there binds it as resident. The plan uses input i. */
void *fwi_plan_staged(const fwi_plan *p, const fwi_binding *b, int i);
/* Output i into host memory (n_bytes must be its size); after the run, before the next one on the
 * same scratch. */
fw_status fwi_plan_read(const fwi_plan *p, const fwi_binding *b, int i, void *host, size_t n_bytes);
/* Where it lies in the device's memory, for what is enqueued behind the run; NULL and a message: an input
 * that it hangs on is not bound. */
const void *fwi_plan_output_at(const fwi_plan *p, const fwi_binding *b, int i);

/* For bench, doctor and --explain. A step is a call, or several that run as one. */
int fwi_plan_steps(const fwi_plan *p);
typedef struct fwi_step_info {
    fwi_opkind op;
    const char *kernel, *table; /* "conv2d_f32_avx512_14x32", "avx512" */
    int n_calls;
    int64_t macs,
        bytes; /* of all calls; bytes: inputs and outputs, each once, twice what is changed */
    fwi_shape in0, out0; /* of the first call */
    const fwi_call
        *call; /* the first: types, shapes and attributes, no addresses; the plan's own */
} fwi_step_info;
void fwi_plan_step(const fwi_plan *p, int i, fwi_step_info *out);
/* Runs and adds each step's seconds to seconds[fwi_plan_steps]. */
fw_status fwi_plan_run_timed(const fwi_plan *p, const fwi_binding *b, double *seconds);

#endif
