"""Flights through the body: Woodcock tracking with a bound of its own for every block of voxels.

A photon flies as if the block were filled with the largest attenuation in it, and each collision is real only with
the chance that the voxel's own attenuation is of the bound (Woodcock et al., ANL-7050, 1965). At the border of a
block the flight begins anew, which changes nothing because it has no memory: so a screw of steel slows the photons
in its own block alone, and air costs one step per block. What a ray loses on its way out is estimated with the
block's mean as control (residual ratio tracking, Novak et al., Comput Graph Forum 33:4, 2014): exact, and one step,
where a block is of one material.

Positions are in voxels, 0 to n along i, j, k, voxel v reaching from v to v + 1. Directions are in voxels per mm.
"""

from __future__ import annotations

import math

from DeepDRRSlicerLib.projection.compiled import kernel
from DeepDRRSlicerLib.transport.body import BLOCK
from DeepDRRSlicerLib.transport.random import uniform

_BEYOND = 1e-7  # voxels past a border
_FAINT = 1e-3  # transmission from which on chance decides whether a ray is followed


@kernel
def enter(position, direction, shape):
    """Moves a position to where its ray enters the volume of `shape` (k, j, i) voxels; False where it passes by."""
    near, far = 0.0, math.inf
    for axis in range(3):
        end = float(shape[2 - axis])
        if direction[axis] == 0.0:
            if not 0.0 <= position[axis] < end:
                return False
            continue
        first, last = -position[axis] / direction[axis], (end - position[axis]) / direction[axis]
        if first > last:
            first, last = last, first
        near, far = max(near, first), min(far, last)
    if near >= far:
        return False
    for axis in range(3):
        moved = position[axis] + near * direction[axis]
        position[axis] = min(max(moved, 0.0), shape[2 - axis] - _BEYOND)
    return True


@kernel
def attenuation(density, position, linear, energy_bin):
    """1/mm in the voxel at a position; density (k, j, i, m) in units of linear (m, bins)."""
    i, j, k = int(position[0]), int(position[1]), int(position[2])
    total = 0.0
    for m in range(linear.shape[0]):
        total += density[k, j, i, m] * linear[m, energy_bin]
    return total


@kernel
def _border(position, direction):
    """mm to the border of the block at a position, and the axis along which it is crossed."""
    border, crossed = math.inf, 0
    for axis in range(3):
        if direction[axis] == 0.0:
            continue
        block = int(position[axis]) // BLOCK
        edge = (block + 1) * BLOCK if direction[axis] > 0.0 else block * BLOCK
        distance = (edge - position[axis]) / direction[axis]
        if distance < border:
            border, crossed = distance, axis
    return max(border, 0.0), crossed


@kernel
def _of_block(blocks, position, linear, energy_bin):
    """1/mm: the attenuation that a quantity of the blocks (k, j, i, m) stands for, at a position."""
    i, j, k = int(position[0]) // BLOCK, int(position[1]) // BLOCK, int(position[2]) // BLOCK
    total = 0.0
    for m in range(linear.shape[0]):
        total += blocks[k, j, i, m] * linear[m, energy_bin]
    return total


@kernel
def _advance(position, direction, shape, step):
    """Moves a position within its block; rounding must not carry it out of the volume."""
    for axis in range(3):
        moved = position[axis] + step * direction[axis]
        position[axis] = min(max(moved, 0.0), shape[2 - axis] - _BEYOND)


@kernel
def _cross(position, direction, shape, border, crossed):
    """Moves a position just past the border of its block; False where that leaves the volume."""
    for axis in range(3):
        position[axis] += border * direction[axis]
    if direction[crossed] > 0.0:
        position[crossed] = round(position[crossed] / BLOCK) * BLOCK + _BEYOND
    else:
        position[crossed] = round(position[crossed] / BLOCK) * BLOCK - _BEYOND
    for axis in range(3):
        if not 0.0 <= position[axis] < shape[2 - axis]:
            return False
    return True


@kernel
def fly(stream, position, direction, energy_bin, density, highest, linear):
    """Moves a position inside the volume to the next collision; False where the photon leaves the volume.

    highest: (k, j, i, m), the largest density of each material in each block.
    """
    shape = density.shape
    while True:
        bound = _of_block(highest, position, linear, energy_bin)
        border, crossed = _border(position, direction)
        while bound > 0.0:
            step = -math.log(1.0 - uniform(stream)) / bound
            if step >= border:
                break
            border -= step
            _advance(position, direction, shape, step)
            if uniform(stream) * bound < attenuation(density, position, linear, energy_bin):
                return True
        if not _cross(position, direction, shape, border, crossed):
            return False


@kernel
def transmission(stream, position, direction, energy_bin, density, mean, deviation, linear):
    """An estimate, right on average, of the share of photons that leave the volume from here without a collision.

    mean, deviation: (k, j, i, m), the mean density of each material in each block, and the largest distance from it.
    The position moves.
    """
    shape = density.shape
    left = 1.0
    while True:
        control = _of_block(mean, position, linear, energy_bin)
        residual = _of_block(deviation, position, linear, energy_bin)
        border, crossed = _border(position, direction)
        left *= math.exp(-control * border)
        while residual > 0.0:
            step = -math.log(1.0 - uniform(stream)) / residual
            if step >= border:
                break
            border -= step
            _advance(position, direction, shape, step)
            left *= 1.0 - (attenuation(density, position, linear, energy_bin) - control) / residual
        if left < _FAINT:
            if uniform(stream) * _FAINT >= left:
                return 0.0
            left = _FAINT
        if not _cross(position, direction, shape, border, crossed):
            return left
