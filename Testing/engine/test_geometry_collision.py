"""Clearances against closed forms and against everything compared with everything; the body as points."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.geometry.body_points import body_points, largest_part, mask_points
from DeepDRRSlicerLib.geometry.collision import TABLE_SPACING, clearance, first_contact, surroundings
from DeepDRRSlicerLib.geometry.device import Part, joint_frames, load_device
from DeepDRRSlicerLib.geometry.distances import signed_distance
from DeepDRRSlicerLib.geometry.motion import Motion, drive, limits
from DeepDRRSlicerLib.geometry.room import View, machine_values
from DeepDRRSlicerLib.geometry.shape_points import shape_points
from DeepDRRSlicerLib.geometry.standing import clear_stand
from DeepDRRSlicerLib.geometry.table import Lying, lie_down, table_frames

STAND, MOBILE = load_device("angiography_stand"), load_device("mobile_carm")
BOX = {"type": "box", "center": (10.0, -20.0, 30.0), "size": (100.0, 60.0, 40.0)}
CYLINDER = {"type": "cylinder", "start": (0.0, 0.0, -50.0), "end": (0.0, 40.0, 90.0), "radius": 30.0}
ARC = {
    "type": "arc", "center": (5.0, 0.0, 0.0), "axis": (0.0, 0.6, 0.8), "from": (1.0, 0.0, 0.0),
    "start": -60.0, "stop": 100.0, "radius": 120.0, "width": 40.0, "thickness": 24.0,
}  # fmt: skip
WIDE_ARC = ARC | {"start": -170.0, "stop": 150.0}
RING = ARC | {"start": 0.0, "stop": 360.0}


def ellipsoid(step=8.0, half=(180.0, 115.0, 240.0)):
    """Points of a trunk, surface and inside."""
    axes = [np.arange(-h, h + 1, step) for h in half]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.linalg.norm(grid / half, axis=1) <= 1]


TRUNK = ellipsoid(20.0)


def surface_of(shape, spacing):
    """Points all over a shape, made here, for arcs too."""
    if shape["type"] != "arc":
        return shape_points(shape, spacing)
    axis, zero = np.array(shape["axis"]), np.array(shape["from"])
    outer = shape["radius"] + shape["thickness"] / 2
    span = shape["stop"] - shape["start"]
    turns = np.linspace(shape["start"], shape["stop"], int(np.deg2rad(span) * outer / spacing) + 2)
    sides = np.linspace(-0.5, 0.5, int(shape["width"] / spacing) + 2) * shape["width"]
    radii = shape["radius"] + np.linspace(-0.5, 0.5, int(shape["thickness"] / spacing) + 2) * shape["thickness"]
    on = [(turns, sides, radii[[0, -1]]), (turns, sides[[0, -1]], radii)]
    if span < 360:
        on.append((turns[[0, -1]], sides, radii))
    found = []
    for grids in on:
        t, a, r = (grid.reshape(-1, 1) for grid in np.meshgrid(*grids))
        t = np.deg2rad(t)
        found.append(a * axis + r * (np.cos(t) * zero + np.sin(t) * np.cross(axis, zero)))
    return np.concatenate(found) + np.array(shape["center"])


def contains(shape, points):
    """Whether points lie in a shape, by its definition."""
    if shape["type"] == "box":
        return (np.abs(points - shape["center"]) <= np.array(shape["size"]) / 2).all(axis=1)
    if shape["type"] == "cylinder":
        start, end = np.array(shape["start"]), np.array(shape["end"])
        axis = (end - start) / np.linalg.norm(end - start)
        along = (points - start) @ axis
        off = np.linalg.norm(points - start - along[:, None] * axis, axis=1)
        return (along >= 0) & (along <= np.linalg.norm(end - start)) & (off <= shape["radius"])
    axis, zero = np.array(shape["axis"]), np.array(shape["from"])
    offset = points - shape["center"]
    along, x, y = offset @ axis, offset @ zero, offset @ np.cross(axis, zero)
    angle = np.rad2deg(np.arctan2(y, x))
    swept = (shape["start"] <= angle) & (angle <= shape["stop"]) | (angle + 360 <= shape["stop"])
    return (
        (np.abs(along) <= shape["width"] / 2)
        & (np.abs(np.hypot(x, y) - shape["radius"]) <= shape["thickness"] / 2)
        & swept
    )


@pytest.mark.parametrize("shape", [BOX, CYLINDER, ARC, WIDE_ARC, RING], ids=["box", "cylinder", "arc", "wide", "ring"])
def test_distance_to_a_shape_is_that_to_its_nearest_surface_point(shape):
    spacing = 2.5
    surface = surface_of(shape, spacing)
    points = np.random.default_rng(1).uniform(-220, 220, (500, 3))
    points = np.concatenate([points, surface[::50] + np.random.default_rng(2).normal(0, 8, surface[::50].shape)])
    nearest = np.array([np.sqrt(((surface - point) ** 2).sum(axis=1).min()) for point in points])
    found = signed_distance(shape, points)
    assert (np.abs(found) <= nearest + 1e-9).all(), "never farther than some point of the surface"
    # Half the diagonal of the spacing is the most by which the sampled surface can be missed.
    assert (np.abs(found) >= np.sqrt(np.maximum(nearest**2 - spacing**2, 0)) - spacing).all()
    assert (nearest - np.abs(found)).max() < spacing
    clear = np.abs(found) > 1e-6
    assert np.array_equal((found < 0)[clear], contains(shape, points)[clear])
    assert (found < -1).any() and (found > 1).any()


@given(
    center=st.tuples(*[st.floats(-200, 200)] * 3), radius=st.floats(1, 60),
)  # fmt: skip
def test_a_ball_and_a_box_in_closed_form(center, radius):
    """The clearance of a ball is the distance of its middle to the box less its radius."""
    away = np.maximum(np.abs(np.array(center) - BOX["center"]) - np.array(BOX["size"]) / 2, 0)
    if np.linalg.norm(away) <= radius:
        return
    step = np.arange(4000) + 0.5  # a spiral that leaves no place of the ball farther than 0.05 radii from a point
    height, turn = 1 - 2 * step / step.size, np.pi * (1 + np.sqrt(5)) * step
    level = np.sqrt(1 - height**2)
    cloud = center + radius * np.column_stack([level * np.cos(turn), level * np.sin(turn), height])
    exact = np.linalg.norm(away) - radius
    assert exact - 1e-9 <= signed_distance(BOX, cloud).min() <= exact + 0.05 * radius


def lying_on(device, body=TRUNK, position="HFS"):
    lying = lie_down(device.table, body, position)
    return lying, surroundings(device, lying, body)


def values_at(device, lying, primary=0.0, secondary=0.0, sid=1000.0, isocenter=(0.0, 0.0, 0.0), **others):
    return machine_values(device, lying, View(primary, secondary, isocenter, sid), others)


def device_part(device, name):
    return next(part for part in device.parts if part.name == name)


def everything_with_everything(device, lying, body, values):
    """The nearest pair without any shortcut: (distance, part, obstacle)."""
    from DeepDRRSlicerLib.geometry.positioning import patient_to_room

    joints = {None: np.eye(4), **joint_frames(device, values)}
    stands = table_frames(device.table, values, device.isocenter_height)
    clouds = [("patient", "top", (body - lying.origin) @ patient_to_room(lying.position).T, 0.0)]
    for part in device.table.parts:
        clouds.append(("table", part.joint, shape_points(part.shape, TABLE_SPACING), TABLE_SPACING / np.sqrt(2)))
    found = []
    for part, (obstacle, frame, points, gap) in itertools.product(device.parts, clouds):
        between = np.linalg.inv(joints[part.joint]) @ stands[frame]
        distance = signed_distance(part.shape, points @ between[:3, :3].T + between[:3, 3]).min() - gap
        found.append((distance, part.name, obstacle))
    return min(found)


@pytest.mark.parametrize("device", [STAND, MOBILE], ids=["stand", "mobile"])
@pytest.mark.parametrize("position", ["HFS", "FFP", "HFDL"])
def test_the_nearest_pair_is_found_as_without_shortcuts(device, position):
    lying, around = lying_on(device, TRUNK, position)
    rng = np.random.default_rng(5)
    spans = limits(device)
    for _ in range(6):
        others = {"stand_angle": rng.uniform(-90, 90), "table_tilt": rng.uniform(-8, 8)}
        values = values_at(device, lying, isocenter=tuple(rng.uniform(-80, 80, 3)), **others)
        values |= {name: rng.uniform(*spans[name]) for name in ("primary_angle", "secondary_angle", "sid")}
        found = clearance(around, values)
        distance, part, obstacle = everything_with_everything(device, lying, TRUNK, values)
        assert found.distance == pytest.approx(distance, abs=1e-6)
        assert (found.part, found.obstacle) == (part, obstacle) or found.distance == pytest.approx(distance, abs=1e-6)
        assert clearance(around, values, within=found.distance + 1) == found
        assert clearance(around, values, within=found.distance - 1) is None


def test_a_detector_over_a_lying_patient_in_closed_form():
    """At 0/0 the flat face of the detector is as far above the topmost point as the numbers say, to the millimetre."""
    body = np.array([[0.0, 120.0, 0.0], [0.0, -100.0, 0.0], [30.0, 60.0, 0.0]])
    lying, around = lying_on(STAND, body)
    for sid in (900.0, 1000.0):
        found = clearance(around, values_at(STAND, lying, sid=sid))
        face = STAND.source_isocenter_distance
        assert (found.part, found.obstacle) == ("Detector entrance", "patient")
        assert found.distance == pytest.approx(sid - face - 120, abs=1e-6)
    # 160 mm above the isocentre the point is 4 mm deep in the housing, which begins 6 mm behind the face at 150 mm.
    inside = clearance(around, values_at(STAND, lying, sid=900.0, isocenter=(0.0, -40.0, 0.0)))
    assert (inside.part, inside.distance) == ("Detector housing", pytest.approx(-4, abs=1e-6))


def test_the_c_arm_clears_table_and_patient_at_usual_angles_and_not_at_steep_ones():
    for device in (STAND, MOBILE):
        lying, around = lying_on(device)
        usual = [(0, 0), (90, 0), (-90, 0), (180, 0), (30, 0), (-30, -25), (45, 25), (0, 40), (0, -40)]
        for primary, secondary in usual:
            found = clearance(around, values_at(device, lying, primary, secondary, sid=1050.0))
            assert found.distance > 0, (device.name, primary, secondary, found)
    lying, around = lying_on(STAND, TRUNK * (1.3, 1.6, 1))
    near = clearance(around, values_at(STAND, lying, sid=900.0))
    assert near.obstacle == "patient" and near.distance < 0
    # The sleeve at the head end meets the table when the feet are looked at.
    far = clearance(around, values_at(STAND, lying, isocenter=(0.0, 0.0, -500.0)))
    assert far.distance < 0 and far.obstacle == "table" and device_part(STAND, far.part).joint != "sid"
    aside = clearance(around, values_at(STAND, lying, isocenter=(0.0, 0.0, -500.0), stand_angle=90.0, sid=1100.0))
    assert aside.distance > 0, "from the side the stand reaches there"


def test_without_obstacles_there_is_no_contact():
    bare = dataclasses.replace(MOBILE, table=None)
    lying = Lying("HFS", (0.0, 0.0, 0.0))
    around = surroundings(bare, lying, np.empty((0, 3)))
    values = values_at(bare, lying)
    assert clearance(around, values) is None
    motion = drive(bare, values, {"primary_angle": 40.0})
    assert first_contact(around, motion) is None


def test_a_device_without_a_table_still_meets_the_patient():
    bare = dataclasses.replace(STAND, table=None)
    lying, around = Lying("HFP", (0.0, 0.0, 0.0)), None
    around = surroundings(bare, lying, np.array([[0.0, -140.0, 0.0]]))  # the highest point of a prone patient's back
    values = values_at(bare, lying, primary=180.0, sid=1000.0)
    assert values["primary_angle"] == 0
    found = clearance(around, values, isocenter=(0.0, 0.0, 0.0))
    assert (found.part, found.obstacle) == ("Detector entrance", "patient")
    assert found.distance == pytest.approx(1000 - 750 - 140, abs=1e-6)


def test_meshes_stand_for_their_boxes():
    mesh = Part("Detector mesh", "sid", {"type": "mesh", "file": "d.stl"})
    device = dataclasses.replace(STAND, parts=(mesh,), table=None)
    lying, body = Lying("HFS", (0.0, 0.0, 0.0)), np.array([[0.0, 100.0, 0.0]])
    values = values_at(device, lying, sid=1000.0)
    assert clearance(surroundings(device, lying, body), values, (0, 0, 0)) is None
    box = {"type": "box", "center": (0.0, -700.0, 0.0), "size": (300.0, 100.0, 300.0)}
    around = surroundings(device, lying, body, {"Detector mesh": box})
    assert clearance(around, values, (0, 0, 0)).distance == pytest.approx(1000 - 750 - 100)


@pytest.mark.parametrize(
    ("start", "target", "contact"),
    [
        ({"sid": 1200.0}, {"sid": 900.0}, True),  # onto the belly
        ({"primary_angle": 0.0, "sid": 1150.0}, {"primary_angle": 90.0, "secondary_angle": 30.0}, None),
        ({"secondary_angle": -50.0, "sid": 1000.0}, {"secondary_angle": 50.0, "primary_angle": 100.0}, None),
        ({"table_height": 800.0, "sid": 1000.0}, {"table_height": 1050.0}, True),  # the patient goes up to the detector
        ({"primary_angle": 0.0, "sid": 1200.0}, {"sid": 1150.0}, False),
    ],
)
def test_a_motion_stops_before_the_first_contact(start, target, contact):
    body = TRUNK * (1.1, 1.4, 1.0)
    lying, around = lying_on(STAND, body)
    values = values_at(STAND, lying) | start
    motion = drive(STAND, values, target)
    margin = 10.0
    stop = first_contact(around, motion, margin)
    assert contact is None or (stop is not None) == contact
    times = np.arange(0, motion.duration + 0.004, 0.02)
    course = np.array([clearance(around, motion.at(t)).distance for t in times])
    if course[0] < margin:
        return
    if stop is None:
        assert course.min() >= margin - 1e-6
        return
    assert clearance(around, motion.at(stop)).distance >= margin
    assert course[times <= stop].min() >= margin - 1e-6, "no contact was stepped over"
    assert course[times <= stop + 0.05].min() < margin, "it stops no earlier than needed"


def test_a_motion_that_starts_in_contact_may_lead_out_of_it():
    body = TRUNK * (1.0, 1.6, 1.0)
    lying, around = lying_on(STAND, body)
    values = values_at(STAND, lying, sid=900.0)
    assert clearance(around, values).distance < 0
    assert first_contact(around, drive(STAND, values, {"sid": 1200.0})) is None
    assert first_contact(around, drive(STAND, values | {"sid": 905.0}, {"sid": 900.0})) == pytest.approx(0, abs=0.05)


def test_an_empty_motion_has_no_contact():
    lying, around = lying_on(STAND)
    values = values_at(STAND, lying, sid=1100.0)
    assert first_contact(around, Motion(values, dict(values), dict.fromkeys(values, 1.0))) is None


# ---- the body as points


def ct(spacing=(2.0, 2.0, 4.0)):
    """A trunk of 40 HU in air with a couch below it, apart, and a cable."""
    size = (200, 200, 60)
    k, j, i = np.meshgrid(*(np.arange(n) for n in reversed(size)), indexing="ij")
    x, y, z = ((index - (n - 1) / 2) * step for index, n, step in zip((i, j, k), size, spacing, strict=True))
    hu = np.full(k.shape, -1000, np.int16)
    hu[(x / 150) ** 2 + (y / 100) ** 2 <= 1] = 40
    hu[((x / 100) ** 2 + (y / 70) ** 2 <= 1) & (np.abs(z) < 60)] = -850  # lungs
    hu[(np.abs(x) < 180) & (np.abs(y + 140) < 8)] = 100  # couch
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(size, spacing, strict=True)]
    return hu, matrix


def test_the_body_is_the_trunk_without_the_couch():
    hu, matrix = ct()
    points = body_points(hu, matrix)
    x, y, z = points.T
    radius = np.hypot(x / 150, y / 100)
    assert 1000 < len(points) < 15000 and radius.max() <= 1
    # The surface: no place of the trunk's skin is farther than a spacing from a point.
    for angle, height in itertools.product(np.linspace(0, 2 * np.pi, 24, endpoint=False), (-100, 0, 100)):
        skin = np.array([150 * np.cos(angle), 100 * np.sin(angle), height])
        assert np.linalg.norm(points - skin, axis=1).min() < 12
    assert np.ptp(z) > 220
    assert np.array_equal(points, body_points(hu, matrix)), "the same every time"


def test_oblique_and_flipped_volumes_give_points_in_ras():
    hu, matrix = ct()
    turn = np.eye(4)
    turn[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, 1, 0]]
    turn[:3, 3] = [100, 200, 300]
    moved = body_points(hu, turn @ matrix)
    assert np.allclose(moved, body_points(hu, matrix) @ turn[:3, :3].T + turn[:3, 3])


def test_a_ct_without_a_body_gives_no_points():
    assert body_points(np.full((20, 20, 20), -1000, np.int16), np.diag([5.0, 5, 5, 1])).shape == (0, 3)
    assert len(mask_points(np.ones((1, 1, 1), bool), np.eye(4))) == 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.7))
def test_the_largest_part_is_that_of_a_flood(seed, share):
    mask = np.random.default_rng(seed).random((7, 8, 9)) < share
    sizes, left = [], {tuple(p) for p in np.argwhere(mask)}
    parts = []
    while left:
        front, part = [left.pop()], set()
        while front:
            here = front.pop()
            part.add(here)
            for axis, step in itertools.product(range(3), (-1, 1)):
                there = tuple(c + step * (a == axis) for a, c in enumerate(here))
                if there in left:
                    left.remove(there)
                    front.append(there)
        parts.append(part)
        sizes.append(len(part))
    found = {tuple(p) for p in np.argwhere(largest_part(mask))}
    assert (not parts and not found) or (found in parts and len(found) == max(sizes))


def test_points_on_a_surface_leave_no_larger_holes_than_the_spacing_says():
    for shape in (BOX, CYLINDER):
        points, fine = shape_points(shape, 16.0), shape_points(shape, 1.5)
        gaps = [np.sqrt(((points - place) ** 2).sum(axis=1).min()) for place in fine[::7]]
        assert max(gaps) <= 16 / np.sqrt(2) + 0.01
        assert np.abs(signed_distance(shape, points)).max() < 1e-9


@pytest.mark.parametrize("device", [STAND, MOBILE], ids=["stand", "mobile"])
def test_the_stand_goes_aside_where_it_must(device):
    lying, around = lying_on(device)
    view, feet = View(0.0, 0.0, (0.0, 0.0, 0.0), 1050.0), View(0.0, 0.0, (0.0, 0.0, -500.0), 1050.0)
    assert clear_stand(around, view) == 0 and clear_stand(around, view, {"stand_angle": 40.0}) == 40
    assert clearance(around, machine_values(device, lying, feet)).distance < 10
    angle = clear_stand(around, feet)
    assert angle is not None and 15 <= abs(angle) <= 90
    for nearer in np.arange(0, abs(angle) - 1, 15.0):
        for side in (-nearer, nearer):
            assert clearance(around, machine_values(device, lying, feet, {"stand_angle": side})).distance < 10
    # From the side the stand turns too little for a lateral view.
    assert clear_stand(around, View(90.0, 0.0, (0.0, 0.0, -900.0), 1050.0)) is None
    # Without a stand that turns there is nothing to try.
    fixed = dataclasses.replace(
        device, joints=(dataclasses.replace(device.joints[1], parent=None), *device.joints[2:]), parts=(), table=None
    )
    assert clear_stand(surroundings(fixed, lying, TRUNK), view) is None
