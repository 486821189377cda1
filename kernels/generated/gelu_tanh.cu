// gelu_tanh: x*(tanh(sqrt(2)*(0.044715*x**3 + x)/sqrt(pi)) + 1)/2
// from: Hendrycks, Gimpel, Gaussian error linear units, 2016, tanh form
// CUDA C++ for NVRTC or nvcc; no header needed.
// Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.
// Operations an element: 16 forward, 35 backward (f' and the learnable parameters).

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

__device__ __forceinline__ float value(float x) {
    const float v1 = x * x;
    const float v2 = x * v1;
    const float v4 = v2 * 0.044714998453855515f;
    const float v5 = x + v4;
    const float v7 = v5 * 1.5957691669464111f;
    const float v9 = fabsf(v7);
    const float v11 = v9 * (-0.5f);
    const float v12 = expf(v11);
    const float v13 = v12 * v12;
    const float v14 = 1.0f + v13;
    const float v15 = 1.0f / v14;
    const bool v17 = 0.0f <= v7;
    const float v18 = v17 ? 1.0f : v12;
    const float v19 = x * v18;
    const float v20 = v18 * v19;
    const float v21 = v15 * v20;
    return v21;
}

__device__ __forceinline__ float slopes(float x) {
    const float v2 = x * x;
    const float v4 = v2 * 0.13414500653743744f;
    const float v5 = 1.0f + v4;
    const float v7 = x * 1.5957691669464111f;
    const float v8 = v5 * v7;
    const float v9 = x * v2;
    const float v11 = v9 * 0.044714998453855515f;
    const float v12 = x + v11;
    const float v13 = 1.5957691669464111f * v12;
    const float v14 = fabsf(v13);
    const float v16 = v14 * (-0.5f);
    const float v17 = expf(v16);
    const float v18 = v17 * v17;
    const float v19 = 1.0f + v18;
    const float v20 = 1.0f / v19;
    const bool v22 = 0.0f <= v13;
    const float v23 = v22 ? 1.0f : v17;
    const float v24 = v8 * v23;
    const float v25 = v23 * v24;
    const float v26 = v20 * v25;
    const float v28 = v12 * (-1.5957691669464111f);
    const float v29 = fabsf(v28);
    const float v30 = (-0.5f) * v29;
    const float v31 = expf(v30);
    const float v32 = v31 * v31;
    const float v33 = 1.0f + v32;
    const float v34 = 1.0f / v33;
    const bool v35 = 0.0f <= v28;
    const float v36 = v35 ? 1.0f : v31;
    const float v37 = v26 * v36;
    const float v38 = v36 * v37;
    const float v39 = v34 * v38;
    const float v40 = v18 * v20;
    const float v41 = v22 ? v20 : v40;
    const float v42 = v39 + v41;
    return v42;
}

__device__ __forceinline__ double value(double x) {
    const double v1 = x * x;
    const double v2 = x * v1;
    const double v4 = v2 * 0.044715;
    const double v5 = x + v4;
    const double v7 = v5 * 1.5957691216057308;
    const double v9 = fabs(v7);
    const double v11 = v9 * (-0.5);
    const double v12 = exp(v11);
    const double v13 = v12 * v12;
    const double v14 = 1.0 + v13;
    const double v15 = 1.0 / v14;
    const bool v17 = 0.0 <= v7;
    const double v18 = v17 ? 1.0 : v12;
    const double v19 = x * v18;
    const double v20 = v18 * v19;
    const double v21 = v15 * v20;
    return v21;
}

__device__ __forceinline__ double slopes(double x) {
    const double v2 = x * x;
    const double v4 = v2 * 0.134145;
    const double v5 = 1.0 + v4;
    const double v7 = x * 1.5957691216057308;
    const double v8 = v5 * v7;
    const double v9 = x * v2;
    const double v11 = v9 * 0.044715;
    const double v12 = x + v11;
    const double v13 = 1.5957691216057308 * v12;
    const double v14 = fabs(v13);
    const double v16 = v14 * (-0.5);
    const double v17 = exp(v16);
    const double v18 = v17 * v17;
    const double v19 = 1.0 + v18;
    const double v20 = 1.0 / v19;
    const bool v22 = 0.0 <= v13;
    const double v23 = v22 ? 1.0 : v17;
    const double v24 = v8 * v23;
    const double v25 = v23 * v24;
    const double v26 = v20 * v25;
    const double v28 = v12 * (-1.5957691216057308);
    const double v29 = fabs(v28);
    const double v30 = (-0.5) * v29;
    const double v31 = exp(v30);
    const double v32 = v31 * v31;
    const double v33 = 1.0 + v32;
    const double v34 = 1.0 / v33;
    const bool v35 = 0.0 <= v28;
    const double v36 = v35 ? 1.0 : v31;
    const double v37 = v26 * v36;
    const double v38 = v36 * v37;
    const double v39 = v34 * v38;
    const double v40 = v18 * v20;
    const double v41 = v22 ? v20 : v40;
    const double v42 = v39 + v41;
    return v42;
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
