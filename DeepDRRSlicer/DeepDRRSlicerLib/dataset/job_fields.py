"""The keys of a job file: what each may be, what it means, and what it is where it is missing."""

from __future__ import annotations

from types import NoneType

from DeepDRRSlicerLib.dataset import job_parts as parts
from DeepDRRSlicerLib.dataset.job_values import (
    Field,
    Value,
    distribution,
    either,
    flag,
    list_of,
    mapping,
    null,
    number,
    one_kind,
    one_of,
    or_null,
    record,
    row_of,
    shown,
    text,
    whole,
)
from DeepDRRSlicerLib.dataset.outputs import WRITERS
from DeepDRRSlicerLib.geometry.presets import PRESETS

FORMAT = "DeepDRRSlicer job 1"
MOST_SAMPLES = 10_000_000

_name = text(r"[^\x00-\x1f/\\]{1,100}", "a name of 1 to 100 characters without slashes")
_path = text(r"[^\x00]{1,4096}", "a path")
_words = text()
_short = text(longest=200)
_point = list_of(number(unit="mm"), 3, 3)
_primary = number(-180, 180, "degrees")
_secondary = number(-90, 90, "degrees")


def _triple(value: Value) -> Value:
    return list_of(value, 3, 3)


_no_shift = [0, 0, 0]
_shift = _triple(distribution(-1e4, 1e4, "mm"))
_turn = _triple(distribution(-180, 180, "degrees"))

_patient = record(parts.PatientFiles, {
    "name": Field(_name, "what the patient is called in the set"),
    "ct": Field(_path, "CT: NIfTI, NRRD, MetaImage or a DICOM folder"),
    "series": Field(either({str: _short, int: whole(), NoneType: null()}), "of DICOM: its number or UID", None),
    "segmentation": Field(or_null(_path), "label map or .seg.nrrd", None),
    "landmarks": Field(or_null(_path), ".mrk.json, .fcsv or JSON {name: [R, A, S]}", None),
    "materials": Field(or_null(_path), "label map or .seg.nrrd whose segments are materials", None),
})  # fmt: skip

_labels = record(parts.LabelChoice, {
    "segments": Field(or_null(list_of(_words)), "names, in this order; null: all of the patient", None),
    "landmarks": Field(or_null(list_of(_words)), "names, in this order; null: all of the patient", None),
})  # fmt: skip

_image = record(parts.ImageGrid, {
    "size": Field(or_null(list_of(whole(1, 16384), 2, 2)), "[rows, columns]; null: the detector's", None),
    "pitch": Field(or_null(number(1e-4, 1e3, "mm")), "mm; null: the detector's", None),
})  # fmt: skip

_technique = record(parts.TechniqueRanges, {
    "mode": Field(one_of("manual", "fluoro", "spot", "cine"), "manual, or an exposure control's mode", "manual"),
    "kvp": Field(or_null(distribution(1, 1000, "kV")), "rounded to whole kV; null: the device's", None),
    "mas": Field(or_null(distribution(0, 1e5, "mAs", above=True)), "null: the device's", None),
    "filtration": Field(or_null(mapping(_words, number(0, 1e3, "mm"))), "total, mm by material", None),
    "dose": Field(distribution(1e-4, 1e4), "factor on mAs, or on the dose aimed at: the noise level", 1),
    "noise": Field(flag(), "whether images are noisy", True),
})  # fmt: skip

_edge = Field(distribution(0, 1e4, "mm"), "mm at the detector from the middle of the image")
_collimation = record(parts.Shutters, {"left": _edge, "right": _edge, "top": _edge, "bottom": _edge})

_centre = record(parts.Centre, {
    "on": Field(one_of("ct", "point", "landmarks", "segments"), "what stands at the isocentre", "ct"),
    "point": Field(or_null(_point), "RAS mm, for on: point", None),
    "names": Field(or_null(list_of(_words, 1)), "of landmarks or segments, one of which is drawn; null: any", None),
    "offset": Field(_shift, "mm from there along R, A, S", _no_shift),
})  # fmt: skip

_pose = record(parts.PatientPose, {
    "rotation": Field(_turn, "degrees about the patient's R, A and S axes, in this order", _no_shift),
    "translation": Field(_shift, "mm along R, A, S", _no_shift),
})  # fmt: skip


