"""The CT as a person expects to see it: bones under translucent skin in 3D, and in the slice views."""

import slicer
import slicer.util
import vtk

from DeepDRRSlicerLib.scene.xray_layout import VIEW_NAME

# HU: opacity per mm, and colour. Skin shows as the border to air, soft tissue is nearly clear, bone is solid.
_OPACITY = [
    (-3024, 0.0),
    (-750, 0.0),
    (-550, 0.14),
    (-250, 0.14),
    (-120, 0.01),
    (140, 0.006),
    (220, 0.12),
    (400, 0.7),
    (1500, 0.95),
]
_COLOR = [
    (-3024, 0.98, 0.80, 0.70),
    (-250, 0.98, 0.80, 0.70),
    (60, 0.84, 0.50, 0.42),
    (200, 0.90, 0.72, 0.56),
    (400, 0.96, 0.91, 0.80),
    (1500, 1.0, 0.99, 0.95),
]
# HU per mm: skin and bone are steep borders, tissue inside is not, and noise even less.
_GRADIENT_OPACITY = [(0, 0.15), (40, 0.4), (150, 1.0)]


def showPatient(node, before=None):
    """Volume-render the CT in the 3D views and show it in the slice views that show no volume yet.

    before: the CT that was looked at until now, in whose place it is shown.
    """
    rendering = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(before) if before else None
    if rendering is not None:
        rendering.SetVisibility(False)
    showIn3D(node)
    showInSliceViews(node, before)


def showIn3D(node):
    """Volume rendering of the CT; returns its display node."""
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(node)
    if display is None:
        display = logic.CreateDefaultVolumeRenderingNodes(node)
        _setProperty(display.GetVolumePropertyNode().GetVolumeProperty())
    display.SetVisibility(True)
    return display


def showInSliceViews(node, before=None):
    """Make the CT the background of every slice view without one, or with the one before, the X-ray view excepted."""
    replaced = (None, before.GetID() if before is not None else None)
    for logic in slicer.app.applicationLogic().GetSliceLogics() or ():  # none without a main window
        composite = logic.GetSliceCompositeNode()
        if logic.GetSliceNode().GetLayoutName() != VIEW_NAME and composite.GetBackgroundVolumeID() in replaced:
            composite.SetBackgroundVolumeID(node.GetID())
            logic.FitSliceToBackground()


def _setProperty(volumeProperty):
    opacity, color, gradient = vtk.vtkPiecewiseFunction(), vtk.vtkColorTransferFunction(), vtk.vtkPiecewiseFunction()
    for point in _OPACITY:
        opacity.AddPoint(*point)
    for point in _COLOR:
        color.AddRGBPoint(*point)
    for point in _GRADIENT_OPACITY:
        gradient.AddPoint(*point)
    volumeProperty.SetScalarOpacity(opacity)
    volumeProperty.SetColor(color)
    volumeProperty.SetGradientOpacity(gradient)
    volumeProperty.SetInterpolationTypeToLinear()
    volumeProperty.ShadeOn()
    volumeProperty.SetAmbient(0.3)
    volumeProperty.SetDiffuse(0.9)
    volumeProperty.SetSpecular(0.2)
    volumeProperty.SetSpecularPower(12)
