"""The projector against closed forms, an independent march, and itself under every way to store one body."""

import numpy as np
import pytest
from ray_march import line_integrals

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.projector import Stopped, make_projector
from DeepDRRSlicerLib.projection.slab_geometry import FINE
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


RADIUS, CENTER = 40.0, np.array([1.3, -0.4, 0.7])


@pytest.fixture(scope="module")
def sphere():
    """1 mm voxels with partial volume."""
    shape = (90, 90, 90)
    matrix = centered(shape, (1, 1, 1))
    return make_projector(material_volume(spheres(shape, matrix, [CENTER], RADIUS), matrix))


def sphere_error(sphere, angles):
    """RMS in mm inside 0.9 R."""
    beam = view(*angles, size=(128, 128), pitch=1.05)
    ours = sphere.project([beam])[0, 0] * MM_PER_CM
    exact = chord(beam, CENTER, RADIUS)
    inside = exact > 2 * RADIUS * np.sqrt(1 - 0.9**2)
    assert inside.sum() > 3000
    return np.sqrt(np.mean((ours - exact)[inside] ** 2))


@pytest.mark.parametrize("angles", [(0, 0), (180, 0), (90, 0), (-90, 0)])
def test_sphere_chords(sphere, angles):
    assert sphere_error(sphere, angles) < 0.06


@pytest.mark.parametrize("angles", [(30, 0), (45, 0), (-50, 30), (90, 45)])
def test_sphere_chords_askew_to_the_voxels(sphere, angles):
    """Here the staircase of the voxels themselves sets the limit: the float64 march below leaves 0.065 to 0.080 mm."""
    assert sphere_error(sphere, angles) < 0.12


def test_sixteen_beads_fall_where_the_geometry_says():
    """Centroid within 0.1 px of the projection of the bead's centre, by source and axes, and by P."""
    rng = np.random.default_rng(3)
    shape = (120, 130, 125)
    matrix = centered(shape, (1.0, 0.9, 1.1), random_rotation(5))
    centers = np.array([rng.uniform(-45, 45, 3) for _ in range(16)])
    beams = [view(*a, size=(260, 260), pitch=0.8) for a in ((0, 0), (30, 0), (-40, 25), (100, -20))]
    beads = np.stack([spheres(shape, matrix, [center], 4.0, subsamples=6) for center in centers], axis=-1)
    names = tuple(f"bead {n}" for n in range(16))
    images = make_projector(MaterialVolume.from_density(names, beads, matrix)).project(beams)
    for n, center in enumerate(centers):
        for beam, image in zip(beams, images[:, n]):
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


@pytest.mark.parametrize("axis", range(3))
def test_storage_order_decides_no_ties(body, axis):
    """Cubic voxels and rays exactly as steep along one axis as along another, passing between voxels."""
    density, _ = body
    matrix = centered(density.shape, (1.5, 1.5, 1.5))
    b, c = (axis + 1) % 3, (axis + 2) % 3
    source, pixel00 = np.zeros(3), np.zeros(3)
    source[[b, c, axis]] = -300, -299.5, 0.25
    pixel00[[b, c, axis]] = 200, 200.5, -128
    beam = ConeBeam(source, pixel00, (np.eye(3)[b] - np.eye(3)[c]) * np.sqrt(0.5), np.eye(3)[axis], (1, 2), (128, 1))
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
    two = MaterialVolume.from_density(("a", "b"), np.stack([density, 2 * density[::-1]], -1), matrix)
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


