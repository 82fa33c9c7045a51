"""What the projectors read: the partial density of each traced material in each voxel, in 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import checked_affine, corners_ras
from DeepDRRSlicerLib.errors import InputError

LEVELS = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class MaterialVolume:
    """Partial densities of `materials` on a grid: rho = density * scale.

    materials: names of the material library, the traced channels.
    density: uint16 [m, k, j, i], C-contiguous: each material is a volume of its own.
    scale: (m,) float64, g/cm3 per unit of `density`.
    ijk_to_ras: (4, 4) in mm, integer indices are voxel centres.
    Raises InputError when names, shapes or matrix do not fit together.
    """

    materials: tuple[str, ...]
    density: np.ndarray
    scale: np.ndarray
    ijk_to_ras: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "materials", tuple(self.materials))
        object.__setattr__(self, "scale", np.array(self.scale, dtype=np.float64))
        object.__setattr__(self, "ijk_to_ras", checked_affine(self.ijk_to_ras))
        if len(set(self.materials)) != len(self.materials) or not self.materials:
            raise InputError(f"The materials {self.materials} must be named once each; correct the list.")
        if self.density.ndim != 4 or self.density.size == 0 or self.density.shape[0] != len(self.materials):
            raise InputError(
                f"Densities of the shape {self.density.shape} do not fit {len(self.materials)} materials; "
                "give an array [material, k, j, i]."
            )
        if self.density.dtype != np.uint16:
            raise InputError(
                f"Densities are stored as uint16, not {self.density.dtype}; make the volume with from_density."
            )
        if self.scale.shape != (len(self.materials),) or not ((self.scale > 0) & np.isfinite(self.scale)).all():
            raise InputError(
                f"The scale {self.scale.tolist()} does not fit {len(self.materials)} materials; give one number above "
                "0 each."
            )
        object.__setattr__(self, "density", np.ascontiguousarray(self.density))
        self.scale.flags.writeable = False

    @classmethod
    def from_density(cls, materials: Sequence[str], density: np.ndarray, ijk_to_ras: np.ndarray) -> MaterialVolume:
        """The volume of float densities [k, j, i, m] in g/cm3.

        Rounds to 65535 steps of the largest density of each material: an error of at most 1/131070 of it (7.7e-6),
        different from voxel to voxel. Raises InputError where densities are negative or not finite.
        """
        density = np.asarray(density)
        if density.ndim != 4 or density.size == 0:
            raise InputError(f"Densities need the shape [k, j, i, material], not {density.shape}; correct the array.")
        if not (density.min() >= 0 and density.max() < np.inf):
            raise InputError("Densities must be finite and not negative; correct the array.")
        scale = scale_of(density.max(axis=(0, 1, 2)))
        levels = np.empty((density.shape[3], *density.shape[:3]), dtype=np.uint16)
        for m, step in enumerate(scale):
            for k in range(len(density)):  # plane by plane: needs little memory besides the result
                levels[m, k] = np.rint(density[k, ..., m] / step)
        return cls(tuple(materials), levels, scale, ijk_to_ras)

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        return self.density.shape[:0:-1]

    def corners_ras(self) -> np.ndarray:
        """The eight corners (8, 3) of the outer voxel borders in RAS mm."""
        return corners_ras(self.size, self.ijk_to_ras)


def scale_of(highest) -> np.ndarray:
    """g/cm3 per unit (m,) float64 that lets the highest densities (m,) just fit 16 bits; 1 where there is none."""
    highest = np.asarray(highest, dtype=np.float64)
    return np.where(highest > 0, highest, LEVELS) / LEVELS
