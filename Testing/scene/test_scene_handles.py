"""Handles dragged with the mouse through Slicer's own widgets: one axis each, and what the hand meant is told."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util
from room_parameters import RoomParameters

from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.scene.carm import CArm
from DeepDRRSlicerLib.scene.carm_handles import CArmHandles
from DeepDRRSlicerLib.scene.room import moveRoom
from DeepDRRSlicerLib.scene.threed_view import frameCArm
from host.core import loadScene, saveScene
from host.views import OffscreenThreeDView

RING = 1.15  # radius of Slicer's ring over the size of its handle


@pytest.fixture
def room(scene):
    """A C-arm with handles in a 3D view: device, carm, view, handles, and the joints told of."""
    device = load_device("mobile_carm")
    moveRoom(RoomParameters())
    view = OffscreenThreeDView("1", (900, 700))
    frameCArm((0, 0, 0), view.view_node)
    told = []
    handles = CArmHandles(told.append)
    handles.show(device)
    view.render()
    yield SimpleNamespace(device=device, carm=CArm(device), view=view, handles=handles, told=told)
    handles.hide()
    view.close()


def onScreen(view, point):
    view.renderer.SetWorldPoint(*point, 1.0)
    view.renderer.WorldToDisplay()
    return [round(value) for value in view.renderer.GetDisplayPoint()[:2]]


def mouse(view, event, place):
    view.interactor.SetEventInformation(*place, 0, 0, chr(0), 0, None)
    getattr(view.interactor, event + "Event")()


def drag(view, way):
    """Press at the first place in space, move along the others, and let go."""
    places = [onScreen(view, point) for point in way]
    mouse(view, "MouseMove", places[0])
    mouse(view, "LeftButtonPress", places[0])
    for place in places[1:]:
        mouse(view, "MouseMove", place)
    mouse(view, "LeftButtonRelease", places[-1])


def ringWay(room, name, begin, end):
    """Places on the ring of a joint as it stands, between two angles about its axis."""
    node = room.carm.jointNode(name)
    matrix = slicer.util.arrayFromTransformMatrix(node, toWorld=True)
    axis = np.asarray(room.device.joint(name).axis)
    u = np.roll(axis, 1)
    v = np.cross(axis, u)
    radius = node.GetDisplayNode().GetInteractionSizeMm() * RING
    center = np.array(node.GetCenterOfTransformation())
    angles = np.deg2rad(np.linspace(begin, end, 13))
    points = center + radius * (np.cos(angles)[:, None] * u + np.sin(angles)[:, None] * v)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.mark.parametrize("name, begin, way", [("primary_angle", 10, 30), ("secondary_angle", 80, -25)])
def test_a_ring_turns_its_joint_with_the_mouse(room, name, begin, way):
    drag(room.view, ringWay(room, name, begin, begin + way))
    assert set(room.told) == {name}
    assert room.carm.jointValue(name) == pytest.approx(way, abs=2.5)  # the mouse moves in whole pixels
    others = {"primary_angle", "secondary_angle", "stand_angle"} - {name}
    assert all(room.carm.jointValue(other) == 0 for other in others)


def test_an_arrow_shifts_the_detector_along_its_joint(room):
    node = room.carm.jointNode("sid")
    matrix = slicer.util.arrayFromTransformMatrix(node, toWorld=True)
    tip = np.array(node.GetCenterOfTransformation()) + [0, node.GetDisplayNode().GetInteractionSizeMm(), 0]
    start = (matrix @ [*tip, 1])[:3]
    drag(room.view, start + np.linspace(0, 60, 7)[:, None] * [0, 1, 0])
    assert set(room.told) == {"sid"}
    assert room.carm.jointValue("sid") == pytest.approx(1060, abs=8)


def test_each_joint_has_its_one_axis_in_the_3d_view_alone(room):
    for joint in room.device.joints:
        display = room.carm.jointNode(joint.name).GetDisplayNode()
        axis = int(np.abs(joint.axis).argmax())
        shown = [number == axis for number in range(3)] + [False]
        turns = joint.type == "rotation"
        assert list(display.GetRotationHandleComponentVisibility3D()) == (shown if turns else [False] * 4)
        assert list(display.GetTranslationHandleComponentVisibility3D()) == ([False] * 4 if turns else shown)
        assert display.GetEditorVisibility() and not display.GetEditorSliceIntersectionVisibility()
        assert not display.GetEditorScalingEnabled()


def test_a_joint_that_is_only_carried_along_is_not_told_of(room):
    slicer.util.updateTransformMatrixFromArray(room.carm.jointNode(None), np.eye(4) + np.eye(4, k=3))
    assert room.told == []
    room.carm.setValues({"primary_angle": 20.0})
    assert room.told == ["primary_angle"]


def test_hidden_handles_are_gone_and_deaf(room):
    node = room.carm.jointNode("primary_angle")
    event = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
    room.handles.hide()
    room.carm.setValues({"primary_angle": 20.0})
    assert room.told == [] and not node.GetDisplayNode().GetEditorVisibility()
    before = node.HasObserver(event)
    room.handles.show(room.device)
    room.handles.hide()
    assert node.HasObserver(event) == before


def test_showing_twice_observes_once_and_another_device_is_taken_over(room):
    room.handles.show(room.device)
    room.carm.setValues({"primary_angle": 5.0})
    assert room.told == ["primary_angle"]
    other = dataclasses.replace(load_device("angiography_stand"))
    moveRoom(RoomParameters(device="angiography_stand", sid=1050.0))
    room.told.clear()
    room.handles.show(other)
    CArm(other).setValues({"secondary_angle": 5.0})
    assert room.told == ["secondary_angle"]


def test_the_angle_past_half_a_turn_is_read_beside_the_one_before(room):
    room.carm.setValues({"primary_angle": -177.0})
    assert room.carm.jointValue("primary_angle", near=178.0) == pytest.approx(183.0)
    assert room.carm.jointValue("primary_angle", near=-170.0) == pytest.approx(-177.0)


def test_handles_survive_saving_and_opening(room, tmp_path):
    saveScene(tmp_path / "scene.mrb")
    room.handles.hide()
    slicer.mrmlScene.Clear(0)
    loadScene(tmp_path / "scene.mrb")
    moveRoom(RoomParameters())
    room.told.clear()
    room.handles.show(room.device)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTransformDisplayNode") == len(room.device.joints)
    room.carm.setValues({"primary_angle": 20.0})
    assert room.told == ["primary_angle"]
