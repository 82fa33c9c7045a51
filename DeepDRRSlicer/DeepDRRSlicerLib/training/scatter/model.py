"""The scatter network in torch, for training; learning/scatter_network.py computes the same in numpy."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from DeepDRRSlicerLib.learning.scatter_inputs import NAMES
from DeepDRRSlicerLib.learning.scatter_network import BOUND, LEVELS


class ScatterModel(nn.Module):
    """widths: maps at each level, finest first."""

    def __init__(self, widths: tuple[int, ...] = (24, 40, 56, 72)):
        super().__init__()
        if len(widths) != LEVELS:
            raise ValueError(f"{LEVELS} widths are needed, not {widths}.")
        before = (len(NAMES), *widths)
        # What is kept for the way up is what comes into a level's successor: the level's own maps.
        self.down = nn.ModuleList(_Pair(a, b) for a, b in zip(before, widths, strict=False))
        self.up = nn.ModuleList(_Pair(widths[n] + widths[n + 1], widths[n]) for n in range(LEVELS - 1))
        self.last = nn.Conv2d(widths[0], 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, inputs: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """(n, rows, columns) scatter for inputs (n, maps, rows, columns), sides multiples of 8, and estimates."""
        maps, kept = inputs, []
        for level, layers in enumerate(self.down):
            if level:
                kept.append(maps)
                maps = functional.avg_pool2d(maps, 2)
            maps = layers(maps)
        for level in reversed(range(LEVELS - 1)):
            maps = torch.cat([functional.interpolate(maps, scale_factor=2, mode="nearest"), kept[level]], dim=1)
            maps = self.up[level](maps)
        return estimate * torch.exp(self.last(maps)[:, 0].clamp(-BOUND, BOUND))


class _Pair(nn.ModuleList):
    """Two convolutions, each rectified."""

    def __init__(self, before: int, after: int):
        super().__init__([nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)])

    def forward(self, maps):
        for layer in self:
            maps = torch.relu(layer(maps))
        return maps
