// swish: x/(1 + exp(-beta*x))
// p0 = beta, 1 at the start, in (-inf, inf), learnable
// from: Ramachandran, Zoph, Le, Searching for activation functions, 2017
// C++17 for GCC and Clang, four types; no header needed.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 12 forward, 28 backward (f' and the learnable parameters).

#if defined(__GNUC__) || defined(__clang__)
#define EAFO_RESTRICT __restrict__
#else
#error "this source is written for GCC and Clang"
#endif

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

template <typename T>
void forward_chunk_float32(const T* xs, T* ys, index_t n, float p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float v2 = x * p0;
        const float v4 = __builtin_fabsf(v2);
        const float v6 = v4 * (-0.5f);
        const float v7 = eafo_exp(v6);
        const float v8 = v7 * v7;
        const float v9 = 1.0f + v8;
        const float v10 = 1.0f / v9;
        const bool v12 = 0.0f <= v2;
        const float v13 = v12 ? 1.0f : v7;
        const float v14 = x * v13;
        const float v15 = v13 * v14;
        const float v16 = v10 * v15;
        store(ys[i], v16);
    }
}

template <typename T>
void backward_chunk_float32(const T* EAFO_RESTRICT xs, const T* EAFO_RESTRICT gs, T* EAFO_RESTRICT ds, index_t n, double* EAFO_RESTRICT slot, float p0) {
    double s0 = 0.0;
#pragma omp simd reduction(+ : s0)
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float g = load(gs[i]);
        const float v2 = x * p0;
        const float v3 = -v2;
        const float v5 = __builtin_fabsf(v2);
        const float v7 = v5 * (-0.5f);
        const float v8 = eafo_exp(v7);
        const float v9 = v8 * v8;
        const float v10 = 1.0f + v9;
        const float v11 = 1.0f / v10;
        const bool v13 = 0.0f <= v3;
        const float v14 = v13 ? 1.0f : v8;
        const float v15 = v2 * v14;
        const float v16 = v14 * v15;
        const float v17 = v11 * v16;
        const bool v18 = 0.0f <= v2;
        const float v19 = v18 ? 1.0f : v8;
        const float v20 = v17 * v19;
        const float v21 = v19 * v20;
        const float v22 = v11 * v21;
        const float v23 = v9 * v11;
        const float v24 = v18 ? v11 : v23;
        const float v25 = v22 + v24;
        const float v26 = x * x;
        const float v27 = v14 * v26;
        const float v28 = v14 * v27;
        const float v29 = v11 * v28;
        const float v30 = v19 * v29;
        const float v31 = v19 * v30;
        const float v32 = v11 * v31;
        store(ds[i], g * v25);
        s0 += (double)g * (double)v32;
    }
    slot[0] = s0;
}

template <typename T>
void forward_chunk_float64(const T* xs, T* ys, index_t n, double p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const double v2 = x * p0;
        const double v4 = __builtin_fabs(v2);
        const double v6 = v4 * (-0.5);
        const double v7 = eafo_exp(v6);
        const double v8 = v7 * v7;
        const double v9 = 1.0 + v8;
        const double v10 = 1.0 / v9;
        const bool v12 = 0.0 <= v2;
        const double v13 = v12 ? 1.0 : v7;
        const double v14 = x * v13;
        const double v15 = v13 * v14;
        const double v16 = v10 * v15;
        store(ys[i], v16);
    }
}

template <typename T>
void backward_chunk_float64(const T* EAFO_RESTRICT xs, const T* EAFO_RESTRICT gs, T* EAFO_RESTRICT ds, index_t n, double* EAFO_RESTRICT slot, double p0) {
    double s0 = 0.0;
#pragma omp simd reduction(+ : s0)
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const double g = load(gs[i]);
        const double v2 = x * p0;
        const double v3 = -v2;
        const double v5 = __builtin_fabs(v2);
        const double v7 = v5 * (-0.5);
        const double v8 = eafo_exp(v7);
        const double v9 = v8 * v8;
        const double v10 = 1.0 + v9;
        const double v11 = 1.0 / v10;
        const bool v13 = 0.0 <= v3;
        const double v14 = v13 ? 1.0 : v8;
        const double v15 = v2 * v14;
        const double v16 = v14 * v15;
        const double v17 = v11 * v16;
        const bool v18 = 0.0 <= v2;
        const double v19 = v18 ? 1.0 : v8;
        const double v20 = v17 * v19;
        const double v21 = v19 * v20;
        const double v22 = v11 * v21;
        const double v23 = v9 * v11;
        const double v24 = v18 ? v11 : v23;
        const double v25 = v22 + v24;
        const double v26 = x * x;
        const double v27 = v14 * v26;
        const double v28 = v14 * v27;
        const double v29 = v11 * v28;
        const double v30 = v19 * v29;
        const double v31 = v19 * v30;
        const double v32 = v11 * v31;
        store(ds[i], g * v25);
        s0 += (double)g * (double)v32;
    }
    slot[0] = s0;
}

}  // namespace

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float32(const float* xs, float* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]), and totals[k] the sum of gs[i] times the derivative by the k-th learnable parameter; slots is memory
// for 1 double(s) a chunk, used where there are more than 64 chunks.
extern "C" void eafo_backward_float32(const float* xs, const float* gs, float* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
    double few[64];
    if (chunks <= 64) slots = few;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots + 1 * c, (float)p0);
    }
    for (int k = 0; k < 1; ++k) {
        double total = 0.0;
        for (index_t c = 0; c < chunks; ++c) total += slots[1 * c + k];
        totals[k] = (float)total;
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]), and totals[k] the sum of gs[i] times the derivative by the k-th learnable parameter; slots is memory
// for 1 double(s) a chunk, used where there are more than 64 chunks.
extern "C" void eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
    double few[64];
    if (chunks <= 64) slots = few;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots + 1 * c, (float)p0);
    }
    for (int k = 0; k < 1; ++k) {
        double total = 0.0;
        for (index_t c = 0; c < chunks; ++c) total += slots[1 * c + k];
        totals[k] = (float)total;
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]), and totals[k] the sum of gs[i] times the derivative by the k-th learnable parameter; slots is memory
// for 1 double(s) a chunk, used where there are more than 64 chunks.
extern "C" void eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
    double few[64];
    if (chunks <= 64) slots = few;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots + 1 * c, (float)p0);
    }
    for (int k = 0; k < 1; ++k) {
        double total = 0.0;
        for (index_t c = 0; c < chunks; ++c) total += slots[1 * c + k];
        totals[k] = (float)total;
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float64(const double* xs, double* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float64(xs + start, ys + start, count, (double)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]), and totals[k] the sum of gs[i] times the derivative by the k-th learnable parameter; slots is memory
// for 1 double(s) a chunk, used where there are more than 64 chunks.
extern "C" void eafo_backward_float64(const double* xs, const double* gs, double* ds, double* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
    double few[64];
    if (chunks <= 64) slots = few;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float64(xs + start, gs + start, ds + start, count, slots + 1 * c, (double)p0);
    }
    for (int k = 0; k < 1; ++k) {
        double total = 0.0;
        for (index_t c = 0; c < chunks; ++c) total += slots[1 * c + k];
        totals[k] = (double)total;
    }
}
