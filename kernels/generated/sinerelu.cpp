// sinerelu: where(x > 0, x, epsilon*(sin(x) - cos(x)))
// p0 = epsilon, 0.0025 at the start, in (0, inf), fixed
// from: Rodrigues, SineReLU: an alternative to the ReLU activation function, 2018 (0.0025 for convolutions, 0.025 for dense layers)
// C++17 for GCC and Clang, float32 and float64; no header needed.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 21 forward, 21 backward (f' and the learnable parameters).

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
EAFO_SIMD double cos(double) noexcept;
EAFO_SIMD float cosf(float) noexcept;
EAFO_SIMD double sin(double) noexcept;
EAFO_SIMD float sinf(float) noexcept;
}

namespace {

typedef long long index_t;

// Elements a chunk: parameter gradients are summed chunk by chunk, whatever the number of threads.
const index_t CHUNK = 16384;

// A NaN in either argument is the result, as in torch.
inline float eafo_max(float a, float b) { return a > b || a != a ? a : b; }
inline double eafo_max(double a, double b) { return a > b || a != a ? a : b; }
inline float eafo_min(float a, float b) { return a < b || a != a ? a : b; }
inline double eafo_min(double a, double b) { return a < b || a != a ? a : b; }

void forward_chunk_float32(const float* EAFO_RESTRICT xs, float* EAFO_RESTRICT ys, index_t n, float p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = xs[i];
        const float v4 = x + (-0.7853981852531433f);
        const float v5 = v4 - x;
        const float v6 = v4 - v5;
        const float v7 = x - v6;
        const float v8 = (-0.7853981852531433f) - v5;
        const float v9 = v7 + v8;
        const float v10 = 2.1855694143368964e-08f + v9;
        const float v12 = __builtin_fabsf(x);
        const bool v13 = 256.0f < v12;
        const float v14 = v13 ? x : v4;
        const float v16 = v13 ? (-0.7071067690849304f) : v10;
        const float v19 = v13 ? 0.7071067690849304f : 1.0f;
        const float v20 = sinf(v14);
        const float v21 = cosf(v14);
        const float v22 = v19 * v20;
        const float v23 = v16 * v21;
        const float v24 = v22 + v23;
        const float v26 = p0 * 1.4142135381698608f;
        const float v27 = v24 * v26;
        const bool v29 = 0.0f < x;
        const float v30 = v29 ? x : v27;
        ys[i] = v30;
    }
}

void backward_chunk_float32(const float* EAFO_RESTRICT xs, const float* EAFO_RESTRICT gs, float* EAFO_RESTRICT ds, index_t n, double* EAFO_RESTRICT slot, float p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const float x = xs[i];
        const float g = gs[i];
        const float v4 = x + (-0.7853981852531433f);
        const float v5 = v4 - x;
        const float v6 = v4 - v5;
        const float v7 = x - v6;
        const float v8 = (-0.7853981852531433f) - v5;
        const float v9 = v7 + v8;
        const float v10 = 2.1855694143368964e-08f + v9;
        const float v12 = __builtin_fabsf(x);
        const bool v13 = 256.0f < v12;
        const float v14 = v13 ? x : v4;
        const float v16 = v13 ? (-0.7071067690849304f) : v10;
        const float v19 = v13 ? 0.7071067690849304f : 1.0f;
        const float v20 = sinf(v14);
        const float v21 = cosf(v14);
        const float v22 = v19 * v21;
        const float v23 = v16 * v20;
        const float v24 = v22 - v23;
        const float v26 = p0 * 1.4142135381698608f;
        const float v27 = v24 * v26;
        const bool v29 = 0.0f < x;
        const float v30 = v29 ? 1.0f : v27;
        ds[i] = g * v30;
    }
}

void forward_chunk_float64(const double* EAFO_RESTRICT xs, double* EAFO_RESTRICT ys, index_t n, double p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = xs[i];
        const double v4 = x + (-0.7853981633974483);
        const double v5 = v4 - x;
        const double v6 = v4 - v5;
        const double v7 = x - v6;
        const double v8 = (-0.7853981633974483) - v5;
        const double v9 = v7 + v8;
        const double v10 = (-3.061616997868383e-17) + v9;
        const double v12 = __builtin_fabs(x);
        const bool v13 = 256.0 < v12;
        const double v14 = v13 ? x : v4;
        const double v16 = v13 ? (-0.7071067811865476) : v10;
        const double v19 = v13 ? 0.7071067811865476 : 1.0;
        const double v20 = sin(v14);
        const double v21 = cos(v14);
        const double v22 = v19 * v20;
        const double v23 = v16 * v21;
        const double v24 = v22 + v23;
        const double v26 = p0 * 1.4142135623730951;
        const double v27 = v24 * v26;
        const bool v29 = 0.0 < x;
        const double v30 = v29 ? x : v27;
        ys[i] = v30;
    }
}

void backward_chunk_float64(const double* EAFO_RESTRICT xs, const double* EAFO_RESTRICT gs, double* EAFO_RESTRICT ds, index_t n, double* EAFO_RESTRICT slot, double p0) {
#pragma omp simd
    for (index_t i = 0; i < n; ++i) {
        const double x = xs[i];
        const double g = gs[i];
        const double v4 = x + (-0.7853981633974483);
        const double v5 = v4 - x;
        const double v6 = v4 - v5;
        const double v7 = x - v6;
        const double v8 = (-0.7853981633974483) - v5;
        const double v9 = v7 + v8;
        const double v10 = (-3.061616997868383e-17) + v9;
        const double v12 = __builtin_fabs(x);
        const bool v13 = 256.0 < v12;
        const double v14 = v13 ? x : v4;
        const double v16 = v13 ? (-0.7071067811865476) : v10;
        const double v19 = v13 ? 0.7071067811865476 : 1.0;
        const double v20 = sin(v14);
        const double v21 = cos(v14);
        const double v22 = v19 * v21;
        const double v23 = v16 * v20;
        const double v24 = v22 - v23;
        const double v26 = p0 * 1.4142135623730951;
        const double v27 = v24 * v26;
        const bool v29 = 0.0 < x;
        const double v30 = v29 ? 1.0 : v27;
        ds[i] = g * v30;
    }
}

}  // namespace

// ys[i] = f(xs[i]) for i < n.
extern "C" void eafo_forward_float32(const float* xs, float* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float32(xs + start, ys + start, count, (float)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float32(const float* xs, const float* gs, float* ds, float* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float32(xs + start, gs + start, ds + start, count, slots, (float)p0);
    }
}

// ys[i] = f(xs[i]) for i < n.
extern "C" void eafo_forward_float64(const double* xs, double* ys, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        forward_chunk_float64(xs + start, ys + start, count, (double)p0);
    }
}

// ds[i] = gs[i] f'(xs[i]).
extern "C" void eafo_backward_float64(const double* xs, const double* gs, double* ds, double* totals, double* slots, index_t n, int threads, double p0) {
    const index_t chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (index_t c = 0; c < chunks; ++c) {
        const index_t start = c * CHUNK, count = n - start < CHUNK ? n - start : CHUNK;
        backward_chunk_float64(xs + start, gs + start, ds + start, count, slots, (double)p0);
    }
}
