"""Meshes of a device's parts: boxes, cylinders and arcs with rounded edges, and mesh files."""

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from DeepDRRSlicerLib.errors import InputError

_EDGE_STEPS = 4  # segments of a rounded edge
_CIRCLE_STEPS = 48
_ARC_STEP = 3.0  # degrees
_READERS = {".stl": "vtkSTLReader", ".ply": "vtkPLYReader", ".obj": "vtkOBJReader", ".vtp": "vtkXMLPolyDataReader"}


def partMesh(shape, folder=None):
    """vtkPolyData of a part's shape (see geometry/device.py) in mm; mesh files are looked up in `folder`."""
    if shape["type"] == "mesh":
        return _meshFile(shape["file"], folder)
    make = {"box": _box, "cylinder": _cylinder, "arc": _arc}[shape["type"]]
    return make({key: value for key, value in shape.items() if key != "type"})


def setMesh(node, mesh):
    """Give a model node a mesh; one with the same points is left, so that nothing is drawn anew for nothing."""
    present = node.GetPolyData()
    if present is not None and present.GetNumberOfPoints() == mesh.GetNumberOfPoints():
        points = (vtk_to_numpy(data.GetPoints().GetData()) for data in (present, mesh))
        if np.array_equal(*points):
            return
    if present is None:
        node.SetAndObservePolyData(mesh)
    else:
        present.ShallowCopy(mesh)  # what observes and draws the mesh stays as it is
        present.Modified()


def meshBoxes(device):
    """{name of a part that is a mesh: the box shape about it}, for a device (geometry/collision.py)."""
    boxes = {}
    for part in device.parts:
        if part.shape["type"] == "mesh":
            bounds = np.array(partMesh(part.shape, device.folder).GetBounds()).reshape(3, 2)
            size = np.maximum(bounds[:, 1] - bounds[:, 0], 1.0)
            boxes[part.name] = {"type": "box", "center": bounds.mean(axis=1).tolist(), "size": size.tolist()}
    return boxes


def polyData(points, polygons=(), lines=()):
    """vtkPolyData of points (n, 3) with cells given as sequences of point indices."""
    data = vtk.vtkPolyData()
    vtkPoints = vtk.vtkPoints()
    vtkPoints.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float32), deep=True))
    data.SetPoints(vtkPoints)
    data.SetPolys(_cells(polygons))
    data.SetLines(_cells(lines))
    return data


def _cells(cells):
    array = vtk.vtkCellArray()
    for cell in cells:
        array.InsertNextCell(len(cell))
        for index in cell:
            array.InsertCellPoint(int(index))
    return array


def _box(shape):
    center, half = np.array(shape["center"], float), np.array(shape["size"], float) / 2
    edge = min(12.0, 0.3 * half.min())
    axis = np.array([0.0, 0.0, 1.0])
    rings, normals = [], []
    for inset, height, tilt in _edgeProfile(edge, half[2]):
        outline, outward = _roundedRectangle(half[0] - inset, half[1] - inset, edge - inset)
        rings.append(center + _inPlane(outline) + height * axis)
        normals.append(np.cos(tilt) * _inPlane(outward) + np.sin(tilt) * axis)
    return _loft(rings, normals, -axis, axis)


def _cylinder(shape):
    start, end = np.array(shape["start"], float), np.array(shape["end"], float)
    length = np.linalg.norm(end - start)
    axis = (end - start) / length
    u = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    u /= np.linalg.norm(u)
    angles = np.arange(_CIRCLE_STEPS) * 2 * np.pi / _CIRCLE_STEPS
    circle = np.cos(angles)[:, None] * u + np.sin(angles)[:, None] * np.cross(axis, u)
    edge = min(8.0, 0.2 * shape["radius"], 0.2 * length)
    rings, normals = [], []
    for inset, height, tilt in _edgeProfile(edge, length / 2):
        rings.append((start + end) / 2 + height * axis + (shape["radius"] - inset) * circle)
        normals.append(np.cos(tilt) * circle + np.sin(tilt) * axis)
    return _loft(rings, normals, -axis, axis)


