/* conv_key.h: a convolution as cuDNN is asked for it, and a choice of an engine for one. What a
 * call's types, shapes and attributes come down to: all numbers, no padding, so that two keys are
 * compared by their bytes. Nothing here needs CUDA. Read next: conv_choices.h (choices that are
 * stored), cudnn_conv.h (execution plans by key). */
#ifndef FWI_CONV_KEY_H
#define FWI_CONV_KEY_H

#include "exec.h"
#include <assert.h>

typedef enum fwi_dnn_pass { FWI_DNN_Y, FWI_DNN_DX, FWI_DNN_DW, FWI_DNN_PASSES } fwi_dnn_pass;

typedef struct fwi_dnn_key {
    int32_t pass;           /* fwi_dnn_pass */
    int32_t dtype;          /* fw_dtype of the images: f32, bf16, f16 */
    int32_t tf32;           /* 1: f32 may be rounded to tf32 for the products */
    int32_t n, h, w, c;     /* x or dx */
    int32_t oc, kh, kw;     /* w or dw */
    int32_t oh, ow, stride; /* y or dy */
    int32_t pad_t, pad_l, pad_b, pad_r;
} fwi_dnn_key;

/* The key of a conv2d, conv2d_dx or conv2d_dw on n h w c, which blocks of one image are too. false:
 * another op, larger blocks, a type that cuDNN is not used for, or a number that does not fit. */
bool fwi_dnn_key_of(const fwi_call *c, bool tf32, fwi_dnn_key *out);
bool fwi_dnn_key_equal(const fwi_dnn_key *a, const fwi_dnn_key *b);
/* A key from outside: every number within its range, and oh, ow those that the others give. NULL,
 * or what is wrong: a phrase for the end of a sentence. */
const char *fwi_dnn_key_wrong(const fwi_dnn_key *k);

/* The same with c and oc padded to multiples of `pad`. false: they are such already, or an operand would then
 * have 2^31 elements or more; *out is left alone. */
bool fwi_dnn_key_padded(const fwi_dnn_key *k, int32_t pad, fwi_dnn_key *out);

const char *fwi_dnn_pass_name(int32_t pass); /* "conv2d", "conv2d_dx", "conv2d_dw" */
/* "conv2d_dw f16 n2000 h31 w31 c24 oc64 k3x3 s1 pad1,1,1,1", at most FWI_CONV_KEY_TEXT bytes. */
enum { FWI_CONV_KEY_TEXT = 192 };
const char *fwi_dnn_key_text(const fwi_dnn_key *k, char text[FWI_CONV_KEY_TEXT]);

/* An engine and what a measurement chose of it: one of cuDNN's with the values of its knobs, which means
 * something for one version of cuDNN and one kind of GPU alone, or one of our own (own_conv.h). */
enum { FWI_CONV_KNOBS = 32, FWI_CONV_ENGINE_NAME = 24 };
typedef struct fwi_dnn_choice {
    fwi_dnn_key key;
    int32_t dw;  /* pass dw: fw_dtype in which cuDNN gives it, f32 or that of the images */
    int32_t pad; /* cuDNN's: channels are padded to multiples of 4 or 8; 0: as they are */
    int32_t n_knobs;
    int64_t engine;                 /* cuDNN's: its global index */
    char own[FWI_CONV_ENGINE_NAME]; /* "own:128x64x64", "own:narrow"; empty: an engine of cuDNN */
    struct {
        int32_t type;
        int64_t value;
    } knobs[FWI_CONV_KNOBS];
    double seconds; /* of one call, as measured; 0: not measured */
} fwi_dnn_choice;

#endif
