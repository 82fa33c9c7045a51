"""Photon transport from the tube through the patient to the detector: scatter, primary and dose, with their errors.

The same material volume, view and spectrum as the projector's. Histories run in chunks, each with tallies of its own,
so that the spread between chunks tells the error, and the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.spectrum import Spectrum
from DeepDRRSlicerLib.projection.parallel import available_cores
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.transport.body import Body, body_of
from DeepDRRSlicerLib.transport.cross_sections import cross_sections, energy_bins

CHUNKS = 32
_MM_PER_CM = 10.0
_REFERENCE_DISTANCE = 1000.0  # mm, where spectra are given
_FIELD_CELLS = 256  # along the longer side of the detector, for the shutters
KINDS = ("primary", "single Compton", "single Rayleigh", "multiple")


@dataclass(frozen=True, eq=False)
class Tally:
    """What the detector and the body got, per mAs.

    pictures: float64 (4, rows, columns) keV per mm2 of detector, of KINDS. variances: (2, rows, columns) keV2 per mm2
    of the primary and of all scatter: the quantum noise of a real exposure, not the error of this estimate.
    scatter_error: (rows, columns) keV per mm2, standard error of the scatter. walked: (2, rows, columns) keV per mm2,
    primary and scatter by counting the photons that arrive. energies: (4,) keV emitted into the field, deposited,
    escaped, arrived at the detector. dose: float64 (k, j, i) keV deposited in each voxel of the body, or None.
    histories: how many photons were followed; photons: how many they stand for. backend: "cpu" or "cuda".
    """

    pictures: np.ndarray
    variances: np.ndarray
    scatter_error: np.ndarray
    walked: np.ndarray
    energies: np.ndarray
    dose: np.ndarray | None
    histories: int
    photons: float
    backend: str = "cpu"

    @property
    def primary(self) -> np.ndarray:
        """(rows, columns) keV per mm2 and mAs."""
        return self.pictures[0]

    @property
    def scatter(self) -> np.ndarray:
        """(rows, columns) keV per mm2 and mAs of all kinds of scatter."""
        return self.pictures[1:].sum(axis=0)

    @property
    def relative_error(self) -> float:
        """Standard error of a cell's scatter over the mean scatter, root mean square over the cells."""
        mean = self.scatter.mean()
        return float(np.sqrt(np.mean(self.scatter_error**2)) / mean) if mean > 0 else 0.0


def coarse_view(beam: ConeBeam, cells: int) -> ConeBeam:
    """The same detector in cells, so many along its longer side: where a tally is kept."""
    rows, columns = beam.size
    height, width = rows * beam.pitch[1], columns * beam.pitch[0]
    side = max(height, width) / cells
    size = (max(1, round(height / side)), max(1, round(width / side)))
    pitch = (width / size[1], height / size[0])
    corner = beam.pixel_to_ras(-0.5, -0.5)
    pixel00 = corner + 0.5 * pitch[0] * beam.e_c + 0.5 * pitch[1] * beam.e_r
    return ConeBeam(beam.source, pixel00, beam.e_c, beam.e_r, pitch, size)


def follow_photons(
    volume: MaterialVolume,
    beam: ConeBeam,
    spectrum: Spectrum,
    detector: Detector,
    histories: int,
    seed: int = 0,
    field: np.ndarray | None = None,
    with_dose: bool = False,
    chunks: int = CHUNKS,
    threads: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, Tally], None] = lambda done, tally: None,
    backend: str = "cpu",
) -> Tally:
    """Follows so many photons of a tube through the volume, which must not contain the source.

    beam: a view whose pixels are the cells of the tallies (see coarse_view). field: float (rows, columns) 0 to 1 over
    the same detector, in cells of any size: the share of the tube's photons that pass the shutters; None is open.
    progress: called by the calling thread after each round of chunks with the number of histories done and the tally
    so far. The result depends on histories, seed and chunks, not on threads. backend: of `make_projector`; "auto" takes
    a card where there is one that works, and the CPU where it fails; on a card the last digits may differ from run to
    run.
    Raises InputError where numba is missing on the CPU, or a card for "cuda", the field is closed, or the source lies
    in the volume; Stopped.
    """
    if histories < chunks:
        raise InputError(f"At least {chunks} histories are needed, not {histories}; follow more photons.")
    body = body_of(volume, beam)
    position = body.to_index @ np.append(beam.source, 1.0)
    if ((position >= 0) & (position < body.size[::-1])).all():
        raise InputError("The X-ray source lies inside the CT; move the C-arm or the isocentre away from it.")
    opening = np.ones((_FIELD_CELLS, _FIELD_CELLS)) if field is None else np.ascontiguousarray(field, dtype=float)
    rays = _emitted(beam, opening)
    if rays <= 0:
        raise InputError("The shutters are closed, so that no photon passes; open them.")
    photons = rays * spectrum.total_fluence
    arguments = _arguments(body, beam, spectrum, detector, opening)

    counts = np.diff(np.linspace(0, histories, chunks + 1).round().astype(np.int64))
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    dose_shape = body.density.shape[:3] if with_dose else (0, 0, 0)
    task = _Task(arguments, beam.size, dose_shape, seed, list(zip(firsts.tolist(), counts.tolist(), strict=True)))

    def followed(rounds: Iterator[list[tuple]], where: str) -> Tally:
        sums, area = _Sums(beam.size, dose_shape), beam.pitch[0] * beam.pitch[1]
        for parts in rounds:
            for part in parts:
                sums.add(part, task.chunks[sums.chunks][1])
            tally = replace(sums.tally(photons, area, body.size), backend=where)
            progress(sums.histories, tally)
        return tally

    kind, _, driver = backend.partition("/")
    if kind != "cpu":
        from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

        try:
            return followed(_rounds_on_card(task, driver or "auto", should_stop), "cuda")
        except DeviceError as error:
            if kind == "cuda":
                raise InputError(f"CUDA cannot be used: {error}; use --backend cpu or auto.") from error
    return followed(_rounds_on_cpu(task, min(chunks, threads or available_cores()), should_stop), "cpu")


