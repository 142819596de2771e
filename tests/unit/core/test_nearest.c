/* The word that was probably meant: nearest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nearest.h>
#include <string.h>

static const char *const words[] = {"conv_bn", "conv_blk", "conv_res_blk", "dense", "dropout"};
enum { N = sizeof words / sizeof *words };

static void finds_one_slip_of_each_sort(void **state)
{
    (void)state;
    assert_string_equal(fwi_nearest("conv_bm", words, N), "conv_bn"); /* replaced */
    assert_string_equal(fwi_nearest("conv_b", words, N), "conv_bn");  /* left out; a tie is first */
    assert_string_equal(fwi_nearest("densee", words, N), "dense");    /* too much */
    assert_string_equal(fwi_nearest("dropuot", words, N), "dropout"); /* swapped */
    assert_string_equal(fwi_nearest("Conv-Res-Blk", words, N), "conv_res_blk");
}

static void a_swap_is_one_step(void **state)
{
    (void)state;
    const char *const two[] = {"ab__", "ba"}; /* one swap is nearer than two letters more */
    assert_string_equal(fwi_nearest("ab", two, 2), "ba");
}

static void has_an_answer_for_anything(void **state)
{
    (void)state;
    assert_null(fwi_nearest("x", words, 0));
    assert_string_equal(fwi_nearest("", words, N), "dense"); /* the shortest */
    static char big[100000];
    memset(big, 'z', sizeof big - 1);
    assert_non_null(fwi_nearest(big, words, N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_one_slip_of_each_sort),
        cmocka_unit_test(a_swap_is_one_step),
        cmocka_unit_test(has_an_answer_for_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
