"""Tools in the beam: lengths through closed surfaces against closed forms and independent ray casting."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_shapes import (
    box,
    comb,
    convex_chords,
    icosphere,
    intersections,
    length_inside,
    ring,
    sphere,
)

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.materials import density
from DeepDRRSlicerLib.projection.tools import Tool, insert_tools, traced_materials
from phantoms import centered

EMPTY = MaterialVolume(("water",), np.zeros((1, 2, 2, 2), np.uint16), np.ones(1), np.eye(4))


def view(angles=(0, 0), **changes):
    numbers = {"isocenter": (0.13, -0.07, 0.21), "sid": 1000, "sod": 600, "size": (41, 47), "pitch": (3, 2.5)}
    return CArmPose(*angles, **(numbers | changes)).beam()


def lengths(beam, *tools, threads=None):
    """mm of each ray in each of some tools of different materials (tools, rows, columns)."""
    channels = traced_materials(EMPTY.materials, tools)
    assert len(channels) == 1 + len(tools)
    image = np.zeros((len(channels), *beam.size), np.float32)
    insert_tools(image, EMPTY, beam, tools, threads)
    assert not image[0].any()
    return image[1:] * np.array([10 / tool.density for tool in tools], np.float32)[:, None, None]


def length(beam, vertices, faces):
    return lengths(beam, Tool("it", vertices, faces, "titanium"))[0]


def shift(*ras):
    matrix = np.eye(4)
    matrix[:3, 3] = ras
    return matrix


def along(beam):
    """(pixels, 3) of the pixel centres."""
    return beam.pixel_centers().reshape(-1, 3)


CONVEX = {
    "tetrahedron": (np.array([[0, 0, 0], [40, 0, 0], [0, 40, 0], [0, 0, 40.0]]),
                    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])),
    "box": box((-20, -15, -10), (20, 15, 30)),
    "icosahedron": icosphere(25, 0),
    "ball": icosphere(25, 2),
    "cone": ring([(0.5, -20), (15, 10), (12, 25)], 17),
    "prism": ring([(12, -30), (12, 30)], 6),
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(CONVEX)), st.integers(0, 2**32 - 1), st.floats(-180, 180), st.floats(-90, 90),
    st.floats(20, 700),
)  # fmt: skip
def test_random_convex_bodies(name, seed, primary, secondary, sod):
    """Any affine image of a convex body, from anywhere, also from inside: clipped by its half-spaces."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = rng.normal(size=(3, 3))
    matrix[:3, :3] *= np.cbrt(rng.uniform(0.2, 4) / abs(np.linalg.det(matrix[:3, :3])))
    matrix[:3, 3] = rng.uniform(-30, 30, 3)
    tool = Tool(name, *CONVEX[name], "titanium").moved(matrix)
    beam = view((primary, secondary), sod=sod, size=(19, 23), pitch=(7, 6))
    expected = convex_chords(tool.vertices, tool.faces, beam.source, along(beam)).reshape(beam.size)
    assert np.allclose(lengths(beam, tool)[0], expected, atol=3e-4, rtol=1e-6)


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (37, -21), (12, 88)])
def test_sphere_and_cylinder_within_their_facets(angles):
    """Fine meshes inscribed in round bodies: a chord differs by the depth of the facets at its two ends."""
    beam, radius, center = view(angles), 24.0, np.array([4.0, -3.0, 2.0])
    vertices, faces = sphere(radius, 300, 150)
    got = length(beam, vertices + center, faces)
    way = (along(beam) - beam.source) / np.linalg.norm(along(beam) - beam.source, axis=1)[:, None]
    to = center - beam.source
    off2 = to @ to - (way @ to) ** 2
    exact = 2 * np.sqrt(np.maximum(0, radius**2 - off2)).reshape(beam.size)
    inscribed = radius * np.cos(np.pi / 150)  # no point of the mesh is closer to the centre
    least = 2 * np.sqrt(np.maximum(0, inscribed**2 - off2)).reshape(beam.size)
    assert (got <= exact + 1e-4).all() and (got >= least - 1e-4).all()
    assert exact.max() == pytest.approx(2 * radius, abs=0.1)

    vertices, faces = ring([(radius, -500.0), (radius, 500.0)], 720)
    axis = np.array([0, 0, 1.0])
    got = length(beam, vertices + center, faces)
    across = way - (way @ axis)[:, None] * axis
    flat = to - to @ axis * axis
    speed2, at = (across**2).sum(1), across @ flat
    for r, compare in ((radius, np.less_equal), (radius * np.cos(np.pi / 720), np.greater_equal)):
        half = np.sqrt(np.maximum(0, at**2 - speed2 * (flat @ flat - r**2))) / speed2
        chord = (2 * half).reshape(beam.size)
        side = abs(angles[1]) < 80  # seen along its axis, rays leave through its ends
        if side:
            assert compare(got, chord + (2e-4 if compare is np.less_equal else -2e-4)).all()


