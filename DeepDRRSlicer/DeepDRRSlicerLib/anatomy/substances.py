"""What a voxel of known kind consists of: partial densities of library materials, by its HU or fixed.

The kind says which materials there are, the HU how much of them. Every line is straight between anchors, so that noise
averages out along a ray, and reproduces the HU it came from, as the HU model's does (hu_model.py), with these
differences. Within a labelled body the noise of air needs no dead zone: the line from air to lung is straight. Lung,
adipose and soft tissue follow one line and never become bone: above soft tissue the density grows in proportion to
HU + 1000. Bone is marrow that takes up mineral: at 100 HU a threshold sees muscle, and bone sees trabeculae in marrow.
Marrow is equal volumes of adipose and soft tissue, -12 HU, between yellow (-49 HU) and red marrow (11 HU, both of
Schneider, Bortfeld and Schlegel, Phys Med Biol 45 (2000) 459). Contrast agent is blood with as much iodine as the HU
say at a CT beam, 25.8 HU for 1 mgI/ml; a vessel is the same, except that up to 90 HU it may be blood alone. Above the
metal threshold, where a 12-bit CT clips, tissue and bone are metal as in the HU model; contrast agent is not, since
undiluted it clips as well. Metal, and whatever a person names, fill the voxel at nominal density.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU
from DeepDRRSlicerLib.anatomy.hu_model import AIR_HU, HUModel, table_index
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.table_lookup import looked_up
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.basis import basis_of
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation, material_name, material_names
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum

CLASSES = ("air", "lung", "adipose", "soft tissue", "bone", "contrast", "metal")
AIR, LUNG, ADIPOSE, SOFT_TISSUE, BONE, CONTRAST, METAL = range(7)
# Further kinds: vessel, which holds contrast agent where it is denser than blood; threshold, what the HU alone say.
VESSEL, THRESHOLD = "vessel", "threshold"

_MODEL = HUModel()
_HIGHEST_HU = int(np.ceil(_MODEL.metal_threshold + _MODEL.metal_ramp))
_BLOOD_HU = 56.0
_MOST_BLOOD_HU = 90.0  # of a fresh clot; flowing blood has 35 to 55
_MOST_IODINE = 1000.0  # mgI/ml; agents hold up to 400
_WITH_IODINE = re.compile(r"(.+?)\s+with\s+([0-9.eE+-]+)\s*mg\s*I?\s*/\s*ml", re.IGNORECASE)

Densities = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Substance:
    """Partial densities along HU. name: as a person writes it (`substance`).

    anchors: (HU, ((material, g/cm3), ...)) in rising HU, straight lines between and constant beyond; none is nothing.
    """

    name: str
    anchors: tuple[tuple[float, Densities], ...] = ()

    @property
    def materials(self) -> tuple[str, ...]:
        """Names in the material library."""
        return tuple(dict.fromkeys(name for _, densities in self.anchors for name, _ in densities))

    def partial_densities(self, hu) -> np.ndarray:
        """float64 [..., m] in g/cm3 of each of `materials` for HU [...]."""
        table = np.array([[dict(parts).get(name, 0.0) for name in self.materials] for _, parts in self.anchors])
        knots = [at for at, _ in self.anchors]
        columns = [np.interp(hu, knots, column) for column in table.T]
        return np.stack(columns, axis=-1) if columns else np.zeros((*np.shape(hu), 0))


def substance(words: str) -> Substance:
    """What a person calls a material: a kind, a material of the library, or either "with 300 mgI/ml".

    Kinds (CLASSES, "vessel", "threshold") go by HU, "metal" is titanium; other names stand for their nominal density.
    Raises InputError, which suggests near names.
    """
    words = " ".join(str(words).split())
    kind = words.lower()
    if kind in _KINDS:
        return _KINDS[kind]()
    if mixed := _WITH_IODINE.fullmatch(words):
        return _with_iodine(mixed[1], mixed[2], words)
    try:
        name = material_name(words)
    except InputError:
        known = {name.lower(): name for name in (*_KINDS, *material_names())}
        near = [known[match] for match in get_close_matches(kind, known, n=3, cutoff=0.5)]
        choices = ", ".join([*(near or dict.fromkeys([*_KINDS, *material_names()])), "blood with 300 mgI/ml"])
        raise InputError(f"There is no material {words[:60]!r}; choose {choices}.") from None
    return Substance(name, ((0.0, ((name, density(name)),)),))


def class_substances() -> tuple[Substance, ...]:
    """One for each of CLASSES, in their order."""
    return tuple(substance(name) for name in CLASSES)


def decompose_labelled(volume: Volume, labels: np.ndarray, substances: Sequence[Substance]) -> MaterialVolume:
    """The traced channels of a labelled CT, as hu_model.decompose: a table with an entry per label and integer HU.

    volume: HU [k, j, i], as `ct.read_ct` gives it. labels: uint8 in the same shape, places in `substances`. The result
    is cropped to what is denser than 0.1 g/cm3. Needs little memory besides it.
    Raises InputError when labels and volume differ in shape, a label has no substance, or nothing is there to see.
    """
    if labels.shape != volume.array.shape or labels.dtype != np.uint8:
        raise InputError(
            f"Labels {labels.dtype} of the shape {labels.shape} do not fit a CT of {volume.array.shape}; label its "
            "voxels in uint8."
        )
    if int(labels.max()) >= len(substances):
        raise InputError(f"The label {labels.max()} has no substance; name one for each of the labels.")
    channels, table = _channel_table(substances)
    n_hu = _HIGHEST_HU + 1 - LOWEST_HU

    def rows(window):
        index = table_index(volume.array[window], _HIGHEST_HU)
        index += labels[window].astype(np.intp) * n_hu
        return index

    return looked_up(volume, rows, channels, table)


def iodine_hu() -> float:
    """HU that 1 mg of iodine per ml adds at the CT beam of the HU model: 120 kVp behind 20 cm of water."""
    return _iodine_hu()


@cache
def _iodine_hu() -> float:
    beam = tube_spectrum(120, {"aluminium": 6.0, "copper": 0.2})
    water = mass_attenuation("water", beam.energies)
    weight = beam.fluence * beam.energies * np.exp(-20 * water)
    return float(weight @ mass_attenuation("iodine", beam.energies) / (weight @ water))  # 1e-3 g/cm3 times 1000 HU


def _channel_table(substances: Sequence[Substance]) -> tuple[tuple[str, ...], np.ndarray]:
    """Channels, and float64 [substance * HU, channel] in g/cm3. Air is no channel."""
    hu = np.arange(LOWEST_HU, _HIGHEST_HU + 1)
    names = tuple(dict.fromkeys(name for one in substances for name in one.materials if name != "air"))
    basis = basis_of(names) if names else None
    channels = basis.channels if basis else ("water",)  # nothing at all is still a volume of something
    tables = []
    for one in substances:
        densities = one.partial_densities(hu)
        solid = [m for m, name in enumerate(one.materials) if name != "air"]
        rows = [names.index(one.materials[m]) for m in solid]
        none = np.zeros((len(hu), len(channels)))
        tables.append(densities[:, solid] @ basis.matrix[rows] if basis is not None and solid else none)
    return channels, np.concatenate(tables)


def _scaled(parts: Densities, factor: float) -> Densities:
    return tuple((name, amount * factor) for name, amount in parts)


def _tissue_line() -> tuple[tuple[float, Densities], ...]:
    """From nothing through lung to soft tissue, and on in proportion to HU + 1000 up to where metal begins."""
    low = [(a.hu, a.densities) for a in _MODEL.tissues[:-1] if a.hu > -900]
    soft_hu, soft = low[-1]
    top = _MODEL.metal_threshold
    return (AIR_HU, ()), *low, (top, _scaled(soft, (top - AIR_HU) / (soft_hu - AIR_HU))), _metal_end()


def _bone_line() -> tuple[tuple[float, Densities], ...]:
    anchors = {a.densities[0][0]: a for a in _MODEL.tissues if len(a.densities) == 1}
    halves = [anchors["adipose"], anchors["soft tissue"]]
    marrow_hu = sum(half.hu for half in halves) / 2
    marrow = tuple((half.densities[0][0], half.densities[0][1] / 2) for half in halves)
    cortical = anchors["bone"]
    top = _MODEL.metal_threshold
    dense = _scaled(cortical.densities, (top - AIR_HU) / (cortical.hu - AIR_HU))
    return (AIR_HU, ()), (marrow_hu, marrow), (cortical.hu, cortical.densities), (top, dense), _metal_end()


def _metal_end() -> tuple[float, Densities]:
    return _MODEL.metal_threshold + _MODEL.metal_ramp, ((_MODEL.metal, _MODEL.metal_density),)


def _contrast_line(least_hu: float) -> tuple[tuple[float, Densities], ...]:
    """Blood, in proportion to HU + 1000, up to some HU; what lies above is iodine."""
    blood = density("blood") * (least_hu - AIR_HU) / (_BLOOD_HU - AIR_HU)
    iodine = (_HIGHEST_HU - least_hu) / iodine_hu() / 1000
    return (
        (AIR_HU, ()),
        (least_hu, (("blood", blood),)),
        (float(_HIGHEST_HU), (("blood", blood), ("iodine", iodine))),
    )


def _with_iodine(base: str, amount: str, words: str) -> Substance:
    """A library material at nominal density in which iodine is dissolved: it is added, and displaces nothing."""
    try:
        milligrams = float(amount)
    except ValueError:
        milligrams = -1.0
    if not 0 < milligrams <= _MOST_IODINE:
        raise InputError(
            f"{words[:60]!r} is no mixture; give up to {_MOST_IODINE:g} mgI/ml, as in blood with 300 mgI/ml."
        )
    name = material_name(base)
    return Substance(words, ((0.0, ((name, density(name)), ("iodine", milligrams / 1000))),))


def _hu_model() -> tuple[tuple[float, Densities], ...]:
    return tuple((anchor.hu, anchor.densities) for anchor in _MODEL.anchors)


_KINDS = {
    "air": lambda: Substance("air"),
    "lung": lambda: Substance("lung", _tissue_line()),
    "adipose": lambda: Substance("adipose", _tissue_line()),
    "soft tissue": lambda: Substance("soft tissue", _tissue_line()),
    "bone": lambda: Substance("bone", _bone_line()),
    "contrast": lambda: Substance("contrast", _contrast_line(_BLOOD_HU)),
    "metal": lambda: Substance("metal", ((0.0, _metal_end()[1]),)),
    VESSEL: lambda: Substance(VESSEL, _contrast_line(_MOST_BLOOD_HU)),
    THRESHOLD: lambda: Substance(THRESHOLD, _hu_model()),
}
