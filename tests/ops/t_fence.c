/* t_fence.c: see t_fence.h. */
#include "t_ops.h"

#include "t_fence.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD = 64 }; /* in front; a multiple of the largest boundary */
static const unsigned char guard_byte = 0xA5;

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* In whole pages: the guard, and up to 63 bytes of alignment. */
static size_t room_for(size_t bytes)
{
    return (GUARD + bytes + 63 + page_bytes() - 1) / page_bytes() * page_bytes();
}

t_fenced t_fenced_new(size_t bytes, size_t align)
{
    const size_t page = page_bytes(), room = room_for(bytes);
    assert_true(align < 64);
    unsigned char *const block =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block != MAP_FAILED);
    assert_int_equal(mprotect(block + room, page, PROT_NONE), 0);
    t_fenced f = {.block = block, .bytes = bytes, .room = room};
    const uintptr_t last = (uintptr_t)(block + room - bytes);
    f.data = block + room - bytes - (last - align) % 64;
    memset(block, guard_byte, room);
    memset(f.data, 0xFF, bytes);
    return f;
}

bool t_fenced_intact(const t_fenced *f)
{
    for (const unsigned char *p = f->block; p < f->data; p++)
        if (*p != guard_byte)
            return false;
    for (const unsigned char *p = f->data + f->bytes; p < f->block + f->room; p++)
        if (*p != guard_byte)
            return false;
    return true;
}

t_fenced t_fenced_of(void *data, size_t bytes)
{
    unsigned char *const end = (unsigned char *)data + bytes;
    const size_t beyond = (uintptr_t)end % page_bytes(), room = room_for(bytes);
    unsigned char *const fence = beyond == 0 ? end : end + (page_bytes() - beyond);
    return (t_fenced){.block = fence - room, .data = data, .bytes = bytes, .room = room};
}

void t_fenced_free(t_fenced *f)
{
    if (f->block != NULL)
        assert_int_equal(munmap(f->block, f->room + page_bytes()), 0);
    *f = (t_fenced){0};
}
