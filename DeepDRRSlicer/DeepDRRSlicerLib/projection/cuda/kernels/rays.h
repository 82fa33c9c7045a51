// Rays of a cone beam through a box of voxels.
//
// A ray is followed plane by plane across the axis w of the array along which it is steepest, upwards, wherever it
// comes from: an integral does not ask for the direction. Double precision serves the set-up of a ray alone, so that a
// source a kilometre away (parallel rays) is as good as one nearby; what follows is in floats, counted from a plane
// within the box.
#pragma once

// A view, in voxel indices (i, j, k) of the texture. source; towards: from it to the centre of pixel (0, 0); step_c,
// step_r: how that changes per column and per row; bias: which axis is preferred where a ray is as steep along two.
// The same 16 doubles as projection/cuda/records.py writes.
struct View {
    double source[3], towards[3], step_c[3], step_r[3], bias[3], unused;
};

// A texture. index_to_cm: row by row, cm per voxel. scale: g/cm3 of the largest 16-bit value of each channel. size:
// voxels along i, j, k. Again 16 doubles.
struct Volume {
    double index_to_cm[9], scale[4], size[3];
};

struct Ray {
    double source[3], way[3];  // voxel indices; way: from the source to the pixel
    double slope[3];  // per plane; 1 along the axis
    int axis;
    double cm;  // length of the ray from plane to plane
    double low, high;  // where it is in the box and before the detector, along the axis; low >= high where nowhere
    bool whole;  // whether it leaves the box at both ends, where the density is zero
};

__device__ __forceinline__ void narrow(double from, double slope, double first, double end, double& low, double& high) {
    // To where from + slope s lies between first and end, s along the axis.
    if (slope == 0.0) {
        if (from <= first || from >= end) high = low;
        return;
    }
    const double a = (first - from) / slope, b = (end - from) / slope;
    low = fmax(low, fmin(a, b));
    high = fmin(high, fmax(a, b));
}

__device__ inline Ray ray_of(const View& view, const Volume& volume, int column, int row) {
    Ray ray;
    double steepest = -1.0;
    ray.axis = 0;
    for (int a = 0; a < 3; a++) {
        ray.source[a] = view.source[a];
        ray.way[a] = view.towards[a] + view.step_c[a] * column + view.step_r[a] * row;
        const double steep = fabs(ray.way[a]) * (1.0 + view.bias[a]);
        if (steep > steepest) {
            steepest = steep;
            ray.axis = a;
        }
    }
    // Not ray.way[ray.axis]: an index known only at run time would put the array into local memory.
    const double along = ray.axis == 0 ? ray.way[0] : ray.axis == 1 ? ray.way[1] : ray.way[2];
    const double from = ray.axis == 0 ? ray.source[0] : ray.axis == 1 ? ray.source[1] : ray.source[2];
    ray.low = fmin(from, from + along);
    ray.high = fmax(from, from + along);
    double square = 0.0;
    for (int a = 0; a < 3; a++) {
        ray.slope[a] = ray.axis == a ? 1.0 : ray.way[a] / along;
        // The density falls to zero one voxel beyond the outermost centres.
        narrow(ray.source[a] - from * ray.slope[a], ray.slope[a], -1.0, volume.size[a], ray.low, ray.high);
    }
    for (int a = 0; a < 3; a++) {
        const double* to_cm = volume.index_to_cm + 3 * a;
        const double cm = to_cm[0] * ray.slope[0] + to_cm[1] * ray.slope[1] + to_cm[2] * ray.slope[2];
        square += cm * cm;
    }
    ray.cm = sqrt(square);
    ray.whole = ray.low > fmin(from, from + along) && ray.high < fmax(from, from + along);
    return ray;
}

// A ray as the integrators follow it: at s planes above the plane `base` it is at start + s step, in texels, where
// the first centre lies at 0.5. low, high: the part to integrate, in s. whole: whether the density is zero at both ends.
struct Path {
    int axis;
    bool whole;
    float start[3], step[3];
    float low, high;
};

__device__ __forceinline__ Path path_of(const Ray& ray, double low, double high) {
    Path path;
    path.axis = ray.axis;
    path.whole = ray.whole && low == ray.low && high == ray.high;
    const double base = floor(low);
    const double from = ray.axis == 0 ? ray.source[0] : ray.axis == 1 ? ray.source[1] : ray.source[2];
    for (int a = 0; a < 3; a++) {
        // Exact along the axis itself, where planes must be met without rounding.
        const double at = ray.axis == a ? base : ray.source[a] + (base - from) * ray.slope[a];
        path.start[a] = (float)(at + 0.5);
        path.step[a] = (float)ray.slope[a];
    }
    path.low = (float)(low - base);
    path.high = (float)(high - base);
    return path;
}
