"""Device files: what they say about the machine's movement, and how wrong ones are refused."""

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from json_fuzz import files_like

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry import device as device_module
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import Device, check_reach, device_names, joint_frames, joint_motion, load_device
from DeepDRRSlicerLib.geometry.distances import signed_distance
from DeepDRRSlicerLib.geometry.shape_points import shape_points
from DeepDRRSlicerLib.geometry.table import TABLE_AXES, table_frames
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid

FILE = Path(device_module.__file__).parents[1] / "data" / "devices" / "mobile_carm.json"
VALID = json.loads(FILE.read_text())
SMALL = VALID | {
    "parts": [VALID["parts"][0], VALID["parts"][7], VALID["parts"][19]],
    "table": VALID["table"] | {"parts": VALID["table"]["parts"][:2]},
}
DEVICES = ("mobile_carm", "angiography_stand")


def changed(path, value):
    """The valid file with the value at a path replaced, or taken away where it is `del`."""
    data = copy.deepcopy(SMALL)
    target = data
    for key in path[:-1]:
        target = target[key]
    if value == "del":
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return data


@pytest.fixture
def load(tmp_path):
    def load(data):
        path = tmp_path / "device.json"
        path.write_text(json.dumps(data))
        return load_device(path)

    return load


def test_shipped_devices_are_read_by_name_and_by_path(load):
    assert "mobile_carm" in device_names()
    by_name, by_path = load_device("mobile_carm"), load(VALID)
    assert by_name == by_path and isinstance(by_name, Device)
    assert by_name.source_image_distance.limits == (900, 1100) and by_name.filtration == {"Al": 3.0}
    assert len(by_name.parts) == len(VALID["parts"]) and by_path.folder != by_name.folder


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize(("primary", "secondary"), [(0, 0), (30, 0), (-70, 25), (180, -40)])
def test_joints_carry_source_and_detector_to_where_the_beam_has_them(name, primary, secondary):
    """The scene draws the chain of joints, the engine computes the beam: they are one machine."""
    device = load_device(name)
    sid, sod = 1050.0, device.source_isocenter_distance
    frames = joint_frames(device, {"primary_angle": primary, "secondary_angle": secondary, "sid": sid})
    beam = CArmPose(primary, secondary, (0, 0, 0), sid, sod, (11, 21), (1, 2)).beam()
    at_source = (0, -sod, 0, 1)
    assert np.allclose((frames["secondary_angle"] @ at_source)[:3], beam.source)
    assert np.allclose((frames["sid"] @ at_source)[:3], beam.detector_center)


@pytest.mark.parametrize("name", DEVICES)
def test_exposure_modes_of_the_shipped_devices(name):
    device = load_device(name)
    assert [mode.name for mode in device.exposure_modes] == ["fluoro", "spot", "cine"]
    fluoro = device.exposure_mode("fluoro")
    assert fluoro.pulse_rates == (3, 7.5, 15, 30) and fluoro.pulse_rate == 15
    assert 20 <= fluoro.detector_kerma <= 40 and 100 <= device.exposure_mode("cine").detector_kerma <= 200
    with pytest.raises(InputError, match="no exposure mode 'boost'; it has fluoro, spot, cine"):
        device.exposure_mode("boost")


def test_a_device_without_new_keys_is_still_one(load):
    new = ("anode_direction", "collimator_distance", "generator_power", "exposure_modes", "isocenter_height", "table")
    old = {key: value for key, value in VALID.items() if key not in new}
    device = load(old)
    assert device.table is None and device.isocenter_height > 0
    assert device.anode_direction == (1, 0) and device.exposure_modes == () and device.generator_power is None
    with pytest.raises(InputError, match="set by hand"):
        device.exposure_mode("fluoro")


def test_the_curve_between_its_points():
    """mA and mAs are linear in kV, and end where the curve ends."""
    mode = load_device("mobile_carm").exposure_mode("fluoro")
    assert mode.at(65) == pytest.approx((15.0, 0.08))
    assert mode.at(60) == pytest.approx((10.0, 0.04)) and mode.at(40) == mode.at(45) and mode.at(125) == mode.at(120)
    assert mode.most_at(60, 15.0) == pytest.approx((80.0, 0.96))
    assert mode.most_at(60, 3.0) == pytest.approx((50.0, 0.6)) and mode.most_at(60) == mode.most_at(60, 15.0)
    assert mode.least_load == pytest.approx(0.01)


