"""A run of the scene as files, written in the background."""

import json

import numpy as np

from DeepDRRSlicerLib.dataset.run_files import RunFrame, write_run
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.cine import ANNOTATION, browserOf, frameBeam
from DeepDRRSlicerLib.scene.job_settings import PATIENT
from DeepDRRSlicerLib.scene.xray_image import arrayOf, windowOf
from DeepDRRSlicerLib.simulation.worker import LatestWorker


class RunExport:
    """Nodes are read while start() lasts, and not later on."""

    def __init__(self):
        self._worker = None

    def start(self, parameters, run, folder):
        """Write a run into a folder. Raises InputError for one without images."""
        count = run.GetNumberOfDataNodes()
        if count == 0:
            raise InputError(f"The run {run.GetName()} holds no image; take another one.")
        frames = [_frame(run.GetNthDataNode(i), float(run.GetNthIndexValue(i))) for i in range(count)]
        browser = browserOf(run)
        rate = browser.GetPlaybackRateFps() if browser is not None else 15.0
        window, position = windowOf(parameters), parameters.patientPosition
        if self._worker is None:
            self._worker = LatestWorker(lambda job, shouldStop: job(shouldStop), "DeepDRRSlicer run export")
        self._worker.submit(lambda shouldStop: write_run(folder, frames, rate, PATIENT, window, position, shouldStop))

    def collect(self):
        """The files written, once the export has ended; None while it runs. Raises what the export raised."""
        outcome = self._worker.collect() if self._worker is not None else None
        if outcome is None:
            return None
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def close(self):
        """End the thread."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _frame(node, time):
    said = json.loads(node.GetAttribute(ANNOTATION) or "{}")
    return RunFrame(time, np.array(arrayOf(node)), frameBeam(node), said)
