/* t_check.c: a case on every kernel that takes it, of every table that this machine can run, in every
 * way that must not change a bit. See t_ops.h, t_inner.h. */
#include "t_inner.h"

#include "t_cuda.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KERNELS = 256 };
static struct {
    const char *name;
    double worst;
    int64_t runs;
} kernels[MAX_KERNELS];
static int n_kernels;

static void note_kernel(const char *name, double ratio)
{
    int i = 0;
    while (i < n_kernels && strcmp(kernels[i].name, name) != 0)
        i++;
    if (i == n_kernels) {
        assert_true(n_kernels < MAX_KERNELS);
        kernels[n_kernels++].name = name;
    }
    kernels[i].runs++;
    if (ratio > kernels[i].worst)
        kernels[i].worst = ratio;
}

static const fwi_arg *result_arg(const t_case *c, const fwi_call *call, int r)
{
    const int n_out = fwi_op_info_get(c->kind)->n_out;
    return r < n_out ? &call->out[r] : &call->in[r - n_out];
}

/* The type through which a row of such a table may have passed its output (fwi_op_table.rounds). */
static fw_dtype rounded_by_way_of(const fwi_op_table *t, const fwi_call *call, const fwi_arg *a)
{
    const fw_dtype images = call->in[0].dtype;
    const bool narrow = images == FW_BF16 || images == FW_F16;
    return t != NULL && t->rounds && narrow && a->dtype == FW_F32 ? images : a->dtype;
}

enum { RUN = 512 };
/* Elements j, j + 1 .. of n, as many as lie together, RUN at most: returns how many. */
static int64_t load_run(const fwi_arg *a, int64_t j, int64_t n, double values[RUN])
{
    int64_t at = 0, run = t_run_of(a, j, n, &at);
    run = run < RUN ? run : RUN;
    t_load(a->data, a->dtype, at, run, values);
    return run;
}

/* The first run of a kernel: values against the tolerance. A result that was rounded to 16 bits on
 * its way to f32 may be off by what a result of those 16 bits may: u_out |want| of rule A14, and where
 * f16 ends it is infinite. */
static void compare(const t_case *c, const fwi_kernel *k, const fwi_op_table *from,
                    const fwi_call *call)
{
    /* Tolerances are stated in units of float; in double both sides round, in units of 2^-53. */
    const double units[] = {[FW_F32] = 1.0, [FW_F64] = 2.0 / 536870912.0};
    double worst = 0;
    for (int r = 0; r < c->n_results; r++) {
        const t_result *res = &c->result[r];
        const fwi_arg *a = result_arg(c, call, r);
        const fw_dtype dtype = a->dtype, by = rounded_by_way_of(from, call, a);
        const double unit = units[dtype == FW_F64 ? FW_F64 : FW_F32];
        double values[RUN];
        for (int64_t j = 0, run = 0, of = 0; j < res->n; j++, of++) {
            if (of == run) {
                run = load_run(a, j, res->n, values);
                of = 0;
            }
            const double got = values[of], want = res->want[j];
            const double near = t_as_stored(by, want);
            /* below 2^-14 the values of f16 are 2^-24 apart: half of that is a rounding */
            const double tol = unit * res->tol[j] + fabs(want) * t_u_out(by) +
                               (by == FW_F16 ? ldexp(1, -25) : 0.0);
            if (got == near || (isnan(got) && isnan(want)))
                continue;
            const double err = fabs(got - want);
            if (!(err <= tol)) {
                char text[512];
                t_describe(c, text, sizeof text);
                fail_msg("%s: %s: result %d, element %lld of %lld is %.9g, expected %.9g "
                         "within %.3g (off by %.3g)",
                         text, k->name, r, (long long)j, (long long)res->n, got, want, tol, err);
            }
            if (err / tol > worst)
                worst = err / tol;
        }
    }
    note_kernel(k->name, worst);
}

