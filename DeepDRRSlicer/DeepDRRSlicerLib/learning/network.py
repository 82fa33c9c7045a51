"""The network that says what each voxel is made of: a small 3D U-Net whose deep levels work at half the resolution.

Its input is HU, of which a few windows are made, so that both 10 HU between fat and muscle and 1000 HU between bone and
metal are large steps. Voxels that no scanner saw are NaN and become zero in every window, which is also what the
convolutions pad with: a tile's border and the end of the CT look alike.

The norm is taken over the channels of one voxel alone. It holds no statistics of the tile or of the batch, so that a
voxel's answer depends on its surroundings and not on how the volume was cut.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class NetworkConfig:
    """What the network is: all that is needed to build it again.

    windows: ranges of HU that become channels. detail: channels at full resolution; even. widths: channels at a half,
    a quarter, ... of it. blocks: of two convolutions, on each level on the way down (one on the way up). classes: of
    the answer.
    """

    windows: tuple[tuple[float, float], ...] = (
        (-1024, -700),
        (-800, -100),
        (-200, 200),
        (-50, 150),
        (50, 450),
        (200, 1500),
        (1500, 3071),
    )
    detail: int = 16
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: int = 2
    classes: int = 7

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> NetworkConfig:
        """From what `to_dict` gave, lists in place of tuples included. Raises TypeError for other fields."""
        config = cls(**fields)
        return cls(
            tuple((float(low), float(high)) for low, high in config.windows),
            int(config.detail),
            tuple(int(width) for width in config.widths),
            int(config.blocks),
            int(config.classes),
        )

    @property
    def divisor(self) -> int:
        """Sides of a tile are multiples of this."""
        return 2 ** len(self.widths)


def embed(hu: torch.Tensor, windows) -> torch.Tensor:
    """Channels (b, windows + 1, d, h, w) of HU (b, d, h, w): each window from -1 to 1, and where there is a voxel."""
    known = torch.isfinite(hu)
    hu = torch.where(known, hu, 0.0)
    channels = [((hu - low) * (2 / (high - low)) - 1).clamp(-1, 1) for low, high in windows]
    return torch.stack([*(channel * known for channel in channels), known.to(hu.dtype)], dim=1)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each voxel."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = x.permute(0, 2, 3, 4, 1)
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return functional.layer_norm(last, weight.shape, weight, bias).permute(0, 4, 1, 2, 3)


class Block(nn.Module):
    """Two convolutions of what a norm made of the input, added to it."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # the network begins shallow
        nn.init.zeros_(self.second.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(functional.relu(self.first(self.norm(x))))


class MaterialNet(nn.Module):
    """HU (b, d, h, w), NaN where there is no voxel, to logits (b, classes, d, h, w); sides are multiples of divisor."""

    def __init__(self, config: NetworkConfig = NetworkConfig()):
        super().__init__()
        self.config = config
        detail, widths = config.detail, config.widths
        self.stem = nn.Conv3d(len(config.windows) + 1, detail, 3, padding=1)
        above = (detail, *widths[:-1])
        self.down = nn.ModuleList(nn.Conv3d(a, b, 2, stride=2) for a, b in zip(above, widths))
        self.encoder = nn.ModuleList(nn.Sequential(*(Block(w) for _ in range(config.blocks))) for w in widths)
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in zip(above, widths))
        self.decoder = nn.ModuleList(Block(w) for w in widths[:-1])
        self.out_norm = ChannelNorm(widths[0])
        self.border = nn.Conv3d(detail, detail, 3, padding=1)
        self.head = nn.Conv3d(detail, config.classes, 1)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        channels = embed(hu, self.config.windows).to(self.stem.weight.dtype)
        fine = functional.relu(self.stem(channels.contiguous(memory_format=torch.channels_last_3d)))
        x, skips = fine, []
        for down, encoder in zip(self.down, self.encoder):
            x = encoder(down(x))
            skips.append(x)
        for level in reversed(range(1, len(skips))):
            x = self.decoder[level - 1](self.up[level](x) + skips[level - 1])
        fine = fine + self.up[0](self.out_norm(x))
        return self.head(functional.relu(self.border(functional.relu(fine)))).float()
