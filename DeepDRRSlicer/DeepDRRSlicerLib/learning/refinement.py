"""The second network, which brings the coarse answer of the first to the CT's own grid.

The first answers on a coarser grid, where a thin cortex and the marrow beside it, or a wire and what it lies in, share
a voxel. From its probabilities and the HU of the CT's own voxels this one, with four layers and a view of a few voxels,
says where exactly each border runs. Untrained it is a rule of densities: each probability times how well the voxel's
own HU fits the class.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

LEAST = 1e-4  # probabilities below are taken for this
# HU where the fit of a class begins to rise, is whole, begins to fall, has fallen; in the order of the classes.
FITS = (
    (-2000, -1900, -900, -450),  # air
    (-1000, -930, -450, -150),  # lung
    (-250, -140, -65, 15),  # adipose
    (-80, 0, 100, 300),  # soft tissue
    (-60, 250, 2600, 3400),  # bone: marrow is fat, cortex as dense as it likes
    (60, 200, 2800, 3600),  # contrast
    (1200, 2600, 4000, 5000),  # metal
)
REST = 0.02  # what remains of the fit far from a class: a voxel of noise inside muscle stays muscle
_USUAL_MM, _USUAL_NOISE = 1.5, 20.0


@dataclass(frozen=True)
class RefinerConfig:
    """What the refiner is.

    knots: HU between which it sees them change; each interval is a channel. width: of its layers. reach: of its three
    kernels, in voxels. classes: of the answer, in the order of `FITS`.
    """

    knots: tuple[float, ...] = (-1024, -900, -600, -300, -150, -80, -30, 20, 100, 150, 250, 500, 1200, 2600, 3071)
    width: int = 16
    reach: tuple[int, int, int] = (1, 2, 1)
    classes: int = 7

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> RefinerConfig:
        """From what `to_dict` gave, lists in place of tuples included. Raises TypeError for other fields."""
        config = cls(**fields)
        a, b, c = config.reach
        return cls(
            tuple(float(knot) for knot in config.knots),
            int(config.width),
            (int(a), int(b), int(c)),
            int(config.classes),
        )

    @property
    def margin(self) -> int:
        """Voxels that it must see beyond each that it answers for."""
        return sum(self.reach)


class Refiner(nn.Module):
    """Coarse probabilities and HU of a block of voxels to logits of the block without its margin."""

    def __init__(self, config: RefinerConfig = RefinerConfig()):
        super().__init__()
        self.config = config
        first, second, third = config.reach
        inputs = config.classes + len(config.knots) - 1
        self.first = nn.Conv3d(inputs, config.width, 3, dilation=first)
        self.second = nn.Conv3d(config.width, config.width, 3, dilation=second)
        self.third = nn.Conv3d(config.width, config.width, 3, dilation=third)
        self.about = nn.Linear(4, 2 * config.width)
        self.head = nn.Conv3d(config.width, config.classes, 1)
        self.fit = nn.Conv3d(len(config.knots) - 1, config.classes, 1)
        weight, bias = _fits(config)
        self.fit.weight, self.fit.bias = nn.Parameter(weight), nn.Parameter(bias)
        for parameter in (*self.about.parameters(), *self.head.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, probabilities: torch.Tensor, hu: torch.Tensor, about: torch.Tensor) -> torch.Tensor:
        """float32 logits (b, classes, d - 2m, h - 2m, w - 2m).

        probabilities: (b, classes, d, h, w), of the first network, between its voxels. hu: (b, d, h, w). about: (b, 4)
        from `about`.
        """
        logs = probabilities.clamp(min=LEAST).log()
        intervals = zip(self.config.knots, self.config.knots[1:])
        windows = [((hu - low) * (2 / (high - low)) - 1).clamp(-1, 1) for low, high in intervals]
        x = torch.cat([logs, torch.stack(windows, dim=1)], dim=1).to(self.first.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        inner = _without(x, self.config.margin)
        rule = inner[:, : self.config.classes] + self.fit(inner[:, self.config.classes :])
        early, late = self.about(about.to(x.dtype))[:, :, None, None, None].chunk(2, dim=1)
        near = functional.relu(self.first(x) + early)
        x = functional.relu(self.second(near) + late)
        x = functional.relu(self.third(x) + _without(near, sum(self.config.reach[1:])))
        return rule.float() + self.head(x).float()


def _without(x: torch.Tensor, margin: int) -> torch.Tensor:
    d, h, w = x.shape[2:]
    return x[:, :, margin : d - margin, margin : h - margin, margin : w - margin]


def _fits(config: RefinerConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and biases with which the channels of `knots` give the logarithm of `FITS` at each knot."""
    knots = np.array(config.knots)
    logs = np.stack([np.log(np.interp(knots, corners, (REST, 1, 1, REST))) for corners in FITS[: config.classes]])
    weight = np.diff(logs, axis=1) / 2  # a channel goes from -1 to 1
    bias = logs[:, 0] + weight.sum(1)
    return torch.from_numpy(weight).float()[:, :, None, None, None], torch.from_numpy(bias).float()


def untrained() -> Refiner:
    """Always the same: the rule of densities."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Refiner()


def about(steps, noise: float) -> torch.Tensor:
    """float32 [4]: what else the refiner is told. steps: mm along the array's axes. noise: HU, of a voxel."""
    values = [*(step / _USUAL_MM for step in steps), noise / _USUAL_NOISE]
    return torch.tensor(values, dtype=torch.float32).log()


def between(probabilities: torch.Tensor, places) -> torch.Tensor:
    """Probabilities (classes, d, h, w), linear between the voxels of a coarser grid (classes, s, a, r).

    places: indices in that grid, as fractions, along each of its axes; beyond its ends its outermost voxels go on.
    """
    weights = []
    for axis, place in enumerate(places, start=1):
        place = torch.as_tensor(place, dtype=torch.float32).clamp(0, probabilities.shape[axis] - 1)
        first, last = int(place.min()), int(place.max().ceil())
        away = (place[:, None] - torch.arange(first, last + 1)[None]).abs()
        weights.append((1 - away).clamp(min=0).to(probabilities))
        probabilities = probabilities.narrow(axis, first, last + 1 - first)
    along, rows, columns = weights
    lines = probabilities @ columns.T
    planes = rows @ lines
    return (along @ planes.flatten(2)).reshape(len(planes), len(along), *planes.shape[2:])
