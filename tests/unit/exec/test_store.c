/* test_store.c: where variables lie, how they start, and what graphs may not disagree on. */
#include "fake.h"
#include "rng.h"

#include <math.h>

static fwi_val var(fwi_graph *g, const char *name, bool trainable, fwi_shape s, fwi_init init)
{
    return fwi_graph_var(g, name, trainable ? FWI_VAR_CONV : FWI_VAR_STAT, trainable, s, init);
}

static const fwi_init one = {FWI_INIT_CONST, 1, 0};

static void test_layout(void **state)
{
    (void)state;
    fwi_graph *a = new_graph(), *b = new_graph();
    var(a, "w", true, fwi_shape2(3, 5), one);
    var(a, "mean", false, fwi_shape1(7), one);
    var(b, "mean", false, fwi_shape1(7), one);
    var(b, "v", true, fwi_shape1(3), one);
    var(b, "w", true, fwi_shape2(3, 5), one);
    fwi_store *s = NULL;
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){a, b}, 2), FW_OK);
    fwi_graph_free(a); /* names are the store's own */
    fwi_graph_free(b);
    assert_int_equal(s->n_vars, 3);
    static const char *const order[] = {"w", "mean", "v"};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(s->vars[i].name, order[i]);
        assert_int_equal(s->vars[i].offset % 64, 0);
        assert_int_equal((uintptr_t)s->vars[i].data % 64, 0);
        assert_ptr_equal(s->vars[i].data, (char *)s->state + s->vars[i].offset);
    }
    assert_int_equal(s->vars[0].bytes, 60);
    assert_true(s->vars[1].offset >= 60 && s->vars[2].offset >= s->vars[1].offset + 28);
    assert_true(s->state_bytes >= s->vars[2].offset + 12);
    /* gradients are one range without holes, in the order of the parameters */
    assert_int_equal(s->vars[0].grad_offset, 0);
    assert_int_equal(s->vars[2].grad_offset, 60);
    assert_int_equal(s->grad_bytes, 72);
    assert_ptr_equal(fwi_store_find(s, "mean"), &s->vars[1]);
    assert_null(fwi_store_find(s, "mea"));
    float grad[15];
    assert_int_equal(fwi_store_read_grad(s, &s->vars[1], grad), FW_EARG);
    assert_message("mean");
    assert_int_equal(fwi_store_read_grad(s, &s->vars[2], grad), FW_OK);
    assert_true(grad[0] == 0); /* device memory starts as zeros */
    fwi_store_free(s);
    assert_int_equal(fake_live, 0);
}

static void test_disagreement(void **state)
{
    (void)state;
    fwi_graph *a = new_graph(), *b = new_graph(), *c = new_graph(), *d = NULL;
    assert_int_equal(fwi_graph_new(&d, FW_F64), FW_OK);
    var(a, "w", true, fwi_shape2(3, 5), one);
    var(b, "w", true, fwi_shape2(5, 3), one);
    var(c, "w", false, fwi_shape2(3, 5), one);
    var(d, "w", true, fwi_shape2(3, 5), one);
    const fwi_graph *others[] = {b, c, d};
    for (int i = 0; i < 3; i++) {
        fwi_store *s = (fwi_store *)1;
        assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){a, others[i]}, 2),
                         FW_ESHAPE);
        assert_null(s);
        assert_message("variable w");
    }
    fwi_graph_free(a);
    fwi_graph_free(b);
    fwi_graph_free(c);
    fwi_graph_free(d);
    assert_int_equal(fake_live, 0);
}

