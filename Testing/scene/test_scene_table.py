"""The table lies under the patient, moves with the isocentre, and is found again; the room follows the patient."""

import dataclasses
import json

import numpy as np
import pytest
import slicer.util
from room_parameters import RoomParameters, waterPatient
from vtk.util.numpy_support import vtk_to_numpy

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.positioning import POSITIONS, patient_to_room
from DeepDRRSlicerLib.scene.carm import CArm, removeCArm
from DeepDRRSlicerLib.scene.machine_state import machineOf, writeValues
from DeepDRRSlicerLib.scene.nodes import nodesWithRole
from DeepDRRSlicerLib.scene.room import moveRoom, poseOf
from DeepDRRSlicerLib.scene.table import TableModel, removeTable
from host.core import loadScene, saveScene

DEVICES = ("mobile_carm", "angiography_stand")
# The lowest place of the patient of waterPatient() in each position, mm from the isocentre: 100 lying, 150 on a side.
DEPTH = {position: 150.0 if position.endswith(("DL", "DR")) else 100.0 for position in POSITIONS}


def parametersOf(device, **choices):
    return RoomParameters(
        ct=waterPatient(), device=device, sid=load_device(device).source_image_distance.default, **choices
    )


def worldPoints(node):
    matrix = slicer.util.arrayFromTransformMatrix(node.GetParentTransformNode(), toWorld=True)
    points = vtk_to_numpy(node.GetPolyData().GetPoints().GetData()).astype(float)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def heights(device, position, tilt=0.0):
    """Heights in the room over the isocentre of every point of the table's top."""
    table = TableModel(load_device(device))
    names = [part.name for part in load_device(device).table.parts if part.joint == "top"]
    points = np.concatenate([worldPoints(table.partNode(name)) for name in names])
    return points @ patient_to_room(position, tilt)[1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("position", POSITIONS)
def test_the_table_carries_the_patient_in_every_position(scene, device, position):
    moveRoom(parametersOf(device, patientPosition=position))
    assert heights(device, position).max() == pytest.approx(-DEPTH[position], abs=10)  # the body is told to 10 mm


@pytest.mark.parametrize("position", POSITIONS)
def test_source_and_detector_stay_where_the_patients_angles_say(scene, position):
    """Whichever way the patient lies, the C-arm in the scene shows the view that the engine simulates."""
    parameters = parametersOf("mobile_carm", patientPosition=position, primaryAngle=25.0, secondaryAngle=-15.0)
    moveRoom(parameters)
    carm = CArm(load_device("mobile_carm"))
    beam = poseOf(parameters, carm.device).beam()
    tube = slicer.util.arrayFromTransformMatrix(carm.jointNode("secondary_angle"), toWorld=True)
    detector = slicer.util.arrayFromTransformMatrix(carm.jointNode("sid"), toWorld=True)
    np.testing.assert_allclose((tube @ [0, -600, 0, 1])[:3], beam.source, atol=1e-6)
    np.testing.assert_allclose((detector @ [0, -600, 0, 1])[:3], beam.detector_center, atol=1e-6)
    found = carm.pose(beam.size, beam.pitch)
    assert (found.primary_angle, found.secondary_angle) == pytest.approx((25, -15))


@pytest.mark.parametrize("device", DEVICES)
def test_cart_and_base_stand_on_the_floor_whichever_way_the_patient_lies(scene, device):
    loaded = load_device(device)
    lowest = []
    for position in POSITIONS:
        moveRoom(parametersOf(device, patientPosition=position))
        carm = CArm(loaded)
        up = patient_to_room(position)[1]
        lowest.append(min((worldPoints(carm.partNode(part.name)) @ up).min() for part in loaded.parts))
    # Nothing below the floor; supine and prone, where the stand is not turned by a view from the side, on it.
    assert min(lowest) > -loaded.isocenter_height - 30
    assert np.ptp([low for low, name in zip(lowest, POSITIONS) if name.endswith(("FS", "FP"))]) < 200


def test_moving_the_table_moves_the_patient_the_other_way_through_the_isocentre(scene):
    parameters = parametersOf("mobile_carm")
    machine = machineOf(parameters)
    up = machine.values | {"table_height": machine.values["table_height"] + 30}
    assert writeValues(parameters, machine, up)
    assert parameters.isocenterA == pytest.approx(-30)  # table and patient rise: the isocentre is 30 mm lower in them
    machine = machineOf(parameters)
    writeValues(parameters, machine, machine.values | {"table_longitudinal": machine.values["table_longitudinal"] + 50})
    assert parameters.isocenterS == pytest.approx(-50)
    machine = machineOf(parameters)
    writeValues(parameters, machine, machine.values | {"table_lateral": machine.values["table_lateral"] + 20})
    assert parameters.isocenterR == pytest.approx(-20)
    moveRoom(parameters)
    assert heights("mobile_carm", "HFS").max() == pytest.approx(-100, abs=10)  # still under the patient


def test_tilting_the_table_turns_the_view_of_the_patient_and_not_the_c_arm(scene):
    parameters = parametersOf("mobile_carm")
    moveRoom(parameters)
    machine = machineOf(parameters)
    writeValues(parameters, machine, machine.values | {"table_tilt": 10.0})
    assert parameters.tableTilt == 10
    # The head end rises, so that straight up is now 10 degrees towards the head in the patient.
    assert (parameters.primaryAngle, parameters.secondaryAngle) == pytest.approx((0, 10))
    assert machineOf(parameters).values["secondary_angle"] == pytest.approx(0, abs=1e-4)
    before = machineOf(parameters).values["primary_angle"]
    moveRoom(parameters)
    assert machineOf(parameters).values["primary_angle"] == pytest.approx(before, abs=1e-4)
    # The detector stands straight over the isocentre in the room, however the patient is tilted.
    carm = CArm(load_device("mobile_carm"))
    detector = slicer.util.arrayFromTransformMatrix(carm.jointNode("sid"), toWorld=True)
    np.testing.assert_allclose(patient_to_room("HFS", 10.0) @ detector[:3, :3] @ [0, 1, 0], [0, 1, 0], atol=1e-6)


def test_a_joint_past_half_a_turn_comes_back_as_it_was(scene):
    """The angiography stand turns to -185 degrees: the same view as 175, but not the same place of the arm."""
    parameters = parametersOf("angiography_stand")
    machine = machineOf(parameters)
    writeValues(parameters, machine, machine.values | {"primary_angle": -183.0})
    assert parameters.primaryAngle == pytest.approx(177)
    assert machineOf(parameters).values["primary_angle"] == pytest.approx(-183)
    machine = machineOf(parameters)
    writeValues(parameters, machine, machine.values | {"primary_angle": -20.0})
    assert parameters.standJoints == "" and machineOf(parameters).values["primary_angle"] == pytest.approx(-20)


@pytest.mark.parametrize("turned", [-180.0, 180.0])
def test_half_a_turn_comes_back_to_the_side_it_was_on(scene, turned):
    """Both give the same view, but from one the joint can go on only to the left, from the other to the right."""
    parameters = parametersOf("mobile_carm")
    machine = machineOf(parameters)
    writeValues(parameters, machine, machine.values | {"primary_angle": turned})
    assert abs(parameters.primaryAngle) == 180 and machineOf(parameters).values["primary_angle"] == turned


def test_nothing_is_made_twice_and_another_device_replaces_the_table(scene):
    parameters = parametersOf("mobile_carm")
    moveRoom(parameters)
    count = scene.GetNumberOfNodes()
    moveRoom(parameters)
    assert scene.GetNumberOfNodes() == count
    parameters.device, parameters.sid = "angiography_stand", 1050.0
    moveRoom(parameters)
    table = load_device("angiography_stand").table
    assert {node.GetName() for node in nodesWithRole("table.part.")} == {part.name for part in table.parts}
    shapes = {
        node.GetName(): json.loads(node.GetAttribute("DeepDRRSlicer.Shape")) for node in nodesWithRole("table.part.")
    }
    assert shapes == {part.name: json.loads(json.dumps(part.shape)) for part in table.parts}


def test_a_device_without_a_table_has_none(scene):
    device = dataclasses.replace(load_device("mobile_carm"), table=None)
    carm, table = CArm(device), TableModel(device)
    carm.build()
    table.build(carm.jointNode(None))
    table.setValues({})
    assert nodesWithRole("table.") == []


def test_a_saved_scene_gives_the_same_room(scene, tmp_path):
    parameters = parametersOf("mobile_carm", patientPosition="HFP", primaryAngle=12.0, tableTilt=5.0)
    moveRoom(parameters)
    name = load_device("mobile_carm").table.parts[0].name
    table = TableModel(load_device("mobile_carm"))
    points, count = worldPoints(table.partNode(name)), scene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    saveScene(tmp_path / "scene.mrb")
    scene.Clear(0)
    loadScene(tmp_path / "scene.mrb")
    np.testing.assert_allclose(worldPoints(table.partNode(name)), points, atol=1e-3)
    parameters.ct = slicer.util.getNode("Water patient")
    moveRoom(parameters)
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == count
    np.testing.assert_allclose(worldPoints(table.partNode(name)), points, atol=1e-3)


def test_removing_leaves_no_table(scene):
    moveRoom(parametersOf("mobile_carm"))
    removeTable()
    removeCArm()
    assert nodesWithRole("table.") == [] and nodesWithRole("carm.") == []


def test_a_c_arm_put_under_a_transform_is_refused_in_a_sentence(scene):
    parameters = parametersOf("mobile_carm")
    moveRoom(parameters)
    mover = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Warp")
    CArm(load_device("mobile_carm")).jointNode(None).SetAndObserveTransformNodeID(mover.GetID())
    with pytest.raises(InputError, match="put under the transform Warp; take C-arm out of it"):
        moveRoom(parameters)


def test_a_ct_under_a_non_linear_transform_is_refused_in_a_sentence(scene):
    parameters = parametersOf("mobile_carm")
    warp = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Warp")
    parameters.ct.SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InputError, match="non-linear transform Warp; harden"):
        moveRoom(parameters)


def test_a_missing_device_file_is_refused_in_a_sentence(scene):
    with pytest.raises(InputError, match="There is no device 'gone.json'"):
        moveRoom(RoomParameters(device="gone.json"))


def test_stand_joints_that_cannot_be_read_are_refused_in_a_sentence(scene):
    for wrong in ("[1]", "{", '{"stand_angle": "far"}'):
        with pytest.raises(InputError, match="choose the device again"):
            machineOf(RoomParameters(standJoints=wrong))
