"""Points and distances on the image, back in space: against the points that were projected there."""

import json

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from image_scene import ISOCENTER, Choices, beamOf, onScreen, radiograph

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.triangulation import nearest_to_rays
from DeepDRRSlicerLib.scene.back_projection import BackProjection, distanceAtIsocenter, meetings
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.overlays import planePoints
from DeepDRRSlicerLib.scene.picture import showRadiograph
from DeepDRRSlicerLib.scene.ray_lines import rays
from DeepDRRSlicerLib.scene.xray_layout import installLayout
from host.core import loadScene, saveScene
from host.views import OffscreenSliceView

FIDUCIAL, LINE, MODEL = "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsLineNode", "vtkMRMLModelNode"
TARGET = ISOCENTER + (20.0, -15.0, 30.0)


@pytest.fixture
def marks(scene):
    said = []
    made = BackProjection(lambda: said.append(True))
    made.said = said
    yield made
    made.setParameters(None)


def show(parameters, **angles):
    for name, value in angles.items():
        setattr(parameters, name, float(value))
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 3.0)))
    return beam


def onDetector(beam, point):
    return beam.pixel_to_ras(*beam.project(point)[0])


def mark(marks, place):
    """As a click in the X-ray view does, after the button."""
    marks.placePoint()
    node = findNode("rays.points", FIDUCIAL)
    node.AddControlPointWorld(vtk.vtkVector3d(*place))
    return node


def test_a_point_of_two_views_is_found_in_space(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    for primary in (0, 70):
        beam = show(parameters, primaryAngle=primary)
        mark(marks, onDetector(beam, TARGET))
    found = meetings(rays())
    assert list(found) == ["1"]
    np.testing.assert_allclose(found["1"][0], TARGET, atol=1e-6)
    assert found["1"][1] < 1e-6
    targets = findNode("rays.targets", FIDUCIAL)
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(targets), [TARGET], atol=1e-6)
    assert targets.GetNthControlPointLabel(0) == "1" and marks.said


