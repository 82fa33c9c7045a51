"""The whole chain against published slabs, and the picture of a real chest."""

import dataclasses
import json

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.files import beam_from_dict, beam_to_dict
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.materials import density
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.decomposition import THRESHOLD, Decomposition
from DeepDRRSlicerLib.simulation.display import Window, display_image
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique, check_limits, parse_filtration
from DeepDRRSlicerLib.simulation.views import ViewRequest, ViewSimulator, with_pose
from phantoms import centered, ras_grid, restored, storage_orders

IDEAL = load_detector("ideal")
DEVICE = dataclasses.replace(load_device("mobile_carm"), grid="none")
# 80 kVp, 3 mm Al, tungsten 12 degrees, ideal energy-integrating detector (computed with spekpy and xraylib).
PMMA_SLABS = {10: 0.76034, 50: 0.26372, 100: 0.073980, 150: 0.021504, 200: 0.0064016}


def view(primary=0, secondary=0, size=(41, 41), pitch=2.0, isocenter=(0, 0, 0), sid=1000):
    return CArmPose(primary, secondary, isocenter, sid, 600, size, (pitch, pitch)).beam()


def taken(technique=None, detector=IDEAL, **changes):
    """A picture without noise, tube load by hand, by a detector that takes in everything."""
    return Acquisition(DEVICE, detector, technique or Technique(), **changes)


def water_ct(hu=0, shape=(40, 40, 40)):
    array = np.full(shape, -1000, dtype=np.int16)
    array[8:-8, 8:-8, 8:-8] = hu
    return Volume(array, centered(shape, (5, 5, 5)))


