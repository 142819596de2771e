/* test_layout.c: to batch-blocked images and back: every kernel against the place of each element
 * worked out here, and rounding to bf16 against cases done by hand.
 * ctest: tsan */
#include "t_ops.h"

#include <stdlib.h>
#include <string.h>

static fwi_pool *pool;

static float value_of(int64_t image, int64_t place, int64_t c)
{
    return (float)(image * 1000 + place * 10 + c) + 0.5f;
}

static int64_t place_in(int64_t nb, const fwi_shape *s, int64_t image, int64_t place, int64_t c)
{
    const int64_t places = s->d[1] * s->d[2];
    return ((image / nb * places + place) * nb + image % nb) * s->d[3] + c;
}

static float widened(uint16_t bits)
{
    const uint32_t u = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Both ops of one table on one shape: every image at its place, and back again. */
static void check(const fwi_op_table *table, fwi_shape s, int32_t nb, fw_dtype storage)
{
    const int64_t n = fwi_shape_elems(&s), places = s.d[1] * s.d[2];
    const size_t bytes = (size_t)fwi_stored_elems(&s, nb) * fw_dtype_size(storage);
    const fwi_attr attr = {.layout = {.nb = nb, .dtype = storage}};
    float *x = malloc((size_t)n * sizeof *x), *back = malloc((size_t)n * sizeof *back);
    unsigned char *y = malloc(bytes + 1);
    assert_true(x != NULL && back != NULL && y != NULL);
    for (int64_t i = 0; i < s.d[0]; i++)
        for (int64_t p = 0; p < places; p++)
            for (int64_t c = 0; c < s.d[3]; c++)
                x[(i * places + p) * s.d[3] + c] = value_of(i, p, c);
    memset(y, 0xFF, bytes);
    y[bytes] = 0xA5;
    fwi_call call = {.kind = FWI_OP_to_blocked, .attr = &attr, .pool = pool};
    call.in[0] = (fwi_arg){.data = x, .dtype = FW_F32, .shape = s};
    call.out[0] = (fwi_arg){.data = y, .dtype = storage, .nb = nb, .shape = s};
    const fwi_kernel *k = fwi_table_find(table, &call, NULL);
    assert_non_null(k);
    assert_int_equal(k->run(&call), FW_OK);
    assert_int_equal(y[bytes], 0xA5);
    for (int64_t i = 0; i < s.d[0]; i++)
        for (int64_t p = 0; p < places; p++)
            for (int64_t c = 0; c < s.d[3]; c++) {
                const int64_t at = place_in(nb, &s, i, p, c);
                const float got =
                    storage == FW_BF16 ? widened(((uint16_t *)y)[at]) : ((float *)y)[at];
                const double off = (double)got - (double)value_of(i, p, c);
                assert_true(storage == FW_F32 ? off == 0
                                              : off * 256 <= (double)value_of(i, p, c) &&
                                                    -off * 256 <= (double)value_of(i, p, c));
            }
    call.kind = FWI_OP_from_blocked;
    call.attr = NULL;
    const fwi_arg swap = call.in[0];
    call.in[0] = call.out[0];
    call.out[0] = swap;
    call.out[0].data = back;
    k = fwi_table_find(table, &call, NULL);
    assert_non_null(k);
    assert_int_equal(k->run(&call), FW_OK);
    for (int64_t i = 0; i < s.d[0]; i++)
        for (int64_t p = 0; p < places; p++)
            for (int64_t c = 0; c < s.d[3]; c++) {
                const int64_t at = place_in(nb, &s, i, p, c);
                const float want =
                    storage == FW_BF16 ? widened(((uint16_t *)y)[at]) : ((float *)y)[at];
                assert_true(back[(i * places + p) * s.d[3] + c] == want);
            }
    free(x);
    free(back);
    free(y);
}

static void test_places(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {5, 2, 3, 7}, {14, 4, 4, 16}, {23, 3, 1, 33}};
    static const int32_t sizes[] = {1, 4, 10, 14};
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        const fwi_op_table *table = fwi_cpu_table((fwi_isa)isa);
        if (table == NULL || !fwi_isa_supported((fwi_isa)isa))
            continue;
        for (int i = 0; i < T_COUNT(shapes); i++)
            for (int k = 0; k < T_COUNT(sizes); k++) {
                const int64_t *d = shapes[i];
                check(table, fwi_shape4(d[0], d[1], d[2], d[3]), sizes[k], FW_F32);
                check(table, fwi_shape4(d[0], d[1], d[2], d[3]), sizes[k], FW_BF16);
            }
    }
}

/* Nearest, ties to the even neighbour, overflow to infinity, NaN stays: by hand. */
static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t want;
    } cases[] = {
        {0x3F800000, 0x3F80},
        {0x3F808000, 0x3F80} /* tie, even below */,
        {0x3F818000, 0x3F82} /* tie, even above */,
        {0x3F808001, 0x3F81},
        {0x3F807FFF, 0x3F80},
        {0xBF808001, 0xBF81},
        {0x7F7FFFFF, 0x7F80},
        {0x7F800000, 0x7F80},
        {0xFF800000, 0xFF80},
        {0x7F800001, 0x7FC0} /* a NaN whose upper half alone would be infinity */,
        {0x80000000, 0x8000},
    };
    enum { N = T_COUNT(cases) };
    const fwi_shape s = fwi_shape4(1, 1, 1, N);
    const fwi_attr attr = {.layout = {.nb = 1, .dtype = FW_BF16}};
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        const fwi_op_table *table = fwi_cpu_table((fwi_isa)isa);
        if (table == NULL || !fwi_isa_supported((fwi_isa)isa))
            continue;
        uint32_t x[N];
        uint16_t y[N];
        for (int i = 0; i < N; i++)
            x[i] = cases[i].bits;
        fwi_call call = {.kind = FWI_OP_to_blocked, .attr = &attr};
        call.in[0] = (fwi_arg){.data = x, .dtype = FW_F32, .shape = s};
        call.out[0] = (fwi_arg){.data = y, .dtype = FW_BF16, .nb = 1, .shape = s};
        const fwi_kernel *k = fwi_table_find(table, &call, NULL);
        assert_non_null(k);
        assert_int_equal(k->run(&call), FW_OK);
        for (int i = 0; i < N; i++)
            assert_int_equal(y[i], cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_rounding)};
    if (fwi_pool_new(&pool, 3) != FW_OK)
        return 1;
    const int failed = cmocka_run_group_tests_name("layout", tests, NULL, NULL);
    fwi_pool_free(pool);
    return failed;
}
