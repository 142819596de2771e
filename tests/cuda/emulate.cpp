/* emulate.cpp: see emulate.h. One stack per thread of a block; the scheduler is a loop that lets
 * each thread that waits for nothing run on. Stacks are made once and kept to the program's end. */
extern "C" {
#include "exec.h"
}
#include "emulate.h"

#include <stdlib.h>
#include <string.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define T_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define T_ASAN 1
#endif
#endif
#if defined(T_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulated
{

indices now;
dim3 grid, block_dim;

enum { MAX_THREADS = 1024, WARP = 32, STACK_BYTES = 192 * 1024 };
/* A thread's stack begins so many bytes lower than its neighbour's: at one address modulo the size of a page all of
 * them would share a few lines of the cache, and each change of stacks would go to memory. */
enum { SHIFT_BYTES = 512, SHIFTS = 128 };
enum state { RUNS, AT_BLOCK, AT_WARP, AT_CONDITION, ENDED };

/* Where a coroutine stands. ucontext asks the kernel at each change, which is most of the time that
 * a test takes; where we can we change stacks ourselves. */
#if defined(__x86_64__)
typedef void *place; /* the stack pointer; the registers that a call preserves are on the stack */
extern "C" void t_emulate_change(place *from, place to);
asm(".text\n.globl t_emulate_change\n.type t_emulate_change, @function\nt_emulate_change:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size t_emulate_change, .-t_emulate_change\n"
    ".section .note.GNU-stack,\"\",@progbits\n.text\n");
static void change(place *from, const place *to)
{
    t_emulate_change(from, *to);
}
static void begin_at(place *p, char *stack, size_t n_bytes, void (*fn)())
{
    void **top = (void **)(stack + n_bytes / 16 * 16);
    *--top = NULL; /* fn finds the stack as behind a call */
    *--top = (void *)fn;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    *p = top;
}
#else
typedef ucontext_t place;
static void change(place *from, const place *to)
{
    swapcontext(from, to);
}
static void begin_at(place *p, char *stack, size_t n_bytes, void (*fn)())
{
    getcontext(p);
    p->uc_stack.ss_sp = stack;
    p->uc_stack.ss_size = n_bytes;
    p->uc_link = NULL;
    makecontext(p, fn, 0);
}
#endif

struct coroutine {
    place context;
    char *stack;
    state at;
    dim3 index;
    uint32_t word; /* what it gives at an exchange */
    bool (*reached)(const void *arg); /* what it waits for */
    const void *waits_for;
    void *fake_stack;
};
static coroutine thread_of[MAX_THREADS];
static place scheduler;
#if defined(T_ASAN)
static void *scheduler_fake;
static const void *scheduler_bottom;
static size_t scheduler_size;
#endif
static int running;
static uint32_t words[2][MAX_THREADS];
static int phase_of[MAX_THREADS]; /* exchanges a thread has been through, by turns */
static thread_fn body;
static const void *body_arg;

static void to_scheduler(bool ends)
{
    coroutine *t = &thread_of[running];
#if defined(T_ASAN)
    __sanitizer_start_switch_fiber(ends ? NULL : &t->fake_stack, scheduler_bottom, scheduler_size);
#endif
    (void)ends;
    change(&t->context, &scheduler);
#if defined(T_ASAN)
    __sanitizer_finish_switch_fiber(t->fake_stack, NULL, NULL);
#endif
}

static void entry()
{
#if defined(T_ASAN)
    __sanitizer_finish_switch_fiber(NULL, &scheduler_bottom, &scheduler_size);
#endif
    body(body_arg);
    thread_of[running].at = ENDED;
    to_scheduler(true);
}

static void resume(int i)
{
    coroutine *t = &thread_of[i];
    running = i;
    now.thread = t->index;
    t->at = RUNS;
#if defined(T_ASAN)
    __sanitizer_start_switch_fiber(&scheduler_fake, t->stack, STACK_BYTES);
#endif
    change(&scheduler, &t->context);
#if defined(T_ASAN)
    __sanitizer_finish_switch_fiber(scheduler_fake, NULL, NULL);
#endif
}

void block_barrier()
{
    thread_of[running].at = AT_BLOCK;
    to_scheduler(false);
}

uint32_t warp_exchange(uint32_t mine, int from_lane)
{
    const int me = running;
    uint32_t *const room = words[phase_of[me] & 1];
    phase_of[me]++;
    room[me] = mine;
    thread_of[me].at = AT_WARP;
    to_scheduler(false);
    return room[me / WARP * WARP + from_lane];
}

int thread_number()
{
    return running;
}

void wait_until(bool (*reached)(const void *arg), const void *arg)
{
    coroutine *t = &thread_of[running];
    if (reached(arg))
        return;
    t->reached = reached;
    t->waits_for = arg;
    t->at = AT_CONDITION;
    to_scheduler(false);
}

/* ---- room, and what a block may have beside its threads ---- */

const machinery *beside;
int room_bytes;
static const char *complaint; /* the first of this launch */
alignas(1024) static unsigned char rooms[1024 + ROOM_BYTES];

unsigned char *room()
{
    return rooms + ROOM_AT % 1024;
}

void wrong(const char *what)
{
    if (complaint == NULL)
        complaint = what;
}

static bool start(int i, dim3 index)
{
    coroutine *t = &thread_of[i];
    if (t->stack == NULL && (t->stack = (char *)malloc(STACK_BYTES)) == NULL)
        return false;
    begin_at(&t->context, t->stack, (size_t)(STACK_BYTES - i % SHIFTS * SHIFT_BYTES), entry);
    t->index = index;
    t->at = RUNS;
    phase_of[i] = 0;
    return true;
}

/* Those of [first, last) that wait at a barrier of this kind go on, if all that have not ended are
 * there. */
static bool release(int first, int last, state kind)
{
    int waiting = 0, ended = 0;
    for (int i = first; i < last; i++) {
        waiting += thread_of[i].at == kind;
        ended += thread_of[i].at == ENDED;
    }
    if (waiting == 0 || waiting + ended < last - first)
        return false;
    for (int i = first; i < last; i++)
        if (thread_of[i].at == kind)
            thread_of[i].at = RUNS;
    return true;
}

static bool run_block(const char *name, int n)
{
    int left = n;
    while (left > 0) {
        bool moved = false;
        for (int i = 0; i < n; i++)
            if (thread_of[i].at == RUNS) {
                resume(i);
                moved = true;
            }
        left = 0;
        for (int i = 0; i < n; i++)
            left += thread_of[i].at != ENDED;
        for (int i = 0; i < n; i += WARP)
            moved = release(i, i + WARP < n ? i + WARP : n, AT_WARP) || moved;
        moved = release(0, n, AT_BLOCK) || moved;
        for (int i = 0; i < n; i++)
            if (thread_of[i].at == AT_CONDITION && thread_of[i].reached(thread_of[i].waits_for)) {
                thread_of[i].at = RUNS;
                moved = true;
            }
        if (!moved && room_bytes > 0)
            moved = beside->move();
        if (left > 0 && !moved) {
            fwi_fail(FW_EINTERNAL, "%s: %s", name,
                     complaint != NULL ? complaint : "threads of a block wait at different barriers");
            return false;
        }
    }
    return true;
}

/* A block with what is beside its threads. */
static bool run_whole(const char *name, int n)
{
    if (room_bytes > 0) {
        memset(room(), 0xFF, ROOM_BYTES); /* of every type not a number */
        beside->begin();
    }
    if (!run_block(name, n))
        return false;
    if (room_bytes > 0)
        beside->end();
    if (complaint != NULL)
        fwi_fail(FW_EINTERNAL, "%s: %s", name, complaint);
    return complaint == NULL;
}

bool run(const char *name, dim3 g, dim3 b, bool together, thread_fn fn, const void *arg)
{
    const unsigned n = b.x * b.y * b.z;
    grid = g;
    block_dim = b;
    body = fn;
    body_arg = arg;
    complaint = NULL;
    if (room_bytes > ROOM_BYTES || (room_bytes > 0 && beside == NULL)) {
        fwi_fail(FW_EINTERNAL, "%s: %d bytes of shared memory", name, room_bytes);
        return false;
    }
    if (n == 0 || n > MAX_THREADS || g.x == 0 || g.y == 0 || g.z == 0 || g.y > 65535 ||
        g.z > 65535) {
        fwi_fail(FW_EINTERNAL, "%s: a grid of %u x %u x %u blocks of %u threads", name, g.x, g.y,
                 g.z, n);
        return false;
    }
    for (unsigned z = 0; z < g.z; z++)
        for (unsigned y = 0; y < g.y; y++)
            for (unsigned x = 0; x < g.x; x++) {
                now.block = dim3(x, y, z);
                for (unsigned i = 0; i < n; i++) {
                    const dim3 index(i % b.x, i / b.x % b.y, i / b.x / b.y);
                    if (!together) {
                        now.thread = index;
                        fn(arg);
                    } else if (!start((int)i, index))
                        return false;
                }
                if (together && !run_whole(name, (int)n))
                    return false;
            }
    return true;
}

} // namespace emulated
