/* fuzz_recipe.c: recipes, and changes of them behind a line "%%". What parses prints to text that
 * reads back as the same recipe, and so does what the changes made of it, if it passes its check;
 * what is refused says why. */
#include <fenwicks/recipe.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Prints, reads that and prints again: the same text, the same identity. */
static void round_trip(fw_recipe *r)
{
    fw_recipe *again = NULL;
    char *first = NULL, *second = NULL, id[2][FW_RECIPE_ID_CAP];
    require(fw_recipe_print(r, &first) == FW_OK);
    require(fw_recipe_parse(&again, first, "printed") == FW_OK);
    require(fw_recipe_print(again, &second) == FW_OK);
    require(strcmp(first, second) == 0);
    require(fw_recipe_id(r, id[0]) == FW_OK && fw_recipe_id(again, id[1]) == FW_OK);
    require(strcmp(id[0], id[1]) == 0);
    fw_text_free(first);
    fw_text_free(second);
    fw_recipe_free(again);
}

static bool checked(const fw_recipe *r)
{
    fw_model_cost cost;
    const bool ok = fw_recipe_check(r, &cost) == FW_OK;
    if (ok)
        require(cost.params > 0 && cost.macs >= 0 && cost.n_classes > 0);
    else
        require(*fw_last_error() != 0);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const char parting[] = "\n%%\n";
    fw_recipe *r = NULL;
    if (n_bytes > 8192)
        return 0;
    char *text = malloc(n_bytes + 1);
    require(text != NULL);
    memcpy(text, data, n_bytes);
    text[n_bytes] = 0;
    char *const changes = strstr(text, parting);
    if (changes != NULL)
        changes[1] = 0;
    if (fw_recipe_parse(&r, text, "fuzz") == FW_OK) {
        round_trip(r);
        (void)checked(r);
        if (changes != NULL && fw_recipe_change(r, changes + sizeof parting - 1) == FW_OK &&
            checked(r))
            round_trip(r);
    } else {
        require(r == NULL && strncmp(fw_last_error(), "fuzz: ", 6) == 0);
    }
    fw_recipe_free(r);
    free(text);
    return 0;
}
