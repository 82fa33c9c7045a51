"""A CT whose voxels are labelled with what they are: by HU, by segments over that, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU
from DeepDRRSlicerLib.anatomy.hu_model import AIR_END_HU, HUModel, table_index
from DeepDRRSlicerLib.anatomy.nearest import box_in, sampled
from DeepDRRSlicerLib.anatomy.segment_materials import UNSEGMENTED
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.substances import (
    AIR,
    CLASSES,
    THRESHOLD,
    VESSEL,
    Substance,
    class_substances,
    substance,
)
from DeepDRRSlicerLib.anatomy.table_lookup import on_all_cores, slabs_of
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError

_METAL_HU = HUModel().metal_threshold
# HU up to which the HU model's voxels are called by the name of a class, for people to look at: half way between the
# anchors of lung, adipose and soft tissue, and where bone begins to show (a usual threshold) and metal to be.
CLASS_BORDERS = (AIR_END_HU, -409.0, -38.0, 150.0, _METAL_HU)
_CLASS_OF_BORDER = ("air", "lung", "adipose", "soft tissue", "bone", "metal")
_HIGHEST_HU = int(_METAL_HU) + 100
_MOST_SUBSTANCES = 256


@dataclass(frozen=True, eq=False)
class Labelled:
    """labels: uint8 [k, j, i] on the CT's grid, places in `substances`."""

    labels: np.ndarray
    substances: tuple[Substance, ...]


@dataclass(frozen=True)
class Amount:
    """How much of a CT is of a material. volume: ml; density: mean g/cm3."""

    name: str
    volume: float
    density: float


def labelled_by_hu(ct: Volume, body: np.ndarray | None) -> Labelled:
    """What the HU alone say, within a body mask (None: everywhere); nothing outside."""
    labels = np.zeros(ct.array.shape, np.uint8) if body is None else (~body).view(np.uint8)
    return Labelled(labels, (substance(THRESHOLD), substance("air")))


def labelled_by_class(labels: np.ndarray, body: np.ndarray | None) -> Labelled:
    """Classes (uint8, places in CLASSES) within a body mask (None: everywhere); nothing outside."""
    return Labelled(labels if body is None else np.where(body, labels, np.uint8(AIR)), class_substances())


def labelled_by_segments(
    ct: Volume, rest: Labelled, segments: Sequence[Segment], materials: Sequence[str], by_hand: Sequence[bool]
) -> Labelled:
    """Segments laid over what the rest of the CT is; where they overlap the later in the list counts.

    A segmentation on another grid is sampled at the CT's voxels, nearest neighbour in RAS. materials: as in
    substances.substance, or "unsegmented". by_hand: whether a person chose it; else metal in the rest stays metal, as
    a femur is often segmented with the stem in it. Segments count outside the body mask, too.
    Raises InputError where no voxel of the segments lies in the CT.
    """
    labels, substances = rest.labels.copy(), list(rest.substances)
    kept = [n for n, one in enumerate(rest.substances) if one.name == "metal"]
    inside_anywhere = False
    for segment, material, chosen in zip(segments, materials, by_hand, strict=True):
        if not segment.mask.array.any():
            continue
        low, last = box_in(ct, segment.mask)
        low, last = np.maximum(low, 0), np.minimum(last, np.array(ct.size) - 1)
        if (last < low).any():
            continue
        inside = sampled(ct, segment.mask, low, last)
        inside_anywhere = inside_anywhere or bool(inside.any())
        if material == UNSEGMENTED:
            continue
        window = tuple(slice(a, b + 1) for a, b in zip(low[::-1], last[::-1], strict=True))
        if not chosen and kept:
            inside = inside & ~np.isin(rest.labels[window], kept)
        names = [one.name for one in substances]
        name = substance(material).name
        if name not in names:
            substances.append(substance(material))
            names.append(name)
        labels[window][inside] = names.index(name)
    if not inside_anywhere:
        raise InputError(
            "No voxel of the segmentation lies in the CT: it is empty or of another place; choose the one made for it."
        )
    if len(substances) > _MOST_SUBSTANCES:
        raise InputError(f"{len(substances)} materials are too many; name at most {_MOST_SUBSTANCES}.")
    return Labelled(labels, tuple(substances))


def classes_by_name(labelled: Labelled, ct: Volume) -> tuple[np.ndarray, tuple[str, ...]]:
    """(uint8 [k, j, i], names): what each voxel is called, air 0, HU alone as the class that they are nearest to."""
    names = _names(labelled)
    table = np.zeros((len(labelled.substances), _HIGHEST_HU + 1 - LOWEST_HU), np.uint8)
    for row, one in zip(table, labelled.substances, strict=True):
        row[:] = _names_along_hu(one, names)
    shown = np.empty(ct.array.shape, np.uint8)

    def show(slab):
        shown[slab] = table[labelled.labels[slab], table_index(ct.array[slab], _HIGHEST_HU)]

    on_all_cores(show, slabs_of(ct.array.shape))
    return shown, tuple(names)


def amounts(labelled: Labelled, ct: Volume) -> list[Amount]:
    """Volume and mean density of what there is, air left out, in the order of CLASSES, others after them."""
    names = _names(labelled)
    n_hu = _HIGHEST_HU + 1 - LOWEST_HU

    def count(slab):
        index = table_index(ct.array[slab], _HIGHEST_HU)
        index += labelled.labels[slab].astype(np.intp) * n_hu
        return np.bincount(index.ravel(), minlength=n_hu * len(labelled.substances))

    voxels = sum(on_all_cores(count, slabs_of(ct.array.shape))).reshape(-1, n_hu)
    hu = np.arange(LOWEST_HU, _HIGHEST_HU + 1)
    volume, mass = np.zeros(len(names)), np.zeros(len(names))
    for one, counts in zip(labelled.substances, voxels, strict=True):
        called = _names_along_hu(one, names)
        volume += np.bincount(called, counts, len(names))
        mass += np.bincount(called, counts * one.partial_densities(hu).sum(axis=-1), len(names))
    voxel_ml = abs(np.linalg.det(ct.ijk_to_ras[:3, :3])) / 1000
    return [
        Amount(name, float(v * voxel_ml), float(m / v))
        for name, v, m in zip(names, volume, mass, strict=True)
        if v > 0 and name != CLASSES[AIR]
    ]


def _names(labelled: Labelled) -> list[str]:
    return [*CLASSES, *(one.name for one in labelled.substances if one.name not in (*CLASSES, THRESHOLD, VESSEL))]


def _names_along_hu(one: Substance, names: list[str]) -> np.ndarray:
    """Place in `names` of what a substance is called at each HU of the table."""
    hu = np.arange(LOWEST_HU, _HIGHEST_HU + 1)
    if one.name == THRESHOLD:
        places = np.array([names.index(name) for name in _CLASS_OF_BORDER])
        return places[np.searchsorted(CLASS_BORDERS, hu, side="right")]
    if one.name == VESSEL:  # blood, or contrast agent
        return np.where(hu > one.anchors[1][0], names.index("contrast"), names.index("soft tissue"))
    return np.full(len(hu), names.index(one.name))
