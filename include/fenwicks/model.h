/* model.h: a trained model from its file: evaluate and predict. The file is safetensors
 * (docs/formats/model.md). */
#ifndef FENWICKS_MODEL_H
#define FENWICKS_MODEL_H

#include <fenwicks/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fw_model fw_model;

typedef struct fw_model_opt {
    int64_t batch; /* images per run of the network; 0: 32 */
    int threads;   /* 0 or 1: on the calling thread; n: a pool of n that all callers share; FW_NONE:
                      as many as allowed */
    /* NULL: "cpu"; as fw_estimator_opt has it. Threads that predict with a model on a GPU take turns, and an
     * evaluation of images that the GPU keeps meanwhile is one turn. So is one with selective views, whose
     * data set's own transforms must therefore not predict with the same model. */
    const char *device;
    bool tf32;  /* on GPUs alone: a model of precision f32 may round operands to tf32 */
    fw_tta tta; /* of fw_model_evaluate; fw_model_predict looks at the images themselves */
} fw_model_opt;

/* Errors: what the device says (FW_EUNAVAILABLE, FW_ENOTFOUND, FW_ENOMEM); FW_EUNAVAILABLE (gs:// and the like);
 * FW_ENOTFOUND; FW_EIO (also of what is no regular file); FW_EFORMAT (a damaged header, layers or transforms
 * that cannot be, tensors that do not fit the layers: each names file, place and reason); FW_EARG (opt); FW_ESHAPE (too large for that batch). */
FW_API fw_status fw_model_open(fw_model **out, const char *path, const fw_model_opt *opt);
FW_API void fw_model_close(fw_model *m);

typedef struct fw_model_info {
    int64_t h, w, c, n_classes;
    const char *const
        *class_names;    /* [n_classes]; NULL: unknown. Borrowed from the model, as layers */
    const char *layers;  /* the network as text */
    const char *version; /* of the library that wrote it */
    int64_t params;      /* elements of all tensors */
} fw_model_info;
FW_API void fw_model_info_get(const fw_model *m, fw_model_info *out);

/* The transforms of evaluation (standardisation), ended by FW_TRANSFORM_END: for data sets that go
 * to fw_model_evaluate. Borrowed. */
FW_API const fw_transform *fw_model_transforms(const fw_model *m);

/* Bytes of workspace one thread needs for fw_model_predict. */
FW_API size_t fw_model_workspace(const fw_model *m);

/* Class probabilities of n images: raw values as they came from the importer (FW_U8 or FW_F32)
 * [n,h,w,c] -> [n,n_classes]. The model standardises. workspace: fw_model_workspace(m) bytes of the
 * caller's, 64-byte aligned. Allocates nothing; several threads may call it at once on one model,
 * each with its own workspace and outputs. */
FW_API fw_status fw_model_predict(const fw_model *m, const void *images, fw_dtype dtype, int64_t n,
                                  void *workspace, float *probabilities);

/* Over a non-training data set made with fw_model_transforms(m). confusion: [n_classes, n_classes],
 * rows true, columns predicted; may be NULL; says nothing after a failure. A label that is none of the classes is FW_EFORMAT, with
 * file and record. A record with a NaN among its logits makes the loss one, is
 * no correct one, and not in confusion. */
FW_API fw_status fw_model_evaluate(const fw_model *m, fw_dataset *ds, fw_metrics *out,
                                   int64_t *confusion);

/* What was chosen to run the network, as fw_estimator_explain says it. Caller frees with
 * fw_text_free. */
FW_API fw_status fw_model_explain(const fw_model *m, char **text);

/* What a safetensors file holds, for `fenwicks inspect`: names, types, shapes, metadata, as JSON.
 * Caller frees with fw_text_free. verify: also refuses tensors with values that are not finite. */
FW_API fw_status fw_safetensors_inspect(const char *path, bool verify, char **json);

/* What a run's folder holds, as JSON: its config, the last epoch and evaluation of its log, its checkpoints and
 * model, where it diverged ("diverged") and that no checkpoint is whole, or that the newest is not
 * ("checkpoint_damaged", in words); of a recipe with a proxy that is not done yet those of the proxy, with "phase": "proxy". Caller frees with
 * fw_text_free. FW_ENOTFOUND if there is no config.json. */
FW_API fw_status fw_run_inspect(const char *dir, char **json);

#ifdef __cplusplus
}
#endif
#endif
