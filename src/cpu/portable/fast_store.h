/* fast_store.h: how a body reads and keeps activations. STORE is their type in memory, LOAD(v) its
 * value as REAL, KEEP(v) a REAL made ready to be stored. The same body then serves bf16 storage (a
 * lanes header with LANES_BF16) with float arithmetic. Included by bodies; lanes_end.h forgets the
 * names. Conversions are plain C that compilers turn into vectors: round to nearest, ties to even,
 * as cpu/ref/layout.c defines it. */
#ifdef LANES_BF16
#define STORE   uint16_t
#define LOAD(v) bf16_load(v)
#define KEEP(v) bf16_keep(v)
#else
#define STORE   REAL
#define LOAD(v) (v)
#define KEEP(v) (v)
#define MATH(f) NAME(f)
#endif

/* Convolutions on storage that their products are not in (PER 1, bf16): widened when they are packed,
 * the filter rounded as if it were stored, too. */
#if defined LANES_BF16 && defined PER && PER == 1
#define WIDENS
static inline REAL NAME(as_stored)(REAL v)
{
    return LOAD(KEEP(v));
}
/* n elements into REAL, and rounded back. */
static inline void NAME(widen)(REAL *restrict dst, const STORE *restrict src, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        NAME(v_store)(dst + i, NAME(v_widen)(src + i));
    for (; i < n; i++)
        dst[i] = LOAD(src[i]);
}
static inline void NAME(round)(STORE *restrict dst, const REAL *restrict src, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        NAME(v_round)(dst + i, NAME(v_load)(src + i));
    for (; i < n; i++)
        dst[i] = KEEP(src[i]);
}
#endif
