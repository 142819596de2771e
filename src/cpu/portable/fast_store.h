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
