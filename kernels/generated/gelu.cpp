// gelu: x*(erf(sqrt(2)*x/2) + 1)/2
// from: Hendrycks, Gimpel, Gaussian error linear units, 2016
// C++17 for GCC and Clang, four types; no header needed. fast: float32 within 8 ULP of the largest term, half precisions within 1.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 35 forward, 11 backward (f' and the learnable parameters).

#if !defined(__GNUC__) && !defined(__clang__)
#error "this source is written for GCC and Clang"
#endif

// With -DEAFO_LIBMVEC the compiler may call glibc's vector forms of these, to be linked with -lmvec.
#ifdef EAFO_LIBMVEC
#define EAFO_SIMD __attribute__((simd("notinbranch"), const))
#else
#define EAFO_SIMD
#endif
extern "C" {
EAFO_SIMD double erfc(double) noexcept;
EAFO_SIMD float erfcf(float) noexcept;
}

namespace {

typedef long long index_t;

// Elements a chunk: parameter gradients are summed chunk by chunk, whatever the number of threads.
const index_t CHUNK = 16384;

// How values are stored, beside float and double: as 16 bits, computed in float and rounded once, to the nearest and
// ties to even. All of it is selects, so that a loop is vectorised whether or not the processor knows the type.
struct bfloat16_t { unsigned short bits; };
struct float16_t { unsigned short bits; };
inline float as_float(unsigned bits) { float r; __builtin_memcpy(&r, &bits, 4); return r; }
inline unsigned as_bits(float v) { unsigned r; __builtin_memcpy(&r, &v, 4); return r; }

inline float load(bfloat16_t v) { return as_float((unsigned)v.bits << 16); }
// A carry out of the fraction is right too. NaN would carry, and so is set apart.
inline void store(bfloat16_t& to, float v) {
    const unsigned bits = as_bits(v), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    to.bits = (unsigned short)(v != v ? 0x7fc0u : rounded);
}

// Exponents move by 127 - 15 = 112, those of infinity and NaN twice; a subnormal number is so many times 2^-24.
inline float load(float16_t v) {
    const unsigned sign = (unsigned)(v.bits & 0x8000u) << 16, size = v.bits & 0x7fffu;
    const unsigned moved = (size << 13) + (112u << 23) + (size >= 0x7c00u ? 112u << 23 : 0u);
    const unsigned small = as_bits((float)(int)size * 0x1p-24f);
    return as_float(sign | (size < 0x400u ? small : moved));
}
// Below 2^-14 the sum with 1/2 rounds to a multiple of 2^-24; from 65520 the carry gives infinity.
inline void store(float16_t& to, float v) {
    const unsigned bits = as_bits(v), size = bits & 0x7fffffffu;
    const unsigned small = as_bits(as_float(size) + 0.5f) - 0x3f000000u;
    const unsigned normal = (size - (112u << 23) + 0xfffu + ((size >> 13) & 1u)) >> 13;
    const unsigned large = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
    to.bits = (unsigned short)((bits >> 16 & 0x8000u) | (size >= (143u << 23) ? large : (size < (113u << 23) ? small : normal)));
}
inline float load(float v) { return v; }
inline void store(float& to, float v) { to = v; }
inline void store(float& to, double v) { to = (float)v; }
inline double load(double v) { return v; }
inline void store(double& to, double v) { to = v; }

// A NaN in either argument is the result, as in torch.
inline float eafo_max(float a, float b) { return a > b || a != a ? a : b; }
inline double eafo_max(double a, double b) { return a > b || a != a ? a : b; }
inline float eafo_min(float a, float b) { return a < b || a != a ? a : b; }
inline double eafo_min(double a, double b) { return a < b || a != a ? a : b; }
// ab + c rounded once, and what rounding took from p = ab and from s = a + b.
inline float eafo_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double eafo_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float eafo_product_error(float a, float b, float p) { return __builtin_fmaf(a, b, -p); }
inline float eafo_sum_error(float a, float b, float s) {
    const float c = s - a;
    return (a - (s - c)) + (b - c);
}

inline double bits_to_double(long long b) { double r; __builtin_memcpy(&r, &b, 8); return r; }
inline long long double_to_bits(double d) { long long r; __builtin_memcpy(&r, &d, 8); return r; }
inline float bits_to_float(int b) { float r; __builtin_memcpy(&r, &b, 4); return r; }
inline int float_to_bits(float d) { int r; __builtin_memcpy(&r, &d, 4); return r; }

// Adding and taking away 1.5 * 2^52 (2^23) rounds to an integer, which the low bits of the sum hold.
const double ROUND64 = 0x1.8p52;
const float ROUND32 = 0x1.8p23f;
inline double power_of_two(double k) { return bits_to_double((double_to_bits(k + ROUND64) + 1023) << 52); }
inline float power_of_two(float k) { return bits_to_float((int)((unsigned)(float_to_bits(k + ROUND32) + 127) << 23)); }

// (e^r - 1)/r for |r| <= log(2)/2 by Taylor's series: the rest is below 2^-57 (2^-27) of the result.
inline double expm1_over(double r) {
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
inline float expm1_over(float r) {
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
inline double above_least(double x) { return x < -1418.2 ? -1418.2 : x; }
inline double within_range(double x) {
    x = above_least(x);
    return x > 1417.0 ? 1417.0 : x;
}
inline long long exp_steps(double x) { return double_to_bits(x * 0x1.71547652b82fep+0 + ROUND64) - (double_to_bits(ROUND64) - 2046); }
inline double exp_head(double x, double low = 0.0) {
    const double k = (x * 0x1.71547652b82fep+0 + ROUND64) - ROUND64;
    const double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33 + low;
    return (expm1_over(r) * r + 1.0) * bits_to_double((exp_steps(x) >> 1) << 52);
}
inline double exp_tail(double x) { return bits_to_double((exp_steps(x) - (exp_steps(x) >> 1)) << 52); }
inline double eafo_exp_head(double x) { return exp_head(within_range(x)); }
inline double eafo_exp_head(double x, double low) { return exp_head(within_range(x), x < -1418.2 || x > 1417.0 ? 0.0 : low); }
inline double eafo_exp_tail(double, double x) { return exp_tail(within_range(x)); }
inline double eafo_exp(double x) { return exp_head(within_range(x)) * exp_tail(within_range(x)); }
// For x <= 0.
inline double eafo_decay_head(double x) { return exp_head(above_least(x)); }
inline double eafo_decay_head(double x, double low) { return exp_head(above_least(x), x < -1418.2 ? 0.0 : low); }
inline double eafo_decay_tail(double, double x) { return exp_tail(above_least(x)); }
inline double eafo_decay(double x) { return exp_head(above_least(x)) * exp_tail(above_least(x)); }
inline float above_least(float x) { return x < -176.0f ? -176.0f : x; }
inline float within_range(float x) {
    x = above_least(x);
    return x > 176.0f ? 176.0f : x;
}
inline int exp_steps(float x) { return float_to_bits(x * 0x1.715476p+0f + ROUND32) - (float_to_bits(ROUND32) - 254); }
inline float exp_head(float x, float low = 0.0f) {
    const float k = (x * 0x1.715476p+0f + ROUND32) - ROUND32;
    const float r = (x - k * 0x1.62e400p-1f) - k * 0x1.7f7d1cp-20f + low;
    return (expm1_over(r) * r + 1.0f) * bits_to_float((exp_steps(x) >> 1) << 23);
}
inline float exp_tail(float x) { return bits_to_float((exp_steps(x) - (exp_steps(x) >> 1)) << 23); }
inline float eafo_exp_head(float x) { return exp_head(within_range(x)); }
inline float eafo_exp_head(float x, float low) { return exp_head(within_range(x), x < -176.0f || x > 176.0f ? 0.0f : low); }
inline float eafo_exp_tail(float, float x) { return exp_tail(within_range(x)); }
inline float eafo_exp(float x) { return exp_head(within_range(x)) * exp_tail(within_range(x)); }
// For x <= 0.
inline float eafo_decay_head(float x) { return exp_head(above_least(x)); }
inline float eafo_decay_head(float x, float low) { return exp_head(above_least(x), x < -176.0f ? 0.0f : low); }
inline float eafo_decay_tail(float, float x) { return exp_tail(above_least(x)); }
inline float eafo_decay(float x) { return exp_head(above_least(x)) * exp_tail(above_least(x)); }

// exp(x^2) erfc(x) = q(s)/(1 + cx) for 0 <= x <= 13.4 with s = (x - 9/4)/(x + 9/4) and c = 2/sqrt(pi) in float: q, fitted to
// the least relative error, is within 2^-26. Beyond, the exponential that it is multiplied by is 0.
inline float eafo_erfcx(float x) {
    const float t = x > 13.4f ? 13.4f : x, one = 1.128379225730896f * t + 1.0f, over_both = 1.0f / ((t + 2.25f) * one);
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


// Elements whose parameter gradients are summed in the type that computes, before the sum goes on in double.
const index_t BLOCK = 1024;

template <typename T>
void forward_block_float32_compensated(const T* xs, T* ys, index_t n) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float v2 = x * 0.5f;
        const float v4 = x * (-0.7071067690849304f);
        const float v5 = x * x;
        const float v6 = eafo_product_error(x, x, v5);
        const float v8 = v5 * (-0.5f);
        const float v9 = v6 * (-0.5f);
        const float v10 = eafo_decay_head(v8, v9);
        const float v11 = eafo_decay_tail(v10, v8);
        const float v12 = __builtin_fabsf(v4);
        const float v13 = eafo_erfcx(v12);
        const float v14 = v2 * v10;
        const float v15 = v13 * v14;
        const float v16 = v11 * v15;
        const float v17 = v2 + v2;
        const float v18 = v17 - v16;
        const bool v20 = v4 < 0.0f;
        const float v21 = v20 ? v18 : v16;
        store(ys[i], v21);
    }
}

template <typename T>
void backward_block_float32_compensated(const T* xs, const T* gs, T* ds, index_t n, double* sums) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float g = load(gs[i]);
        const float v2 = x * (-0.7071067690849304f);
        const float v3 = x * x;
        const float v4 = eafo_product_error(x, x, v3);
        const float v6 = v3 * (-0.5f);
        const float v7 = v4 * (-0.5f);
        const float v8 = eafo_decay_head(v6, v7);
        const float v9 = eafo_decay_tail(v8, v6);
        const float v10 = __builtin_fabsf(v2);
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
        store(ds[i], g * v25);
    }
}

