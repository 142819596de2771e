/* stats.h: how sure a comparison of runs is: Student's t on samples, on pairs, and on two groups.
 *
 * Accuracies of single runs differ by their seeds alone, so a claim about a recipe needs several
 * runs and an error. Nothing here allocates; lengths are counts of runs. Values that need more runs
 * than there are come out as NaN, never as 0. */
#ifndef FENWICKS_STATS_H
#define FENWICKS_STATS_H

#include <fenwicks/status.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Student's t; df > 0 need not be whole. NaN for a df or p out of range ---- */
FW_API double fw_t_cdf(double t, double df);      /* P(T <= t) */
FW_API double fw_t_quantile(double p, double df); /* the t with fw_t_cdf(t, df) = p, 0 < p < 1 */

/* ---- one sample ---- */
typedef struct fw_summary {
    int64_t n;
    double mean, min, max;
    double std; /* of single values, by n - 1; NaN for n < 2 */
    double se;  /* of the mean: std / sqrt(n); NaN for n < 2 */
} fw_summary;
/* x[n]. FW_EARG for n < 1, NULL, or a value that is not finite. */
FW_API fw_status fw_summary_of(const double *x, int64_t n, fw_summary *out);
/* The part of x[n] that is at least `bound`: 0 to 1. NaN for n < 1. */
FW_API double fw_share_at_least(const double *x, int64_t n, double bound);
/* One-sided t-test: the probability of a mean so high, or higher, if the true one were `bound`.
 * NaN for n < 2; without any spread 0 above the bound, 1 otherwise. */
FW_API double fw_t_test_above(const fw_summary *s, double bound);

/* ---- differences ---- */
typedef struct fw_estimate {
    int64_t n;        /* runs, or pairs */
    double value, se; /* se: NaN where it needs more runs */
    double df;        /* degrees of freedom */
    double low, high; /* two-sided confidence interval; NaN where it needs more runs */
    double p;         /* two-sided, of the value being 0 */
} fw_estimate;
/* Mean of a[i] - b[i], by Student's t on the n differences: for runs that share a seed. confidence
 * in (0, 1), as in 0.95. FW_EARG as fw_summary_of; with n = 1 only value is a number. */
FW_API fw_status fw_paired(const double *a, const double *b, int64_t n, double confidence,
                           fw_estimate *out);
/* mean(a) - mean(b) of two groups that share nothing, of unequal spread (Welch 1947, degrees of
 * freedom by Satterthwaite). A group of one run leaves only value. */
FW_API fw_status fw_welch(const fw_summary *a, const fw_summary *b, double confidence,
                          fw_estimate *out);

/* ---- seconds at matched accuracy ----
 * A variant that is more accurate than the base may be trained for less time, and one that is
 * faster per epoch may need more epochs. How much is measured: the base is also run at another
 * length, and the slope s of its accuracy over epochs turns the variant's difference d in accuracy
 * into epochs. The seconds at which it would be as accurate as the base are
 *
 *     T = t - (t / E) d / s           t seconds of its run of E epochs
 *
 * to first order; its error has the errors of d and s, which share the runs of the base, and of t. */
typedef struct fw_matched_opt {
    const double *base;    /* [n] accuracies of the base, a seed each */
    const double *other;   /* [n] of the base at another length, same seeds */
    const double *variant; /* [n] of the variant, same seeds */
    const double *seconds; /* [n] of the variant */
    int64_t n;
    double base_epochs, other_epochs, variant_epochs;
    double confidence;
} fw_matched_opt;
/* slope: of accuracy per epoch, paired (may be NULL); out: T. Where the slope's interval reaches 0
 * there is no matching: FW_ESTATE with the slope filled. FW_EARG for n < 2 or equal lengths. */
FW_API fw_status fw_matched_seconds(const fw_matched_opt *o, fw_estimate *slope, fw_estimate *out);

#ifdef __cplusplus
}
#endif
#endif