def test_torus_seen_along_its_axis():
    """Nearly parallel rays: the chord is that of the tube's circle."""
    big, small = 30.0, 9.0
    angle = np.arange(400) / 400 * 2 * np.pi
    vertices, faces = ring(np.column_stack([big + small * np.cos(angle), small * np.sin(angle)]), 800, closed=True)
    beam = ConeBeam((0, 0, -1e6), (-41.3, -40.2, 100), (1, 0, 0), (0, 1, 0), (2.1, 2.1), (40, 40))
    points = along(beam) * 1e6 / (1e6 + 100)
    exact = 2 * np.sqrt(np.maximum(0, small**2 - (np.hypot(points[:, 0], points[:, 1]) - big) ** 2))
    got = length(beam, vertices, faces).ravel()
    inner = exact > 2
    assert inner.sum() > 500
    assert np.abs(got - exact)[inner].max() < 0.02 and (got[exact == 0] == 0).all()


def test_torus_and_comb_against_single_rays():
    angle = np.arange(24) / 24 * 2 * np.pi
    torus = ring(np.column_stack([30 + 9 * np.cos(angle), 9 * np.sin(angle)]), 40, closed=True)
    for vertices, faces in (torus, comb(12)):
        for beam in (view((3, 4), size=(21, 23), pitch=(5, 5)), view((81, 9), size=(21, 23), pitch=(5, 5))):
            expected = [length_inside(vertices, faces, beam.source, pixel) for pixel in along(beam)]
            assert np.allclose(length(beam, vertices, faces).ravel(), expected, atol=3e-4)


@pytest.mark.parametrize("teeth", [1, 7, 60])
def test_comb_of_many_teeth(teeth):
    """A ray along x through the middle of all teeth: 2 x teeth crossings, teeth x width of material."""
    vertices, faces = comb(teeth, width=1.0, gap=1.5, height=20.0, depth=6.0)
    beam = ConeBeam((-500, 3.1, 9.3), (600, 3.1, 9.3), (0, 1, 0), (0, 0, 1), (0.1, 0.1), (1, 1))
    assert len(intersections(vertices, faces, beam.source, beam.pixel00)[0]) == 2 * teeth
    assert length(beam, vertices, faces)[0, 0] == pytest.approx(teeth * 1.0, rel=1e-6)


