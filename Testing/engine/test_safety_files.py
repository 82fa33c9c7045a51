"""Files of strangers run no code and write nowhere else: no pickles, no names that lead out of a set."""

import ast
import io
import json
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dataset_jobs import job_data, write_patient
from dataset_samples import sample_of, write_set
from fuzzing import counts, damaged_bytes, run_fuzz
from json_fuzz import files_like

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.anatomy.label_names import label_names
from DeepDRRSlicerLib.anatomy.segment_materials import read_material_map
from DeepDRRSlicerLib.dataset.job import parse_job
from DeepDRRSlicerLib.dataset.merge import merge_sets
from DeepDRRSlicerLib.dataset.outputs import WRITERS, encode_sample, read_outputs
from DeepDRRSlicerLib.dataset.records import RecordFiles, record_path
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.files import read_beam
from DeepDRRSlicerLib.learning.scatter_network import load_network
from DeepDRRSlicerLib.learning.weights import load_trained
from DeepDRRSlicerLib.projection.tool_files import parse_tool

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "DeepDRRSlicer"


class Bomb:
    """Says that it was unpacked."""

    fired = False

    def __reduce__(self):
        return setattr, (Bomb, "fired", True)


def pickled(folder, ending):
    """Files that run code in whoever unpickles them, as Python, torch and numpy write them, under this ending."""
    array, stored = np.array([Bomb()], dtype=object), [io.BytesIO() for _ in range(3)]
    np.savez(stored[0], a=array)
    np.save(stored[1], array)
    torch.save({"weight": Bomb()}, stored[2])
    for name, content in zip("abcd", (pickle.dumps(Bomb()), *(one.getvalue() for one in stored)), strict=True):
        path = folder / f"{name}{ending}"
        path.write_bytes(content)
        yield path


@pytest.mark.parametrize(
    ("option", "endings"),
    [
        ("--device", [".pt", ".json"]),
        ("--detector", [".pkl", ".json"]),
        ("--grid", [".pkl", ".json"]),
        ("--geometry", [".npz", ".json"]),
        ("--materials", [".npz", ".seg.nrrd", ".nii.gz"]),
        ("--material-map", [".pt", ".json"]),
        ("--segmentation", [".npy", ".nrrd", ".mha"]),
        ("--landmarks", [".pkl", ".json", ".fcsv"]),
        ("--tool", [".pt", ".stl", ".ply", ".obj", ".vtp"]),
        ("ct", [".npy", ".nii", ".mha", ".dcm"]),
        ("job", [".pkl", ".json"]),
    ],
)
def test_a_pickle_is_refused_wherever_a_file_is_expected(tmp_path, capsys, option, endings):
    ct = write_patient(tmp_path)["ct"]
    Bomb.fired = False
    for path in (path for ending in endings for path in pickled(tmp_path, ending)):
        if option in ("ct", "job"):
            arguments = ["export", path] if option == "job" else ["simulate", path, "-o", tmp_path / "out"]
        else:
            arguments = ["simulate", tmp_path / ct, "-o", tmp_path / "out", option]
            arguments.append(f"{path}:titanium" if option == "--tool" else path)
        code = main(list(map(str, arguments)))
        said = capsys.readouterr().err
        assert code == 2 and said.startswith("deepdrr-slicer: ") and said.count("\n") == 1, (arguments, said)
    assert not Bomb.fired


def test_pickled_weights_are_refused(tmp_path):
    Bomb.fired = False
    for path in (path for ending in (".pt", ".safetensors") for path in pickled(tmp_path, ending)):
        for load in (load_trained, load_network):
            with pytest.raises(InputError):
                load(path)
    assert not Bomb.fired
    pickle.loads(path.with_name("a.pt").read_bytes())
    assert Bomb.fired  # the bomb works


def test_nothing_that_ships_can_unpickle_or_evaluate():
    """numpy reads arrays with allow_pickle=False said, and nobody calls what turns data into code."""
    modules, calls = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}, {"eval", "exec"}
    found = []
    for path in SHIPPED.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                found += [(path, name) for name in names if name.split(".")[0] in modules]
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in calls or name.endswith(("os.system", "yaml.load", "torch.load", "read_pickle")):
                found.append((path, name))
            said = {key.arg: ast.unparse(key.value) for key in node.keywords}
            if name in ("np.load", "numpy.load") and said.get("allow_pickle") != "False":
                found.append((path, "np.load without allow_pickle=False"))
            if said.get("shell") == "True":
                found.append((path, "shell"))
    assert not found


ODD_NAMES = ["..", "../../x", "a/b", "a\\b", "C:\\x", "/etc/passwd", "a\0b", "CON", "nul.txt", "x" * 3000, " ", "Heart",
             "heart", "HEART", "~", "$HOME", "-rf", "ä\n\x1b[2J", "\u202egnp"]  # fmt: skip


def named(sample, name):
    """The sample with everything in it called by one name."""
    label = lambda one: SimpleNamespace(**(vars(one) | {"name": name}))  # noqa: E731
    return SimpleNamespace(
        **(vars(sample) | {
            "patient": name,
            "segments": tuple(replace(one, name=name) for one in sample.segments),
            "landmarks": tuple(replace(one, name=name) for one in sample.landmarks),
            "tools": tuple(label(one) for one in sample.tools),
        })
    )  # fmt: skip


