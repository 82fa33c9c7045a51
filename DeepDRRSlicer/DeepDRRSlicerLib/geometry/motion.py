"""Driving a machine: from one set of values of its joints and its table to another, each at its own speed.

Values are a plain dict by name: the joints of the device, and for a device with a table `table_height`,
`table_longitudinal`, `table_lateral` (mm) and `table_tilt` (degrees).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.machine import Device
from DeepDRRSlicerLib.geometry.table import TABLE_AXES

Values = dict[str, float]


@dataclass(frozen=True)
class Motion:
    """start, target: values by name; speeds: degrees or mm per second. All start together, each ends by itself."""

    start: Values
    target: Values
    speeds: Values

    @property
    def duration(self) -> float:
        """Seconds until the last of them has arrived."""
        return max((abs(self.target[name] - self.start[name]) / self.speeds[name] for name in self.start), default=0.0)

    def at(self, time: float) -> Values:
        """The values after `time` seconds; before the start those of the start, after the end exactly the target."""
        values = {}
        for name, start in self.start.items():
            way, reach = self.target[name] - start, self.speeds[name] * max(0.0, time)
            values[name] = self.target[name] if reach >= abs(way) else start + float(np.copysign(reach, way))
        return values


def drive(device: Device, start: Mapping[str, float], target: Mapping[str, float]) -> Motion:
    """The motion from `start` to `target`; what `target` does not name stays where it is.

    A rotation goes the direct way between the two values, which both lie within its limits, so that it never turns
    through one. (device_angles chooses, of the values that give the same view, the one nearest to where it stands.)
    What stands beyond a limit may stay there or come back. Raises InputError for a name that the machine does not have
    and for a target outside its limits.
    """
    target = {**start, **target}
    ranges, speeds = limits(device), speeds_of(device)
    for name, value in target.items():
        if name not in ranges or name not in start:
            raise InputError(_nothing(device, name))
        low, high = ranges[name]
        if not low <= value <= high and value != start[name]:
            raise InputError(
                f"The {name.replace('_', ' ')} of {value:g} lies outside the {low:g} to {high:g} of {device.name}; "
                "drive to a place within them."
            )
    return Motion(dict(start), {name: float(target[name]) for name in start}, {name: speeds[name] for name in start})


def jog(device: Device, values: Mapping[str, float], name: str, step: float) -> Values:
    """The values with one of them moved by a step in degrees or mm, as far as its limit.

    From beyond a limit, it moves back towards the limit but never further out. Raises InputError for an unknown name.
    """
    ranges = limits(device)
    if name not in ranges or name not in values:
        raise InputError(_nothing(device, name))
    low, high = ranges[name]
    here = values[name]
    return dict(values) | {name: float(np.clip(here + step, min(low, here), max(high, here)))}


def limits(device: Device) -> dict[str, tuple[float, float]]:
    """(lowest, highest) of everything that moves, by name."""
    table = {} if device.table is None else {name: device.table.axis(name).limits for name in TABLE_AXES}
    return {joint.name: joint.limits for joint in device.joints} | table


def speeds_of(device: Device) -> Values:
    """Degrees or mm per second of everything that moves, by name."""
    table = {} if device.table is None else {name: device.table.axis(name).speed for name in TABLE_AXES}
    return {joint.name: joint.speed for joint in device.joints} | table


def _nothing(device: Device, name: str) -> str:
    return f"The {device.name} has nothing to move named {name!r}; it has {', '.join(limits(device))}."