_visible = record(parts.Visible, {
    "segment": Field(or_null(_words), 'name of a labelled segment, or "*" for each of them', None),
    "landmark": Field(or_null(_words), 'name of a labelled landmark, or "*" for each of them', None),
    "at_least": Field(number(0, 1, above=True), "part of the segment in the picture", 1),
})  # fmt: skip

_around = {
    "centre": Field(_centre, "", {}),
    "sid": Field(or_null(distribution(1, 1e5, "mm")), "source-image distance; null: the device's", None),
    "sod": Field(or_null(distribution(1, 1e5, "mm")), "source-isocentre distance; null: the device's", None),
    "patient": Field(_pose, "how the patient lies", {}),
    "table": Field(_shift, "mm that the table carries the patient along R, A, S", _no_shift),
    "visible": Field(list_of(_visible), "what must be in every picture", []),
    "tries": Field(whole(1, 100_000), "views drawn for a sample before it counts as impossible", 200),
}


def _plan(kind: str, into, fields: dict[str, Field]) -> Value:
    def make(**values):
        around = parts.Around(**{key: values.pop(key) for key in _around})
        return into(**values, around=around)

    return record(make, fields | _around, {"kind": kind})


def _angles(value: Value) -> Value:
    """A list of angles, or {"start", "stop", "step"}, both ends included."""
    listed = list_of(value, 1, 10_000)
    steps = record(dict, {"start": Field(value), "stop": Field(value), "step": Field(number(1e-3, 360, "degrees"))})

    def read(where, given):
        if not isinstance(given, dict):
            return listed.read(where, given)
        found = steps.read(where, given)
        if found["stop"] < found["start"]:
            raise ValueError(f"{where}.stop must not be below {where}.start")
        count = int((found["stop"] - found["start"]) / found["step"] + 1e-9) + 1
        return tuple(found["start"] + n * found["step"] for n in range(count))

    return Value(read, {"anyOf": [listed.schema, steps.schema]})


_error = distribution(-180, 180, "degrees")
_cone = record(parts.Cone, {
    "axis": Field(row_of(_primary, _secondary), "[primary, secondary] angle in the middle"),
    "half_angle": Field(number(0, 180, "degrees"), "from the axis to the border"),
    "weight": Field(number(0, 1e6, above=True), "how often, compared with the other cones", 1),
})  # fmt: skip
_waypoint = record(parts.Waypoint, {
    "primary_angle": Field(_primary), "secondary_angle": Field(_secondary),
    "isocenter": Field(or_null(_point), "RAS mm; null: the plan's centre", None),
    "sid": Field(or_null(number(1, 1e5, "mm")), "null: the plan's", None),
})  # fmt: skip

_plans = one_kind("kind", {
    "grid": _plan("grid", parts.Grid, {
        "primary_angles": Field(_angles(_primary), "degrees: a list, or start, stop and step"),
        "secondary_angles": Field(_angles(_secondary), "degrees: a list, or start, stop and step", [0]),
    }),
    "box": _plan("box", parts.Box, {
        "primary_angle": Field(distribution(-180, 180, "degrees")),
        "secondary_angle": Field(distribution(-90, 90, "degrees"), "", 0),
    }),
    "cones": _plan("cones", parts.Cones, {"cones": Field(list_of(_cone, 1, 1000))}),
    "views": _plan("views", parts.Views, {
        "views": Field(list_of(one_of(*PRESETS), 1), "names of standard views, equally often"),
        "primary_error": Field(_error, "how an operator misses the angle", 0),
        "secondary_error": Field(_error, "how an operator misses the angle", 0),
    }),
    "trajectory": _plan("trajectory", parts.Trajectory, {
        "waypoints": Field(list_of(_waypoint, 2, 10_000)),
        "frames": Field(whole(2, 1_000_000), "views from the first waypoint to the last"),
    }),
})  # fmt: skip

_density = or_null(number(0, 100, "g/cm3", above=True))
_row = list_of(number(), 4, 4)
_pivot = either({list: _point, str: _words, NoneType: null()})
_tool = record(parts.ToolPlan, {
    "name": Field(_name),
    "mesh": Field(_path, "closed surface: STL, OBJ, PLY, VTP or VTK"),
    "material": Field(_words, "a name of the material library"),
    "density": Field(_density, "g/cm3; null: the material's", None),
    "matrix": Field(or_null(list_of(_row, 4, 4)), "4x4 from the mesh file's RAS mm to the patient's", None),
    "probability": Field(number(0, 1), "of being in the picture", 1),
    "pivot": Field(_pivot, "RAS mm or landmark to turn about; null: the middle of the tool", None),
    "at_pivot": Field(flag(), "whether the middle of the tool is first moved to the pivot", False),
    "rotation": Field(_turn, "degrees about R, A, S, in this order", _no_shift),
    "translation": Field(_shift, "mm along R, A, S", _no_shift),
})  # fmt: skip

