/* test_own_conv.c: when one of our own engines for convolutions takes a call before cuDNN: only where
 * something names it, it fits, and the GPU is one of Hopper's. What they compute: tests/ops/test_wgmma.c. */
#include "libs_test.h"

#include "libs_probe.h"
#include "own_conv.h"

#include <unistd.h>

static fwi_cuda_stream stream;
static fwi_attr attr;

/* A forward pass on two images of 8 x 8. */
static fwi_call call_of(fw_dtype dtype, int64_t c, int64_t oc, int64_t stride)
{
    attr.conv = (fwi_conv_attr){.kh = 3,
                                .kw = 3,
                                .stride = stride,
                                .pad_t = 1,
                                .pad_l = 1,
                                .pad_b = 1,
                                .pad_r = 1,
                                .ih = 8,
                                .iw = 8};
    const int64_t o = (8 + 2 - 3) / stride + 1;
    fwi_call call = {.kind = FWI_OP_conv2d, .attr = &attr, .stream = &stream};
    call.in[0] = (fwi_arg){.dtype = dtype, .shape = fwi_shape4(2, 8, 8, c), .nb = 1};
    call.in[1] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape4(oc, 3, 3, c)};
    call.out[0] = (fwi_arg){.dtype = dtype, .shape = fwi_shape4(2, o, o, oc), .nb = 1};
    return call;
}

static const fwi_kernel *row_of(const fwi_call *call)
{
    static const fwi_kernel none[] = {{.run = NULL}};
    static const fwi_op_table own = {.name = "own", .rows = none, .nb = 1};
    fwi_cuda_tables t;
    return fwi_table_find(fwi_cuda_libs_tables(&t, &own), call, NULL);
}

static const char *kernel_of(const fwi_call *call)
{
    const fwi_kernel *const k = row_of(call);
    return k != NULL ? k->name : "none";
}

static void open_as_hopper(void)
{
    *dnn_state() = (fake_cudnn_state){0};
    dnn_state()->engines[0] = (fake_engine){.there = true, .index = 7};
    stream = (fwi_cuda_stream){.libs = open_libs(false), .sm = 90};
    stream.libs->maps.tiled = stream.libs->maps.im2col = (void *)&stream; /* never called here */
}

static void choose(const fwi_call *call, const char *own)
{
    fwi_dnn_choice choice = {.engine = 0};
    assert_true(fwi_dnn_key_of(call, false, &choice.key));
    strcpy(choice.own, own);
    assert_int_equal(fwi_dnn_choices_put(&stream.libs->choices, &choice), FW_OK);
}

static void test_named(void **state)
{
    (void)state;
    open_as_hopper();
    const fwi_call call = call_of(FW_F16, 64, 128, 1);
    assert_string_equal(kernel_of(&call), "conv2d_f16_nhwc_cudnn"); /* nothing names one */
    const fwi_call other = call_of(FW_F16, 64, 64, 1);
    choose(&call, "own:128x128x64");
    assert_string_equal(kernel_of(&call), "conv2d_f16_wgmma_128x128x64");
    assert_string_equal(kernel_of(&other), "conv2d_f16_nhwc_cudnn");
    choose(&call, "own:128x64x32"); /* of another number of channels */
    assert_string_equal(kernel_of(&call), "conv2d_f16_nhwc_cudnn");
    choose(&call, "own:1x1x1"); /* of another version */
    assert_string_equal(kernel_of(&call), "conv2d_f16_nhwc_cudnn");
    choose(&call, "own:256x128x64");
    assert_string_equal(kernel_of(&call), "conv2d_f16_wgmma_256x128x64");
    stream.libs->maps.im2col = NULL; /* a driver that is too old */
    assert_string_equal(kernel_of(&call), "conv2d_f16_nhwc_cudnn");
    stream.libs->maps.im2col = (void *)&stream;
    stream.libs->sm = 100;
    assert_string_equal(kernel_of(&call), "conv2d_f16_nhwc_cudnn");
    fwi_cuda_libs_close(stream.libs);
}

