// gelu_tanh: x*(tanh(sqrt(2)*(0.044715*x**3 + x)/sqrt(pi)) + 1)/2
// from: Hendrycks, Gimpel, Gaussian error linear units, 2016, tanh form
// CUDA C++ for NVRTC or nvcc; no header needed.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 11 forward, 21 backward (f' and the learnable parameters).

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

// Sixteen bytes, moved in one instruction.
template <typename T> struct alignas(16) Pack { T v[16 / sizeof(T)]; };

// A NaN in either argument is the result, as in torch.
template <typename R> __device__ __forceinline__ R eafo_max(R a, R b) { return a > b || a != a ? a : b; }
template <typename R> __device__ __forceinline__ R eafo_min(R a, R b) { return a < b || a != a ? a : b; }
template <typename R> __device__ __forceinline__ R eafo_sign(R a) { return a > R(0) ? R(1) : (a < R(0) ? R(-1) : a); }

// Two factors a and b of the sigmoids of x and -x, which are a/(a + b) and b/(a + b).
__device__ __forceinline__ float eafo_gate(float x) { return expf(0.5f * eafo_min(eafo_max(x, -170.0f), 170.0f)); }
__device__ __forceinline__ double eafo_gate(double x) { return exp(0.5 * eafo_min(eafo_max(x, -1400.0), 1400.0)); }
template <typename R> __device__ __forceinline__ R eafo_cogate(R a, R) { return R(1) / a; }

__device__ __forceinline__ float value(float x) {
    const float v1 = x * x;
    const float v2 = x * v1;
    const float v4 = v2 * 0.044714998453855515f;
    const float v5 = x + v4;
    const float v7 = v5 * 1.5957691669464111f;
    const float v8 = eafo_gate(v7);
    const float v9 = eafo_cogate(v8, v7);
    const float v11 = v8 + v9;
    const float v12 = 1.0f / v11;
    const float v13 = x * v12;
    const float v14 = v8 * v13;
    return v14;
}

__device__ __forceinline__ float slopes(float x) {
    const float v1 = x * x;
    const float v2 = x * v1;
    const float v4 = v2 * 0.044714998453855515f;
    const float v5 = x + v4;
    const float v7 = v5 * 1.5957691669464111f;
    const float v8 = eafo_gate(v7);
    const float v9 = eafo_cogate(v8, v7);
    const float v11 = v8 + v9;
    const float v12 = 1.0f / v11;
    const float v13 = v8 * v9;
    const float v14 = v12 * v13;
    const float v16 = v1 * 0.13414500653743744f;
    const float v17 = 1.0f + v16;
    const float v18 = x * 1.5957691669464111f;
    const float v19 = v17 * v18;
    const float v20 = v14 * v19;
    const float v21 = v12 * v20;
    const bool v23 = v14 == 0.0f;
    const float v24 = v23 ? 0.0f : v21;
    const float v25 = v8 * v12;
    const float v26 = v24 + v25;
    return v26;
}

__device__ __forceinline__ double value(double x) {
    const double v1 = x * x;
    const double v2 = x * v1;
    const double v4 = v2 * 0.044715;
    const double v5 = x + v4;
    const double v7 = v5 * 1.5957691216057308;
    const double v8 = eafo_gate(v7);
    const double v9 = eafo_cogate(v8, v7);
    const double v11 = v8 + v9;
    const double v12 = 1.0 / v11;
    const double v13 = x * v12;
    const double v14 = v8 * v13;
    return v14;
}

