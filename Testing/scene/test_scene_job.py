"""The scene becomes a job's folder: self-contained, in world RAS, whole or not at all, the same for the same scene."""

import hashlib
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from test_scene_mrml import OBLIQUE, parent, warp  # noqa: F401

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.image_io import read_image, volume_from_sitk
from DeepDRRSlicerLib.anatomy.landmarks import read_landmarks
from DeepDRRSlicerLib.anatomy.seg_nrrd import write_segments
from DeepDRRSlicerLib.anatomy.segmentation import Segment, read_segmentation
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.dataset.job import read_job
from DeepDRRSlicerLib.dataset.patient import read_patient
from DeepDRRSlicerLib.dataset.sample import make_ready, make_sample
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.scene.job import snapshot, writeJob
from DeepDRRSlicerLib.scene.job_settings import PLANS, gridAngles, jobSettings

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^272673000^Bone~^^~Anatomic codes - DICOM master list~^^~^^"
)
HU = np.random.default_rng(3).integers(-1000, 1500, (12, 14, 16), dtype=np.int16)


@pytest.fixture
def patient(scene):
    """Parameters of the panel with a CT, two overlapping segments with terminology, and two landmarks."""
    ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Jane Doe")
    slicer.util.updateVolumeFromArray(ct, HU.copy())
    ct.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(OBLIQUE))
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    for name, window in (("bone", np.s_[2:6, 3:9, 4:10]), ("more\\bone", np.s_[4:9, 5:11, 2:7]), ("empty", np.s_[:0])):
        mask = np.zeros(HU.shape, np.uint8)
        mask[window] = 1
        identifier = segmentation.GetSegmentation().AddEmptySegment(f"Own_{name[:4]}", name, (0.25, 0.5, 0.75))
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, identifier, ct)
        segmentation.GetSegmentation().GetSegment(identifier).SetTag("TerminologyEntry", TERMINOLOGY)
    landmarks = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    landmarks.AddControlPoint(1.5, -2.25, 1 / 3, "tip")
    landmarks.AddControlPoint(10, 20, 30, "naïve")
    return parameters_with(ct, segmentation, landmarks)


def parameters_with(ct, segmentation=None, landmarks=None, **choices):
    defaults = {
        "ct": ct, "segmentation": segmentation, "landmarks": landmarks, "device": "mobile_carm", "binning": 4,
        "primaryAngle": 30.0, "secondaryAngle": -10.0, "sid": 1000.0, "isocenterR": -10.0, "isocenterA": 40.0,
        "isocenterS": 15.0, "kvp": 80.0, "mas": 1.0, "exposureMode": "fluoro", "noise": True,
        "datasetCount": 5, "datasetSeed": 3, "datasetPlan": "cone", "datasetPrimaryRange": 15.0,
        "datasetSecondaryRange": 10.0, "datasetStep": 5.0, "datasetCentre": "isocenter", "datasetOffset": 10.0,
        "datasetRandomise": False, "datasetCoco": True, "datasetWebDataset": False, "datasetDicom": False,
        "datasetHdf5": False, "datasetLicence": "CC0-1.0", "materials": "threshold", "keepCouch": False,
        "patientPosition": "HFS", "scatter": "none",
    }  # fmt: skip
    return SimpleNamespace(**defaults | choices)


def write(parameters, folder, **options):
    return writeJob(snapshot(parameters, folder.name), folder, **options)


def place(parameters, node):
    for one in (parameters.ct, parameters.segmentation, parameters.landmarks):
        one.SetAndObserveTransformNodeID(node.GetID())