static void check_untouched(const t_case *c, const fwi_kernel *k, const t_buffers *b,
                            const fwi_call *call, bool in_place)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    bool intact = t_fenced_intact(&b->scratch.mem), same = true;
    for (int i = 0; i < info->n_in; i++) {
        intact = intact && t_fenced_intact(&b->in[i].mem);
        if (i < fwi_op_mutates(c->kind) || (in_place && i == 0))
            continue;
        double now[RUN];
        for (int64_t j = 0, run = 0; j < c->in[i].n; j += run) {
            run = load_run(&call->in[i], j, c->in[i].n, now);
            const double *const was = c->in[i].v + j;
            for (int64_t of = 0; of < run; of++)
                same = same && (now[of] == was[of] || (isnan(now[of]) && isnan(was[of])));
        }
    }
    for (int i = 0; i < info->n_out; i++)
        intact = intact && t_fenced_intact(&b->out[i].mem);
    if (intact && same)
        return;
    char text[512];
    t_describe(c, text, sizeof text);
    fail_msg("%s: %s %s", text, k->name,
             intact ? "changed an input" : "wrote behind or before a buffer");
}

/* Of all elements that are no padding. */
static bool same_bits(const fwi_arg *a, const fwi_arg *b)
{
    const size_t size = fw_dtype_size(a->dtype);
    if (a->nb == 0)
        return memcmp(a->data, b->data, t_arg_bytes(a)) == 0;
    const int64_t n = fwi_shape_elems(&a->shape);
    int64_t at = 0, run = 0;
    for (int64_t j = 0; j < n; j += run) {
        run = t_run_of(a, j, n, &at);
        const size_t begin = (size_t)at * size;
        if (memcmp((const char *)a->data + begin, (const char *)b->data + begin,
                   (size_t)run * size) != 0)
            return false;
    }
    return true;
}

/* ---- a device whose memory is its own: a GPU, where there is one ---- */

static void require_device(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", t_device->label, fw_last_error());
}

/* The block goes there, guards and all; gives where its data is. */
static void *to_device(t_buffer *g)
{
    if (g->mem.block == NULL)
        return NULL;
    require_device(t_device->backend->alloc(t_device, g->mem.room, &g->copy));
    require_device(t_device->backend->upload(t_device, g->copy, g->mem.block, g->mem.room));
    return (unsigned char *)g->copy + (g->mem.data - g->mem.block);
}

static void from_device(t_buffer *g)
{
    if (g->copy == NULL)
        return;
    require_device(t_device->backend->download(t_device, g->mem.block, g->copy, g->mem.room));
    t_device->backend->release(t_device, g->copy, g->mem.room);
    g->copy = NULL;
}

/* Runs the call on copies of its memory and brings them back. */
static fw_status run_on_device(const t_case *c, const fwi_kernel *k, const fwi_call *call,
                               t_buffers *b, bool in_place)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    fwi_call there = *call;
    for (int i = 0; i < info->n_in; i++)
        there.in[i].data = to_device(&b->in[i]);
    for (int i = 0; i < info->n_out; i++)
        there.out[i].data = to_device(&b->out[i]);
    if (in_place)
        there.out[0].data = there.in[0].data;
    if (call->scratch != NULL)
        there.scratch = to_device(&b->scratch);
    there.stream = t_device->stream;
    fw_status st = k->run(&there);
    if (st == FW_OK)
        st = t_device->backend->sync(t_device);
    for (int i = 0; i < info->n_in; i++)
        from_device(&b->in[i]);
    for (int i = 0; i < info->n_out; i++)
        from_device(&b->out[i]);
    from_device(&b->scratch);
    return st;
}

/* inline; 2 threads; 9 threads on odd addresses; in place */
enum {
    INLINE = 1,
    TWO_THREADS = 2,
    ODD = 4,
    IN_PLACE = 8,
    WAYS = 4,
    ALL_WAYS = T_THREADS_BUILD ? INLINE | ODD : 15
};

/* Emulated instructions (tests/avx512) take ten times as long as others. */
static int ways_of(fwi_isa isa)
{
#ifdef T_EMULATED
    if (strncmp(fwi_isa_name(isa), T_EMULATED, strlen(T_EMULATED)) == 0)
        return INLINE | ODD | IN_PLACE;
#endif
    (void)isa;
    return ALL_WAYS;
}

