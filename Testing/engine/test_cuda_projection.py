"""The kernels of the CUDA backend, run by this processor (host_cuda), against the float64 judge and the CPU backend."""

import numpy as np
import pytest
from exact_integrals import exact_integrals
from test_projection_slabs import blobs, directions

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector
from DeepDRRSlicerLib.projection.projector import Stopped, make_projector
from host_cuda.compile import MISSING
from host_cuda.driver import HostDriver
from phantoms import centered, material_volume

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")

MM_PER_CM = 10


@pytest.fixture(scope="module")
def chest(shared_data):
    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from DeepDRRSlicerLib.anatomy.hu_model import decompose

    return decompose(read_ct(shared_data / "chest_ct" / "ct_1.5mm.nii.gz"))


def chest_beams(chest, count, across):
    """The whole picture of 307 mm in so many pixels, from directions all around."""
    center, pitch = tuple(chest.corners_ras().mean(axis=0)), 307 / across
    return [CArmPose(*a, center, 1000, 600, (across, across), (pitch, pitch)).beam() for a in directions(count)]


def relative_rms(image, judge):
    """Of each view. image: (views, channels, rows, columns) g/cm2; judge: (views, pixels) g/cm2 of all channels."""
    ours = image.sum(axis=1, dtype=np.float64).reshape(judge.shape)
    return np.sqrt(((ours - judge) ** 2).mean(axis=1) / (judge**2).mean(axis=1))


def judged(volume, beams):
    total = sum(density * scale for density, scale in zip(volume.density, volume.scale))
    pixels = list(np.ndindex(*beams[0].size))
    return np.array([exact_integrals(total, volume.ijk_to_ras, beam, pixels) for beam in beams]) / MM_PER_CM


DRIVERS = [
    pytest.param({}, False, 2e-4, id="8 bits rounded"),
    pytest.param({"truncated": True}, False, 2e-4, id="8 bits cut off"),
    pytest.param({}, True, 2e-5, id="exact"),
]


@pytest.fixture(scope="module")
def forty_views(chest):
    beams = chest_beams(chest, 40, 6)
    return beams, judged(chest, beams)


@pytest.mark.parametrize(("fractions", "exact", "most"), DRIVERS)
def test_error_on_a_chest_from_40_directions(chest, forty_views, fractions, exact, most):
    """36 rays in each view, all together; the long test below asks for each view."""
    beams, judge = forty_views
    image = CudaProjector(chest, HostDriver(**fractions), exact).project(beams)
    assert relative_rms(image, judge).mean() > 1e-8
    assert relative_rms(image.transpose(1, 0, 2, 3).reshape(1, 4, -1, 1), judge.reshape(1, -1))[0] <= most


@pytest.mark.long
def test_error_on_a_chest_in_each_of_40_directions(chest):
    beams = chest_beams(chest, 40, 24)
    judge = judged(chest, beams)
    for parameter in DRIVERS:
        fractions, exact, most = parameter.values
        errors = relative_rms(CudaProjector(chest, HostDriver(**fractions), exact).project(beams), judge)
        print(f"{parameter.id}: largest {errors.max():.2e}, median {np.median(errors):.2e}")
        assert errors.max() <= most


@pytest.mark.parametrize("count", [4, pytest.param(40, marks=pytest.mark.long)])
def test_cpu_and_cuda_agree(chest, count):
    beams = chest_beams(chest, count, 96)
    ours, cpu = (projector.project(beams) for projector in (CudaProjector(chest, HostDriver()), make_projector(chest)))
    errors = relative_rms(ours, cpu.sum(axis=1, dtype=np.float64).reshape(count, -1))
    print(f"largest {errors.max():.2e}")
    assert errors.max() <= 3e-4


def test_a_preview_is_coarse_but_the_same_picture(chest):
    projector = CudaProjector(chest, HostDriver())
    beams = chest_beams(chest, 5, 48)
    fine, coarse = projector.project(beams), projector.preview(beams)
    assert 1e-4 < relative_rms(coarse, fine.sum(axis=1, dtype=np.float64).reshape(5, -1)).max() < 1.2e-2
    assert np.abs(coarse.mean(axis=(1, 2, 3)) / fine.mean(axis=(1, 2, 3)) - 1).max() < 1e-3


