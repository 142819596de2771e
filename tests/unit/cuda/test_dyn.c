/* test_dyn.c: opening libraries at run time: the tables of functions against the real libraries
 * where they are installed, and every way in which one cannot be had. */
#include "libs_test.h"

#include <stdio.h>

/* The real file, or NULL with a line: no GPU is needed to look at its functions. It stays loaded: unloaded, what its
 * constructors allocated would count as a leak. */
static void *real_library(const fwi_dyn_library *lib)
{
    const int flags = RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE;
    void *found = dlopen(lib->file, flags);
    if (found == NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", FW_CUDA_LIBRARY_DIR, lib->file);
        found = dlopen(path, flags);
    }
    if (found == NULL)
        printf("%s is not on this machine\n", lib->file);
    return found;
}

static void test_real(void **state)
{
    (void)state;
    const fwi_dyn_library *libs[] = {&fwi_dyn_cudnn, &fwi_dyn_cublaslt};
    int missing = 0, looked = 0;
    for (int i = 0; i < COUNT(libs); i++) {
        void *real = real_library(libs[i]);
        if (real == NULL)
            continue;
        looked++;
        for (const fwi_dyn_symbol *s = libs[i]->symbols; s->name != NULL; s++) {
            if (dlsym(real, s->name) == NULL) {
                printf("%s has no %s\n", libs[i]->file, s->name);
                missing++;
            }
        }
        dlclose(real);
    }
    assert_int_equal(missing, 0);
    if (looked == 0)
        skip();
}

/* Through our own call too, by the name or from the toolkit's folder. */
static void test_real_open(void **state)
{
    (void)state;
    void *real = real_library(&fwi_dyn_cudnn);
    if (real == NULL)
        skip();
    dlclose(real);
    unsetenv("FENWICKS_CUDNN");
    void *lib = NULL;
    fwi_cudnn_api api = {0};
    assert_int_equal(fwi_dyn_open(&lib, &fwi_dyn_cudnn, &api), FW_OK);
    assert_true(api.cudnnGetVersion() >= 90000 && api.cudnnGetVersion() < 100000);
    fwi_dyn_close(lib);
    point_at_fakes();
}

/* A library stays mapped when nobody has it open, and is as it was when it is opened again. */
static void test_stays(void **state)
{
    (void)state;
    enum { MARK = 12345 };
    void *again = NULL, *lib = NULL;
    fwi_cublaslt_api api = {0};
    /* a copy, so that nobody else in this program has opened it */
    assert_int_equal(system("cp '" FW_FAKE_CUBLASLT "' stays.so"), 0);
    setenv("FENWICKS_CUBLASLT", "./stays.so", 1);
    assert_int_equal(fwi_dyn_open(&lib, &fwi_dyn_cublaslt, &api), FW_OK);
    fake_cublaslt_state *state_there = dlsym(lib, "fake_cublaslt");
    assert_non_null(state_there);
    state_there->live = MARK;
    fwi_dyn_close(lib);
    assert_non_null(dlopen("./stays.so", RTLD_NOW | RTLD_NOLOAD)); /* still there */
    assert_int_equal(fwi_dyn_open(&again, &fwi_dyn_cublaslt, &api), FW_OK);
    assert_ptr_equal(dlsym(again, "fake_cublaslt"), state_there);
    assert_int_equal(state_there->live, MARK);
    fwi_dyn_close(again);
    point_at_fakes();
}

static void test_missing_file(void **state)
{
    (void)state;
    void *lib = (void *)1;
    fwi_cudnn_api api = {0};
    setenv("FENWICKS_CUDNN", "/nowhere/libcudnn.so.9", 1);
    assert_int_equal(fwi_dyn_open(&lib, &fwi_dyn_cudnn, &api), FW_EUNAVAILABLE);
    assert_null(lib);
    assert_null(api.cudnnCreate);
    assert_message("cuDNN: cannot open it");
    assert_message("/nowhere/libcudnn.so.9");
    assert_message("FENWICKS_CUDNN=PATH");
    point_at_fakes();
    const fwi_dyn_library unknown = {"cuX", "libcux-of-no-machine.so", "FENWICKS_CUX", "cuX 1",
                                     fwi_dyn_cudnn.symbols};
    assert_int_equal(fwi_dyn_open(&lib, &unknown, &api), FW_EUNAVAILABLE);
    assert_null(lib);
    assert_message("libcux-of-no-machine.so");
    assert_message("install cuX 1");
}

