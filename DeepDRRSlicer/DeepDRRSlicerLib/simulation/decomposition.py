"""Ways to say what a CT is made of, behind one interface: by threshold, by a network, by a segmentation.

Each first labels the voxels (Labelling), which can be looked at, and then turns labels and HU into partial densities
(Decomposition), which is what the simulator asks for. What does not belong to the body, the couch above all, is left
out unless it is to be kept (anatomy/body_mask.py). The network itself stands above this package and is handed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.anatomy.body_mask import body_mask
from DeepDRRSlicerLib.anatomy.label_map import Labelled, labelled_by_class, labelled_by_hu, labelled_by_segments
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.segment_materials import UNSEGMENTED
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.substances import decompose_labelled
from DeepDRRSlicerLib.anatomy.volume import Volume, content_hash
from DeepDRRSlicerLib.simulation.label_cache import cached_labels, keep_labels

ShouldStop = Callable[[], bool]
Progress = Callable[[float], None]
Classify = Callable[[Volume, ShouldStop, Progress], np.ndarray]


def never() -> bool:
    """Does not stop."""
    return False


def unheard(fraction: float) -> None:
    """Tells nobody."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """CT in HU to materials. name: what it is called in metadata, where `details` (JSON data) stand, too.

    decompose(ct, should_stop, progress): progress hears fractions from 0 to 1. Raises InputError, Stopped.
    """

    name: str
    decompose: Callable[[Volume, ShouldStop, Progress], MaterialVolume]
    details: Mapping = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for decompositions that make the same of the same CT."""
        return hashlib.sha256(json.dumps([self.name, self.details], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Labelling:
    """As Decomposition, up to the labels. label(ct, should_stop, progress) -> Labelled."""

    name: str
    label: Callable[[Volume, ShouldStop, Progress], Labelled]
    details: Mapping = field(default_factory=dict)

    def decomposition(self) -> Decomposition:
        """What the simulator asks for."""

        def decompose(ct, should_stop, progress):
            labelled = self.label(ct, should_stop, progress)
            return decompose_labelled(ct, labelled.labels, labelled.substances)

        return Decomposition(self.name, decompose, self.details)


def threshold_labelling(keep_couch: bool = False) -> Labelling:
    """What the HU alone say (anatomy/hu_model.py)."""
    return Labelling(
        "threshold", lambda ct, should_stop, progress: labelled_by_hu(ct, _body(ct, keep_couch)), _couch(keep_couch)
    )


def network_labelling(classify: Classify, version: str, keep_couch: bool = False) -> Labelling:
    """What a network says: as network_classes."""

    def label(ct, should_stop, progress):
        classes = network_classes(ct, classify, version, should_stop, progress)
        return labelled_by_class(classes, _body(ct, keep_couch))

    return Labelling("network", label, _network(version) | _couch(keep_couch))


def classes_labelling(classes: np.ndarray, version: str, keep_couch: bool = False) -> Labelling:
    """What a network has said of one CT: the result of network_classes."""
    return Labelling(
        "network",
        lambda ct, should_stop, progress: labelled_by_class(classes, _body(ct, keep_couch)),
        _network(version) | _couch(keep_couch),
    )


def network_classes(
    ct: Volume, classify: Classify, version: str, should_stop: ShouldStop = never, progress: Progress = unheard
) -> np.ndarray:
    """uint8 [k, j, i], places in substances.CLASSES: what a network says, or has said about the same CT before.

    classify(ct, should_stop, progress): the network; its answers are kept on the disk. version: a digest of it.
    """
    key = hashlib.sha256(f"{content_hash(ct)} {version}".encode()).hexdigest()
    classes = cached_labels(key, ct.array.shape)
    if classes is None:
        classes = classify(ct, should_stop, progress)
        keep_labels(key, classes)
    progress(1.0)
    return classes


def segment_labelling(
    segments: Sequence[Segment], materials: Sequence[str], by_hand: Sequence[bool], rest: Labelling, source: str
) -> Labelling:
    """Segments and their materials (labelled_by_segments) over the rest. source: what the segmentation is called."""

    def label(ct, should_stop, progress):
        below = rest.label(ct, should_stop, progress)
        return labelled_by_segments(ct, below, segments, materials, by_hand)

    named = {segment.name: material for segment, material in zip(segments, materials, strict=True)}
    details = {
        "segmentation": source,
        "segments": {name: material for name, material in named.items() if material != UNSEGMENTED},
        "voxels": _digest_of(segments, materials, by_hand),
        "unsegmented": rest.name,
    }
    return Labelling("segmentation", label, details | dict(rest.details))


def _body(ct: Volume, keep_couch: bool) -> np.ndarray | None:
    return None if keep_couch else body_mask(ct)


def _network(version: str) -> dict[str, str]:
    return {"network": version[:16]}


def _couch(keep_couch: bool) -> dict[str, str]:
    return {"couch": "kept" if keep_couch else "left out"}


def _digest_of(segments: Sequence[Segment], materials: Sequence[str], by_hand: Sequence[bool]) -> str:
    digest = hashlib.sha256()
    for segment, material, chosen in zip(segments, materials, by_hand, strict=True):
        digest.update(f"{content_hash(segment.mask)} {material} {chosen} ".encode())
    return digest.hexdigest()[:16]


THRESHOLD = threshold_labelling().decomposition()
