"""From a CT, a view and a technique to a radiograph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import DeepDRRSlicerLib
from DeepDRRSlicerLib.anatomy.border import border_mask
from DeepDRRSlicerLib.anatomy.hu_model import decompose
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import positioner_angles
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.primary import open_signal, transmission
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.simulation.radiograph import Radiograph
from DeepDRRSlicerLib.simulation.technique import Technique

_GYCM2_PER_UGYMM2 = 1e-8


@dataclass(frozen=True)
class Decomposition:
    """A way to say what a CT is made of. name: what it is called in metadata; decompose: CT in HU to materials."""

    name: str
    decompose: Callable[[Volume], MaterialVolume]


THRESHOLD = Decomposition("threshold", decompose)


class Simulator:
    """One patient made ready: decomposed once, then seen from anywhere.

    ct: HU. Raises InputError where the CT holds no body or the backend cannot be used.
    """

    def __init__(self, ct: Volume, decomposition: Decomposition = THRESHOLD, backend: str = "auto"):
        self.ct = ct
        self.decomposition = decomposition.name
        self.projector = make_projector(decomposition.decompose(ct), backend)
        self._ct_hash = _volume_hash(ct)

    def settings_hash(self, beam: ConeBeam, technique: Technique, detector: Detector) -> str:
        """Hex digest of everything that decides the image: CT, materials, view, technique, detector, version."""
        settings = {
            "ct": self._ct_hash,
            "decomposition": self.decomposition,
            "geometry": beam_to_dict(beam),
            "technique": _technique_dict(technique),
            "detector": asdict(detector),
            "version": DeepDRRSlicerLib.__version__,
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def simulate(
        self,
        beam: ConeBeam,
        technique: Technique,
        detector: Detector,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Radiograph:
        """The primary image of one view. Raises InputError for an impossible technique, Stopped on request."""
        spectrum = tube_spectrum(technique.kvp, technique.filtration)
        efficiency = detector.efficiency(spectrum.energies)
        area_density = self.projector.project([beam], should_stop)[0]
        # mm2 at 1 m and at a right angle to the ray that send as many photons as the pixel gets.
        area_at_1m = beam.pitch[0] * beam.pitch[1] * open_field(beam)
        flat = (open_signal(spectrum, efficiency) * technique.mas * area_at_1m).astype(np.float32)
        kerma_at_1m = spectrum.air_kerma * technique.mas
        border = border_mask(self.ct, beam)
        primary_angle, secondary_angle = positioner_angles(beam.detector_center - beam.source)
        metadata = {
            "program": {"name": "DeepDRRSlicer", "version": DeepDRRSlicerLib.__version__, "packages": _versions()},
            "geometry": beam_to_dict(beam),
            "direction": {"primary_angle": primary_angle, "secondary_angle": secondary_angle},
            "technique": _technique_dict(technique),
            "spectrum": {
                "mean_energy_kev": spectrum.mean_energy,
                "half_value_layer_mm_al": spectrum.half_value_layer(),
                "air_kerma_at_1m_ugy": kerma_at_1m,
            },
            "detector": asdict(detector),
            "materials": {"model": self.decomposition, "names": list(self.projector.materials)},
            "backend": self.projector.name,
            "units": {"signal": "keV per pixel", "open_field": "keV per pixel", "area_density": "g/cm2"},
            # What a real image has and this one, so far, has not.
            "effects": {"scatter": "none", "noise": "none", "blur": "none"},
            "dose": {"kerma_area_product_gycm2": float(kerma_at_1m * area_at_1m.sum() * _GYCM2_PER_UGYMM2)},
            "border_fraction": float(border.mean()),
        }
        return Radiograph(
            signal=flat * transmission(area_density, self.projector.materials, spectrum, efficiency),
            open_field=flat,
            area_density=area_density,
            materials=self.projector.materials,
            beam=beam,
            border=border,
            settings_hash=self.settings_hash(beam, technique, detector),
            metadata=metadata,
        )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("numpy", "SimpleITK", "numba"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # Slicer's own SimpleITK may come without package metadata
            found[name] = "unknown"
    return found


def _technique_dict(technique: Technique) -> dict:
    return {"kvp": technique.kvp, "mas": technique.mas, "filtration_mm": dict(technique.filtration)}


def _volume_hash(volume: Volume) -> str:
    digest = hashlib.sha256(repr((volume.array.shape, volume.array.dtype.str, volume.ijk_to_ras.tolist())).encode())
    for plane in volume.array:
        digest.update(np.ascontiguousarray(plane))
    return digest.hexdigest()