/* ways: a bit for each; the first one always. from: the kernel's table; NULL: it says nothing. */
static void check_kernel(const t_case *c, const fwi_kernel *k, const fwi_op_table *from,
                         const fwi_call *types, int ways, bool on_device)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    const bool may_alias = (info->flags & FWI_ALIAS) != 0;
    t_buffers b[WAYS] = {0};
    fwi_call call[WAYS];
    for (int w = 0; w < (may_alias ? WAYS : WAYS - 1); w++) {
        const bool in_place = w == 3;
        if (w > 0 && !(ways >> w & 1))
            continue;
        call[w] = *types;
        call[w].pool = t_pools[w % 3];
        const size_t scratch = k->scratch != NULL ? k->scratch(&call[w]) : 0;
        t_buffers_new(&b[w], c, &call[w], scratch, w == 2, from != NULL ? from->align : 0);
        if (in_place)
            call[w].out[0].data = call[w].in[0].data;
        const fw_status st =
            on_device ? run_on_device(c, k, &call[w], &b[w], in_place) : k->run(&call[w]);
        if (st != FW_OK)
            fail_msg("%s: %s", k->name, fw_last_error());
        check_untouched(c, k, &b[w], &call[w], in_place);
        if (w == 0) {
            compare(c, k, from, &call[0]);
            continue;
        }
        for (int r = 0; r < c->n_results; r++) {
            if (!same_bits(result_arg(c, &call[0], r), result_arg(c, &call[w], r))) {
                static const char *const names[WAYS] = {
                    "", "with 2 threads", "with 9 threads on odd addresses", "in place"};
                char text[512];
                t_describe(c, text, sizeof text);
                fail_msg("%s: %s gives other bits %s", text, k->name, names[w]);
            }
        }
        t_buffers_free(&b[w], c);
    }
    t_buffers_free(&b[0], c);
}

/* Under emulation there are no threads of the host, and large convolutions take long. 0: too long. */
static int cuda_ways(const fwi_call *types)
{
    enum { LARGE = 1 << 20 };
    const fwi_conv_attr *a = &types->attr->conv;
    const int64_t *d = types->out[0].shape.d;
    if (T_THREADS_BUILD)
        return 0;
    if (fwi_op_is_conv(types->kind) && fwi_shape_elems(&types->in[0].shape) * a->kh * a->kw *
                                               (types->kind == FWI_OP_conv2d_dw ? d[0] : d[3]) >
                                           LARGE)
        return T_SLOW_BUILD ? 0 : INLINE;
    return INLINE | ODD | IN_PLACE;
}

/* And not a device that stands for one (tests/cuda). */
static bool is_a_gpu(void)
{
    return t_device != NULL && strcmp(t_device->backend->name, "cuda") == 0;
}

static int own_on_gpu;
int t_own_convs_on_gpu(void)
{
    return own_on_gpu;
}

static int check_own_convs_on_device(const t_case *c, const fwi_call *types)
{
    fwi_own_conv own[FWI_OWN_CONVS];
    fwi_call call = *types;
    if (!is_a_gpu())
        return 0;
    call.stream = t_device->stream;
    const int n = fwi_own_conv_candidates(&call, own);
    for (int i = 0; i < n; i++) /* twice, on the boundaries that they want */
        check_kernel(c, own[i].kernel, NULL, &call, INLINE | TWO_THREADS, true);
    own_on_gpu += n;
    return n;
}

/* Our own engines for convolutions, which no table takes by itself: every second one of a case under
 * emulation, whose time is long, and all of them on a GPU that has them. How many. */
static int check_own_convs(const t_case *c, const fwi_call *types)
{
    fwi_own_conv own[FWI_OWN_CONVS];
    const int n = T_THREADS_BUILD ? 0 : fwi_emulated_own_conv_candidates(types, own);
    int ran = 0;
    for (int i = 0; i < n; i++) {
        if (n > 1 && (i + t_case_number + (types->in[0].dtype == FW_F16)) % 2 != 0)
            continue;
        check_kernel(c, own[i].kernel, NULL, types, INLINE, false);
        ran++;
    }
    return ran + check_own_convs_on_device(c, types);
}

/* On the GPU, every row that takes the call: the libraries' that come first, and our own behind them,
 * which are what a machine without the libraries has. One per table is all that a table can have. */
static void check_on_device(const t_case *c, const fwi_call *types)
{
    fwi_call call = *types;
    const int ways = is_a_gpu() ? INLINE | ODD | IN_PLACE : cuda_ways(types);
    int ran = 0;
    if (ways == 0)
        return;
    call.stream = t_device->stream;
    for (const fwi_op_table *t = t_device->table; t != NULL; t = t->base) {
        fwi_op_table alone = *t;
        alone.base = NULL;
        const fwi_kernel *const k = fwi_table_find(&alone, &call, NULL);
        if (k == NULL)
            continue;
        check_kernel(c, k, t, &call, ways, true);
        ran++;
    }
    if (ran == 0)
        (void)t_find(c, t_device->table, &call); /* says what there is none for */
}

