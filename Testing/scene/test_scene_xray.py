"""The radiograph in the scene and in its view: upright on the screen, in place in space, and nothing else touched."""

import json

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.presets import PRESETS
from DeepDRRSlicerLib.scene import xray_image, xray_layout
from DeepDRRSlicerLib.scene.xray_image import updateXRayNode, xrayNode
from DeepDRRSlicerLib.scene.xray_layout import installLayout, registerLayout
from DeepDRRSlicerLib.scene.xray_view import setMark, showInXRayView
from host.core import loadScene, saveScene
from host.views import OffscreenSliceView

SIZE, PITCH = (240, 300), (1.0, 0.8)
ISOCENTER = np.array([12.0, -35.0, 140.0])
LEFT, HEAD, ANTERIOR = np.array([-30.0, 0, 0]), np.array([0, 0, 30.0]), np.array([0, 50.0, 0])
WINDOW = (480, 400)


def makeBeam(primary, secondary=0.0):
    return CArmPose(primary, secondary, tuple(ISOCENTER), 1000.0, 600.0, SIZE, PITCH).beam()


def beadImage(beam, bead):
    """An image that is dark but for a spot at the closed-form projection of the bead."""
    column, row = beam.project(ISOCENTER + bead)[0]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return 4 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 4.0**2))


def showBead(beam, bead):
    node = xrayNode()
    updateXRayNode(node, beadImage(beam, bead), beam, 0.0, 4.0, {xray_image.SETTINGS_HASH: "abc"})
    assert showInXRayView(node, beam)
    return node


def spot(view):
    """(x to the right, y down) in screen pixels from the centre of the view, of the rendered spot."""
    grey = view.render().astype(float).mean(axis=2)
    grey[grey < 60] = 0
    assert grey.max() > 200, "no spot in the picture"
    height, width = grey.shape
    rows, columns = np.mgrid[:height, :width]
    return (
        (grey * columns).sum() / grey.sum() - (width - 1) / 2,
        (grey * rows).sum() / grey.sum() - (height - 1) / 2,
    )


def expectedSpot(beam, bead):
    column, row = beam.project(ISOCENTER + bead)[0]
    scale = max(SIZE[1] * PITCH[0] / WINDOW[0], SIZE[0] * PITCH[1] / WINDOW[1])  # mm per screen pixel, whole image
    return (column - (SIZE[1] - 1) / 2) * PITCH[0] / scale, (row - (SIZE[0] - 1) / 2) * PITCH[1] / scale


@pytest.fixture
def views(scene):
    installLayout()
    opened = {name: OffscreenSliceView(name, WINDOW) for name in ("XRay", "Red", "Green", "Yellow")}
    yield opened
    for view in opened.values():
        view.close()


@pytest.fixture
def xray(views):
    return views["XRay"]


def test_image_lies_on_the_detector(scene):
    beam = makeBeam(33.0, -14.0)
    node = xrayNode()
    image = np.arange(SIZE[0] * SIZE[1], dtype=float).reshape(SIZE)
    updateXRayNode(node, image, beam, 0.0, 1.0)
    stored = slicer.util.arrayFromVolume(node)
    assert stored.shape == (1, *SIZE) and stored.dtype == np.float32
    np.testing.assert_array_equal(stored[0], image)
    toRas = _ijkToRas(node)
    for column, row in [(0, 0), (SIZE[1] - 1, 0), (17, 101)]:
        ras = toRas @ [column, row, 0, 1]
        expected = beam.pixel00 + column * PITCH[0] * beam.e_c + row * PITCH[1] * beam.e_r
        np.testing.assert_allclose(ras[:3], expected, atol=1e-6)
    np.testing.assert_allclose(node.GetSpacing()[:2], PITCH)
    assert np.linalg.det(toRas[:3, :3]) > 0


def _ijkToRas(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_updating_the_image_fires_both_events_and_keeps_the_window(scene):
    beam, node, events = makeBeam(0), xrayNode(), []
    updateXRayNode(node, np.zeros(SIZE), beam, 0.5, 6.0)
    tags = [
        node.AddObserver("ModifiedEvent", lambda *_: events.append("modified")),
        node.AddObserver(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, lambda *_: events.append("image")),
    ]
    updateXRayNode(node, np.full(SIZE, 1000.0), beam, 0.5, 6.0, {xray_image.SETTINGS_HASH: "1", "Other": "x"})
    for tag in tags:
        node.RemoveObserver(tag)
    assert {"modified", "image"} <= set(events)
    display = node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.5, 6.0)
    assert not display.GetAutoWindowLevel() and display.GetInterpolate()
    assert node.GetAttribute(xray_image.SETTINGS_HASH) == "1" and node.GetAttribute("Other") == "x"
    assert json.loads(node.GetAttribute(xray_image.VIEW))["source"] == beam.source.tolist()


def test_an_image_of_another_size_is_refused(scene):
    with pytest.raises(ValueError, match="shape"):
        updateXRayNode(xrayNode(), np.zeros((3, 3)), makeBeam(0), 0, 1)


