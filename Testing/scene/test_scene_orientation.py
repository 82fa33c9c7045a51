"""Which way up the picture is, and that the letters at its edges are always right."""

import itertools

import numpy as np
import pytest
import slicer
import slicer.util
from image_scene import ISOCENTER, Choices, beads, beamOf, onScreen, radiograph

from DeepDRRSlicerLib.geometry.positioning import POSITIONS
from DeepDRRSlicerLib.scene.image_orientation import deviceRoll, directionLetters, displayAxes, displayedSides
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.picture import refreshPicture, showRadiograph
from DeepDRRSlicerLib.scene.xray_layout import installLayout
from DeepDRRSlicerLib.scene.xray_view import sliceLogic
from host.views import OffscreenSliceView

WINDOW = (420, 420)
DIRECTIONS = {"L": (-1, 0, 0), "R": (1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
TURNS = list(itertools.product((0, 90, 180, 270), (False, True)))
VIEWS = [(0, 0), (180, 0), (90, 0), (30, 0), (-45, 20), (150, -30)]


@pytest.fixture
def xray(scene):
    installLayout()
    view = OffscreenSliceView("XRay", WINDOW)
    yield view
    view.close()


def show(parameters, places=()):
    beam = beamOf(parameters)
    image = beads(beam, places) if len(places) else np.full(beam.size, 2.0)
    showRadiograph(parameters, radiograph(beam, image))
    return beam


def letters(view):
    """[(letters, (2,) pixels from the middle of the view, to the right and down)] as the markers' points lie."""
    node = findNode("image.markers", "vtkMRMLMarkupsFiducialNode")
    points = slicer.util.arrayFromMarkupsControlPoints(node, world=True)
    places = onScreen(view, points) - np.array(WINDOW) / 2
    return [(node.GetNthControlPointLabel(i), places[i]) for i in range(len(points))]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("asOnDevice", [False, True])
def test_a_bead_lies_on_the_side_of_its_letter(xray, position, asOnDevice):
    """Whatever the patient's position, the view, and how the picture is turned and flipped."""
    seen = set()
    for view, (rotation, flip) in itertools.product(VIEWS, TURNS):
        parameters = Choices(
            primaryAngle=float(view[0]), secondaryAngle=float(view[1]), patientPosition=position,
            imageRotation=rotation, imageFlip=flip, imageAsOnDevice=asOnDevice,
        )  # fmt: skip
        beam = show(parameters)
        for text, place in letters(xray):
            assert text
            for letter in text:
                bead = ISOCENTER + 30.0 * np.array(DIRECTIONS[letter])
                column, row = beam.project(bead)[0]
                shadow = onScreen(xray, [beam.pixel_to_ras(column, row)])[0] - np.array(WINDOW) / 2
                assert shadow @ place > 0, (view, rotation, flip, text)
                seen.add(letter)
    assert seen == set("LRAPHF")


def blobs(view):
    """[(middle (2,) in pixels from the middle of the view, bool image)] of what the markers draw."""
    with_letters = view.render().astype(int)
    node = findNode("image.markers", "vtkMRMLMarkupsFiducialNode")
    node.GetDisplayNode().SetVisibility(False)
    drawn = np.abs(view.render().astype(int) - with_letters).max(axis=2) > 90
    node.GetDisplayNode().SetVisibility(True)
    rows, columns = np.nonzero(drawn)
    angle = np.arctan2(rows - WINDOW[1] / 2, columns - WINDOW[0] / 2)
    found = []
    for quarter in range(4):  # right, down, left, up
        here = np.abs(np.angle(np.exp(1j * (angle - quarter * np.pi / 2)))) < np.pi / 4
        assert here.sum() > 20, "a letter is missing"
        r, c = rows[here], columns[here]
        found.append(((c.mean() - WINDOW[0] / 2, r.mean() - WINDOW[1] / 2),
                      drawn[r.min() : r.max() + 1, c.min() : c.max() + 1]))  # fmt: skip
    return found


def is_l(glyph):
    """An upright L leaves its upper right corner empty; H, F, R, A and P do not."""
    height, width = glyph.shape
    return not glyph[: height // 2, int(0.6 * width) :].any() and glyph[-2:].mean() > 0.5


@pytest.mark.parametrize("rotation, flip", TURNS)
@pytest.mark.parametrize("primary", [0.0, 180.0])
def test_the_letter_l_is_drawn_where_the_left_bead_is_drawn(xray, rotation, flip, primary):
    parameters = Choices(primaryAngle=primary, imageRotation=rotation, imageFlip=flip)
    show(parameters, [ISOCENTER + (-40, 0, 0)])
    left = [place for place, glyph in blobs(xray) if is_l(glyph)]
    assert len(left) == 1
    parameters.imageMarkers = False
    refreshPicture(parameters)
    grey = xray.render().astype(float).mean(axis=2)
    rows, columns = np.nonzero(grey > 180)
    bead = columns.mean() - WINDOW[0] / 2, rows.mean() - WINDOW[1] / 2
    assert np.dot(bead, left[0]) > 0.8 * np.hypot(*bead) * np.hypot(*left[0])


def test_letters_of_oblique_directions():
    assert directionLetters((-1, 0, 0)) == "L" and directionLetters((0, 0, -2)) == "F"
    assert directionLetters((-np.cos(0.5), -np.sin(0.5), 0)) == "LP"
    assert directionLetters((0.2, 0, 1)) == "H"  # 11 degrees: too little to be said
    assert directionLetters((0, 0.5, -1)) == "FA"


def test_turning_is_clockwise_and_flipping_sideways():
    beam = beamOf(Choices())
    right, up = displayAxes(beam)
    np.testing.assert_allclose([right, up], [beam.e_c, -beam.e_r])
    right, up = displayAxes(beam, 90)  # what was up is now on the right
    np.testing.assert_allclose([right, up], [-beam.e_r, -beam.e_c], atol=1e-12)
    right, up = displayAxes(beam, 90, True)
    np.testing.assert_allclose([right, up], [beam.e_r, -beam.e_c], atol=1e-12)


@pytest.mark.parametrize("rotation, flip", TURNS)
def test_sides_of_the_picture_are_those_of_the_screen(xray, rotation, flip):
    parameters = Choices(imageRotation=rotation, imageFlip=flip)
    beam = show(parameters)
    ways = {"left": -beam.e_c, "right": beam.e_c, "top": -beam.e_r, "bottom": beam.e_r}
    for shown, side in displayedSides(rotation, flip).items():
        x, y = onScreen(xray, [beam.detector_center + 50 * ways[side]])[0] - np.array(WINDOW) / 2
        expected = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}[shown]
        assert np.dot((x, y), expected) > 0.95 * np.hypot(x, y)


def test_voxels_and_geometry_stay_as_they_are(xray):
    parameters = Choices(primaryAngle=20.0)
    show(parameters)
    node = parameters.xray
    before = slicer.util.arrayFromVolume(node).copy(), slicer.util.arrayFromVTKMatrix(_toRas(node)).copy()
    parameters.imageRotation, parameters.imageFlip = 270, True
    refreshPicture(parameters)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), before[0])
    np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(_toRas(node)), before[1])


