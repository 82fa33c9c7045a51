"""Shutters, iris and magnification: what the engine is told, what is drawn, and what dragging does."""

import numpy as np
import pytest
import slicer
from image_scene import Choices, beamOf, onScreen, radiograph

from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.collimation import Collimation, check_collimation
from DeepDRRSlicerLib.scene.image_nodes import planeNode
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.picture import showRadiograph
from DeepDRRSlicerLib.scene.shutter_handles import ShutterHandles
from DeepDRRSlicerLib.scene.shutters import (
    LEAST_FIELD,
    collimationOf,
    fieldOf,
    gridOf,
    irisRadius,
    moveShutter,
    resetShutters,
    shutterEdges,
)
from DeepDRRSlicerLib.scene.xray_layout import installLayout
from host.views import OffscreenSliceView

HANDLES, LINES = "image.shutterHandles", "image.shutterLines"
HALF = 512 * 0.582 / 2


@pytest.fixture
def xray(scene):
    installLayout()
    opened = {name: OffscreenSliceView(name, (400, 360)) for name in ("XRay", "Red")}
    yield opened["XRay"]
    for view in opened.values():
        view.close()


@pytest.fixture
def handles(xray):
    made = ShutterHandles()
    yield made
    made.setParameters(None)


def handleNode():
    return findNode(HANDLES, "vtkMRMLMarkupsFiducialNode")


def test_open_shutters_are_no_collimation():
    assert collimationOf(Choices()) is None
    assert collimationOf(Choices(shutterLeft=HALF, iris=300.0)) is None


def test_edges_are_limited_by_the_field_and_forget_nothing():
    parameters = Choices(shutterLeft=90.0, shutterTop=-20.0)
    assert collimationOf(parameters) == Collimation(90.0, HALF, -20.0, HALF)
    parameters.magnificationField = "15 cm"
    half = 768 * 0.194 / 2
    assert collimationOf(parameters) == Collimation(half, half, -20.0, half)
    parameters.magnificationField = "full"
    assert collimationOf(parameters).left == 90.0


@pytest.mark.parametrize("left, right", [(-100.0, 90.0), (-500.0, 1000.0), (-1000.0, -1000.0), (20.0, -50.0)])
def test_shutters_never_meet(left, right):
    parameters = Choices(shutterLeft=left, shutterRight=right, iris=1.0)
    for field in ("full", "15 cm"):
        parameters.magnificationField = field
        found = collimationOf(parameters)
        assert found.width >= LEAST_FIELD - 1e-9 and found.iris >= LEAST_FIELD / 2
        check_collimation(beamOf(parameters, 1), found)


def test_moving_a_shutter_stops_at_the_other_one_and_opens_at_the_border():
    parameters = Choices()
    moveShutter(parameters, "left", 40.0)
    moveShutter(parameters, "right", -1000.0)
    assert shutterEdges(parameters) == pytest.approx(
        {"left": 40.0, "right": LEAST_FIELD - 40.0, "top": HALF, "bottom": HALF}
    )
    moveShutter(parameters, "right", HALF + 1)
    moveShutter(parameters, "iris", 60.0)
    assert parameters.shutterRight == 1000.0 and irisRadius(parameters) == 60.0
    moveShutter(parameters, "iris", np.inf)
    assert irisRadius(parameters) is None
    resetShutters(parameters)
    assert collimationOf(parameters) is None


def test_a_smaller_field_has_fewer_and_finer_pixels():
    device = load_device("mobile_carm")
    sizes = {}
    for field in ("full", "20 cm", "15 cm", "none such"):
        sizes[field] = fieldOf(Choices(magnificationField=field), device)
    assert sizes["full"] == sizes["none such"] == ((512, 512), 0.582)
    assert sizes["20 cm"] == ((512, 512), 0.388) and sizes["15 cm"] == ((768, 768), 0.194)
    assert fieldOf(Choices(magnificationField="15 cm", binning=4), device) == ((192, 192), 0.776)


def test_the_grid_is_the_devices_own_unless_chosen():
    assert gridOf(Choices()) is None
    assert gridOf(Choices(gridName="mobile_8_1")).ratio == 8


@pytest.mark.parametrize("inverted", [False, True])
def test_outside_the_shutters_it_is_black(xray, inverted):
    parameters = Choices(shutterLeft=60.0, shutterTop=30.0, iris=100.0, imageInvert=inverted, imageMarkers=False)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 4.0), collimationOf(parameters)))
    picture = xray.render().max(axis=2)
    places = {"inside": (0, 0), "left": (-70, 0), "top": (0, -40), "iris": (80, 80), "right": (90, 0)}
    points = [beam.detector_center + x * beam.e_c + y * beam.e_r for x, y in places.values()]
    for name, (x, y) in zip(places, np.rint(onScreen(xray, points)).astype(int), strict=True):
        bright = picture[y, x] > 60
        assert bright == (name in ("inside", "right")), name


