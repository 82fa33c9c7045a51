"""The layouts with an X-ray view, told to the scene when the application has started: so this file loads little.

A second layout has another such view beside it, for a real X-ray image.
"""

import slicer

from DeepDRRSlicerLib.scene.image_nodes import VIEW_NAMES

VIEW_NAME, REAL_VIEW_NAME = VIEW_NAMES
LAYOUT_ID = 20260
BESIDE_LAYOUT_ID = 20261
VIEW_GROUP = 20260  # linked slice views share a group; the X-ray view must not follow them
_VIEW_COLOR, _REAL_COLOR = "#E8B020", "#8FA9C4"

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
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    for number, beside in ((LAYOUT_ID, False), (BESIDE_LAYOUT_ID, True)):
        if node is not None and not node.IsLayoutDescription(number):
            node.AddLayoutDescription(number, _layout(beside))
    return node


def _layout(beside):
    """XML of the layout; beside: with a view for a real X-ray image beside the X-ray view."""
    slice_ = _SLICE.format
    real = slice_(name=REAL_VIEW_NAME, orientation="Coronal", label="Real", color=_REAL_COLOR, group=VIEW_GROUP)
    return f"""<layout type="vertical" split="true">
 <item splitSize="620">
  <layout type="horizontal" split="true">
   {slice_(name=VIEW_NAME, orientation="Coronal", label="X", color=_VIEW_COLOR, group=VIEW_GROUP)}
   {real if beside else ""}
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


def installLayout(beside=False):
    """Show the layout; returns the layout node, or None when there is none. Works without a layout manager.

    beside: with a view for a real X-ray image beside the X-ray view.
    """
    node = registerLayout()
    if node is not None:
        node.SetViewArrangement(BESIDE_LAYOUT_ID if beside else LAYOUT_ID)
    return node
