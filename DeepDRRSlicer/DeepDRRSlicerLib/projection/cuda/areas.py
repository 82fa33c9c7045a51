"""What is on the card: images of area densities, and the volume that they are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.projection.cuda.driver import Buffer, Driver, Texture
from DeepDRRSlicerLib.projection.cuda.records import RECORD_BYTES, packed, volume_record


@dataclass(frozen=True, eq=False)
class Areas:
    """Area densities on the card: float32 (views, channels, rows, columns) in g/cm2, C-contiguous from its start.

    The buffer may be larger. It is the projector's, which fills it again at the next call.
    """

    buffer: Buffer
    shape: tuple[int, int, int, int]

    @property
    def nbytes(self) -> int:
        return 4 * int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Part:
    """Up to four materials of a volume. See records.Packed for first, count and low.

    channels: of a texel, 1, 2 or 4. record: the struct Volume of kernels/rays.h.
    """

    texture: Texture
    record: Buffer
    channels: int
    first: int
    count: int
    low: np.ndarray


@dataclass(frozen=True, eq=False)
class Voxels:
    volume: MaterialVolume
    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        return sum(part.texture.nbytes + part.record.nbytes for part in self.parts)

    def free(self) -> None:
        for part in self.parts:
            part.texture.free()
            part.record.free()


def on_card(driver: Driver, volume: MaterialVolume, filtered: bool) -> Voxels:
    """A copy of a volume. filtered: as Driver.texture has it. Raises DeviceError."""
    parts = []
    for part in packed(volume):
        texture = driver.texture(part.texels, filtered)
        record = driver.buffer(RECORD_BYTES)
        driver.upload(volume_record(volume, part, filtered), record)
        parts.append(Part(texture, record, part.texels.shape[3], part.first, part.count, part.low))
    return Voxels(volume, tuple(parts))
