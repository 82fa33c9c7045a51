// Area densities of a batch of views: one thread per pixel, one layer of blocks per view, one launch per batch.
//
// project_N reads N channels through the filter of the hardware, preview_N with half the samples, exact_N from a
// texture that is not filtered. They write `count` channels of the image from channel `first` on, and zeros into the
// `empty` channels after those, for tools.
#include "integrate.h"

constexpr int THREADS = 128;  // of a block

typedef void (*Integral)(cudaTextureObject_t, const Path&, float*);

template <int CHANNELS, Integral ADD>
__device__ __forceinline__ void project(
    cudaTextureObject_t texels, const Volume* volume, const View* views, float* image, int rows, int columns,
    int channels, int first, int count, int empty) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const Ray ray = ray_of(views[blockIdx.z], *volume, column, row);
    float sum[CHANNELS] = {};
    if (ray.low < ray.high) ADD(texels, path_of(ray, ray.low, ray.high), sum);
    const size_t plane = (size_t)rows * columns;
    float* pixel = image + ((size_t)blockIdx.z * channels + first) * plane + (size_t)row * columns + column;
    for (int c = 0; c < CHANNELS; c++)
        if (c < count) pixel[c * plane] = sum[c] * (float)(ray.cm * volume->scale[c]);
    for (int c = count; c < count + empty; c++) pixel[c * plane] = 0.0f;
}

#define PROJECTION(NAME, CHANNELS, INTEGRAL)                                                                          \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME##_##CHANNELS(                                          \
        cudaTextureObject_t texels, const Volume* volume, const View* views, float* image, int rows, int columns,     \
        int channels, int first, int count, int empty) {                                                              \
        project<CHANNELS, INTEGRAL<CHANNELS>>(                                                                        \
            texels, volume, views, image, rows, columns, channels, first, count, empty);                              \
    }

PROJECTION(project, 1, add_by_filter)
PROJECTION(project, 2, add_by_filter)
PROJECTION(project, 4, add_by_filter)
PROJECTION(preview, 1, add_coarsely)
PROJECTION(preview, 2, add_coarsely)
PROJECTION(preview, 4, add_coarsely)
PROJECTION(exact, 1, add_exactly)
PROJECTION(exact, 2, add_exactly)
PROJECTION(exact, 4, add_exactly)
