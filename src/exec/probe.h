/* probe.h: what a device with a queue offers to those who measure it: marks in the queue and the time
 * between them, loads that reach its ceilings, and the engines that a library has for a convolution.
 * Training asks for the libraries' names alone. Read before: exec.h. */
#ifndef FWI_PROBE_H
#define FWI_PROBE_H

#include "exec.h"

enum { FWI_PROBE_MARKS = 512 };

/* ---- ceilings ---- */
typedef enum fwi_load_kind {
    FWI_LOAD_F32,  /* fused multiply-adds on registers */
    FWI_LOAD_TF32, /* products of square matrices, from here on: size rows */
    FWI_LOAD_BF16,
    FWI_LOAD_F16,
    FWI_LOAD_READ, /* memory, from here on: size bytes */
    FWI_LOAD_COPY,
    FWI_LOADS
} fwi_load_kind;

/* Work of one kind that a device does again and again. size is of the kind: rounds of every thread,
 * rows, bytes. */
typedef struct fwi_load {
    fwi_load_kind kind;
    int64_t size;
    size_t bytes; /* of device memory that it works on: set by load_plan */
    double
        work; /* of one run: operations (2 per multiply-add), or bytes read and written; likewise */
    void *memory; /* those bytes, 256-byte aligned: set by the caller */
} fwi_load;

/* ---- engines ---- */
/* One way in which a library may compute a call; valid while it is shown. */
typedef struct fwi_engine {
    const char *text;   /* "engine 7, knobs 1=2 3=4" */
    size_t scratch;     /* bytes that a run of the call needs */
    bool keepable;      /* it can be named in a file */
    const void *handle; /* the device's own */
} fwi_engine;
typedef fw_status (*fwi_engine_fn)(void *user, const fwi_engine *e);

/* What a GPU is; text is "" and numbers are 0 where a device does not say. name: as long as CUDA's. */
typedef struct fwi_gpu_info {
    char name[256];      /* "NVIDIA H200" */
    char driver[64];     /* "580.82.07" */
    char libraries[256]; /* "cuDNN 9.19.0, cuBLASLt 13.1.0", or why there is none of one */
    char why[256];       /* why this build cannot use it; "": it can */
    int major, minor;    /* compute capability */
    int multiprocessors;
    int driver_cuda, runtime_cuda; /* 13000: CUDA 13.0 */
    int64_t memory_free, memory_bytes, l2_bytes;
} fwi_gpu_info;

/* Any entry may be missing from a device but mark, between and info. */
typedef struct fwi_probe {
    /* Puts mark i into the queue; between waits for both and gives the time from one to the other. */
    fw_status (*mark)(fwi_device *d, int i);
    fw_status (*between)(fwi_device *d, int from, int to, double *seconds);
    /* Keeps the queue busy for about so long, so that what is enqueued behind it follows without gaps. */
    fw_status (*hold)(fwi_device *d, double seconds);
    fw_status (*info)(fwi_device *d, fwi_gpu_info *out);
    /* The libraries as info has them, and nothing else, at once; text: cap bytes. */
    void (*libraries)(fwi_device *d, char *text, size_t cap);
    /* load_plan sets bytes and work of kind and size: FW_EUNAVAILABLE where the device has no such load.
     * load_fill enqueues numbers for it to work on, load_run one run. */
    fw_status (*load_plan)(fwi_device *d, fwi_load *load);
    fw_status (*load_fill)(fwi_device *d, const fwi_load *load);
    fw_status (*load_run)(fwi_device *d, const fwi_load *load);
    /* In words, how a row of the device's table computes a call: "engine 7, knobs 1=2, measured". "" where
     * there is nothing to say. */
    void (*row_text)(fwi_device *d, const fwi_call *c, const fwi_kernel *k, char *text, size_t cap);
    /* Every engine that may compute a convolution, as c has it; c->data need not be set. */
    fw_status (*engines)(fwi_device *d, const fwi_call *c, fwi_engine_fn each, void *user);
    fw_status (*engine_run)(fwi_device *d, const fwi_engine *e, const fwi_call *c);
    /* engine_take notes one, while it is shown, as the best for its call; engines_keep has rows take what
     * was noted from now on, and writes the file with it: its path to `path`. With nothing noted it writes
     * the file as it is. engines_forget drops the note. */
    fw_status (*engine_take)(fwi_device *d, const fwi_engine *e, double seconds);
    fw_status (*engines_keep)(fwi_device *d, char *path, size_t cap);
    void (*engines_forget)(fwi_device *d);
} fwi_probe;

#endif
