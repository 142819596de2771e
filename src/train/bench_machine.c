/* bench_machine.c: what this machine and this build have: for `fenwicks doctor`, and for the first
 * lines of every benchmark. */
#include <fenwicks/bench.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "fail.h"
#include "mem.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

/* ---- the machine ---- */

static char isas[128];
static pthread_once_t isas_once = PTHREAD_ONCE_INIT;

/* Those that the processor has and this build has kernels for. */
static void list_isas(void)
{
    size_t n = 0;
    for (int i = 0; i < FWI_ISA_COUNT; i++)
        if (fwi_isa_supported((fwi_isa)i) && fwi_cpu_table((fwi_isa)i) != NULL && n < sizeof isas)
            n += (size_t)snprintf(isas + n, sizeof isas - n, "%s%s", n > 0 ? "," : "",
                                  fwi_isa_name((fwi_isa)i));
}

fw_status fw_machine_get(fw_machine *out)
{
    if (out == NULL)
        return fwi_fail(FW_EARG, "fw_machine_get: NULL argument");
    const fwi_op_table *table;
    fwi_isa isa;
    const fw_status st = fwi_cpu_table_choose(&table, &isa);
    if (st != FW_OK)
        return st;
    pthread_once(&isas_once, list_isas);
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    *out = (fw_machine){.cpu = fwi_cpu_name(),
                        .isa = table->name,
                        .isas = isas,
                        .threads = fwi_cpu_count(),
                        .memory_bytes = pages > 0 && page > 0 ? (int64_t)pages * page : 0,
                        .compiler = COMPILER,
                        .version = fw_version()};
    return FW_OK;
}

/* ---- the parts ---- */

static bool on_path(const char *program)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != 0) {
        const size_t n = strcspn(path, ":");
        char *file = fwi_sprintf("%.*s/%s", (int)n, path, program);
        const bool there = file != NULL && access(file, X_OK) == 0;
        fwi_free(file);
        if (there)
            return true;
        path += path[n] == ':' ? n + 1 : n;
    }
    return false;
}

static char cuda_text[512];
static bool cuda_there;
static pthread_once_t cuda_once = PTHREAD_ONCE_INIT;

static void look_for_cuda(void)
{
    char found[384];
    cuda_there = fwi_cuda_describe(found, sizeof found);
    snprintf(cuda_text, sizeof cuda_text, "training on NVIDIA GPUs%s%s", cuda_there ? ": " : "; ",
             found);
}

int fw_parts(fw_part *out, int cap)
{
    pthread_once(&cuda_once, look_for_cuda);
    const bool gnuplot = on_path("gnuplot");
    const fw_part parts[] = {
        {"protobuf-c", true, "records and event files", "libprotobuf-c-dev"},
        {"jansson", true, "model files, logs", "libjansson-dev"},
        {"inih", true, "recipes", "libinih-dev"},
        {"libarchive", true, "archives (.tar.gz, .npz)", "libarchive-dev"},
        {"zlib", true, "compressed records and IDX files", "zlib1g-dev"},
        {"gnuplot", gnuplot, gnuplot ? "plots" : "plots; no program of this name on PATH",
         "gnuplot-nox"},
        {"cuda", cuda_there, cuda_text, NULL},
        {"jpeg, png", false, "encoded images; this build does not read them yet", NULL},
        {"http, gs, s3", false, "data over the network; this build reads local files", NULL},
    };
    const int n = (int)(sizeof parts / sizeof *parts);
    for (int i = 0; i < n && i < cap && out != NULL; i++)
        out[i] = parts[i];
    return n;
}

int fw_gpus(fw_gpu *out, int cap)
{
    const int n = fwi_cuda_gpus();
    for (int i = 0; i < n && i < cap && out != NULL; i++) {
        fwi_gpu_info g;
        out[i] = (fw_gpu){.name = ""};
        if (fwi_cuda_gpu_info(i, &g) != FW_OK) {
            snprintf(out[i].why, sizeof out[i].why, "%s", fw_last_error());
            continue;
        }
        memcpy(out[i].name, g.name, sizeof out[i].name);
        memcpy(out[i].driver, g.driver, sizeof out[i].driver);
        memcpy(out[i].libraries, g.libraries, sizeof out[i].libraries);
        memcpy(out[i].why, g.why, sizeof out[i].why);
        snprintf(out[i].precisions, sizeof out[i].precisions, "%s",
                 g.why[0] == 0 ? "f32, tf32, bf16, f16" : "");
        out[i].major = g.major;
        out[i].minor = g.minor;
        out[i].multiprocessors = g.multiprocessors;
        out[i].driver_cuda = g.driver_cuda;
        out[i].runtime_cuda = g.runtime_cuda;
        out[i].memory_free = g.memory_free;
        out[i].memory_bytes = g.memory_bytes;
        out[i].l2_bytes = g.l2_bytes;
    }
    return n;
}

/* ---- the operations ---- */

/* The rows of one op and type for images on blocks, or for all else, along the chain, down to the first that
 * takes every shape. */
static fw_status list_op(fwi_buf *out, const fwi_op_table *table, fwi_opkind op, fw_dtype dtype,
                         bool blocked)
{
    fw_status st = FW_OK;
    for (const fwi_op_table *t = table; t != NULL && st == FW_OK; t = t->base)
        for (const fwi_kernel *k = t->rows; k->run != NULL && st == FW_OK; k++) {
            if (k->op != op || k->dtype != dtype || k->blocked != blocked)
                continue;
            st = fwi_buf_printf(out, "%-22s %-4s %-7s %-11s %s%s\n", fwi_op_info_get(op)->name,
                                fw_dtype_name(dtype), blocked ? "blocked" : "plain", t->name,
                                k->name, k->accepts != NULL ? "   (where it fits)" : "");
            if (k->accepts == NULL)
                return st;
        }
    return st;
}

fw_status fw_ops_table(char **text)
{
    static const fw_dtype types[] = {FW_F32, FW_F64, FW_BF16, FW_U8, FW_I32, FW_I64};
    if (text == NULL)
        return fwi_fail(FW_EARG, "fw_ops_table: NULL argument");
    const fwi_op_table *table;
    fwi_isa isa;
    fwi_buf out = {0};
    fw_status st = fwi_cpu_table_choose(&table, &isa);
    for (int op = 0; op < FWI_OP_COUNT && st == FW_OK; op++)
        for (size_t t = 0; t < sizeof types / sizeof *types && st == FW_OK; t++)
            for (int blocked = 1; blocked >= 0 && st == FW_OK; blocked--)
                st = list_op(&out, table, (fwi_opkind)op, types[t], blocked == 1);
    if (st != FW_OK) {
        fwi_buf_clear(&out);
        return st;
    }
    *text = (char *)out.data;
    return FW_OK;
}
