/* fuzz_layers.c: layer lines. What parses prints to text that reads back as the same text, and its
 * graph is built or refused with a message; what does not parse says where. */
#include "nn.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    fw_layer *l = NULL, *again = NULL;
    char *first = NULL, *second = NULL;
    fwi_graph *g = NULL;
    if (n_bytes > 4096)
        return 0;
    char *text = malloc(n_bytes + 1);
    require(text != NULL);
    memcpy(text, data, n_bytes);
    text[n_bytes] = 0;
    if (fw_layer_parse(&l, text, "fuzz") == FW_OK) {
        require(fw_layer_print(l, &first) == FW_OK);
        require(fw_layer_parse(&again, first, "printed") == FW_OK);
        require(fw_layer_print(again, &second) == FW_OK);
        require(strcmp(first, second) == 0);
        require(fwi_graph_new(&g, FW_F32) == FW_OK);
        const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape4(2, 9, 8, 3));
        const fwi_val y = fwi_layer_build(l, g, x, true);
        require((y == FWI_NO_VAL) == (fwi_graph_status(g) != FW_OK));
        require(y == FWI_NO_VAL || fwi_graph_verify(g) == FW_OK);
    } else {
        require(l == NULL && strncmp(fw_last_error(), "fuzz: ", 6) == 0);
    }
    fwi_graph_free(g);
    fw_layer_free(l);
    fw_layer_free(again);
    fw_text_free(first);
    fw_text_free(second);
    free(text);
    return 0;
}
