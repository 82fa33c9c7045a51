"""Segments of the scene as materials: read, chosen by hand, kept with the scene, noticed when changed, and shown."""

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util

from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene import materials_work
from DeepDRRSlicerLib.scene.materials import (
    AUTOMATIC,
    LABEL_MAP,
    MODES,
    SEGMENTATION,
    THRESHOLD,
    chooseMaterial,
    materialsFingerprint,
    materialsNode,
    rows,
    segmentsAndMaterials,
)
from DeepDRRSlicerLib.scene.materials_view import hideMaterials, showMaterials
from DeepDRRSlicerLib.scene.materials_work import MaterialsWork
from DeepDRRSlicerLib.scene.request import patientKey
from DeepDRRSlicerLib.simulation.decomposition import never, unheard
from host import core as slicer_core

pytestmark = pytest.mark.usefixtures("scene")

SHAPE = (20, 24, 28)
BONE = "Segmentation category and type~SCT^85756007^Tissue~SCT^272673000^Bone~^^~Anatomic codes~^^~^^"


def ctNode():
    """Water of 1.9 l in a bath of air, 4 x 5 x 6 mm, flipped as DICOM's."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[2:18, 2:22, 2:26] = 0
    hu[6:14, 6:10, 6:10] = 400
    node = slicer.util.addVolumeFromArray(hu, name="CT")
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-4.0, -5.0, 6.0, 1.0])))
    return node


def segmentationNode(ct):
    hu = slicer.util.arrayFromVolume(ct)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Parts")
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    rod = hu == 400
    left = rod.copy()
    left[:, :, :8] = False
    for name, mask in (("aorta", rod), ("Thing", left), ("nothing", np.zeros_like(rod))):
        segment = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segment, ct)
    return node


def choices(ct=None, **changes):
    values = dict(ct=ct, materials=AUTOMATIC, materialsSegmentation=None, materialsLabelMap=None, keepCouch=False)
    return SimpleNamespace(**(values | changes))


def decomposed(work, parameters):
    """(materials of the CT as the engine sees it, what it is called)."""
    ct = parameters.ct
    decomposition = work.decompositionOf(parameters, patientKey(ct))
    from DeepDRRSlicerLib.scene.request import PatientCopy

    volume, _ = PatientCopy().of(ct)
    return decomposition.decompose(volume, never, unheard), decomposition


@pytest.fixture
def work():
    made = MaterialsWork()
    yield made
    made.close()


@pytest.fixture
def network(monkeypatch, tmp_path):
    """A network that calls the rod contrast agent; answers are kept in a folder of their own."""
    monkeypatch.setenv("DEEPDRRSLICER_CACHE", str(tmp_path))
    calls = []

    def classify(ct, should_stop, progress):
        calls.append(ct)
        progress(0.5)
        labels = np.where(ct.array > -500, CLASSES.index("soft tissue"), 0).astype(np.uint8)
        labels[ct.array == 400] = CLASSES.index("contrast")
        return labels

    monkeypatch.setattr(materials_work, "network_missing", lambda: None)
    monkeypatch.setattr(materials_work, "network", lambda: (classify, "v" * 64))
    return calls


def waitFor(what):
    import time

    end = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_rows_tell_chosen_and_automatic_materials():
    ct = ctNode()
    node = segmentationNode(ct)
    node.GetSegmentation().GetSegment("Thing").SetTag("TerminologyEntry", BONE)
    found = {row.id: row for row in rows(node)}
    assert [found["aorta"].material, found["Thing"].material, found["nothing"].material] == [
        "vessel", "bone", "unsegmented",
    ]  # fmt: skip
    chooseMaterial(node, ["Thing", "nothing"], "titanium")
    found = {row.id: row for row in rows(node)}
    assert (found["Thing"].chosen, found["Thing"].automatic, found["Thing"].material) == (
        "titanium",
        "bone",
        "titanium",
    )
    chooseMaterial(node, ["Thing"], None)
    assert {row.id: row.material for row in rows(node)}["Thing"] == "bone"
    segments, materials, byHand = segmentsAndMaterials(node)
    assert [segment.name for segment in segments] == ["aorta", "Thing"]  # empty ones are left out
    assert (materials, byHand) == (["vessel", "bone"], [False, False])


def test_choices_by_hand_are_saved_with_the_scene(tmp_path):
    node = segmentationNode(ctNode())
    chooseMaterial(node, ["Thing"], "blood with 300 mgI/ml")
    path = tmp_path / "scene.mrb"
    slicer_core.saveScene(str(path))
    slicer_core.loadScene(str(path))
    node = slicer.util.getNode("Parts")
    assert {row.id: row.material for row in rows(node)}["Thing"] == "blood with 300 mgI/ml"


def test_the_fingerprint_notices_every_change():
    ct = ctNode()
    node = segmentationNode(ct)
    parameters = choices(ct, materials=SEGMENTATION, materialsSegmentation=node)
    seen = {materialsFingerprint(parameters)}

    def changed():
        fingerprint = materialsFingerprint(parameters)
        new = fingerprint not in seen
        seen.add(fingerprint)
        return new

    assert not changed()
    chooseMaterial(node, ["Thing"], "PEEK")
    assert changed()
    node.GetSegmentation().GetSegment("Thing").SetName("femur")
    assert changed()
    slicer.util.updateSegmentBinaryLabelmapFromArray(np.ones(SHAPE, np.uint8), node, "nothing", ct)
    assert changed()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 5)
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert changed()
    parameters.keepCouch = True
    assert changed()
    for mode in MODES:
        parameters.materials = mode
        assert changed() == (mode != SEGMENTATION)
    assert not changed()


def test_a_segmentation_becomes_materials(work):
    ct = ctNode()
    node = segmentationNode(ct)
    parameters = choices(ct, materials=SEGMENTATION, materialsSegmentation=node)
    volume, decomposition = decomposed(work, parameters)
    assert decomposition.name == "segmentation" and decomposition.details["segments"] == {"aorta": "vessel"}
    assert "iodine" in volume.materials
    assert work.decompositionOf(parameters, patientKey(ct)) is decomposition  # nothing is read twice
    chooseMaterial(node, ["aorta"], "CoCrMo")
    volume, decomposition = decomposed(work, parameters)
    assert "CoCrMo" in volume.materials and "iodine" not in volume.materials
    m = volume.materials.index("CoCrMo")
    rod = (slicer.util.arrayFromVolume(ct) == 400).sum()
    assert volume.density[m].sum() * volume.scale[m] == pytest.approx(8.3 * rod, rel=1e-3)


def test_a_label_map_becomes_materials(work):
    ct = ctNode()
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    labels.CopyOrientation(ct)
    array = np.zeros(SHAPE, np.int16)
    array[6:14, 6:10, 6:10] = 3
    slicer.util.updateVolumeFromArray(labels, array)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode")
    table.SetTypeToUser()
    table.SetNumberOfColors(4)
    table.SetColor(3, "Pedicle screw", 1, 0, 0, 1)
    parameters = choices(ct, materials=LABEL_MAP, materialsLabelMap=labels)
    assert [(row.id, row.name, row.material) for row in rows(labels)] == [("3", "label 3", "unsegmented")]
    labels.CreateDefaultDisplayNodes()
    labels.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    assert [(row.name, row.material) for row in rows(labels)] == [("Pedicle screw", "metal")]
    volume, decomposition = decomposed(work, parameters)
    assert "titanium" in volume.materials and decomposition.details["segments"] == {"Pedicle screw": "metal"}
    assert materialsNode(parameters) is labels


def test_what_cannot_be_used_is_said(work):
    ct = ctNode()
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    empty.GetSegmentation().AddEmptySegment("a", "a")
    with pytest.raises(InputError, match="Empty holds no voxel of any segment"):
        decomposed(work, choices(ct, materials=SEGMENTATION, materialsSegmentation=empty))
    volume, decomposition = decomposed(work, choices(ct, materials=SEGMENTATION))  # none chosen yet
    assert decomposition.name == "threshold"


def test_the_network_counts_when_it_has_an_answer(work, network):
    ct = ctNode()
    parameters, patient = choices(ct), patientKey(ct)
    assert work.wantsNetwork(parameters, patient)
    assert not work.wantsNetwork(choices(ct, materials=THRESHOLD), patient)
    assert decomposed(work, parameters)[1].name == "threshold"
    work.startNetwork(parameters)
    assert work.isRunning and not work.wantsNetwork(parameters, patient)
    assert waitFor(work.collectNetwork) and not work.isRunning
    volume, decomposition = decomposed(work, parameters)
    assert decomposition.name == "network" and "iodine" in volume.materials
    assert decomposed(work, choices(ct, materials=THRESHOLD))[1].name == "threshold"
    assert decomposed(work, choices(ct, keepCouch=True))[1].details["couch"] == "kept"
    assert len(network) == 1
    slicer.util.arrayFromVolume(ct)[3, 3, 3] = 10
    ct.GetImageData().Modified()
    assert decomposed(work, parameters)[1].name == "threshold" and work.wantsNetwork(parameters, patientKey(ct))


def test_the_answer_of_an_earlier_time_is_found_again(work, network):
    ct = ctNode()
    work.startNetwork(choices(ct))
    waitFor(work.collectNetwork)
    work.forget()
    assert decomposed(work, choices(ct))[1].name == "threshold"
    work.startNetwork(choices(ct))
    waitFor(work.collectNetwork)
    assert len(network) == 1 and decomposed(work, choices(ct))[1].name == "network"


def test_a_cancelled_network_does_not_begin_by_itself(work, network):
    ct = ctNode()
    work.startNetwork(choices(ct))
    work.cancelNetwork()
    assert not work.isRunning and not work.wantsNetwork(choices(ct), patientKey(ct))
    work.startNetwork(choices(ct))
    assert waitFor(work.collectNetwork)


def test_a_failed_network_leaves_the_threshold_model(work, monkeypatch):
    def fail():
        raise InputError("The network needs 9 GB of memory.")

    ct = ctNode()
    monkeypatch.setattr(materials_work, "network_missing", lambda: None)
    monkeypatch.setattr(materials_work, "network", fail)
    work.startNetwork(choices(ct))
    with pytest.raises(InputError, match="9 GB"):
        waitFor(work.collectNetwork)
    assert not work.wantsNetwork(choices(ct), patientKey(ct))
    assert decomposed(work, choices(ct))[1].name == "threshold"


def test_materials_are_shown_over_the_ct(work):
    ct = ctNode()
    parameters = choices(ct, materials=SEGMENTATION, materialsSegmentation=segmentationNode(ct))
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)  # which makes it
    before = slicer.mrmlScene.GetNumberOfNodes()
    work.startLook(parameters)
    labels, names, found = waitFor(work.collectLook)
    assert {one.name for one in found} == {"soft tissue", "contrast"}
    volume = {one.name: one.volume for one in found}
    assert volume["contrast"] == pytest.approx(8 * 4 * 4 * 0.12)
    showMaterials(ct, labels, names)
    showMaterials(ct, labels, names)  # never two of them
    (node,) = slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")
    table = node.GetDisplayNode().GetColorNode()
    value = int(slicer.util.arrayFromVolume(node)[8, 8, 8])
    assert table.GetColorName(value) == "contrast" and not node.GetSaveWithScene() and node.GetHideFromEditors()
    opacity = [0.0] * 4
    table.GetColor(0, opacity)
    assert opacity[3] == 0
    matrix, other = slicer.util.vtkMatrixFromArray(np.eye(4)), slicer.util.vtkMatrixFromArray(np.eye(4))
    ct.GetIJKToRASMatrix(matrix)
    node.GetIJKToRASMatrix(other)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), slicer.util.arrayFromVTKMatrix(other))
    hideMaterials()
    assert not slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_job_of_the_scene_makes_the_same_materials(work, tmp_path):
    """Written as a job and read again: the same segments, by hand and automatic, the same densities."""
    from DeepDRRSlicerLib.anatomy.seg_nrrd import write_segments
    from DeepDRRSlicerLib.dataset.job import parse_job
    from DeepDRRSlicerLib.dataset.patient import read_patient
    from DeepDRRSlicerLib.dataset.sample import materials_of_job
    from DeepDRRSlicerLib.scene.job import _writeVolume
    from DeepDRRSlicerLib.scene.materials import materialsOfJob
    from DeepDRRSlicerLib.scene.request import PatientCopy

    ct = ctNode()
    node = segmentationNode(ct)
    chooseMaterial(node, ["Thing"], "titanium")
    parameters = choices(ct, materials=SEGMENTATION, materialsSegmentation=node)
    expected, decomposition = decomposed(work, parameters)
    segments, byHand = materialsOfJob(parameters)
    assert byHand == {"Thing": "titanium"}
    write_segments(tmp_path / "materials.seg.nrrd", segments)
    _writeVolume(tmp_path / "ct.nrrd", PatientCopy().of(ct)[0], lambda: False, True)
    patient = {"name": "patient", "ct": "ct.nrrd", "materials": "materials.seg.nrrd"}
    plan = {"kind": "grid", "primary_angles": [0]}
    job = parse_job(
        {"format": "DeepDRRSlicer job 1", "patients": [patient], "plan": plan, "material_map": byHand}, tmp_path
    )
    data = read_patient(job, 0)
    found = materials_of_job(job, data).decomposition().decompose(data.ct, never, unheard)
    assert found.materials == expected.materials
    np.testing.assert_array_equal(found.density, expected.density)
