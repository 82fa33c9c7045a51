"""Histories of photons, from the focal spot until nothing is left of them.

The walk is analog: photons are absorbed, deflected or gone, and each deposits exactly what it loses, so that energy is
conserved. The pictures count more than those few photons that arrive: wherever a photon sets out, from the source or
from a collision, and looks at the detector, the share that would get there at once is added. The walk's own hits are
kept as a picture beside it, which checks that estimate.
"""

from __future__ import annotations

import math

from DeepDRRSlicerLib.projection.compiled import kernel
from DeepDRRSlicerLib.transport.cross_sections import BINS_PER_KEV
from DeepDRRSlicerLib.transport.interactions import (
    compton_cosine,
    compton_ratio,
    deflect,
    rayleigh_cosine,
)
from DeepDRRSlicerLib.transport.random import begin, uniform
from DeepDRRSlicerLib.transport.tracking import enter, fly, transmission

CUTOFF = 5.0  # keV: a photon of less is absorbed where it is, within 0.2 mm of tissue
PRIMARY, COMPTON, RAYLEIGH, MULTIPLE = 0, 1, 2, 3  # pictures
EMITTED, DEPOSITED, ESCAPED, DETECTED = 0, 1, 2, 3  # energies


@kernel
def _start(stream, source, corner, e_c, e_r, normal, sid, field, field_pitch, ray):
    """A direction (3,) out of the source into the field, spread evenly over the solid angle."""
    rows, columns = field.shape
    while True:
        across = uniform(stream) * columns
        down = uniform(stream) * rows
        share = field[min(int(down), rows - 1), min(int(across), columns - 1)]
        if share <= 0.0:
            continue
        squared = 0.0
        for axis in range(3):
            point = corner[axis] + across * field_pitch[0] * e_c[axis] + down * field_pitch[1] * e_r[axis]
            ray[axis] = point - source[axis]
            squared += ray[axis] * ray[axis]
        length = math.sqrt(squared)
        cosine = (ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]) / length
        if uniform(stream) < share * cosine**3:
            for axis in range(3):
                ray[axis] /= length
            return


@kernel
def _drawn(stream, cumulative):
    """A bin of a spectrum with (n + 1,) running shares from 0 to 1."""
    wanted = uniform(stream)
    low, high = 0, cumulative.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if cumulative[middle] <= wanted:
            low = middle
        else:
            high = middle
    return low


@kernel
def _hit(point, ray, corner, e_c, e_r, normal, pitch, rows, columns, cell):
    """Whether a ray from a point (3,) in RAS meets the detector from its front; cell (2,) becomes (row, column)."""
    towards, distance = 0.0, 0.0
    for axis in range(3):
        towards += ray[axis] * normal[axis]
        distance += (corner[axis] - point[axis]) * normal[axis]
    if towards <= 0.0 or distance <= 0.0:
        return False
    across, down = 0.0, 0.0
    for axis in range(3):
        on_plane = point[axis] + ray[axis] * distance / towards - corner[axis]
        across += on_plane * e_c[axis]
        down += on_plane * e_r[axis]
    cell[0], cell[1] = math.floor(down / pitch[1]), math.floor(across / pitch[0])
    return 0 <= cell[0] < rows and 0 <= cell[1] < columns


@kernel
def _to_voxels(to_index, point, ray, position, direction):
    """Point and direction in RAS mm as position in voxels and direction in voxels per mm; to_index (3, 4)."""
    for axis in range(3):
        position[axis] = to_index[axis, 3]
        direction[axis] = 0.0
        for other in range(3):
            position[axis] += to_index[axis, other] * point[other]
            direction[axis] += to_index[axis, other] * ray[other]


@kernel
def _to_ras(to_ras, position, point):
    for axis in range(3):
        point[axis] = to_ras[axis, 3]
        for other in range(3):
            point[axis] += to_ras[axis, other] * position[other]


