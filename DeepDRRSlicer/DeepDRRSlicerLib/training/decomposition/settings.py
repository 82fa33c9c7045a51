"""How the network is trained: everything that decides the result, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from DeepDRRSlicerLib.errors import InputError

CONFIGURATION = "configuration.json"  # of the shipped weights
PARTS = NETWORK, REFINER = "network", "refiner"
_MAY_BE_ZERO = ("seed", "warm_up", "weight_decay", "cut", "checks", "workers")


@dataclass(frozen=True)
class Settings:
    """One training.

    part: what is trained, the "network" or its "refiner". seed: of samples and first weights. spacing, patch: mm and
    voxels of the cubes the network sees. steps: of `batch` cubes, or blocks. learning_rate: the highest, reached after
    `warm_up` steps and left for the last `decay` share of all steps, in which it falls to zero as a cosine. average:
    how much of the averaged weights a step keeps. weight_decay: of Muon. class_weights: of the cross entropy. repeats,
    block: every sample is drawn so many times, mirrored anew, among `block` others. cut: share of cubes of which a slab
    alone is known, as of a CT with few slices; 0 for the refiner. check_every, checks: steps between, and number of,
    samples never trained on that are looked at. workers: processes that make samples. network: fields of
    `learning.network.NetworkConfig`, or of `learning.refinement.RefinerConfig`. data: of `samples`.
    """

    part: str = "network"
    seed: int = 1
    spacing: float = 2.0
    patch: int = 64
    steps: int = 6000
    batch: int = 2
    learning_rate: float = 2e-3
    warm_up: int = 100
    decay: float = 0.4
    average: float = 0.998
    weight_decay: float = 0.01
    class_weights: tuple[float, ...] = (0.5, 1.0, 1.0, 1.0, 3.0, 3.0, 4.0)
    repeats: int = 4
    block: int = 32
    cut: float = 0.15
    check_every: int = 200
    checks: int = 16
    workers: int = 1
    network: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    def learning_rate_at(self, step: int) -> float:
        """Of the step with this number, from 0."""
        from math import cos, pi

        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * (1 - cos(pi * min(left, 1.0))) / 2


def read_settings(path: Path | None = None) -> Settings:
    """Settings of a JSON file, by default of the shipped weights; the usual ones where it is silent.

    Raises InputError, which names the field.
    """
    path = path or Path(__file__).with_name(CONFIGURATION)
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as error:
        raise InputError(f"The settings '{path}' cannot be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise InputError(f"The settings '{path}' are no JSON ({error}); correct the file.") from error
    if not isinstance(found, dict):
        raise InputError(f"The settings '{path}' are no JSON object; write fields in braces.")
    return settings_of(found)


def settings_of(found: dict) -> Settings:
    """Settings of a JSON object. Raises InputError, which names the field."""
    usual = Settings()
    values = {}
    known = {item.name for item in fields(Settings)}
    for name, value in found.items():
        if name not in known:
            raise InputError(f"The settings have no field {name!r}; choose from: {', '.join(sorted(known))}.")
        before = getattr(usual, name)
        kinds = {int: int, float: (int, float), tuple: (list, tuple), dict: dict, str: str}[type(before)]
        if not isinstance(value, kinds) or isinstance(value, bool) or (name == "part" and value not in PARTS):
            raise InputError(f"The field {name!r} of the settings cannot be {value!r}; write it as {before!r}.")
        if isinstance(before, int | float) and not (
            value > 0 or name in ("seed", "workers", "cut", "warm_up") and value == 0
        ):
            raise InputError(f"The field {name!r} of the settings cannot be {value!r}; write a number above 0.")
        values[name] = tuple(float(weight) for weight in value) if isinstance(before, tuple) else value
    return Settings(**values)
