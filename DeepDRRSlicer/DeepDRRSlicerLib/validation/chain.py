"""From a CT to the picture: slabs of known transmission through projector, spectrum and detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.physics.materials import density
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.validation.pictures import ideal, machine, patient, view
from DeepDRRSlicerLib.validation.reference_sum import signal
from DeepDRRSlicerLib.validation.table import Counts, Relative, Row

_PMMA = {10: 0.76034, 50: 0.26372, 100: 0.073980, 150: 0.021504, 200: 0.0064016}  # mm: transmission
_LAYERS = 10


def pmma_rows(counts: Counts) -> Iterator[Row]:
    """Slabs of PMMA at 80 kV, 3 mm Al, on the ideal detector."""
    for thickness, published in _PMMA.items():
        slab = np.full((7, _LAYERS, 7), density("PMMA"))
        ours = _middle(patient("PMMA", slab, (60.0, thickness / _LAYERS, 60.0)))
        yield Row(f"T of {thickness} mm PMMA in a volume, 80 kV", published, "spekpy", ours, Relative(0.02))


def ct_rows(counts: Counts) -> Iterator[Row]:
    """A CT of water and of bone, by the HU model."""
    for hu, material, area in ((0, "water", 20.0), (1577, "bone", 1.92 * 3)):
        thickness = 10 * area / density(material)
        spacing = (60.0, thickness / _LAYERS, 60.0)
        voxels = np.full((7, _LAYERS, 7), hu, dtype=np.int16)
        matrix = np.diag([*spacing, 1.0])
        matrix[:3, 3] = -(np.array(voxels.shape[::-1]) - 1) / 2 * np.array(spacing)
        reference = signal(80, {material: area}, ideal()) / signal(80, {}, ideal())
        ours = _middle(Simulator(Volume(voxels, matrix)))
        what = f"T of {thickness / 10:g} cm {material} in a CT ({hu} HU), 80 kV"
        yield Row(what, reference, "direct sum", ours, Relative(0.005))


def _middle(body: Simulator) -> float:
    """Transmission on the central ray."""
    settings = Acquisition(replace(machine(), focal_spot=1e-6), ideal(), Technique())
    return float(body.simulate(view((9, 9), 1.0), settings).transmission[4, 4])
