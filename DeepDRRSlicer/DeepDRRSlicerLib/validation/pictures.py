"""Pictures of simple objects, taken as any other: the whole chain behind the projector, or with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import Device, load_device
from DeepDRRSlicerLib.physics.detector import Detector, Scintillator, load_detector
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.decomposition import Decomposition
from DeepDRRSlicerLib.simulation.exposing import Exposed, Shadow, expose
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique

SID = 1000.0  # mm, where spectra are quoted
_TECHNIQUE = Technique(80, 1.0)


@cache
def machine() -> Device:
    """The C-arm whose tube is used: 12 degrees, focal spot of 0.6 mm, no grid."""
    return replace(load_device("mobile_carm"), grid="none")


@cache
def ideal() -> Detector:
    """The detector that takes in everything."""
    return load_detector("ideal")


def csi_panel(packing: float = 1.0, pitch: float = 0.194, electronic_noise: float = 0.0, **layer) -> Detector:
    """600 um of CsI whose output is not rounded. layer: swank and mtf of the scintillator, none by default."""
    scintillator = Scintillator("CsI", 600.0, packing, **layer)
    return replace(ideal(), scintillator=scintillator, pixel_pitch=pitch, electronic_noise=electronic_noise)


def view(size: tuple[int, int], pitch: float, sid: float = SID, sod: float = 600.0) -> ConeBeam:
    """A square-on view with pixels of one pitch, the isocentre in the origin."""
    return CArmPose(0, 0, (0, 0, 0), sid, sod, size, (pitch, pitch)).beam()


def picture(
    areas: Mapping[str, float | np.ndarray],
    detector: Detector,
    beam: ConeBeam,
    technique: Technique = _TECHNIQUE,
    seed: int | None = None,
    frame: int = 0,
    device: Device | None = None,
    object_distance: float = SID,
    **acquisition,
) -> Exposed:
    """The frame behind {material: g/cm2, one number or (rows, cols)}; without the object's penumbra by default."""
    shadow = Shadow(
        np.stack([np.broadcast_to(np.float32(area), beam.size) for area in areas.values()]),
        tuple(areas),
        beam,
        min(object_distance, beam.sid),
    )
    settings = Acquisition(device or machine(), detector, technique, seed=seed, frame=frame, **acquisition)
    return expose(shadow, settings)


def patient(material: str, density: np.ndarray, spacing, centre=(0.0, 0.0, 0.0)) -> Simulator:
    """A body of one material around a point in RAS mm. density: (k, j, i) g/cm3; spacing: mm along i, j, k."""
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = np.asarray(centre) - (np.array(density.shape[::-1]) - 1) / 2 * np.asarray(spacing)
    body = MaterialVolume.from_density((material,), density[..., None], matrix)
    ct = Volume(np.where(density > 0, 0, -1000).astype(np.int16), matrix)
    return Simulator(ct, Decomposition("as given", lambda *_: body))
