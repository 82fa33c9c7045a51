// What passes an object, energy by energy: the sum that physics/primary.py makes.
#pragma once

// area: density of channel 0 of one pixel, the next channels `pixels` further on each. node: nodes x (channels + layers
// + 2): minus mass attenuation of each channel, of the layer, and what the energy adds to mean and variance. layer:
// area density of one more material. Returns mean and variance.
__device__ __forceinline__ float2 passing_moments(
    const float* area, const float* node, float layer, size_t pixels, int channels, int nodes, int layers) {
    const int width = channels + layers + 2;
    float2 sum = make_float2(0.0f, 0.0f);
    for (int n = 0; n < nodes; n++, node += width) {
        float exponent = layers ? node[channels] * layer : 0.0f;
        for (int c = 0; c < channels; c++) exponent += node[c] * area[(size_t)c * pixels];
        const float passing = expf(exponent);
        sum.x += node[width - 2] * passing;
        sum.y += node[width - 1] * passing;
    }
    return sum;
}
