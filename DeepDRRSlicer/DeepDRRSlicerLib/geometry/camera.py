"""The cone-beam camera: a point source and a flat detector of rectangular pixels, in patient RAS millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from DeepDRRSlicerLib.errors import InputError

_ORTHOGONALITY = 1e-6
# Wide enough for a micro-CT and for a source so far away that its rays are parallel, narrow enough for float32 images.
_FARTHEST, _LEAST_SID = 1e7, 1e-3  # mm
_PITCH_LIMITS = (1e-4, 1e3)  # mm
_MOST_PIXELS = 16384  # along a side


@dataclass(frozen=True, eq=False)
class ConeBeam:
    """A view, complete and without convention left to guess.

    source, pixel00: (3,) RAS mm; pixel00 is the centre of pixel (row 0, column 0).
    e_c, e_r: (3,) unit vectors along an image row (columns grow) and down a column (rows grow).
    pitch: (du, dv) mm between pixel centres along e_c and along e_r.
    size: (rows, columns).

    Raises InputError when the vectors are not orthonormal, the source lies in the detector plane, or a number is out
    of all proportion.
    """

    source: np.ndarray
    pixel00: np.ndarray
    e_c: np.ndarray
    e_r: np.ndarray
    pitch: tuple[float, float]
    size: tuple[int, int]

    def __post_init__(self):
        object.__setattr__(self, "pitch", (float(self.pitch[0]), float(self.pitch[1])))
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        if not all(_PITCH_LIMITS[0] <= p <= _PITCH_LIMITS[1] for p in self.pitch):
            raise InputError(
                f"The pixel pitch must lie between {_PITCH_LIMITS[0]:g} and {_PITCH_LIMITS[1]:g} mm, not {self.pitch}."
            )
        if not 1 <= min(self.size) <= max(self.size) <= _MOST_PIXELS:
            raise InputError(f"The image must have 1 to {_MOST_PIXELS} rows and as many columns, not {self.size}.")
        for name in ("source", "pixel00", "e_c", "e_r"):
            vector = np.array(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not (np.abs(vector) <= _FARTHEST).all():
                raise InputError(
                    f"The geometry's {name} must be three numbers of at most {_FARTHEST:g} mm, not {vector.tolist()}."
                )
            vector.flags.writeable = False
            object.__setattr__(self, name, vector)
        gram = np.array([self.e_c @ self.e_c - 1, self.e_r @ self.e_r - 1, self.e_c @ self.e_r])
        if np.abs(gram).max() > _ORTHOGONALITY:
            raise InputError("The detector axes e_c and e_r must be unit vectors at a right angle to each other.")
        if self.sid < _LEAST_SID:
            raise InputError("The source lies in the detector plane; move one of them away from the other.")

    @cached_property
    def normal(self) -> np.ndarray:
        """(3,) unit vector d at a right angle to the detector, pointing away from the source."""
        normal = np.cross(self.e_c, self.e_r) * self._handedness
        normal.flags.writeable = False
        return normal

    @cached_property
    def sid(self) -> float:
        """Source-image distance in mm, along the detector's normal."""
        return float(self.normal @ (self.pixel00 - self.source))

    @property
    def detector_center(self) -> np.ndarray:
        """(3,) RAS mm of the middle of the image."""
        return self.pixel_to_ras((self.size[1] - 1) / 2, (self.size[0] - 1) / 2)

    def pixel_to_ras(self, column, row) -> np.ndarray:
        """RAS mm (..., 3) of image positions in pixels; pixel centres are at integers."""
        u = np.asarray(column, dtype=np.float64)[..., None] * self.pitch[0]
        v = np.asarray(row, dtype=np.float64)[..., None] * self.pitch[1]
        return self.pixel00 + u * self.e_c + v * self.e_r

    def pixel_centers(self) -> np.ndarray:
        """RAS mm (rows, columns, 3) of every pixel's centre."""
        rows, columns = self.size
        return self.pixel_to_ras(np.arange(columns)[None, :], np.arange(rows)[:, None])

    @property
    def K(self) -> np.ndarray:  # noqa: N802 (the field's symbol)
        """3x3 intrinsic matrix in pixels.

        K[0,0] is negative for an image read as radiographs are, seen from the detector towards the source:
        (e_c, e_r, d) is then left-handed, and the camera's x axis must be -e_c for R to be a rotation.
        """
        offset = self.source - self.pixel00
        f_u, f_v = self.sid / self.pitch[0], self.sid / self.pitch[1]
        c_u, c_v = offset @ self.e_c / self.pitch[0], offset @ self.e_r / self.pitch[1]
        return np.array([[self._handedness * f_u, 0.0, c_u], [0.0, f_v, c_v], [0.0, 0.0, 1.0]])

    @property
    def R(self) -> np.ndarray:  # noqa: N802
        """3x3 rotation (det +1) from RAS to the camera frame x = +-e_c, y = e_r, z = d."""
        return np.stack([self._handedness * self.e_c, self.e_r, self.normal])

    @property
    def t(self) -> np.ndarray:
        """(3,) mm, so that camera coordinates are R X + t."""
        return -self.R @ self.source

    @property
    def P(self) -> np.ndarray:  # noqa: N802
        """3x4 projection matrix K [R|t]: homogeneous RAS mm to homogeneous (column, row) pixels."""
        return self.K @ np.column_stack([self.R, self.t])

    @cached_property
    def _handedness(self) -> float:
        """-1 for an image seen from the detector towards the source, +1 for its mirror image."""
        return float(np.sign(np.cross(self.e_c, self.e_r) @ (self.pixel00 - self.source)))

    def project(self, points_ras) -> np.ndarray:
        """Image positions (n, 2) as (column, row) in pixels of RAS points (n, 3); NaN for points behind the source."""
        ray = np.atleast_2d(np.asarray(points_ras, dtype=np.float64)) - self.source
        depth = ray @ self.normal
        scale = np.where(depth > 0, self.sid / np.where(depth > 0, depth, 1.0), np.nan)
        on_detector = self.source - self.pixel00 + ray * scale[:, None]
        return np.column_stack([on_detector @ self.e_c / self.pitch[0], on_detector @ self.e_r / self.pitch[1]])

    def image_to_ras(self) -> np.ndarray:
        """4x4 of the image as a one-slice volume [1, rows, columns]: i along e_c, j along e_r, k = e_c x e_r."""
        matrix = np.eye(4)
        thickness = min(self.pitch)
        matrix[:3, 0] = self.e_c * self.pitch[0]
        matrix[:3, 1] = self.e_r * self.pitch[1]
        matrix[:3, 2] = np.cross(self.e_c, self.e_r) * thickness
        matrix[:3, 3] = self.pixel00
        return matrix

    def window(self, rows: slice, columns: slice) -> ConeBeam:
        """The same view of a part of the picture; slices with start and stop, in pixels."""
        size = (rows.stop - rows.start, columns.stop - columns.start)
        pixel00 = self.pixel_to_ras(columns.start, rows.start)
        return ConeBeam(self.source, pixel00, self.e_c, self.e_r, self.pitch, size)

    def thinned(self, step: int) -> ConeBeam:
        """The same view through every step-th pixel of every step-th row, the first of them included."""
        size = (-(-self.size[0] // step), -(-self.size[1] // step))
        pitch = (self.pitch[0] * step, self.pitch[1] * step)
        return ConeBeam(self.source, self.pixel00, self.e_c, self.e_r, pitch, size)

    def transformed(self, matrix) -> ConeBeam:
        """The same view moved by a rigid 4x4 in RAS."""
        matrix = np.asarray(matrix, dtype=np.float64)
        rotation, shift = matrix[:3, :3], matrix[:3, 3]
        return ConeBeam(
            rotation @ self.source + shift,
            rotation @ self.pixel00 + shift,
            rotation @ self.e_c,
            rotation @ self.e_r,
            self.pitch,
            self.size,
        )
