// srelu: where(x <= -t, 0, where(x < t, x*(sin(pi*x/(2*t)) + 1)/2, x))
// p0 = t, 2.21 at the start, in (0, inf), fixed
// from: Long, SReLU: sinusoidal rectified linear unit, 2024
// C++17 for GCC and Clang, four types; no header needed. fast: float32 within 8 ULP of the largest term, half precisions within 1.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 11 forward, 19 backward (f' and the learnable parameters).

#if !defined(__GNUC__) && !defined(__clang__)
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

// sin(x) for |x| <= pi/2, by Taylor's series in double (the rest is below 2^-59 of the result) and in float by a polynomial
// fitted to the least relative error: 2^-26.
inline double eafo_sin_near(double x) {
    const double q = x * x;
    double p = 1.0 / 51090942171709440000.0;
    p = p * q - 1.0 / 121645100408832000.0;
    p = p * q + 1.0 / 355687428096000.0;
    p = p * q - 1.0 / 1307674368000.0;
    p = p * q + 1.0 / 6227020800.0;
    p = p * q - 1.0 / 39916800.0;
    p = p * q + 1.0 / 362880.0;
    p = p * q - 1.0 / 5040.0;
    p = p * q + 1.0 / 120.0;
    p = p * q - 1.0 / 6.0;
    return x + x * q * p;
}
inline float eafo_sin_near(float x) {
    const float q = x * x;
    float p = 2.6057505237986334e-06f;
    p = p * q - 0.0001980959059437737f;
    p = p * q + 0.00833306647837162f;
    p = p * q - 0.16666659712791443f;
    return x + x * q * p;
}


// Elements whose parameter gradients are summed in the type that computes, before the sum goes on in double.
const index_t BLOCK = 1024;

template <typename T>
void forward_block_float32_fused(const T* xs, T* ys, index_t n, float p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const bool v2 = x < p0;
        const float v3 = x + p0;
        const float v5 = v3 * 0.7853981852531433f;
        const float v7 = 1.0f / p0;
        const float v8 = v5 * v7;
        const float v9 = eafo_sin_near(v8);
        const float v10 = v9 * v9;
        const float v11 = x * v10;
        const float v12 = v2 ? v11 : x;
        const float v13 = -x;
        const bool v14 = p0 <= v13;
        const float v16 = v14 ? 0.0f : v12;
        store(ys[i], v16);
    }
}

template <typename T>
void backward_block_float32_fused(const T* xs, const T* gs, T* ds, index_t n, double* sums, float p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = load(xs[i]);
        const float g = load(gs[i]);
        const bool v3 = x < p0;
        const float v4 = x + p0;
        const float v6 = v4 * 0.7853981852531433f;
        const float v7 = 1.0f / p0;
        const float v8 = v6 * v7;
        const float v9 = eafo_sin_near(v8);
        const float v10 = v9 * v9;
        const float v11 = x - p0;
        const float v13 = v11 * (-0.7853981852531433f);
        const float v14 = v7 * v13;
        const float v15 = eafo_sin_near(v14);
        const float v17 = x * 1.5707963705062866f;
        const float v18 = v15 * v17;
        const float v19 = v9 * v18;
        const float v20 = v7 * v19;
        const float v21 = v10 + v20;
        const float v22 = v3 ? v21 : 1.0f;
        const float v23 = -x;
        const bool v24 = p0 <= v23;
        const float v26 = v24 ? 0.0f : v22;
        store(ds[i], g * v26);
    }
}

template <typename T>
void backward_chunk_float32_fused(const T* xs, const T* gs, T* ds, index_t n, double* slot, float p0) {
    backward_block_float32_fused(xs, gs, ds, n, slot, p0);
}

template <typename T>
void forward_block_float64_fused(const T* xs, T* ys, index_t n, double p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const bool v2 = x < p0;
        const double v3 = x + p0;
        const double v5 = v3 * 0.7853981633974483;
        const double v7 = 1.0 / p0;
        const double v8 = v5 * v7;
        const double v9 = eafo_sin_near(v8);
        const double v10 = v9 * v9;
        const double v11 = x * v10;
        const double v12 = v2 ? v11 : x;
        const double v13 = -x;
        const bool v14 = p0 <= v13;
        const double v16 = v14 ? 0.0 : v12;
        store(ys[i], v16);
    }
}

template <typename T>
void backward_block_float64_fused(const T* xs, const T* gs, T* ds, index_t n, double* sums, double p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = load(xs[i]);
        const double g = load(gs[i]);
        const bool v3 = x < p0;
        const double v4 = x + p0;
        const double v6 = v4 * 0.7853981633974483;
        const double v7 = 1.0 / p0;
        const double v8 = v6 * v7;
        const double v9 = eafo_sin_near(v8);
        const double v10 = v9 * v9;
        const double v11 = x - p0;
        const double v13 = v11 * (-0.7853981633974483);
        const double v14 = v7 * v13;
        const double v15 = eafo_sin_near(v14);
        const double v17 = x * 1.5707963267948966;
        const double v18 = v15 * v17;
        const double v19 = v9 * v18;
        const double v20 = v7 * v19;
        const double v21 = v10 + v20;
        const double v22 = v3 ? v21 : 1.0;
        const double v23 = -x;
        const bool v24 = p0 <= v23;
        const double v26 = v24 ? 0.0 : v22;
        store(ds[i], g * v26);
    }
}

template <typename T>
void backward_chunk_float64_fused(const T* xs, const T* gs, T* ds, index_t n, double* slot, double p0) {
    backward_block_float64_fused(xs, gs, ds, n, slot, p0);
}

}  // namespace

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float32(const float* xs, float* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float32_fused(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float32(const float* xs, const float* gs, float* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32_fused(xs + start, gs + start, ds + start, count, slots, (float)p0);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float32_fused(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32_fused(xs + start, gs + start, ds + start, count, slots, (float)p0);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float32_fused(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32_fused(xs + start, gs + start, ds + start, count, slots, (float)p0);
    }
}

// ys[i] = f(xs[i]) for i < n; ys may be xs.
extern "C" void eafo_forward_float64(const double* xs, double* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_block_float64_fused(xs + start, ys + start, count, (double)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float64(const double* xs, const double* gs, double* ds, double* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float64_fused(xs + start, gs + start, ds + start, count, slots, (double)p0);
    }
}
