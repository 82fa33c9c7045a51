"""From the patient's shadow in area densities to a picture: tube, shutters, grid, detector, noise and dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.exposure_control import automatic_technique
from DeepDRRSlicerLib.simulation.technique import Technique


@dataclass(frozen=True, eq=False)
class Shadow:
    """What the radiation meets. area_density: (materials, rows, columns) g/cm2; zero where nothing was traced.

    object_distance: mm from the source, along the normal, to the plane whose blur by the focal spot the picture shows.
    """

    area_density: np.ndarray
    materials: tuple[str, ...]
    beam: ConeBeam
    object_distance: float


@dataclass(frozen=True, eq=False)
class Exposed:
    """A frame as read out, the open field and the exposed share as in Radiograph, and what is to be said of them.

    held: what the panel holds back of this and earlier frames, as physics.lag.with_lag gives it; None without lag.
    """

    frame: Frame
    open_field: np.ndarray
    exposed: np.ndarray
    metadata: dict
    held: np.ndarray | None = None


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
    beam, device, detector = shadow.beam, acquisition.device, acquisition.detector
    share = collimation(beam, acquisition.collimation, device.focal_spot, device.collimator_distance)
    technique, control = _technique(shadow, acquisition, share)
    spectrum = tube_spectrum(technique.kvp, technique.filtration, device.anode_angle)
    heel = None
    if technique.heel:
        heel = heel_layer(beam, device.anode_direction, technique.kvp, device.anode_angle)
    # mAs x mm2 at 1 m and at a right angle to the ray that send as many photons as the pixel gets.
    load = technique.mas * beam.pitch[0] * beam.pitch[1] * acquisition.grid.primary_transmission * open_field(beam)

    window = field_window(beam, acquisition)
    mean, variance = np.zeros((2, *beam.size), dtype=np.float32)
    falling = load[window] * share[window]
    per_load = detected(*_with_heel(shadow, heel, window), spectrum, detector)
    mean[window], variance[window] = (moment * falling for moment in per_load)
    flat = (_flat(spectrum, detector, heel) * load).astype(np.float32)
    gain = field_gain(detector, beam.size, beam.pitch)
    kerma_share = share if heel is None else share * heel_kerma(spectrum, heel)
    if detector.field_shape == "circular":
        kerma_share = kerma_share * (gain > 0)  # the tube's iris keeps the beam on the round entrance
    if acquisition.distortion:
        mean, variance, flat, share = distorted(np.stack([mean, variance, flat, share]), detector.distortion)
    blur = penumbra_width(device.focal_spot, beam.sid, shadow.object_distance)
    generator = None if acquisition.seed is None else frame_generator(acquisition.seed, acquisition.frame)
    energy = taken_in(mean, variance, detector, beam.pitch, generator, blur)
    if lag and detector.lag is not None:
        if technique.pulse_rate is None:
            raise InputError(
                "Lag needs the time between two frames; choose a mode with pulses, or give the pulse rate."
            )
        energy, held = with_lag(energy, held, detector.lag, 1.0 / technique.pulse_rate)
    frame = digitised(energy, detector, beam.pitch, generator)

    kerma_at_1m = spectrum.air_kerma * technique.mas
    metadata = acquisition.to_dict() | {
        "technique": technique.to_dict(),
        "exposure": control,
        "spectrum": {
            "mean_energy_kev": spectrum.mean_energy,
            "half_value_layer_mm_al": spectrum.half_value_layer(),
            "second_half_value_layer_mm_al": spectrum.half_value_layer(order=2),
            "air_kerma_at_1m_ugy": kerma_at_1m,
        },
        "readout": {
            "dark_offset": detector.dark_offset,
            "counts_per_kev": counts_per_kev(detector, beam.pitch),
            "zero_pixels": frame.clipped[0],
            "saturated_pixels": frame.clipped[1],
        },
        "effects": {
            "scatter": "none",
            "noise": "none" if generator is None else "quantum and electronic",
            "blur": "pixel aperture, focal spot, detector",
            "focal_spot_blur_mm": blur,
            "lag": lag and detector.lag is not None,
        },
        "dose": {
            "kerma_area_product_gycm2": kerma_area_product(kerma_at_1m, beam, kerma_share),
            "beam_on_time_s": technique.beam_on_time,
        },
    }
    return Exposed(frame, flat if gain is None else flat * gain, share, metadata, held)


def _technique(shadow: Shadow, acquisition: Acquisition, share: np.ndarray) -> tuple[Technique, dict]:
    """The technique of the picture, and what the brightness control says of it."""
    chosen, device = acquisition.technique, acquisition.device
    if isinstance(chosen, Technique):
        return chosen, {"control": "manual", "limit": ""}
    mode = device.exposure_mode(chosen.mode)
    control = automatic_technique(
        shadow.area_density, shadow.materials, shadow.beam, mode, device, share, chosen.kvp, chosen.pulse_rate,
        chosen.heel,
    )  # fmt: skip
    return control.technique, {
        "control": "automatic",
        "detector_kerma_ngy": control.detector_kerma,
        "target_detector_kerma_ngy": control.target,
        "limit": control.limit,
    }


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
