"""What the card does: whole radiographs, projections, and how near they come to its rate of texture samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.commands.benchmark.judge import area_densities, relative_rms, some_pixels
from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view, with_channels
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.cuda.records import Packed, packed
from DeepDRRSlicerLib.projection.slab_geometry import rays_of

LARGE, SMALL = 1024, 200  # pixels along a side
BATCH = 16
SAMPLES = 500  # a ray, of nanodrr
_REPEATS = 20
_JUDGED_RAYS = 200
_SIDE, _PIXELS, _STEPS = 128, 1024, 2048  # of the measurement of the rate of samples
_PER_PLANE = 2  # samples of kernels/integrate.h
_THINNED = 4


@dataclass(frozen=True)
class CardRow:
    """One measurement. milliseconds: of a batch of `views`; None where a card was not asked how long it took.

    rate: 10^9 samples a second. share: of the card's measured rate. error: relative RMS against the float64 ray march.
    """

    what: str
    milliseconds: float | None = None
    views: int = 1
    channels: int | None = None
    size: int | None = None
    rate: float | None = None
    share: float | None = None
    error: float | None = None


_COLUMNS = (
    f"{'channels':>8} {'size':>6} {'batch':>6} {'ms':>9} {'views/s':>9} {'GSample/s':>9} {'share':>6} {'error':>8}"
)
HEADER = f"{'':38} {_COLUMNS}"


def line(row: CardRow) -> str:
    """A row as text under HEADER."""

    def number(value, text):
        return "" if value is None else text.format(value)

    per_second = None if not row.milliseconds else 1e3 * row.views / row.milliseconds
    return (
        f"{row.what:38} {number(row.channels, '{:d}'):>8} {number(row.size, '{:d}'):>6} {row.views:>6}"
        f" {number(row.milliseconds, '{:.3f}'):>9} {number(per_second, '{:.1f}'):>9} {number(row.rate, '{:.1f}'):>9}"
        f" {number(row.share, '{:.0%}'):>6} {number(row.error, '{:.1e}'):>8}"
    ).rstrip()


def card_rows(ct: Volume, device: DeviceThread) -> Iterator[CardRow]:
    """All measurements of a CT on a card, as they are made. Raises DeviceError."""
    from DeepDRRSlicerLib.anatomy.hu_model import decompose

    volume = decompose(ct)
    best = {channels: device.call(lambda d, _, c=channels: sample_rate(d, c)) for channels in (1, 4)}
    for channels, rate in best.items():
        yield CardRow("texture samples, at the card's best", channels=channels, rate=rate / 1e9, share=1.0)
    yield from projection_rows(with_channels(volume, 3), LARGE, best[4], device)
    yield from projection_rows(with_channels(volume, 1), SMALL, best[1], device)
    yield from peer_rows(with_channels(volume, 1), SMALL, device)
    yield from radiograph_rows(volume, LARGE, device)
    yield from live_rows(ct, LARGE, device)
    free, total = device.call(lambda driver, _: driver.memory())
    yield CardRow(f"memory of the card in use: {(total - free) / 1e6:.0f} of {total / 1e6:.0f} MB")


def sample_rate(driver, channels: int) -> float:
    """Filtered samples of texels with so many channels that the card takes in a second, at its best."""
    side = _SIDE
    texels = np.random.default_rng(0).integers(0, 65536, (side, side, side, channels)).astype(np.uint16)
    name = f"samples_{channels}"
    kernel, texture = driver.kernels("samples.cu", [name])[name], driver.texture(texels, filtered=True)
    sums = driver.buffer(4 * _PIXELS * _PIXELS)
    grid = (_PIXELS // 16, _PIXELS // 16, 1)
    arguments = (texture, np.int32(side), np.int32(_STEPS), sums)
    driver.launch(kernel, grid, (16, 16, 1), arguments)
    took = min(
        driver.milliseconds(lambda: driver.launch(kernel, grid, (16, 16, 1), arguments)) for _ in range(_REPEATS)
    )
    texture.free()
    sums.free()
    return 1e3 * _PIXELS * _PIXELS * _STEPS / took


def samples_taken(volume: MaterialVolume, part: Packed, beams: list[ConeBeam]) -> float:
    """How many samples the projection takes of a texture for these views: two from plane to plane of its voxels."""
    size = np.array(part.texels.shape[2::-1])
    total = 0.0
    for beam in beams:
        rays = rays_of(volume, beam)
        rows, columns = (np.arange(0, n, _THINNED) for n in beam.size)
        way = rays.towards + columns[None, :, None] * rays.step_c + rows[:, None, None] * rays.step_r
        source = rays.source - part.low
        with np.errstate(divide="ignore", invalid="ignore"):
            faces = np.stack([(-1 - source) / way, (size - source) / way])
        enter = np.clip(np.fmax.reduce(faces.min(axis=0), axis=-1), 0, 1)
        leave = np.clip(np.fmin.reduce(faces.max(axis=0), axis=-1), 0, 1)
        planes = np.maximum(leave - enter, 0) * np.abs(way).max(axis=-1)
        total += _PER_PLANE * planes.mean() * beam.size[0] * beam.size[1]
    return total


def projection_rows(volume: MaterialVolume, size: int, best: float, device: DeviceThread) -> Iterator[CardRow]:
    """A batch of views, and one alone, without the copy to the host.

    best: samples a second at most.
    """
    beams, channels = _views(volume, size), len(volume.materials)
    samples = sum(samples_taken(volume, part, beams) for part in packed(volume))

    def measured(driver, _):
        from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector

        card = CudaProjector(volume, driver)
        exact = CudaProjector(volume, driver, exact=True)
        times = [
            _least_on_clock(partial(each.project_on_device, some), driver.synchronize)
            for each, some in ((card, beams), (card, beams[:1]), (exact, beams))
        ]
        images = [each.project(beams[:1])[0] for each in (card, exact)]
        card.free()
        exact.free()
        return times, images

    (batch, one, slow), images = device.call(measured)
    pixels = some_pixels(beams[0].size, _JUDGED_RAYS)
    expected = area_densities(volume, beams[0], pixels)
    errors = [relative_rms(image, pixels, expected) for image in images]
    rate = 1e3 * samples / batch
    yield CardRow("projection", batch, len(beams), channels, size, rate / 1e9, rate / best, errors[0])
    yield CardRow("projection, one view", one, 1, channels, size, error=errors[0])
    yield CardRow("projection, exact interpolation", slow, len(beams), channels, size, error=errors[1])


def peer_rows(volume: MaterialVolume, size: int, device: DeviceThread) -> Iterator[CardRow]:
    """nanodrr's fused Triton kernel on the same densities and views, where it and a torch with CUDA are installed."""
    from DeepDRRSlicerLib.commands.benchmark.peers import nanodrr_on_card

    beams = _views(volume, size)
    try:
        project, wait = nanodrr_on_card(volume, beams, SAMPLES)
    except ImportError as error:
        yield CardRow(f"nanodrr, Triton: left out ({' '.join(str(error).split())[:60]})")
        return
    image = project().cpu().numpy()[0]
    took = _least_on_clock(project, wait)
    pixels = some_pixels(beams[0].size, _JUDGED_RAYS)
    error = relative_rms(image, pixels, area_densities(volume, beams[0], pixels))
    yield CardRow(f"nanodrr, Triton, {SAMPLES} samples", took, len(beams), 1, size, error=error)


