/* fake_cudnn.h: what a test sets in the stand-in for cuDNN and reads back from it; found in the
 * library by the name fake_cudnn. */
#ifndef FAKE_CUDNN_H
#define FAKE_CUDNN_H

#include <cudnn_graph.h>
#include <stdbool.h>

enum { FAKE_ENGINES = 8 };

typedef enum fake_cudnn_call {
    FAKE_HANDLE,
    FAKE_STREAM,
    FAKE_CREATE,
    FAKE_SET,
    FAKE_GET,
    FAKE_FINALIZE,
    FAKE_EXECUTE,
    FAKE_CALLS
} fake_cudnn_call;

typedef struct fake_engine {
    bool there, fallback; /* named by the fallback heuristic, else by the first one */
    bool unsupported;     /* an execution plan cannot be made of it */
    bool no_f32_dw;       /* not named for filter gradients in f32 */
    bool wrong;           /* gives twice of what it should */
    int channels;   /* not to be had for images of other channels than multiples of it; 0: any */
    double seconds; /* that a run is said to take */
    int64_t index, workspace;
    int n_notes, n_behavior, n_knobs;
    cudnnBackendNumericalNote_t notes[4];
    cudnnBackendBehaviorNote_t behavior[4];
} fake_engine;

typedef struct fake_cudnn_state {
    /* set by the test */
    fake_engine engines[FAKE_ENGINES]; /* in the order in which they are named */
    fake_cudnn_call fail_call;         /* the fail_at-th call of it gives fail_status; 0: none */
    int fail_at;
    cudnnStatus_t fail_status;
    int refused_type; /* descriptors of this type cannot be finished; 0: none */
    size_t version;   /* 0: 91900 */
    char last_error[64];
    /* read by the test */
    int calls[FAKE_CALLS];
    int live, handles, plans; /* descriptors and handles not destroyed; plans ever made */
    cudaStream_t stream;
    int64_t engine;  /* of the last run */
    void *workspace; /* of the last run */
    double seconds;  /* of all runs, as their engines say */
} fake_cudnn_state;

#endif
