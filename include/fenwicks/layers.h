/* layers.h: models as descriptions. A layer owns no memory and computes nothing; it says what is to
 * be built.
 *
 * Builders return NULL only when memory is out. Every other mistake (a negative width, an option
 * that a layer does not have, a NULL child) is remembered inside the layer and reported, with the
 * layer's place, where the model is compiled: so building code needs one check. fw_add takes what
 * it is given, also when it fails.
 *
 * Every layer can be printed as a line of text and read back (fw_layer_print, fw_layer_parse): the
 * form of recipe and model files, see docs/formats/recipe.md. */
#ifndef FENWICKS_LAYERS_H
#define FENWICKS_LAYERS_H

#include <fenwicks/tensor.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fw_layer fw_layer;

typedef enum fw_init {
    FW_INIT_GLOROT =
        0, /* U(+-sqrt(6 / (fan_in + fan_out))), Glorot and Bengio 2010; Keras' default */
    FW_INIT_PYTORCH =
        1, /* U(+-1 / sqrt(fan_in)); PyTorch's default of convolutions and linear layers */
    FW_INIT_DIRAC = 2, /* PyTorch's; then the first min(in, out) filters of a convolution copy one
                          input channel each (all 0, at the centre 1), so that it begins as the
                          identity. Matrices and biases: PyTorch's */
    FW_INIT_UNIT_STD = 3,    /* PyTorch's; then weights are divided by their standard deviation
                            (of the sample: n - 1). Biases: PyTorch's */
    FW_INIT_DIRAC_ADDED = 4, /* PyTorch's; then a convolution's filters get Dirac's ones added and
                                are brought back to the mean and the deviation that they had.
                                Matrices and biases: PyTorch's */
    FW_INIT_IDENTITY = 5 /* a convolution's filters: Dirac's ones, all else 0. Matrices and biases:
                            PyTorch's */
} fw_init;

typedef enum fw_act {
    FW_RELU = 0,
    FW_IDENTITY = 1,
    FW_CELU = 2, /* max(0,x) + min(0, alpha (e^(x/alpha) - 1)), Barron 2017 */
    FW_GELU = 3, /* exact: x Phi(x) */
    FW_SILU = 4, /* x sigmoid(x) */
    FW_TANH = 5,
    FW_SIGMOID = 6,
    FW_SOFTPLUS = 7
} fw_act;

typedef enum fw_padding {
    FW_SAME = 0,  /* as TensorFlow: ceil(size / stride) pixels; an odd row of padding at the end */
    FW_VALID = 1, /* none: floor((size - kernel) / stride) + 1 pixels */
    FW_HALF = 2 /* floor(kernel / 2) on every side, as PyTorch's nets have it: with stride 2 another
                   grid than SAME; floor((size + 2 floor(kernel / 2) - kernel) / stride) + 1 pixels */
} fw_padding;

typedef enum fw_pooling { FW_POOL_MAX = 0, FW_POOL_AVERAGE = 1, FW_POOL_NONE = 2 } fw_pooling;

/* How the layers with weights and their blocks are made. {0} is the Keras way of the walk-through's
 * library; FW_PYTORCH its PYTORCH_PARAMS. init and what begins with bn_ are a style that a whole net
 * may share: layers without them pass over them. Another field that the layer at hand does not have
 * must be 0. */