__device__ __forceinline__ double slopes(double x) {
    const double v1 = x * x;
    const double v2 = x * v1;
    const double v4 = v2 * 0.044715;
    const double v5 = x + v4;
    const double v7 = v5 * 1.5957691216057308;
    const double v8 = eafo_gate(v7);
    const double v9 = eafo_cogate(v8, v7);
    const double v11 = v8 + v9;
    const double v12 = 1.0 / v11;
    const double v13 = v8 * v9;
    const double v14 = v12 * v13;
    const double v16 = v1 * 0.134145;
    const double v17 = 1.0 + v16;
    const double v18 = x * 1.5957691216057308;
    const double v19 = v17 * v18;
    const double v20 = v14 * v19;
    const double v21 = v12 * v20;
    const bool v23 = v14 == 0.0;
    const double v24 = v23 ? 0.0 : v21;
    const double v25 = v8 * v12;
    const double v26 = v24 + v25;
    return v26;
}

template <typename T, typename R>
__device__ __forceinline__ void forward(const T* __restrict__ xs, T* __restrict__ ys, index_t n) {
    const int WIDTH = 16 / sizeof(T);
    const index_t first = (index_t)blockIdx.x * blockDim.x + threadIdx.x, step = (index_t)gridDim.x * blockDim.x;
    const index_t packs = (((address_t)xs | (address_t)ys) & 15) == 0 ? n / WIDTH : 0;
    for (index_t i = first; i < packs; i += step) {
        const Pack<T> in = ((const Pack<T>*)xs)[i];
        Pack<T> out;
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) store(out.v[j], value(load(in.v[j])));
        ((Pack<T>*)ys)[i] = out;
    }
    for (index_t i = packs * WIDTH + first; i < n; i += step) store(ys[i], value(load(xs[i])));
}

template <typename T, typename R>
__device__ __forceinline__ void backward(const T* __restrict__ xs, const T* __restrict__ gs, T* __restrict__ ds, R* totals, R* slots, unsigned* ticket, index_t n) {
    const int WIDTH = 16 / sizeof(T);
    const index_t first = (index_t)blockIdx.x * blockDim.x + threadIdx.x, step = (index_t)gridDim.x * blockDim.x;
    const index_t packs = (((address_t)xs | (address_t)gs | (address_t)ds) & 15) == 0 ? n / WIDTH : 0;
    for (index_t i = first; i < packs; i += step) {
        const Pack<T> in = ((const Pack<T>*)xs)[i], grad = ((const Pack<T>*)gs)[i];
        Pack<T> out;
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) {
            const R g = load(grad.v[j]);
            store(out.v[j], g * slopes(load(in.v[j])));
        }
        ((Pack<T>*)ds)[i] = out;
    }
    for (index_t i = packs * WIDTH + first; i < n; i += step) {
        const R g = load(gs[i]);
        store(ds[i], g * slopes(load(xs[i])));
    }
}

extern "C" __global__ void __launch_bounds__(256) eafo_forward_float32(const float* xs, float* ys, index_t n) {
    forward<float, float>(xs, ys, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_backward_float32(const float* xs, const float* gs, float* ds, float* totals, float* slots, unsigned* ticket, index_t n) {
    backward<float, float>(xs, gs, ds, totals, slots, ticket, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_forward_float64(const double* xs, double* ys, index_t n) {
    forward<double, double>(xs, ys, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_backward_float64(const double* xs, const double* gs, double* ds, double* totals, double* slots, unsigned* ticket, index_t n) {
    backward<double, double>(xs, gs, ds, totals, slots, ticket, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_forward_float16(const float16_t* xs, float16_t* ys, index_t n) {
    forward<float16_t, float>(xs, ys, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_backward_float16(const float16_t* xs, const float16_t* gs, float16_t* ds, float* totals, float* slots, unsigned* ticket, index_t n) {
    backward<float16_t, float>(xs, gs, ds, totals, slots, ticket, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_forward_bfloat16(const bfloat16_t* xs, bfloat16_t* ys, index_t n) {
    forward<bfloat16_t, float>(xs, ys, n);
}

extern "C" __global__ void __launch_bounds__(256) eafo_backward_bfloat16(const bfloat16_t* xs, const bfloat16_t* gs, bfloat16_t* ds, float* totals, float* slots, unsigned* ticket, index_t n) {
    backward<bfloat16_t, float>(xs, gs, ds, totals, slots, ticket, n);
}
