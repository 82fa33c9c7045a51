// Where one ray crosses closed triangle surfaces, as projection/mesh_crossings.py finds them, to the bit.
//
// A triangle is cut by the row of the pixel; a row or a column that passes a vertex or an edge exactly belongs to one
// side of it, by the same rule for both triangles that share it. What is computed of an edge runs from its upper to
// its lower end, by operations that the compiler must not fuse (an edge would otherwise differ from triangle to
// triangle): so no ray slips between two triangles, and none meets both. Doubles cost little: few pixels lie behind
// tools, and few triangles before each.
#pragma once

constexpr int MOST_CROSSINGS = 96;  // of one ray; a view with more is left to the CPU
constexpr int MOST_BODIES = 64;     // tools, likewise

// A corner of a triangle: column and row in pixels, and inverse depth, 1 on the detector.
struct Point {
    double column, row, inverse;
};

// Corners, and the first row and column that the triangle covers and the ends; body: whose surface it is, from 0.
struct Face {
    int a, b, c, body, top, bottom, left, right;
};

// Sorted by depth, 0 at the source and 1 at the detector. label: body + 1 with the sign of the crossing.
struct Crossings {
    double depth[MOST_CROSSINGS];
    int label[MOST_CROSSINGS];
    int count;  // may be larger than MOST_CROSSINGS, of which then nothing is known
};

struct Place {
    double column, inverse;
};

__device__ __forceinline__ Place on_edge(const Point& upper, const Point& lower, double row) {
    const double share = __ddiv_rn(__dsub_rn(row, upper.row), __dsub_rn(lower.row, upper.row));
    return {
        __dadd_rn(upper.column, __dmul_rn(__dsub_rn(lower.column, upper.column), share)),
        __dadd_rn(upper.inverse, __dmul_rn(__dsub_rn(lower.inverse, upper.inverse), share))};
}

// Adds the crossing of a ray with a face, if there is one, in its order.
__device__ inline void add_crossing(
    const Point* points, const Face& face, int column, int row, Crossings& crossings) {
    const Point a = points[face.a], b = points[face.b], c = points[face.c];
    const bool a_above = a.row <= row, b_above = b.row <= row, c_above = c.row <= row;
    // The edge that goes down through the row and the one that goes up: one of each.
    Place from = a_above && !b_above ? on_edge(a, b, row) : b_above && !c_above ? on_edge(b, c, row) : on_edge(c, a, row);
    Place to = b_above && !a_above ? on_edge(b, a, row) : c_above && !b_above ? on_edge(c, b, row) : on_edge(a, c, row);
    int label = face.body + 1;
    if (to.column < from.column) {
        const Place other = from;
        from = to;
        to = other;
        label = -label;
    }
    if (!(column >= from.column && column < to.column)) return;
    const double slope = __ddiv_rn(__dsub_rn(to.inverse, from.inverse), __dsub_rn(to.column, from.column));
    const double inverse = __dadd_rn(from.inverse, __dmul_rn(__dsub_rn(column, from.column), slope));
    const double depth = __ddiv_rn(1.0, inverse);
    int at = crossings.count++;
    if (at >= MOST_CROSSINGS) return;
    for (; at > 0 && crossings.depth[at - 1] > depth; at--) {
        crossings.depth[at] = crossings.depth[at - 1];
        crossings.label[at] = crossings.label[at - 1];
    }
    crossings.depth[at] = depth;
    crossings.label[at] = label;
}

// Gives each piece of the ray to one body: crossings.label[n] becomes the body, from 0, that holds the piece which ends
// at crossing n, or -1. Inside is where a surface winds around the ray any number of times but 0; where bodies overlap,
// the last one has the place. What lies before the source or behind the detector is cut off: depths are made to fit.
__device__ inline void give_to_bodies(Crossings& crossings, int bodies) {
    short winding[MOST_BODIES];
    for (int body = 0; body < bodies; body++) winding[body] = 0;
    // Where the source stands: the opposite of all that is still to be crossed.
    for (int n = 0; n < crossings.count; n++)
        winding[abs(crossings.label[n]) - 1] -= crossings.label[n] > 0 ? 1 : -1;
    double at = 0.0;
    for (int n = 0; n < crossings.count; n++) {
        const int label = crossings.label[n];
        int body = bodies - 1;
        while (body >= 0 && winding[body] == 0) body--;
        at = fmax(at, fmin(crossings.depth[n], 1.0));
        crossings.depth[n] = at;
        crossings.label[n] = body;
        winding[abs(label) - 1] += label > 0 ? 1 : -1;
    }
}
