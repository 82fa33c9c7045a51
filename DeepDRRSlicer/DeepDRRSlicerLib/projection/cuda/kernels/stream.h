// Random numbers of a history: the stream of transport/random.py (SplitMix64), bit for bit.
#pragma once

template <typename real>
struct Stream {
    unsigned long long state;

    static __device__ unsigned long long mixed(unsigned long long bits) {
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
        return bits ^ (bits >> 31);
    }

    __device__ Stream(unsigned long long seed, unsigned long long history)
        : state(mixed(seed * 0x9E3779B97F4A7C15ull + mixed(history + 0x9E3779B97F4A7C15ull))) {}

    // From 0 to below 1, in as many bits as the type holds.
    __device__ real uniform();
};

template <>
__device__ inline double Stream<double>::uniform() {
    state += 0x9E3779B97F4A7C15ull;
    return (double)(mixed(state) >> 11) * (1.0 / 9007199254740992.0);
}

template <>
__device__ inline float Stream<float>::uniform() {
    state += 0x9E3779B97F4A7C15ull;
    return (float)(mixed(state) >> 40) * (1.0f / 16777216.0f);
}
