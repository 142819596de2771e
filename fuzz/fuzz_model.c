/* fuzz_model.c: files of tensors, as such and as models. The tensors of a file that is opened lie side by side
 * and fill it; a model that is opened predicts. Seeds: scripts/make-golden. */
#include "safetensors.h"
#include "st_types.h"

#include <fenwicks/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void read_tensors(fwi_safetensors *s, size_t size)
{
    uint64_t sum = 0;
    (void)fwi_st_verify(s);
    for (int i = 0; i < fwi_st_count(s); i++) {
        const fwi_st_tensor *t = fwi_st_get(s, i);
        uint64_t bytes = fw_dtype_size(t->dtype);
        for (int k = 0; k < t->shape.rank; k++)
            bytes *= (uint64_t)t->shape.d[k];
        require(t->bytes <= size && bytes == t->bytes);
        void *to = malloc((size_t)t->bytes + 1);
        require(to != NULL && fwi_st_read(s, t, to) == FW_OK);
        free(to);
        sum += t->bytes;
    }
    require(sum <= size);
    const char *key = NULL;
    for (int i = 0; fwi_st_meta_at(s, i, &key) != NULL; i++)
        require(fwi_st_meta(s, key) != NULL);
}

static void predict(const fw_model *m)
{
    enum { MOST = 1 << 16, MOST_ROOM = 1 << 28 };
    fw_model_info info;
    fw_model_info_get(m, &info);
    const int64_t values = info.h * info.w * info.c;
    require(info.n_classes > 0 && values > 0);
    if (values > MOST || info.n_classes > MOST || fw_model_workspace(m) > MOST_ROOM)
        return;
    uint8_t *image = calloc((size_t)values, 1);
    float *p = malloc((size_t)info.n_classes * sizeof *p);
    void *room = aligned_alloc(64, (fw_model_workspace(m) + 63) / 64 * 64);
    require(image != NULL && p != NULL && room != NULL);
    require(fw_model_predict(m, image, FW_U8, 1, room, p) == FW_OK);
    free(room);
    free(p);
    free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    fwi_safetensors *s = NULL;
    fw_model *m = NULL;
    const int fd = memfd_create("input", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fwi_st_open(&s, path) == FW_OK)
        read_tensors(s, size);
    fwi_st_close(s);
    if (fw_model_open(&m, path, &(fw_model_opt){.batch = 2}) == FW_OK)
        predict(m);
    fw_model_close(m);
    close(fd);
    return 0;
}