/* Our kernels for GPUs, under emulation and, where there is a GPU, on it with whatever its tables have
 * for the call. A GPU has nothing to fall back to: there must be a kernel for every core op. */
static void check_cuda(const t_case *c, const fwi_call *types)
{
    const bool must = (fwi_op_info_get(c->kind)->flags & FWI_CORE) != 0 && types->in[0].nb == 0 &&
                      !(types->kind == FWI_OP_cast && types->out[0].dtype != FW_F32);
    const fwi_op_table *table = fwi_cuda_emulated_table();
    const fwi_kernel *k = must ? t_find(c, table, types) : fwi_table_find(table, types, NULL);
    if (k == NULL)
        return;
    if (t_device == NULL) {
        const int ways = cuda_ways(types);
        if (ways != 0)
            check_kernel(c, k, NULL, types, ways, false);
        return;
    }
    check_on_device(c, types);
    if (fwi_op_is_conv(types->kind))
        (void)check_own_convs_on_device(c, types);
}

/* With FW_TEST_DEVICE that device alone: what the host has is checked without it. */
static int host_isas(void)
{
    return t_device == NULL ? FWI_ISA_COUNT : 0;
}

/* Whether a case goes through this instruction set. For threads through one: an op's cases take turns, each time
 * begun with another one, as a test may make them in rounds of any length. */
static bool takes_isa(const t_case *c, fwi_isa isa)
{
    if (!T_THREADS_BUILD)
        return fwi_isa_supported(isa);
    int n = 0, at = -1;
    for (int i = FWI_ISA_PORTABLE; i < FWI_ISA_COUNT; i++) {
        if (!fwi_isa_supported((fwi_isa)i))
            continue;
        at = i == (int)isa ? n : at;
        n++;
    }
    const int64_t turn = t_stats[c->kind].cases;
    return at == (turn + turn / n) % n;
}

static void check_tables(const t_case *c, fw_dtype real)
{
    fwi_attr attr;
    const fwi_call types = t_infer(c, real, &attr);
    const fwi_kernel *seen[FWI_ISA_COUNT];
    int n_seen = 0;
    for (int isa = 0; isa < host_isas(); isa++) {
        const fwi_op_table *table = fwi_cpu_table((fwi_isa)isa);
        if (table == NULL || !takes_isa(c, (fwi_isa)isa))
            continue;
        const fwi_kernel *k = t_find(c, table, &types);
        bool again = false;
        for (int i = 0; i < n_seen; i++)
            again = again || seen[i] == k;
        if (again)
            continue;
        seen[n_seen++] = k;
        if (isa == FWI_ISA_REF && real == FW_F64)
            continue; /* the measure itself */
        check_kernel(c, k, NULL, &types, ways_of((fwi_isa)isa), false);
    }
    if (real == FW_F32) /* a GPU computes in no other type */
        check_cuda(c, &types);
}

/* ---- batch-blocked kernels ---- */

/* The same call with its images blocked; false where the op or the case has none. */
static bool block_call(fwi_call *call, int32_t nb, fw_dtype storage)
{
    const fwi_op_info *info = fwi_op_info_get(call->kind);
    const fwi_layout layout = fwi_op_layout(call->kind);
    if ((layout.in | layout.out) == 0)
        return false;
    for (int i = 0; i < info->n_in + info->n_out; i++) {
        const bool is_in = i < info->n_in;
        const int k = is_in ? i : i - info->n_in;
        fwi_arg *a = is_in ? &call->in[k] : &call->out[k];
        if (!((is_in ? layout.in : layout.out) >> k & 1))
            continue;
        if (a->shape.rank != 4)
            return false;
        a->nb = nb;
        if (a->dtype == FW_F32)
            a->dtype = storage;
    }
    return true;
}

/* The case with its inputs rounded to what images are stored as, and what the reference says of those. Tolerances stay:
 * rounding an input moves sums of |terms| by less than a hundredth. */
