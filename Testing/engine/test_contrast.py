"""Iodine in a vessel: against the chords of a cylinder, the slab formula, and what a subtraction must cancel."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.primary import detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.contrast import Contrast, Vessel, most_opacified, on_matrix, subtracted, with_iodine
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from phantoms import centered

RADIUS, HALF_LENGTH = 5.0, 60.0
IODINE = 300.0
SOD, SID = 600.0, 1000.0


def cylinder(radius=RADIUS, sides=720):
    """A closed cylinder along S through the origin, whose sides touch the round one from within."""
    angles = np.arange(sides) * 2 * np.pi / sides
    ring = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    ends = [np.column_stack([ring, np.full(sides, z)]) for z in (-HALF_LENGTH, HALF_LENGTH)]
    vertices = np.vstack([*ends, [[0, 0, -HALF_LENGTH], [0, 0, HALF_LENGTH]]])
    i, j = np.arange(sides), np.roll(np.arange(sides), -1)
    bottom, top = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    faces = np.vstack([
        np.column_stack([i, j, sides + j]), np.column_stack([i, sides + j, sides + i]),
        np.column_stack([j, i, bottom]), np.column_stack([sides + i, sides + j, top]),
    ])  # fmt: skip
    return SegmentSurface.from_mesh("vessel", (1, 0, 0), vertices, faces)


def contrast(iodine=IODINE, surface=None):
    """Contrast with a surface of its own in place of a mask's."""
    vessel = Vessel(Segment("vessel", Volume(np.ones((1, 1, 1), np.uint8), np.eye(4)), (1, 0, 0)), "vessel")
    vessel.__dict__["surface"] = surface or cylinder()
    return Contrast(vessel, iodine)


def view(size=(40, 200), pitch=0.2, primary=0.0):
    return CArmPose(primary, 0.0, (0, 0, 0), SID, SOD, size, (pitch, pitch)).beam()


def test_iodine_on_every_ray_is_the_chord_times_the_concentration():
    beam = view(primary=25.0)
    areas, materials = contrast().added_to(np.zeros((1, *beam.size), np.float32), ("water",), beam)
    assert materials == ("water", "iodine")
    rays = beam.pixel_centers() - beam.source
    across = rays[..., :2] / np.linalg.norm(rays[..., :2], axis=-1, keepdims=True)
    offset = np.abs(
        across[..., 0] * beam.source[1] - across[..., 1] * beam.source[0]
    )  # of the ray from the axis, seen along S
    slant = np.linalg.norm(rays, axis=-1) / np.linalg.norm(rays[..., :2], axis=-1)
    chords = 2 * np.sqrt(np.maximum(RADIUS**2 - offset**2, 0)) * slant
    np.testing.assert_allclose(areas[1], chords * IODINE * 1e-4, atol=1.2e-3)  # g/cm2; a chord of the polygon: 0.04 mm
    middle = chords > RADIUS
    np.testing.assert_allclose(areas[1][middle], chords[middle] * IODINE * 1e-4, rtol=1e-4)


def test_iodine_that_is_there_already_is_added_to():
    areas = np.ones((2, 3, 4), np.float32)
    more, materials = with_iodine(areas, ("iodine", "water"), np.full((3, 4), 0.5, np.float32))
    assert materials == ("iodine", "water") and (areas == 1).all()
    np.testing.assert_array_equal(more[:, 0, 0], [1.5, 1.0])


@pytest.fixture(scope="module")
def block():
    """A water block of 16 cm with bone beside the vessel."""
    hu = np.full((40, 40, 40), 0, np.int16)
    hu[:, 10:16, 24:28] = 1200
    return Simulator(Volume(hu, centered(hu.shape, (4.0, 4.0, 4.0))))


def acquisition(**changes):
    return Acquisition(load_device("mobile_carm"), load_detector("ideal"), Technique(80, 1.0, {"Al": 3.0}), **changes)


def test_the_subtraction_leaves_the_iodine_alone(block):
    """What the slab formula gives for the water of the block and the iodine of the chord; bone cancels."""
    beam = view(size=(24, 120), pitch=0.5)
    settings = acquisition()
    mask = block.simulate(beam, settings)
    filled = block.simulate(beam, settings, contrast=contrast())
    difference = subtracted(filled.log_attenuation, mask.log_attenuation)
    row, column = 12, 60
    spectrum = tube_spectrum(80, {"Al": 3.0}, settings.device.anode_angle)
    water = mask.area_density[:, row, column]
    added = 2 * RADIUS * IODINE * 1e-4  # g/cm2 along the middle ray
    names = (*mask.materials, "iodine")
    plain, _ = detected(np.array([*water, 0.0])[:, None, None], names, spectrum, settings.detector)
    opaque, _ = detected(np.array([*water, added])[:, None, None], names, spectrum, settings.detector)
    expected = float(np.log(plain / opaque).squeeze())
    assert difference[row, column] == pytest.approx(expected, rel=0.02)
    away = np.abs(np.arange(120) - 59.5) * 0.5 > 1.2 * RADIUS * SID / SOD + 5
    assert np.abs(difference[:, away]).max() < 2e-3  # also behind the bone
    bone = mask.area_density[[*mask.materials].index("bone")]
    assert bone[:, away].max() > 0.5
    assert filled.settings_hash != mask.settings_hash
    assert filled.metadata["contrast"] == {"segment": "vessel", "iodine_mg_per_ml": IODINE}
    assert mask.metadata["contrast"] is None


def test_contrast_is_not_left_behind(block):
    beam = view(size=(24, 120), pitch=0.5)
    before = block.simulate(beam, acquisition())
    block.simulate(beam, acquisition(), contrast=contrast())
    after = block.simulate(beam, acquisition())
    np.testing.assert_array_equal(before.signal, after.signal)
    assert before.settings_hash == after.settings_hash


def test_more_iodine_shows_more(block):
    beam = view(size=(8, 40), pitch=0.5)
    signals = [
        block.simulate(beam, acquisition(), contrast=contrast(iodine)).signal[4, 20] for iodine in (0.0, 100.0, 200.0)
    ]
    assert signals[0] > signals[1] > signals[2] > 0


def test_anatomy_that_moves_does_not_cancel(block):
    mask = block.simulate(view(size=(24, 200), pitch=0.5), acquisition())
    moved = CArmPose(0.0, 0.0, (6.0, 0, 0), SID, SOD, (24, 200), (0.5, 0.5)).beam()
    difference = subtracted(block.simulate(moved, acquisition()).log_attenuation, mask.log_attenuation)
    assert np.abs(difference).max() > 0.1


def test_the_map_keeps_the_most_that_was_seen():
    first, second = np.array([[0.1, 0.8]]), np.array([[0.4, 0.2]])
    np.testing.assert_array_equal(most_opacified(most_opacified(None, first), second), [[0.4, 0.8]])


def test_a_mask_of_another_matrix_is_looked_up_where_the_pixels_lie():
    image = np.arange(36.0).reshape(6, 6)
    np.testing.assert_array_equal(on_matrix(image, (2, 3)), image[np.ix_([1, 4], [1, 3, 5])])
    assert on_matrix(image, (6, 6)) is image


def test_impossible_iodine_is_refused():
    with pytest.raises(InputError, match="iodine"):
        contrast(500.0)
    with pytest.raises(InputError, match="iodine"):
        contrast(-1.0)
