// Enough of CUDA for a host compiler to run one-thread blocks, one after the other. It checks arithmetic, indices,
// slots and tickets; it knows nothing of warps, memory or time.
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(n)
#define asm(...) do { } while (0)

struct dim3_t { unsigned x; };
static dim3_t blockIdx, threadIdx, blockDim, gridDim;
static inline void __syncthreads() {}
static inline void __threadfence() {}
template <typename T> static inline T __shfl_down_sync(unsigned, T, int) { return T(0); }
static inline unsigned atomicAdd(unsigned* to, unsigned v) { unsigned before = *to; *to += v; return before; }
static inline float __uint_as_float(unsigned b) { float r; __builtin_memcpy(&r, &b, 4); return r; }
static inline unsigned __float_as_uint(float f) { unsigned r; __builtin_memcpy(&r, &f, 4); return r; }
static inline double __longlong_as_double(long long b) { double r; __builtin_memcpy(&r, &b, 8); return r; }
extern "C" {
float expf(float); double exp(double); float sinf(float); double sin(double); float cosf(float); double cos(double);
float fabsf(float); double fabs(double); float erff(float); double erf(double); float erfcf(float); double erfc(double);
float log1pf(float); double log1p(double); float tanhf(float); double tanh(double); float expm1f(float); double expm1(double);
}

// CUDA's own function; the host's library has none. Far out the first term of its series is exact enough.
inline double erfcx(double x) { return x < 20 ? exp(x * x) * erfc(x) : 1 / (x * 1.7724538509055159); }
inline float erfcxf(float x) { return (float)erfcx((double)x); }
