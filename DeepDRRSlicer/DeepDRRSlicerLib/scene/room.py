"""The whole room at once: C-arm, table, beam and laser cross where the parameter node says."""

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.positioning import room_to_ras
from DeepDRRSlicerLib.scene.beam import updateBeam
from DeepDRRSlicerLib.scene.beam_in_slices import updateBeamInSlices
from DeepDRRSlicerLib.scene.carm import CArm
from DeepDRRSlicerLib.scene.laser import updateLaser
from DeepDRRSlicerLib.scene.machine_state import machineOf
from DeepDRRSlicerLib.scene.real_xray import givenPose
from DeepDRRSlicerLib.scene.shutters import collimationOf, fieldOf
from DeepDRRSlicerLib.scene.table import TableModel


def moveRoom(parameters):
    """Make what is missing of the room and move it; returns the Machine.

    Raises InputError for choices that name no possible room.
    """
    machine = machineOf(parameters)
    beam, field = poseOf(parameters, machine.device).beam(), collimationOf(parameters)
    carm, table = CArm(machine.device), TableModel(machine.device)
    carm.build()
    table.build(carm.jointNode(None))
    carm.place(room_to_ras(parameters.patientPosition, parameters.tableTilt, machine.isocenter))
    carm.setValues(machine.values)
    table.setValues(machine.values)
    updateBeam(beam, field)
    updateBeamInSlices(beam, field, parameters.beamInSlices)
    updateLaser(beam, machine.body, parameters.laserCross)
    return machine


def poseOf(parameters, device):
    """The CArmPose of the parameter node with the image of the chosen field, or the real geometry in its place.

    Raises InputError.
    """
    given = givenPose(parameters, device)
    if given is not None:
        return given
    size, pitch = fieldOf(parameters, device)
    return CArmPose(
        primary_angle=parameters.primaryAngle,
        secondary_angle=parameters.secondaryAngle,
        isocenter=(parameters.isocenterR, parameters.isocenterA, parameters.isocenterS),
        sid=parameters.sid,
        sod=device.source_isocenter_distance,
        size=size,
        pitch=(pitch, pitch),
    )