@pytest.mark.parametrize("axis", range(3))
def test_the_density_falls_to_zero_one_voxel_beyond_the_outermost_centres(axis):
    """Rays that leave the array's reach at a plane of voxels, as nearly as rounding lets them: they must not see the
    outermost voxel there with its full weight."""
    n, across = 24, (axis + 1) % 3
    rng = np.random.default_rng(axis)
    beams, expected = [], []
    fine = (np.arange(2600) + 0.5) / 100 - 1  # positions along the axis, from -1 to n
    for count in range(600):
        slope = (0.5, -0.25, 1 / 3, -0.7)[count % 4] if count < 200 else rng.uniform(-0.95, 0.95)
        plane, far = int(rng.integers(n)), 96.0 if count < 200 else rng.uniform(60, 900)
        edge = float(rng.choice([-1, n]))
        sign = rng.choice([-1, 1])  # the way along the axis
        source = np.full(3, 3.0)
        source[axis], source[across] = plane - sign * far, edge - slope * far
        target = source.copy()
        target[axis] += sign * 1000
        target[across] += slope * 1000
        beams.append(ConeBeam(source, target, np.eye(3)[across], np.eye(3)[3 - axis - across], (1, 1), (1, 1)))
        # All ones inside, and a ramp to 0 from the outermost centres on, along the axis and across it.
        aside = source[across] + slope * sign * (fine - source[axis])
        weights = np.prod([np.clip(np.minimum(x + 1, n - x), 0, 1) for x in (fine, aside)], axis=0)
        expected.append(weights.sum() / 100 * np.sqrt(1 + slope**2))
    projector = make_projector(material_volume(np.ones((n, n, n), np.float32), np.eye(4)))
    errors = projector.project(beams)[:, 0, 0, 0] * MM_PER_CM - expected
    # mm; an outermost voxel of full weight is 1 for steep rays and up to 24 for those along the edge. There, all 24
    # kinks lie in one place: a cubic errs by up to 3/16 of the change of slope times the distance of the samples.
    assert np.abs(errors).max() < 3 / 16 * n * FINE.pitch and np.sqrt(np.mean(errors**2)) < 0.15


def test_source_or_detector_inside_the_body(body):
    """What lies behind the detector is left out, to within half a voxel; a source inside is refused."""
    density, matrix = body
    with pytest.raises(InputError, match="source lies inside"):
        make_projector(material_volume(density, matrix)).project(
            [CArmPose(20, 10, (0, 0, 0), 900, 10, (9, 9), (30, 30)).beam()]
        )
    for pose in (
        CArmPose(20, 10, (0, 0, 0), 610, 600, (9, 9), (3, 3)),
        CArmPose(47, -12, (0, 0, 0), 620, 600, (9, 9), (9, 9)),  # all three axes, some slabs only partly before it
    ):
        beam = pose.beam()
        image = make_projector(material_volume(density, matrix)).project([beam])[0, 0] * MM_PER_CM
        towards = beam.pixel_centers() - beam.source
        for row in range(9):
            for column in range(9):
                # The judge goes on beyond the detector; here it is stopped there, by what it finds further on.
                ray = towards[row, column] / np.linalg.norm(towards[row, column])
                onward = ConeBeam(
                    beam.pixel_to_ras(column, row),
                    beam.pixel_to_ras(column, row) + 400 * ray,
                    *frame(ray),
                    (1, 1),
                    (1, 1),
                )
                whole, rest = (
                    line_integrals(density, matrix, b, [p])[0] for b, p in ((beam, (row, column)), (onward, (0, 0)))
                )
                assert image[row, column] == pytest.approx(whole - rest, abs=3.0)


def frame(direction):
    """Two unit vectors at right angles to a direction."""
    first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    first /= np.linalg.norm(first)
    return first, np.cross(direction, first)


def test_rays_along_the_axes_of_the_array():
    """Exactly parallel to two of the three axes, in every direction, at, between and beside voxel centres."""
    rng = np.random.default_rng(5)
    density = rng.random((5, 6, 7)).astype(np.float32)
    projector = make_projector(material_volume(density, np.eye(4)))
    for axis in range(3):
        summed = np.pad(density.sum(axis=2 - axis), 1)  # over the axis that the rays run along
        b, c = [a for a in range(3) if a != axis]
        for sign in (1, -1):
            for at_b, at_c in ((2, 3), (0, 0), (4, 2), (2.5, 3), (1.25, 2.75), (-0.5, 2), (-1, 2), (9, 2)):
                source = np.zeros(3)
                source[[b, c]] = at_b, at_c
                source[axis] = -40 * sign
                end = source.copy()
                end[axis] = 60 * sign
                beam = ConeBeam(source, end, np.eye(3)[b], np.eye(3)[c], (1, 1), (1, 1))
                # Axes of `summed` run from the slowest to the fastest: c, then b.
                x, y = np.clip([at_b + 1, at_c + 1], 0, np.array(summed.shape[::-1]) - 1)
                x0, y0 = (min(int(v), n - 2) for v, n in zip((x, y), summed.shape[::-1]))
                u, v = x - x0, y - y0
                exact = (1 - u) * (1 - v) * summed[y0, x0] + u * (1 - v) * summed[y0, x0 + 1]
                exact += (1 - u) * v * summed[y0 + 1, x0] + u * v * summed[y0 + 1, x0 + 1]
                found = projector.project([beam])[0, 0, 0, 0] * MM_PER_CM
                assert found == pytest.approx(exact, rel=2e-5, abs=1e-5), (axis, sign, at_b, at_c)  # 16 bits


