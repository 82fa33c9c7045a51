"""The C-arm's transforms and models stand where the pose's closed form says, are found again, and hit nothing."""

import dataclasses

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vtk.util.numpy_support import vtk_to_numpy

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import joint_frames, load_device
from DeepDRRSlicerLib.scene.beam import removeBeam, updateBeam
from DeepDRRSlicerLib.scene.carm import CArm, removeCArm
from DeepDRRSlicerLib.scene.nodes import findNode, removeNode
from DeepDRRSlicerLib.scene.shapes import partMesh
from host.core import loadScene, saveScene

SIZE, PITCH = (320, 256), (1.0, 1.25)
SOD = 600.0


def makePose(primary=0.0, secondary=0.0, isocenter=(0.0, 0.0, 0.0), sid=1000.0):
    return CArmPose(primary, secondary, isocenter, sid, SOD, SIZE, PITCH)


poses = st.builds(
    makePose,
    st.floats(-180, 180),
    st.floats(-50, 50),
    st.tuples(*[st.floats(-400, 400)] * 3),
    st.floats(900, 1100),
)


@pytest.fixture
def device():
    return load_device("mobile_carm")


@pytest.fixture
def carm(scene, device):
    carm = CArm(device)
    carm.build()
    return carm


def worldMatrix(node):
    return slicer.util.arrayFromTransformMatrix(node, toWorld=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pose=poses)
def test_transform_chain_equals_the_closed_form(carm, pose):
    carm.setPose(pose)
    beam = pose.beam()
    tube, detector = worldMatrix(carm.jointNode("secondary_angle")), worldMatrix(carm.jointNode("sid"))
    np.testing.assert_allclose((tube @ [0, -SOD, 0, 1])[:3], beam.source, atol=1e-6)
    np.testing.assert_allclose((detector @ [0, -SOD, 0, 1])[:3], beam.detector_center, atol=1e-6)
    np.testing.assert_allclose(detector[:3, :3] @ [-1, 0, 0], beam.e_c, atol=1e-9)
    np.testing.assert_allclose(detector[:3, :3] @ [0, 0, -1], beam.e_r, atol=1e-9)
    np.testing.assert_allclose(detector[:3, :3] @ [0, 1, 0], beam.normal, atol=1e-9)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pose=poses)
def test_pose_is_read_back_from_the_transforms(carm, pose):
    carm.setPose(pose)
    found = carm.pose(SIZE, PITCH).beam()
    np.testing.assert_allclose(found.source, pose.beam().source, atol=1e-5)
    np.testing.assert_allclose(found.detector_center, pose.beam().detector_center, atol=1e-5)
    np.testing.assert_allclose(found.e_c, pose.beam().e_c, atol=1e-8)


def test_leaf_tells_of_a_change_at_the_root(carm):
    calls = []
    leaf = carm.jointNode("sid")
    tag = leaf.AddObserver(slicer.vtkMRMLTransformableNode.TransformModifiedEvent, lambda *_: calls.append(1))
    carm.setPose(makePose(primary=10))
    leaf.RemoveObserver(tag)
    assert calls
    calls.clear()
    carm.setPose(makePose(primary=10))
    assert not calls  # the same pose again moves nothing


def test_another_source_distance_is_refused(carm):
    pose = dataclasses.replace(makePose(), sod=700.0)
    with pytest.raises(InputError, match="700 mm is not that of Generic mobile C-arm"):
        carm.setPose(pose)


def test_models_hang_on_their_joints_and_move(carm, device):
    pose = makePose(35.0, -20.0, (10.0, -30.0, 50.0), 1050.0)
    carm.setPose(pose)
    beam = pose.beam()
    for part in device.parts:
        assert carm.partNode(part.name).GetTransformNodeID() == carm.jointNode(part.joint).GetID()
    housing = worldPoints(carm, "Detector housing")
    depth = (housing - beam.detector_center) @ beam.normal
    assert depth.min() > 0 and depth.max() < 100  # behind the detector plane, on the side away from the source
    np.testing.assert_allclose(housing.mean(axis=0), beam.detector_center + depth.mean() * beam.normal, atol=1e-3)
    window = worldPoints(carm, "Collimator window")
    ahead = (window - beam.source) @ beam.normal
    assert 50 < ahead.min() and ahead.max() < 150
    np.testing.assert_allclose(window.mean(axis=0), beam.source + ahead.mean() * beam.normal, atol=1e-3)


def worldPoints(carm, name):
    node = carm.partNode(name)
    points = vtk_to_numpy(node.GetPolyData().GetPoints().GetData()).astype(float)
    matrix = worldMatrix(node.GetParentTransformNode())
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def nodeCount(scene):
    return {
        cls: scene.GetNumberOfNodesByClass(cls)
        for cls in (
            "vtkMRMLModelNode",
            "vtkMRMLModelDisplayNode",
            "vtkMRMLLinearTransformNode",
            "vtkMRMLScalarVolumeNode",
        )
    }


def test_building_again_makes_nothing_twice_and_keeps_the_pose(carm, scene):
    pose = makePose(20, 10)
    carm.setPose(pose)
    updateBeam(pose.beam())
    before = nodeCount(scene)
    CArm(carm.device).build()
    updateBeam(pose.beam())
    assert nodeCount(scene) == before
    np.testing.assert_allclose(carm.pose(SIZE, PITCH).beam().source, pose.beam().source, atol=1e-6)


def test_one_folder_holds_everything(carm, scene):
    updateBeam(makePose().beam())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folders = {
        hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)))
        for node in slicer.util.getNodesByClass("vtkMRMLModelNode")
    }
    assert folders == {"C-arm"}


