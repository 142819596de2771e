/* t_runs.h: what the tests of whole runs share: a folder that goes away, small images that can be
 * learnt, a small net, files compared byte for byte, and what an estimator told while it trained.
 * Public headers only, like any program that uses the library. Counting allocations: t_alloc.c. */
#ifndef T_RUNS_H
#define T_RUNS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <fenwicks/fenwicks.h>

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != FW_OK)                                                                          \
            fail_msg("%s: %s: %s", #call, fw_status_name(st_), fw_last_error());                   \
    } while (0)

/* The call fails with this status and a message that has these words in it. */
#define assert_fails(call, status, text)                                                           \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != (status) || strstr(fw_last_error(), (text)) == NULL)                            \
            fail_msg("%s: %s: \"%s\", expected %s with \"%s\"", #call, fw_status_name(st_),        \
                     fw_last_error(), fw_status_name(status), (text));                             \
    } while (0)

/* Little-endian, as files have it. */
static inline void t_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* The message names path and place (or NULL) and has the reason in it. */
#define assert_bad(call, status, path, place, reason)                                              \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        const char *said_ = fw_last_error(), *place_ = (place);                                    \
        if (st_ != (status) || strstr(said_, (path)) == NULL || strstr(said_, (reason)) == NULL || \
            (place_ != NULL && strstr(said_, place_) == NULL))                                     \
            fail_msg("%s: %s: \"%s\", expected %s with \"%s\", \"%s\", \"%s\"", #call,             \
                     fw_status_name(st_), said_, fw_status_name(status), (path),                   \
                     place_ == NULL ? "" : place_, (reason));                                      \
    } while (0)

#define T_COUNT(a) (sizeof(a) / sizeof *(a))

/* Built with a sanitizer: slow, and with a malloc of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define T_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define T_SANITIZED 1
#endif
#endif
#ifndef T_SANITIZED
#define T_SANITIZED 0
#endif

/* ---- files ---- */
int t_setup(void **state); /* group setup and teardown: the test's folder */
int t_teardown(void **state);
const char *t_path(const char *fmt, ...)
    __attribute__((format(printf, 1, 2))); /* in the folder; one of 16 buffers that take turns */

typedef struct t_bytes {
    uint8_t *data; /* free it */
    size_t n;
} t_bytes;
t_bytes t_read(const char *path); /* with a 0 behind the end */
/* A tensor of a model file: n bytes. */
const uint8_t *t_tensor(const t_bytes *file, const char *name, size_t *n);
void t_write(const char *path, const void *data, size_t n);
void t_copy(const char *from, const char *to);
bool t_exists(const char *path);
void t_assert_same_file(const char *a, const char *b);
/* Names and sizes below dir, sorted, one per line. Free it. */
char *t_listing(const char *dir);
void t_remove_tree(const char *dir);

/* ---- data ---- */
/* Each class has a pattern of its own, under noise: a small net learns it in a few steps. */
fw_images t_images(int64_t n, int64_t h, int64_t w, int64_t c, int64_t n_classes, fw_dtype dtype);
void t_images_free(fw_images *im);
fw_images t_digits(void); /* the bundled digits; fw_images_clear */

/* Images that a group of tests shares, with the test's folder: a group's setup calls t_setup_data, its
 * teardown is t_drop_data. */
extern fw_images t_data;
int t_setup_data(void **state, int64_t n, int64_t side, int64_t c, int64_t n_classes,
                 fw_dtype dtype);
int t_drop_data(void **state);
/* They, standardised by their own mean and deviation; seed 0. */
fw_dataset *t_data_set(int64_t batch, bool training);

/* ---- nets ---- */
/* Convolutions with batch norm, a pool, dropout (rate 0: none), a classifier. */
fw_layer *t_net(int64_t width, float dropout, int64_t n_classes);
fw_optimizer t_sgd(double lr);
/* Of every kind: filters by Muon, the head by Adam, biases by SGD in the first 4 steps only; batch
 * norm's scales are left to the estimator's own. Valid until the next call. */
enum { T_GROUPS = 3 };
const fw_param_group *t_groups(double lr);

/* ---- what was told ---- */
enum { T_STEPS = 512, T_EPOCHS = 64 };
typedef struct t_trace {
    double loss[T_STEPS]; /* of each step */
    int64_t n;
    double epoch_loss[T_EPOCHS], epoch_accuracy[T_EPOCHS]; /* as told: of the first `epochs` */
    int64_t stop_at;                                       /* step at which to say stop; 0: never */
    volatile sig_atomic_t *flag; /* set it there instead of returning false */
    int64_t checkpoints, epochs, evals;
} t_trace;
bool t_record(void *trace, const fw_event *ev);

/* ---- instruction sets ---- */
int t_isas(const char *names[8]); /* those of this machine */
void t_use_isa(const char *name); /* NULL: the best */

/* ---- t_alloc.c ---- */
bool t_alloc_counts(void); /* false: this build cannot count (a sanitizer's malloc, another libc) */
long t_alloc_count(void);  /* allocations of the whole process so far, all threads */

#endif
