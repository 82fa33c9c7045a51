"""Tools put into images on the card, after the tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.cuda.areas import Areas, Part
from DeepDRRSlicerLib.projection.cuda.driver import Argument, Buffer, Driver, Kernel
from DeepDRRSlicerLib.projection.cuda.kept import KeptBuffers
from DeepDRRSlicerLib.projection.cuda.tool_records import MOST_CROSSINGS, MOST_TOOLS, TILE, tool_records
from DeepDRRSlicerLib.projection.tools import ROUNDING, ROUNDING_AREA, Tool


def insert_on_card(
    driver: Driver,
    kernels: Mapping[int, Kernel],
    kept: KeptBuffers,
    parts: Sequence[Part],
    views: Sequence[Buffer],
    beams: Sequence[ConeBeam],
    tools: Sequence[Tool],
    channels: Sequence[str],
    areas: Areas,
    at_least_zero: bool,
) -> list[int]:
    """Puts the tools into images of tissue, as projection.tools.insert_tools does.

    kernels: by the number of channels in a texel. parts, views: the volume, and its record of the views for each part.
    channels: of the images. at_least_zero: whether no more tissue is taken than there is.
    Returns the views that must be made by the CPU instead, whose images are no longer of use: more tools than the
    kernel has room for, or more crossings on one ray.
    """
    if len(tools) > MOST_TOOLS:
        return list(range(len(beams)))
    records = tool_records(beams, tools)
    if records is None:
        return []
    bodies = np.zeros(len(tools), [("channel", np.int32), ("density", np.float32)])
    bodies["channel"] = [channels.index(tool.material) for tool in tools]
    bodies["density"] = [tool.density for tool in tools]
    crowded = np.zeros(len(beams), np.int32)
    arrays = [records.points, records.faces, records.tiles, records.listed, bodies, crowded]
    names = ("points", "faces", "tiles", "listed", "bodies", "crowded")
    *read, flags = (kept.uploaded(name, array) for name, array in zip(names, arrays, strict=True))
    for part, view in zip(parts, views, strict=True):
        numbers = (*areas.shape[2:], len(channels), part.first, part.count, len(tools), part is parts[-1])
        arguments: tuple[Argument, ...] = (
            part.texture, part.record, view, *read, areas.buffer, flags, *(np.int32(n) for n in numbers),
            np.float32(ROUNDING), np.float32(ROUNDING_AREA), np.int32(at_least_zero),
        )  # fmt: skip
        driver.launch(kernels[part.channels], (len(records.tiles), 1, 1), (TILE, TILE, 1), arguments)
    if records.most_faces <= MOST_CROSSINGS:
        return []  # without waiting for the card
    driver.download(flags, crowded)
    return np.flatnonzero(crowded).tolist()