_part = distribution(0.05, 2)
_picture = record(parts.PictureRanges, {
    "curve": Field(one_of("log", "linear"), "grey follows -ln(transmission), or transmission", "log"),
    "centre": Field(distribution(-100, 100), "middle of the window", 4.1),
    "width": Field(distribution(1e-3, 100), "of the window", 5.8),
    "contrast": Field(distribution(1e-2, 100), "factor about middle grey", 1),
    "gamma": Field(distribution(1e-2, 100), "power of the grey value", 1),
    "blur": Field(distribution(0, 50, "pixels"), "sigma", 0),
    "inverted": Field(number(0, 1), "probability that bone is black", 0),
    "shutter": Field(record(parts.PictureShutter, {
        "probability": Field(number(0, 1), "", 0),
        "shapes": Field(list_of(one_of("rectangle", "ellipse", "octagon"), 1), "one is drawn", ["rectangle"]),
        "width": Field(_part, "of the opening, part of the image's", 0.9),
        "height": Field(_part, "of the opening, part of the image's", 0.9),
    }), "a black border", {}),
    "overlays": Field(record(parts.Overlays, {
        "probability": Field(number(0, 1), "", 0),
        "count": Field(distribution(1, 50), "how many, rounded", 3),
    }), "markers and writing", {}),
})  # fmt: skip


def _read_output(where: str, value) -> dict:
    """The writer's name and its options, which the writer checks itself."""
    writer = value.get("writer") if isinstance(value, dict) else None
    if not isinstance(writer, str) or writer not in WRITERS:
        raise ValueError(f"{where}.writer must be one of {', '.join(WRITERS)}, not {shown(writer)}")
    return dict(value)


_output = Value(
    _read_output, {"type": "object", "properties": {"writer": {"enum": list(WRITERS)}}, "required": ["writer"]}
)

JOB_FIELDS = {
    "name": Field(_name, "what the set is called", "dataset"),
    "licence": Field(text(longest=1000), "of the images, in words or as an SPDX name; empty: none stated", ""),
    "date": Field(text(r"[0-9]{8}", "a date as YYYYMMDD"), "of the study, for files that must state one", "20000101"),
    "seed": Field(whole(0, 2**53), "of everything random", 0),
    "count": Field(
        or_null(whole(1, MOST_SAMPLES)), "samples; null: once through a grid or trajectory, per patient", None
    ),
    "patients": Field(list_of(_patient, 1), "sample i shows patient i modulo their number"),
    "labels": Field(_labels, "what is labelled", {}),
    "materials": Field(
        one_of("threshold", "network"),
        "how the CT, or what a patient's segments leave of it, becomes materials",
        "threshold",
    ),
    "material_map": Field(or_null(mapping(_words, _words)), "materials of segments, by name or pattern", None),
    "keep_couch": Field(flag(), "whether couch, headrest and clothing are in the picture", False),
    "device": Field(_path, "name or file of a C-arm, whose limits hold", "mobile_carm"),
    "detector": Field(or_null(_path), "name or file; null: the device's", None),
    "grid": Field(or_null(_path), "name of an anti-scatter grid; null: the device's", None),
    "scatter": Field(
        one_of("none", "network", "montecarlo"),
        "scatter in the pictures; montecarlo takes seconds to minutes for each",
        "none",
    ),
    "histories": Field(whole(1000, 10**10), "photons followed for each picture, for scatter: montecarlo", 2_000_000),
    "image": Field(_image, "", {}),
    "technique": Field(_technique, "", {}),
    "collimation": Field(or_null(_collimation), "the open field; null: the whole detector", None),
    "plan": Field(_plans, "which views"),
    "tools": Field(list_of(_tool, 0, 1000), "", []),
    "picture": Field(_picture, "how the picture for people and networks is drawn", {}),
    "outputs": Field(list_of(_output, 1, 20), "writers and their options", [{"writer": "coco"}]),
    "errors": Field(one_of("stop", "skip"), "what happens when a patient or sample cannot be made", "stop"),
    "checksums": Field(mapping(_path, text(r"[0-9a-f]{64}", "a SHA-256 in hex")), "of files, checked before use", {}),
}
