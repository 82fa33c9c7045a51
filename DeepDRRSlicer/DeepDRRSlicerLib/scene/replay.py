"""A frame of a run in the X-ray view, as the live image stands in it."""

import slicer.util

from DeepDRRSlicerLib.scene.cine import browserOf, frameBeam, shownNode
from DeepDRRSlicerLib.scene.image_nodes import setPlane
from DeepDRRSlicerLib.scene.image_orientation import displayTurn, updateMarkers
from DeepDRRSlicerLib.scene.xray_image import setWindow, windowOf
from DeepDRRSlicerLib.scene.xray_view import setMark, showInXRayView


def showFrame(parameters, run):
    """Show the frame that the run's browser has chosen, marked as replayed; the C-arm stays where it is."""
    node, browser = shownNode(run), browserOf(run)
    beam, window = frameBeam(node), windowOf(parameters)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(run.GetSaveWithScene())
    with slicer.util.NodeModify(node.GetDisplayNode()):
        setWindow(node, window.low, window.high, parameters.imageInvert)
    setPlane(beam)
    updateMarkers(beam, parameters.imageMarkers)
    showInXRayView(node, beam, *displayTurn(parameters))
    time = float(run.GetNthIndexValue(browser.GetSelectedItemNumber()))
    setMark(f"replay: {run.GetName()}, {time:.2f} s")
