"""The scene's C-arm at work: it moves the models, has views simulated, and shows the newest one."""

from DeepDRRSlicerLib.dataset.export_view import export_view
from DeepDRRSlicerLib.projection.projector import forget_uncompiled
from DeepDRRSlicerLib.scene.materials_work import MaterialsWork
from DeepDRRSlicerLib.scene.mrml import landmarksFromNode, segmentsFromNode
from DeepDRRSlicerLib.scene.picture_state import HELD, PASSED, REFERENCE, PictureState
from DeepDRRSlicerLib.scene.request import PatientCopy, pulseRates, reachablePose, settingsOf, viewRequest
from DeepDRRSlicerLib.scene.room import moveRoom
from DeepDRRSlicerLib.scene.run_export import RunExport
from DeepDRRSlicerLib.scene.scatter import followedPhotons, wantedPhotons
from DeepDRRSlicerLib.scene.warm_up import WarmUp
from DeepDRRSlicerLib.scene.xray_view import setMark
from DeepDRRSlicerLib.simulation.pulses import PulseTrain
from DeepDRRSlicerLib.simulation.reference import Progress, reference_image
from DeepDRRSlicerLib.simulation.views import ViewSimulator
from DeepDRRSlicerLib.simulation.worker import LatestWorker

UPDATING = "updating"
_PATIENCE = 3.0  # s that the window may be blocked by a picture that cannot be stopped while its code is compiled


