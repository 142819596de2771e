/* test_lines.c: tables that steps go through by themselves (lines.h), under emulation: every line is
 * copied from and to where it stands, whatever the sizes; the turn is passed on at the end alone; nothing
 * else is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FWI_CUDA_EMULATED
#include "cuda_lines.h"

#include <string.h>

enum { LINES = 5, MOST = 5000 }; /* words of a line: more than one block copies */

static uint32_t in[LINES * MOST], out[LINES * MOST], used[MOST + 1];

static void walk(size_t words)
{
    const size_t bytes = words * sizeof(uint32_t);
    int32_t turn[2] = {0, 77};
    for (size_t i = 0; i < LINES * MOST; i++)
        in[i] = (uint32_t)(i * 2654435761u);
    memset(out, 0xA5, sizeof out);
    memset(used, 0xA5, sizeof used);
    for (int line = 0; line < LINES; line++) {
        const fwi_line_job take = {
            .turn = turn,
            .n = 2,
            .part = {{.from = in, .to = used, .n_bytes = 4, .from_stride = bytes},
                     {.from = in + 1, .to = used + 1, .n_bytes = bytes - 4, .from_stride = bytes}}};
        const fwi_line_job give = {
            .turn = turn,
            .last = true,
            .n = 1,
            .part = {{.from = used, .to = out, .n_bytes = bytes, .to_stride = bytes}}};
        assert_int_equal(fwi_cuda_lines_move(NULL, &take), FW_OK);
        assert_int_equal(turn[0], line);
        assert_memory_equal(used, in + (size_t)line * words, bytes);
        assert_int_equal(used[words], 0xA5A5A5A5u);
        assert_int_equal(fwi_cuda_lines_move(NULL, &give), FW_OK);
        assert_int_equal(turn[0], line + 1);
        assert_memory_equal(out, in, (size_t)(line + 1) * bytes);
        for (size_t i = (size_t)(line + 1) * words; i < LINES * MOST; i++)
            assert_int_equal(out[i], 0xA5A5A5A5u);
    }
    assert_int_equal(turn[1], 77);
}

static void test_lines(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 6, 127, 128, 129, 2049, MOST};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        walk(sizes[i]);
}

/* A step that has nothing to copy passes the turn on all the same. */
static void test_no_parts(void **state)
{
    (void)state;
    int32_t turn = 3;
    assert_int_equal(fwi_cuda_lines_move(NULL, &(fwi_line_job){.turn = &turn}), FW_OK);
    assert_int_equal(turn, 3);
    assert_int_equal(fwi_cuda_lines_move(NULL, &(fwi_line_job){.turn = &turn, .last = true}),
                     FW_OK);
    assert_int_equal(turn, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_no_parts)};
    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
