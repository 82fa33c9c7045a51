"""Joints of a machine, and the frames that they carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

VIEW_JOINTS = ("primary_angle", "secondary_angle", "sid")


@dataclass(frozen=True)
class Joint:
    """axis (unit vector) and origin in the parent's frame; limits and speed in degrees or mm (per second)."""

    name: str
    type: str
    axis: tuple[float, float, float]
    limits: tuple[float, float]
    speed: float
    parent: str | None = None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)


def joint_motion(joint: Joint, value: float) -> np.ndarray:
    """4x4 of the joint at a value in degrees or mm, in its parent's frame."""
    motion = np.eye(4)
    axis = np.asarray(joint.axis)
    if joint.type == "translation":
        motion[:3, 3] = value * axis
        return motion
    angle = np.deg2rad(value)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    motion[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    motion[:3, 3] = np.asarray(joint.origin) - motion[:3, :3] @ np.asarray(joint.origin)
    return motion


def chain_frames(joints: Iterable[Joint], values: Mapping[str, float]) -> dict[str, np.ndarray]:
    """4x4 from each joint's frame to the base frame; parents first; a joint without a value stands at 0."""
    frames: dict[str, np.ndarray] = {}
    for joint in joints:
        parent = frames[joint.parent] if joint.parent else np.eye(4)
        frames[joint.name] = parent @ joint_motion(joint, values.get(joint.name, 0.0))
    return frames
