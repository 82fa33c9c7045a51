// Tools in the beam: closed surfaces of one material that displace the tissue they stand in, as
// projection/tools.insert_tools puts them in.
//
// A block looks at one tile of the image, for which the host has listed the faces that may cross it; a thread at one
// pixel. Tissue between the exact places of entry and exit is integrated by the same rule as the projection itself.
#include "crossings.h"
#include "integrate.h"

constexpr int TILE = 8;  // pixels along a side

// View, first pixel, and the range of the list of faces.
struct Tile {
    int view, column, row, first, end;
};

// Channel of the image that each tool belongs to, and its g/cm3.
struct Body {
    int channel;
    float density;
};

typedef void (*Integral)(cudaTextureObject_t, const Path&, float*);

// Takes the tissue in all bodies from the pixel. left: what may remain, see the arguments of the kernels.
template <int CHANNELS, Integral ADD>
__device__ __forceinline__ void displace(
    cudaTextureObject_t texels, const Volume& volume, const Ray& ray, const Crossings& crossings, int count, float part,
    float area, int at_least_zero, float* pixel, size_t plane) {
    float sum[CHANNELS] = {};
    const double from = ray.axis == 0 ? ray.source[0] : ray.axis == 1 ? ray.source[1] : ray.source[2];
    const double along = ray.axis == 0 ? ray.way[0] : ray.axis == 1 ? ray.way[1] : ray.way[2];
    double entry = 0.0;
    for (int n = 0; n < crossings.count; n++) {
        const double before = n ? crossings.depth[n - 1] : 0.0;
        if (crossings.label[n] < 0) continue;
        if (n == 0 || crossings.label[n - 1] < 0) entry = before;
        if (n + 1 < crossings.count && crossings.label[n + 1] >= 0) continue;  // on into the next body
        const double a = from + entry * along, b = from + crossings.depth[n] * along;
        const double low = fmax(ray.low, fmin(a, b)), high = fmin(ray.high, fmax(a, b));
        if (low < high) ADD(texels, path_of(ray, low, high), sum);
    }
    for (int c = 0; c < CHANNELS; c++) {
        if (c >= count || sum[c] == 0.0f) continue;
        const float taken = sum[c] * (float)(ray.cm * volume.scale[c]);
        const float left = pixel[c * plane] - taken;
        const bool rounding = -left <= fmaxf(part * taken, area);
        pixel[c * plane] = left < 0.0f && (rounding || at_least_zero) ? 0.0f : left;
    }
}

template <int CHANNELS, Integral ADD>
__device__ __forceinline__ void insert(
    cudaTextureObject_t texels, const Volume* volume, const View* views, const Point* points, const Face* faces,
    const Tile* tiles, const int* listed, const Body* bodies, float* image, int* crowded, int rows, int columns,
    int channels, int first, int count, int tools, int last, float part, float area, int at_least_zero) {
    const Tile tile = tiles[blockIdx.x];
    const int column = tile.column + threadIdx.x, row = tile.row + threadIdx.y;
    if (column >= columns || row >= rows) return;
    Crossings crossings;
    crossings.count = 0;
    for (int n = tile.first; n < tile.end; n++) {
        const Face face = faces[listed[n]];
        if (row >= face.top && row < face.bottom && column >= face.left && column < face.right)
            add_crossing(points, face, column, row, crossings);
    }
    if (crossings.count == 0) return;
    if (crossings.count > MOST_CROSSINGS) {
        crowded[tile.view] = 1;
        return;
    }
    give_to_bodies(crossings, tools);
    const Ray ray = ray_of(views[tile.view], *volume, column, row);
    const size_t plane = (size_t)rows * columns;
    float* pixel = image + (size_t)tile.view * channels * plane + (size_t)row * columns + column;
    displace<CHANNELS, ADD>(
        texels, *volume, ray, crossings, count, part, area, at_least_zero, pixel + first * plane, plane);
    if (!last) return;
    // All of the tissue is taken: the tools themselves, whose material may be one of the volume's.
    double square = 0.0;
    for (int a = 0; a < 3; a++) {
        const double* to_cm = volume->index_to_cm + 3 * a;
        const double cm = to_cm[0] * ray.way[0] + to_cm[1] * ray.way[1] + to_cm[2] * ray.way[2];
        square += cm * cm;
    }
    const double cm = sqrt(square);
    for (int n = 0; n < crossings.count; n++) {
        if (crossings.label[n] < 0) continue;
        const Body body = bodies[crossings.label[n]];
        const double length = (crossings.depth[n] - (n ? crossings.depth[n - 1] : 0.0)) * cm;
        pixel[body.channel * plane] += (float)(length * body.density);
    }
}

// part, area: a deficit of up to this part of what is displaced, or this many g/cm2, becomes 0, and with at_least_zero
// any does. last: whether these are the last channels of the volume. crowded: (views,), set where rays have too many
// crossings; such a view is not complete.
#define TOOLS(NAME, CHANNELS, INTEGRAL)                                                                               \
    extern "C" __global__ void __launch_bounds__(TILE * TILE) NAME##_##CHANNELS(                                      \
        cudaTextureObject_t texels, const Volume* volume, const View* views, const Point* points, const Face* faces,  \
        const Tile* tiles, const int* listed, const Body* bodies, float* image, int* crowded, int rows, int columns,  \
        int channels, int first, int count, int tools, int last, float part, float area, int at_least_zero) {         \
        insert<CHANNELS, INTEGRAL<CHANNELS>>(                                                                         \
            texels, volume, views, points, faces, tiles, listed, bodies, image, crowded, rows, columns, channels,     \
            first, count, tools, last, part, area, at_least_zero);                                                    \
    }

TOOLS(tools, 1, add_by_filter)
TOOLS(tools, 2, add_by_filter)
TOOLS(tools, 4, add_by_filter)
TOOLS(exact_tools, 1, add_exactly)
TOOLS(exact_tools, 2, add_exactly)
TOOLS(exact_tools, 4, add_exactly)
