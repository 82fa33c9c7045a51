"""What tools take away: tissue in their place, against exact slabs, a plain ray march and Beer-Lambert's law."""

import numpy as np
import pytest
from ray_march import trilinear
from test_tools import lengths, shift, view
from tool_shapes import box, icosphere, ring

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.materials import mass_attenuation
from DeepDRRSlicerLib.physics.primary import detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.projection.tools import Tool, insert_tools, traced_materials
from phantoms import centered

ANGLES = [(0, 0), (90, 0), (45, 0), (-33, 21), (12, 80)]


def water(shape=(60, 50, 40), spacing=(2.0, 2.5, 3.0), rotation=None):
    """A block of water, 80 x 125 x 180 mm as stored."""
    matrix = centered(shape, spacing, rotation)
    return MaterialVolume(("water",), np.full((1, *shape), 50000, np.uint16), [1 / 50000], matrix)


def rough(seed=0, shape=(14, 17, 15), spacing=(4.0, 3.0, 3.5)):
    """Three channels of independent random densities, oblique and sheared."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = centered(shape, spacing, q @ np.array([[1, 0.1, 0], [0, 1, -0.2], [0, 0, 1]]))
    densities = rng.random((*shape, 3)) * [1, 1.2, 2]
    return MaterialVolume.from_density(("adipose", "soft tissue", "bone"), densities, matrix)


def inserted(volume, beam, *tools, before=1000.0, threads=None):
    """(channels, rows, columns) after the tools, of a volume said to give `before` g/cm2 everywhere."""
    channels = traced_materials(volume.materials, tools)
    image = np.zeros((len(channels), *beam.size), np.float32)
    image[: len(volume.materials)] = before
    insert_tools(image, volume, beam, tools, threads)
    return image


@pytest.mark.parametrize("angles", ANGLES)
def test_water_is_displaced_by_as_much_as_the_tool_is_thick(angles):
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    for volume in (water(), water(rotation=turn)):
        beam = view(angles, size=(40, 40), pitch=(2, 2))
        tool = Tool("ball", *icosphere(17, 3), "titanium")
        thickness = lengths(beam, tool)[0]
        assert thickness.max() > 30
        image = inserted(volume, beam, tool, before=100.0)
        assert np.allclose(image[1], thickness / 10 * 4.54, rtol=1e-5)
        assert np.allclose(100 - image[0], thickness / 10, atol=2e-5)  # 1e-3 is asked; float32 holds 100 to 4e-6


def test_thin_sheets_displace_exactly():
    """Far thinner than a voxel: the ends of the way through tissue are exact."""
    beam = view((7, 3), size=(20, 20), pitch=(2, 2))
    for thickness in (2.0, 0.1, 0.004):
        sheet = Tool("sheet", *box((-40, 0.123, -40), (40, 0.123 + thickness, 40)), "iron")
        before = thickness / 3  # float32 holds differences the better, the smaller it is
        image = inserted(water(), beam, sheet, before=before)
        assert np.allclose(before - image[0], image[1] / 7.874, rtol=1e-4)


@pytest.mark.parametrize("angles", [(0, 0), (90, 0)])
def test_tool_partly_outside_the_volume(angles):
    """Where the block of water ends, over one voxel across its border, the displaced water ends."""
    beam = view(angles, size=(30, 30), pitch=(1, 1))
    rod = Tool("rod", *box((-200, -4, -4), (200, 4, 4)) if angles[0] else box((-4, -200, -4), (4, 200, 4)), "PEEK")
    covered = lengths(beam, rod)[0] > 399
    image = inserted(water(), beam, rod)
    whole = inserted(water(), beam, Tool("all", *box((-200, -200, -200), (200, 200, 200)), "PEEK"))
    extent = 8.0 if angles[0] else 12.5  # cm; half a voxel of it is the slope beyond the outermost centres, either side
    assert covered.sum() > 50
    assert np.allclose((1000 - image[0])[covered], extent, rtol=2e-3)
    assert np.allclose(image[0][covered], whole[0][covered], atol=1e-3)


def test_tool_outside_the_body_changes_nothing_else():
    volume = rough()
    beam = view((15, -10), size=(80, 80), pitch=(3, 3))
    ball = Tool("ball", *icosphere(8, 2), "tantalum")
    before = np.random.default_rng(0).random((3, 80, 80)).astype(np.float32)
    for place in ((0, -150, 0), (0, 150, 10), (70, 0, 0)):
        image = np.concatenate([before, np.zeros((1, 80, 80), np.float32)])
        insert_tools(image, volume, beam, [ball.moved(shift(*place))])
        assert np.array_equal(image[:3], before)
        assert image[3].max() > 20


def judged(volume, beam, tool, pixels, step=0.05):
    """g/cm2 of each channel (m, n) in the tool: trilinear samples that lie in it, found by its own lengths."""
    center = tool.vertices.mean(axis=0)
    radius = np.linalg.norm(tool.vertices - center, axis=1).max()
    corners = tool.vertices[tool.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    heights = np.einsum("fa,fa->f", normals, corners[:, 0])
    to_index = np.linalg.inv(volume.ijk_to_ras)
    result = []
    for row, column in pixels:
        way = beam.pixel_to_ras(column, row) - beam.source
        way = way / np.linalg.norm(way)
        middle = (center - beam.source) @ way
        points = beam.source + (middle + np.arange(-radius, radius, step) + step / 2)[:, None] * way
        points = points[(points @ normals.T <= heights).all(axis=1)]
        index = points @ to_index[:3, :3].T + to_index[:3, 3]
        result.append([trilinear(channel, index).sum() * step / 10 for channel in volume.density] * volume.scale)
    return np.array(result).T


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize("brick", [((-13, -9, -20), (11, 14, 15)), ((0, -60, -60), (60, 60, 60))])
def test_displaced_tissue_of_a_rough_body(angles, brick):
    """A convex tool in noise from voxel to voxel, the hardest there is, against the march through trilinear voxels.

    One lies inside, the other reaches beyond the border of the volume.
    """
    volume, beam = rough(), view(angles, size=(9, 11), pitch=(9, 9))
    tool = Tool("brick", *box(*brick), "CoCrMo")
    image = inserted(volume, beam, tool, before=50.0)
    pixels = list(np.ndindex(*beam.size))
    expected = judged(volume, beam, tool, pixels)
    taken = 50 - image[:3].reshape(3, -1)
    assert (expected > 1).sum() > 30
    typical = expected[expected > 0].mean()
    assert np.sqrt(np.mean((taken - expected) ** 2)) < 0.01 * typical
    assert np.abs(taken - expected).max() < 0.04 * typical


def smooth():
    """A body whose density changes slowly, and falls to zero before the border of the volume."""
    shape, turn = (40, 44, 48), np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    k, j, i = np.indices(shape)
    border = np.minimum.reduce([i, 47 - i, j, 43 - j, k, 39 - k]) / 6
    edge = np.clip(border, 0, 1)
    body = (1 + 0.5 * np.sin(i / 9) * np.cos(j / 8) + 0.2 * np.sin(k / 7)) * edge**2 * (3 - 2 * edge)
    matrix = centered(shape, (3, 3, 3), turn)
    return MaterialVolume.from_density(("soft tissue",), body[..., None], matrix)


@pytest.mark.parametrize("angles", ANGLES)
def test_displaced_tissue_of_a_smooth_body(angles):
    volume, beam = smooth(), view(angles, size=(9, 11), pitch=(5, 5))
    tool = Tool("brick", *box((-13, -9, -20), (11, 14, 15)), "CoCrMo")
    taken = 50 - inserted(volume, beam, tool, before=50.0)[:1].reshape(1, -1)
    expected = judged(volume, beam, tool, list(np.ndindex(*beam.size)), step=0.02)
    assert np.abs(taken - expected).max() < 1e-3 * expected.max()


@pytest.mark.parametrize("angles", ANGLES)
def test_a_tool_that_fills_the_body_leaves_nothing_of_what_was_projected(angles):
    """The displacement agrees with the projector of the package, so closely that the rest counts as rounding."""
    volume, beam = smooth(), view(angles, size=(40, 40), pitch=(5, 5))
    projected = make_projector(volume).project([beam])[0]
    image = np.concatenate([projected, np.zeros((1, 40, 40), np.float32)])
    insert_tools(image, volume, beam, [Tool("all", *box((-300, -300, -300), (300, 300, 300)), "iron")])
    assert projected.max() > 10
    assert np.abs(image[0]).max() < 2e-3 * projected.max()
    assert (image[0] >= np.minimum(projected[0], 0)).all()


def test_only_a_deficit_by_rounding_is_hidden():
    beam = view(size=(5, 5))
    tool = Tool("brick", *box((-20, -20, -20), (20, 20, 20)), "iron")
    for before, rest in ((3.95, 0.0), (3.82, 0.0), (4.05, 0.05), (3.7, -0.3), (3.0, -1.0)):
        middle = inserted(water(), beam, tool, before=before)[0, 2, 2]
        assert middle == pytest.approx(rest, abs=2e-3)


def test_overlapping_tools_displace_tissue_once():
    beam = view((20, 10), size=(30, 30), pitch=(2, 2))
    first = Tool("first", *box((-20, -10, -10), (5, 10, 10)), "titanium")
    second = Tool("second", *box((-5, -9, -9), (20, 9, 9)), "iron")
    together = inserted(water(), beam, first, second)
    thickness = lengths(beam, first, second).sum(axis=0)
    assert thickness.max() > 19
    assert np.allclose(1000 - together[0], thickness / 10, atol=3e-4)


def test_a_tool_of_a_traced_material_adds_to_its_channel():
    beam = view((20, 10), size=(12, 12), pitch=(2, 2))
    plug = Tool("plug", *box((-9, -9, -9), (9, 9, 9)), "water", density=3.0)
    image = inserted(water(), beam, plug)
    assert image.shape[0] == 1
    assert np.allclose(image[0] - 1000, lengths(beam, Tool("t", plug.vertices, plug.faces, "iron"))[0] / 5, atol=3e-4)


def test_moved_together_the_image_stays_and_moved_alone_nothing_else_changes():
    volume, beam = rough(), view((15, 20), size=(60, 60), pitch=(1.5, 1.5))
    tool = Tool("screw", *ring([(0.4, -15), (2, -12), (2, 10), (4, 11), (4, 14)], 24), "titanium")
    image = inserted(volume, beam, tool, before=20.0)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))[0]
    matrix[:3, :3] *= np.linalg.det(matrix[:3, :3])
    matrix[:3, 3] = (30, -20, 50)
    other = MaterialVolume(volume.materials, volume.density, volume.scale, matrix @ volume.ijk_to_ras)
    moved = inserted(other, beam.transformed(matrix), tool.moved(matrix), before=20.0)
    assert np.allclose(moved, image, atol=2e-5) and image[3].max() > 1
    advanced = inserted(volume, beam, tool.moved(shift(6, 0, 3)), before=20.0)
    untouched = (advanced[3] == 0) & (image[3] == 0)
    assert 0.5 < untouched.mean() < 0.99
    assert (advanced[:3][:, untouched] == 20).all() and (image[:3][:, untouched] == 20).all()
    assert (advanced[:3][:, (advanced[3] > 0)] < 20).any(axis=0).mean() > 0.9


@pytest.mark.parametrize("threads", [2, 5])
def test_bits_of_tissue_do_not_depend_on_threads(threads):
    volume, beam = rough(), view((15, 20), size=(150, 60), pitch=(1.5, 0.6))
    tool = Tool("ball", *icosphere(20, 2), "titanium")
    one = inserted(volume, beam, tool, before=20.0, threads=1)
    assert np.array_equal(inserted(volume, beam, tool, before=20.0, threads=threads), one)


@pytest.mark.parametrize("kvp", [60, 80, 110])
def test_contrast_of_4_mm_titanium_is_that_of_the_slab(kvp):
    """Signal behind 4 mm of titanium in 200 mm of water over that beside it, by the sum over the spectrum."""
    shape = (30, 50, 30)
    volume = MaterialVolume(("water",), np.full((1, *shape), 1000, np.uint16), [1e-3], centered(shape, (4, 4, 4)))
    beam = CArmPose(0, 0, (0, 0, 0), 1000, 700, (33, 33), (1, 1)).beam()
    plate = Tool("plate", *box((-8, -2, -8), (8, 2, 8)), "titanium")
    channels = traced_materials(volume.materials, [plate])
    image = np.concatenate([make_projector(volume).project([beam])[0], np.zeros((1, 33, 33), np.float32)])
    insert_tools(image, volume, beam, [plate])
    spectrum, detector = tube_spectrum(kvp, {"aluminium": 3.0}), load_detector("ideal")
    signal = detected(image, channels, spectrum, detector)[0]
    assert (image[1] > 0).any() and (image[1] == 0).any()
    ratio = signal[16, 16] / signal[16, 32]

    energies = spectrum.energies
    weights = energies * detector.efficiency(energies) * spectrum.fluence
    slant = np.hypot(1000, 16) / 1000
    mu = mass_attenuation("water", energies)
    behind = np.sum(weights * np.exp(-mu * 19.6 - mass_attenuation("titanium", energies) * 0.4 * 4.54))
    beside = np.sum(weights * np.exp(-mu * 20.0 * slant))
    assert 0.05 < behind / beside < 0.5
    assert ratio == pytest.approx(behind / beside, rel=0.005)  # 2 % is asked
