/* t_runs.c: see t_runs.h. */
#include "t_runs.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_CAP = 512 };

/* ---- files ---- */

static char folder[PATH_CAP];

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

int t_setup(void **state)
{
    (void)state;
    /* In memory where there is such a place: checkpoints are synced, and a disk takes its time. */
    const char *places[] = {getenv("TMPDIR"), "/dev/shm", "/tmp"};
    for (size_t i = 0; i < T_COUNT(places); i++) {
        if (places[i] == NULL || access(places[i], W_OK | X_OK) != 0)
            continue;
        snprintf(folder, sizeof folder, "%s/fenwicks-run-XXXXXX", places[i]);
        if (mkdtemp(folder) != NULL)
            return 0;
    }
    return -1;
}

int t_teardown(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void t_remove_tree(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *t_path(const char *fmt, ...)
{
    static char buf[16][2 * PATH_CAP];
    static unsigned turn;
    turn = (turn + 1) % 16;
    const int n = snprintf(buf[turn], sizeof buf[turn], "%s/", folder);
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf[turn] + n, sizeof buf[turn] - (size_t)n, fmt, args);
    va_end(args);
    return buf[turn];
}

t_bytes t_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("%s: cannot open", path);
    t_bytes b = {0};
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    assert_true(size >= 0);
    rewind(f);
    b.n = (size_t)size;
    b.data = malloc(b.n + 1);
    assert_non_null(b.data);
    assert_int_equal(fread(b.data, 1, b.n, f), b.n);
    b.data[b.n] = 0;
    fclose(f);
    return b;
}

const uint8_t *t_tensor(const t_bytes *file, const char *name, size_t *n)
{
    uint64_t header = 0;
    char key[64];
    unsigned long long begin = 0, end = 0;
    memcpy(&header, file->data, sizeof header);
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *at = strstr((const char *)file->data + 8, key);
    if (at == NULL || (at = strstr(at, "\"data_offsets\":[")) == NULL ||
        sscanf(at, "\"data_offsets\":[%llu,%llu]", &begin, &end) != 2)
        fail_msg("no tensor %s", name);
    assert_true(begin < end && 8 + header + end <= file->n);
    *n = (size_t)(end - begin);
    return file->data + 8 + header + begin;
}

void t_write(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        fail_msg("%s: cannot create", path);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void t_copy(const char *from, const char *to)
{
    const t_bytes b = t_read(from);
    t_write(to, b.data, b.n);
    free(b.data);
}

bool t_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

void t_assert_same_file(const char *a, const char *b)
{
    const t_bytes x = t_read(a), y = t_read(b);
    assert_true(x.n > 0);
    if (x.n != y.n)
        fail_msg("%s has %zu bytes, %s %zu", a, x.n, b, y.n);
    for (size_t i = 0; i < x.n; i++)
        if (x.data[i] != y.data[i])
            fail_msg("%s and %s differ, first at byte %zu of %zu", a, b, i, x.n);
    free(x.data);
    free(y.data);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_into(const char *dir, const char *below, char ***lines, size_t *n)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        fail_msg("%s: cannot list", dir);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[4096], name[4096];
        struct stat info;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        snprintf(name, sizeof name, "%s%s", below, e->d_name);
        assert_int_equal(lstat(path, &info), 0);
        char line[4200];
        if (S_ISDIR(info.st_mode)) {
            snprintf(line, sizeof line, "%s/\n", name);
            strcat(name, "/");
            list_into(path, name, lines, n);
        } else {
            snprintf(line, sizeof line, "%s %lld\n", name, (long long)info.st_size);
        }
        *lines = realloc(*lines, (*n + 1) * sizeof **lines);
        assert_non_null(*lines);
        (*lines)[(*n)++] = strdup(line);
    }
    closedir(d);
}

char *t_listing(const char *dir)
{
    char **lines = NULL;
    size_t n = 0, size = 1;
    list_into(dir, "", &lines, &n);
    if (n > 0)
        qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        size += strlen(lines[i]);
    char *text = calloc(1, size);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        strcat(text, lines[i]);
        free(lines[i]);
    }
    free(lines);
    return text;
}

/* ---- data ---- */

