"""Task files: read strictly, written as they are read, and the shipped ones make sense on the sample CT."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from json_fuzz import files_like

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import check_reach, load_device
from DeepDRRSlicerLib.rehearsal.patient_match import mismatch, patient_of
from DeepDRRSlicerLib.rehearsal.task import Limits, Patient, Pose, Task, ViewGoal, WireGoal
from DeepDRRSlicerLib.rehearsal.task_file import load_task, parse_task, shipped_tasks, task_text

PATIENT = Patient("a phantom", (-100.0, -100.0, -100.0), (100.0, 100.0, 100.0), "0" * 64)
TASK = Task(
    title="All of it",
    instructions="Do this.\n\nThen „that“.",
    patient=PATIENT,
    start=Pose(-20.0, 5.0, (1.0, 2.0, 3.0), 1000.0),
    view=ViewGoal(30.0, -10.0, (0.0, 0.0, 5.5), 4.0, 10.0),
    wire=WireGoal((0.0, -40.0, 0.0), (0.0, 10.0, 3.0), 3.5, 2.0, 2.0, 150.0, (0.0, 20.0, 3.0), 25.0),
    limits=Limits(images=10, time=60.0),
    position="HFP",
)
VALID = json.loads(task_text(TASK))


def test_a_task_is_written_as_it_is_read():
    assert parse_task(task_text(TASK)) == TASK
    least = Task("T", "", PATIENT, Pose(0.0, 0.0, (0.0, 0.0, 0.0)), view=ViewGoal(0.0, 0.0, (0.0, 0.0, 0.0)))
    assert parse_task(task_text(least)) == least
    assert "null" not in task_text(least)


@settings(max_examples=300, deadline=None)
@given(files_like(VALID))
@example(json.dumps(VALID | {"title": "\ud800"}))
@example(json.dumps(VALID | {"position": ["HFS"]}))
@example('{"format": "DeepDRRSlicer task 1"}')
def test_any_other_file_is_refused_in_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "task.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for read in (lambda: load_task(path), lambda: parse_task(text)):
        try:
            task = read()
        except InputError as error:
            assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 2500
        else:
            assert parse_task(task_text(task)) == task


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"view": None, "wire": None}, "goal is missing"),
        ({"start": {"primary_angle": 0, "isocenter": [0, 0, 0]}}, "secondary_angle"),
        ({"start": VALID["start"] | {"primary_angle": 200}}, "between -180 and 180"),
        ({"wire": VALID["wire"] | {"target": VALID["wire"]["entry"]}}, "1 mm from"),
        ({"wire": VALID["wire"] | {"corridor": 0.5}}, "must hold the wire"),
        ({"wire": VALID["wire"] | {"length": 20}}, "more than the way"),
        ({"wire": VALID["wire"] | {"apex_views": [[0, 0], [180, 0]]}}, "degrees apart"),
        ({"wire": VALID["wire"] | {"radius": 3}}, "radius"),
        ({"limits": {"images": 2.5}}, "whole number"),
        ({"limits": {"images": 0}}, "whole number"),
        ({"patient": VALID["patient"] | {"voxels": "x" * 64}}, "SHA-256"),
        ({"patient": VALID["patient"] | {"low": [200, 0, 0]}}, "below patient.high"),
        ({"position": "HF"}, "position"),
        ({"format": "DeepDRRSlicer task 2"}, "format"),
    ],
)
def test_what_is_wrong_is_named(change, says):
    with pytest.raises(InputError, match=says):
        parse_task(json.dumps(VALID | change))


def test_a_missing_file_names_the_tasks_that_ship():
    with pytest.raises(InputError, match="pedicle_wire_t12"):
        load_task("no such task")


def test_the_ct_of_a_task_is_told_from_others():
    rng = np.random.default_rng(0)
    matrix = np.diag([-1.0, 1.0, 2.5, 1.0])
    ct = Volume(rng.integers(-1000, 1500, (20, 30, 40)).astype(np.int16), matrix)
    patient = patient_of(ct, "P")
    assert mismatch(patient, ct) == ""
    assert mismatch(patient, Volume(ct.array.astype(np.float32), matrix)) == ""
    coarse = Volume(ct.array[:, ::2, ::2], matrix @ np.diag([2.0, 2.0, 1.0, 1.0]))
    assert mismatch(patient, coarse) == ""
    assert "shows something else" in mismatch(patient, Volume(ct.array + np.int16(1), matrix))
    moved = matrix.copy()
    moved[0, 3] = 10.0
    assert "lies elsewhere" in mismatch(patient, Volume(ct.array, moved))


@pytest.fixture(scope="module")
def labels(shared_data):
    """The sample CT's labels at full resolution, and its matrix."""
    sitk = pytest.importorskip("SimpleITK")
    from DeepDRRSlicerLib.anatomy.image_io import LPS_TO_RAS

    image = sitk.ReadImage(str(shared_data / "chest_ct" / "totalsegmentator_labels_fullres.nii.gz"))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), LPS_TO_RAS @ matrix