/* The rule of rng.h, written out again; the same numbers in a store of doubles. */
static void test_init(void **state)
{
    (void)state;
    float f[2][10];
    double d[2][10];
    for (int real = 0; real < 2; real++) {
        fwi_graph *g = NULL;
        assert_int_equal(fwi_graph_new(&g, real == 0 ? FW_F32 : FW_F64), FW_OK);
        var(g, "other", true, fwi_shape1(3), one);
        var(g, "layer/u", true, fwi_shape1(10), (fwi_init){FWI_INIT_UNIFORM, -0.3, 0.7});
        var(g, "layer/n", true, fwi_shape1(10), (fwi_init){FWI_INIT_NORMAL, 2, 0.1});
        fwi_store *s = NULL;
        assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
        assert_int_equal(fwi_store_init(s, 0x123456789abcdefu), FW_OK);
        float ones[3];
        assert_int_equal(fwi_store_read(s, &s->vars[1], real == 0 ? (void *)f[0] : (void *)d[0]),
                         FW_OK);
        assert_int_equal(fwi_store_read(s, &s->vars[2], real == 0 ? (void *)f[1] : (void *)d[1]),
                         FW_OK);
        if (real == 0) {
            assert_int_equal(fwi_store_read(s, &s->vars[0], ones), FW_OK);
            assert_true(ones[0] == 1 && ones[2] == 1);
        }
        fwi_store_free(s);
        fwi_graph_free(g);
    }
    for (uint64_t i = 0; i < 10; i++) {
        uint32_t w[4];
        double normal[4];
        fwi_rng_block(0x123456789abcdefu, FWI_RNG_INIT, fwi_fnv1a("layer/u"), i / 4, 0, w);
        const double u = -0.3 + (0.7 - -0.3) * ((double)(w[i % 4] >> 8) / 16777216.0);
        assert_true(f[0][i] == (float)u);
        assert_true(f[0][i] >= -0.3f && f[0][i] < 0.7f);
        fwi_rng_block(0x123456789abcdefu, FWI_RNG_INIT, fwi_fnv1a("layer/n"), i / 4, 0, w);
        fwi_normal4(w, normal);
        assert_true(f[1][i] == (float)(2 + 0.1 * normal[i % 4]));
        for (int k = 0; k < 2; k++)
            assert_true(d[k][i] == (double)f[k][i]);
    }
}

static void read_f32(fwi_init init, fwi_shape shape, float *out)
{
    fwi_graph *g = new_graph();
    fwi_store *s = NULL;
    var(g, "w", true, shape, init);
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
    assert_int_equal(fwi_store_init(s, 7), FW_OK);
    assert_int_equal(fwi_store_read(s, &s->vars[0], out), FW_OK);
    fwi_store_free(s);
    fwi_graph_free(g);
}

/* Filters [oc,kh,kw,c]: as many as there are input channels copy one each, the others are drawn. */
static void test_dirac(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = {{5, 3, 3, 2}, {2, 3, 3, 5}, {4, 1, 1, 4}, {3, 2, 4, 2}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const int64_t *d = shapes[k], each = d[1] * d[2] * d[3];
        float plain[256], dirac[256], identity[256];
        const fwi_shape shape = fwi_shape4(d[0], d[1], d[2], d[3]);
        read_f32((fwi_init){FWI_INIT_UNIFORM, -0.5, 0.5}, shape, plain);
        read_f32((fwi_init){FWI_INIT_DIRAC, -0.5, 0.5}, shape, dirac);
        read_f32((fwi_init){.kind = FWI_INIT_IDENTITY}, shape, identity);
        for (int64_t o = 0; o < d[0]; o++)
            for (int64_t y = 0; y < d[1]; y++)
                for (int64_t x = 0; x < d[2]; x++)
                    for (int64_t c = 0; c < d[3]; c++) {
                        const int64_t i = o * each + (y * d[2] + x) * d[3] + c;
                        const bool one_here = y == (d[1] - 1) / 2 && x == (d[2] - 1) / 2 && c == o;
                        assert_true(dirac[i] == (o >= d[3] ? plain[i] : one_here ? 1.0f : 0.0f));
                        assert_true(identity[i] == (one_here ? 1.0f : 0.0f));
                    }
    }
}

static void moments(const float *x, int n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i];
    *mean = sum / n;
    for (int i = 0; i < n; i++)
        squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    *deviation = sqrt(squares / (n - 1));
}

/* Dirac's ones come on top; mean and deviation are what they were without; nothing but a shift and
 * a factor otherwise. */
