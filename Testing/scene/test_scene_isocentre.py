"""The isocentre on CT, point and segment, and where one clicks in a slice view."""

import numpy as np
import pytest
import slicer
import slicer.util
from room_parameters import RoomParameters, waterPatient

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.isocentre import CT, POINT, SEGMENT, IsocentrePicker, centerOn, targets
from host.views import OffscreenSliceView


def isocentre(parameters):
    return parameters.isocenterR, parameters.isocenterA, parameters.isocenterS


@pytest.fixture
def parameters(scene):
    ct = waterPatient((60, 60, 60), voxel=4.0)
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.AddControlPoint(10, -20, 30, "entry")
    points.AddControlPoint(1.25, 2, 3, "target")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segments")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    mask = np.zeros(slicer.util.arrayFromVolume(ct).shape, np.uint8)
    for name, place in (("bead", (5, 8, 20)), ("wire", (30, 31, 2)), ("nothing", None)):
        mask[:] = 0
        if place is not None:
            mask[place] = 1
        key = segmentation.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, key, ct)
    return RoomParameters(ct=ct, landmarks=points, segmentation=segmentation)


def place(parameters, kji):
    """RAS mm of a voxel of the CT."""
    origin = np.array(parameters.ct.GetOrigin())
    return origin + 4.0 * np.array(kji[::-1])


def test_everything_that_can_be_centred_on_is_offered(parameters):
    names = [(kind, name) for kind, _, name in targets(parameters)]
    assert names == [
        (CT, "CT"), (POINT, "entry"), (POINT, "target"), (SEGMENT, "bead"), (SEGMENT, "wire"), (SEGMENT, "nothing"),
    ]  # fmt: skip
    assert targets(RoomParameters()) == []


def test_the_isocentre_goes_to_the_middle_of_what_is_chosen(parameters):
    centerOn(parameters, CT, "")
    np.testing.assert_allclose(isocentre(parameters), (0, 0, 0), atol=0.05)
    point = parameters.landmarks.GetNthControlPointID(1)
    centerOn(parameters, POINT, point)
    np.testing.assert_allclose(isocentre(parameters), (1.2, 2, 3), atol=0.06)  # to a tenth of a millimetre
    for name, kji in (("bead", (5, 8, 20)), ("wire", (30, 31, 2))):
        centerOn(parameters, SEGMENT, name)
        np.testing.assert_allclose(isocentre(parameters), place(parameters, kji), atol=0.051)


def test_parent_transforms_are_applied_and_non_linear_ones_refused(scene, parameters):
    shift = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    matrix = np.eye(4)
    matrix[:3, 3] = 100, 0, 0
    slicer.util.updateTransformMatrixFromArray(shift, matrix)
    warp = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Warp")
    for node, kind, key in (
        (parameters.landmarks, POINT, parameters.landmarks.GetNthControlPointID(0)),
        (parameters.segmentation, SEGMENT, "bead"),
        (parameters.ct, CT, ""),
    ):
        node.SetAndObserveTransformNodeID(None)
        centerOn(parameters, kind, key)
        before = np.array(isocentre(parameters))
        node.SetAndObserveTransformNodeID(shift.GetID())
        centerOn(parameters, kind, key)
        np.testing.assert_allclose(isocentre(parameters), before + [100, 0, 0], atol=0.11)
        node.SetAndObserveTransformNodeID(warp.GetID())
        with pytest.raises(InputError, match="non-linear transform Warp"):
            centerOn(parameters, kind, key)
        node.SetAndObserveTransformNodeID(None)


def test_what_is_empty_or_gone_is_said_in_a_sentence(parameters):
    with pytest.raises(InputError, match="segment nothing is empty"):
        centerOn(parameters, SEGMENT, "nothing")
    with pytest.raises(InputError, match="segment is not there any more"):
        centerOn(parameters, SEGMENT, "gone")
    key = parameters.landmarks.GetNthControlPointID(0)
    parameters.landmarks.RemoveNthControlPoint(0)
    with pytest.raises(InputError, match="point is not there any more"):
        centerOn(parameters, POINT, key)


@pytest.fixture
def picking(scene):
    """A red slice view of 400 x 400 mm through S = 12, a picker, and what it picked."""
    view = OffscreenSliceView("Red", (400, 400))
    view.view_node.SetOrientationToAxial()
    view.view_node.SetSliceOffset(12.0)
    view.view_node.SetFieldOfView(400, 400, 1)
    view.render()
    picked = []
    picker = IsocentrePicker(picked.append)
    yield view, picker, picked
    picker.stop()
    view.close()


def click(view, x, y):
    view.interactor.SetEventInformation(x, y, 0, 0, chr(0), 0, None)
    for event in ("MouseMove", "LeftButtonPress", "LeftButtonRelease"):
        getattr(view.interactor, event + "Event")()


def fiducials():
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode")


def test_a_click_in_a_slice_view_tells_the_place_and_leaves_nothing(picking):
    view, picker, picked = picking
    picker.start()
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    click(view, 150, 260)
    matrix = slicer.util.arrayFromVTKMatrix(view.view_node.GetXYToRAS())
    np.testing.assert_allclose(picked[0], (matrix @ [150, 260, 0, 1])[:3], atol=0.01)
    assert picked[0][2] == pytest.approx(12) and len(picked) == 1
    picker.stop()
    assert fiducials() == 0 and not picker.active
    assert interaction.GetCurrentInteractionMode() != interaction.Place
    click(view, 100, 100)
    assert len(picked) == 1


def test_leaving_the_place_mode_ends_the_pick(picking):
    view, picker, picked = picking
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    picker.start()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    assert picked == [None]
    picker.stop()
    assert fiducials() == 0


def test_starting_again_and_closing_the_scene_leave_one_pick_or_none(picking, scene):
    view, picker, picked = picking
    picker.start()
    picker.start()
    assert fiducials() == 1
    scene.Clear(0)
    picker.stop()
    assert not picker.active and fiducials() == 0
