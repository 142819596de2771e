/* optim.h: learning-rate schedules and optimisers, as plain values. */
#ifndef FENWICKS_OPTIM_H
#define FENWICKS_OPTIM_H

#include <fenwicks/tensor.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FW_MAX_KNOTS = 32 };

/* ---- schedules: functions of the global step s, which is 0 at the first update ---- */
typedef enum fw_schedule_kind {
    FW_SCHEDULE_CONSTANT = 0,
    FW_SCHEDULE_PIECEWISE = 1, /* linear between knots, constant outside */
    FW_SCHEDULE_EXPONENTIAL = 2,
    FW_SCHEDULE_ONE_CYCLE = 3 /* linear warm-up, then a decay */
} fw_schedule_kind;

typedef enum fw_decay {
    FW_DECAY_LINEAR = 0,
    FW_DECAY_COSINE = 1,
    FW_DECAY_EXPONENTIAL = 2
} fw_decay;

/* Made by the functions below; a mistake in their arguments is remembered and reported where the
 * schedule is used. */
typedef struct fw_schedule {
    fw_schedule_kind kind;
    fw_decay decay;
    double base, rate, scale; /* constant: base. exponential: base + scale * rate^(s / steps) */
    double total, warmup;     /* steps */
    int32_t n_knots;
    double knot[FW_MAX_KNOTS], value[FW_MAX_KNOTS];
    /* set by hand, behind the functions below: */
    int32_t start;     /* 0: s counts from 0; 1: from 1, as Page's does */
    double floor;      /* one cycle: after the warm-up never under this share of the highest rate */
    const char *error; /* static text; NULL: none */
} fw_schedule;

FW_API fw_schedule fw_constant_lr(double lr);

/* base + lr * rate^(s / steps), continuous. rate 0: 1/e. */
FW_API fw_schedule fw_exp_decay_lr(double lr, double steps, double base, double rate);

/* lr * (1 - min(s, total) / total) */
FW_API fw_schedule fw_linear_decay_lr(double lr, double total_steps);

/* s < warmup: lr * s / warmup; then the decay from lr over the rest: to 0 (linear, cosine) or to lr / e
 * (exponential: fw_exp_decay_lr with its default rate); Smith 2018. warmup 0: the decay alone. */
FW_API fw_schedule fw_one_cycle_lr(double lr, double total_steps, double warmup_steps,
                                   fw_decay decay);

/* Its linear case: the triangle of the walk-through. */
FW_API fw_schedule fw_triangular_lr(double lr, double total_steps, double warmup_steps);

/* Through n knots (steps, increasing) with their values; linear between, constant outside. n <=
 * FW_MAX_KNOTS. */
FW_API fw_schedule fw_piecewise_lr(int32_t n, const double *knots, const double *values);

/* The rate at step s. NaN for a schedule that remembers a mistake. */
FW_API double fw_schedule_at(const fw_schedule *sched, double s);
/* FW_EARG, with the mistake that it remembers, or that was made in its fields since. */
FW_API fw_status fw_schedule_check(const fw_schedule *sched);

/* ---- optimisers ---- */
typedef enum fw_optimizer_kind {
    FW_SGD = 0,
    FW_ADAM = 1,
    FW_MUON = 2,
    FW_LARS = 3
} fw_optimizer_kind;
typedef enum fw_nesterov {
    FW_NESTEROV_PYTORCH =
        0, /* g += wd w; v = mom v + g; w -= lr (g + mom v). TensorFlow 1's is the same */
    FW_NESTEROV_PAGE = 1, /* the rate inside v: d = -lr (g + wd w); v = mom v + d; w += d + mom v */
    FW_MOMENTUM_PLAIN = 2 /* no Nesterov: w -= lr v (Polyak 1964) */
} fw_nesterov;

