/* bench_conv.c: how fast the convolution kernels of each instruction set are, on the shapes of
 * bench/shapes.txt. Sees the kernels' rows directly, below graph and plan, so that one shape and
 * pass can be worked on alone. Every line is checked against plain loops in double on sampled
 * outputs; a wrong answer prints no speed.
 *
 *   bench_conv [isa=avx512] [type=f32] [threads=0] [reps=5] [pass=fwd|dx|dw] [shape=NAME] [file=F]
 */
#include "backends.h"
#include "clock.h"
#include "cpu.h"
#include "exec.h"
#include "mem.h"
#include "pool.h"
#include "rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_SAMPLES = 200 };

typedef struct conv_case {
    char name[32];
    long n, h, w, c, oc, k, stride, pad, oh, ow;
} conv_case;

typedef struct options {
    fwi_isa isa;
    fw_dtype dtype;
    int threads, reps;
    const char *pass, *shape, *file;
} options;

/* Time on all cores together: what is left to compare when others use the machine too. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double get(const fwi_arg *a, int64_t i)
{
    return a->dtype == FW_F64 ? ((const double *)a->data)[i] : (double)((const float *)a->data)[i];
}

static int64_t at4(const fwi_arg *a, int64_t i, int64_t j, int64_t k, int64_t l)
{
    return ((i * a->shape.d[1] + j) * a->shape.d[2] + k) * a->shape.d[3] + l;
}

/* One element of the result by definition; *sum_abs gets the sum of the terms' magnitudes. */
static double expect(const conv_case *s, const fwi_call *c, const int64_t at[4], double *sum_abs,
                     int64_t *terms)
{
    const fwi_arg *const a = &c->in[0], *const b = &c->in[1];
    double sum = 0;
    *sum_abs = 0;
    *terms = 0;
#define TERM(x, y)                                                                                 \
    do {                                                                                           \
        const double t = (x) * (y);                                                                \
        sum += t;                                                                                  \
        *sum_abs += fabs(t);                                                                       \
        ++*terms;                                                                                  \
    } while (0)
    if (c->kind == FWI_OP_conv2d_dw) {
        for (int64_t i = 0; i < s->n; i++)
            for (int64_t y = 0; y < s->oh; y++)
                for (int64_t x = 0; x < s->ow; x++) {
                    const int64_t sy = y * s->stride + at[1] - s->pad;
                    const int64_t sx = x * s->stride + at[2] - s->pad;
                    if (sy >= 0 && sy < s->h && sx >= 0 && sx < s->w)
                        TERM(get(a, at4(a, i, sy, sx, at[3])), get(b, at4(b, i, y, x, at[0])));
                }
        return sum;
    }
    for (int64_t ky = 0; ky < s->k; ky++)
        for (int64_t kx = 0; kx < s->k; kx++) {
            if (c->kind == FWI_OP_conv2d) {
                const int64_t sy = at[1] * s->stride + ky - s->pad;
                const int64_t sx = at[2] * s->stride + kx - s->pad;
                if (sy >= 0 && sy < s->h && sx >= 0 && sx < s->w)
                    for (int64_t k = 0; k < s->c; k++)
                        TERM(get(a, at4(a, at[0], sy, sx, k)), get(b, at4(b, at[3], ky, kx, k)));
            } else {
                const int64_t y = at[1] + s->pad - ky, x = at[2] + s->pad - kx;
                if (y >= 0 && x >= 0 && y % s->stride == 0 && x % s->stride == 0 &&
                    y / s->stride < s->oh && x / s->stride < s->ow)
                    for (int64_t k = 0; k < s->oc; k++)
                        TERM(get(a, at4(a, at[0], y / s->stride, x / s->stride, k)),
                             get(b, at4(b, k, ky, kx, at[3])));
            }
        }
#undef TERM
    return sum;
}

