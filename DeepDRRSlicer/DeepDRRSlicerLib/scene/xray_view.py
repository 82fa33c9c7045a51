"""The X-ray view: an own slice view, set up without touching the other views."""

import numpy as np
import slicer
import slicer.util
import vtk

from DeepDRRSlicerLib.scene.image_orientation import displayAxes
from DeepDRRSlicerLib.scene.xray_layout import VIEW_GROUP, VIEW_NAME

_MARK = "DeepDRRSlicer.Updating"
_FITTED = "DeepDRRSlicer.Fitted"


def sliceLogic(name=VIEW_NAME):
    """Logic of the X-ray view, or of the one beside it; None when no such view is shown."""
    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)


def showInXRayView(node, beam, turn=0.0, flip=False):
    """Show the image in the X-ray view, and on the detector in 3D. No other view changes.

    turn, flip: degrees clockwise, and whether then flipped sideways. Returns False when the layout holds no X-ray view;
    the image is then in the scene all the same.
    """
    logic = sliceLogic()
    if logic is None:
        return False
    logic.GetSliceNode().SetViewGroup(VIEW_GROUP)
    showInView(logic, node, beam, turn, flip)
    return True


def showInView(logic, node, beam, turn=0.0, flip=False, inThreeD=True):
    """Show the image in a slice view: columns to the right, rows downwards, where it is neither turned nor flipped.

    The whole of it at first, and when its size or the window's changes; otherwise zoom and place stay as they are.
    inThreeD: whether the image is also drawn on the detector in 3D, unless the user has hidden it there.
    """
    composite = logic.GetSliceCompositeNode()
    # The application hands every volume that is loaded to all views; this one keeps the radiograph.
    composite.SetDoPropagateVolumeSelection(False)
    sliceNode = logic.GetSliceNode()
    if composite.GetBackgroundVolumeID() is None and inThreeD:
        sliceNode.SetSliceVisible(True)
    if composite.GetBackgroundVolumeID() != node.GetID():
        composite.SetBackgroundVolumeID(node.GetID())
    sliceToRas = np.eye(4)
    right, up = displayAxes(beam, turn, flip)
    sliceToRas[:3, :3] = np.column_stack([right, up, np.cross(right, up)])
    sliceToRas[:3, 3] = beam.detector_center
    with slicer.util.NodeModify(sliceNode):
        # The plane in the 3D view is then the detector's, not the window's.
        sliceNode.SetSliceResolutionMode(slicer.vtkMRMLSliceNode.SliceResolutionMatchVolumes)
        slicer.util.updateVTKMatrixFromArray(sliceNode.GetSliceToRAS(), sliceToRas)
        sliceNode.UpdateMatrices()
        _fit(sliceNode, beam, turn)


def setMark(text):
    """Write a few words over the X-ray view, such as "updating"; None takes them away."""
    logic = sliceLogic()
    group = logic.GetDisplayableManagerGroup() if logic else None
    if group is None:
        return
    renderer = group.GetRenderer()
    mark = _findMark(renderer)
    if text is None and mark is None:
        return
    if mark is None:
        mark = _newMark()
        renderer.AddViewProp(mark)
    mark.SetInput(text or "")
    mark.SetVisibility(text is not None)
    group.RequestRender()


def _fit(sliceNode, beam, turn):
    """Field of view that holds the whole detector in the view's window, if that has not been done before."""
    width, height, _ = sliceNode.GetDimensions()
    columns, rows = beam.size[1] * beam.pitch[0], beam.size[0] * beam.pitch[1]
    sine, cosine = abs(np.sin(np.deg2rad(turn))), abs(np.cos(np.deg2rad(turn)))
    across, down = columns * cosine + rows * sine, columns * sine + rows * cosine
    fitted = f"{across:.1f} {down:.1f} {width} {height}"
    if sliceNode.GetAttribute(_FITTED) == fitted:
        return
    sliceNode.SetAttribute(_FITTED, fitted)
    scale = max(across / max(width, 1), down / max(height, 1))
    # Slicer samples at the lower left corner of a screen pixel; half a pixel further is its centre.
    sliceNode.SetXYZOrigin(scale / 2, scale / 2, 0)
    sliceNode.SetFieldOfView(width * scale, height * scale, sliceNode.GetFieldOfView()[2])


def _findMark(renderer):
    props = renderer.GetViewProps()
    for i in range(props.GetNumberOfItems()):
        if props.GetItemAsObject(i).GetObjectName() == _MARK:
            return props.GetItemAsObject(i)
    return None


def _newMark():
    """An actor of its own: the corner annotation belongs to Slicer's DataProbe, which overwrites it."""
    mark = vtk.vtkTextActor()
    mark.SetObjectName(_MARK)
    mark.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    mark.SetPosition(0.5, 0.995)
    style = mark.GetTextProperty()
    style.SetFontSize(18)
    style.SetBold(True)
    style.SetJustificationToCentered()
    style.SetVerticalJustificationToTop()
    style.SetColor(0.1, 0.1, 0.1)
    style.SetBackgroundColor(1.0, 0.78, 0.25)
    style.SetBackgroundOpacity(0.9)
    return mark
