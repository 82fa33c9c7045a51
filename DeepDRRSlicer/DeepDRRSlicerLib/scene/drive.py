"""Moving the machine by hand: as far as its limits and what is in the way let it, at once or at its own speed."""

import time
from dataclasses import dataclass

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.collision import Clearance, clearance, first_contact, surroundings
from DeepDRRSlicerLib.geometry.motion import Motion, limits, speeds_of
from DeepDRRSlicerLib.scene.machine_state import machineOf, writeValues
from DeepDRRSlicerLib.scene.shapes import meshBoxes

MARGIN = 10.0  # mm that the machine keeps from patient and table
_LIMIT = 1e-4  # degrees or mm by which a limit may be missed
_ROUNDING = 1e-6  # s


@dataclass(frozen=True)
class Stop:
    """Why a motion ended early: `limits` by the names of what can go no further, or the nearest pair in `contact`."""

    limits: tuple[str, ...] = ()
    contact: Clearance | None = None


class Mover:
    """Changes the pose in the parameter node as a person at the machine would.

    clock: seconds. moving: whether a drive is under way, which tick() carries on.
    """

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._around = None
        self._motion = None
        self._begun = 0.0
        self._reached = None

    @property
    def moving(self):
        return self._motion is not None

    def contact(self, machine):
        """The nearest pair of machine and patient or table if they touch, else None."""
        return clearance(self._surroundings(machine), machine.values, machine.isocenter, within=0.0)

    def moveTo(self, parameters, target, wholeWay=True):
        """Bring joints and table to the target values by name, at once; returns the Stop that ended it early, or None.

        wholeWay: it goes as far as nothing is in the way; otherwise, what is in between does not matter, and it goes
        to the end or, where something is in the way there, not at all. Raises InputError.
        """
        self.stop()
        machine = machineOf(parameters)
        target, ended = _withinLimits(machine, target)
        motion = _motion(machine, target)
        blocked = self._blocked(parameters, machine, motion, wholeWay)
        writeValues(parameters, machine, motion.target if blocked is None else blocked[0])
        if blocked is not None:
            return blocked[1]
        return Stop(limits=ended) if ended else None

    def start(self, parameters, target):
        """Begin to drive to the target values by name at the speed of each joint.

        Raises InputError for a target outside the limits.
        """
        self.stop()
        machine = machineOf(parameters)
        inside, ended = _withinLimits(machine, target)
        if ended:
            raise InputError(unreachable(machine.device, ended))
        self._motion = _motion(machine, inside)
        self._begun = self._clock()
        self._reached = machine.values

    def tick(self, parameters):
        """Carry the drive on to where it is by now; returns a Stop if something is in the way, which ends it."""
        if self._motion is None:
            return None
        machine = machineOf(parameters)
        if any(abs(machine.values[name] - value) > _LIMIT for name, value in self._reached.items()):
            self.stop()  # somebody else has moved it
            return None
        passed = self._clock() - self._begun + _ROUNDING
        step = _motion(machine, self._motion.at(passed))
        blocked = self._blocked(parameters, machine, step, wholeWay=True)
        if blocked is not None or passed >= self._motion.duration:
            self.stop()
        writeValues(parameters, machine, step.target if blocked is None else blocked[0])
        self._reached = machineOf(parameters).values
        return None if blocked is None else blocked[1]

    def stop(self):
        """End a drive where it is."""
        self._motion = None

    def _blocked(self, parameters, machine, motion, wholeWay):
        """(last free values, Stop), or None where the way is free or may be gone all the same."""
        if not parameters.collisionStops:
            return None
        around = self._surroundings(machine)
        if not wholeWay:
            here, there = (clearance(around, place, machine.isocenter) for place in (motion.start, motion.target))
            if there is None or there.distance >= min(MARGIN, here.distance):
                return None
            return motion.start, Stop(contact=there)
        seconds = first_contact(around, motion, MARGIN, machine.isocenter)
        if seconds is None:
            return None
        values = motion.at(seconds)
        return values, Stop(contact=clearance(around, values, machine.isocenter))

    def _surroundings(self, machine):
        """What is around the machine, prepared anew when the patient, the way they lie or the device has changed."""
        key = machine.device, machine.lying, machine.body
        if self._around is None or any(a is not b and a != b for a, b in zip(key, self._around[0])):
            boxes = meshBoxes(machine.device)
            self._around = key, surroundings(machine.device, machine.lying, machine.body.points, boxes)
        return self._around[1]


def unreachable(device, names):
    """A sentence about a place that the machine cannot go to."""
    ranges = limits(device)
    ends = ", ".join(f"{name.replace('_', ' ')} {ranges[name][0]:g} to {ranges[name][1]:g}" for name in names)
    return (
        f"{device.name} cannot go there: it moves within {ends}. Choose another view, or lay the patient another way."
    )


def _withinLimits(machine, target):
    """(values clipped to the limits, names of those that had to be); one beyond may come back, but not go further."""
    values, ended = {}, []
    ranges = limits(machine.device)
    for name, value in target.items():
        low, high = ranges[name]
        here = machine.values[name]
        values[name] = float(min(max(value, min(low, here)), max(high, here)))
        if abs(values[name] - value) > _LIMIT:
            ended.append(name)
    return values, tuple(ended)


def _motion(machine, target):
    speeds = speeds_of(machine.device)
    start = {name: value for name, value in machine.values.items() if name in speeds}
    return Motion(start, start | target, {name: speeds[name] for name in start})
