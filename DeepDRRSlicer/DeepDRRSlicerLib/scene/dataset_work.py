"""Datasets of the scene in the background: a preview, the job's folder, or a whole run of it, one at a time."""

import tempfile
from pathlib import Path

from DeepDRRSlicerLib.dataset.job import read_job
from DeepDRRSlicerLib.dataset.pictures import thumbnail
from DeepDRRSlicerLib.dataset.records import annotation
from DeepDRRSlicerLib.dataset.runner import run_job
from DeepDRRSlicerLib.dataset.sample import preview
from DeepDRRSlicerLib.projection.parallel import available_cores
from DeepDRRSlicerLib.scene.job import snapshot, writeJob
from DeepDRRSlicerLib.simulation.worker import LatestWorker

SET = "job-set"  # beside the job: where the command line puts it, too, so that either goes on with the other's run


class State:
    """How far a piece of work is. progress: of a run, or None. pictures: of a preview so far.

    paused: set it to have a run begin no further sample.
    """

    def __init__(self):
        self.progress = None
        self.pictures = []
        self.paused = False

    def tell(self, progress):
        """A run goes on."""
        self.progress = progress


class DatasetWork:
    """Nodes are touched on the calling thread alone, and only while a start... call lasts: then the scene may change.

    state: of the work that was begun last.
    """

    def __init__(self):
        self._worker = None
        self.state = State()

    def startPreview(self, parameters, count, side):
        """Make some of the job's samples as small pictures with their labels, no side above so many pixels.

        They are those of the whole run. Nothing stays on the disk. Raises InputError; the outcome is the pictures.
        """
        contents = snapshot(parameters, "preview")

        def work(state, shouldStop):
            with tempfile.TemporaryDirectory(prefix="DeepDRR-") as folder:
                job = read_job(writeJob(contents, Path(folder) / "preview", shouldStop, compress=False))
                preview(
                    job,
                    count,
                    should_stop=shouldStop,
                    made=lambda sample: state.pictures.append(_small(sample, side)),
                )
            return state.pictures

        self._begin(work)

    def startWriting(self, parameters, folder):
        """Write the job's folder. Raises InputError; the outcome is the path of the job file."""
        contents = snapshot(parameters, Path(folder).name)
        self._begin(lambda state, shouldStop: writeJob(contents, folder, shouldStop))

    def startRun(self, parameters, folder):
        """Write the job's folder and make its set there, or go on with it. Raises InputError; outcome: a Summary."""
        contents = snapshot(parameters, Path(folder).name)

        def work(state, shouldStop):
            path = writeJob(contents, folder, shouldStop)
            workers = max(1, available_cores() - 1)  # one core stays with the window
            return run_job(
                read_job(path),
                path.parent / SET,
                workers,
                progress=state.tell,
                should_stop=shouldStop,
                pause=lambda: state.paused,
            )

        self._begin(work)

    def collect(self):
        """What the work came to, once it has ended; None while it runs. Raises what it raised."""
        outcome = self._worker.collect() if self._worker else None
        if outcome is None:
            return None
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def cancel(self):
        """Let go of the work; a run leaves a folder that the next one goes on with."""
        if self._worker:
            self._worker.cancel()

    def close(self):
        """End the thread."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _begin(self, work):
        if self._worker is None:
            self._worker = LatestWorker(lambda job, shouldStop: job(shouldStop), "DeepDRRSlicer dataset")
        state = self.state = State()
        self._worker.submit(lambda shouldStop: work(state, shouldStop))


def _small(sample, side):
    arrays = {
        "picture": sample.picture,
        "masks": [label.mask for label in sample.segments],
        "tool_masks": [label.mask for label in sample.tools],
    }
    return thumbnail(annotation(sample), arrays, side)