@dataclass(frozen=True, eq=False)
class _Task:
    """arguments: of histories.run, from source to spread. chunks: (first, count) of the histories of each."""

    arguments: tuple
    size: tuple[int, int]
    dose_shape: tuple[int, int, int]
    seed: int
    chunks: list[tuple[int, int]]


def _rounds_on_cpu(task: _Task, threads: int, should_stop) -> Iterator[list[tuple]]:
    """Tallies of as many chunks at a time as there are threads."""
    from concurrent.futures import ThreadPoolExecutor

    run = _kernel()

    def one(chunk):
        if should_stop():
            raise Stopped
        part = _empty(task.size, task.dose_shape)
        run(task.seed, *chunk, *task.arguments, *part, np.empty((6, 3)), np.empty(1, np.uint64))
        return part

    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(task.chunks), threads):
            yield list(pool.map(one, task.chunks[begin : begin + threads]))


def _rounds_on_card(task: _Task, driver: str, should_stop) -> Iterator[list[tuple]]:
    """Likewise, one chunk at a time, on the card of this process. Raises DeviceError."""
    from DeepDRRSlicerLib.transport.card import chunks_on_card

    for part in chunks_on_card(driver, task.arguments, task.size, task.dose_shape, task.seed, task.chunks, should_stop):
        yield [part]


def _kernel():
    try:
        import numba  # noqa: F401
    except ImportError:
        raise InputError("The Monte Carlo needs the package numba; install it with pip install numba.") from None
    from DeepDRRSlicerLib.transport.histories import run

    return run


def _emitted(beam: ConeBeam, opening: np.ndarray) -> float:
    """mm2 at 1 m, facing the source, through which the photons of the field pass: its solid angle in (1 m)2."""
    rows, columns = opening.shape
    height, width = beam.size[0] * beam.pitch[1], beam.size[1] * beam.pitch[0]
    centre = beam.detector_center - beam.source
    across = centre @ beam.e_c + ((np.arange(columns) + 0.5) / columns - 0.5) * width
    down = centre @ beam.e_r + ((np.arange(rows) + 0.5) / rows - 0.5) * height
    squared = across[None, :] ** 2 + down[:, None] ** 2 + beam.sid**2
    angle = (opening * beam.sid / squared**1.5).sum() * (height / rows) * (width / columns)
    return float(angle * _REFERENCE_DISTANCE**2)


def _arguments(body: Body, beam: ConeBeam, spectrum: Spectrum, detector: Detector, opening: np.ndarray) -> tuple:
    """What `histories.run` takes from source to spread."""
    tables = cross_sections(body.materials)
    energies = energy_bins()
    efficiency = detector.efficiency(energies)
    response = energies * efficiency
    spread = energies**2 * efficiency / detector.swank_factor(energies)
    corner = beam.pixel_to_ras(-0.5, -0.5)
    rows, columns = opening.shape
    pitch = np.array(beam.pitch)
    cells = np.array([beam.size[1] / columns, beam.size[0] / rows]) * pitch
    used = spectrum.fluence > 0
    fluence = spectrum.fluence[used]
    cumulative = np.concatenate([[0.0], np.cumsum(fluence)]) / fluence.sum()
    linear = tables.total * (body.scale / _MM_PER_CM)[:, None]
    return (
        np.array(beam.source), corner, np.array(beam.e_c), np.array(beam.e_r), beam.normal, beam.sid, pitch,
        opening, cells, spectrum.energies[used], cumulative, body.density, body.highest, body.mean, body.deviation,
        body.to_index, body.to_ras, linear, tables.total, tables.compton, tables.rayleigh, tables.transfer,
        tables.incoherent, tables.coherent, response, spread,
    )  # fmt: skip


def _empty(size, dose_shape) -> tuple[np.ndarray, ...]:
    """Tallies of a chunk: pictures, variances, walked, energies, dose."""
    return (
        np.zeros((4, *size)),
        np.zeros((2, *size)),
        np.zeros((2, *size)),
        np.zeros(4),
        np.zeros(dose_shape),
    )


class _Sums:
    """Tallies of all chunks so far."""

    def __init__(self, size, dose_shape):
        self.parts = _empty(size, dose_shape)
        self.squares = np.zeros(size)  # of the scatter of each chunk
        self.histories = 0
        self.chunks = 0

    def add(self, part, count):
        for total, new in zip(self.parts, part, strict=True):
            total += new
        self.squares += part[0][1:].sum(axis=0) ** 2 / count
        self.histories += int(count)
        self.chunks += 1

    def tally(self, photons, cell_area, body_size) -> Tally:
        """The sums per mAs and mm2, with the error from the spread between chunks of nearly equal length."""
        pictures, variances, walked, energies, dose = self.parts
        each = photons / self.histories
        per_area = each / cell_area
        scatter = pictures[1:].sum(axis=0)
        if self.chunks > 1:
            spread = np.maximum(self.squares - scatter**2 / self.histories, 0.0) * self.histories
            error = np.sqrt(spread / (self.chunks - 1))
        else:
            error = np.full(scatter.shape, np.inf)
        return Tally(
            pictures=pictures * per_area,
            variances=variances * per_area,
            scatter_error=error * per_area,
            walked=walked * per_area,
            energies=energies * each,
            dose=dose[tuple(slice(n) for n in body_size)] * each if dose.size else None,
            histories=self.histories,
            photons=photons,
        )