typedef struct fw_layer_opt {
    fw_init init;
    float
        bn_update; /* share of the new batch in running statistics; 0: 0.01 (Keras momentum .99) */
    float bn_eps;  /* 0: 1e-3; 1e-30 to 1 */
    bool bn_fixed_scale;   /* gamma stays 1 and is not trained */
    bool bn_fixed_shift;   /* beta stays 0 and is not trained */
    bool bn_uniform_scale; /* gamma starts from U(0,1), the default of PyTorch 0.4; else from 1 */
    int64_t bn_groups;  /* ghost batch norm (Hoffer et al. 2017): so many equal runs of the batch,
                              in its order, are normalised each by its own statistics; running
                              statistics take the mean over the groups. Batches to train must be
                              multiples of it. 0: 1, the batch as a whole */
    int64_t kernel;     /* convolutions: 0: 3 */
    int64_t stride;     /* convolutions: 0: 1 */
    fw_padding padding; /* conv2d; 0: SAME */
    fw_act act;         /* after the normalisation; 0: ReLU */
    float act_alpha;    /* CELU; 0: 1 */
    fw_pooling pooling; /* blocks: 2 x 2, stride 2; 0: max */
    int64_t convs;      /* blocks: convolutions before the pool; 0: 1 */
    bool pool_first;    /* blocks: the pool comes right after the first convolution, before its
                           normalisation, which then has a quarter of the pixels to do */
    bool
        pool_before_act; /* blocks: the pool comes right before the last activation. Of max pools and
                             activations that never fall, the same function at less work */
    bool skip; /* blocks of 2 convolutions or more: what the first ConvBN gives is added in front of
                  the last activation */
    bool bias; /* classifier: a bias for each class */
} fw_layer_opt;
extern FW_API const fw_layer_opt fw_pytorch_opt;
#define FW_PYTORCH (&fw_pytorch_opt) /* init PyTorch, bn_update 0.1, bn_eps 1e-5 */

/* ---- containers ---- */
FW_API fw_layer *fw_sequential(void);
FW_API fw_layer *
fw_parallel(void); /* children side by side on one input; outputs joined on the last axis */
FW_API void fw_add(fw_layer *parent, fw_layer *child); /* takes child; parent NULL: frees it */
FW_API void fw_layer_free(fw_layer *l); /* of a layer that was added to another: nothing */

/* ---- single layers: NHWC activations; opt NULL means {0} ---- */
FW_API fw_layer *fw_dense(int64_t units, bool bias,
                          const fw_layer_opt *opt); /* uses init; input [n,d] */
FW_API fw_layer *fw_conv2d(int64_t channels, bool bias,
                           const fw_layer_opt *opt);     /* uses init, kernel, stride, padding */
FW_API fw_layer *fw_batch_norm(const fw_layer_opt *opt); /* last axis; uses the options named bn_ */
FW_API fw_layer *fw_activation(fw_act act, float alpha); /* alpha: CELU's; 0: 1 */
/* Pools: no padding, floor; stride 0: size. Of a max pool size is at most 16. */
FW_API fw_layer *fw_max_pool(int64_t size, int64_t stride);
FW_API fw_layer *fw_average_pool(int64_t size, int64_t stride);
FW_API fw_layer *fw_global_max_pool(void); /* [n,h,w,c] -> [n,c] */
FW_API fw_layer *fw_global_average_pool(void);
FW_API fw_layer *fw_global_pools(void); /* max and average joined: [n,2c] */
FW_API fw_layer *
fw_dropout(float rate);            /* Srivastava et al. 2014; kept values divided by 1 - rate */
FW_API fw_layer *fw_flatten(void); /* [n,h,w,c] -> [n,hwc] */
FW_API fw_layer *fw_scaling(float factor); /* a constant, not trained */

/* Whitening, the first layer of a net (Page 2019, "How to train your ResNet", 8): a convolution whose
 * filter is not trained but made from the training images, before the first step. With X the
 * matrix of all kernel x kernel patches of the first `images` training images, in the order of the
 * records and as evaluation sees them (standardised), one patch of d = kernel^2 c values per row,
 * and v_i, l_i the eigenvectors (the largest component positive) and eigenvalues, largest first, of
 * X^T X / rows, filter i is v_i / sqrt(l_i + eps); filter d + i is its negative. d is at most 128.
 * centred: the columns' means are taken off X first, and rows - 1 divides.
 * In a resumed run and in a model file the filter is what it was; so it is after a warm start from
 * a model that has it. Until then it is 0. */
