// xielu: where(x > 0, alpha_p*x**2 + beta*x, alpha_n*(-x + exp(x) - 1) + beta*x)
// p0 = alpha_p, 0.8 at the start, in (0, inf), learnable
// p1 = alpha_n, 0.8 at the start, in (0, inf), learnable
// p2 = beta, 0.5 at the start, in (0, inf), fixed
// from: Huang, Schlag, Deriving activation functions using integration, 2024
// CUDA C++ for NVRTC or nvcc; no header needed. fast: half precisions by the processor's approximations of 2^x and 1/x, float32 in float32.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 10 forward, 12 backward (f' and the learnable parameters).

typedef long long index_t;
typedef unsigned long long address_t;

// Half precisions are stored as bits, and computed in float.
struct float16_t { unsigned short bits; };
struct bfloat16_t { unsigned short bits; };

__device__ __forceinline__ float load(float v) { return v; }
__device__ __forceinline__ double load(double v) { return v; }
__device__ __forceinline__ float load(float16_t v) {
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(v.bits));
    return r;
}
__device__ __forceinline__ float load(bfloat16_t v) { return __uint_as_float((unsigned)v.bits << 16); }

__device__ __forceinline__ void store(float& to, float v) { to = v; }
__device__ __forceinline__ void store(float& to, double v) { to = (float)v; }
__device__ __forceinline__ void store(double& to, double v) { to = v; }
__device__ __forceinline__ void store(float16_t& to, float v) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(v));
}
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ __forceinline__ void store(bfloat16_t& to, float v) {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(v));
}
#else
// To the nearest, ties to even: a carry out of the fraction is right too. NaN would carry, and so is set apart.
__device__ __forceinline__ void store(bfloat16_t& to, float v) {
    const unsigned bits = __float_as_uint(v), rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    to.bits = (unsigned short)(v != v ? 0x7fffu : rounded >> 16);
}
#endif

// A parameter is given as the bits of a number, or as where it lies and the type that it has there: one for all, or one a channel.
const int FLOAT32 = 1, FLOAT64 = 2, FLOAT16 = 3, BFLOAT16 = 4, BY_CHANNEL = 8;

template <typename R, int WIDTH, typename T>
__device__ __forceinline__ void copy_parameters(R (&v)[WIDTH], const T* from, index_t step) {
#pragma unroll
    for (int j = 0; j < WIDTH; ++j) v[j] = (R)load(from[j * step]);
}
// A parameter for adjacent channels.
template <typename R, int WIDTH>
__device__ __forceinline__ void read_parameters(R (&v)[WIDTH], address_t at, int type, index_t channel) {
    const double number = __longlong_as_double((index_t)at);
    const index_t step = type & BY_CHANNEL ? 1 : 0, first = step * channel;
    switch (type & ~BY_CHANNEL) {
        case FLOAT32: return copy_parameters(v, (const float*)at + first, step);
        case FLOAT64: return copy_parameters(v, (const double*)at + first, step);
        case FLOAT16: return copy_parameters(v, (const float16_t*)at + first, step);
        case BFLOAT16: return copy_parameters(v, (const bfloat16_t*)at + first, step);
        default: return copy_parameters(v, &number, 0);
    }
}
template <typename R>
__device__ __forceinline__ R read_parameter(address_t at, int type, index_t channel = 0) {
    R v[1];
    read_parameters(v, at, type, channel);
    return v[0];
}

// A sum goes where its parameter's gradient lies, in the type that this has there.
__device__ __forceinline__ void write_sum(address_t to, int type, index_t channel, double sum) {
    switch (type) {
        case FLOAT32: return store(((float*)to)[channel], sum);
        case FLOAT16: return store(((float16_t*)to)[channel], (float)sum);
        case BFLOAT16: return store(((bfloat16_t*)to)[channel], (float)sum);
        default: return store(((double*)to)[channel], sum);
    }
}
__device__ __forceinline__ void write_sum_of(int k, index_t channel, double sum, address_t sum0, int sum0_type, address_t sum1, int sum1_type) {
    if (k == 0) write_sum(sum0, sum0_type, channel, sum);
    if (k == 1) write_sum(sum1, sum1_type, channel, sum);
}