@pytest.mark.parametrize("spin", range(6))
def test_rays_exactly_through_edges_and_vertices_of_a_cube(spin):
    """Every second ray inside the cube's shadow meets a diagonal or a vertex; none may be lost or doubled."""
    e_c, e_r = np.eye(3)[[spin % 3, (spin + 1 + spin // 3) % 3]]
    toward = np.cross(e_c, e_r)
    source = -1024.0 * toward
    # At the front face (depth 1008) and at the back (1040) a pixel of 1/64 of the detector's 2048 is met in binary.
    beam = ConeBeam(source, 1024 * toward - 24 * e_c - 24 * e_r, e_c, e_r, (1, 1), (49, 49))
    vertices, faces = box((-8, -8, -8), (8, 8, 8))
    got = length(beam, vertices, faces)
    expected = convex_chords(vertices, faces, beam.source, along(beam)).reshape(beam.size)
    offset = np.abs(np.arange(49) - 24)
    reach = np.maximum(offset[:, None], offset)
    shadow = reach * 1016 / 2048 < 8 - 1e-9
    assert shadow.sum() > 900
    assert np.allclose(got[shadow], expected[shadow], atol=1e-5, rtol=1e-6)
    assert (got[~shadow & (reach * 1032 / 2048 > 8 + 1e-9)] == 0).all()
    assert (got >= 0).all() and got.max() <= 16 * 1.001


def lattice(seed, exact):
    """A rough block whose vertices lie on the rays of whole pixels; its thickness at them in shares of the depth."""
    rng = np.random.default_rng(seed)
    n = 17
    beam = ConeBeam((0, 0, 0), (-32, -32, 2048), (1, 0, 0), (0, 1, 0), (2, 2), (n * 2 - 1, n * 2 - 1))
    if not exact:
        beam = view((31, 17), size=(n * 2 - 1, n * 2 - 1))
    steps = np.arange(n) * 2
    targets = beam.pixel_to_ras(steps[None, :], steps[:, None]) - beam.source
    near, far = rng.integers(256, 400, (n, n)) / 1024, rng.integers(500, 700, (n, n)) / 1024
    vertices = beam.source + np.concatenate([(targets * s[..., None]).reshape(-1, 3) for s in (near, far)])
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    cell = np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)])
    rim = np.concatenate([np.arange(n), np.arange(2, n + 1) * n - 1, n * n - 1 - np.arange(1, n),
                          (n - 1 - np.arange(1, n - 1)) * n])  # fmt: skip
    after = np.roll(rim, -1)
    sides = np.concatenate([np.stack([rim, after + n * n, after], 1), np.stack([rim, rim + n * n, after + n * n], 1)])
    faces = np.concatenate([cell, cell[:, ::-1] + n * n, sides])
    return beam, vertices, faces[:, ::-1] if seed % 2 else faces, far - near, np.linalg.norm(targets, axis=-1)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_rays_through_vertices_and_edges_of_a_rough_block(seed, exact):
    """Rays through the inner vertices know their length; those on edges between lie between their neighbours.

    Where exact, all coordinates are binary fractions and every other ray meets a vertex or an edge to the last bit;
    elsewhere they meet them within rounding.
    """
    beam, vertices, faces, share, way = lattice(seed, exact)
    got = length(beam, vertices, faces)
    assert np.allclose(got[2:-2:2, 2:-2:2], (share * way)[1:-1, 1:-1], rtol=1e-5)
    inner = got[1:-1, 1:-1]
    assert inner.min() > (share * way).min() * 0.99 and inner.max() < (share * way).max() * 1.01
    rim = np.concatenate([got[0], got[-1], got[:, 0], got[:, -1]])
    assert (rim >= 0).all() and rim.max() < (share * way).max() * 1.01


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (180, 0), (0, 90)])
def test_symmetric_icosphere_has_no_leaks_and_no_streaks(angles):
    """Seen along its axes, its vertices and edges fall on rows and columns of pixels."""
    vertices, faces = icosphere(20, 3)
    beam = view(angles, isocenter=(0, 0, 0), size=(65, 65), pitch=(1, 1))
    got = length(beam, vertices, faces)
    expected = convex_chords(vertices, faces, beam.source, along(beam)).reshape(beam.size)
    assert np.allclose(got, expected, atol=1e-3)
    assert np.allclose(got, got[::-1], atol=1e-3) and np.allclose(got, got[:, ::-1], atol=1e-3)


def test_cavities_nested_shells_and_overlapping_parts():
    """Winding counts: a shell turned inwards is a hole, shells over each other count once, also when turned over."""
    outer, inner = box((-20, -20, -20), (20, 20, 20)), box((-5, -5, -5), (5, 5, 5))
    beam = ConeBeam((0.3, 0.2, -900), (0.3, 0.2, 900), (1, 0, 0), (0, 1, 0), (1, 1), (1, 1))

    def both(first, second, turned):
        faces = second[1][:, ::-1] if turned else second[1]
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], faces + len(first[0])])

    assert length(beam, *both(outer, inner, turned=False))[0, 0] == pytest.approx(40)
    vertices, faces = both(outer, inner, turned=True)
    assert length(beam, vertices, faces)[0, 0] == pytest.approx(30)
    assert length(beam, vertices, faces[:, ::-1])[0, 0] == pytest.approx(30)
    shifted = (outer[0] + (0, 0, 30), outer[1])
    assert length(beam, *both(outer, shifted, turned=False))[0, 0] == pytest.approx(70)
    apart = (outer[0] + (0, 0, 100), outer[1])
    assert length(beam, *both(outer, apart, turned=True))[0, 0] == pytest.approx(80)


