"""The projector against closed forms, an independent march, and itself under every way to store one body."""

import numpy as np
import pytest
from ray_march import line_integrals

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.projector import Stopped, make_projector
from phantoms import centered, chord, material_volume, restored, spheres, storage_orders

MM_PER_CM = 10


def view(primary=0.0, secondary=0.0, size=(96, 96), pitch=1.6, isocenter=(0, 0, 0), sid=1000.0):
    return CArmPose(primary, secondary, isocenter, sid, 600.0, size, (pitch, pitch)).beam()


def random_rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@pytest.fixture(scope="module")
def body():
    """A lumpy head-sized body: spheres of several sizes and densities, partly outside the array."""
    rng = np.random.default_rng(7)
    shape = (44, 60, 52)
    matrix = centered(shape, (1.7, 1.5, 2.1))
    density = spheres(shape, matrix, [(0, 0, 0)], 38, 1.0)
    for _ in range(12):
        density += spheres(shape, matrix, [rng.uniform(-35, 35, 3)], rng.uniform(4, 15), rng.uniform(0.2, 1.0))
    return density, matrix


def sphere_error(angles):
    """RMS in mm inside 0.9 R, for a radius of 40 mm and 1 mm voxels with partial volume."""
    shape, radius, center = (90, 90, 90), 40.0, np.array([1.3, -0.4, 0.7])
    matrix = centered(shape, (1, 1, 1))
    beam = view(*angles, size=(128, 128), pitch=1.05)
    volume = material_volume(spheres(shape, matrix, [center], radius), matrix)
    ours = make_projector(volume).project([beam])[0, 0] * MM_PER_CM
    exact = chord(beam, center, radius)
    inside = exact > 2 * radius * np.sqrt(1 - 0.9**2)
    assert inside.sum() > 3000
    return np.sqrt(np.mean((ours - exact)[inside] ** 2))


@pytest.mark.parametrize("angles", [(0, 0), (180, 0), (90, 0), (-90, 0)])
def test_sphere_chords(angles):
    assert sphere_error(angles) < 0.06


@pytest.mark.parametrize("angles", [(30, 0), (45, 0), (-50, 30), (90, 45)])
def test_sphere_chords_askew_to_the_voxels(angles):
    """Here the staircase of the voxels themselves sets the limit: the float64 march below leaves 0.065 to 0.080 mm."""
    assert sphere_error(angles) < 0.12


def test_sixteen_beads_fall_where_the_geometry_says():
    """Centroid within 0.1 px of the projection of the bead's centre, by source and axes, and by P."""
    rng = np.random.default_rng(3)
    shape = (120, 130, 125)
    matrix = centered(shape, (1.0, 0.9, 1.1), random_rotation(5))
    centers = np.array([rng.uniform(-45, 45, 3) for _ in range(16)])
    beams = [view(*a, size=(260, 260), pitch=0.8) for a in ((0, 0), (30, 0), (-40, 25), (100, -20))]
    for center in centers:
        images = make_projector(material_volume(spheres(shape, matrix, [center], 4.0, subsamples=6), matrix)).project(
            beams
        )[:, 0]
        for beam, image in zip(beams, images):
            rows, columns = np.indices(image.shape)
            centroid = np.array([(image * columns).sum(), (image * rows).sum()]) / image.sum()
            normal = np.cross(beam.e_c, beam.e_r)
            ray = center - beam.source
            hit = beam.source + ray * ((beam.pixel00 - beam.source) @ normal) / (ray @ normal) - beam.pixel00
            closed_form = np.array([hit @ beam.e_c / beam.pitch[0], hit @ beam.e_r / beam.pitch[1]])
            u, v, w = beam.P @ [*center, 1]
            assert np.abs(centroid - closed_form).max() < 0.1
            assert np.abs(centroid - [u / w, v / w]).max() < 0.1
            assert np.isclose(np.linalg.det(beam.R), 1)


@pytest.mark.parametrize("angles", [(0, 0), (45, 0), (33, -21)])
def test_storage_order_and_flips_leave_the_image_alone(body, angles):
    density, matrix = body
    beam = view(*angles)
    reference = make_projector(material_volume(density, matrix)).project([beam])[0, 0]
    for permutation, flips in storage_orders():
        array, affine = restored(density, matrix, list(permutation), flips)
        image = make_projector(material_volume(array, affine)).project([beam])[0, 0]
        assert np.abs(image - reference).max() <= 1e-4 * reference.max(), (permutation, flips)


