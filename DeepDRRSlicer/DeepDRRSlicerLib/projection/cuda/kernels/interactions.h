// One collision: transport/interactions.py, which names the physics.
#pragma once
#include "stream.h"

constexpr double REST_ENERGY = 510.99895;  // keV, of the electron
constexpr double KEV_ANGSTROM = 12.398420;  // Planck's constant times the speed of light

template <typename real>
__device__ real compton_ratio(real energy, real cosine) {
    return 1 / (1 + energy / (real)REST_ENERGY * (1 - cosine));
}

template <typename real>
__device__ real klein_nishina(real energy, real cosine) {
    const real ratio = compton_ratio(energy, cosine);
    return (real)0.5 * ratio * ratio * (ratio + 1 / ratio - 1 + cosine * cosine);
}

template <typename real>
__device__ real incoherent_share(const real* table, int size, real transfer, real largest) {
    const real place = sqrt(transfer / largest) * (size - 1);
    const int lower = min((int)place, size - 2);
    return table[lower] + (table[lower + 1] - table[lower]) * (place - lower);
}

template <typename real>
__device__ __noinline__ real compton_cosine(Stream<real>& stream, real energy, const real* table, int size, real largest) {
    while (true) {
        const real cosine = 2 * stream.uniform() - 1;
        const real half = (real)0.5 * (1 - cosine);
        const real transfer = energy / (real)KEV_ANGSTROM * sqrt(half > 0 ? half : (real)0);
        const real free = incoherent_share(table, size, transfer, largest);
        if (stream.uniform() < klein_nishina(energy, cosine) * free) return cosine;
    }
}

template <typename real>
__device__ real coherent_integral(const real* table, const real* transfer, int size, real at) {
    const real place = sqrt(at / transfer[size - 1]) * (size - 1);
    const int lower = min((int)place, size - 2);
    const real from = transfer[lower] * transfer[lower], to = transfer[lower + 1] * transfer[lower + 1];
    const real share = (at * at - from) / (to - from);
    return table[lower] + (table[lower + 1] - table[lower]) * (share < 1 ? share : (real)1);
}

template <typename real>
__device__ __noinline__ real rayleigh_cosine(Stream<real>& stream, real energy, const real* table, const real* transfer, int size) {
    const real reach = energy / (real)KEV_ANGSTROM;
    const real most = coherent_integral(table, transfer, size, reach);
    while (true) {
        const real wanted = stream.uniform() * most;
        int low = 0, high = size - 1;
        while (high - low > 1) {
            const int middle = (low + high) / 2;
            if (table[middle] <= wanted) low = middle;
            else high = middle;
        }
        const real step = table[high] - table[low];
        const real share = step > 0 ? (wanted - table[low]) / step : (real)0;
        const real from = transfer[low] * transfer[low];
        const real squared = from + (transfer[high] * transfer[high] - from) * share;
        const real along = 1 - 2 * squared / (reach * reach);
        const real cosine = along > -1 ? along : (real)-1;
        if (stream.uniform() < (real)0.5 * (1 + cosine * cosine)) return cosine;
    }
}

template <typename real>
__device__ void deflect(Stream<real>& stream, real* direction, real cosine) {
    const real azimuth = (real)(2.0 * 3.14159265358979323846) * stream.uniform();
    const real squared = 1 - cosine * cosine, sine = sqrt(squared > 0 ? squared : (real)0);
    const real across = sine * cos(azimuth), along = sine * sin(azimuth);
    const real x = direction[0], y = direction[1], z = direction[2];
    const real flat = 1 - z * z, level = sqrt(flat > 0 ? flat : (real)0);
    if (level < (sizeof(real) == 8 ? (real)1e-8 : (real)1e-4)) {
        direction[0] = across;
        direction[1] = along;
        direction[2] = z > 0 ? cosine : -cosine;
        return;
    }
    direction[0] = x * cosine + (across * x * z - along * y) / level;
    direction[1] = y * cosine + (across * y * z + along * x) / level;
    direction[2] = z * cosine - across * level;
    const real length =
        sqrt(direction[0] * direction[0] + direction[1] * direction[1] + direction[2] * direction[2]);
    for (int a = 0; a < 3; a++) direction[a] /= length;
}
