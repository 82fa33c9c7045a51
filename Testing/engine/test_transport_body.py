"""The body that photons fly through: coarser voxels, tools among them, and the gap behind it."""

import numpy as np
import pytest
from slab_scatter import slab, view
from tool_shapes import box, icosphere, ring

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.materials import density
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.tools import Tool
from DeepDRRSlicerLib.transport.body import BLOCK, body_of, coarsened
from DeepDRRSlicerLib.transport.depths import depths_of, exit_gap, matter_of
from DeepDRRSlicerLib.transport.montecarlo import follow_photons
from DeepDRRSlicerLib.transport.tool_voxels import filled, with_tools


def random_volume(size=(10, 14, 9), spacing=(0.7, 0.9, 2.5), seed=0):
    """Two materials; oblique axes."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    matrix = np.eye(4)
    matrix[:3, :3] = turn * spacing
    matrix[:3, 3] = rng.normal(size=3) * 50
    return MaterialVolume.from_density(("water", "bone"), rng.random((*size[::-1], 2)), matrix)


def moments(volume):
    """Mass of each material in g, and its centre in RAS."""
    rho = volume.density * volume.scale[:, None, None, None]
    cell = abs(np.linalg.det(volume.ijk_to_ras[:3, :3])) / 1000
    index = np.indices(rho.shape[1:])[::-1].reshape(3, -1)
    ras = volume.ijk_to_ras[:3, :3] @ index + volume.ijk_to_ras[:3, 3:]
    mass = rho.reshape(len(rho), -1)
    return mass.sum(axis=1) * cell, (mass @ ras.T) / mass.sum(axis=1, keepdims=True)


def test_coarser_voxels_keep_mass_and_place():
    fine = random_volume()
    coarse = coarsened(fine)
    assert coarse.size == (5, 7, 9)  # 2 voxels of 0.7 and 0.9 mm fit into 2 mm, one of 2.5 does not
    for a, b in zip(moments(fine), moments(coarse), strict=True):
        assert np.allclose(a, b, rtol=2e-5, atol=0.05)  # centres: what lies within a coarse voxel is lost
    large = slab(100, 100)
    assert coarsened(large) is large


def test_blocks_bound_what_they_hold():
    volume = random_volume((17, 9, 20))
    beam = view(sid=1000.0)
    body = body_of(volume, beam)
    assert all(n % BLOCK == 0 for n in body.density.shape[:3])
    for k, j, i in np.ndindex(*body.highest.shape[:3]):
        block = body.density[k * 8 : k * 8 + 8, j * 8 : j * 8 + 8, i * 8 : i * 8 + 8].reshape(-1, 2).astype(float)
        assert np.allclose(body.mean[k, j, i], block.mean(axis=0), rtol=1e-5)
        assert (body.highest[k, j, i] == block.max(axis=0)).all()
        assert (np.abs(block - body.mean[k, j, i]) <= body.deviation[k, j, i] * (1 + 1e-6)).all()
    back = body.to_ras @ np.append(body.to_index @ [3.0, 4.0, 5.0, 1.0], 1.0)
    assert np.allclose(back, [3, 4, 5])


def placed(surface, place=(0, 0, 0)):
    vertices, faces = surface
    return vertices + np.asarray(place), faces


@pytest.mark.parametrize("place", [(0, 0, 0), (3.3, -7.7, 5.1)])
def test_share_of_voxels_within_a_sphere(place):
    volume = slab(100, 100, width=100, voxel=4.0)
    middle = np.array([0, 0, 850.0]) + place
    tool = Tool("ball", *placed(icosphere(20.0, 4), middle), "titanium")
    corner, share = filled(volume, tool)
    assert abs(share.sum() * 4**3 / (4 / 3 * np.pi * 20**3) - 1) < 0.01
    index = (np.indices(share.shape).reshape(3, -1).T + corner)[:, ::-1]
    centre = (share.ravel() @ index) / share.sum() @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    assert np.allclose(centre, middle, atol=0.05)
    assert share.max() == 1
    assert ((share > 0) & (share < 1)).any()


def test_a_box_fills_whole_voxels():
    volume = slab(100, 100, width=100, voxel=10.0)  # borders at multiples of 10, from -50 and from 800
    tool = Tool("block", *box((-20, -30, 820), (20, 10, 850)), "PEEK")
    corner, share = filled(volume, tool)
    assert corner == (2, 2, 3)
    assert share.shape == (3, 4, 4)
    assert np.allclose(share, 1, atol=1e-6)


def test_tools_displace_tissue():
    volume = slab(100, 100, width=100, voxel=4.0)
    tube = Tool("tube", *placed(ring([(8, -40), (8, 40), (4, 40), (4, -40)], 64, closed=True), (0, 0, 850)), "CoCrMo")
    inserted = with_tools(volume, [tube])
    assert inserted.materials == ("water", "CoCrMo")
    metal, water = (moments(inserted)[0][inserted.materials.index(name)] for name in ("CoCrMo", "water"))
    litre = np.pi * (8**2 - 4**2) * 80 / 1000
    assert abs(metal / (density("CoCrMo") * litre) - 1) < 0.01
    assert abs(water - (moments(volume)[0][0] - litre)) < 0.01 * litre
    assert with_tools(volume, []) is volume


def test_tools_beyond_the_volume_are_left_out():
    volume = slab(100, 100, width=100, voxel=4.0)
    away = Tool("far", *placed(icosphere(10.0, 2), (500, 0, 850)), "titanium")
    assert not with_tools(volume, [away]).density[1].any()
    cut = Tool("half", *placed(icosphere(20.0, 4), (50, 0, 850)), "titanium")
    _, share = filled(volume, cut)
    assert abs(share.sum() * 4**3 / (2 / 3 * np.pi * 20**3) - 1) < 0.02


def test_a_tool_stops_photons():
    """A plate of 10 mm steel in water: the primary behind it is gone, and scatter takes its place in part."""
    volume = slab(100, 100, width=200, voxel=5.0)
    plate = Tool("plate", *box((-30, -30, 845), (30, 30, 855)), "stainless steel 316L")
    beam, spectrum, detector = view(cells=10), tube_spectrum(80, {"Al": 3.0}), load_detector("ideal")
    bare = follow_photons(volume, beam, spectrum, detector, 30_000)
    behind = follow_photons(with_tools(volume, [plate]), beam, spectrum, detector, 30_000)
    middle = slice(4, 6)
    assert behind.primary[middle, middle].mean() < 1e-3 * bare.primary[middle, middle].mean()
    assert 0.02 < behind.scatter[middle, middle].mean() / bare.scatter[middle, middle].mean() < 0.9


def gap_of(volume, beam):
    return exit_gap(depths_of(matter_of(volume), beam), beam.sid)


def ball(radius=80, away=700):
    """Water, its middle `away` mm before the source."""
    n, voxel = 40, 5.0
    ras = (np.indices((n, n, n)).transpose(1, 2, 3, 0)[..., ::-1] - (n - 1) / 2) * voxel
    matrix = np.diag([voxel, voxel, voxel, 1.0])
    matrix[:3, 3] = -(n - 1) / 2 * voxel * np.ones(3) + [0, 0, away]
    inside = (np.linalg.norm(ras, axis=-1) < radius).astype(float)[..., None]
    return MaterialVolume.from_density(("water",), inside, matrix)


def chords(beam, radius=80, away=700):
    """Of each ray: half its chord squared, how far it is to the middle of the chord, and its cosine to the normal."""
    rays = beam.pixel_centers() / np.linalg.norm(beam.pixel_centers(), axis=-1, keepdims=True)
    along = rays[..., 2] * away
    return radius**2 - (away**2 - along**2), along, rays[..., 2]


def test_gap_behind_a_slab():
    assert np.abs(gap_of(slab(200, 130), view(cells=8)) - 130).max() < 16  # two steps of 8 mm


def test_gap_behind_a_ball():
    beam = view(field=200, cells=21)
    gap = gap_of(ball(), beam)
    half, along, cosine = chords(beam)
    exact = 1000 - (along + np.sqrt(np.maximum(half, 0))) * cosine
    assert np.abs(gap - exact)[half > 40**2].max() < 20
    assert np.allclose(gap[half < -(30**2)], gap[half < -(30**2)][0])  # rays that miss: the mean of the others


def test_depths_of_a_ball_add_up_to_its_chords():
    beam = view(field=200, cells=21)
    depths = depths_of(matter_of(ball()), beam)
    half, along, cosine = chords(beam)
    thick = half > 40**2
    path = depths.density.sum(axis=0) * depths.step / cosine
    chord = 2 * np.sqrt(np.maximum(half, 0))
    assert np.abs(path - chord)[thick].max() < 20  # one voxel at either end
    assert path[thick].mean() == pytest.approx(chord[thick].mean(), rel=0.02)
    middle = (depths.density * depths.distance[:, None, None]).sum(axis=0)[thick] / depths.density.sum(axis=0)[thick]
    assert np.abs(middle - (1000 - along * cosine)[thick]).max() < 10  # one voxel
    assert (depths.density[:, half < -(30**2)] == 0).all()


def test_bone_counts_as_more_water():
    water, bone = (matter_of(slab(80, 100, material=name)) for name in ("water", "bone"))
    ratio = (bone.density / water.density)[1, 1, 1]
    assert 1.5 < ratio < 2.0  # NIST at 50 keV: 0.424 over 0.227 cm2/g
    assert len(water.points()) == water.density.size
    assert np.allclose(water.points().mean(axis=0), [0, 0, 860], atol=5)


def test_depths_without_a_body():
    empty = MaterialVolume.from_density(("water",), np.zeros((3, 3, 3, 1)), np.eye(4))
    assert len(depths_of(matter_of(empty), view(cells=4)).density) == 0
    assert (gap_of(empty, view(cells=4)) == 500).all()
    assert len(depths_of(matter_of(slab(50, -300)), view(cells=4)).density) == 0  # behind the detector
    beside = ball()
    beside = MaterialVolume(beside.materials, beside.density, beside.scale, beside.ijk_to_ras + np.eye(4, k=3) * 900)
    assert len(depths_of(matter_of(beside), view(cells=4)).density) == 0
