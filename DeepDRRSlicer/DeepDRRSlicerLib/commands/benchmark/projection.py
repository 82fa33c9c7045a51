"""How fast and how exact the projector is, alone and beside others on the same densities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.commands.benchmark.judge import area_densities, relative_rms, some_pixels
from DeepDRRSlicerLib.commands.benchmark.measure import Timing, allocated, timed
from DeepDRRSlicerLib.commands.benchmark.peers import PEERS
from DeepDRRSlicerLib.commands.benchmark.table import Row
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.projector import make_projector

OURS = "projection"
_NAMES = ("water", "bone", "adipose", "soft tissue", "muscle")  # of channels; the projector does not care
_FIELD = 307.2  # mm: 512 pixels of 0.6 mm
_JUDGED_RAYS = 200


def oblique_view(volume: Volume | MaterialVolume, size: int, turned: float = 0.0) -> ConeBeam:
    """LAO 30 + `turned` degrees, cranial 20, about the middle of a volume, on a detector of size x size pixels."""
    isocentre = volume.corners_ras().mean(axis=0)
    pitch = _FIELD / size
    pose = CArmPose(30.0 + turned, 20.0, tuple(isocentre.tolist()), 1000.0, 600.0, (size, size), (pitch, pitch))
    return pose.beam()


def with_channels(volume: MaterialVolume, channels: int) -> MaterialVolume:
    """The same body with another number of channels: 1 is the density as a whole, others are the given ones in turn."""
    names = _NAMES[:channels]
    if channels == 1:
        total = np.zeros((*volume.density.shape[1:], 1), dtype=np.float32)
        for density, scale in zip(volume.density, volume.scale, strict=True):
            total[..., 0] += density * np.float32(scale)
        return MaterialVolume.from_density(names, total, volume.ijk_to_ras)
    chosen = np.arange(channels) % len(volume.materials)
    return MaterialVolume(names, volume.density[chosen], volume.scale[chosen], volume.ijk_to_ras)


def projection_rows(
    volume: MaterialVolume,
    channels: int,
    sizes: Sequence[int],
    threads: Sequence[int],
    peers: Mapping[str, Sequence[int]],
) -> Iterator[Row]:
    """Our projector for all sizes and numbers of threads, and `peers` {name: sizes} with the most threads.

    A peer that is not installed gives no row.
    """
    volume = with_channels(volume, channels)
    views = {size: oblique_view(volume, size) for size in sizes}
    judged = {size: _Judged(volume, beam) for size, beam in views.items()}
    best: dict[int, Timing] = {}
    for count in threads:
        projector, memory = allocated(partial(make_projector, volume, threads=count))
        for size, beam in views.items():
            timing, images = timed(partial(projector.project, [beam]))
            best[size] = timing
            yield Row(
                OURS, timing, channels, size, count, memory + volume.density.nbytes / 1e6, judged[size].error(images[0])
            )
    for name, peer_sizes in peers.items():
        for size in peer_sizes:
            try:
                project = PEERS[name](volume, views[size], threads[-1])
            except ImportError:
                break
            timing, image = timed(project, at_least=2, seconds=0.0)
            yield Row(
                name, timing, channels, size, threads[-1], None, judged[size].error(image), timing.cpu / best[size].cpu
            )


class _Judged:
    """The reference of a view: a ray march to some of its pixels."""

    def __init__(self, volume: MaterialVolume, beam: ConeBeam):
        self._pixels = some_pixels(beam.size, _JUDGED_RAYS)
        self._expected = area_densities(volume, beam, self._pixels)

    def error(self, image: np.ndarray) -> float:
        return relative_rms(image, self._pixels, self._expected)