def sheared_volume(seed, materials=1):
    """Lumps in and across the borders, in voxels that are oblique, anisotropic, flipped and sheared."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(10, 26, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shear = np.eye(3) + np.triu(rng.uniform(-0.2, 0.2, (3, 3)), 1)
    matrix = centered(shape, (1, 1, 1), turn @ shear @ np.diag(rng.uniform(0.5, 3, 3) * rng.choice([-1, 1], 3)))
    density = np.stack([blobs(shape, matrix, seed + m) for m in range(materials)], axis=-1)
    return MaterialVolume.from_density([f"m{m}" for m in range(materials)], density, matrix)


def wide_view(volume, angles, sid, size=(9, 7)):
    extent = np.linalg.norm(volume.corners_ras()[0] - volume.corners_ras()[-1])
    return CArmPose(*angles, (3, -2, 1), sid, 0.6 * sid, size, (2 * extent / size[1], 2 * extent / size[0])).beam()


@pytest.mark.parametrize("seed", range(8))
def test_any_volume_from_anywhere_exactly(seed):
    """From near and from ten kilometres, with parallel rays; borders included, where density ends sharply."""
    volume = sheared_volume(seed)
    rng = np.random.default_rng(seed)
    projector = CudaProjector(volume, HostDriver(), exact=True)
    for sid in (500, 2000, 1e7):
        beam = wide_view(volume, (rng.uniform(-180, 180), rng.uniform(-90, 90)), sid)
        judge = judged(volume, [beam])
        assert (judge > 0).any()
        assert np.abs(projector.project([beam]).reshape(1, -1) - judge).max() <= 2e-5 * judge.max()


@pytest.mark.parametrize("materials", [1, 2, 3, 4, 5, 9])
def test_materials_are_traced_apart(materials):
    """1, 2, 4 to a texel, in several textures; each of its own scale, one of them nowhere."""
    volume = sheared_volume(3, materials)
    volume.density[materials // 2] = 0
    beams = [wide_view(volume, angles, 800) for angles in ((25, 10), (100, -50))]
    for exact in (False, True):
        image = CudaProjector(volume, HostDriver(), exact).project(beams)
        assert image.shape == (2, materials, 9, 7) and not image[:, materials // 2].any()
        for m in range(materials):
            one = MaterialVolume(volume.materials[m : m + 1], volume.density[m : m + 1], volume.scale[m : m + 1],
                                 volume.ijk_to_ras)  # fmt: skip
            alone = CudaProjector(one, HostDriver(), exact).project(beams)
            assert np.allclose(image[:, m : m + 1], alone, rtol=1e-5, atol=1e-6)


def test_nothing_but_air():
    volume = MaterialVolume(("water",), np.zeros((1, 5, 6, 7), np.uint16), [1.0], centered((5, 6, 7), (9, 9, 9)))
    assert not CudaProjector(volume, HostDriver()).project([wide_view(volume, (3, 4), 900)]).any()


@pytest.mark.parametrize("exact", [False, True])
def test_rays_along_the_axes_of_the_array(exact):
    """Exactly parallel to two of the three axes, in every direction, at, between and beside voxel centres."""
    density = np.random.default_rng(5).random((5, 6, 7)).astype(np.float32)
    projector = CudaProjector(material_volume(density, np.eye(4)), HostDriver(fraction_bits=8), exact)
    for axis in range(3):
        summed = np.pad(density.sum(axis=2 - axis), 2).astype(np.float64)
        b, c = [a for a in range(3) if a != axis]
        beams, expected = [], []
        for sign in (1, -1):
            for at_b, at_c in ((2, 3), (0, 0), (4, 2), (2.5, 3), (1.25, 2.75), (-0.5, 2), (-1, 2), (9, 2)):
                source = np.zeros(3)
                source[[b, c]] = at_b, at_c
                source[axis] = -40 * sign
                end = source.copy()
                end[axis] = 60 * sign
                beams.append(ConeBeam(source, end, np.eye(3)[b], np.eye(3)[c], (1, 1), (1, 1)))
                x, y = min(at_b, summed.shape[1] - 4) + 2, min(at_c, summed.shape[0] - 4) + 2
                u, v = x % 1, y % 1
                corner = summed[int(y) : int(y) + 2, int(x) : int(x) + 2]
                expected.append(np.array([1 - v, v]) @ corner @ np.array([1 - u, u]) if at_b < 9 else 0.0)
        found = projector.project(beams)[:, 0, 0, 0] * MM_PER_CM
        assert found == pytest.approx(expected, rel=2e-5, abs=1e-5), axis


@pytest.mark.parametrize("exact", [False, True])
def test_nothing_before_the_source_or_behind_the_detector_counts(exact):
    """A detector that cuts the body, at any angle: what is behind each pixel is left out."""
    volume = sheared_volume(11)
    projector = CudaProjector(volume, HostDriver(), exact)
    largest = judged(volume, [wide_view(volume, (20, 10), 800)]).max()
    for angles in ((0, 0), (47, -12), (90, 30), (170, 80)):
        beam = CArmPose(*angles, (0, 0, 0), 606, 600, (9, 9), (4, 4)).beam()  # the detector 6 mm behind the middle
        judge = judged(volume, [beam])
        assert 0.02 * largest < judge.max()
        assert np.abs(projector.project([beam]).reshape(1, -1) - judge).max() <= (2e-5 if exact else 2e-2) * judge.max()
    behind = CArmPose(0, 0, (0, -900, 0), 1000, 600, (5, 5), (30, 30)).beam()
    before = CArmPose(180, 0, (0, -900, 0), 1000, 600, (5, 5), (30, 30)).beam()
    assert not projector.project([behind, before]).any()


def test_batches_are_single_views():
    volume = sheared_volume(2, 3)
    driver = HostDriver()
    projector = CudaProjector(volume, driver)
    beams = [wide_view(volume, angles, 900, (19, 21)) for angles in directions(7)]
    driver.launches.clear()
    together = projector.project(beams)
    assert driver.launches == ["project_4"]  # one for the batch
    assert np.array_equal(together, np.concatenate([projector.project([beam]) for beam in beams]))
    assert np.array_equal(projector.project(beams[:2]), together[:2])  # in a buffer with more in it


def test_a_repeated_launch_makes_the_same_picture():
    volume = sheared_volume(2, 3)
    driver = HostDriver()
    projector = CudaProjector(volume, driver)
    beams = [wide_view(volume, (30, 20), 900)]
    areas = projector.project_on_device(beams)
    assert areas.shape == (1, 3, 9, 7) and areas.nbytes == 4 * 3 * 9 * 7 <= areas.buffer.nbytes
    image = np.empty(areas.shape, np.float32)
    driver.download(areas.buffer, image)
    assert np.array_equal(image, projector.project(beams)) and image.max() > 0


def test_no_memory_grows():
    volume = sheared_volume(4, 2)
    driver = HostDriver()
    projector = CudaProjector(volume, driver)
    beams = [wide_view(volume, angles, 900) for angles in directions(3)]
    projector.project(beams)
    projector.preview(beams)
    live = driver.live_bytes
    assert live == projector.memory_bytes
    for frame in range(300):
        projector.project(beams[: 1 + frame % 3])
        projector.preview(beams[frame % 3 :][:1])
    assert driver.live_bytes == driver.most_bytes == live
    projector.free()
    assert driver.live_bytes == 0


def test_memory_is_what_the_occupied_box_needs():
    """Air around a body takes no memory of the card, and moves nothing."""
    density = np.zeros((30, 40, 50), np.float32)
    density[5:15, 10:30, 20:44] = blobs((10, 20, 24), centered((10, 20, 24), (1, 1, 1)), 3)
    matrix = centered(density.shape, (1.5, 1.2, 2))
    driver = HostDriver()
    projector = CudaProjector(material_volume(density, matrix), driver)
    inner = matrix.copy()
    inner[:3, 3] += matrix[:3, :3] @ (20, 10, 5)
    small = CudaProjector(material_volume(density[5:15, 10:30, 20:44], inner), HostDriver())
    assert projector.memory_bytes == driver.live_bytes < 2 * 10 * 20 * 24 * 1.4
    beam = CArmPose(30, 20, (0, 0, 0), 900, 600, (30, 30), (4, 4)).beam()
    assert np.allclose(projector.project([beam]), small.project([beam]), rtol=2e-3, atol=1e-5)


def test_a_batch_that_does_not_fit_is_made_in_smaller_ones():
    volume = sheared_volume(2)
    beams = [wide_view(volume, angles, 900, (64, 64)) for angles in directions(8)]
    expected = CudaProjector(volume, HostDriver()).project(beams)
    room = CudaProjector(volume, HostDriver()).memory_bytes + 3 * 64 * 64 * 4
    driver = HostDriver(memory_bytes=room)
    assert np.array_equal(CudaProjector(volume, driver).project(beams), expected)
    assert driver.launches == ["project_1"] * 4  # two views each
    with pytest.raises(DeviceError, match="full"):
        CudaProjector(volume, HostDriver(memory_bytes=room)).project(
            [wide_view(volume, (0, 0), 900, (128, 128))]
        )  # fmt: skip


def test_what_every_backend_refuses():
    volume = sheared_volume(2)
    projector = CudaProjector(volume, HostDriver())
    with pytest.raises(InputError, match="source lies inside the CT"):
        projector.project([CArmPose(20, 10, (0, 0, 0), 500, 1e-6, (8, 8), (1, 1)).beam()])
    sizes = [wide_view(volume, (0, 0), 900, size) for size in ((8, 8), (8, 9))]
    with pytest.raises(InputError, match="same image size"):
        projector.project(sizes)
    with pytest.raises(Stopped):
        projector.project(sizes[:1], should_stop=lambda: True)