// Elements that are moved in one instruction: by default sixteen bytes of them.
template <typename T, int WIDTH = 16 / sizeof(T)> struct alignas(WIDTH * sizeof(T)) Pack { T v[WIDTH]; };

template <typename T, int WIDTH, typename R>
__device__ __forceinline__ void load_all(R (&v)[WIDTH], const Pack<T, WIDTH>& from) {
#pragma unroll
    for (int j = 0; j < WIDTH; ++j) v[j] = load(from.v[j]);
}
// The later of two in a word needs no shift.
__device__ __forceinline__ void load_all(float (&v)[8], const Pack<bfloat16_t>& from) {
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
        unsigned both;
        memcpy(&both, &from.v[j], 4);
        v[j] = __uint_as_float(both << 16);
        v[j + 1] = __uint_as_float(both & 0xffff0000u);
    }
}

template <typename T, int WIDTH, typename R>
__device__ __forceinline__ void store_all(Pack<T, WIDTH>& to, const R (&v)[WIDTH]) {
#pragma unroll
    for (int j = 0; j < WIDTH; ++j) store(to.v[j], v[j]);
}
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
// Two of them are rounded by one instruction.
__device__ __forceinline__ void store_all(Pack<bfloat16_t>& to, const float (&v)[8]) {
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
        unsigned both;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(v[j + 1]), "f"(v[j]));
        memcpy(&to.v[j], &both, 4);
    }
}
__device__ __forceinline__ void store_all(Pack<float16_t>& to, const float (&v)[8]) {
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
        unsigned both;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(v[j + 1]), "f"(v[j]));
        memcpy(&to.v[j], &both, 4);
    }
}
#endif

