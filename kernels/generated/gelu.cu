// gelu: x*(erf(sqrt(2)*x/2) + 1)/2
// from: Hendrycks, Gimpel, Gaussian error linear units, 2016
// CUDA C++ for NVRTC or nvcc; no header needed. fast: half precisions by the processor's approximations of 2^x and 1/x, float32 in float32.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 35 forward, 11 backward (f' and the learnable parameters).

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

// a/b for b between 2^-60 and 2^60, where the approximate reciprocal needs no scaling: rounded as a division nearly always.
__device__ __forceinline__ double over(double a, double b) { return a / b; }
__device__ __forceinline__ float over(float a, float b) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(b));
    const float q = a * r;
    return fmaf(fmaf(-b, q, a), r, q);
}

// exp(x^2) erfc(x) = q(s)/(1 + cx) for 0 <= x <= 13.4 with s = (x - 9/4)/(x + 9/4) and c = 2/sqrt(pi) in float: q, fitted to
// the least relative error, is within 2^-26. Beyond, the exponential that it is multiplied by is 0.
__device__ __forceinline__ float eafo_erfcx(float x) {
    const float t = x > 13.4f ? 13.4f : x, one = 1.128379225730896f * t + 1.0f, over_both = over(1.0f, (t + 2.25f) * one);
    const float s = (t - 2.25f) * one * over_both;
    float q = 8.838652138365433e-05f;
    q = q * s + 0.00020608946215361357f;
    q = q * s - 0.0004880942578893155f;
    q = q * s - 0.0015338597586378455f;
    q = q * s + 0.0033602993935346603f;
    q = q * s + 0.007927591912448406f;
    q = q * s - 0.0374506451189518f;
    q = q * s + 0.047454431653022766f;
    q = q * s + 0.03502030298113823f;
    q = q * s - 0.23574011027812958f;
    q = q * s + 0.8177838921546936f;
    return q * ((t + 2.25f) * over_both);
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
// As above, by a shorter polynomial: within 2^-14.
__device__ __forceinline__ float quick_erfcx(float x) {
    const float t = fminf(x, 13.4f), one = 1.128379225730896f * t + 1.0f, both = quick_reciprocal((t + 2.25f) * one);
    const float s = 1.0f - 4.5f * (one * both);
    float q = 0.0036516105756163597f;
    q = q * s - 0.03488394618034363f;
    q = q * s + 0.04976639524102211f;
    q = q * s + 0.034425560384988785f;
    q = q * s - 0.2360137552022934f;
    q = q * s + 0.8178085088729858f;
    return q * ((t + 2.25f) * both);
}

// f and its derivatives, with the values of its parameters.
struct float32_compensated {
    typedef float real;
    static const int SUMS = 0;
    __device__ __forceinline__ real value(real x) const {
        const float v2 = x * 0.5f;
        const float v4 = x * (-0.7071067690849304f);
        const float v5 = x * x;
        const float v6 = eafo_product_error(x, x, v5);
        const float v8 = v5 * (-0.5f);
        const float v9 = v6 * (-0.5f);
        const float v10 = eafo_decay_head(v8, v9);
        const float v11 = eafo_decay_tail(v10, v8);
        const float v12 = fabsf(v4);
        const float v13 = eafo_erfcx(v12);
        const float v14 = v2 * v10;
        const float v15 = v13 * v14;
        const float v16 = v11 * v15;
        const float v17 = v2 + v2;
        const float v18 = v17 - v16;
        const bool v20 = v4 < 0.0f;
        const float v21 = v20 ? v18 : v16;
        return v21;
    }
    __device__ __forceinline__ real slope(real x, real* by_parameter) const {
        const float v2 = x * (-0.7071067690849304f);
        const float v3 = x * x;
        const float v4 = eafo_product_error(x, x, v3);
        const float v6 = v3 * (-0.5f);
        const float v7 = v4 * (-0.5f);
        const float v8 = eafo_decay_head(v6, v7);
        const float v9 = eafo_decay_tail(v8, v6);
        const float v10 = fabsf(v2);
        const float v11 = eafo_erfcx(v10);
        const float v12 = v8 * v11;
        const float v13 = v9 * v12;
        const float v15 = 2.0f - v13;
        const bool v17 = v2 < 0.0f;
        const float v18 = v17 ? v15 : v13;
        const float v20 = v18 * 0.5f;
        const float v21 = x * v8;
        const float v23 = v21 * 0.3989422917366028f;
        const float v24 = v9 * v23;
        const float v25 = v20 + v24;
        return v25;
    }
};

// f and its derivatives, with the values of its parameters.
struct float32_fused {
    typedef float real;
    static const int SUMS = 0;
    __device__ __forceinline__ real value(real x) const {
        const float v2 = x * 0.5f;
        const float v4 = x * (-0.7071067690849304f);
        const float v5 = x * x;
        const float v7 = v5 * (-0.5f);
        const float v8 = quick_decay_head(v7);
        const float v9 = quick_decay_tail(v8, v7);
        const float v10 = fabsf(v4);
        const float v11 = quick_erfcx(v10);
        const float v12 = v2 * v8;
        const float v13 = v11 * v12;
        const float v14 = v9 * v13;
        const float v15 = v2 + v2;
        const float v16 = v15 - v14;
        const bool v18 = v4 < 0.0f;
        const float v19 = v18 ? v16 : v14;
        return v19;
    }
    __device__ __forceinline__ real slope(real x, real* by_parameter) const {
        const float v2 = x * (-0.7071067690849304f);
        const float v3 = x * x;
        const float v5 = v3 * (-0.5f);
        const float v6 = quick_decay_head(v5);
        const float v7 = quick_decay_tail(v6, v5);
        const float v8 = fabsf(v2);
        const float v9 = quick_erfcx(v8);
        const float v10 = v6 * v9;
        const float v11 = v7 * v10;
        const float v13 = 2.0f - v11;
        const bool v15 = v2 < 0.0f;
        const float v16 = v15 ? v13 : v11;
        const float v18 = v16 * 0.5f;
        const float v19 = x * v6;
        const float v21 = v19 * 0.3989422917366028f;
        const float v22 = v7 * v21;
        const float v23 = v18 + v22;
        return v23;
    }
};

// f and its derivatives, with the values of its parameters.
struct float64_fused {
    typedef double real;
    static const int SUMS = 0;
    __device__ __forceinline__ real value(real x) const {
        const double v2 = x * 0.5;
        const double v4 = x * (-0.7071067811865476);
        const double v5 = x * x;
        const double v7 = v5 * (-0.5);
        const double v8 = eafo_decay_head(v7);
        const double v9 = eafo_decay_tail(v8, v7);
        const double v11 = v4 * v4;
        const double v12 = 1.0 / v11;
        const double v14 = v12 * (-67303.564453125);
        const double v16 = v14 + 7918.06640625;
        const double v17 = v12 * v16;
        const double v19 = v17 + (-1055.7421875);
        const double v20 = v12 * v19;
        const double v22 = v20 + 162.421875;
        const double v23 = v12 * v22;
        const double v25 = v23 + (-29.53125);
        const double v26 = v12 * v25;
        const double v28 = v26 + 6.5625;
        const double v29 = v12 * v28;
        const double v31 = v29 + (-1.875);
        const double v32 = v12 * v31;
        const double v34 = v32 + 0.75;
        const double v35 = v12 * v34;
        const double v36 = (-0.5) + v35;
        const double v37 = v12 * v36;
        const double v38 = 1.0 + v37;
        const double v40 = v4 * 1.772453850905516;
        const double v41 = v38 / v40;
        const double v42 = v2 * v8;
        const double v43 = v41 * v42;
        const double v44 = v9 * v43;
        const double v45 = erfc(v4);
        const double v46 = v2 * v45;
        const bool v48 = 16.0 < v4;
        const double v49 = v48 ? v44 : v46;
        return v49;
    }
    __device__ __forceinline__ real slope(real x, real* by_parameter) const {
        const double v2 = x * (-0.7071067811865476);
        const double v3 = erfc(v2);
        const double v5 = v3 * 0.5;
        const double v6 = x * x;
        const double v8 = v6 * (-0.5);
        const double v9 = eafo_decay_head(v8);
        const double v10 = eafo_decay_tail(v9, v8);
        const double v11 = x * v9;
        const double v13 = v11 * 0.3989422804014327;
        const double v14 = v10 * v13;
        const double v15 = v5 + v14;
        return v15;
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

extern "C" __global__ void __launch_bounds__(128) eafo_forward_float32(const float* xs, float* ys, index_t n) {
    const float32_compensated f = {};
    forward_span(f, xs, ys, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_backward_float32(const float* xs, const float* gs, float* ds, index_t n) {
    const float32_compensated f = {};
    float sums[float32_compensated::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n) {
    const float32_fused f = {};
    forward_span(f, xs, ys, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, index_t n) {
    const float32_fused f = {};
    float sums[float32_fused::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n) {
    const float32_fused f = {};
    forward_span(f, xs, ys, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, index_t n) {
    const float32_fused f = {};
    float sums[float32_fused::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_forward_float64(const double* xs, double* ys, index_t n) {
    const float64_fused f = {};
    forward_span(f, xs, ys, n, grid_walk());
}

extern "C" __global__ void __launch_bounds__(128) eafo_backward_float64(const double* xs, const double* gs, double* ds, index_t n) {
    const float64_fused f = {};
    double sums[float64_fused::SUMS + 1] = {};
    backward_span(f, xs, gs, ds, sums, n, grid_walk());
}
