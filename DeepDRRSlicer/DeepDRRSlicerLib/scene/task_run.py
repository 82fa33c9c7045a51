"""An attempt at a task in the scene: it sets the scene up, counts along, and writes the result into the table."""

import datetime
import time

import numpy as np
import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.projection.tool_shapes import KWire
from DeepDRRSlicerLib.rehearsal.attempt import Attempt, attempt_text, exposed, moved, parse_attempt
from DeepDRRSlicerLib.rehearsal.patient_match import mismatch
from DeepDRRSlicerLib.rehearsal.score import score
from DeepDRRSlicerLib.rehearsal.task import Pose
from DeepDRRSlicerLib.rehearsal.task_file import parse_task
from DeepDRRSlicerLib.scene.dose import frameDoseOf
from DeepDRRSlicerLib.scene.request import ctVolume
from DeepDRRSlicerLib.scene.task_table import ABANDONED, DATE, FINISHED, LEARNER, OUTCOME, TASK, addAttempt
from DeepDRRSlicerLib.scene.tool_drive import addTool, pointing, setShape, setToolToWorld, shapeOf, wireOf

_APPROACH = 40.0  # mm from the tip of the wire to the entry at the start


class TaskRun:
    """At most one attempt at a time. It goes on while another module is open.

    While it goes on, there are no previews: every picture has its dose.
    clock: s, of any origin. What the attempt needs of the scene is kept in the parameter node; nodes are not kept.
    """

    def __init__(self, fluoroscopy, clock=time.monotonic):
        self._clock = clock
        self._task = self._attempt = None
        self._parameters = None
        self._begun = 0.0
        self._date = ""
        self._previews = True  # whether there are pictures without dose again when the attempt has ended
        fluoroscopy.onExposure.append(self.onExposure)
        fluoroscopy.onPose.append(self.onPose)

    @property
    def isRunning(self):
        """Whether an attempt is under way."""
        return self._attempt is not None

    @property
    def task(self):
        """The task of the attempt under way, or None."""
        return self._task

    @property
    def attempt(self):
        """What the attempt has taken so far, or None."""
        return self._attempt

    @property
    def elapsed(self):
        """s since the start."""
        return self._clock() - self._begun

    def start(self, parameters):
        """Begin the task of the parameter node: C-arm, patient and wire go to where it begins.

        Returns a sentence where the CT is not the one of the task, else "". Raises InputError where it cannot begin.
        """
        task = parse_task(parameters.task)
        remark = mismatch(task.patient, ctVolume(parameters.ct))
        pose = _startPose(parameters, task)
        with slicer.util.NodeModify(parameters):
            parameters.patientPosition = task.position
            parameters.primaryAngle, parameters.secondaryAngle = pose.primary_angle, pose.secondary_angle
            parameters.isocenterR, parameters.isocenterA, parameters.isocenterS = pose.isocenter
            parameters.sid = pose.sid
            self._previews, parameters.autoUpdate = parameters.autoUpdate, False
        if task.wire is not None:
            _placeWire(parameters, task.wire)
        self._task, self._parameters = task, parameters
        self._attempt, self._begun = Attempt(pose), self._clock()
        self._date = datetime.datetime.now().isoformat(" ", "seconds")
        return remark

    def finish(self):
        """End the attempt; returns (its number, its Rows). Raises InputError where the wire has no place."""
        return self._end(FINISHED)

    def abandon(self):
        """Give up: the attempt is in the table, marked so. Returns as finish."""
        return self._end(ABANDONED)

    def rows(self):
        """The Rows as they are now."""
        wire = wireOf(self._parameters.taskTool) if self._task.wire is not None else None
        return score(self._task, self._attempt, self.elapsed, wire)

    def keep(self, parameters):
        """Write the attempt under way into the parameter node, for a scene that is saved."""
        parameters.taskAttempt = attempt_text(self._attempt, self.elapsed, self._date) if self.isRunning else ""

    def resume(self, parameters):
        """Go on with the attempt of a scene that was opened, if it has one; the time in between does not count."""
        if not parameters.taskAttempt or self.isRunning:
            return
        try:
            self._attempt, elapsed, self._date = parse_attempt(parameters.taskAttempt)
            self._task = parse_task(parameters.task)
        except (ValueError, TypeError, KeyError):  # damaged: the scene opens all the same
            self.forget()
        else:
            self._parameters, self._begun = parameters, self._clock() - elapsed
        parameters.taskAttempt = ""

    def close(self):
        """The module goes away: the scene keeps the attempt for the next one."""
        if self.isRunning:
            self.keep(self._parameters)
            self.forget()

    def forget(self):
        """Let go of the attempt without a trace; its scene is gone."""
        self._task = self._attempt = self._parameters = None

    def hold(self, parameters):
        """Take back what must not be changed during an attempt; whether there was anything to take back."""
        if self.isRunning and parameters.autoUpdate:
            parameters.autoUpdate = False
            return True
        return False

    def onExposure(self, radiograph):
        """A picture has been taken."""
        if not self.isRunning:
            return
        kind = radiograph.metadata["technique"].get("mode") or "manual"
        wire = None
        if self._task.wire is not None:
            wire = _wireOrNone(self._parameters.taskTool)
        self._attempt = exposed(self._attempt, self._task, kind, frameDoseOf(radiograph), radiograph.beam, wire)

    def onPose(self, pose):
        """The C-arm has been moved."""
        if self.isRunning:
            here = Pose(pose.primary_angle, pose.secondary_angle, tuple(pose.isocenter), pose.sid)
            self._attempt = moved(self._attempt, here, self.elapsed)

    def _end(self, outcome):
        rows = self.rows()
        head = {
            TASK: self._task.title,
            LEARNER: self._parameters.taskLearner,
            DATE: self._date,
            OUTCOME: outcome,
        }
        number = addAttempt(head, rows)
        parameters = self._parameters
        self.forget()
        parameters.autoUpdate = self._previews
        return number, rows


def _startPose(parameters, task):
    sid = task.start.sid or load_device(parameters.device).source_image_distance.default
    return Pose(task.start.primary_angle, task.start.secondary_angle, tuple(task.start.isocenter), sid)


def _placeWire(parameters, goal):
    """Give the task its wire, made anew where there is none, and bring it before the entry.

    It points along the axis of the patient that is nearest to the way to the target, so that aiming is left to do.
    """
    node = parameters.taskTool
    if node is None or shapeOf(node) is None:
        node = parameters.taskTool = addTool("k-wire")
        setShape(node, KWire(goal.diameter, goal.length))
    axis = np.zeros(3)
    nearest = int(np.abs(goal.direction).argmax())
    axis[nearest] = np.sign(goal.direction[nearest])
    setToolToWorld(node, pointing(np.array(goal.entry) - _APPROACH * axis, axis))
    parameters.tool = node


def _wireOrNone(node):
    try:
        return wireOf(node)
    except InputError:  # under a transform that is not linear: no picture can be taken of it either
        return None