def test_handles_are_there_only_when_they_are_asked_for(handles, xray):
    parameters = Choices()
    beam = beamOf(parameters)
    handles.setParameters(parameters)
    assert handleNode() is None  # no picture yet
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    handles.update()
    plain = xray.render()
    assert handleNode() is None
    parameters.shutterHandles = True
    handles.update()
    node = handleNode()
    assert node.GetNumberOfControlPoints() == 5 and (xray.render() != plain).any()
    assert not node.GetSaveWithScene() and node.GetHideFromEditors()
    parameters.shutterHandles = False
    handles.update()
    assert handleNode() is None
    np.testing.assert_array_equal(xray.render(), plain)


def test_handles_show_in_the_xray_view_alone(handles, xray):
    parameters = Choices(shutterHandles=True)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    handles.setParameters(parameters)
    ids = [node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.GetName() == "XRay"]
    for role, kind in ((HANDLES, "vtkMRMLMarkupsFiducialNode"), (LINES, "vtkMRMLModelNode")):
        assert list(findNode(role, kind).GetDisplayNode().GetViewNodeIDs()) == ids


def dragTo(node, index, x, y):
    """As a hand would: the point anywhere on the image plane."""
    matrix = slicer.util.arrayFromTransformMatrix(planeNode(), toWorld=True)
    node.SetNthControlPointPositionWorld(index, *(matrix @ [x, y, 0, 1])[:3])


def test_a_dragged_handle_moves_its_shutter_along_its_own_line(handles, xray):
    parameters = Choices(shutterHandles=True, primaryAngle=30.0, secondaryAngle=10.0)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    handles.setParameters(parameters)
    node = handleNode()
    dragTo(node, 0, -55.0, 33.0)
    dragTo(node, 1, 70.0, -20.0)
    dragTo(node, 2, 5.0, -40.0)
    dragTo(node, 3, 9.0, 66.0)
    assert shutterEdges(parameters) == pytest.approx({"left": 55.0, "right": 70.0, "top": 40.0, "bottom": 66.0})
    assert irisRadius(parameters) is None
    places = [node.GetNthControlPointPosition(i)[:2] for i in range(4)]
    np.testing.assert_allclose(places, [(-55, 13), (70, 13), (7.5, -40), (7.5, 66)], atol=1e-6)
    dragTo(node, 4, 30.0, 40.0)
    assert irisRadius(parameters) == pytest.approx(50.0)
    dragTo(node, 0, 90.0, 0.0)  # beyond the opposite one
    assert shutterEdges(parameters)["left"] == pytest.approx(LEAST_FIELD - 70.0)
    dragTo(node, 0, -HALF, 0.0)
    assert parameters.shutterLeft == 1000.0


def test_the_mouse_drags_a_shutter(handles, xray):
    parameters = Choices(shutterHandles=True, shutterLeft=60.0, imageMarkers=False)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    handles.setParameters(parameters)
    xray.render()
    start, end = onScreen(
        xray, [beam.detector_center - 60.0 * beam.e_c, beam.detector_center - 30.0 * beam.e_c + 10 * beam.e_r]
    )
    interactor = xray.interactor

    def event(place, name):
        interactor.SetEventInformation(int(round(place[0])), int(round(xray.size[1] - 1 - place[1])))
        interactor.InvokeEvent(name)

    event(start, "MouseMoveEvent")
    event(start, "LeftButtonPressEvent")
    for share in np.linspace(0.2, 1, 5):
        event(start + share * (end - start), "MouseMoveEvent")
    event(end, "LeftButtonReleaseEvent")
    assert shutterEdges(parameters)["left"] == pytest.approx(30.0, abs=1.5)
    assert shutterEdges(parameters)["top"] == pytest.approx(HALF)


def test_lines_show_the_next_field_until_a_picture_is_taken_with_it(handles, xray):
    parameters = Choices()
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    handles.setParameters(parameters)
    lines = lambda: findNode(LINES, "vtkMRMLModelNode")  # noqa: E731
    assert lines() is None
    parameters.shutterRight = 40.0
    handles.update()
    bounds = lines().GetPolyData().GetBounds()
    np.testing.assert_allclose(bounds[:4], [-HALF, 40.0, -HALF, HALF], atol=1e-4)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0), collimationOf(parameters)))
    handles.update()
    assert lines() is None


def test_nothing_is_left_behind(handles, scene, xray):
    parameters = Choices(shutterHandles=True, iris=50.0)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    handles.setParameters(parameters)
    node = handleNode()
    handles.update()
    handles.setParameters(None)
    assert handleNode() is None and findNode(LINES, "vtkMRMLModelNode") is None
    assert node.GetScene() is None
    node.SetNthControlPointPosition(0, -20.0, 0.0, 0.0)
    assert parameters.shutterLeft == 1000.0  # nobody listens
    handles.setParameters(parameters)
    scene.Clear(0)
    handles.setParameters(None)
