// From area densities to what the detector puts out, for a batch of views that share their place before the detector.
//
// The same steps as physics/primary.py and physics/readout.py: energies of the spectrum, pixel aperture and focal spot,
// quantum noise, spread of light in the screen, lag, electronic noise, gain, offset, rounding, saturation. Where those
// multiply Fourier transforms, these add up neighbours with the same filter's weights, the image mirrored at its border.
#include "philox.h"
#include "spectral.h"

enum { QUANTA = 0, ELECTRONS = 1 };  // purposes of random numbers
constexpr float MANY_QUANTA = 10.0f;

// Index of a mirrored image: -1 is 0 again, size is size - 1.
__device__ __forceinline__ int folded(int index, int size) {
    index = ((index % (2 * size)) + 2 * size) % (2 * size);
    return index < size ? index : 2 * size - 1 - index;
}

// Mean and variance of the energy that falls into each pixel: out (2, views, pixels).
// areas: (views, channels, pixels). tables: (views, nodes, channels + layers + 2), see spectral.h. layer: (pixels), area
// density of one more material that is the same in all views. falling: (pixels), what both are in proportion to; load:
// what all of it is multiplied by.
extern "C" __global__ void moments(
    const float* areas, const float* tables, const float* layer, const float* falling, float* out, int pixels,
    int channels, int nodes, int layers, float load) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x, view = blockIdx.y, views = gridDim.y;
    if (pixel >= pixels) return;
    const float2 sum = passing_moments(
        areas + (size_t)view * channels * pixels + pixel, tables + (size_t)view * nodes * (channels + layers + 2),
        layers ? layer[pixel] : 0.0f, pixels, channels, nodes, layers);
    out[(size_t)view * pixels + pixel] = sum.x * falling[pixel] * load;
    out[((size_t)views + view) * pixels + pixel] = sum.y * falling[pixel] * load;
}

// images (images, rows, columns) with each row (across) or column (down) weighted by taps (views, 2, 2 reach + 1).
template <bool ACROSS>
__device__ __forceinline__ void blur(
    const float* images, const float* taps, float* out, int rows, int columns, int reach, int views) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const size_t image = (size_t)blockIdx.z * rows * columns;
    const float* weight = taps + ((size_t)(blockIdx.z % views) * 2 + (ACROSS ? 0 : 1)) * (2 * reach + 1) + reach;
    float sum = 0.0f;
    for (int n = -reach; n <= reach; n++) {
        const int r = ACROSS ? row : folded(row + n, rows), c = ACROSS ? folded(column + n, columns) : column;
        sum += weight[n] * images[image + (size_t)r * columns + c];
    }
    out[image + (size_t)row * columns + column] = sum;
}

extern "C" __global__ void blur_across(
    const float* images, const float* taps, float* out, int rows, int columns, int reach, int views) {
    blur<true>(images, taps, out, rows, columns, reach, views);
}

extern "C" __global__ void blur_down(
    const float* images, const float* taps, float* out, int rows, int columns, int reach, int views) {
    blur<false>(images, taps, out, rows, columns, reach, views);
}

// Energy taken in by each pixel, and by `beyond` more on every side: out (views, rows + 2 beyond, columns + 2 beyond).
// blurred: (2, views, pixels). lit: (pixels), 0 where only the filter's ringing gets. limits: (views, 3): least and
// largest variance over mean, and the mean that counts as nothing. key: of the random numbers; frame: of view 0.
extern "C" __global__ void quanta(
    const float* blurred, const float* lit, const float* limits, float* out, int rows, int columns, int beyond,
    int noisy, unsigned key_low, unsigned key_high, unsigned frame) {
    const int wide = columns + 2 * beyond, high = rows + 2 * beyond, views = gridDim.z, view = blockIdx.z;
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= wide || row >= high) return;
    const size_t pixels = (size_t)rows * columns;
    const size_t pixel = (size_t)folded(row - beyond, rows) * columns + folded(column - beyond, columns);
    const float* limit = limits + 3 * view;
    float mean = blurred[view * pixels + pixel];
    // Beside a sharp edge of total absorption the filter rings.
    if (lit[pixel] == 0.0f || mean < limit[2]) mean = 0.0f;
    float energy = mean;
    if (noisy && mean > 0.0f) {
        const float each = fminf(fmaxf(blurred[(views + view) * pixels + pixel] / mean, limit[0]), limit[1]);
        const unsigned place = (unsigned)(row * wide + column);
        const uint4 bits = philox(make_uint4(place, frame + view, QUANTA, 0u), make_uint2(key_low, key_high));
        if (mean < MANY_QUANTA * each) {
            energy = each * poisson_of(mean / each, bits.x);
        } else {  // physics/noise.py says why
            const float z = normal_of(bits.x, bits.y);
            energy = mean + each * (sqrtf(mean / each - 1.0f / 18.0f) * z + (z * z - 1.0f) / 6.0f);
        }
    }
    out[((size_t)view * high + row) * wide + column] = energy;
}

// What the screen, the lag and the electronics make of it. energy: as `quanta` gives it. taps: (2 beyond + 1) squared.
// counts: (views, rows, columns), where `depth` is not 0; else signal, likewise, in keV. clipped: (views, 2), pixels
// below 0 counts and above full.
// held, holds: (views, components, rows, columns), keV that the panel holds back before and after, as physics/lag.py has
// it; nothing before where `rested` is not 0. shares: (components, 2), fraction held back and what of it is kept.
extern "C" __global__ void read_out(
    const float* energy, const float* taps, unsigned short* counts, float* signal, unsigned* clipped,
    const float* held, float* holds, const float* shares, int rows, int columns, int beyond, int depth, int components,
    int rested, float electronic, float per_kev, float offset, float full, unsigned key_low, unsigned key_high,
    unsigned frame) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const int wide = columns + 2 * beyond, side = 2 * beyond + 1, view = blockIdx.z;
    const float* corner = energy + ((size_t)view * (rows + 2 * beyond) + row) * wide + column;
    float sum = 0.0f;
    for (int r = 0; r < side; r++)
        for (int c = 0; c < side; c++) sum += taps[r * side + c] * corner[(size_t)r * wide + c];
    if (components) {
        float released = 0.0f, trapped = 0.0f;
        for (int n = 0; n < components; n++) {
            const size_t place = (((size_t)view * components + n) * rows + row) * columns + column;
            const float fraction = shares[2 * n], kept = shares[2 * n + 1], before = rested ? 0.0f : held[place];
            released += (1.0f - kept) * before;
            trapped += fraction;
            holds[place] = before * kept + sum * fraction;
        }
        sum = sum * (1.0f - trapped) + released;
    }
    if (electronic > 0.0f) {
        const uint4 bits = philox(
            make_uint4((unsigned)(row * columns + column), frame + view, ELECTRONS, 0u), make_uint2(key_low, key_high));
        sum += electronic * normal_of(bits.x, bits.y);
    }
    const size_t pixel = ((size_t)view * rows + row) * columns + column;
    if (!depth) {
        if (sum > full) atomicAdd(clipped + 2 * view + 1, 1u);
        signal[pixel] = fminf(sum, full);
        return;
    }
    const float number = rintf(sum * per_kev + offset);
    if (number < 0.0f) atomicAdd(clipped + 2 * view, 1u);
    if (number > full) atomicAdd(clipped + 2 * view + 1, 1u);
    counts[pixel] = (unsigned short)fminf(fmaxf(number, 0.0f), full);
}
