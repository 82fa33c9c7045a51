// Densities of 1, 2 or 4 materials read from one 3D texture, as floats from 0 to 1 or as 16-bit integers.
//
// Positions are in texels, the first centre at 0.5; outside lie zeros. Sums are kept in plain arrays of CHANNELS
// floats, which the compiler holds in registers.
#pragma once

// What filtering and border of the hardware give at a position, added to a sum.
template <int CHANNELS>
__device__ __forceinline__ void add_filtered(cudaTextureObject_t texels, float x, float y, float z, float* sum);

template <>
__device__ __forceinline__ void add_filtered<1>(cudaTextureObject_t texels, float x, float y, float z, float* sum) {
    sum[0] += tex3D<float>(texels, x, y, z);
}

template <>
__device__ __forceinline__ void add_filtered<2>(cudaTextureObject_t texels, float x, float y, float z, float* sum) {
    const float2 texel = tex3D<float2>(texels, x, y, z);
    sum[0] += texel.x;
    sum[1] += texel.y;
}

template <>
__device__ __forceinline__ void add_filtered<4>(cudaTextureObject_t texels, float x, float y, float z, float* sum) {
    const float4 texel = tex3D<float4>(texels, x, y, z);
    sum[0] += texel.x;
    sum[1] += texel.y;
    sum[2] += texel.z;
    sum[3] += texel.w;
}

// One texel of a texture that is not filtered, weighted, added to a sum.
template <int CHANNELS>
__device__ __forceinline__ void add_texel(cudaTextureObject_t texels, float x, float y, float z, float weight, float* sum);

template <>
__device__ __forceinline__ void add_texel<1>(
    cudaTextureObject_t texels, float x, float y, float z, float weight, float* sum) {
    sum[0] += weight * (float)tex3D<unsigned short>(texels, x, y, z);
}

template <>
__device__ __forceinline__ void add_texel<2>(
    cudaTextureObject_t texels, float x, float y, float z, float weight, float* sum) {
    const ushort2 texel = tex3D<ushort2>(texels, x, y, z);
    sum[0] += weight * (float)texel.x;
    sum[1] += weight * (float)texel.y;
}

template <>
__device__ __forceinline__ void add_texel<4>(
    cudaTextureObject_t texels, float x, float y, float z, float weight, float* sum) {
    const ushort4 texel = tex3D<ushort4>(texels, x, y, z);
    sum[0] += weight * (float)texel.x;
    sum[1] += weight * (float)texel.y;
    sum[2] += weight * (float)texel.z;
    sum[3] += weight * (float)texel.w;
}