@pytest.mark.parametrize("seed", range(4))
def test_turning_patient_and_c_arm_together_leaves_the_image_alone(body, seed):
    density, matrix = body
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = random_rotation(seed), (12, -30, 8)
    for angles in ((0, 0), (45, 0), (20, 35)):
        beam = view(*angles)
        still = make_projector(material_volume(density, matrix)).project([beam])[0, 0]
        moved = make_projector(material_volume(density, move @ matrix)).project([beam.transformed(move)])[0, 0]
        assert np.abs(moved - still).max() <= 1e-4 * still.max()


def test_agrees_with_an_independent_march(body):
    density, matrix = body
    turned = random_rotation(11) @ matrix[:3, :3] @ np.array([[1, 0.1, 0], [0, 1, 0.2], [0, 0, 1]])
    sheared = np.eye(4)
    sheared[:3, :3], sheared[:3, 3] = turned, -turned @ ((np.array(density.shape[::-1]) - 1) / 2)
    for affine in (matrix, sheared):
        for angles in ((0, 0), (45, 0), (-35, 28)):
            beam = view(*angles)
            image = make_projector(material_volume(density, affine)).project([beam])[0, 0] * MM_PER_CM
            pixels = [(r, c) for r in range(4, 96, 13) for c in range(4, 96, 13)]
            judge = line_integrals(density, affine, beam, pixels)
            ours = np.array([image[p] for p in pixels])
            # Two interpolation rules on a coarse body with hard edges; a misplaced voxel would show as 1e-1.
            assert np.sqrt(np.mean((ours - judge) ** 2)) < 8e-3 * judge.max()


def test_materials_are_traced_apart(body):
    density, matrix = body
    volume = material_volume(density, matrix)
    two = type(volume)(("a", "b"), np.stack([density, 2 * density[::-1]], -1).astype(np.float32), matrix)
    beam = view(25, 10)
    a, b = make_projector(two).project([beam])[0]
    assert np.allclose(a, make_projector(volume).project([beam])[0, 0], rtol=1e-5, atol=1e-6)
    assert np.allclose(b, make_projector(material_volume(2 * density[::-1], matrix)).project([beam])[0, 0], atol=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_a_single_layer_of_voxels_is_a_body_too(axis):
    """1 x 40 x 40 mm and so on, seen along each of its axes: its thickness comes out where the rays are central."""
    shape = [40, 40, 40]
    shape[2 - axis] = 1
    projector = make_projector(material_volume(np.ones(shape, np.float32), centered(shape, (1, 1, 1))))
    for angles, along in (((0, 0), 1), ((90, 0), 0), ((0, 90), 2)):
        image = projector.project([view(*angles, size=(33, 33), pitch=0.1)])[0, 0] * MM_PER_CM
        assert np.isclose(image[16, 16], 1 if along == axis else 40, rtol=1e-3)


def test_nothing_before_the_source_or_behind_the_detector_counts():
    shape = (40, 40, 40)
    matrix = centered(shape, (2, 2, 2), center=(0, -700, 0))  # behind the tube
    projector = make_projector(material_volume(np.ones(shape, np.float32), matrix))
    assert projector.project([view()]).max() == 0
    matrix = centered(shape, (2, 2, 2), center=(0, 500, 0))  # beyond the detector
    assert make_projector(material_volume(np.ones(shape, np.float32), matrix)).project([view()]).max() == 0


def test_a_batch_is_its_views_one_by_one_and_can_be_stopped(body):
    projector = make_projector(material_volume(*body))
    beams = [view(0), view(60)]
    assert np.array_equal(projector.project(beams), np.concatenate([projector.project([b]) for b in beams]))
    with pytest.raises(Stopped):
        projector.project(beams, should_stop=lambda: True)
    with pytest.raises(InputError, match="same image size"):
        projector.project([view(), view(size=(10, 10))])
    with pytest.raises(InputError, match="backend"):
        make_projector(material_volume(*body), "gpu")