static void test_dirac_added(void **state)
{
    (void)state;
    enum { OC = 5, C = 3, EACH = 9 * C, N = OC * EACH };
    float plain[N], added[N];
    double mean[2], deviation[2];
    read_f32((fwi_init){FWI_INIT_UNIFORM, -0.5, 0.5}, fwi_shape4(OC, 3, 3, C), plain);
    read_f32((fwi_init){FWI_INIT_DIRAC_ADDED, -0.5, 0.5}, fwi_shape4(OC, 3, 3, C), added);
    moments(plain, N, &mean[0], &deviation[0]);
    moments(added, N, &mean[1], &deviation[1]);
    assert_true(fabs(mean[0] - mean[1]) < 1e-7);
    assert_true(fabs(deviation[0] - deviation[1]) < 1e-7);
    const double factor =
        ((double)added[1] - (double)added[0]) / ((double)plain[1] - (double)plain[0]);
    const double shift = (double)added[0] - factor * (double)plain[0];
    assert_true(factor > 0.5 && factor < 1);
    for (int i = 0; i < N; i++) {
        const bool one_here = i / EACH < C && i % EACH == 4 * C + i / EACH;
        assert_true(fabs((double)added[i] - shift - factor * ((double)plain[i] + one_here)) < 1e-6);
    }
}

static void test_unit_std(void **state)
{
    (void)state;
    enum { N = 2560 };
    float plain[N], unit[N];
    read_f32((fwi_init){FWI_INIT_UNIFORM, -0.0625, 0.0625}, fwi_shape2(10, 256), plain);
    read_f32((fwi_init){FWI_INIT_UNIT_STD, -0.0625, 0.0625}, fwi_shape2(10, 256), unit);
    double mean = 0, squares = 0;
    for (int i = 0; i < N; i++)
        mean += (double)unit[i] / N;
    for (int i = 0; i < N; i++)
        squares += ((double)unit[i] - mean) * ((double)unit[i] - mean);
    assert_true(fabs(sqrt(squares / (N - 1)) - 1) < 1e-6); /* the sample's, not the population's */
    for (int i = 1; i < N; i++)                            /* nothing but a factor */
        assert_true(fabs((double)unit[i] * (double)plain[0] - (double)unit[0] * (double)plain[i]) <
                    1e-6);
    float same[4];
    read_f32((fwi_init){FWI_INIT_UNIT_STD, 0.25, 0.25}, fwi_shape1(4), same);
    for (int i = 0; i < 4; i++)
        assert_true(same[i] == 0.25f);
    float filter[24];
    read_f32((fwi_init){FWI_INIT_DATA, 5e-4, 5000}, fwi_shape4(2, 2, 2, 3), filter);
    for (int i = 0; i < 24; i++) /* the data comes later */
        assert_true(filter[i] == 0);
    read_f32((fwi_init){FWI_INIT_DATA_CENTRED, 5e-4, 5000}, fwi_shape4(2, 2, 2, 3), filter);
    for (int i = 0; i < 24; i++)
        assert_true(filter[i] == 0);
}

/* Averages start as what they are averages of, and again where that was changed. */
static void test_averages(void **state)
{
    (void)state;
    fwi_graph *g = new_graph();
    const fwi_val w = var(g, "w", true, fwi_shape1(3), (fwi_init){FWI_INIT_UNIFORM, -1, 1});
    const fwi_val average = fwi_graph_average(g, w);
    assert_true(average != FWI_NO_VAL && fwi_graph_average(g, w) == average);
    fwi_store *s = NULL;
    float x[3], avg[3];
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
    assert_ptr_equal(fwi_store_average(s, &s->vars[0]), fwi_store_find(s, "w/average"));
    assert_null(fwi_store_average(s, &s->vars[1]));
    for (int k = 0; k < 2; k++) {
        assert_int_equal(k == 0 ? fwi_store_init(s, 5) : fwi_store_init_copies(s), FW_OK);
        assert_int_equal(fwi_store_read(s, &s->vars[0], x), FW_OK);
        assert_int_equal(fwi_store_read(s, &s->vars[1], avg), FW_OK);
        assert_true(x[0] != 0 && memcmp(x, avg, sizeof x) == 0);
        x[1] += 1;
        assert_int_equal(fwi_store_write(s, &s->vars[0], x), FW_OK);
    }
    fwi_store_free(s);
    fwi_graph_free(g);
    assert_int_equal(fake_live, 0);
}

