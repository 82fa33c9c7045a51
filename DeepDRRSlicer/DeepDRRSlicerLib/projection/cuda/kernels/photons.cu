// Histories of photons, one thread after another for each: the same walk as transport/histories.py, which explains it.
//
// photons_double draws the same numbers as the CPU and makes the same collisions, but for rounding; photons_float is
// for cards that are slow in double precision, and agrees within chance. Tallies are sums in double precision of
// whichever thread comes first, so that their last bits may differ from run to run.
#include "interactions.h"
#include "tracking.h"

constexpr double CUTOFF = 5.0;  // keV
constexpr int BINS_PER_KEV = 8;
enum Picture { PRIMARY, COMPTON, RAYLEIGH, MULTIPLE, VARIANCE_PRIMARY, VARIANCE_SCATTER, WALKED, WALKED_SCATTER };
enum Energy { EMITTED, DEPOSITED, ESCAPED, DETECTED };

// 64 numbers, as transport/card.py writes them. Vectors in RAS mm; to_index, to_ras: rows of 4.
template <typename real>
struct Setup {
    real source[3], corner[3], e_c[3], e_r[3], normal[3], pitch[2], field_pitch[2], to_index[12], to_ras[12], unused[21];
};

template <typename real>
struct Tables {
    const real *linear, *total, *compton, *rayleigh, *transfer, *incoherent, *coherent, *response, *spread;
    int bins, steps;
};

template <typename real>
__device__ bool hit(const Setup<real>& s, const real* point, const real* ray, int rows, int columns, int& cell) {
    real towards = 0, distance = 0;
    for (int a = 0; a < 3; a++) {
        towards += ray[a] * s.normal[a];
        distance += (s.corner[a] - point[a]) * s.normal[a];
    }
    if (towards <= 0 || distance <= 0) return false;
    real across = 0, down = 0;
    for (int a = 0; a < 3; a++) {
        const real on_plane = point[a] + ray[a] * distance / towards - s.corner[a];
        across += on_plane * s.e_c[a];
        down += on_plane * s.e_r[a];
    }
    const real row = floor(down / s.pitch[1]), column = floor(across / s.pitch[0]);
    if (!(0 <= row && row < rows && 0 <= column && column < columns)) return false;
    cell = (int)row * columns + (int)column;
    return true;
}

template <typename real>
__device__ void start(
    Stream<real>& stream, const Setup<real>& s, const real* field, int rows, int columns, real* ray) {
    while (true) {
        const real across = stream.uniform() * columns, down = stream.uniform() * rows;
        const real share = field[min((int)down, rows - 1) * columns + min((int)across, columns - 1)];
        if (share <= 0) continue;
        real squared = 0;
        for (int a = 0; a < 3; a++) {
            const real point = s.corner[a] + across * s.field_pitch[0] * s.e_c[a] + down * s.field_pitch[1] * s.e_r[a];
            ray[a] = point - s.source[a];
            squared += ray[a] * ray[a];
        }
        const real length = sqrt(squared);
        const real cosine = (ray[0] * s.normal[0] + ray[1] * s.normal[1] + ray[2] * s.normal[2]) / length;
        if (stream.uniform() < share * cosine * cosine * cosine) {
            for (int a = 0; a < 3; a++) ray[a] /= length;
            return;
        }
    }
}

template <typename real>
__device__ int drawn(Stream<real>& stream, const real* cumulative, int count) {
    const real wanted = stream.uniform();
    int low = 0, high = count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (cumulative[middle] <= wanted) low = middle;
        else high = middle;
    }
    return low;
}

template <typename real>
__device__ void transformed(const real* matrix, const real* from, bool shifted, real* to) {
    for (int a = 0; a < 3; a++) {
        to[a] = shifted ? matrix[4 * a + 3] : (real)0;
        for (int b = 0; b < 3; b++) to[a] += matrix[4 * a + b] * from[b];
    }
}

