/* emulate_hopper.h: stands for the instructions of cuda_tma.h and cuda_wgmma.h under emulation. Written
 * from the PTX ISA's text and tables, not from the kernels: a copy that is described wrongly, a descriptor
 * with a wrong offset or swizzle, a barrier waited for in the wrong phase give wrong numbers here, or a
 * launch that fails with a sentence.
 *
 * What is asynchronous on a GPU is as late as it may be. A copy lands only when no thread can go on, in an
 * order that is not the one of issue. A product reads shared memory and changes its sums only when a
 * thread waits for its group. So a missing wait is seen as noise, and a place that is given back too early
 * as the numbers of the next part. */
#ifndef T_EMULATE_HOPPER_H
#define T_EMULATE_HOPPER_H

#include <stdint.h>

namespace emulated
{
void make_barrier(uint32_t barrier, int count);
void expect(uint32_t barrier, uint32_t n_bytes);
void arrive(uint32_t barrier);
void wait_phase(uint32_t barrier, uint32_t parity);

/* Packing, with the driver's checks. */
fw_status encode_map(fwi_tensor_map *out, const fwi_map_spec *s);
/* places: innermost axis first; offsets: im2col mode's, or NULL */
void copy(uint32_t to, const fwi_tensor_map *map, uint32_t barrier, int rank, const int *places,
          const int *offsets);

void products_fence();
void products_add(float *d, int n, uint64_t a, uint64_t b, bool mn_major, bool bf16, bool keep);
void products_commit();
void products_wait(int left);
} // namespace emulated

namespace fwi_cuda
{

static inline uint32_t shared_address(const void *p)
{
    return (uint32_t)((const unsigned char *)p - emulated::room()) + emulated::ROOM_AT;
}

static inline void barrier_init(uint32_t barrier, int count)
{
    emulated::make_barrier(barrier, count);
}
static inline void barriers_made()
{
}
static inline void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    emulated::expect(barrier, bytes);
    emulated::arrive(barrier);
}
static inline void barrier_arrive(uint32_t barrier)
{
    emulated::arrive(barrier);
}
static inline void barrier_wait(uint32_t barrier, uint32_t parity)
{
    emulated::wait_phase(barrier, parity);
}

static inline void copy_part_2d(uint32_t to, const fwi_tensor_map *map, uint32_t barrier, int c0,
                                int c1)
{
    const int at[] = {c0, c1};
    emulated::copy(to, map, barrier, 2, at, nullptr);
}
static inline void copy_part_3d(uint32_t to, const fwi_tensor_map *map, uint32_t barrier, int c0,
                                int c1, int c2)
{
    const int at[] = {c0, c1, c2};
    emulated::copy(to, map, barrier, 3, at, nullptr);
}
static inline void copy_pixels(uint32_t to, const fwi_tensor_map *map, uint32_t barrier, int c,
                               int w, int h, int n, int dw, int dh)
{
    const int at[] = {c, w, h, n}, offsets[] = {dw, dh};
    emulated::copy(to, map, barrier, 4, at, offsets);
}

static inline void wgmma_fence()
{
    emulated::products_fence();
}
static inline void wgmma_commit()
{
    emulated::products_commit();
}
template <int LEFT> static inline void wgmma_wait()
{
    emulated::products_wait(LEFT);
}
template <int N> static inline void wgmma_settle(float (&d)[N])
{
    (void)d;
}

template <class T, int N, bool MN_MAJOR> struct wgmma {
    static inline void add(float (&d)[N / 2], uint64_t a, uint64_t b, int keep_sums)
    {
        static_assert(N % 8 == 0 && N >= 8 && N <= 256, "shapes that there are");
        emulated::products_add(d, N, a, b, MN_MAJOR, storage<T>::dtype == FW_BF16, keep_sums != 0);
    }
};

} // namespace fwi_cuda

#endif
