"""Mesh files: what this program reads is where Slicer says it is, in every format and from every writer."""

import struct

import numpy as np
import pytest
from tool_shapes import box, icosphere, ring

from DeepDRRSlicerLib.anatomy.mesh import closed_surface, merged, read_mesh
from DeepDRRSlicerLib.errors import InputError

PART = ring([(3, -8), (5, 2), (2, 9)], 12)  # no symmetry hides a wrong axis once it is moved
PLACE = np.array([11.0, -23.0, 37.0])
VERTICES, FACES = PART[0] * (1, 0.7, 1) + PLACE, PART[1]
LIBRARY = {".stl": "trimesh", ".obj": "trimesh", ".ply": "trimesh", ".vtk": "vtkmodules", ".vtp": "vtkmodules"}


def same(read, vertices=VERTICES, faces=FACES):
    """Whether two surfaces have the same triangles, whatever the order of vertices and of corners."""

    def sorted_corners(v, f):
        corners = np.round(v[f], 3) + 0.0
        first = [min(range(3), key=lambda k: tuple(c[k])) for c in corners]
        return sorted(tuple(np.roll(c, -k, axis=0).ravel().tolist()) for c, k in zip(corners, first))

    return np.allclose(sorted_corners(*read), sorted_corners(vertices, faces), atol=2e-3)


def write_stl(path, vertices, faces, header=b"made here", ascii_text=False):
    corners = vertices[faces].astype(np.float32)
    if ascii_text:
        facets = "".join(
            "facet normal 0 0 0\nouter loop\n" + "".join(f"vertex {x:.6g} {y:.6g} {z:.6g}\n" for x, y, z in c)
            + "endloop\nendfacet\n" for c in corners
        )  # fmt: skip
        path.write_text(f"solid {header.decode()}\n{facets}endsolid\n")
    else:
        records = b"".join(struct.pack("<12fH", 0, 0, 0, *c.ravel().tolist(), 0) for c in corners)
        path.write_bytes(header.ljust(80) + struct.pack("<I", len(faces)) + records)


def write_obj(path, vertices, faces, comment="", polygons=()):
    lines = [f"# {comment}", "mtllib missing.mtl", "o thing", *(f"v {x} {y} {z}" for x, y, z in vertices)]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
    lines += ["f " + " ".join(str(n + 1) for n in polygon) for polygon in polygons]
    path.write_text("\n".join(lines) + "\n")


def write_ply(path, vertices, faces, comment=""):
    head = f"ply\nformat ascii 1.0\ncomment {comment}\nelement vertex {len(vertices)}\n"
    head += "property double x\nproperty double y\nproperty double z\n"
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [f"{x} {y} {z}" for x, y, z in vertices]
    rows += [" ".join(map(str, (len(face), *face))) for face in faces]
    path.write_text(head + "\n".join(rows) + "\n")


def write_vtk(path, vertices, faces, comment="title"):
    text = f"# vtk DataFile Version 4.2\n{comment}\nASCII\nDATASET POLYDATA\nPOINTS {len(vertices)} double\n"
    text += "\n".join(f"{x} {y} {z}" for x, y, z in vertices)
    text += f"\nPOLYGONS {len(faces)} {sum(len(f) + 1 for f in faces)}\n"
    path.write_text(text + "\n".join(" ".join(map(str, (len(f), *f))) for f in faces) + "\n")


WRITERS = {".stl": write_stl, ".obj": write_obj, ".ply": write_ply, ".vtk": write_vtk}


@pytest.mark.parametrize("ending", sorted(WRITERS))
@pytest.mark.parametrize("mark, sign", [("", (-1, -1, 1)), ("SPACE=LPS", (-1, -1, 1)), ("SPACE=RAS", (1, 1, 1))])
def test_space_is_read_from_the_mark_and_else_is_lps(tmp_path, ending, mark, sign):
    pytest.importorskip(LIBRARY[ending])
    text = f"3D Slicer output. {mark}"
    path = tmp_path / f"Teil ü{ending.upper() if mark else ending}"
    WRITERS[ending](path, VERTICES * sign, FACES, text.encode() if ending == ".stl" else text)
    vertices, faces = read_mesh(path)
    assert same((vertices, faces)) and (vertices.dtype, faces.dtype) == (np.float64, np.int64)
    assert len(vertices) == len(VERTICES)  # of an STL file, in which each face has its own, too


def test_ascii_stl(tmp_path):
    pytest.importorskip("trimesh")
    write_stl(tmp_path / "a.stl", VERTICES, FACES, b"3D Slicer output. SPACE=RAS", ascii_text=True)
    assert same(read_mesh(tmp_path / "a.stl"))


