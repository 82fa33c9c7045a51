"""A C-arm as its description file says it (geometry/device.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.exposure_modes import ExposureMode
from DeepDRRSlicerLib.geometry.joints import Joint, chain_frames
from DeepDRRSlicerLib.geometry.parts import Part
from DeepDRRSlicerLib.geometry.table import Table


@dataclass(frozen=True)
class Range:
    """A default and the limits that the machine keeps."""

    default: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class Device:
    """A C-arm. Distances mm, tube_voltage kVp, tube_load mAs per image, filtration mm by metal, focal_spot mm.

    anode_direction: unit vector (along a row, down a column) towards the anode. collimator_distance: mm from the focal
    spot to the shutters. generator_power: kW. isocenter_height: mm above the floor. table: None where none is said.
    """

    name: str
    detector: str
    source_isocenter_distance: float
    source_image_distance: Range
    joints: tuple[Joint, ...]
    tube_voltage: Range
    tube_load: Range
    filtration: dict[str, float]
    parts: tuple[Part, ...] = ()
    anode_angle: float = 12.0
    anode_direction: tuple[float, float] = (1.0, 0.0)
    focal_spot: float = 0.6
    collimator_distance: float = 150.0
    generator_power: float | None = None
    exposure_modes: tuple[ExposureMode, ...] = ()
    grid: str = "none"
    isocenter_height: float = 1060.0
    table: Table | None = None
    source: str = ""
    folder: Path | None = field(default=None, compare=False)

    def joint(self, name: str) -> Joint:
        """The joint of that name, which must be there."""
        return next(joint for joint in self.joints if joint.name == name)

    def exposure_mode(self, name: str) -> ExposureMode:
        """The exposure mode of that name. Raises InputError naming those that the device has."""
        found = next((mode for mode in self.exposure_modes if mode.name == name), None)
        if found is None:
            names = ", ".join(mode.name for mode in self.exposure_modes) or "none, so that kVp and mAs are set by hand"
            raise InputError(f"The {self.name} has no exposure mode {name!r}; it has {names}.")
        return found


def joint_frames(device: Device, values: Mapping[str, float]) -> dict[str, np.ndarray]:
    """4x4 from each joint's frame to the base frame; a joint without a value stands at 0."""
    return chain_frames(device.joints, values)