def test_removing_leaves_nothing(carm, scene):
    updateBeam(makePose().beam())
    removeBeam()
    removeCArm()
    assert set(nodeCount(scene).values()) == {0}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert hierarchy.GetItemByName("C-arm") == hierarchy.GetInvalidItemID()


def test_another_device_replaces_the_parts(carm, device):
    other = dataclasses.replace(device, name="Small", parts=device.parts[:2])
    CArm(other).build()
    assert carm.partNode(device.parts[0].name) and not carm.partNode(device.parts[2].name)


def test_a_saved_scene_gives_the_same_c_arm(carm, scene, tmp_path):
    pose = makePose(-40, 15, (5.0, 6.0, 7.0), 950.0)
    carm.setPose(pose)
    updateBeam(pose.beam())
    before, points = nodeCount(scene), worldPoints(carm, "C-arc")
    saveScene(tmp_path / "scene.mrb")
    scene.Clear(0)
    loadScene(tmp_path / "scene.mrb")
    assert nodeCount(scene) == before
    np.testing.assert_allclose(worldPoints(carm, "C-arc"), points, atol=1e-3)  # in place without this module's help
    CArm(carm.device).build()
    updateBeam(pose.beam())
    assert nodeCount(scene) == before
    np.testing.assert_allclose(carm.pose(SIZE, PITCH).beam().source, pose.beam().source, atol=1e-4)


def test_models_that_were_not_saved_are_built_again(carm, scene, device):
    removeNode(carm.partNode("C-arc"))
    carm.partNode("Collar").SetAndObservePolyData(None)
    carm.build()
    assert carm.partNode("Collar").GetPolyData().GetNumberOfPoints() > 100
    assert carm.partNode("C-arc").GetPolyData().GetNumberOfPoints() > 100


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pose=poses)
def test_beam_model_joins_source_and_detector_corners(scene, pose):
    updateBeam(pose.beam())
    points = vtk_to_numpy(findNode("beam.faces", "vtkMRMLModelNode").GetPolyData().GetPoints().GetData())
    beam = pose.beam()
    half_c, half_r = beam.e_c * PITCH[0] * SIZE[1] / 2, beam.e_r * PITCH[1] * SIZE[0] / 2
    np.testing.assert_allclose(points[0], beam.source, atol=1e-3)
    np.testing.assert_allclose(points[1], beam.detector_center - half_c - half_r, atol=1e-3)
    np.testing.assert_allclose(points[3], beam.detector_center + half_c + half_r, atol=1e-3)


def samples(part):
    """Points all over a part's surface, some 20 mm apart."""
    sampler = vtk.vtkPolyDataPointSampler()
    sampler.SetInputData(partMesh(part.shape))
    sampler.SetDistance(20)
    sampler.Update()
    return vtk_to_numpy(sampler.GetOutput().GetPoints().GetData()).astype(float)


def test_the_shipped_device_clears_patient_and_beam(device):
    surfaces = [(part, samples(part)) for part in device.parts]
    for primary in range(-180, 181, 20):
        for secondary in (-50, -25, 0, 25, 50):
            for sid in (900, 1100):
                values = {"primary_angle": primary, "secondary_angle": secondary, "sid": sid}
                frames = {None: np.eye(4), **joint_frames(device, values)}
                beam = CArmPose(primary, secondary, (0, 0, 0), sid, SOD, (320, 320), (1, 1)).beam()
                for part, surface in surfaces:
                    points = surface @ frames[part.joint][:3, :3].T + frames[part.joint][:3, 3]
                    patient = (np.hypot(points[:, 0], points[:, 1]) < 250) & (np.abs(points[:, 2]) < 165)
                    assert not patient.any(), (part.name, values)
                    depth = (points - beam.source) @ beam.normal
                    on_detector = beam.project(points)
                    field = (np.abs(on_detector - 159.5) < 160).all(axis=1) & (depth > 125) & (depth < sid)
                    assert not field.any(), (part.name, values)


@pytest.mark.parametrize(
    "shape, volume",
    [
        ({"type": "box", "center": [1, 2, 3], "size": [100, 60, 40]}, 100 * 60 * 40),
        ({"type": "cylinder", "start": [0, 0, -50], "end": [0, 40, 90], "radius": 30}, np.pi * 900 * np.hypot(40, 140)),
        (
            {
                "type": "arc",
                "center": [0, 0, 0],
                "axis": [1, 0, 0],
                "from": [0, 0, 1],
                "start": -90,
                "stop": 90,
                "radius": 500,
                "width": 60,
                "thickness": 40,
            },
            np.pi * 500 * 60 * 40,
        ),
    ],
)
def test_shapes_are_closed_and_have_their_volume(shape, volume):
    mesh = partMesh(shape)
    clean = vtk.vtkCleanPolyData()  # caps have points of their own for sharp normals
    clean.SetInputData(mesh)
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(clean.GetOutputPort())
    edges = vtk.vtkFeatureEdges()
    edges.SetInputConnection(triangles.GetOutputPort())
    edges.FeatureEdgesOff()
    edges.NonManifoldEdgesOn()
    edges.Update()
    assert edges.GetOutput().GetNumberOfCells() == 0
    mass = vtk.vtkMassProperties()
    mass.SetInputConnection(triangles.GetOutputPort())
    assert volume * 0.93 < mass.GetVolume() <= volume  # roundings and facets only take away
    normals = vtk_to_numpy(mesh.GetPointData().GetNormals())
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    computed = vtk.vtkPolyDataNormals()
    computed.SetInputData(mesh)
    computed.AutoOrientNormalsOff()
    computed.SplittingOff()
    computed.ConsistencyOff()
    computed.Update()
    assert (np.sum(vtk_to_numpy(computed.GetOutput().GetPointData().GetNormals()) * normals, axis=1) > 0.8).all()