typedef struct fw_sgd_opt {
    double weight_decay; /* 0: none. Of every trained value, batch norm's included; added to the
                            gradient: with a summed loss, times the batch size */
    fw_nesterov nesterov;
    double clip_norm; /* 0: none. Gradients are scaled down to this norm, taken over all parameters
                         that this optimiser updates */
} fw_sgd_opt;

typedef struct fw_adam_opt {
    double beta1, beta2, eps; /* 0: .9, .999, 1e-8 */
    double weight_decay;      /* decoupled: w -= lr wd w (Loshchilov and Hutter 2019) */
    bool decay_norm_and_bias; /* else batch norm's parameters and biases do not decay */
    double clip_norm;         /* 0: none */
} fw_adam_opt;

typedef enum fw_renorm { /* when Muon brings a weight to the norm sqrt(rows) */
                         FW_RENORM_EVERY_STEP = 0,
                         FW_RENORM_NONE = 1,
                         FW_RENORM_SPACED = 2 /* less and less often, see fw_muon_opt.renorm_gap */
} fw_renorm;

typedef struct fw_muon_opt {
    int32_t steps;       /* of the iteration, at most 100. 0: 3 */
    double a, b, c;      /* its polynomial. All 0: 3.4445, -4.7750, 2.0315 */
    double weight_decay; /* decoupled: w *= 1 - lr wd after each step */
    fw_renorm renorm;
    double clip_norm; /* 0: none */
    /* The rest is hiverge's (cifar10_speedrun.py), and counts steps k from 1. total_steps is the
     * length T of what follows; it may be less than the run's. FW_RENORM_SPACED or a target without
     * it: a mistake. */
    double total_steps;
    double renorm_gap, renorm_growth; /* FW_RENORM_SPACED: in step k if k - last is at least
                                         gap + floor(growth k / T); last is 0 until the first. Both
                                         0: 2 and 15 */
    double target[2]; /* both 0: none. Else u is brought to the norm t, which goes linearly from the
                         first to the second over T steps and stays there, and then to 1, with 1e-5
                         added to both divisors: in exact arithmetic this matters to tiny u alone */
} fw_muon_opt;

typedef struct fw_lars_opt {
    double weight_decay; /* 0: none. Added to the gradient after its norm was taken */
    double eps;          /* 0: 0.01 */
    double clip_norm;    /* 0: none */
} fw_lars_opt;

/* Made by the functions below. */
typedef struct fw_optimizer {
    fw_optimizer_kind kind;
    fw_schedule lr;
    double momentum;
    fw_sgd_opt sgd;
    fw_adam_opt adam;
    fw_muon_opt muon;
    fw_lars_opt lars;
    const char *error;
} fw_optimizer;

/* Sutskever et al. 2013, in the chosen published form. opt NULL: {0}. */
FW_API fw_optimizer fw_sgd(fw_schedule lr, double momentum, const fw_sgd_opt *opt);
/* Kingma and Ba 2015. opt NULL: {0}. */
FW_API fw_optimizer fw_adam(fw_schedule lr, const fw_adam_opt *opt);
/* Muon (Jordan et al. 2024; the form of KellerJordan/cifar10-airbench, airbench94_muon.py), for
 * matrices [rows,...] and convolution filters [rows,...] seen as matrices of rows; other parameters
 * need a group of their own (below). With the gradient g and the norm of all elements:
 *     v = mom v + g;  u = g + mom v
 *     X = u / (norm(u) + 1e-7), turned where it has more rows than columns
 *     steps times: A = X X^T;  X = a X + (b A + c A^2) X
 *     w = sqrt(rows) w / norm(w)            by opt->renorm; FW_RENORM_SPACED: / (norm(w) + 1e-7)
 *     w = (w - lr X) (1 - lr wd)
 * so that each singular value of u goes through a x + b x^3 + c x^5 until most of them are near 1.
 * A gradient of zeros moves nothing; a rate of 0 leaves w as it is, its norm too. opt NULL: {0}. */
