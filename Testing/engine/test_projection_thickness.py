"""Lengths through closed surfaces against closed forms, single rays and sums over voxels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tool_shapes import box, convex_chords, icosphere, length_inside, ring

from DeepDRRSlicerLib.anatomy.surface import SegmentSurface, surface_net
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.thickness import surface_thickness
from phantoms import centered, chord, ras_grid

OFF_CENTER = np.array([6.0, -4.0, 5.0])


def view(angles, **changes):
    """Off the middle of the voxels, so that no ray lies in a face."""
    numbers = {"isocenter": (0.31, -0.27, 0.43), "sid": 1000, "sod": 600, "size": (41, 37), "pitch": (5, 4)} | changes
    return CArmPose(*angles, **numbers).beam()


def mirrored(beam):
    """The same picture, its columns counted from the other side."""
    last = beam.pixel_to_ras(beam.size[1] - 1, 0)
    return ConeBeam(beam.source, last, -beam.e_c, beam.e_r, beam.pitch, beam.size)


def mesh(vertices, faces):
    return SegmentSurface.from_mesh("it", (1, 0, 0), vertices, faces)


def noise(shape=(9, 12, 10), spacing=(3.0, 2.5, 4.0), seed=0):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    mask = Volume((rng.random(shape) < 0.5).astype(np.uint8), centered(shape, spacing, q))
    return SegmentSurface("noise", (1, 0, 0), *surface_net(mask))


def along(beam):
    return beam.pixel_centers().reshape(-1, 3)


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (45, 0), (-33, 21), (10, 90)])
def test_lengths_in_a_ball(angles):
    """An icosphere lies between two spheres, and its chords between theirs; seen as radiographs are, and mirrored."""
    vertices, faces = icosphere(40, 5)
    ball = mesh(vertices + OFF_CENTER, faces)
    beam = view(angles, size=(150, 160), pitch=(1.1, 1.2))
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inner = np.min(np.einsum("fa,fa->f", normal, corners[:, 0]) / np.linalg.norm(normal, axis=1))
    assert 39.98 < inner < 40
    got = surface_thickness(ball, beam)
    assert got.dtype == np.float32 and got.max() > 79.9
    assert (got <= chord(beam, OFF_CENTER, 40) + 1e-4).all() and (got >= chord(beam, OFF_CENTER, inner) - 1e-4).all()
    assert np.allclose(surface_thickness(ball, mirrored(beam))[:, ::-1], got, atol=1e-3)


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (45, 0), (-33, 21), (10, 90)])
@pytest.mark.parametrize("seed", [0, 1])
def test_lengths_in_the_surface_of_noise_against_single_rays(angles, seed):
    surface, beam = noise(seed=seed), view(angles, size=(11, 13), pitch=(5, 4))
    expected = [length_inside(surface.vertices, surface.faces, beam.source, pixel) for pixel in along(beam)]
    # Where faces cut each other, this length counts the overlap once and the other twice: slivers.
    assert np.allclose(surface_thickness(surface, beam).ravel(), expected, atol=2e-3)
    assert max(expected) > 10


@pytest.mark.parametrize("ball", [icosphere(50, 2), box((-50, -40, -60), (50, 40, 60))])
def test_only_what_lies_between_source_and_detector_counts(ball):
    """A body around the source, before it, across the detector and behind it."""
    vertices, faces = ball
    beam = view((20, 30), size=(21, 21), pitch=(20, 20), sid=400, sod=200)
    for center in (beam.source, beam.source - 300 * beam.normal, beam.source + 20 * beam.e_c, beam.detector_center,
                   beam.detector_center + 10 * beam.e_r + 30 * beam.normal, beam.detector_center + 300 * beam.normal,
                   beam.source + 49 * beam.e_c + 3 * beam.e_r, beam.source + 199 * beam.normal):  # fmt: skip
        expected = convex_chords(vertices + center, faces, beam.source, along(beam)).reshape(beam.size)
        for seen, shown in ((beam, expected), (mirrored(beam), expected[:, ::-1])):
            assert np.allclose(surface_thickness(mesh(vertices + center, faces), seen), shown, atol=2e-3)


def test_cavities_are_left_out_and_parts_add_up():
    outer, inner = box((-20, -20, -20), (20, 20, 20)), box((-5, -5, -5), (5, 5, 5))
    beam = ConeBeam((0.3, 0.2, -900), (0.3, 0.2, 900), (1, 0, 0), (0, 1, 0), (1, 1), (1, 1))

    def both(second, turned=False):
        faces = second[1][:, ::-1] if turned else second[1]
        return mesh(np.concatenate([outer[0], second[0]]), np.concatenate([outer[1], faces + len(outer[0])]))

    assert surface_thickness(both(inner, turned=True), beam)[0, 0] == pytest.approx(30)
    assert surface_thickness(both((outer[0] + (0, 0, 100), outer[1])), beam)[0, 0] == pytest.approx(80)


@pytest.mark.parametrize("spin", range(3))
def test_rays_exactly_through_edges_and_vertices_of_voxels(spin):
    """A block of 8 mm voxels seen along an axis: rays that meet edges know the same as rays a hair beside them."""
    e_c, e_r = np.eye(3)[[spin, (spin + 1) % 3]]
    toward = np.cross(e_c, e_r)
    beam = ConeBeam(-1024.0 * toward, 1024 * toward - 24 * e_c - 24 * e_r, e_c, e_r, (1, 1), (49, 49))
    mask = Volume(np.ones((3, 3, 3), np.uint8), centered((3, 3, 3), (8, 8, 8)))
    vertices, faces = surface_net(mask)
    got = surface_thickness(SegmentSurface("block", (1, 0, 0), vertices, faces), beam)
    assert (got[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all(), "its corners are round"
    # The front is flat where its vertices are 4 mm or less from the axis: 8 pixels.
    assert np.allclose(got[17:32, 17:32], 24, atol=0.01) and got.max() < 24.01
    for nudge in ((3e-5, 7e-5, 2e-5), (-5e-5, 2e-5, 6e-5), (4e-5, -6e-5, 1e-5)):
        moved = surface_thickness(SegmentSurface("block", (1, 0, 0), vertices + nudge, faces), beam)
        assert np.allclose(moved, got, atol=0.01)


def test_a_picture_of_a_part_is_a_part_of_the_picture():
    beam, surface = view((30, 20), size=(60, 50), pitch=(2.1, 1.9)), noise()
    whole = surface_thickness(surface, beam)
    for rows, columns in ((slice(20, 41), slice(11, 27)), (slice(0, 30), slice(25, 50)), (slice(59, 60), slice(0, 1))):
        part = surface_thickness(surface, beam.window(rows, columns))
        assert np.allclose(part, whole[rows, columns], atol=1e-3)
    for shift in (2000 * beam.e_c, -2000 * beam.e_c, 2000 * beam.e_r, -2000 * beam.e_r):
        away = SegmentSurface("away", (1, 0, 0), surface.vertices + shift, surface.faces)
        assert surface_thickness(away, beam).max() == 0
    nothing = SegmentSurface("nothing", (1, 0, 0), np.empty((0, 3)), np.empty((0, 3), np.int32))
    assert surface_thickness(nothing, beam).max() == 0


@pytest.mark.parametrize("angles", [(0, 0), (37, -22), (100, 60)])
def test_shadows_hold_the_volume(angles):
    """Thickness times the area that a pixel has in the body's depth, summed: its volume; that of a rod and of noise."""
    beam = view(angles, sid=1e5, sod=9e4, size=(400, 400), pitch=(0.25, 0.25))
    rod = mesh(*ring([(3, -20), (3, 20)], 90))
    for surface in (rod, noise(spacing=(2, 2, 2))):
        corners = surface.vertices[surface.faces]
        volume = np.einsum("fa,fa->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
        shadow = surface_thickness(surface, beam).sum(dtype=np.float64) * (0.25 * 0.9) ** 2
        assert shadow == pytest.approx(volume, rel=0.01)  # pixels on its outline are in or out: 0.4 % for the rod


def test_a_net_is_nearer_to_a_ball_than_its_voxels():
    """The way through voxels, point by point along each ray, is the judge of the place of the net."""
    radius, beam = 12.0, view((37, -22), size=(30, 32), pitch=(1.5, 1.5))
    shape = (29, 29, 29)
    matrix = centered(shape, (1, 1, 1), center=OFF_CENTER / 10)
    mask = Volume((np.linalg.norm(ras_grid(shape, matrix) - OFF_CENTER / 10, axis=-1) <= radius).astype(int), matrix)
    exact = chord(beam, OFF_CENTER / 10, radius)
    got = surface_thickness(SegmentSurface("ball", (1, 0, 0), *surface_net(mask)), beam)
    way = beam.pixel_centers() - beam.source
    shares = (np.arange(4000) + 0.5) / 4000 * 0.1 + 0.55  # of the way; the ball is at 0.6
    places = beam.source + way[..., None, :] * shares[:, None]
    k, j, i = np.moveaxis(np.rint(places - matrix[:3, 3]).astype(int)[..., ::-1], -1, 0)
    within = (k >= 0) & (k < 29) & (j >= 0) & (j < 29) & (i >= 0) & (i < 29)
    hit = within & (mask.array[np.where(within, k, 0), np.where(within, j, 0), np.where(within, i, 0)] != 0)
    voxels = hit.mean(axis=-1) * 0.1 * np.linalg.norm(way, axis=-1)
    assert np.abs(got - voxels).max() < 3.5 and abs((got - voxels).mean()) < 0.1
    seen = exact > 0
    assert np.abs(got - exact)[seen].mean() < 0.8 * np.abs(voxels - exact)[seen].mean()


@pytest.mark.parametrize("threads", [2, 3, 100, None])
def test_bits_do_not_depend_on_threads(threads):
    surface, beam = noise(), view((-33, 21), size=(70, 60), pitch=(1, 1))
    expected = surface_thickness(surface, beam, threads=1)
    assert expected.max() > 10
    assert np.array_equal(surface_thickness(surface, beam, threads=threads), expected)


def test_without_numba_the_same_image(tmp_path):
    """A process in which numba cannot be imported."""
    root = Path(__file__).resolve().parents[2]
    code = f"""
import sys
sys.modules["numba"] = None
sys.path[:0] = [{str(root / "DeepDRRSlicer")!r}, {str(root / "Testing")!r}, {str(root / "Testing/engine")!r}]
import numpy as np
from test_projection_thickness import noise, surface_thickness, view
np.save({str(tmp_path / "plain.npy")!r}, surface_thickness(noise(), view((30, 20))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = surface_thickness(noise(), view((30, 20)))
    assert np.allclose(np.load(tmp_path / "plain.npy"), expected, atol=1e-4)
