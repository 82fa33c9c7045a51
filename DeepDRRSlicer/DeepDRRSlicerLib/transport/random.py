"""Random numbers of a history: a stream of its own for every (seed, history), the same on every machine.

SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a counter that grows by an odd constant, and a mixer of its bits.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.projection.compiled import kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_KEEP_53 = np.uint64(11)
_UNIT = 1.0 / 9007199254740992.0  # 2 to the power of -53


@kernel
def mixed(bits):
    """The bits of a uint64, well mixed."""
    bits = (bits ^ (bits >> _SHIFT_1)) * _MIX_1
    bits = (bits ^ (bits >> _SHIFT_2)) * _MIX_2
    return bits ^ (bits >> _SHIFT_3)


@kernel
def begin(stream, seed, history):
    """Sets the stream, a (1,) uint64, to the start of a history's own numbers."""
    stream[0] = mixed(np.uint64(seed) * _STEP + mixed(np.uint64(history) + _STEP))


@kernel
def uniform(stream):
    """The next number of the stream, from 0 to below 1."""
    stream[0] += _STEP
    return (mixed(stream[0]) >> _KEEP_53) * _UNIT