template <typename real>
__device__ void history(
    Stream<real> stream, const Setup<real>& s, const real* field, int field_rows, int field_columns,
    const real* tube_energies, const real* cumulative, int lines, const Voxels& body, const Tables<real>& t, int rows,
    int columns, double* pictures, double* energies, double* dose) {
    const int cells = rows * columns, materials = body.materials;
    const real largest = t.transfer[t.steps - 1];
    real point[3], ray[3], position[3], direction[3], other[3];
    int cell = 0;
    start(stream, s, field, field_rows, field_columns, ray);
    real energy = tube_energies[drawn(stream, cumulative, lines)];
    atomicAdd(energies + EMITTED, (double)energy);
    for (int a = 0; a < 3; a++) point[a] = s.source[a];
    transformed(s.to_index, point, true, position);
    transformed(s.to_index, ray, false, direction);
    const bool inside = enter(body, position, direction);
    int bin = (int)(energy * BINS_PER_KEV + (real)0.5);
    real seen = 1;
    if (inside) {
        for (int a = 0; a < 3; a++) other[a] = position[a];
        seen = transmission(stream, body, other, direction, t.linear + bin, t.bins);
    }
    if (hit(s, s.source, ray, rows, columns, cell)) {
        atomicAdd(pictures + PRIMARY * cells + cell, (double)(seen * t.response[bin]));
        atomicAdd(pictures + VARIANCE_PRIMARY * cells + cell, (double)(seen * t.spread[bin]));
    }
    for (int collisions = 0;; collisions++) {
        if (!inside || !fly(stream, body, position, direction, t.linear + bin, t.bins)) {
            if (collisions == 0)
                for (int a = 0; a < 3; a++) point[a] = s.source[a];
            else
                transformed(s.to_ras, position, true, point);
            if (hit(s, point, ray, rows, columns, cell)) {
                atomicAdd(energies + DETECTED, (double)energy);
                atomicAdd(pictures + (collisions ? WALKED_SCATTER : WALKED) * cells + cell, (double)t.response[bin]);
            } else {
                atomicAdd(energies + ESCAPED, (double)energy);
            }
            return;
        }
        const size_t voxel = body.voxel(position);
        const unsigned short* density = body.density + voxel * materials;
        real here = 0;
        for (int m = 0; m < materials; m++) here += density[m] * t.linear[m * t.bins + bin];
        real wanted = stream.uniform() * here;
        int material = materials - 1;
        for (int m = 0; m < materials; m++) {
            const real part = density[m] * t.linear[m * t.bins + bin];
            if (wanted < part) {
                material = m;
                break;
            }
            wanted -= part;
        }
        const real chance = stream.uniform() * t.total[material * t.bins + bin];
        const real scatters = t.compton[material * t.bins + bin];
        if (chance >= scatters + t.rayleigh[material * t.bins + bin] || energy < (real)CUTOFF) {
            atomicAdd(energies + DEPOSITED, (double)energy);
            if (dose) atomicAdd(dose + voxel, (double)energy);
            return;
        }
        transformed(s.to_ras, position, true, point);
        Picture kind = MULTIPLE;
        if (chance < scatters) {
            if (collisions == 0) kind = COMPTON;
            const real cosine = compton_cosine(stream, energy, t.incoherent + material * t.steps, t.steps, largest);
            const real after = energy * compton_ratio(energy, cosine);
            atomicAdd(energies + DEPOSITED, (double)(energy - after));
            if (dose) atomicAdd(dose + voxel, (double)(energy - after));
            deflect(stream, ray, cosine);
            energy = after;
            bin = (int)(energy * BINS_PER_KEV + (real)0.5);
        } else {
            if (collisions == 0) kind = RAYLEIGH;
            deflect(stream, ray, rayleigh_cosine(stream, energy, t.coherent + material * t.steps, t.transfer, t.steps));
        }
        transformed(s.to_index, ray, false, direction);
        if (hit(s, point, ray, rows, columns, cell)) {
            for (int a = 0; a < 3; a++) other[a] = position[a];
            seen = transmission(stream, body, other, direction, t.linear + bin, t.bins);
            atomicAdd(pictures + kind * cells + cell, (double)(seen * t.response[bin]));
            atomicAdd(pictures + VARIANCE_SCATTER * cells + cell, (double)(seen * t.spread[bin]));
        }
    }
}

// Follows `count` photons, numbered from `first`. pictures: (8, rows, columns), in the order of Picture; energies (4).
// dose: (k, j, i) keV, where `with_dose`. tables: total, compton, rayleigh, linear (m, bins each), response, spread
// (bins), transfer (steps), incoherent, coherent (m, steps), in this order. lines: of the tube's spectrum.
#define PHOTONS(NAME, real)                                                                                            \
    extern "C" __global__ void NAME(                                                                                   \
        const real* setup, const real* field, const real* tube_energies, const real* cumulative,                       \
        const unsigned short* density, const float* highest, const float* mean, const float* deviation,                \
        const real* tables, double* pictures, double* energies, double* dose, int field_rows, int field_columns,       \
        int lines, int n_k, int n_j, int n_i, int materials, int bins, int steps, int rows, int columns, int with_dose, \
        unsigned long long seed, unsigned long long first, unsigned long long count) {                                 \
        const Voxels body = {density, highest, mean, deviation, {n_k, n_j, n_i}, materials};                           \
        const int of_material = materials * bins;                                                                      \
        const real* rest = tables + 4 * of_material;                                                                   \
        const Tables<real> t = {tables + 3 * of_material, tables, tables + of_material, tables + 2 * of_material,      \
                                rest + 2 * bins, rest + 2 * bins + steps, rest + 2 * bins + steps + materials * steps,  \
                                rest, rest + bins, bins, steps};                                                       \
        const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;                                  \
        for (unsigned long long n = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; n < count; n += stride)  \
            history<real>(                                                                                             \
                Stream<real>(seed, first + n), *(const Setup<real>*)setup, field, field_rows, field_columns,           \
                tube_energies, cumulative, lines, body, t, rows, columns, pictures, energies, with_dose ? dose : nullptr); \
    }

PHOTONS(photons_double, double)
PHOTONS(photons_float, float)