def label_at(labels, points):
    array, matrix = labels
    index = np.rint((np.asarray(points) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T).astype(int)
    return array[tuple(index.T[::-1])]


def test_the_shipped_tasks_begin_within_reach_and_lie_in_the_sample_ct(labels):
    names = shipped_tasks()
    assert len(names) == 3
    array, matrix = labels
    device = load_device("mobile_carm")
    for task in map(load_task, names):
        pose = task.start
        goal = [task.view] if task.view is not None else []
        for view in (pose, *goal):
            check_reach(
                CArmPose(view.primary_angle, view.secondary_angle, view.isocenter, 1000.0,
                         device.source_isocenter_distance, (10, 10), (1.0, 1.0)),
                device,
            )  # fmt: skip
            assert (np.array(task.patient.low) < view.isocenter).all()
            assert (np.array(task.patient.high) > view.isocenter).all()
        empty = Volume(np.broadcast_to(np.int16(0), array.shape), matrix)
        assert "shows something else" in mismatch(task.patient, empty)  # the box is that of the sample CT


def test_the_corridor_runs_through_the_pedicle(labels):
    """T12 has the label 32. Of the corridor's rim nearly all lies in the vertebra, up to where the wire enters it; at
    the isthmus the spinal canal is beside it, and the pedicle is bone all round."""
    goal = load_task("pedicle_wire_t12").wire
    across = np.cross(goal.direction, [0, 0, 1.0])
    across /= np.linalg.norm(across)
    up = np.cross(across, goal.direction)
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    rim = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * up
    for depth in np.arange(4.0, goal.depth + 0.1, 2.0):
        ring = np.array(goal.entry) + depth * goal.direction + goal.corridor * rim
        assert (label_at(labels, ring) == 32).mean() > 0.9, depth
    canal = np.array(goal.entry) + 9.0 * goal.direction + 16.0 * across * np.sign(across[0])  # towards the right
    assert (label_at(labels, [canal]) != 32).all()
    assert label_at(labels, [goal.target]) == 32
    assert goal.corridor == 4.0


def test_the_arch_is_seen_from_the_side(labels):
    """At right angles to the line between the centres of ascending and descending aorta (label 52), in axial slices."""
    view = load_task("aortic_arch_open").view
    array, matrix = labels
    angles = []
    for s in (-130.0, -120.0, -110.0):
        k = int(round((s - matrix[2, 3]) / matrix[2, 2]))
        j, i = np.nonzero(array[k] == 52)
        ras = np.stack([i, j], axis=1) * np.diag(matrix)[:2] + matrix[:2, 3]
        front, back = ras[ras[:, 1] > -20].mean(axis=0), ras[ras[:, 1] <= -20].mean(axis=0)
        way = front - back
        angles.append(np.rad2deg(np.arctan2(way[1], way[0])))  # the beam (-sin a, cos a) is at a right angle to it
    assert view.primary_angle == pytest.approx(np.mean(angles), abs=3.0)


def test_the_end_plates_of_t12_are_seen_edge_on(labels):
    """Planes through the tops and bottoms of the columns of its body (label 32) hold the direction of the beam."""
    view = load_task("spine_true_ap").view
    array, matrix = labels
    k, j, i = np.nonzero(array == 32)
    ras = np.stack([i, j, k], axis=1) @ matrix[:3, :3].T + matrix[:3, 3]
    body = ras[np.linalg.norm((ras - view.isocenter)[:, :2], axis=1) < 9]
    body = body[np.abs(body[:, 2] - view.isocenter[2]) < 20]
    columns, inverse = np.unique(np.rint(body[:, :2] / 0.703), axis=0, return_inverse=True)
    inverse = inverse.ravel()
    beam = np.deg2rad([view.primary_angle, view.secondary_angle])
    direction = np.array([-np.sin(beam[0]) * np.cos(beam[1]), np.cos(beam[0]) * np.cos(beam[1]), np.sin(beam[1])])
    tilts = []
    for sign in (1, -1):
        height = np.full(len(columns), -np.inf)
        np.maximum.at(height, inverse, sign * body[:, 2])
        plane = np.linalg.lstsq(np.column_stack([columns * 0.703, np.ones(len(columns))]), sign * height, rcond=None)[0]
        normal = np.array([-plane[0], -plane[1], 1.0]) / np.linalg.norm([plane[0], plane[1], 1.0])
        tilts.append(np.rad2deg(np.arcsin(normal @ direction)))
    assert abs(np.mean(tilts)) < 3.0  # they are hollow, and not quite parallel to each other
    assert np.abs(tilts).max() < view.angle + 4.0