def test_a_rotation_turns_about_its_origin_by_the_right_hand_rule():
    joint = device_module.Joint("j", "rotation", (0.0, 0.0, 1.0), (-90.0, 90.0), 1.0, origin=(1.0, 2.0, 3.0))
    assert np.allclose(joint_motion(joint, 90) @ (2, 2, 3, 1), (1, 3, 3, 1))
    assert np.allclose(joint_motion(joint, 0), np.eye(4))


def test_a_view_beyond_a_joint_is_refused_and_one_at_its_limit_is_not():
    device = load_device("mobile_carm")

    def pose(primary=0.0, secondary=0.0, sid=1000.0):
        return CArmPose(primary, secondary, (0, 0, 0), sid, 600, (10, 10), (1, 1))

    for good in (pose(), pose(secondary=50), pose(secondary=-50), pose(sid=900), pose(sid=1100), pose(primary=180)):
        check_reach(good, device)
    for bad, words in ((pose(secondary=50.1), "-50 to 50 degrees"), (pose(sid=899), "sid of 899 .* 900 to 1100 mm")):
        with pytest.raises(InputError, match=words):
            check_reach(bad, device)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["format"], "x", '"format" must be'),
        (["name"], "del", "name is missing"),
        (["name"], 5, "name must be text"),
        (["colour"], "red", "no key colour"),
        (["folder"], "/", "no key folder"),
        (["filtration"], "Al:3", "filtration must be"),
        (["filtration", "Al"], -1, "filtration must be"),
        (["focal_spot"], True, "focal_spot must be a number"),
        (["source_isocenter_distance"], 950, "between source and detector"),
        (["source_image_distance", "limits"], [900, 1200], "same limits"),
        (["source_image_distance", "default"], 800, "within its limits"),
        (["tube_voltage", "limits"], [120, 40], r"\[lowest, highest\]"),
        (["tube_load", "limits"], [0, 40], "above 0"),
        (["anode_direction"], [1, 1], "anode_direction must have length 1"),
        (["anode_direction"], [1, 0, 0], "anode_direction must be a list of 2"),
        (["collimator_distance"], 600, "between source and isocentre"),
        (["exposure_modes"], [], "an object of modes by name"),
        (["exposure_modes", "fluoro"], 3, "an object of modes by name"),
        (["exposure_modes", "fluoro", "name"], "x", "an object of modes by name"),
        (["exposure_modes", "fluoro", "dose"], 1, "no key dose in exposure_modes.fluoro"),
        (["exposure_modes", "fluoro", "curve"], "del", "key curve is missing in exposure_modes.fluoro"),
        (["exposure_modes", "fluoro", "curve"], [], r"a list of \[kV, mA, ms\]"),
        (["exposure_modes", "fluoro", "curve", 0], [45, 5], r"exposure_modes.fluoro.curve\[0\] must be a list of 3"),
        (["exposure_modes", "fluoro", "curve", 0, 1], 0, "greater than 0"),
        (["exposure_modes", "fluoro", "curve", 1, 0], 45, "the kV must rise"),
        (["exposure_modes", "fluoro", "curve", 1, 2], 0.1, "the mAs must not fall"),
        (["exposure_modes", "fluoro", "curve", 5, 0], 121, "limits of tube_voltage"),
        (["exposure_modes", "spot", "curve", 5, 2], 2000, "limits of tube_load"),
        (["exposure_modes", "fluoro", "lowest_current"], 1, "limits of tube_load"),
        (["exposure_modes", "fluoro", "shortest_pulse"], 3, "must not exceed the curve's first point"),
        (["exposure_modes", "fluoro", "curve", 5, 1], 130, "more than the generator_power"),
        (["exposure_modes", "fluoro", "curve", 5, 2], 34, "longer than the time between them"),
        (["exposure_modes", "fluoro", "pulse_rate"], 10, "must be one of its pulse_rates"),
        (["exposure_modes", "fluoro", "pulse_rate"], "del", "must be one of its pulse_rates"),
        (["exposure_modes", "spot", "kerma_rate_limit"], 88, "but no pulse_rates"),
        (["exposure_modes", "cine", "added_filtration"], {"Cu": -1}, "exposure_modes.cine.added_filtration must be"),
        (["joints"], [], "primary_angle, secondary_angle, sid are missing"),
        (["joints", 0, "type"], "ball", "rotation or a translation"),
        (["joints", 1, "axis"], [0, 0, -1], "must turn about"),
        (["joints", 0, "axis"], [0, 0, 2], r"joints\[0\].axis must have length 1"),
        (["joints", 0, "axis"], [0, 1], r"joints\[0\].axis must be a list of 3"),
        (["joints", 0, "parent"], "sid", "must stand before it"),
        (["joints", 0, "limits"], [10, 20], "must include 0"),
        (["joints", 0, "speed"], 0, "greater than 0"),
        (["joints", 2, "name"], "primary_angle", "there twice"),
        (["joints", 2, "origin"], [0, 0, 30], "through the isocentre"),
        (["joints", 3, "axis"], [0, -1, 0], "must move with them"),
        (["joints", 3, "parent"], "primary_angle", "must move with them"),
        (["joints", 0, "type"], "translation", "carries primary_angle, so it must turn about a line"),
        (["joints", 0, "origin"], [30, 0, 0], "carries primary_angle, so it must turn about a line"),
        (["joints"], [*SMALL["joints"], SMALL["joints"][0] | {"name": "table_tilt"}], "must not be called table_tilt"),
        (["isocenter_height"], 0, "greater than 0"),
        (["table"], [], "table must be an object"),
        (["table", "tilt"], "del", "key tilt is missing in table"),
        (["table", "height", "speed"], 0, "table.height.speed must be greater than 0"),
        (["table", "height", "limits"], [0, 900], "table.height must be above 0"),
        (["table", "height", "limits"], [900, 700], r"\[lowest, highest\]"),
        (["table", "longitudinal", "limits"], [5, 5], "table.longitudinal must leave room"),
        (["table", "lateral", "limits"], [5, 9], "table.lateral must include 0"),
        (["table", "tilt", "limits"], [-70, 5], "table.tilt must include 0 and lie between -60 and 60"),
        (["table", "rolls"], 1, "table.rolls must be true or false"),
        (["table", "parts", 0, "joint"], "sid", "unknown joint 'sid'"),
        (["table", "parts", 0, "shape"], {"type": "mesh", "file": "t.stl"}, "must be a box or a cylinder"),
        (["table", "parts", 1, "name"], "Mattress", "same name"),
        (["parts", 0, "joint"], "elbow", "unknown joint 'elbow'"),
        (["parts", 0, "shape", "type"], "blob", "must be one of box"),
        (["parts", 0, "shape", "radius"], 3, "needs exactly center, size"),
        (["parts", 0, "shape", "size"], [1, 0, 1], "greater than 0"),
        (["parts", 0, "color"], [255, 0, 0], "from 0 to 1"),
        (["parts", 1, "shape", "start"], SMALL["parts"][1]["shape"]["end"], "no length"),
        (["parts", 2, "shape", "from"], [1, 0, 0], "right angle"),
        (["parts", 1, "name"], "Cart", "same name"),
    ],
)
def test_a_wrong_device_file_is_refused_with_its_place(load, path, value, words):
    load(SMALL)
    with pytest.raises(InputError, match=words) as caught:
        load(changed(path, value))
    assert "\n" not in str(caught.value) and "device.json" in str(caught.value)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_any_file_gives_a_device_or_a_sentence(tmp_path, count):
    path = tmp_path / "device.json"

    @settings(max_examples=count, deadline=None)
    @given(text=files_like(SMALL))
    def run(text):
        path.write_text(text, encoding="utf-8")
        try:
            found = load_device(path)
        except InputError as error:
            assert str(error).endswith(".") and "device.json" in str(error)
        else:
            frames = joint_frames(found, {"primary_angle": 10.0, "secondary_angle": 5.0, "sid": 1000.0})
            assert all(np.isfinite(frame).all() for frame in frames.values())
            if found.table is not None:
                values = {name: sum(found.table.axis(name).limits) / 2 for name in TABLE_AXES}
                stands = table_frames(found.table, values, found.isocenter_height)
                assert all(np.isfinite(frame).all() for frame in stands.values())

    run()


