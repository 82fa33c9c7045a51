"""Runs of pulses as Sequences, which Slicer's sequence browser replays and saves: cine runs, and the last fluoroscopy.

Each frame is a copy of the scene's X-ray image with its place in space, at its time in seconds. A cine run is saved
with the scene; the last fluoroscopy is there for looking back, is not saved, and makes room for the next one.
"""

import json

import slicer
import slicer.util

from DeepDRRSlicerLib.geometry.files import beam_from_dict
from DeepDRRSlicerLib.scene.nodes import ROLE
from DeepDRRSlicerLib.scene.request import CINE, FLUORO
from DeepDRRSlicerLib.scene.xray_image import VIEW

MOST_FRAMES = 300  # of 1 MB each with 512 x 512 pixels
ANNOTATION = "DeepDRRSlicer.Annotation"  # of a frame: JSON of technique, dose and C-arm
_RUN, _BROWSER, _SHOWN = "run.", "run.browser", "run.shown"
_NAMES = {CINE: "Cine", FLUORO: "Last fluoroscopy"}
_SAID = ("technique", "exposure", "spectrum", "dose", "device", "c_arm", "effects")


class Recording:
    """A run while it is taken. add() after each pulse, then finish()."""

    def __init__(self, mode, rate):
        self._mode, self._rate = mode, rate
        if mode == FLUORO:
            for run in runs():
                if run.GetAttribute(ROLE) == _RUN + FLUORO:
                    removeRun(run)
        name = _NAMES[mode] if mode == FLUORO else slicer.mrmlScene.GenerateUniqueName(_NAMES[mode])
        self._run = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        self._run.SetAttribute(ROLE, _RUN + mode)
        self._run.SetIndexName("time")
        self._run.SetIndexUnit("s")
        self._run.SetIndexType(self._run.NumericIndex)

    @property
    def isFull(self):
        """Whether a cine run has all the frames that it can hold; fluoroscopy keeps its last ones."""
        return self._mode == CINE and self._run.GetNumberOfDataNodes() >= MOST_FRAMES

    def add(self, node, pulse):
        """Take the scene's X-ray image, which shows a Pulse, into the run."""
        metadata = pulse.radiograph.metadata
        node.SetAttribute(ANNOTATION, json.dumps({key: metadata[key] for key in _SAID if key in metadata}))
        self._run.SetDataNodeAtValue(node, f"{pulse.time:.4f}")
        if self._run.GetNumberOfDataNodes() > MOST_FRAMES:
            self._run.RemoveDataNodeAtValue(self._run.GetNthIndexValue(0))

    def finish(self):
        """End the run; returns its sequence node, which a browser now replays, or None for one without a frame."""
        run = self._run
        if run.GetNumberOfDataNodes() == 0:
            slicer.mrmlScene.RemoveNode(run)
            return None
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{run.GetName()} browser")
        browser.SetAttribute(ROLE, _BROWSER)
        browser.SetAndObserveMasterSequenceNodeID(run.GetID())
        browser.SetPlaybackRateFps(self._rate)
        browser.SetSelectedItemNumber(run.GetNumberOfDataNodes() - 1)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        shown = browser.GetProxyNode(run)
        shown.SetAttribute(ROLE, _SHOWN)
        if self._mode == FLUORO:
            for node in (run, browser, shown, shown.GetDisplayNode()):
                if node is not None:
                    node.SetSaveWithScene(False)
        return run


def runs():
    """The sequence nodes of all runs, oldest first."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSequenceNode")
    return [node for node in nodes if (node.GetAttribute(ROLE) or "").startswith(_RUN)]


def browserOf(run):
    """The browser that replays a run, or None where it has been deleted."""
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    return next((browser for browser in browsers if browser.GetMasterSequenceNode() is run), None)


def shownNode(run):
    """The volume in which a run is replayed, or None."""
    browser = browserOf(run)
    return browser.GetProxyNode(run) if browser is not None else None


def frameBeam(node):
    """The ConeBeam of a frame of a run, or of the volume that shows it."""
    return beam_from_dict(json.loads(node.GetAttribute(VIEW)))


def removeRun(run):
    """Remove a run with what replays it."""
    browser, shown = browserOf(run), shownNode(run)
    helpers = [shown.GetDisplayNode(), shown] if shown is not None else []
    for node in (browser, *helpers, run.GetStorageNode(), run):
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)


def isKept(run):
    """Whether a run is saved with the scene."""
    return run.GetAttribute(ROLE) != _RUN + FLUORO


def keepRun(run):
    """Make the last fluoroscopy a run that stays."""
    browser, shown = browserOf(run), shownNode(run)
    name = slicer.mrmlScene.GenerateUniqueName("Fluoroscopy")
    run.SetAttribute(ROLE, _RUN + CINE)
    for node in (run, shown):
        if node is not None:
            node.SetName(name)
    if browser is not None:
        browser.SetName(f"{name} browser")
    for node in (run, browser, shown, shown and shown.GetDisplayNode()):
        if node is not None:
            node.SetSaveWithScene(True)
