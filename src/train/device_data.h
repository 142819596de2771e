/* device_data.h: a data set whose images stay on the device: uploaded once as uint8, and from then on
 * a batch costs the upload of its rows' numbers, those of several batches at once where steps run ahead
 * of the host (lines.h); the device makes the images, with the same bits as the host (augment.h). Where
 * a device or a data set cannot do that, batches come from the host as ever, and the reason is kept for
 * --explain. Read before: network.h, dataset_inner.h. */
#ifndef FWI_DEVICE_DATA_H
#define FWI_DEVICE_DATA_H

#include "augment.h"
#include "network.h"
#include <fenwicks/data.h>

/* Zeroed is empty. */
typedef struct fwi_device_data {
    uint64_t serial; /* of the data set it was chosen for; 0: none */
    bool keeps;      /* chosen; else why says why not */
    bool loaded;
    char why[256];
    fwi_device *device;
    fwi_augment how;
    uint64_t seed;
    int64_t n, batch;  /* records; rows of a batch */
    int64_t n_classes; /* that labels were held against; 0: none */
    int32_t lines;     /* batches whose rows' numbers there is room for */
    void *block;       /* of the device: images, labels, rows, and what is asked for beside */
    size_t bytes;
    size_t labels_at, rows_at, beside_at, beside;
    double seconds;        /* of the upload, or of the host reading what it will hold */
    int32_t *host_labels;  /* [n] */
    int32_t *batch_labels; /* [batch] */
    /* [lines,3 batch + 1] as augment.h has them; fwi_device_data_next has the first. */
    int64_t *rows;
} fwi_device_data;

/* What is wanted of it. */
typedef struct fwi_device_data_want {
    /* Rows of a batch; 0: as many as the data set's have, which alone suits fwi_device_data_next and _line. */
    int64_t batch;
    int32_t lines; /* batches that are to be on their way at once */
    /* Bytes of the caller's own behind all else, on a boundary of 64; zeros at first. */
    size_t beside;
    const char *why_not; /* NULL, or a reason of the caller's against it */
} fwi_device_data_want;
/* Bytes that are free on a device, and those of them to be left to it, for what it keeps for itself
 * (recordings, the libraries' code). One that does not count its memory: any number, none. */
fw_status fwi_device_memory(fwi_device *d, size_t *free_bytes, size_t *its_own);
/* Whether the device is to keep ds, by what it can do, the data, and `spare` bytes of memory that it
 * may have there, what k has already included. Allocates nothing; what is not to be kept any more is
 * released. */
fw_status fwi_device_data_choose(fwi_device_data *k, fwi_device *d, const fw_dataset *ds,
                                 const fwi_device_data_want *want, size_t spare);
/* Bytes of the device that it holds, and that loading will still take. */
size_t fwi_device_data_held(const fwi_device_data *k);
size_t fwi_device_data_wanted(const fwi_device_data *k);
/* The same for up to n images of h x w x c that the caller brings himself, without labels, and room for
 * them at once. FW_EUNAVAILABLE, with the reason: the host makes batches. */
typedef struct fwi_device_data_shape {
    int64_t n, h, w, c;
} fwi_device_data_shape;
fw_status fwi_device_data_room(fwi_device_data *k, fwi_device *d,
                               const fwi_device_data_shape *images, const fw_transform *list,
                               const fwi_device_data_want *want, size_t spare);
/* Those images, from place 0 on: pixels [n,h,w,c]. */
fw_status fwi_device_data_put(const fwi_device_data *k, const uint8_t *pixels, int64_t n);

/* Uploads, unless that was done. Where the device has no memory for it after all, or a record is no
 * uint8, the host makes batches (k->keeps). Labels outside [0, n_classes) are refused; 0: labels do not
 * matter. The data set is on the estimator's threads. */
fw_status fwi_device_data_load(fwi_device_data *k, fw_dataset *ds, int64_t n_classes);
void fwi_device_data_clear(fwi_device_data *k);
/* Line i of the table of rows, on the host: [3 batch + 1] numbers as augment.h has them. */
static inline int64_t *fwi_device_data_rows(const fwi_device_data *k, int64_t i)
{
    return k->rows + i * fwi_batch_row_numbers(k->batch);
}
static inline void *fwi_device_data_beside(const fwi_device_data *k)
{
    return (uint8_t *)k->block + k->beside_at;
}

/* A batch on its way to a plan: images of the host's, or rows of those that the device keeps. */
typedef struct fwi_shown {
    const float *images; /* [batch,h,w,c]; NULL: the device makes them */
    const int32_t *labels;
    fwi_device_data *kept;
    const int64_t *rows; /* [3 batch + 1] */
} fwi_shown;

/* fw_dataset_next, of what k keeps: then out has no images. The same labels, records and position. */
fw_status fwi_device_data_next(fwi_device_data *k, fw_dataset *ds, fw_batch *out);
/* That batch, or one of the host's (k keeps nothing). */
fwi_shown fwi_device_data_shown(fwi_device_data *k, const fw_batch *b);
/* Has the images and labels of x made where plan p reads them, images shifted and mirrored as a view
 * (tta.h) wants it, and binds them. Does nothing where x has images: those are bound already. */
fw_status fwi_device_data_bind(const fwi_shown *x, const fwi_network_plan *p, int shift,
                               bool mirrored, fwi_binding *b);

/* The same for steps that are enqueued before they are known to the host: the numbers of the next batch
 * become line i of a table, ... */
fw_status fwi_device_data_line(fwi_device_data *k, fw_dataset *ds, int32_t i);
/* ... of which n lines are uploaded at once, ... */
fw_status fwi_device_data_send(fwi_device_data *k, int32_t n);
/* ... and a step makes the batch of the line whose turn it is, where plan p reads it. Binds it, and
 * enqueues nothing: *job is what is to be. how NULL: as training wants it; else the transforms, and a view
 * behind them. */
fw_status fwi_device_data_job(const fwi_device_data *k, const fwi_network_plan *p,
                              const fwi_augment *how, const int32_t *turn, fwi_binding *b,
                              fwi_batch_job *job);

#endif