def test_the_later_tool_takes_the_place_of_the_earlier():
    beam = ConeBeam((0.3, 0.2, -900), (0.3, 0.2, 900), (1, 0, 0), (0, 1, 0), (1, 1), (1, 1))
    cement = Tool("cement", *box((-20, -20, -20), (20, 20, 20)), "PMMA")
    screw = Tool("screw", *box((-5, -5, -30), (5, 5, 10)), "titanium")
    wire = Tool("wire", *box((-1, -1, -50), (1, 1, 15)), "stainless steel 316L")
    assert lengths(beam, cement, screw).ravel() == pytest.approx([10, 40])
    assert lengths(beam, screw, cement).ravel() == pytest.approx([10, 40])
    assert lengths(beam, cement, screw, wire).ravel() == pytest.approx([5, 0, 65])
    assert lengths(beam, cement, wire, screw).ravel() == pytest.approx([5, 25, 40])
    twin = Tool("twin", *box((-5, -5, -30), (5, 5, 10)), "tantalum")
    assert lengths(beam, screw, twin).ravel() == pytest.approx([0, 40])


@pytest.mark.parametrize("ball", [icosphere(50, 1), box((-50, -40, -60), (50, 40, 60))])
def test_only_what_lies_between_source_and_detector_counts(ball):
    """A body around the source, before it, across the detector and behind it."""
    vertices, faces = ball
    beam = view((20, 30), size=(21, 21), pitch=(20, 20), sid=400, sod=200)
    for center in (beam.source, beam.source - 300 * beam.normal, beam.source + 20 * beam.e_c, beam.detector_center,
                   beam.detector_center + 10 * beam.e_r + 30 * beam.normal, beam.detector_center + 300 * beam.normal,
                   beam.source + 49 * beam.e_c + 3 * beam.e_r, beam.source + 199 * beam.normal):  # fmt: skip
        expected = convex_chords(vertices + center, faces, beam.source, along(beam)).reshape(beam.size)
        assert np.allclose(length(beam, vertices + center, faces), expected, atol=2e-3)
    assert length(beam, vertices + beam.source - 300 * beam.normal, faces).max() == 0


def test_a_wire_lies_where_it_is_projected():
    """The shadow of a thin wire, row by row, is centred on the projection of its axis."""
    beam = view((25, 10), size=(256, 256), pitch=(0.3, 0.3))
    wire = Tool("wire", *ring([(0.45, -60), (0.45, 60)], 32), "nitinol")
    turn = np.eye(4)
    turn[:3, :3] = np.linalg.qr(np.array([[1, 0.1, 0.3], [0, 1, 0.2], [-0.4, 0, 1.0]]))[0]
    moved = wire.moved(turn)
    shadow = lengths(beam, moved)[0]
    rows = np.flatnonzero((shadow > 0).any(axis=1))[5:-5]
    middle = (shadow[rows] * np.arange(256)).sum(axis=1) / shadow[rows].sum(axis=1)
    axis = beam.project(np.linspace(-80, 80, 3000)[:, None] * turn[:3, 2])
    order = np.argsort(axis[:, 1])
    assert len(rows) > 100
    assert np.abs(middle - np.interp(rows, axis[order, 1], axis[order, 0])).max() < 0.25


def test_bits_do_not_depend_on_threads_nor_on_other_tools():
    beam = view((31, 12), size=(120, 130), pitch=(1, 1))
    rough = Tool("rough", *icosphere(30, 3), "titanium")
    wire = Tool("wire", *ring([(0.5, -90), (0.5, 90)], 12), "nitinol").moved(shift(45, 0, 0))
    one = lengths(beam, rough, threads=1)[0]
    for threads in (2, 3, 7, None):
        assert np.array_equal(lengths(beam, rough, threads=threads)[0], one)
    pair = lengths(beam, rough, wire, threads=2)
    apart = pair[1] == 0
    assert apart.mean() > 0.9 and np.array_equal(pair[0][apart], one[apart])