template <typename T>
void backward_chunk_float32_compensated(const T* xs, const T* gs, T* ds, index_t n, double* slot) {
    backward_block_float32_compensated(xs, gs, ds, n, slot);
}

template <typename T>
void forward_block_float32_fused(const T* xs, T* ys, index_t n) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float v2 = x * 0.5f;
        const float v4 = x * (-0.7071067690849304f);
        const float v5 = x * x;
        const float v7 = v5 * (-0.5f);
        const float v8 = eafo_decay_head(v7);
        const float v9 = eafo_decay_tail(v8, v7);
        const float v10 = __builtin_fabsf(v4);
        const float v11 = eafo_erfcx(v10);
        const float v12 = v2 * v8;
        const float v13 = v11 * v12;
        const float v14 = v9 * v13;
        const float v15 = v2 + v2;
        const float v16 = v15 - v14;
        const bool v18 = v4 < 0.0f;
        const float v19 = v18 ? v16 : v14;
        store(ys[i], v19);
    }
}

template <typename T>
void backward_block_float32_fused(const T* xs, const T* gs, T* ds, index_t n, double* sums) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float g = load(gs[i]);
        const float v2 = x * (-0.7071067690849304f);
        const float v3 = x * x;
        const float v5 = v3 * (-0.5f);
        const float v6 = eafo_decay_head(v5);
        const float v7 = eafo_decay_tail(v6, v5);
        const float v8 = __builtin_fabsf(v2);
        const float v9 = eafo_erfcx(v8);
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
        store(ds[i], g * v23);
    }
}

