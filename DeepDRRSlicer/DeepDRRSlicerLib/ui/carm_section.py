"""Panel section "C-arm": device, views, joints and table, isocentre; by hand, at once or at the device's speed."""

import qt
import slicer
import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.collision import TABLE
from DeepDRRSlicerLib.geometry.device import device_names, load_device
from DeepDRRSlicerLib.geometry.motion import jog, limits, speeds_of
from DeepDRRSlicerLib.geometry.positioning import stand_joints
from DeepDRRSlicerLib.geometry.room import View, machine_values
from DeepDRRSlicerLib.geometry.saved_positions import SavedPosition
from DeepDRRSlicerLib.geometry.table import TABLE_AXES
from DeepDRRSlicerLib.scene.body import bodyOf
from DeepDRRSlicerLib.scene.carm import CArm
from DeepDRRSlicerLib.scene.carm_handles import CArmHandles
from DeepDRRSlicerLib.scene.drive import Mover
from DeepDRRSlicerLib.scene.machine_state import isocenterOf, machineOf
from DeepDRRSlicerLib.scene.room import moveRoom
from DeepDRRSlicerLib.scene.shutters import collimationOf
from DeepDRRSlicerLib.scene.table import TableModel
from DeepDRRSlicerLib.ui.carm_readout import CArmReadout
from DeepDRRSlicerLib.ui.carm_words import NOT_THERE, STOPPED, TOUCHES, contactText, limitsText
from DeepDRRSlicerLib.ui.isocentre_panel import IsocentrePanel
from DeepDRRSlicerLib.ui.jog_pad import JogPad
from DeepDRRSlicerLib.ui.later import Later
from DeepDRRSlicerLib.ui.preset_panel import PresetPanel

_DRIVE_MS = 40
_SAME = 1e-4  # degrees or mm