@pytest.mark.parametrize("writer", sorted(WRITERS))
def test_no_name_of_a_job_or_patient_is_part_of_a_path(writer):
    sample = sample_of(0)
    options = read_outputs({"outputs": [{"writer": writer, "thickness": True}]}, "c0ffee")
    usual = set(encode_sample(sample, options))
    assert usual and all(path.startswith(f"{writer}/") for path in usual)
    for name in ODD_NAMES:
        try:
            assert set(encode_sample(named(sample, name), options)) == usual
        except InputError as error:  # DICOM does not hold every name
            assert "\n" not in str(error)


def test_names_of_a_job_lead_nowhere(tmp_path):
    patient = write_patient(tmp_path)
    for name in ODD_NAMES:
        for data in (
            job_data([patient | {"name": name}]), job_data([patient], name=name),
            job_data([patient], outputs=[{"writer": name}]), job_data([patient], outputs=[{"writer": "coco", name: 1}]),
            job_data([patient], outputs=[{"writer": "coco", "image": name}]),
        ):  # fmt: skip
            try:
                job = parse_job(data, tmp_path)
            except InputError:
                continue
            assert "/" not in job.name and "\\" not in job.name and "\0" not in job.name
            assert [output["writer"] for output in job.outputs] == [o["writer"] for o in job_data([patient])["outputs"]]


BAD_PATHS = ["../../x", "/x", "coco/../../x", "coco\\..\\x", "C:/x", "coco/a\0b", "coco/CON", "coco/nul.png", "coco/x.",
             "coco/ x", "coco/" + "x" * 300, "a/" * 30 + "b", "coco//x", "coco/.", "", "dataset.json", "job.json",
             "records/000000.json", "Records/000001.json", "coco/~", "coco/x:y", "coco/.hidden/x"]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_record_that_names_a_file_elsewhere_is_refused(tmp_path, path):
    folder = write_set(tmp_path / "set", [{"writer": "coco"}], range(2), requested=2)
    record = folder / record_path(1)
    data = json.loads(record.read_text())
    assert RecordFiles(folder)[1] == data
    data["files"][path] = {"size": 1, "sha256": "0" * 64}
    record.write_text(json.dumps(data))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="is damaged"):
        merge_sets([folder], tmp_path / "merged")
    assert [
        p for p in sorted(tmp_path.rglob("*")) if p not in before and tmp_path / "merged" not in [p, *p.parents]
    ] == []


def test_a_record_with_files_that_differ_in_capitals_alone_is_refused(tmp_path):
    folder = write_set(tmp_path / "set", [{"writer": "coco"}], range(1), requested=1)
    record = folder / record_path(0)
    data = json.loads(record.read_text())
    name, entry = next(iter(data["files"].items()))
    for files in (data["files"] | {name.upper(): entry}, list(data["files"]), {name: "text"}):
        record.write_text(json.dumps(data | {"files": files}))
        with pytest.raises(InputError, match="is damaged"):
            RecordFiles(folder)[0]


def sentence_or(read):
    try:
        return read()
    except InputError as error:
        assert "\n" not in str(error) and str(error).endswith("."), error


@counts(60)
def test_any_material_map(tmp_path, count):
    valid = {"screw*": "titanium", "aorta": "blood with 300 mgI/ml", "unsegmented": "threshold", "skin": "unsegmented"}
    path = tmp_path / "map.json"

    def read(text):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        sentence_or(lambda: read_material_map(path))

    path.write_text(json.dumps(valid))
    assert read_material_map(path) == valid
    run_fuzz(count, read, files_like(valid))


@counts(60)
def test_any_geometry_file(tmp_path, count):
    path = tmp_path / "view.json"
    vectors = {"source": [0, -600, 0], "detector_center": [0, 400, 0], "e_c": [-1, 0, 0], "e_r": [0, 0, -1],
               "pitch": [1, 1], "size": [8, 9]}  # fmt: skip

    def read(text):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        beam = sentence_or(lambda: read_beam(path))
        assert beam is None or np.isfinite(beam.P).all()

    path.write_text(json.dumps(vectors))
    matrices = {key: value.tolist() for key, value in vars(read_beam(path)).items() if key in ("K", "R", "t")}
    run_fuzz(count, read, files_like(vectors, vectors | {"geometry": vectors}, matrices | vectors))


@counts(60)
def test_any_table_of_labels(tmp_path, count):
    for name, valid in (("a.json", b'{"1": "lung", "2": "heart"}'), ("a.csv", b"label,name\n1,lung\n2,heart\n")):
        path = tmp_path / name

        def read(content, path=path):
            path.write_bytes(content)
            sentence_or(lambda: label_names(path, path))

        path.write_bytes(valid)
        assert label_names(path, path) == {1: "lung", 2: "heart"}
        run_fuzz(count, read, damaged_bytes(valid))


@counts(60)
def test_any_transform_of_a_tool(tmp_path, count):
    (tmp_path / "cube.stl").write_bytes(b"")
    path = tmp_path / "t.json"

    def read(content):
        path.write_bytes(content)
        sentence_or(lambda: parse_tool(f"{tmp_path / 'cube.stl'}:titanium:{path}"))

    run_fuzz(count, read, damaged_bytes(json.dumps(np.eye(4).tolist()).encode()))