def test_oblong_pixels_one_pixel_and_mirrored_detectors_see_the_same_body(body):
    projector = make_projector(material_volume(*body))
    pose = CArmPose(25, -15, (0, 0, 0), 1000, 600, (30, 24), (4, 8))
    beam = pose.beam()
    image = projector.project([beam])[0, 0]
    assert image.shape == (30, 24) and image.max() > 1
    columns = slice(None, None, -1)
    mirrored = ConeBeam(beam.source, beam.pixel_to_ras(23, 0), -beam.e_c, beam.e_r, beam.pitch, beam.size)
    assert np.allclose(projector.project([mirrored])[0, 0][:, columns], image, rtol=1e-4, atol=1e-4)
    transposed = ConeBeam(beam.source, beam.pixel00, beam.e_r, beam.e_c, beam.pitch[::-1], beam.size[::-1])
    assert np.allclose(projector.project([transposed])[0, 0].T, image, rtol=1e-4, atol=1e-4)
    for row, column in ((0, 0), (13, 11), (29, 5)):
        one = ConeBeam(beam.source, beam.pixel_to_ras(column, row), beam.e_c, beam.e_r, beam.pitch, (1, 1))
        assert projector.project([one])[0, 0, 0, 0] == pytest.approx(image[row, column], rel=1e-4, abs=1e-5)


def test_a_source_far_away_gives_parallel_rays(body):
    density, matrix = body
    near = CArmPose(0, 0, (0, 0, 0), 9e6 + 50, 9e6, (40, 40), (2.5, 2.5)).beam()
    image = make_projector(material_volume(density, matrix)).project([near])[0, 0] * MM_PER_CM
    middles = near.pixel_centers()
    to_index = np.linalg.inv(matrix)
    i, _, k = np.moveaxis(middles @ to_index[:3, :3].T + to_index[:3, 3], -1, 0)
    summed = np.pad(density.sum(axis=1), 1) * 1.5  # over j, which is A
    i, k = np.clip(i + 1, 0, summed.shape[1] - 1.001), np.clip(k + 1, 0, summed.shape[0] - 1.001)
    i0, k0 = i.astype(int), k.astype(int)
    u, v = i - i0, k - k0
    exact = (1 - u) * (1 - v) * summed[k0, i0] + u * (1 - v) * summed[k0, i0 + 1]
    exact += (1 - u) * v * summed[k0 + 1, i0] + u * v * summed[k0 + 1, i0 + 1]
    # All kinks of the density lie behind one another, where the samples between the rays lose most: up to 3/16 of the
    # change of slope from sample to sample, which is 2e-2 of the largest value at this body's sharpest edge.
    assert np.sqrt(np.mean((image - exact) ** 2)) < 1e-3 * exact.max()
    assert np.abs(image - exact).max() < 4e-3 * exact.max()


def test_a_batch_is_its_views_one_by_one_and_can_be_stopped(body):
    projector = make_projector(material_volume(*body))
    beams = [view(0), view(60)]
    assert np.array_equal(projector.project(beams), np.concatenate([projector.project([b]) for b in beams]))
    with pytest.raises(Stopped):
        projector.project(beams, should_stop=lambda: True)
    with pytest.raises(InputError, match="needs views"):
        projector.project([])
    with pytest.raises(InputError, match="same image size"):
        projector.project([view(), view(size=(10, 10))])
    with pytest.raises(InputError, match="backend"):
        make_projector(material_volume(*body), "gpu")
