/* cifar.c: CIFAR-10 and CIFAR-100 in their binary layout, from a folder or a tar archive
 * (docs/formats/cifar.md). A record is one label byte (CIFAR-100: coarse, then fine), then 3 planes
 * of 32 x 32; in memory the channels lie beside each other. */
#include "archive_file.h"
#include "fail.h"
#include "file.h"
#include "image_set.h"

#include <string.h>

enum { SIDE = 32, CHANNELS = 3, PLANE = SIDE * SIDE, IMAGE = PLANE * CHANNELS, MAX_PARTS = 6 };
#define MAX_PART_BYTES ((size_t)256 << 20) /* the real ones have 30 MB and 154 MB */
#define MAX_META_BYTES ((size_t)1 << 16)

typedef struct layout {
    const char *name, *folder, *archive;
    const char *parts[MAX_PARTS]; /* of train, then of test */
    int n_train, n_parts;
    const char *meta;
    int label_bytes, label_at;
    int64_t n_classes;
} layout;

static const layout cifar10 = {
    .name = "CIFAR-10",
    .folder = "cifar-10-batches-bin",
    .archive = "cifar-10-binary.tar.gz",
    .parts = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin", "test_batch.bin"},
    .n_train = 5,
    .n_parts = 6,
    .meta = "batches.meta.txt",
    .label_bytes = 1,
    .n_classes = 10,
};
static const layout cifar100[2] = {
    {.name = "CIFAR-100 coarse",
     .folder = "cifar-100-binary",
     .archive = "cifar-100-binary.tar.gz",
     .parts = {"train.bin", "test.bin"},
     .n_train = 1,
     .n_parts = 2,
     .meta = "coarse_label_names.txt",
     .label_bytes = 2,
     .label_at = 0,
     .n_classes = 20},
    {.name = "CIFAR-100",
     .folder = "cifar-100-binary",
     .archive = "cifar-100-binary.tar.gz",
     .parts = {"train.bin", "test.bin"},
     .n_train = 1,
     .n_parts = 2,
     .meta = "fine_label_names.txt",
     .label_bytes = 2,
     .label_at = 1,
     .n_classes = 100},
};

typedef struct files {
    fwi_buf part[MAX_PARTS];
    bool have[MAX_PARTS];
    fwi_buf meta;
    bool have_meta;
} files;

static void files_clear(files *f)
{
    for (int i = 0; i < MAX_PARTS; i++)
        fwi_buf_clear(&f->part[i]);
    fwi_buf_clear(&f->meta);
}

static fw_status read_folder(const layout *l, const char *dir, const bool *want, files *f)
{
    for (int i = 0; i < l->n_parts; i++) {
        if (!want[i])
            continue;
        char *path = fwi_path_join(dir, l->parts[i]);
        if (path == NULL)
            return FW_ENOMEM;
        const fw_status st = fwi_read_file(path, MAX_PART_BYTES, &f->part[i]);
        fwi_free(path);
        if (st != FW_OK)
            return st;
        f->have[i] = true;
    }
    char *path = fwi_path_join(dir, l->meta);
    if (path == NULL)
        return FW_ENOMEM;
    fwi_path_kind there;
    fw_status st = fwi_path_look(path, &there);
    if (st == FW_OK && there == FWI_FILE) {
        st = fwi_read_file(path, MAX_META_BYTES, &f->meta);
        f->have_meta = st == FW_OK;
    }
    fwi_free(path);
    return st;
}

static fw_status read_archive(const layout *l, const char *path, const bool *want, files *f)
{
    fwi_archive *a = NULL;
    fw_status st = fwi_archive_open(&a, path, FWI_TAR);
    const char *member = NULL;
    while (st == FW_OK && (st = fwi_archive_next(a, &member)) == FW_OK) {
        const char *base = fwi_path_base(member);
        if (strcmp(base, l->meta) == 0) {
            st = f->have_meta ? fwi_fail(FW_EFORMAT, "%s: holds %s twice", path, l->meta)
                              : fwi_archive_read(a, MAX_META_BYTES, &f->meta);
            f->have_meta = true;
            continue;
        }
        for (int i = 0; i < l->n_parts; i++) {
            if (!want[i] || strcmp(base, l->parts[i]) != 0)
                continue;
            if (f->have[i])
                st = fwi_fail(FW_EFORMAT, "%s: holds %s twice", path, l->parts[i]);
            else
                st = fwi_archive_read(a, MAX_PART_BYTES, &f->part[i]);
            f->have[i] = true;
            break;
        }
    }
    if (st == FW_END)
        st = FW_OK;
    for (int i = 0; st == FW_OK && i < l->n_parts; i++)
        if (want[i] && !f->have[i])
            st = fwi_fail(FW_ENOTFOUND, "%s: there is no %s in it", path, l->parts[i]);
    fwi_archive_close(a);
    return st;
}

static bool is_part(const layout *l, const char *name)
{
    for (int i = 0; i < l->n_parts; i++)
        if (strcmp(name, l->parts[i]) == 0)
            return true;
    return false;
}

fw_status fwi_cifar_archive_classes(const char *path, int64_t *classes)
{
    fwi_archive *a = NULL;
    const char *member = NULL;
    *classes = 0;
    fw_status st = fwi_archive_open(&a, path, FWI_TAR);
    while (st == FW_OK && *classes == 0 && (st = fwi_archive_next(a, &member)) == FW_OK) {
        const char *const base = fwi_path_base(member);
        *classes = is_part(&cifar10, base) ? 10 : is_part(&cifar100[1], base) ? 100 : 0;
    }
    fwi_archive_close(a);
    return st == FW_END ? FW_OK : st;
}

