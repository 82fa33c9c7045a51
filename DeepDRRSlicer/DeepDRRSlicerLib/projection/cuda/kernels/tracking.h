// Flights through the body: transport/tracking.py, which explains the methods. Positions in voxels, 0 to n.
#pragma once
#include "stream.h"

constexpr int BLOCK = 8;
constexpr double FAINT = 1e-3;

template <typename real>
__device__ real beyond() { return sizeof(real) == 8 ? (real)1e-7 : (real)2e-4; }  // voxels past a border

// density (k, j, i, m); highest, mean, deviation (k, j, i, m) of blocks; shape: k, j, i.
struct Voxels {
    const unsigned short* density;
    const float *highest, *mean, *deviation;
    int shape[3], materials;

    template <typename real>
    __device__ size_t voxel(const real* position) const {
        return ((size_t)(int)position[2] * shape[1] + (int)position[1]) * shape[2] + (int)position[0];
    }

    // What a quantity of the blocks, or of the voxels, stands for, in 1/mm. linear: (m, bins) from an energy's bin on.
    template <typename real>
    __device__ real of_voxel(const real* position, const real* linear, int bins) const {
        const unsigned short* here = density + voxel(position) * materials;
        real total = 0;
        for (int m = 0; m < materials; m++) total += here[m] * linear[m * bins];
        return total;
    }

    template <typename real>
    __device__ real of_block(const float* blocks, const real* position, const real* linear, int bins) const {
        const int k = (int)position[2] / BLOCK, j = (int)position[1] / BLOCK, i = (int)position[0] / BLOCK;
        const float* here = blocks + (((size_t)k * (shape[1] / BLOCK) + j) * (shape[2] / BLOCK) + i) * materials;
        real total = 0;
        for (int m = 0; m < materials; m++) total += here[m] * linear[m * bins];
        return total;
    }
};

template <typename real>
__device__ real held(real value, int end) {
    const real most = end - beyond<real>(), least = value > 0 ? value : (real)0;
    return least < most ? least : most;
}

template <typename real>
__device__ bool enter(const Voxels& body, real* position, const real* direction) {
    real near = 0, far = (real)1e30;
    for (int a = 0; a < 3; a++) {
        const real end = body.shape[2 - a];
        if (direction[a] == 0) {
            if (!(0 <= position[a] && position[a] < end)) return false;
            continue;
        }
        real first = -position[a] / direction[a], last = (end - position[a]) / direction[a];
        if (first > last) {
            const real swapped = first;
            first = last;
            last = swapped;
        }
        if (first > near) near = first;
        if (last < far) far = last;
    }
    if (near >= far) return false;
    for (int a = 0; a < 3; a++) position[a] = held(position[a] + near * direction[a], body.shape[2 - a]);
    return true;
}

template <typename real>
__device__ real border_of(const real* position, const real* direction, int& crossed) {
    real border = (real)1e30;
    crossed = 0;
    for (int a = 0; a < 3; a++) {
        if (direction[a] == 0) continue;
        const int block = (int)position[a] / BLOCK;
        const real edge = direction[a] > 0 ? (block + 1) * BLOCK : block * BLOCK;
        const real distance = (edge - position[a]) / direction[a];
        if (distance < border) {
            border = distance;
            crossed = a;
        }
    }
    return border > 0 ? border : (real)0;
}

template <typename real>
__device__ bool cross(const Voxels& body, real* position, const real* direction, real border, int crossed) {
    for (int a = 0; a < 3; a++) {
        position[a] += border * direction[a];
        if (a == crossed)
            position[a] = rint(position[a] / BLOCK) * BLOCK + (direction[a] > 0 ? beyond<real>() : -beyond<real>());
    }
    for (int a = 0; a < 3; a++)
        if (!(0 <= position[a] && position[a] < body.shape[2 - a])) return false;
    return true;
}

template <typename real>
__device__ __noinline__ bool fly(
    Stream<real>& stream, const Voxels& body, real* position, const real* direction, const real* linear, int bins) {
    while (true) {
        const real bound = body.of_block(body.highest, position, linear, bins);
        int crossed;
        real border = border_of(position, direction, crossed);
        while (bound > 0) {
            const real step = -log(1 - stream.uniform()) / bound;
            if (step >= border) break;
            border -= step;
            for (int a = 0; a < 3; a++) position[a] = held(position[a] + step * direction[a], body.shape[2 - a]);
            if (stream.uniform() * bound < body.of_voxel(position, linear, bins)) return true;
        }
        if (!cross(body, position, direction, border, crossed)) return false;
    }
}

template <typename real>
__device__ __noinline__ real transmission(
    Stream<real>& stream, const Voxels& body, real* position, const real* direction, const real* linear, int bins) {
    real left = 1;
    while (true) {
        const real control = body.of_block(body.mean, position, linear, bins);
        const real residual = body.of_block(body.deviation, position, linear, bins);
        int crossed;
        real border = border_of(position, direction, crossed);
        left *= exp(-control * border);
        while (residual > 0) {
            const real step = -log(1 - stream.uniform()) / residual;
            if (step >= border) break;
            border -= step;
            for (int a = 0; a < 3; a++) position[a] = held(position[a] + step * direction[a], body.shape[2 - a]);
            left *= 1 - (body.of_voxel(position, linear, bins) - control) / residual;
        }
        if (left < (real)FAINT) {
            if (stream.uniform() * (real)FAINT >= left) return 0;
            left = (real)FAINT;
        }
        if (!cross(body, position, direction, border, crossed)) return left;
    }
}
