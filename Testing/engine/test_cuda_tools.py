"""Tools in the beam by the kernels of the CUDA backend, run by this processor, against the CPU's and the judge."""

import numpy as np
import pytest
from test_tools_tissue import rough, smooth
from tool_shapes import box, comb, icosphere, ring

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector
from DeepDRRSlicerLib.projection.cuda.tool_records import MOST_CROSSINGS, MOST_TOOLS, tool_records
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.projection.tools import Tool, insert_tools
from host_cuda.compile import MISSING
from host_cuda.driver import HostDriver
from phantoms import centered

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")

ANGLES = [(0, 0), (90, 0), (45, 0), (-33, 21), (12, 80)]


def views(size=(45, 41), pitch=(2.4, 2.6), angles=ANGLES):
    return [CArmPose(*a, (0.13, -0.07, 0.21), 1000, 600, size, pitch).beam() for a in angles]


def several():
    """Overlapping tools, one of a tissue's material, one with a cavity, one that reaches out of the volume."""
    outer, inner = icosphere(16, 2), icosphere(9, 1)
    hollow = np.concatenate([outer[0], inner[0]]), np.concatenate([outer[1], inner[1][:, ::-1] + len(outer[0])])
    return [
        Tool("hollow", *hollow, "titanium"),
        Tool("plug", *box((-30, -5, -6), (7, 6, 8)), "bone"),
        Tool("rod", *ring([(3, -200.0), (3, 200.0)], 12), "iron"),
        Tool("comb", *comb(9), "titanium"),
    ]


def sheets():
    return [Tool("sheet", *box((-40, 0.123, -40), (40, 0.127, 40)), "iron")]


AIR = MaterialVolume(("water",), np.zeros((1, 2, 2, 2), np.uint16), np.ones(1), np.eye(4))


@pytest.mark.parametrize("tools", [several(), sheets()], ids=["several", "sheets"])
def test_lengths_are_those_of_the_cpu(tools):
    """In air: the same crossings, to the bit, hence the same lengths to the rounding of a float."""
    beams = views(size=(120, 110), pitch=(1, 1))
    ours, cpu = (
        projector.project(beams, tools) for projector in (CudaProjector(AIR, HostDriver()), make_projector(AIR))
    )
    assert ours.shape == cpu.shape and ours.max() > 0.003
    assert np.array_equal(ours > 0, cpu > 0)
    assert np.allclose(ours, cpu, rtol=1e-6, atol=1e-9)


def test_rays_exactly_through_edges_and_corners():
    """Corners of a brick on pixel centres, its edges on rows and columns: nothing is lost or counted twice."""
    beam = ConeBeam((0, 0, -512), (-16, -16, 512), (1, 0, 0), (0, 1, 0), (1, 1), (33, 33))
    brick = Tool("brick", *box((-4, -5, 0), (6, 3, 128)), "titanium")  # whole pixels at its front, magnified by 2
    columns = tool_records([beam], [brick]).points[:, 0]
    assert {8.0, 28.0} <= set(columns)
    ours, cpu = (
        projector.project([beam], [brick]) for projector in (CudaProjector(AIR, HostDriver()), make_projector(AIR))
    )
    assert np.array_equal(ours > 0, cpu > 0) and (ours > 0).sum() > 100
    assert np.allclose(ours, cpu, rtol=1e-6, atol=1e-9)


def displaced(projector, volume, beams, tools):
    """(views, channels of the volume, rows, columns) g/cm2 that the tools take away."""
    n = len(volume.materials)
    return projector.project(beams)[:, :n] - projector.project(beams, tools)[:, :n]


def test_displaced_tissue_is_that_of_the_cpu():
    volume, tools = smooth(), [tool for tool in several() if tool.name != "plug"]
    beams = views()
    for exact in (False, True):
        ours = displaced(CudaProjector(volume, HostDriver(), exact), volume, beams, tools)
        cpu = np.zeros_like(ours)
        for view, beam in zip(cpu, beams, strict=True):
            image = np.zeros((3, *beam.size), np.float32)
            image[0] = 50
            insert_tools(image, volume, beam, tools)
            view[0] = 50 - image[0]
        assert ours.max() > 5
        assert np.abs(ours - cpu).max() < 2e-3 * cpu.max()
        assert np.array_equal(ours == 0, cpu == 0)