@kernel
def run(
    seed, first, count, source, corner, e_c, e_r, normal, sid, pitch, field, field_pitch, tube_energies, cumulative,
    density, highest, mean, deviation, to_index, to_ras, linear, total, compton, rayleigh, transfer, incoherent,
    coherent, response, spread, pictures, variances, walked, energies, dose, work, stream,
):  # fmt: skip
    """Follows `count` photons, numbered from `first`, and adds what they do to the tallies.

    source, corner (of the picture), e_c, e_r, normal: (3,) RAS mm. pitch: (2,) mm of a cell of the tallies along e_c
    and e_r. field: (rows, columns) 0 to 1, share of the tube's photons that pass the shutters, over the same detector,
    in cells of field_pitch. tube_energies: (n,) keV; cumulative: (n + 1,) running shares. density, highest, mean,
    deviation: see tracking. linear: (m, bins) 1/mm per unit of density; total, compton, rayleigh: (m, bins) cm2/g.
    response, spread: (bins,) keV and keV2 that the detector makes of a photon.
    pictures (4, rows, columns): keV by kind; variances (2, rows, columns): keV2 of primary and scatter; walked
    (2, rows, columns): the walk's own hits. energies (4,): keV emitted, deposited, escaped, arrived at the detector.
    dose: (k, j, i) keV deposited, or of size 0. work: (6, 3) float64 and stream: (1,) uint64, scratch.
    """
    rows, columns = pictures.shape[1], pictures.shape[2]
    point, ray, position, direction, other, cell = work[0], work[1], work[2], work[3], work[4], work[5]
    shape = density.shape
    largest = transfer[-1]
    for history in range(first, first + count):
        begin(stream, seed, history)
        _start(stream, source, corner, e_c, e_r, normal, sid, field, field_pitch, ray)
        energy = tube_energies[_drawn(stream, cumulative)]
        energies[EMITTED] += energy
        for axis in range(3):
            point[axis] = source[axis]
        _to_voxels(to_index, point, ray, position, direction)
        inside = enter(position, direction, shape)
        energy_bin = int(energy * BINS_PER_KEV + 0.5)

        seen = 1.0
        if inside:
            for axis in range(3):
                other[axis] = position[axis]
            seen = transmission(stream, other, direction, energy_bin, density, mean, deviation, linear)
        if _hit(source, ray, corner, e_c, e_r, normal, pitch, rows, columns, cell):
            pictures[PRIMARY, int(cell[0]), int(cell[1])] += seen * response[energy_bin]
            variances[0, int(cell[0]), int(cell[1])] += seen * spread[energy_bin]

        collisions, kind = 0, PRIMARY
        while True:
            if not inside or not fly(stream, position, direction, energy_bin, density, highest, linear):
                _to_ras(to_ras, position, point)
                if collisions == 0:
                    for axis in range(3):
                        point[axis] = source[axis]
                if _hit(point, ray, corner, e_c, e_r, normal, pitch, rows, columns, cell):
                    energies[DETECTED] += energy
                    walked[min(collisions, 1), int(cell[0]), int(cell[1])] += response[energy_bin]
                else:
                    energies[ESCAPED] += energy
                break

            # Which material, and which kind of collision: by their shares of the attenuation here.
            i, j, k = int(position[0]), int(position[1]), int(position[2])
            here = 0.0
            for m in range(linear.shape[0]):
                here += density[k, j, i, m] * linear[m, energy_bin]
            wanted = uniform(stream) * here
            material = linear.shape[0] - 1
            for m in range(linear.shape[0]):
                part = density[k, j, i, m] * linear[m, energy_bin]
                if wanted < part:
                    material = m
                    break
                wanted -= part
            chance = uniform(stream) * total[material, energy_bin]
            scatters = compton[material, energy_bin]
            if chance >= scatters + rayleigh[material, energy_bin] or energy < CUTOFF:
                energies[DEPOSITED] += energy
                if dose.size:
                    dose[k, j, i] += energy
                break
            _to_ras(to_ras, position, point)

            if chance < scatters:
                kind = COMPTON if collisions == 0 else MULTIPLE
                cosine = compton_cosine(stream, energy, incoherent[material], largest)
                after = energy * compton_ratio(energy, cosine)
                energies[DEPOSITED] += energy - after
                if dose.size:
                    dose[k, j, i] += energy - after
                deflect(stream, ray, cosine)
                energy = after
                energy_bin = int(energy * BINS_PER_KEV + 0.5)
            else:
                kind = RAYLEIGH if collisions == 0 else MULTIPLE
                deflect(stream, ray, rayleigh_cosine(stream, energy, coherent[material], transfer))

            for axis in range(3):
                direction[axis] = 0.0
                for column in range(3):
                    direction[axis] += to_index[axis, column] * ray[column]
            if _hit(point, ray, corner, e_c, e_r, normal, pitch, rows, columns, cell):
                for axis in range(3):
                    other[axis] = position[axis]
                seen = transmission(stream, other, direction, energy_bin, density, mean, deviation, linear)
                pictures[kind, int(cell[0]), int(cell[1])] += seen * response[energy_bin]
                variances[1, int(cell[0]), int(cell[1])] += seen * spread[energy_bin]
            collisions += 1