/* Numbers that look random, the same everywhere (a bijection of Stafford's, "Mix13"). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

fw_images t_images(int64_t n, int64_t h, int64_t w, int64_t c, int64_t n_classes, fw_dtype dtype)
{
    fw_images im = {.n = n, .h = h, .w = w, .c = c, .dtype = dtype, .n_classes = n_classes};
    const int64_t values = h * w * c;
    im.pixels = malloc((size_t)(n * values) * fw_dtype_size(dtype));
    im.labels = malloc((size_t)n * sizeof *im.labels);
    assert_non_null(im.pixels);
    assert_non_null(im.labels);
    for (int64_t i = 0; i < n; i++) {
        const int64_t label = (int64_t)(mix((uint64_t)i) % (uint64_t)n_classes);
        im.labels[i] = (int32_t)label;
        for (int64_t k = 0; k < values; k++) {
            const int pattern = (int)(mix((uint64_t)(label * values + k) << 20) & 1) * 100;
            const int noise = (int)(mix(((uint64_t)(i * values + k) << 1) + 7) % 100);
            const int v = 20 + pattern + noise;
            if (dtype == FW_U8)
                ((uint8_t *)im.pixels)[i * values + k] = (uint8_t)v;
            else
                ((float *)im.pixels)[i * values + k] = (float)v;
        }
    }
    assert_ok(fw_images_stats(&im));
    return im;
}

void t_images_free(fw_images *im)
{
    free(im->pixels);
    free(im->labels);
    *im = (fw_images){0};
}

fw_images t_data;

int t_setup_data(void **state, int64_t n, int64_t side, int64_t c, int64_t n_classes,
                 fw_dtype dtype)
{
    if (t_setup(state) != 0)
        return -1;
    t_data = t_images(n, side, side, c, n_classes, dtype);
    return 0;
}

int t_drop_data(void **state)
{
    t_images_free(&t_data);
    return t_teardown(state);
}

fw_dataset *t_data_set(int64_t batch, bool training)
{
    const fw_transform chain[] = {fw_standardize(t_data.c, t_data.mean, t_data.std),
                                  FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &t_data, chain,
                               &(fw_dataset_opt){.batch = batch, .training = training}));
    return ds;
}

fw_images t_digits(void)
{
    fw_images im = {0};
    assert_ok(fw_csv_load(FW_SOURCE_DIR "/recipes/digits.csv", &(fw_csv_opt){.h = 8, .w = 8}, &im));
    return im;
}

/* ---- nets ---- */

fw_layer *t_net(int64_t width, float dropout, int64_t n_classes)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(width, FW_PYTORCH));
    fw_add(net, fw_conv_blk(2 * width, FW_PYTORCH));
    if (dropout > 0)
        fw_add(net, fw_dropout(dropout));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(n_classes, 0.125F, FW_PYTORCH));
    return net;
}

fw_optimizer t_sgd(double lr)
{
    return fw_sgd(fw_constant_lr(lr), 0.9, &(fw_sgd_opt){.weight_decay = 5e-4});
}

const fw_param_group *t_groups(double lr)
{
    static fw_param_group g[T_GROUPS];
    g[0] = (fw_param_group){.classes = FW_PARAM_CONV,
                            .optimizer = fw_muon(fw_linear_decay_lr(lr, 100), 0.6, NULL)};
    g[1] = (fw_param_group){.classes = FW_PARAM_HEAD,
                            .optimizer =
                                fw_adam(fw_constant_lr(lr), &(fw_adam_opt){.weight_decay = 0.01})};
    g[2] = (fw_param_group){.classes = FW_PARAM_BIAS, .optimizer = t_sgd(lr), .train_steps = 4};
    return g;
}

/* ---- what was told ---- */

bool t_record(void *user, const fw_event *ev)
{
    t_trace *t = user;
    t->checkpoints += ev->kind == FW_EVENT_CHECKPOINT;
    if (ev->kind == FW_EVENT_EPOCH && t->epochs < T_EPOCHS) {
        t->epoch_loss[t->epochs] = ev->loss;
        t->epoch_accuracy[t->epochs] = ev->accuracy;
    }
    t->epochs += ev->kind == FW_EVENT_EPOCH;
    t->evals += ev->kind == FW_EVENT_EVAL;
    if (ev->kind != FW_EVENT_STEP)
        return true;
    if (t->n < T_STEPS)
        t->loss[t->n++] = ev->loss;
    if (t->stop_at == 0 || ev->step != t->stop_at)
        return true;
    if (t->flag == NULL)
        return false;
    *t->flag = 1;
    return true;
}

/* ---- instruction sets ---- */

int t_isas(const char *names[8])
{
    static char text[256];
    fw_machine m;
    t_use_isa(NULL);
    assert_ok(fw_machine_get(&m));
    snprintf(text, sizeof text, "%s", m.isas);
    int n = 0;
    for (char *word = strtok(text, ", "); word != NULL && n < 8; word = strtok(NULL, ", "))
        names[n++] = word;
    assert_true(n > 0);
    return n;
}

void t_use_isa(const char *name)
{
    if (name == NULL)
        unsetenv("FENWICKS_ISA");
    else
        setenv("FENWICKS_ISA", name, 1);
}