def radiograph_rows(volume: MaterialVolume, size: int, device: DeviceThread) -> Iterator[CardRow]:
    """Complete radiographs, from voxels to counts on the host: in batches, and the latency of one alone."""
    from DeepDRRSlicerLib.geometry.device import load_device
    from DeepDRRSlicerLib.physics.detector import load_detector
    from DeepDRRSlicerLib.simulation.acquisition import Acquisition
    from DeepDRRSlicerLib.simulation.card_frames import CardFrames
    from DeepDRRSlicerLib.simulation.technique import Technique

    way = Acquisition(load_device("mobile_carm"), load_detector("mobile_flat_panel"),
                      Technique(80, 1.0, {"aluminium": 3.0}), seed=0)  # fmt: skip
    beams, channels = _views(volume, size), len(volume.materials)

    def measured(driver, _):
        from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector

        card, frames = CudaProjector(volume, driver), CardFrames(driver)
        times = []
        for some in (beams, beams[:1]):
            distances = [0.7 * beam.sid for beam in some]
            times.append(
                _least_on_clock(lambda s=some, d=distances: list(frames.frames(card, s, way, d)), lambda: None)
            )
        frames.free()
        card.free()
        return times

    batch, one = device.call(measured)
    yield CardRow("complete radiograph", batch, len(beams), channels, size)
    yield CardRow("complete radiograph, one view", one, 1, channels, size)


def live_rows(ct: Volume, size: int, device: DeviceThread) -> Iterator[CardRow]:
    """Pulses of a pedal held down, as they are by default: brightness control, scatter by the network, noise and lag.

    From the request to the picture on the host, the mean of a train after a first pulse. Raises DeviceError where the
    card gives up, because the rest would be the CPU's.
    """
    from DeepDRRSlicerLib.geometry.device import load_device
    from DeepDRRSlicerLib.learning.scatter import NetworkScatter
    from DeepDRRSlicerLib.physics.detector import load_detector
    from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
    from DeepDRRSlicerLib.simulation.simulator import Held, Simulator

    simulator, machine = Simulator(ct, backend=f"cuda/{device.name}"), load_device("mobile_carm")
    way = Acquisition(machine, load_detector(machine.detector), Automatic("fluoro"), scatter=NetworkScatter(), seed=0)
    channels = len(simulator.projector.materials)
    for what, turned, coarse in (("C-arm at rest", 0.0, False), ("C-arm that moves", 2.0, True)):
        held, begun = Held(), 0.0
        for number in range(1 + _REPEATS):
            if number == 1:
                begun = time.perf_counter()
            beam = oblique_view(simulator.ct, size, turned=turned * number)
            _, held = simulator.pulse(beam, replace(way, frame=number), held=held, coarse=coarse)
        took = 1e3 * (time.perf_counter() - begun) / _REPEATS
        if simulator.projector.name != "cuda":
            raise DeviceError(simulator.projector.note)
        yield CardRow(f"live: pulses, {what}", took, 1, channels, size)


def _views(volume: MaterialVolume, size: int) -> list[ConeBeam]:
    return [oblique_view(volume, size, turned=2.0 * n) for n in range(BATCH)]


def _least_on_clock(work: Callable[[], object], wait: Callable[[], object]) -> float:
    """Milliseconds on the clock until all is done, the least of several times after a first one."""
    work()
    wait()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)