typedef struct fw_whiten_opt {
    int64_t kernel;    /* 0: 2 */
    float eps;         /* 0: 5e-4 */
    int64_t images;    /* 0: 5000; all there are where that is fewer */
    bool centred;      /* the covariance around the mean patch */
    bool no_negatives; /* d output channels instead of 2 d */
    bool no_bias;      /* else a bias per channel, trained */
    fw_init init;      /* of the bias: Glorot 0, others U(+-1 / sqrt(d)) */
    bool same_padding; /* instead of none */
} fw_whiten_opt;
FW_API fw_layer *fw_whiten(const fw_whiten_opt *opt); /* [n,h,w,c] -> [n,h',w',2 kernel^2 c] */

/* ---- blocks of the walk-through ---- */
FW_API fw_layer *
fw_conv_bn(int64_t channels,
           const fw_layer_opt *opt); /* conv SAME without bias, batch norm, activation */
FW_API fw_layer *
fw_conv_blk(int64_t channels,
            const fw_layer_opt *opt); /* opt.convs x ConvBN, then the pool; or, with
                                                        opt.pool_first, conv, pool, norm,
                                                        activation, then opt.convs - 1 x ConvBN */
/* h = ConvBlk(x); y = h + ConvBN(... ConvBN(h)), res_convs of them: the residual comes after the
 * pool, nothing after the sum. */
FW_API fw_layer *fw_conv_res_blk(int64_t channels, int64_t res_convs, const fw_layer_opt *opt);
/* Pre-activation block (He et al. 2016): r = act(norm(x)); y = conv(act(norm(conv(r, stride)))) +
 * shortcut, 3 x 3 convolutions without bias and with HALF padding; shortcut is r itself or, where
 * the shape changes, a 1 x 1 convolution of r with that stride. */
FW_API fw_layer *fw_preact_blk(int64_t channels, const fw_layer_opt *opt);
/* Dense without bias; batch norm then activation, or the other way round; then dropout if rate > 0.
 */
FW_API fw_layer *fw_dense_bn(int64_t units, float dropout, bool bn_before_act,
                             const fw_layer_opt *opt);
FW_API fw_layer *fw_classifier(
    int64_t n_classes, float weight,
    const fw_layer_opt *opt); /* dense, with opt.bias or without, times weight; uses init */
/* GlobalPools2D, batch norm (.9, 1e-5), dropout .25, DenseBN(512, ReLU first), dropout .5,
 * Classifier. */
FW_API fw_layer *fw_fastai_head(int64_t n_classes, const fw_layer_opt *opt);

/* ---- text ---- */
/* One line per layer; containers as NAME .. branch .. end. Caller frees *text with fw_text_free. A
 * layer that remembers an error reports it here. */
FW_API fw_status fw_layer_print(const fw_layer *l, char **text);
/* The lines of a sequential. source: for messages ("my.recipe"). FW_EFORMAT names line, word and
 * the nearest valid one. */
FW_API fw_status fw_layer_parse(fw_layer **out, const char *text, const char *source);
FW_API void fw_text_free(char *text);

/* ---- what a model is, before it is trained ---- */
typedef struct fw_model_cost {
    int64_t params;      /* trained */
    int64_t frozen;      /* neither trained nor counted as statistics: whitening, fixed scales */
    int64_t statistics;  /* running mean and variance */
    int64_t macs;        /* multiply-accumulates of one forward pass of one image */
    int64_t train_flops; /* of one image: forward, input gradients, weight gradients; 2 per
                            multiply-accumulate */
    int64_t n_classes;   /* the width of the output */
} fw_model_cost;
/* Compiles l for images of h x w x c (l stays the caller's): reports its first mistake, or its
 * cost. */
FW_API fw_status fw_layer_cost(const fw_layer *l, int64_t h, int64_t w, int64_t c,
                               fw_model_cost *out);

#ifdef __cplusplus
}
#endif
#endif