def test_upright_on_the_screen(xray):
    x, y = _rendered(xray, makeBeam(0), LEFT)
    assert x > 5 and abs(y) < 1  # the patient's left is on the right of the picture
    x, y = _rendered(xray, makeBeam(0), HEAD)
    assert y < -5 and abs(x) < 1  # head up
    for primary in (30, 90):
        assert _rendered(xray, makeBeam(primary), ANTERIOR)[0] < -5  # LAO turns what is in front to the left
    assert _rendered(xray, makeBeam(0, 25), ANTERIOR)[1] > 5  # cranial: downwards


def _rendered(view, beam, bead):
    showBead(beam, bead)
    return spot(view)


def test_upright_at_every_preset_in_any_order(xray):
    names = [*PRESETS, *np.random.default_rng(3).permutation([*PRESETS])]
    for name in names:
        beam = makeBeam(*PRESETS[name])
        for bead in (LEFT + HEAD, ANTERIOR):
            np.testing.assert_allclose(
                _rendered(xray, beam, bead), expectedSpot(beam, bead), atol=0.3, err_msg=f"{name} {bead}"
            )


def test_upright_after_the_scene_is_reopened(scene, xray, tmp_path):
    beam, bead = makeBeam(-35, 20), LEFT + HEAD + ANTERIOR
    showBead(beam, bead)
    saveScene(tmp_path / "scene.mrb")
    showBead(makeBeam(0), HEAD)
    loadScene(tmp_path / "scene.mrb")
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    node = xrayNode()
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1  # found, not made again
    np.testing.assert_allclose(_ijkToRas(node), beam.image_to_ras(), atol=1e-5)
    assert node.GetAttribute(xray_image.SETTINGS_HASH) == "abc"
    assert node.GetDisplayNode().GetWindowLevelMax() == 4.0
    np.testing.assert_allclose(spot(xray), expectedSpot(beam, bead), atol=0.3)  # as saved, before any new call
    showInXRayView(node, beam)
    np.testing.assert_allclose(spot(xray), expectedSpot(beam, bead), atol=0.3)


def test_other_views_stay_as_they_are(scene, views):
    ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(ct, np.random.default_rng(0).normal(size=(20, 30, 40)).astype(np.float32))
    ct.SetSpacing(2, 3, 4)
    ct.CreateDefaultDisplayNodes()
    others = [views[name] for name in ("Red", "Green", "Yellow")]
    for view in others:
        view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(ct.GetID())
        view.logic.GetSliceCompositeNode().SetLinkedControl(True)
        view.logic.FitSliceToBackground()
    before = [(state(view), view.render()) for view in others]
    for primary in (0, 40, 180):
        showBead(makeBeam(primary), LEFT)
        setMark("updating")
        views["XRay"].render()
        setMark(None)
    for view, (old, picture) in zip(others, before, strict=True):
        assert state(view) == old
        np.testing.assert_array_equal(view.render(), picture)


def state(view):
    node, composite = view.view_node, view.logic.GetSliceCompositeNode()
    toRas = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    return (
        composite.GetBackgroundVolumeID(),
        toRas.tolist(),
        node.GetFieldOfView(),
        node.GetXYZOrigin(),
        node.GetDimensions(),
        composite.GetDoPropagateVolumeSelection(),
    )


def test_a_volume_loaded_later_does_not_take_the_xray_view(scene, views, core):
    node = showBead(makeBeam(0), LEFT)
    ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(ct, np.zeros((4, 4, 4), np.int16))
    core.applicationLogic.GetSelectionNode().SetActiveVolumeID(ct.GetID())
    core.applicationLogic.PropagateVolumeSelection()
    assert views["Red"].logic.GetSliceCompositeNode().GetBackgroundVolumeID() == ct.GetID()
    assert views["XRay"].logic.GetSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()


def test_updating_mark_appears_once_and_goes_away(xray):
    showBead(makeBeam(0), LEFT)
    plain = xray.render()
    setMark("updating")
    setMark("updating")
    marked = xray.render()
    changed = np.argwhere((marked != plain).any(axis=2))
    assert len(changed) > 200
    assert changed[:, 0].max() < 0.2 * WINDOW[1]  # a small mark at the top, the picture stays readable
    assert sum(bool(a.GetObjectName()) for a in xray.renderer.GetViewProps()) == 1
    setMark(None)
    np.testing.assert_array_equal(xray.render(), plain)


def test_without_a_view_nothing_fails(scene):
    node = xrayNode()
    updateXRayNode(node, np.zeros(SIZE), makeBeam(0), 0, 1)
    assert showInXRayView(node, makeBeam(0)) is False
    setMark("updating")
    setMark(None)


def test_layout_is_valid_and_makes_the_views(scene):
    scene.GetFirstNodeByClass("vtkMRMLLayoutNode").SetViewArrangement(3)
    node = registerLayout()
    assert node.GetViewArrangement() == 3  # registered, but nobody's layout is changed
    assert node.GetLayoutDescription(xray_layout.LAYOUT_ID).count("singletontag") == 5
    assert installLayout() is node
    assert node.GetViewArrangement() == xray_layout.LAYOUT_ID >= 100
    sliceNode = scene.GetSingletonNode("XRay", "vtkMRMLSliceNode")
    assert sliceNode.GetViewGroup() != scene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetViewGroup()
    assert installLayout() is node and node.GetViewArrangement() == xray_layout.LAYOUT_ID
