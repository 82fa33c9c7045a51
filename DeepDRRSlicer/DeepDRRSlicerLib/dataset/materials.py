"""What a person writes about materials, on the command line or in a job, as a way to decompose a CT."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import DeepDRRSlicerLib
from DeepDRRSlicerLib.anatomy.segment_materials import UNSEGMENTED, chosen_material, materials_of
from DeepDRRSlicerLib.anatomy.segmentation import Segment, read_segmentation
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning import available
from DeepDRRSlicerLib.simulation.decomposition import (
    Classify,
    Labelling,
    network_labelling,
    segment_labelling,
    threshold_labelling,
)

THRESHOLD, NETWORK = "threshold", "network"


def network_missing() -> str | None:
    """None where the network can run, else a sentence on what it lacks."""
    from DeepDRRSlicerLib.learning.weights import shipped

    if not shipped().is_file():
        return "The network's weights did not come with this program; use the threshold model, or install it again."
    return available()


def automatic() -> str:
    """The network where it can run, else the threshold model."""
    return NETWORK if network_missing() is None else THRESHOLD


def whole_ct(model: str | None, keep_couch: bool = False) -> Labelling:
    """The threshold model or the network for all voxels; None is the automatic choice. Raises InputError."""
    if (model or automatic()) == THRESHOLD:
        return threshold_labelling(keep_couch)
    return network_labelling(*network(), keep_couch)


def network() -> tuple[Classify, str]:
    """The network, as network_classes asks for it, and its version: that of the weights and of the program around them.

    Raises InputError where it cannot run.
    """
    missing = network_missing()
    if missing is not None:
        raise InputError(missing)
    from DeepDRRSlicerLib.learning.decomposition import classify
    from DeepDRRSlicerLib.learning.weights import shipped

    return classify, f"{hashlib.sha256(shipped().read_bytes()).hexdigest()} {DeepDRRSlicerLib.__version__}"


def chosen_materials(
    choice: str | None, material_map: Mapping[str, str] | None = None, keep_couch: bool = False
) -> Labelling:
    """The labelling of a choice: threshold, network, a file of segments or labels, or None for the automatic one.

    material_map: of the segments (segment_materials). Raises InputError.
    """
    if choice in (None, THRESHOLD, NETWORK):
        if material_map is not None:
            raise InputError("A material map is for a segmentation; name its file as the materials, too.")
        return whole_ct(choice, keep_couch)
    path = Path(choice)
    if not path.exists() and not path.suffix:
        raise InputError(f"The materials {choice!r} are neither threshold nor network nor a file that exists.")
    return segmented(read_segmentation(path), material_map or {}, path.name, keep_couch=keep_couch)


def segmented(
    segments: list[Segment],
    material_map: Mapping[str, str],
    source: str,
    rest: str | None = None,
    keep_couch: bool = False,
) -> Labelling:
    """Segments as materials, and the rest of the CT as the map, else `rest` says. source: what messages call them.

    Raises InputError for segments that are all empty, or without a material.
    """
    if not any(segment.mask.array.any() for segment in segments):
        raise InputError(f"'{source}' holds no voxel of any segment; choose a segmentation that is not empty.")
    filled = [segment for segment in segments if segment.mask.array.any()]
    try:
        materials = materials_of(filled, _present(material_map, segments, filled))
    except InputError as error:
        raise InputError(f"'{source}' cannot be used as materials: {error}") from error
    by_hand = [chosen_material(segment, material_map) is not None for segment in filled]
    below = whole_ct(material_map.get(UNSEGMENTED, rest), keep_couch)
    return segment_labelling(filled, materials, by_hand, below, source)


def _present(material_map: Mapping[str, str], segments: list[Segment], filled: list[Segment]) -> dict[str, str]:
    """The map without the names of empty segments, which are no mistake."""
    empty = {one.name.lower() for one in segments} - {one.name.lower() for one in filled}
    return {key: material for key, material in material_map.items() if key.lower() not in empty}
