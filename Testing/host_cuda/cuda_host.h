// What CUDA C++ gives a kernel, for g++: as much of it as the kernels use, one thread after the other.
//
// Threads of a block do not run together: a kernel that waits for its block (__syncthreads) does not compile here.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __constant__ static const
#define __launch_bounds__(...)

struct dim3 { unsigned x, y, z; };
struct uint3 { unsigned x, y, z; };
static thread_local dim3 gridDim, blockDim;
static thread_local uint3 blockIdx, threadIdx;

#define VECTOR2(T, NAME) struct NAME##2 { T x, y; }; static inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }
#define VECTOR3(T, NAME) struct NAME##3 { T x, y, z; }; \
    static inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }
#define VECTOR4(T, NAME) struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) NAME##4 { T x, y, z, w; }; \
    static inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTOR2(float, float) VECTOR3(float, float) VECTOR4(float, float)
VECTOR2(double, double) VECTOR3(double, double)
VECTOR2(int, int) VECTOR3(int, int) VECTOR4(int, int)
VECTOR2(unsigned, uint) VECTOR4(unsigned, uint)
VECTOR2(unsigned short, ushort) VECTOR4(unsigned short, ushort)

// Roundings that must not be contracted, and faster functions: here the correctly rounded ones.
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fdividef(float a, float b) { return a / b; }
#define __expf expf
#define __logf logf
#define __sinf sinf
#define __cosf cosf
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float sinpif(float x) { return (float)sin(M_PI * x); }
static inline float cospif(float x) { return (float)cos(M_PI * x); }
static inline void sincospif(float x, float* s, float* c) { *s = sinpif(x); *c = cospif(x); }
static inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
static inline unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
template <class T> static inline T __ldg(const T* p) { return *p; }
template <class T, class U> static inline T atomicAdd(T* p, U x) { T old = *p; *p = old + (T)x; return old; }
template <class T, class U> static inline T atomicMax(T* p, U x) { T old = *p; *p = old > (T)x ? old : (T)x; return old; }
template <class T, class U> static inline T atomicMin(T* p, U x) { T old = *p; *p = old < (T)x ? old : (T)x; return old; }
template <class T, class U> static inline T atomicOr(T* p, U x) { T old = *p; *p = old | (T)x; return old; }
template <class T, class U> static inline T atomicExch(T* p, U x) { T old = *p; *p = (T)x; return old; }

// Textures. fraction_bits: 8 as the hardware has them, 0 for weights in full floats. truncated: whether the fraction is
// cut off rather than rounded; the guide does not say which.
struct HostTexture {
    const unsigned short* texels;
    int n_i, n_j, n_k, channels, filtered, fraction_bits, truncated;
};
typedef unsigned long long cudaTextureObject_t;

static inline float host_texel(const HostTexture& t, int i, int j, int k, int c) {
    if (i < 0 || j < 0 || k < 0 || i >= t.n_i || j >= t.n_j || k >= t.n_k) return 0.0f;
    return t.texels[(((size_t)k * t.n_j + j) * t.n_i + i) * t.channels + c];
}

static inline float host_weight(const HostTexture& t, float x, int* first) {
    // "Texture Fetching", appendix of the CUDA programming guide: x_B = x - 0.5, i = floor(x_B), and the fraction in
    // 9-bit fixed point with 8 bits of fractional value, so that 1.0 is exactly represented.
    const float from = x - 0.5f, low = floorf(from);
    *first = (int)low;
    if (!t.fraction_bits) return from - low;
    const float steps = (float)(1 << t.fraction_bits), scaled = (from - low) * steps;
    return (t.truncated ? floorf(scaled) : floorf(scaled + 0.5f)) / steps;
}

static inline void host_fetch(cudaTextureObject_t object, float x, float y, float z, int channels, float* out) {
    const HostTexture& t = *(const HostTexture*)object;
    if (channels != t.channels || !t.filtered) __builtin_trap();  // reading what the texture does not hold
    int i, j, k;
    const float a = host_weight(t, x, &i), b = host_weight(t, y, &j), g = host_weight(t, z, &k);
    if (i < -1 || j < -1 || k < -1 || i >= t.n_i || j >= t.n_j || k >= t.n_k) {
        for (int c = 0; c < channels; c++) out[c] = 0.0f;
        return;
    }
    for (int c = 0; c < channels; c++) {
        float plane[2];
        for (int d = 0; d < 2; d++) {
            const float low = host_texel(t, i, j, k + d, c) * (1 - a) + host_texel(t, i + 1, j, k + d, c) * a;
            const float high = host_texel(t, i, j + 1, k + d, c) * (1 - a) + host_texel(t, i + 1, j + 1, k + d, c) * a;
            plane[d] = low * (1 - b) + high * b;
        }
        out[c] = (plane[0] * (1 - g) + plane[1] * g) / 65535.0f;
    }
}

static inline void host_point(
    cudaTextureObject_t object, float x, float y, float z, int channels, unsigned short* out) {
    const HostTexture& t = *(const HostTexture*)object;
    if (channels != t.channels || t.filtered) __builtin_trap();
    const int i = (int)floorf(x), j = (int)floorf(y), k = (int)floorf(z);
    for (int c = 0; c < channels; c++) out[c] = (unsigned short)host_texel(t, i, j, k, c);
}

template <class T> static inline T tex3D(cudaTextureObject_t texture, float x, float y, float z);
#define FETCH(T, CHANNELS, ELEMENT, READ) \
    template <> inline T tex3D<T>(cudaTextureObject_t texture, float x, float y, float z) { \
        ELEMENT v[CHANNELS]; T result; \
        READ(texture, x, y, z, CHANNELS, v); \
        memcpy(&result, v, sizeof result); \
        return result; \
    }
FETCH(float, 1, float, host_fetch)
FETCH(float2, 2, float, host_fetch)
FETCH(float4, 4, float, host_fetch)
FETCH(unsigned short, 1, unsigned short, host_point)
FETCH(ushort2, 2, unsigned short, host_point)
FETCH(ushort4, 4, unsigned short, host_point)

// Calls a kernel for every thread of a grid.
template <class Kernel> static inline void host_run(const unsigned* grid, const unsigned* block, Kernel kernel) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
                for (threadIdx.z = 0; threadIdx.z < block[2]; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < block[1]; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++) kernel();
}
