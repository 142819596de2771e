/* modelfile.h: NAME.safetensors with everything that evaluation needs: docs/formats/model.md. */
#ifndef FWI_MODELFILE_H
#define FWI_MODELFILE_H

#include "network.h"
#include "safetensors.h"
#include <fenwicks/data.h>

/* What the file says beside its tensors. */
typedef struct fwi_model_meta {
    char *layers; /* text of fw_layer_print */
    int64_t h, w, c;
    fw_dtype precision;         /* FW_F32, FW_F64 or FW_BF16 */
    fw_transform transforms[2]; /* standardisation or nothing, then the end */
    char **class_names;         /* [n_class_names]; NULL: unknown */
    int64_t n_class_names;
    char *version;
} fwi_model_meta;
void fwi_model_meta_clear(fwi_model_meta *m);

/* Weights and running statistics of the store, beside and renamed. No time, host, path or thread
 * count goes in: equal models are equal files. averages: these in place of what they are averages
 * of. FW_ENONFINITE if a value is not finite. */
fw_status fwi_model_save(const char *path, const fwi_store *store, bool averages,
                         const fwi_model_meta *meta);

fw_status fwi_model_meta_read(const fwi_safetensors *s, fwi_model_meta *out);
/* Every evaluated variable of the store from the file; none may be missing, none left over. */
fw_status fwi_model_load(fwi_store *store, fwi_safetensors *s);
/* Those that agree in name and shape; FW_ESHAPE if none does. */
fw_status fwi_model_warm_start(fwi_store *store, const char *path);
/* Whether that can be done; changes nothing. */
fw_status fwi_model_warm_check(fwi_store *store, const char *path);

/* The deterministic transforms of a chain, as text ("standardize 3 m m m s s s", "" for none) and
 * back. */
fw_status fwi_transforms_print(const fw_transform *list, char *buf, size_t cap);
fw_status fwi_transforms_parse(const char *text, const char *source, fw_transform out[2]);

#endif
