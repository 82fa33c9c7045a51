// Between projection and formation of one picture alone: what brightness control and scatter need to know of it, which
// is little, and the scatter itself.
#include "spectral.h"

// Area densities of a part of the picture, (channels, high, wide), in their place: out (channels, rows, columns), 0
// outside. met: becomes 1 where any of them is above 0.
extern "C" __global__ void place(
    const float* part, float* out, unsigned* met, int rows, int columns, int top, int left, int high, int wide) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const int r = row - top, c = column - left;
    const bool within = r >= 0 && r < high && c >= 0 && c < wide;
    const float value = within ? part[((size_t)blockIdx.z * high + r) * wide + c] : 0.0f;
    out[((size_t)blockIdx.z * rows + row) * columns + column] = value;
    if (value > 0.0f) *met = 1u;  // whoever writes, writes the same
}

// images (images, pixels) at some of the pixels: out (images, count).
extern "C" __global__ void gathered(const float* images, const int* wanted, float* out, int pixels, int count) {
    const int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n < count) out[(size_t)blockIdx.y * count + n] = images[(size_t)blockIdx.y * pixels + wanted[n]];
}

// Sums of area densities (channels, pixels) by weights (groups, channels), times share (pixels): out (groups, pixels).
extern "C" __global__ void matter(
    const float* areas, const float* weights, const float* share, float* out, int pixels, int channels) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    float sum = 0.0f;
    for (int c = 0; c < channels; c++) sum += weights[blockIdx.y * channels + c] * areas[(size_t)c * pixels + pixel];
    out[(size_t)blockIdx.y * pixels + pixel] = sum * share[pixel];
}

// The primary signal over that of the open field, times share (pixels): out (pixels). tables, layer: as for `moments`.
// open: the open field's, of each pixel where there is a layer, else one for all.
extern "C" __global__ void transmitted(
    const float* areas, const float* tables, const float* layer, const float* open, const float* share, float* out,
    int pixels, int channels, int nodes, int layers) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const float2 sum =
        passing_moments(areas + pixel, tables, layers ? layer[pixel] : 0.0f, pixels, channels, nodes, layers);
    out[pixel] = share[pixel] == 0.0f ? 0.0f : sum.x / open[layers ? pixel : 0] * share[pixel];
}

// Mean over one cell of `cells` along a line of `pixels`, `step` apart, of which the line takes up a part: the weights of
// simulation/cells.py.
__device__ __forceinline__ float mean_of_cell(
    const float* line, size_t step, int pixels, int cell, int cells, double part) {
    const double low = pixels * (0.5 + ((double)cell / cells - 0.5) / part);
    const double high = pixels * (0.5 + ((double)(cell + 1) / cells - 0.5) / part);
    const int first = max(0, (int)floor(low)), end = min(pixels, (int)ceil(high));
    float sum = 0.0f;
    for (int n = first; n < end; n++) {
        const float share = (float)(fmin(high, n + 1.0) - fmax(low, (double)n));
        sum += fminf(fmaxf(share, 0.0f), 1.0f) * line[n * step];
    }
    return sum * (float)(cells * part / pixels);
}

// images (images, rows, columns) to out (images, cells, columns).
extern "C" __global__ void cells_down(const float* images, float* out, int rows, int columns, int cells, double part) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, cell = blockIdx.y, image = blockIdx.z;
    if (column >= columns) return;
    out[((size_t)image * cells + cell) * columns + column] =
        mean_of_cell(images + (size_t)image * rows * columns + column, columns, rows, cell, cells, part);
}

// lines (lines, columns) to out (lines, cells).
extern "C" __global__ void cells_across(const float* lines, float* out, int columns, int cells, double part) {
    const int cell = blockIdx.x * blockDim.x + threadIdx.x, line = blockIdx.y;
    if (cell >= cells) return;
    out[(size_t)line * cells + cell] = mean_of_cell(lines + (size_t)line * columns, 1, columns, cell, cells, part);
}

// The four cells whose cubic B-splines reach a pixel, and their weights there: simulation/cells.py.
__device__ __forceinline__ void spline(int pixel, int pixels, int cells, double part, int* at, float* weight) {
    const double place = cells * (0.5 + part * ((pixel + 0.5) / pixels - 0.5)) - 0.5;
    const int first = (int)floor(place);
    const float t = (float)(place - first), s = 1.0f - t;
    weight[0] = s * s * s / 6.0f;
    weight[1] = (3.0f * t * t * t - 6.0f * t * t + 4.0f) / 6.0f;
    weight[2] = (3.0f * s * s * s - 6.0f * s * s + 4.0f) / 6.0f;
    weight[3] = t * t * t / 6.0f;
    for (int n = 0; n < 4; n++) at[n] = min(max(first - 1 + n, 0), cells - 1);
}

// Adds a smooth surface through cells (high, wide) to mean and variance: moments (2, rows, columns).
extern "C" __global__ void add_surface(
    float* moments, const float* cells, int rows, int columns, int high, int wide, double part_down, double part_across,
    float to_mean, float to_variance) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    int down[4], across[4];
    float weight_down[4], weight_across[4];
    spline(row, rows, high, part_down, down, weight_down);
    spline(column, columns, wide, part_across, across, weight_across);
    float sum = 0.0f;
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) sum += weight_down[r] * weight_across[c] * cells[down[r] * wide + across[c]];
    const size_t pixel = (size_t)row * columns + column;
    moments[pixel] += sum * to_mean;
    moments[(size_t)rows * columns + pixel] += sum * to_variance;
}
