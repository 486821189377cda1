// Enough of CUDA for a host compiler: the blocks of a launch run one after the other, the threads of a block as fibres that
// wait for each other at __syncthreads and in warps at a shuffle. It checks arithmetic, indices, geometry, slots, tickets and
// the order of sums; it knows nothing of memory's order or of time.
#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __constant__ static
#define __launch_bounds__(n)

struct dim3_t { unsigned x; };
static dim3_t blockIdx, threadIdx, blockDim, gridDim;

namespace shim {
const unsigned MOST = 1024, WARP = 32, STACK = 65536;
struct barrier_t { unsigned arrived, alive, turn; };
static ucontext_t scheduler, fibres[MOST];
static bool done[MOST];
static char* stacks = nullptr;
static barrier_t block, warps[MOST / WARP];
static double exchange[MOST];
static void (*body)(void*);
static void* argument;

static inline void yield() {
    const unsigned me = threadIdx.x;
    swapcontext(&fibres[me], &scheduler);
    threadIdx.x = me;
}
static inline void open(barrier_t& b) {
    b.arrived = 0;
    ++b.turn;
}
static inline void wait(barrier_t& b) {
    const unsigned turn = b.turn;
    if (++b.arrived == b.alive) open(b);
    while (b.turn == turn) yield();
}
// A thread that has returned keeps nobody waiting.
static inline void leave(barrier_t& b) {
    --b.alive;
    if (b.alive && b.arrived == b.alive) open(b);
}
static void run() {
    body(argument);
    const unsigned me = threadIdx.x;
    done[me] = true;
    leave(block);
    leave(warps[me / WARP]);
    swapcontext(&fibres[me], &scheduler);
}

template <typename K>
void launch(unsigned blocks, unsigned threads, K kernel) {
    if (!stacks) stacks = (char*)malloc((size_t)MOST * STACK);
    body = [](void* k) { (*(K*)k)(); };
    argument = &kernel;
    blockDim.x = threads;
    gridDim.x = blocks;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        block = {0, threads, 0};
        for (unsigned w = 0; w * WARP < threads; ++w) warps[w] = {0, threads - w * WARP < WARP ? threads - w * WARP : WARP, 0};
        for (unsigned t = 0; t < threads; ++t) {
            getcontext(&fibres[t]);
            fibres[t].uc_stack.ss_sp = stacks + (size_t)t * STACK;
            fibres[t].uc_stack.ss_size = STACK;
            fibres[t].uc_link = nullptr;
            makecontext(&fibres[t], run, 0);
            done[t] = false;
        }
        for (bool left = true; left;) {
            left = false;
            for (unsigned t = 0; t < threads; ++t)
                if (!done[t]) {
                    threadIdx.x = t;
                    swapcontext(&scheduler, &fibres[t]);
                    left = true;
                }
        }
    }
}
}  // namespace shim

static inline void __syncthreads() { shim::wait(shim::block); }
static inline void __threadfence() {}
template <typename T> static inline T __shfl_down_sync(unsigned, T v, int offset) {
    const unsigned me = threadIdx.x;
    shim::exchange[me] = (double)v;
    shim::wait(shim::warps[me / shim::WARP]);
    const T found = me % shim::WARP + offset < shim::WARP ? (T)shim::exchange[me + offset] : v;
    shim::wait(shim::warps[me / shim::WARP]);
    return found;
}
static inline unsigned atomicAdd(unsigned* to, unsigned v) {
    const unsigned before = *to;
    *to += v;
    return before;
}
static inline float __uint_as_float(unsigned b) { float r; memcpy(&r, &b, 4); return r; }
static inline unsigned __float_as_uint(float f) { unsigned r; memcpy(&r, &f, 4); return r; }
static inline float __int_as_float(int b) { float r; memcpy(&r, &b, 4); return r; }
static inline int __float_as_int(float f) { int r; memcpy(&r, &f, 4); return r; }
static inline double __longlong_as_double(long long b) { double r; memcpy(&r, &b, 8); return r; }
static inline long long __double_as_longlong(double d) { long long r; memcpy(&r, &d, 8); return r; }

// The instructions that the source writes in PTX.
static inline float ptx_flushed(float v) { return fabsf(v) < 0x1p-126f ? copysignf(0.0f, v) : v; }
// The processor's approximations err by up to 2^-22.5 and 2^-23; here always by that much, up or down.
static inline double ptx_wrong(double v, float a, double by) { return v * (__float_as_uint(a) * 2654435761u >> 31 ? 1 + by : 1 - by); }
static inline float ptx_ex2_approx_ftz_f32(float a) { return ptx_flushed((float)ptx_wrong(exp2(ptx_flushed(a)), a, 0x1.6ap-23)); }
static inline float ptx_ex2_approx_f32(float a) { return (float)ptx_wrong(exp2(a), a, 0x1.6ap-23); }
static inline float ptx_rcp_approx_ftz_f32(float a) { return ptx_flushed((float)ptx_wrong(1.0 / ptx_flushed(a), a, 0x1p-24)); }
static inline float ptx_div_full_f32(float a, float b) { return (float)ptx_wrong((double)a / b, b, 0x1p-23); }
static inline float ptx_max_NaN_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline float ptx_min_NaN_f32(float a, float b) { return a < b || a != a ? a : b; }
#ifdef __F16C__
static inline float ptx_cvt_f32_f16(unsigned short a) { return _cvtsh_ss(a); }
static inline unsigned short ptx_cvt_rn_f16_f32(float a) { return _cvtss_sh(a, 0); }
#else
static inline float ptx_cvt_f32_f16(unsigned short) { return NAN; }
static inline unsigned short ptx_cvt_rn_f16_f32(float) { return 0x7e00; }
#endif