def test_a_device_that_is_not_there_names_those_that_are():
    with pytest.raises(InputError, match="mobile_carm"):
        load_device("no such machine")


def part_points(shape):
    """Points all over a part, some 30 mm apart."""
    if shape["type"] != "arc":
        return shape_points(shape, 30.0)
    axis, zero = np.array(shape["axis"]), np.array(shape["from"])
    angles = np.deg2rad(np.arange(shape["start"], shape["stop"], 2.0))
    sides, radii = (
        np.array([-0.5, 0, 0.5]) * shape["width"],
        shape["radius"] + np.array([-0.5, 0.5]) * shape["thickness"],
    )
    t, a, r = (grid.reshape(-1, 1) for grid in np.meshgrid(angles, sides, radii))
    return np.array(shape["center"]) + a * axis + r * (np.cos(t) * zero + np.sin(t) * np.cross(axis, zero))


def places(device, steps):
    """Frames of the joints all over their ranges, with the values."""
    spans = [np.linspace(*device.joint(name).limits, n) for name, n in zip(("primary_angle", "secondary_angle"), steps)]
    for primary, secondary, sid in itertools.product(*spans, device.joint("sid").limits):
        values = {"primary_angle": primary, "secondary_angle": secondary, "sid": sid}
        yield values, {None: np.eye(4), **joint_frames(device, values)}


