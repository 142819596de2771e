/* t_fed.h: what the tests on the far device (t_far.h) share: images, and a training on them with all that
 * a device can do to an image, fed by the host or from images that stay on the device. */
#ifndef T_FED_H
#define T_FED_H

#include "t_far.h"
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 45, SIDE = 8, C = 3, CLASSES = 4, BATCH = 16, STEPS = 12 };
enum { VALUES = SIDE * SIDE * C };

extern fw_images t_fed_images;
int t_fed_setup(void **state); /* of a group */
int t_fed_teardown(void **state);

/* A training with everything that a device can do to an image, on a fold, and an evaluation with views
 * every pass. fed: batches come from the host all the same. */
typedef struct t_fed {
    fw_dataset *train, *test;
    fw_estimator *e;
    t_trace trace;
} t_fed;

void t_fed_open(t_fed *r, bool fed, fw_tta tta, fw_dtype precision, const char *dir);
void t_fed_close(t_fed *r);
/* Fails unless --explain has the sentence. */
void t_fed_explained(fw_estimator *e, const char *sentence);

#endif
