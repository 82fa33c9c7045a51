"""Tools from files: the option, and transforms as Slicer writes and shows them."""

import json
import shutil

import numpy as np
import pytest
from test_anatomy_mesh import write_vtk
from tool_shapes import box

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.tool_files import parse_tool, read_transform

pytest.importorskip("vtkmodules")

TO_PARENT = np.eye(4)
TO_PARENT[:3, :3] = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
TO_PARENT[:3, :3] *= np.linalg.det(TO_PARENT[:3, :3])
TO_PARENT[:3, 3] = (12.5, -40.25, 88.0)
VERTICES, FACES = box((1, 2, 3), (4, 7, 9))


@pytest.fixture
def mesh(tmp_path):
    write_vtk(tmp_path / "stem.vtk", VERTICES, FACES, "SPACE=RAS")
    return tmp_path / "stem.vtk"


def slicer_transform(path, matrix=TO_PARENT):
    """Slicer's storage node writes a transform node whose matrix to the parent is `matrix`."""
    slicer, vtk = pytest.importorskip("slicer"), pytest.importorskip("vtk")
    if not hasattr(slicer, "vtkMRMLTransformStorageNode"):
        pytest.skip("slicer-core is not installed")
    scene = slicer.vtkMRMLScene()
    for name in ("LinearTransform", "TransformStorage"):
        scene.RegisterNodeClass(getattr(slicer, f"vtkMRML{name}Node")())
    node, storage = (scene.AddNewNodeByClass(f"vtkMRML{name}Node") for name in ("LinearTransform", "TransformStorage"))
    vtk_matrix = vtk.vtkMatrix4x4()
    vtk_matrix.DeepCopy(matrix.ravel().tolist())
    node.SetMatrixTransformToParent(vtk_matrix)
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    scene.Clear(1)


@pytest.mark.parametrize("ending", [".tfm", ".h5"])
def test_transforms_that_slicer_writes(tmp_path, mesh, ending):
    path = tmp_path / f"pose{ending}"
    slicer_transform(path)
    assert np.allclose(read_transform(path), TO_PARENT, atol=1e-9)
    tool = parse_tool(f"{mesh}:titanium:{path}")
    expected = VERTICES @ TO_PARENT[:3, :3].T + TO_PARENT[:3, 3]
    assert np.allclose(np.sort(tool.vertices, axis=0), np.sort(expected, axis=0))


def test_itk_transforms_with_a_center_and_composites(tmp_path):
    """What ITK maps is the way back from the patient to the tool, in LPS."""
    import SimpleITK as sitk

    flip = np.diag([-1.0, -1, 1, 1])
    rigid = sitk.Euler3DTransform((5.0, 6.0, -7.0), 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    scale = sitk.ScaleTransform(3, (1.1, 0.9, 1.2))
    for number, transform in enumerate((rigid, sitk.CompositeTransform([rigid, scale]))):
        path = tmp_path / f"{number}.tfm"
        sitk.WriteTransform(transform, str(path))
        matrix = read_transform(path)
        for point in np.random.default_rng(0).normal(size=(5, 3)) * 50:
            in_patient = flip @ matrix @ [*point, 1]
            back = flip[:3, :3] @ transform.TransformPoint(in_patient[:3].tolist())
            assert np.allclose(back, point)


def test_plain_matrices(tmp_path):
    rows = TO_PARENT.tolist()
    (tmp_path / "a.txt").write_text("\n".join(" ".join(map(repr, row)) for row in rows))
    (tmp_path / "b.txt").write_text(str(rows).replace("\n", " "))
    (tmp_path / "c.json").write_text(json.dumps(rows))
    (tmp_path / "d.json").write_text(json.dumps(sum(rows, [])))
    for name in ("a.txt", "b.txt", "c.json", "d.json"):
        assert np.array_equal(read_transform(tmp_path / name), TO_PARENT)


def test_the_option(tmp_path, mesh, monkeypatch):
    tool = parse_tool(f"{mesh}:Ti")
    assert (tool.name, tool.material, len(tool.faces)) == ("stem", "titanium", 12)
    assert np.allclose(np.sort(tool.vertices, axis=0), np.sort(VERTICES, axis=0))
    assert parse_tool(f"{mesh}:stainless steel 316L").density == 7.99
    (tmp_path / "t.txt").write_text("1 0 0 5 0 1 0 6 0 0 1 7 0 0 0 1")
    assert np.allclose(parse_tool(f"{mesh}:PEEK:{tmp_path / 't.txt'}").vertices.min(axis=0), (6, 8, 10))

    # Drive letters: on this system such names are files in the current folder.
    monkeypatch.chdir(tmp_path)
    shutil.copy(mesh, tmp_path / "C:\\my stem.vtk")
    shutil.copy(tmp_path / "t.txt", tmp_path / "d:\\t.txt")
    assert np.allclose(parse_tool("C:\\my stem.vtk:iron").vertices.min(axis=0), (1, 2, 3))
    assert np.allclose(parse_tool("C:\\my stem.vtk:iron:d:\\t.txt").vertices.min(axis=0), (6, 8, 10))
    assert np.allclose(parse_tool("stem.vtk:iron:d:\\t.txt").vertices.min(axis=0), (6, 8, 10))
    assert np.allclose(parse_tool("stem.vtk:iron:t.txt").vertices.min(axis=0), (6, 8, 10))


@pytest.mark.parametrize("text", ["", "stem.vtk", "stem.vtk:", ":iron", "a:b:c:d", "stem.vtk:iron:", "C:\\stem.vtk"])
def test_options_of_another_form_are_refused(text):
    with pytest.raises(InputError, match="MESH:MATERIAL"):
        parse_tool(text)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.txt", "1 2 3", "16 numbers"),
        ("a.txt", "one two", "16 numbers"),
        ("a.txt", "1 0 0 0 0 1 0 0 0 0 1 0 0 0 1 1", "last row"),
        ("a.txt", "1 0 0 0 0 1 0 0 0 0 nan 0 0 0 0 1", "finite"),
        ("a.txt", "1 0 0 0 0 1 0 0 0 0 0 0 0 0 0 1", "singular"),
        ("a.json", "{", "16 numbers"),
        ("a.json", '{"a": 1}', "16 numbers"),
        ("a.json", "[" * 5000, "16 numbers"),
        ("a.tfm", "nonsense", "cannot be read"),
        ("a.h5", "nonsense", "cannot be read"),
        ("a.yaml", "", "not a known transform"),
    ],
)
def test_damaged_transforms_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words) as error:
        read_transform(tmp_path / name)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_other_transforms_are_refused(tmp_path, mesh):
    import SimpleITK as sitk

    sitk.WriteTransform(sitk.BSplineTransform(3), str(tmp_path / "warp.tfm"))
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    for name in ("warp.tfm", "flat.tfm"):
        with pytest.raises(InputError, match="not a linear transform"):
            read_transform(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        parse_tool(f"{mesh}:iron:{tmp_path / 'none.tfm'}")
    with pytest.raises(InputError, match="no material"):
        parse_tool(f"{mesh}:wood")
