"""The options of a view that several commands share, and what is made of them."""

from __future__ import annotations

import argparse

from DeepDRRSlicerLib.errors import InputError

DEFAULT_DEVICE = "mobile_carm"
_ANGLE_OPTIONS = ("primary_angle", "secondary_angle", "isocenter", "sid", "sod", "size", "pitch")


def add_ct(command) -> None:
    """The CT and where the files go."""
    add = command.add_argument
    add("ct", metavar="CT", help="NIfTI, NRRD or MetaImage file, or a folder of DICOM slices")
    add("-o", "--output", metavar="DIR", required=True, help="folder for the files of the view")
    add("--series", help="which DICOM series, where the folder holds several: number in the list, or UID")


def add_view(command) -> None:
    """Where the C-arm stands, and which one it is."""
    view = command.add_argument_group("view")
    view.add_argument("--geometry", metavar="FILE", help="JSON with K, R, t or source, detector_center, e_c, e_r; "
                      "pitch and size; instead of the options below")  # fmt: skip
    view.add_argument("--primary-angle", type=float, metavar="DEG", help="+ LAO, - RAO (default 0)")
    view.add_argument("--secondary-angle", type=float, metavar="DEG", help="+ cranial, - caudal (default 0)")
    view.add_argument(
        "--isocenter", type=float, nargs=3, metavar=("R", "A", "S"), help="mm (default: centre of the CT)"
    )
    view.add_argument("--sid", type=float, metavar="MM", help="source-image distance (default: the device's)")
    view.add_argument("--sod", type=float, metavar="MM", help="source-isocentre distance (default: the device's)")
    view.add_argument("--size", type=int, nargs=2, metavar=("ROWS", "COLS"), help="pixels (default: the detector's)")
    view.add_argument("--pitch", type=float, metavar="MM", help="pixel pitch (default: the detector's)")
    machine = command.add_argument_group("machine")
    machine.add_argument("--device", metavar="NAME|FILE", help="C-arm; its limits hold where it is named "
                         f"(default: the distances of {DEFAULT_DEVICE}, without limits)")  # fmt: skip
    machine.add_argument("--detector", metavar="NAME|FILE", help="detector (default: the device's)")
    machine.add_argument("--grid", metavar="NAME|FILE", help="anti-scatter grid (default: the device's)")
    machine.add_argument("--filtration", metavar="LIST", help="total, in mm, as Al:3,Cu:0.1 (default: the device's); "
                         "with --mode manual")  # fmt: skip


def add_matter(command) -> None:
    """What stands in the beam."""
    matter = command.add_argument_group("what the CT is made of")
    matter.add_argument("--materials", metavar="threshold|network|FILE", help="model by HU, neural network, or a label "
                        "map or .seg.nrrd whose segments are materials (default: network where it can run, else "
                        "threshold)")  # fmt: skip
    matter.add_argument("--material-map", metavar="FILE", help='JSON {"segment or pattern": "material"}, as '
                        '{"screw*": "titanium", "aorta": "blood with 300 mgI/ml"}; other segments by terminology or '
                        'name; {"unsegmented": "threshold"} fills the rest')  # fmt: skip
    matter.add_argument("--keep-couch", action="store_true", help="with couch, headrest and clothing, which are left "
                        "out otherwise")  # fmt: skip
    scene = command.add_argument_group("tools in the beam")
    scene.add_argument("--tool", action="append", default=[], metavar="MESH:MATERIAL[:TRANSFORM]",
                       help="closed surface (STL, OBJ, PLY, VTK) of a material; may be repeated")  # fmt: skip


def add_backend(command) -> None:
    """What computes."""
    from DeepDRRSlicerLib.projection.cuda.drivers import CHOICES
    from DeepDRRSlicerLib.projection.projector import BACKENDS

    command.add_argument("--backend", choices=BACKENDS, default="auto", help="projector: cuda needs an NVIDIA card "
                         "(default: %(default)s, a card if one works)")  # fmt: skip
    command.add_argument("--cuda-driver", choices=CHOICES, default="auto", help="package that talks to the card "
                         "(default: %(default)s, the first that works)")  # fmt: skip


def backend_of(options: argparse.Namespace) -> str:
    """The backend of --backend and --cuda-driver, as make_projector takes it."""
    return options.backend if options.cuda_driver == "auto" else f"{options.backend}/{options.cuda_driver}"


def add_threads(command) -> None:
    """How it is computed."""
    add_backend(command)
    command.add_argument("--threads", type=int, metavar="N", help="compute with at most N threads (default: all cores)")


def check_threads(options: argparse.Namespace) -> None:
    """Raises InputError for fewer threads than one, or a card that is asked for and cannot be used."""
    if options.threads is not None and options.threads < 1:
        raise InputError(f"The number of threads must be 1 or more, not {options.threads}.")
    if options.backend == "cuda":
        from DeepDRRSlicerLib.projection.projector import backend_in_use

        backend_in_use(backend_of(options))


def labelling_of(options: argparse.Namespace):
    """The dataset.materials Labelling that --materials, --material-map and --keep-couch ask for. Raises InputError."""
    from DeepDRRSlicerLib.anatomy.segment_materials import read_material_map
    from DeepDRRSlicerLib.dataset.materials import chosen_materials

    chosen = read_material_map(options.material_map) if options.material_map else None
    return chosen_materials(options.materials, chosen, options.keep_couch)


def tools_of(options: argparse.Namespace) -> list:
    """The tools of --tool. Raises InputError."""
    from DeepDRRSlicerLib.projection.tool_files import parse_tool

    return [parse_tool(text) for text in options.tool]


def beam_from_file(options: argparse.Namespace):
    """The beam of --geometry, or None. Raises InputError where it does not stand alone."""
    if not options.geometry:
        return None
    given = [f"--{name.replace('_', '-')}" for name in _ANGLE_OPTIONS if getattr(options, name) is not None]
    if given:
        raise InputError(f"--geometry says the whole view; leave out {', '.join(given)}.")
    from DeepDRRSlicerLib.geometry.files import read_beam

    return read_beam(options.geometry)


def pose_of(options: argparse.Namespace, device, detector, ct):
    """The C-arm's pose of the angle options, about the middle of the CT if they do not say. Raises InputError."""
    from DeepDRRSlicerLib.geometry.carm import CArmPose
    from DeepDRRSlicerLib.geometry.device import check_reach

    size, pitch = detector.pixel_grid()
    pitch = pitch if options.pitch is None else options.pitch
    pose = CArmPose(
        primary_angle=options.primary_angle or 0.0,
        secondary_angle=options.secondary_angle or 0.0,
        isocenter=tuple(options.isocenter or ct.center_ras),
        sid=device.source_image_distance.default if options.sid is None else options.sid,
        sod=device.source_isocenter_distance if options.sod is None else options.sod,
        size=tuple(options.size or size),
        pitch=(pitch, pitch),
    )
    if options.device:
        check_reach(pose, device)
    return pose
