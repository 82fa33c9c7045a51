"""The scene's C-arm at work: it moves the models, has views simulated, and shows the newest one."""

import textwrap
import threading

import numpy as np

from DeepDRRSlicerLib.dataset.export_view import export_view
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.projector import warm_up
from DeepDRRSlicerLib.scene.beam import updateBeam
from DeepDRRSlicerLib.scene.carm import CArm
from DeepDRRSlicerLib.scene.dose import addExposure, totalsOf
from DeepDRRSlicerLib.scene.mrml import landmarksFromNode, segmentsFromNode
from DeepDRRSlicerLib.scene.request import PatientCopy, viewRequest
from DeepDRRSlicerLib.scene.xray_image import QUANTITY, SETTINGS_HASH, updateXRayNode, xrayNode
from DeepDRRSlicerLib.scene.xray_view import setMark, showInXRayView
from DeepDRRSlicerLib.simulation.display import CHEST
from DeepDRRSlicerLib.simulation.views import ViewSimulator
from DeepDRRSlicerLib.simulation.worker import LatestWorker

_MARK_WIDTH = 40  # letters
_PATIENCE = 3.0  # s that the window may be blocked by a picture that cannot be stopped while its code is compiled
UPDATING = "updating"
OUTDATED = "settings changed: press Apply"


def _warmUp():
    try:
        warm_up()
    except InputError:  # the first picture says so
        pass


class Fluoroscopy:
    """Nodes and views are touched on the calling thread alone; simulation and export run in a thread each."""

    def __init__(self):
        self._patientCopy = PatientCopy()
        self._views = ViewSimulator()
        self._live = LatestWorker(self._work, "DeepDRRSlicer live")
        self._previewing = False
        self._export = LatestWorker(lambda job, shouldStop: job(shouldStop), "DeepDRRSlicer export")
        self.exportProgress = 0.0
        self._warmingUp = None

    def warmUp(self):
        """Have the projector compiled in the background, once, before the first picture is asked for."""
        if self._warmingUp is None:
            self._warmingUp = threading.Thread(target=_warmUp, name="DeepDRRSlicer warm-up", daemon=True)
            self._warmingUp.start()

    def isWarmingUp(self):
        """Whether that is still going on."""
        return self._warmingUp is not None and self._warmingUp.is_alive()

    def prepareAnew(self):
        """Let go of the patient made ready: a package that its projector lacked is there now."""
        self._views.forget()
        self._warmingUp = None
        self.warmUp()

    def moveCArm(self, parameters):
        """Bring models and beam to the pose of the parameter node. Raises InputError for an impossible pose."""
        request = self._request(parameters)
        carm = CArm(request.acquisition.device)
        carm.build()
        carm.setPose(request.pose)
        updateBeam(request.pose.beam())

    def simulate(self, parameters):
        """Take a picture of the view now, show it, and return the Radiograph. Raises InputError."""
        radiograph = self._views.simulate(self._request(parameters, counted=True))
        addExposure(parameters, radiograph)
        self._show(parameters, radiograph)
        return radiograph

    def requestPreview(self, parameters):
        """Have a coarse picture made in the background, for a C-arm that moves. Raises InputError.

        It lets go of a picture in full resolution, but not of the preview before it, which is nearly done.
        """
        self._submit(lambda: self._request(parameters).as_preview(), preview=True)

    def requestUpdate(self, parameters, counted=True):
        """Have the picture taken in the background; it replaces every earlier request. Raises InputError.

        counted: whether it is a new exposure, with noise and dose of its own, or the last one over again.
        """
        self._submit(lambda: self._request(parameters, counted), preview=False, counted=counted)

    def settingsChanged(self):
        """Mark the picture until the next one is there; one in full resolution is let go of, a preview is not."""
        if not self._previewing:
            self._live.cancel()
        setMark(UPDATING)

    def outdate(self, text=OUTDATED):
        """Let go of a pending view, and mark the picture, which is older than the settings."""
        self._live.cancel()
        setMark(text)

    def forget(self):
        """Let go of patient and pending view; there is no picture any more that could be out of date."""
        self._live.cancel()
        self._patientCopy = PatientCopy()
        self._views.forget()
        setMark(None)

    def collectUpdate(self, parameters):
        """Show what is ready; returns the Radiograph once it is the one last asked for in full resolution, else None.

        Raises what the simulation raised.
        """
        outcome = self._live.collect()
        if outcome is None:
            return None
        if outcome.error is not None:
            if not outcome.newest:
                return None
            setMark(OUTDATED)
            raise outcome.error
        radiograph, preview, counted = outcome.result
        if counted:
            addExposure(parameters, radiograph)
        self._show(parameters, radiograph)
        if preview or not outcome.newest:
            setMark(UPDATING)
            return None
        return radiograph

    def startExport(self, parameters, folder):
        """Write the view and its labels in the background. Raises InputError for settings that cannot be simulated."""
        request = self._request(parameters)
        segments = segmentsFromNode(parameters.segmentation) if parameters.segmentation else []
        landmarks = landmarksFromNode(parameters.landmarks) if parameters.landmarks else []
        self.exportProgress = 0.0

        def progress(fraction):
            self.exportProgress = fraction

        def job(shouldStop):
            radiograph = self._views.simulate(request, shouldStop)
            return export_view(folder, radiograph, segments, landmarks, shouldStop, progress)

        self._export.submit(job)

    def collectExport(self):
        """The files written, once the export has ended; None while it runs. Raises what the export raised."""
        outcome = self._export.collect()
        if outcome is None:
            return None
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def cancelExport(self):
        """Stop the export; nothing is left half-written."""
        self._export.cancel()

    def close(self):
        """End the threads."""
        self._export.cancel()  # one may wait for the other's picture
        self._live.close(_PATIENCE)
        self._export.close(_PATIENCE)

    def _submit(self, makeRequest, preview, counted=False):
        setMark(UPDATING)
        try:
            job = makeRequest(), counted
        except Exception:
            self.outdate()
            raise
        self._live.submit(job, interrupt=not self._previewing)
        self._previewing = preview

    def _work(self, job, shouldStop):
        request, counted = job
        return self._views.simulate(request, shouldStop), request.preview, counted

    def _request(self, parameters, counted=False):
        frames = totalsOf(parameters).frames
        return viewRequest(parameters, self._patientCopy, frame=frames if counted else max(frames - 1, 0))

    def _show(self, parameters, radiograph):
        node = xrayNode()
        attributes = {SETTINGS_HASH: radiograph.settings_hash, QUANTITY: "-ln(signal / open field)"}
        picture = np.where(radiograph.lit, radiograph.log_attenuation, CHEST.low)  # shutters are drawn black
        updateXRayNode(node, picture, radiograph.beam, CHEST.low, CHEST.high, attributes)
        showInXRayView(node, radiograph.beam)
        if parameters.xray is not node:
            parameters.xray = node
        setMark(textwrap.fill(radiograph.warning, _MARK_WIDTH) or None)
