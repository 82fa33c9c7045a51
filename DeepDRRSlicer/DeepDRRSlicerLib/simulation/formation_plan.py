"""What a card needs to know to make pictures of area densities: plain arrays, made once for many views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.blur import aperture_weights, screen_weights
from DeepDRRSlicerLib.physics.collimation import collimation
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.dose import kerma_area_product
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.heel import HEEL_MATERIAL, heel_kerma, heel_layer
from DeepDRRSlicerLib.physics.primary import detected, open_detected, spectral_tables
from DeepDRRSlicerLib.physics.readout import beyond_reach
from DeepDRRSlicerLib.physics.spectrum import Spectrum, tube_spectrum
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.exposure_control import measuring_pixels, nearness_of
from DeepDRRSlicerLib.simulation.scatter import CoarseScatterModel
from DeepDRRSlicerLib.simulation.technique import Technique

_ROUNDING = 1e-6  # of the brightest open pixel: less than that is ringing of the filters
_BLUR_STEP = 0.005  # mm: views whose penumbra differs by less share a filter
_MOST_DEPTH = 16  # bits
_KEPT = 8


@dataclass(frozen=True, eq=False)
class Opening:
    """What reaches the pixels of one place before the source (`place_of`) past the shutters, whatever the tube does.

    Images (rows, cols) float32. share: of the focal spot that is seen. field: open_field. falling: both. lit: 0 where
    only ringing of the filters gets. screen: weights of neighbours (2 n + 1, 2 n + 1), of the light.
    brightest: of falling. measured: (n,) int32 pixels of the brightness control; nearness: (n,) as in MeasuringField.
    kerma_area: Gy cm2 for 1 uGy at 1 m.
    """

    share: np.ndarray
    field: np.ndarray
    falling: np.ndarray
    lit: np.ndarray
    screen: np.ndarray
    brightest: float
    measured: np.ndarray
    nearness: np.ndarray
    kerma_area: float


@dataclass(frozen=True, eq=False)
class Spectral:
    """One spectrum and detector behind it, for materials in the order of the area densities.

    tables: float32 (nodes, channels + layers + 2), as kernels/spectral.h reads them. layer: float32 (rows, cols) g/cm2
    of the anode, or None. flat: keV per mm2 and mAs at 1 m without object, one number (1,), or (rows, cols) where there
    is a layer. ratios: least and largest variance over mean in keV. brightest: keV, as flat, at the energies of tables.
    kerma_area: Gy cm2 for 1 uGy at 1 m with the layer, None where it is the opening's.
    """

    spectrum: Spectrum
    tables: np.ndarray
    layer: np.ndarray | None
    flat: np.ndarray
    ratios: tuple[float, float]
    brightest: float
    kerma_area: float | None

    def limits(self, falling: float) -> np.ndarray:
        """(3,) float32: the ratios, and the mean that counts as nothing where at most so much of flat falls."""
        return np.array([*self.ratios, _ROUNDING * falling * self.brightest], np.float32)


class Plans:
    """Openings and spectra, remembered: a C-arm that turns keeps its detector where it is before the source."""

    def __init__(self):
        self._openings: dict[tuple, Opening] = {}
        self._spectra: dict[tuple, Spectral] = {}

    def opening(self, beam: ConeBeam, acquisition: Acquisition, source_blur: float) -> Opening:
        """source_blur: mm at the detector, penumbra of the focal spot. Raises InputError for an impossible field."""
        # Lit is what a whole number of pixels around what is seen reaches.
        reach = tuple(math.ceil(0.5 * source_blur / pitch) for pitch in beam.pitch)
        device = acquisition.device
        key = (place_of(beam), acquisition.collimation, device.focal_spot, device.collimator_distance,
               acquisition.detector.mtf, reach)  # fmt: skip
        return _remembered(self._openings, key, lambda: _opening(beam, acquisition, source_blur))

    def spectral(
        self, technique: Technique, materials: tuple[str, ...], beam: ConeBeam, acquisition: Acquisition
    ) -> Spectral:
        """Of a technique's spectrum, with the heel effect if it has one. Raises InputError for an impossible one."""
        device, place = acquisition.device, None
        if technique.heel:
            place = place_of(beam), device.anode_direction, acquisition.collimation
        key = (technique.kvp, tuple(technique.filtration.items()), device.anode_angle, acquisition.detector, materials,
               place)  # fmt: skip
        return _remembered(self._spectra, key, lambda: _spectral(technique, materials, beam, acquisition))


def why_not(acquisition: Acquisition) -> str:
    """What of an acquisition only the CPU computes, as the end of a sentence; empty where a card can do all."""
    detector = acquisition.detector
    for applies, what in (
        (acquisition.scatter is not None and not isinstance(acquisition.scatter, CoarseScatterModel),
         "scatter by the Monte Carlo"),
        (acquisition.distortion, "the detector's distortion"),
        (detector.field_shape != "rectangular" or detector.vignetting > 0, "a field that is not even"),
        (detector.glare is not None, "glare"),
        ((detector.bit_depth or 0) > _MOST_DEPTH, f"more than {_MOST_DEPTH} bits"),
    ):  # fmt: skip
        if applies:
            return what
    return ""