@pytest.mark.parametrize("ending", [".obj", ".ply", ".vtk"])
def test_polygons_are_cut_into_triangles(tmp_path, ending):
    """A hexagonal prism of two hexagons and six squares."""
    pytest.importorskip(LIBRARY[ending])
    vertices = ring([(3, 0), (3, 5)], 6)[0][:12]
    n = np.arange(6)
    polygons = [n[::-1].tolist(), (n + 6).tolist(), *np.stack([n, (n + 1) % 6, (n + 1) % 6 + 6, n + 6], 1).tolist()]
    path = tmp_path / f"nut{ending}"
    if ending == ".obj":
        write_obj(path, vertices, (), "SPACE=RAS", polygons)
    else:
        WRITERS[ending](path, vertices, polygons, "SPACE=RAS")
    vertices, faces = closed_surface(*read_mesh(path), "The nut")
    corners = vertices[faces]
    volume = np.einsum("fa,fa->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert len(faces) == 20 and volume == pytest.approx(1.5 * 3**0.5 * 9 * 5)


@pytest.mark.parametrize("ending", [".stl", ".ply", ".vtk", ".vtp"])
@pytest.mark.parametrize("compressed", [0, 1])
@pytest.mark.parametrize("space", [0, 1])
def test_files_that_slicer_writes(tmp_path, ending, compressed, space):
    """Slicer's own storage node writes the model in LPS or RAS, as text or binary; it lies where the scene has it."""
    pytest.importorskip(LIBRARY[ending])
    slicer, vtk = pytest.importorskip("slicer"), pytest.importorskip("vtk")
    if not hasattr(slicer, "vtkMRMLModelStorageNode"):
        pytest.skip("slicer-core is not installed")
    from vtk.util.numpy_support import numpy_to_vtk

    data, points, cells = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
    points.SetData(numpy_to_vtk(VERTICES.astype(np.float32), deep=True))
    for face in FACES.tolist():
        cells.InsertNextCell(3, face)
    data.SetPoints(points)
    data.SetPolys(cells)
    scene = slicer.vtkMRMLScene()
    for name in ("Model", "ModelStorage"):
        scene.RegisterNodeClass(getattr(slicer, f"vtkMRML{name}Node")())
    node, storage = (scene.AddNewNodeByClass(f"vtkMRML{name}Node") for name in ("Model", "ModelStorage"))
    node.SetAndObservePolyData(data)
    path = tmp_path / f"model{ending}"
    storage.SetFileName(str(path))
    storage.SetUseCompression(compressed)
    storage.SetCoordinateSystem(
        (slicer.vtkMRMLStorageNode.CoordinateSystemLPS, slicer.vtkMRMLStorageNode.CoordinateSystemRAS)[space]
    )
    assert storage.WriteData(node)
    assert same(read_mesh(path))
    assert slicer.vtkMRMLModelStorageNode().GetCoordinateSystem() == slicer.vtkMRMLStorageNode.CoordinateSystemLPS
    scene.Clear(1)


@pytest.mark.parametrize("ending", sorted(LIBRARY))
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 300, b"hello world\n" * 20, b"solid x\nendsolid x\n", b"ply\nend_header\n"]
)
def test_damaged_and_empty_files_are_refused(tmp_path, ending, content):
    pytest.importorskip(LIBRARY[ending])
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="'broken") as error:
        read_mesh(path)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("ending", sorted(WRITERS))
def test_truncated_and_absurd_files_are_refused(tmp_path, ending):
    """Half a file gives an error here, or a surface with a hole, which a tool refuses."""
    pytest.importorskip(LIBRARY[ending])
    path = tmp_path / f"part{ending}"
    for scale, share in ((1, 0.6), (1e9, 1), (np.nan, 1)):
        WRITERS[ending](path, VERTICES * scale, FACES)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InputError):
            closed_surface(*read_mesh(path), "The part")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_mesh(tmp_path / "none.stl")
    (tmp_path / "folder.stl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_mesh(tmp_path / "folder.stl")
    (tmp_path / "a.step").write_text("ISO-10303-21;")
    with pytest.raises(InputError, match="not a known mesh file; use one of .stl"):
        read_mesh(tmp_path / "a.step")
    with pytest.raises(InputError, match="empty"):
        read_mesh("")


@pytest.mark.parametrize("ending", [".stl", ".vtp"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, ending):
    import sys

    monkeypatch.setitem(sys.modules, LIBRARY[ending], None)
    monkeypatch.setitem(sys.modules, "vtkmodules.util.numpy_support", None)
    (tmp_path / f"a{ending}").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="needs the package (trimesh|vtk); install it"):
        read_mesh(tmp_path / f"a{ending}")


def test_merging_keeps_the_surface():
    vertices, faces = icosphere(5, 1)
    soup = np.concatenate([vertices[faces].reshape(-1, 3), [[9, 9, 9]]])
    places, again = merged(soup, np.arange(faces.size).reshape(-1, 3))
    assert len(places) == len(vertices) + 1 and same((places, again), vertices, faces)
    signed = np.array([[0.0, 0, 0], [-0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert len(merged(signed, [[0, 2, 3], [1, 3, 2]])[0]) == 3
    vertices, faces = box((0, 0, 0), (1, 1, 1))
    assert same(closed_surface(vertices, faces[:, ::-1], "It"), vertices, faces)