def _arc(shape):
    center = np.array(shape["center"], float)
    axis = np.array(shape["axis"], float) / np.linalg.norm(shape["axis"])
    zero = np.array(shape["from"], float) / np.linalg.norm(shape["from"])
    half = np.array([shape["width"], shape["thickness"]]) / 2
    outline, outward = _roundedRectangle(half[0], half[1], 0.3 * half.min())
    count = max(2, int(np.ceil(abs(shape["stop"] - shape["start"]) / _ARC_STEP)) + 1)
    angles = np.deg2rad(np.linspace(shape["start"], shape["stop"], count))
    rings, normals = [], []
    for radial in np.cos(angles)[:, None] * zero + np.sin(angles)[:, None] * np.cross(axis, zero):
        rings.append(center + outline[:, :1] * axis + (shape["radius"] + outline[:, 1:]) * radial)
        normals.append(outward[:, :1] * axis + outward[:, 1:] * radial)
    forward = [np.cross(axis, np.cos(a) * zero + np.sin(a) * np.cross(axis, zero)) for a in angles[[0, -1]]]
    return _loft(rings, normals, -forward[0], forward[1])


def _edgeProfile(edge, halfHeight):
    """(inset, height, tilt of the normal) up the side of a body whose two rims are rounded with radius `edge`."""
    tilts = np.linspace(0, np.pi / 2, _EDGE_STEPS + 1)
    top = [(edge * (1 - np.cos(t)), halfHeight - edge * (1 - np.sin(t)), t) for t in tilts]
    return [(inset, -height, -tilt) for inset, height, tilt in reversed(top)] + top


def _roundedRectangle(a, b, radius):
    """Outline and outward normals (n, 2 each), counter-clockwise, of a rectangle of half sizes a, b."""
    points, normals = [], []
    for quadrant, corner in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        angles = np.linspace(0, np.pi / 2, _EDGE_STEPS + 1) + quadrant * np.pi / 2
        normal = np.column_stack([np.cos(angles), np.sin(angles)])
        points.append(np.array(corner) * (a - radius, b - radius) + radius * normal)
        normals.append(normal)
    return np.concatenate(points), np.concatenate(normals)


def _inPlane(points):
    return np.column_stack([points, np.zeros(len(points))])


def _loft(rings, normals, firstNormal, lastNormal):
    """Closed surface through rings of equally many points, with flat caps.

    The normals are given, not computed from the faces, so that large flat faces beside a rounding stay evenly lit;
    the caps have points of their own for the same reason.
    """
    count = len(rings[0])
    index = np.arange(count)
    following = np.roll(index, -1)
    cells = []
    for first in np.arange(len(rings) - 1) * count:
        cells += (first + np.column_stack([index, following, count + following, count + index])).tolist()
    end = len(rings) * count
    cells += [list(range(end, end + count))[::-1], list(range(end + count, end + 2 * count))]
    points = np.concatenate([*rings, rings[0], rings[-1]])
    caps = np.repeat([firstNormal, lastNormal], count, axis=0)
    data = polyData(points, cells)
    array = numpy_to_vtk(np.concatenate([*normals, caps]).astype(np.float32), deep=True)
    array.SetName("Normals")
    data.GetPointData().SetNormals(array)
    return data


def _meshFile(name, folder):
    path = folder / name if folder else None
    if path is None or not path.is_file():
        raise InputError(f"The mesh {name!r} of the device is not beside its file; put it there or change the device.")
    if path.suffix.lower() not in _READERS:
        raise InputError(f"The mesh {name!r} of the device must be one of {', '.join(_READERS)}; convert it.")
    reader = getattr(vtk, _READERS[path.suffix.lower()])()
    reader.SetFileName(str(path))
    reader.Update()
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(reader.GetOutputPort())
    normals.AutoOrientNormalsOn()
    normals.Update()
    return normals.GetOutput()