def why_not_in_batches(acquisition: Acquisition) -> str:
    """Likewise of many views at once."""
    if not isinstance(acquisition.technique, Technique):
        return "automatic exposure"
    return "scatter" if acquisition.scatter is not None else why_not(acquisition)


def load_of(technique: Technique, beam: ConeBeam, transmission: float) -> float:
    """mAs x mm2 at 1 m of a pixel that faces the source there, past a grid of this transmission."""
    return technique.mas * beam.pitch[0] * beam.pitch[1] * transmission


def place_of(beam: ConeBeam) -> tuple:
    """What decides where the pixels are as seen from the source, to 1e-6 mm."""
    corner = beam.pixel00 - beam.source
    return (beam.size, beam.pitch, *(round(float(corner @ axis), 6) for axis in (beam.e_c, beam.e_r, beam.normal)))


def apertures(beam: ConeBeam, blurs) -> np.ndarray:
    """(views, 2, 2 n + 1) float32: filters along rows and columns of pixel and focal spot.

    blurs: mm at the detector, the penumbra of each view.
    """
    pairs = [[_aperture(pitch, round(width / _BLUR_STEP)) for pitch in beam.pitch] for width in blurs]
    reach = max(len(weights) for pair in pairs for weights in pair) // 2
    result = np.zeros((len(pairs), 2, 2 * reach + 1), np.float32)
    for of_view, pair in zip(result, pairs, strict=True):
        for row, weights in zip(of_view, pair, strict=True):
            half = len(weights) // 2
            row[reach - half : reach + half + 1] = weights
    return result


def _opening(beam: ConeBeam, acquisition: Acquisition, source_blur: float) -> Opening:
    device = acquisition.device
    share = collimation(beam, acquisition.collimation, device.focal_spot, device.collimator_distance)
    field = open_field(beam)
    falling = (field * share).astype(np.float32)
    pixels = measuring_pixels(beam, share)
    lit = np.broadcast_to(~np.asarray(beyond_reach(falling, beam.pitch, source_blur)), beam.size)
    return Opening(
        share=share,
        field=field.astype(np.float32),
        falling=falling,
        lit=lit.astype(np.float32),
        screen=_screen(beam.pitch, acquisition.detector.mtf),
        brightest=float(falling.max()),
        measured=pixels.astype(np.int32),
        nearness=nearness_of(beam, share, pixels),
        kerma_area=kerma_area_product(1.0, beam, share),
    )


def _spectral(technique: Technique, materials: tuple[str, ...], beam: ConeBeam, acquisition: Acquisition) -> Spectral:
    device, detector = acquisition.device, acquisition.detector
    spectrum = tube_spectrum(technique.kvp, technique.filtration, device.anode_angle)
    layer, traced, kerma_area = None, materials, None
    if technique.heel:
        layer = heel_layer(beam, device.anode_direction, technique.kvp, device.anode_angle)
        traced = (*materials, HEEL_MATERIAL)
        share = collimation(beam, acquisition.collimation, device.focal_spot, device.collimator_distance)
        kerma_area = kerma_area_product(1.0, beam, share * heel_kerma(spectrum, layer))
    # A material named twice counts twice: the channel of tungsten and the anode's own filtration.
    distinct = tuple(dict.fromkeys(traced))
    anode = 0.0 if layer is None else max(0.0, -float(layer.min()))
    exponents, weights = spectral_tables(distinct, spectrum, detector, anode)
    columns = [exponents[:, distinct.index(material)] for material in traced]
    used = weights[0] > 0
    ratios = weights[1, used] / weights[0, used]
    return Spectral(
        spectrum=spectrum,
        tables=np.stack([*columns, *weights], axis=1).astype(np.float32),
        layer=layer,
        flat=_flat(spectrum, detector, layer),
        ratios=(float(ratios.min()), float(ratios.max())),
        brightest=float(weights[0].sum()),
        kerma_area=kerma_area,
    )


def _flat(spectrum: Spectrum, detector: Detector, layer: np.ndarray | None) -> np.ndarray:
    if layer is None:
        return np.array([open_detected(spectrum, detector)[0]], np.float32)
    return detected(layer[None], (HEEL_MATERIAL,), spectrum, detector)[0]


def _remembered(known: dict, key: tuple, make):
    """What `make` gives for a key, of which the last few are remembered."""
    if key not in known:
        if len(known) == _KEPT:
            known.pop(next(iter(known)))
        known[key] = make()
    return known[key]


@lru_cache(256)
def _aperture(pitch: float, steps: int) -> np.ndarray:
    return aperture_weights(pitch, steps * _BLUR_STEP)


@lru_cache(8)
def _screen(pitch, mtf) -> np.ndarray:
    return screen_weights(pitch, mtf)