def test_displaced_tissue_of_a_rough_body_is_exact():
    """Noise from voxel to voxel: a tool as large as the body takes all of it, and two halves the whole."""
    volume = rough()
    beams = views()
    projector = CudaProjector(volume, HostDriver(), exact=True)
    whole = projector.project(beams)
    all_, left, right = (
        [Tool("block", *box((x, -300, -300), (y, 300, 300)), "CoCrMo")]
        for x, y in ((-300, 300), (-300, 1.7), (1.7, 300))
    )
    assert not projector.project(beams, all_)[:, :3].any()  # even the rounding
    halves = [displaced(projector, volume, beams, tools) for tools in (left, right)]
    assert np.abs(halves[0] + halves[1] - whole).max() < 1e-5 * whole.max()
    assert min(half.max() for half in halves) > 0.3 * whole.max()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("preview", [False, True])
def test_pictures_agree_with_the_cpu(exact, preview):
    """Five materials in two textures; a detector that cuts body and tools; a tool about the source."""
    one = rough()
    density = np.concatenate([one.density, one.density[:2, ::-1]])
    materials = ("adipose", "soft tissue", "bone", "water", "lung")
    volume = MaterialVolume(materials, density, np.append(one.scale, one.scale[:2]), one.ijk_to_ras)
    cut = CArmPose(44, 20, (0, 0, 0), 620, 600, (45, 41), (2.5, 2.5)).beam()
    collar = Tool("collar", *icosphere(30, 1), "PEEK")
    matrix = np.eye(4)
    matrix[:3, 3] = cut.source
    tools = [*several(), collar.moved(matrix)]
    # What a detector cuts off is left out by the CPU to within half a voxel: of twice the size in previews.
    beams = views() if preview else [*views(), cut]
    images = []
    for projector in (CudaProjector(volume, HostDriver(), exact), make_projector(volume)):
        images.append((projector.preview if preview else projector.project)(beams, tools))
    ours, cpu = images
    assert ours.shape == cpu.shape == (len(beams), 8, 45, 41)
    own = [materials.index("bone"), 5, 6, 7]  # of tools; bone has tissue too
    assert np.allclose(ours[:, own[1:]], cpu[:, own[1:]], rtol=2e-6, atol=1e-6)
    error = np.sqrt(np.mean((ours - cpu) ** 2, axis=(2, 3)) / np.maximum(np.mean(cpu**2, axis=(2, 3)), 1e-3))
    # Two rules of integration, in noise from voxel to voxel.
    assert error[:5].max() < (0.05 if preview else 0.012) and error.max() < 0.05
    assert not preview or ours.min() >= 0


def test_only_a_deficit_by_rounding_is_hidden():
    """The volume in the texture is another one than that of the picture: what is missing shows, unless it is little."""
    density = np.full((1, 60, 50, 40), 50000, np.uint16)
    volume = MaterialVolume(("water",), density, [1 / 50000], centered(density.shape[1:], (2.0, 2.5, 3.0)))
    beams = views(size=(5, 5), angles=ANGLES[:1])
    tool = Tool("brick", *box((-20, -20, -20), (20, 20, 20)), "iron")
    projector = CudaProjector(volume, HostDriver())
    for before, rest in ((3.95, 0.0), (3.82, 0.0), (4.05, 0.05), (3.7, -0.3), (3.0, -1.0)):

        def fill(views, voxels, kernels, areas, before=before):
            """Instead of the projection, a picture of so many g/cm2."""
            image = np.zeros(areas.shape, np.float32)
            image[:, 0] = before
            projector._driver.upload(image, areas.buffer)

        projector._project = fill
        image = projector.project(beams, [tool])
        assert image[0, 0, 2, 2] == pytest.approx(rest, abs=2e-3)


