/* rng.c: Philox4x32-10, the library's only source of randomness; rng.h says how a draw is named.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A
 * round multiplies two of the four counter words by fixed odd numbers and mixes the upper halves
 * with the key; the key moves on by two Weyl constants (golden ratio, sqrt(3) - 1) per round. Ten
 * rounds pass BigCrush. */
#include "rng.h"

#include <assert.h>
#include <math.h>

void fwi_philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0;
        const uint64_t b = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        const uint32_t n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)b;
        c2 = n2;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void fwi_rng_block(uint64_t seed, fwi_purpose purpose, uint32_t pass, uint64_t index,
                   uint32_t block, uint32_t out[4])
{
    assert(block < 1u << 24);
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), pass,
                                 (uint32_t)purpose << 24 | block};
    fwi_philox4x32(key, counter, out);
}

uint64_t fwi_rng_u64(uint64_t seed, fwi_purpose purpose, uint32_t pass, uint64_t index)
{
    uint32_t words[4];
    fwi_rng_block(seed, purpose, pass, index, 0, words);
    return (uint64_t)words[1] << 32 | words[0];
}

uint32_t fwi_fnv1a(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s != 0; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

void fwi_normal4(const uint32_t words[4], double out[4])
{
    const double tau = 6.283185307179586476925286766559;
    for (int i = 0; i < 4; i += 2) {
        /* the half keeps the logarithm's argument away from 0: the largest radius is sqrt(-2 ln
         * 2^-33) = 6.76 */
        const double u = ((double)words[i] + 0.5) * (1.0 / 4294967296.0);
        const double angle = tau * ((double)words[i + 1] * (1.0 / 4294967296.0));
        const double radius = sqrt(-2.0 * log(u));
        out[i] = radius * cos(angle);
        out[i + 1] = radius * sin(angle);
    }
}
