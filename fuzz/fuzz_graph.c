/* fuzz_graph.c: printed graphs. What parses verifies, prints to text that reads back as the same
 * text, survives the passes, and can be planned: every temp inside the block, 64-byte aligned. */
#include "ir.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_plan(const fwi_graph *g)
{
    fwi_memplan m = {0};
    if (fwi_memplan_make(g, NULL, &m) != FW_OK)
        return; /* more than 2^62 bytes */
    require(m.bytes >= m.live_peak && m.live_peak >= 0);
    for (fwi_val v = 0; v < g->n_tensors; v++)
        require(m.offset[v] == -1 ||
                (m.offset[v] >= 0 && m.offset[v] % 64 == 0 &&
                 m.offset[v] + (int64_t)fwi_tensor_bytes(&g->tensors[v]) <= m.bytes));
    fwi_memplan_clear(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    fwi_graph *g = NULL, *again = NULL;
    fwi_buf first = {0}, second = {0};
    if (n_bytes > 65536)
        return 0;
    char *text = malloc(n_bytes + 1);
    require(text != NULL);
    memcpy(text, data, n_bytes);
    text[n_bytes] = 0;
    if (fwi_graph_parse(&g, text) == FW_OK) {
        require(fwi_graph_verify(g) == FW_OK);
        require(fwi_graph_print(g, &first) == FW_OK);
        require(fwi_graph_parse(&again, (const char *)first.data) == FW_OK);
        require(fwi_graph_print(again, &second) == FW_OK);
        require(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        check_plan(g);
        require(fwi_pass_constants(g) == FW_OK && fwi_graph_verify(g) == FW_OK);
        require(fwi_pass_dead_code(g) == FW_OK && fwi_graph_verify(g) == FW_OK);
        check_plan(g);
    }
    fwi_buf_clear(&first);
    fwi_buf_clear(&second);
    fwi_graph_free(g);
    fwi_graph_free(again);
    free(text);
    return 0;
}
