/* dataset_room.h: a data set as this room sees it: dataset.c makes it and answers questions,
 * batches.c makes its batches. */
#ifndef FWI_DATASET_ROOM_H
#define FWI_DATASET_ROOM_H

#include "chain.h"
#include "cutmix.h"
#include "dataset_inner.h"
#include "fail.h"
#include "fetch.h"
#include "order.h"
#include "record_set.h"
#include "shuffle.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FWI_PARSER_IMAGE_ARRAY = 1 }; /* fw_parser.kind */

/* Where records come from. */
typedef enum fwi_origin {
    FWI_ORIGIN_ARRAY,   /* memory */
    FWI_ORIGIN_RECORDS, /* plain files: any record at any time */
    FWI_ORIGIN_STREAM   /* compressed files: one record after the other */
} fwi_origin;

/* Images in memory: the caller's, or the cache of compressed files. */
typedef struct fwi_resident {
    fw_dtype dtype;
    const uint8_t *pixels;
    const int32_t *labels; /* NULL: unlabelled */
    bool by_rank;          /* holds the selected records only, in order; else all */
    uint8_t *own_pixels;   /* NULL: borrowed */
    int32_t *own_labels;
    size_t own_pixel_bytes, own_label_bytes;
} fwi_resident;

/* Some rows of a batch: what one job makes. */
typedef struct fwi_rows {
    fwi_job make, feed; /* feed: streams only; runs before make, one after the other */
    fw_dataset *ds;
    struct fwi_slot *slot;
    int64_t first, n;
    fwi_error error;
} fwi_rows;

/* A batch that is being made, is ready, or is in the caller's hands. */
typedef struct fwi_slot {
    float *images;    /* [batch,h,w,c] */
    int32_t *labels;  /* [batch] */
    int32_t *labels2; /* [batch]; NULL: nothing is mixed */
    int64_t *records; /* [batch] */
    uint32_t *ranks;  /* [batch] */
    uint8_t *cells;   /* [batch] decoded records, streams only */
    int64_t position, valid;
    int64_t next_position; /* where the batch after this one begins */
    bool asked_for;        /* streams; under the lock */
    fwi_rows *rows;        /* [n_rows] */
} fwi_slot;

/* What a job needs for itself while it runs. */
typedef struct fwi_worker_scratch {
    fwi_fetch_scratch fetch;
    void *chain;
    struct fwi_worker_scratch *next; /* free ones */
} fwi_worker_scratch;

struct fw_dataset {
    fw_dataset_opt opt;
    char *name;                  /* pattern, or what the images say of themselves */
    char digest[FWI_DIGEST_CAP]; /* of records: of their sidecar, or "" */
    int64_t file_bytes;          /* of records */
    uint32_t sample;             /* of records without a digest: checksum of some of them */
    int64_t h, w, c, n_values;
    fwi_chain *chain;
    fwi_selection selection;
    fwi_origin origin;
    fwi_resident resident;
    fwi_fetch *fetch;
    fwi_shuffle *shuffle;
    fwi_order *order; /* NULL: in order, or shuffled by its stream */
    bool labelled;
    int64_t n_classes; /* 0: not known */
    uint64_t serial;   /* of no other data set of this process */

    int64_t per_pass; /* records of a pass that are used */
    int64_t end;      /* stream position of the end; INT64_MAX: none */

    /* batches.c */
    int64_t position;   /* of the next batch to hand out */
    int64_t ask_at;     /* of the next batch to ask for */
    bool begun;         /* a batch was asked for since the last seek */
    fwi_pool *pool;     /* NULL: on the calling thread */
    fwi_pool *own_pool; /* made when nobody gave one */
    bool pool_given;
    bool rows_only; /* nobody will ask for images: rows.c */
    bool ready;     /* pool, slots and scratch are there */
    int n_threads;
    int64_t n_slots, n_rows, rows_each;
    fwi_slot *slots;
    fwi_cutmix *cutmix;    /* NULL: nothing is mixed */
    int64_t head, n_asked; /* slots[head] is handed out next; n_asked from there on are under way */
    fwi_worker_scratch *scratch;

    pthread_mutex_t lock; /* free_scratch, feeding, slots' asked_for */
    fwi_worker_scratch *free_scratch;
    bool feeding;      /* a feed job is on its way; it hands on to the next */
    bool feed_stopped; /* one has failed */
    atomic_bool stop;  /* jobs end early, their results are not wanted */
};

/* ---- batches.c ---- */
void fwi_batches_init(fw_dataset *ds);
void fwi_batches_free(fw_dataset *ds);                      /* everything that running has made */
void fwi_batches_restart(fw_dataset *ds, int64_t position); /* drops what is under way */
size_t fwi_batches_bytes(const fw_dataset *ds); /* slots and scratch, now or once running */

int fwi_batches_threads(const fw_dataset *ds); /* that make them */
/* Which records are at n positions of the stream; no stream of compressed files. */
void fwi_batches_choose(fw_dataset *ds, fwi_pool *pool, int64_t position, int64_t n,
                        uint32_t *ranks, int64_t *records);
/* Puts the record's place before the message; returns st. */
fw_status fwi_dataset_fail_at(const fw_dataset *ds, fw_status st, int64_t rank, int64_t record);

/* Moves *p on to where a batch can begin (over the end of a pass that is not straddled); false at
 * the end of the data. */
bool fwi_batches_begin_at(const fw_dataset *ds, int64_t *p);

#endif
