"""A window of voxels on which a synthetic body is painted, shape after shape.

Shapes are signed distances in mm (negative inside). A voxel that a shape covers in part takes a part of its HU, so that
walls thinner than a voxel keep the right mass. All shapes see coordinates that a smooth random warp has bent: no two
bodies have the same ellipse.
"""

from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np

from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.training.decomposition.body.noise import smooth_noise

AIR, LUNG, ADIPOSE, SOFT, BONE, CONTRAST, METAL = range(len(CLASSES))
AIR_HU = -1000.0
# Blood and organs that show at least so much, noise and streaks aside, are contrast agent; below, soft tissue.
# Cartilage ends here too.
CONTRAST_HU = 150.0
FAR = np.float32(1e3)


@dataclass
class Canvas:
    """Voxels [k, j, i] (S, A, R ascending) of one spacing in mm, and what has been painted on them.

    points: float32 [3, k, j, i], warped body coordinates (R, A, S) in mm. hu: float32. labels: uint8, indices of
    CLASSES. metal: float32, HU that metal adds, before blur decides what is seen of it. center: R, A, S in mm;
    rotation: columns are the window's axes; slack: mm by which the warp moves points at most. rng draws the textures,
    which need not agree between two windows of one body. perfused: float32, HU of what may hold contrast
    agent (blood, organs, what is in bowel and bladder) where it fills the voxel, else 0.
    """

    points: np.ndarray
    center: np.ndarray
    rotation: np.ndarray
    spacing: float
    slack: float
    rng: np.random.Generator
    hu: np.ndarray
    labels: np.ndarray
    metal: np.ndarray
    perfused: np.ndarray
    _noise: dict = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along k, j, i."""
        return self.hu.shape

    def noise(self, wavelength: float, index: int = 0) -> np.ndarray:
        """Smooth noise float32 [k, j, i], mean 0 and standard deviation about 1, with detail of `wavelength` mm."""
        key = (wavelength, index)
        if key not in self._noise:
            self._noise[key] = smooth_noise(self.rng, self.shape, wavelength / self.spacing / 2)
        return self._noise[key]

    def box(self, low: np.ndarray, high: np.ndarray, margin: float = 0.0) -> tuple[slice, slice, slice] | None:
        """The voxels that may lie within `margin` of a box (R, A, S) in mm; None when it misses the window."""
        margin = margin + self.slack + self.spacing
        middle = ((low + high) / 2 - self.center) @ self.rotation  # columns of the rotation are the window's axes
        reach = (high - low) / 2 @ np.abs(self.rotation) + margin
        window = []
        for m, r, n in zip(middle.tolist(), reach.tolist(), self.shape[::-1], strict=True):
            start = max(floor((m - r) / self.spacing + (n - 1) / 2), 0)
            stop = min(ceil((m + r) / self.spacing + (n - 1) / 2) + 1, n)
            if start >= stop:
                return None
            window.append(slice(start, stop))
        return tuple(window[::-1])

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Share of each voxel that lies inside the surface at distance 0."""
        return np.clip(0.5 - distance / np.float32(self.spacing), 0, 1)

    def paint(self, box, distance: np.ndarray, hu, label: int | None, threshold: float = 0.5) -> np.ndarray:
        """Fills a shape with `hu` (a number or an array) and labels what it covers by `threshold` or more.

        Returns the share covered. Labels do not change where `label` is None.
        """
        share = self.cover(distance)
        part = self.hu[box]
        part += share * (hu - part)
        if label is not None:
            self.labels[box][share >= threshold] = label
            self.perfused[box][share >= threshold] = 0
        return share

    def paint_perfused(self, box, distance: np.ndarray, hu) -> None:
        """Fills a shape with what may hold contrast agent, of `hu`; which of it counts as such the scanner decides."""
        share = self.paint(box, distance, hu, None)
        inside = share >= 0.5
        value = np.broadcast_to(hu, share.shape)[inside]
        self.perfused[box][inside] = value
        self.labels[box][inside] = np.where(value >= CONTRAST_HU, CONTRAST, SOFT)


def new_canvas(rng, shape, spacing: float, center, rotation=None, warp_mm: float = 6.0) -> Canvas:
    """An empty window (air) of `shape` [k, j, i] around `center` (R, A, S) in mm.

    rotation: (3, 3), columns are the window's axes in body coordinates. warp_mm: how far the random warp bends.
    """
    rotation = np.eye(3) if rotation is None else rotation
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * spacing for n in shape[::-1]]
    i, j, k = axes[0][None, None], axes[1][None, :, None], axes[2][:, None, None]
    points = np.empty((3, *shape), np.float32)
    for row in range(3):
        points[row] = rotation[row, 0] * i + rotation[row, 1] * j + rotation[row, 2] * k + center[row]
    warp = np.zeros_like(points)
    for row in warp:
        for wavelength, part in ((130.0, 0.7), (45.0, 0.3)):
            row += part * warp_mm * rng.random() * smooth_noise(rng, shape, wavelength / spacing / 2)
    points += warp
    slack = float(np.sqrt((warp * warp).sum(0).max()))
    return Canvas(
        points,
        np.asarray(center, float),
        rotation,
        spacing,
        slack,
        rng,
        np.full(shape, AIR_HU, np.float32),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
    )
