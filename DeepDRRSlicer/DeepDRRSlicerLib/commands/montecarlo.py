"""`deepdrr-slicer montecarlo`: the reference for scatter and dose of a view, by following photons."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.commands.view_options import (
    DEFAULT_DEVICE,
    add_ct,
    add_matter,
    add_threads,
    add_view,
    backend_of,
    beam_from_file,
    check_threads,
    labelling_of,
    pose_of,
    tools_of,
)
from DeepDRRSlicerLib.errors import InputError

_UGY_PER_MGY = 1000.0
_MOST_CELLS = 512


def add_parser(commands) -> None:
    """Registers the command and its options."""
    command = commands.add_parser(
        "montecarlo",
        help="follow photons through a CT: scatter, primary and dose",
        description="Follows photons from the tube through the CT to the detector. Writes pictures.nrrd (keV per mm2 "
        "of detector: primary, single Compton, single Rayleigh, multiple scatter), scatter_error.nrrd (standard error "
        "of their sum), montecarlo.json, and with --dose dose.nrrd (mGy in every voxel).",
    )
    add_ct(command)
    add_view(command)
    add = command.add_argument_group("technique").add_argument
    add("--kvp", type=int, metavar="KV", help="tube voltage, 40 to 125 (default: the device's)")
    add("--mas", type=float, metavar="MAS", help="tube load (default: the device's)")
    add("--collimation", type=float, nargs=4, metavar=("L", "R", "T", "B"),
        help="mm at the detector from the middle of the image to each edge of the field")  # fmt: skip
    add = command.add_argument_group("photons").add_argument
    add("--histories", type=int, default=10_000_000, metavar="N", help="how many are followed (default: %(default)s)")
    add(
        "--cells",
        type=int,
        default=64,
        metavar="N",
        help="of the pictures, along the longer side (default: %(default)s)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of their random numbers (default: %(default)s)")
    add("--dose", action="store_true", help="write the dose in the CT, too")
    add_matter(command)
    add_threads(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Follows the photons, telling how far it is, and says what it wrote. Raises InputError."""
    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from DeepDRRSlicerLib.geometry.device import load_device
    from DeepDRRSlicerLib.physics.collimation import Collimation, collimation
    from DeepDRRSlicerLib.physics.detector import load_detector
    from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
    from DeepDRRSlicerLib.simulation.decomposition import never, unheard
    from DeepDRRSlicerLib.simulation.technique import parse_filtration
    from DeepDRRSlicerLib.transport.body import coarsened
    from DeepDRRSlicerLib.transport.montecarlo import coarse_view, follow_photons
    from DeepDRRSlicerLib.transport.tool_voxels import with_tools

    start = time.perf_counter()
    check_threads(options)
    if not 1 <= options.cells <= _MOST_CELLS:
        raise InputError(f"--cells must lie between 1 and {_MOST_CELLS}, not {options.cells}.")
    if options.seed < 0:
        raise InputError(f"The seed must be 0 or more, not {options.seed}.")
    device = load_device(options.device or DEFAULT_DEVICE)
    detector = load_detector(options.detector or device.detector)
    kvp = int(device.tube_voltage.default) if options.kvp is None else options.kvp
    mas = device.tube_load.default if options.mas is None else options.mas
    if not 0 < mas < np.inf:
        raise InputError(f"The tube load must be above 0 mAs, not {mas:g} mAs.")
    filtration = device.filtration if options.filtration is None else parse_filtration(options.filtration)
    spectrum = tube_spectrum(kvp, filtration, device.anode_angle)
    tools, fixed_beam, labelling = tools_of(options), beam_from_file(options), labelling_of(options)
    ct = read_ct(options.ct, options.series)
    beam = fixed_beam or pose_of(options, device, detector, ct).beam()
    field = None
    if options.collimation:
        field = collimation(beam, Collimation(*options.collimation), device.focal_spot, device.collimator_distance)
    volume = with_tools(coarsened(labelling.decomposition().decompose(ct, never, unheard)), tools)
    cells = coarse_view(beam, options.cells)

    def progress(done, tally):
        if sys.stderr.isatty():
            share, error = done / options.histories, 100 * tally.relative_error
            print(f"\r{share:4.0%} of the photons, scatter within {error:.1f} % a cell ", end="", file=sys.stderr)

    tally = follow_photons(
        volume, cells, spectrum, detector, options.histories, options.seed, field, options.dose,
        threads=options.threads, progress=progress, backend=backend_of(options),
    )  # fmt: skip
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for path in _write(
        Path(options.output), tally, cells, volume, mas, _summary(tally, cells, options, kvp, mas, detector)
    ):
        print(path)
    middle = tuple(slice(n // 2 - max(1, n // 16), n // 2 + max(1, n // 16)) for n in cells.size)
    ratio = tally.scatter[middle].sum() / tally.primary[middle].sum()
    print(f"Scatter to primary in the middle: {ratio:.3g}; a cell within {100 * tally.relative_error:.1f} %.")
    print(f"Done in {time.perf_counter() - start:.1f} s.")


def _summary(tally, cells, options, kvp, mas, detector) -> dict:
    """What montecarlo.json says."""
    import DeepDRRSlicerLib
    from DeepDRRSlicerLib.geometry.files import beam_to_dict
    from DeepDRRSlicerLib.transport.montecarlo import KINDS

    names = ("emitted", "deposited", "escaped", "arrived")
    return {
        "program": {"name": "DeepDRRSlicer", "version": DeepDRRSlicerLib.__version__},
        "geometry": beam_to_dict(cells),
        "technique": {"kvp": kvp, "mas": mas},
        "detector": detector.name,
        "collimation_mm": options.collimation,
        "histories": tally.histories,
        "seed": options.seed,
        "photons": tally.photons * mas,
        "pictures": list(KINDS),
        "unit": "keV per mm2",
        "energies_kev": dict(zip(names, (tally.energies * mas).tolist(), strict=True)),
        "relative_error_of_a_cell": tally.relative_error,
    }


def _write(folder: Path, tally, cells, volume, mas: float, summary: dict) -> list[Path]:
    """The files, each whole. Raises InputError where the folder cannot be written."""
    from DeepDRRSlicerLib.anatomy.image_io import place_image
    from DeepDRRSlicerLib.dataset.atomic import write_whole
    from DeepDRRSlicerLib.dataset.view_files import write_nrrd

    try:
        folder.mkdir(parents=True, exist_ok=True)
        placed, names = cells.image_to_ras(), {"pictures": json.dumps(summary["pictures"]), "unit": "keV per mm2"}
        paths = [folder / "pictures.nrrd", folder / "scatter_error.nrrd"]
        write_nrrd(paths[0], np.moveaxis(tally.pictures * mas, 0, -1), placed, names)
        write_nrrd(paths[1], tally.scatter_error * mas, placed, {"unit": "keV per mm2"})
        if tally.dose is not None:
            import SimpleITK as sitk  # noqa: N813

            paths.append(folder / "dose.nrrd")
            image = sitk.GetImageFromArray(_dose(tally.dose * mas, volume))
            place_image(image, volume.ijk_to_ras)
            image.SetMetaData("unit", "mGy")
            sitk.WriteImage(image, str(paths[-1]), useCompression=True)
        paths.append(write_whole(folder / "montecarlo.json", [json.dumps(summary, indent=1).encode()]))
    except (OSError, RuntimeError) as error:
        raise InputError(f"Cannot write to {folder}: {error}; choose another folder or make space.") from error
    return paths


def _dose(deposited: np.ndarray, volume) -> np.ndarray:
    """float32 (k, j, i) mGy of keV in each voxel; 0 where there is hardly any matter."""
    from DeepDRRSlicerLib.physics.spectrum import KEV_PER_GRAM_IN_UGY

    cell = abs(np.linalg.det(volume.ijk_to_ras[:3, :3])) / 1000  # cm3
    grams = np.tensordot(volume.scale, volume.density, axes=1) * cell
    matter = grams > 0.01 * cell
    per_gram = np.divide(deposited, grams, out=np.zeros(grams.shape), where=matter)
    return (per_gram * (KEV_PER_GRAM_IN_UGY / _UGY_PER_MGY)).astype(np.float32)