template <typename T>
void backward_chunk_float32_fused(const T* xs, const T* gs, T* ds, index_t n, double* slot) {
    backward_block_float32_fused(xs, gs, ds, n, slot);
}

template <typename T>
void forward_block_float64_fused(const T* xs, T* ys, index_t n) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
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
        store(ys[i], v49);
    }
}

template <typename T>
void backward_block_float64_fused(const T* xs, const T* gs, T* ds, index_t n, double* sums) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const double g = load(gs[i]);
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
        store(ds[i], g * v15);
    }
}

template <typename T>
void backward_chunk_float64_fused(const T* xs, const T* gs, T* ds, index_t n, double* slot) {
    backward_block_float64_fused(xs, gs, ds, n, slot);
}

}  // namespace

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float32(const float* xs, float* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float32_compensated(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float32(const float* xs, const float* gs, float* ds, float* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32_compensated(xs + start, gs + start, ds + start, count, slots);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float32_fused(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, float* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32_fused(xs + start, gs + start, ds + start, count, slots);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float32_fused(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, float* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32_fused(xs + start, gs + start, ds + start, count, slots);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float64(const double* xs, double* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float64_fused(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float64(const double* xs, const double* gs, double* ds, double* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float64_fused(xs + start, gs + start, ds + start, count, slots);
    }
}
