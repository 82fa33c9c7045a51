"""A scalar volume in patient space: an array and the matrix that places its voxels."""

import hashlib
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError

# Columns of a direction matrix closer to one plane than this (sine of the angle, roughly) cannot be inverted safely.
MINIMUM_VOLUME_RATIO = 1e-3
# A CT voxel outside these borders in mm is a damaged header (lengths in metres or micrometres, zeros, NaN).
SPACING_LIMITS = (1e-3, 1000.0)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels `array` [k, j, i] with `ijk_to_ras` (4, 4) in mm.

    Integer indices are voxel centres. The columns of the matrix may be oblique, anisotropic, flipped (either
    handedness) and sheared (gantry tilt). Raises InputError when the array is empty or not 3D, or when the matrix
    cannot place it.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray

    def __post_init__(self):
        if self.array.ndim != 3 or self.array.size == 0:
            raise InputError(
                f"A volume needs three dimensions but has the shape {self.array.shape}; choose a 3D image."
            )
        object.__setattr__(self, "ijk_to_ras", checked_affine(self.ijk_to_ras))

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        return self.array.shape[::-1]

    @property
    def spacing(self) -> np.ndarray:
        """Distance in mm (3,) between neighbours along i, j, k."""
        return spacing(self.ijk_to_ras)

    @property
    def center_ras(self) -> np.ndarray:
        """Middle (3,) of the volume's box in RAS mm."""
        return transform_points(self.ijk_to_ras, (np.array(self.size) - 1) / 2)

    def corners_ras(self) -> np.ndarray:
        """The eight corners (8, 3) of the outer voxel borders (index -0.5 to n - 0.5) in RAS mm."""
        return corners_ras(self.size, self.ijk_to_ras)

    def cropped(self, low, high) -> "Volume":
        """The part from index `low` to `high` (i, j, k; `high` excluded), in the same place; shares the array."""
        window = tuple(slice(a, b) for a, b in zip(reversed(low), reversed(high), strict=True))
        return Volume(self.array[window], shifted_affine(self.ijk_to_ras, low))


def checked_affine(matrix) -> np.ndarray:
    """`matrix` as read-only float64 (4, 4); InputError unless it is finite, affine, regular and plausible in mm."""
    result = np.array(matrix, dtype=np.float64)
    if result.shape != (4, 4) or not np.isfinite(result).all() or not np.array_equal(result[3], (0, 0, 0, 1)):
        raise InputError("The matrix that places the volume is not a finite 4x4 affine matrix; repair its header.")
    lengths = spacing(result)
    low, high = SPACING_LIMITS
    if not ((lengths >= low) & (lengths <= high)).all():
        shown = " x ".join(f"{length:.4g}" for length in lengths)
        raise InputError(
            f"The voxel spacing of {shown} mm lies outside {low:g} to {high:g} mm; correct the header of the volume."
        )
    if abs(np.linalg.det(result[:3, :3] / lengths)) < MINIMUM_VOLUME_RATIO:
        raise InputError(
            "The direction matrix of the volume is singular (its axes lie in one plane); correct its header."
        )
    result.setflags(write=False)
    return result


def spacing(ijk_to_ras: np.ndarray) -> np.ndarray:
    """Lengths (3,) of the columns of a (4, 4) matrix."""
    return np.linalg.norm(np.asarray(ijk_to_ras)[:3, :3], axis=0)


def transform_points(matrix: np.ndarray, points) -> np.ndarray:
    """Points (..., 3) moved by an affine (4, 4) matrix."""
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def shifted_affine(ijk_to_ras: np.ndarray, first_index) -> np.ndarray:
    """The matrix of a crop whose voxel (0, 0, 0) was `first_index` (i, j, k)."""
    result = np.array(ijk_to_ras, dtype=np.float64)
    result[:3, 3] = transform_points(result, first_index)
    return result


def corners_ras(size, ijk_to_ras: np.ndarray) -> np.ndarray:
    """Corners (8, 3) in RAS mm of a grid of `size` (i, j, k) voxels, at their outer borders; i runs fastest."""
    corners = [(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)]
    return transform_points(ijk_to_ras, np.array(corners) * np.array(size) - 0.5)


def content_hash(volume: Volume) -> str:
    """Hex SHA-256 of a volume's voxels, their type and their place."""
    digest = hashlib.sha256(repr((volume.array.shape, volume.array.dtype.str, volume.ijk_to_ras.tolist())).encode())
    for plane in volume.array:
        digest.update(np.ascontiguousarray(plane))
    return digest.hexdigest()
