"""The X-ray view: an own slice view and layout, set up without touching the other views."""

import numpy as np
import slicer
import slicer.util
import vtk

VIEW_NAME = "XRay"
LAYOUT_ID = 20260
_VIEW_GROUP = 20260  # linked slice views share a group; the X-ray view must not follow them
_VIEW_COLOR = "#E8B020"
_MARK = "DeepDRRSlicer.Updating"

_SLICE = """
   <item><view class="vtkMRMLSliceNode" singletontag="{name}">
    <property name="orientation" action="default">{orientation}</property>
    <property name="viewlabel" action="default">{label}</property>
    <property name="viewcolor" action="default">{color}</property>
    <property name="viewgroup" action="default">{group}</property>
   </view></item>"""


def registerLayout():
    """Describe the layout to the scene without showing it; returns the layout node, or None when there is none.

    A scene file names its layout by number only: one that was saved in this layout shows no view at all when it is
    opened before the layout has been registered. So the module does this when the application has started.
    """
    slice_ = _SLICE.format
    xml = f"""<layout type="vertical" split="true">
 <item splitSize="620">
  <layout type="horizontal" split="true">
   {slice_(name=VIEW_NAME, orientation="Coronal", label="X", color=_VIEW_COLOR, group=_VIEW_GROUP)}
   <item><view class="vtkMRMLViewNode" singletontag="1">
    <property name="viewlabel" action="default">1</property>
   </view></item>
  </layout>
 </item>
 <item splitSize="380">
  <layout type="horizontal">
   {slice_(name="Red", orientation="Axial", label="R", color="#F34A33", group=0)}
   {slice_(name="Green", orientation="Coronal", label="G", color="#6EB04B", group=0)}
   {slice_(name="Yellow", orientation="Sagittal", label="Y", color="#EDD54C", group=0)}
  </layout>
 </item>
</layout>"""
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if node is not None and not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, xml)
    return node


def installLayout():
    """Show the layout; returns the layout node, or None when there is none. Works without a layout manager."""
    node = registerLayout()
    if node is not None:
        node.SetViewArrangement(LAYOUT_ID)
    return node


def sliceLogic():
    """Logic of the X-ray view, or None when no such view is shown."""
    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(VIEW_NAME)


def showInXRayView(node, beam):
    """Show the image in the X-ray view, and on the detector in 3D. No other view changes.

    Returns False when the layout holds no X-ray view; the image is then in the scene all the same.
    """
    logic = sliceLogic()
    if logic is None:
        return False
    logic.GetSliceNode().SetViewGroup(_VIEW_GROUP)
    showInView(logic, node, beam)
    return True


def showInView(logic, node, beam):
    """Show the image upright in a slice view, whole: columns to the right, rows downwards."""
    composite = logic.GetSliceCompositeNode()
    # The application hands every volume that is loaded to all views; this one keeps the radiograph.
    composite.SetDoPropagateVolumeSelection(False)
    sliceNode = logic.GetSliceNode()
    if composite.GetBackgroundVolumeID() != node.GetID():  # for the first time: show it on the detector in 3D, too
        composite.SetBackgroundVolumeID(node.GetID())
        sliceNode.SetSliceVisible(True)
    sliceToRas = np.eye(4)
    sliceToRas[:3, :3] = np.column_stack([beam.e_c, -beam.e_r, np.cross(beam.e_c, -beam.e_r)])
    sliceToRas[:3, 3] = beam.detector_center
    with slicer.util.NodeModify(sliceNode):
        # The plane in the 3D view is then the detector's, not the window's.
        sliceNode.SetSliceResolutionMode(slicer.vtkMRMLSliceNode.SliceResolutionMatchVolumes)
        slicer.util.updateVTKMatrixFromArray(sliceNode.GetSliceToRAS(), sliceToRas)
        sliceNode.UpdateMatrices()
        _fit(sliceNode, beam)


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


def _fit(sliceNode, beam):
    """Field of view that holds the whole detector in the view's window."""
    width, height, _ = sliceNode.GetDimensions()
    rows, columns = beam.size
    scale = max(columns * beam.pitch[0] / max(width, 1), rows * beam.pitch[1] / max(height, 1))
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
    mark.SetPosition(0.5, 0.95)
    style = mark.GetTextProperty()
    style.SetFontSize(18)
    style.SetBold(True)
    style.SetJustificationToCentered()
    style.SetVerticalJustificationToTop()
    style.SetColor(0.1, 0.1, 0.1)
    style.SetBackgroundColor(1.0, 0.78, 0.25)
    style.SetBackgroundOpacity(0.9)
    return mark
