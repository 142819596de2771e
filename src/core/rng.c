/* rng.c: Philox4x32-10, the library's only source of randomness; rng.h says how a draw is named.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A
 * round multiplies two of the four counter words by fixed odd numbers and mixes the upper halves
 * with the key; the key moves on by two Weyl constants (golden ratio, sqrt(3) - 1) per round. Ten
 * rounds pass BigCrush. */
#include "rng.h"

#include <assert.h>
#include <math.h>

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
