/* dropout_body.h: each element is kept with probability 1 - p and then divided by it, else 0
 * ("inverted" dropout, so that evaluation needs nothing). Which ones is a function of (seed, step,
 * ordinal, element): word e % 4 of the Philox block of e / 4, kept where the word as a number in
 * [0, 1) is at least p. The gradient is the same op on dy. y may be x's memory. */

/* x rng[2] (seed, step) -> y; attr p, ordinal */
fw_status FWI_NAME(dropout)(const fwi_call *call)
{
    const fwi_dropout_attr *a = &call->attr->dropout;
    const FWI_REAL *x = call->in[0].data;
    const int64_t *rng = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    const uint64_t seed = (uint64_t)rng[0], step = (uint64_t)rng[1];
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        fwi_rng_block(seed, FWI_RNG_DROPOUT, (uint32_t)a->ordinal, step << 32 | (uint64_t)(i / 4),
                      0, words);
        for (int64_t j = 0; j < 4 && i + j < n; j++)
            y[i + j] = fwi_unit(words[j]) >= a->p ? (FWI_REAL)((double)x[i + j] / (1.0 - a->p)) : 0;
    }
    return FW_OK;
}
