"""What the patient gets: air kerma at the reference point, kerma-area product, rates, and totals of a study.

All without backscatter and without the attenuation of table and air.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.exposure import inverse_square, pixel_distance

REFERENCE_POINT = 150.0  # mm from the isocentre towards the source, IEC 60601-2-43
FLUOROSCOPY_ALARM = 300.0  # s of beam-on time after which it sounds: 21 CFR 1020.32(h), IEC 60601-2-54
_MGY_PER_UGY = 1e-3
_GYCM2_PER_UGYMM2 = 1e-8
_SECONDS_PER_MINUTE = 60.0


def reference_air_kerma(air_kerma_at_1m: float, source_isocenter_distance: float) -> float:
    """Air kerma at the interventional reference point, without backscatter, in the unit of the kerma at 1 m.

    source_isocenter_distance: mm. The point is 15 cm from the isocentre towards the source (IEC 60601-2-43).
    Raises InputError where the source stands at that point or beyond it.
    """
    if not source_isocenter_distance > REFERENCE_POINT:
        raise InputError(
            f"The source is {source_isocenter_distance:g} mm from the isocentre, so there is no reference point "
            f"{REFERENCE_POINT:g} mm before it; move the source further away."
        )
    return float(air_kerma_at_1m * inverse_square(source_isocenter_distance - REFERENCE_POINT))


def kerma_area_product(air_kerma_at_1m: float, beam: ConeBeam, share: np.ndarray | float = 1.0) -> float:
    """Air kerma integrated over the detector's plane, Gy cm2; the same at every distance from the source.

    air_kerma_at_1m: uGy on the central ray. share: (rows, cols), what collimation and heel effect leave of it.
    Kerma belongs to a point, not to a surface: it falls with the square of the distance alone, without obliquity.
    """
    factor = inverse_square(pixel_distance(beam)) * share
    return float(air_kerma_at_1m * factor.sum() * beam.pitch[0] * beam.pitch[1] * _GYCM2_PER_UGYMM2)


@dataclass(frozen=True)
class FrameDose:
    """What one frame gives. air_kerma: mGy at the reference point. kerma_area_product: Gy cm2. time: s.

    time is what the frame adds to the beam-on time: the interval between two pulses while a pedal is held down, so
    that it is the time of the pedal, and the pulse itself of a single exposure.
    """

    air_kerma: float
    kerma_area_product: float
    time: float

    @property
    def air_kerma_rate(self) -> float:
        """mGy/min at the reference point."""
        return self.air_kerma / self.time * _SECONDS_PER_MINUTE if self.time > 0 else 0.0


def frame_dose(
    air_kerma_at_1m: float, source_isocenter_distance: float, kerma_area_product: float, time: float
) -> FrameDose:
    """The dose of a frame from its air kerma at 1 m in uGy; as reference_air_kerma and FrameDose say."""
    kerma = reference_air_kerma(air_kerma_at_1m, source_isocenter_distance) * _MGY_PER_UGY
    return FrameDose(kerma, kerma_area_product, time)


@dataclass(frozen=True)
class DoseTotals:
    """Sums over the frames of a study; `add` gives the next one.

    air_kerma: mGy at the reference point (in DICOM's dose report Gy). kerma_area_product: Gy cm2 (in a DICOM image,
    0018,115E, dGy cm2; in the dose report Gy m2). beam_on_time, alarm_time: s, the latter since the alarm was reset.
    """

    air_kerma: float = 0.0
    kerma_area_product: float = 0.0
    frames: int = 0
    beam_on_time: float = 0.0
    alarm_time: float = 0.0

    def add(self, frame: FrameDose) -> DoseTotals:
        """The totals with one frame more."""
        return DoseTotals(
            self.air_kerma + frame.air_kerma,
            self.kerma_area_product + frame.kerma_area_product,
            self.frames + 1,
            self.beam_on_time + frame.time,
            self.alarm_time + frame.time,
        )

    @property
    def alarm(self) -> bool:
        """Whether the five minutes of beam-on time are over."""
        return self.alarm_time >= FLUOROSCOPY_ALARM - 1e-6  # sums of pulse intervals do not round up to it

    def with_alarm_reset(self) -> DoseTotals:
        """The same totals, from which the alarm counts anew."""
        return replace(self, alarm_time=0.0)