def tree(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_the_folder_holds_the_patient_where_the_scene_has_it(patient, parent, tmp_path):  # noqa: F811
    """Under two transforms, with a mirror among them: CT, segments and landmarks land together in world RAS."""
    transform, world = parent
    place(patient, transform)
    job = read_job(write(patient, tmp_path / "set"))
    files = job.patients[0]
    ct = volume_from_sitk(read_image(tmp_path / "set" / files.ct))
    assert ct.array.dtype == np.int16 and np.array_equal(ct.array, HU)
    assert np.allclose(ct.ijk_to_ras, world @ OBLIQUE, atol=1e-9)
    bone, more, empty = read_segmentation(tmp_path / "set" / files.segmentation)
    for segment, name, low, count in ((bone, "bone", (4, 3, 2), 4 * 6 * 6), (more, "more\\bone", (2, 5, 4), 5 * 6 * 5)):
        assert (segment.name, segment.color, segment.terminology) == (name, (0.25, 0.5, 0.75), TERMINOLOGY)
        assert segment.id == f"Own_{name[:4]}" and segment.mask.array.sum() == count  # overlaps are kept
        first = transform_points(segment.mask.ijk_to_ras, np.zeros(3))
        assert np.allclose(first, transform_points(world @ OBLIQUE, np.array(low)), atol=1e-6)
    assert empty.name == "empty" and not empty.mask.array.any()
    found = {one.name: one.position_ras for one in read_landmarks(tmp_path / "set" / files.landmarks)}
    assert list(found) == ["tip", "naïve"]
    assert np.allclose(found["tip"], transform_points(world, np.array([1.5, -2.25, 1 / 3])), atol=1e-9)


def test_slicer_itself_reads_the_files(patient, scene, tmp_path):
    write(patient, tmp_path / "set")
    scene.Clear(0)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "P")
    for node, name in ((volume, "ct.nrrd"), (segmentation, "segmentation.seg.nrrd"), (points, "landmarks.mrk.json")):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / "set" / name))
        assert node.GetStorageNode().ReadData(node)
    assert np.array_equal(slicer.util.arrayFromVolume(volume), HU)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), OBLIQUE, atol=1e-6)
    read = segmentation.GetSegmentation()
    assert list(read.GetSegmentIDs()) == ["Own_bone", "Own_more", "Own_empt"]
    assert read.GetSegment("Own_more").GetName() == "more\\bone"
    text = vtk.reference("")
    read.GetSegment("Own_bone").GetTag("TerminologyEntry", text)
    assert str(text) == TERMINOLOGY
    assert slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "Own_bone", volume).sum() == 4 * 6 * 6
    position = [0.0] * 3
    points.GetNthControlPointPosition(0, position)
    assert np.allclose(position, (1.5, -2.25, 1 / 3)) and points.GetNthControlPointLabel(1) == "naïve"


def test_the_job_names_its_files_by_relative_paths_and_checksums_and_no_person(patient, tmp_path):
    path = write(patient, tmp_path / "set")
    data = json.loads(path.read_text())
    names = {p.name for p in path.parent.iterdir()} - {"job.json"}
    assert set(data["checksums"]) == names == {
        "ct.nrrd", "segmentation.seg.nrrd", "landmarks.mrk.json", "device.json", "detector.json", "grid.json"
    }  # fmt: skip
    for name, digest in data["checksums"].items():
        assert hashlib.sha256((path.parent / name).read_bytes()).hexdigest() == digest
    everything = path.read_text()
    assert str(tmp_path) not in everything and "Jane" not in everything
    job = read_job(path)
    assert (job.name, job.licence, job.seed) == ("set", "CC0-1.0", 3)
    device = load_device("mobile_carm")
    assert (job.device.name, job.detector, job.grid) == (
        device.name, load_detector(device.detector), load_grid(device.grid)
    )  # fmt: skip
    moved = tmp_path / "elsewhere"
    os.rename(path.parent, moved)
    assert len(read_patient(read_job(moved / "job.json"), 0).segments) == 3


def test_the_same_scene_gives_the_same_bytes_and_another_one_is_refused(patient, tmp_path):
    first = tree(write(patient, tmp_path / "a" / "set").parent)
    assert tree(write(patient, tmp_path / "b" / "set").parent) == first
    before = (tmp_path / "a" / "set" / "ct.nrrd").stat().st_mtime_ns
    write(patient, tmp_path / "a" / "set")  # again: it is there
    assert (tmp_path / "a" / "set" / "ct.nrrd").stat().st_mtime_ns == before
    patient.datasetSeed = 4
    with pytest.raises(InputError, match="other settings; choose another folder"):
        write(patient, tmp_path / "a" / "set")
    patient.datasetSeed = 3
    slicer.util.arrayFromVolume(patient.ct)[0, 0, 0] += 1
    with pytest.raises(InputError, match="another scene"):
        write(patient, tmp_path / "a" / "set")
    assert tree(tmp_path / "a" / "set") == first


