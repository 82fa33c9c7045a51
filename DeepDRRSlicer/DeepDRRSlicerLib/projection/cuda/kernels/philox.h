// Random numbers by place: the same for the same (seed, frame, pixel, purpose), in whatever order pixels are computed.
//
// Philox4x32-10: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011.
#pragma once

__device__ __forceinline__ uint4 philox(uint4 counter, uint2 key) {
    for (int round = 0; round < 10; round++) {
        const unsigned low_0 = 0xD2511F53u * counter.x, high_0 = __umulhi(0xD2511F53u, counter.x);
        const unsigned low_1 = 0xCD9E8D57u * counter.z, high_1 = __umulhi(0xCD9E8D57u, counter.z);
        counter = make_uint4(high_1 ^ counter.y ^ key.x, low_1, high_0 ^ counter.w ^ key.y, low_0);
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    return counter;
}

// From above 0 to 1, both sides in steps of 2^-32 or of a float's rounding.
__device__ __forceinline__ float open_uniform(unsigned bits) { return fmaf((float)bits, 2.3283064e-10f, 1.1641532e-10f); }

// A standard normal number (Box and Muller).
__device__ __forceinline__ float normal_of(unsigned a, unsigned b) {
    return sqrtf(-2.0f * logf(fminf(open_uniform(a), 1.0f))) * cospif(2.0f * open_uniform(b));
}

// A Poisson number of a small mean, by adding up probabilities until they exceed the uniform number.
__device__ __forceinline__ float poisson_of(float mean, unsigned bits) {
    const float wanted = open_uniform(bits);
    float probability = expf(-mean), sum = probability, number = 0.0f;
    while (sum < wanted && number < 100.0f) {
        number += 1.0f;
        probability *= mean / number;
        sum += probability;
    }
    return number;
}