/* A library that lacks a function is refused whole, and the pointers stay as they were. */
static void test_missing_function(void **state)
{
    (void)state;
    static const fwi_dyn_symbol symbols[] = {
        {"cudnnCreate", 0}, {"cudnnNobodyHasThis", sizeof(void *)}, {NULL, 0}};
    const fwi_dyn_library old = {"cuDNN", "libcudnn.so.9", "FENWICKS_CUDNN", "cuDNN 9", symbols};
    void *lib = (void *)1, *api[2] = {NULL, NULL};
    assert_int_equal(fwi_dyn_open(&lib, &old, api), FW_EUNAVAILABLE);
    assert_null(lib);
    assert_null(api[0]);
    assert_message("has no function cudnnNobodyHasThis");
    assert_message("install cuDNN 9");
}

static void test_libs(void **state)
{
    (void)state;
    fwi_cuda_libs *l = open_libs(false);
    fake_cudnn_state *dnn = dnn_state();
    char text[128];
    fwi_cuda_libs_describe(l, text, sizeof text);
    assert_string_equal(text, "cuDNN 9.19.0, cuBLASLt 13.1.0");
    assert_ptr_equal(dnn->stream, &a_stream);
    assert_int_equal(dnn->handles, 1);
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->handles, 0);
    assert_int_equal(blas_state()->handles, 0);
    fwi_cuda_libs_close(NULL);
}

/* The libraries' rows stand before a device's own, in the layout of its images. */
static void test_tables(void **state)
{
    (void)state;
    static const fwi_kernel none[] = {{.run = NULL}};
    const fwi_op_table own = {.name = "own", .rows = none, .nb = 1};
    fwi_cuda_tables t;
    const fwi_op_table *first = fwi_cuda_libs_tables(&t, &own), *last = first;
    bool conv = false, matmul = false, muon = false;
    for (; last != &own; last = last->base) {
        assert_int_equal(last->nb, 1);
        for (const fwi_kernel *k = last->rows; k->run != NULL; k++) {
            conv = conv || k->op == FWI_OP_conv2d_dw;
            matmul = matmul || k->op == FWI_OP_matmul;
            muon = muon || k->op == FWI_OP_muon;
        }
    }
    assert_true(conv && matmul && muon);
    assert_ptr_equal(first, &t.own_narrow); /* takes operands anywhere, as products do */
    assert_int_equal(first->align, 0);
    assert_int_equal(t.own_conv.align, FWI_CUDNN_ALIGN);
    assert_int_equal(t.own_dw.align, FWI_CUDNN_ALIGN);
    assert_int_equal(t.cudnn.align, FWI_CUDNN_ALIGN);
    assert_int_equal(t.matmul.align, 0);
    assert_true(t.rounded.rounds && !t.cudnn.rounds);
}

/* What is not there is no failure, and the reason is kept. */
static void test_libs_missing(void **state)
{
    (void)state;
    setenv("FENWICKS_CUDNN", "/nowhere/dnn.so", 1);
    fwi_cuda_libs *l = open_libs(false);
    char text[128];
    fwi_cuda_libs_describe(l, text, sizeof text);
    assert_string_equal(text, "no cuDNN, cuBLASLt 13.1.0");
    assert_non_null(strstr(l->no_dnn, "/nowhere/dnn.so"));
    assert_null(l->no_blas);
    fwi_cuda_libs_close(l);
    point_at_fakes();
    setenv("FENWICKS_CUBLASLT", "/nowhere/lt.so", 1);
    l = open_libs(false);
    fwi_cuda_libs_describe(l, text, sizeof text);
    assert_string_equal(text, "cuDNN 9.19.0, no cuBLASLt");
    assert_non_null(strstr(l->no_blas, "/nowhere/lt.so"));
    fwi_cuda_libs_close(l);
    point_at_fakes();
}