def test_the_copy_does_not_follow_the_scene(patient, tmp_path):
    contents = snapshot(patient, "set")
    slicer.util.arrayFromVolume(patient.ct)[:] = 5
    slicer.mrmlScene.Clear(0)
    writeJob(contents, tmp_path / "set", compress=False)
    assert np.array_equal(read_ct(tmp_path / "set" / "ct.nrrd").array, HU)


@pytest.mark.parametrize("which", ["ct", "segmentation"])
def test_a_non_linear_parent_is_refused(patient, warp, tmp_path, which):  # noqa: F811
    getattr(patient, which).SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InputError, match="non-linear transform warp; harden the transform first"):
        write(patient, tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_a_sheared_patient_keeps_its_place(patient, scene, tmp_path):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    shear = np.eye(4)
    shear[1, 2] = 0.3
    slicer.util.updateTransformMatrixFromArray(transform, shear)
    place(patient, transform)
    write(patient, tmp_path / "set")
    assert np.allclose(read_ct(tmp_path / "set" / "ct.nrrd").ijk_to_ras, shear @ OBLIQUE, atol=1e-6)
    bone = read_segmentation(tmp_path / "set" / "segmentation.seg.nrrd")[0]
    corner = transform_points(bone.mask.ijk_to_ras, np.zeros(3))
    assert np.allclose(corner, transform_points(shear @ OBLIQUE, np.array([4, 3, 2])), atol=1e-6)


def test_nothing_half_written_is_left(patient, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    asked = []
    for folder, stop, error, says in (
        (tmp_path / "file" / "set", lambda: False, InputError, "Cannot write to .*; correct that, or choose another"),
        (tmp_path / "full", lambda: False, InputError, "holds other files .notes.txt."),
        (tmp_path / "stopped", lambda: asked.append(1) or len(asked) > 3, Stopped, None),
    ):
        with pytest.raises(error, match=says):
            write(patient, folder, shouldStop=stop)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "full"}
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_full_disk_leaves_nothing(patient, tmp_path, monkeypatch):
    def full(path, segments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("DeepDRRSlicerLib.scene.job.write_segments", full)
    with pytest.raises(InputError, match="is full; make space"):
        write(patient, tmp_path / "set")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"ct": None}, "No CT is chosen"),
        ({"datasetCoco": False}, "No file format is chosen"),
        ({"landmarks": None, "datasetCentre": "landmarks"}, "No landmarks are chosen"),
        ({"segmentation": None, "datasetCentre": "segments"}, "No segments are chosen"),
        ({"datasetPlan": "box", "secondaryAngle": 45.0}, r"plan.secondary_angle can be 35 to 55 degrees, outside"),
        ({"datasetPlan": "views", "datasetSecondaryRange": 80.0}, "reaches no standard view"),
        ({"sid": 1500.0}, "plan.sid can be 1500 mm, outside the 900 to 1100 mm of Generic mobile C-arm"),
    ],
)
def test_choices_that_make_no_job_are_told_in_a_sentence(patient, tmp_path, choices, says):
    for name, value in choices.items():
        setattr(patient, name, value)
    with pytest.raises(InputError, match=says) as error:
        write(patient, tmp_path / "set")
    assert str(error.value).count(". ") == 0 and not list(tmp_path.iterdir())


def test_labels_of_one_name_are_refused(patient, tmp_path):
    patient.landmarks.AddControlPoint(0, 0, 0, "tip")
    with pytest.raises(InputError, match="Two landmarks of Points have the name 'tip'; rename"):
        write(patient, tmp_path / "set")


