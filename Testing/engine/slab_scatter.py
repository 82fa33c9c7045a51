"""Slabs before a flat detector, for tests of photon transport: beam along +z, source at the origin."""

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam


def slab(thickness, gap, width=600.0, voxel=10.0, material="water", density=1.0, sid=1000.0):
    """A square slab whose exit face lies `gap` mm before the detector."""
    across, deep = round(width / voxel), round(thickness / voxel)
    matrix = np.diag([voxel, voxel, voxel, 1.0])
    matrix[:3, 3] = (voxel - width) / 2, (voxel - width) / 2, sid - gap - thickness + voxel / 2
    return MaterialVolume.from_density((material,), np.full((deep, across, across, 1), density), matrix)


def view(field=300.0, cells=30, sid=1000.0):
    """A square detector of so many cells."""
    pitch = field / cells
    corner = np.array([(pitch - field) / 2, (pitch - field) / 2, sid])
    axes = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    return ConeBeam(np.zeros(3), corner, *axes, (pitch, pitch), (cells, cells))


def central(tally, beam, side=40.0):
    """(scatter over primary, its standard error) in the middle `side` x `side` mm of the detector."""
    half = round(side / beam.pitch[0] / 2)
    middle = slice(beam.size[0] // 2 - half, beam.size[0] // 2 + half)
    scatter, primary = tally.scatter[middle, middle], tally.primary[middle, middle]
    error = np.sqrt((tally.scatter_error[middle, middle] ** 2).sum())
    return scatter.sum() / primary.sum(), error / primary.sum()