@pytest.mark.parametrize("steps", [(5, 3), pytest.param((13, 7), marks=pytest.mark.long)])
@pytest.mark.parametrize("name", DEVICES)
def test_no_part_goes_through_another(name, steps):
    """Only what carries something by design reaches into it: the arc's bearing, the detector's lift, the cross-arm."""
    device = load_device(name)
    meant = [{"C-arc", "Sleeve"}, {"Inner rail", "Sleeve"}, {"C-arc", "Collar"}, {"Inner rail", "Collar"},
             {"L-arm head", "Pivot"}, {"Carriage", "Cross-arm"}]  # fmt: skip
    clouds = {part.name: part_points(part.shape) for part in device.parts}
    for values, frames in places(device, steps):
        for one, other in itertools.permutations(device.parts, 2):
            if one.joint == other.joint or {one.name, other.name} in meant or "Detector lift" in (one.name, other.name):
                continue
            between = np.linalg.inv(frames[other.joint]) @ frames[one.joint]
            points = clouds[one.name] @ between[:3, :3].T + between[:3, 3]
            assert signed_distance(other.shape, points).min() > -0.5, (one.name, other.name, values)


@pytest.mark.parametrize("name", DEVICES)
def test_the_patient_and_the_beam_are_clear(name):
    """A head of 29 cm at the isocentre at any distance, and everything between collimator and detector."""
    device = load_device(name)
    sod, (rows, columns) = device.source_isocenter_distance, load_detector(device.detector).pixels
    pitch = load_detector(device.detector).pixel_pitch
    half = np.array([columns, rows]) / 2 * pitch
    clouds = [(part, part_points(part.shape)) for part in device.parts]
    for values, frames in places(device, (7, 5)):
        into_beam = np.linalg.inv(frames["secondary_angle"])
        for part, cloud in clouds:
            room = cloud @ frames[part.joint][:3, :3].T + frames[part.joint][:3, 3]
            assert np.linalg.norm(room, axis=1).min() > 145, (part.name, values)
            x, y, z = (room @ into_beam[:3, :3].T + into_beam[:3, 3]).T
            field = (np.abs(np.column_stack([x, z])) < half * ((y + sod) / values["sid"])[:, None]).all(axis=1)
            assert not (field & (y > 300 - sod) & (y < values["sid"] - sod - 1)).any(), (part.name, values)


@pytest.mark.parametrize("name", DEVICES)
def test_the_machine_stands_on_the_floor_and_its_tube_under_the_table(name):
    device = load_device(name)
    frames = {None: np.eye(4), **joint_frames(device, {"sid": 1000.0})}
    heights = {
        part.name: (part_points(part.shape) @ frames[part.joint][:3, :3].T + frames[part.joint][:3, 3])[:, 1]
        for part in device.parts
    }
    lowest = min(height.min() for height in heights.values())
    assert lowest == pytest.approx(-device.isocenter_height, abs=1)
    underside = device.table.height.limits[0] - device.isocenter_height - 70
    assert heights["Tube"].max() < underside < 0 < heights["Detector housing"].min()
    for height in device.table.height.limits:
        values = {"table_height": height, "table_longitudinal": 600.0, "table_lateral": 0.0, "table_tilt": 0.0}
        stands = table_frames(device.table, values, device.isocenter_height)
        spans = {part.name: part_points(part.shape)[:, 1] + stands[part.joint][1, 3] for part in device.table.parts}
        assert min(span.min() for span in spans.values()) >= -device.isocenter_height - 1
        assert spans["Table column"].min() < spans["Table foot"].max() < spans["Table carriage"].min(), "telescopes"
        assert spans["Mattress"].max() == pytest.approx(height - device.isocenter_height)


@pytest.mark.parametrize("name", DEVICES)
def test_what_a_device_names_is_there_and_fits(name):
    device = load_device(name)
    detector = load_detector(device.detector)
    load_grid(device.grid)
    entrance = next(part.shape["size"] for part in device.parts if part.name == "Detector entrance")
    rows, columns = np.array(detector.pixels) * detector.pixel_pitch
    assert columns <= entrance[0] <= 1.2 * columns and rows <= entrance[2] <= 1.2 * rows
    assert len(detector.magnification_fields) >= 2
    face = next(part.shape for part in device.parts if part.name == "Detector entrance")
    assert face["center"][1] - face["size"][1] / 2 == pytest.approx(-device.source_isocenter_distance, abs=1.5)