def test_batches_are_single_views_with_tools():
    volume, tools, driver = rough(), several(), HostDriver()
    projector, beams = CudaProjector(volume, driver), views()
    driver.launches.clear()
    together = projector.project(beams, tools)
    assert driver.launches == ["project_4", "tools_4"]
    assert np.array_equal(together, np.concatenate([projector.project([beam], tools) for beam in beams]))
    elsewhere = [tools[1].moved(np.array([[1, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))]
    plain = projector.project(beams)
    assert np.array_equal(projector.project(beams[:1], elsewhere), plain[:1])  # beside the picture


def test_no_memory_grows_with_tools():
    volume, driver, tools = rough(), HostDriver(), several()
    projector, beams = CudaProjector(volume, driver), views(size=(17, 19), pitch=(6, 6))
    for make in (projector.project, projector.preview):
        make(beams, tools)
    live = driver.live_bytes
    for frame in range(60):
        projector.project(beams[frame % 5 :][:2], tools[: 1 + frame % 4])
        projector.preview(beams[frame % 5 :][:1], tools)
    assert driver.live_bytes == driver.most_bytes == live == projector.memory_bytes
    projector.free()
    assert driver.live_bytes == 0


def fence(boards):
    """A ray along x crosses each of so many boards twice."""
    places = np.linspace(-40, 40, boards)
    parts = [box((x - 0.1, -15, -15), (x + 0.1, 15, 15)) for x in places]
    faces = [part[1] + n * len(part[0]) for n, part in enumerate(parts)]
    return Tool("fence", np.concatenate([part[0] for part in parts]), np.concatenate(faces), "titanium")


@pytest.mark.parametrize("boards", [MOST_CROSSINGS // 2 - 2, MOST_CROSSINGS // 2 + 1, 3 * MOST_CROSSINGS])
def test_views_too_crowded_for_the_card_are_made_by_the_cpu(boards):
    """And only those: the other views of the batch stay as they are. The hollow ball adds up to four crossings."""
    volume, driver = smooth(), HostDriver()
    projector = CudaProjector(volume, driver)
    beams = [*views(angles=[(0, 0)]), *views(angles=[(90, 0)]), *views(angles=[(0, 80)])]
    tools = [fence(boards), several()[0]]
    assert tool_records(beams, tools).most_faces > MOST_CROSSINGS
    driver.launches.clear()
    ours, cpu = projector.project(beams, tools), make_projector(volume).project(beams, tools)
    crowded = boards > MOST_CROSSINGS // 2
    assert driver.launches == ["project_1", "tools_1"] + ["project_1"] * crowded
    assert np.allclose(ours[:, 1], cpu[:, 1], rtol=2e-6, atol=1e-6)
    assert np.abs(ours[:, 0] - cpu[:, 0]).max() < 5e-3 * cpu[:, 0].max()


def test_more_tools_than_the_card_takes_are_left_to_the_cpu():
    volume = smooth()
    pin = Tool("pin", *box((-1, -1, -1), (1, 1, 1)), "iron")
    pins = []
    for n in range(MOST_TOOLS + 1):
        matrix = np.eye(4)
        matrix[:3, 3] = (n % 9 * 6 - 24, n // 9 * 3, n // 9 * 6 - 20)
        pins.append(pin.moved(matrix))
    beams = views(angles=ANGLES[:2])
    for count in (MOST_TOOLS, MOST_TOOLS + 1):
        driver = HostDriver()
        ours = CudaProjector(volume, driver).project(beams, pins[:count])
        assert ("tools_1" in driver.launches) == (count == MOST_TOOLS)
        cpu = make_projector(volume).project(beams, pins[:count])
        assert np.allclose(ours[:, 1], cpu[:, 1], rtol=2e-6, atol=1e-6)
        assert np.abs(ours - cpu)[:, 0].max() < 5e-3 * cpu[:, 0].max()