// A NaN in either argument is the result, as in torch.
__device__ __forceinline__ float eafo_max(float a, float b) { return a > b || a != a ? a : b; }
__device__ __forceinline__ double eafo_max(double a, double b) { return a > b || a != a ? a : b; }
__device__ __forceinline__ float eafo_min(float a, float b) { return a < b || a != a ? a : b; }
__device__ __forceinline__ double eafo_min(double a, double b) { return a < b || a != a ? a : b; }
// ab + c rounded once, and what rounding took from p = ab and from s = a + b.
__device__ __forceinline__ float eafo_fma(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double eafo_fma(double a, double b, double c) { return fma(a, b, c); }
__device__ __forceinline__ float eafo_product_error(float a, float b, float p) { return fmaf(a, b, -p); }
__device__ __forceinline__ float eafo_sum_error(float a, float b, float s) {
    const float c = s - a;
    return (a - (s - c)) + (b - c);
}

__device__ __forceinline__ double bits_to_double(long long b) { return __longlong_as_double(b); }
__device__ __forceinline__ long long double_to_bits(double d) { return __double_as_longlong(d); }
__device__ __forceinline__ float bits_to_float(int b) { return __int_as_float(b); }
__device__ __forceinline__ int float_to_bits(float d) { return __float_as_int(d); }

// Adding and taking away 1.5 * 2^52 (2^23) rounds to an integer, which the low bits of the sum hold.
const double ROUND64 = 0x1.8p52;
const float ROUND32 = 0x1.8p23f;
__device__ __forceinline__ double power_of_two(double k) { return bits_to_double((double_to_bits(k + ROUND64) + 1023) << 52); }
__device__ __forceinline__ float power_of_two(float k) { return bits_to_float((int)((unsigned)(float_to_bits(k + ROUND32) + 127) << 23)); }

// (e^r - 1)/r for |r| <= log(2)/2 by Taylor's series: the rest is below 2^-57 (2^-27) of the result.
__device__ __forceinline__ double expm1_over(double r) {
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return p * r + 1.0;
}
// In float a polynomial fitted to the least relative error of e^r: 2^-28.
__device__ __forceinline__ float expm1_over(float r) {
    float p = 0.0013814467238262296f;
    p = p * r + 0.008368780836462975f;
    p = p * r + 0.04166839271783829f;
    p = p * r + 0.1666651964187622f;
    p = p * r + 0.4999999403953552f;
    return p * r + 1.0f;
}

// e^x without a branch as head * tail: x = k log(2) + r, the product k * (head of log(2)) is exact, and each factor takes
// half of k. A product of either with a number that the type holds neither underflows nor overflows before its time, and
// a subnormal result is rounded once. Below the least k both exponents are 0, and so are the factors.
__device__ __forceinline__ double above_least(double x) { return x < -1418.2 ? -1418.2 : x; }
__device__ __forceinline__ double within_range(double x) {
    x = above_least(x);
    return x > 1417.0 ? 1417.0 : x;
}
__device__ __forceinline__ long long exp_steps(double x) { return double_to_bits(x * 0x1.71547652b82fep+0 + ROUND64) - (double_to_bits(ROUND64) - 2046); }
__device__ __forceinline__ double exp_head(double x, double low = 0.0) {
    const double k = (x * 0x1.71547652b82fep+0 + ROUND64) - ROUND64;
    const double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33 + low;
    return (expm1_over(r) * r + 1.0) * bits_to_double((exp_steps(x) >> 1) << 52);
}
__device__ __forceinline__ double exp_tail(double x) { return bits_to_double((exp_steps(x) - (exp_steps(x) >> 1)) << 52); }
__device__ __forceinline__ double eafo_exp_head(double x) { return exp_head(within_range(x)); }
__device__ __forceinline__ double eafo_exp_head(double x, double low) { return exp_head(within_range(x), x < -1418.2 || x > 1417.0 ? 0.0 : low); }
__device__ __forceinline__ double eafo_exp_tail(double, double x) { return exp_tail(within_range(x)); }
__device__ __forceinline__ double eafo_exp(double x) { return exp_head(within_range(x)) * exp_tail(within_range(x)); }
// For x <= 0.
__device__ __forceinline__ double eafo_decay_head(double x) { return exp_head(above_least(x)); }
__device__ __forceinline__ double eafo_decay_head(double x, double low) { return exp_head(above_least(x), x < -1418.2 ? 0.0 : low); }
__device__ __forceinline__ double eafo_decay_tail(double, double x) { return exp_tail(above_least(x)); }
__device__ __forceinline__ double eafo_decay(double x) { return exp_head(above_least(x)) * exp_tail(above_least(x)); }
__device__ __forceinline__ float above_least(float x) { return x < -176.0f ? -176.0f : x; }
__device__ __forceinline__ float within_range(float x) {
    x = above_least(x);
    return x > 176.0f ? 176.0f : x;
}
__device__ __forceinline__ int exp_steps(float x) { return float_to_bits(x * 0x1.715476p+0f + ROUND32) - (float_to_bits(ROUND32) - 254); }
__device__ __forceinline__ float exp_head(float x, float low = 0.0f) {
    const float k = (x * 0x1.715476p+0f + ROUND32) - ROUND32;
    const float r = (x - k * 0x1.62e400p-1f) - k * 0x1.7f7d1cp-20f + low;
    return (expm1_over(r) * r + 1.0f) * bits_to_float((exp_steps(x) >> 1) << 23);
}
__device__ __forceinline__ float exp_tail(float x) { return bits_to_float((exp_steps(x) - (exp_steps(x) >> 1)) << 23); }
__device__ __forceinline__ float eafo_exp_head(float x) { return exp_head(within_range(x)); }
__device__ __forceinline__ float eafo_exp_head(float x, float low) { return exp_head(within_range(x), x < -176.0f || x > 176.0f ? 0.0f : low); }
__device__ __forceinline__ float eafo_exp_tail(float, float x) { return exp_tail(within_range(x)); }
__device__ __forceinline__ float eafo_exp(float x) { return exp_head(within_range(x)) * exp_tail(within_range(x)); }
// For x <= 0.
__device__ __forceinline__ float eafo_decay_head(float x) { return exp_head(above_least(x)); }
__device__ __forceinline__ float eafo_decay_head(float x, float low) { return exp_head(above_least(x), x < -176.0f ? 0.0f : low); }
__device__ __forceinline__ float eafo_decay_tail(float, float x) { return exp_tail(above_least(x)); }
__device__ __forceinline__ float eafo_decay(float x) { return exp_head(above_least(x)) * exp_tail(above_least(x)); }

// e^x - 1 = 2 (2^(k-1) (e^r - 1) + (2^(k-1) - 1/2)): exact at k = 0, where x is small.
__device__ __forceinline__ double eafo_expm1(double x) {
    const double y = x < -60.0 ? -60.0 : (x > 710.0 ? 710.0 : x);
    const double k = (y * 0x1.71547652b82fep+0 + ROUND64) - ROUND64;
    const double r = (y - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
    const double t = power_of_two(k - 1.0);
    return 2.0 * (t * (expm1_over(r) * r) + (t - 0.5));
}
__device__ __forceinline__ float eafo_expm1(float x) {
    const float y = x < -30.0f ? -30.0f : (x > 89.0f ? 89.0f : x);
    const float k = (y * 0x1.715476p+0f + ROUND32) - ROUND32;
    const float r = (y - k * 0x1.62e400p-1f) - k * 0x1.7f7d1cp-20f;
    const float t = power_of_two(k - 1.0f);
    return 2.0f * (t * (expm1_over(r) * r) + (t - 0.5f));
}

// For half precisions: the processor's own approximations, within 2^-22 of the result.
__device__ __forceinline__ float quick_exp2(float x) {
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
__device__ __forceinline__ float quick_reciprocal(float x) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
__device__ __forceinline__ float quick_div(float a, float b) {
    float r;
    asm("div.full.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ __forceinline__ float quick_max(float a, float b) {
    float r;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float quick_min(float a, float b) {
    float r;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
#else
__device__ __forceinline__ float quick_max(float a, float b) { return eafo_max(a, b); }
__device__ __forceinline__ float quick_min(float a, float b) { return eafo_min(a, b); }
#endif

const float HALF_LOG2_E = 0x1.715476p-1f;
// Not flushed: it may be multiplied by a large number.
__device__ __forceinline__ float quick_exp(float x) {
    float r;
    asm("ex2.approx.f32 %0, %1;" : "=f"(r) : "f"(x * (2.0f * HALF_LOG2_E)));
    return r;
}
// Two factors of half the exponent each, alike.
__device__ __forceinline__ float quick_exp_head(float x) { return quick_exp2(quick_min(x * HALF_LOG2_E, 127.0f)); }
__device__ __forceinline__ float quick_decay_head(float x) { return quick_exp2(x * HALF_LOG2_E); }
__device__ __forceinline__ float quick_exp_tail(float head, float) { return head; }
__device__ __forceinline__ float quick_decay_tail(float head, float) { return head; }
__device__ __forceinline__ float quick_decay(float x) { return quick_exp(x); }
// a and 1/a, whose sum has a reciprocal that is not flushed to 0.
__device__ __forceinline__ float quick_gate(float x) { return quick_exp2(quick_min(quick_max(x * HALF_LOG2_E, -125.0f), 125.0f)); }
__device__ __forceinline__ float quick_cogate(float a, float) { return quick_reciprocal(a); }
__device__ __forceinline__ float quick_share(float a, float sum) { return a * quick_reciprocal(sum); }
__device__ __forceinline__ float quick_sigmoid(float x) {
    const float a = quick_gate(x);
    return quick_share(a, a + quick_reciprocal(a));
}

// f and its derivatives, with the values of its parameters.
struct float32_compensated {
    typedef float real;
    static const int SUMS = 2;
    real p0, p1, p2;
    __device__ __forceinline__ real value(real x) const {
        const float v4 = x * p2;
        const float v5 = eafo_expm1(x);
        const float v6 = v5 - x;
        const float v7 = p1 * v6;
        const float v8 = v4 + v7;
        const bool v10 = 0.0f < x;
        const float v11 = x * x;
        const float v12 = p0 * v11;
        const float v13 = v4 + v12;
        const float v14 = v10 ? v13 : v8;
        return v14;
    }
    __device__ __forceinline__ real slope(real x, real* by_parameter) const {
        const float v4 = eafo_expm1(x);
        const float v5 = p1 * v4;
        const float v6 = p2 + v5;
        const bool v8 = 0.0f < x;
        const float v10 = x * 2.0f;
        const float v11 = p0 * v10;
        const float v12 = p2 + v11;
        const float v13 = v8 ? v12 : v6;
        const float v14 = x * x;
        const float v15 = v8 ? v14 : 0.0f;
        const float v16 = v4 - x;
        const float v17 = v8 ? 0.0f : v16;
        by_parameter[0] = v15;
        by_parameter[1] = v17;
        return v13;
    }
};

// f and its derivatives, with the values of its parameters.
struct float32_fused {
    typedef float real;
    static const int SUMS = 2;
    real p0, p1, p2;
    __device__ __forceinline__ real value(real x) const {
        const float v4 = x * p2;
        const float v5 = eafo_expm1(x);
        const float v6 = v5 - x;
        const float v7 = p1 * v6;
        const float v8 = v4 + v7;
        const bool v10 = 0.0f < x;
        const float v11 = x * x;
        const float v12 = p0 * v11;
        const float v13 = v4 + v12;
        const float v14 = v10 ? v13 : v8;
        return v14;
    }
    __device__ __forceinline__ real slope(real x, real* by_parameter) const {
        const float v4 = eafo_expm1(x);
        const float v5 = p1 * v4;
        const float v6 = p2 + v5;
        const bool v8 = 0.0f < x;
        const float v10 = x * 2.0f;
        const float v11 = p0 * v10;
        const float v12 = p2 + v11;
        const float v13 = v8 ? v12 : v6;
        const float v14 = x * x;
        const float v15 = v8 ? v14 : 0.0f;
        const float v16 = v4 - x;
        const float v17 = v8 ? 0.0f : v16;
        by_parameter[0] = v15;
        by_parameter[1] = v17;
        return v13;
    }
};

// f and its derivatives, with the values of its parameters.
struct float64_fused {
    typedef double real;
    static const int SUMS = 2;
    real p0, p1, p2;
    __device__ __forceinline__ real value(real x) const {
        const double v4 = x * p2;
        const double v5 = eafo_expm1(x);
        const double v6 = v5 - x;
        const double v7 = p1 * v6;
        const double v8 = v4 + v7;
        const bool v10 = 0.0 < x;
        const double v11 = x * x;
        const double v12 = p0 * v11;
        const double v13 = v4 + v12;
        const double v14 = v10 ? v13 : v8;
        return v14;
    }
    __device__ __forceinline__ real slope(real x, real* by_parameter) const {
        const double v4 = eafo_expm1(x);
        const double v5 = p1 * v4;
        const double v6 = p2 + v5;
        const bool v8 = 0.0 < x;
        const double v10 = x * 2.0;
        const double v11 = p0 * v10;
        const double v12 = p2 + v11;
        const double v13 = v8 ? v12 : v6;
        const double v14 = x * x;
        const double v15 = v8 ? v14 : 0.0;
        const double v16 = v4 - x;
        const double v17 = v8 ? 0.0 : v16;
        by_parameter[0] = v15;
        by_parameter[1] = v17;
        return v13;
    }
};

// How n elements are cut: packs where all pointers are equally far from a multiple of sixteen bytes, and what stands
// before and after them one by one.
template <typename T>
struct Cut {
    static const int WIDTH = 16 / sizeof(T);
    index_t head, packs, rest;
    __device__ __forceinline__ Cut(index_t n, const void* a, const void* b, const void* c, const void* d, const void* e) {
        const address_t off = (address_t)a & 15, others = ((address_t)b ^ off) | ((address_t)c ^ off) | ((address_t)d ^ off) | ((address_t)e ^ off);
        head = ((16 - off) & 15) / sizeof(T);
        packs = (others & 15) == 0 && n > head ? (n - head) / WIDTH : 0;
        rest = n - packs * WIDTH;
    }
    // The place of the i-th of the rest.
    __device__ __forceinline__ index_t single(index_t i) const { return i < head ? i : i + packs * WIDTH; }
};

// So many packs a thread are on their way at once.
const int AHEAD = 2;

// The places of a thread: AHEAD of them a stride apart, then the same a step further.
struct Walk { index_t first, stride, step; };
// Over the whole grid, of which a block takes what lies together.
__device__ __forceinline__ Walk grid_walk() { return {(index_t)blockIdx.x * (AHEAD * blockDim.x) + threadIdx.x, blockDim.x, (index_t)gridDim.x * (AHEAD * blockDim.x)}; }

template <typename F, typename T>
__device__ __forceinline__ void forward_span(const F f, const T* __restrict__ xs, T* __restrict__ ys, index_t n, const Walk& walk) {
    typedef typename F::real R;
    const int WIDTH = Cut<T>::WIDTH;
    const Cut<T> cut(n, xs, ys, xs, xs, xs);
    const Pack<T>* x_packs = (const Pack<T>*)(xs + cut.head);
    Pack<T>* y_packs = (Pack<T>*)(ys + cut.head);
    for (index_t i = walk.first; i < cut.packs; i += walk.step) {
        Pack<T> x[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; ++a)
            if (i + a * walk.stride < cut.packs) {
                x[a] = x_packs[i + a * walk.stride];
            }
#pragma unroll
        for (int a = 0; a < AHEAD; ++a)
            if (i + a * walk.stride < cut.packs) {
                R in[WIDTH], y[WIDTH];
                load_all(in, x[a]);
#pragma unroll
                for (int j = 0; j < WIDTH; ++j) y[j] = f.value(in[j]);
                Pack<T> out;
                store_all(out, y);
                y_packs[i + a * walk.stride] = out;
            }
    }
    for (index_t i = walk.first; i < cut.rest; i += walk.step)
        for (int a = 0; a < AHEAD; ++a)
            if (i + a * walk.stride < cut.rest) {
                const index_t place = cut.single(i + a * walk.stride);
                store(ys[place], f.value(load(xs[place])));
            }
}

// What one element gives.
template <typename F>
__device__ __forceinline__ typename F::real backward_one(const F& f, typename F::real x, typename F::real g, typename F::real* sums) {
    typename F::real by_parameter[F::SUMS + 1];
    const typename F::real slope = f.slope(x, by_parameter);
#pragma unroll
    for (int k = 0; k < F::SUMS; ++k) sums[k] += g * by_parameter[k];
    return g * slope;
}

// The gradient of x; what each parameter's gradient has from these elements is added to sums.
template <typename F, typename T>
__device__ __forceinline__ void backward_span(const F f, const T* __restrict__ xs, const T* __restrict__ gs, T* __restrict__ ds, typename F::real* sums, index_t n, const Walk& walk) {
    typedef typename F::real R;
    const int WIDTH = Cut<T>::WIDTH;
    const Cut<T> cut(n, xs, gs, ds, xs, xs);
    const Pack<T>*x_packs = (const Pack<T>*)(xs + cut.head), *g_packs = (const Pack<T>*)(gs + cut.head);
    Pack<T>* d_packs = (Pack<T>*)(ds + cut.head);
    for (index_t i = walk.first; i < cut.packs; i += walk.step) {
        Pack<T> x[AHEAD], h[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; ++a)
            if (i + a * walk.stride < cut.packs) {
                x[a] = x_packs[i + a * walk.stride];
                h[a] = g_packs[i + a * walk.stride];
            }
#pragma unroll
        for (int a = 0; a < AHEAD; ++a)
            if (i + a * walk.stride < cut.packs) {
                R in[WIDTH], g[WIDTH], d[WIDTH];
                load_all(in, x[a]);
                load_all(g, h[a]);
#pragma unroll
                for (int j = 0; j < WIDTH; ++j) d[j] = backward_one(f, in[j], g[j], sums);
                Pack<T> out;
                store_all(out, d);
                d_packs[i + a * walk.stride] = out;
            }
    }
    for (index_t i = walk.first; i < cut.rest; i += walk.step)
        for (int a = 0; a < AHEAD; ++a)
            if (i + a * walk.stride < cut.rest) {
                const index_t place = cut.single(i + a * walk.stride);
                store(ds[place], backward_one(f, load(xs[place]), load(gs[place]), sums));
            }
}

// The sum over the block, in thread 0, in an order that never changes.
__device__ __forceinline__ double block_sum(double v) {
    __shared__ double warps[32];
    for (int offset = 16; offset > 0; offset >>= 1) v += __shfl_down_sync(0xffffffffu, v, offset);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) warps[threadIdx.x >> 5] = v;
    __syncthreads();
    double total = 0.0;
    if (threadIdx.x == 0)
        for (unsigned w = 0; w < (blockDim.x + 31) / 32; ++w) total += warps[w];
    return total;
}

// What others wrote, from one place to another, in its order; sixteen loads are on their way at once.
__device__ __forceinline__ double ordered_sum(const volatile double* from, index_t first, index_t step, index_t end) {
    double sum = 0.0;
    for (index_t i = first; i < end; i += 16 * step) {
        double v[16];
#pragma unroll
        for (int k = 0; k < 16; ++k) v[k] = i + k * step < end ? from[i + k * step] : 0.0;
#pragma unroll
        for (int k = 0; k < 16; ++k) sum += v[k];
    }
    return sum;
}

// Whether this block is the last of so many to arrive: it then sees what the others wrote before. No float is added
// atomically, so the bits are the same in every run. The last one leaves the counter at 0; a block alone needs none.
__device__ __forceinline__ bool is_last(unsigned* ticket, unsigned blocks) {
    __shared__ bool last;
    if (blocks == 1) {
        __syncthreads();
        return true;
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(ticket, 1u) == blocks - 1;
        if (last) *ticket = 0u;
    }
    __syncthreads();
    __threadfence();
    return last;
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_float32(const float* xs, float* ys, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type) {
    const float32_compensated f = {read_parameter<float>(p0, p0_type, 0), read_parameter<float>(p1, p1_type, 0), read_parameter<float>(p2, p2_type, 0)};
    forward_span(f, xs, ys, n, grid_walk());
}

// slots holds a number a block and learnable parameter; the last block adds them up in their order.
extern "C" __global__ void __launch_bounds__(128) eafo_backward_float32(const float* xs, const float* gs, float* ds, double* slots, unsigned* tickets, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type, address_t sum0, int sum0_type, address_t sum1, int sum1_type) {
    const float32_compensated f = {read_parameter<float>(p0, p0_type, 0), read_parameter<float>(p1, p1_type, 0), read_parameter<float>(p2, p2_type, 0)};
    float sums[float32_compensated::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(sums[k]);
        if (threadIdx.x == 0) slots[(index_t)k * gridDim.x + blockIdx.x] = sum;
    }
    if (!is_last(tickets, gridDim.x)) return;
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(ordered_sum(slots + (index_t)k * gridDim.x, threadIdx.x, blockDim.x, gridDim.x));
        if (threadIdx.x == 0) write_sum_of(k, 0, sum, sum0, sum0_type, sum1, sum1_type);
    }
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type) {
    const float32_fused f = {read_parameter<float>(p0, p0_type, 0), read_parameter<float>(p1, p1_type, 0), read_parameter<float>(p2, p2_type, 0)};
    forward_span(f, xs, ys, n, grid_walk());
}

// slots holds a number a block and learnable parameter; the last block adds them up in their order.
extern "C" __global__ void __launch_bounds__(128) eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, double* slots, unsigned* tickets, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type, address_t sum0, int sum0_type, address_t sum1, int sum1_type) {
    const float32_fused f = {read_parameter<float>(p0, p0_type, 0), read_parameter<float>(p1, p1_type, 0), read_parameter<float>(p2, p2_type, 0)};
    float sums[float32_fused::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(sums[k]);
        if (threadIdx.x == 0) slots[(index_t)k * gridDim.x + blockIdx.x] = sum;
    }
    if (!is_last(tickets, gridDim.x)) return;
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(ordered_sum(slots + (index_t)k * gridDim.x, threadIdx.x, blockDim.x, gridDim.x));
        if (threadIdx.x == 0) write_sum_of(k, 0, sum, sum0, sum0_type, sum1, sum1_type);
    }
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type) {
    const float32_fused f = {read_parameter<float>(p0, p0_type, 0), read_parameter<float>(p1, p1_type, 0), read_parameter<float>(p2, p2_type, 0)};
    forward_span(f, xs, ys, n, grid_walk());
}

// slots holds a number a block and learnable parameter; the last block adds them up in their order.
extern "C" __global__ void __launch_bounds__(128) eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, double* slots, unsigned* tickets, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type, address_t sum0, int sum0_type, address_t sum1, int sum1_type) {
    const float32_fused f = {read_parameter<float>(p0, p0_type, 0), read_parameter<float>(p1, p1_type, 0), read_parameter<float>(p2, p2_type, 0)};
    float sums[float32_fused::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(sums[k]);
        if (threadIdx.x == 0) slots[(index_t)k * gridDim.x + blockIdx.x] = sum;
    }
    if (!is_last(tickets, gridDim.x)) return;
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(ordered_sum(slots + (index_t)k * gridDim.x, threadIdx.x, blockDim.x, gridDim.x));
        if (threadIdx.x == 0) write_sum_of(k, 0, sum, sum0, sum0_type, sum1, sum1_type);
    }
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_float64(const double* xs, double* ys, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type) {
    const float64_fused f = {read_parameter<double>(p0, p0_type, 0), read_parameter<double>(p1, p1_type, 0), read_parameter<double>(p2, p2_type, 0)};
    forward_span(f, xs, ys, n, grid_walk());
}

// slots holds a number a block and learnable parameter; the last block adds them up in their order.
extern "C" __global__ void __launch_bounds__(128) eafo_backward_float64(const double* xs, const double* gs, double* ds, double* slots, unsigned* tickets, index_t n, address_t p0, int p0_type, address_t p1, int p1_type, address_t p2, int p2_type, address_t sum0, int sum0_type, address_t sum1, int sum1_type) {
    const float64_fused f = {read_parameter<double>(p0, p0_type, 0), read_parameter<double>(p1, p1_type, 0), read_parameter<double>(p2, p2_type, 0)};
    double sums[float64_fused::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(sums[k]);
        if (threadIdx.x == 0) slots[(index_t)k * gridDim.x + blockIdx.x] = sum;
    }
    if (!is_last(tickets, gridDim.x)) return;
    for (int k = 0; k < 2; ++k) {
        const double sum = block_sum(ordered_sum(slots + (index_t)k * gridDim.x, threadIdx.x, blockDim.x, gridDim.x));
        if (threadIdx.x == 0) write_sum_of(k, 0, sum, sum0, sum0_type, sum1, sum1_type);
    }
}
