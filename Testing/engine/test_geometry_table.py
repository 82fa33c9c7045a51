"""The patient on the table and the table in the room, against statements about where things lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.motion import jog
from DeepDRRSlicerLib.geometry.positioning import POSITIONS, patient_to_room, room_to_ras
from DeepDRRSlicerLib.geometry.room import View, machine_values, patient_view, tilted
from DeepDRRSlicerLib.geometry.table import Lying, isocenter_of, lie_down, table_frames, table_values

DEVICES = {name: load_device(name) for name in ("mobile_carm", "angiography_stand")}
BODY = np.random.default_rng(3).uniform((-180, -120, -300), (160, 110, 200), (500, 3))
ISOCENTER = (15.0, -20.0, -40.0)
positions = st.sampled_from(list(POSITIONS))
devices = st.sampled_from(list(DEVICES))
points = st.tuples(*[st.floats(-300, 300)] * 3)
tilts = st.one_of(st.just(0.0), st.floats(-15, 15))


def apply(matrix, points):
    return np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.mark.parametrize("position", POSITIONS)
def test_the_body_lies_on_the_surface_within_the_table(position):
    table = DEVICES["angiography_stand"].table
    lying = lie_down(table, BODY, position)
    x, y, z = ((BODY - lying.origin) @ patient_to_room(position).T).T
    assert y.min() == pytest.approx(0, abs=1e-9) and x.min() == pytest.approx(-x.max())
    assert z.max() == pytest.approx(-table.head_room)


def test_lying_down_needs_a_body_and_a_known_position():
    table = DEVICES["mobile_carm"].table
    with pytest.raises(InputError, match="no body"):
        lie_down(table, np.empty((0, 3)))
    with pytest.raises(InputError, match="patient position"):
        lie_down(table, BODY, "HFX")


@given(name=devices, position=positions, tilt=tilts, isocenter=points)
def test_the_isocentre_of_a_table_and_the_table_of_an_isocentre(name, position, tilt, isocenter):
    device = DEVICES[name]
    lying = lie_down(device.table, BODY, position)
    values = table_values(device.table, lying, isocenter, tilt, device.isocenter_height)
    assert np.allclose(isocenter_of(device.table, lying, values, device.isocenter_height), isocenter, atol=1e-8)


@given(name=devices, position=positions, tilt=tilts, isocenter=points, point=points)
def test_table_and_patient_are_in_the_room_together(name, position, tilt, isocenter, point):
    """By way of the table's frame a point of the patient comes to where the room's own transform has it."""
    device = DEVICES[name]
    lying = lie_down(device.table, BODY, position)
    values = table_values(device.table, lying, isocenter, tilt, device.isocenter_height)
    top = table_frames(device.table, values, device.isocenter_height)["top"]
    on_table = patient_to_room(position) @ (np.array(point) - lying.origin)
    in_room = apply(np.linalg.inv(room_to_ras(position, tilt, isocenter)), point)
    assert np.allclose(apply(top, on_table), in_room, atol=1e-8)


@given(name=devices, tilt=tilts, isocenter=points)
def test_the_column_carries_the_top_upright_where_it_stands(name, tilt, isocenter):
    device = DEVICES[name]
    lying = lie_down(device.table, BODY)
    values = table_values(device.table, lying, isocenter, tilt, device.isocenter_height)
    frames = table_frames(device.table, values, device.isocenter_height)
    pivot = frames["column"][:3, 3]
    assert np.array_equal(frames["column"][:3, :3], np.eye(3)) and np.array_equal(frames["floor"][:3, :3], np.eye(3))
    assert apply(np.linalg.inv(frames["top"]), pivot)[1] == pytest.approx(0, abs=1e-8), "on the surface"
    assert pivot[1] + device.isocenter_height == pytest.approx(values["table_height"])
    assert pivot[2] - frames["floor"][2, 3] == pytest.approx(-device.table.base_distance)
    assert np.allclose(frames["carriage"][:3, :3], frames["top"][:3, :3])


def test_a_level_table_stands_at_its_height():
    device = DEVICES["angiography_stand"]
    lying = Lying("HFS", (0.0, -120.0, 350.0))
    values = table_values(device.table, lying, (10.0, 0.0, 50.0), 0.0, 1070.0)
    assert values == pytest.approx(
        {"table_height": 950, "table_longitudinal": 300, "table_lateral": -10, "table_tilt": 0}
    )


@pytest.mark.parametrize(
    ("position", "name", "moves"),
    [
        ("HFS", "table_height", (0, -10, 0)),  # the patient goes up, the isocentre back in them
        ("HFP", "table_height", (0, 10, 0)),
        ("HFDL", "table_height", (-10, 0, 0)),  # the left side is down
        ("HFDR", "table_height", (10, 0, 0)),
        ("HFS", "table_longitudinal", (0, 0, -10)),  # the patient goes headwards, the isocentre feetwards in them
        ("FFS", "table_longitudinal", (0, 0, 10)),
        ("HFS", "table_lateral", (-10, 0, 0)),  # the patient goes to their right
        ("HFP", "table_lateral", (10, 0, 0)),
    ],
)
def test_moving_the_table_moves_the_isocentre_in_the_patient(position, name, moves):
    device = DEVICES["angiography_stand"]
    lying = lie_down(device.table, BODY, position)
    values = machine_values(device, lying, View(0.0, 0.0, ISOCENTER, 1000.0))
    view = patient_view(device, lying, jog(device, values, name, 10))
    assert np.allclose(np.subtract(view.isocenter, ISOCENTER), moves)
    assert (view.primary_angle, view.secondary_angle) == pytest.approx((0, 0), abs=1e-9)


@given(
    name=devices, position=positions, tilt=tilts, isocenter=points, stand=st.floats(-90, 90),
    primary=st.floats(-179.9, 180), secondary=st.floats(-85, 85),
)  # fmt: skip
def test_a_view_comes_back_from_the_values_of_the_machine(name, position, tilt, isocenter, stand, primary, secondary):
    device = DEVICES[name]
    lying = lie_down(device.table, BODY, position)
    others = {"stand_angle": stand, "table_tilt": tilt}
    values = machine_values(device, lying, View(primary, secondary, isocenter, 1000.0), others)
    assert set(values) == {joint.name for joint in device.joints} | {
        "table_height", "table_longitudinal", "table_lateral", "table_tilt"}  # fmt: skip
    back = patient_view(device, lying, values)
    assert abs((back.primary_angle - primary + 180) % 360 - 180) < 1e-4
    assert back.secondary_angle == pytest.approx(secondary, abs=1e-6)
    assert np.allclose(back.isocenter, isocenter, atol=1e-7) and back.sid == 1000


@given(name=devices, position=positions, wanted=st.floats(-40, 40))
def test_tilting_keeps_the_isocentre_and_all_limits(name, position, wanted):
    device = DEVICES[name]
    lying = lie_down(device.table, BODY, position)
    level = machine_values(device, lying, View(10.0, 0.0, ISOCENTER, 1000.0))
    moved = tilted(device, lying, level, wanted)
    low, high = device.table.height.limits
    assert low - 1e-6 <= moved["table_height"] <= high + 1e-6
    assert device.table.tilt.limits[0] <= moved["table_tilt"] <= device.table.tilt.limits[1]
    assert moved["table_tilt"] * wanted >= 0 and abs(moved["table_tilt"]) <= abs(wanted) + 1e-9
    view = patient_view(device, lying, moved)
    assert np.allclose(view.isocenter, ISOCENTER, atol=1e-6)
    assert moved["primary_angle"] == level["primary_angle"], "the C-arm stands still"
    stopped = abs(moved["table_tilt"]) < min(abs(wanted), 15) - 1e-6
    assert not stopped or min(moved["table_height"] - low, high - moved["table_height"]) < 1e-3, "only by a limit"


def test_a_table_tilted_head_up_is_looked_at_from_below_the_head():
    device = DEVICES["mobile_carm"]
    lying = lie_down(device.table, BODY)
    level = machine_values(device, lying, View(0.0, 0.0, ISOCENTER, 1000.0))
    moved = tilted(device, lying, level, 5.0)
    assert moved["table_tilt"] == 5 and patient_view(device, lying, moved).secondary_angle == pytest.approx(5)
    assert moved["table_height"] < level["table_height"], "the foot end, where the column is, goes down"


def test_a_device_without_a_table_keeps_its_isocentre_apart():
    import dataclasses

    device = dataclasses.replace(DEVICES["mobile_carm"], table=None)
    lying = Lying("HFP", (0.0, 0.0, 0.0))
    values = machine_values(device, lying, View(180.0, 0.0, ISOCENTER, 1000.0))
    assert set(values) == {"stand_angle", "primary_angle", "secondary_angle", "sid"}
    assert patient_view(device, lying, values, ISOCENTER) == View(180.0, 0.0, ISOCENTER, 1000.0)