def _toRas(node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_as_on_the_device_the_picture_of_a_patient_feet_first_is_upside_down():
    assert deviceRoll(Choices()) == pytest.approx(0)
    assert abs(deviceRoll(Choices(patientPosition="FFS"))) == pytest.approx(180)
    assert deviceRoll(Choices(device="no such device")) == 0.0


def test_zoom_and_place_stay_while_the_c_arm_moves(xray):
    parameters = Choices()
    show(parameters)
    node = sliceLogic().GetSliceNode()
    whole = node.GetFieldOfView()
    node.SetFieldOfView(*(x / 2 for x in whole[:2]), whole[2])
    node.SetXYZOrigin(12.0, 5.0, 0)
    parameters.primaryAngle = 15.0
    show(parameters)
    np.testing.assert_allclose(node.GetFieldOfView()[:2], np.array(whole[:2]) / 2)
    assert node.GetXYZOrigin()[:2] == (12.0, 5.0)
    parameters.magnificationField = "15 cm"
    show(parameters)
    assert node.GetFieldOfView()[0] == pytest.approx(768 * 0.194, rel=0.01)  # another field is shown whole


def test_letters_can_be_hidden(xray):
    parameters = Choices()
    show(parameters)
    assert findNode("image.markers", "vtkMRMLMarkupsFiducialNode") is not None
    parameters.imageMarkers = False
    refreshPicture(parameters)
    assert findNode("image.markers", "vtkMRMLMarkupsFiducialNode") is None
