"""`deepdrr-slicer simulate`: one view of a CT, and its labels, as files."""

from __future__ import annotations

import argparse
import sys
import time

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
from DeepDRRSlicerLib.learning.scatter_choice import SCATTER, scatter_model
from DeepDRRSlicerLib.simulation.technique import MANUAL


def add_parser(commands) -> None:
    """Registers the command and its options."""
    command = commands.add_parser(
        "simulate",
        help="simulate one radiograph of a CT",
        description="Simulates one radiograph of a CT. Writes signal.nrrd and open_field.nrrd (keV per pixel), "
        "counts.nrrd (of detectors with a bit depth), area_density.nrrd (g/cm2 per material), display.png and "
        "view.json; with --segmentation or --landmarks also masks.seg.nrrd, thickness.nrrd (mm) and landmarks.json.",
    )
    add_ct(command)
    add_view(command)
    technique = command.add_argument_group("technique")
    add = technique.add_argument
    add("--mode", choices=(MANUAL, "fluoro", "spot", "cine"), default=MANUAL,
        help="manual, or automatic brightness control (default: %(default)s)")  # fmt: skip
    add("--kvp", type=int, metavar="KV", help="tube voltage, 40 to 125 (default: the device's, or the control's)")
    add("--mas", type=float, metavar="MAS", help="tube load of the image, with --mode manual (default: the device's)")
    add("--collimation", type=float, nargs=4, metavar=("L", "R", "T", "B"),
        help="mm at the detector from the middle of the image to each edge of the field")  # fmt: skip
    add("--heel", action="store_true", help="with the heel effect of the anode")
    add("--pincushion", action="store_true", help="with the detector's distortion; not together with labels")
    add("--scatter", choices=SCATTER, default="network",
        help="how it is found: by a neural network at once, or montecarlo follows photons, a minute a view (default: "
        "%(default)s)")  # fmt: skip
    add("--histories", type=int, default=2_000_000, metavar="N",
        help="photons that the Monte Carlo follows (default: %(default)s)")  # fmt: skip
    noise = technique.add_mutually_exclusive_group()
    noise.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (default: %(default)s)")
    noise.add_argument("--no-noise", action="store_true", help="the expected image")
    picture = command.add_argument_group("display.png; the stored images stay untouched")
    add = picture.add_argument
    add("--window", default="chest", metavar="NAME|LOW,HIGH",
        help="log attenuation that is drawn black and white (default: %(default)s)")  # fmt: skip
    add("--linear", action="store_true", help="grey in proportion to the transmission, not to its logarithm")
    add("--invert", action="store_true", help="bone black")
    add("--unsharp", type=float, default=0.0, metavar="AMOUNT", help="unsharp masking, radius 20 pixels")
    add("--edges", type=float, default=0.0, metavar="AMOUNT", help="edge enhancement, radius 1 pixel")
    add_matter(command)
    labels = command.add_argument_group("labels")
    labels.add_argument("--segmentation", metavar="FILE", help="label map or .seg.nrrd; labels only, not the image")
    labels.add_argument("--landmarks", metavar="FILE", help=".mrk.json, .fcsv, or JSON {name: [R, A, S]}")
    add_threads(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Simulates the view and says what it wrote. Raises InputError."""
    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from DeepDRRSlicerLib.anatomy.landmarks import read_landmarks
    from DeepDRRSlicerLib.anatomy.segmentation import read_segmentation
    from DeepDRRSlicerLib.dataset.labels import label_landmarks, label_segment
    from DeepDRRSlicerLib.dataset.view_files import ViewLabels, write_view
    from DeepDRRSlicerLib.geometry.device import load_device
    from DeepDRRSlicerLib.physics.detector import load_detector
    from DeepDRRSlicerLib.simulation.simulator import Simulator
    from DeepDRRSlicerLib.simulation.views import with_pose

    start = time.perf_counter()
    if options.pincushion and (options.segmentation or options.landmarks):
        raise InputError("Labels are made for the undistorted picture; leave out --pincushion or the labels.")
    check_threads(options)
    device = load_device(options.device or DEFAULT_DEVICE)
    detector = load_detector(options.detector or device.detector)
    if options.pincushion and detector.distortion == 0:
        raise InputError(f"{detector.name} does not distort; leave out --pincushion.")
    acquisition = _acquisition(options, device, detector)
    display = _display(options)
    segments = read_segmentation(options.segmentation) if options.segmentation else []
    landmarks = read_landmarks(options.landmarks) if options.landmarks else []
    tools = tools_of(options)
    fixed_beam = beam_from_file(options)
    materials = labelling_of(options)
    ct = read_ct(options.ct, options.series)
    pose = None if fixed_beam else pose_of(options, device, detector, ct)
    beam = fixed_beam if pose is None else pose.beam()

    simulator = Simulator(ct, materials.decomposition(), backend_of(options), options.threads, progress=_NetworkNote())
    radiograph = simulator.simulate(beam, acquisition, tools)
    if pose:
        radiograph = with_pose(radiograph, pose, device)
    labels = None
    if options.segmentation or options.landmarks:
        labels = ViewLabels([label_segment(s, beam) for s in segments], label_landmarks(landmarks, beam))
    for path in write_view(options.output, radiograph, labels, display):
        print(path)
    print(_materials(radiograph.metadata["materials"]))
    print(_exposure(radiograph.metadata))
    print(f"Backend: {radiograph.metadata['backend']}.")
    if radiograph.metadata.get("backend_note"):
        print(f"Note: The CPU took over: {radiograph.metadata['backend_note']}.")
    doubt = radiograph.metadata["scatter"].get("warning")
    if doubt:
        print(doubt, file=sys.stderr)
    remarks = radiograph.remarks.replace(doubt or "", "").strip()
    if remarks:
        print(f"Note: {remarks}")
    for segment in segments:
        if not segment.mask.array.any():
            print(f"Note: The segment {segment.name} is empty.")
    if options.segmentation and not segments:
        print(f"Note: {options.segmentation} holds no segments.")
    print(f"Done in {time.perf_counter() - start:.1f} s.")


class _NetworkNote:
    """Says once that the network is at work; one whose answer was kept is at its end at once."""

    def __init__(self):
        self._said = False

    def __call__(self, fraction: float) -> None:
        if fraction < 1 and not self._said:
            self._said = True
            print("The network looks at the CT, once per patient; that may take a minute ...", flush=True)


def _materials(used: dict) -> str:
    """How the CT became materials, in one line."""
    parts = [used["model"]]
    if "segmentation" in used:
        parts = [f"{len(used['segments'])} segments of {used['segmentation']}", f"the rest by {used['unsegmented']}"]
    return f"Materials: {', '.join(parts)}; couch {used['couch']}."


def _exposure(metadata: dict) -> str:
    """Technique and dose in one line."""
    technique, dose, spectrum = metadata["technique"], metadata["dose"], metadata["spectrum"]
    parts = [f"{technique['kvp']} kV", f"{technique['mas']:.3g} mAs"]
    if "tube_current_ma" in technique and "pulse_width_ms" in technique:
        parts.append(f"{technique['tube_current_ma']:.3g} mA, {technique['pulse_width_ms']:.3g} ms")
    parts.append(f"HVL {spectrum['half_value_layer_mm_al']:.2f} mm Al")
    if "reference_air_kerma_ugy" in dose:
        parts.append(f"air kerma {dose['reference_air_kerma_ugy']:.3g} uGy at the reference point")
    parts.append(f"kerma-area product {dose['kerma_area_product_gycm2']:.3g} Gy cm2")
    return ", ".join(parts) + "."


def _acquisition(options, device, detector):
    from DeepDRRSlicerLib.physics.collimation import Collimation
    from DeepDRRSlicerLib.physics.grid import load_grid
    from DeepDRRSlicerLib.simulation.acquisition import Acquisition

    if options.seed < 0:
        raise InputError(f"The seed must be 0 or more, not {options.seed}.")
    acquisition = Acquisition(
        device=device,
        detector=detector,
        technique=_technique(options, device),
        collimation=Collimation(*options.collimation) if options.collimation else None,
        grid=load_grid(options.grid) if options.grid else None,
        seed=None if options.no_noise else options.seed,
        distortion=options.pincushion,
        scatter=scatter_model(options.scatter, options.histories, max(options.seed, 0), options.threads),
    )
    if options.device:
        acquisition.check_device()
    return acquisition


def _technique(options, device):
    from DeepDRRSlicerLib.simulation.acquisition import Automatic
    from DeepDRRSlicerLib.simulation.technique import Technique, parse_filtration

    if options.mode != MANUAL:
        given = [name for name in ("mas", "filtration") if getattr(options, name) is not None]
        if given:
            raise InputError(f"The mode {options.mode} chooses the exposure; leave out --{' and --'.join(given)}.")
        return Automatic(options.mode, options.kvp, heel=options.heel)
    return Technique(
        kvp=int(device.tube_voltage.default) if options.kvp is None else options.kvp,
        mas=device.tube_load.default if options.mas is None else options.mas,
        filtration=device.filtration if options.filtration is None else parse_filtration(options.filtration),
        heel=options.heel,
    )


def _display(options):
    from DeepDRRSlicerLib.simulation.display import Display, parse_window

    return Display(
        window=parse_window(options.window),
        curve="linear" if options.linear else "log",
        inverted=options.invert,
        unsharp_amount=options.unsharp,
        edge_amount=options.edges,
    )
