"""Surfaces around masks: closed, between inside and outside, and of the right size."""

import numpy as np
import pytest
from tool_shapes import box, intersections

from DeepDRRSlicerLib.anatomy.mesh import closed_surface
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.surface import SegmentSurface, surface_net
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from phantoms import centered, ras_grid, restored, storage_orders

OBLIQUE = np.array([[0.7, -2.0, 0.3, 11.0], [1.1, 0.6, 0.9, -7.0], [-0.2, 0.5, 3.1, 5.0], [0, 0, 0, 1]])


def random_mask(shape=(5, 7, 6), share=0.5, seed=0):
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def volume_inside(vertices, faces):
    corners = vertices[faces]
    return np.einsum("fa,fa->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6


def ball(radius, center=(0.0, 0.0, 0.0)):
    n = 2 * int(np.ceil(radius)) + 5
    matrix = centered((n, n, n), (1, 1, 1))
    return Volume((np.linalg.norm(ras_grid((n, n, n), matrix) - center, axis=-1) <= radius).astype(np.uint8), matrix)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("matrix", [np.eye(4), OBLIQUE, OBLIQUE @ np.diag([1, -1, 1, 1])])
def test_the_surface_of_any_mask_is_closed_and_separates_inside_from_outside(share, matrix):
    """Around each voxel centre of noise, also on the border of the array, the surface winds once or not at all."""
    mask = Volume(random_mask(share=share, seed=int(share * 100)), matrix)
    vertices, faces = surface_net(mask)
    merged, same = closed_surface(vertices, faces, "It")
    assert len(merged) == len(vertices) and len(same) == len(faces)
    assert volume_inside(vertices, faces) > 0
    far = np.array([1234.5371, -2345.6113, 3456.7237])  # along no edge
    centres = ras_grid(mask.array.shape, mask.ijk_to_ras)
    for centre, inside in zip(centres.reshape(-1, 3), mask.array.ravel()):
        at, signs = intersections(vertices, faces, centre, far)
        assert signs[at > 0].sum() == -int(inside), "what begins inside leaves once more than it enters"


@pytest.mark.parametrize("matrix", [np.eye(4), OBLIQUE])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (1, 8, 1), (7, 1, 1), (1, 8, 9), (6, 1, 9), (6, 8, 1)])
def test_what_is_one_voxel_thin_keeps_the_shape_of_its_voxels(shape, matrix):
    vertices, faces = surface_net(Volume(np.ones(shape, np.uint8), matrix))
    size = np.array(shape[::-1])
    assert volume_inside(vertices, faces) == pytest.approx(size.prod() * abs(np.linalg.det(matrix)))
    index = (vertices - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    assert np.allclose(index.min(axis=0), -0.5) and np.allclose(index.max(axis=0), size - 0.5)


def test_a_thin_plate_askew_keeps_its_volume():
    """A staircase of single voxels and its parts: 1 mm in one direction, so as many mm3 as voxels."""
    g = ras_grid((41, 41, 41), centered((41, 41, 41), (1, 1, 1)))
    for normal in ((0, 0.6, 0.8), (0.3, 0.2, 0.93)):
        level = np.round(-(g[..., 0] * normal[0] + g[..., 1] * normal[1]) / normal[2])
        mask = (np.abs(g[..., 2] - level) < 0.6) & (np.abs(g[..., :2]) < 15).all(axis=-1)
        vertices, faces = surface_net(Volume(mask.astype(np.uint8), np.eye(4)))
        assert volume_inside(vertices, faces) == pytest.approx(mask.sum(), rel=1e-9)


@pytest.mark.parametrize("thick", [2, 3, 8])
def test_flat_faces_lie_where_voxels_end(thick):
    mask = np.zeros((20, 20, thick + 4), np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    vertices, faces = surface_net(Volume(mask, np.eye(4)))
    flat = (np.abs(vertices[:, 1:] - 9.5) < 7).all(axis=1)
    assert flat.sum() == 2 * 13 * 13
    assert np.allclose(np.abs(vertices[flat, 0] - (thick + 3) / 2), thick / 2)


@pytest.mark.parametrize(("radius", "low", "high"), [(40, 0.997, 1.0), (10, 0.98, 0.995), (5, 0.94, 0.97)])
def test_volume_of_a_ball(radius, low, high):
    """Over several places of the middle between the voxels; vertices lie within a voxel of the sphere."""
    rng = np.random.default_rng(radius)
    shares = []
    for _ in range(3 if radius > 20 else 12):
        center = rng.uniform(-0.5, 0.5, 3)
        vertices, faces = surface_net(ball(radius, center))
        away = np.linalg.norm(vertices - center, axis=1) - radius
        assert np.abs(away).max() < 0.87 and np.sqrt((away**2).mean()) < 0.25
        shares.append(volume_inside(vertices, faces) / (4 / 3 * np.pi * radius**3))
    assert low < np.mean(shares) < high


def test_the_surface_does_not_depend_on_the_storage_order():
    mask = random_mask(share=0.6)
    expected, faces = surface_net(Volume(mask, OBLIQUE))
    expected = expected[np.lexsort(expected.round(6).T)]
    for permutation, flips in storage_orders():
        vertices, other = surface_net(Volume(*restored(mask, OBLIQUE, permutation, flips)))
        assert np.allclose(vertices[np.lexsort(vertices.round(6).T)], expected) and len(other) == len(faces)
        assert volume_inside(vertices, other) > 0


def test_any_value_but_0_is_inside_and_nothing_has_no_surface():
    mask = random_mask()
    vertices, faces = surface_net(Volume(mask, OBLIQUE))
    for same in (mask.astype(np.int16) * 256, mask / 512, mask != 0):
        again = surface_net(Volume(same, OBLIQUE))
        assert np.array_equal(again[0], vertices) and np.array_equal(again[1], faces)
    vertices, faces = surface_net(Volume(np.zeros((1, 2, 3), np.uint8), OBLIQUE))
    assert vertices.shape == faces.shape == (0, 3)


def test_segments_become_surfaces():
    segment = Segment("plate", Volume(np.ones((3, 4, 5), np.uint8), centered((3, 4, 5), (0.4, 3, 2))), (1.0, 0.5, 0.0))
    surface = SegmentSurface.from_segment(segment)
    assert (surface.name, surface.color, surface.least_thickness) == ("plate", (1.0, 0.5, 0.0), 0.2)
    vertices, faces = box((-1, -2, -3), (1, 2, 3))
    mesh = SegmentSurface.from_mesh("box", (0, 0, 1), vertices, faces[:, ::-1])
    assert mesh.least_thickness == 0 and volume_inside(mesh.vertices, mesh.faces) == pytest.approx(48)
    with pytest.raises(InputError, match="The segment 'box' is not closed"):
        SegmentSurface.from_mesh("box", (0, 0, 1), vertices, faces[1:])