static void round_case(const t_case *c, fw_dtype storage, t_case *out)
{
    double *want[T_RESULTS] = {0};
    *out = *c;
    for (int i = 0; i < c->n_in; i++) {
        out->in[i].v = t_zeros(c->in[i].n, sizeof(double));
        for (int64_t j = 0; j < c->in[i].n; j++)
            out->in[i].v[j] =
                c->in[i].dtype == FW_F32 ? t_as_stored(storage, c->in[i].v[j]) : c->in[i].v[j];
    }
    for (int r = 0; r < c->n_results; r++) {
        t_result *res = &out->result[r];
        res->want = t_zeros(res->n, sizeof(double));
        res->tol = t_zeros(res->n, sizeof(double));
        want[r] = res->want;
    }
    t_reference_run(out, want);
    for (int r = 0; r < c->n_results; r++) {
        out->result[r].more = NULL;
        for (int64_t j = 0; j < out->result[r].n; j++) /* the part of it that grows with |want| */
            out->result[r].tol[j] = 1.02 * c->result[r].tol[j] +
                                    T_U * fabs(out->result[r].want[j] - c->result[r].want[j]) +
                                    (c->result[r].more != NULL ? c->result[r].more[j] : 0);
    }
}

/* Every blocked row that takes the case: whole blocks, a block with padding, one block alone. The
 * padding is full of NaN before each call. Where that takes minutes, not all of the sizes. */
static void check_blocked(const t_case *c, fw_dtype storage)
{
    static const int32_t sizes[] = {1, 2, 5, 10, 14};
    const int first = T_THREADS_BUILD ? 2 : 0, step = T_SLOW_BUILD ? 2 : 1; /* 5 and 14; 1, 5, 14 */
    t_case rounded = *c;
    if (storage != FW_F32)
        round_case(c, storage, &rounded);
    for (int isa = FWI_ISA_PORTABLE; isa < host_isas(); isa++) {
        const fwi_op_table *table = fwi_cpu_table((fwi_isa)isa), *from = NULL;
        if (table == NULL || !takes_isa(c, (fwi_isa)isa))
            continue;
        for (int s = first; s < T_COUNT(sizes); s += step) {
            fwi_attr attr;
            fwi_call types = t_infer(&rounded, FW_F32, &attr);
            if (!block_call(&types, sizes[s], storage))
                break;
            const fwi_kernel *k = fwi_table_find(table, &types, &from);
            if (k != NULL && from == table)
                check_kernel(&rounded, k, NULL, &types, ways_of((fwi_isa)isa), false);
        }
    }
    fwi_attr attr;
    fwi_call types = t_infer(&rounded, FW_F32, &attr);
    if (block_call(&types, 1, storage))
        check_cuda(&rounded, &types);
    if (storage != FW_F32)
        t_drop(&rounded);
}

int t_check_own_convs(t_case *c)
{
    static const fw_dtype storages[] = {FW_BF16, FW_F16};
    int n = 0;
    for (int i = 0; i < T_COUNT(storages); i++) {
        t_case rounded;
        round_case(c, storages[i], &rounded);
        fwi_attr attr;
        fwi_call types = t_infer(&rounded, FW_F32, &attr);
        assert_true(block_call(&types, 1, storages[i]));
        n += check_own_convs(&rounded, &types);
        t_drop(&rounded);
    }
    t_drop(c);
    return n;
}

void t_check(t_case *c)
{
    assert_true(c->n_results > 0);
    check_tables(c, FW_F32);
    if (!T_THREADS_BUILD &&
        !c->float_only) /* the same bodies, and so the same threads, as for f32 */
        check_tables(c, FW_F64);
    check_blocked(c, FW_F32);
    check_blocked(c, FW_BF16);
    check_blocked(c, FW_F16);
    t_op_stats *s = &t_stats[c->kind];
    s->cases++;
    for (int r = 0; r < c->n_results; r++) {
        s->results += c->result[r].n;
        for (int64_t j = 0; j < c->result[r].n; j++)
            s->nonzero += c->result[r].want[j] != 0;
    }
    t_drop(c);
}

void t_print_kernels(void)
{
    for (int i = 0; i < n_kernels; i++)
        printf("%-36s %5lld runs, worst err/tol %.3f\n", kernels[i].name,
               (long long)kernels[i].runs, kernels[i].worst);
}
