/* rng.h: random numbers as a function, not a state.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011). One draw is named by (seed, purpose, pass, index, block); the same name gives the same
 * four words on every machine, thread and device:
 *     key     = { low 32 bits of seed, high 32 bits of seed }
 *     counter = { low 32 of index, high 32 of index, pass, purpose << 24 | block }  (block < 2^24)
 */
#ifndef FWI_RNG_H
#define FWI_RNG_H

#include <stdint.h>

#ifdef __CUDACC__ /* nvcc: for a GPU too */
#define FWI_RNG_INLINE static inline __host__ __device__
#else
#define FWI_RNG_INLINE static inline
#endif

/* What a draw is for. The numbers are part of the file formats (resume) and of the golden tests. */
typedef enum fwi_purpose {
    FWI_RNG_SHUFFLE = 1, /* pass = pass over the data, index = record, block 0 */
    FWI_RNG_INIT = 2, /* pass = FNV-1a 32 of the parameter's name, index = element / 4 (word element
                         % 4), block 0 */
    FWI_RNG_CROP =
        3, /* transforms: pass = pass over the data, index = record, block = place in the chain */
    FWI_RNG_FLIP = 4,
    FWI_RNG_CUTOUT = 5,
    FWI_RNG_DROPOUT = 6, /* pass = dropout op's ordinal, index = step << 32 | element / 4 */
    FWI_RNG_TEST = 7,    /* inputs of tests and golden files */
    FWI_RNG_BUFFER = 8,  /* shuffle buffer: index = draw number */
    FWI_RNG_USER = 9,    /* handed to a user's own transform */
    FWI_RNG_SPLIT = 10,  /* train / validation splits */
    FWI_RNG_JITTER = 11, /* a transform, as CROP */
    FWI_RNG_CUTMIX = 12  /* pass 0, index = position in the stream, block = place in the chain */
} fwi_purpose;

/* The ten rounds. key and counter are as above; out may be counter. */
FWI_RNG_INLINE void fwi_philox4x32(const uint32_t key[2], const uint32_t counter[4],
                                   uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)b;
        c2 = n2;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* the golden ratio, and sqrt(3) - 1 */
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
void fwi_rng_block(uint64_t seed, fwi_purpose purpose, uint32_t pass, uint64_t index,
                   uint32_t block, uint32_t out[4]);

FWI_RNG_INLINE double
fwi_unit(uint32_t word) /* [0, 1): the word's upper 24 bits / 2^24; exact in float too */
{
    return (double)(word >> 8) * (1.0 / 16777216.0);
}
FWI_RNG_INLINE uint32_t fwi_below(uint32_t word,
                                  uint32_t n) /* [0, n): word * n / 2^32; bias under n / 2^32 */
{
    return (uint32_t)(((uint64_t)word * n) >> 32);
}
uint64_t fwi_rng_u64(uint64_t seed, fwi_purpose purpose, uint32_t pass,
                     uint64_t index); /* words 0 (low), 1 (high) of block 0 */
uint32_t fwi_fnv1a(const char *s);    /* FNV-1a, 32 bits */

/* Standard normals by Box-Muller from (words 0,1) and (words 2,3): with u = (word0 + 0.5) / 2^32
 * and a = 2 pi word1 / 2^32, out[0] = sqrt(-2 ln u) cos a and out[1] = sqrt(-2 ln u) sin a; so on
 * for 2, 3. */
void fwi_normal4(const uint32_t words[4], double out[4]);

#endif