class Fluoroscopy:
    """Nodes and views are touched on the calling thread alone; simulation and export run in a thread each.

    onExposure: called with the Radiograph after each picture that counts, of whatever kind. onPose: called with the
    CArmPose after each movement of the C-arm. Both are lists to add to.
    """

    def __init__(self):
        self.picture = PictureState()
        self.onExposure = self.picture.onExposure
        self.onPose = []
        self._patientCopy = PatientCopy()
        self._views = ViewSimulator()
        self._warmUp = WarmUp()
        self._live = LatestWorker(self._work, "DeepDRRSlicer live")
        self.materials = MaterialsWork(lambda: self._live.is_busy)
        self._previewing = False
        self.progress = Progress()  # of the reference image that was asked for last
        self._referring = False  # whether such an image was asked for last
        self._reference = None  # (settings, Radiograph) of the one on show
        self._train = None
        self._trainMode = None
        self._export = LatestWorker(self._work, "DeepDRRSlicer export")
        self.exportProgress = 0.0
        self.runExport = RunExport()

    def warmUp(self):
        """Have the projector compiled in the background, once, before the first picture is asked for."""
        self._warmUp.start()

    def isWarmingUp(self):
        """Whether that is still going on."""
        return self._warmUp.isRunning

    def prepareAnew(self):
        """Let go of the patient made ready: a package that its projector lacked is there now."""
        forget_uncompiled()
        self._views.forget()
        self._warmUp.close()
        self._warmUp = WarmUp()
        self._warmUp.start()

    def isPatientReady(self, parameters):
        """Copy a part of the CT, for a few ms; whether all of it is there, so that a request does not block the window.

        Raises InputError where there is no CT.
        """
        return self._patientCopy.isReady(parameters.ct)

    def moveCArm(self, parameters):
        """Bring models and beam to the pose of the parameter node. Raises InputError for an impossible pose."""
        reachablePose(parameters)
        moveRoom(parameters)
        self.moved(parameters)

    def moved(self, parameters):
        """The C-arm stands where the parameter node says: tell those who listen. Raises InputError out of reach."""
        pose = reachablePose(parameters)
        for tell in self.onPose:
            tell(pose)

    def simulate(self, parameters, mode=None):
        """Take a picture of the view now, show it, and return the Radiograph. Raises InputError.

        mode: an exposure mode in place of the chosen one.
        """
        radiograph = self._views.simulate(self._request(parameters, mode))
        self.picture.take(parameters, radiograph)
        return radiograph

    # Previews and single pictures

    def requestPreview(self, parameters):
        """Have a coarse picture made in the background, for a C-arm that moves. Raises InputError.

        It lets go of a picture in full resolution, but not of the preview before it, which is nearly done.
        """
        self._submit(lambda: self._request(parameters).as_preview(), self.picture.preview, coarse=True)

    def requestAim(self, parameters):
        """Have the preview made in full resolution; it replaces every earlier request. Raises InputError."""
        self._submit(lambda: self._request(parameters), self.picture.preview)

    def requestPicture(self, parameters, mode=None):
        """Have a picture taken in the background, with noise and dose of its own. Raises InputError.

        It replaces every earlier request. mode: an exposure mode in place of the chosen one.
        """
        self._submit(lambda: self._request(parameters, mode), self.picture.take)

    def requestReference(self, parameters):
        """Have the view made with scatter by the Monte Carlo, without dose; progress goes on in `progress`.

        It replaces every earlier request, and is replaced by the next. Raises InputError.
        """
        request, wanted = self._request(parameters), wantedPhotons(parameters)
        self.progress = Progress()

        def tell(progress):
            self.progress = progress

        def work(shouldStop):
            made = reference_image(self._views, request, wanted, followedPhotons, shouldStop, tell)
            return made, self.picture.refer, False

        self._live.submit(work)
        self._previewing, self._referring = False, True

    def cancelReference(self):
        """Let go of it; the picture on show stays what it was."""
        self._live.cancel()

    def settingsChanged(self):
        """Mark the picture until the next one is there; one in full resolution is let go of, a preview is not."""
        if not self._previewing:
            self._live.cancel()
        setMark(UPDATING)

    def outdate(self, text=None):
        """Let go of a pending view, and mark the picture, which is not of the present one."""
        self._live.cancel()
        if text is None:
            self.picture.set(PASSED)
        else:
            setMark(text)

    def forget(self):
        """Let go of patient and pending view; there is no picture any more that could be out of date."""
        self._live.cancel()
        self._train = self._reference = None
        self.picture.forget()
        self._patientCopy = PatientCopy()
        self._views.forget()
        self.materials.forget()

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
            if not self._referring:  # else the picture on show is what it was
                self.picture.set(PASSED)
            raise outcome.error
        radiograph, takeIn, coarse = outcome.result
        takeIn(parameters, radiograph)
        shown = self.picture.state == REFERENCE
        self._reference = (settingsOf(parameters), radiograph) if shown else None
        if coarse or not outcome.newest:
            setMark(UPDATING)
            return None
        return radiograph

    # The pedal

    def startTrain(self, parameters, mode):
        """Begin a train of pulses in the background; it replaces every pending picture. Raises InputError.

        mode: FLUORO or CINE of scene/request.py.
        """
        request = self._request(parameters, mode)
        train = self._train = PulseTrain(request, pulseRates(parameters, mode)[1])
        self._trainMode = mode
        self._live.submit(lambda shouldStop: train.run(self._views, shouldStop))
        self._previewing = False

    @property
    def train(self):
        """The PulseTrain under way, or None: until collectPulses() has handed out its last pulse."""
        return self._train

    def followView(self, parameters):
        """From the next pulse on, show what the parameter node says now. Raises InputError, and goes on as before."""
        self._train.follow(self._request(parameters, self._trainMode))

    def collectPulses(self, parameters, eachShown=lambda pulse: None):
        """Count and show the pulses that are ready; the last one stays, marked, when the train has ended.

        eachShown: called with every Pulse when it is the scene's X-ray image. Returns the newest Radiograph, or None.
        Raises what the simulation raised.
        """
        train = self._train
        ended = train.ended  # asked first: nothing comes after it
        pulses = train.collect()
        for pulse in pulses:
            self.picture.take(parameters, pulse.radiograph, more=True)
            eachShown(pulse)
        if ended:
            self._train = None
            self.picture.write(parameters)
            self.picture.set(HELD if train.shows_newest else PASSED)
            outcome = self._live.collect()
            if outcome is not None and outcome.error is not None:
                raise outcome.error
        return pulses[-1].radiograph if pulses else None

    def dropTrain(self, parameters):
        """End the train now; the pulse under way is given up, and does not count."""
        if self._train is not None:
            self._train.release()
            self._live.cancel()
            self._train = None
            self.picture.write(parameters)
            self.picture.set(HELD)

    # Export

    def startExport(self, parameters, folder):
        """Write the view and its labels in the background. Raises InputError for settings that cannot be simulated.

        A reference image that is on show is written as it is.
        """
        request, reference = self._request(parameters), self._shownReference(parameters)
        segments = segmentsFromNode(parameters.segmentation) if parameters.segmentation else []
        landmarks = landmarksFromNode(parameters.landmarks) if parameters.landmarks else []
        self.exportProgress = 0.0

        def progress(fraction):
            self.exportProgress = fraction

        def job(shouldStop):
            radiograph = reference or self._views.simulate(request, shouldStop)
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
        self._warmUp.close()
        self._export.cancel()  # one may wait for the other's picture
        self._live.close(_PATIENCE)
        self._export.close(_PATIENCE)
        self.runExport.close()
        self.materials.close()
        self._warmUp.close(_PATIENCE)

    def _work(self, job, shouldStop):
        self._warmUp.wait(shouldStop)
        return job(shouldStop)

    def _submit(self, makeRequest, takeIn, coarse=False):
        setMark(UPDATING)
        try:
            request = makeRequest()
        except Exception:
            self.outdate()
            raise
        work = lambda shouldStop: (self._views.simulate(request, shouldStop), takeIn, coarse)  # noqa: E731
        self._live.submit(work, interrupt=not self._previewing)
        self._previewing, self._referring = coarse, False

    def _shownReference(self, parameters):
        """The reference image, if that is what is on show, and of the present view; else None."""
        if self._reference is None or self.picture.state != REFERENCE or self._reference[0] != settingsOf(parameters):
            return None
        return self._reference[1]

    def _request(self, parameters, mode=None):
        """The request for the next picture; a preview has its number, too, and leaves it to the one that counts."""
        number = self.picture.totals(parameters).frames
        return viewRequest(parameters, self._patientCopy, number, mode, self.materials)
