// gelu: x*(erf(sqrt(2)*x/2) + 1)/2
// from: Hendrycks, Gimpel, Gaussian error linear units, 2016
// CUDA C++ for NVRTC or nvcc; no header needed.
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

// exp(x) as two factors, both exp(x/2).
__device__ __forceinline__ float eafo_exp_head(float x) { return expf(0.5f * x); }
__device__ __forceinline__ double eafo_exp_head(double x) { return exp(0.5 * x); }
template <typename R> __device__ __forceinline__ R eafo_exp_tail(R head, R) { return head; }

__device__ __forceinline__ float value(float x) {
    const float v2 = x * 0.5f;
    const float v4 = x * (-0.7071067690849304f);
    const float v5 = x * x;
    const float v7 = v5 * (-0.5f);
    const float v8 = eafo_exp_head(v7);
    const float v9 = eafo_exp_tail(v8, v7);
    const float v10 = fabsf(v4);
    const float v11 = erfcxf(v10);
    const float v12 = v2 * v8;
    const float v13 = v11 * v12;
    const float v14 = v9 * v13;
    const float v15 = v2 + v2;
    const float v16 = v15 - v14;
    const bool v18 = v4 < 0.0f;
    const float v19 = v18 ? v16 : v14;
    return v19;
}

__device__ __forceinline__ float slopes(float x) {
    const float v2 = x * (-0.7071067690849304f);
    const float v3 = x * x;
    const float v5 = v3 * (-0.5f);
    const float v6 = eafo_exp_head(v5);
    const float v7 = eafo_exp_tail(v6, v5);
    const float v8 = fabsf(v2);
    const float v9 = erfcxf(v8);
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

__device__ __forceinline__ double value(double x) {
    const double v2 = x * 0.5;
    const double v4 = x * (-0.7071067811865476);
    const double v5 = x * x;
    const double v7 = v5 * (-0.5);
    const double v8 = eafo_exp_head(v7);
    const double v9 = eafo_exp_tail(v8, v7);
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

__device__ __forceinline__ double slopes(double x) {
    const double v2 = x * (-0.7071067811865476);
    const double v3 = erfc(v2);
    const double v5 = v3 * 0.5;
    const double v6 = x * x;
    const double v8 = v6 * (-0.5);
    const double v9 = eafo_exp_head(v8);
    const double v10 = eafo_exp_tail(v9, v8);
    const double v11 = x * v9;
    const double v13 = v11 * 0.3989422804014327;
    const double v14 = v10 * v13;
    const double v15 = v5 + v14;
    return v15;
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
