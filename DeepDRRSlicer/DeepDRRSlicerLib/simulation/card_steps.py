"""The steps after the projection as a card does them: one launch each, on buffers that stay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.lag import lag_shares
from DeepDRRSlicerLib.physics.readout import Frame, counts_per_kev
from DeepDRRSlicerLib.projection.cuda.driver import Buffer, Driver, Grid
from DeepDRRSlicerLib.simulation.formation_plan import Opening, Spectral, apertures

_FORMATION = ("moments", "blur_across", "blur_down", "quanta", "read_out")
_LIVE = ("place", "gathered", "matter", "transmitted", "cells_down", "cells_across", "add_surface")
_LINE, _TILE = (256, 1, 1), (32, 8, 1)  # threads of a block


class CardSteps:
    """All methods are called by the thread that made the driver, and raise DeviceError."""

    def __init__(self, driver: Driver):
        self._driver = driver
        self._kernels = driver.kernels("formation.cu", _FORMATION) | driver.kernels("live.cu", _LIVE)
        self._buffers: dict[str, Buffer] = {}
        self._there: dict[str, np.ndarray] = {}  # what the buffers of these names hold

    def free(self) -> None:
        """Gives the memory back at once."""
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
        self._there.clear()

    def room(self, name: str, nbytes: int) -> Buffer:
        """The buffer of this name, made anew where it is too small."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < nbytes:
            if buffer is not None:
                del self._buffers[name]
                self._there.pop(name, None)
                buffer.free()
            buffer = self._buffers[name] = self._driver.buffer(nbytes)
        return buffer

    def put(self, name: str, array: np.ndarray) -> Buffer:
        """The array on the card; one that is there already is not copied again."""
        buffer = self.room(name, array.nbytes)
        if self._there.get(name) is not array:
            self._there.pop(name, None)  # whatever comes of the copy
            self._driver.upload(np.ascontiguousarray(array), buffer)
            self._there[name] = array
        return buffer

    def moments(
        self, areas: Buffer, shape: tuple[int, int, int, int], opening: Opening, spectral: Spectral, load: float
    ) -> Buffer:
        """Mean and variance (2, views, rows, columns) of what falls into the pixels. shape: of areas."""
        views, channels, rows, columns = shape
        pixels, tables, layer, nodes, layers = self._spectral(spectral, rows * columns, views)
        out = self.room("moments", 8 * views * pixels)
        self._line("moments", pixels, (views, 1), (
            areas, tables, layer, self.put("falling", opening.falling), out,
            *_ints(pixels, channels, nodes, layers), np.float32(load),
        ))  # fmt: skip
        return out

    def blurred(self, moments: Buffer, views: int, beam: ConeBeam, blurs: Sequence[float]) -> None:
        """Mean and variance as pixels and focal spot see them, in place. blurs: mm at the detector, of each view."""
        rows, columns = beam.size
        weights = apertures(beam, blurs)
        sizes = _ints(rows, columns, weights.shape[2] // 2, views)
        taps, grid = self.put("apertures", weights), _blocks(columns, rows, 2 * views)
        between = self.room("blurred", 8 * views * rows * columns)
        self._launch("blur_across", grid, _TILE, (moments, taps, between, *sizes))
        self._launch("blur_down", grid, _TILE, (between, taps, moments, *sizes))

    def frames(
        self, moments: Buffer, views: int, opening: Opening, lit: np.ndarray, limits: np.ndarray, detector: Detector,
        pitch, seed: int | None, number: int, lag: tuple[Buffer | None, Buffer, float] | None = None,
    ) -> list[Frame]:  # fmt: skip
        """Noise, screen, lag and electronics. moments: blurred. lit, limits: as in Opening and Spectral.

        number: of the first frame. lag: keV held back before, or None, where to put those afterwards, (components,
        rows, columns), and the s between frames; of one view.
        """
        rows, columns = opening.share.shape
        beyond = len(opening.screen) // 2
        wide, high = columns + 2 * beyond, rows + 2 * beyond
        energy = self.room("energy", 4 * views * wide * high)
        self._launch("quanta", _blocks(wide, high, views), _TILE, (
            moments, self.put("lit", lit), self.put("limits", limits), energy,
            *_ints(rows, columns, beyond, seed is not None), *_key(seed), np.uint32(number),
        ))  # fmt: skip
        held, holds, shares, components = None, energy, energy, 0
        if lag is not None:
            assert detector.lag is not None and views == 1
            held, holds, interval = lag
            components = len(detector.lag.fractions)
            shares = self.put("lag", _shares(detector.lag, interval))
        deep = detector.bit_depth is not None
        out = self.room("frames", views * rows * columns * (2 if deep else 4))
        clipped = self.put("clipped", np.zeros((views, 2), np.uint32))
        full = np.inf if detector.full_scale is None else detector.full_scale
        per_kev = counts_per_kev(detector, pitch)
        if not deep and np.isfinite(full):
            full = (full - detector.dark_offset) / per_kev
        electronic = 0.0 if seed is None else detector.electronic_noise
        self._launch("read_out", _blocks(columns, rows, views), _TILE, (
            energy, self.put("screen", opening.screen), out, out, clipped, holds if held is None else held, holds,
            shares, *_ints(rows, columns, beyond, deep, components, held is None), np.float32(electronic),
            np.float32(per_kev), np.float32(detector.dark_offset), np.float32(full), *_key(seed), np.uint32(number),
        ))  # fmt: skip
        result = np.empty((views, rows, columns), np.uint16 if deep else np.float32)
        beyond_scale = np.empty((views, 2), np.uint32)
        self._driver.download(out, result)
        self._driver.download(clipped, beyond_scale)
        counted = [(int(below), int(above)) for below, above in beyond_scale]
        if detector.bit_depth is None:
            return [Frame(signal, None, pair) for signal, pair in zip(result, counted, strict=True)]
        kind = np.min_scalar_type(2**detector.bit_depth - 1)
        offset, scale = np.float32(detector.dark_offset), np.float32(per_kev)
        return [
            Frame((counts - offset) / scale, counts.astype(kind, copy=False), pair)
            for counts, pair in zip(result, counted, strict=True)
        ]

    def place(self, part: Buffer, window: tuple[slice, slice], out: Buffer, shape: tuple[int, int, int]) -> bool:
        """Area densities of a window of the picture in their place, `out` of a shape (channels, rows, columns).

        Whether any is above 0.
        """
        channels, rows, columns = shape
        down, across = window
        met = np.zeros(1, np.uint32)
        flag = self.put("met", met)
        self._launch("place", _blocks(columns, rows, channels), _TILE, (
            part, out, flag, *_ints(rows, columns, down.start, across.start, down.stop - down.start,
                                    across.stop - across.start),
        ))  # fmt: skip
        found = np.empty(1, np.uint32)
        self._driver.download(flag, found)
        return bool(found[0])

    def gathered(self, areas: Buffer, shape: tuple[int, int, int], pixels: np.ndarray) -> np.ndarray:
        """float32 (channels, n) at n pixels, flat indices int32."""
        channels, rows, columns = shape
        out = self.room("gathered", 4 * channels * len(pixels))
        sizes = _ints(rows * columns, len(pixels))
        self._line("gathered", len(pixels), (channels, 1), (areas, self.put("wanted", pixels), out, *sizes))
        result = np.empty((channels, len(pixels)), np.float32)
        self._driver.download(out, result)
        return result

    def matter(self, areas: Buffer, shape: tuple[int, int, int], groups: np.ndarray, opening: Opening) -> Buffer:
        """(groups, rows, columns) sums of area densities times share. groups: float32 (groups, channels)."""
        channels, rows, columns = shape
        out = self.room("images", 4 * len(groups) * rows * columns)
        self._line("matter", rows * columns, (len(groups), 1), (
            areas, self.put("groups", groups), self.put("share", opening.share), out,
            *_ints(rows * columns, channels),
        ))  # fmt: skip
        return out

    def transmitted(self, areas: Buffer, shape: tuple[int, int, int], opening: Opening, spectral: Spectral) -> Buffer:
        """(rows, columns) primary signal over open field, times share."""
        channels, rows, columns = shape
        pixels, tables, layer, nodes, layers = self._spectral(spectral, rows * columns, 1)
        out = self.room("images", 4 * pixels)
        self._line("transmitted", pixels, (1, 1), (
            areas, tables, layer, self.put("flat", spectral.flat), self.put("share", opening.share), out,
            *_ints(pixels, channels, nodes, layers),
        ))  # fmt: skip
        return out

    def in_cells(
        self, images: Buffer, shape: tuple[int, int, int], cells: tuple[int, int], part: tuple[float, float]
    ) -> np.ndarray:
        """float32 (images, *cells) means, as simulation.cells.to_cells gives them. shape: of images."""
        count, rows, columns = shape
        lines = self.room("lines", 4 * count * cells[0] * columns)
        out = self.room("cells", 4 * count * cells[0] * cells[1])
        self._line("cells_down", columns, (cells[0], count), (
            images, lines, *_ints(rows, columns, cells[0]), np.float64(part[0]),
        ))  # fmt: skip
        self._launch("cells_across", (-(-cells[1] // 32), count * cells[0], 1), (32, 1, 1), (
            lines, out, *_ints(columns, cells[1]), np.float64(part[1]),
        ))  # fmt: skip
        result = np.empty((count, *cells), np.float32)
        self._driver.download(out, result)
        return result

    def add_surface(
        self, moments: Buffer, size: tuple[int, int], cells: np.ndarray, part: tuple[float, float], to_mean: float,
        to_variance: float,
    ) -> None:  # fmt: skip
        """Adds simulation.cells.to_pixels of cells, times a factor each, to mean and variance of one view."""
        rows, columns = size
        self._launch("add_surface", _blocks(columns, rows, 1), _TILE, (
            moments, self.put("surface", np.ascontiguousarray(cells, np.float32)), *_ints(rows, columns, *cells.shape),
            np.float64(part[0]), np.float64(part[1]), np.float32(to_mean), np.float32(to_variance),
        ))  # fmt: skip

    def _spectral(self, spectral: Spectral, pixels: int, views: int):
        """Number of pixels, tables for every view, layer, number of energies, whether there is a layer."""
        tables = spectral.tables if views == 1 else np.repeat(spectral.tables[None], views, axis=0)
        on_card, layers = self.put("tables", tables), int(spectral.layer is not None)
        layer = on_card if spectral.layer is None else self.put("layer", spectral.layer)
        return pixels, on_card, layer, len(spectral.tables), layers

    def _line(self, name: str, count: int, others: tuple[int, int], arguments: Sequence) -> None:
        self._launch(name, (-(-count // _LINE[0]), *others), _LINE, arguments)

    def _launch(self, name: str, grid: Grid, block: Grid, arguments: Sequence) -> None:
        self._driver.launch(self._kernels[name], grid, block, arguments)


def _ints(*numbers: int) -> tuple[np.int32, ...]:
    return tuple(np.int32(number) for number in numbers)


def _blocks(columns: int, rows: int, layers: int) -> Grid:
    return -(-columns // _TILE[0]), -(-rows // _TILE[1]), layers


def _key(seed: int | None) -> tuple[np.uint32, np.uint32]:
    seed = seed or 0
    return np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32 & 0xFFFFFFFF)


@lru_cache(8)
def _shares(lag, interval: float) -> np.ndarray:
    return lag_shares(lag, interval)
