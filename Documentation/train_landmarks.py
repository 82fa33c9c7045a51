"""Trains a small network to find landmarks, from the WebDataset shards of an exported set, and says how well it does.

    python Documentation/train_landmarks.py SET/webdataset/shard-*.tar --held-out 1

The last shards are held out. Of their views the error of the network is printed beside that of a guess that needs no
picture: the mean position of each landmark over the training views. Needs torch, webdataset and numpy.

The network draws one heat map for each landmark and reports its centre of mass (soft-argmax), so that positions between
pixels can be learned. Views in which a landmark is not visible teach nothing about it and are not counted.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
import webdataset
from torch import nn

INPUT = 128  # rows and columns that the network sees


class LandmarkNet(nn.Module):
    """(n, 1, INPUT, INPUT) pictures to (n, landmarks, 2) column and row, as parts of the picture from 0 to 1."""

    def __init__(self, landmarks: int, width: int = 16):
        super().__init__()
        self.down = nn.ModuleList()
        channels = [1, width, 2 * width, 3 * width, 4 * width, 4 * width]
        for before, after in zip(channels[:-1], channels[1:]):
            self.down.append(_block(before, after, stride=2))
        self.up = nn.ModuleList()
        for level in (4, 3, 2):  # back to a quarter of the picture's rows and columns
            self.up.append(_block(channels[level + 1] + channels[level], channels[level]))
        self.heat = nn.Conv2d(channels[2], landmarks, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        levels = []
        features = pictures
        for block in self.down:
            features = block(features)
            levels.append(features)
        levels.pop()
        for block in self.up:
            skipped = levels.pop()
            features = nn.functional.interpolate(features, size=skipped.shape[2:], mode="bilinear")
            features = block(torch.cat([features, skipped], dim=1))
        return centre_of_mass(self.heat(features))


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def centre_of_mass(heat: torch.Tensor) -> torch.Tensor:
    """(n, landmarks, rows, columns) heat to (n, landmarks, 2) column and row from 0 to 1."""
    rows, columns = heat.shape[2:]
    share = heat.flatten(2).softmax(dim=2).view_as(heat)
    down = (torch.arange(rows, device=heat.device) + 0.5) / rows
    along = (torch.arange(columns, device=heat.device) + 0.5) / columns
    return torch.stack([(share.sum(dim=2) * along).sum(dim=2), (share.sum(dim=3) * down).sum(dim=2)], dim=2)


def read_shards(paths: list[str]) -> tuple[torch.Tensor, ...]:
    """Pictures (n, 1, INPUT, INPUT), positions (n, landmarks, 2) from 0 to 1, visible (n, landmarks), size in pixels.

    All of it is kept in memory: thousands of pictures of this size are small. A larger set is better streamed.
    """
    pictures, positions, visible, size = [], [], [], None
    for sample in webdataset.WebDataset(paths, shardshuffle=False).decode():
        picture = torch.from_numpy(sample["picture.npy"].astype("float32") / 65535)[None, None]
        pictures.append(nn.functional.interpolate(picture, (INPUT, INPUT), mode="area")[0])
        size = torch.tensor([picture.shape[3], picture.shape[2]])  # columns, rows
        found = sample["json"]["landmarks"]
        visible.append([label["visible"] for label in found])
        # Pixel centres are at integers: pixel 0 goes from -0.5 to 0.5.
        places = [[label["column"], label["row"]] if label["visible"] else [0.0, 0.0] for label in found]
        positions.append((torch.tensor(places) + 0.5) / size)
    return torch.stack(pictures), torch.stack(positions), torch.tensor(visible), size


def train(pictures, positions, visible, minutes: float, steps: int | None, seed: int) -> LandmarkNet:
    """The network after so many minutes, or steps."""
    torch.manual_seed(seed)
    network = LandmarkNet(positions.shape[1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    start, step, part = time.monotonic(), 0, 0.0
    while part < 1:
        for chosen in torch.randperm(len(pictures)).split(16):
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * (1 - part) + 1e-5
            error = (network(pictures[chosen]) - positions[chosen]).abs().sum(dim=2)
            loss = error[visible[chosen]].mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            part = step / steps if steps else (time.monotonic() - start) / (60 * minutes)
            if step % 100 == 0:
                print(f"step {step}: {part:4.0%} of the training, loss {loss.item():.4f}", flush=True)
            if part >= 1:
                break
    return network


@torch.no_grad()
def distances(found, positions, visible, size) -> torch.Tensor:
    """Pixels of the set's pictures between where landmarks were found and where they are, of all visible ones."""
    return ((found - positions) * size).norm(dim=2)[visible]


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Trains and prints; returns the mean errors on held-out views of mean position and network, in pixels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", nargs="+", help="shard-*.tar of a set")
    parser.add_argument("--held-out", type=int, default=1, help="how many of the last shards (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=4, help="how long to train (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="train for so many steps instead")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not 1 <= options.held_out < len(options.shards):
        sys.exit("Give more shards than are held out; a smaller shard_size in the job makes more of them.")
    shards = sorted(options.shards)
    *seen, size = read_shards(shards[: -options.held_out])
    new_pictures, new_positions, new_visible, _ = read_shards(shards[-options.held_out :])
    print(f"{len(seen[0])} views to train on, {len(new_pictures)} held out, {seen[1].shape[1]} landmarks")

    network = train(*seen, options.minutes, options.steps, options.seed).eval()
    _, positions, visible = seen
    weight = visible[..., None].float()
    guess = (positions * weight).sum(dim=0) / weight.sum(dim=0).clamp(min=1)
    with torch.no_grad():
        found = torch.cat([network(part) for part in new_pictures.split(16)])
    errors = []
    for name, places in (("mean position", guess.expand_as(new_positions)), ("network", found)):
        error = distances(places, new_positions, new_visible, size)
        errors.append(error.mean().item())
        print(f"{name}: mean error {error.mean():.2f} pixels, median {error.median():.2f}, "
              f"9 of 10 below {error.quantile(0.9):.2f}")  # fmt: skip
    return tuple(errors)


if __name__ == "__main__":
    main()