@pytest.mark.parametrize("thickness", PMMA_SLABS)
def test_pmma_slabs_through_the_whole_chain(thickness):
    """A slab named PMMA, 5 mm voxels, seen face on: central transmission within 2 % of the reference."""

    def slab(ct, *_):
        layers = np.zeros((*ct.array.shape, 1), np.float32)
        layers[:, 0 : thickness // 5] = density("PMMA")
        return MaterialVolume.from_density(("PMMA",), layers, ct.ijk_to_ras)

    shape = (60, 44, 60)
    ct = Volume(np.zeros(shape, np.int16), centered(shape, (5, 5, 5)))
    radiograph = Simulator(ct, Decomposition("slab", slab)).simulate(view(), taken(Technique(80, 1.0, {"Al": 3})))
    assert radiograph.transmission[20, 20] == pytest.approx(PMMA_SLABS[thickness], rel=0.02)


def test_signal_is_absolute():
    """keV per pixel: in proportion to mAs and pixel area, and to the inverse square of the distance."""
    simulator = Simulator(water_ct())
    one = simulator.simulate(view(), taken(Technique(mas=1)))
    two = simulator.simulate(view(), taken(Technique(mas=2)))
    coarse = simulator.simulate(view(pitch=4.0), taken(Technique(mas=1)))
    far = simulator.simulate(view(sid=1500), taken(Technique(mas=1)))
    assert np.allclose(two.signal, 2 * one.signal, rtol=1e-6)
    assert coarse.open_field[20, 20] == pytest.approx(4 * one.open_field[20, 20], rel=1e-6)
    assert far.open_field[20, 20] == pytest.approx(one.open_field[20, 20] / 2.25, rel=1e-6)
    # 1.38e8 photons/cm2/mAs of 43.83 keV at 1 m (reference table), on 4 mm2.
    assert one.open_field[20, 20] == pytest.approx(1.38e6 * 43.83 * 4, rel=0.01)


@pytest.mark.parametrize(("sid", "pitch"), [(1000, 2.0), (1300, (1.0, 3.0))])
def test_open_field_and_dose_of_every_pixel(sid, pitch):
    """Inverse square and obliquity together go with the cube of the cosine; the dose is what enters all pixels."""
    du, dv = np.broadcast_to(pitch, 2)
    pose = CArmPose(30, 20, (0, 0, 0), sid, 600, (21, 11), (du, dv))
    radiograph = Simulator(water_ct()).simulate(pose.beam(), taken(Technique(mas=3)))
    v, u = np.meshgrid((np.arange(21) - 10) * dv, (np.arange(11) - 5) * du, indexing="ij")
    cosine = sid / np.sqrt(sid**2 + u**2 + v**2)
    expected = radiograph.open_field[10, 5] * cosine**3
    assert np.allclose(radiograph.open_field, expected, rtol=1e-5)
    assert radiograph.open_field[10, 5] == pytest.approx(1.38e6 * 43.83 * 3 * du * dv * (1000 / sid) ** 2, rel=0.01)
    kerma = radiograph.metadata["spectrum"]["air_kerma_at_1m_ugy"]
    assert kerma == pytest.approx(3 * 70.2, rel=0.02)
    area = (cosine**2).sum() * du * dv * (1000 / sid) ** 2  # mm2 at 1 m; kerma knows no obliquity
    assert radiograph.metadata["dose"]["kerma_area_product_gycm2"] == pytest.approx(kerma * 1e-6 * area / 100, rel=1e-6)
    assert radiograph.metadata["direction"]["primary_angle"] == pytest.approx(30)
    assert radiograph.metadata["direction"]["secondary_angle"] == pytest.approx(20)
    device = load_device("mobile_carm")
    dose = with_pose(radiograph, pose, device).metadata["dose"]
    assert dose["reference_air_kerma_ugy"] == pytest.approx(kerma / 0.45**2)
    assert dose["kerma_area_product_gycm2"] > 0
    near = dataclasses.replace(pose, sod=150)
    assert "reference_air_kerma_ugy" not in with_pose(radiograph, near, device).metadata["dose"]


def lumpy_ct():
    """A body of soft tissue, fat, bone, lung and metal without any symmetry, which the CT cuts off on one side."""
    rng = np.random.default_rng(2)
    shape = (34, 42, 38)
    matrix = centered(shape, (4.0, 4.5, 5.0))
    hu = np.full(shape, -1000, np.int16)
    grid = ras_grid(shape, matrix)
    for radius, value in [(75, 40), *zip(rng.uniform(8, 30, 12), (-80, 900, -750, 300, 1600, 60) * 2), (5, 3071)]:
        hu[np.linalg.norm(grid - (rng.uniform(-45, 45, 3) if radius < 75 else (20, 0, 10)), axis=-1) < radius] = value
    return Volume(hu, matrix)


def same_picture(one, other):
    """To 1e-4 of the maximum, in the signal and in every material's area density; and the same rays flagged."""
    assert one.materials == other.materials
    assert np.abs(one.signal - other.signal).max() <= 1e-4 * one.signal.max()
    assert np.abs(one.area_density - other.area_density).max() <= 1e-4 * one.area_density.max()
    assert (one.border != other.border).mean() < 1e-3
    return True


@pytest.mark.parametrize(
    ("angles", "size"),
    [((0, 0), 48), ((45, 0), 48), *(pytest.param(a, 160, marks=pytest.mark.long) for a in ((33, -21), (90, 45)))],
)
def test_the_image_does_not_depend_on_how_the_ct_is_stored(angles, size):
    """All 48 axis orders and flips of the CT, each with its matrix, through the whole chain."""
    ct = lumpy_ct()
    beam = view(*angles, size=(size, size), pitch=240 / size)
    reference = Simulator(ct).simulate(beam, taken())
    assert reference.border.any() and reference.materials == ("adipose", "water", "bone", "titanium")
    for permutation, flips in storage_orders():
        stored = Volume(*restored(ct.array, ct.ijk_to_ras, list(permutation), flips))
        assert same_picture(Simulator(stored).simulate(beam, taken()), reference), (permutation, flips)


@pytest.mark.parametrize(("count", "size"), [(6, 64), pytest.param(60, 128, marks=pytest.mark.long)])
def test_the_image_does_not_change_when_patient_and_c_arm_are_rotated_together(count, size):
    rng = np.random.default_rng(8)
    ct = lumpy_ct()
    for _ in range(count):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        move = np.eye(4)
        move[:3, :3], move[:3, 3] = q * np.linalg.det(q), rng.uniform(-500, 500, 3)
        beam = view(rng.uniform(-180, 180), rng.uniform(-90, 90), size=(size, size), pitch=240 / size)
        still = Simulator(ct).simulate(beam, taken())
        moved = Simulator(Volume(ct.array, move @ ct.ijk_to_ras)).simulate(beam.transformed(move), taken())
        assert same_picture(moved, still)


def test_settings_hash_is_the_same_for_the_same_settings_however_written():
    simulator = Simulator(water_ct())

    def of(technique, beam=None):
        return simulator.settings_hash(beam or view(), taken(technique))

    base = of(Technique(80, 2.0, {"aluminium": 3.0, "copper": 0.1}))
    for technique in (
        Technique(80.0, 2, {"Cu": 0.1, "Al": 3}),
        Technique(np.int64(80), np.float64(2), {"copper": np.float64(0.1), "Al": np.int32(3)}),
        Technique(80, 2, parse_filtration("Cu:0.1,Al:3")),
    ):
        assert of(technique) == base and technique == Technique(80, 2.0, {"aluminium": 3.0, "copper": 0.1})
    beam = view()
    again = beam_from_dict(json.loads(json.dumps(beam_to_dict(beam))))
    assert of(Technique(), again) == of(Technique(), beam)
    moved = Volume(water_ct().array, centered((40, 40, 40), (5, 5, 5.001)))
    others = [
        of(Technique(80, 2.0, {"Al": 3.0})),
        of(Technique(80, 2.1, {"Al": 3.0, "Cu": 0.1})),
        of(Technique(80, 2.0, {"Al": 3.0, "Cu": 0.1}), view(pitch=2.001)),
        Simulator(moved).settings_hash(beam, taken(Technique(80, 2.0, {"Al": 3, "Cu": 0.1}))),
        Simulator(water_ct(), Decomposition("other", THRESHOLD.decompose)).settings_hash(
            beam, taken(Technique(80, 2.0, {"Al": 3, "Cu": 0.1}))
        ),
    ]
    assert len({base, *others}) == 6
    usual = load_device("mobile_carm")
    weaker = dataclasses.replace(usual, exposure_modes=usual.exposure_modes[:1])
    automatic = [
        simulator.settings_hash(beam, Acquisition(device, load_detector("ideal"), Automatic("fluoro")))
        for device in (usual, dataclasses.replace(usual, joints=()), weaker)
    ]
    assert automatic[0] == automatic[1] != automatic[2]  # joints do not decide the picture, exposure modes do
    assert simulator.simulate(beam, taken()).settings_hash == of(Technique())


def request(patient="a", hu=0, **changes):
    pose = CArmPose(0, 0, (0, 0, 0), 1000, 600, (8, 8), (10, 10))
    settings = {"pose": pose, "acquisition": taken()} | changes
    return ViewRequest(ct=water_ct(hu), patient=patient, **settings)


def test_a_patient_is_prepared_once_and_a_new_one_replaces_it():
    views = ViewSimulator()
    first = views.simulate(request())
    assert views.simulate(request(hu=500)).settings_hash == first.settings_hash, "the key says: the same patient"
    other = views.simulate(request("b", hu=500))
    assert other.settings_hash != first.settings_hash and other.signal[4, 4] < first.signal[4, 4]
    assert views.simulate(request()).settings_hash == first.settings_hash
    assert first.metadata["device"] == "Generic mobile C-arm" and first.metadata["c_arm"]["view"] == "AP"
    with pytest.raises(Stopped):
        views.simulate(request(pose=CArmPose(5, 0, (0, 0, 0), 1000, 600, (8, 8), (10, 10))), lambda: True)


def test_a_request_beyond_the_device_is_refused():
    """Its technique; the reach depends on how the patient lies, and is looked at where that is known."""
    with pytest.raises(InputError, match="tube voltage of 121"):
        request(acquisition=taken(Technique(kvp=121)))
    with pytest.raises(InputError, match="tube load"):
        request(acquisition=taken(Technique(mas=0.001)))
    request(acquisition=taken(Technique(kvp=120, mas=100)))


def test_settings_hash_follows_whatever_changes_the_image():
    simulator = Simulator(water_ct())
    base = simulator.settings_hash(view(), taken())
    assert base == Simulator(water_ct()).settings_hash(view(), taken())
    others = [
        simulator.settings_hash(view(1), taken()),
        simulator.settings_hash(view(), taken(Technique(kvp=81))),
        simulator.settings_hash(view(), taken(detector=load_detector("mobile_flat_panel"))),
        Simulator(water_ct(hu=10)).settings_hash(view(), taken()),
    ]
    assert len({base, *others}) == 5


def test_display_has_a_fixed_window():
    radiograph = Simulator(water_ct()).simulate(view(pitch=8.0), taken())
    low, high = radiograph.log_attenuation.min(), radiograph.log_attenuation.max()
    grey = display_image(radiograph, Window(low, high))
    assert (grey.min(), grey.max()) == (0, 255)
    assert display_image(radiograph, Window(high, high + 1)).max() == 0
    assert display_image(radiograph, Window(low - 1, low)).min() == 255
    assert np.array_equal(grey, np.rint((radiograph.log_attenuation - low) / (high - low) * 255))
    assert grey[20, 20] > grey[0, 0], "bone, and whatever else is dense, is white"
    for low, high in ((1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)):
        with pytest.raises(InputError, match="window"):
            Window(low, high)


def test_thick_metal_gives_a_finite_picture():
    def metal(ct, *_):
        return MaterialVolume.from_density(("lead",), np.full((*ct.array.shape, 1), 11.35, np.float32), ct.ijk_to_ras)

    radiograph = Simulator(water_ct(), Decomposition("metal", metal)).simulate(view(), taken())
    assert np.isfinite(radiograph.signal).all() and np.isfinite(radiograph.log_attenuation).all()
    assert radiograph.signal.min() == 0


def test_impossible_techniques_are_refused():
    with pytest.raises(InputError, match="tube load"):
        Technique(mas=0)
    for bad in (float("nan"), 1e300, -1):
        with pytest.raises(InputError, match="tube load"):
            Technique(mas=bad)
    with pytest.raises(InputError, match="named twice"):
        Technique(filtration={"Al": 3, "aluminium": 1})
    with pytest.raises(InputError, match="named twice"):
        parse_filtration("Al:3,Cu:0.1,Al:1")
    with pytest.raises(InputError, match="cheese"):
        Technique(filtration={"cheese": 3})
    for kvp in (float("nan"), 80.5, 300):
        with pytest.raises(InputError, match="40 to 125 kV"):
            Simulator(water_ct()).simulate(view(), taken(Technique(kvp=kvp)))
    with pytest.raises(InputError, match="Al:3"):
        parse_filtration("Al=3")
    with pytest.raises(InputError, match="outside"):
        check_limits(Technique(kvp=125), load_device("mobile_carm"))
    assert parse_filtration("Al:3, Cu:0.1") == {"aluminium": 3.0, "copper": 0.1}


def test_sample_chest_is_read_as_a_radiograph(shared_data):
    """AP: head at the top (dark shoulders' neck side: lungs above, liver below), heart right of the spine."""
    ct = read_ct(shared_data / "chest_ct" / "ct_1.5mm.nii.gz")
    beam = view(size=(150, 150), pitch=2.0, isocenter=tuple(ct.center_ras))
    image = Simulator(ct).simulate(beam, taken()).log_attenuation
    lungs, belly = image[20:60], image[-20:]
    assert np.median(lungs) < np.median(belly) - 1  # air above, liver and spleen below
    middle = 74
    beside_spine = slice(85, 105)  # rows at the height of the heart
    left_of_picture = image[beside_spine, middle - 45 : middle - 25]
    right_of_picture = image[beside_spine, middle + 25 : middle + 45]
    assert np.median(right_of_picture) > np.median(left_of_picture) + 0.5
