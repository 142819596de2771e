/* commit.c: which commit was built. A file of its own: a new commit compiles nothing else. */
#include "fw_commit.h"
#include <fenwicks/lab.h>

const char *fw_commit(void)
{
    return FW_COMMIT;
}