static void test_variable(void **state)
{
    (void)state;
    const fwi_call f16 = call_of(FW_F16, 24, 64, 1), bf16 = call_of(FW_BF16, 24, 64, 1);
    setenv("FENWICKS_CONV_ENGINE", "own", 1);
    open_as_hopper();
    assert_string_equal(kernel_of(&f16), "conv2d_f16_wgmma_128x64x32");
    assert_string_equal(kernel_of(&bf16), "conv2d_bf16_wgmma_128x64x32");
    const fwi_call f32 = call_of(FW_F32, 64, 64, 1), odd = call_of(FW_F16, 12, 64, 1);
    assert_string_equal(kernel_of(&f32), "conv2d_f32_nhwc_cudnn");
    assert_string_equal(kernel_of(&odd), "conv2d_f16_nhwc_cudnn");
    const fwi_call two = call_of(FW_F16, 64, 64, 2); /* attr is this one's from here on */
    assert_string_equal(kernel_of(&two), "conv2d_f16_nhwc_cudnn");
    fwi_cuda_libs_close(stream.libs);
    setenv("FENWICKS_CONV_ENGINE", "own:256x64x32", 1);
    open_as_hopper();
    const fwi_call one = call_of(FW_F16, 24, 64, 1);
    assert_string_equal(kernel_of(&one), "conv2d_f16_wgmma_256x64x32");
    fwi_cuda_libs_close(stream.libs);
    static const char *const wrong[] = {"cuDNN", "ownership", "own:11111111111111111111111"};
    for (int i = 0; i < COUNT(wrong); i++) {
        setenv("FENWICKS_CONV_ENGINE", wrong[i], 1);
        fwi_cuda_libs *l = NULL;
        const fwi_cuda_libs_opt opt = {.sm = 90, .side = &host_side};
        assert_int_equal(fwi_cuda_libs_open(&l, &opt), FW_EARG);
        assert_null(l);
        assert_message("expected own");
    }
    setenv("FENWICKS_CONV_ENGINE", "cudnn", 1); /* none of ours, whatever was chosen */
    fwi_own_conv all[FWI_OWN_CONVS];
    open_as_hopper();
    choose(&one, "own:256x64x32");
    assert_string_equal(kernel_of(&one), "conv2d_f16_nhwc_cudnn");
    assert_int_equal(fwi_own_conv_candidates(&one, all), 0);
    fwi_cuda_libs_close(stream.libs);
    unsetenv("FENWICKS_CONV_ENGINE");
}

static void test_candidates(void **state)
{
    (void)state;
    fwi_own_conv all[FWI_OWN_CONVS];
    open_as_hopper();
    const fwi_call call = call_of(FW_BF16, 64, 256, 1);
    const int n = fwi_own_conv_candidates(&call, all);
    assert_true(n >= 4);
    for (int i = 0; i < n; i++) {
        assert_true(strlen(all[i].name) < FWI_CONV_ENGINE_NAME);
        assert_int_equal(all[i].kernel->op, FWI_OP_conv2d);
        assert_int_equal(all[i].kernel->dtype, FW_BF16);
        assert_true(all[i].kernel->scratch(&call) >= 256 * 9 * 64 * 2);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(all[i].name, all[j].name);
        choose(&call, all[i].name); /* each can be named */
        assert_string_equal(kernel_of(&call), all[i].kernel->name);
    }
    stream.libs->sm = 80;
    assert_int_equal(fwi_own_conv_candidates(&call, all), 0);
    fwi_cuda_libs_close(stream.libs);
}

