"""Contrast medium in a segment: iodine that is added to what the CT shows there, and the pictures' difference.

A ray that runs d mm within the segment meets c d / 10000 g/cm2 of iodine at c mg/ml. The solution takes the place of
blood of nearly its own density without the iodine, so nothing is taken away. The lengths are those of the segment's
surface (projection/thickness.py), exact for its triangles.

Digital subtraction: the logarithms of two pictures are taken from each other, so that the same anatomy in both cancels,
whatever lies over it, and the iodine's own attenuation is left. Anatomy that has moved in between does not cancel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np

from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

IODINE = "iodine"
MOST_IODINE = 400.0  # mg/ml: the strongest media there are
_G_PER_MG, _CM_PER_MM = 1e-3, 0.1


@dataclass(frozen=True, eq=False)
class Vessel:
    """What is filled. key: equal for the same segment in the same place."""

    segment: Segment
    key: Hashable = None

    @cached_property
    def surface(self) -> SegmentSurface:
        """The segment's surface, made when it is first needed: in the thread that simulates."""
        return SegmentSurface.from_segment(self.segment)

    @cached_property
    def digest(self) -> str:
        """Hex digest of the surface, for the hash of a picture's settings."""
        digest = hashlib.sha256(np.ascontiguousarray(self.surface.vertices))
        digest.update(np.ascontiguousarray(self.surface.faces))
        return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Contrast:
    """iodine mg/ml in a vessel. Raises InputError for more than MOST_IODINE, or less than none."""

    vessel: Vessel
    iodine: float

    def __post_init__(self):
        if not 0 <= self.iodine <= MOST_IODINE:
            raise InputError(f"The iodine must lie between 0 and {MOST_IODINE:g} mg/ml, not {self.iodine:g}.")

    @property
    def key(self) -> Hashable:
        """Equal for the same iodine in the same vessel."""
        return self.vessel.key, self.iodine

    def added_to(
        self, areas: np.ndarray, materials: tuple[str, ...], beam: ConeBeam
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Area densities (m, rows, columns) g/cm2 of a beam and their materials, with the iodine among them.

        Raises InputError where numba is missing.
        """
        if find_spec("numba") is None:  # the loops of the surface would run for minutes
            raise InputError("Contrast in a vessel needs the Python package numba; install it, or give no contrast.")
        from DeepDRRSlicerLib.projection.thickness import surface_thickness

        return with_iodine(
            areas, materials, iodine_area_density(surface_thickness(self.vessel.surface, beam), self.iodine)
        )

    def to_dict(self) -> dict:
        """Plain data for metadata and for the hash of the settings."""
        return {"segment": self.vessel.segment.name, "iodine_mg_per_ml": self.iodine}


def iodine_area_density(thickness: np.ndarray, iodine: float) -> np.ndarray:
    """g/cm2 of iodine on rays that run `thickness` mm through a solution of `iodine` mg/ml."""
    return thickness * np.float32(iodine * _G_PER_MG * _CM_PER_MM)


def with_iodine(areas: np.ndarray, materials: tuple[str, ...], added: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Area densities (m, rows, columns) and their materials, with iodine g/cm2 (rows, columns) among them."""
    if IODINE not in materials:
        return np.concatenate([areas, added[None]]), (*materials, IODINE)
    areas = areas.copy()
    areas[materials.index(IODINE)] += added
    return areas, materials


def subtracted(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The log attenuation that has come in since the mask: two images -ln(signal / open field) of one field."""
    return image - on_matrix(mask, image.shape)


def on_matrix(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """An image of the same field looked up at the pixels of another matrix, (rows, columns), as of a preview."""
    if image.shape == shape:
        return image
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, image.shape, strict=True))
    return image[np.ix_(rows, columns)]


def most_opacified(vessels: np.ndarray | None, difference: np.ndarray) -> np.ndarray:
    """The vessels as far as the contrast has filled them: per pixel the most that any frame has shown."""
    return difference if vessels is None else np.maximum(vessels, difference)
