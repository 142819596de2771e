/* test_sgd_in_time.c: what SGD with momentum and weight decay comes to over many steps, with the mean-loss
 * rate eta, momentum rho and decay lambda ("How to train your ResNet", post 5 and 6; docs/experiments.md):
 *
 *   a constant gradient moves a weight by eta / (1 - rho) of it per step;
 *   without one a weight is forgotten over (1 - rho) / (eta lambda) steps;
 *   of gradients at right angles to the weights, whose norm is in proportion to 1 / |w|, |w|^4 settles at
 *   the rate 4 eta lambda / (1 - rho). */
#include "t_ops.h"

#include <math.h>
#include <string.h>

enum { D = 256 };

typedef struct weights {
    t_case c;
    double w[D], v[D], was[D]; /* was: w one step ago */
} weights;

static void begin(weights *t, fwi_sgd_form form, double eta, double lambda, double rho)
{
    static const double zeros[D] = {0};
    const double hyper[] = {eta, lambda};
    const fwi_attr a = {.optim = {.momentum = rho, .form = form, .lr_col = 0, .wd_col = 1}};
    t_begin(&t->c, FWI_OP_sgd, &a);
    for (int i = 0; i < 3; i++)
        t_values(&t->c, FW_F32, fwi_shape1(D), zeros);
    t_values(&t->c, FW_F64, fwi_shape1(2), hyper);
}

static double *weight(weights *t)
{
    return t->c.in[0].v;
}
static double *gradient(weights *t)
{
    return t->c.in[2].v;
}

static void step(weights *t)
{
    double *out[] = {t->w, t->v};
    memcpy(t->was, t->c.in[0].v, sizeof t->was);
    t_reference(&t->c, out);
    memcpy(t->c.in[0].v, t->w, sizeof t->w);
    memcpy(t->c.in[1].v, t->v, sizeof t->v);
}

static double square(const double *x)
{
    double sum = 0;
    for (int i = 0; i < D; i++)
        sum += x[i] * x[i];
    return sum;
}

static const fwi_sgd_form forms[] = {FWI_NESTEROV_PYTORCH, FWI_NESTEROV_PAGE, FWI_SGD_PLAIN};

static void a_step_in_the_long_run(void **state)
{
    (void)state;
    for (size_t f = 0; f < T_COUNT(forms); f++) {
        weights t;
        begin(&t, forms[f], 0.4, 0, 0.9);
        for (int i = 0; i < D; i++)
            gradient(&t)[i] = i - 100;
        for (int s = 0; s < 300; s++) /* 0.9^300 is 2e-14 */
            step(&t);
        for (int i = 0; i < D; i++)
            /* weights of up to 2e5, in double */
            assert_true(fabs(t.w[i] - t.was[i] + 0.4 / (1 - 0.9) * (i - 100)) < 1e-6);
        t_drop(&t.c);
    }
}

static void a_weight_is_forgotten(void **state)
{
    (void)state;
    for (size_t f = 0; f < T_COUNT(forms); f++) {
        weights t;
        begin(&t, forms[f], 0.4, 5e-4, 0.9);
        for (int i = 0; i < D; i++)
            weight(&t)[i] = 1 + i;
        for (int s = 0; s < 20; s++) /* the momentum builds up */
            step(&t);
        const double before = t.w[7];
        for (int s = 0; s < 500; s++) /* (1 - 0.9) / (0.4 5e-4) */
            step(&t);
        /* a step of exp(-1/500) is 1 - 1/500 to 0.1 %, and the momentum lags 10 of 500 behind */
        assert_true(fabs(t.w[7] / before * exp(1) - 1) < 0.03);
        t_drop(&t.c);
    }
}

/* At right angles to w, of norm 1 / |w|, otherwise at random. */
static void draw_gradient(weights *t)
{
    double *const g = gradient(t), *const w = weight(t), dot = 0;
    const double ww = square(w);
    for (int i = 0; i < D; i++) {
        g[i] = t_normal();
        dot += g[i] * w[i];
    }
    for (int i = 0; i < D; i++)
        g[i] -= dot / ww * w[i];
    const double to = 1 / sqrt(ww * square(g));
    for (int i = 0; i < D; i++)
        g[i] *= to;
}

static void a_norm_settles(void **state)
{
    (void)state;
    static const struct {
        double eta, lambda, rho, within;
    } cases[] = {
        {0.1, 0.01, 0, 0.01}, /* (1 - eta lambda)^2 for 1 - 2 eta lambda, 250 times: 0.1 % */
        {0.01, 0.01, 0.9,
         0.08}}; /* the momentum lags 10 of 250 steps, and gradients cross by chance */
    for (size_t k = 0; k < T_COUNT(cases); k++) {
        const double eta = cases[k].eta / (1 - cases[k].rho), lambda = cases[k].lambda;
        const double settled = eta / (2 * lambda); /* |w|^4 where |g|^2 / |w|^2 is 2 lambda / eta */
        for (int above = 0; above < 2; above++) {
            weights t;
            begin(&t, FWI_SGD_PLAIN, cases[k].eta, lambda, cases[k].rho);
            for (int i = 0; i < D; i++)
                weight(&t)[i] = sqrt(sqrt((above == 1 ? 3 : 0.2) * settled) / D);
            const double first = pow(square(weight(&t)), 2) - settled;
            for (int s = 0; s < 250; s++) { /* 4 eta lambda 250 is 1 */
                draw_gradient(&t);
                step(&t);
            }
            const double left = (pow(square(t.w), 2) - settled) / first;
            if (!(fabs(left - exp(-1)) < cases[k].within))
                fail_msg("rho %g: %g of the distance is left, expected %g", cases[k].rho, left,
                         exp(-1));
            t_drop(&t.c);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_in_the_long_run),
        cmocka_unit_test(a_weight_is_forgotten),
        cmocka_unit_test(a_norm_settles),
    };
    return t_main(argc, argv, "test_sgd_in_time", tests, sizeof tests / sizeof *tests);
}