def test_the_ray_of_one_view_leads_to_the_point_in_another(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    beam = show(parameters, primaryAngle=-10)
    mark(marks, onDetector(beam, TARGET))
    assert findNode("image.rays", MODEL) is None  # a point in the view it was marked in
    for angles in ((45, 0), (100, -20)):
        beam = show(parameters, primaryAngle=angles[0], secondaryAngle=angles[1])
        first, last = slicer.util.arrayFromModelPoints(findNode("image.rays", MODEL))[:2, :2].astype(float)
        place = planePoints(beam, [TARGET])[0]
        way = (last - first) / np.linalg.norm(last - first)
        assert np.linalg.norm(last - first) > 50
        assert abs((place - first) @ (-way[1], way[0])) < 1e-3 and 0 < (place - first) @ way
    marks.clear()
    assert findNode("image.rays", MODEL) is None


def test_rays_run_from_the_source_to_the_point_and_follow_it(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    beam = show(parameters, primaryAngle=25, secondaryAngle=10)
    place = onDetector(beam, TARGET)
    node = mark(marks, place)
    lines = slicer.util.arrayFromModelPoints(findNode("rays.lines", MODEL))
    np.testing.assert_allclose(lines, [beam.source, place], atol=1e-3)
    show(parameters, primaryAngle=-40)  # the C-arm moves on: the ray stays
    moved = place + 12.0 * beam.e_c
    node.SetNthControlPointPositionWorld(0, *moved)
    lines = slicer.util.arrayFromModelPoints(findNode("rays.lines", MODEL))
    np.testing.assert_allclose(lines, [beam.source, moved], atol=1e-3)
    node.RemoveNthControlPoint(0)
    assert rays() == [] and findNode("rays.lines", MODEL) is None


def test_points_are_numbered_in_each_view_and_matched_by_number(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    second = TARGET + (10.0, 25.0, -40.0)
    for primary in (-20, 60):
        beam = show(parameters, primaryAngle=primary)
        for point in (TARGET, second):
            mark(marks, onDetector(beam, point))
    assert [label for label, _source, _point in rays()] == ["1", "2", "1", "2"]
    found = meetings(rays())
    np.testing.assert_allclose([found["1"][0], found["2"][0]], [TARGET, second], atol=1e-6)


def test_a_wrong_click_is_seen_in_the_residual(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    for primary, slip in ((0, 0.0), (90, 3.0)):
        beam = show(parameters, primaryAngle=primary)
        mark(marks, onDetector(beam, TARGET) + slip * beam.e_r)
    _point, distance = meetings(rays())["1"]
    beam = beamOf(parameters)
    depth = (TARGET - beam.source) @ beam.normal
    assert distance == pytest.approx(3.0 * depth / beam.sid / 2, rel=0.05)  # half of the gap between the rays


def test_the_same_view_twice_gives_no_point(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    beam = show(parameters)
    mark(marks, onDetector(beam, TARGET))
    node = mark(marks, onDetector(beam, TARGET) + 5 * beam.e_c)
    node.SetNthControlPointLabel(1, "1")
    assert meetings([entry for entry in rays()][:1]) == {}
    source = beam.source
    with pytest.raises(InputError, match="parallel|second view"):
        nearest_to_rays([source], [TARGET])
    with pytest.raises(InputError, match="parallel"):
        nearest_to_rays([source, source + (5, 0, 0)], [TARGET, TARGET + (5, 0, 0)])


def test_a_point_beside_the_image_is_refused_in_a_sentence(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    show(parameters)
    node = mark(marks, TARGET)
    assert node.GetNumberOfControlPoints() == 0 and "X-ray view" in marks.refused and rays() == []


def test_the_distance_is_that_in_the_plane_of_the_isocentre(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    beam = show(parameters, primaryAngle=35, secondaryAngle=-15)
    ends = [ISOCENTER + a * beam.e_c + b * beam.e_r for a, b in ((-20, 5), (10, 45))]  # 50 mm apart
    marks.placeRuler()
    node = findNode("rays.ruler", LINE)
    for end in ends:
        node.AddControlPointWorld(vtk.vtkVector3d(*onDetector(beam, end)))
    at, on, magnification = distanceAtIsocenter()
    assert at == pytest.approx(50.0, abs=1e-6) and on == pytest.approx(50.0 * 1000 / 600)
    assert magnification == pytest.approx(1000 / 600)
    assert node.GetNthControlPointLabel(1) == "50.0 mm"
    show(parameters, primaryAngle=0, sid=1050)  # stays what was measured
    assert distanceAtIsocenter()[0] == pytest.approx(50.0, abs=1e-6)
    marks.placeRuler()
    assert findNode("rays.ruler", LINE).GetNumberOfControlPoints() == 0 and distanceAtIsocenter() is None


def test_a_click_in_the_xray_view_marks_a_point(marks, core):
    installLayout()
    view = OffscreenSliceView("XRay", (320, 320))
    try:
        parameters = Choices(imageMarkers=False)
        marks.setParameters(parameters)
        beam = show(parameters, primaryAngle=20)
        view.render()
        marks.placePoint()
        place = onDetector(beam, TARGET)
        x, y = onScreen(view, [place])[0]
        view.interactor.SetEventInformation(int(round(x)), int(round(view.size[1] - 1 - y)))
        for event in ("MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            view.interactor.InvokeEvent(event)
        found = [point for _label, _source, point in rays()]
        assert len(found) == 1 and np.linalg.norm(found[0] - place) < 1.5  # a screen pixel
    finally:
        view.close()


def test_marks_are_saved_and_go_on_following(marks, scene, tmp_path):
    parameters = Choices()
    marks.setParameters(parameters)
    for primary in (0, 50):
        beam = show(parameters, primaryAngle=primary)
        mark(marks, onDetector(beam, TARGET))
    saveScene(tmp_path / "scene.mrb")
    marks.setParameters(None)
    scene.Clear(0)
    loadScene(tmp_path / "scene.mrb")
    marks.setParameters(parameters)
    np.testing.assert_allclose(meetings(rays())["1"][0], TARGET, atol=1e-4)
    node = findNode("rays.points", FIDUCIAL)
    place = np.array(node.GetNthControlPointPositionWorld(1))
    node.SetNthControlPointPositionWorld(1, *(place + 30 * beam.e_c))
    assert np.linalg.norm(meetings(rays())["1"][0] - TARGET) > 5
    marks.clear()
    for role, kind in (("points", FIDUCIAL), ("lines", MODEL), ("targets", FIDUCIAL), ("ruler", LINE)):
        assert findNode(f"rays.{role}", kind) is None


def test_nobody_listens_any_more_when_it_is_closed(marks):
    parameters = Choices()
    marks.setParameters(parameters)
    beam = show(parameters)
    node = mark(marks, onDetector(beam, TARGET))
    kept = node.GetAttribute("DeepDRRSlicer.SeenFrom")
    marks.setParameters(None)
    del marks.said[:]
    node.AddControlPointWorld(vtk.vtkVector3d(*onDetector(beam, TARGET)))
    assert not marks.said and node.GetAttribute("DeepDRRSlicer.SeenFrom") == kept
    assert len(json.loads(kept)) == 1
