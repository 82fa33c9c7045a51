"""Tools from files: the option MESH:MATERIAL[:TRANSFORM] and linear transforms in Slicer's conventions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import LPS_TO_RAS, existing, simpleitk
from DeepDRRSlicerLib.anatomy.mesh import read_mesh
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.tools import Tool

_ITK_ENDINGS = (".tfm", ".h5", ".mat")
_PLAIN_ENDINGS = (".txt", ".json")


def parse_tool(text: str) -> Tool:
    """The tool that MESH:MATERIAL[:TRANSFORM] names, moved by its transform; its name is that of the mesh file.

    MESH: as read_mesh takes it. MATERIAL: a name in the material library. TRANSFORM: as read_transform takes it.
    A drive letter of Windows belongs to its path. Raises InputError.
    """
    parts = re.sub(r"(^|:)([A-Za-z]):(?=[\\/])", r"\1\2\0", text).split(":")
    parts = [part.replace("\0", ":") for part in parts]
    if len(parts) not in (2, 3) or not all(part.strip() for part in parts):
        raise InputError(f"The tool '{text}' is not of the form MESH:MATERIAL or MESH:MATERIAL:TRANSFORM; correct it.")
    mesh, material, *transform = parts
    tool = Tool(Path(mesh).stem, *read_mesh(mesh), material)
    return tool.moved(read_transform(transform[0])) if transform else tool


def read_transform(path) -> np.ndarray:
    """4x4 that moves points in RAS mm, from the tool's own place to the patient (in Slicer: "to parent").

    .txt or .json: the 16 numbers of that matrix, row by row, as Slicer's Transforms module shows them.
    .tfm, .h5 or .mat: a linear ITK transform, also a composite of linear ones, as Slicer saves a transform node. ITK
    keeps the way from the parent back to the tool, in LPS, which is inverted here.
    Raises InputError for a file that is missing, damaged, singular or not linear.
    """
    path = existing(path)
    ending = path.suffix.lower()
    if ending in _ITK_ENDINGS:
        return _itk_matrix(path)
    if ending not in _PLAIN_ENDINGS:
        known = ", ".join((*_ITK_ENDINGS, *_PLAIN_ENDINGS))
        raise InputError(f"'{path.name}' is not a known transform file; use one of {known}.")
    try:
        text = path.read_text(encoding="utf-8")
        numbers = json.loads(text) if ending == ".json" else [float(n) for n in re.split(r"[\s,;\[\]()]+", text) if n]
        matrix = np.asarray(numbers, dtype=np.float64).reshape(4, 4)
    except OSError as error:
        raise InputError(f"Cannot read the transform file '{path.name}': {error.strerror}.") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"'{path.name}' does not hold the 16 numbers of a 4x4 matrix; correct it.") from error
    return _checked(matrix, path.name)


def _itk_matrix(path: Path) -> np.ndarray:
    with simpleitk(path) as sitk:
        transform = sitk.ReadTransform(str(path))
        if transform.GetDimension() != 3 or not transform.IsLinear():
            raise InputError(
                f"'{path.name}' is not a linear transform in 3D; harden it on the model in Slicer, and save the model."
            )
        origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        from_parent = np.eye(4)
        from_parent[:3, 3] = origin
        for axis in range(3):
            from_parent[:3, axis] = np.array(transform.TransformPoint(np.eye(3)[axis].tolist())) - origin
    _checked(from_parent, path.name)
    return _checked(np.linalg.inv(LPS_TO_RAS @ from_parent @ LPS_TO_RAS), path.name)


def _checked(matrix: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(matrix).all() or np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-9:
        raise InputError(f"The matrix in '{name}' is not a finite 4x4 affine matrix (last row 0 0 0 1); correct it.")
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise InputError(f"The matrix in '{name}' is singular; correct its scale.")
    matrix[3] = (0, 0, 0, 1)
    return matrix
