"""From the patient's shadow in area densities to a picture: tube, shutters, grid, detector, noise and dose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.collimation import collimation, exposed_window, penumbra_width
from DeepDRRSlicerLib.physics.dose import kerma_area_product
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.field import distorted
from DeepDRRSlicerLib.physics.heel import HEEL_MATERIAL, heel_kerma, heel_layer
from DeepDRRSlicerLib.physics.lag import with_lag
from DeepDRRSlicerLib.physics.primary import detected, open_detected
from DeepDRRSlicerLib.physics.readout import Frame, counts_per_kev, digitised, field_gain, frame_generator, taken_in
from DeepDRRSlicerLib.physics.spectrum import Spectrum, tube_spectrum
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.exposure_control import (
    AutomaticExposure,
    MeasuringField,
    measuring_field,
    technique_for,
)
from DeepDRRSlicerLib.simulation.scatter import CoarseScatter, Irradiated, Scatter, ScatterModel
from DeepDRRSlicerLib.simulation.technique import Technique

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.card_array import CardArray
    from DeepDRRSlicerLib.projection.tools import Tool

MANUAL_CONTROL = {"control": "manual", "limit": ""}


@dataclass(frozen=True, eq=False)
class Shadow:
    """What the radiation meets. area_density: (materials, rows, columns) g/cm2; zero where nothing was traced.

    object_distance: mm from the source, along the normal, to the plane whose blur by the focal spot the picture shows.
    volume, tools: what casts it, for a model of scatter.
    """

    area_density: np.ndarray
    materials: tuple[str, ...]
    beam: ConeBeam
    object_distance: float
    volume: MaterialVolume | None = None
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True, eq=False)
class Conditions:
    """How a picture is taken, once the brightness control has chosen: frames that differ by their number share it.

    open_field, exposed: as in Radiograph. blur: mm at the detector, of the focal spot. control: what the brightness
    control says of the technique. scatter: what the model of scatter says of itself, for the metadata.
    """

    technique: Technique
    open_field: np.ndarray
    exposed: np.ndarray
    blur: float
    control: dict
    spectrum: dict
    dose: dict
    scatter: dict


@dataclass(frozen=True, eq=False)
class Irradiation(Conditions):
    """What falls on the detector, before chance has its part.

    mean, variance: (rows, cols) float32 keV and keV2 per pixel.
    """

    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True, eq=False)
class Exposed:
    """A frame as read out, the open field and the exposed share as in Radiograph, and what is to be said of them.

    held: what the panel holds back of this and earlier frames, as physics.lag.with_lag gives it; None without lag.
    A picture that a card has made leaves it there.
    """

    frame: Frame
    open_field: np.ndarray
    exposed: np.ndarray
    metadata: dict
    held: np.ndarray | CardArray | None = None


def field_window(beam: ConeBeam, acquisition: Acquisition) -> tuple[slice, slice]:
    """Rows and columns of the picture that see the focal spot past the shutters."""
    if acquisition.collimation is None:
        return slice(0, beam.size[0]), slice(0, beam.size[1])
    device = acquisition.device
    return exposed_window(beam, acquisition.collimation, device.focal_spot, device.collimator_distance)


def expose(shadow: Shadow, acquisition: Acquisition, lag: bool = False, held: np.ndarray | None = None) -> Exposed:
    """The picture of a shadow. Raises InputError for an impossible technique or field, and for lag without a rate.

    lag: whether the detector keeps a part of the frame for later ones, and releases what it has `held`, the result of
    the frame before (None for the first one).
    """
    return read_frame(irradiate(shadow, acquisition), shadow.beam, acquisition, lag, held)


def irradiate(shadow: Shadow, acquisition: Acquisition, should_stop: Callable[[], bool] = lambda: False) -> Irradiation:
    """What the shadow lets through to the detector; seed and frame do not matter. Raises as expose, and Stopped."""
    beam, device, detector = shadow.beam, acquisition.device, acquisition.detector
    share = collimation(beam, acquisition.collimation, device.focal_spot, device.collimator_distance)
    field = open_field(beam)
    technique, control = _technique(shadow, acquisition, share, field, should_stop)
    spectrum = tube_spectrum(technique.kvp, technique.filtration, device.anode_angle)
    heel = None
    if technique.heel:
        heel = heel_layer(beam, device.anode_direction, technique.kvp, device.anode_angle)
    # mAs x mm2 at 1 m and at a right angle to the ray that send as many photons as the pixel gets.
    load = technique.mas * beam.pitch[0] * beam.pitch[1] * acquisition.grid_in_use.primary_transmission * field

    window = field_window(beam, acquisition)
    mean, variance = np.zeros((2, *beam.size), dtype=np.float32)
    falling = load[window] * share[window]
    per_load = detected(*_with_heel(shadow, heel, window), spectrum, detector)
    mean[window], variance[window] = (moment * falling for moment in per_load)
    without = np.broadcast_to(_flat(spectrum, detector, heel), beam.size)
    flat = (without * load).astype(np.float32)
    told = {"model": "none"}
    if acquisition.scatter is not None:
        found = _scatter(shadow, acquisition, technique, share, per_load[0] / without[window], should_stop)
        passed = technique.mas * beam.pitch[0] * beam.pitch[1] * acquisition.grid_in_use.scatter_transmission
        mean += found.mean * np.float32(passed)
        variance += found.variance * np.float32(passed)
        told = scatter_told(acquisition.scatter, found)
    gain = field_gain(detector, beam.size, beam.pitch)
    kerma_share = share if heel is None else share * heel_kerma(spectrum, heel)
    if gain is not None and detector.field_shape == "circular":
        kerma_share = kerma_share * (gain > 0)  # the tube's iris keeps the beam on the round entrance
    if acquisition.distortion:
        mean, variance, flat, share = distorted(np.stack([mean, variance, flat, share]), detector.distortion)
    kerma_at_1m = spectrum.air_kerma * technique.mas
    return Irradiation(
        technique=technique,
        mean=mean,
        variance=variance,
        open_field=flat if gain is None else flat * gain,
        exposed=share,
        blur=penumbra_width(device.focal_spot, beam.sid, shadow.object_distance),
        control=control,
        spectrum=spectrum_told(spectrum, kerma_at_1m),
        dose=dose_told(kerma_area_product(kerma_at_1m, beam, kerma_share), technique),
        scatter=told,
    )


def read_frame(
    falling: Irradiation, beam: ConeBeam, acquisition: Acquisition, lag: bool = False, held: np.ndarray | None = None
) -> Exposed:
    """A frame of what falls on the detector, with the noise of its number; lag and held as for expose, raises as it."""
    detector, technique = acquisition.detector, falling.technique
    generator = None if acquisition.seed is None else frame_generator(acquisition.seed, acquisition.frame)
    energy = taken_in(falling.mean, falling.variance, detector, beam.pitch, generator, falling.blur)
    if lag and detector.lag is not None:
        energy, held = with_lag(energy, held, detector.lag, frame_interval(technique))
    frame = digitised(energy, detector, beam.pitch, generator)
    told = frame_told(falling, acquisition, beam, frame.clipped, lag)
    return Exposed(frame, falling.open_field, falling.exposed, told, held)


def frame_interval(technique: Technique) -> float:
    """s from one frame to the next. Raises InputError for a technique without a pulse rate."""
    if technique.pulse_rate is None:
        raise InputError("Lag needs the time between two frames; choose a mode with pulses, or give the pulse rate.")
    return 1.0 / technique.pulse_rate


def spectrum_told(spectrum: Spectrum, kerma_at_1m: float) -> dict:
    """What metadata say of it. kerma_at_1m: uGy."""
    return {
        "mean_energy_kev": spectrum.mean_energy,
        "half_value_layer_mm_al": spectrum.half_value_layer(),
        "second_half_value_layer_mm_al": spectrum.half_value_layer(order=2),
        "air_kerma_at_1m_ugy": kerma_at_1m,
    }


def dose_told(area_product: float, technique: Technique) -> dict:
    """What metadata say of it. area_product: Gy cm2."""
    return {"kerma_area_product_gycm2": area_product, "beam_on_time_s": technique.beam_on_time}


def scatter_told(model: ScatterModel, found: Scatter | CoarseScatter) -> dict:
    """What metadata say of it."""
    return {"model": model.name, "warning": found.warning} | found.details


def frame_told(
    taken: Conditions, acquisition: Acquisition, beam: ConeBeam, clipped: tuple[int, int], lag: bool
) -> dict:
    """The metadata of a frame. clipped: as in Frame. lag: whether the detector may show it."""
    detector = acquisition.detector
    return acquisition.to_dict() | {
        "technique": taken.technique.to_dict(),
        "exposure": taken.control,
        "spectrum": taken.spectrum,
        "readout": {
            "dark_offset": detector.dark_offset,
            "counts_per_kev": counts_per_kev(detector, beam.pitch),
            "zero_pixels": clipped[0],
            "saturated_pixels": clipped[1],
        },
        "effects": {
            "scatter": taken.scatter["model"],
            "noise": "none" if acquisition.seed is None else "quantum and electronic",
            "blur": "pixel aperture, focal spot, detector",
            "focal_spot_blur_mm": taken.blur,
            "lag": lag and detector.lag is not None,
        },
        "dose": taken.dose,
        "scatter": taken.scatter,
    }


def _scatter(shadow: Shadow, acquisition: Acquisition, technique: Technique, share, passed, should_stop) -> Scatter:
    """The scatter of a technique, by the acquisition's model.

    passed: the primary over the open field within the window, which is computed where it is None.
    """
    detector = acquisition.detector
    spectrum = tube_spectrum(technique.kvp, technique.filtration, acquisition.device.anode_angle)
    window = field_window(shadow.beam, acquisition)
    if passed is None:
        primary = detected(shadow.area_density[:, *window], shadow.materials, spectrum, detector)[0]
        passed = primary / open_detected(spectrum, detector)[0]
    transmission = np.ones(shadow.beam.size, dtype=np.float32)
    transmission[window] = passed
    assert shadow.volume is not None and acquisition.scatter is not None
    view = Irradiated(
        shadow.volume, shadow.tools, shadow.beam, shadow.area_density, shadow.materials, transmission, share,
        technique.kvp, spectrum, detector,
    )  # fmt: skip
    return acquisition.scatter.scatter(view, should_stop)


def _technique(
    shadow: Shadow, acquisition: Acquisition, share: np.ndarray, field: np.ndarray, should_stop
) -> tuple[Technique, dict]:
    """The technique of the picture, and what the brightness control says of it."""
    chosen = acquisition.technique
    if isinstance(chosen, Technique):
        return chosen, dict(MANUAL_CONTROL)
    measured = measuring_field(shadow.area_density, shadow.materials, shadow.beam, share)

    def to_primary(technique: Technique) -> float:
        found = _scatter(shadow, acquisition, technique, share, None, should_stop)
        falling = (share * field).reshape(-1)[measured.pixels]
        return scatter_to_primary(found.mean.reshape(-1)[measured.pixels], measured, acquisition, technique, falling)

    return controlled(chosen, acquisition, measured, shadow.beam, to_primary)


def controlled(
    chosen: Automatic,
    acquisition: Acquisition,
    measured: MeasuringField,
    beam: ConeBeam,
    to_primary: Callable[[Technique], float],
) -> tuple[Technique, dict]:
    """The technique that the brightness control chooses, and what is said of it.

    to_primary: scatter over primary signal in the measuring field; not asked for an acquisition without scatter.
    """
    device = acquisition.device
    mode = device.exposure_mode(chosen.mode)

    def technique(scatter_share: float) -> AutomaticExposure:
        return technique_for(measured, beam, mode, device, chosen.kvp, chosen.pulse_rate, chosen.heel, scatter_share)

    control = technique(0.0)
    if acquisition.scatter is not None:
        # The chamber of the brightness control sees the scatter, too, whose share hardly depends on the technique.
        control = technique(to_primary(control.technique))
    return control.technique, {
        "control": "automatic",
        "detector_kerma_ngy": control.detector_kerma,
        "target_detector_kerma_ngy": control.target,
        "limit": control.limit,
    }


def scatter_to_primary(
    scattered: np.ndarray, measured: MeasuringField, acquisition: Acquisition, technique: Technique, falling: np.ndarray
) -> float:
    """Scatter over primary signal in the measuring field of the brightness control, in front of the grid.

    scattered: (n,) keV per mm2 of detector and mAs. falling: (n,) mAs mm2 at 1 m that fall on a mm2 there for 1 mAs.
    """
    spectrum = tube_spectrum(technique.kvp, technique.filtration, acquisition.device.anode_angle)
    primary = detected(measured.area_density[:, None], measured.materials, spectrum, acquisition.detector)[0][0]
    fallen = np.median(primary * falling)
    return float(np.median(scattered) / fallen) if fallen > 0 else 0.0


def _with_heel(shadow: Shadow, heel: np.ndarray | None, window) -> tuple[np.ndarray, tuple[str, ...]]:
    """Area densities within the window, and their materials, with the anode's own filtration among them."""
    areas, materials = shadow.area_density[:, *window], shadow.materials
    if heel is None:
        return areas, materials
    if HEEL_MATERIAL not in materials:
        return np.concatenate([areas, heel[window][None]]), (*materials, HEEL_MATERIAL)
    areas = areas.copy()
    areas[materials.index(HEEL_MATERIAL)] += heel[window]
    return areas, materials


def _flat(spectrum: Spectrum, detector, heel: np.ndarray | None):
    """keV per mm2 and mAs at 1 m without patient: one number, or an image with the heel effect."""
    if heel is None:
        return open_detected(spectrum, detector)[0]
    return detected(heel[None], (HEEL_MATERIAL,), spectrum, detector)[0]