def test_channels_of_volume_and_tools():
    steel = Tool("a", *CONVEX["box"], "stainless steel 316L")
    bone = Tool("b", *CONVEX["box"], "bone", density=1.5)
    assert (steel.density, bone.density) == (density("stainless steel 316L"), 1.5)
    assert traced_materials(("water", "bone"), [steel, bone, steel]) == ("water", "bone", "stainless steel 316L")
    assert traced_materials(("water",), ()) == ("water",)


def test_surfaces_are_merged_turned_outward_and_checked():
    vertices, faces = box((-1, -2, -3), (1, 2, 3))
    soup = Tool("soup", vertices[faces].reshape(-1, 3), np.arange(36).reshape(-1, 3), "titanium")
    assert soup.vertices.shape == (8, 3)
    inside_out = Tool("turned", vertices, faces[:, ::-1], "Ti")
    for tool in (soup, inside_out, inside_out.moved(np.diag([-2.0, 1, 1, 1]))):
        corners = tool.vertices[tool.faces]
        assert np.einsum("fa,fa->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) > 0
    doubled = Tool("degenerate", vertices, np.concatenate([faces, [[3, 3, 5]]]), "titanium")
    assert len(doubled.faces) == 12
    two = Tool("touching", np.concatenate([vertices, vertices + (2, 4, 0)]), np.concatenate([faces, faces + 8]), "iron")
    assert len(two.vertices) == 14  # two boxes that share one edge are closed
    with pytest.raises(ValueError):
        soup.vertices[0] = 0


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda v, f: (v, f[:-1], "titanium"), r"'it' is not closed \(3 open edges\)"),
        (lambda v, f: (v, np.concatenate([f[:-1], f[-1:, ::-1]]), "titanium"), "turned inwards"),
        (lambda v, f: (v, f, "unobtainium"), "no material"),
        (lambda v, f: (v, f, "titanium", 0), "density"),
        (lambda v, f: (v, f, "titanium", np.nan), "density"),
        (lambda v, f: (v * (1, 1, 0), f, "titanium"), "encloses nothing"),
        (lambda v, f: (v, f + 1, "titanium"), "impossible"),
        (lambda v, f: (v * np.nan, f, "titanium"), "impossible"),
        (lambda v, f: (v, f[:0], "titanium"), "empty"),
        (lambda v, f: (v, f[:, :2], "titanium"), "triangulate"),
        (lambda v, f: (v, f.astype(float), "titanium"), "triangulate"),
    ],
)
def test_impossible_tools_are_refused(change, words):
    with pytest.raises(InputError, match=words) as error:
        Tool("it", *change(*box((0, 0, 0), (1, 1, 1))))
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "matrix", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan), np.diag([1, 1, 0, 1]), np.diag([1e9, 1, 1, 1])]
)
def test_impossible_moves_are_refused(matrix):
    with pytest.raises(InputError, match="transform of the tool 'it'"):
        Tool("it", *box((0, 0, 0), (1, 1, 1)), "titanium").moved(matrix)


def test_without_numba_the_same_image(tmp_path):
    """A process in which numba cannot be imported."""
    root = Path(__file__).resolve().parents[2]
    code = f"""
import sys
sys.modules["numba"] = None
sys.path[:0] = [{str(root / "DeepDRRSlicer")!r}, {str(root / "Testing")!r}, {str(root / "Testing/engine")!r}]
import numpy as np
import test_tools
np.save({str(tmp_path / "plain.npy")!r}, test_tools.lengths_of_a_pair())
assert "DeepDRRSlicerLib.projection.mesh_crossings" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = lengths_of_a_pair()
    assert expected.max() > 1
    assert np.abs(np.load(tmp_path / "plain.npy") - expected).max() <= 1e-5 * expected.max()


def lengths_of_a_pair():
    """An image (channels, rows, columns) of two overlapping tools in water, for a comparison between processes."""
    water = MaterialVolume(("water",), np.full((1, 30, 30, 30), 1000, np.uint16), [1e-3], centered((30,) * 3, (2,) * 3))
    tools = Tool("ball", *icosphere(12, 2), "titanium"), Tool("rod", *ring([(2, -40), (2, 40)], 12), "nitinol")
    beam = view((20, 10), size=(40, 40), pitch=(1.5, 1.5))
    image = np.zeros((3, *beam.size), np.float32)
    image[0] = 10
    insert_tools(image, water, beam, tools)
    return image
