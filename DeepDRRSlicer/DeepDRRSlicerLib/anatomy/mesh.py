"""Triangle surfaces: mesh files in Slicer's conventions, and what makes a surface enclose something."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import existing
from DeepDRRSlicerLib.errors import InputError

MESH_ENDINGS = (".stl", ".obj", ".ply", ".vtp", ".vtk")
_LIMIT = 1e6  # mm from the origin: farther away is a damaged file or another unit
_HEADER = 2000  # bytes in which Slicer's writers leave their mark


def read_mesh(path) -> tuple[np.ndarray, np.ndarray]:
    """(vertices (n, 3) float64 RAS mm, faces (t, 3) int64) of an STL, OBJ, PLY, VTP or VTK file.

    Slicer marks the space of its files with SPACE=LPS or SPACE=RAS; a file without a mark is in LPS, as Slicer itself
    reads it (vtkMRMLModelStorageNode). Polygons are cut into triangles, vertices at one place are merged.
    VTP and VTK are read by the package vtk, which Slicer has; the others by trimesh.
    Raises InputError for a file that is missing, damaged, empty or no mesh, and where the package is missing.
    """
    path = existing(path)
    ending = path.suffix.lower()
    if ending not in MESH_ENDINGS:
        raise InputError(f"'{path.name}' is not a known mesh file; use one of {', '.join(MESH_ENDINGS)}.")
    if path.is_dir():
        raise InputError(f"'{path.name}' is a folder; name a mesh file.")
    vertices, faces, space = (_read_vtk if ending in (".vtp", ".vtk") else _read_trimesh)(path, ending)
    if not len(faces):
        raise InputError(f"'{path.name}' holds no surface; export the model again.")
    if not (np.abs(vertices) <= _LIMIT).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"'{path.name}' is damaged (impossible positions of vertices); export the model again.")
    return merged(vertices * (1 if space == "RAS" else (-1, -1, 1)), faces)


def merged(vertices, faces) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with one vertex at each place, without faces that have two corners at one place."""
    places, index = np.unique(np.asarray(vertices, dtype=np.float64) + 0.0, axis=0, return_inverse=True)  # -0 is 0
    faces = index.reshape(-1)[np.asarray(faces, dtype=np.int64)]
    a, b, c = faces.T
    return places, np.ascontiguousarray(faces[(a != b) & (b != c) & (c != a)])


def closed_surface(vertices, faces, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The surface merged and turned so that faces are counter-clockwise from outside; InputError unless it is closed.

    Closed means that every edge is passed as often in one direction as in the other: mostly by two faces, by four
    where two bodies touch along it. name: what errors call it, at the start of a sentence.
    """
    vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces)
    shapes = [array.ndim == 2 and array.shape[1] == 3 for array in (vertices, faces)]
    if not all(shapes) or faces.dtype.kind not in "iu":
        raise InputError(f"{name} must have vertices (n, 3) and faces (t, 3) of whole numbers; triangulate the model.")
    if not len(faces) or not (np.abs(vertices) <= _LIMIT).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{name} is empty or has impossible vertices; export the model again.")
    vertices, faces = merged(vertices, faces)
    there = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward, backward = (np.sort(there[:, a] * len(vertices) + there[:, 1 - a]) for a in (0, 1))
    if not np.array_equal(forward, backward):
        _, passed = np.unique(np.sort(there, axis=1), axis=0, return_counts=True)
        if (passed % 2).any():
            raise InputError(
                f"{name} is not closed ({np.count_nonzero(passed % 2)} open edges); fill its holes, "
                "for instance with Slicer's Surface Toolbox."
            )
        raise InputError(
            f"{name} has faces turned inwards beside faces turned outwards; orient its normals, "
            "for instance with Slicer's Surface Toolbox."
        )
    corners = vertices[faces] - vertices.mean(axis=0)
    volumes = np.einsum("fa,fa->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))  # of tetrahedra, times 6
    if not volumes.any():
        raise InputError(f"{name} encloses nothing; give the model a thickness.")
    return vertices, faces if volumes.sum() >= 0 else np.ascontiguousarray(faces[:, ::-1])


def _marked_space(path: Path) -> str | None:
    """RAS or LPS where the header of a file says so."""
    with open(path, "rb") as file:
        mark = re.search(rb"SPACE=(RAS|LPS)", file.read(_HEADER))
    return mark[1].decode() if mark else None


def _unreadable(path: Path, reason) -> InputError:
    words = " ".join(str(reason).split()).rstrip(".")[:150] or "damaged"
    return InputError(f"'{path.name}' cannot be read as a mesh ({words}); export the model again.")


def _read_trimesh(path: Path, ending: str):
    try:
        import trimesh
    except ImportError as error:
        raise InputError(f"Reading {ending} files needs the package trimesh; install it with pip.") from error
    try:
        space = _marked_space(path)
        with open(path, "rb") as file:  # a stream: material files beside it are not looked for
            mesh = trimesh.load_mesh(file, file_type=ending[1:], process=False)
        vertices, faces = np.array(mesh.vertices, dtype=np.float64), np.array(mesh.faces, dtype=np.int64)
        return vertices.reshape(len(vertices), 3), faces.reshape(len(faces), 3), space
    except Exception as error:  # parsers of damaged files raise anything, from KeyError to MemoryError
        raise _unreadable(path, error) from error


def _read_vtk(path: Path, ending: str):
    try:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkCommand
        from vtkmodules.vtkFiltersCore import vtkTriangleFilter
        from vtkmodules.vtkIOLegacy import vtkPolyDataReader
        from vtkmodules.vtkIOXML import vtkXMLPolyDataReader
    except ImportError as error:
        raise InputError(
            f"Reading {ending} files needs the package vtk; install it with pip, or save the model as STL."
        ) from error
    errors = []
    reader = vtkXMLPolyDataReader() if ending == ".vtp" else vtkPolyDataReader()
    reader.AddObserver(vtkCommand.ErrorEvent, lambda *_: errors.append("damaged, or not a surface"))
    reader.AddObserver(vtkCommand.WarningEvent, lambda *_: None)  # or VTK prints it
    reader.SetFileName(str(path))
    reader.Update()
    read = reader.GetOutput()
    if errors or read is None:
        raise _unreadable(path, "damaged, or not a surface")
    for cells in (read.GetPolys(), read.GetStrips()):  # VTK does not check them, and crashes later
        corners, offsets = vtk_to_numpy(cells.GetConnectivityArray()), vtk_to_numpy(cells.GetOffsetsArray())
        in_order = not offsets.size or (np.diff(offsets, prepend=0) >= 0).all() and offsets[-1] == corners.size
        if not in_order or (corners.size and not 0 <= corners.min() <= corners.max() < read.GetNumberOfPoints()):
            raise _unreadable(path, "polygons of vertices that do not exist")
    triangles = vtkTriangleFilter()
    triangles.SetInputData(read)
    triangles.PassVertsOff()
    triangles.PassLinesOff()
    triangles.Update()
    surface = triangles.GetOutput()
    if surface.GetPoints() is None or not surface.GetNumberOfPolys():
        return np.empty((0, 3)), np.empty((0, 3), np.int64), None
    mark = read.GetFieldData().GetAbstractArray("SPACE")
    space = str(mark.GetValue(0)) if mark is not None and mark.GetNumberOfValues() else _marked_space(path)
    vertices = vtk_to_numpy(surface.GetPoints().GetData()).astype(np.float64)
    faces = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).astype(np.int64).reshape(-1, 3)
    return vertices, faces, space
