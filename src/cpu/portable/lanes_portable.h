/* lanes_portable.h: the vector type that the kernel bodies of this folder are written in, in plain
 * C: 16 bytes, which is what every target of ours has registers for. A room with an instruction set
 * of its own brings its own lanes header and includes the same bodies. Included once per element
 * type, before the bodies, with LANES_F64 0 or 1; lanes_end.h forgets the names again.
 *
 * What a lanes header defines: REAL and REAL_DTYPE, the element type; NAME(x) and FN(x), names of
 * a function of that type, inside a file and of a kernel in a row; VL, the elements of a vector;
 * MR, the rows of the largest register tile, which is 2 VL wide; and on the type NAME(vec) v_zero,
 * v_set, v_load, v_store, v_add, v_fma, v_load_n, v_store_n. With LANES_BF16, in rooms that have
 * convolutions of images stored as bf16, also v_widen, which loads VL of these, and v_round, which
 * stores as many. */
#include <stdint.h>
#include <string.h>

#define MR 4 /* 8 accumulators, 2 filter vectors, 1 broadcast: 11 of the 16 registers of SSE2 */
#if LANES_F64
#define REAL       double
#define REAL_DTYPE FW_F64
#define NAME(x)    x##_f64
#define FN(x)      fwi_##x##_f64_portable
#define VL         2
typedef double vec_f64 __attribute__((vector_size(16)));
#else
#define REAL       float
#define REAL_DTYPE FW_F32
#define NAME(x)    x##_f32
#define FN(x)      fwi_##x##_f32_portable
#define VL         4
typedef float vec_f32 __attribute__((vector_size(16)));
#endif

static inline NAME(vec) NAME(v_zero)(void)
{
    return (NAME(vec)){0};
}
static inline NAME(vec) NAME(v_set)(REAL x)
{
#if LANES_F64
    return (NAME(vec)){x, x};
#else
    return (NAME(vec)){x, x, x, x};
#endif
}
static inline NAME(vec) NAME(v_load)(const REAL *p)
{
    NAME(vec) v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void NAME(v_store)(REAL *p, NAME(vec) v)
{
    memcpy(p, &v, sizeof v);
}
static inline NAME(vec) NAME(v_add)(NAME(vec) a, NAME(vec) b)
{
    return a + b;
}
/* a b + c: rounded twice here, where no fused instruction can be counted on. */
static inline NAME(vec) NAME(v_fma)(NAME(vec) a, NAME(vec) b, NAME(vec) c)
{
    return a * b + c;
}
/* The first n lanes, 0 <= n <= VL; the others read as zero and are not touched in memory. */
static inline NAME(vec) NAME(v_load_n)(const REAL *p, int64_t n)
{
    NAME(vec) v = {0};
    memcpy(&v, p, (size_t)n * sizeof(REAL));
    return v;
}
static inline void NAME(v_store_n)(REAL *p, NAME(vec) v, int64_t n)
{
    memcpy(p, &v, (size_t)n * sizeof(REAL));
}