/* One that is there and does not work is a failure, and everything is given back. */
static void test_libs_broken(void **state)
{
    (void)state;
    fake_cudnn_state *dnn = dnn_state();
    fake_cublaslt_state *blas = blas_state();
    const fwi_cuda_libs_opt opt = {.sm = 90, .side = &host_side};
    const struct {
        fake_cudnn_call call;
        cudnnStatus_t status;
        fw_status st;
        const char *text;
    } cases[] = {
        {FAKE_HANDLE, CUDNN_STATUS_INTERNAL_ERROR, FW_EINTERNAL, "making a handle"},
        {FAKE_HANDLE, CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED, FW_ENOMEM, "4003"},
        {FAKE_STREAM, CUDNN_STATUS_INTERNAL_ERROR, FW_EINTERNAL, "setting the stream"},
    };
    fwi_cuda_libs *l = (void *)1;
    for (int i = 0; i < COUNT(cases); i++) {
        *dnn = (fake_cudnn_state){.fail_call = cases[i].call,
                                  .fail_at = 1,
                                  .fail_status = cases[i].status,
                                  .last_error = "more of it"};
        assert_int_equal(fwi_cuda_libs_open(&l, &opt), cases[i].st);
        assert_null(l);
        assert_message(cases[i].text);
        assert_message("more of it");
        assert_int_equal(dnn->handles, 0);
    }
    static const cudnnStatus_t unable[] = {CUDNN_STATUS_NOT_INITIALIZED,
                                           CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED,
                                           CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH,
                                           CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER};
    for (int i = 0; i < COUNT(unable); i++) { /* it cannot work here: as if it were not there */
        *dnn = (fake_cudnn_state){.fail_call = FAKE_HANDLE, .fail_at = 1, .fail_status = unable[i]};
        assert_int_equal(fwi_cuda_libs_open(&l, &opt), FW_OK);
        assert_null(l->dnn_handle);
        assert_null(l->dnn_library);
        assert_non_null(strstr(l->no_dnn, "cuDNN: making a handle"));
        assert_null(l->no_blas);
        fwi_cuda_libs_close(l);
    }
    *dnn = (fake_cudnn_state){0};
    *blas = (fake_cublaslt_state){
        .fail_call = FAKE_LT_HANDLE, .fail_at = 1, .fail_status = CUBLAS_STATUS_NOT_INITIALIZED};
    assert_int_equal(fwi_cuda_libs_open(&l, &opt), FW_OK);
    assert_null(l->blas_library);
    assert_non_null(l->no_blas);
    fwi_cuda_libs_close(l);
    *blas = (fake_cublaslt_state){
        .fail_call = FAKE_LT_HANDLE, .fail_at = 1, .fail_status = CUBLAS_STATUS_ALLOC_FAILED};
    assert_int_equal(fwi_cuda_libs_open(&l, &opt), FW_ENOMEM);
    assert_message("cuBLASLt: making a handle");
    assert_int_equal(dnn->handles, 0);
    *blas = (fake_cublaslt_state){0};
}

static void test_no_memory(void **state)
{
    (void)state;
    const fwi_cuda_libs_opt opt = {.sm = 90, .side = &host_side};
    setenv("FENWICKS_CUDNN", "/nowhere/dnn.so", 1); /* its reason is memory too */
    for (int64_t n = 1;; n++) {
        fwi_cuda_libs *l = NULL;
        fwi_mem_fail_at(n);
        const fw_status st = fwi_cuda_libs_open(&l, &opt);
        const bool all = fwi_mem_count() < n;
        fwi_mem_fail_at(0);
        if (all) {
            assert_int_equal(st, FW_OK);
            fwi_cuda_libs_close(l);
            break;
        }
        assert_int_equal(st, FW_ENOMEM);
        assert_null(l);
    }
    point_at_fakes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_real_open),
        cmocka_unit_test(test_stays),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_missing_function),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_libs),
        cmocka_unit_test(test_libs_missing),
        cmocka_unit_test(test_libs_broken),
        cmocka_unit_test(test_no_memory),
    };
    point_at_fakes();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
