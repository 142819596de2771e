/* consumer.c: the smallest program that uses an installed fenwicks; built through pkg-config and
 * through find_package. Prints the version and one message; fails if a call does not do what its
 * header says. */
#include <fenwicks/status.h>
#include <fenwicks/tensor.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    if (strcmp(fw_status_name(FW_EIO), "FW_EIO") != 0 || fw_dtype_size(FW_F32) != 4)
        return 1;
    printf("fenwicks %s\n", fw_version());
    return 0;
}
