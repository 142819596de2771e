/* claim.c: core's cpu.c for programs that carry the emulated kernels (immintrin.h): AVX-512 counts as
 * supported, so tests that go through all instruction sets find it and FENWICKS_ISA may name it. What
 * is taken when nobody names one stays the machine's own best. */
#define fwi_isa_supported fwi_isa_of_machine
#define fwi_isa_choose    fwi_isa_choose_of_machine
#include "../../src/core/cpu.c"
#undef fwi_isa_supported
#undef fwi_isa_choose

bool fwi_isa_supported(fwi_isa isa);
bool fwi_isa_supported(fwi_isa isa)
{
    return isa == FWI_ISA_AVX512 || isa == FWI_ISA_AVX512_BF16 || fwi_isa_of_machine(isa);
}

fw_status fwi_isa_choose(fwi_isa *out);
fw_status fwi_isa_choose(fwi_isa *out)
{
    const char *asked = getenv("FENWICKS_ISA");
    for (int i = FWI_ISA_AVX512; asked != NULL && i <= FWI_ISA_AVX512_BF16; i++)
        if (strcmp(asked, isa_names[i]) == 0) {
            *out = (fwi_isa)i;
            return FW_OK;
        }
    return fwi_isa_choose_of_machine(out);
}