/* Images of few channels: an engine of any GPU, in any type, of the passes that a net's first convolution has. */
static void test_narrow(void **state)
{
    (void)state;
    fwi_own_conv all[FWI_OWN_CONVS];
    open_as_hopper();
    const fwi_call f16 = call_of(FW_F16, 3, 24, 1), f32 = call_of(FW_F32, 3, 64, 1);
    assert_string_equal(kernel_of(&f16), "conv2d_f16_nhwc_cudnn");
    for (int sm = 80; sm <= 90; sm += 10) {
        stream.libs->sm = sm;
        assert_int_equal(fwi_own_conv_candidates(&f16, all), 1);
        assert_string_equal(all[0].name, "own:narrow");
        assert_string_equal(all[0].kernel->name, "conv2d_f16_nhwc_narrow");
        assert_int_equal(fwi_own_conv_candidates(&f32, all), 1);
        choose(&f16, "own:narrow");
        assert_string_equal(kernel_of(&f16), "conv2d_f16_nhwc_narrow");
        assert_string_equal(kernel_of(&f32), "conv2d_f32_nhwc_cudnn");
        choose(&f16, "own:128x64x16"); /* not of these channels */
        assert_string_equal(kernel_of(&f16), "conv2d_f16_nhwc_cudnn");
    }
    const fwi_call five = call_of(FW_F16, 5, 64, 1), odd = call_of(FW_F16, 3, 20, 1);
    assert_int_equal(fwi_own_conv_candidates(&five, all), 0);
    assert_int_equal(fwi_own_conv_candidates(&odd, all), 0);
    fwi_call dw = call_of(FW_BF16, 3, 64, 1); /* x, dy; dw */
    const fwi_arg y = dw.out[0];
    dw.kind = FWI_OP_conv2d_dw, dw.out[0] = dw.in[1], dw.in[1] = y;
    assert_int_equal(fwi_own_conv_candidates(&dw, all), 1);
    assert_true(all[0].kernel->scratch(&dw) >= 64 * 27 * sizeof(float));
    fwi_call dx = call_of(FW_BF16, 3, 64, 1); /* dy, w; dx: no net wants it */
    dx.kind = FWI_OP_conv2d_dx, dx.out[0] = dx.in[0], dx.in[0] = y;
    assert_int_equal(fwi_own_conv_candidates(&dx, all), 0);
    fwi_cuda_libs_close(stream.libs);
    setenv("FENWICKS_CONV_ENGINE", "own:narrow", 1);
    open_as_hopper();
    assert_string_equal(kernel_of(&f16), "conv2d_f16_nhwc_narrow");
    fwi_cuda_libs_close(stream.libs);
    unsetenv("FENWICKS_CONV_ENGINE");
}

typedef struct tuned {
    int n_own, n_dnn;
    const char *wanted;
} tuned;

static fw_status take_wanted(void *user, const fwi_engine *e)
{
    tuned *t = user;
    const bool own = strncmp(e->text, "own:", 4) == 0;
    t->n_own += own;
    t->n_dnn += !own;
    assert_true(e->keepable);
    if (strncmp(e->text, t->wanted, strlen(t->wanted)) == 0)
        assert_int_equal(fwi_libs_engine_take(stream.libs, e, 0.001), FW_OK);
    return FW_OK;
}

/* Engines that are measured are cuDNN's and our own; what is kept of them computes the convolution from
 * then on, and is in the file. */
static void test_tuning(void **state)
{
    (void)state;
    char path[256];
    (void)unlink("conv-choices.json");
    open_as_hopper();
    const fwi_call call = call_of(FW_F16, 64, 128, 1);
    const char *const wanted[] = {"own:256x128x64", "engine 7", "own:128x64x64"};
    const char *const kernels[] = {"conv2d_f16_wgmma_256x128x64", "conv2d_f16_nhwc_cudnn",
                                   "conv2d_f16_wgmma_128x64x64"};
    for (int i = 0; i < COUNT(wanted); i++) {
        tuned t = {.wanted = wanted[i]};
        fwi_libs_engines_forget(stream.libs);
        assert_int_equal(fwi_libs_engines(stream.libs, &call, take_wanted, &t), FW_OK);
        assert_true(t.n_own >= 4 && t.n_dnn == 1);
        assert_int_equal(fwi_libs_engines_keep(stream.libs, path, sizeof path), FW_OK);
        assert_string_equal(kernel_of(&call), kernels[i]);
        char text[128];
        fwi_libs_row_text(stream.libs, &call, row_of(&call), text, sizeof text);
        assert_int_equal(strncmp(text, wanted[i], strlen(wanted[i])), 0);
    }
    fwi_cuda_libs_close(stream.libs);
    open_as_hopper(); /* reads the file */
    assert_string_equal(kernel_of(&call), kernels[2]);
    fwi_cuda_libs_close(stream.libs);
    (void)unlink("conv-choices.json");
}

int main(void)
{
    point_at_fakes();
    const struct CMUnitTest of_any_gpu[] = {cmocka_unit_test(test_narrow)};
    const struct CMUnitTest of_hopper[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_variable),
        cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_tuning),
    };
    const int failed = cmocka_run_group_tests_name("own_conv", of_any_gpu, NULL, NULL);
    if (!T_HAS_90A) {
        (void)printf("built without kernels for sm_90a: their engines are not tested\n");
        return failed;
    }
    return failed + cmocka_run_group_tests_name("own_conv, Hopper", of_hopper, NULL, NULL);
}