class CArmSection:
    """Moves the room when the parameters change, and the parameters when a person moves the machine.

    What a person moves stops at limits and obstacles; what a script or a scene sets is shown as it is, in red where it
    touches something.
    """

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        self._shown = None  # what the room was last moved to
        self._machine = None
        self._painted = None
        self._told = False  # whether what stands in the message is about the motion that ended here
        self.room = Later(ui.carmSection, self.moveRoom)
        self._readout = CArmReadout(ui)
        self.mover = Mover()
        self.handles = CArmHandles(self._onDragged)
        self.presets = PresetPanel(ui, self.goToView, self.goTo, self._standing)
        self.jogPad = JogPad(ui, self.onJog, self._speedOf)
        self.isocentre = IsocentrePanel(ui, self.stop)
        self._timer = qt.QTimer(ui.carmSection)
        self._timer.setInterval(_DRIVE_MS)
        self._timer.connect("timeout()", self.onTick)
        self._deviceNames = device_names()
        for name in self._deviceNames:
            ui.deviceSelector.addItem(load_device(name).name)
        ui.deviceSelector.connect("activated(int)", self.onDevice)
        for slider in (ui.primaryAngleSlider, ui.secondaryAngleSlider, ui.sidSlider):
            slider.connect("valueChanged(double)", self.onViewSlider)
        ui.tableTiltSlider.connect("valueChanged(double)", self.onTilt)
        ui.standSlider.connect("valueChanged(double)", self.onStand)
        ui.stopButton.connect("clicked(bool)", self.stop)
        ui.carmMessageLabel.setVisible(False)

    def setParameters(self, parameters):
        """Show another parameter node, or None, which ends a drive and takes the handles away."""
        self.stop()
        self.room.cancel()
        self.handles.hide()
        self._parameters = parameters
        self._shown = self._machine = self._painted = None
        self._say("")
        self.jogPad.setEnabled(parameters is not None)
        self.presets.setParameters(parameters)
        self.isocentre.setParameters(parameters)

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        self.presets.parametersChanged(parameters)
        self.isocentre.parametersChanged(parameters)
        try:
            shown = _shownOf(parameters)
            if shown == self._shown:
                return
            self._shown = shown
            self._machine = machineOf(parameters)
        except InputError as error:
            self._fail(error)
            return
        self._fill(self._machine)
        self._say("")
        self.room.ask()

    def moveRoom(self):
        """Bring the models to where the parameters say, and show what touches."""
        parameters = self._parameters
        if parameters.ct is None:
            self.handles.hide()
            return
        try:
            self._machine = moveRoom(parameters)
        except InputError as error:
            self._fail(error)
            return
        contact = self.mover.contact(self._machine)
        if contact is not None or not self._told:
            self._paint(contact)
        if contact is not None and not self._told:
            self._say(contactText(contact, TOUCHES))
        if parameters.carmHandles:
            self.handles.show(self._machine.device)
        else:
            self.handles.hide()

    # What a person does

    def onDevice(self, index):
        """Use another device, with its own distances; the view stays."""
        if self._parameters is None:
            return
        self.stop()
        device = load_device(self._deviceNames[index])
        with slicer.util.NodeModify(self._parameters):
            self._parameters.device = self._deviceNames[index]
            self._parameters.sid = device.source_image_distance.default
            self._parameters.standJoints = ""

    def onViewSlider(self):
        """Turn the C-arm to what the sliders say, as far as it goes."""
        if self._parameters is None or self._readout.filling:
            return
        ui = self._ui
        self._move(
            lambda machine: self._valuesOf(
                machine,
                primary=self._readout.asked(ui.primaryAngleSlider, self._parameters.primaryAngle),
                secondary=self._readout.asked(ui.secondaryAngleSlider, self._parameters.secondaryAngle),
                sid=self._readout.asked(ui.sidSlider, self._parameters.sid),
            )
        )

    def onTilt(self, value):
        """Tilt the table under the C-arm, which stands still."""
        if self._parameters is not None and not self._readout.filling:
            self._move(lambda machine: {"table_tilt": float(value)})

    def onStand(self, value):
        """Turn the whole stand."""
        if self._parameters is not None and not self._readout.filling:
            self._move(lambda machine: {stand_joints(machine.device.joints)[0].name: float(value)})

    def onJog(self, what, amount):
        """Move one thing by degrees or mm, as far as it goes; it ends a drive."""
        if self._parameters is None:
            return
        parameters = self._parameters

        def target(machine):
            if what == "primary":
                return self._valuesOf(machine, primary=parameters.primaryAngle + amount)
            if what == "secondary":
                return self._valuesOf(machine, secondary=parameters.secondaryAngle + amount)
            here = machine.values[what]
            moved = jog(machine.device, machine.values, what, amount)[what]
            return {what: moved if moved != here else here + amount}  # which tells of the limit

        self._move(target)

    def goToView(self, primary, secondary):
        """Go to a view of the patient; isocentre, SID and table stay."""
        if self._parameters is not None:
            self._go(lambda machine: self._valuesOf(machine, primary=primary, secondary=secondary))

    def goTo(self, position):
        """Go to a SavedPosition."""
        if self._parameters is None:
            return

        def target(machine):
            view = View(position.primary_angle, position.secondary_angle, position.isocenter, position.sid)
            others = {name: value for name, value in position.others.items() if name in limits(machine.device)}
            near = machine.values["primary_angle"]
            return machine_values(machine.device, machine.lying, view, others, near)

        self._go(target)

    def stop(self):
        """End a drive where it is."""
        self.mover.stop()
        self._timer.stop()
        self._ui.stopButton.setEnabled(False)

    def onTick(self):
        """Carry a drive on."""
        try:
            blocked = self.mover.tick(self._parameters)
        except InputError as error:
            self.stop()
            self._say(str(error))
            return
        if not self.mover.moving:
            self.stop()
        if blocked is not None:
            self._tell(blocked)

    def _onDragged(self, name):
        """A handle was dragged: what the joint's transform stands for is where the hand wants it."""
        if self._parameters is None or self._machine is None:
            return
        carm, machine = CArm(self._machine.device), machineOf(self._parameters)
        value = carm.jointValue(name, machine.values[name])
        if abs(value - machine.values[name]) < _SAME:
            return
        self._move(lambda machine: {name: value})
        carm.setValues(machineOf(self._parameters).values)

    # How it is done

    def _move(self, targetOf):
        """At once, the whole way being free."""
        self.stop()
        try:
            blocked = self.mover.moveTo(self._parameters, targetOf(machineOf(self._parameters)))
        except InputError as error:
            self._say(str(error))
            return
        if blocked is not None:  # the parameters may be as they were, and the sliders not
            self._fill(machineOf(self._parameters))
            self._tell(blocked)

    def _go(self, targetOf):
        """At the device's speed, or at once where the person does not want to wait."""
        self.stop()
        try:
            target = targetOf(machineOf(self._parameters))
            self.mover.start(self._parameters, target)
            if self._parameters.driveAtSpeed:
                self._timer.start()
                self._ui.stopButton.setEnabled(True)
                return
            blocked = self.mover.moveTo(self._parameters, target, wholeWay=False)
        except InputError as error:
            self.stop()
            self._say(str(error))
            return
        if blocked is not None:
            self._tell(blocked, NOT_THERE)

    def _valuesOf(self, machine, primary=None, secondary=None, sid=None):
        """Values of joints and table for a view of the patient; what is not given stays."""
        parameters = self._parameters
        view = View(
            parameters.primaryAngle if primary is None else primary,
            parameters.secondaryAngle if secondary is None else secondary,
            isocenterOf(parameters),
            parameters.sid if sid is None else sid,
        )
        return machine_values(machine.device, machine.lying, view, machine.values, machine.values["primary_angle"])

    def _standing(self):
        """The SavedPosition of now."""
        parameters, machine = self._parameters, machineOf(self._parameters)
        names = {joint.name for joint in stand_joints(machine.device.joints)} | {"table_tilt"}
        others = {name: value for name, value in machine.values.items() if name in names and value}
        return SavedPosition(
            parameters.primaryAngle, parameters.secondaryAngle, isocenterOf(parameters), parameters.sid, others
        )

    def _speedOf(self, what):
        """Degrees or mm per second."""
        name = {"primary": "primary_angle", "secondary": "secondary_angle"}.get(what, what)
        return speeds_of(load_device(self._parameters.device))[name]

    def _tell(self, blocked, words=STOPPED):
        """Say what stopped a motion, and show it."""
        if blocked.contact is not None:
            self._paint(blocked.contact)
            self._say(contactText(blocked.contact, words), told=True)
        else:
            self._say(limitsText(load_device(self._parameters.device), blocked.limits), told=True)

    def _paint(self, contact):
        """Draw the touching part and what it touches in red."""
        touching = (contact.part, contact.obstacle) if contact is not None else (None, None)
        if touching != self._painted and self._machine is not None:
            self._painted = touching
            CArm(self._machine.device).showTouching({touching[0]})
            TableModel(self._machine.device).showTouched(touching[1] == TABLE)

    def _fill(self, machine):
        names = self._deviceNames  # a script may have set a file
        device = self._parameters.device
        self._ui.deviceSelector.setCurrentIndex(names.index(device) if device in names else -1)
        self.jogPad.setEnabled(True, () if machine.device.table is not None else TABLE_AXES)
        self._readout.fill(self._parameters, machine)

    def _fail(self, error):
        self._machine = None
        self.handles.hide()
        self._say(str(error))

    def _say(self, text, told=False):
        self._told = told
        self._ui.carmMessageLabel.setText(text)
        self._ui.carmMessageLabel.setVisible(bool(text))


def _shownOf(parameters):
    """What the room depends on, as plain values that can be compared."""
    return (
        parameters.ct.GetID() if parameters.ct else None,
        id(bodyOf(parameters.ct)),  # another one when voxels or place of the CT change
        parameters.device,
        parameters.primaryAngle,
        parameters.secondaryAngle,
        isocenterOf(parameters),
        parameters.sid,
        parameters.patientPosition,
        parameters.tableTilt,
        parameters.standJoints,
        parameters.carmHandles,
        parameters.beamInSlices,
        parameters.laserCross,
        parameters.magnificationField,
        parameters.realGeometry,
        collimationOf(parameters),
    )
