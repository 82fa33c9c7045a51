"""How long a whole radiograph takes, its stages, and a preview, with the default material model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.commands.benchmark.judge import some_pixels
from DeepDRRSlicerLib.commands.benchmark.measure import allocated, timed
from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view
from DeepDRRSlicerLib.commands.benchmark.table import Row
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import Detector, load_detector
from DeepDRRSlicerLib.physics.materials import mass_attenuation
from DeepDRRSlicerLib.physics.primary import detected
from DeepDRRSlicerLib.physics.readout import frame_generator, read_out
from DeepDRRSlicerLib.physics.spectrum import Spectrum, tube_spectrum
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.simulator import Simulator

DEVICE, DETECTOR, MODE = "mobile_carm", "mobile_flat_panel", "fluoro"
_JUDGED_PIXELS = 2000


def radiograph_rows(ct: Volume, sizes: Sequence[int], threads: int) -> Iterator[Row]:
    """From a CT to the first image, then for each size a further view, whole and in its stages."""
    device, detector = load_device(DEVICE), load_detector(DETECTOR)
    spectrum = tube_spectrum(80, {"aluminium": 3.0})  # for the stages; the control chooses others
    numbers = count()

    def acquisition():
        return Acquisition(device, detector, Automatic(MODE), seed=0, frame=next(numbers))

    def first_image():
        Simulator(ct, threads=threads).simulate(oblique_view(ct, sizes[0]), acquisition())

    timing, _ = timed(first_image, at_least=1, seconds=0.0)
    simulator, memory = allocated(lambda: Simulator(ct, threads=threads))
    materials = simulator.projector.materials
    yield Row("CT to first image", timing, len(materials), sizes[0], threads, memory)
    for size in sizes:

        def view(size=size):
            # Another view each time, as the C-arm moves: the simulator keeps the shadow of the last one.
            return oblique_view(ct, size, turned=0.01 * next(numbers))

        timing, _ = timed(lambda view=view: simulator.simulate(view(), acquisition()))
        yield Row("complete radiograph", timing, len(materials), size, threads)
        timing, areas = timed(lambda view=view: simulator.projector.project([view()])[0])
        yield Row("  projection", timing, len(materials), size, threads)
        timing, sums = timed(lambda a=areas: detected(a, materials, spectrum, detector))
        error = _largest_error(sums[0], areas, materials, spectrum, detector)
        yield Row("  spectral stage", timing, len(materials), size, 1, error=error)

        pitch = view().pitch
        frame = [moment * np.float32(pitch[0] * pitch[1]) for moment in sums]
        timing, _ = timed(lambda f=frame, p=pitch: read_out(*f, detector, p, frame_generator(0, next(numbers))))
        yield Row("  noise and detector", timing, None, size, 1)
        timing, _ = timed(lambda view=view: simulator.preview(view(), acquisition()))
        yield Row("preview", timing, len(materials), size, threads)


def _largest_error(mean, areas, materials: Sequence[str], spectrum: Spectrum, detector: Detector) -> float:
    """Largest relative error of the mean signal in some pixels, against the sum over the whole spectrum in float64.

    Negative area densities, which the spectral stage takes for rounding, count as 0.
    """
    pixels = some_pixels(mean.shape, _JUDGED_PIXELS)
    paths = areas[:, pixels[:, 0], pixels[:, 1]].astype(np.float64).clip(min=0)
    coefficients = np.array([mass_attenuation(material, spectrum.energies) for material in materials])
    taken_in = spectrum.energies * detector.efficiency(spectrum.energies) * spectrum.fluence
    exact = np.exp(-(paths.T @ coefficients)) @ taken_in
    return float(np.abs(mean[pixels[:, 0], pixels[:, 1]] / exact - 1).max())