/* The worst error over what style A14 allows, on sampled outputs. */
static double check(const conv_case *s, const fwi_call *c)
{
    const fwi_arg *const out = &c->out[0];
    const double u = out->dtype == FW_F64 ? 0x1p-53 : 0x1p-24;
    const int samples = c->kind == FWI_OP_conv2d_dw ? 20 : N_SAMPLES;
    double worst = 0;
    for (int i = 0; i < samples; i++) {
        int64_t at[4];
        for (int d = 0; d < 4; d++)
            at[d] = random() % out->shape.d[d];
        double sum_abs;
        int64_t terms;
        const double want = expect(s, c, at, &sum_abs, &terms);
        const double got = get(out, at4(out, at[0], at[1], at[2], at[3]));
        const double tol = 2 * u * sqrt((double)terms) * sum_abs + u * fabs(want);
        const double ratio = fabs(got - want) / (tol > 0 ? tol : u);
        if (!(ratio <= worst))
            worst = ratio;
    }
    return worst;
}

static fwi_arg make(fw_dtype t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    fwi_arg x = {.dtype = t, .shape = {.rank = 4, .d = {a, b, c, d}}};
    const int64_t n = a * b * c * d;
    x.data = fwi_big_alloc((size_t)n * fw_dtype_size(t));
    if (x.data == NULL)
        return x;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)(random() % 2001 - 1000) / 1000.0;
        if (t == FW_F64)
            ((double *)x.data)[i] = v;
        else
            ((float *)x.data)[i] = (float)v;
    }
    return x;
}

static void drop(fwi_arg *a)
{
    const fwi_shape *const s = &a->shape;
    if (a->data != NULL)
        fwi_big_free(a->data,
                     (size_t)(s->d[0] * s->d[1] * s->d[2] * s->d[3]) * fw_dtype_size(a->dtype));
}

static const fwi_kernel *find(const options *o, fwi_opkind op)
{
    static const fwi_kernel *const rows[] = {[FWI_ISA_PORTABLE] = fwi_rows_portable,
                                             [FWI_ISA_AVX2] = fwi_rows_avx2,
                                             [FWI_ISA_AVX512] = fwi_rows_avx512};
    for (const fwi_kernel *k = rows[o->isa]; k->run != NULL; k++)
        if (k->op == op && k->dtype == o->dtype)
            return k;
    return NULL;
}

/* Returns false if a result was wrong. */
static bool run(const options *o, const conv_case *s, fwi_pool *pool, fwi_opkind op)
{
    const fwi_kernel *const k = find(o, op);
    if (k == NULL)
        return true;
    fwi_arg x = make(o->dtype, s->n, s->h, s->w, s->c);
    fwi_arg w = make(o->dtype, s->oc, s->k, s->k, s->c);
    fwi_arg y = make(o->dtype, s->n, s->oh, s->ow, s->oc);
    const fwi_attr attr = {.conv = {.kh = s->k,
                                    .kw = s->k,
                                    .stride = s->stride,
                                    .pad_t = s->pad,
                                    .pad_l = s->pad,
                                    .pad_b = s->pad,
                                    .pad_r = s->pad,
                                    .ih = s->h,
                                    .iw = s->w}};
    fwi_call c = {.kind = op, .attr = &attr, .pool = pool};
    c.in[0] = op == FWI_OP_conv2d_dx ? y : x;
    c.in[1] = op == FWI_OP_conv2d_dw ? y : w;
    c.out[0] = op == FWI_OP_conv2d ? y : op == FWI_OP_conv2d_dx ? x : w;
    const size_t bytes = k->scratch(&c);
    c.scratch = fwi_big_alloc(bytes);
    bool right = false;
    if (x.data != NULL && w.data != NULL && y.data != NULL && c.scratch != NULL) {
        double best = 1e30, best_cpu = 1e30;
        for (int r = 0; r <= o->reps; r++) {
            const double t0 = fwi_now(), cpu0 = cpu_seconds();
            (void)k->run(&c);
            const double t = fwi_now() - t0, cpu = cpu_seconds() - cpu0;
            if (r > 0) {
                best = fmin(best, t);
                best_cpu = fmin(best_cpu, cpu);
            }
        }
        const double worst = check(s, &c);
        const double flop = 2.0 * (double)s->n * (double)s->oh * (double)s->ow * (double)s->oc *
                            (double)s->c * (double)(s->k * s->k);
        right = worst <= 1;
        printf("%-28s %-10s n%ld %ldx%ld c%ld oc%ld k%ld s%ld", k->name, s->name, s->n, s->h, s->w,
               s->c, s->oc, s->k, s->stride);
        if (right)
            printf("  %9.0f us  %6.1f GFLOP/s (%.1f per core)  scratch %.1f MiB  err/tol %.2f\n",
                   best * 1e6, flop / best * 1e-9, flop / best_cpu * 1e-9,
                   (double)bytes / 1048576.0, worst);
        else
            printf("  WRONG: err/tol %.3g\n", worst);
        fflush(stdout);
    }
    if (c.scratch != NULL)
        fwi_big_free(c.scratch, bytes);
    drop(&x);
    drop(&w);
    drop(&y);
    return right;
}