static void test_init_refused(void **state)
{
    (void)state;
    static const struct {
        fwi_init init;
        int rank;
        const char *says;
    } bad[] = {{{FWI_INIT_DIRAC, -1, 1}, 2, "initialiser dirac is for filters"},
               {{FWI_INIT_DATA, 5e-4, 5000}, 2, "initialiser data is for filters"},
               {{FWI_INIT_DATA, 0, 5000}, 4, "epsilon 0"},
               {{FWI_INIT_DATA, 1, 0}, 4, "0 images"},
               {{FWI_INIT_UNIT_STD, -1, 1}, 1, "one element has no deviation"},
               {{FWI_INIT_DATA_CENTRED, 0, 5000}, 4, "initialiser data_centred: epsilon 0"},
               {{FWI_INIT_IDENTITY, 0, 0}, 2, "initialiser identity is for filters"},
               {{FWI_INIT_DIRAC_ADDED, 0, 0}, 2, "initialiser dirac_added is for filters"},
               {{(fwi_init_kind)10, 0, 0}, 1, "initialiser 10"},
               {{FWI_INIT_UNIFORM, 0, INFINITY}, 1, "is none"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fwi_graph *g = new_graph();
        const fwi_shape shape = bad[i].rank == 4   ? fwi_shape4(2, 3, 3, 2)
                                : bad[i].rank == 2 ? fwi_shape2(2, 2)
                                                   : fwi_shape1(1);
        assert_int_equal(var(g, "w", true, shape, bad[i].init), FWI_NO_VAL);
        assert_int_equal(fwi_graph_status(g), FW_EARG);
        assert_message("\"w\": ");
        assert_message(bad[i].says);
        fwi_graph_free(g);
    }
}

static void test_write_read(void **state)
{
    (void)state;
    fwi_graph *g = new_graph();
    var(g, "a", true, fwi_shape1(3), one);
    var(g, "b", true, fwi_shape1(2), one);
    fwi_store *s = NULL;
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
    static const float a[] = {1, 2, 3}, b[] = {4, 5};
    float got[3];
    assert_int_equal(fwi_store_write(s, fwi_store_find(s, "b"), b), FW_OK);
    assert_int_equal(fwi_store_write(s, fwi_store_find(s, "a"), a), FW_OK);
    assert_int_equal(fwi_store_read(s, fwi_store_find(s, "a"), got), FW_OK);
    assert_memory_equal(got, a, sizeof a);
    assert_int_equal(fwi_store_read(s, fwi_store_find(s, "b"), got), FW_OK);
    assert_memory_equal(got, b, sizeof b);
    fwi_store_free(s);
    fwi_graph_free(g);
}

static void test_nothing(void **state)
{
    (void)state;
    fwi_graph *g = new_graph(); /* no variables at all */
    fwi_store *s = NULL;
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
    assert_int_equal(s->n_vars, 0);
    assert_int_equal(fwi_store_init(s, 1), FW_OK);
    fwi_store_free(s);
    fwi_store_free(NULL);
    fwi_graph_free(g);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    fwi_graph *g = new_graph();
    var(g, "a", true, fwi_shape1(3), one);
    var(g, "b", false, fwi_shape1(2), (fwi_init){FWI_INIT_NORMAL, 0, 1});
    int64_t n = 1;
    for (;; n++) {
        fwi_store *s = NULL;
        fwi_mem_fail_at(n);
        fw_status st = fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1);
        if (st == FW_OK)
            st = fwi_store_init(s, 1);
        else
            assert_null(s);
        fwi_mem_fail_at(0);
        fwi_store_free(s);
        assert_int_equal(fake_live, 0);
        if (st == FW_OK)
            break;
        assert_int_equal(st, FW_ENOMEM);
    }
    assert_true(n > 5);
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),       cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_init),         cmocka_unit_test(test_dirac),
        cmocka_unit_test(test_dirac_added),  cmocka_unit_test(test_unit_std),
        cmocka_unit_test(test_init_refused), cmocka_unit_test(test_write_read),
        cmocka_unit_test(test_nothing),      cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_averages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
