/* consumer.c: the smallest program that uses an installed fenwicks; built through pkg-config and
 * through find_package. Trains a step, which needs all of the library, and prints the version; fails if a
 * call does not do what its header says. */
#include <fenwicks/recipe.h>
#include <fenwicks/status.h>
#include <fenwicks/tensor.h>
#include <stdio.h>
#include <string.h>

static fw_status train(void)
{
    fw_recipe *r = NULL;
    fw_run_result result = {0};
    fw_status st = fw_recipe_open(&r, "digits");
    if (st == FW_OK)
        st = fw_recipe_set(r, "epochs", "0.05");
    if (st == FW_OK)
        st = fw_recipe_run(r, &(fw_run_opt){.threads = 1}, &result);
    fw_recipe_free(r);
    return st;
}

int main(void)
{
    if (strcmp(fw_status_name(FW_EIO), "FW_EIO") != 0 || fw_dtype_size(FW_F32) != 4)
        return 1;
    if (train() != FW_OK) {
        fprintf(stderr, "%s\n", fw_last_error());
        return 1;
    }
    printf("fenwicks %s\n", fw_version());
    return 0;
}
