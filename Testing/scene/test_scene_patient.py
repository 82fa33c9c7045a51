"""The patient in the views: drawn in 3D, offered to empty slice views, and nobody's choice overwritten."""

import numpy as np
import pytest
import slicer
import slicer.util

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.scene.carm import CArm
from DeepDRRSlicerLib.scene.patient import showPatient
from DeepDRRSlicerLib.scene.threed_view import frameCArm
from host.views import OffscreenSliceView, OffscreenThreeDView


@pytest.fixture
def ct(scene):
    """A bony cube of 300 mm in air around the origin."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    array = np.full((40, 40, 40), -1000, np.int16)
    array[5:35, 5:35, 5:35] = 1200
    slicer.util.updateVolumeFromArray(node, array)
    node.SetSpacing(10, 10, 10)
    node.SetOrigin(-195, -195, -195)
    node.CreateDefaultDisplayNodes()
    return node


def test_bone_is_drawn_in_the_3d_view(scene, ct):
    view = OffscreenThreeDView("1", (320, 240))
    frameCArm((0, 0, 0))
    camera = slicer.modules.cameras.logic().GetViewActiveCameraNode(view.view_node)
    camera.SetFocalPoint(0, 0, 0)
    empty = view.render()
    showPatient(ct)
    changed = np.abs(view.render().astype(int) - empty).max(axis=2) > 20
    rows, columns = np.nonzero(changed)
    view.close()
    assert changed.sum() > 200
    assert abs(rows.mean() - 119.5) < 8 and abs(columns.mean() - 159.5) < 8
    assert changed[110:130, 150:170].all()


def test_shown_twice_is_one_rendering_and_own_settings_stay(scene, ct):
    showPatient(ct)
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(ct)
    opacity = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity()
    opacity.RemoveAllPoints()
    opacity.AddPoint(0, 0.5)
    showPatient(ct)
    assert scene.GetNumberOfNodesByClass("vtkMRMLGPURayCastVolumeRenderingDisplayNode") == 1
    assert display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity().GetSize() == 1


def test_only_empty_slice_views_get_the_ct(scene, ct):
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MR")
    slicer.util.updateVolumeFromArray(other, np.zeros((4, 4, 4), np.int16))
    views = {name: OffscreenSliceView(name, (100, 100)) for name in ("Red", "Green", "XRay")}
    composites = {name: view.logic.GetSliceCompositeNode() for name, view in views.items()}
    composites["Green"].SetBackgroundVolumeID(other.GetID())
    showPatient(ct)
    shown = {name: composite.GetBackgroundVolumeID() for name, composite in composites.items()}
    for view in views.values():
        view.close()
    assert shown == {"Red": ct.GetID(), "Green": other.GetID(), "XRay": None}


@pytest.mark.parametrize("primary, secondary", [(0, 0), (30, 0), (-30, 0), (90, 0), (0, 25), (0, -40)])
def test_the_camera_sees_the_whole_c_arm(scene, primary, secondary):
    isocenter = (20.0, -100.0, 300.0)
    carm = CArm(load_device("mobile_carm"))
    carm.build()
    carm.setPose(CArmPose(primary, secondary, isocenter, 1000.0, 600.0, (320, 320), (1.0, 1.0)))
    view = OffscreenThreeDView("1", (640, 480))
    frameCArm(isocenter, view.view_node)
    view.render()
    for part in carm.device.parts:
        node = carm.partNode(part.name)
        points = slicer.util.arrayFromModelPoints(node)[::20]
        matrix = slicer.util.arrayFromTransformMatrix(node.GetParentTransformNode(), toWorld=True)
        for point in points @ matrix[:3, :3].T + matrix[:3, 3]:
            view.renderer.SetWorldPoint(*point, 1)
            view.renderer.WorldToView()
            assert np.abs(view.renderer.GetViewPoint()[:2]).max() < 1, part.name
    view.close()
