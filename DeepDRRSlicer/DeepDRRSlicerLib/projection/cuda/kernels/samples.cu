// How many filtered samples of a texture the card takes in a second, at its best: neighbours in a warp read
// neighbouring texels, which lie in the caches, and hardly anything is computed. What the projection is measured by.
#include "texels.h"

// Each thread takes `steps` samples along the last axis of a cube of `side` texels, and writes the sum of all.
template <int CHANNELS>
__device__ __forceinline__ void take_samples(cudaTextureObject_t texels, int side, int steps, float* sums) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    const float x = (float)(column % side) + 0.7f, y = (float)(row % side) + 0.6f;
    float sum[CHANNELS] = {}, z = 0.8f;
    for (int n = 0; n < steps; n++) {
        add_filtered<CHANNELS>(texels, x, y, z, sum);
        z = z + 1.0f < (float)side ? z + 1.0f : 0.8f;
    }
    float total = 0;
    for (int c = 0; c < CHANNELS; c++) total += sum[c];
    sums[row * (int)(gridDim.x * blockDim.x) + column] = total;
}

extern "C" __global__ void samples_1(cudaTextureObject_t texels, int side, int steps, float* sums) {
    take_samples<1>(texels, side, steps, sums);
}

extern "C" __global__ void samples_2(cudaTextureObject_t texels, int side, int steps, float* sums) {
    take_samples<2>(texels, side, steps, sums);
}

extern "C" __global__ void samples_4(cudaTextureObject_t texels, int side, int steps, float* sums) {
    take_samples<4>(texels, side, steps, sums);
}