static bool has_part(const layout *l, const char *dir)
{
    for (int i = 0; i < l->n_parts; i++)
        if (fwi_dir_has(dir, l->parts[i]))
            return true;
    return false;
}

static fw_status read_files(const layout *l, const char *path, const bool *want, files *f)
{
    fwi_path_kind there = FWI_NOTHING;
    fw_status st = fwi_path_check_local(path);
    if (st == FW_OK)
        st = fwi_path_look(path, &there);
    if (st != FW_OK)
        return st;
    if (there == FWI_FILE)
        return read_archive(l, path, want, f);
    if (there == FWI_NOTHING)
        return fwi_fail(FW_ENOTFOUND, "%s: no such file or folder", path);
    if (has_part(l, path))
        return read_folder(l, path, want, f);
    char *inner = fwi_path_join(path, l->folder);
    char *archive = fwi_path_join(path, l->archive);
    if (inner == NULL || archive == NULL)
        st = FW_ENOMEM;
    else if (fwi_is_dir(inner) && has_part(l, inner))
        st = read_folder(l, inner, want, f);
    else if (fwi_file_exists(archive))
        st = read_archive(l, archive, want, f);
    else
        st = fwi_fail(FW_ENOTFOUND, "%s: there is no %s, no %s/ and no %s in it", path, l->parts[0],
                      l->folder, l->archive);
    fwi_free(inner);
    fwi_free(archive);
    return st;
}

static void interleave(const uint8_t *planes, uint8_t *out)
{
    for (int i = 0; i < PLANE; i++)
        for (int k = 0; k < CHANNELS; k++)
            out[i * CHANNELS + k] = planes[k * PLANE + i];
}

static fw_status convert(const layout *l, const char *path, files *f, int from, int to,
                         const char *which, fw_images *out)
{
    const size_t record = (size_t)l->label_bytes + IMAGE;
    int64_t n = 0;
    for (int i = from; i < to; i++) {
        if (f->part[i].size == 0 || f->part[i].size % record != 0)
            return fwi_fail(FW_EFORMAT, "%s: %s has %zu bytes, which is no multiple of %zu", path,
                            l->parts[i], f->part[i].size, record);
        n += (int64_t)(f->part[i].size / record);
    }
    fw_images im = {0};
    fw_status st = fwi_images_new(&im, path, n, SIDE, SIDE, CHANNELS, FW_U8, true);
    if (st != FW_OK)
        return st;
    im.n_classes = l->n_classes;
    uint8_t *pixels = im.pixels;
    int32_t *label = im.labels;
    for (int i = from; st == FW_OK && i < to; i++) {
        const uint8_t *p = f->part[i].data;
        for (size_t at = 0; st == FW_OK && at < f->part[i].size; at += record) {
            const uint8_t y = p[at + (size_t)l->label_at];
            if (y >= l->n_classes)
                st = fwi_fail(FW_EFORMAT,
                              "%s: %s: record %zu at byte %zu: label %d, there are %lld classes",
                              path, l->parts[i], at / record, at, y, (long long)l->n_classes);
            *label++ = y;
            interleave(p + at + l->label_bytes, pixels);
            pixels += IMAGE;
        }
        fwi_buf_clear(&f->part[i]); /* 30 MB less while the next one is converted */
    }
    char *source = NULL;
    if (st == FW_OK && f->have_meta)
        if ((st = fwi_class_names_parse(l->meta, f->meta.data, f->meta.size, l->n_classes,
                                        &im.class_names)) != FW_OK)
            st = fwi_fail_in(st, "%s", path);
    if (st == FW_OK && (source = fwi_sprintf("%s %s", l->name, which)) == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_images_finish(&im, path, source);
    fwi_free(source);
    if (st != FW_OK) {
        fw_images_clear(&im);
        return st;
    }
    *out = im;
    return FW_OK;
}

static fw_status load(const layout *l, const char *path, fw_images *train, fw_images *test)
{
    if (path == NULL || (train == NULL && test == NULL))
        return fwi_fail(FW_EARG, "%s: the path is NULL, or neither part is wanted", l->name);
    bool want[MAX_PARTS];
    for (int i = 0; i < MAX_PARTS; i++)
        want[i] = i < l->n_train ? train != NULL : test != NULL;
    files f = {0};
    fw_images a = {0}, b = {0};
    fw_status st = read_files(l, path, want, &f);
    if (st == FW_OK && train != NULL)
        st = convert(l, path, &f, 0, l->n_train, "train", &a);
    if (st == FW_OK && test != NULL)
        st = convert(l, path, &f, l->n_train, l->n_parts, "test", &b);
    files_clear(&f);
    if (st != FW_OK) {
        fw_images_clear(&a);
        return st;
    }
    if (train != NULL)
        *train = a;
    if (test != NULL)
        *test = b;
    return FW_OK;
}

fw_status fw_cifar10_load(const char *path, fw_images *train, fw_images *test)
{
    return load(&cifar10, path, train, test);
}

fw_status fw_cifar100_load(const char *path, bool fine, fw_images *train, fw_images *test)
{
    return load(&cifar100[fine ? 1 : 0], path, train, test);
}
