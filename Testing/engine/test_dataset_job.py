"""Job files: what they say, and that whatever is wrong with one is a sentence that names the place."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from dataset_jobs import job_data, write_job, write_patient
from hypothesis import given, settings
from hypothesis import strategies as st
from json_fuzz import VALUES, files_like

import DeepDRRSlicerLib
from DeepDRRSlicerLib.dataset.job import Job, job_schema, job_text, parse_job, read_job
from DeepDRRSlicerLib.dataset.job_fields import JOB_FIELDS
from DeepDRRSlicerLib.errors import InputError

SCHEMA = Path(DeepDRRSlicerLib.__file__).parent / "data" / "schemas" / "job.schema.json"
PATIENTS = [{"name": "a", "ct": "a.nrrd", "landmarks": "a.json"}, {"name": "b", "ct": "b"}]
UNIFORM = {"distribution": "uniform", "range": [-10, 10]}
PLANS = [
    {"kind": "box", "primary_angle": UNIFORM},
    {"kind": "grid", "primary_angles": [0, 30], "secondary_angles": {"start": -20, "stop": 20, "step": 10}},
    {"kind": "cones", "cones": [{"axis": [0, 10], "half_angle": 15}, {"axis": [90, 0], "half_angle": 5, "weight": 2}]},
    {"kind": "views", "views": ["AP", "PA", "Spider"], "primary_error": UNIFORM,
     "centre": {"on": "landmarks", "names": ["x"]}, "visible": [{"segment": "*", "at_least": 0.5}]},
    {"kind": "trajectory", "frames": 5, "waypoints": [
        {"primary_angle": 0, "secondary_angle": 0}, {"primary_angle": 90, "secondary_angle": 20, "sid": 1000}]},
]  # fmt: skip
FULL = job_data(
    PATIENTS,
    labels={"segments": ["liver"], "landmarks": None},
    detector="ideal",
    collimation={"left": 50, "right": 60, "top": UNIFORM | {"range": [50, 100]}, "bottom": 100},
    tools=[{"name": "wire", "mesh": "w.stl", "material": "iron", "pivot": "x", "at_pivot": True,
            "matrix": np.eye(4).tolist(), "rotation": [UNIFORM, 0, 0]}],
    checksums={"a.nrrd": "0" * 64},
)  # fmt: skip


def with_plan(plan, **more):
    return job_data(PATIENTS, plan=plan, **more)


def refused(data, *parts):
    """The sentence that a job is refused with; it must name these parts."""
    with pytest.raises(InputError) as caught:
        parse_job(data)
    text = str(caught.value)
    for part in parts:
        assert part in text, text
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan["kind"])
def test_a_job_reads_and_writes_itself(plan, tmp_path):
    job = write_job(tmp_path, plan=plan)
    (tmp_path / "again.json").write_text(job_text(job))
    again = read_job(tmp_path / "again.json")
    assert isinstance(job, Job) and again.data == job.data and again.hash == job.hash
    assert parse_job(with_plan(plan, count=None) if plan["kind"] in ("grid", "trajectory") else with_plan(plan))


def test_everything_that_a_job_can_say():
    job = parse_job(FULL)
    assert job.detector.name == parse_job(job_data(PATIENTS, detector="ideal")).detector.name
    assert job.collimation.top.bounds == (50, 100)
    assert job.tools[0].pivot == "x" and job.tools[0].matrix[3] == (0, 0, 0, 1)
    assert job.labels.segments == ("liver",) and job.labels.landmarks is None


def test_hash_changes_with_content_and_not_with_layout():
    data = job_data(PATIENTS)
    assert parse_job(data).hash == parse_job(dict(reversed(data.items()))).hash
    seen = {parse_job(data | {"seed": seed}).hash for seed in range(5)} | {parse_job(data | {"count": 9}).hash}
    assert len(seen) == 6


def test_counts():
    grid, trajectory = PLANS[1], PLANS[4]
    assert parse_job(with_plan(grid, count=None)).count == 2 * 5 * 2
    assert parse_job(with_plan(trajectory, count=None)).count == 5 * 2
    refused(with_plan(PLANS[0], count=None), "count is missing", "box")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"plan": {"kind": "box", "primary_angle": UNIFORM | {"range": [-30, "x"]}}}, ["plan.primary_angle.range[1]"]),
        ({"plan": {"kind": "box", "primary_angle": UNIFORM | {"range": [30, -30]}}}, ["plan.primary_angle.range"]),
        ({"plan": {"kind": "box", "primary_angle": UNIFORM | {"unit": "rad"}}}, ["plan.primary_angle.unit", "degrees"]),
        ({"plan": {"kind": "box", "primary_angle": UNIFORM | {"sd": 1}}}, ["plan.primary_angle.sd"]),
        ({"plan": {"kind": "box", "primary_angle": 0, "secondary_angle": 80}}, ["plan.secondary_angle", "-50 to 50"]),
        ({"plan": {"kind": "box", "primary_angle": 0, "sid": 100}}, ["plan.sid", "mm"]),
        ({"plan": {"kind": "box", "primary_angle": 0, "sod": 1000}}, ["plan.sod", "1000 mm"]),
        ({"plan": {"kind": "spiral"}}, ["plan.kind", "box"]),
        ({"plan": {"kind": "cones", "cones": [{"axis": [0, 40], "half_angle": 20}]}}, ["plan.cones[0]", "20 to 60"]),
        ({"plan": {"kind": "views", "views": ["AP", "Below"]}}, ["plan.views[1]"]),
        ({"plan": PLANS[0] | {"visible": [{"at_least": 1}]}}, ["plan.visible[0]"]),
        ({"plan": PLANS[0] | {"centre": {"on": "point"}}}, ["plan.centre.point"]),
        ({"technique": {"kvp": {"distribution": "uniform", "range": [60, 200]}}}, ["technique.kvp", "kV"]),
        ({"technique": {"mas": 0}}, ["technique.mas", "above 0"]),
        ({"technique": {"filtration": {"kryptonite": 1}}}, ["technique.filtration.kryptonite"]),
        ({"picture": {"width": {"distribution": "log-uniform", "range": [0, 1]}}}, ["picture.width.range[0]"]),
        ({"picture": {"gamma": {"distribution": "normal", "mean": 1, "sd": 0.1, "range": [5, 6]}}}, ["picture.gamma"]),
        ({"picture": {"gamma": {"distribution": "choice", "values": [1], "weights": [0]}}}, ["picture.gamma.weights"]),
        ({"patients": []}, ["patients", "list"]),
        ({"patients": [PATIENTS[0], PATIENTS[0]]}, ["patients[1]", "'a'"]),
        ({"patients": [{"name": "a/b", "ct": "x"}]}, ["patients[0].name"]),
        ({"tools": [{"name": "t", "mesh": "m", "material": "unobtainium"}]}, ["tools[0].material", "unobtainium"]),
        ({"collimation": {"left": 500, "right": 1, "top": 1, "bottom": 1}}, ["collimation.left", "144 mm"]),
        ({"outputs": [{"writer": "gif"}]}, ["outputs[0].writer"]),
        ({"outputs": [{"writer": "coco", "zip": 1}]}, ["outputs[0]", "zip"]),
        ({"sid": 1000}, ["sid is not a key"]),
        ({"seed": 1.5}, ["seed", "whole"]),
        ({"seed": True}, ["seed"]),
        ({"count": 10**400}, ["count"]),
        ({"device": "no such arm"}, ["no such arm"]),
        ({"format": "DeepDRRSlicer job 2"}, ["format"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_faults_are_named_with_their_place(change, parts):
    refused(job_data(PATIENTS) | change, *parts)


@settings(max_examples=200, deadline=None)
@given(files_like(FULL, *(with_plan(plan) for plan in PLANS)))
def test_whatever_a_file_holds_it_is_a_job_or_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        assert isinstance(read_job(path), Job)
    except InputError as error:
        assert str(error).startswith("The job file") and str(error).endswith(".")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*JOB_FIELDS]), VALUES, max_size=4))
def test_no_value_of_a_key_is_too_odd(changes):
    try:
        parse_job(copy.deepcopy(FULL) | changes)
    except InputError as error:
        assert "cannot be used" in str(error)


def test_files_that_are_no_jobs(tmp_path):
    for path, content in (
        (tmp_path / "none.json", None),
        (tmp_path, None),
        (tmp_path / "binary.json", b"\xff\xfe\x00"),
    ):
        if content:
            path.write_bytes(content)
        with pytest.raises(InputError):
            read_job(path)


def test_the_published_schema_is_that_of_the_code():
    assert SCHEMA.read_text() == json.dumps(job_schema(), indent=1) + "\n"


def test_the_schema_knows_every_key_and_all_jobs_fit_it():
    """By a validator of our own of the few words that the schema uses, against jobs that the code accepts."""
    schema = json.loads(SCHEMA.read_text())
    assert set(schema["properties"]) == {"format", *JOB_FIELDS}
    for data in (FULL, *(with_plan(plan) for plan in PLANS)):
        assert not list(violations(data, schema, schema)), data["plan"]
    for data in (FULL | {"sid": 1}, FULL | {"seed": "x"}, FULL | {"plan": {"kind": "box"}}, {"format": FULL["format"]}):
        assert list(violations(data, schema, schema))
        refused(data)


def violations(value, schema, root):
    """Places where a JSON value does not fit a schema."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kind = schema.get("type")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in ("number", "integer"):
        if not number or (kind == "integer" and value != int(value)):
            yield f"{value!r} is no {kind}"
            return
    elif kind and not isinstance(value, kinds[kind]):
        yield f"{value!r} is no {kind}"
        return
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fits = sum(not list(violations(value, one, root)) for one in schema[word])
            if fits == 0 or (word == "oneOf" and fits > 1):
                yield f"{value!r} fits {fits} of {word}"
    if "const" in schema and value != schema["const"] or "enum" in schema and value not in schema["enum"]:
        yield f"{value!r}"
    if number:
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high or value <= schema.get("exclusiveMinimum", value - 1):
            yield f"{value!r} out of range"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for key in set(schema.get("required", ())) - set(value):
            yield f"{key} missing"
        for key, item in value.items():
            more = schema.get("additionalProperties", {})
            if key in known or isinstance(more, dict):
                yield from violations(item, known.get(key, more), root)
            else:
                yield f"{key} unknown"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{len(value)} items"
        for n, item in enumerate(value):
            first = schema.get("prefixItems", [])
            yield from violations(item, first[n] if n < len(first) else schema.get("items", {}), root)


def test_relative_paths_start_at_the_job_file(tmp_path):
    from DeepDRRSlicerLib.dataset.patient import read_patient

    job = write_job(tmp_path / "deep", patients=[write_patient(tmp_path / "deep")])
    assert [segment.name for segment in read_patient(job, 0).segments] == ["label 1", "label 2"]
