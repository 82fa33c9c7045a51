"""What a card needs to know to make pictures of area densities: plain arrays, made once for many views."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.blur import aperture_weights, screen_weights
from DeepDRRSlicerLib.physics.collimation import collimation
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.heel import HEEL_MATERIAL, heel_layer
from DeepDRRSlicerLib.physics.primary import spectral_tables
from DeepDRRSlicerLib.physics.readout import beyond_reach
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.technique import Technique

_ROUNDING = 1e-6  # of the brightest open pixel: less than that is ringing of the filters
_BLUR_STEP = 0.005  # mm: views whose penumbra differs by less share a filter
_MOST_DEPTH = 16  # bits


@dataclass(frozen=True, eq=False)
class FormationPlan:
    """One technique, detector and place before it. All float32.

    tables: (nodes, channels + layers + 2), as the kernel `moments` reads them. layer: (rows, cols) g/cm2 of the anode,
    or None. falling: (rows, cols), what mean and variance are in proportion to. lit: (rows, cols), 0 where only ringing
    gets. limits: (3,) least and largest variance over mean in keV, and the mean that counts as nothing. screen:
    weights of neighbours (2 n + 1, 2 n + 1).
    """

    tables: np.ndarray
    layer: np.ndarray | None
    falling: np.ndarray
    lit: np.ndarray
    limits: np.ndarray
    screen: np.ndarray


def why_not(acquisition: Acquisition) -> str:
    """What of an acquisition only the CPU computes, as the end of a sentence; empty where a card can do all."""
    detector = acquisition.detector
    for applies, what in (
        (not isinstance(acquisition.technique, Technique), "automatic exposure"),
        (acquisition.scatter is not None, "scatter"),
        (acquisition.distortion, "the detector's distortion"),
        (detector.field_shape != "rectangular" or detector.vignetting > 0, "a field that is not even"),
        (detector.glare is not None, "glare"),
        ((detector.bit_depth or 0) > _MOST_DEPTH, f"more than {_MOST_DEPTH} bits"),
    ):
        if applies:
            return what
    return ""


def plan_of(beam: ConeBeam, materials: tuple[str, ...], acquisition: Acquisition, source_blur: float) -> FormationPlan:
    """For beams in the same place before their detector (`place_of`). materials: the channels of the area densities.

    source_blur: mm at the detector, the narrowest penumbra of all views.
    Raises InputError for an impossible technique or field.
    """
    device, detector, technique = acquisition.device, acquisition.detector, acquisition.technique
    share = collimation(beam, acquisition.collimation, device.focal_spot, device.collimator_distance)
    spectrum = tube_spectrum(technique.kvp, technique.filtration, device.anode_angle)
    layer, traced = None, materials
    if technique.heel:
        layer = heel_layer(beam, device.anode_direction, technique.kvp, device.anode_angle).astype(np.float32)
        traced = (*materials, HEEL_MATERIAL)
    # A material named twice counts twice: the channel of tungsten and the anode's own filtration.
    distinct = tuple(dict.fromkeys(traced))
    anode = 0.0 if layer is None else max(0.0, -float(layer.min()))
    exponents, weights = spectral_tables(distinct, spectrum, detector, anode)
    columns = [exponents[:, distinct.index(material)] for material in traced]
    load = technique.mas * beam.pitch[0] * beam.pitch[1] * acquisition.grid.primary_transmission
    falling = load * open_field(beam) * share
    used = weights[0] > 0
    ratios = weights[1, used] / weights[0, used]
    brightest = float(falling.max()) * float(weights[0].sum())
    return FormationPlan(
        tables=np.stack([*columns, *weights], axis=1).astype(np.float32),
        layer=layer,
        falling=falling.astype(np.float32),
        lit=np.broadcast_to(~np.asarray(beyond_reach(falling, beam.pitch, source_blur)), beam.size)
        .astype(np.float32),
        limits=np.array([ratios.min(), ratios.max(), _ROUNDING * brightest], np.float32),
        screen=_screen(beam.pitch, detector.mtf),
    )  # fmt: skip


def place_of(beam: ConeBeam) -> tuple:
    """What decides a plan of a beam: where its pixels are as seen from the source, to 1e-6 mm."""
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


@lru_cache(256)
def _aperture(pitch: float, steps: int) -> np.ndarray:
    return aperture_weights(pitch, steps * _BLUR_STEP)


@lru_cache(8)
def _screen(pitch, mtf) -> np.ndarray:
    return screen_weights(pitch, mtf)