/* The text after "key=", or NULL. */
static const char *value_of(const char *arg, const char *key)
{
    const size_t len = strlen(key);
    return strncmp(arg, key, len) == 0 && arg[len] == '=' ? arg + len + 1 : NULL;
}

static bool parse(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *v;
        if ((v = value_of(argv[i], "isa")) != NULL) {
            for (o->isa = FWI_ISA_PORTABLE; o->isa <= FWI_ISA_AVX512; o->isa++)
                if (strcmp(v, fwi_isa_name(o->isa)) == 0)
                    break;
            if (o->isa > FWI_ISA_AVX512)
                return false;
        } else if ((v = value_of(argv[i], "type")) != NULL) {
            o->dtype = strcmp(v, "f64") == 0 ? FW_F64 : FW_F32;
        } else if ((v = value_of(argv[i], "threads")) != NULL) {
            o->threads = atoi(v);
        } else if ((v = value_of(argv[i], "reps")) != NULL) {
            o->reps = atoi(v);
        } else if ((v = value_of(argv[i], "pass")) != NULL) {
            o->pass = v;
        } else if ((v = value_of(argv[i], "shape")) != NULL) {
            o->shape = v;
        } else if ((v = value_of(argv[i], "file")) != NULL) {
            o->file = v;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    options o = {.isa = FWI_ISA_AVX512, .reps = 5, .file = FW_SOURCE_DIR "/bench/shapes.txt"};
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: bench_conv [isa=portable|avx2|avx512] [type=f32|f64] [threads=N] "
                        "[reps=N] [pass=fwd|dx|dw] [shape=NAME] [file=F]\n");
        return 2;
    }
    if (!fwi_isa_supported(o.isa)) {
        fprintf(stderr, "bench_conv: this processor has no %s\n", fwi_isa_name(o.isa));
        return 1;
    }
    FILE *const f = fopen(o.file, "r");
    fwi_pool *pool = NULL;
    if (f == NULL || fwi_pool_new(&pool, o.threads) != FW_OK) {
        fprintf(stderr, "bench_conv: cannot read %s or start the threads\n", o.file);
        if (f != NULL)
            fclose(f);
        return 1;
    }
    printf("# fenwicks %s, %s, %s, %d threads\n", FW_VERSION, fwi_cpu_name(), fwi_isa_name(o.isa),
           fwi_pool_threads(pool));
    bool right = true;
    char line[256];
    while (fgets(line, sizeof line, f) != NULL) {
        conv_case s;
        if (line[0] == '#' || sscanf(line, "%31s %ld %ld %ld %ld %ld %ld %ld %ld", s.name, &s.n,
                                     &s.h, &s.w, &s.c, &s.oc, &s.k, &s.stride, &s.pad) != 9)
            continue;
        if (o.shape != NULL && strcmp(o.shape, s.name) != 0)
            continue;
        s.oh = (s.h + 2 * s.pad - s.k) / s.stride + 1;
        s.ow = (s.w + 2 * s.pad - s.k) / s.stride + 1;
        if (o.pass == NULL || strcmp(o.pass, "fwd") == 0)
            right = run(&o, &s, pool, FWI_OP_conv2d) && right;
        if (o.pass == NULL || strcmp(o.pass, "dx") == 0)
            right = run(&o, &s, pool, FWI_OP_conv2d_dx) && right;
        if (o.pass == NULL || strcmp(o.pass, "dw") == 0)
            right = run(&o, &s, pool, FWI_OP_conv2d_dw) && right;
    }
    fclose(f);
    fwi_pool_free(pool);
    return right ? 0 : 1;
}