FW_API fw_optimizer fw_muon(fw_schedule lr, double momentum, const fw_muon_opt *opt);
/* LARS (You et al. 2017), for convolution filters alone, in the form of davidcpage/cifar10-fast: each
 * output channel's filter f has a rate of its own, with the norms of its weights and its gradient:
 *     lr_f = lr norm(w_f) / (norm(g_f) + eps)
 *     d = -lr_f (g_f + wd w_f);  v = mom v + d;  w_f += d + mom v
 * Other parameters need a group of their own (below). opt NULL: {0}. */
FW_API fw_optimizer fw_lars(fw_schedule lr, double momentum, const fw_lars_opt *opt);
/* FW_EARG, with the mistake that it remembers, or that was made in its fields since. */
FW_API fw_status fw_optimizer_check(const fw_optimizer *o);

/* ---- parameter groups: an optimiser of their own for some of the parameters ---- */
enum { FW_MAX_GROUPS = 8 };

typedef enum fw_param_class {                        /* bits of fw_param_group.classes */
                              FW_PARAM_CONV = 1,     /* convolution filters */
                              FW_PARAM_DENSE = 2,    /* matrices of hidden dense layers */
                              FW_PARAM_HEAD = 4,     /* matrices of classifiers */
                              FW_PARAM_BN_SCALE = 8, /* batch norm's scales */
                              FW_PARAM_BIAS = 16, /* biases but the next, and batch norm's shifts */
                              FW_PARAM_WHITEN_BIAS = 32 /* the bias of a whitening layer */
} fw_param_class;

/* fw_estimator_opt.groups: a parameter belongs to the first group that has its class, and to the
 * estimator's own optimiser if none has. A group without any parameter is refused when the model is
 * compiled, as a misspelt one would be. */
typedef struct fw_param_group {
    uint32_t classes;       /* FW_PARAM_CONV | FW_PARAM_DENSE, ... */
    fw_optimizer optimizer; /* by fw_sgd, fw_adam, fw_muon or fw_lars */
    int64_t train_steps; /* 0: always. Else its parameters change in the first so many steps of the
                               run; after them neither they nor their momentum, whatever the
                               optimiser, and nothing is computed for them. Lookahead, an average of
                               all weights, still brings them to their average. */
} fw_param_group;

/* ---- averages of the weights ---- */
typedef enum fw_average_kind {
    FW_AVERAGE_NONE = 0,
    FW_AVERAGE_EMA = 1,      /* evaluation, and the model file, use the average */
    FW_AVERAGE_LOOKAHEAD = 2 /* each averaging puts the average into the weights, and the last step
                                of the run ends on it (Zhang et al. 2019) */
} fw_average_kind;

/* fw_estimator_opt.average. After every n-th step avg = d avg + (1-d) w, over all weights that are
 * trained and all running statistics; avg starts as a copy of the initial values. Steps are counted
 * as those done: s is 1 after the first update.
 *   d = decay (s / steps)^power                 at most decay
 *   averages after steps                        every, 2 every, ... that are start or more
 *   with epoch_steps E: of each E steps after   the 1st, (1 + every)-th, ... as Page's loop counts
 * With a start, the first averaging copies: avg = w. Until then evaluation uses the weights. */
typedef struct fw_average {
    fw_average_kind kind;
    double decay;        /* 0 to 1 */
    double power;        /* 0: the decay is constant */
    int64_t every;       /* steps. 0: 1 */
    int64_t start;       /* steps. 0: from the first averaging on, with the initial values in avg */
    int64_t epoch_steps; /* 0: counted through the run */
    int64_t steps;       /* length of the run; may be 0 for an EMA without power */
} fw_average;

/* The decay of the averaging after s steps: 0 where it copies the weights, 1 where the average is
 * only put back. Negative: that step does not average, or the options have a mistake. */
FW_API double fw_average_at(const fw_average *average, int64_t s);

#ifdef __cplusplus
}
#endif
#endif
