"""What the projectors read: the partial density of each material in each voxel."""

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import checked_affine, corners_ras
from DeepDRRSlicerLib.errors import InputError


@dataclass(frozen=True, eq=False)
class MaterialVolume:
    """Partial densities of `materials` on a grid.

    density: float32 [k, j, i, m] in g/cm3, C-contiguous, so that the materials of one voxel lie side by side in memory.
    The sum over m is the density of the voxel. ijk_to_ras: (4, 4) in mm, integer indices are voxel centres.
    Raises InputError when names, shape or matrix do not fit together.
    """

    materials: tuple[str, ...]
    density: np.ndarray
    ijk_to_ras: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "materials", tuple(self.materials))
        object.__setattr__(self, "density", np.ascontiguousarray(self.density, dtype=np.float32))
        object.__setattr__(self, "ijk_to_ras", checked_affine(self.ijk_to_ras))
        if len(set(self.materials)) != len(self.materials) or not self.materials:
            raise InputError(f"The materials {self.materials} must be named once each; correct the list.")
        if self.density.ndim != 4 or self.density.size == 0 or self.density.shape[3] != len(self.materials):
            raise InputError(
                f"Densities of the shape {self.density.shape} do not fit {len(self.materials)} materials; "
                "give an array [k, j, i, material]."
            )

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        return self.density.shape[2::-1]

    def corners_ras(self) -> np.ndarray:
        """The eight corners (8, 3) of the outer voxel borders in RAS mm."""
        return corners_ras(self.size, self.ijk_to_ras)
