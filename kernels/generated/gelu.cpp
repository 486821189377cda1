// gelu: x*(erf(sqrt(2)*x/2) + 1)/2
// from: Hendrycks, Gimpel, Gaussian error linear units, 2016
// C++17 for GCC and Clang, four types; no header needed.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 34 forward, 10 backward (f' and the learnable parameters).

#if defined(__GNUC__) || defined(__clang__)
#define EAFO_RESTRICT __restrict__
#else
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
inline double load(double v) { return v; }
inline void store(double& to, double v) { to = v; }

// A NaN in either argument is the result, as in torch.
inline float eafo_max(float a, float b) { return a > b || a != a ? a : b; }
inline double eafo_max(double a, double b) { return a > b || a != a ? a : b; }
inline float eafo_min(float a, float b) { return a < b || a != a ? a : b; }
inline double eafo_min(double a, double b) { return a < b || a != a ? a : b; }

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
inline float expm1_over(float r) {
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    return p * r + 1.0f;
}

// e^x without a branch: x = k log(2) + r, the product k * (head of log(2)) is exact. The power of two is applied in
// two steps, so that a subnormal result is rounded once and a large one overflows to infinity.
inline double eafo_exp(double x) {
    x = x < -800.0 ? -800.0 : (x > 800.0 ? 800.0 : x);
    const double k = (x * 0x1.71547652b82fep+0 + ROUND64) - ROUND64;
    const double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
    const double half = (k * 0.5 + ROUND64) - ROUND64;
    const double p = expm1_over(r) * r + 1.0;
    return p * power_of_two(half) * power_of_two(k - half);
}
inline float eafo_exp(float x) {
    x = x < -120.0f ? -120.0f : (x > 120.0f ? 120.0f : x);
    const float k = (x * 0x1.715476p+0f + ROUND32) - ROUND32;
    const float r = (x - k * 0x1.62e400p-1f) - k * 0x1.7f7d1cp-20f;
    const float half = (k * 0.5f + ROUND32) - ROUND32;
    const float p = expm1_over(r) * r + 1.0f;
    return p * power_of_two(half) * power_of_two(k - half);
}

// exp(x^2) erfc(x) = q(s)/(1 + 2x) for 0 <= x <= 20 with s = (x - 3)/(x + 3): q, fitted at Chebyshev's points, is within
// 2^-24 of it. Beyond 20 the exponential that it is multiplied by is 0.
inline float eafo_erfcx(float x) {
    const float t = x > 20.0f ? 20.0f : x, one = 1.0f + 2.0f * t, over = 1.0f / ((t + 3.0f) * one);
    const float s = (t - 3.0f) * one * over;
    float q = 6.251846207305789e-05f;
    q = q * s - 0.000114868649689015f;
    q = q * s - 0.0007109255529940128f;
    q = q * s + 0.0019071787828579545f;
    q = q * s + 0.0024952671956270933f;
    q = q * s - 0.023779936134815216f;
    q = q * s + 0.06831607222557068f;
    q = q * s - 0.11927182972431183f;
    q = q * s + 0.12964433431625366f;
    q = q * s - 0.04756241291761398f;
    q = q * s - 0.1356210857629776f;
    q = q * s + 1.2530080080032349f;
    return q * ((t + 3.0f) * over);
}

template <typename T>
void forward_chunk_float32(const T* xs, T* ys, index_t n) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float v2 = x * 0.5f;
        const float v4 = x * (-0.7071067690849304f);
        const float v5 = x * x;
        const float v7 = v5 * (-0.25f);
        const float v8 = eafo_exp(v7);
        const float v9 = __builtin_fabsf(v4);
        const float v10 = eafo_erfcx(v9);
        const float v11 = v2 * v8;
        const float v12 = v10 * v11;
        const float v13 = v8 * v12;
        const float v14 = v2 + v2;
        const float v15 = v14 - v13;
        const bool v17 = v4 < 0.0f;
        const float v18 = v17 ? v15 : v13;
        store(ys[i], v18);
    }
}

template <typename T>
void backward_chunk_float32(const T* EAFO_RESTRICT xs, const T* EAFO_RESTRICT gs, T* EAFO_RESTRICT ds, index_t n, double* EAFO_RESTRICT slot) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float g = load(gs[i]);
        const float v2 = x * (-0.7071067690849304f);
        const float v3 = x * x;
        const float v5 = v3 * (-0.25f);
        const float v6 = eafo_exp(v5);
        const float v7 = __builtin_fabsf(v2);
        const float v8 = eafo_erfcx(v7);
        const float v9 = v6 * v8;
        const float v10 = v6 * v9;
        const float v12 = 2.0f - v10;
        const bool v14 = v2 < 0.0f;
        const float v15 = v14 ? v12 : v10;
        const float v17 = v15 * 0.5f;
        const float v18 = x * v6;
        const float v20 = v18 * 0.3989422917366028f;
        const float v21 = v6 * v20;
        const float v22 = v17 + v21;
        store(ds[i], g * v22);
    }
}

template <typename T>
void forward_chunk_float64(const T* xs, T* ys, index_t n) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const double v2 = x * 0.5;
        const double v4 = x * (-0.7071067811865476);
        const double v5 = x * x;
        const double v7 = v5 * (-0.25);
        const double v8 = eafo_exp(v7);
        const double v10 = v4 * v4;
        const double v11 = 1.0 / v10;
        const double v13 = v11 * (-67303.564453125);
        const double v15 = v13 + 7918.06640625;
        const double v16 = v11 * v15;
        const double v18 = v16 + (-1055.7421875);
        const double v19 = v11 * v18;
        const double v21 = v19 + 162.421875;
        const double v22 = v11 * v21;
        const double v24 = v22 + (-29.53125);
        const double v25 = v11 * v24;
        const double v27 = v25 + 6.5625;
        const double v28 = v11 * v27;
        const double v30 = v28 + (-1.875);
        const double v31 = v11 * v30;
        const double v33 = v31 + 0.75;
        const double v34 = v11 * v33;
        const double v36 = v34 + (-0.5);
        const double v37 = v11 * v36;
        const double v38 = 1.0 + v37;
        const double v40 = v4 * 1.772453850905516;
        const double v41 = v38 / v40;
        const double v42 = v2 * v8;
        const double v43 = v41 * v42;
        const double v44 = v8 * v43;
        const double v45 = erfc(v4);
        const double v46 = v2 * v45;
        const bool v48 = 16.0 < v4;
        const double v49 = v48 ? v44 : v46;
        store(ys[i], v49);
    }
}

template <typename T>
void backward_chunk_float64(const T* EAFO_RESTRICT xs, const T* EAFO_RESTRICT gs, T* EAFO_RESTRICT ds, index_t n, double* EAFO_RESTRICT slot) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const double g = load(gs[i]);
        const double v2 = x * (-0.7071067811865476);
        const double v3 = erfc(v2);
        const double v5 = v3 * 0.5;
        const double v6 = x * x;
        const double v8 = v6 * (-0.25);
        const double v9 = eafo_exp(v8);
        const double v10 = x * v9;
        const double v12 = v10 * 0.3989422804014327;
        const double v13 = v9 * v12;
        const double v14 = v5 + v13;
        store(ds[i], g * v14);
    }
}

}  // namespace

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float32(const float* xs, float* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float32(const float* xs, const float* gs, float* ds, float* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, float* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, float* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float64(const double* xs, double* ys, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float64(xs + start, ys + start, count);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float64(const double* xs, const double* gs, double* ds, double* totals, double* slots, index_t n, int threads) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float64(xs + start, gs + start, ds + start, count, slots);
    }
}