def test_what_is_no_ct_is_refused(patient, tmp_path):
    slicer.util.arrayFromVolume(patient.ct)[:] = 7
    with pytest.raises(InputError, match="Jane Doe"):
        write(patient, tmp_path / "set")


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("random", [False, True])
def test_samples_of_every_plan_stay_within_what_was_chosen(patient, tmp_path, plan, random):
    """Angles of the drawn views, and the isocentre, against the ranges of the panel."""
    patient.datasetPlan, patient.datasetRandomise, patient.datasetCount = plan, random, 12
    job = read_job(write(patient, tmp_path / "set", compress=False))
    ready = make_ready(job, read_patient(job, 0))
    middle, seen, detector = np.array([-10.0, 40.0, 15.0]), set(), load_detector(load_device("mobile_carm").detector)
    for index in range(min(12, job.count)):
        sample = make_sample(job, ready, index)
        pose = sample.settings["c_arm"]
        primary, secondary = pose["primary_angle"], pose["secondary_angle"]
        seen.add((round(primary, 3), round(secondary, 3)))
        assert (np.abs(np.array(pose["isocenter"]) - middle) <= 10).all() and pose["sid"] == 1000
        if plan in ("box", "grid"):
            assert 15 - 1e-6 <= primary <= 45 + 1e-6 and -20 - 1e-6 <= secondary <= 1e-6
        if plan == "cone":
            a, b, p, q = np.deg2rad([primary, secondary, 30, -10])
            along = [np.array([-np.sin(x) * np.cos(y), np.cos(x) * np.cos(y), np.sin(y)]) for x, y in ((a, b), (p, q))]
            assert np.rad2deg(np.arccos(min(1, np.dot(*along)))) <= 15 + 1e-4
        assert sample.radiograph.signal.shape == detector.pixel_grid(binning=4)[0]
        assert [label.name for label in sample.segments] == ["bone", "more\\bone", "empty"]
    assert len(seen) == min(12, job.count)
    assert job.count == (35 if plan == "grid" else 12)


def test_a_grid_lies_evenly_about_the_view(patient):
    patient.datasetStep = 4.0
    columns, rows = gridAngles(patient)
    assert columns == [18.0, 22.0, 26.0, 30.0, 34.0, 38.0, 42.0] and rows == [-18.0, -14.0, -10.0, -6.0, -2.0]


def test_the_technique_is_the_panels(patient):
    assert jobSettings(patient, "n")["technique"] == {"mode": "fluoro", "noise": True}
    patient.exposureMode, patient.kvp, patient.noise = "manual", 92.4, False
    assert jobSettings(patient, "n")["technique"] == {"mode": "manual", "noise": False, "kvp": 92, "mas": 1.0}


def test_segments_with_voxels_of_their_own_share_a_file(tmp_path):
    """A coarse, turned segment beside a fine one: each voxel centre of the fine grid is in it or not."""
    fine = Volume(np.ones((6, 7, 8), np.uint8), np.diag([1.0, 1, 1, 1]))
    turned = np.array([[0.0, -2, 0, 20], [2, 0, 0, -3], [0, 0, 2.5, 1], [0, 0, 0, 1]])
    coarse = Volume(np.random.default_rng(0).integers(0, 2, (5, 4, 6), dtype=np.uint8), turned)
    segments = [Segment("fine", fine, (1.0, 0.0, 0.0)), Segment("coarse", coarse, (0.0, 1.0, 0.0))]
    write_segments(tmp_path / "s.seg.nrrd", segments)
    first, second = read_segmentation(tmp_path / "s.seg.nrrd")
    assert np.array_equal(first.mask.array, fine.array)
    k, j, i = np.nonzero(second.mask.array)
    world = transform_points(second.mask.ijk_to_ras, np.stack([i, j, k], axis=-1))
    index = np.rint(transform_points(np.linalg.inv(turned), world)).astype(int)
    assert coarse.array[tuple(index.T[::-1])].all()
    volume = len(world) * abs(np.linalg.det(second.mask.ijk_to_ras))
    assert volume == pytest.approx(coarse.array.sum() * 10.0, rel=0.05)


def test_dicom_files_say_how_the_patient_lies(scene):
    ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    prone = jobSettings(parameters_with(ct, datasetDicom=True, patientPosition="HFP"), "set")["outputs"]
    assert prone == [{"writer": "coco"}, {"writer": "dicom", "patient_position": "HFP"}]
    assert {"writer": "dicom"} in jobSettings(parameters_with(ct, datasetDicom=True), "set")["outputs"]
